//! Files of the journal: their names, their heads, and new ones full of zeros.
//!
//! A segment in use is `<first record>.log`. One that waits to be used is `<n>.spare`:
//! every byte of it is on the disk already, so that writing it needs no room and no
//! change of the file system's own books. One that is not ready yet ends in `.part`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{END, Life};
use super::{LAYOUT, Lsn};
use crate::codec::{Reader, Writer};
use crate::disk::{Disk, DiskFile, Mode};
use crate::error::{Error, Result};
use crate::file::STAGED;

const MAGIC: [u8; 8] = *b"spanlog\n";
/// Of the head and the frames.
const VERSION: u16 = 1;

/// Bytes before the first frame: a sector of its own, which no later write touches.
pub(super) const SEGMENT_HEAD: usize = 512;
const HEAD_FIELDS: usize = 42;

/// Zeros between two syncs: one long sync would hold up the short ones of the journal.
const PACE: usize = 1 << 20;

pub(super) const LOG: &str = ".log";
pub(super) const SPARE: &str = ".spare";

/// The error for a file or folder.
pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    |source| Error::Folder { path: path.to_path_buf(), source }
}

/// Where the segment that begins with `first` is.
pub(super) fn log_path(folder: &Path, first: Lsn) -> PathBuf {
    folder.join(format!("{:020}{LOG}", first.0))
}

/// The number in a name that ends like this.
fn number(name: &str, ending: &str) -> Option<u64> {
    let digits = name.strip_suffix(ending)?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// The first records of the segments there are, in order.
pub(super) fn logs(disk: &dyn Disk, folder: &Path) -> Result<Vec<Lsn>> {
    let names = disk.list(folder).map_err(failed(folder))?;
    let mut firsts: Vec<Lsn> =
        names.iter().filter_map(|name| number(name, LOG)).filter(is_record).map(Lsn).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

/// Whether a number can be a record's: what else a file is called, it is none of ours.
fn is_record(number: &u64) -> bool {
    (1..=u64::MAX / 2).contains(number)
}

/// What the head of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHead {
    pub life: Life,
    /// Bytes of the file.
    pub size: u64,
}

/// Why a head does not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadHead {
    Damaged,
    /// Another version's: version and layout.
    Other(u16, u32),
}

impl SegmentHead {
    /// Append it to what is to be written.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut head = Writer(std::mem::take(out));
        head.0.extend_from_slice(&MAGIC);
        head.0.extend_from_slice(&VERSION.to_le_bytes());
        head.u32(LAYOUT);
        head.u64(self.life.first.0);
        head.u64(self.life.number);
        head.u64(self.size);
        head.u32(crc32c::crc32c(&head.0[start..]));
        head.0.resize(start + SEGMENT_HEAD, 0);
        *out = head.0;
    }

    pub(super) fn read(bytes: &[u8]) -> std::result::Result<Self, BadHead> {
        let (fields, rest) = bytes.split_at_checked(HEAD_FIELDS - 4).ok_or(BadHead::Damaged)?;
        if !fields.starts_with(&MAGIC) || Reader(rest).u32() != Ok(crc32c::crc32c(fields)) {
            return Err(BadHead::Damaged);
        }
        let version = u16::from_le_bytes([fields[8], fields[9]]);
        let mut reader = Reader(&fields[10..]);
        let layout = reader.u32().map_err(|_| BadHead::Damaged)?;
        if (version, layout) != (VERSION, LAYOUT) {
            return Err(BadHead::Other(version, layout));
        }
        let mut next = || reader.u64().map_err(|_| BadHead::Damaged);
        Ok(Self { life: Life { first: Lsn(next()?), number: next()? }, size: next()? })
    }
}

/// The error for a segment that another version wrote.
pub(super) fn other_layout(path: PathBuf, version: u16, layout: u32) -> Error {
    let wanted = format!("{VERSION}.{LAYOUT} (journal)");
    Error::Layout { path, found: format!("{version}.{layout}"), wanted }
}

/// A file whose every byte is on the disk, waiting to be a segment.
#[derive(Debug)]
pub(super) struct Spare {
    // Held open: once a record has a number, nothing that can fail for want of anything
    // may stand between it and the disk.
    pub file: Box<dyn DiskFile>,
    pub path: PathBuf,
    pub number: u64,
    pub size: u64,
}

impl Spare {
    /// Bytes for frames.
    pub(super) fn room(&self) -> u64 {
        self.size.saturating_sub((SEGMENT_HEAD + END.len()) as u64)
    }
}

/// Makes and finds spares, numbering them.
#[derive(Debug)]
pub(super) struct Spares {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    number: u64,
}

impl Spares {
    /// Take stock of a folder: the spares in it; what is half made is removed.
    pub(super) fn find(disk: Arc<dyn Disk>, folder: &Path) -> Result<(Self, Vec<Spare>)> {
        let mut numbers = Vec::new();
        for name in disk.list(folder).map_err(failed(folder))? {
            if name.ends_with(STAGED) {
                let path = folder.join(&name);
                disk.remove(&path).map_err(failed(&path))?;
            }
            numbers.extend(number(&name, SPARE));
        }
        numbers.sort_unstable();
        let number = numbers.last().copied().unwrap_or(0);
        let mut spares = Self { disk, folder: folder.to_path_buf(), number };
        // Under a new number: the last life of one may have ended before it got its name.
        let mut found = Vec::new();
        for number in numbers {
            found.push(spares.take_over(&spares.path(number))?);
        }
        spares.disk.sync_dir(folder).map_err(failed(folder))?;
        Ok((spares, found))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}{SPARE}"))
    }

    /// Write a new one; `None` where the disk is full, which leaves nothing behind.
    pub(super) fn make(&mut self, size: u64) -> Result<Option<Spare>> {
        self.number += 1;
        let (number, path) = (self.number, self.path(self.number));
        let mut staged = path.clone().into_os_string();
        staged.push(STAGED);
        let staged = PathBuf::from(staged);
        match self.write(&staged, &path, size) {
            Ok(file) => Ok(Some(Spare { file, path, number, size })),
            Err(error) => {
                // Best effort: the error at hand is the one to report.
                let _ = self.disk.remove(&staged);
                if is_full(&error) { Ok(None) } else { Err(failed(&staged)(error)) }
            }
        }
    }

    fn write(&self, staged: &Path, path: &Path, size: u64) -> io::Result<Box<dyn DiskFile>> {
        let file = self.disk.open(staged, Mode::Create)?;
        let zeros = vec![0; PACE.min(size as usize)];
        let mut at = 0;
        while at < size {
            let length = (size - at).min(zeros.len() as u64);
            file.write_at(at, &zeros[..length as usize])?;
            file.sync()?;
            at += length;
        }
        self.disk.rename(staged, path)?;
        self.disk.sync_dir(&self.folder)?;
        Ok(file)
    }

    /// Make a spare of a file that is not needed any more. It may be written once the
    /// folder is synced: before, a crash could give it its old name back.
    pub(super) fn take_over(&mut self, old: &Path) -> Result<Spare> {
        self.number += 1;
        let (number, path) = (self.number, self.path(self.number));
        let file = self.disk.open(old, Mode::Write).map_err(failed(old))?;
        let size = file.size().map_err(failed(old))?;
        self.disk.rename(old, &path).map_err(failed(old))?;
        Ok(Spare { file, path, number, size })
    }
}

/// Whether an error says that the disk has no room.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
