//! The data folder: one daemon at a time.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::{Error, Result};

/// A data folder held by this process. Dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Folder {
    _lock: File,
}

impl Folder {
    /// Create the folder if need be and lock it.
    ///
    /// The kernel drops the lock with the process, so a crash leaves nothing to clean up.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let failed = |at: &Path| {
            let path = at.to_path_buf();
            move |source| Error::Folder { path, source }
        };
        std::fs::create_dir_all(path).map_err(failed(path))?;
        let lock_path = path.join("lock");
        let lock = File::create(&lock_path).map_err(failed(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::FolderInUse(path.to_path_buf())),
            Err(TryLockError::Error(source)) => Err(failed(&lock_path)(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder is taken once, and free again when its holder is gone.
    #[test]
    fn one_holder() {
        let path = std::env::temp_dir().join(format!("spanmill-folder-{}", std::process::id()));
        let held = Folder::take(&path).expect("free");
        assert!(matches!(Folder::take(&path), Err(Error::FolderInUse(_))));
        drop(held);
        drop(Folder::take(&path).expect("free again"));
        std::fs::remove_dir_all(&path).expect("ours");
    }
}
