//! Threads that wait for a record.
//!
//! Each is woken once, when its own record is done: a condition variable would wake all
//! of them after every sync, to find that most wait for the next one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};

use parking_lot::Mutex;

use super::Lsn;
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Waiting {
    /// The last record that counts as done.
    done: AtomicU64,
    durable: AtomicU64,
    threads: Mutex<Vec<(Lsn, Thread)>>,
}

impl Waiting {
    pub(super) fn new(before: Lsn) -> Self {
        Self {
            done: AtomicU64::new(before.0),
            durable: AtomicU64::new(before.0),
            threads: Mutex::default(),
        }
    }

    pub(super) fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    /// Wait for a record; `check` says why it will never be done.
    pub(super) fn wait(&self, lsn: Lsn, check: impl Fn() -> Result<()>) -> Result<()> {
        if self.is_done(lsn) {
            return Ok(());
        }
        {
            let mut threads = self.threads.lock();
            // Again, now that nobody can be woken: else a wake in between would be missed.
            if self.is_done(lsn) {
                return Ok(());
            }
            check()?;
            threads.push((lsn, thread::current()));
        }
        loop {
            thread::park();
            if self.is_done(lsn) {
                return Ok(());
            }
            check()?;
        }
    }

    fn is_done(&self, lsn: Lsn) -> bool {
        self.done.load(Ordering::Acquire) >= lsn.0
    }

    /// All up to `durable` is on the disk.
    pub(super) fn set_durable(&self, durable: Lsn) {
        self.durable.store(durable.0, Ordering::Release);
    }

    /// All up to `done` counts as done; wake who waits for it. `woken` is scratch space.
    pub(super) fn set_done(&self, done: Lsn, woken: &mut Vec<Thread>) {
        self.done.store(done.0, Ordering::Release);
        {
            let mut threads = self.threads.lock();
            woken.extend(threads.extract_if(.., |it| it.0 <= done).map(|it| it.1));
        }
        woken.drain(..).for_each(|thread| thread.unpark());
    }

    /// Wake all, to see that nothing more will be done.
    pub(super) fn wake_all(&self) {
        for (_, thread) in self.threads.lock().drain(..) {
            thread.unpark();
        }
    }
}
