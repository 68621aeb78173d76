//! Pieces of a window's answer, and their merge.

use std::sync::Arc;

use super::open::OpenBucket;
use super::sealed::{Sealed, exact_digests};
use crate::digest::{Digest, Merger, OpenDigest, Transform};

/// A piece of a window's answer for one measure, still to be merged.
pub(crate) enum Slice {
    /// Shared with the ring.
    Sealed(Sealed),
    /// Shared with the sealer, which has taken it out but not yet sealed it.
    Closing { bucket: Arc<OpenBucket>, measures: usize },
    /// Copied from an open bucket, still to be sealed.
    Open(OpenDigest),
}

/// The distribution of `measure` over all slices.
///
/// Values of exact buckets are pooled first: thousands of quiet series cost one
/// digest, not one each. Busy open buckets are added up and sealed once, which took
/// most of a query's time when each was sealed. Exact ones stay exact.
pub(crate) fn merge_slices(slices: Vec<Slice>, measure: usize) -> Digest {
    let mut merger = Merger::new(Transform::Standard);
    let mut values = Vec::new();
    let mut busy: Option<OpenDigest> = None;
    for slice in slices {
        let open = match slice {
            Slice::Sealed(bucket) => {
                match bucket.shared(measure) {
                    Some(digest) => merger.push(digest),
                    None => values.extend(bucket.values(measure).map(f64::from_bits)),
                }
                continue;
            }
            Slice::Closing { bucket, measures } => bucket.gathered(measures, measure),
            Slice::Open(open) => open,
        };
        match &mut busy {
            _ if open.is_exact() => merger.push_open(&open),
            None => busy = Some(open),
            Some(busy) => busy.absorb(open).iter().for_each(|rest| merger.push_open(rest)),
        }
    }
    busy.iter().for_each(|open| merger.push_open(open));
    exact_digests(&values).iter().for_each(|digest| merger.push(digest));
    merger.finish()
}
