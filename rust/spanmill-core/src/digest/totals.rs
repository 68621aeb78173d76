//! What is exact about any distribution: count, sum, smallest and largest value.

use super::error::DigestError;
use super::key::Transform;
use super::sum::{CHUNK, Sum};

/// Values a digest may count: ranks stay far inside f64's exponent and u64.
pub(super) const COUNT_MAX: u64 = 1_000_000_000_000_000_000;

/// Count, sum and extremes of a multiset; order leaves no trace.
///
/// `min` and `max` are infinite the wrong way round while `count` is 0.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Totals {
    pub count: u64,
    /// Values that had no place on the axis.
    pub refused: u64,
    pub sum: Sum,
    pub min: f64,
    pub max: f64,
}

impl Totals {
    pub(super) fn new(transform: Transform) -> Self {
        let sum = match transform {
            Transform::Standard => Sum::nano(),
            Transform::Wide => Sum::long(),
        };
        Self { count: 0, refused: 0, sum, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }

    /// Add values that the axis holds.
    #[inline]
    pub(super) fn add_all(&mut self, values: &[f64]) {
        self.count += values.len() as u64;
        for chunk in values.chunks(CHUNK) {
            self.sum.add_chunk(chunk);
            let (mut min, mut max) = (self.min, self.max);
            for &value in chunk {
                // Written so that it is one instruction a value, not a library call.
                min = if value < min { value } else { min };
                max = if value > max { value } else { max };
            }
            (self.min, self.max) = (min, max);
        }
    }

    /// Add one value that the axis holds, `weight` times.
    pub(super) fn add_weighted(&mut self, value: f64, weight: u64) {
        self.count += weight;
        self.sum.add_weighted(value, weight);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Add what `other` holds.
    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.refused = self.refused.saturating_add(other.refused);
        self.sum.merge(&other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Refuse what would pass [`COUNT_MAX`].
    pub(super) fn check_room(&self, more: u64) -> Result<(), DigestError> {
        match self.count.checked_add(more) {
            Some(count) if count <= COUNT_MAX => Ok(()),
            _ => Err(DigestError::Count { count: self.count, more }),
        }
    }
}
