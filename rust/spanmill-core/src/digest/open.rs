//! An open bucket's values: a multiset that changes store as it grows.

use super::compress::{CENTROIDS, FINE_GAP, Item, compress};
use super::histogram::LogHistogram;
use super::key::{self, Transform};
use super::sealed::Digest;
use super::sum::CHUNK;
use super::totals::Totals;

/// Values a digest holds as they came, f64 for f64.
pub(crate) const EXACT_MAX: usize = CENTROIDS;
/// Values held as keys before the histogram takes over.
const KEYS_MAX: usize = 4096;

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
    totals: Totals,
    store: Store,
}

impl Default for OpenDigest {
    fn default() -> Self {
        Self { totals: Totals::new(Transform::Standard), store: Store::Raw(Vec::new()) }
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
        debug_assert!(values.iter().all(|&value| holds(value)), "a value has no key");
        self.totals.add_all(values);
        match &mut self.store {
            Store::Raw(raw) => raw.extend_from_slice(values),
            Store::Keys(keys) => keys.extend(values.iter().map(|&v| key::of(v))),
            Store::Histogram(histogram) => add_as_keys(histogram, values),
        }
        self.promote();
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
        if self.count() + other.count() > u64::from(u32::MAX) {
            return Some(other);
        }
        if matches!(other.store, Store::Histogram(_)) {
            std::mem::swap(self, &mut other);
        }
        self.totals.merge(&other.totals);
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
        self.totals.count
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
        let compressed = |items: Vec<Item>, heaviest_bin| {
            let items = compress(items.into_iter(), self.count(), CENTROIDS, FINE_GAP);
            Digest::compressed(Transform::Standard, self.totals.clone(), heaviest_bin, &items)
        };
        match &self.store {
            Store::Raw(raw) => Digest::exact(Transform::Standard, self.totals.clone(), raw.clone()),
            Store::Keys(keys) => {
                let mut keys = keys.clone();
                keys.sort_unstable();
                compressed(keys.iter().map(|&key| Item::tie(key, 1)).collect(), 0)
            }
            Store::Histogram(histogram) => compressed(histogram.items(), histogram.heaviest()),
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
