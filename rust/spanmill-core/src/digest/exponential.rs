//! The same distribution as an OTLP exponential histogram.
//!
//! Source: OpenTelemetry data model, "ExponentialHistogram".

use super::key::{STEPS_LOG2, Transform};
use super::sealed::Digest;

/// Buckets of one sign past which the scale gets coarser.
const BUCKETS_MAX: u32 = 4096;
/// Octaves below 1 that the standard axis has; OTLP counts buckets from 1.
const OCTAVES_BELOW: i32 = 64;

/// Counts by powers of `2^(2^-scale)`, for one sign.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Buckets {
    /// Number of the first bucket: it holds `(base^offset, base^(offset + 1)]`.
    pub offset: i32,
    /// Values in each.
    pub counts: Vec<u64>,
}

impl Buckets {
    /// From counts by bin of `2^shift` keys, in order of the bins.
    pub(super) fn of(bins: impl Iterator<Item = (u32, u64)>, shift: u32) -> Self {
        let mut out = Self::default();
        let mut first = None;
        for (bin, count) in bins {
            let first = *first.get_or_insert(bin);
            out.counts.resize((bin - first) as usize + 1, 0);
            if let Some(last) = out.counts.last_mut() {
                *last += count;
            }
        }
        if let Some(first) = first {
            // An arithmetic shift floors: a bucket may span more octaves than lie below 1.
            let below = (i64::from(OCTAVES_BELOW) << STEPS_LOG2) >> shift;
            out.offset = (i64::from(first) - below) as i32;
        }
        out
    }
}

/// What OTLP calls an exponential histogram data point, without its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExponentialHistogram {
    /// Buckets grow by `2^(2^-scale)`.
    pub scale: i32,
    /// Values equal to 0.
    pub zero_count: u64,
    /// Values above 0.
    pub positive: Buckets,
    /// Magnitudes of values below 0.
    pub negative: Buckets,
}

impl ExponentialHistogram {
    pub(super) fn empty(scale: i32) -> Self {
        Self { scale, zero_count: 0, positive: Buckets::default(), negative: Buckets::default() }
    }

    /// From keys with their weights, in ascending order of keys.
    pub(super) fn of_keys(keys: &[(i32, u64)], scale: i32) -> Self {
        let mut shift = (STEPS_LOG2 as i32 - scale).clamp(0, 31).cast_unsigned();
        let (below, from_zero) = keys.split_at(keys.partition_point(|(key, _)| *key < 0));
        let (zeros, above) = from_zero.split_at(from_zero.partition_point(|(key, _)| *key == 0));
        for side in [below, above] {
            if let (Some((first, _)), Some((last, _))) = (side.first(), side.last()) {
                while first.abs_diff(*last) >> shift >= BUCKETS_MAX {
                    shift += 1;
                }
            }
        }
        let bin = |&(key, weight): &(i32, u64)| ((key.unsigned_abs() - 1) >> shift, weight);
        let mut out = Self::empty(STEPS_LOG2 as i32 - shift.cast_signed());
        out.zero_count = zeros.iter().map(|(_, weight)| weight).sum();
        out.positive = Buckets::of(above.iter().map(bin), shift);
        out.negative = Buckets::of(below.iter().rev().map(bin), shift);
        out
    }
}

impl Digest {
    /// Counts at OTLP's `scale`, or at a coarser one that needs at most 4,096 buckets a sign.
    ///
    /// `None` on the wide axis, which OTLP's buckets do not divide. Values that came as
    /// they were are counted exactly, to the rounding of their keys (8e-8); centroids are
    /// counted whole where their mean lies.
    #[must_use]
    pub fn exponential_histogram(&self, scale: i32) -> Option<ExponentialHistogram> {
        let standard = self.transform() == Transform::Standard;
        standard.then(|| ExponentialHistogram::of_keys(&self.weighted_keys(), scale))
    }
}
