//! Very many centroids, gathered on a fine grid instead of sorted.
//!
//! Adding integers to bins is commutative, so the result is the same for any order,
//! at a fraction of a sort's cost.

use super::compress::{Item, joined};
use super::sealed::{word_item, word_key};

/// Bins over the range of the data.
const BINS: usize = 1 << 16;
/// Fewer centroids than this are sorted.
const WORDS_MIN: usize = 1 << 17;
/// A bin of different keys that holds more than this share of the count is too coarse.
const COARSE: u64 = 2048;
/// Largest count whose key sums fit: weights times offsets of up to 16 bits.
const COUNT_MAX: u64 = 1 << 47;

#[derive(Clone, Copy)]
struct Bin {
    weight: u64,
    /// Sum of weight times offset from the bin's start.
    offsets: u64,
    low: u16,
    high: u16,
    /// Some centroid here is not a tie.
    mixed: bool,
}

const EMPTY: Bin = Bin { weight: 0, offsets: 0, low: u16::MAX, high: 0, mixed: false };

/// Sorted items for the words, whose keys lie between `low` and `high`.
///
/// `None` where sorting is cheaper or the data are too narrow for the grid.
pub(super) fn gather(words: &[u64], (low, high): (i32, i32), count: u64) -> Option<Vec<Item>> {
    if words.len() < WORDS_MIN || count > COUNT_MAX {
        return None;
    }
    let range = high.abs_diff(low);
    let shift = (u32::BITS - range.leading_zeros()).saturating_sub(BINS.trailing_zeros());
    let last = range >> shift;
    let mut bins = vec![EMPTY; last as usize + 1];
    // The extremes stay as they are: their bins are not gathered.
    let mut edges: Vec<Item> = Vec::new();
    for &word in words {
        let offset = word_key(word).abs_diff(low);
        let place = offset >> shift;
        let item = word_item(word);
        if place == 0 || place >= last {
            edges.push(item);
            continue;
        }
        let within = (offset & ((1 << shift) - 1)) as u16;
        let bin = &mut bins[place as usize];
        bin.weight += item.weight;
        bin.offsets += item.weight * u64::from(within);
        bin.low = bin.low.min(within);
        bin.high = bin.high.max(within);
        bin.mixed |= !item.is_pure();
    }
    if edges.len() > words.len() / 4 {
        return None;
    }
    edges.sort_unstable();
    let edges = joined(edges);
    let upper = edges.partition_point(|item| item.key.abs_diff(low) >> shift == 0);
    let mut items = Vec::with_capacity(bins.len() + edges.len());
    items.extend_from_slice(&edges[..upper]);
    for (place, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.weight > 0) {
        let pure = !bin.mixed && bin.low == bin.high;
        if !pure && bin.weight > count / COARSE {
            return None;
        }
        let mean = (bin.offsets + bin.weight / 2) / bin.weight;
        let key = i64::from(low) + ((place as i64) << shift) + mean as i64;
        let key = key as i32;
        items.push(if pure { Item::tie(key, bin.weight) } else { Item::mean(key, bin.weight) });
    }
    items.extend_from_slice(&edges[upper..]);
    Some(items)
}
