//! The sealed buckets of one series: a ring for each tier.

use std::collections::VecDeque;
use std::sync::Arc;

use super::kept::{Kept, Use};
use super::late::Late;
use super::sealed::Sealed;
use super::slice::Slice;
use super::{RECENT, TIERS, allocated};

/// A ring grows by this share, and a slot: most never reach their tier's slots.
const GROWTH: usize = 4;

/// What is sealed of one series. Exists only while it holds something.
#[derive(Default)]
pub(crate) struct Rings {
    /// Unknown until the first bucket is sealed.
    pub used: Option<Use>,
    recent: [VecDeque<Sealed>; RECENT],
    /// Only of a series that an objective uses, and only once it is old enough.
    long: Option<Box<[VecDeque<Sealed>; TIERS.len() - RECENT]>>,
    /// Shared with a checkpoint that is being written.
    late: Option<Arc<Late>>,
}

impl Rings {
    /// Bytes of the struct itself.
    pub(super) fn own_bytes() -> usize {
        allocated(size_of::<Self>())
    }

    pub(super) fn ring(&self, tier: usize) -> &VecDeque<Sealed> {
        static EMPTY: VecDeque<Sealed> = VecDeque::new();
        match tier.checked_sub(RECENT) {
            None => &self.recent[tier],
            Some(wide) => self.long.as_ref().map_or(&EMPTY, |long| &long[wide]),
        }
    }

    fn ring_mut(&mut self, tier: usize) -> Option<&mut VecDeque<Sealed>> {
        match tier.checked_sub(RECENT) {
            None => Some(&mut self.recent[tier]),
            Some(wide) => self.long.as_mut().map(|long| &mut long[wide]),
        }
    }

    /// Add a bucket of `tier`, newer than those it holds.
    pub(crate) fn push(&mut self, tier: usize, bucket: Sealed) {
        if tier >= RECENT && self.long.is_none() {
            self.long = Some(Box::default());
        }
        let Some(ring) = self.ring_mut(tier) else { return };
        debug_assert!(ring.back().is_none_or(|last| last.number() < bucket.number()));
        if ring.len() == ring.capacity() {
            ring.reserve_exact(ring.len() / GROWTH + 1);
        }
        ring.push_back(bucket);
    }

    /// Whether buckets of `tier` are built for this series.
    pub(super) fn builds(&self, tier: usize) -> bool {
        tier < RECENT || self.used == Some(Use::Objective)
    }

    /// Parts of the buckets of `tier` numbered in [from, to), by number, into `out`.
    pub(super) fn parts(&self, tier: usize, (from, to): (i64, i64), out: &mut Vec<(i64, Sealed)>) {
        let source = TIERS[tier].from;
        let ratio = TIERS[tier].width_s / TIERS[source].width_s;
        let ring = self.ring(source);
        let first = ring.partition_point(|part| part.number().div_euclid(ratio) < from);
        let due = ring.range(first..).map(|part| (part.number().div_euclid(ratio), part));
        out.extend(due.take_while(|(number, _)| *number < to).map(|(n, part)| (n, part.clone())));
    }

    /// Let go of what `kept` no longer holds; the buckets go to `gone`, to be freed without a lock.
    pub(super) fn retire(&mut self, kept: &Kept, gone: &mut Vec<Sealed>) {
        let used = self.used.unwrap_or(Use::Recent);
        for (tier, info) in TIERS.iter().enumerate() {
            let first = kept.first_s(used, tier);
            let Some(ring) = self.ring_mut(tier) else { continue };
            let old = ring.partition_point(|bucket| bucket.number() * info.width_s < first);
            gone.extend(ring.drain(..old));
        }
        if let Some(late) = &mut self.late {
            let late = Arc::make_mut(late);
            late.age(kept.late_from_s(used), kept.sealed().unwrap_or(i64::MIN));
            self.late = self.late.take().filter(|late| !late.is_empty());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        (0..TIERS.len()).all(|tier| self.ring(tier).is_empty()) && self.late.is_none()
    }

    /// Everything in [start, end), seconds: the widest buckets that fit, of each stretch once.
    pub(super) fn cover(&self, window: (i64, i64), take: &mut impl FnMut(Slice<'_>)) {
        let tiers = (0..TIERS.len()).rev().filter(|tier| !self.ring(*tier).is_empty());
        cover(window, tiers, |tier, from| self.from(tier, from), take);
    }

    /// Like [`Rings::cover`], of what was read from the disk and what memory holds together.
    pub(super) fn cover_both(
        disk: &Self,
        memory: Option<&Self>,
        window: (i64, i64),
        take: &mut impl FnMut(Slice<'_>),
    ) {
        let both = |tier, from| {
            // What is in both, on its way out of memory, is taken from the disk.
            let last = disk.ring(tier).back().map_or(i64::MIN, Sealed::number);
            let after = memory.into_iter().flat_map(move |memory| memory.from(tier, from));
            disk.from(tier, from).chain(after.filter(move |bucket| bucket.number() > last))
        };
        cover(window, (0..TIERS.len()).rev(), both, take);
    }

    /// Buckets of `tier` that start at `second` or later.
    fn from(&self, tier: usize, second: i64) -> impl Iterator<Item = &Sealed> {
        let ring = self.ring(tier);
        let width_s = TIERS[tier].width_s;
        ring.range(ring.partition_point(|sealed| sealed.number() * width_s < second)..)
    }

    /// Says whether it is the first.
    pub(super) fn add_late(&mut self, number: i64, through: i64) -> bool {
        let first = self.late.is_none();
        Arc::make_mut(self.late.get_or_insert_default()).add(number, through);
        first
    }

    /// Late events, as they stand.
    pub(super) fn late(&self) -> Option<&Arc<Late>> {
        self.late.as_ref()
    }

    /// Late events as a checkpoint has them.
    pub(super) fn set_late(&mut self, late: Arc<Late>) {
        self.late = Some(late);
    }

    /// Events in [start, end), seconds, that came too late for the digests.
    pub(super) fn late_in(&self, start: i64, end: i64) -> u64 {
        self.late.as_ref().map_or(0, |late| late.sum(start, end))
    }
}

/// Take everything in a window, where `ring` gives the buckets of a tier from a second on.
///
/// Widest tier first; what one covers is cut out of what the finer ones must answer.
fn cover<'a, I: Iterator<Item = &'a Sealed>>(
    window: (i64, i64),
    tiers: impl Iterator<Item = usize>,
    ring: impl Fn(usize, i64) -> I,
    take: &mut impl FnMut(Slice<'_>),
) {
    let mut gaps = vec![window];
    for tier in tiers {
        let mut uncovered = Vec::new();
        for (from, to) in gaps {
            cover_with(TIERS[tier].width_s, (from, to), ring(tier, from), take, &mut uncovered);
        }
        gaps = uncovered;
    }
}

fn cover_with<'a>(
    width: i64,
    (from, to): (i64, i64),
    buckets: impl Iterator<Item = &'a Sealed>,
    take: &mut impl FnMut(Slice<'_>),
    uncovered: &mut Vec<(i64, i64)>,
) {
    let mut at = from;
    for sealed in buckets {
        let bucket = sealed.number() * width;
        if bucket + width > to {
            break;
        }
        if bucket > at {
            uncovered.push((at, bucket));
        }
        take(Slice::Sealed(sealed));
        at = bucket + width;
    }
    if at < to {
        uncovered.push((at, to));
    }
}
