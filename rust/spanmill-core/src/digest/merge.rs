//! Many digests into one, whatever their order.

use super::compress::{CENTROIDS, Item, MERGED_GAP, compress};
use super::key::Transform;
use super::open::OpenDigest;
use super::sealed::{Body, Digest};
use super::totals::{COUNT_MAX, Totals};

/// Merged answers stay exact up to this many values when every part was.
pub(super) const EXACT_MERGE_MAX: usize = 4096;

/// Gathers digests, sealed and open, and merges them once.
///
/// The result depends on the parts as a multiset, not on their order.
#[derive(Debug, Clone)]
pub struct Merger {
    transform: Transform,
    totals: Totals,
    heaviest_bin: u64,
    exact_max: usize,
    values: Vec<f64>,
    items: Vec<Item>,
}

impl Merger {
    /// An empty one; it turns wide when a wide digest is pushed.
    #[must_use]
    pub fn new(transform: Transform) -> Self {
        Self {
            transform,
            totals: Totals::new(transform),
            heaviest_bin: 0,
            exact_max: EXACT_MERGE_MAX,
            values: Vec::new(),
            items: Vec::new(),
        }
    }

    /// Keep values as they came up to this many.
    pub(super) fn exact_to(self, exact_max: usize) -> Self {
        Self { exact_max, ..self }
    }

    /// Take in a sealed digest.
    ///
    /// One that would bring the count past 10^18 is counted as refused.
    pub fn push(&mut self, part: &Digest) {
        if self.totals.count + part.count() > COUNT_MAX {
            self.totals.refused = self.totals.refused.saturating_add(part.count());
            return;
        }
        self.totals.merge(&part.totals);
        self.heaviest_bin += part.heaviest_bin;
        match &part.body {
            Body::Exact(values) => self.values.extend_from_slice(values),
            Body::Centroids(centroids) => self.items.extend(centroids.iter()),
        }
    }

    /// Take in an open bucket as it stands.
    pub fn push_open(&mut self, part: &OpenDigest) {
        self.push(&part.seal());
    }

    /// The digest of everything taken in.
    #[must_use]
    pub fn finish(self) -> Digest {
        let Self { transform, totals, heaviest_bin, exact_max, values, mut items } = self;
        if items.is_empty() && values.len() <= exact_max {
            return Digest::exact(transform, totals, values);
        }
        items.extend(values.iter().map(|&value| Item::tie(transform.key(value), 1)));
        items.sort_unstable();
        let items = compress(items.into_iter(), totals.count, CENTROIDS, MERGED_GAP);
        Digest::compressed(transform, totals, heaviest_bin, &items)
    }
}
