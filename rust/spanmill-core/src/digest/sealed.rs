//! A sealed digest: immutable, shared, mergeable.

use super::compress::{CENTROIDS, Item, compress};
use super::curve::Curve;
use super::key;
use super::open::{EXACT_MAX, NANO};

/// Merged answers stay exact up to this many values when every part was.
const EXACT_MERGE_MAX: usize = 4096;

const PURE: u32 = 1 << 31;
const ESCAPED: u32 = 1 << 30;

/// Mean value and weight of one centroid, as other engines store it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Centroid {
    /// Mean, in the measure's unit. Geometric within the centroid.
    pub mean: f64,
    /// How many values.
    pub weight: u64,
}

/// One quantile with how far off its rank may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// The value, in the measure's unit.
    pub value: f64,
    /// Estimated rank error, a share of the count; 0 where exact.
    pub rank_error: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    /// Sorted values as they came.
    Exact(Box<[f64]>),
    /// 8 B a centroid: mean key, and weight with a pure bit; weights of 2^30 and
    /// up are escaped into `large`.
    Centroids { keys: Box<[i32]>, weights: Box<[u32]>, large: Box<[u64]> },
}

impl Body {
    pub(super) fn from_items(items: &[Item]) -> Self {
        let mut large = Vec::new();
        let weights = items
            .iter()
            .map(|item| {
                let pure = if item.pure { PURE } else { 0 };
                pure | u32::try_from(item.weight).ok().filter(|w| *w < ESCAPED).unwrap_or_else(
                    || {
                        large.push(item.weight);
                        ESCAPED | (large.len() as u32 - 1)
                    },
                )
            })
            .collect();
        let keys = items.iter().map(|item| item.key).collect();
        Self::Centroids { keys, weights, large: large.into() }
    }

    fn push_items(&self, out: &mut Vec<Item>) {
        match self {
            Self::Exact(values) => {
                out.extend(values.iter().map(|&v| Item::tie(key::of(v), 1)));
            }
            Self::Centroids { keys, weights, large } => {
                out.extend(keys.iter().zip(weights).map(|(&key, &word)| {
                    let low = word & !(PURE | ESCAPED);
                    let weight =
                        if word & ESCAPED == 0 { u64::from(low) } else { large[low as usize] };
                    Item { key, spread: 0, pure: word & PURE != 0, weight }
                }));
            }
        }
    }
}

/// The distribution of one series, measure and stretch of event time.
///
/// `min` and `max` are infinite the wrong way round while `count` is 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    count: u64,
    sum_nano: i128,
    min: f64,
    max: f64,
    /// Values of the heaviest histogram bin, whose ranks were forgotten; parts add up.
    heaviest_bin: u64,
    body: Body,
}

impl Default for Digest {
    fn default() -> Self {
        Self::new(0, 0, f64::INFINITY, f64::NEG_INFINITY, Body::Exact(Box::default()))
    }
}

impl Digest {
    pub(super) fn new(count: u64, sum_nano: i128, min: f64, max: f64, body: Body) -> Self {
        Self { count, sum_nano, min, max, heaviest_bin: 0, body }
    }

    /// Say that a histogram held the values.
    pub(super) fn with_bins(self, heaviest_bin: u64) -> Self {
        Self { heaviest_bin, ..self }
    }

    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of the values, exact to a nano-unit each.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum_nano as f64 / NANO
    }

    /// Smallest value; `None` while empty.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    /// Largest value; `None` while empty.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    /// Whether every quantile is one of the values that went in.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        matches!(self.body, Body::Exact(_))
    }

    /// Bytes held outside the struct itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.body {
            Body::Exact(values) => values.len() * 8,
            Body::Centroids { keys, large, .. } => keys.len() * 8 + large.len() * 8,
        }
    }

    /// Centroids in order, means clamped to the true minimum and maximum.
    pub fn centroids(&self) -> impl Iterator<Item = Centroid> {
        let items = match &self.body {
            Body::Exact(values) => {
                values.iter().map(|&mean| Centroid { mean, weight: 1 }).collect::<Vec<_>>()
            }
            Body::Centroids { .. } => self
                .items()
                .iter()
                .map(|item| Centroid {
                    mean: key::value(f64::from(item.key)).clamp(self.min, self.max),
                    weight: item.weight,
                })
                .collect(),
        };
        items.into_iter()
    }

    fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        self.body.push_items(&mut items);
        items
    }

    /// Merge parts into a digest to store, of at most about [`CENTROIDS`] centroids.
    ///
    /// The result depends on the parts as a multiset, not on their order.
    #[must_use]
    pub fn merge<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::merge_to(parts, EXACT_MAX)
    }

    /// Merge parts into a digest to read once: exact for longer than a stored one.
    ///
    /// No finer than a stored one: 36 leaves left at 800 centroids form a
    /// staircase (1,300 ppm at worst against 280 at 200).
    #[must_use]
    pub fn merge_for_query<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::merge_to(parts, EXACT_MERGE_MAX)
    }

    fn merge_to<'a>(parts: impl IntoIterator<Item = &'a Self>, exact_max: usize) -> Self {
        let mut merged = Self::default();
        let mut values = Vec::new();
        let mut items = Vec::new();
        for part in parts {
            merged.count += part.count;
            merged.sum_nano += part.sum_nano;
            merged.min = merged.min.min(part.min);
            merged.max = merged.max.max(part.max);
            merged.heaviest_bin += part.heaviest_bin;
            match &part.body {
                Body::Exact(exact) => values.extend_from_slice(exact),
                centroids @ Body::Centroids { .. } => centroids.push_items(&mut items),
            }
        }
        values.sort_unstable_by(f64::total_cmp);
        let exact = Body::Exact(values.into());
        if items.is_empty() && merged.count <= exact_max as u64 {
            return Self { body: exact, ..merged };
        }
        exact.push_items(&mut items);
        items.sort_unstable();
        Self { body: Body::from_items(&compress(items, merged.count, CENTROIDS)), ..merged }
    }

    /// Values at ranks `qs` in [0, 1], in the order asked; `None` while empty.
    ///
    /// Exact tiers return the smallest value whose share of values at or below
    /// it reaches q. Others read a monotone cubic through the centroids.
    #[must_use]
    pub fn quantiles(&self, qs: &[f64]) -> Option<Vec<Quantile>> {
        if self.count == 0 {
            return None;
        }
        if let Body::Exact(values) = &self.body {
            let at = |q: f64| {
                let place = (q * values.len() as f64).ceil() as usize;
                Quantile { value: values[place.clamp(1, values.len()) - 1], rank_error: 0.0 }
            };
            return Some(qs.iter().map(|&q| at(q)).collect());
        }
        let curve = Curve::new(&self.items(), self.count, self.heaviest_bin);
        let at = |q: f64| {
            let (key, rank_error) = curve.at(q);
            let value = if q <= 0.0 {
                self.min
            } else if q >= 1.0 {
                self.max
            } else {
                key::value(key)
            };
            Quantile { value: value.clamp(self.min, self.max), rank_error }
        };
        Some(qs.iter().map(|&q| at(q)).collect())
    }
}
