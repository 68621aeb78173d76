//! What of the journal counts after a crash.
//!
//! Records are read in order up to the first that does not read. If a later one proves
//! that this one was durable once, it is damage, and nothing starts on it. Else it is what
//! a crash left of records that nobody was told are safe: there the log ends.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::frame::{FRAME_HEAD, FrameHead, Life};
use super::segment::{BadHead, SEGMENT_HEAD, SegmentHead, failed, log_path, logs, other_layout};
use super::{Lsn, Weakened};
use crate::disk::{Disk, DiskFile, Mode};
use crate::error::{Error, Result};

/// Bytes read at a time.
const WINDOW: usize = 1 << 20;

/// Where a crash tore the log: nothing behind it was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Torn {
    pub path: PathBuf,
    /// Where the log ends, bytes from the start of the file.
    pub offset: u64,
    /// Up to the end of the last record behind it that reads, or of the torn one.
    pub bytes: u64,
}

/// Records that were durable and do not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Damage {
    pub path: PathBuf,
    pub offset: u64,
    pub first: Lsn,
    pub last: Lsn,
}

impl Damage {
    fn error(self) -> Error {
        let Self { path, offset, first, last } = self;
        Error::JournalDamaged { path, offset, first: first.0, last: last.0 }
    }
}

/// What [`replay`] read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// The record to go on with.
    pub next: Lsn,
    pub torn: Option<Torn>,
    /// Records handed over, and their payloads' bytes.
    pub records: u64,
    pub bytes: u64,
}

/// Takes a record: its number, kind and payload.
pub(crate) type Each<'a> = dyn FnMut(Lsn, u8, &[u8]) -> Result<()> + 'a;

/// Hand every record after `after` to `each`, in order, and say where to go on.
///
/// # Errors
///
/// [`Error::JournalDamaged`], [`Error::Layout`], [`Error::Folder`]; what `each` says.
pub(crate) fn replay(
    disk: &dyn Disk,
    folder: &Path,
    after: Lsn,
    weakened: Weakened,
    each: &mut Each<'_>,
) -> Result<Replayed> {
    let mut replayed = Replayed::default();
    replayed.next = walk(disk, folder, after, weakened, &mut |found| match found {
        Found::Record { lsn, kind, payload } => {
            replayed.records += 1;
            replayed.bytes += payload.len() as u64;
            each(lsn, kind, payload)
        }
        // What the checkpoint has is not needed.
        Found::Damage(damage) if damage.last <= after => Ok(()),
        Found::Damage(damage) => Err(damage.error()),
        Found::Torn(torn) => {
            replayed.torn = Some(torn);
            Ok(())
        }
        Found::Segment { .. } => Ok(()),
    })?;
    Ok(replayed)
}

/// What stands in the journal.
pub(super) enum Found<'a> {
    /// A segment begins; its size.
    Segment {
        path: &'a Path,
        first: Lsn,
        bytes: u64,
    },
    Record {
        lsn: Lsn,
        kind: u8,
        payload: &'a [u8],
    },
    Damage(Damage),
    Torn(Torn),
}

/// Show everything there is after `after`, in order; the record after the last.
pub(super) fn walk(
    disk: &dyn Disk,
    folder: &Path,
    after: Lsn,
    weakened: Weakened,
    see: &mut dyn FnMut(Found<'_>) -> Result<()>,
) -> Result<Lsn> {
    let firsts = logs(disk, folder)?;
    // The last that can hold the record wanted next, and all behind it.
    let start = firsts.partition_point(|&first| first <= after.next()).saturating_sub(1);
    let mut next = after.next();
    for (at, &first) in firsts.iter().enumerate().skip(start) {
        let mut segment = Segment::open(disk, log_path(folder, first), first, weakened)?;
        segment.following = firsts.get(at + 1).copied();
        see(Found::Segment { path: &segment.path, first, bytes: segment.length })?;
        if first > next {
            see(Found::Damage(segment.damage(0, next, first)))?;
        }
        next = next.max(segment.walk(after, see)?);
    }
    Ok(next)
}

/// Make what [`replay`] read durable, before anything is built on it.
///
/// A daemon that died may have written records that nobody synced: they read, and would be
/// gone after the next power cut, with acknowledged ones behind them. They are written
/// again as well, because a sync that failed leaves pages that no later one writes.
pub(super) fn settle(disk: &dyn Disk, folder: &Path) -> Result<()> {
    // A segment has its name once the one before it is durable.
    let Some(first) = logs(disk, folder)?.pop() else {
        return Ok(());
    };
    let path = log_path(folder, first);
    let mut segment = Segment::open(disk, path.clone(), first, Weakened::default())?;
    let (mut at, end) = segment.unproven()?;
    let file = disk.open(&path, Mode::Write).map_err(failed(&path))?;
    while at < end {
        let bytes = segment.bytes(at, WINDOW.min((end - at) as usize))?;
        file.write_at(at, bytes).map_err(failed(&path))?;
        at += bytes.len() as u64;
    }
    file.sync().map_err(failed(&path))
}

/// A segment being read.
struct Segment {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// With the number that the head says.
    life: Life,
    /// First record of the segment behind it.
    following: Option<Lsn>,
    length: u64,
    weakened: Weakened,
    /// Bytes of the file from `from` on.
    window: Vec<u8>,
    from: u64,
}

impl Segment {
    fn open(disk: &dyn Disk, path: PathBuf, first: Lsn, weakened: Weakened) -> Result<Self> {
        let file = disk.open(&path, Mode::Read).map_err(failed(&path))?;
        let length = file.size().map_err(failed(&path))?;
        let window = Vec::new();
        let life = Life { first, number: 0 };
        Ok(Self { file, path, life, following: None, length, weakened, window, from: 0 })
    }

    fn damage(&self, offset: u64, first: Lsn, next: Lsn) -> Damage {
        Damage { path: self.path.clone(), offset, first, last: Lsn(next.0 - 1) }
    }

    /// Show what is in it; the record after its last.
    fn walk(&mut self, after: Lsn, see: &mut dyn FnMut(Found<'_>) -> Result<()>) -> Result<Lsn> {
        if !self.check_head()? {
            let next = match self.following {
                Some(following) => following,
                None => self.last_frame()?.next(),
            };
            see(Found::Damage(self.damage(0, self.life.first, next)))?;
            return Ok(next);
        }
        let mut lsn = self.life.first;
        let mut at = SEGMENT_HEAD as u64;
        loop {
            if self.following == Some(lsn) {
                return Ok(lsn);
            }
            if let Some(head) = self.frame(at)?
                && head.lsn == lsn
            {
                if lsn > after {
                    let payload = self.bytes(at + FRAME_HEAD as u64, head.length as usize)?;
                    see(Found::Record { lsn, kind: head.kind, payload })?;
                }
                at += head.bytes();
                lsn = lsn.next();
                continue;
            }
            let tail = self.tail(at, lsn)?;
            if self.following.is_none() && !tail.proves {
                if let Some(torn) = tail.torn {
                    see(Found::Torn(torn))?;
                }
                return Ok(lsn);
            }
            let next = tail.resume.map_or_else(|| self.following, |(_, lsn)| Some(lsn));
            let next = next.unwrap_or(lsn.next());
            see(Found::Damage(self.damage(at, lsn, next)))?;
            let Some((resume, _)) = tail.resume else {
                return Ok(next);
            };
            (at, lsn) = (resume, next);
        }
    }

    /// Whether the head reads; a name says that all before it is durable, and so is the head.
    fn check_head(&mut self) -> Result<bool> {
        match SegmentHead::read(self.bytes(0, SEGMENT_HEAD)?) {
            Ok(head) => {
                let named = head.life.first == self.life.first;
                self.life = if named { head.life } else { self.life };
                Ok(named)
            }
            Err(BadHead::Damaged) => Ok(false),
            Err(BadHead::Other(version, layout)) => {
                Err(other_layout(self.path.clone(), version, layout))
            }
        }
    }

    /// Bytes of the file; fewer where it ends before.
    fn bytes(&mut self, at: u64, length: usize) -> Result<&[u8]> {
        let length = self.length.saturating_sub(at).min(length as u64) as usize;
        let end = self.from + self.window.len() as u64;
        if at < self.from || at + length as u64 > end {
            let wanted = (self.length - at.min(self.length)).min(length.max(WINDOW) as u64);
            self.window.resize(wanted as usize, 0);
            self.from = at;
            self.file.read_at(at, &mut self.window).map_err(failed(&self.path))?;
        }
        let start = (at - self.from) as usize;
        Ok(&self.window[start..start + length])
    }

    /// The frame at an offset, if there is a whole one.
    fn frame(&mut self, at: u64) -> Result<Option<FrameHead>> {
        let Some(head) = FrameHead::read(self.bytes(at, FRAME_HEAD)?) else {
            return Ok(None);
        };
        // Without a checksum, zeros are an empty record; with a number, they are none.
        if head.lsn < self.life.first || at + head.bytes() > self.length {
            return Ok(None);
        }
        let (life, believe) = (self.life, self.weakened.skip_crc);
        let payload = self.bytes(at + FRAME_HEAD as u64, head.length as usize)?;
        Ok((believe || head.vouches_for(payload, life)).then_some(head))
    }

    /// The next whole frame of a record after `lsn` and before the next segment's.
    fn later(&mut self, mut at: u64, lsn: Lsn) -> Result<Option<(u64, FrameHead)>> {
        // Each record takes up some bytes, so a number above this is none.
        let most = lsn.0 + self.length.saturating_sub(at) / FRAME_HEAD as u64;
        let below = self.following.map_or(most + 1, |following| following.0.min(most + 1));
        while at + FRAME_HEAD as u64 <= self.length {
            let length = WINDOW.min((self.length - at) as usize);
            let bytes = self.bytes(at, length)?;
            if bytes.iter().all(|&byte| byte == 0) {
                at += (length - FRAME_HEAD + 1) as u64;
                continue;
            }
            let candidates: Vec<u64> = bytes
                .windows(FRAME_HEAD)
                .zip(at..)
                .filter(|(bytes, _)| (lsn.next()..Lsn(below)).contains(&FrameHead::lsn_of(bytes)))
                .map(|(_, place)| place)
                .collect();
            for place in candidates {
                if let Some(head) = self.frame(place)? {
                    return Ok(Some((place, head)));
                }
            }
            at += (length - FRAME_HEAD + 1) as u64;
        }
        Ok(None)
    }

    /// What stands behind the last record that reads.
    fn tail(&mut self, offset: u64, lsn: Lsn) -> Result<Tail> {
        let head = self.bytes(offset, FRAME_HEAD)?;
        let mut end = match FrameHead::read(head) {
            Some(read) if head.iter().any(|&byte| byte != 0) => offset + read.bytes(),
            _ => offset,
        };
        let mut later = self.later(offset, lsn)?;
        let resume = later.map(|(at, head)| (at, head.lsn));
        let mut proves = false;
        while let Some((at, head)) = later
            && !proves
        {
            proves = head.durable() >= lsn;
            end = end.max(at + head.bytes());
            later = self.later(at + head.bytes(), lsn)?;
        }
        let bytes = end.min(self.length).saturating_sub(offset);
        let torn = (bytes > 0).then(|| Torn { path: self.path.clone(), offset, bytes });
        Ok(Tail { resume, proves, torn })
    }

    /// Where the records are that no later one proves durable; where they end.
    fn unproven(&mut self) -> Result<(u64, u64)> {
        let mut at = SEGMENT_HEAD as u64;
        if !self.check_head()? {
            return Ok((at, at));
        }
        let mut lsn = self.life.first;
        let mut places = VecDeque::new();
        while let Some(head) = self.frame(at)?
            && head.lsn == lsn
        {
            places.push_back((lsn, at));
            while places.front().is_some_and(|&(lsn, _)| lsn <= head.durable()) {
                let _ = places.pop_front();
            }
            at += head.bytes();
            lsn = lsn.next();
        }
        Ok((places.front().map_or(at, |&(_, place)| place), at))
    }

    /// The last record that the frames speak of. Without a head none can be checked.
    fn last_frame(&mut self) -> Result<Lsn> {
        self.weakened.skip_crc = true;
        let mut last = self.life.first;
        let mut at = SEGMENT_HEAD as u64;
        while let Some(head) = self.frame(at)?
            && head.lsn <= last.next()
        {
            last = head.lsn;
            at += head.bytes();
        }
        Ok(last)
    }
}

/// What stands behind the last record that reads.
struct Tail {
    /// Where the next record that reads is, and its number.
    resume: Option<(u64, Lsn)>,
    /// Whether something there was written after the missing record was synced.
    proves: bool,
    torn: Option<Torn>,
}
