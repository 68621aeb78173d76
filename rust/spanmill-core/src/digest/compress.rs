//! Sorted weighted keys to centroids, in one pass.

use super::scale;

/// Centroids a sealed digest may hold: 1,600 B at 8 B each.
pub const CENTROIDS: usize = 200;

/// Shares of a centroid's rank limit above which a tie stays alone, tried in turn.
///
/// Loners spend centroids, so where many ties compete the stricter share wins.
const ALONE_SHARES: [f64; 3] = [0.3, 0.6, 1.0];

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

/// Join runs of equal pure keys: a tie is one item however it arrived.
fn join_ties(items: &mut Vec<Item>) {
    items.dedup_by(|item, kept| {
        let tie = item.pure && kept.pure && item.key == kept.key;
        if tie {
            kept.weight += item.weight;
        }
        tie
    });
}

/// Compress sorted `items` (weights summing to `count`) to about `clusters` centroids.
///
/// A tie wider than its centroid may be stays whole and alone, so a constant
/// repeated a million times is one exact centroid.
pub(super) fn compress(mut items: Vec<Item>, count: u64, clusters: usize) -> Vec<Item> {
    join_ties(&mut items);
    if count < 3 || (items.len() <= clusters && items.iter().all(|item| item.spread == 0)) {
        return items;
    }
    let limits: Vec<f64> = scale::limits(count, clusters).collect();
    let mut out = Vec::new();
    for alone in ALONE_SHARES {
        out = Pass { limits: &limits, slot: 0, before: 0, open: None, out }.run(&items, alone);
        if out.len() <= clusters {
            break;
        }
    }
    out
}

/// One walk over the items: ranks rise, a slot of the scale function at a time.
struct Pass<'a> {
    limits: &'a [f64],
    slot: usize,
    before: u64,
    open: Option<Cluster>,
    out: Vec<Item>,
}

impl Pass<'_> {
    fn run(mut self, items: &[Item], alone_share: f64) -> Vec<Item> {
        self.out.clear();
        for &item in items {
            let mut rest = item;
            while let Some((part, remainder)) = self.cut(rest) {
                self.push(part, alone_share);
                rest = remainder;
            }
            self.push(rest, alone_share);
        }
        self.close();
        self.out
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

    fn push(&mut self, item: Item, alone_share: f64) {
        let middle = self.before as f64 + item.weight as f64 * 0.5;
        self.before += item.weight;
        let from = self.slot;
        while self.limits[self.slot] < middle && self.slot + 1 < self.limits.len() {
            self.slot += 1;
        }
        let lower = if self.slot == 0 { 0.0 } else { self.limits[self.slot - 1] };
        let width = self.limits[self.slot] - lower;
        let alone = item.pure && item.weight > 1 && item.weight as f64 > alone_share * width;
        if alone {
            self.close();
            self.out.push(item);
        } else if let Some(cluster) = self.open.as_mut().filter(|_| from == self.slot) {
            cluster.absorb(item);
        } else {
            self.close();
            self.open = Some(Cluster::new(item));
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
        let out = compress(singles(0..100_000), 100_000, CENTROIDS);
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
        let out = compress(items, 1_002_000, CENTROIDS);
        assert!(out.contains(&Item::tie(500_000, 1_000_000)));
    }
}
