//! The journal: every decision in order, durable before anything is acknowledged.
//!
//! A record has a number from the moment it is decided, and room on the disk with it
//! ([`Journal::reserve`]); what it says may follow later, from any thread ([`Slot::fill`]).
//! One thread writes what is ready in one write and one sync while the next records
//! queue up ([`Journal::run`]), and wakes those who wait ([`Journal::wait`]).
//!
//! On disk it is a folder of segments of frames: `segment.rs`, `frame.rs`. `read.rs` says
//! what of it counts after a crash.

mod commit;
mod examine;
mod frame;
mod queue;
mod read;
mod segment;
mod stats;
#[cfg(test)]
pub(crate) mod tests;
mod waiting;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex};
use serde::Serialize;

use crate::clock::Clock;
use crate::config::Durability;
use crate::disk::Disk;
use crate::error::{Error, Result};

use self::commit::Writer;
use self::queue::{Filled, Queue};
use self::segment::Spares;
use self::stats::Counters;
use self::waiting::Waiting;

pub(crate) use self::examine::{Examined, Repaired, examine, repair};
pub(crate) use self::read::{Damage, replay};

/// Its folder, in the data folder.
pub(crate) const FOLDER: &str = "journal";

/// Of the frames and of what is in them, records and their packed columns included; raised
/// whenever an older version would read what is written as something else.
pub(crate) const LAYOUT: u32 = 1;

/// Most that records of our own may use where batches are refused for want of room.
const OWN_BYTES: u64 = 256 << 10;

/// Payload buffers kept for reuse, and the longest kept.
const POOL: usize = 32;
const POOLED_BYTES: usize = 4 << 20;

/// Number of a record: 1, 2, 3 … without holes; 0 is before all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The one after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Promises to break on purpose, so that the simulator can show that it sees each.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Weakened {
    /// Acknowledge what is written and not synced.
    pub skip_sync: bool,
    /// Believe every frame that could be one.
    pub skip_crc: bool,
    /// Leave what was seen before out of checkpoints.
    pub forget_dedupe: bool,
    /// Let go of what older checkpoints need before a new one is durable.
    pub unlink_first: bool,
}

/// How the journal is kept.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Whether [`Journal::wait`] waits for the sync or for the write.
    pub durability: Durability,
    /// Size of a segment; a record has to fit into one.
    pub segment_bytes: u64,
    /// Size of a folder's first, so that it starts at once.
    pub first_segment_bytes: u64,
    /// Zeroed room to keep in hand.
    pub reserve_bytes: u64,
    pub weakened: Weakened,
}

/// Why nothing is acknowledged any more.
#[derive(Debug)]
struct Failure {
    path: PathBuf,
    kind: io::ErrorKind,
    text: String,
}

impl Failure {
    fn error(&self) -> Error {
        let source = io::Error::new(self.kind, self.text.clone());
        Error::Journal { path: self.path.clone(), source }
    }
}

/// A segment in the folder.
#[derive(Debug, Clone, Copy)]
struct Named {
    first: Lsn,
    /// The record after its last; `None` while it is written.
    end: Option<Lsn>,
    size: u64,
}

/// The journal of one data folder.
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    folder: PathBuf,
    options: Options,
    queue: Mutex<Queue>,
    /// The front of the queue can be written, or the journal stops.
    ready: Condvar,
    /// Room runs low, or the journal stops.
    low: Condvar,
    writer: Mutex<Writer>,
    /// Held while spares are made and segments removed.
    spares: Mutex<Spares>,
    named: Mutex<Vec<Named>>,
    waiting: Waiting,
    pool: Mutex<Vec<Vec<u8>>>,
    counters: Mutex<Counters>,
    full: AtomicBool,
    stopping: AtomicBool,
    failed: OnceLock<Failure>,
}

/// A record that has a number and room, and must be filled.
#[must_use]
pub(crate) struct Slot<'a> {
    journal: &'a Journal,
    lsn: Lsn,
    filled: bool,
}

impl Slot<'_> {
    /// Its number.
    pub(crate) fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Say what the record says, at most as long as was reserved; what it does not need is
    /// given back.
    pub(crate) fn fill(mut self, kind: u8, payload: Vec<u8>) {
        // Outside the lock, and by as many threads as there are, not by the one that writes.
        let contents = crc32c::crc32c(&payload);
        let ready = self.journal.queue.lock().fill(self.lsn, Filled { kind, payload, contents });
        self.filled = true;
        if ready {
            let _ = self.journal.ready.notify_one();
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if !self.filled {
            // No later record can be written over the hole.
            let error = io::Error::other(format!("record {} was never filled", self.lsn));
            let _ = self.journal.fail(self.journal.folder.clone(), &error);
        }
    }
}

impl Journal {
    /// Go on with `next` after what [`replay`] read.
    ///
    /// A new segment is begun with the first record. On a full disk it opens all the same,
    /// and says [`Error::Full`] to each record until [`Journal::prepare`] finds room.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`].
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        folder: &Path,
        options: Options,
        next: Lsn,
    ) -> Result<Self> {
        disk.create_dir(folder).map_err(segment::failed(folder))?;
        read::settle(&*disk, folder)?;
        let (mut spares, found) = Spares::find(disk.clone(), folder)?;
        let mut queue = Queue::new(next, OWN_BYTES.min(options.first_segment_bytes / 8));
        let mut full = false;
        if found.is_empty() {
            match spares.make(options.first_segment_bytes)? {
                Some(spare) => queue.add(spare),
                None => full = true,
            }
        }
        found.into_iter().for_each(|spare| queue.add(spare));
        let named = named(&*disk, folder, next)?;
        let before = Lsn(next.0 - 1);
        Ok(Self {
            writer: Mutex::new(Writer::new(before, clock.steady_ns())),
            disk,
            clock,
            folder: folder.to_path_buf(),
            options,
            queue: Mutex::new(queue),
            ready: Condvar::new(),
            low: Condvar::new(),
            spares: Mutex::new(spares),
            named: Mutex::new(named),
            waiting: Waiting::new(before),
            pool: Mutex::default(),
            counters: Mutex::default(),
            full: AtomicBool::new(full),
            stopping: AtomicBool::new(false),
            failed: OnceLock::new(),
        })
    }

    /// Number a record of at most `bytes_max` and promise it room.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] leaves no trace. [`Error::Journal`] once it failed, [`Error::Closed`]
    /// once it stops.
    pub(crate) fn reserve(&self, bytes_max: usize) -> Result<Slot<'_>> {
        self.reserve_for(bytes_max, false)
    }

    /// Like [`Journal::reserve`], for a short record of our own: it may use room that is
    /// kept from batches, so that what was taken in is still sealed on a full disk.
    pub(crate) fn reserve_own(&self, bytes_max: usize) -> Result<Slot<'_>> {
        self.reserve_for(bytes_max, true)
    }

    fn reserve_for(&self, bytes_max: usize, own: bool) -> Result<Slot<'_>> {
        self.check()?;
        let (lsn, low) = {
            let mut queue = self.queue.lock();
            // Under the lock: the writing thread ends once it sees the queue empty.
            if self.stopping.load(Ordering::Acquire) {
                return Err(Error::Closed);
            }
            let lsn = queue.reserve(bytes_max, own);
            (lsn, lsn.is_none() || queue.room() < self.options.reserve_bytes)
        };
        if low {
            let _ = self.low.notify_one();
        }
        match lsn {
            Some(lsn) => Ok(Slot { journal: self, lsn, filled: false }),
            None if self.full.load(Ordering::Relaxed) => {
                Err(Error::Full { path: self.folder.clone(), wanted: bytes_max })
            }
            // Segments are used up faster than zeroes can be written.
            None => Err(Error::Preparing { wanted: bytes_max }),
        }
    }

    /// An empty buffer for a payload, with the room that an earlier one needed.
    pub(crate) fn recycle(&self) -> Vec<u8> {
        self.pool.lock().pop().unwrap_or_default()
    }

    /// Wait until a record is durable; where durability is relaxed, until it is written.
    ///
    /// # Errors
    ///
    /// [`Error::Journal`] where it never will be.
    pub(crate) fn wait(&self, lsn: Lsn) -> Result<()> {
        self.waiting.wait(lsn, || self.check())
    }

    /// The last record that is durable with all before it.
    pub(crate) fn durable(&self) -> Lsn {
        self.waiting.durable()
    }

    /// Whether anything can be written at all, now or later.
    ///
    /// # Errors
    ///
    /// [`Error::Journal`] once it failed.
    pub(crate) fn check(&self) -> Result<()> {
        self.failed.get().map_or(Ok(()), |failure| Err(failure.error()))
    }

    /// Fail for good: what of the files is durable is unknown from here on. The first
    /// reason stays the reason.
    fn fail(&self, path: PathBuf, source: &io::Error) -> Error {
        let failure = Failure { path, kind: source.kind(), text: source.to_string() };
        let error = self.failed.get_or_init(|| failure).error();
        self.waiting.wake_all();
        drop(self.queue.lock());
        let _ = (self.ready.notify_all(), self.low.notify_all());
        error
    }

    /// Keep room in hand: write zeros to new segments until there is as much as wanted.
    ///
    /// On a full disk it says so in [`Journal::stats`], and may simply be called again.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`]; what is in hand stays usable.
    pub(crate) fn prepare(&self) -> Result<()> {
        let mut spares = self.spares.lock();
        // Where there was no room for a segment, a small one is tried first: what little
        // there is is used, and the others who write to this disk lose less of it to us.
        let mut size = match self.full.load(Ordering::Relaxed) {
            true => self.options.first_segment_bytes,
            false => self.options.segment_bytes,
        };
        while self.queue.lock().room() < self.options.reserve_bytes {
            let Some(spare) = spares.make(size)? else {
                self.full.store(true, Ordering::Relaxed);
                return Ok(());
            };
            self.queue.lock().add(spare);
            size = self.options.segment_bytes;
        }
        self.full.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Let go of the segments all of whose records come before `lsn`: a checkpoint has them.
    ///
    /// As many as were begun since the last time become spares, and need no zeros again.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`]; what could not be removed is tried again after a restart.
    pub(crate) fn release_before(&self, lsn: Lsn) -> Result<()> {
        let mut spares = self.spares.lock();
        let (begun, mut room) = {
            let mut queue = self.queue.lock();
            (queue.drain_begun(), queue.room())
        };
        let wanted = self.options.reserve_bytes.max(begun * self.options.segment_bytes);
        let mut recycled = Vec::new();
        let gone = self.take_named(lsn);
        for segment in &gone {
            let path = segment::log_path(&self.folder, segment.first);
            if room < wanted && segment.size == self.options.segment_bytes {
                let spare = spares.take_over(&path)?;
                room += spare.room();
                recycled.push(spare);
            } else {
                self.disk.remove(&path).map_err(segment::failed(&path))?;
            }
        }
        let mut changed = !gone.is_empty();
        while room > wanted + self.options.segment_bytes
            && let Some(spare) = self.surplus()
        {
            room -= spare.room();
            self.disk.remove(&spare.path).map_err(segment::failed(&spare.path))?;
            changed = true;
        }
        if changed {
            self.disk.sync_dir(&self.folder).map_err(segment::failed(&self.folder))?;
        }
        let mut queue = self.queue.lock();
        recycled.into_iter().for_each(|spare| queue.add(spare));
        Ok(())
    }

    fn take_named(&self, lsn: Lsn) -> Vec<Named> {
        let mut named = self.named.lock();
        let gone = named.partition_point(|it| it.end.is_some_and(|end| end <= lsn));
        named.drain(..gone).collect()
    }

    fn surplus(&self) -> Option<segment::Spare> {
        let mut queue = self.queue.lock();
        if queue.spares() > 1 { queue.remove_spare() } else { None }
    }
}

/// The segments in the folder that [`replay`] read up to `next`.
fn named(disk: &dyn Disk, folder: &Path, next: Lsn) -> Result<Vec<Named>> {
    let mut firsts = segment::logs(disk, folder)?;
    // One that begins with `next` holds nothing that reads; the new one takes its name.
    firsts.retain(|&first| first < next);
    let ends = firsts.iter().copied().skip(1).chain([next]);
    let mut named = Vec::new();
    for (&first, end) in firsts.iter().zip(ends) {
        let path = segment::log_path(folder, first);
        let file = disk.open(&path, crate::disk::Mode::Read).map_err(segment::failed(&path))?;
        let size = file.size().map_err(segment::failed(&path))?;
        named.push(Named { first, end: Some(end), size });
    }
    Ok(named)
}
