//! Very many centroids, gathered on a fine grid instead of sorted.
//!
//! Adding integers to bins is commutative, so the result is the same for any order,
//! at a fraction of a sort's cost.

use super::compress::{Item, joined};
use super::scale;
use super::sealed::{word_item, word_key};

/// Bins over the range of the data: far more than centroids, and they fit the cache.
const BINS: usize = 1 << 14;
/// Fewer centroids than this are sorted.
const WORDS_MIN: usize = 1 << 15;
/// Share of its slot of the scale function that a bin of different keys may hold.
const SLOT_SHARE: f64 = 0.5;
/// Largest count whose key sums fit: weights times offsets of up to 18 bits.
const COUNT_MAX: u64 = 1 << 45;

#[derive(Clone, Copy)]
struct Bin {
    weight: u64,
    /// Sum of weight times offset from the bin's start.
    offsets: u64,
    /// Offset of the latest centroid.
    offset: u32,
    /// Some centroid here is no tie, or lies elsewhere.
    mixed: bool,
}

const EMPTY: Bin = Bin { weight: 0, offsets: 0, offset: 0, mixed: false };

impl Bin {
    #[inline]
    fn add(&mut self, item: Item, offset: u32) {
        self.mixed |= !item.is_pure() | (self.weight > 0) & (self.offset != offset);
        self.weight += item.weight;
        self.offsets += item.weight * u64::from(offset);
        self.offset = offset;
    }

    fn item(&self, start: i64) -> Item {
        let mean = (self.offsets + self.weight / 2) / self.weight;
        let key = (start + mean.cast_signed()) as i32;
        if self.mixed { Item::mean(key, self.weight) } else { Item::tie(key, self.weight) }
    }
}

/// Sorted items for the words, whose keys lie between `low` and `high`, on their way to
/// `clusters` centroids.
///
/// `None` where sorting is cheaper or the data are too narrow for the grid.
pub(super) fn gather(
    words: &[u64],
    (low, high): (i32, i32),
    count: u64,
    clusters: usize,
) -> Option<Vec<Item>> {
    if words.len() < WORDS_MIN || count > COUNT_MAX {
        return None;
    }
    let range = high.abs_diff(low);
    let shift = (u32::BITS - range.leading_zeros()).saturating_sub(BINS.trailing_zeros());
    let mut bins = vec![EMPTY; (range >> shift) as usize + 1];
    for &word in words {
        let offset = word_key(word).abs_diff(low);
        bins[(offset >> shift) as usize].add(word_item(word), offset & ((1 << shift) - 1));
    }
    let coarse = too_coarse(&bins, count, clusters);
    // What the grid is too coarse for is sorted after all.
    let is_apart = |word: &u64| coarse[(word_key(*word).abs_diff(low) >> shift) as usize];
    let mut apart: Vec<u64> = words.iter().copied().filter(is_apart).collect();
    if apart.len() > words.len() / 4 {
        return None;
    }
    apart.sort_unstable();
    let mut apart = joined(apart.into_iter().map(word_item)).into_iter().peekable();
    let mut items = Vec::with_capacity(bins.len() + apart.len());
    for (place, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.weight > 0) {
        let start = i64::from(low) + ((place as i64) << shift);
        if coarse[place] {
            let end = start + (1 << shift);
            while let Some(item) = apart.next_if(|item| i64::from(item.key) < end) {
                items.push(item);
            }
        } else {
            items.push(bin.item(start));
        }
    }
    Some(items)
}

/// The bins that hold more than a part of a centroid, and the first and last: the extremes
/// stay as they are.
fn too_coarse(bins: &[Bin], count: u64, clusters: usize) -> Vec<bool> {
    let mut limits = scale::limits(count, clusters);
    let (mut low, mut high) = (0.0, 0.0);
    let mut before = 0.0;
    let last = bins.len() - 1;
    bins.iter()
        .enumerate()
        .map(|(place, bin)| {
            let weight = bin.weight.cast_signed() as f64;
            while high < before + 0.5 * weight {
                (low, high) = (high, limits.next().unwrap_or(f64::INFINITY));
            }
            before += weight;
            place == 0 || place == last || bin.mixed && weight > SLOT_SHARE * (high - low)
        })
        .collect()
}
