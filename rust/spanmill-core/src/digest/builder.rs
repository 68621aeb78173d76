//! A digest that grows: any number of values, in bounded memory.

use super::bytes::shorten;
use super::compress::{FINE_GAP, Item, compress};
use super::error::DigestError;
use super::key::Transform;
use super::merge::Merger;
use super::sealed::{Body, Digest, Forgotten};
use super::sum::CHUNK;
use super::totals::Totals;
use super::working::Working;

/// Working centroids for one that is stored.
const FINER: usize = 4;
/// Largest weight of one value.
pub(super) const WEIGHT_MAX: u64 = 1_000_000_000_000;
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
    tier: Tier,
}

#[derive(Debug, Clone)]
enum Tier {
    /// Values as they came.
    Exact(Vec<f64>),
    Working(Box<Working>),
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
        let tier = Tier::Exact(Vec::new());
        Ok(Self { transform, max_bytes, totals: Totals::new(transform), tier })
    }

    /// Add values; returns how many were refused: not a number, infinite, or off the axis.
    pub fn add(&mut self, values: &[f64]) -> u64 {
        let (transform, refused_before) = (self.transform, self.totals.refused);
        for chunk in values.chunks(CHUNK) {
            if self.transform.holds_all_positive(chunk) {
                // What most batches are: nothing is asked of a value twice.
                self.add_held(chunk, Working::add_positive);
            } else if self.transform.holds_all(chunk) {
                self.add_held(chunk, |working, chunk| working.add(transform, chunk));
            } else {
                let held: Vec<f64> =
                    chunk.iter().copied().filter(|&value| self.transform.holds(value)).collect();
                let refused = (chunk.len() - held.len()) as u64;
                self.totals.refused = self.totals.refused.saturating_add(refused);
                self.add_held(&held, |working, held| working.add(transform, held));
            }
        }
        self.totals.refused - refused_before
    }

    /// Add at most [`CHUNK`] values that the axis holds.
    #[inline]
    fn add_held(&mut self, values: &[f64], add: impl Fn(&mut Working, &[f64])) {
        self.totals.add_all(values);
        self.make_room();
        match &mut self.tier {
            Tier::Exact(exact) => exact.extend_from_slice(values),
            Tier::Working(working) => add(working, values),
        }
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
        let refused_before = self.totals.refused;
        for (&value, &weight) in values.iter().zip(weights) {
            if !self.transform.holds(value) {
                self.totals.refused = self.totals.refused.saturating_add(1);
                continue;
            }
            self.totals.add_weighted(value, weight);
            self.make_room();
            match &mut self.tier {
                Tier::Exact(exact) => exact.extend(std::iter::repeat_n(value, weight as usize)),
                Tier::Working(working) => {
                    working.add_item(Item::tie(self.transform.key(value), weight));
                }
            }
        }
        Ok(self.totals.refused - refused_before)
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
        if !other.is_exact() {
            self.leave_exact();
        }
        self.make_room();
        match (&other.body, &mut self.tier) {
            (Body::Exact(values), Tier::Exact(exact)) => exact.extend_from_slice(values),
            (Body::Exact(values), Tier::Working(working)) => working.add(self.transform, values),
            (Body::Centroids(centroids), Tier::Working(working)) => {
                centroids.iter().for_each(|item| working.add_item(item));
            }
            (Body::Centroids(_), Tier::Exact(_)) => unreachable!("the exact tier was left"),
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
        let mut merger = Merger::new(self.transform);
        others.iter().for_each(|other| merger.push(other));
        self.totals.merge(merger.totals());
        if !others.iter().all(|other| other.is_exact()) {
            self.leave_exact();
        }
        self.make_room();
        match &mut self.tier {
            Tier::Exact(exact) => exact.extend(merger.into_values()),
            Tier::Working(working) if merger.count() > 0 => {
                working.add_items(&merger.into_items(FINER * self.max_bytes / CENTROID_BYTES));
            }
            Tier::Working(_) => {}
        }
        Ok(())
    }

    /// Leave the exact tier if the count that the totals have by now is too large for it.
    #[inline]
    fn make_room(&mut self) {
        if let Tier::Exact(_) = self.tier
            && self.count() > (self.max_bytes.saturating_sub(self.head_bytes()) / 8) as u64
        {
            self.leave_exact();
        }
    }

    fn head_bytes(&self) -> usize {
        HEAD_BYTES + self.totals.sum.digit_bytes()
    }

    fn leave_exact(&mut self) {
        if let Tier::Exact(exact) = &mut self.tier {
            let exact = std::mem::take(exact);
            let mut working = Box::new(Working::new(FINER * self.max_bytes / CENTROID_BYTES));
            working.add(self.transform, &exact);
            self.tier = Tier::Working(working);
        }
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
        let tier = match &self.tier {
            Tier::Exact(exact) => exact.capacity() * 8,
            Tier::Working(working) => size_of::<Working>() + working.heap_bytes(),
        };
        tier + self.totals.sum.heap_bytes()
    }

    /// The digest of everything added so far; at most `max_bytes` as bytes.
    #[must_use]
    pub fn seal(&self) -> Digest {
        match &self.tier {
            Tier::Exact(exact) => Digest::exact(self.transform, self.totals.clone(), exact.clone()),
            Tier::Working(working) => {
                let mut working = working.clone();
                self.fit(working.settled())
            }
        }
    }

    /// The digest with as many centroids as fit, or nearly.
    fn fit(&self, items: &[Item]) -> Digest {
        let attempt = |clusters| {
            let mut stored = compress(items, self.count(), clusters, FINE_GAP);
            shorten(&mut stored);
            Digest::compressed(self.transform, self.totals.clone(), Forgotten::default(), &stored)
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
}
