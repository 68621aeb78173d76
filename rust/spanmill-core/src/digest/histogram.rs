//! The fine log histogram: the store of a very busy open bucket.
//!
//! 2^8 bins a doubling, 0.27 % wide. A bin keeps its smallest and largest key,
//! so ties survive. Adding is commutative: content depends on the multiset only.

use super::compress::Item;
use super::key::STEPS_LOG2;

const BIN_SHIFT: u32 = STEPS_LOG2 - 8;
const OFFSET_MASK: i32 = (1 << BIN_SHIFT) - 1;
/// Bins added beyond a new extreme, so that a drifting edge rarely grows the array.
const MARGIN: usize = 64;

#[derive(Debug, Clone, Copy)]
struct Bin {
    count: u32,
    /// Offsets of the smallest and largest key from the bin's start.
    low: u16,
    high: u16,
}

const EMPTY: Bin = Bin { count: 0, low: u16::MAX, high: 0 };

/// Counts of keys by bin. Zeros stand apart: they would stretch the array.
#[derive(Debug, Clone, Default)]
pub(super) struct LogHistogram {
    zeros: u64,
    first_bin: i32,
    bins: Vec<Bin>,
}

impl LogHistogram {
    pub(super) fn add_all(&mut self, keys: &[i32]) {
        for &key in keys {
            if key == 0 {
                self.zeros += 1;
                continue;
            }
            let bin = key >> BIN_SHIFT;
            let place = bin.wrapping_sub(self.first_bin) as usize;
            let place = if place < self.bins.len() { place } else { self.grow(bin) };
            let offset = (key & OFFSET_MASK) as u16;
            let slot = &mut self.bins[place];
            // u32 is enough: one bucket of 10 s would need 400 M values a second.
            slot.count += 1;
            slot.low = slot.low.min(offset);
            slot.high = slot.high.max(offset);
        }
    }

    /// Make room for `bin` and return its place.
    fn grow(&mut self, bin: i32) -> usize {
        if self.bins.is_empty() {
            self.first_bin = bin - MARGIN as i32;
            self.bins = vec![EMPTY; 2 * MARGIN];
        } else if bin < self.first_bin {
            let added = (self.first_bin - bin) as usize + MARGIN;
            self.first_bin -= added as i32;
            drop(self.bins.splice(0..0, std::iter::repeat_n(EMPTY, added)));
        } else {
            let wanted = (bin - self.first_bin) as usize + MARGIN;
            self.bins.resize(wanted, EMPTY);
        }
        (bin - self.first_bin) as usize
    }

    /// Add everything `other` holds.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.zeros += other.zeros;
        let (Some(last), first) = (other.bins.len().checked_sub(1), other.first_bin) else {
            return;
        };
        for bin in [first, first + last as i32] {
            if (bin.wrapping_sub(self.first_bin) as usize) >= self.bins.len() {
                let _ = self.grow(bin);
            }
        }
        let start = (first - self.first_bin) as usize;
        for (mine, theirs) in self.bins[start..].iter_mut().zip(&other.bins) {
            mine.count += theirs.count;
            mine.low = mine.low.min(theirs.low);
            mine.high = mine.high.max(theirs.high);
        }
    }

    /// Everything held, sorted: per bin its extremes and the rest between them.
    pub(super) fn items(&self) -> Vec<Item> {
        let mut items = Vec::with_capacity(self.bins.len() * 2);
        let mut zeros = Some(Item::tie(0, self.zeros)).filter(|z| z.weight > 0);
        for (place, bin) in self.bins.iter().enumerate().filter(|(_, bin)| bin.count > 0) {
            let start = (self.first_bin + place as i32) << BIN_SHIFT;
            let (low, high) = (start + i32::from(bin.low), start + i32::from(bin.high));
            if low > 0 {
                items.extend(zeros.take());
            }
            push_bin(&mut items, low, high, u64::from(bin.count));
        }
        items.extend(zeros);
        items
    }

    /// Values in the fullest bin.
    pub(super) fn heaviest(&self) -> u64 {
        self.bins.iter().map(|bin| u64::from(bin.count)).max().unwrap_or(0)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.bins.capacity() * size_of::<Bin>()
    }
}

fn push_bin(items: &mut Vec<Item>, low: i32, high: i32, count: u64) {
    if low == high {
        items.push(Item::tie(low, count));
        return;
    }
    items.push(Item::tie(low, 1));
    if count > 2 {
        let spread = (high - low) / 2;
        items.push(Item { key: low + spread, spread, pure: false, weight: count - 2 });
    }
    items.push(Item::tie(high, 1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// No value is lost, items are sorted, and order of arrival leaves no trace.
        #[test]
        fn is_a_multiset(mut keys in prop::collection::vec(-(1i32 << 30)..(1 << 30), 0..300)) {
            let mut forward = LogHistogram::default();
            forward.add_all(&keys);
            keys.reverse();
            let mut backward = LogHistogram::default();
            backward.add_all(&keys);
            let items = forward.items();
            prop_assert_eq!(keys.len() as u64, items.iter().map(|i| i.weight).sum::<u64>());
            prop_assert!(items.windows(2).all(|pair| pair[0].key <= pair[1].key));
            prop_assert_eq!(items, backward.items());
        }

        /// Absorbing is adding: the parts' values in one histogram.
        #[test]
        fn absorbs_as_it_adds(
            one in prop::collection::vec(-(1i32 << 30)..(1 << 30), 0..100),
            two in prop::collection::vec(-(1i32 << 30)..(1 << 30), 0..100),
        ) {
            let mut together = LogHistogram::default();
            together.add_all(&one);
            together.add_all(&two);
            let (mut left, mut right) = (LogHistogram::default(), LogHistogram::default());
            left.add_all(&one);
            right.add_all(&two);
            left.absorb(&right);
            prop_assert_eq!(together.items(), left.items());
        }
    }
}
