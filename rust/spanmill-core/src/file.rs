//! Files of blocks with checksums, written whole or not at all.
//!
//! `magic 8 | version u16 | kind u16 | layout u32 | crc32c u32`, then blocks of
//! `length u32 | crc32c u32 | bytes`, then an empty block: a file that was cut short
//! lacks it. A file is written under another name, synced, renamed, and its folder
//! synced: under its own name there is all of it or nothing.

use std::io;
use std::path::{Path, PathBuf};

use crate::codec::{Damaged, Reader, Writer};
use crate::disk::{Disk, DiskFile, Mode};
use crate::error::{Error, Result};

const MAGIC: [u8; 8] = *b"spanmill";
/// Of the frame around blocks. What is in the blocks has its `layout`.
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 20;
const BLOCK_HEAD_BYTES: usize = 8;

/// Bytes written between two syncs: one long sync would hold up the journal's short ones.
const PACE: u64 = 1 << 20;

/// Blocks are written at this size or above.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

/// Longest block that is read: longer ones are damage.
const BLOCK_MAX: usize = 1 << 30;

/// End of the name of a file that is not whole yet.
pub(crate) const STAGED: &str = ".part";

/// What a file is for, and how what is in it is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Different for each kind of file.
    pub number: u16,
    /// As messages call it.
    pub name: &'static str,
    /// Of the layout that this build writes; raised whenever that changes.
    pub layout: u32,
}

/// A file being written.
pub(crate) struct BlockWriter<'a> {
    disk: &'a dyn Disk,
    file: Box<dyn DiskFile>,
    path: PathBuf,
    at: u64,
    synced: u64,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    |source| Error::Folder { path: path.to_path_buf(), source }
}

fn staged(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(STAGED);
    name.into()
}

impl<'a> BlockWriter<'a> {
    /// Begin a file; whatever has its name stays until [`BlockWriter::finish`].
    ///
    /// # Errors
    ///
    /// [`Error::Folder`], here as in the other functions.
    pub(crate) fn create(disk: &'a dyn Disk, path: &Path, kind: Kind) -> Result<Self> {
        let file = disk.open(&staged(path), Mode::Create).map_err(failed(path))?;
        let mut head = Writer::default();
        head.0.extend_from_slice(&MAGIC);
        head.0.extend_from_slice(&VERSION.to_le_bytes());
        head.0.extend_from_slice(&kind.number.to_le_bytes());
        head.u32(kind.layout);
        head.u32(crc32c::crc32c(&head.0));
        let mut writer = Self { disk, file, path: path.to_path_buf(), at: 0, synced: 0 };
        writer.write(&head.0)?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_at(self.at, bytes).map_err(failed(&self.path))?;
        self.at += bytes.len() as u64;
        if self.at - self.synced >= PACE {
            self.file.sync().map_err(failed(&self.path))?;
            self.synced = self.at;
        }
        Ok(())
    }

    /// Append a block; not empty.
    pub(crate) fn block(&mut self, bytes: &[u8]) -> Result<()> {
        assert!(!bytes.is_empty() && bytes.len() <= BLOCK_MAX, "a block of {} B", bytes.len());
        self.framed(bytes)
    }

    fn framed(&mut self, bytes: &[u8]) -> Result<()> {
        let mut head = Writer::default();
        head.u32(bytes.len() as u32);
        head.u32(crc32c::crc32c(bytes));
        self.write(&head.0)?;
        self.write(bytes)
    }

    /// Append what `pending` holds once it is a block's worth, and empty it.
    pub(crate) fn spill(&mut self, pending: &mut Writer) -> Result<()> {
        if pending.0.len() >= BLOCK_BYTES {
            self.block(&pending.0)?;
            pending.0.clear();
        }
        Ok(())
    }

    /// Offset at which the next block begins.
    pub(crate) fn offset(&self) -> u64 {
        self.at
    }

    /// Make the file durable under its name; its size in bytes.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.framed(&[])?;
        self.file.sync().map_err(failed(&self.path))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        self.disk.rename(&staged(&self.path), &self.path).map_err(failed(&self.path))?;
        self.disk.sync_dir(folder).map_err(failed(folder))?;
        Ok(self.at)
    }
}

/// A file being read.
pub(crate) struct BlockReader {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    length: u64,
    at: u64,
    ended: bool,
}

impl BlockReader {
    /// Open a file of this kind.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`]; [`Error::Layout`] where another version wrote it; [`Error::Folder`].
    pub(crate) fn open(disk: &dyn Disk, path: &Path, kind: Kind) -> Result<Self> {
        let (reader, head) = Self::begin(disk, path)?;
        reader.check_kind(&head, kind)?;
        Ok(reader)
    }

    fn of_any_kind(disk: &dyn Disk, path: &Path) -> Result<Self> {
        Ok(Self::begin(disk, path)?.0)
    }

    fn begin(disk: &dyn Disk, path: &Path) -> Result<(Self, [u8; HEAD_BYTES])> {
        let file = disk.open(path, Mode::Read).map_err(failed(path))?;
        let length = file.size().map_err(failed(path))?;
        let mut reader = Self { file, path: path.to_path_buf(), length, at: 0, ended: false };
        let mut head = [0; HEAD_BYTES];
        reader.read(&mut head)?;
        if !head.starts_with(&MAGIC) {
            return Err(reader.damaged("is no file of spanmill's"));
        }
        let (fields, checksum) = head.split_at(HEAD_BYTES - 4);
        if Reader(checksum).u32() != Ok(crc32c::crc32c(fields)) {
            return Err(reader.damaged("has a head with a wrong checksum"));
        }
        Ok((reader, head))
    }

    fn check_kind(&self, head: &[u8; HEAD_BYTES], kind: Kind) -> Result<()> {
        let mut fields = Reader(&head[MAGIC.len()..]);
        let versions = fields.u32().unwrap_or(0);
        let layout = fields.u32().unwrap_or(0);
        let wanted = u32::from(VERSION) | u32::from(kind.number) << 16;
        if (versions, layout) != (wanted, kind.layout) {
            return Err(Error::Layout {
                path: self.path.clone(),
                found: format!("{}.{}.{layout}", versions as u16, versions >> 16),
                wanted: format!("{VERSION}.{}.{} ({})", kind.number, kind.layout, kind.name),
            });
        }
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> Result<()> {
        if self.at + into.len() as u64 > self.length {
            return Err(self.damaged("ends too early"));
        }
        self.file.read_at(self.at, into).map_err(failed(&self.path))?;
        self.at += into.len() as u64;
        Ok(())
    }

    /// The next block into `into`; whether there was one.
    pub(crate) fn next(&mut self, into: &mut Vec<u8>) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let mut head = [0; BLOCK_HEAD_BYTES];
        self.read(&mut head)?;
        let mut fields = Reader(&head);
        let (length, checksum) = (fields.u32().unwrap_or(0), fields.u32().unwrap_or(0));
        if length as usize > BLOCK_MAX || u64::from(length) > self.length - self.at {
            return Err(self.damaged("has a block that is longer than the file"));
        }
        into.clear();
        into.resize(length as usize, 0);
        self.read(into)?;
        if crc32c::crc32c(into) != checksum {
            return Err(self.damaged("has a block with a wrong checksum"));
        }
        self.ended = length == 0;
        Ok(!self.ended)
    }

    /// Go to a block whose [`BlockWriter::offset`] was noted.
    pub(crate) fn seek(&mut self, offset: u64) {
        self.at = offset;
        self.ended = false;
    }

    /// Bytes in the file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The error for content that does not read.
    pub(crate) fn damaged(&self, what: &'static str) -> Error {
        Error::Damaged { path: self.path.clone(), offset: self.at, what }
    }

    /// The error for a block that does not read.
    pub(crate) fn explain(&self, damage: Damaged) -> Error {
        self.damaged(damage.0)
    }
}

/// Read a whole file of any kind for its checksums; how many bytes it has.
///
/// # Errors
///
/// [`Error::Damaged`]; [`Error::Folder`].
pub(crate) fn check(disk: &dyn Disk, path: &Path) -> Result<u64> {
    let mut reader = BlockReader::of_any_kind(disk, path)?;
    let mut block = Vec::new();
    while reader.next(&mut block)? {}
    Ok(reader.length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    const KIND: Kind = Kind { number: 9, name: "test", layout: 3 };

    fn folder(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("spanmill-file-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("writable");
        path
    }

    fn write(path: &Path) {
        let mut writer = BlockWriter::create(&RealDisk, path, KIND).expect("writable");
        writer.block(b"one").expect("written");
        writer.block(b"two").expect("written");
        let _ = writer.finish().expect("written");
    }

    fn read(path: &Path, kind: Kind) -> Result<Vec<Vec<u8>>> {
        let mut reader = BlockReader::open(&RealDisk, path, kind)?;
        let (mut blocks, mut block) = (Vec::new(), Vec::new());
        while reader.next(&mut block)? {
            blocks.push(block.clone());
        }
        Ok(blocks)
    }

    /// Blocks come back as they were written, in their order.
    #[test]
    fn blocks_come_back() {
        let folder = folder("back");
        write(&folder.join("a"));
        let blocks = read(&folder.join("a"), KIND).expect("whole");
        assert_eq!(vec![b"one".to_vec(), b"two".to_vec()], blocks);
        std::fs::remove_dir_all(folder).expect("ours");
    }

    /// A file that lost its end, or a single bit anywhere, is refused, and so is another layout's.
    #[test]
    fn damage_is_seen() {
        let folder = folder("damage");
        let path = folder.join("a");
        write(&path);
        let whole = std::fs::read(&path).expect("readable");
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).expect("writable");
            assert!(read(&path, KIND).is_err(), "{length} B");
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &flipped).expect("writable");
            assert!(read(&path, KIND).is_err(), "bit {bit}");
        }
        std::fs::write(&path, &whole).expect("writable");
        let other = Kind { layout: 4, ..KIND };
        assert!(matches!(read(&path, other), Err(Error::Layout { .. })));
        std::fs::remove_dir_all(folder).expect("ours");
    }
}
