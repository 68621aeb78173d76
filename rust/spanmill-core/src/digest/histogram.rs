//! The log histogram: the store of a very busy open bucket.
//!
//! At most 1,024 bins of 8 B, as fine as the content's range allows: when it grows, pairs
//! of bins become one, exactly as an OTLP exponential histogram is scaled down. A bin
//! keeps its smallest and largest key, so ties survive. Adding is commutative: scale and
//! content depend on the multiset only.

use super::compress::Item;
use super::content::{self, Bins, KEY_MAX};
use super::exponential::{Buckets, ExponentialHistogram};
use super::key::STEPS_LOG2;
use super::sealed::Forgotten;

/// Bins of both signs together: 8 KiB.
const BINS_MAX: usize = 1024;
/// Share of its span that a side is given in advance at either end.
const MARGIN_SHARE: usize = 8;
/// Roots of its count by which a bin must pass its neighbours to hold a tie.
const SPIKE_ROOTS: f64 = 4.0;
/// Bits of an offset within a bin; wider bins keep the upper ones.
const OFFSET_BITS: u32 = 16;

#[derive(Debug, Clone, Copy)]
struct Bin {
    count: u32,
    /// Offsets of the smallest and largest magnitude from the bin's start.
    low: u16,
    high: u16,
}

const EMPTY: Bin = Bin { count: 0, low: u16::MAX, high: 0 };

impl Bin {
    fn absorb(&mut self, other: Self) {
        self.count += other.count;
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
    }
}

/// Magnitudes of one sign. Bin `i` holds the keys `(i << shift, (i + 1) << shift]`: the
/// upper limit belongs to it, as OTLP has it.
#[derive(Debug, Clone, Default)]
struct Side {
    first: u32,
    bins: Box<[Bin]>,
}

impl Side {
    /// First and last bin that hold something.
    fn occupied(&self) -> Option<(u32, u32)> {
        let first = self.bins.iter().position(|bin| bin.count > 0)?;
        let last = self.bins.iter().rposition(|bin| bin.count > 0)?;
        Some((self.first + first as u32, self.first + last as u32))
    }

    /// Keep no more bins than hold something.
    fn trim(&mut self) {
        let Some((first, last)) = self.occupied() else { return };
        if length(Some((first, last))) < self.bins.len() {
            let bins = &self.bins[(first - self.first) as usize..=(last - self.first) as usize];
            *self = Self { first, bins: bins.into() };
        }
    }

    fn held(&self) -> impl DoubleEndedIterator<Item = (u32, Bin)> {
        let numbered = self.bins.iter().enumerate().map(|(at, &bin)| (self.first + at as u32, bin));
        numbered.filter(|(_, bin)| bin.count > 0)
    }

    /// Whether there are bins for all of a range.
    fn covers(&self, range: Range) -> bool {
        let end = u64::from(self.first) + self.bins.len() as u64;
        range.is_none_or(|(first, last)| self.first <= first && u64::from(last) < end)
    }

    /// Add what bins of a scale finer by `finer` octaves of bins hold.
    fn take_in(&mut self, other: &Self, shift: u32, finer: u32) {
        if finer == 0
            && let Some((first, last)) = other.occupied()
        {
            // The same scale, bin by bin: empty ones add nothing.
            let mine = &mut self.bins[(first - self.first) as usize..];
            let theirs =
                &other.bins[(first - other.first) as usize..][..length(Some((first, last)))];
            return mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| mine.absorb(*theirs));
        }
        for (number, bin) in other.held() {
            let offset = |offset: u16| {
                let full = (number & ((1 << finer) - 1)) << (shift - finer)
                    | u32::from(offset) << dropped(shift - finer);
                (full >> dropped(shift)) as u16
            };
            let bin = Bin { count: bin.count, low: offset(bin.low), high: offset(bin.high) };
            self.bins[((number >> finer) - self.first) as usize].absorb(bin);
        }
    }
}

/// Low bits of an offset that a bin of this width does not keep.
#[inline]
fn dropped(shift: u32) -> u32 {
    shift.saturating_sub(OFFSET_BITS)
}

/// First and last bins of a side, if any: at a scale finer than the one in question.
type Range = Option<(u32, u32)>;

fn join(one: Range, two: Range) -> Range {
    match (one, two) {
        (Some(one), Some(two)) => Some((one.0.min(two.0), one.1.max(two.1))),
        (one, two) => one.or(two),
    }
}

fn coarser(range: Range, by: u32) -> Range {
    range.map(|(first, last)| (first >> by, last >> by))
}

fn length(range: Range) -> usize {
    range.map_or(0, |(first, last)| (last - first) as usize + 1)
}

/// Counts of keys by bin. Zeros stand apart: they have no logarithm.
#[derive(Debug, Clone, Default)]
pub(super) struct LogHistogram {
    zeros: u64,
    /// A bin is `2^shift` keys wide.
    shift: u32,
    positive: Side,
    negative: Side,
}

impl LogHistogram {
    pub(super) fn add_all(&mut self, keys: &[i32]) {
        let mut rest = keys;
        if self.positive.bins.is_empty() && self.negative.bins.is_empty() {
            // The whole range at once: growing key by key would rebuild at each scale.
            let side = |sign: i32| {
                let keys = keys.iter().filter(|key| key.signum() == sign);
                let (low, high) = keys.fold((u32::MAX, 0), |(low, high), key| {
                    (low.min(key.unsigned_abs() - 1), high.max(key.unsigned_abs() - 1))
                });
                (low <= high).then_some((low, high))
            };
            self.rebuild(0, side(1), side(-1));
        }
        while let Some(at) = rest.iter().position(|&key| !self.add(key)) {
            self.cover(rest[at]);
            rest = &rest[at..];
        }
    }

    /// Count a key; `false` where there is no bin for it yet.
    #[inline]
    fn add(&mut self, key: i32) -> bool {
        if key == 0 {
            self.zeros += 1;
            return true;
        }
        let side = if key > 0 { &mut self.positive } else { &mut self.negative };
        let magnitude = key.unsigned_abs() - 1;
        let place = (magnitude >> self.shift).wrapping_sub(side.first) as usize;
        let Some(bin) = side.bins.get_mut(place) else { return false };
        let offset = ((magnitude & ((1 << self.shift) - 1)) >> dropped(self.shift)) as u16;
        // u32 is enough: one bucket of 10 s would need 400 M values a second.
        bin.count += 1;
        bin.low = bin.low.min(offset);
        bin.high = bin.high.max(offset);
        true
    }

    /// Make room for a key.
    fn cover(&mut self, key: i32) {
        let bin = (key.unsigned_abs() - 1) >> self.shift;
        let (mut positive, mut negative) = (self.positive.occupied(), self.negative.occupied());
        let side = if key > 0 { &mut positive } else { &mut negative };
        *side = join(*side, Some((bin, bin)));
        self.rebuild(self.shift, positive, negative);
    }

    /// The finest scale from `shift` on at which these ranges of bins fit.
    fn rebuild(&mut self, shift: u32, mut positive: Range, mut negative: Range) {
        let mut by = 0;
        while length(coarser(positive, by)) + length(coarser(negative, by)) > BINS_MAX {
            by += 1;
        }
        (positive, negative) = (coarser(positive, by), coarser(negative, by));
        let room = BINS_MAX - length(positive) - length(negative);
        let shift = shift + by;
        let finer = shift - self.shift.min(shift);
        let side = |old: &Side, range: Range| {
            let mut side = Side::with_margin(range, room);
            side.take_in(old, shift, finer);
            side
        };
        self.positive = side(&self.positive, positive);
        self.negative = side(&self.negative, negative);
        self.shift = shift;
    }

    /// Add everything `other` holds.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.zeros += other.zeros;
        let finest = self.shift.max(other.shift);
        // As far as the bins reach their scale is the finest that fits: the sum of like
        // parts, as a question has thousands of, is built once.
        let finer = finest - other.shift;
        if self.shift == finest
            && self.positive.covers(coarser(other.positive.occupied(), finer))
            && self.negative.covers(coarser(other.negative.occupied(), finer))
        {
            self.positive.take_in(&other.positive, finest, finer);
            self.negative.take_in(&other.negative, finest, finer);
            return;
        }
        let range = |mine: &Side, theirs: &Side| {
            join(
                coarser(mine.occupied(), finest - self.shift),
                coarser(theirs.occupied(), finest - other.shift),
            )
        };
        let positive = range(&self.positive, &other.positive);
        let negative = range(&self.negative, &other.negative);
        self.rebuild(finest, positive, negative);
        let finer = self.shift - other.shift;
        self.positive.take_in(&other.positive, self.shift, finer);
        self.negative.take_in(&other.negative, self.shift, finer);
    }

    /// Give back the bins at either end that hold nothing; what is held stays as it is.
    pub(super) fn trim(&mut self) {
        self.positive.trim();
        self.negative.trim();
    }

    /// The bins that hold something.
    pub(super) fn bins(&self) -> Bins {
        let bins = |side: &Side| {
            let held = side.held();
            held.map(|(number, Bin { count, low, high })| content::Bin { number, count, low, high })
                .collect()
        };
        Bins {
            zeros: self.zeros,
            shift: self.shift,
            positive: bins(&self.positive),
            negative: bins(&self.negative),
        }
    }

    /// What [`bins`](Self::bins) gave; `None` where no histogram gives such bins.
    pub(super) fn of_bins(bins: &Bins) -> Option<Self> {
        let range = |side: &[content::Bin]| Some((side.first()?.number, side.last()?.number));
        let (positive, negative) = (range(&bins.positive), range(&bins.negative));
        let sides = [&bins.positive, &bins.negative];
        if !sides.iter().all(|side| are_bins(side, bins.shift)) {
            return None;
        }
        let room = BINS_MAX.checked_sub(length(positive))?.checked_sub(length(negative))?;
        let side = |bins: &[content::Bin], range: Range| {
            let mut side = Side::with_margin(range, room);
            for &content::Bin { number, count, low, high } in bins {
                side.bins[(number - side.first) as usize] = Bin { count, low, high };
            }
            side
        };
        Some(Self {
            zeros: bins.zeros,
            shift: bins.shift,
            positive: side(&bins.positive, positive),
            negative: side(&bins.negative, negative),
        })
    }

    /// Everything held, sorted: per bin its extremes and the rest between them.
    pub(super) fn items(&self) -> Vec<Item> {
        let bins = self.positive.bins.len() + self.negative.bins.len();
        let mut items = Vec::with_capacity(bins * 3 + 1);
        for (number, bin) in self.negative.held().rev() {
            let (low, high) = self.ends(number, bin);
            push_bin(&mut items, -high, -low, bin.count.into());
        }
        items.extend(Some(Item::tie(0, self.zeros)).filter(|zeros| zeros.weight > 0));
        for (number, bin) in self.positive.held() {
            let (low, high) = self.ends(number, bin);
            push_bin(&mut items, low, high, bin.count.into());
        }
        items
    }

    /// Smallest and largest key of a bin, as magnitudes.
    fn ends(&self, number: u32, bin: Bin) -> (i32, i32) {
        let dropped = dropped(self.shift);
        let key = |offset: u16| {
            let middle = (1 << dropped) >> 1;
            (number << self.shift) + (u32::from(offset) << dropped) + middle + 1
        };
        (key(bin.low).cast_signed(), key(bin.high).cast_signed())
    }

    /// How many values of one bin had their ranks forgotten: those of a tie had not.
    pub(super) fn forgotten(&self) -> Forgotten {
        let mut out = Forgotten::default();
        for side in [&self.positive, &self.negative] {
            let count = |at: usize| side.bins.get(at).map_or(0, |bin| bin.count);
            for (at, bin) in side.bins.iter().enumerate().filter(|(_, bin)| bin.low != bin.high) {
                let neighbour = count(at.wrapping_sub(1)).max(count(at + 1));
                let spike = bin.count.saturating_sub(neighbour);
                // A smooth law scatters by the root of the count.
                let chance = SPIKE_ROOTS * f64::from(bin.count).sqrt();
                out.bin = out.bin.max(bin.count.into());
                if f64::from(spike) > chance {
                    out.spike = out.spike.max(spike.into());
                }
            }
        }
        out
    }

    /// The same counts at OTLP's `scale`, or at the finest one this has.
    pub(super) fn exponential(&self, scale: i32) -> ExponentialHistogram {
        let shift = self.shift.max((STEPS_LOG2 as i32 - scale).clamp(0, 31).cast_unsigned());
        let mut out = ExponentialHistogram::empty(STEPS_LOG2 as i32 - shift.cast_signed());
        out.zero_count = self.zeros;
        let buckets = |side: &Side| {
            let keys = side.held().map(|(number, bin)| (number >> (shift - self.shift), bin));
            Buckets::of(keys.map(|(number, bin)| (number, u64::from(bin.count))), shift)
        };
        (out.positive, out.negative) = (buckets(&self.positive), buckets(&self.negative));
        out
    }

    pub(super) fn heap_bytes(&self) -> usize {
        (self.positive.bins.len() + self.negative.bins.len()) * size_of::<Bin>()
    }
}

impl Side {
    /// Bins for a range, and some more on either side while there is room.
    fn with_margin(range: Range, room: usize) -> Self {
        let Some((first, last)) = range else { return Self::default() };
        // A quarter each: two sides with two ends share the room.
        let margin = (length(range) / MARGIN_SHARE).min(room / 4) as u32;
        let start = first.saturating_sub(margin);
        Self { first: start, bins: vec![EMPTY; (last + margin - start) as usize + 1].into() }
    }
}

/// Whether these are bins of one side: in order, not empty, within the axis.
fn are_bins(bins: &[content::Bin], shift: u32) -> bool {
    if shift > KEY_MAX.ilog2() {
        return false;
    }
    let numbers = KEY_MAX.unsigned_abs() >> shift;
    let offsets = 1u32 << shift.min(OFFSET_BITS);
    let holds = |bin: &content::Bin| {
        bin.number <= numbers
            && bin.count > 0
            && bin.low <= bin.high
            && u32::from(bin.high) < offsets
    };
    bins.iter().all(holds) && bins.is_sorted_by(|a, b| a.number < b.number)
}

fn push_bin(items: &mut Vec<Item>, low: i32, high: i32, count: u64) {
    if low == high {
        items.push(Item::tie(low, count));
        return;
    }
    items.push(Item::tie(low, 1));
    if count > 2 {
        let spread = (high - low) / 2;
        items.push(Item { key: low + spread, spread, weight: count - 2 });
    }
    items.push(Item::tie(high, 1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(keys: &[i32]) -> LogHistogram {
        let mut histogram = LogHistogram::default();
        keys.chunks(7).for_each(|chunk| histogram.add_all(chunk));
        histogram
    }

    fn keys(most: usize) -> impl Strategy<Value = Vec<i32>> {
        let near = (1i32 << 29)..(1 << 29) + 4_000;
        prop::collection::vec(prop_oneof![-(1i32 << 30)..(1 << 30), near, Just(0)], 0..most)
    }

    proptest! {
        /// No value is lost, items are sorted, bins are bounded, and neither order nor
        /// batches leave a trace.
        #[test]
        fn is_a_multiset(mut keys in keys(300)) {
            let forward = of(&keys);
            let mut at_once = LogHistogram::default();
            at_once.add_all(&keys);
            keys.reverse();
            let backward = of(&keys);
            let items = forward.items();
            prop_assert_eq!(keys.len() as u64, items.iter().map(|i| i.weight).sum::<u64>());
            prop_assert!(items.windows(2).all(|pair| pair[0].key <= pair[1].key));
            prop_assert!(forward.heap_bytes() <= BINS_MAX * 8);
            prop_assert_eq!(&items, &backward.items());
            prop_assert_eq!((items, forward.shift), (at_once.items(), at_once.shift));
        }

        /// Absorbing is adding: the parts' values in one histogram.
        #[test]
        fn absorbs_as_it_adds(one in keys(100), two in keys(100)) {
            let together = of(&[one.clone(), two.clone()].concat());
            let (mut left, right) = (of(&one), of(&two));
            left.absorb(&right);
            prop_assert_eq!((together.items(), together.shift), (left.items(), left.shift));
        }

        /// Trimming leaves no trace in what is held, nor in what is added afterwards.
        #[test]
        fn trimming_leaves_no_trace(one in keys(200), two in keys(50)) {
            let together = of(&[one.clone(), two.clone()].concat());
            let (mut trimmed, untrimmed) = (of(&one), of(&one));
            trimmed.trim();
            prop_assert_eq!(untrimmed.items(), trimmed.items());
            prop_assert!(trimmed.heap_bytes() <= untrimmed.heap_bytes());
            trimmed.add_all(&two);
            prop_assert_eq!((together.items(), together.shift), (trimmed.items(), trimmed.shift));
        }

        /// A tie keeps its key, exactly while bins are no wider than an offset has bits.
        #[test]
        fn ties_survive(key in (1i32 << 20)..(1 << 29), spread in 1i32..(1 << 25)) {
            let histogram = of(&[key, key, key, key + spread]);
            prop_assert!(histogram.shift <= OFFSET_BITS);
            prop_assert!(histogram.items().contains(&Item::tie(key, 3)));
        }
    }
}
