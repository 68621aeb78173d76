//! What can go wrong with a digest, with the numbers a caller needs.

use super::totals::COUNT_MAX;

/// Why a digest was not made, read or changed. Nothing was added.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DigestError {
    /// `max_bytes` is too small for any digest.
    #[error("max_bytes = {bytes} is too few for a digest: give at least {min}")]
    TooSmall {
        /// What was asked for.
        bytes: usize,
        /// The least that works on this axis.
        min: usize,
    },
    /// Not one weight a value.
    #[error("{values} values came with {weights} weights: give one weight a value")]
    Lengths {
        /// How many values.
        values: usize,
        /// How many weights.
        weights: usize,
    },
    /// A weight out of range.
    #[error(
        "weight {weight} at place {place} is not within 1 to {max}; leave such a value out, or scale the weights"
    )]
    Weight {
        /// The weight.
        weight: u64,
        /// Its place in the weights given, from 0.
        place: usize,
        /// Largest weight taken.
        max: u64,
    },
    /// A weight that is no whole number, as floats bring it.
    #[error(
        "weight {weight} at place {place} is not a whole number from 1 to {max}; scale the weights"
    )]
    Fraction {
        /// The weight.
        weight: f64,
        /// Its place in the weights given, from 0.
        place: usize,
        /// Largest weight taken.
        max: u64,
    },
    /// More values than a digest may count.
    #[error(
        "{count} values and {more} more pass the {COUNT_MAX} that a digest counts: start a new one"
    )]
    Count {
        /// Values held.
        count: u64,
        /// Values to add.
        more: u64,
    },
    /// The parts lie on different axes.
    #[error(
        "a {theirs} digest cannot be merged into a {mine} one: make both with the same transform"
    )]
    Transforms {
        /// The axis of the receiving digest.
        mine: &'static str,
        /// The axis of the other.
        theirs: &'static str,
    },
    /// The bytes are no digest of ours.
    #[error("not a spanmill digest: it starts with {found}, not with {expected}")]
    Magic {
        /// The first bytes, in hexadecimal.
        found: String,
        /// What a digest starts with.
        expected: &'static str,
    },
    /// The bytes are from a newer release.
    #[error("digest version {found} is newer than {known}: upgrade spanmill to read it")]
    Version {
        /// The version of the bytes.
        found: u8,
        /// The newest one known here.
        known: u8,
    },
    /// The checksum does not match.
    #[error(
        "checksum {stored:08x}, but the bytes give {computed:08x}: the digest was damaged on its way, fetch it again"
    )]
    Checksum {
        /// What the digest says.
        stored: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// The bytes end too early, go on too long, or contradict themselves.
    #[error("not a valid digest at byte {offset}: {reason}")]
    Malformed {
        /// Where reading stopped, from the start.
        offset: usize,
        /// What was wrong there.
        reason: &'static str,
    },
    /// Centroids that describe no distribution.
    #[error("centroid {place} of {centroids}: {reason}")]
    Centroid {
        /// Its place, from 0.
        place: usize,
        /// How many there are.
        centroids: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Foreign extremes that do not enclose the centroids, or are missing.
    #[error("min {min} and max {max} do not enclose the centroids, {low} to {high}")]
    Extremes {
        /// The smallest value, as told.
        min: f64,
        /// The largest value, as told.
        max: f64,
        /// The lowest mean.
        low: f64,
        /// The highest mean.
        high: f64,
    },
    /// A rank outside the distribution.
    #[error("rank {q} is not within 0 to 1")]
    Rank {
        /// What was asked for.
        q: f64,
    },
    /// Another engine's digest cannot be read, or not written for it.
    #[error("{layout}: {problem}")]
    Foreign {
        /// The layout's name.
        layout: &'static str,
        /// What is wrong, with the numbers.
        problem: String,
    },
}
