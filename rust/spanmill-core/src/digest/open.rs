//! An open bucket's values: a multiset that changes store as it grows.

use super::compress::{CENTROIDS, Item, compress};
use super::histogram::LogHistogram;
use super::key;
use super::sealed::{Body, Digest};

/// Values a digest holds as they came, f64 for f64.
pub(crate) const EXACT_MAX: usize = CENTROIDS;
/// Values held as keys before the histogram takes over.
const KEYS_MAX: usize = 4096;

/// Nano-units in a unit: sums are exact in fixed point, whatever the order.
pub(super) const NANO: f64 = 1e9;

#[derive(Debug, Clone)]
enum Store {
    Raw(Vec<f64>),
    Keys(Vec<i32>),
    Histogram(Box<LogHistogram>),
}

/// Values of one series, measure and bucket, still growing.
///
/// The store depends on how many values there are, never on when they came:
/// raw to 200, keys to 4,096, then a fine histogram.
#[derive(Debug, Clone)]
pub struct OpenDigest {
    count: u64,
    sum_nano: i128,
    min: f64,
    max: f64,
    store: Store,
}

impl Default for OpenDigest {
    fn default() -> Self {
        Self {
            count: 0,
            sum_nano: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            store: Store::Raw(Vec::new()),
        }
    }
}

/// Whether a digest can hold `value`: finite and, unless zero, 2^-64 <= |value| < 2^64.
#[must_use]
pub fn holds(value: f64) -> bool {
    key::has_key(value)
}

impl OpenDigest {
    /// Add values for all of which [`holds`] is true.
    pub fn add_all(&mut self, values: &[f64]) {
        self.count += values.len() as u64;
        values.chunks(CHUNK).for_each(|chunk| self.add_totals(chunk));
        match &mut self.store {
            Store::Raw(raw) => raw.extend_from_slice(values),
            Store::Keys(keys) => keys.extend(values.iter().map(|&v| key::of(v))),
            Store::Histogram(histogram) => add_as_keys(histogram, values),
        }
        self.promote();
    }

    /// Sum, minimum and maximum of at most [`CHUNK`] values, without a branch a value.
    fn add_totals(&mut self, values: &[f64]) {
        let mut sum = 0i64;
        let mut large = false;
        let (mut min, mut max) = (self.min, self.max);
        for &value in values {
            debug_assert!(holds(value), "{value} has no key");
            let nano = value * NANO;
            large |= nano.abs() >= ROUND_LIMIT;
            sum = sum.wrapping_add(rounded(nano));
            min = if value < min { value } else { min };
            max = if value > max { value } else { max };
        }
        (self.min, self.max) = (min, max);
        self.sum_nano += if large {
            values.iter().map(|value| (value * NANO).round_ties_even() as i128).sum()
        } else {
            i128::from(sum)
        };
    }

    fn promote(&mut self) {
        if let Store::Raw(raw) = &self.store
            && raw.len() > EXACT_MAX
        {
            self.store = Store::Keys(raw.iter().map(|&v| key::of(v)).collect());
        }
        if let Store::Keys(keys) = &self.store
            && keys.len() > KEYS_MAX
        {
            let mut histogram = Box::new(LogHistogram::default());
            histogram.add_all(keys);
            self.store = Store::Histogram(histogram);
        }
    }

    /// Whether it still holds the values as they came.
    pub(crate) fn is_exact(&self) -> bool {
        matches!(self.store, Store::Raw(_))
    }

    /// Take in `other`; neither is exact any more. Far cheaper than sealing each.
    ///
    /// Gives `other` back where together they are more than a bin can count.
    pub(crate) fn absorb(&mut self, mut other: Self) -> Option<Self> {
        if self.count + other.count > u64::from(u32::MAX) {
            return Some(other);
        }
        if matches!(other.store, Store::Histogram(_)) {
            std::mem::swap(self, &mut other);
        }
        self.count += other.count;
        self.sum_nano += other.sum_nano;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        match (&mut self.store, other.store) {
            (Store::Histogram(mine), Store::Histogram(theirs)) => mine.absorb(&theirs),
            (Store::Histogram(mine), Store::Keys(keys)) => mine.add_all(&keys),
            (Store::Keys(mine), Store::Keys(keys)) => mine.extend(keys),
            _ => unreachable!("exact parts are merged as digests"),
        }
        self.promote();
        None
    }

    /// How many values were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Bytes held outside the struct itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.store {
            Store::Raw(raw) => raw.capacity() * 8,
            Store::Keys(keys) => keys.capacity() * 4,
            Store::Histogram(histogram) => histogram.heap_bytes() + size_of::<LogHistogram>(),
        }
    }

    /// The digest of everything added so far; the bucket stays open.
    #[must_use]
    pub fn seal(&self) -> Digest {
        let digest = |body| Digest::new(self.count, self.sum_nano, self.min, self.max, body);
        let compressed = |items| digest(Body::from_items(&compress(items, self.count, CENTROIDS)));
        match &self.store {
            Store::Raw(raw) => {
                let mut values = raw.clone();
                values.sort_unstable_by(f64::total_cmp);
                digest(Body::Exact(values.into()))
            }
            Store::Keys(keys) => {
                let mut keys = keys.clone();
                keys.sort_unstable();
                compressed(keys.iter().map(|&key| Item::tie(key, 1)).collect())
            }
            Store::Histogram(histogram) => {
                compressed(histogram.items()).with_bins(histogram.heaviest())
            }
        }
    }
}

fn add_as_keys(histogram: &mut LogHistogram, values: &[f64]) {
    let mut keys = [0; CHUNK];
    for chunk in values.chunks(CHUNK) {
        for (key, &value) in keys.iter_mut().zip(chunk) {
            *key = key::of(value);
        }
        histogram.add_all(&keys[..chunk.len()]);
    }
}

/// Values handled at once: their sum in nano-units fits an i64 below [`ROUND_LIMIT`].
const CHUNK: usize = 256;
/// First magnitude that [`rounded`] gets wrong.
const ROUND_LIMIT: f64 = (1u64 << 51) as f64;
/// Adding 1.5·2^52 leaves the nearest integer, ties to even, in the low bits.
const ROUND: f64 = 1.5 * (1u64 << 52) as f64;

/// The nearest integer to a number below [`ROUND_LIMIT`], with what every CPU has;
/// `round_ties_even` is a library call below SSE 4.1.
#[inline]
fn rounded(nano: f64) -> i64 {
    (nano + ROUND).to_bits().cast_signed().wrapping_sub(ROUND.to_bits().cast_signed())
}
