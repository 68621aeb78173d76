//! Windows that reach beyond memory: what the disk adds, and what must be read from there.

use super::kept::{Kept, USES, Use, down, up};
use super::{TIERS, Tier};

/// Numbers [from, to) of the buckets that a pass completes, by use and tier.
pub(crate) type Due = [[(i64, i64); TIERS.len()]; USES];

/// From where to where the disk lacks no bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OnDisk {
    /// Start of the first bucket, seconds, by use and tier; `i64::MIN` where none ever went.
    pub first_s: [[i64; TIERS.len()]; USES],
    /// End of the last bucket, seconds, by tier; `None` before the first.
    pub to_s: [Option<i64>; TIERS.len()],
}

impl Default for OnDisk {
    fn default() -> Self {
        Self { first_s: [[i64::MIN; TIERS.len()]; USES], to_s: [None; TIERS.len()] }
    }
}

/// Buckets of one tier, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub tier: usize,
    pub from: i64,
    pub to: i64,
}

impl Kept {
    /// Which buckets sealing through `through` completes.
    pub(crate) fn completed(&self, through: i64) -> Due {
        let mut due = Due::default();
        for used in [Use::Recent, Use::Objective] {
            for (tier, due) in due[used as usize].iter_mut().enumerate() {
                *due = self.whole(used, tier, through);
            }
        }
        due
    }

    /// What memory and the disk hold together.
    pub(crate) fn with(&self, disk: &OnDisk) -> Self {
        let mut both = self.clone();
        if self.sealed().is_none() {
            // Before the first pass there is nothing that memory could have let go of.
            return both;
        }
        both.each(|used, tier, first| {
            let on_disk = disk.first_s[used as usize][tier];
            // The disk must reach up to where memory begins, or to the last bucket built.
            let end = down(self.through_s(), TIERS[tier].width_s).min(*first);
            if *first != i64::MAX && disk.to_s[tier].is_some_and(|to| to >= end) {
                *first = on_disk.min(*first);
            }
        });
        both
    }

    /// Hold nothing from before what the disk lacks no bucket of.
    pub(crate) fn only(&mut self, disk: &OnDisk) {
        self.each(|used, tier, first| {
            if *first != i64::MAX {
                *first = (*first).max(disk.first_s[used as usize][tier]);
            }
        });
    }

    /// What must be read from the disk to answer for `slices`, where `self` is what memory and
    /// the disk hold together and `memory` what memory holds.
    ///
    /// In each slice that memory cannot answer the widest buckets that fit: as memory would
    /// if it held everything.
    pub(crate) fn beyond(
        &self,
        memory: &Self,
        used: Use,
        slices: impl Iterator<Item = (i64, i64)>,
    ) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        for slice in slices {
            // What memory can answer it answers, if only with narrower buckets.
            if memory.reach(used, slice) != slice {
                self.beyond_of(memory, used, slice, &mut stretches);
            }
        }
        stretches.sort_unstable_by_key(|stretch| (stretch.tier, stretch.from));
        stretches.dedup_by(|next, last| {
            let joins = next.tier == last.tier && next.from <= last.to;
            if joins {
                last.to = last.to.max(next.to);
            }
            joins
        });
        stretches
    }

    fn beyond_of(&self, memory: &Self, used: Use, slice: (i64, i64), out: &mut Vec<Stretch>) {
        let mut gaps = vec![slice];
        for (tier, &Tier { width_s, .. }) in TIERS.iter().enumerate().rev() {
            let first = self.first_s(used, tier);
            if first == i64::MAX {
                continue;
            }
            let sealed = down(self.through_s(), width_s);
            let mut uncovered = Vec::new();
            for (from, to) in gaps {
                let (start, end) = (up(from.max(first), width_s), down(to.min(sealed), width_s));
                if start >= end {
                    uncovered.push((from, to));
                    continue;
                }
                let read_to = end.min(memory.first_s(used, tier));
                if start < read_to {
                    let number = |second: i64| second.div_euclid(width_s);
                    out.push(Stretch { tier, from: number(start), to: number(read_to) });
                }
                let rest = [(from, start), (end, to)];
                uncovered.extend(rest.into_iter().filter(|(from, to)| from < to));
            }
            gaps = uncovered;
        }
    }
}
