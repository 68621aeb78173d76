//! The data folder: one daemon at a time.

use std::any::Any;
use std::io::ErrorKind;
use std::path::Path;

use crate::disk::Disk;
use crate::error::{Error, Result};

/// A data folder held by this process. Dropping it lets the next one in.
pub(crate) struct Folder {
    _lock: Box<dyn Any + Send>,
}

impl Folder {
    /// Create the folder if need be and lock it.
    ///
    /// The kernel drops the lock with the process, so a crash leaves nothing to clean up.
    pub(crate) fn take(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let failed = |at: &Path| {
            let path = at.to_path_buf();
            move |source| Error::Folder { path, source }
        };
        disk.create_dir(path).map_err(failed(path))?;
        let lock_path = path.join("lock");
        match disk.lock(&lock_path) {
            Ok(lock) => Ok(Self { _lock: lock }),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(Error::FolderInUse(path.to_path_buf()))
            }
            Err(error) => Err(failed(&lock_path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    /// A folder is taken once, and free again when its holder is gone.
    #[test]
    fn one_holder() {
        let path = std::env::temp_dir().join(format!("spanmill-folder-{}", std::process::id()));
        let held = Folder::take(&RealDisk, &path).expect("free");
        assert!(matches!(Folder::take(&RealDisk, &path), Err(Error::FolderInUse(_))));
        drop(held);
        drop(Folder::take(&RealDisk, &path).expect("free again"));
        std::fs::remove_dir_all(&path).expect("ours");
    }
}
