//! What the paths of ingest, query and rollup share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;

use crate::batch::Batch;
use crate::clock::{Clock, SECOND_NS};
use crate::config::{Config, Limits};
use crate::error::Result;
use crate::ledger::Ledger;
use crate::sequence::Sequencer;
use crate::stats::Stats;
use crate::value::Values;
use crate::view::Plan;

/// No bucket is sealed yet.
const NOTHING_SEALED: i64 = i64::MIN;

/// Scratch batches: as many as requests were ever decoded at once.
#[derive(Default)]
pub(crate) struct Scratch(Mutex<Vec<Batch>>);

impl Scratch {
    /// The last one given back: its caches are the warmest.
    pub(crate) fn take(&self, plan: &Plan) -> Batch {
        self.0.lock().pop().unwrap_or_else(|| Batch::new(plan))
    }

    pub(crate) fn give_back(&self, batch: Batch) {
        self.0.lock().push(batch);
    }
}

/// Everything compiled, counted and kept.
pub(crate) struct State {
    pub plan: Plan,
    pub values: Values,
    pub limits: Limits,
    pub future_skew_ns: i64,
    pub clock: Arc<dyn Clock>,
    pub sequence: Sequencer,
    pub ledger: Ledger,
    pub stats: Stats,
    pub scratch: Scratch,
    /// Steady time of the last round of retirement, nanoseconds.
    pub retired_at_ns: AtomicI64,
    /// Bucket number sealing has reached; [`NOTHING_SEALED`] at first.
    sealed: AtomicI64,
    /// Held while sealing: one sealer at a time. Readers never wait for it.
    sealing: Mutex<()>,
}

impl State {
    pub(crate) fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self> {
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
            retired_at_ns: AtomicI64::new(0),
            sealed: AtomicI64::new(NOTHING_SEALED),
            sealing: Mutex::new(()),
        })
    }

    /// Bucket number below which everything is sealed; `None` before the first time.
    pub(crate) fn sealed(&self) -> Option<i64> {
        Some(self.sealed.load(Ordering::Acquire)).filter(|sealed| *sealed != NOTHING_SEALED)
    }

    /// Move the idle watermark and seal what the watermark has passed.
    pub(crate) fn seal(&self) {
        self.sequence.tick(self.clock.now_ns());
        let _one_at_a_time = self.sealing.lock();
        let sealed = self.sealed();
        if let Some(through) = self.sequence.settled()
            && sealed < Some(through)
        {
            for view in &self.plan.views {
                view.windows.seal(sealed, through);
                if let Some(companions) = &view.companions {
                    companions.seal(sealed, through);
                }
            }
            self.sealed.store(through, Ordering::Release);
        }
    }
}
