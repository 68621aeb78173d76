//! Sorting by a 32-bit key: two passes of a radix sort over the upper bits of the range.

/// Values of a digit for many items, and for few: its counts are to be fewer than the items.
const MANY: usize = 1 << 11;
const FEW: usize = 1 << 9;
/// Items from where on a digit has more values.
const MANY_MIN: usize = 4_096;
/// Fewer items than this sort faster by comparing.
const RADIX_MIN: usize = 128;
/// Items looked over at once for any that are out of order.
const BLOCK: usize = 64;

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
/// Two digits below the highest bit in which places differ order nearly all; the few that
/// share both are compared. `scratch` is overwritten.
pub(super) fn sort<T: Copy + Ord>(
    items: &mut [T],
    scratch: &mut Vec<T>,
    place: impl Fn(T) -> u32 + Copy,
) {
    match items.len() {
        ..RADIX_MIN => items.sort_unstable(),
        RADIX_MIN..MANY_MIN => sort_by_digits::<T, FEW>(items, scratch, place),
        _ => sort_by_digits::<T, MANY>(items, scratch, place),
    }
}

fn sort_by_digits<T: Copy + Ord, const DIGIT: usize>(
    items: &mut [T],
    scratch: &mut Vec<T>,
    place: impl Fn(T) -> u32,
) {
    let (mut low, mut high) = (u32::MAX, 0);
    for &item in items.iter() {
        let place = place(item);
        (low, high) = (low.min(place), high.max(place));
    }
    let bits = DIGIT.trailing_zeros();
    let shift = (u32::BITS - (high - low).leading_zeros()).saturating_sub(2 * bits);
    let cell = |item: T| (place(item) - low) >> shift;
    let lower = |item: T| cell(item) as usize & (DIGIT - 1);
    let upper = |item: T| (cell(item) >> bits) as usize & (DIGIT - 1);
    let mut counts = [[0u32; DIGIT]; 2];
    for &item in items.iter() {
        counts[0][lower(item)] += 1;
        counts[1][upper(item)] += 1;
    }
    if scratch.len() < items.len() {
        scratch.resize(items.len(), items[0]);
    }
    let scratch = &mut scratch[..items.len()];
    pass(items, scratch, &mut counts[0], lower);
    pass(scratch, items, &mut counts[1], upper);
    settle(items, cell);
}

#[inline]
fn pass<T: Copy, const DIGIT: usize>(
    from: &[T],
    to: &mut [T],
    counts: &mut [u32; DIGIT],
    digit: impl Fn(T) -> usize,
) {
    let mut start = 0;
    for count in counts.iter_mut() {
        start += std::mem::replace(count, start);
    }
    for &item in from {
        let at = &mut counts[digit(item)];
        to[*at as usize] = item;
        *at += 1;
    }
}

/// Put each run of items that share a cell into their own order, given that cells are sorted.
fn settle<T: Copy + Ord>(items: &mut [T], cell: impl Fn(T) -> u32) {
    let mut from = 0;
    while let Some(at) = disorder(&items[from..]) {
        let at = from + at;
        let here = cell(items[at]);
        let before = items[from..at].iter().rev().take_while(|&&item| cell(item) == here).count();
        let after = items[at..].iter().take_while(|&&item| cell(item) == here).count();
        items[at - before..at + after].sort_unstable();
        from = at + after;
    }
}

/// Where the first item stands that is larger than its next.
#[inline]
fn disorder<T: Copy + Ord>(items: &[T]) -> Option<usize> {
    let next = items.get(1..)?;
    let mut from = 0;
    for (these, next) in items.chunks(BLOCK).zip(next.chunks(BLOCK)) {
        // No branch an item: hardly any is out of order.
        if these.iter().zip(next).fold(false, |any, (this, next)| any | (this > next)) {
            return these.iter().zip(next).position(|(this, next)| this > next).map(|at| from + at);
        }
        from += BLOCK;
    }
    None
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
            let mut scratch = vec![7; 900];
            sort(&mut places, &mut scratch, |it| it);
            prop_assert_eq!(expected, places.into_iter().map(key).collect::<Vec<_>>());
        }

        /// What shares a place is in its own order, whatever order it came in.
        #[test]
        fn order_leaves_no_trace(
            mut items in prop::collection::vec((0u32..9, any::<u32>()), 0..900),
            wide in 0u32..29,
        ) {
            items.iter_mut().for_each(|item| item.0 <<= wide);
            let mut expected = items.clone();
            expected.sort_unstable();
            sort(&mut items, &mut Vec::new(), |it| it.0);
            prop_assert_eq!(expected, items);
        }

        /// Far outliers, which leave the rest in few cells, change nothing of the order.
        #[test]
        fn sorts_beside_outliers(mut places in prop::collection::vec(1_000u32..90_000, 200..2_000)) {
            places.extend([u32::MAX, 0]);
            let mut expected = places.clone();
            expected.sort_unstable();
            sort(&mut places, &mut Vec::new(), |it| it);
            prop_assert_eq!(expected, places);
        }
    }
}
