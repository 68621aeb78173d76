//! Companions of every series of one view, in shards with a lock each, within a bound of bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::distinct::DistinctUnion;
use super::series::{Bucket, SeriesCompanions, minute_of};
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

/// Companions of every series of a view.
pub(crate) struct Companions {
    /// Column of each distinct count and of each ranking, and how many columns a batch has.
    distinct: Vec<usize>,
    top: Vec<usize>,
    stride: usize,
    bytes_max: usize,
    shards: Vec<Mutex<HashMap<u32, SeriesCompanions>>>,
    bytes: AtomicUsize,
    /// Time before this, seconds, was let go to stay within the bound.
    kept_from_s: AtomicI64,
    late: AtomicU64,
    skipped: AtomicU64,
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
            bytes: AtomicUsize::new(0),
            kept_from_s: AtomicI64::new(i64::MIN),
            late: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
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
            for &event in events {
                self.push(&mut shard, rows, event as usize);
            }
        }
    }

    fn push(&self, shard: &mut HashMap<u32, SeriesCompanions>, rows: &Rows<'_>, event: usize) {
        let hashes = &rows.wide.hashes[event * self.stride..][..self.stride];
        let counts = |columns: &[usize]| columns.iter().any(|at| hashes[*at] != NO_VALUE);
        let ends_ns = rows.ends_ns[event];
        if ends_ns < rows.horizon_ns || !(counts(&self.distinct) || counts(&self.top)) {
            return;
        }
        let minute = ends_ns.div_euclid(60 * SECOND_NS);
        if minute < minute_of(rows.sealed) {
            let _ = self.late.fetch_add(1, Ordering::Relaxed);
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
    fn bucket<'a>(
        &self,
        shard: &'a mut HashMap<u32, SeriesCompanions>,
        series: u32,
        minute: i64,
    ) -> Option<&'a mut Bucket> {
        let is_open = shard.get_mut(&series).is_some_and(|known| known.open(minute).is_some());
        if !is_open {
            // The open edge may take an eighth more, until sealing lets go of what is old.
            if self.bytes.load(Ordering::Relaxed) >= self.bytes_max + self.bytes_max / 8 {
                let _ = self.skipped.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            let bucket = Bucket::new(self.distinct.len(), self.top.len());
            self.resize(0, bucket.heap_bytes());
            shard.entry(series).or_default().open_new(minute, bucket);
        }
        shard.get_mut(&series)?.open(minute)
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
            self.each_series(|series| series.seal(sealed, through));
        }
        if self.bytes.load(Ordering::Relaxed) > self.bytes_max {
            self.shed();
        }
    }

    /// Change every series, and let go of those that are empty then.
    fn each_series(&self, mut change: impl FnMut(&mut SeriesCompanions)) {
        for shard in &self.shards {
            shard.lock().retain(|_, series| {
                let before = series.heap_bytes();
                change(series);
                self.resize(before, series.heap_bytes());
                !series.is_empty()
            });
        }
    }

    /// Let go of the oldest sealed time, of all series alike, until the bound holds.
    fn shed(&self) {
        let mut by_time: BTreeMap<i64, usize> = BTreeMap::new();
        for shard in &self.shards {
            for series in shard.lock().values() {
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
            self.each_series(|series| series.shed(kept_from_s));
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
        if let Some(known) = self.shards[series as usize % SHARDS].lock().get(&series) {
            known.meet(window, &mut shared, &mut met);
        }
        // Sealed ones are added up outside the lock.
        shared.iter().for_each(|bucket| met(bucket));
    }

    /// Whether a series has anything here.
    pub(crate) fn holds(&self, series: u32) -> bool {
        self.shards[series as usize % SHARDS].lock().contains_key(&series)
    }

    pub(crate) fn held(&self) -> Held {
        Held {
            bytes: self.bytes.load(Ordering::Relaxed),
            late: self.late.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            shed: self.shed.load(Ordering::Relaxed),
        }
    }
}
