//! An open bucket's values: a multiset that changes store as it grows.

use super::compress::{CENTROIDS, FINE_GAP, Item, compress, joined};
use super::content::{Content, KEY_MAX, Sums};
use super::exponential::ExponentialHistogram;
use super::histogram::LogHistogram;
use super::key::{self, Transform};
use super::radix;
use super::sealed::{Digest, Forgotten};
use super::sum::CHUNK;
use super::totals::Totals;

/// Values a digest holds as they came, f64 for f64.
pub(crate) const EXACT_MAX: usize = CENTROIDS;
/// Values held as keys before the histogram takes over: as many bytes as it needs.
const KEYS_MAX: usize = 2048;
/// Values up to which a buffer doubles; beyond, it grows by a quarter.
const DOUBLING_MAX: usize = 64;

#[derive(Debug, Clone)]
enum Inner {
    /// Everything else follows from the values.
    Raw(Vec<f64>),
    Busy(Box<Busy>),
}

#[derive(Debug, Clone)]
struct Busy {
    totals: Totals,
    keys: Vec<i32>,
    /// Takes the keys over once they are too many.
    histogram: Option<LogHistogram>,
}

/// What an open bucket holds, for [`Merger`](super::Merger).
pub(super) enum Store<'a> {
    Raw(&'a [f64]),
    Keys(&'a Totals, &'a [i32]),
    Histogram(&'a Totals, &'a LogHistogram),
}

/// Values of one series, measure and bucket, still growing.
///
/// The store depends on how many values there are, never on when they came: raw to
/// 200, keys to 2,048, then a log histogram of at most 1,024 bins.
///
/// What the bins forget of the ranks inside them comes on top of the digest's own error.
/// Worst rank over 0.001 to 0.999, in ppm: at a million values 115 for a lognormal law, 200
/// for a uniform one, 130 for a drift; at ten thousand 1,100 to 1,200. Ties that share a bin
/// are taken for even: integer milliseconds are off by 12,000.
#[derive(Debug, Clone)]
pub struct OpenDigest(Inner);

impl Default for OpenDigest {
    fn default() -> Self {
        Self(Inner::Raw(Vec::new()))
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
        if let Inner::Raw(raw) = &mut self.0 {
            if raw.len() + values.len() <= EXACT_MAX {
                reserve(raw, values.len(), EXACT_MAX);
                raw.extend_from_slice(values);
                return;
            }
            self.leave_raw();
        }
        if let Inner::Busy(busy) = &mut self.0 {
            busy.add_all(values);
        }
    }

    fn leave_raw(&mut self) {
        if let Inner::Raw(raw) = &self.0 {
            let totals = Totals::new(Transform::Standard);
            let mut busy = Busy { totals, keys: Vec::new(), histogram: None };
            busy.add_all(raw);
            self.0 = Inner::Busy(Box::new(busy));
        }
    }

    /// Give back room that a histogram has for values to come: few will.
    pub(crate) fn settle(&mut self) {
        if let Inner::Busy(busy) = &mut self.0
            && let Some(histogram) = &mut busy.histogram
        {
            histogram.trim();
        }
    }

    /// Add everything `other` holds, as if its values had been added here.
    pub(crate) fn absorb(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (_, Inner::Raw(raw)) => self.add_all(raw),
            (Inner::Raw(raw), Inner::Busy(_)) => {
                let mine = std::mem::take(raw);
                *self = other.clone();
                self.add_all(&mine);
            }
            (Inner::Busy(mine), Inner::Busy(theirs)) => mine.absorb(theirs),
        }
    }

    /// What it holds, as plain numbers.
    pub(crate) fn content(&self) -> Content {
        match self.store() {
            Store::Raw(raw) => Content::Raw(raw.to_vec()),
            Store::Keys(totals, keys) => {
                let mut keys = keys.to_vec();
                keys.sort_unstable();
                Content::Keys(Sums::of(totals), keys)
            }
            Store::Histogram(totals, histogram) => {
                Content::Histogram(Sums::of(totals), histogram.bins())
            }
        }
    }

    /// One that holds `content`; `None` where no digest holds such.
    pub(crate) fn of_content(content: Content) -> Option<Self> {
        let busy = match content {
            Content::Raw(raw) => {
                let possible = raw.len() <= EXACT_MAX && raw.iter().all(|value| holds(*value));
                return possible.then_some(Self(Inner::Raw(raw)));
            }
            Content::Keys(sums, keys) => {
                let possible = (EXACT_MAX + 1..=KEYS_MAX).contains(&keys.len())
                    && keys.iter().all(|key| (-KEY_MAX..=KEY_MAX).contains(key));
                let totals = sums.totals(keys.len() as u64).filter(|_| possible)?;
                Busy { totals, keys, histogram: None }
            }
            Content::Histogram(sums, bins) => {
                let count = bins.count().filter(|count| *count > KEYS_MAX as u64)?;
                let histogram = Some(bins.histogram()?);
                Busy { totals: sums.totals(count)?, keys: Vec::new(), histogram }
            }
        };
        Some(Self(Inner::Busy(Box::new(busy))))
    }

    /// Whether it still holds the values as they came.
    pub(crate) fn is_exact(&self) -> bool {
        matches!(self.0, Inner::Raw(_))
    }

    /// How many values were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.0 {
            Inner::Raw(raw) => raw.len() as u64,
            Inner::Busy(busy) => busy.totals.count,
        }
    }

    /// Bytes held outside the struct itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Inner::Raw(raw) => raw.capacity() * 8,
            Inner::Busy(busy) => {
                let bins = busy.histogram.as_ref().map_or(0, LogHistogram::heap_bytes);
                size_of::<Busy>() + busy.keys.capacity() * 4 + bins
            }
        }
    }

    pub(super) fn store(&self) -> Store<'_> {
        match &self.0 {
            Inner::Raw(raw) => Store::Raw(raw),
            Inner::Busy(busy) => match &busy.histogram {
                Some(histogram) => Store::Histogram(&busy.totals, histogram),
                None => Store::Keys(&busy.totals, &busy.keys),
            },
        }
    }

    /// The digest of everything added so far; the bucket stays open.
    #[must_use]
    pub fn seal(&self) -> Digest {
        let transform = Transform::Standard;
        match self.store() {
            Store::Raw(raw) => {
                let mut totals = Totals::new(transform);
                totals.add_all(raw);
                Digest::exact(transform, totals, raw.to_vec())
            }
            Store::Keys(totals, keys) => {
                let places = sorted(keys);
                let items = places.iter().map(|&place| Item::tie(radix::key(place), 1));
                let items = compress(&joined(items), totals.count, CENTROIDS, FINE_GAP);
                Digest::compressed(transform, totals.clone(), Forgotten::default(), &items)
            }
            Store::Histogram(totals, histogram) => {
                let ends = (key::of(totals.min), key::of(totals.max));
                // Wide bins round their offsets, which may pass the extremes.
                let held = |item: Item| Item { key: item.key.clamp(ends.0, ends.1), ..item };
                let items = joined(histogram.items().into_iter().map(held));
                let items = compress(&items, totals.count, CENTROIDS, FINE_GAP);
                Digest::compressed(transform, totals.clone(), histogram.forgotten(), &items)
            }
        }
    }

    /// Counts at OTLP's `scale`, or at the finest one that is kept: exact to the rounding
    /// of the keys, 8e-8.
    #[must_use]
    pub fn exponential_histogram(&self, scale: i32) -> ExponentialHistogram {
        let keys: Vec<i32> = match self.store() {
            Store::Histogram(_, histogram) => return histogram.exponential(scale),
            Store::Raw(raw) => raw.iter().map(|&value| key::of(value)).collect(),
            Store::Keys(_, keys) => keys.to_vec(),
        };
        let ones: Vec<(i32, u64)> =
            sorted(&keys).into_iter().map(|place| (radix::key(place), 1)).collect();
        ExponentialHistogram::of_keys(&ones, scale)
    }
}

impl Busy {
    fn add_all(&mut self, values: &[f64]) {
        self.totals.add_all(values);
        let mut keys = [0; CHUNK];
        for chunk in values.chunks(CHUNK) {
            let keys = &mut keys[..chunk.len()];
            keys.iter_mut().zip(chunk).for_each(|(key, &value)| *key = key::of(value));
            self.add_keys(keys);
        }
    }

    fn absorb(&mut self, other: &Self) {
        self.totals.merge(&other.totals);
        match &other.histogram {
            None => self.add_keys(&other.keys),
            Some(theirs) => {
                let mine = self.histogram.get_or_insert_default();
                mine.add_all(&std::mem::take(&mut self.keys));
                mine.absorb(theirs);
            }
        }
    }

    fn add_keys(&mut self, keys: &[i32]) {
        if let Some(histogram) = &mut self.histogram {
            return histogram.add_all(keys);
        }
        if self.keys.len() + keys.len() <= KEYS_MAX {
            reserve(&mut self.keys, keys.len(), KEYS_MAX);
            return self.keys.extend_from_slice(keys);
        }
        let mut all = std::mem::take(&mut self.keys);
        all.extend_from_slice(keys);
        self.histogram.insert(LogHistogram::default()).add_all(&all);
    }
}

fn sorted(keys: &[i32]) -> Vec<u32> {
    let mut places: Vec<u32> = keys.iter().map(|&key| radix::place(key)).collect();
    radix::sort(&mut places, &mut Vec::new(), |place| place);
    places
}

/// Make room for `more`, with little to spare: there is a buffer for every series.
fn reserve<T>(buffer: &mut Vec<T>, more: usize, most: usize) {
    let wanted = buffer.len() + more;
    if wanted <= buffer.capacity() {
        return;
    }
    let slack = if wanted <= DOUBLING_MAX {
        wanted.next_power_of_two()
    } else {
        (wanted + wanted / 4).min(most)
    };
    buffer.reserve_exact(slack - buffer.len());
}
