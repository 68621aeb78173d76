//! The key that only this data folder has, and what is hashed with it.

use std::io::{Error as IoError, ErrorKind};
use std::path::Path;

use xxhash_rust::xxh3::{xxh3_64_with_secret, xxh3_128_with_secret};

use crate::disk::{Disk, Mode};
use crate::error::{Error, Result};

/// Length of a key: what XXH3 calls its default secret.
const KEY_BYTES: usize = 192;

/// Without it no hash can be tried against guessed texts, nor two requests be made to hash alike.
#[derive(Clone)]
pub(crate) struct Secret([u8; KEY_BYTES]);

impl Secret {
    /// Read `folder/key`, made on first use, so that a restart hashes alike.
    ///
    /// The caller holds the folder's lock. Only the owner may read the file.
    pub(crate) fn of_folder(disk: &dyn Disk, folder: &Path) -> Result<Self> {
        let path = folder.join("key");
        match read(disk, &path) {
            Err(error) if error.kind() == ErrorKind::NotFound => make(disk, folder, &path),
            outcome => outcome.map(Self),
        }
        .map_err(|source| Error::Folder { path, source })
    }

    /// For texts that are told apart by the thousand.
    #[inline]
    pub(crate) fn hash(&self, text: &[u8]) -> u64 {
        xxh3_64_with_secret(text, &self.0)
    }

    /// For what must never be taken for something else.
    #[inline]
    pub(crate) fn hash_wide(&self, bytes: &[u8]) -> u128 {
        xxh3_128_with_secret(bytes, &self.0)
    }

    /// A secret that everybody knows.
    #[cfg(test)]
    pub(crate) fn known() -> Self {
        Self([7; KEY_BYTES])
    }
}

fn read(disk: &dyn Disk, path: &Path) -> std::io::Result<[u8; KEY_BYTES]> {
    let file = disk.open(path, Mode::Read)?;
    let length = file.size()?;
    if length != KEY_BYTES as u64 {
        let told = format!("holds {length} B instead of {KEY_BYTES}");
        return Err(IoError::new(ErrorKind::InvalidData, told));
    }
    let mut key = [0; KEY_BYTES];
    file.read_at(0, &mut key)?;
    Ok(key)
}

/// Write a new key; there is all of it or none.
fn make(disk: &dyn Disk, folder: &Path, path: &Path) -> std::io::Result<Secret> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key)?;
    let staged = path.with_extension("new");
    let file = disk.open(&staged, Mode::Create)?;
    file.write_at(0, &key)?;
    file.sync()?;
    disk.rename(&staged, path)?;
    // The rename itself must survive a power cut: another key would double every user,
    // and know no batch again.
    disk.sync_dir(folder)?;
    Ok(Secret(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    fn folder(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("spanmill-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("temporary folders can be made");
        path
    }

    /// A folder keeps its key, for its owner only; two folders have two, and hash apart.
    #[test]
    fn a_folder_keeps_its_key() {
        let (one, two) = (folder("key-one"), folder("key-two"));
        let secret = |folder: &Path| Secret::of_folder(&RealDisk, folder).expect("made");
        assert_eq!(secret(&one).hash(b"alice"), secret(&one).hash(b"alice"));
        assert_ne!(secret(&one).hash(b"alice"), secret(&two).hash(b"alice"));
        assert_eq!(secret(&one).hash_wide(b"alice"), secret(&one).hash_wide(b"alice"));
        assert_ne!(secret(&one).hash_wide(b"alice"), secret(&two).hash_wide(b"alice"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(one.join("key")).expect("there").permissions().mode();
            assert_eq!(0o600, mode & 0o777);
        }
        std::fs::remove_dir_all(one).expect("ours");
        std::fs::remove_dir_all(two).expect("ours");
    }

    /// A key that was cut short is refused with its length: a new one would count every user again.
    #[test]
    fn a_damaged_key_is_refused() {
        let damaged = folder("key-damaged");
        std::fs::write(damaged.join("key"), b"short").expect("writable");
        let outcome = Secret::of_folder(&RealDisk, &damaged);
        let error = outcome.map(|_| ()).expect_err("refused").to_string();
        assert!(error.contains("holds 5 B instead of 192"), "{error}");
        std::fs::remove_dir_all(damaged).expect("ours");
    }
}
