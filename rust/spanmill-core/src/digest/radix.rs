//! Sorting by a 32-bit key: three passes of a stable radix sort.

const DIGITS: [(u32, u32); 3] = [(0, 11), (11, 11), (22, 10)];
const BUCKETS: usize = 1 << 11;
/// Fewer items than this sort faster by comparing.
const RADIX_MIN: usize = 256;

/// A signed key as a number that sorts as it does.
#[inline]
pub(super) fn place(key: i32) -> u32 {
    key.cast_unsigned() ^ 1 << 31
}

/// The key of a place.
#[inline]
pub(super) fn key(place: u32) -> i32 {
    (place ^ 1 << 31).cast_signed()
}

/// Sort `items`; `place` gives the number that they are first sorted by.
///
/// Items with equal places are left in any order: see [`settle_runs`]. `scratch` is overwritten.
pub(super) fn sort<T: Copy + Ord>(
    items: &mut Vec<T>,
    scratch: &mut Vec<T>,
    place: impl Fn(T) -> u32 + Copy,
) {
    if items.len() < RADIX_MIN {
        items.sort_unstable();
        return;
    }
    let mut counts = [[0u32; BUCKETS]; DIGITS.len()];
    for &item in items.iter() {
        let place = place(item);
        for (counts, (shift, bits)) in counts.iter_mut().zip(DIGITS) {
            counts[(place >> shift) as usize & ((1 << bits) - 1)] += 1;
        }
    }
    scratch.clear();
    scratch.extend_from_slice(items);
    for (counts, digit) in counts.iter_mut().zip(DIGITS) {
        if counts.iter().all(|&count| count == 0 || count as usize == items.len()) {
            continue;
        }
        pass(items, scratch, counts, digit, place);
        std::mem::swap(items, scratch);
    }
}

fn pass<T: Copy>(
    from: &[T],
    to: &mut [T],
    counts: &mut [u32; BUCKETS],
    (shift, bits): (u32, u32),
    place: impl Fn(T) -> u32,
) {
    let mut start = 0;
    for count in counts.iter_mut() {
        start += std::mem::replace(count, start);
    }
    for &item in from {
        let at = &mut counts[(place(item) >> shift) as usize & ((1 << bits) - 1) & (BUCKETS - 1)];
        to[*at as usize] = item;
        *at += 1;
    }
}

/// Put each run of items with equal places into their own order.
pub(super) fn settle_runs<T: Copy + Ord>(items: &mut [T], place: impl Fn(T) -> u32) {
    let mut start = 0;
    while start < items.len() {
        let here = place(items[start]);
        let run = items[start + 1..].iter().take_while(|&&item| place(item) == here).count() + 1;
        if run > 1 {
            items[start..start + run].sort_unstable();
        }
        start += run;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Sorting by radix is sorting, for any length and any spread of keys.
        #[test]
        fn sorts(keys in prop::collection::vec(any::<i32>(), 0..2_000), shift in 0u32..31) {
            let mut places: Vec<u32> = keys.iter().map(|&it| place(it >> shift)).collect();
            let mut expected: Vec<i32> = keys.iter().map(|&it| it >> shift).collect();
            expected.sort_unstable();
            sort(&mut places, &mut Vec::new(), |it| it);
            prop_assert_eq!(expected, places.into_iter().map(key).collect::<Vec<_>>());
        }

        /// What shares a place is in its own order, whatever order it came in.
        #[test]
        fn order_leaves_no_trace(mut items in prop::collection::vec((0u32..9, any::<u32>()), 0..900)) {
            let mut expected = items.clone();
            expected.sort_unstable();
            sort(&mut items, &mut Vec::new(), |it| it.0);
            settle_runs(&mut items, |it| it.0);
            prop_assert_eq!(expected, items);
        }
    }
}
