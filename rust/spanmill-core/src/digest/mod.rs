//! Distributions: the log-key t-digest.
//!
//! Values become integer keys on a logarithmic axis (`key`). An open bucket
//! keeps their multiset ([`OpenDigest`]); sealing sorts it once and compresses it
//! (`compress`) to centroids ([`Digest`]) sized by a scale function (`scale`),
//! with limits of their own around gaps (`gaps`). Quantiles and shares are read off
//! one monotone cubic (`curve`). The content of a sealed digest, and of any merge
//! ([`Merger`]), depends on the multiset alone: not on batches, threads or arrival
//! order. A [`Builder`] instead takes any number of values in bounded memory, finer
//! than a histogram; of it only count, sum and extremes forget the order.
//!
//! What it cannot promise: a t-digest has no worst-case rank bound. Inputs
//! chosen against it can push the error past the stated estimate.
//!
//! Source: T. Dunning, O. Ertl, "Computing extremely accurate quantiles using
//! t-digests" (2019); log-domain keys and cubic interpolation are ours.

mod builder;
mod bytes;
mod compress;
mod content;
mod curve;
mod error;
mod exponential;
pub mod foreign;
mod gaps;
mod grid;
mod histogram;
pub(crate) mod key;
mod live;
mod merge;
mod open;
mod radix;
mod scale;
mod sealed;
mod sum;
mod totals;
mod working;

pub use builder::Builder;
pub use compress::CENTROIDS;
pub(crate) use content::{Bin, Bins, Content, Sums};
pub use error::DigestError;
pub use exponential::{Buckets, ExponentialHistogram};
pub use key::Transform;
pub use live::{Answers, LiveDigest};
pub use merge::Merger;
pub(crate) use open::EXACT_MAX;
pub use open::{OpenDigest, holds};
pub use sealed::{Centroid, Digest, Foreign, Quantile, Reader};
