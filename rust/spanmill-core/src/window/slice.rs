//! Pieces of a window's answer, and their merge.

use std::sync::Arc;

use super::open::OpenBucket;
use super::parts::Frozen;
use super::sealed::Sealed;
use crate::digest::{Digest, Merger, Transform};

/// A piece of a window's answer, as it is met under its shard's lock.
#[derive(Clone, Copy)]
pub(crate) enum Slice<'a> {
    /// Shared with the ring.
    Sealed(&'a Sealed),
    /// Shared with the sealer, which has taken it out but not yet sealed it.
    Closing(&'a Arc<OpenBucket>),
    /// Set aside at a cut: the bucket of a part, by its place, and number.
    Frozen(&'a Arc<Frozen>, usize, i32),
    /// Still taking events.
    Open(&'a OpenBucket),
}

/// Pieces on their way into one digest of one measure.
///
/// Under the lock, what is shared is only counted up, and what is open is added to
/// the merge as it stands: a copy of its histogram would cost as much again.
pub(crate) struct Gathered {
    /// Place of the measure, of so many.
    measure: usize,
    measures: usize,
    sealed: Vec<Sealed>,
    closing: Vec<Arc<OpenBucket>>,
    frozen: Vec<(Arc<Frozen>, usize, i32)>,
    merger: Merger,
}

impl Gathered {
    /// Nothing yet, of the measure at place `measure` of `measures`.
    pub(crate) fn new(measure: usize, measures: usize) -> Self {
        let merger = Merger::new(Transform::Standard);
        let (sealed, closing, frozen) = (Vec::new(), Vec::new(), Vec::new());
        Self { measure, measures, sealed, closing, frozen, merger }
    }

    /// Take in a piece; short enough for a shard's lock.
    pub(crate) fn take(&mut self, slice: Slice<'_>) {
        match slice {
            Slice::Sealed(bucket) => self.sealed.push(bucket.clone()),
            Slice::Closing(bucket) => self.closing.push(Arc::clone(bucket)),
            Slice::Frozen(frozen, place, number) => {
                self.frozen.push((Arc::clone(frozen), place, number));
            }
            Slice::Open(bucket) => bucket.fold(self.measures, self.measure, &mut self.merger),
        }
    }

    /// The distribution over all pieces, whatever order they were met in.
    pub(crate) fn merge(mut self) -> Digest {
        let frozen =
            self.frozen.iter().filter_map(|(it, place, number)| it.bucket(*place, *number));
        for bucket in self.closing.iter().map(|bucket| &**bucket).chain(frozen) {
            bucket.fold(self.measures, self.measure, &mut self.merger);
        }
        for bucket in &self.sealed {
            bucket.fold(self.measure, &mut self.merger);
        }
        self.merger.finish()
    }
}
