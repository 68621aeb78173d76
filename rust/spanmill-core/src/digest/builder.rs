//! A digest that grows: any number of values, in bounded memory.

use super::compress::{FINE_GAP, Item, compress, condense};
use super::error::DigestError;
use super::key::Transform;
use super::sealed::{Body, Digest};
use super::totals::Totals;

/// Values buffered as keys between two merges into the working centroids.
const BUFFER: usize = 8_192;
/// Working centroids for one that is stored.
const FINER: usize = 4;
/// Largest weight of one value.
const WEIGHT_MAX: u64 = 1_000_000_000_000;
/// Least `max_bytes`: the header in full, and a few centroids.
const MIN_BYTES: usize = 256;
/// The same where the sum may span all of f64.
const MIN_BYTES_WIDE: usize = 768;
/// Bytes beside the body that an exact digest may need; a wide sum adds its digits.
const HEAD_BYTES: usize = 48;
/// Bytes a stored centroid is first guessed to take.
const CENTROID_BYTES: usize = 4;

/// Centroids that fit into the least `max_bytes`, whatever they are.
const CLUSTERS_MIN: usize = 8;
/// Tries to use `max_bytes` up.
const ATTEMPTS: usize = 8;

/// Takes values in batches and gives the digest of all so far.
///
/// Up to as many values as `max_bytes` holds stay the very f64 that came in. Beyond
/// that they become keys, and are merged into centroids four times finer than those
/// stored. Count, sum, minimum and maximum are exact and forget the order; the
/// centroids do not: batches in another order give another digest of the same accuracy.
#[derive(Debug, Clone)]
pub struct Builder {
    transform: Transform,
    max_bytes: usize,
    totals: Totals,
    /// Values as they came; none once the exact tier is left.
    values: Vec<f64>,
    exact: bool,
    /// Keys and weights not yet merged.
    buffer: Vec<Item>,
    /// Sorted centroids.
    working: Vec<Item>,
}

impl Builder {
    /// An empty one, whose digests take at most `max_bytes` as bytes.
    ///
    /// # Errors
    ///
    /// `max_bytes` under 256, or under 768 on the wide axis.
    pub fn new(transform: Transform, max_bytes: usize) -> Result<Self, DigestError> {
        let min = match transform {
            Transform::Standard => MIN_BYTES,
            Transform::Wide => MIN_BYTES_WIDE,
        };
        if max_bytes < min {
            return Err(DigestError::TooSmall { bytes: max_bytes, min });
        }
        Ok(Self {
            transform,
            max_bytes,
            totals: Totals::new(transform),
            values: Vec::new(),
            exact: true,
            buffer: Vec::new(),
            working: Vec::new(),
        })
    }

    /// Add values; returns how many were refused: not a number, infinite, or off the axis.
    pub fn add(&mut self, values: &[f64]) -> u64 {
        let held: Vec<f64> =
            values.iter().copied().filter(|&value| self.transform.holds(value)).collect();
        let refused = (values.len() - held.len()) as u64;
        self.totals.refused = self.totals.refused.saturating_add(refused);
        self.totals.add_all(&held);
        self.take(held.iter().map(|&value| (value, 1)));
        refused
    }

    /// Add each value as often as its weight says; returns how many values were refused.
    ///
    /// # Errors
    ///
    /// Lengths that differ, a weight outside 1 to 10^12, or more than 10^18 values in
    /// all: nothing was added.
    pub fn add_weighted(&mut self, values: &[f64], weights: &[u64]) -> Result<u64, DigestError> {
        if values.len() != weights.len() {
            return Err(DigestError::Lengths { values: values.len(), weights: weights.len() });
        }
        let wrong = weights.iter().position(|weight| !(1..=WEIGHT_MAX).contains(weight));
        if let Some(place) = wrong {
            let weight = weights[place];
            return Err(DigestError::Weight { weight, place, max: WEIGHT_MAX });
        }
        self.totals
            .check_room(weights.iter().fold(0, |sum, weight| sum.saturating_add(*weight)))?;
        let held: Vec<(f64, u64)> = std::iter::zip(values.iter().copied(), weights.iter().copied())
            .filter(|&(value, _)| self.transform.holds(value))
            .collect();
        let refused = (values.len() - held.len()) as u64;
        self.totals.refused = self.totals.refused.saturating_add(refused);
        for &(value, weight) in &held {
            self.totals.add_weighted(value, weight);
        }
        self.take(held.into_iter());
        Ok(refused)
    }

    /// Add what a digest holds.
    ///
    /// # Errors
    ///
    /// The digest lies on another axis, or both hold more than 10^18 values.
    pub fn merge(&mut self, other: &Digest) -> Result<(), DigestError> {
        if self.transform != other.transform {
            let (mine, theirs) = (self.transform.name(), other.transform.name());
            return Err(DigestError::Transforms { mine, theirs });
        }
        self.totals.check_room(other.count())?;
        self.totals.merge(&other.totals);
        match &other.body {
            Body::Exact(values) => self.take(values.iter().map(|&value| (value, 1))),
            Body::Centroids(centroids) => {
                self.leave_exact();
                self.buffer.extend(centroids.iter());
                self.flush();
            }
        }
        Ok(())
    }

    /// Add what several digests hold, in one pass: what is built does not depend on their order.
    ///
    /// # Errors
    ///
    /// As [`merge`](Self::merge), of any one of them: nothing was added.
    pub fn merge_all(&mut self, others: &[&Digest]) -> Result<(), DigestError> {
        if let Some(other) = others.iter().find(|other| other.transform != self.transform) {
            let (mine, theirs) = (self.transform.name(), other.transform.name());
            return Err(DigestError::Transforms { mine, theirs });
        }
        let more = others.iter().fold(0, |sum: u64, other| sum.saturating_add(other.count()));
        self.totals.check_room(more)?;
        others.iter().for_each(|other| self.totals.merge(&other.totals));
        let bodies = || others.iter().map(|other| &other.body);
        if !bodies().all(|body| matches!(body, Body::Exact(_))) || self.count() > self.room() {
            self.leave_exact();
        }
        for body in bodies() {
            match body {
                Body::Exact(values) if self.exact => self.values.extend(values),
                Body::Exact(values) => {
                    self.buffer.extend(values.iter().map(|&v| Item::tie(self.transform.key(v), 1)))
                }
                Body::Centroids(centroids) => self.buffer.extend(centroids.iter()),
            }
        }
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
        Ok(())
    }

    /// How many values stay as they came.
    fn room(&self) -> u64 {
        ((self.max_bytes - HEAD_BYTES) / 8) as u64
    }

    /// How many values were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.totals.count
    }

    /// How many values were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.totals.refused
    }

    /// Bytes held outside the struct itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.values.capacity() * 8
            + (self.buffer.capacity() + self.working.capacity()) * size_of::<Item>()
            + self.totals.sum.heap_bytes()
    }

    /// The digest of everything added so far; at most `max_bytes` as bytes.
    #[must_use]
    pub fn seal(&self) -> Digest {
        if self.exact {
            return Digest::exact(self.transform, self.totals.clone(), self.values.clone());
        }
        let mut items = [self.working.as_slice(), self.buffer.as_slice()].concat();
        items.sort_unstable();
        self.fit(&items)
    }

    /// The digest with as many centroids as fit, or nearly.
    fn fit(&self, items: &[Item]) -> Digest {
        let attempt = |clusters| {
            let stored = compress(items.iter().copied(), self.count(), clusters, FINE_GAP);
            Digest::compressed(self.transform, self.totals.clone(), 0, &stored)
        };
        let (mut fits, mut fails) = (CLUSTERS_MIN, self.max_bytes);
        let mut best = None;
        let mut clusters = self.max_bytes / CENTROID_BYTES;
        for _ in 0..ATTEMPTS {
            let digest = attempt(clusters);
            let bytes = digest.to_bytes().len();
            if bytes <= self.max_bytes {
                fits = clusters;
                best = Some(digest);
                if bytes * 64 > self.max_bytes * 63 {
                    break;
                }
            } else {
                fails = clusters;
            }
            // Bytes rise about as centroids do; where they do not, halve the range.
            let guess = clusters * self.max_bytes / bytes;
            let middle = usize::midpoint(fits, fails);
            clusters = if fits < guess && guess < fails { guess } else { middle };
            if clusters == fits {
                break;
            }
        }
        best.unwrap_or_else(|| attempt(CLUSTERS_MIN))
    }

    fn take(&mut self, held: impl ExactSizeIterator<Item = (f64, u64)> + Clone) {
        if self.exact {
            if self.count() <= self.room() {
                for (value, weight) in held {
                    self.values.extend(std::iter::repeat_n(value, weight as usize));
                }
                return;
            }
            self.leave_exact();
        }
        for (value, weight) in held {
            self.buffer.push(Item::tie(self.transform.key(value), weight));
            if self.buffer.len() >= BUFFER {
                self.flush();
            }
        }
    }

    fn leave_exact(&mut self) {
        self.exact = false;
        let transform = self.transform;
        self.buffer.extend(self.values.drain(..).map(|v| Item::tie(transform.key(v), 1)));
    }

    fn flush(&mut self) {
        let mut items = std::mem::take(&mut self.working);
        items.append(&mut self.buffer);
        items.sort_unstable();
        let count = items.iter().map(|item| item.weight).sum();
        self.working =
            condense(items.into_iter(), count, FINER * self.max_bytes / CENTROID_BYTES, Vec::new());
    }
}
