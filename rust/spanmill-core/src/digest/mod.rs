//! Distributions: the log-key t-digest.
//!
//! Values become integer keys on a logarithmic axis ([`key`]); an open bucket
//! keeps the multiset of keys ([`OpenDigest`]); sealing sorts it once and
//! compresses it to centroids ([`Digest`]) sized by a scale function
//! ([`scale`]); quantiles are read off a monotone cubic through the centroids
//! ([`curve`]). The content of a sealed digest depends on the multiset alone:
//! not on batches, threads or arrival order.
//!
//! What it cannot promise: a t-digest has no worst-case rank bound. Inputs
//! chosen against it can push the error past the stated estimate.
//!
//! Source: T. Dunning, O. Ertl, "Computing extremely accurate quantiles using
//! t-digests" (2019); log-domain keys and cubic interpolation are ours.

mod compress;
mod curve;
mod histogram;
pub(crate) mod key;
mod open;
mod scale;
mod sealed;

pub use compress::CENTROIDS;
pub use open::{OpenDigest, holds};
pub use sealed::{Centroid, Digest, Quantile};
