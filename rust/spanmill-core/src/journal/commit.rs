//! Writing groups: the one place where records become durable.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread::{self, Thread};
use std::time::Duration;

use super::frame::{END, FrameHead, Life};
use super::queue::{Filled, Group};
use super::segment::{SegmentHead, log_path};
use super::{Journal, Lsn, Named, POOL, POOLED_BYTES};
use crate::config::Durability;
use crate::disk::DiskFile;
use crate::error::Result;

/// Bytes of a group: a sync of more takes over-proportionally longer.
const GROUP_BYTES: usize = 1 << 20;

/// Time between syncs where durability is relaxed: what a power cut may take.
const RELAXED_NS: i64 = 100_000_000;

/// The segment being written.
struct Open {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    number: u64,
    life: Life,
    /// Where the next frame goes.
    at: u64,
}

/// What only the writing thread needs.
pub(super) struct Writer {
    open: Option<Open>,
    written: Lsn,
    durable: Lsn,
    synced_ns: i64,
    frames: Vec<Filled>,
    buffer: Vec<u8>,
    woken: Vec<Thread>,
}

impl Writer {
    pub(super) fn new(before: Lsn, steady_ns: i64) -> Self {
        Self {
            open: None,
            written: before,
            durable: before,
            synced_ns: steady_ns,
            frames: Vec::new(),
            buffer: Vec::new(),
            woken: Vec::new(),
        }
    }

    /// The frames of a group as bytes, with the end of the log behind them.
    fn encode(&mut self, group: Group, life: Life) {
        for (lsn, filled) in (group.first.0..).zip(&self.frames) {
            let Filled { kind, payload, contents } = filled;
            FrameHead::new(Lsn(lsn), self.durable, *kind, payload.len(), *contents, life)
                .put(&mut self.buffer);
            self.buffer.extend_from_slice(payload);
        }
        self.buffer.extend_from_slice(&END);
    }
}

impl Journal {
    /// Write what is ready, in order, sync it and wake who waits for it; whether there was
    /// anything to do.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::Journal`]: a failed write or sync is never tried again, since a sync that
    /// succeeds after one that failed proves nothing.
    pub(crate) fn commit(&self) -> Result<bool> {
        self.commit_then(false)
    }

    /// Write and sync everything that is filled.
    ///
    /// # Errors
    ///
    /// Those of [`Journal::commit`].
    pub(crate) fn flush(&self) -> Result<()> {
        while self.commit_then(true)? {}
        Ok(())
    }

    fn commit_then(&self, sync: bool) -> Result<bool> {
        let mut writer = self.writer.lock();
        let writer = &mut *writer;
        self.check()?;
        let group = self.queue.lock().take(GROUP_BYTES, &mut writer.frames);
        let done = match group {
            Some(group) => self.write(writer, group).map(|()| true),
            None if writer.durable < writer.written && (sync || self.is_due(writer)) => {
                self.sync(writer).map(|()| {
                    self.publish(writer);
                    true
                })
            }
            None => Ok(false),
        };
        done.map_err(|error| {
            let path = writer.open.as_ref().map_or(&self.folder, |open| &open.path);
            self.fail(path.clone(), &error)
        })
    }

    fn is_due(&self, writer: &Writer) -> bool {
        self.clock.steady_ns() - writer.synced_ns >= RELAXED_NS
    }

    fn write(&self, writer: &mut Writer, group: Group) -> io::Result<()> {
        writer.buffer.clear();
        let spare_path = match &writer.open {
            Some(open) if open.number == group.segment => None,
            _ => Some(self.begin(writer, group)?),
        };
        let Some(life) = writer.open.as_ref().map(|open| open.life) else {
            return Err(io::Error::other("no segment"));
        };
        writer.encode(group, life);
        if let Some(open) = &mut writer.open {
            open.file.write_at(open.at, &writer.buffer)?;
            open.at += (writer.buffer.len() - END.len()) as u64;
        }
        let records = writer.frames.len() as u64;
        writer.written = Lsn(group.first.0 + records - 1);
        self.counters.lock().wrote(records, writer.buffer.len() as u64);
        if spare_path.is_some() || self.syncs_each() || self.is_due(writer) {
            self.sync(writer)?;
        }
        if let Some(spare_path) = spare_path {
            self.name(writer, &spare_path)?;
        }
        self.give_back(writer);
        self.publish(writer);
        Ok(())
    }

    fn syncs_each(&self) -> bool {
        matches!(self.options.durability, Durability::Sync)
    }

    /// Go on in the next spare, which gets the segment's name once its head and first group
    /// are durable. Its present path.
    fn begin(&self, writer: &mut Writer, group: Group) -> io::Result<PathBuf> {
        // A segment with a name says that all records before it are durable.
        if writer.durable < writer.written {
            self.sync(writer)?;
        }
        let spare = self.queue.lock().begin();
        let Some(spare) = spare else {
            return Err(io::Error::other("a record has no segment"));
        };
        let life = Life { first: group.first, number: spare.number };
        SegmentHead { life, size: spare.size }.put(&mut writer.buffer);
        writer.open = Some(Open {
            file: spare.file,
            path: log_path(&self.folder, group.first),
            number: group.segment,
            life,
            at: 0,
        });
        let mut named = self.named.lock();
        if let Some(last) = named.last_mut() {
            let _ = last.end.get_or_insert(group.first);
        }
        named.push(Named { first: group.first, end: None, size: spare.size });
        Ok(spare.path)
    }

    fn name(&self, writer: &Writer, spare: &Path) -> io::Result<()> {
        if let Some(open) = &writer.open {
            self.disk.rename(spare, &open.path)?;
            self.disk.sync_dir(&self.folder)?;
        }
        Ok(())
    }

    fn sync(&self, writer: &mut Writer) -> io::Result<()> {
        let start_ns = self.clock.steady_ns();
        if let Some(open) = &writer.open
            && !self.options.weakened.skip_sync
        {
            open.file.sync()?;
        }
        writer.synced_ns = self.clock.steady_ns();
        self.counters.lock().synced(writer.synced_ns - start_ns);
        writer.durable = writer.written;
        Ok(())
    }

    /// Hand emptied buffers to who encodes the next records.
    fn give_back(&self, writer: &mut Writer) {
        if writer.buffer.capacity() > POOLED_BYTES {
            writer.buffer = Vec::new();
        }
        let mut pool = self.pool.lock();
        for Filled { mut payload, .. } in writer.frames.drain(..) {
            if pool.len() < POOL && payload.capacity() <= POOLED_BYTES {
                payload.clear();
                pool.push(payload);
            }
        }
    }

    fn publish(&self, writer: &mut Writer) {
        self.waiting.set_durable(writer.durable);
        let done = if self.syncs_each() { writer.durable } else { writer.written };
        self.waiting.set_done(done, &mut writer.woken);
    }

    /// Commit until [`Journal::stop`] or a failure. A thread's whole life.
    pub(crate) fn run(&self) {
        let _guard = Guard(self);
        loop {
            match self.commit() {
                Ok(true) => {}
                Ok(false) if self.park() => {}
                // What is filled is written before it ends; who waits sees the result.
                Ok(false) => return drop(self.flush()),
                // Known to all who ask; there is nothing left to do.
                Err(_) => return,
            }
        }
    }

    /// Wait for something to write; `false` when the journal stops.
    fn park(&self) -> bool {
        let timed = !self.syncs_each();
        let mut queue = self.queue.lock();
        while !queue.is_ready() {
            // What has a number is still filled, and somebody waits for it.
            let ends = self.stopping.load(Ordering::Acquire) && queue.is_empty();
            if ends || self.failed.get().is_some() {
                return false;
            }
            if timed {
                let wait = Duration::from_nanos(RELAXED_NS.unsigned_abs());
                let _ = self.ready.wait_for(&mut queue, wait);
                return true;
            }
            self.ready.wait(&mut queue);
        }
        true
    }

    /// Make room whenever it runs low, until [`Journal::stop`] or a failure. A thread's
    /// whole life: zeroing takes longer than a batch should wait.
    pub(crate) fn tend(&self) {
        loop {
            {
                let mut queue = self.queue.lock();
                loop {
                    if self.stopping.load(Ordering::Acquire) || self.failed.get().is_some() {
                        return;
                    }
                    // On a full disk it is the tick that tries again, at its own pace.
                    let room = queue.room();
                    if room < self.options.reserve_bytes && !self.full.load(Ordering::Relaxed) {
                        break;
                    }
                    self.low.wait(&mut queue);
                }
            }
            if self.prepare().is_err() {
                // The tick tries again as well, and reports it.
                self.full.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Give out no more numbers; end [`Journal::run`] and [`Journal::tend`] once what has one
    /// is durable.
    pub(crate) fn stop(&self) {
        let queue = self.queue.lock();
        self.stopping.store(true, Ordering::Release);
        drop(queue);
        let _ = (self.ready.notify_all(), self.low.notify_all());
    }
}

/// Fails the journal when the writing thread panics: nobody may wait for it then.
struct Guard<'a>(&'a Journal);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = io::Error::other("the thread that writes it panicked");
            let _ = self.0.fail(self.0.folder.clone(), &error);
        }
    }
}
