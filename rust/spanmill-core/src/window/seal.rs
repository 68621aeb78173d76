//! Sealing: buckets move from open to sealed and into wider tiers, and ingest hardly notices.
//!
//! A shard is sealed some series at a time. Each step takes what it needs under the
//! shard's lock, works without it, and puts the result back: the lock is held for
//! moving pointers, never for sorting. In between, queries see every event exactly
//! once, in whichever form it is.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use super::TIERS;
use super::kept::{Held, Kept, Use};
use super::open::OpenBucket;
use super::parts::Frozen;
use super::rings::Rings;
use super::sealed::Sealed;
use super::store::{SHARDS, Shard, WindowStore, slot_of};

/// Series sealed between two looks at a shard's lock.
const SERIES_AT_ONCE: usize = 512;

/// A bucket that was just sealed, or built from sealed ones.
pub(crate) struct Leaf {
    pub tier: usize,
    pub series: u32,
    pub bucket: Sealed,
}

/// One sealing pass over a view.
struct Pass<'a> {
    store: &'a WindowStore,
    /// What is held before the pass: how far was sealed, and which parts are complete.
    kept: &'a Kept,
    through: i64,
    used: &'a dyn Fn(u32) -> Use,
}

/// Buckets of some series that are due.
struct Closing {
    open: Vec<(u32, Arc<OpenBucket>)>,
    /// Generations that may have parts of them, from bucket number `from` on.
    frozen: Vec<Arc<Frozen>>,
    from: i64,
    series: Range<u32>,
}

impl Closing {
    /// All parts of each bucket before number `through`, side by side.
    fn parts(&self, through: i64) -> Vec<(u32, &OpenBucket)> {
        let mut parts: Vec<(u32, &OpenBucket)> =
            self.open.iter().map(|(series, bucket)| (*series, &**bucket)).collect();
        for part in self.frozen.iter().flat_map(|frozen| frozen.range(self.series.clone())) {
            let due = part.buckets(self.from);
            let due = due.take_while(|bucket| i64::from(bucket.number) < through);
            parts.extend(due.map(|bucket| (part.series, bucket)));
        }
        if !self.frozen.is_empty() {
            parts.sort_unstable_by_key(|(series, bucket)| (*series, bucket.number));
        }
        parts
    }
}

impl WindowStore {
    /// Seal every series through bucket number `through` and build what that completes.
    ///
    /// `kept` is what was held until now; what it no longer holds is let go first. `used` says
    /// what a series is kept for, and is asked once for each. Adds, where asked to, every bucket
    /// that was sealed or built to `leaves`; then also those for which memory is too short.
    pub(crate) fn seal_into(
        &self,
        kept: &Kept,
        through: i64,
        used: &dyn Fn(u32) -> Use,
        mut leaves: Option<&mut Vec<Leaf>>,
    ) {
        self.retire(kept);
        let pass = Pass { store: self, kept, through, used };
        for (number, shard) in self.shards().iter().enumerate() {
            let series = shard.lock().series.len();
            for from in (0..series).step_by(SERIES_AT_ONCE) {
                pass.run(number, from..(from + SERIES_AT_ONCE).min(series), leaves.as_deref_mut());
            }
            self.finish_shard(number, through);
        }
    }

    /// Seal, for callers that keep no leaves: see `Engine::tick`.
    pub fn seal(&self, kept: &Kept, through: i64, used: &dyn Fn(u32) -> Use) {
        self.seal_into(kept, through, used, None);
    }

    /// Let go of what `kept` no longer holds.
    pub fn retire(&self, kept: &Kept) {
        if kept.sealed().is_none() {
            return;
        }
        for (number, shard) in self.shards().iter().enumerate() {
            let series = shard.lock().series.len();
            for from in (0..series).step_by(SERIES_AT_ONCE) {
                let mut gone = Vec::new();
                let slots = from..(from + SERIES_AT_ONCE).min(series);
                shard.lock().retire(number, slots, kept, &mut gone);
                // Freed here, without the lock.
                drop(gone);
            }
        }
        self.holdings.lock().retire(kept);
    }
}

impl Shard {
    fn retire(&mut self, number: usize, slots: Range<usize>, kept: &Kept, gone: &mut Vec<Sealed>) {
        for slot in slots {
            let windows = &mut self.series[slot];
            let Some(rings) = &mut windows.rings else { continue };
            rings.retire(kept, gone);
            if rings.is_empty() {
                windows.rings = None;
                self.ringed -= 1;
                if windows.is_silent() {
                    self.silent.push((slot * SHARDS + number) as u32);
                }
            }
        }
    }

    pub(super) fn rings(&mut self, series: u32) -> &mut Rings {
        let rings = &mut self.series[slot_of(series)].rings;
        self.ringed += usize::from(rings.is_none());
        rings.get_or_insert_default()
    }
}

impl Pass<'_> {
    fn run(&self, number: usize, slots: Range<usize>, mut leaves: Option<&mut Vec<Leaf>>) {
        self.seal_open(number, slots.clone(), leaves.as_deref_mut());
        for tier in 1..TIERS.len() {
            let due = |used| self.due(used, tier, leaves.is_some());
            if [Use::Recent, Use::Objective].map(due).iter().any(|(from, to)| from < to) {
                self.build(number, tier, slots.clone(), leaves.as_deref_mut());
            }
        }
    }

    /// Numbers of the buckets of `tier` to build; for the disk also those that memory has no room for.
    fn due(&self, used: Use, tier: usize, for_disk: bool) -> (i64, i64) {
        let due = if for_disk { Kept::whole } else { Kept::due };
        due(self.kept, used, tier, self.through)
    }

    /// Seal the open buckets that are due.
    fn seal_open(&self, number: usize, slots: Range<usize>, leaves: Option<&mut Vec<Leaf>>) {
        let shard = &self.store.shards()[number];
        let end = slots.end;
        let closing = self.close(shard, number, slots);
        let parts = closing.parts(self.through);
        let measures = self.store.measures();
        let sealed: Vec<(u32, Use, Sealed)> = parts
            .chunk_by(|a, b| (a.0, a.1.number) == (b.0, b.1.number))
            .map(|parts| {
                let series = parts[0].0;
                let parts: Vec<&OpenBucket> = parts.iter().map(|(_, bucket)| *bucket).collect();
                // What a series is used for is asked without the lock: the answer takes another.
                (series, (self.used)(series), Sealed::from_open(&parts, measures))
            })
            .collect();
        drop(parts);
        self.hold(0, sealed.iter().map(|(_, used, bucket)| (*used, bucket)));
        if let Some(leaves) = leaves {
            leaves.extend(sealed.iter().map(|(series, _, bucket)| Leaf {
                tier: 0,
                series: *series,
                bucket: bucket.clone(),
            }));
        }
        let mut shard = shard.lock();
        for (series, used, bucket) in sealed {
            let rings = shard.rings(series);
            let _ = rings.used.get_or_insert(used);
            rings.push(0, bucket);
        }
        // From here on the frozen ones are no longer met.
        shard.passed.step(self.through, end);
        let done = std::mem::take(&mut shard.closing);
        drop(shard);
        drop((done, closing));
    }

    /// Take out the open buckets that are due; they stay visible.
    fn close(&self, shard: &Mutex<Shard>, number: usize, slots: Range<usize>) -> Closing {
        let id = |slot: usize| (slot * SHARDS + number) as u32;
        let series_range = id(slots.start)..id(slots.end);
        let mut shard = shard.lock();
        let Shard { series, open, closing, .. } = &mut *shard;
        let mut due = Vec::new();
        for slot in slots {
            series[slot].close(self.through, open, &mut due);
            closing.extend(due.drain(..).map(|bucket| (id(slot), Arc::new(bucket))));
        }
        Closing {
            open: closing.clone(),
            frozen: shard.frozen.clone(),
            from: shard.passed.before(),
            series: series_range,
        }
    }

    /// Build the buckets of `tier` that are complete.
    fn build(
        &self,
        number: usize,
        tier: usize,
        slots: Range<usize>,
        leaves: Option<&mut Vec<Leaf>>,
    ) {
        let shard = &self.store.shards()[number];
        let mut built = self.built(shard, tier, slots, leaves.is_some());
        if let Some(leaves) = leaves {
            leaves.extend(built.iter().map(|(slot, _, bucket)| Leaf {
                tier,
                series: (slot * SHARDS + number) as u32,
                bucket: bucket.clone(),
            }));
            built.retain(|(_, used, bucket)| {
                let (from, to) = self.due(*used, tier, false);
                (from..to).contains(&bucket.number())
            });
        }
        self.hold(tier, built.iter().map(|(_, used, bucket)| (*used, bucket)));
        let mut locked = shard.lock();
        for (slot, _, bucket) in built {
            if let Some(rings) = &mut locked.series[slot].rings {
                rings.push(tier, bucket);
            }
        }
    }

    /// Slot, what it is used for, bucket; nothing is put back yet.
    fn built(
        &self,
        shard: &Mutex<Shard>,
        tier: usize,
        slots: Range<usize>,
        for_disk: bool,
    ) -> Vec<(usize, Use, Sealed)> {
        // Slot, what it is used for, number, part.
        let mut parts: Vec<(usize, Use, i64, Sealed)> = Vec::new();
        let mut mine = Vec::new();
        let locked = shard.lock();
        for slot in slots {
            let Some(rings) = &locked.series[slot].rings else { continue };
            let Some(used) = rings.used.filter(|_| rings.builds(tier)) else { continue };
            rings.parts(tier, self.due(used, tier, for_disk), &mut mine);
            parts.extend(mine.drain(..).map(|(number, part)| (slot, used, number, part)));
        }
        drop(locked);
        let same =
            |a: &(usize, Use, i64, Sealed), b: &(usize, Use, i64, Sealed)| (a.0, a.2) == (b.0, b.2);
        let merged = |group: &[(usize, Use, i64, Sealed)]| {
            let parts: Vec<Sealed> = group.iter().map(|(.., part)| part.clone()).collect();
            let (slot, used, number, _) = group[0];
            (slot, used, Sealed::merge(&parts, number as i32, self.store.measures()))
        };
        parts.chunk_by(same).map(merged).collect()
    }

    fn hold<'s>(&self, tier: usize, buckets: impl Iterator<Item = (Use, &'s Sealed)>) {
        let mut holdings = self.store.holdings.lock();
        for (used, bucket) in buckets {
            let held = Held { buckets: 1, bytes: bucket.bytes() };
            holdings.add(used, tier, bucket.number(), held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND_NS;
    use crate::digest::Digest;
    use crate::window::{BUCKET_S, ByShard, Gathered, Piece, Rows, Steps};

    /// A multiple of six hours.
    const START_S: i64 = 1_795_219_200;
    const START: i64 = START_S / BUCKET_S;

    /// A view of one measure whose clock the test moves.
    struct Windows {
        store: WindowStore,
        kept: Kept,
        used: Use,
    }

    impl Windows {
        fn new(used: Use) -> Self {
            Self { store: WindowStore::new(vec![0], 1), kept: Kept::default(), used }
        }

        /// One event of series 3 at each of these seconds, of the same value as its place.
        fn push(&self, seconds: impl Iterator<Item = i64>) -> u64 {
            let ends_ns: Vec<i64> = seconds.map(|s| (START_S + s) * SECOND_NS).collect();
            let measures: Vec<f64> = (0..ends_ns.len()).map(|place| place as f64).collect();
            let rows = Rows {
                ends_ns: &ends_ns,
                measures: &measures,
                stride: 1,
                series: &vec![3; ends_ns.len()],
                horizon_ns: i64::MIN,
                cut: 0,
            };
            let sealed = self.kept.sealed().unwrap_or(i64::MIN);
            self.store.apply(&rows, sealed, &mut ByShard::default())
        }

        fn seal(&mut self, second: i64) -> Vec<Leaf> {
            let through = START + second / BUCKET_S;
            let mut leaves = Vec::new();
            self.store.seal_into(&self.kept, through, &|_| self.used, Some(&mut leaves));
            self.kept = self.kept.advanced(through);
            leaves
        }

        fn merged(&self, (start, end): (i64, i64)) -> (Digest, u64) {
            let steps = Steps { start: START_S + start, step: end - start, count: 1 };
            let (mut gathered, mut late) = (Gathered::new(0, self.store.measures()), 0);
            self.store.visit(&steps, &[3], &[], |_, _, piece| match piece {
                Piece::Events(slice) => gathered.take(slice),
                Piece::Late(events) => late += events,
            });
            (gathered.merge(), late)
        }

        fn count(&self, window: (i64, i64)) -> i64 {
            self.merged(window).0.count() as i64
        }
    }

    /// A window holds every event once, however much of it is open, sealed or merged.
    #[test]
    fn windows_count_once() {
        for sealed_s in [0, 10, 50, 60, 170, 300, 330, 360] {
            let mut windows = Windows::new(Use::Recent);
            assert_eq!(0, windows.push(0..360));
            let _ = windows.seal(sealed_s);
            for (from, to) in [(0, 360), (0, 60), (30, 90), (300, 360), (10, 350)] {
                assert_eq!(to - from, windows.count((from, to)), "{sealed_s}: [{from}, {to})");
            }
        }
    }

    /// A window that a query was promised stays whole while the next pass seals.
    #[test]
    fn promises_outlive_one_pass() {
        let mut windows = Windows::new(Use::Recent);
        let _ = windows.push(0..3_000);
        let _ = windows.seal(1_000);
        let promised = windows.kept.reach(Use::Recent, (START_S + 600, START_S + 1_000));
        let _ = windows.seal(3_000);
        let promised = (promised.0 - START_S, promised.1 - START_S);
        assert_eq!((600, 1_000), promised);
        assert_eq!(400, windows.count(promised));
    }

    /// Sealing in one step or in many leaves the same buckets in every tier, and hands out each finest once.
    #[test]
    fn sealing_in_steps_changes_nothing() {
        let last = 4 * 86_400;
        let mut at_once = Windows::new(Use::Objective);
        let _ = at_once.push((0..last).step_by(7));
        let finest = |leaves: Vec<Leaf>| leaves.iter().filter(|leaf| leaf.tier == 0).count();
        let leaves = finest(at_once.seal(last));
        let mut stepwise = Windows::new(Use::Objective);
        let _ = stepwise.push((0..last).step_by(7));
        let mut steps = 0;
        for second in (0..=last).step_by(730) {
            steps += finest(stepwise.seal(second));
        }
        steps += finest(stepwise.seal(last));
        assert_eq!(leaves, steps);
        // What one pass gave up goes with the next.
        at_once.store.retire(&at_once.kept);
        stepwise.store.retire(&stepwise.kept);
        assert_eq!(at_once.store.footprint().sealed, stepwise.store.footprint().sealed);
        for back in [300, 3_600, 21_600, 3 * 86_400, last] {
            let window =
                at_once.kept.reach(Use::Objective, (START_S + last - back, START_S + last));
            let window = (window.0 - START_S, window.1 - START_S);
            assert!(window.0 <= last - back, "{window:?}");
            assert_eq!(at_once.merged(window), stepwise.merged(window), "{back}");
            let wanted = (0..last).step_by(7).filter(|s| (window.0..window.1).contains(s)).count();
            assert_eq!(wanted as i64, at_once.count(window), "{back}");
        }
    }

    /// Without an objective there are no long rings; with one, three days are a handful of merges.
    #[test]
    fn long_rings_are_for_objectives() {
        let last = 3 * 86_400;
        for (used, buckets) in
            [(Use::Recent, 36 + 66 + 78), (Use::Objective, 36 + 66 + 78 + 72 + 12)]
        {
            let mut windows = Windows::new(used);
            for from in (0..last).step_by(3_600) {
                let _ = windows.push((from..from + 3_600).step_by(10));
                let _ = windows.seal(from + 3_600);
            }
            windows.store.retire(&windows.kept);
            assert_eq!(buckets, windows.store.footprint().sealed.buckets, "{used:?}");
        }
    }

    /// Late events are told by their own bucket, and forgotten with the longest ring.
    #[test]
    fn late_events_keep_their_time() {
        let mut windows = Windows::new(Use::Recent);
        let _ = windows.push(0..60);
        let _ = windows.seal(60);
        assert_eq!(3, windows.push([20, 25, 40].into_iter()));
        assert_eq!(2, windows.merged((0, 30)).1);
        assert_eq!(3, windows.merged((0, 60)).1);
        let _ = windows.seal(100_000);
        windows.store.retire(&windows.kept);
        assert_eq!(0, windows.merged((0, 60)).1);
    }

    /// A series that fell silent is listed once, costs nothing more, and gives its count back.
    #[test]
    fn silent_series_are_listed() {
        let mut windows = Windows::new(Use::Recent);
        let _ = windows.push(0..60);
        let _ = windows.seal(60);
        assert!(windows.store.silent().is_empty());
        assert_eq!(None, windows.store.forget(3));
        let _ = windows.seal(90_000);
        windows.store.retire(&windows.kept);
        let footprint = windows.store.footprint();
        assert_eq!((Held::default(), Held::default()), (footprint.open, footprint.sealed));
        assert_eq!((vec![3], vec![]), (windows.store.silent(), windows.store.silent()));
        assert_eq!(60, windows.store.events(3));
        assert_eq!(Some(60), windows.store.forget(3));
        assert_eq!(0, windows.store.events(3));
    }

    /// Counters of open memory go back to nothing with the buckets they counted.
    #[test]
    fn open_bytes_add_up() {
        let mut windows = Windows::new(Use::Recent);
        for round in 0..5 {
            let _ = windows.push((0..20_000).map(|event| event % 90 + round * 90));
        }
        assert!(windows.store.footprint().open.bytes > 100_000);
        let _ = windows.seal(900);
        assert_eq!(Held::default(), windows.store.footprint().open);
    }
}
