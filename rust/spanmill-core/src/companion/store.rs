//! Companions of every series of one view, in shards with a lock each, within a bound of bytes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::distinct::DistinctUnion;
use super::edge::{Edge, Entry, Totals};
use super::series::{Bucket, Place, SeriesCompanions, minute_of};
use super::top::TopUnion;
use crate::clock::SECOND_NS;
use crate::wide::{NO_VALUE, Wide};
use crate::window::{ByShard, SHARDS};

/// A batch's events, for one view.
pub(crate) struct Rows<'a> {
    /// Event time of each event, Unix nanoseconds.
    pub ends_ns: &'a [i64],
    /// Series of each event.
    pub series: &'a [u32],
    /// Events of each shard's series.
    pub by_shard: &'a ByShard,
    pub wide: &'a Wide,
    /// Events before this are older than any counter holds and leave no trace here.
    pub horizon_ns: i64,
    /// Buckets of the windows below this are sealed.
    pub sealed: i64,
    /// The newest cut before the batch was admitted, by the number of the record it stands after.
    pub cut: u64,
}

/// What the companions of a view hold, and what they could not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub bytes: usize,
    /// Events whose minute was sealed when they came.
    pub late: u64,
    /// Events that found no room for a bucket of their series.
    pub skipped: u64,
    /// Five-minute stretches let go before their time, to stay within the bound.
    pub shed: u64,
}

/// Some of a view's companions.
#[derive(Default)]
struct Shard {
    series: HashMap<u32, SeriesCompanions>,
    /// The newest cut that the shard knows of.
    cut: u64,
    late: u64,
    skipped: u64,
    /// What was open and counted at the cut, until the checkpointer comes for it.
    noted: Option<Noted>,
    /// Sealed since the last checkpoint.
    fresh: Vec<Entry>,
}

#[derive(Default)]
struct Noted {
    open: Vec<Entry>,
    late: u64,
    skipped: u64,
}

impl Shard {
    /// Set aside what is open: what comes now comes after the cut. Copies pointers only.
    #[cold]
    fn freeze(&mut self, cut: u64) {
        self.cut = cut;
        self.noted = Some(self.note());
    }

    fn note(&self) -> Noted {
        let open = |(series, known): (&u32, &SeriesCompanions)| {
            let series = *series;
            known.open_now().map(move |held| Entry { series, held }).collect::<Vec<_>>()
        };
        let open = self.series.iter().flat_map(open).collect();
        Noted { open, late: self.late, skipped: self.skipped }
    }
}

/// The order of a table is another in each process: the same buckets give the same bytes.
fn in_order(entries: &mut [Entry]) {
    entries.sort_unstable_by_key(|entry| (entry.series, entry.held.place, entry.held.number));
}

/// Which files hold what is sealed.
#[derive(Default)]
struct Files {
    /// Cuts whose files are durable.
    saved: BTreeSet<u64>,
    /// Sealed buckets that were given to be written and are in no durable file yet, and with
    /// which cut; whether they are all there are.
    given: Vec<Entry>,
    cut: u64,
    all: bool,
    /// Minutes before this were sealed when the totals were put back.
    sealed: i64,
}

/// Files that sealed buckets may lie in, before one takes the place of all.
const FILES_MAX: usize = 48;

/// Series whose sealed buckets are listed under one lock.
const SERIES_AT_ONCE: usize = 128;

/// Companions of every series of a view.
pub(crate) struct Companions {
    /// Column of each distinct count and of each ranking, and how many columns a batch has.
    distinct: Vec<usize>,
    top: Vec<usize>,
    stride: usize,
    bytes_max: usize,
    shards: Vec<Mutex<Shard>>,
    files: Mutex<Files>,
    bytes: AtomicUsize,
    /// Time before this, seconds, was let go to stay within the bound.
    kept_from_s: AtomicI64,
    shed: AtomicU64,
}

impl Companions {
    /// For the columns `distinct` and `top` of rows that are `stride` wide.
    pub(crate) fn new(
        distinct: Vec<usize>,
        top: Vec<usize>,
        stride: usize,
        bytes_max: usize,
    ) -> Self {
        Self {
            distinct,
            top,
            stride,
            bytes_max,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            files: Mutex::default(),
            bytes: AtomicUsize::new(0),
            kept_from_s: AtomicI64::new(i64::MIN),
            shed: AtomicU64::new(0),
        }
    }

    /// Fold a batch, one lock a shard.
    pub(crate) fn apply(&self, rows: &Rows<'_>) {
        for (number, shard) in self.shards.iter().enumerate() {
            let events = rows.by_shard.shard(number);
            if events.is_empty() {
                continue;
            }
            let mut shard = shard.lock();
            if shard.cut < rows.cut {
                shard.freeze(rows.cut);
            }
            for &event in events {
                self.push(&mut shard, rows, event as usize);
            }
        }
    }

    fn push(&self, shard: &mut Shard, rows: &Rows<'_>, event: usize) {
        let hashes = &rows.wide.hashes[event * self.stride..][..self.stride];
        let counts = |columns: &[usize]| columns.iter().any(|at| hashes[*at] != NO_VALUE);
        let ends_ns = rows.ends_ns[event];
        if ends_ns < rows.horizon_ns || !(counts(&self.distinct) || counts(&self.top)) {
            return;
        }
        let minute = ends_ns.div_euclid(60 * SECOND_NS);
        if minute < minute_of(rows.sealed) {
            shard.late += 1;
            return;
        }
        let series = rows.series[event];
        let Some(bucket) = self.bucket(shard, series, minute) else { return };
        let before = bucket.heap_bytes();
        for (column, distinct) in self.distinct.iter().zip(&mut bucket.distinct) {
            if hashes[*column] != NO_VALUE {
                distinct.add(hashes[*column]);
            }
        }
        for (column, top) in self.top.iter().zip(&mut bucket.top) {
            let hash = hashes[*column];
            if hash != NO_VALUE {
                top.add(hash, &String::from_utf8_lossy(rows.wide.text(hash)), 1);
            }
        }
        self.resize(before, bucket.heap_bytes());
    }

    /// The bucket of a series and minute, opened where there is room for it.
    fn bucket<'a>(&self, shard: &'a mut Shard, series: u32, minute: i64) -> Option<&'a mut Bucket> {
        let is_open = shard.series.get(&series).is_some_and(|known| known.is_open(minute));
        if !is_open {
            // The open edge may take an eighth more, until sealing lets go of what is old.
            if self.bytes.load(Ordering::Relaxed) >= self.bytes_max + self.bytes_max / 8 {
                shard.skipped += 1;
                return None;
            }
            let bucket = Bucket::new(self.distinct.len(), self.top.len());
            self.resize(0, bucket.heap_bytes());
            shard.series.entry(series).or_default().open_new(minute, bucket);
        }
        shard.series.get_mut(&series)?.open(minute)
    }

    fn resize(&self, before: usize, after: usize) {
        // Wrapping: what shrinks is added as its complement.
        let _ = self.bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Seal what ends before bucket `through` of the windows; `sealed` is where the last call stopped.
    pub(crate) fn seal(&self, sealed: Option<i64>, through: i64) {
        let sealed = sealed.map_or(i64::MIN, minute_of);
        let through = minute_of(through);
        if sealed < through {
            self.each_series(|of, series, fresh| {
                series.seal(sealed, through, |held| fresh.push(Entry { series: of, held }));
            });
        }
        if self.bytes.load(Ordering::Relaxed) > self.bytes_max {
            self.shed();
        }
    }

    /// Change every series, and let go of those that are empty then.
    fn each_series(&self, mut change: impl FnMut(u32, &mut SeriesCompanions, &mut Vec<Entry>)) {
        for shard in &self.shards {
            let Shard { series, fresh, .. } = &mut *shard.lock();
            series.retain(|of, series| {
                let before = series.heap_bytes();
                change(*of, series, fresh);
                self.resize(before, series.heap_bytes());
                !series.is_empty()
            });
        }
    }

    /// Let go of the oldest sealed time, of all series alike, until the bound holds.
    fn shed(&self) {
        let mut by_time: BTreeMap<i64, usize> = BTreeMap::new();
        for shard in &self.shards {
            for series in shard.lock().series.values() {
                for (start_s, bytes) in series.sealed_bytes() {
                    *by_time.entry(start_s).or_default() += bytes;
                }
            }
        }
        let mut excess = self.bytes.load(Ordering::Relaxed).saturating_sub(self.bytes_max);
        let mut kept_from_s = None;
        for (start_s, bytes) in by_time {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(bytes);
            kept_from_s = Some(start_s + 300);
            let _ = self.shed.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(kept_from_s) = kept_from_s {
            // Told before it is done: an answer never claims time that is gone.
            let _ = self.kept_from_s.fetch_max(kept_from_s, Ordering::AcqRel);
            self.each_series(|_, series, _| series.shed(kept_from_s));
        }
    }

    /// Seconds before which nothing is held, whatever the rings could.
    pub(crate) fn kept_from_s(&self) -> i64 {
        self.kept_from_s.load(Ordering::Acquire)
    }

    /// Add up the distinct count at `place` over a series' buckets in [start, end), seconds, snapped.
    pub(crate) fn distinct(
        &self,
        series: u32,
        window: (i64, i64),
        place: usize,
        union: &mut DistinctUnion,
    ) {
        self.meet(series, window, |bucket| union.add(&bucket.distinct[place]));
    }

    /// Add up the ranking at `place` over a series' buckets in [start, end), seconds, snapped.
    pub(crate) fn top(&self, series: u32, window: (i64, i64), place: usize, union: &mut TopUnion) {
        self.meet(series, window, |bucket| union.add(&bucket.top[place]));
    }

    fn meet(&self, series: u32, window: (i64, i64), mut met: impl FnMut(&Bucket)) {
        let mut shared = Vec::new();
        if let Some(known) = self.shards[series as usize % SHARDS].lock().series.get(&series) {
            known.meet(window, &mut shared, &mut met);
        }
        // Sealed ones are added up outside the lock.
        shared.iter().for_each(|bucket| met(bucket));
    }

    /// Whether a series has anything here.
    pub(crate) fn holds(&self, series: u32) -> bool {
        self.shards[series as usize % SHARDS].lock().series.contains_key(&series)
    }

    pub(crate) fn held(&self) -> Held {
        let (mut late, mut skipped) = (0, 0);
        for shard in &self.shards {
            let shard = shard.lock();
            late += shard.late;
            skipped += shard.skipped;
        }
        let shed = self.shed.load(Ordering::Relaxed);
        Held { bytes: self.bytes.load(Ordering::Relaxed), late, skipped, shed }
    }

    /// Columns that are counted, and columns that are ranked.
    pub(super) fn columns(&self) -> (usize, usize) {
        (self.distinct.len(), self.top.len())
    }

    /// Everything as it stood at the cut `cut`, under the terms of
    /// [`WindowStore::freeze_all`](crate::window::WindowStore::freeze_all).
    ///
    /// Open minutes are part of each answer; sealed ones of one, until that reached a file, and
    /// of another only where so many files are needed that one takes the place of all.
    pub(crate) fn freeze_all(&self, cut: u64) -> Edge {
        let mut edge = Edge::default();
        let mut files = self.files.lock();
        for shard in &self.shards {
            let mut shard = shard.lock();
            if shard.cut < cut {
                shard.freeze(cut);
            }
            let Noted { open, late, skipped } = shard.noted.take().unwrap_or_else(|| shard.note());
            edge.open.extend(open);
            edge.totals.late += late;
            edge.totals.skipped += skipped;
            files.given.append(&mut shard.fresh);
        }
        files.all |= files.saved.len() >= FILES_MAX;
        if files.all {
            files.given = self.all_sealed();
        }
        files.cut = cut;
        let kept_from_s = self.kept_from_s();
        files.given.retain(|entry| entry.held.start_s() >= kept_from_s);
        edge.sealed.clone_from(&files.given);
        in_order(&mut edge.open);
        in_order(&mut edge.sealed);
        let older = files.saved.iter().copied().filter(|_| !files.all);
        edge.totals.needs = older.chain(Some(cut)).collect();
        drop(files);
        edge.totals.shed = self.shed.load(Ordering::Relaxed);
        edge.totals.kept_from_s = kept_from_s;
        edge
    }

    /// Every sealed bucket; some series under each lock.
    fn all_sealed(&self) -> Vec<Entry> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let mut known: Vec<u32> = shard.lock().series.keys().copied().collect();
            known.sort_unstable();
            for some in known.chunks(SERIES_AT_ONCE) {
                let shard = shard.lock();
                for &series in some {
                    let sealed = shard.series.get(&series).into_iter();
                    let sealed = sealed.flat_map(SeriesCompanions::sealed_now);
                    all.extend(sealed.map(|held| Entry { series, held }));
                }
            }
        }
        all
    }

    /// The checkpoint of `cut` is published: what is sealed in its file need not be written again.
    pub(crate) fn saved(&self, cut: u64) {
        let mut files = self.files.lock();
        if files.cut != cut {
            return;
        }
        if files.all {
            files.saved.clear();
        }
        if !files.given.is_empty() {
            let _ = files.saved.insert(cut);
        }
        (files.given, files.all) = (Vec::new(), false);
    }

    /// No file has what is sealed: the next one gets all of it.
    pub(crate) fn forget_saved(&self) {
        self.files.lock().all = true;
    }

    /// Put back what is counted as it stood at the cut `cut`, when windows were sealed through
    /// bucket number `sealed`; the files that it names come after.
    pub(crate) fn set_totals(&self, cut: u64, sealed: Option<i64>, totals: &Totals) {
        self.kept_from_s.store(totals.kept_from_s, Ordering::Release);
        self.shed.store(totals.shed, Ordering::Relaxed);
        self.shards.iter().for_each(|shard| shard.lock().cut = cut);
        let mut first = self.shards[0].lock();
        (first.late, first.skipped) = (totals.late, totals.skipped);
        drop(first);
        let mut files = self.files.lock();
        files.saved = totals.needs.iter().copied().collect();
        (files.cut, files.sealed) = (cut, sealed.map_or(i64::MIN, minute_of));
    }

    /// Put back a bucket as the file of `cut` has it; whether it was not there yet.
    ///
    /// What the totals do not name is passed over, and what was no longer held at their cut.
    pub(super) fn put_back(&self, cut: u64, entry: Entry) -> bool {
        let Entry { series, held } = entry;
        let (newest, wanted, sealed) = {
            let files = self.files.lock();
            (files.cut, files.saved.contains(&cut), files.sealed)
        };
        let is_past = held.place == Place::Open && cut != newest;
        if !wanted || is_past || !held.is_kept(sealed, self.kept_from_s()) {
            return true;
        }
        let bytes = held.bucket.heap_bytes();
        let mut shard = self.shards[series as usize % SHARDS].lock();
        let missing = shard.series.entry(series).or_default().put_back(held);
        if missing {
            self.resize(0, bytes);
        }
        missing
    }
}
