//! What one sealing pass hands over, with names that outlive ids.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::journal::Lsn;
use crate::window::{Due, Sealed, TIERS};

/// A series as files know it: told apart by its texts, found by its stable id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    /// The same in every file, process and run; two series may share one.
    pub stable: i64,
    /// Values in the order of the view's dimensions; `None` where one is absent.
    pub texts: Box<[Option<Arc<str>>]>,
}

/// What a view must share with one in a file for the buckets there to be its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub name: String,
    /// `dimension:value` of each condition, sorted.
    pub conditions: Vec<String>,
    pub dimensions: Vec<String>,
    pub measures: Vec<String>,
}

/// A bucket on its way to the disk.
#[derive(Clone)]
pub(crate) struct Filed {
    pub tier: usize,
    /// Place among [`SealedView::series`].
    pub place: u32,
    pub bucket: Sealed,
}

/// What one pass sealed and built of one view.
pub(crate) struct SealedView {
    pub shape: Shape,
    pub series: Vec<Named>,
    pub buckets: Vec<Filed>,
}

/// What one pass sealed and built.
pub(crate) struct Pass {
    /// Number of the journal's record of the pass.
    pub lsn: Lsn,
    /// Number of the finest bucket below which everything is sealed after it.
    pub through: i64,
    /// Which buckets of each use and tier it completed.
    pub due: Due,
    pub views: Vec<SealedView>,
}

impl Pass {
    /// Numbers [from, to) of the buckets of `tier`, of which at most `slots` are of interest.
    pub(super) fn range(&self, tier: usize, slots: i64) -> Option<(i64, i64)> {
        let due = self.due.iter().map(|tiers| tiers[tier]).filter(|(from, to)| from < to);
        let (from, to) = due.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        Some((from.max(to - slots), to))
    }

    /// Forget what is too old for the disk; bytes of the rest.
    pub(super) fn keep(&mut self, slots: [i64; TIERS.len()]) -> usize {
        let ranges: Vec<_> = (0..TIERS.len()).map(|tier| self.range(tier, slots[tier])).collect();
        let kept = |filed: &Filed| {
            ranges[filed.tier].is_some_and(|(from, to)| (from..to).contains(&filed.bucket.number()))
        };
        let mut bytes = 0;
        for view in &mut self.views {
            view.buckets.retain(kept);
            let each = |filed: &Filed| size_of::<Filed>() + filed.bucket.bytes();
            bytes += view.buckets.iter().map(each).sum::<usize>();
        }
        bytes
    }

    /// Every text that series with buckets of `tier` use, in order.
    pub(super) fn texts(&self, tier: usize) -> Vec<&str> {
        let mut texts = BTreeSet::new();
        for view in &self.views {
            let mut used = vec![false; view.series.len()];
            let buckets = view.buckets.iter().filter(|filed| filed.tier == tier);
            buckets.for_each(|filed| used[filed.place as usize] = true);
            let series = view.series.iter().zip(used).filter(|(_, used)| *used);
            texts.extend(series.flat_map(|(named, _)| named.texts.iter().flatten()).map(|t| &**t));
        }
        texts.into_iter().collect()
    }
}

impl SealedView {
    /// Buckets of `tier` in the order of a file: by series, then by time.
    pub(super) fn sorted(&self, tier: usize) -> Vec<(&Named, &Sealed)> {
        let mut order: Vec<u32> = (0..self.series.len() as u32).collect();
        order.sort_unstable_by_key(|place| &self.series[*place as usize]);
        let mut ranks = vec![0u32; order.len()];
        (0..).zip(&order).for_each(|(rank, place)| ranks[*place as usize] = rank);
        let mine = self.buckets.iter().filter(|filed| filed.tier == tier);
        let mut sorted: Vec<&Filed> = mine.collect();
        sorted.sort_unstable_by_key(|filed| (ranks[filed.place as usize], filed.bucket.number()));
        sorted
            .into_iter()
            .map(|filed| (&self.series[filed.place as usize], &filed.bucket))
            .collect()
    }
}
