//! The disk behind a trait: the real one here, one that lies and loses in the simulator.
//!
//! What POSIX promises is all that callers may count on: bytes are durable after a sync
//! of their file, names (made, renamed, removed) after a sync of their folder.

use std::any::Any;
use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It must be there, and is only read.
    Read,
    /// It must be there, and is read and written.
    Write,
    /// Made empty, whatever was there before; read and written, by our user alone.
    Create,
}

/// Files and folders.
pub trait Disk: Debug + Send + Sync {
    /// Make a folder and those above it; it may be there already.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Names of the files in a folder, in no order; none where there is no folder.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Open a file.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>>;

    /// Give a file another name; what had that name before is gone.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Remove a file.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Make the names in a folder durable.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn sync_dir(&self, folder: &Path) -> io::Result<()>;

    /// Hold a lock until what is returned is dropped, or the process ends.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where another holds it; else what the operating system says.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>>;
}

/// One open file.
pub trait DiskFile: Debug + Send + Sync {
    /// Bytes in it.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn size(&self) -> io::Result<u64>;

    /// Fill `into` from `offset` on.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` where the file ends before; else what the operating system says.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// Write all of `bytes` at `offset`; the file grows as needed.
    ///
    /// # Errors
    ///
    /// What the operating system says; some of the bytes may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Make everything written so far durable.
    ///
    /// # Errors
    ///
    /// What the operating system says. What of the file is durable is unknown from then
    /// on, and a second sync that succeeds proves nothing.
    fn sync(&self) -> io::Result<()>;
}

/// The machine's file system.
#[derive(Debug, Default)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile(File);

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            // A name that is not Unicode is not one of ours.
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let _ = match mode {
            Mode::Read => options.read(true),
            Mode::Write => options.read(true).write(true),
            Mode::Create => options.read(true).write(true).create(true).truncate(true).mode(0o600),
        };
        Ok(Box::new(RealFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        let file = File::create(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
