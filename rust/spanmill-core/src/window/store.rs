//! All series of one view, in shards with a lock each.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::series::{SeriesWindows, Slice};
use super::{BUCKET_S, Steps};
use crate::clock::SECOND_NS;
use crate::signal::MEASURES;

/// Enough that sealing a shard holds up ingest for a few milliseconds at most.
pub(crate) const SHARDS: usize = 64;

/// A batch's events as columns, for one view.
pub(crate) struct Rows<'a> {
    /// Event time of each event, Unix nanoseconds.
    pub ends_ns: &'a [i64],
    /// Measures of each event by slot, `stride` a row.
    pub measures: &'a [f64],
    pub stride: usize,
    /// Series of each event; `u32::MAX` where the view does not take it.
    pub series: &'a [u32],
    /// Events before this are older than any counter holds and leave no trace here.
    pub horizon_ns: i64,
}

/// No series: the view does not take the event.
pub(crate) const NOT_TAKEN: u32 = u32::MAX;

/// Scratch for grouping a batch by shard, kept between batches.
#[derive(Default)]
pub(crate) struct ByShard {
    starts: Vec<u32>,
    events: Vec<u32>,
}

impl ByShard {
    /// Group event places by shard: one counting sort, two passes.
    fn group(&mut self, series: &[u32]) {
        self.starts.clear();
        self.starts.resize(SHARDS + 1, 0);
        let taken = || series.iter().enumerate().filter(|(_, s)| **s != NOT_TAKEN);
        for (_, series) in taken() {
            self.starts[*series as usize % SHARDS + 1] += 1;
        }
        for shard in 0..SHARDS {
            self.starts[shard + 1] += self.starts[shard];
        }
        self.events.clear();
        self.events.resize(self.starts[SHARDS] as usize, 0);
        let mut next = [0; SHARDS];
        next.copy_from_slice(&self.starts[..SHARDS]);
        for (event, series) in taken() {
            let place = &mut next[*series as usize % SHARDS];
            self.events[*place as usize] = event as u32;
            *place += 1;
        }
    }

    /// Events of the series in one shard.
    pub(crate) fn shard(&self, shard: usize) -> &[u32] {
        &self.events[self.starts[shard] as usize..self.starts[shard + 1] as usize]
    }
}

/// Something of one series, met in a slice of event time.
pub(crate) enum Piece {
    /// Events with their values.
    Events(Slice),
    /// How many events came too late for the digests.
    Late(u64),
}

/// Windows of every series of a view.
pub(crate) struct WindowStore {
    /// Slot of each measure in a batch's rows.
    slots: Vec<usize>,
    /// The slots are all there are, in order: a row is copied as it stands.
    takes_whole_rows: bool,
    /// Values taken since the start, by measure.
    values: Vec<AtomicU64>,
    shards: Vec<Mutex<Vec<SeriesWindows>>>,
}

impl WindowStore {
    /// For the measures at `slots` of rows that are `stride` wide.
    pub(crate) fn new(slots: Vec<usize>, stride: usize) -> Self {
        let values = slots.iter().map(|_| AtomicU64::new(0)).collect();
        let takes_whole_rows = slots.iter().copied().eq(0..stride);
        Self {
            slots,
            takes_whole_rows,
            values,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Fold a batch, one lock a shard; events in buckets before `sealed` are late.
    ///
    /// Returns how many were late.
    pub(crate) fn apply(&self, rows: &Rows<'_>, sealed: i64, scratch: &mut ByShard) -> u64 {
        scratch.group(rows.series);
        self.count_values(rows);
        let mut late = 0;
        for (number, shard) in self.shards.iter().enumerate() {
            let events = scratch.shard(number);
            if events.is_empty() {
                continue;
            }
            let mut shard = shard.lock();
            for &event in events {
                late += self.push(&mut shard, rows, event as usize, sealed);
            }
        }
        late
    }

    fn count_values(&self, rows: &Rows<'_>) {
        let mut present = [0u64; MEASURES.len()];
        let taken = rows.measures.chunks_exact(rows.stride).zip(rows.series);
        for (row, _) in taken.filter(|(_, series)| **series != NOT_TAKEN) {
            for (count, slot) in present.iter_mut().zip(&self.slots) {
                *count += u64::from(!row[*slot].is_nan());
            }
        }
        for (total, count) in self.values.iter().zip(present) {
            let _ = total.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Values of the measure at `place` taken since the start.
    pub(crate) fn values(&self, place: usize) -> u64 {
        self.values[place].load(Ordering::Relaxed)
    }

    /// Start of the oldest sealed minute any series holds, Unix seconds.
    pub(crate) fn oldest_sealed_minute(&self) -> Option<i64> {
        let shards = self.shards.iter().filter_map(|shard| {
            let shard = shard.lock();
            shard.iter().filter_map(SeriesWindows::oldest_minute).min()
        });
        shards.min()
    }

    #[inline]
    fn push(
        &self,
        shard: &mut Vec<SeriesWindows>,
        rows: &Rows<'_>,
        event: usize,
        sealed: i64,
    ) -> u64 {
        let place = rows.series[event] as usize / SHARDS;
        if place >= shard.len() {
            shard.resize_with(place + 1, SeriesWindows::default);
        }
        let ends_ns = rows.ends_ns[event];
        let bucket = ends_ns.div_euclid(BUCKET_S * SECOND_NS);
        if bucket < sealed || ends_ns < rows.horizon_ns {
            let counted = ends_ns >= rows.horizon_ns;
            if counted {
                shard[place].push_late(bucket);
            }
            return u64::from(counted);
        }
        let row = &rows.measures[event * rows.stride..][..rows.stride];
        if self.takes_whole_rows {
            shard[place].push(bucket, row.iter().copied());
        } else {
            shard[place].push(bucket, self.slots.iter().map(|slot| row[*slot]));
        }
        0
    }

    /// Seal every series from bucket `sealed` (where the last call stopped) through `through`.
    pub(crate) fn seal(&self, sealed: Option<i64>, through: i64) {
        for shard in &self.shards {
            for series in &mut *shard.lock() {
                series.seal(sealed, through, self.slots.len());
            }
        }
    }

    /// Meet what `series` hold of a measure in each of `steps`, one lock a shard.
    ///
    /// `found` is told the place in `series` and the slice, and runs under the
    /// shard's lock: what takes long belongs after the visit.
    pub(crate) fn visit(
        &self,
        steps: &Steps,
        measure: usize,
        series: &[u32],
        mut found: impl FnMut(usize, usize, Piece),
    ) {
        let shard_of = |place: u32| series[place as usize] as usize % SHARDS;
        let mut places: Vec<u32> = (0..series.len() as u32).collect();
        places.sort_unstable_by_key(|place| shard_of(*place));
        let mut pieces = Vec::new();
        for places in places.chunk_by(|a, b| shard_of(*a) == shard_of(*b)) {
            let shard = self.shards[shard_of(places[0])].lock();
            for &place in places {
                let place = place as usize;
                let Some(windows) = shard.get(series[place] as usize / SHARDS) else { continue };
                for at in 0..steps.count {
                    let slice = steps.slice(at);
                    windows.slices(slice, self.slots.len(), measure, &mut pieces);
                    pieces.drain(..).for_each(|piece| found(place, at, Piece::Events(piece)));
                    let late = windows.late_in(slice.0, slice.1);
                    if late > 0 {
                        found(place, at, Piece::Late(late));
                    }
                }
            }
        }
    }

    /// Series of which nothing is left in any bucket.
    pub(crate) fn silent(&self) -> Vec<u32> {
        let mut silent = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            let shard = shard.lock();
            let places = shard.iter().enumerate().filter(|(_, series)| series.is_silent());
            silent.extend(places.map(|(place, _)| (place * SHARDS + number) as u32));
        }
        silent
    }

    /// Free a series, unless it is no longer silent; its id may then be another's.
    pub(crate) fn forget(&self, series: u32) -> bool {
        let mut shard = self.shards[series as usize % SHARDS].lock();
        match shard.get_mut(series as usize / SHARDS) {
            Some(windows) if windows.is_silent() => {
                *windows = SeriesWindows::default();
                true
            }
            _ => false,
        }
    }

    /// Look at one series under its shard's lock; `None` before its first event.
    pub(crate) fn with<T>(&self, series: u32, look: impl FnOnce(&SeriesWindows) -> T) -> Option<T> {
        let shard = self.shards[series as usize % SHARDS].lock();
        shard.get(series as usize / SHARDS).map(look)
    }

    /// Open buckets, sealed buckets and bytes held by all series.
    pub(crate) fn footprint(&self) -> (usize, usize, usize) {
        let shards = self.shards.iter().map(|shard| {
            let shard = shard.lock();
            shard.iter().map(SeriesWindows::footprint).fold((0, 0, 0), add)
        });
        shards.fold((0, 0, 0), add)
    }
}

fn add(a: (usize, usize, usize), b: (usize, usize, usize)) -> (usize, usize, usize) {
    (a.0 + b.0, a.1 + b.1, a.2 + b.2)
}
