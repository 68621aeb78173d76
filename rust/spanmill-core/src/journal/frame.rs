//! One record as bytes: `length u32 | checksum u32 | lsn u64 | unsynced u32 | kind u8 | payload`.
//!
//! `unsynced` is how many records before this one were not durable when it was
//! written. It tells a tail that a crash tore from damage: of records that stand behind
//! an unreadable one, only one written after a sync of that one proves that it was whole.

use super::Lsn;
use crate::codec::{Reader, Writer};

/// Bytes before a payload.
pub(super) const FRAME_HEAD: usize = 21;

/// Zeros that stand behind the last frame: where a clean log ends, even in a segment that
/// was used before.
pub(super) const END: [u8; FRAME_HEAD] = [0; FRAME_HEAD];

/// One use of one file. What an earlier use of the same file left behind never reads as a
/// record of this one: a record that a crash tore off may have had the very number, length
/// and place of one that is written after the restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Life {
    /// First record of the segment.
    pub first: Lsn,
    /// Of the spare that it was; a spare found by a restart is numbered again.
    pub number: u64,
}

/// What is said of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub length: u32,
    checksum: u32,
    pub lsn: Lsn,
    unsynced: u32,
    pub kind: u8,
}

impl FrameHead {
    /// `contents` is the CRC32C of the payload, which whoever fills a slot takes, in parallel.
    pub(super) fn new(
        lsn: Lsn,
        durable: Lsn,
        kind: u8,
        length: usize,
        contents: u32,
        life: Life,
    ) -> Self {
        let unsynced = u32::try_from(lsn.0 - 1 - durable.0).unwrap_or(u32::MAX);
        let mut head = Self { length: length as u32, checksum: 0, lsn, unsynced, kind };
        head.checksum = head.sum(contents, life);
        head
    }

    /// CRC32C over the payload, this head and the life.
    fn sum(&self, contents: u32, life: Life) -> u32 {
        let mut covered = [0; FRAME_HEAD - 4 + 16];
        covered[..4].copy_from_slice(&self.length.to_le_bytes());
        covered[4..12].copy_from_slice(&self.lsn.0.to_le_bytes());
        covered[12..16].copy_from_slice(&self.unsynced.to_le_bytes());
        covered[16] = self.kind;
        covered[17..25].copy_from_slice(&life.first.0.to_le_bytes());
        covered[25..].copy_from_slice(&life.number.to_le_bytes());
        crc32c::crc32c_append(contents, &covered)
    }

    /// Append it to what is to be written.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let mut writer = Writer(std::mem::take(out));
        writer.u32(self.length);
        writer.u32(self.checksum);
        writer.u64(self.lsn.0);
        writer.u32(self.unsynced);
        writer.u8(self.kind);
        *out = writer.0;
    }

    /// What the bytes say, whether it makes sense or not; `None` where they are too few.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        Some(Self {
            length: reader.u32().ok()?,
            checksum: reader.u32().ok()?,
            lsn: Lsn(reader.u64().ok()?),
            unsynced: reader.u32().ok()?,
            kind: reader.u8().ok()?,
        })
    }

    /// Only the number, from at least [`FRAME_HEAD`] bytes: looking for frames asks this of
    /// every byte.
    pub(super) fn lsn_of(bytes: &[u8]) -> Lsn {
        let mut lsn = [0; 8];
        lsn.copy_from_slice(&bytes[8..16]);
        Lsn(u64::from_le_bytes(lsn))
    }

    /// Whether it and the payload are as they were written.
    pub(super) fn vouches_for(&self, payload: &[u8], life: Life) -> bool {
        self.checksum == self.sum(crc32c::crc32c(payload), life)
    }

    /// The last record that was durable when this one was written, as far as it tells.
    pub(super) fn durable(&self) -> Lsn {
        Lsn(self.lsn.0.saturating_sub(1 + u64::from(self.unsynced)))
    }

    /// Bytes with the payload.
    pub(super) fn bytes(&self) -> u64 {
        FRAME_HEAD as u64 + u64::from(self.length)
    }
}
