//! spanmill's event path: OTLP bytes to digests, windows and error budgets.
//!
//! [`Engine`] is the façade. A request's bytes run through `ingest`; questions
//! through `query`; what is sealed leaves through `rollup`. Nothing here knows
//! Python, a socket or a clock of its own.

mod archive;
mod batch;
mod budget;
mod checkpoint;
pub mod clock;
mod codec;
mod columns;
mod companion;
pub mod config;
mod convention;
mod dedupe;
pub mod digest;
pub mod disk;
mod doctor;
pub mod error;
mod file;
mod filing;
mod fingerprint;
mod folder;
mod ingest;
mod journal;
mod ledger;
mod overflow;
mod pack;
mod query;
mod record;
mod recover;
mod retirement;
mod rollup;
mod secret;
mod sequence;
mod series;
pub mod signal;
mod skew;
mod sli;
mod state;
mod stats;
mod threads;
mod upkeep;
mod value;
mod view;
mod wide;
pub mod window;
pub mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use parking_lot::Mutex;
use serde_json::json;

use crate::clock::Clock;
use crate::config::Config;
pub use crate::doctor::{examine_folder, repair_folder};
use crate::error::{Error, Result};
use crate::folder::Folder;
pub use crate::ingest::{Receipt, Sender};
use crate::journal::Journal;
pub use crate::journal::{Lsn, Weakened};
use crate::recover::Restart;
pub use crate::recover::{Outside, Recovered};
use crate::threads::Threads;
use crate::upkeep::Upkeep;
use crate::window::SealSink;

#[doc(hidden)]
pub use crate::record::RecordTrial;

/// The measures and dimensions that exist, with units, as JSON.
#[must_use]
pub fn signals() -> Vec<u8> {
    query::signals().to_string().into_bytes()
}

/// Everything behind the receiver. Safe to share between threads.
pub struct Engine {
    threads: Mutex<Option<Threads>>,
    core: Arc<Upkeep>,
    recovered: Recovered,
    closed: AtomicBool,
    folder: Mutex<Option<Folder>>,
}

impl Engine {
    /// Build from a configuration, take the data folder and recover what is in it.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] or [`Error::Unknown`] where a section names what the
    /// core does not have; [`Error::FolderInUse`]; [`Error::Folder`];
    /// [`Error::Damaged`], [`Error::JournalDamaged`] or [`Error::Layout`] where what is in
    /// the folder does not read.
    pub fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_outside(config, &Outside::real(clock))
    }

    /// Like [`Engine::open`], and hand every sealed bucket to `sink`.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::open`].
    pub fn open_with_sink(
        config: &Config,
        clock: Arc<dyn Clock>,
        sink: Option<Box<dyn SealSink>>,
    ) -> Result<Self> {
        let engine = Self::open(config, clock)?;
        sink.into_iter().for_each(|sink| engine.core.state.hand_to(sink));
        Ok(engine)
    }

    /// Like [`Engine::open`], on a disk of the caller's.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::open`].
    pub fn open_outside(config: &Config, outside: &Outside) -> Result<Self> {
        let folder = Folder::take(&*outside.disk, &config.data_dir)?;
        let Restart { state, checkpointer, recovered } = recover::recover(config, outside)?;
        let core = Arc::new(Upkeep::new(state, config, checkpointer));
        let threads = (!outside.by_hand).then(|| Threads::start(&core)).transpose()?;
        Ok(Self {
            threads: Mutex::new(threads),
            core,
            recovered,
            closed: AtomicBool::new(false),
            folder: Mutex::new(Some(folder)),
        })
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// What the start found in the data folder, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn recovered(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        Ok(json!(self.recovered).to_string().into_bytes())
    }

    /// Fold one `ExportTraceServiceRequest`, wait until it is durable, and return the encoded
    /// response.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::begin_traces`] and [`Engine::wait`].
    pub fn ingest_traces(&self, request: &[u8], sender: Sender<'_>) -> Result<Vec<u8>> {
        let receipt = self.begin_traces(request, sender)?;
        self.wait(receipt.lsn)?;
        Ok(receipt.response)
    }

    /// Fold one `ExportTraceServiceRequest`. It may be acknowledged once its record is durable.
    ///
    /// # Errors
    ///
    /// [`Error::Wire`], [`Error::TooLarge`], [`Error::BatchConflict`], [`Error::ClockSuspect`] or
    /// [`Error::Full`]: nothing was folded, and the request was counted as refused.
    /// [`Error::Journal`]; [`Error::Closed`].
    pub fn begin_traces(&self, request: &[u8], sender: Sender<'_>) -> Result<Receipt> {
        self.check_open()?;
        self.counted(request.len(), ingest::ingest(&self.core.state, request, sender))
    }

    /// Fold one `SpanBatch`, wait until it is durable, and return the encoded `SpanBatchAck`.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::begin_columns`] and [`Engine::wait`].
    pub fn ingest_columns(&self, request: &[u8]) -> Result<Vec<u8>> {
        let receipt = self.begin_columns(request)?;
        self.wait(receipt.lsn)?;
        Ok(receipt.response)
    }

    /// Fold one `SpanBatch`. It may be acknowledged once its record is durable.
    ///
    /// # Errors
    ///
    /// [`Error::SpanBatch`], [`Error::Dictionary`], [`Error::Forgotten`], [`Error::TooLarge`],
    /// [`Error::ClockSuspect`] or [`Error::Full`]: nothing was folded, and the request was counted
    /// as refused. [`Error::Journal`]; [`Error::Closed`].
    pub fn begin_columns(&self, request: &[u8]) -> Result<Receipt> {
        self.check_open()?;
        self.counted(request.len(), ingest::ingest_columns(&self.core.state, request))
    }

    /// Count a request by what became of it.
    fn counted(&self, bytes: usize, outcome: Result<Receipt>) -> Result<Receipt> {
        match &outcome {
            Ok(_) => self.core.state.stats.accept(bytes),
            Err(error) => self.core.state.stats.refuse(error.reason()),
        }
        outcome
    }

    /// Wait until a record is durable, as far as `durability` promises.
    ///
    /// # Errors
    ///
    /// [`Error::Journal`]: it may or may not be, a restart will tell.
    pub fn wait(&self, lsn: Lsn) -> Result<()> {
        self.core.state.journal().map_or(Ok(()), |journal| journal.wait(lsn))
    }

    /// The last record that is durable with all before it.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        let last = || self.core.state.sequence.event_time().lsn;
        self.core.state.journal().map_or_else(last, Journal::durable)
    }

    /// Write and sync what waits to be, for callers that are the journal's thread themselves.
    /// Whether there was anything.
    ///
    /// # Errors
    ///
    /// [`Error::Journal`].
    pub fn commit(&self) -> Result<bool> {
        self.core.state.journal().map_or(Ok(false), Journal::commit)
    }

    /// Count a request that was refused before its bytes reached the core.
    pub fn count_refused_request(&self, reason: &str) {
        self.core.state.stats.refuse(reason);
    }

    /// Why no traffic should come now; `None` while it should.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn unready(&self) -> Result<Option<String>> {
        self.check_open()?;
        Ok(self.core.unready())
    }

    /// Move the idle watermark, seal what it passed, keep to the memory budget, retire what is
    /// silent. Meant for once a second.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; whatever the sink of sealed buckets says.
    pub fn tick(&self) -> Result<()> {
        self.check_open()?;
        self.core.tick()
    }

    /// Write down what a restart would have to replay, whether it is due or not.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`]: the earlier checkpoint stays, and the journal since; [`Error::Journal`];
    /// [`Error::Closed`].
    pub fn checkpoint(&self) -> Result<()> {
        self.check_open()?;
        self.core.checkpoint()
    }

    /// Answer `GET /api/v1/query`, JSON in and out.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] lists what exists; [`Error::Request`] says the range.
    pub fn query(&self, request_json: &str) -> Result<Vec<u8>> {
        self.check_open()?;
        query::query(&self.core.state, request_json)
    }

    /// Answer `GET /api/v1/query_range`, JSON in and out.
    ///
    /// # Errors
    ///
    /// As [`Engine::query`]; too many points say which step would fit.
    pub fn query_range(&self, request_json: &str) -> Result<Vec<u8>> {
        self.check_open()?;
        query::query_range(&self.core.state, request_json)
    }

    /// Answer `GET /api/v1/heatmap`, JSON in and out.
    ///
    /// # Errors
    ///
    /// As [`Engine::query`]; too many cells say the limit.
    pub fn heatmap(&self, request_json: &str) -> Result<Vec<u8>> {
        self.check_open()?;
        query::heatmap(&self.core.state, request_json)
    }

    /// Answer `GET /api/v1/compare`, JSON in and out.
    ///
    /// # Errors
    ///
    /// As [`Engine::query`].
    pub fn compare(&self, request_json: &str) -> Result<Vec<u8>> {
        self.check_open()?;
        query::compare(&self.core.state, request_json)
    }

    /// Answer `GET /api/v1/distinct`, JSON in and out.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] lists what exists; [`Error::Request`] says what no view keeps.
    pub fn distinct(&self, request_json: &str) -> Result<Vec<u8>> {
        self.check_open()?;
        query::distinct(&self.core.state, request_json)
    }

    /// Answer `GET /api/v1/top`, JSON in and out.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] lists what exists; [`Error::Request`] says what no view keeps.
    pub fn top(&self, request_json: &str) -> Result<Vec<u8>> {
        self.check_open()?;
        query::top(&self.core.state, request_json)
    }

    /// Views with their series, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn series(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        Ok(query::series(&self.core.state).to_string().into_bytes())
    }

    /// Measures with units and counts, and dimensions, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn measures(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        Ok(query::measures(&self.core.state).to_string().into_bytes())
    }

    /// Every event accounted for, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn ledger(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        Ok(self.core.state.ledger.to_json(&self.core.state.values).to_string().into_bytes())
    }

    /// State of every objective and group, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn slos(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        Ok(query::slos(&self.core.state).to_string().into_bytes())
    }

    /// Numbers behind `/metrics`, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn stats(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        let mut stats = query::stats(&self.core.state);
        self.core.add_stats(&mut stats);
        Ok(stats.to_string().into_bytes())
    }

    /// Sealed minutes that start in [`start_s`, `end_s`), Unix seconds, as one record batch.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn rollup(&self, start_s: i64, end_s: i64) -> Result<RecordBatch> {
        self.check_open()?;
        Ok(rollup::rollup(&self.core.state, start_s, end_s))
    }

    /// [first, last) of the sealed minutes still held, Unix seconds.
    #[must_use]
    pub fn sealed_range(&self) -> Option<(i64, i64)> {
        rollup::sealed_range(&self.core.state)
    }

    /// Windows, counters, ledger and event time as bytes: alike where they are, whatever ids
    /// they go by. For tests of what a restart must not change.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn fingerprint(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        let _upkeep = self.core.state.upkeep.lock();
        Ok(fingerprint::fingerprint(&self.core.state))
    }

    /// Refuse further calls with [`Error::Closed`], write down what there is, and release the data
    /// folder.
    pub fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        // Where the disk fails, or the caller commits by hand, the next start replays instead.
        if self.threads.lock().is_some() {
            let _ = self.core.checkpoint();
        }
        drop(self.threads.lock().take());
        drop(self.folder.lock().take());
    }
}
