//! Sorted weighted keys to centroids, in one pass.

use super::gaps::Watch;
use super::radix;
use super::scale;

/// Centroids a sealed digest may hold: 1,600 B at 8 B each.
pub const CENTROIDS: usize = 200;

/// Fewest slots of the scale function: both extremes, and something between them.
const SLOTS_MIN: usize = 4;

/// Slots' worth of missing values that make a gap between centroids of many digests,
/// which crowd around the same ranks and leave stretches of nearly a slot between.
pub(super) const MERGED_GAP: f64 = 1.8;
/// The same between centroids much finer than the slots.
pub(super) const FINE_GAP: f64 = 1.25;

/// Shares of a slot above which a tie stays alone, the best of which is taken: loners
/// are exact but take centroids from the rest.
const ALONE_SHARES: [f64; 5] = [0.3, 0.6, 1.0, 0.15, 0.08];
/// The same for working centroids, which are finer.
const WORKING_SHARE: f64 = 0.25;
/// Share of a tie that ranks are off by where the curve runs through it.
const TIE_ERROR: f64 = 0.5;
/// Share of a centroid of different values that ranks are off by within it.
const MIXED_ERROR: f64 = 0.03;
/// Tries to make the centroids as few as promised, for one share.
const TRIES: usize = 6;
/// Centroids for one tie that may stay alone without a thought for the others.
const LONERS: usize = 16;

/// Some values at one place of the axis, on their way into a digest.
///
/// The derived order is total on what it holds, so sorting items makes any
/// result independent of the order they came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    /// Mean key.
    pub key: i32,
    /// The values lie evenly over `key ± spread`; 0 where that is not known, and
    /// [`PURE`] where all have exactly this key.
    pub spread: i32,
    /// How many values; at least 1.
    pub weight: u64,
}

/// The spread of a tie.
const PURE: i32 = -1;

impl Item {
    /// Values that all have this key.
    #[inline]
    pub(super) fn tie(key: i32, weight: u64) -> Self {
        Self { key, spread: PURE, weight }
    }

    /// Values whose mean is this key.
    #[inline]
    pub(super) fn mean(key: i32, weight: u64) -> Self {
        Self { key, spread: 0, weight }
    }

    /// The weight as a signed number, which the processor turns into f64 at once.
    #[inline]
    fn weight(self) -> i64 {
        self.weight.cast_signed()
    }

    /// Whether all values have exactly this key.
    #[inline]
    pub(super) fn is_pure(self) -> bool {
        self.spread == PURE
    }

    /// Cut the first `weight` values off an even spread.
    pub(super) fn split(self, weight: u64) -> (Self, Self) {
        let share = weight as f64 / self.weight as f64;
        let cut = (2.0 * f64::from(self.spread) * share) as i32;
        let start = self.key - self.spread;
        let part = |from: i32, width: i32, weight: u64| Self {
            key: from + width / 2,
            spread: width / 2,
            weight,
        };
        (part(start, cut, weight), part(start + cut, 2 * self.spread - cut, self.weight - weight))
    }
}

/// Items looked at together where a source can.
pub(super) const BLOCK: usize = 8;

/// Something sorted that a walk reads as items.
pub(super) trait Source: Copy {
    /// How many are looked at one by one before a block is tried again.
    const SINGLY: usize = usize::MAX;

    fn item(self) -> Item;

    /// Several as one, where none of them is a tie that may have to stay alone.
    #[inline]
    fn block(_items: &[Self; BLOCK]) -> Option<Block> {
        None
    }
}

/// What a centroid needs to know of several items.
pub(super) struct Block {
    /// Keys of the first and the last.
    pub ends: (i32, i32),
    pub weight: u32,
    /// Sum of weights times keys, from the first key on.
    pub offset_sum: u64,
    /// All are values, not means.
    pub pure: bool,
}

impl Source for Item {
    #[inline]
    fn item(self) -> Item {
        self
    }
}

/// Append `item` to sorted ones; a tie joins its like, however it arrived.
#[inline]
pub(super) fn push_joined(items: &mut Vec<Item>, item: Item) {
    match items.last_mut() {
        Some(last) if last.key == item.key && last.is_pure() && item.is_pure() => {
            last.weight += item.weight;
        }
        _ => items.push(item),
    }
}

/// Sorted items, each run of equal pure keys as one.
pub(super) fn joined(items: impl IntoIterator<Item = Item>) -> Vec<Item> {
    let items = items.into_iter();
    let mut out = Vec::with_capacity(items.size_hint().0);
    items.for_each(|item| push_joined(&mut out, item));
    out
}

/// One growing centroid. Sums are relative to the first key, so f64 holds them.
#[derive(Clone, Copy)]
struct Cluster {
    first: i32,
    last: i32,
    pure: bool,
    weight: u64,
    offset_sum: f64,
}

impl Cluster {
    #[inline]
    fn new(item: Item) -> Self {
        let Item { key, weight, .. } = item;
        Self { first: key, last: key, pure: item.is_pure(), weight, offset_sum: 0.0 }
    }

    #[inline]
    fn absorb(&mut self, item: Item) {
        self.pure &= item.is_pure();
        self.last = item.key;
        self.weight += item.weight;
        self.offset_sum +=
            (i64::from(item.key) - i64::from(self.first)) as f64 * item.weight() as f64;
    }

    /// Absorb single values, given as places from the cluster's first key up.
    #[inline]
    fn absorb_values(&mut self, values: &[u32]) {
        let Some(&last) = values.last() else { return };
        let first = radix::place(self.first);
        let sum: u64 = values.iter().map(|&value| u64::from(value - first)).sum();
        self.last = radix::key(last);
        self.weight += values.len() as u64;
        self.offset_sum += sum.cast_signed() as f64;
    }

    #[inline]
    fn absorb_block(&mut self, block: &Block) {
        self.pure &= block.pure;
        self.last = block.ends.1;
        self.weight += u64::from(block.weight);
        let start = i64::from(block.ends.0) - i64::from(self.first);
        self.offset_sum += start as f64 * f64::from(block.weight);
        self.offset_sum += block.offset_sum.cast_signed() as f64;
    }

    fn finish(self) -> Item {
        if self.pure && self.first == self.last {
            return Item::tie(self.first, self.weight);
        }
        let mean = (self.offset_sum / self.weight.cast_signed() as f64 + 0.5) as i64;
        Item::mean((i64::from(self.first) + mean) as i32, self.weight)
    }
}

/// Compress sorted and [`joined`] `items` (weights summing to `count`) to at most
/// `clusters` centroids.
///
/// A tie wider than its centroid may be stays whole and alone, so a constant
/// repeated a million times is one exact centroid. So do the values on either side
/// of a gap.
pub(super) fn compress<T: Source>(
    items: &[T],
    count: u64,
    clusters: usize,
    gap_slots: f64,
) -> Vec<Item> {
    if items.is_empty() || items.len() <= clusters && items.iter().all(|it| it.item().spread <= 0) {
        return items.iter().map(|it| it.item()).collect();
    }
    let full: Vec<f64> = scale::limits(count, clusters).collect();
    let mut best: Option<(f64, Vec<Item>)> = None;
    for share in ALONE_SHARES {
        let Some(fit) = fit(items, &full, share, gap_slots) else { continue };
        if fit.loners * LONERS < clusters {
            // No tie cost the others much.
            return fit.out;
        }
        let error = (fit.widest_tie * TIE_ERROR).max(looseness(&fit.out, &full) * MIXED_ERROR);
        if best.as_ref().is_none_or(|best| error < best.0) {
            best = Some((error, fit.out));
        }
    }
    best.map_or_else(|| coarse(items, count, clusters), |best| best.1)
}

/// Centroids as many as wanted, with what ties cost them.
struct Fit {
    out: Vec<Item>,
    /// Ties that stayed alone.
    loners: usize,
    /// Slots' worth of values in the widest tie that did not.
    widest_tie: f64,
}

/// At most as many centroids as there are `full` limits, with ties over `share` alone.
///
/// `None` where ties and gaps leave too few for the rest.
fn fit<T: Source>(items: &[T], full: &[f64], share: f64, gap_slots: f64) -> Option<Fit> {
    let clusters = full.len();
    let count = full[clusters - 1] as u64;
    let mut slots = clusters;
    let mut out = Vec::with_capacity(clusters + clusters / 2);
    for _ in 0..TRIES {
        if slots < clusters / 2 || slots < SLOTS_MIN {
            return None;
        }
        let plain = match slots == clusters {
            true => full.to_vec(),
            false => scale::limits(count, slots).collect(),
        };
        let watch = Watch::new(gap_slots, items[0].item().key);
        let mut pass = Pass::new(&plain, share, Some(watch), out);
        pass.walk(items);
        let gaps = pass.watch.take().and_then(|watch| watch.work_into(&plain));
        let Pass { mut loners, mut widest_tie, .. } = pass;
        out = pass.out;
        let mut many = out.len();
        if let Some(limits) = gaps {
            many = limits.len();
            if many <= clusters {
                let mut pass = Pass::new(&limits, share, None, out);
                pass.walk(items);
                (loners, widest_tie) = (pass.loners, pass.widest_tie);
                out = pass.out;
                many = out.len();
            }
        }
        if many <= clusters {
            let widest_tie = widest_tie * clusters as f64 / slots as f64;
            return Some(Fit { out, loners, widest_tie });
        }
        // As many slots less as there are centroids too many.
        slots -= (many - clusters).min(slots);
    }
    None
}

/// What always fits: with slots for half the centroids, and ties alone that are wider
/// than one, there are at most two a slot.
fn coarse<T: Source>(items: &[T], count: u64, clusters: usize) -> Vec<Item> {
    let limits: Vec<f64> = match clusters / 2 {
        slots if slots > SLOTS_MIN => scale::limits(count, slots - 1).collect(),
        _ => vec![count as f64],
    };
    let mut pass = Pass::new(&limits, 1.0, None, Vec::new());
    pass.walk(items);
    pass.out
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
        if !item.is_pure() {
            let width = limits[slot] - if slot == 0 { 0.0 } else { limits[slot - 1] };
            loosest = loosest.max(weight / width);
        }
    }
    loosest
}

/// Compress what `walk` walks over, sorted from the key `first` on, to about as many
/// centroids as there are `limits`.
///
/// For working centroids, which need not be as many as promised.
pub(super) fn condense(
    walk: impl Fn(&mut Pass<'_>),
    first: i32,
    limits: &[f64],
    out: Vec<Item>,
) -> Vec<Item> {
    let watch = Watch::new(MERGED_GAP, first);
    let mut pass = Pass::new(limits, WORKING_SHARE, Some(watch), out);
    walk(&mut pass);
    pass.close();
    match pass.watch.take().and_then(|watch| watch.work_into(limits)) {
        None => pass.out,
        Some(limits) => {
            let mut again = Pass::new(&limits, WORKING_SHARE, None, pass.out);
            walk(&mut again);
            again.close();
            again.out
        }
    }
}

/// One walk over the items: ranks rise, a slot at a time.
pub(super) struct Pass<'a> {
    limits: &'a [f64],
    alone_share: f64,
    watch: Option<Watch>,
    slot: usize,
    /// Rank at which the slot ends, and how many values it is for.
    end: f64,
    width: f64,
    before: f64,
    last: Item,
    /// Ties that stayed alone.
    loners: usize,
    /// Slots' worth of values in the widest tie that did not.
    widest_tie: f64,
    open: Option<Cluster>,
    out: Vec<Item>,
}

impl<'a> Pass<'a> {
    fn new(limits: &'a [f64], alone_share: f64, watch: Option<Watch>, mut out: Vec<Item>) -> Self {
        out.clear();
        let end = limits[0];
        Self {
            limits,
            alone_share,
            watch,
            slot: 0,
            end,
            width: end,
            before: 0.0,
            last: Item::tie(i32::MAX, 0),
            loners: 0,
            widest_tie: 0.0,
            open: None,
            out,
        }
    }

    fn walk<T: Source>(&mut self, items: &[T]) {
        self.walk_on(items);
        self.close();
    }

    /// Walk on over what comes next; the last centroid stays open.
    #[inline]
    pub(super) fn walk_on<T: Source>(&mut self, items: &[T]) {
        let mut rest = self.absorb_run(items);
        while let Some((item, others)) = rest.split_first() {
            let item = item.item();
            self.look(item);
            if item.spread > 0 {
                self.push_spread(item);
            } else {
                self.push(item);
            }
            self.last = item;
            rest = self.absorb_run(others);
        }
    }

    /// Whether a gap lies before `item`.
    #[inline]
    fn look(&mut self, item: Item) {
        if let Some(watch) = &mut self.watch
            && i64::from(item.key) - i64::from(self.last.key) > watch.suspect()
        {
            watch.inspect(self.last, item, self.before);
        }
    }

    /// Let the items that belong to the open centroid join it; returns those that do not.
    #[inline]
    fn absorb_run<'b, T: Source>(&mut self, items: &'b [T]) -> &'b [T] {
        // Where a slot holds few, trying a block costs more than it gains.
        if items.len() < BLOCK * (self.limits.len() - self.slot) {
            return self.absorb_each(items);
        }
        let mut rest = items;
        loop {
            rest = self.absorb_blocks(rest);
            let (next, others) = rest.split_at(rest.len().min(T::SINGLY));
            let left = self.absorb_each(next);
            if !left.is_empty() || others.is_empty() {
                return &rest[next.len() - left.len()..];
            }
            rest = others;
        }
    }

    /// The same while all of a block surely belong.
    #[inline]
    fn absorb_blocks<'b, T: Source>(&mut self, items: &'b [T]) -> &'b [T] {
        let Some(cluster) = &mut self.open else { return items };
        let suspect = self.watch.as_ref().map_or(i64::MAX, Watch::suspect);
        let mut rest = items;
        while let Some((items, others)) = rest.split_first_chunk()
            && let Some(block) = T::block(items)
            && self.before + f64::from(block.weight) <= self.end
            && i64::from(block.ends.1) - i64::from(self.last.key) <= suspect
        {
            cluster.absorb_block(&block);
            self.before += f64::from(block.weight);
            self.last = items[BLOCK - 1].item();
            rest = others;
        }
        rest
    }

    /// The same one by one. What most items take, so it keeps to local variables.
    #[inline]
    fn absorb_each<'b, T: Source>(&mut self, items: &'b [T]) -> &'b [T] {
        let Some(cluster) = self.open else { return items };
        let (mut open, mut before, mut last) = (cluster, self.before, self.last);
        let (slot_end, alone) = (self.end, self.alone_share * self.width);
        let suspect = self.watch.as_ref().map_or(i64::MAX, Watch::suspect);
        let mut end = items.len();
        for (at, item) in items.iter().enumerate() {
            let item = item.item();
            let weight = item.weight() as f64;
            let is_tie = item.weight > 1 && item.is_pure();
            let stays = before + 0.5 * weight <= slot_end
                && item.spread <= 0
                && i64::from(item.key) - i64::from(last.key) <= suspect;
            if !stays || is_tie && weight > alone {
                end = at;
                break;
            }
            if is_tie {
                self.widest_tie = self.widest_tie.max(weight / self.width);
            }
            before += weight;
            open.absorb(item);
            last = item;
        }
        (self.open, self.before, self.last) = (Some(open), before, last);
        &items[end..]
    }

    /// Walk on over single values, given as places; the last centroid stays open.
    pub(super) fn walk_values(&mut self, values: &[u32]) {
        let mut rest = self.absorb_values(values);
        while let Some((&value, others)) = rest.split_first() {
            let item = Item::tie(radix::key(value), 1);
            self.look(item);
            self.push(item);
            self.last = item;
            rest = self.absorb_values(others);
        }
    }

    /// Let the values that belong to the open centroid join it; returns those that do not.
    ///
    /// Their ranks follow from how many there are, so that only sums are left to do.
    #[inline]
    fn absorb_values<'b>(&mut self, values: &'b [u32]) -> &'b [u32] {
        let Some(cluster) = &mut self.open else { return values };
        let room = self.end - self.before - 0.5;
        if room < 0.0 {
            return values;
        }
        let mut fits = values.len().min(room as usize + 1);
        let suspect = self.watch.as_ref().map_or(i64::MAX, Watch::suspect);
        let mut last = radix::place(self.last.key);
        let is_gap = |from: u32, to: u32| i64::from(to) - i64::from(from) > suspect;
        if fits > 0 && is_gap(last, values[fits - 1]) {
            // All of them together lie so far apart: one step may.
            let gap = values[..fits]
                .iter()
                .position(|&value| is_gap(std::mem::replace(&mut last, value), value));
            fits = gap.unwrap_or(fits);
        }
        let (joining, rest) = values.split_at(fits);
        let Some(&last) = joining.last() else { return values };
        cluster.absorb_values(joining);
        self.before += fits as f64;
        self.last = Item::tie(radix::key(last), 1);
        rest
    }

    /// Push a spread item, cut where limits fall inside it.
    fn push_spread(&mut self, mut rest: Item) {
        while rest.spread > 0 {
            let start = self.before;
            let after = self.limits[self.slot..].iter().find(|limit| **limit > start);
            let weight = after.map_or(rest.weight, |after| (after - start).ceil() as u64);
            if weight >= rest.weight {
                break;
            }
            let (part, remainder) = rest.split(weight);
            self.push(part);
            rest = remainder;
        }
        self.push(rest);
    }

    #[inline]
    fn push(&mut self, item: Item) {
        let weight = item.weight() as f64;
        let middle = self.before + weight * 0.5;
        if middle > self.end {
            self.advance(middle);
        }
        self.before += weight;
        if item.weight > 1 && item.is_pure() {
            let share = weight / self.width;
            if share > self.alone_share {
                self.close();
                self.loners += 1;
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
            if let Some(watch) = &mut self.watch {
                let middle = self.before - 0.5 * self.last.weight() as f64;
                watch.enter(self.width, (middle, f64::from(self.last.key)));
            }
        }
    }

    #[inline]
    fn close(&mut self) {
        self.out.extend(self.open.take().map(Cluster::finish));
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
        let out = compress(&singles(0..100_000), 100_000, CENTROIDS, FINE_GAP);
        assert_eq!(100_000, out.iter().map(|c| c.weight).sum::<u64>());
        assert!(out.windows(2).all(|pair| pair[0].key <= pair[1].key));
        assert_eq!((1, 1), (out[0].weight, out[out.len() - 1].weight));
        assert!(out.len() <= CENTROIDS, "{}", out.len());
    }

    /// Single values give the centroids that they give as items, gaps and ties included.
    #[test]
    fn values_are_items() {
        let crowd = (0..20_000).map(|it| it * it / 5_000);
        let keys: Vec<i32> = crowd.chain(9_000_000..9_004_000).chain([i32::MAX - 1]).collect();
        let limits: Vec<f64> = scale::limits(keys.len() as u64, CENTROIDS).collect();
        let items = singles(keys.iter().copied());
        let values: Vec<u32> = keys.iter().map(|&key| radix::place(key)).collect();
        let of_items = condense(|pass| pass.walk_on(&items), 0, &limits, Vec::new());
        let of_values = condense(|pass| pass.walk_values(&values), 0, &limits, Vec::new());
        assert_eq!(of_items, of_values);
    }

    /// Words, which are looked at in blocks, give the centroids that their items give.
    #[test]
    fn words_are_items() {
        let weight = |at: i32| (at % 7 + if at % 41 == 0 { 9_000 } else { 1 }) as u64;
        let item = |at: i32| match at % 11 {
            0 => Item::tie(at * 600, weight(at)),
            _ => Item::mean(at * 600 + at % 5, weight(at)),
        };
        let items: Vec<Item> = (0..9_000).chain(40_000..41_000).map(item).collect();
        let words: Vec<u64> = items.iter().filter_map(|item| item.as_word()).collect();
        let count = items.iter().map(|item| item.weight).sum();
        let of = |clusters| {
            let of_items = compress(&items, count, clusters, MERGED_GAP);
            (of_items, compress(&words, count, clusters, MERGED_GAP))
        };
        for clusters in [20, CENTROIDS, 4 * CENTROIDS] {
            let (of_items, of_words) = of(clusters);
            assert_eq!(of_items, of_words, "{clusters} centroids");
        }
    }

    /// A tie of a million equal values stays one exact centroid.
    #[test]
    fn ties_stay_whole() {
        let ties = std::iter::repeat_n(500_000, 1_000_000);
        let items = joined(singles((0..1_000).chain(ties).chain(1_000_000..1_001_000)));
        let out = compress(&items, 1_002_000, CENTROIDS, FINE_GAP);
        assert!(out.contains(&Item::tie(500_000, 1_000_000)));
    }
}
