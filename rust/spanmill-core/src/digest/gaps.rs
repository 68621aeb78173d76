//! Gaps: stretches of the axis that hold nothing while both sides are crowded.
//!
//! Left alone, a centroid or the curve would reach into one. Where a gap is known
//! its edges get limits of their own: the values beside it stay alone, and
//! centroids grow from them as they do from the ends of the data.

use super::compress::Item;

/// Widths of a centroid missing, at the density before it, that make a stretch a gap:
/// what stands for many values is further from its neighbours than they were.
const EXTENTS: f64 = 4.0;
/// Values in a slot below which there is nothing to keep apart.
const SLOT_MIN: f64 = 2.0;
/// Values that must be missing: fewer may be by chance.
const MISSING_MIN: f64 = 16.0;
/// Slots over which the density is taken. Two spans must agree, or the unevenness of
/// centroids that stand for many values would look like gaps.
const SPANS: [f64; 2] = [1.0, 4.0];
/// How much further from the gap each limit beside it lies than the one before: near it,
/// where centroids are light, and from an eighth of a slot on, where the curve bends most.
const GROWTHS: [f64; 2] = [2.0, 1.5];
/// Slots for one gap that may have limits growing from it; they take about 30.
const SLOTS_A_GAP: usize = 128;
/// Slots for one gap whose edges may stand alone.
const SLOTS_AN_EDGE: usize = 16;

/// An empty stretch.
#[derive(Debug, Clone, Copy)]
struct Gap {
    /// Values before it.
    rank: f64,
    /// Width of the slot that it lies in, in values.
    slot: f64,
    /// Slots' worth of values missing.
    missing: f64,
}

/// A rank and its key some slots back, and one about half as far.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    older: (f64, f64),
    newer: (f64, f64),
}

impl Anchor {
    /// Keys that `slot` values take between the older one and here; moves on after `span`
    /// values. Infinite where too few values lie between.
    #[inline]
    fn spacing(&mut self, (rank, key): (f64, f64), slot: f64, span: f64) -> f64 {
        let (values, keys) = (rank - self.older.0, key - self.older.1);
        if rank - self.newer.0 >= span {
            (self.older, self.newer) = (self.newer, (rank, key));
        }
        if values >= slot { keys * slot / values } else { f64::INFINITY }
    }

    /// Take an empty stretch out of the density.
    fn skip(&mut self, keys: f64) {
        self.older.1 += keys;
        self.newer.1 += keys;
    }
}

/// Looks for gaps along a walk over sorted items, slot by slot.
#[derive(Debug)]
pub(super) struct Watch {
    /// Slots' worth of values that must be missing.
    slots: f64,
    anchors: [Anchor; 2],
    /// Width of the slot, in values, and the keys that as many values take.
    slot: f64,
    spacing: f64,
    /// Keys between two items that may be a gap.
    suspect: i64,
    gaps: Vec<Gap>,
}

impl Watch {
    /// One that begins at the first key. A stretch is a gap if at least `slots` slots'
    /// worth of values are missing there, at the density before it.
    pub(super) fn new(slots: f64, first: i32) -> Self {
        let start = (0.0, f64::from(first));
        let anchors = [Anchor { older: start, newer: start }; 2];
        let spacing = f64::INFINITY;
        Self { slots, anchors, slot: 0.0, spacing, suspect: i64::MAX, gaps: Vec::new() }
    }

    /// A slot of this width begins after a last item in the middle of which `here` is.
    #[inline]
    pub(super) fn enter(&mut self, slot: f64, here: (f64, f64)) {
        self.suspect = i64::MAX;
        if slot >= SLOT_MIN {
            let [near, far] = &mut self.anchors;
            let spacing = near.spacing(here, slot, SPANS[0] * slot);
            self.spacing = spacing.max(far.spacing(here, slot, SPANS[1] * slot));
            self.suspect = (self.slots.max(MISSING_MIN / slot) * self.spacing) as i64;
            self.slot = slot;
        }
    }

    /// Keys from one item to the next that are worth a look.
    #[inline]
    pub(super) fn suspect(&self) -> i64 {
        self.suspect
    }

    /// Look at a suspect stretch, with `before` values before it.
    #[cold]
    pub(super) fn inspect(&mut self, last: Item, item: Item, before: f64) {
        let empty = f64::from(item.key) - f64::from(last.key);
        let step = is_tie(last, self.slot) && is_tie(item, self.slot);
        let extent = extent(last).max(extent(item));
        if !step && empty * self.slot > EXTENTS * extent * self.spacing {
            let missing = empty / self.spacing.max(1.0);
            self.gaps.push(Gap { rank: before, slot: self.slot, missing });
            self.anchors.iter_mut().for_each(|anchor| anchor.skip(empty));
        }
    }

    /// Limits as given, with those of the gaps worked in; `None` where there are none.
    pub(super) fn work_into(mut self, limits: &[f64]) -> Option<Vec<f64>> {
        if self.gaps.is_empty() {
            return None;
        }
        let by_size = |a: &Gap, b: &Gap| b.missing.total_cmp(&a.missing);
        self.gaps.sort_by(|a, b| by_size(a, b).then(a.rank.total_cmp(&b.rank)));
        self.gaps.truncate((limits.len() / SLOTS_AN_EDGE).max(1));
        let growing = (limits.len() / SLOTS_A_GAP).max(1);
        let count = limits[limits.len() - 1];
        let mut limits = limits.to_vec();
        for (at, gap) in self.gaps.iter().enumerate() {
            let distances = if at < growing { distances(gap.slot) } else { vec![1.0] };
            let reach = distances.last().copied().unwrap_or(0.0);
            limits.retain(|limit| *limit == count || (limit - gap.rank).abs() >= reach);
            limits.push(gap.rank);
            limits.extend(distances.iter().flat_map(|d| [gap.rank - d, gap.rank + d]));
        }
        limits.sort_unstable_by(f64::total_cmp);
        limits.dedup();
        limits.retain(|limit| (1.0..=count).contains(limit));
        Some(limits)
    }
}

/// How far from a gap limits stand: 1, then ever further, until they are a slot apart.
fn distances(slot: f64) -> Vec<f64> {
    let mut out = vec![1.0];
    let mut distance = 1.0;
    loop {
        let next = distance * GROWTHS[usize::from(distance >= slot / 8.0)];
        if next - distance > slot {
            return out;
        }
        distance = next;
        out.push(distance);
    }
}

/// Values over which an item spreads; a tie does not.
#[inline]
fn extent(item: Item) -> f64 {
    if item.is_pure() { 0.0 } else { item.weight as f64 }
}

/// Whether the item stays alone whatever lies beside it.
fn is_tie(item: Item, slot: f64) -> bool {
    item.is_pure() && item.weight as f64 >= slot
}
