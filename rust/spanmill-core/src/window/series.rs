//! One series: its open buckets and the rings of sealed ones.

use std::collections::VecDeque;
use std::sync::Arc;

use super::open::OpenBucket;
use super::{BUCKET_S, TIERS};
use crate::digest::{Digest, OpenDigest};

/// A sealed bucket: immutable, shared with readers.
#[derive(Clone)]
struct Sealed {
    number: i64,
    /// One a measure.
    digests: Arc<[Digest]>,
}

/// A piece of a window's answer, still to be merged.
pub(crate) enum Slice {
    /// Shared with the ring.
    Sealed(Arc<[Digest]>),
    /// Copied from an open bucket, still to be sealed.
    Open(OpenDigest),
}

/// The distribution of `measure` over all slices.
///
/// Busy open buckets are added up and sealed once; sealing each took most of a
/// query's time. Exact ones stay exact.
pub(crate) fn merge_slices(slices: Vec<Slice>, measure: usize) -> Digest {
    let mut shared = Vec::new();
    let mut sealed = Vec::new();
    let mut busy: Option<OpenDigest> = None;
    for slice in slices {
        match (slice, &mut busy) {
            (Slice::Sealed(digests), _) => shared.push(digests),
            (Slice::Open(open), _) if open.is_exact() => sealed.push(open.seal()),
            (Slice::Open(open), None) => busy = Some(open),
            (Slice::Open(open), Some(busy)) => {
                sealed.extend(busy.absorb(open).map(|rest| rest.seal()));
            }
        }
    }
    sealed.extend(busy.map(|open| open.seal()));
    Digest::merge_for_query(shared.iter().map(|digests| &digests[measure]).chain(&sealed))
}

/// Everything one series keeps.
#[derive(Default)]
pub(crate) struct SeriesWindows {
    /// Events taken since the start.
    pub events: u64,
    /// By number, few: the lateness over the bucket width.
    open: Vec<OpenBucket>,
    tiers: [VecDeque<Sealed>; TIERS.len()],
    /// Events that came after their bucket was sealed, by bucket number.
    late: VecDeque<(i64, u64)>,
}

impl SeriesWindows {
    /// Add one event to the bucket `number`.
    #[inline]
    pub(super) fn push(&mut self, number: i64, row: impl ExactSizeIterator<Item = f64>) {
        self.events += 1;
        // Newest last: nearly every event finds its bucket at once.
        match self.open.iter_mut().rev().find(|bucket| bucket.number == number) {
            Some(bucket) => bucket.push(row),
            None => self.open_bucket(number).push(row),
        }
    }

    #[cold]
    fn open_bucket(&mut self, number: i64) -> &mut OpenBucket {
        let place = self.open.partition_point(|bucket| bucket.number < number);
        self.open.insert(place, OpenBucket::new(number));
        &mut self.open[place]
    }

    /// Count an event that came too late for its bucket.
    pub(super) fn push_late(&mut self, number: i64) {
        self.events += 1;
        let place = self.late.partition_point(|(known, _)| *known < number);
        match self.late.get_mut(place) {
            Some((known, count)) if *known == number => *count += 1,
            _ => self.late.insert(place, (number, 1)),
        }
    }

    /// Seal what ends at or before bucket number `through`; `sealed` is where the last call stopped.
    pub(super) fn seal(&mut self, sealed: Option<i64>, through: i64, measures: usize) {
        let due = self.open.partition_point(|bucket| bucket.number < through);
        for bucket in self.open.drain(..due) {
            let digests = (0..measures).map(|m| bucket.gathered(measures, m).seal()).collect();
            self.tiers[0].push_back(Sealed { number: bucket.number, digests });
        }
        for (wider, tier) in TIERS[1..].iter().enumerate() {
            let ratio = tier.width_s / BUCKET_S;
            let from = sealed.map_or(i64::MIN, |sealed| sealed.div_euclid(ratio));
            self.build(wider + 1, ratio, from, through.div_euclid(ratio));
        }
        self.retire(through);
    }

    /// Build the buckets of `tier` in [from, to) out of the finest ones.
    fn build(&mut self, tier: usize, ratio: i64, from: i64, to: i64) {
        let [finest, ..] = &self.tiers;
        let mut parts: Vec<&Sealed> = Vec::new();
        let mut built = Vec::new();
        for leaf in finest {
            let number = leaf.number.div_euclid(ratio);
            if number < from || number >= to {
                continue;
            }
            if parts.first().is_some_and(|first| first.number.div_euclid(ratio) != number) {
                built.push(merge(&parts, ratio));
                parts.clear();
            }
            parts.push(leaf);
        }
        if !parts.is_empty() {
            built.push(merge(&parts, ratio));
        }
        self.tiers[tier].extend(built);
    }

    fn retire(&mut self, through: i64) {
        for (ring, tier) in self.tiers.iter_mut().zip(&TIERS) {
            let oldest = through * BUCKET_S / tier.width_s - tier.slots;
            let gone = ring.partition_point(|sealed| sealed.number < oldest);
            drop(ring.drain(..gone));
        }
        let oldest = through - super::REACH_S / BUCKET_S;
        let gone = self.late.partition_point(|(number, _)| *number < oldest);
        drop(self.late.drain(..gone));
    }

    /// Whether nothing is left of it but its count.
    pub(super) fn is_silent(&self) -> bool {
        self.open.is_empty() && self.late.is_empty() && self.tiers.iter().all(VecDeque::is_empty)
    }

    /// Everything of `measure` in [start, end), seconds, snapped to held edges.
    ///
    /// Uses the widest sealed buckets that fit, then open ones.
    pub(super) fn slices(
        &self,
        (start, end): (i64, i64),
        measures: usize,
        measure: usize,
        out: &mut Vec<Slice>,
    ) {
        let mut tier = TIERS.len() - 1;
        let mut gaps = vec![(start, end)];
        // Widest first; what a tier covers is cut out of what the finer ones must answer.
        loop {
            let mut uncovered = Vec::new();
            for (from, to) in gaps {
                self.cover(tier, from, to, out, &mut uncovered);
            }
            gaps = uncovered;
            if tier == 0 {
                break;
            }
            tier -= 1;
        }
        let inside = |bucket: &&OpenBucket| (start..end).contains(&(bucket.number * BUCKET_S));
        for bucket in self.open.iter().filter(inside) {
            out.push(Slice::Open(bucket.gathered(measures, measure)));
        }
    }

    fn cover(
        &self,
        tier: usize,
        from: i64,
        to: i64,
        out: &mut Vec<Slice>,
        uncovered: &mut Vec<(i64, i64)>,
    ) {
        let width = TIERS[tier].width_s;
        let ring = &self.tiers[tier];
        let mut at = from;
        let first = ring.partition_point(|sealed| sealed.number * width < from);
        for sealed in ring.range(first..) {
            let bucket = sealed.number * width;
            if bucket + width > to {
                break;
            }
            if bucket > at {
                uncovered.push((at, bucket));
            }
            out.push(Slice::Sealed(Arc::clone(&sealed.digests)));
            at = bucket + width;
        }
        if at < to {
            uncovered.push((at, to));
        }
    }

    /// Events in [start, end), seconds, that came too late for the digests.
    pub(crate) fn late_in(&self, start: i64, end: i64) -> u64 {
        let inside = |(number, _): &&(i64, u64)| (start..end).contains(&(number * BUCKET_S));
        self.late.iter().filter(inside).map(|(_, count)| count).sum()
    }

    /// Sealed minutes that start in [start, end), seconds, with their digests.
    pub(crate) fn minutes(
        &self,
        start: i64,
        end: i64,
    ) -> impl Iterator<Item = (i64, &Arc<[Digest]>)> {
        let width = TIERS[1].width_s;
        let inside = move |sealed: &&Sealed| (start..end).contains(&(sealed.number * width));
        self.tiers[1].iter().filter(inside).map(move |s| (s.number * width, &s.digests))
    }

    /// Start of the oldest sealed minute held, Unix seconds.
    pub(crate) fn oldest_minute(&self) -> Option<i64> {
        self.tiers[1].front().map(|sealed| sealed.number * TIERS[1].width_s)
    }

    /// Open buckets, sealed buckets, and bytes held by both.
    pub(crate) fn footprint(&self) -> (usize, usize, usize) {
        let open: usize = self.open.iter().map(|b| size_of::<OpenBucket>() + b.heap_bytes()).sum();
        let sealed = self.tiers.iter().flatten();
        let sealed_bytes: usize = sealed
            .flat_map(|bucket| bucket.digests.iter())
            .map(|digest| size_of::<Digest>() + digest.heap_bytes())
            .sum();
        let count = self.tiers.iter().map(VecDeque::len).sum();
        (self.open.len(), count, open + sealed_bytes)
    }
}

fn merge(parts: &[&Sealed], ratio: i64) -> Sealed {
    let measures = parts[0].digests.len();
    let digests =
        (0..measures).map(|m| Digest::merge(parts.iter().map(|part| &part.digests[m]))).collect();
    Sealed { number: parts[0].number.div_euclid(ratio), digests }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 179_521_920;

    fn filled(seconds: i64) -> SeriesWindows {
        let mut series = SeriesWindows::default();
        for second in 0..seconds {
            series.push(START + second / BUCKET_S, [second as f64 + 1.0].into_iter());
        }
        series
    }

    fn count(series: &SeriesWindows, start: i64, end: i64) -> u64 {
        let mut slices = Vec::new();
        series.slices((start, end), 1, 0, &mut slices);
        merge_slices(slices, 0).count()
    }

    /// A window holds every event once, however much of it is open, sealed or merged.
    #[test]
    fn windows_count_once() {
        let start_s = START * BUCKET_S;
        for sealed_through in [0, 1, 5, 6, 17, 30, 33, 36] {
            let mut series = filled(360);
            series.seal(None, START + sealed_through, 1);
            for (from, to) in [(0, 360), (0, 60), (30, 90), (300, 360), (10, 350)] {
                let got = count(&series, start_s + from, start_s + to);
                assert_eq!(to - from, got as i64, "sealed {sealed_through}, [{from}, {to})");
            }
        }
    }

    /// Busy open buckets answer as one, and every value counts once, whatever lies between them.
    #[test]
    fn busy_buckets_add_up() {
        let mut series = SeriesWindows::default();
        for (bucket, events) in [(0, 2_000), (1, 20), (2, 6_000), (3, 5_000), (4, 3_000)] {
            for event in 0..events {
                series.push(START + bucket, [f64::from(event) + 1.0].into_iter());
            }
        }
        let start_s = START * BUCKET_S;
        assert_eq!(16_020, count(&series, start_s, start_s + 50));
        let mut slices = Vec::new();
        series.slices((start_s, start_s + 50), 1, 0, &mut slices);
        let median = merge_slices(slices, 0).quantiles(&[0.5]).expect("not empty")[0];
        assert!((median.value / 1_998.0 - 1.0).abs() < 0.01, "{}", median.value);
    }

    /// Sealing in one step or in many leaves the same buckets.
    #[test]
    fn sealing_in_steps_changes_nothing() {
        let mut at_once = filled(600);
        at_once.seal(None, START + 60, 1);
        let mut stepwise = filled(600);
        let mut sealed = None;
        for through in (1..=60).map(|step| START + step) {
            stepwise.seal(sealed, through, 1);
            sealed = Some(through);
        }
        let minutes = |s: &SeriesWindows| -> Vec<(i64, Arc<[Digest]>)> {
            s.minutes(0, i64::MAX).map(|(at, d)| (at, Arc::clone(d))).collect()
        };
        assert_eq!(10, minutes(&at_once).len());
        assert_eq!(minutes(&at_once), minutes(&stepwise));
    }

    /// Late events are told by their own bucket and forgotten with it.
    #[test]
    fn late_events_keep_their_time() {
        let mut series = filled(60);
        series.push_late(START + 2);
        series.push_late(START + 2);
        series.push_late(START + 4);
        let start_s = START * BUCKET_S;
        assert_eq!(2, series.late_in(start_s, start_s + 30));
        assert_eq!(3, series.late_in(start_s, start_s + 60));
        series.seal(None, START + 10_000, 1);
        assert_eq!(0, series.late_in(0, i64::MAX));
    }
}
