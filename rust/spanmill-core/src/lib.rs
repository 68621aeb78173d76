//! spanmill's event path: OTLP bytes to digests, windows and error budgets.
//!
//! [`Engine`] is the façade. A request's bytes run through `ingest`; questions
//! through `query`; what is sealed leaves through `rollup`. Nothing here knows
//! Python, a socket or a clock of its own.

mod batch;
mod budget;
pub mod clock;
pub mod config;
mod convention;
pub mod digest;
pub mod error;
mod folder;
mod ingest;
mod ledger;
mod query;
mod rollup;
mod sequence;
mod series;
pub mod signal;
mod sli;
mod stats;
mod value;
mod view;
mod window;
pub mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use parking_lot::Mutex;
use serde_json::json;

use crate::batch::Batch;
use crate::clock::{Clock, SECOND_NS};
use crate::config::{Config, Limits};
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::ledger::Ledger;
use crate::sequence::Sequencer;
use crate::stats::Stats;
use crate::value::Values;
use crate::view::Plan;
use crate::window::BUCKET_S;

/// The measures and dimensions that exist, with units, as JSON.
#[must_use]
pub fn signals() -> Vec<u8> {
    query::signals().to_string().into_bytes()
}

/// Scratch batches: as many as requests were ever decoded at once.
#[derive(Default)]
struct Scratch(Mutex<Vec<Batch>>);

impl Scratch {
    /// The last one given back: its caches are the warmest.
    fn take(&self, plan: &Plan) -> Batch {
        self.0.lock().pop().unwrap_or_else(|| Batch::new(plan))
    }

    fn give_back(&self, batch: Batch) {
        self.0.lock().push(batch);
    }
}

/// Everything behind the receiver. Safe to share between threads.
pub struct Engine {
    plan: Plan,
    values: Values,
    limits: Limits,
    future_skew_ns: i64,
    clock: Arc<dyn Clock>,
    sequence: Sequencer,
    ledger: Ledger,
    stats: Stats,
    scratch: Scratch,
    /// Bucket number sealing has reached; one sealer at a time.
    sealed: Mutex<Option<i64>>,
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
        // Keyed by when and where we started: enough against strings chosen beforehand.
        let seed = clock.now_ns().cast_unsigned() ^ u64::from(std::process::id()).rotate_left(32);
        let limits = config.limits.clone();
        let values = Values::new(limits.dimension_values, limits.dimension_bytes, seed);
        Ok(Self {
            plan: Plan::new(config, &values)?,
            values,
            future_skew_ns: (config.window.future_skew_s * SECOND_NS as f64) as i64,
            clock,
            sequence: Sequencer::new(&config.window),
            ledger: Ledger::new(limits.sources),
            limits,
            stats: Stats::default(),
            scratch: Scratch::default(),
            sealed: Mutex::new(None),
            closed: AtomicBool::new(false),
            folder: Mutex::new(Some(Folder::take(&config.data_dir)?)),
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
        let outcome = ingest::ingest(self, request);
        match &outcome {
            Ok(_) => self.stats.accept(request.len()),
            Err(Error::TooLarge { .. }) => self.stats.refuse("too_large"),
            Err(_) => self.stats.refuse("malformed"),
        }
        outcome
    }

    /// Count a request that was refused before its bytes reached the core.
    pub fn count_refused_request(&self, reason: &str) {
        self.stats.refuse(reason);
    }

    /// Move the idle watermark and seal what it passed. Meant for once a second.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn tick(&self) -> Result<()> {
        self.check_open()?;
        self.sequence.tick(self.clock.now_ns());
        let mut sealed = self.sealed.lock();
        if let Some(through) = self.sequence.settled()
            && *sealed < Some(through)
        {
            for view in &self.plan.views {
                view.windows.seal(*sealed, through);
            }
            *sealed = Some(through);
        }
        Ok(())
    }

    /// Answer `GET /api/v1/query`, JSON in and out.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`] lists what exists; [`Error::Request`] says the range.
    pub fn query(&self, request_json: &str) -> Result<Vec<u8>> {
        self.check_open()?;
        query::query(self, request_json)
    }

    /// Views with their series, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn series(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        Ok(query::series(self).to_string().into_bytes())
    }

    /// Measures with units and counts, and dimensions, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn measures(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        Ok(query::measures(self).to_string().into_bytes())
    }

    /// Every event accounted for, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn ledger(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        Ok(self.ledger.to_json(&self.values).to_string().into_bytes())
    }

    /// State of every objective and group, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn slos(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        Ok(query::slos(self).to_string().into_bytes())
    }

    /// Numbers behind `/metrics`, as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn stats(&self) -> Result<Vec<u8>> {
        self.check_open()?;
        let time = self.sequence.event_time();
        let mut shown = self.stats.to_json();
        shown["watermark_s"] = json!(time.watermark_ns.map(|ns| ns as f64 / SECOND_NS as f64));
        shown["batches"] = json!(time.batches);
        query::add_footprint(self, &mut shown);
        Ok(shown.to_string().into_bytes())
    }

    /// Sealed minutes that start in [`start_s`, `end_s`), Unix seconds, as one record batch.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn rollup(&self, start_s: i64, end_s: i64) -> Result<RecordBatch> {
        self.check_open()?;
        Ok(rollup::rollup(self, start_s, end_s))
    }

    /// [first, last) of the sealed minutes still held, Unix seconds.
    #[must_use]
    pub fn sealed_range(&self) -> Option<(i64, i64)> {
        let through = (*self.sealed.lock())?;
        let last = (through * BUCKET_S).div_euclid(60) * 60;
        let held = self.plan.views.iter().filter_map(|view| view.windows.oldest_sealed_minute());
        held.min().map(|first| (first, last)).filter(|(first, last)| first < last)
    }

    /// Refuse further calls with [`Error::Closed`] and release the data folder.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        drop(self.folder.lock().take());
    }
}
