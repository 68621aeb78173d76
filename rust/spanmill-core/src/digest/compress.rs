//! Sorted weighted keys to centroids, in one pass.

use super::{gaps, scale};

/// Centroids a sealed digest may hold: 1,600 B at 8 B each.
pub const CENTROIDS: usize = 200;

/// Fewest slots of the scale function: both extremes, and something between them.
const SLOTS_MIN: usize = 4;

/// Slots' worth of missing values that make a gap between centroids of many digests,
/// which crowd around the same ranks and leave stretches of nearly a slot between.
pub(super) const MERGED_GAP: f64 = 2.5;
/// The same between centroids much finer than the slots.
pub(super) const FINE_GAP: f64 = 1.25;

/// Shares of a slot above which a tie stays alone, the best of which is taken: loners
/// are exact but take centroids from the rest.
const ALONE_SHARES: [f64; 5] = [0.3, 0.6, 1.0, 0.15, 0.08];
/// The same for working centroids, which are finer.
const WORKING_SHARE: f64 = 0.5;
/// Share of a tie that ranks are off by where the curve runs through it.
const TIE_ERROR: f64 = 0.5;
/// Share of a centroid of different values that ranks are off by within it.
const MIXED_ERROR: f64 = 0.03;
/// Tries to make the centroids as few as promised, for one share.
const TRIES: usize = 4;

/// Some values at one place of the axis, on their way into a digest.
///
/// The derived order is total on what it holds, so sorting items makes any
/// result independent of the order they came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    /// Mean key.
    pub key: i32,
    /// The values lie evenly over `key ± spread`; 0 where that is not known.
    pub spread: i32,
    /// All values have exactly this key.
    pub pure: bool,
    /// How many values; at least 1.
    pub weight: u64,
}

impl Item {
    /// Values that all have this key.
    pub(super) fn tie(key: i32, weight: u64) -> Self {
        Self { key, spread: 0, pure: true, weight }
    }

    /// Cut the first `weight` values off an even spread.
    fn split(self, weight: u64) -> (Self, Self) {
        let share = weight as f64 / self.weight as f64;
        let cut = (2.0 * f64::from(self.spread) * share) as i32;
        let start = self.key - self.spread;
        let part = |from: i32, width: i32, weight: u64| Self {
            key: from + width / 2,
            spread: width / 2,
            weight,
            ..self
        };
        (part(start, cut, weight), part(start + cut, 2 * self.spread - cut, self.weight - weight))
    }
}

/// One growing centroid. Sums are relative to the first key, so f64 holds them.
struct Cluster {
    first: i32,
    weight: u64,
    offset_sum: f64,
    pure: bool,
}

impl Cluster {
    fn new(item: Item) -> Self {
        Self { first: item.key, weight: item.weight, offset_sum: 0.0, pure: item.pure }
    }

    fn absorb(&mut self, item: Item) {
        self.pure &= item.pure && item.key == self.first;
        self.weight += item.weight;
        self.offset_sum += (f64::from(item.key) - f64::from(self.first)) * item.weight as f64;
    }

    fn finish(&self) -> Item {
        let mean = (self.offset_sum / self.weight as f64).round() as i32;
        Item { key: self.first + mean, spread: 0, pure: self.pure, weight: self.weight }
    }
}

/// Items in order, each run of equal pure keys as one: a tie however it arrived.
#[derive(Clone)]
struct Ties<I> {
    items: I,
    next: Option<Item>,
}

impl<I: Iterator<Item = Item>> Ties<I> {
    fn new(mut items: I) -> Self {
        let next = items.next();
        Self { items, next }
    }
}

impl<I: Iterator<Item = Item>> Iterator for Ties<I> {
    type Item = Item;

    #[inline]
    fn next(&mut self) -> Option<Item> {
        let mut tie = self.next?;
        loop {
            self.next = self.items.next();
            match self.next {
                Some(item) if item.key == tie.key && item.pure && tie.pure => {
                    tie.weight += item.weight;
                }
                _ => return Some(tie),
            }
        }
    }
}

/// Compress sorted `items` (weights summing to `count`) to at most `clusters` centroids.
///
/// A tie wider than its centroid may be stays whole and alone, so a constant
/// repeated a million times is one exact centroid. So do the values on either side
/// of a gap.
pub(super) fn compress(
    items: impl Iterator<Item = Item> + Clone,
    count: u64,
    clusters: usize,
    gap_slots: f64,
) -> Vec<Item> {
    let items = Ties::new(items);
    let mut out: Vec<Item> = Vec::with_capacity(clusters + 1);
    out.extend(items.clone().take(clusters + 1));
    if out.len() <= clusters && out.iter().all(|item| item.spread == 0) {
        return out;
    }
    let full: Vec<f64> = scale::limits(count, clusters).collect();
    let mut best = (f64::INFINITY, Vec::new());
    for share in ALONE_SHARES {
        let mut slots = clusters;
        let mut tie = 0.0;
        for _ in 0..TRIES {
            let limits = scale::limits(count, slots).collect();
            let limits = gaps::around(items.clone(), limits, gap_slots);
            let mut pass = Pass::new(&limits, share, out);
            pass.walk(items.clone());
            tie = pass.widest_tie * clusters as f64 / slots as f64;
            out = pass.out;
            if out.len() <= clusters {
                if slots == clusters {
                    // No tie cost the others anything.
                    return out;
                }
                break;
            }
            slots = slots.saturating_sub(out.len() - clusters).max(SLOTS_MIN.max(slots / 2));
        }
        let error = (tie * TIE_ERROR).max(looseness(&out, &full) * MIXED_ERROR);
        if out.len() <= clusters && error < best.0 {
            best = (error, std::mem::take(&mut out));
        }
    }
    if best.1.is_empty() { Pass::new(&[count as f64], 1.0, out).run(items) } else { best.1 }
}

/// How much wider than its slot the widest centroid is that is not a tie.
fn looseness(out: &[Item], limits: &[f64]) -> f64 {
    let (mut slot, mut before) = (0, 0.0);
    let mut loosest = 0.0f64;
    for item in out {
        let weight = item.weight as f64;
        while limits[slot] < before + 0.5 * weight && slot + 1 < limits.len() {
            slot += 1;
        }
        before += weight;
        if !item.pure {
            let width = limits[slot] - if slot == 0 { 0.0 } else { limits[slot - 1] };
            loosest = loosest.max(weight / width);
        }
    }
    loosest
}

/// Compress sorted `items` to about as many centroids as there are `limits`.
///
/// For working centroids, which need not be as many as promised.
pub(super) fn condense(
    items: impl Iterator<Item = Item> + Clone,
    limits: Vec<f64>,
    out: Vec<Item>,
) -> Vec<Item> {
    let items = Ties::new(items);
    let limits = gaps::around(items.clone(), limits, MERGED_GAP);
    Pass::new(&limits, WORKING_SHARE, out).run(items)
}

/// One walk over the items: ranks rise, a slot at a time.
struct Pass<'a> {
    limits: &'a [f64],
    alone_share: f64,
    slot: usize,
    /// Rank at which the slot ends, and how many values it is for.
    end: f64,
    width: f64,
    before: u64,
    /// Slots' worth of values in the widest tie that did not stay alone.
    widest_tie: f64,
    open: Option<Cluster>,
    out: Vec<Item>,
}

impl<'a> Pass<'a> {
    fn new(limits: &'a [f64], alone_share: f64, mut out: Vec<Item>) -> Self {
        out.clear();
        let end = limits[0];
        Self {
            limits,
            alone_share,
            slot: 0,
            end,
            width: end,
            before: 0,
            widest_tie: 0.0,
            open: None,
            out,
        }
    }

    fn run(mut self, items: impl Iterator<Item = Item>) -> Vec<Item> {
        self.walk(items);
        self.out
    }

    fn walk(&mut self, items: impl Iterator<Item = Item>) {
        for item in items {
            let mut rest = item;
            while let Some((part, remainder)) = self.cut(rest) {
                self.push(part);
                rest = remainder;
            }
            self.push(rest);
        }
        self.close();
    }

    /// Cut a spread item where the limit after its first rank falls inside it.
    fn cut(&self, item: Item) -> Option<(Item, Item)> {
        if item.spread == 0 {
            return None;
        }
        let start = self.before as f64;
        let after = self.limits[self.slot..].iter().find(|limit| **limit > start)?;
        let weight = (after - start).ceil() as u64;
        (weight < item.weight).then(|| item.split(weight))
    }

    #[inline]
    fn push(&mut self, item: Item) {
        let middle = self.before as f64 + item.weight as f64 * 0.5;
        self.before += item.weight;
        if middle > self.end {
            self.advance(middle);
        }
        if item.pure && item.weight > 1 {
            let share = item.weight as f64 / self.width;
            if share > self.alone_share {
                self.close();
                self.out.push(item);
                return;
            }
            self.widest_tie = self.widest_tie.max(share);
        }
        if let Some(cluster) = self.open.as_mut() {
            cluster.absorb(item);
        } else {
            self.open = Some(Cluster::new(item));
        }
    }

    /// Move on to the slot that holds a rank.
    fn advance(&mut self, rank: f64) {
        let from = self.slot;
        while self.limits[self.slot] < rank && self.slot + 1 < self.limits.len() {
            self.slot += 1;
        }
        if self.slot > from {
            self.close();
            self.end = self.limits[self.slot];
            self.width = self.end - self.limits[self.slot - 1];
        }
    }

    fn close(&mut self) {
        self.out.extend(self.open.take().map(|cluster| cluster.finish()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn singles(keys: impl IntoIterator<Item = i32>) -> Vec<Item> {
        keys.into_iter().map(|key| Item::tie(key, 1)).collect()
    }

    /// Weights survive, keys stay sorted, extremes stay alone and the size is kept.
    #[test]
    fn keeps_weight_order_and_extremes() {
        let out = compress(singles(0..100_000).into_iter(), 100_000, CENTROIDS, FINE_GAP);
        assert_eq!(100_000, out.iter().map(|c| c.weight).sum::<u64>());
        assert!(out.windows(2).all(|pair| pair[0].key <= pair[1].key));
        assert_eq!((1, 1), (out[0].weight, out[out.len() - 1].weight));
        assert!(out.len() <= CENTROIDS, "{}", out.len());
    }

    /// A tie of a million equal values stays one exact centroid.
    #[test]
    fn ties_stay_whole() {
        let mut items = singles(0..1_000);
        items.extend(std::iter::repeat_n(Item::tie(500_000, 1), 1_000_000));
        items.extend(singles(1_000_000..1_001_000));
        let out = compress(items.into_iter(), 1_002_000, CENTROIDS, FINE_GAP);
        assert!(out.contains(&Item::tie(500_000, 1_000_000)));
    }
}
