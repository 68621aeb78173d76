//! The core's own threads. None of them ever touches Python.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crate::error::{Error, Result};
use crate::journal::Journal;

/// The journal's two: one that writes and syncs, one that keeps room in hand.
pub(crate) struct Threads {
    journal: Arc<Journal>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Start them.
    pub(crate) fn start(journal: Arc<Journal>) -> Result<Self> {
        let works: [(&str, fn(&Journal)); 2] =
            [("journal-commit", Journal::run), ("journal-room", Journal::tend)];
        let mut threads = Self { journal, handles: Vec::new() };
        for (name, work) in works {
            let journal = Arc::clone(&threads.journal);
            let started = Builder::new().name(name.to_owned()).spawn(move || work(&journal));
            threads.handles.push(started.map_err(Error::Thread)?);
        }
        Ok(threads)
    }
}

impl Drop for Threads {
    /// What is filled becomes durable first.
    fn drop(&mut self) {
        self.journal.stop();
        for handle in self.handles.drain(..) {
            // One that panicked has failed the journal, which everybody was told.
            let _ = handle.join();
        }
    }
}
