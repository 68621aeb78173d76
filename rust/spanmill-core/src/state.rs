//! What the paths of ingest, query and rollup share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use crate::archive::Archive;
use crate::batch::Batch;
use crate::clock::{Clock, SECOND_NS};
use crate::codec::Writer;
use crate::columns::Dictionaries;
use crate::config::{Config, Limits};
use crate::dedupe;
use crate::disk::Disk;
use crate::error::Result;
use crate::filing;
use crate::journal::{Journal, Lsn, Slot};
use crate::ledger::Ledger;
use crate::record::{Definitions, Kind, Seal, Watermark};
use crate::secret::Secret;
use crate::sequence::Sequencer;
use crate::stats::Stats;
use crate::value::{ValueId, Values};
use crate::view::{Plan, View};
use crate::window::{
    BUCKET_S, Footprint, Held, Kept, Leaf, SealSink, SealedBucket, TIERS, WindowStore, demote,
};

/// How many requests are known again, and for how long.
pub(crate) fn dedupe_limits(limits: &Limits) -> dedupe::Limits {
    dedupe::Limits {
        entries: limits.dedupe_entries,
        producers: limits.producers,
        horizon_s: limits.dedupe_horizon_s,
    }
}

/// Keyed by when and where we started: enough against strings chosen beforehand.
pub(crate) fn seed(clock: &dyn Clock) -> u64 {
    clock.now_ns().cast_unsigned() ^ u64::from(std::process::id()).rotate_left(32)
}

/// What it takes to fold one request, kept between requests.
pub(crate) struct Work {
    pub batch: Batch,
    /// Ids that the batch is the first to use.
    pub definitions: Definitions,
    /// Source, events received, those of them that are future-dated, by account.
    pub by_source: Vec<(ValueId, u64, u64)>,
    pub key: Writer,
}

/// As many as requests were ever folded at once.
#[derive(Default)]
pub(crate) struct Scratch(Mutex<Vec<Work>>);

impl Scratch {
    /// The last one given back: its caches are the warmest.
    pub(crate) fn take(&self, plan: &Plan) -> Work {
        self.0.lock().pop().unwrap_or_else(|| Work {
            batch: Batch::new(plan),
            definitions: Definitions::default(),
            by_source: Vec::new(),
            key: Writer::default(),
        })
    }

    pub(crate) fn give_back(&self, work: Work) {
        self.0.lock().push(work);
    }
}

/// What only the sealer touches: one at a time. Readers never wait for it.
#[derive(Default)]
struct Sealer {
    /// Who else is handed sealed buckets.
    sink: Option<Box<dyn SealSink>>,
    /// The last pass demoted: what it gave up is still to be let go.
    demoted: bool,
}

/// Buckets given up for the memory budget since the start.
#[derive(Default)]
struct Demoted {
    buckets: AtomicU64,
    bytes: AtomicU64,
}

/// How much memory is held, by what for.
pub(crate) struct Memory {
    pub windows: Footprint,
    pub identities: usize,
}

impl Memory {
    /// What the budget bounds, bytes.
    pub(crate) fn bounded(&self) -> usize {
        self.windows.bytes() + self.identities
    }
}

/// Everything compiled, counted and kept.
pub(crate) struct State {
    pub plan: Plan,
    pub values: Values,
    pub limits: Limits,
    pub future_skew_ns: i64,
    pub clock: Arc<dyn Clock>,
    pub secret: Secret,
    pub folder: PathBuf,
    /// Told what is recovered; there is none before that, and none while durability is off.
    journal: OnceLock<Arc<Journal>>,
    pub sequence: Sequencer,
    pub ledger: Ledger,
    pub stats: Stats,
    pub scratch: Scratch,
    pub dictionaries: Dictionaries,
    /// Steady time of the last round of retirement, nanoseconds.
    pub retired_at_ns: AtomicI64,
    /// Steady time before which no value could be let go of, nanoseconds.
    pub values_looked_through_ns: AtomicI64,
    /// Told with the journal, and none without.
    archive: OnceLock<Archive>,
    /// Held by who seals, lets go of ids, or notes down what there is: one of them at a time.
    pub upkeep: Mutex<()>,
    /// What queries may count on.
    kept: RwLock<Kept>,
    sealer: Mutex<Sealer>,
    demoted: [Demoted; TIERS.len()],
}

impl State {
    /// `values` are those that a checkpoint holds: ids in records are theirs.
    pub(crate) fn new(
        config: &Config,
        (clock, disk): (Arc<dyn Clock>, Arc<dyn Disk>),
        values: Option<Values>,
    ) -> Result<Self> {
        let limits = config.limits.clone();
        let values = values.unwrap_or_else(|| {
            Values::new(limits.dimension_values, limits.dimension_bytes, seed(&*clock))
        });
        Ok(Self {
            plan: Plan::new(config, &values, &*disk)?,
            values,
            future_skew_ns: (config.window.future_skew_s * SECOND_NS as f64) as i64,
            clock,
            secret: Secret::of_folder(&*disk, &config.data_dir)?,
            folder: config.data_dir.clone(),
            journal: OnceLock::new(),
            sequence: Sequencer::new(&config.window, dedupe_limits(&limits)),
            ledger: Ledger::new(limits.sources),
            dictionaries: Dictionaries::new(limits.producers),
            limits,
            stats: Stats::default(),
            scratch: Scratch::default(),
            retired_at_ns: AtomicI64::new(0),
            values_looked_through_ns: AtomicI64::new(0),
            archive: OnceLock::new(),
            upkeep: Mutex::new(()),
            kept: RwLock::default(),
            sealer: Mutex::default(),
            demoted: Default::default(),
        })
    }

    /// Sealed buckets on disk; `None` while durability is off.
    pub(crate) fn archive(&self) -> Option<&Archive> {
        self.archive.get()
    }

    /// Write what was sealed and is not on disk yet.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`](crate::error::Error::Folder): it waits for the next time.
    pub(crate) fn flush_archive(&self) -> Result<()> {
        self.archive().map_or(Ok(()), Archive::flush)
    }

    /// Write sealed buckets there from now on; once, before anything is recovered.
    pub(crate) fn begin_archive(&self, archive: Archive) {
        assert!(self.archive.set(archive).is_ok(), "an archive is begun once");
    }

    /// Where records go; `None` while durability is off.
    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.journal.get().map(|journal| &**journal)
    }

    /// Write records here from now on; once, when everything in it is recovered.
    pub(crate) fn begin_journal(&self, journal: Arc<Journal>) {
        assert!(self.journal.set(journal).is_ok(), "a journal is begun once");
    }

    /// Bucket number below which everything is sealed; `None` before the first time.
    pub(crate) fn sealed(&self) -> Option<i64> {
        self.kept.read().sealed()
    }

    /// What is held, and so what can be answered.
    pub(crate) fn kept(&self) -> Kept {
        self.kept.read().clone()
    }

    /// Count on what a checkpoint says was held.
    pub(crate) fn keep(&self, kept: Kept) {
        *self.kept.write() = kept;
    }

    /// Hand every sealed bucket to `sink` from now on.
    pub(crate) fn hand_to(&self, sink: Box<dyn SealSink>) {
        self.sealer.lock().sink = Some(sink);
    }

    /// Move the idle watermark, seal what the watermark has passed, and keep to the memory budget.
    ///
    /// What a sealing pass or the budget gives up is let go a pass later: a query that
    /// was understood in between still finds it.
    pub(crate) fn seal(&self) -> Result<()> {
        self.catch_up()?;
        let mut sealer = self.sealer.lock();
        let settled = self.sequence.settled();
        let kept = self.kept();
        let written = match settled.filter(|through| kept.sealed() < Some(*through)) {
            // Batches may come before it is written down: none adds to what is settled.
            Some(through) => self
                .note_seal(&kept, through)
                .and_then(|lsn| self.seal_through(&kept, (lsn, through), &mut sealer)),
            None => match kept.sealed().filter(|_| sealer.demoted) {
                Some(through) => self.note_seal(&kept, through).map(|_| self.retire(&kept)),
                None => Ok(()),
            },
        };
        sealer.demoted = self.keep_to_budget();
        written
    }

    /// Let the watermark follow the newest event through a silence.
    fn catch_up(&self) -> Result<()> {
        let record = |watermark_ns, slot: Slot<'_>| {
            let mut payload = Vec::new();
            Watermark { watermark_ns }.write(&mut payload);
            slot.fill(Kind::Watermark as u8, payload);
        };
        self.sequence.tick(self.clock.now_ns(), self.journal(), Watermark::BYTES, record)
    }

    /// Write down what is about to be sealed; the record's number.
    fn note_seal(&self, kept: &Kept, through: i64) -> Result<Lsn> {
        let Some(journal) = self.journal() else {
            let _ = self.sequence.number(None, 0)?;
            return Ok(self.sequence.event_time().lsn);
        };
        let (mut payload, mut saved) = (journal.recycle(), Writer::default());
        kept.save(&mut saved);
        Seal { through, kept: &saved.0 }.write(&mut payload);
        let slot = self.sequence.number(Some(journal), payload.len())?;
        let lsn = slot.as_ref().map_or(Lsn::default(), Slot::lsn);
        if let Some(slot) = slot {
            slot.fill(Kind::Seal as u8, payload);
        }
        Ok(lsn)
    }

    /// Let go of what is no longer held.
    fn retire(&self, kept: &Kept) {
        self.plan.views.iter().for_each(|view| view.windows.retire(kept));
    }

    /// Seal, or let go, as a record says was done.
    pub(crate) fn replay_seal(&self, kept: &Kept, (lsn, through): (Lsn, i64)) -> Result<()> {
        let mut sealer = self.sealer.lock();
        *self.kept.write() = kept.clone();
        if kept.sealed() < Some(through) {
            return self.seal_through(kept, (lsn, through), &mut sealer);
        }
        self.retire(kept);
        Ok(())
    }

    fn seal_through(
        &self,
        kept: &Kept,
        (lsn, through): (Lsn, i64),
        sealer: &mut Sealer,
    ) -> Result<()> {
        let mut written = Vec::new();
        for view in &self.plan.views {
            let used = |series| view.used(view.grouping.identities.read().tuple(series));
            let mut leaves = Vec::new();
            let leaves_wanted = sealer.sink.is_some() || self.archive().is_some();
            let wanted = leaves_wanted.then_some(&mut leaves);
            view.windows.seal_into(kept, through, &used, wanted);
            if let Some(companions) = &view.companions {
                companions.seal(kept.sealed(), through);
            }
            written.push((view, leaves));
        }
        *self.kept.write() = kept.advanced(through);
        if let Some(sink) = &mut sealer.sink {
            written.iter().try_for_each(|(view, leaves)| self.write(view, leaves, &mut **sink))?;
        }
        if let Some(archive) = self.archive() {
            archive.take(filing::pass((lsn, kept, through), written, &self.values));
        }
        Ok(())
    }

    /// Hand over newly sealed buckets in an order that does not depend on who came first.
    fn write(&self, view: &View, leaves: &[Leaf], sink: &mut dyn SealSink) -> Result<()> {
        let identities = view.grouping.identities.read();
        let named = |leaf: &Leaf| {
            let series = view.stable_id(identities.tuple(leaf.series), &self.values);
            (leaf.bucket.number(), series, leaf.bucket.clone())
        };
        let finest = leaves.iter().filter(|leaf| leaf.tier == 0);
        let mut leaves: Vec<_> = finest.map(named).collect();
        drop(identities);
        leaves.sort_unstable_by_key(|(number, series, _)| (*number, *series));
        for (number, series, bucket) in leaves {
            let digests: Vec<Vec<u8>> =
                (0..view.measures.len()).map(|place| bucket.digest(place).to_bytes()).collect();
            sink.sealed(SealedBucket {
                view: &view.name,
                series,
                start_s: number * BUCKET_S,
                digests: &digests,
            })?;
        }
        Ok(())
    }

    /// Give up buckets while more is held than the budget; says whether it did.
    fn keep_to_budget(&self) -> bool {
        let stores: Vec<&WindowStore> = self.plan.views.iter().map(|view| &view.windows).collect();
        let mut kept = self.kept();
        let demotion = demote(&mut kept, &stores, self.identity_bytes(), self.limits.memory);
        stores.iter().for_each(|store| store.set_over_budget(demotion.falls_short));
        *self.kept.write() = kept;
        if demotion.total().buckets == 0 {
            return false;
        }
        for (total, held) in self.demoted.iter().zip(demotion.by_tier) {
            let _ = total.buckets.fetch_add(held.buckets as u64, Ordering::Relaxed);
            let _ = total.bytes.fetch_add(held.bytes as u64, Ordering::Relaxed);
        }
        true
    }

    fn identity_bytes(&self) -> usize {
        let views = self.plan.views.iter();
        views.map(|view| view.grouping.identities.read().heap_bytes()).sum()
    }

    /// What is held, read off counters.
    pub(crate) fn memory(&self) -> Memory {
        let mut windows = Footprint::default();
        self.plan.views.iter().for_each(|view| windows.add(view.windows.footprint()));
        Memory { windows, identities: self.identity_bytes() }
    }

    /// Buckets given up for the memory budget since the start, by tier, with its name.
    pub(crate) fn demoted(&self) -> impl Iterator<Item = (&'static str, Held)> {
        TIERS.iter().zip(&self.demoted).map(|(tier, total)| {
            let held = Held {
                buckets: total.buckets.load(Ordering::Relaxed) as usize,
                bytes: total.bytes.load(Ordering::Relaxed) as usize,
            };
            (tier.name, held)
        })
    }
}
