//! Very many centroids and single values, gathered on a fine grid instead of sorted.
//!
//! Adding integers to bins is commutative, so the result is the same for any order,
//! at a fraction of a sort's cost.

use std::cell::Cell;

use super::compress::{Item, joined};
use super::radix;
use super::scale;
use super::sealed::{PURE, word, word_item, word_place, word_weight};

/// Bins over the range of the data: far more than centroids, and they fit the cache.
const BINS: usize = 1 << 14;
/// Fewer centroids and values than this are sorted.
const PARTS_MIN: usize = 1 << 14;
/// Share of its slot of the scale function that a bin of different keys may hold.
const SLOT_SHARE: f64 = 0.5;
/// Largest count whose key sums fit: weights times offsets of up to 18 bits.
const COUNT_MAX: u64 = 1 << 45;
/// Centroids or values that are looked at together for one that is to be sorted.
const AT_ONCE: usize = 64;

/// What one bin holds. Three sums and no comparison: it is what every value costs.
#[derive(Clone, Copy)]
struct Bin {
    weight: u64,
    /// Sum of weight times offset from the bin's start.
    offsets: u64,
    /// Bits that some offset has, and 32 bits higher those that some offset lacks: a bit
    /// that is in both halves tells two offsets apart. [`PURE`]'s bit, which no offset
    /// has, is set for a centroid that is no tie.
    seen: u64,
}

const EMPTY: Bin = Bin { weight: 0, offsets: 0, seen: 0 };

impl Bin {
    #[inline]
    fn add(&mut self, offset: u32, weight: u64, impure: u64) {
        self.weight += weight;
        self.offsets += weight * u64::from(offset);
        self.seen |= u64::from(!offset) << 32 | u64::from(offset) | impure;
    }

    /// Whether it holds different keys, or a centroid that does.
    fn is_mixed(&self) -> bool {
        self.seen >> 32 & self.seen != 0
    }

    fn item(&self, start: i64) -> Item {
        let mean = (self.offsets + self.weight / 2) / self.weight;
        let key = (start + mean.cast_signed()) as i32;
        if self.is_mixed() { Item::mean(key, self.weight) } else { Item::tie(key, self.weight) }
    }
}

/// Centroids and single values, in any order.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    /// Centroids; none is escaped.
    pub words: &'a [u64],
    /// Keys of single values.
    pub keys: &'a [i32],
}

impl Parts<'_> {
    fn len(self) -> usize {
        self.words.len() + self.keys.len()
    }
}

/// Sorted items for the parts, whose keys lie between `low` and `high`, on their way to
/// `clusters` centroids.
///
/// `None` where sorting is cheaper or the data are too narrow for the grid.
pub(super) fn gather(
    parts: Parts<'_>,
    ends: (i32, i32),
    count: u64,
    clusters: usize,
) -> Option<Vec<Item>> {
    if parts.len() < PARTS_MIN || count > COUNT_MAX {
        return None;
    }
    let mut grid = Grid::new(ends);
    grid.add(parts);
    let coarse = Coarse::new(&grid, count, clusters);
    // What the grid is too coarse for is sorted after all.
    let mut apart = Vec::new();
    coarse.pick(&grid, parts.words, word_place, |word| word, &mut apart);
    coarse.pick(&grid, parts.keys, radix::place, |key| word(key, 1, true), &mut apart);
    if apart.len() > parts.len() / 4 {
        return None;
    }
    radix::sort(&mut apart, &mut Vec::new(), word_place);
    let items = grid.items(&coarse, &joined(apart.into_iter().map(word_item)));
    ROOM.set(Some(grid.bins));
    Some(items)
}

thread_local! {
    /// Bins that the thread keeps: fresh memory costs as much as filling it.
    static ROOM: Cell<Option<Box<[Bin; BINS]>>> = const { Cell::new(None) };
}

struct Grid {
    /// Place of the smallest key.
    low: u32,
    /// From the smallest to the largest.
    range: u32,
    /// A bin is `2^shift` keys wide.
    shift: u32,
    bins: Box<[Bin; BINS]>,
}

impl Grid {
    fn new((low, high): (i32, i32)) -> Self {
        let range = high.abs_diff(low);
        let shift = (u32::BITS - range.leading_zeros()).saturating_sub(BINS.trailing_zeros());
        Self { low: radix::place(low), range, shift, bins: empty_bins((range >> shift) as usize) }
    }

    /// Offset of a place from the smallest.
    #[inline]
    fn offset(&self, place: u32) -> u32 {
        place.wrapping_sub(self.low)
    }

    /// Place of an offset's bin: the array's length is known, so no look-up is checked.
    #[inline]
    fn bin(&self, offset: u32) -> usize {
        (offset >> self.shift) as usize & (BINS - 1)
    }

    fn add(&mut self, parts: Parts<'_>) {
        let inside = (1 << self.shift) - 1;
        for &word in parts.words {
            let offset = self.offset(word_place(word));
            debug_assert!(offset <= self.range, "a centroid lies beyond the extremes");
            let impure = !word & PURE;
            self.bins[self.bin(offset)].add(offset & inside, word_weight(word), impure);
        }
        for &key in parts.keys {
            let offset = self.offset(radix::place(key));
            debug_assert!(offset <= self.range, "a value lies beyond the extremes");
            self.bins[self.bin(offset)].add(offset & inside, 1, 0);
        }
    }

    /// The bins that data may lie in.
    fn used(&self) -> &[Bin] {
        &self.bins[..=self.bin(self.range)]
    }

    /// Every bin as one item, but for the coarse ones, whose content is `apart`.
    fn items(&self, coarse: &Coarse, apart: &[Item]) -> Vec<Item> {
        let used = self.used();
        let mut items = Vec::with_capacity(used.len() + apart.len());
        let mut apart = apart.iter().peekable();
        for (at, bin) in used.iter().enumerate().filter(|(_, bin)| bin.weight > 0) {
            let start = i64::from(radix::key(self.low)) + ((at as i64) << self.shift);
            if coarse.bins[at] {
                let end = start + (1 << self.shift);
                while let Some(item) = apart.next_if(|item| i64::from(item.key) < end) {
                    items.push(*item);
                }
            } else {
                items.push(bin.item(start));
            }
        }
        items
    }
}

/// Bins that are empty up to the last one in use.
fn empty_bins(last: usize) -> Box<[Bin; BINS]> {
    if let Some(mut bins) = ROOM.take() {
        bins[..=last].fill(EMPTY);
        return bins;
    }
    let bins = vec![EMPTY; BINS].into_boxed_slice();
    bins.try_into().unwrap_or_else(|_| unreachable!("as many as there are"))
}

/// The bins of different keys that hold more than a part of a centroid, or an extreme, which
/// stays as it is.
struct Coarse {
    bins: Vec<bool>,
    /// First and last offset of a stretch of bins without a coarse one.
    inner: (u32, u32),
}

/// First and last offset of the stretch of bins, none of which is `coarse`, that holds most.
fn inner(bins: &[Bin], coarse: &[bool], shift: u32) -> (u32, u32) {
    let (mut best, mut most) = (0..0, 0);
    let (mut start, mut weight) = (0, 0);
    for (at, bin) in bins.iter().enumerate() {
        if coarse[at] {
            (start, weight) = (at + 1, 0);
            continue;
        }
        weight += bin.weight;
        if weight > most {
            (best, most) = (start..at + 1, weight);
        }
    }
    if most == 0 {
        // No data come so far.
        return (u32::MAX, u32::MAX);
    }
    let offset = |at: usize| (at as u64) << shift;
    (offset(best.start) as u32, (offset(best.end) - 1) as u32)
}

impl Coarse {
    fn new(grid: &Grid, count: u64, clusters: usize) -> Self {
        let used = grid.used();
        let mut limits = scale::limits(count, clusters);
        let (mut low, mut high) = (0.0, 0.0);
        let mut before = 0.0;
        let last = used.len() - 1;
        let mut bins = vec![false; used.len()];
        for (at, bin) in used.iter().enumerate().filter(|(_, bin)| bin.weight > 0) {
            let weight = bin.weight.cast_signed() as f64;
            while high < before + 0.5 * weight {
                (low, high) = (high, limits.next().unwrap_or(f64::INFINITY));
            }
            before += weight;
            let is_end = at == 0 || at == last;
            bins[at] = bin.is_mixed() && (is_end || weight > SLOT_SHARE * (high - low));
        }
        let inner = inner(used, &bins, grid.shift);
        Self { bins, inner }
    }

    /// Append what lies in a coarse bin, as words.
    fn pick<T: Copy>(
        &self,
        grid: &Grid,
        parts: &[T],
        place: impl Fn(T) -> u32,
        word: impl Fn(T) -> u64,
        out: &mut Vec<u64>,
    ) {
        let (first, last) = self.inner;
        let is_outer = |part: T| grid.offset(place(part)).wrapping_sub(first) > last - first;
        for parts in parts.chunks(AT_ONCE) {
            // Coarse bins are few and far out, and many comparisons are one instruction.
            if parts.iter().fold(false, |any, &part| any | is_outer(part)) {
                let is_apart = |part: &&T| self.bins[grid.bin(grid.offset(place(**part)))];
                out.extend(parts.iter().filter(is_apart).map(|&part| word(part)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::compress::CENTROIDS;
    use proptest::prelude::*;

    fn gathered(words: &[u64], keys: &[i32]) -> Option<Vec<Item>> {
        let of_words = words.iter().map(|&word| word_item(word).key);
        let all: Vec<i32> = of_words.chain(keys.iter().copied()).collect();
        let ends = (*all.iter().min()?, *all.iter().max()?);
        let count = keys.len() as u64 + words.iter().map(|&word| word_weight(word)).sum::<u64>();
        gather(Parts { words, keys }, ends, count, CENTROIDS)
    }

    /// Keys enough for the grid, `distinct` of them different, over `range`.
    fn many(distinct: u32, range: u32) -> Vec<i32> {
        let key = |at: u32| (at % distinct).wrapping_mul(0x9e37_79b9) % range;
        (0..2 * PARTS_MIN as u32).map(|at| key(at).cast_signed() - 1_000).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// No weight is lost, items are sorted, the extremes are there, and no order leaves
        /// a trace: for any range, from one key to all there are.
        #[test]
        fn is_a_multiset(distinct in 1u32..40_000, bits in 1u32..31, weight in 1u64..9) {
            let mut keys = many(distinct, 1 << bits);
            let mut words: Vec<u64> = keys[..9_000]
                .iter()
                .map(|&key| word(key, weight, key % 3 == 0 || weight == 1))
                .collect();
            let forward = gathered(&words, &keys);
            keys.reverse();
            words.reverse();
            prop_assert_eq!(&forward, &gathered(&words, &keys));
            if let Some(items) = forward {
                let count = keys.len() as u64 + 9_000 * weight;
                prop_assert_eq!(count, items.iter().map(|item| item.weight).sum::<u64>());
                prop_assert!(items.windows(2).all(|pair| pair[0].key <= pair[1].key));
                prop_assert_eq!(keys.iter().min(), items.first().map(|item| &item.key));
                prop_assert_eq!(keys.iter().max(), items.last().map(|item| &item.key));
            }
        }
    }

    /// Ties in bins of their own stay ties, the extremes among them, and are not sorted.
    #[test]
    fn ties_stay_ties() {
        for distinct in [1, 2, 7] {
            let keys = many(distinct, 1 << 20);
            let mut sorted = keys.clone();
            sorted.sort_unstable();
            let wanted = joined(sorted.into_iter().map(|key| Item::tie(key, 1)));
            assert_eq!(Some(wanted), gathered(&[], &keys), "{distinct} keys");
        }
    }
}
