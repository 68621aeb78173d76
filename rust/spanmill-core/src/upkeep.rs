//! What happens once a second, and what happens when enough has happened: sealing, letting
//! go of ids, checkpoints.

use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::archive::Archive;
use crate::checkpoint::{Checkpointer, Parts, Progress, Report, Sealed};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::journal::{Journal, Lsn};
use crate::retirement;
use crate::state::State;

/// The last checkpoint, for metrics.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct LastCheckpoint {
    /// Checkpoints made since the start.
    pub count: u64,
    pub failed: u64,
    /// Everything up to this record is in the last one.
    pub lsn: u64,
    /// Written by it.
    pub bytes: u64,
    pub seconds: f64,
    /// Why the newest attempt failed; `None` where it did not.
    pub error: Option<String>,
}

/// With less room than this in the journal nearly every batch is refused.
const SMALL_BATCH_BYTES: u64 = 256 << 10;

/// How long a batch may take from its number to its record, as a rule.
const ENCODING: Duration = Duration::from_millis(1);

/// Sync the journal through a record, whatever `durability` promises of it, and whether or not
/// it has a thread of its own.
fn make_durable(journal: &Journal, lsn: Lsn) -> Result<()> {
    loop {
        journal.flush()?;
        if journal.durable() >= lsn {
            return Ok(());
        }
        std::thread::sleep(ENCODING);
    }
}

/// A state with what keeps it in order.
pub(crate) struct Upkeep {
    pub state: State,
    config: Config,
    checkpointer: Option<Checkpointer>,
    last: Mutex<LastCheckpoint>,
}

impl Upkeep {
    pub(crate) fn new(state: State, config: &Config, checkpointer: Option<Checkpointer>) -> Self {
        Self { state, config: config.clone(), checkpointer, last: Mutex::default() }
    }

    /// Seal what is due, let go of what is silent, keep room in the journal.
    ///
    /// # Errors
    ///
    /// The journal's; that of a disk that takes no sealed bucket.
    pub(crate) fn tick(&self) -> Result<()> {
        self.state.journal().map_or(Ok(()), Journal::check)?;
        // First: the rest writes records of its own, and fails where there is no room for them.
        let prepared = self.state.journal().map_or(Ok(()), Journal::prepare);
        let upkeep = self.state.upkeep.lock();
        let sealed = self.state.seal();
        let retired = retirement::retire(&self.state);
        drop(upkeep);
        let filed = self.state.flush_archive();
        match prepared.and(sealed).and(retired).and(filed) {
            // Nothing was decided that could not be written down: there is room, or another tick.
            Err(Error::Full { .. } | Error::Preparing { .. }) => Ok(()),
            done => done,
        }
    }

    /// Whether a restart would have much to replay.
    pub(crate) fn is_due(&self) -> bool {
        let journal = self.state.journal().zip(self.checkpointer.as_ref());
        journal.is_some_and(|(journal, checkpointer)| checkpointer.due(&self.progress(journal)))
    }

    fn progress(&self, journal: &Journal) -> Progress {
        Progress {
            lsn: self.state.sequence.event_time().lsn,
            journal_bytes: journal.stats().bytes,
            steady_ns: self.state.clock.steady_ns(),
        }
    }

    /// Write down what a restart would have to replay.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`]: the earlier checkpoint stays, and the journal since.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        let Some((journal, checkpointer)) = self.state.journal().zip(self.checkpointer.as_ref())
        else {
            return Ok(());
        };
        let durable = |lsn: Lsn| make_durable(journal, lsn);
        let release_before = |lsn: Lsn| journal.release_before(lsn);
        self.state.flush_archive()?;
        let upkeep = self.state.upkeep.lock();
        // What was sealed in between: a checkpoint must not pass what is not on disk.
        let filed = self.state.flush_archive();
        let written = filed.and_then(|()| {
            let parts = Parts {
                config: &self.config,
                sealed: Sealed::of(&self.state),
                durable: &durable,
                release_before: &release_before,
            };
            checkpointer.write(&self.state, upkeep, &parts, self.progress(journal))
        });
        self.note(&written);
        written.map(drop)
    }

    /// Why requests are refused, to be sent again; `None` while they are not.
    pub(crate) fn unready(&self) -> Option<String> {
        let (ahead, of) = match self.state.sequence.clock_suspicion(self.state.clock.steady_ns()) {
            Some(votes) => votes,
            None => return self.no_room(),
        };
        Some(Error::ClockSuspect { ahead, of }.to_string())
    }

    /// A full disk: room in hand may be left, but not for a batch of any size.
    fn no_room(&self) -> Option<String> {
        let stats = self.state.journal()?.stats();
        if let Some(failed) = stats.failed {
            return Some(failed);
        }
        let wanted = SMALL_BATCH_BYTES;
        (stats.full && stats.free_bytes < wanted).then(|| {
            let path = self.config.data_dir.clone();
            Error::Full { path, wanted: wanted as usize }.to_string()
        })
    }

    fn note(&self, written: &Result<Report>) {
        let mut last = self.last.lock();
        match written {
            Ok(report) => {
                last.count += 1;
                (last.lsn, last.bytes) = (report.lsn.0, report.bytes);
                last.seconds = report.seconds;
                last.error = None;
            }
            Err(error) => {
                last.failed += 1;
                last.error = Some(error.to_string());
            }
        }
    }

    /// What is durable, and how, for metrics.
    pub(crate) fn add_stats(&self, stats: &mut Json) {
        stats["durability"] = json!(self.config.durability);
        stats["journal"] = json!(self.state.journal().map(Journal::stats));
        stats["sealed_files"] = json!(self.state.archive().map(Archive::figures));
        stats["checkpoint"] = json!(*self.last.lock());
    }
}
