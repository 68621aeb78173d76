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
/// Slots for one gap that may have limits of its own.
const SLOTS_A_GAP: usize = 40;

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

/// Rank and key some slots back, and half as many.
///
/// The density between the first and the last item is that of the data here.
#[derive(Clone, Copy)]
struct Anchors([(f64, f64); 2]);

impl Anchors {
    /// Keys that a slot's worth of values takes; `None` where too few came.
    #[inline]
    fn keys_a_slot(&self, middle: f64, key: f64, slot: f64) -> Option<f64> {
        let (rank, from) = self.0[0];
        (middle - rank >= slot).then(|| (key - from) * slot / (middle - rank))
    }

    #[inline]
    fn follow(&mut self, middle: f64, key: f64, span: f64) {
        if middle - self.0[1].0 >= span {
            self.0 = [self.0[1], (middle, key)];
        }
    }
}

/// Limits as given, with those of the gaps in sorted `items` worked in.
///
/// A stretch is a gap if at least `slots` slots' worth of values are missing there, at the
/// density before it.
pub(super) fn around(
    items: impl Iterator<Item = Item>,
    mut limits: Vec<f64>,
    slots: f64,
) -> Vec<f64> {
    let mut gaps = find(items, &limits, slots);
    if gaps.is_empty() {
        return limits;
    }
    gaps.sort_by(|a, b| b.missing.total_cmp(&a.missing).then(a.rank.total_cmp(&b.rank)));
    gaps.truncate((limits.len() / SLOTS_A_GAP).max(1));
    let count = limits[limits.len() - 1];
    for gap in &gaps {
        let distances = distances(gap.slot);
        let reach = distances.last().copied().unwrap_or(0.0);
        limits.retain(|limit| *limit == count || (limit - gap.rank).abs() >= reach);
        limits.push(gap.rank);
        limits.extend(distances.iter().flat_map(|d| [gap.rank - d, gap.rank + d]));
    }
    limits.sort_unstable_by(f64::total_cmp);
    limits.dedup();
    limits.retain(|limit| (1.0..=count).contains(limit));
    limits
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

fn find(items: impl Iterator<Item = Item>, limits: &[f64], slots: f64) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut ranks = limits.iter().copied();
    let (mut low, mut high) = (0.0, 0.0);
    let mut before = 0.0;
    let mut anchors: Option<[Anchors; 2]> = None;
    let (mut last, mut middle) = (Item::tie(0, 0), 0.0);
    for item in items {
        let weight = item.weight as f64;
        let here = before + 0.5 * weight;
        while high < here {
            (low, high) = (high, ranks.next().unwrap_or(f64::INFINITY));
        }
        let key = f64::from(item.key);
        let anchors = anchors.get_or_insert([Anchors([(here, key); 2]); 2]);
        let slot = high - low;
        if slot >= SLOT_MIN {
            let empty = key - f64::from(last.key);
            let known = |anchors: &Anchors| anchors.keys_a_slot(middle, f64::from(last.key), slot);
            let step = is_tie(last, slot) && is_tie(item, slot);
            if let [Some(near), Some(far)] = anchors.each_ref().map(known)
                && !step
                && empty > slots.max(MISSING_MIN / slot) * near.max(far)
                && empty * slot > EXTENTS * extent(last).max(extent(item)) * near.max(far)
            {
                let missing = empty / near.max(far).max(1.0);
                gaps.push(Gap { rank: before, slot, missing });
                anchors.iter_mut().flat_map(|it| &mut it.0).for_each(|anchor| anchor.1 += empty);
            }
        }
        for (anchors, span) in anchors.iter_mut().zip(SPANS) {
            anchors.follow(here, key, span * slot);
        }
        before += weight;
        (last, middle) = (item, here);
    }
    gaps
}

/// Values over which an item spreads; a tie does not.
#[inline]
fn extent(item: Item) -> f64 {
    if item.pure { 0.0 } else { item.weight as f64 }
}

/// Whether the item stays alone whatever lies beside it.
fn is_tie(item: Item, slot: f64) -> bool {
    item.pure && item.weight as f64 >= slot
}
