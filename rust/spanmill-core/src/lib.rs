//! spanmill's event path: OTLP bytes to digests, windows and error budgets.
//!
//! [`Engine`] is the façade. A request's bytes run through `ingest`; questions
//! through `query`; what is sealed leaves through `rollup`. Nothing here knows
//! Python, a socket or a clock of its own.

mod archive;
mod batch;
mod budget;
pub mod clock;
mod codec;
mod companion;
pub mod config;
mod convention;
pub mod digest;
pub mod disk;
pub mod error;
mod file;
mod filing;
mod folder;
mod ingest;
mod journal;
mod ledger;
mod overflow;
mod pack;
mod query;
mod retirement;
mod rollup;
mod sequence;
mod series;
pub mod signal;
mod skew;
mod sli;
mod state;
mod stats;
mod value;
mod view;
mod wide;
pub mod window;
pub mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::state::State;
use crate::window::SealSink;

/// The measures and dimensions that exist, with units, as JSON.
#[must_use]
pub fn signals() -> Vec<u8> {
    query::signals().to_string().into_bytes()
}

/// Everything behind the receiver. Safe to share between threads.
pub struct Engine {
    state: State,
    closed: AtomicBool,
    folder: Mutex<Option<Folder>>,
}

impl Engine {
    /// Build from a configuration and take the data folder.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] or [`Error::Unknown`] where a section names what the
    /// core does not have; [`Error::FolderInUse`]; [`Error::Folder`].
    pub fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_with_sink(config, clock, None)
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
        Ok(Self {
            folder: Mutex::new(Some(Folder::take(&config.data_dir)?)),
            state: State::new(config, clock, sink)?,
            closed: AtomicBool::new(false),
        })
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Fold one `ExportTraceServiceRequest` and return the encoded response.
    ///
    /// # Errors
    ///
    /// [`Error::Wire`] or [`Error::TooLarge`]: nothing was folded, and the
    /// request was counted as refused. [`Error::Closed`].
    pub fn ingest_traces(&self, request: &[u8]) -> Result<Vec<u8>> {
        self.check_open()?;
        let outcome = ingest::ingest(&self.state, request);
        match &outcome {
            Ok(_) => self.state.stats.accept(request.len()),
            Err(Error::TooLarge { .. }) => self.state.stats.refuse("too_large"),
            Err(Error::ClockSuspect { .. }) => self.state.stats.refuse("clock_suspect"),
            Err(_) => self.state.stats.refuse("malformed"),
        }
        outcome
    }

    /// Count a request that was refused before its bytes reached the core.
    pub fn count_refused_request(&self, reason: &str) {
        self.state.stats.refuse(reason);
    }

    /// Why no traffic should come now; `None` while it should.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn unready(&self) -> Result<Option<String>> {
        self.check_open()?;
        let suspicion = self.state.sequence.clock_suspicion(self.state.clock.steady_ns());
        Ok(suspicion.map(|(ahead, of)| Error::ClockSuspect { ahead, of }.to_string()))
    }

    /// Move the idle watermark, seal what it passed, keep to the memory budget, retire what is
    /// silent. Meant for once a second.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; whatever the sink of sealed buckets says.
    pub fn tick(&self) -> Result<()> {
        self.check_open()?;
        let sealed = self.state.seal();
        retirement::retire(&self.state);
        sealed
    }

    /// Answer `GET /api/v1/query`, JSON in and out.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] lists what exists; [`Error::Request`] says the range.
    pub fn query(&self, request_json: &str) -> Result<Vec<u8>> {
        self.check_open()?;
        query::query(&self.state, request_json)
    }

    /// Answer `GET /api/v1/query_range`, JSON in and out.
    ///
    /// # Errors
    ///
    /// As [`Engine::query`]; too many points say which step would fit.
    pub fn query_range(&self, request_json: &str) -> Result<Vec<u8>> {
        self.check_open()?;
        query::query_range(&self.state, request_json)
    }

    /// Answer `GET /api/v1/heatmap`, JSON in and out.
    ///
    /// # Errors
    ///
    /// As [`Engine::query`]; too many cells say the limit.
    pub fn heatmap(&self, request_json: &str) -> Result<Vec<u8>> {
        self.check_open()?;
        query::heatmap(&self.state, request_json)
    }

    /// Answer `GET /api/v1/compare`, JSON in and out.
    ///
    /// # Errors
    ///
    /// As [`Engine::query`].
    pub fn compare(&self, request_json: &str) -> Result<Vec<u8>> {
        self.check_open()?;
        query::compare(&self.state, request_json)
    }

    /// Answer `GET /api/v1/distinct`, JSON in and out.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] lists what exists; [`Error::Request`] says what no view keeps.
    pub fn distinct(&self, request_json: &str) -> Result<Vec<u8>> {
        self.check_open()?;
        query::distinct(&self.state, request_json)
    }

    /// Answer `GET /api/v1/top`, JSON in and out.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] lists what exists; [`Error::Request`] says what no view keeps.
    pub fn top(&self, request_json: &str) -> Result<Vec<u8>> {
        self.check_open()?;
        query::top(&self.state, request_json)
    }

    /// Views with their series, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn series(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        Ok(query::series(&self.state).to_string().into_bytes())
    }

    /// Measures with units and counts, and dimensions, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn measures(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        Ok(query::measures(&self.state).to_string().into_bytes())
    }

    /// Every event accounted for, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn ledger(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        Ok(self.state.ledger.to_json(&self.state.values).to_string().into_bytes())
    }

    /// State of every objective and group, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn slos(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        Ok(query::slos(&self.state).to_string().into_bytes())
    }

    /// Numbers behind `/metrics`, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn stats(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        Ok(query::stats(&self.state).to_string().into_bytes())
    }

    /// Sealed minutes that start in [`start_s`, `end_s`), Unix seconds, as one record batch.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn rollup(&self, start_s: i64, end_s: i64) -> Result<RecordBatch> {
        self.check_open()?;
        Ok(rollup::rollup(&self.state, start_s, end_s))
    }

    /// [first, last) of the sealed minutes still held, Unix seconds.
    #[must_use]
    pub fn sealed_range(&self) -> Option<(i64, i64)> {
        rollup::sealed_range(&self.state)
    }

    /// Refuse further calls with [`Error::Closed`] and release the data folder.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        drop(self.folder.lock().take());
    }
}
