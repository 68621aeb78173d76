//! The core's own threads. None of them ever touches Python.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::upkeep::Upkeep;

/// How often it is asked whether a checkpoint is due.
const LOOK: Duration = Duration::from_secs(1);

/// Tells the checkpointing thread to end.
#[derive(Default)]
struct Stop {
    told: Mutex<bool>,
    changed: Condvar,
}

/// One writes the journal and syncs it, one keeps room in hand for it, one makes checkpoints.
pub(crate) struct Threads {
    core: Arc<Upkeep>,
    stop: Arc<Stop>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Start them, where there is a journal.
    ///
    /// # Errors
    ///
    /// [`Error::Thread`].
    pub(crate) fn start(core: &Arc<Upkeep>) -> Result<Self> {
        let stop = Arc::new(Stop::default());
        let mut threads = Self { core: Arc::clone(core), stop, handles: Vec::new() };
        if core.state.journal().is_some() {
            threads.spawn("journal-commit", |core, _| with_journal(core, |it| it.run()))?;
            threads.spawn("journal-room", |core, _| with_journal(core, |it| it.tend()))?;
            threads.spawn("checkpoint", checkpoint)?;
        }
        Ok(threads)
    }

    fn spawn(&mut self, name: &str, work: fn(&Upkeep, &Stop)) -> Result<()> {
        let (core, stop) = (Arc::clone(&self.core), Arc::clone(&self.stop));
        let started = Builder::new().name(name.to_owned()).spawn(move || work(&core, &stop));
        self.handles.push(started.map_err(Error::Thread)?);
        Ok(())
    }
}

fn with_journal(core: &Upkeep, work: impl FnOnce(&Journal)) {
    if let Some(journal) = core.state.journal() {
        work(journal);
    }
}

/// Look once a second whether a checkpoint is due, and make it.
fn checkpoint(core: &Upkeep, stop: &Stop) {
    let mut told = stop.told.lock();
    while !*told {
        let _ = stop.changed.wait_for(&mut told, LOOK);
        if !*told && core.is_due() {
            drop(told);
            // What failed is on metrics, and due again in a second.
            let _ = core.checkpoint();
            told = stop.told.lock();
        }
    }
}

impl Drop for Threads {
    /// What is filled becomes durable first.
    fn drop(&mut self) {
        *self.stop.told.lock() = true;
        let _ = self.stop.changed.notify_all();
        let last = self.handles.split_off(self.handles.len().min(2));
        for handle in last {
            let _ = handle.join();
        }
        // A checkpoint under way waits for the journal: that ends after it.
        if let Some(journal) = self.core.state.journal() {
            journal.stop();
        }
        for handle in self.handles.drain(..) {
            // One that panicked has failed the journal, which everybody was told.
            let _ = handle.join();
        }
    }
}
