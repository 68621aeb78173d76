//! All series of one view, in shards with a lock each.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::kept::{Held, Holdings};
use super::late::Late;
use super::open::OpenBucket;
use super::parts::{Frozen, Noted, Passed, Taken};
use super::rings::Rings;
use super::sealed::Sealed;
use super::series::{OpenHeld, SeriesWindows};
use super::{BUCKET_S, TIERS, allocated};
use crate::clock::SECOND_NS;
use crate::signal::MEASURES;

/// Enough that threads seldom meet in one.
pub(crate) const SHARDS: usize = 64;

/// Events whose memory is asked for before any of it is needed. With more series than the
/// caches hold, a load of each that waits for no other halves what an event costs.
const AHEAD: usize = 16;

/// The table of a shard grows by this share: room for series that may never come is dear.
const GROWTH: usize = 16;

pub(super) fn shard_of(series: u32) -> usize {
    series as usize % SHARDS
}

/// Place of a series in its shard.
pub(super) fn slot_of(series: u32) -> usize {
    series as usize / SHARDS
}

/// A batch's events as columns, for one view.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Event time of each event, Unix nanoseconds.
    pub ends_ns: &'a [i64],
    /// Measures of each event by slot, `stride` a row; NaN where absent.
    pub measures: &'a [f64],
    /// Slots of a row.
    pub stride: usize,
    /// Series of each event; [`NOT_TAKEN`] where the view does not take it.
    pub series: &'a [u32],
    /// Events before this are older than any counter holds and leave no trace here.
    pub horizon_ns: i64,
    /// The newest cut before the batch was admitted, by the number of the record it stands after.
    pub cut: u64,
}

/// No series: the view does not take the event.
pub const NOT_TAKEN: u32 = u32::MAX;

/// Scratch for grouping a batch by shard, kept between batches.
#[derive(Debug, Default)]
pub struct ByShard {
    starts: Vec<u32>,
    events: Vec<u32>,
}

impl ByShard {
    /// Group event places by shard: one counting sort, two passes.
    pub(crate) fn group(&mut self, series: &[u32]) {
        self.starts.clear();
        self.starts.resize(SHARDS + 1, 0);
        let taken = || series.iter().enumerate().filter(|(_, s)| **s != NOT_TAKEN);
        for (_, series) in taken() {
            self.starts[shard_of(*series) + 1] += 1;
        }
        for shard in 0..SHARDS {
            self.starts[shard + 1] += self.starts[shard];
        }
        self.events.clear();
        self.events.resize(self.starts[SHARDS] as usize, 0);
        let mut next = [0; SHARDS];
        next.copy_from_slice(&self.starts[..SHARDS]);
        for (event, series) in taken() {
            let place = &mut next[shard_of(*series)];
            self.events[*place as usize] = event as u32;
            *place += 1;
        }
    }

    /// Events of the series in one shard.
    pub(crate) fn shard(&self, shard: usize) -> &[u32] {
        &self.events[self.starts[shard] as usize..self.starts[shard + 1] as usize]
    }
}

/// Some of a view's series.
#[derive(Default)]
pub(super) struct Shard {
    pub series: Vec<SeriesWindows>,
    pub open: OpenHeld,
    /// Buckets being sealed, by series and number: taken out, still visible. Only
    /// while the sealer is at this shard.
    pub closing: Vec<(u32, Arc<OpenBucket>)>,
    /// The newest cut that the shard knows of.
    pub cut: u64,
    /// What was open at earlier cuts and is not all sealed, oldest first.
    pub frozen: Vec<Arc<Frozen>>,
    /// How far that is sealed.
    pub passed: Passed,
    /// What was counted at the cut, until the checkpointer comes for it.
    pub noted: Option<Noted>,
    /// Series that have late events; some may have none any more, or stand here twice.
    pub with_late: Vec<u32>,
    /// Series that have rings.
    pub ringed: usize,
    /// Series that have fallen silent, for [`WindowStore::silent`].
    pub silent: Vec<u32>,
}

impl Shard {
    /// Buckets of one series in [start, end), seconds, that are just being sealed.
    pub(super) fn closing_of(
        &self,
        series: u32,
        (start, end): (i64, i64),
    ) -> impl Iterator<Item = &Arc<OpenBucket>> {
        let first = self.closing.partition_point(|(of, _)| *of < series);
        let mine = self.closing[first..].iter().take_while(move |(of, _)| *of == series);
        mine.map(|(_, bucket)| bucket)
            .filter(move |bucket| (start..end).contains(&(i64::from(bucket.number) * BUCKET_S)))
    }

    /// Load what the events will write to: their series' open buckets, then the rows there.
    #[inline]
    fn touch(&self, series: &[u32], events: &[u32]) {
        let open = |event: &u32| self.series.get(slot_of(series[*event as usize]));
        let filled = events.iter().filter_map(open).map(SeriesWindows::filled);
        let _ = black_box(filled.fold(0, |all, filled| all ^ filled));
        let rows = events.iter().filter_map(open).map(SeriesWindows::row_bits);
        let _ = black_box(rows.fold(0, |all, bits| all ^ bits));
    }

    /// Whether nothing but the count of its events is left of a series.
    pub(super) fn is_silent(&self, series: u32) -> bool {
        // One that never held anything has no place after a restart.
        let silent = self.series.get(slot_of(series)).is_none_or(SeriesWindows::is_silent);
        let from = self.passed.live_from(slot_of(series));
        // What is just being sealed is in neither of its places.
        silent
            && self.closing.binary_search_by_key(&series, |(of, _)| *of).is_err()
            && !self.frozen.iter().any(|frozen| frozen.holds(series, from))
    }

    /// Have a place for the series at `slot`.
    pub(super) fn reach(&mut self, slot: usize) {
        if slot >= self.series.len() {
            self.make_room(slot);
        }
    }

    /// Late events of a series, as a checkpoint has them.
    pub(super) fn set_late(&mut self, series: u32, late: Arc<Late>) {
        self.with_late.push(series);
        self.rings(series).set_late(late);
    }

    #[cold]
    pub(super) fn make_room(&mut self, slot: usize) {
        let wanted = slot + 1 - self.series.len();
        if self.series.capacity() <= slot {
            self.series.reserve_exact(wanted.max(self.series.len() / GROWTH));
        }
        self.series.resize_with(slot + 1, SeriesWindows::default);
    }
}

/// What a view's windows hold, as metrics show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Buckets that still take events.
    pub open: Held,
    /// Sealed ones of all tiers; one that tiers share counts in each.
    pub sealed: Held,
    /// Tables of the series themselves.
    pub series_bytes: usize,
}

impl Footprint {
    /// Count in what another view holds.
    pub fn add(&mut self, other: Self) {
        self.open.add(other.open);
        self.sealed.add(other.sealed);
        self.series_bytes += other.series_bytes;
    }

    /// Everything, bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.open.bytes + self.sealed.bytes + self.series_bytes
    }
}

/// Windows of every series of a view.
pub struct WindowStore {
    /// Slot of each measure in a batch's rows.
    slots: Vec<usize>,
    /// The slots are all there are, in order: a row is copied as it stands.
    takes_whole_rows: bool,
    /// One lock a batch: what was counted must stand still at a cut.
    pub(super) taken: Mutex<Taken>,
    /// Cuts whose parts are in a file.
    pub(super) saved: Mutex<BTreeSet<u64>>,
    shards: Vec<Mutex<Shard>>,
    /// What is sealed. Changed by the sealer alone.
    pub(super) holdings: Mutex<Holdings>,
    over_budget: AtomicBool,
}

impl WindowStore {
    /// For the measures at `slots` of rows that are `stride` wide.
    #[must_use]
    pub fn new(slots: Vec<usize>, stride: usize) -> Self {
        let takes_whole_rows = slots.iter().copied().eq(0..stride);
        Self {
            takes_whole_rows,
            taken: Mutex::new(Taken::new(slots.len())),
            saved: Mutex::default(),
            slots,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            holdings: Mutex::default(),
            over_budget: AtomicBool::new(false),
        }
    }

    pub(super) fn measures(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn shard(&self, series: u32) -> &Mutex<Shard> {
        &self.shards[shard_of(series)]
    }

    pub(super) fn shards(&self) -> &[Mutex<Shard>] {
        &self.shards
    }

    /// Fold a batch, one lock a shard; events in buckets before `sealed` are late.
    ///
    /// Returns how many were late.
    pub fn apply(&self, rows: &Rows<'_>, sealed: i64, scratch: &mut ByShard) -> u64 {
        scratch.group(rows.series);
        self.count_values(rows);
        let mut late = 0;
        for (number, shard) in self.shards.iter().enumerate() {
            let events = scratch.shard(number);
            if events.is_empty() {
                continue;
            }
            let mut shard = shard.lock();
            if shard.cut < rows.cut {
                shard.freeze(rows.cut, number);
            }
            for events in events.chunks(AHEAD) {
                shard.touch(rows.series, events);
                for &event in events {
                    late += self.push(&mut shard, rows, event as usize, sealed);
                }
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
        let mut taken = self.taken.lock();
        taken.freeze(rows.cut);
        taken.add(&present);
    }

    #[inline]
    fn push(&self, shard: &mut Shard, rows: &Rows<'_>, event: usize, sealed: i64) -> u64 {
        let slot = slot_of(rows.series[event]);
        shard.reach(slot);
        let ends_ns = rows.ends_ns[event];
        let bucket = ends_ns.div_euclid(BUCKET_S * SECOND_NS);
        if bucket < sealed || ends_ns < rows.horizon_ns {
            return push_late(shard, rows, event, (bucket, sealed));
        }
        let row = &rows.measures[event * rows.stride..][..rows.stride];
        let Shard { series, open, .. } = shard;
        if self.takes_whole_rows {
            series[slot].push(bucket, row.iter().copied(), open);
        } else {
            series[slot].push(bucket, self.slots.iter().map(|slot| row[*slot]), open);
        }
        0
    }

    /// Values of the measure at `place` taken since the start.
    pub(crate) fn values(&self, place: usize) -> u64 {
        self.taken.lock().values()[place]
    }

    /// Events of one series since the start; 0 before its first.
    #[must_use]
    pub fn events(&self, series: u32) -> u64 {
        let shard = self.shard(series).lock();
        shard.series.get(slot_of(series)).map_or(0, |windows| windows.events)
    }

    /// Start of the oldest sealed minute any series holds, Unix seconds.
    pub(crate) fn oldest_sealed_minute(&self) -> Option<i64> {
        self.holdings.lock().oldest(1).map(|number| number * TIERS[1].width_s)
    }

    /// Sealed minutes of one series that start in [start, end), seconds.
    pub(crate) fn minutes(&self, series: u32, (start, end): (i64, i64)) -> Vec<(i64, Sealed)> {
        let width_s = TIERS[1].width_s;
        let shard = self.shard(series).lock();
        let windows = shard.series.get(slot_of(series));
        let Some(rings) = windows.and_then(|windows| windows.rings.as_deref()) else {
            return Vec::new();
        };
        let minutes = rings.ring(1).iter().map(|minute| (minute.number() * width_s, minute));
        let inside = minutes.filter(|(at, _)| (start..end).contains(at));
        inside.map(|(at, minute)| (at, minute.clone())).collect()
    }

    /// What is held: read off counters, however many series there are.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        let mut footprint =
            Footprint { sealed: self.holdings.lock().total(), ..Default::default() };
        for shard in &self.shards {
            let shard = shard.lock();
            let mut open = shard.open;
            shard.frozen.iter().for_each(|frozen| open.add(frozen.held()));
            footprint.open.add(Held { buckets: open.buckets as usize, bytes: open.bytes as usize });
            footprint.series_bytes += shard.ringed * Rings::own_bytes()
                + allocated(shard.series.capacity() * size_of::<SeriesWindows>());
        }
        footprint
    }

    /// Count in what this view has sealed.
    pub(crate) fn add_holdings(&self, holdings: &mut Holdings) {
        holdings.absorb(&self.holdings.lock());
    }

    /// Whether the memory budget does not even hold the open edge, so that no new series fits.
    #[must_use]
    pub fn over_budget(&self) -> bool {
        self.over_budget.load(Ordering::Relaxed)
    }

    pub(crate) fn set_over_budget(&self, over: bool) {
        self.over_budget.store(over, Ordering::Relaxed);
    }

    /// Series that have fallen silent since the last call: nothing open, nothing
    /// sealed, nothing late is left of them.
    #[must_use]
    pub fn silent(&self) -> Vec<u32> {
        let mut silent = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            let listed = std::mem::take(&mut shard.silent);
            silent.extend(listed.into_iter().filter(|series| shard.is_silent(*series)));
        }
        silent.sort_unstable();
        silent.dedup();
        silent
    }

    /// Forget a silent series, so that its id may name another; its events since the start.
    ///
    /// `None`, and nothing changes, where it is not silent any more.
    pub fn forget(&self, series: u32) -> Option<u64> {
        let mut shard = self.shard(series).lock();
        let silent = shard.is_silent(series);
        let windows = shard.series.get_mut(slot_of(series));
        silent.then(|| windows.map_or(0, |windows| std::mem::take(&mut windows.events)))
    }
}

/// An event behind the watermark: counted by its time, unless it is older than any counter.
#[cold]
fn push_late(
    shard: &mut Shard,
    rows: &Rows<'_>,
    event: usize,
    (bucket, sealed): (i64, i64),
) -> u64 {
    let series = rows.series[event];
    let windows = &mut shard.series[slot_of(series)];
    if rows.ends_ns[event] < rows.horizon_ns {
        // Its series may be new, and would never fall silent otherwise.
        if windows.is_silent() {
            shard.silent.push(series);
        }
        return 0;
    }
    shard.ringed += usize::from(windows.rings.is_none());
    if windows.push_late(bucket, sealed) {
        shard.with_late.push(series);
    }
    1
}
