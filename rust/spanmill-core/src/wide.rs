//! Dimensions too wide to be series: each value as a keyed hash, its text only where one is shown.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_secret;

use crate::error::{Error, Result};
use crate::signal::Dimension;
use crate::value::OTHER_NAME;

/// Length of a key: what XXH3 calls its default secret.
const KEY_BYTES: usize = 192;

/// No value: what no hash is.
pub(crate) const NO_VALUE: u64 = 0;

/// Precedence of a cell that nothing has filled.
const UNFILLED: u8 = u8::MAX;

/// What hashes end users' ids: without it no hash can be tried against guessed ids.
pub(crate) struct Key([u8; KEY_BYTES]);

impl Key {
    /// Read `folder/key`, made on first use, so that a restart knows the same users again.
    ///
    /// The caller holds the folder's lock. Only the owner may read the file.
    pub(crate) fn of_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("key");
        let failed = |source| Error::Folder { path: path.clone(), source };
        match std::fs::read(&path) {
            Ok(bytes) => bytes.try_into().map(Self).map_err(|bytes: Vec<u8>| {
                let told = format!("holds {} B instead of {KEY_BYTES}", bytes.len());
                failed(std::io::Error::new(ErrorKind::InvalidData, told))
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut key = [0; KEY_BYTES];
                getrandom::fill(&mut key).map_err(|error| failed(error.into()))?;
                write_whole(&path, &key).map_err(failed)?;
                Ok(Self(key))
            }
            Err(error) => Err(failed(error)),
        }
    }

    #[inline]
    fn hash(&self, text: &[u8]) -> u64 {
        xxh3_64_with_secret(text, &self.0).max(NO_VALUE + 1)
    }
}

/// Write a new file that others cannot read; there is all of it or none.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let staged = path.with_extension("new");
    let mut options = OpenOptions::new();
    let _ = options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let _ = options.mode(0o600);
    }
    let mut file = options.open(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&staged, path)?;
    // The rename itself must survive a power cut: another key would double every user.
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// One dimension that some companion counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub dimension: Dimension,
    /// Answers show its values.
    pub keeps_text: bool,
}

/// The columns of every batch, and the key they are hashed with.
pub(crate) struct WidePlan {
    pub columns: Vec<Column>,
    pub key: Key,
    /// Longer texts are shown as [`OTHER_NAME`].
    pub text_bytes_max: usize,
}

#[derive(Clone, Copy)]
struct Cell {
    hash: u64,
    rank: u8,
}

/// Place of a text among a batch's bytes.
struct Text {
    hash: u64,
    start: usize,
    length: usize,
}

/// A batch's values of every column.
#[derive(Default)]
pub(crate) struct Wide {
    /// What the resource says, and what the span under way says over it.
    resource: Vec<Cell>,
    span: Vec<Cell>,
    /// By column, row-major, [`NO_VALUE`] where absent.
    pub hashes: Vec<u64>,
    texts: HashTable<Text>,
    bytes: Vec<u8>,
}

impl Wide {
    pub(crate) fn clear(&mut self) {
        self.hashes.clear();
        self.texts.clear();
        self.bytes.clear();
    }

    /// A resource begins: its attributes come next.
    pub(crate) fn open_resource(&mut self, plan: &WidePlan) {
        self.span.clear();
        self.span.resize(plan.columns.len(), Cell { hash: NO_VALUE, rank: UNFILLED });
    }

    /// The resource's attributes are read.
    pub(crate) fn close_resource(&mut self) {
        self.resource.clone_from(&self.span);
    }

    /// A span begins with what its resource says.
    pub(crate) fn open_span(&mut self) {
        self.span.copy_from_slice(&self.resource);
    }

    /// The span counts: keep its values.
    pub(crate) fn keep_span(&mut self) {
        self.hashes.extend(self.span.iter().map(|cell| cell.hash));
    }

    /// Take one value, unless one of better precedence is there.
    pub(crate) fn take(&mut self, plan: &WidePlan, column: usize, rank: u8, text: &[u8]) {
        let cell = &mut self.span[column];
        if text.is_empty() || rank >= cell.rank {
            return;
        }
        let hash = plan.key.hash(text);
        *cell = Cell { hash, rank };
        if plan.columns[column].keeps_text {
            let fits = text.len() <= plan.text_bytes_max;
            self.learn(hash, if fits { text } else { OTHER_NAME.as_bytes() });
        }
    }

    /// One column of these texts.
    #[cfg(test)]
    pub(crate) fn of_texts(texts: impl Iterator<Item = String>) -> Self {
        let mut wide = Self::default();
        for text in texts {
            let hash = xxhash_rust::xxh3::xxh3_64(text.as_bytes()).max(NO_VALUE + 1);
            wide.hashes.push(hash);
            wide.learn(hash, text.as_bytes());
        }
        wide
    }

    fn learn(&mut self, hash: u64, text: &[u8]) {
        if self.texts.find(hash, |text| text.hash == hash).is_none() {
            let place = Text { hash, start: self.bytes.len(), length: text.len() };
            self.bytes.extend_from_slice(text);
            let _ = self.texts.insert_unique(hash, place, |text| text.hash);
        }
    }

    /// Text of a value of a column that keeps them.
    pub(crate) fn text(&self, hash: u64) -> &[u8] {
        let found = self.texts.find(hash, |text| text.hash == hash);
        found.map_or(b"", |text| &self.bytes[text.start..text.start + text.length])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("spanmill-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("temporary folders can be made");
        path
    }

    /// A folder keeps its key, for its owner only; two folders have two, and hash apart.
    #[test]
    fn a_folder_keeps_its_key() {
        let (one, two) = (folder("key-one"), folder("key-two"));
        let hash = |folder: &Path| Key::of_folder(folder).expect("made").hash(b"alice");
        assert_eq!(hash(&one), hash(&one));
        assert_ne!(hash(&one), hash(&two));
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
        let error = Key::of_folder(&damaged).map(|_| ()).expect_err("refused").to_string();
        assert!(error.contains("holds 5 B instead of 192"), "{error}");
        std::fs::remove_dir_all(damaged).expect("ours");
    }

    /// A span's own value wins over its resource's, and a better name over a worse one.
    #[test]
    fn precedence_decides() {
        let columns = vec![Column { dimension: Dimension::Prompt, keeps_text: true }];
        let plan = WidePlan { columns, key: Key([7; KEY_BYTES]), text_bytes_max: 8 };
        let mut wide = Wide::default();
        wide.open_resource(&plan);
        wide.take(&plan, 0, 130, b"resource");
        wide.close_resource();
        wide.open_span();
        wide.keep_span();
        wide.open_span();
        wide.take(&plan, 0, 2, b"span");
        wide.take(&plan, 0, 3, b"alias");
        wide.take(&plan, 0, 1, b"");
        wide.keep_span();
        let texts: Vec<&[u8]> = wide.hashes.iter().map(|hash| wide.text(*hash)).collect();
        assert_eq!(vec![&b"resource"[..], b"span"], texts);
    }
}
