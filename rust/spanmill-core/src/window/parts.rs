//! The open edge as it stood at a cut, for a checkpoint to write while events go on.
//!
//! A cut does not copy: the open buckets of a shard are moved, as they are, into a
//! [`Frozen`] generation, and fresh ones begin. Buckets are multisets, so that one in
//! several parts seals to the same bits as if it had never been parted. Readers and
//! the checkpointer share a generation; sealing reads it, and lets go of it in pieces.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::allocated;
use super::late::Late;
use super::open::OpenBucket;
use super::series::{Open, OpenHeld};
use super::store::{SHARDS, Shard, WindowStore, slot_of};

/// Live generations of a store before they are made one: more would be looked through for
/// each bucket that is sealed or asked for.
const GENERATIONS_MAX: usize = 8;

/// Parts of a generation that are let go of under one lock.
const PARTS_AT_ONCE: usize = 512;

/// What one series had open at a cut.
pub(super) struct Part {
    pub series: u32,
    /// Number of its newest bucket: told without looking there.
    newest: i32,
    /// None once all of it is sealed.
    open: Option<Box<Open>>,
}

impl Part {
    pub(super) fn new(series: u32, open: Box<Open>) -> Self {
        Self { series, newest: open.newest(), open: Some(open) }
    }

    /// Its buckets from number `from` on, oldest first.
    pub(super) fn buckets(&self, from: i64) -> impl Iterator<Item = &OpenBucket> {
        let buckets = self.open.as_deref().into_iter().flat_map(Open::buckets);
        buckets.filter(move |bucket| i64::from(bucket.number) >= from)
    }
}

/// What a shard had open at one cut, by series.
pub(crate) struct Frozen {
    /// The record that the cut stands after.
    pub cut: u64,
    parts: Vec<Part>,
    held: OpenHeld,
}

impl Frozen {
    /// Of parts in the order of their series; `held` is what their buckets take.
    pub(super) fn new(cut: u64, parts: Vec<Part>, mut held: OpenHeld) -> Self {
        held.bytes += Self::table_bytes(&parts);
        Self { cut, parts, held }
    }

    fn table_bytes(parts: &Vec<Part>) -> i64 {
        allocated(parts.capacity() * size_of::<Part>()) as i64
    }

    pub(super) fn held(&self) -> OpenHeld {
        self.held
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Parts of the series with these ids.
    pub(super) fn range(&self, series: Range<u32>) -> &[Part] {
        let at = |series: u32| self.parts.partition_point(|part| part.series < series);
        &self.parts[at(series.start)..at(series.end)]
    }

    /// Place of the part of one series.
    pub(super) fn place(&self, series: u32) -> Option<usize> {
        self.parts.binary_search_by_key(&series, |part| part.series).ok()
    }

    /// A bucket that was met before; it is there as long as the generation is shared.
    pub(super) fn bucket(&self, place: usize, number: i32) -> Option<&OpenBucket> {
        self.parts.get(place)?.buckets(i64::from(number)).find(|bucket| bucket.number == number)
    }

    /// Whether a series has buckets from number `from` on.
    pub(super) fn holds(&self, series: u32, from: i64) -> bool {
        self.place(series).is_some_and(|place| i64::from(self.parts[place].newest) >= from)
    }

    /// Whether any bucket from number `from` on is left.
    fn is_live(&self, from: i64) -> bool {
        self.parts.iter().any(|part| i64::from(part.newest) >= from)
    }

    /// All of `parts`' buckets from number `from` on, as one generation.
    fn merged(cut: u64, parts: &[Arc<Self>], from: i64, measures: usize) -> Self {
        let mut all: Vec<(u32, &OpenBucket)> = Vec::new();
        for part in parts.iter().flat_map(|frozen| &frozen.parts) {
            all.extend(part.buckets(from).map(|bucket| (part.series, bucket)));
        }
        all.sort_unstable_by_key(|(series, bucket)| (*series, bucket.number));
        let mut merged = Vec::new();
        let mut held = OpenHeld::default();
        for series in all.chunk_by(|a, b| a.0 == b.0) {
            let one = |parts: &[(u32, &OpenBucket)]| {
                let parts: Vec<&OpenBucket> = parts.iter().map(|(_, bucket)| *bucket).collect();
                OpenBucket::merged(&parts, measures)
            };
            let buckets = series.chunk_by(|a, b| a.1.number == b.1.number).map(one).collect();
            if let Some(open) = Open::of(buckets) {
                held.add(open.held());
                merged.push(Part::new(series[0].0, open));
            }
        }
        Self::new(cut, merged, held)
    }
}

/// How far the frozen buckets of a shard have been sealed.
#[derive(Clone, Copy)]
pub(super) struct Passed {
    /// Everything before this bucket number is sealed, of every series …
    before: i64,
    /// … and everything before this of the first `slots`, while a pass is under way.
    through: i64,
    slots: usize,
}

impl Default for Passed {
    fn default() -> Self {
        Self { before: i64::MIN, through: i64::MIN, slots: 0 }
    }
}

impl Passed {
    /// Number from which on frozen buckets of the series at `slot` are not sealed yet.
    pub(super) fn live_from(self, slot: usize) -> i64 {
        if slot < self.slots { self.through } else { self.before }
    }

    /// The same for series that a pass has not come to.
    pub(super) fn before(self) -> i64 {
        self.before
    }

    /// A pass has sealed the first `slots` series through `through`.
    pub(super) fn step(&mut self, through: i64, slots: usize) {
        (self.through, self.slots) = (through, slots);
    }

    /// Everything before `through` is sealed, or not to be looked at.
    pub(super) fn finish(&mut self, through: i64) {
        *self = Self { before: self.before.max(through), through, slots: 0 };
    }
}

/// What else of a shard changes with events, as it stood at a cut.
#[derive(Default)]
pub(super) struct Noted {
    /// Events of each series since the start, by slot.
    pub events: Vec<u64>,
    pub late: Vec<(u32, Arc<Late>)>,
}

impl Shard {
    /// Set aside what is open: what comes now comes after the cut. Moves pointers only.
    #[cold]
    pub(super) fn freeze(&mut self, cut: u64, number: usize) {
        self.noted = Some(self.note());
        self.cut = cut;
        let open = self.series.iter().filter(|windows| windows.is_open()).count();
        if open == 0 {
            return;
        }
        let mut parts = Vec::with_capacity(open);
        for (slot, windows) in self.series.iter_mut().enumerate() {
            let series = (slot * SHARDS + number) as u32;
            parts.extend(windows.take_open().map(|open| Part::new(series, open)));
        }
        let held = std::mem::take(&mut self.open);
        self.frozen.push(Arc::new(Frozen::new(cut, parts, held)));
    }

    fn note(&mut self) -> Noted {
        self.with_late.sort_unstable();
        self.with_late.dedup();
        let late_of = |series: u32| self.series[slot_of(series)].rings.as_ref()?.late();
        let late: Vec<(u32, Arc<Late>)> = self
            .with_late
            .iter()
            .filter_map(|series| late_of(*series).map(|late| (*series, Arc::clone(late))))
            .collect();
        self.with_late.clear();
        self.with_late.extend(late.iter().map(|(series, _)| *series));
        Noted { events: self.series.iter().map(|windows| windows.events).collect(), late }
    }

    /// Everything before `through` is sealed: what holds nothing else goes to `gone`.
    fn finish_pass(&mut self, through: i64, gone: &mut Gone) {
        self.passed.finish(through);
        let dead = |frozen: &mut Arc<Frozen>| !frozen.is_live(through);
        gone.frozen.extend(self.frozen.extract_if(.., dead));
    }

    /// Let go of frozen buckets that are sealed, some parts of each generation from place
    /// `from` on. Says where to go on, if there is more.
    ///
    /// What the checkpointer or a reader still shares stays until the next pass.
    fn trim(&mut self, from: usize, through: i64, gone: &mut Gone) -> Option<usize> {
        let to = from + PARTS_AT_ONCE;
        let mut more = None;
        for frozen in self.frozen.iter_mut().filter_map(Arc::get_mut) {
            frozen.trim(from..to.min(frozen.parts.len()), through, gone);
            if to < frozen.parts.len() {
                more = Some(to);
            }
        }
        more
    }
}

impl Frozen {
    fn trim(&mut self, places: Range<usize>, through: i64, gone: &mut Gone) {
        let is_last = places.end == self.parts.len();
        for part in self.parts.get_mut(places).into_iter().flatten() {
            if i64::from(part.newest) < through {
                if let Some(open) = part.open.take() {
                    self.held.subtract(open.held());
                    gone.parts.push(Part { open: Some(open), ..*part });
                }
            } else if let Some(open) = &mut part.open {
                open.close_older(through, &mut self.held, &mut gone.buckets);
            }
        }
        if is_last {
            self.parts.retain(|part| part.open.is_some());
        }
    }
}

/// What is taken out under a lock, to be freed without it.
#[derive(Default)]
struct Gone {
    buckets: Vec<OpenBucket>,
    parts: Vec<Part>,
    frozen: Vec<Arc<Frozen>>,
}

/// Values taken since the start, by measure.
pub(super) struct Taken {
    cut: u64,
    values: Vec<u64>,
    /// As they stood at the cut.
    noted: Option<Vec<u64>>,
}

impl Taken {
    pub(super) fn new(measures: usize) -> Self {
        Self { cut: 0, values: vec![0; measures], noted: None }
    }

    /// Set aside what was counted before a cut.
    pub(super) fn freeze(&mut self, cut: u64) {
        if self.cut < cut {
            self.cut = cut;
            self.noted = Some(self.values.clone());
        }
    }

    pub(super) fn add(&mut self, counts: &[u64]) {
        self.values.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
    }

    pub(super) fn values(&self) -> &[u64] {
        &self.values
    }

    fn noted(&mut self) -> Vec<u64> {
        self.noted.take().unwrap_or_else(|| self.values.clone())
    }
}

/// A view's windows as they stood at a cut.
pub(crate) struct Edge {
    /// What no earlier file has of what was open, a generation a shard at most.
    pub parts: Vec<Arc<Frozen>>,
    pub totals: Totals,
}

/// What of a view is counted since the start, or by bucket, and where the rest lies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Events of each series by id; trailing series without any are left out.
    pub events: Vec<u64>,
    /// Events that came too late for their digests, by series.
    pub late: Vec<(u32, Arc<Late>)>,
    /// Values by measure.
    pub values: Vec<u64>,
    /// Cuts whose files hold something that is not sealed yet, in order; that of the totals
    /// themselves is the last. Another view may need others of the same files.
    pub needs: Vec<u64>,
}

impl Totals {
    fn of(shards: Vec<Noted>, values: Vec<u64>, needs: Vec<u64>) -> Self {
        let slots = shards.iter().map(|noted| noted.events.len()).max().unwrap_or(0);
        let mut events = vec![0; slots * SHARDS];
        let mut late = Vec::new();
        for (number, noted) in shards.into_iter().enumerate() {
            for (slot, count) in noted.events.into_iter().enumerate() {
                events[slot * SHARDS + number] = count;
            }
            late.extend(noted.late);
        }
        let length = events.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        events.truncate(length);
        late.sort_unstable_by_key(|(series, _)| *series);
        Self { events, late, values, needs }
    }
}

impl WindowStore {
    /// Everything as it stood at the cut `cut`, the number of the record that it stands after.
    ///
    /// Every batch admitted since must carry `cut` in its rows, and those before must have been
    /// applied; no sealing pass runs between the cut and the end of this. What an earlier
    /// call gave and [`saved`](Self::saved) was not told of is part of the answer again.
    pub(crate) fn freeze_all(&self, cut: u64) -> Edge {
        let mut noted = Vec::with_capacity(SHARDS);
        let mut live = BTreeSet::from([cut]);
        for (number, shard) in self.shards().iter().enumerate() {
            let mut shard = shard.lock();
            if shard.cut < cut {
                shard.freeze(cut, number);
            }
            let counted = shard.noted.take();
            noted.push(counted.unwrap_or_else(|| shard.note()));
            live.extend(shard.frozen.iter().map(|frozen| frozen.cut));
        }
        let values = {
            let mut taken = self.taken.lock();
            taken.freeze(cut);
            taken.noted()
        };
        let joined = self.joined(cut, &live);
        if !joined.is_empty() {
            self.join(cut, &joined);
        }
        let parts = self.generation(cut);
        let needs = live.difference(&joined).copied().filter(|known| *known != cut);
        let needs = needs.chain(Some(cut)).collect();
        Edge { parts, totals: Totals::of(noted, values, needs) }
    }

    /// Generations that become one with that of `cut`: those that are in no file, or all of
    /// them where they are too many.
    fn joined(&self, cut: u64, live: &BTreeSet<u64>) -> BTreeSet<u64> {
        let mut saved = self.saved.lock();
        saved.retain(|known| live.contains(known));
        let older = live.iter().copied().filter(|known| *known != cut);
        let all = live.len() > GENERATIONS_MAX;
        older.filter(|known| all || !saved.contains(known)).collect()
    }

    fn join(&self, cut: u64, joined: &BTreeSet<u64>) {
        let of_it = |frozen: &Arc<Frozen>| frozen.cut == cut || joined.contains(&frozen.cut);
        for shard in self.shards() {
            let (parts, from) = {
                let shard = shard.lock();
                let parts: Vec<_> = shard.frozen.iter().filter(|it| of_it(it)).cloned().collect();
                (parts, shard.passed.before())
            };
            if parts.iter().all(|frozen| frozen.cut == cut) {
                continue;
            }
            let merged = Arc::new(Frozen::merged(cut, &parts, from, self.measures()));
            let gone: Vec<_> = {
                let mut shard = shard.lock();
                let gone = shard.frozen.extract_if(.., |it| of_it(it)).collect();
                shard.frozen.push(merged);
                gone
            };
            // Freed here, without the lock.
            drop((gone, parts));
        }
    }

    fn generation(&self, cut: u64) -> Vec<Arc<Frozen>> {
        let of_cut = |shard: &Shard| shard.frozen.iter().find(|it| it.cut == cut).cloned();
        self.shards().iter().filter_map(|shard| of_cut(&shard.lock())).collect()
    }

    /// The checkpoint of `cut` is published: what is in its file need not be written again.
    pub(crate) fn saved(&self, cut: u64) {
        let _ = self.saved.lock().insert(cut);
    }

    /// No file has what is open: the next one gets all of it.
    pub(crate) fn forget_saved(&self) {
        self.saved.lock().clear();
    }

    /// Cuts that still have something which is not sealed yet.
    #[cfg(test)]
    pub(super) fn live_generations(&self) -> Vec<u64> {
        let cuts = |shard: &Shard| shard.frozen.iter().map(|it| it.cut).collect::<Vec<_>>();
        let live: BTreeSet<u64> =
            self.shards().iter().flat_map(|shard| cuts(&shard.lock())).collect();
        live.into_iter().collect()
    }

    /// Whether a file's parts of the cut `cut` are to be put back: the totals name it.
    pub(super) fn wants(&self, cut: u64) -> bool {
        self.saved.lock().contains(&cut)
    }

    /// Put back what a file has of the cut `cut` in one shard; says whether it lacked it.
    pub(super) fn put_back(&self, cut: u64, shard: usize, parts: Vec<Part>) -> bool {
        let mut held = OpenHeld::default();
        parts.iter().filter_map(|part| part.open.as_deref()).for_each(|open| held.add(open.held()));
        let mut shard = self.shards()[shard].lock();
        let lacks = shard.frozen.iter().all(|frozen| frozen.cut != cut);
        if let Some(last) = parts.last().filter(|_| lacks) {
            shard.reach(slot_of(last.series));
            shard.frozen.push(Arc::new(Frozen::new(cut, parts, held)));
        }
        lacks
    }

    /// Put back what is counted, as it stood at the cut `cut`; the files that it names come after.
    pub(crate) fn set_totals(&self, cut: u64, totals: Totals) {
        for (number, shard) in self.shards().iter().enumerate() {
            let mut shard = shard.lock();
            shard.cut = cut;
            let events = totals.events.iter().skip(number).step_by(SHARDS);
            if let Some(last) = events.len().checked_sub(1) {
                shard.reach(last);
            }
            for (windows, count) in shard.series.iter_mut().zip(events) {
                windows.events = *count;
            }
        }
        for (series, late) in totals.late {
            let mut shard = self.shard(series).lock();
            shard.reach(slot_of(series));
            shard.set_late(series, late);
        }
        *self.saved.lock() = totals.needs.into_iter().collect();
        *self.taken.lock() = Taken { cut, values: totals.values, noted: None };
    }

    /// Say anew which of these series are silent, once everything of them was put back.
    pub(crate) fn list_silent(&self, series: impl Iterator<Item = u32>) {
        for series in series {
            let mut shard = self.shard(series).lock();
            if shard.is_silent(series) {
                shard.silent.push(series);
            }
        }
    }

    /// Let go of the frozen buckets of a shard that a pass has sealed.
    pub(super) fn finish_shard(&self, number: usize, through: i64) {
        let shard = &self.shards()[number];
        let mut gone = Gone::default();
        shard.lock().finish_pass(through, &mut gone);
        let mut next = Some(0);
        while let Some(from) = next {
            next = shard.lock().trim(from, through, &mut gone);
            gone = Gone::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::Held;
    use super::super::rig::{Burst, SERIES, Windows};
    use super::*;
    use parking_lot::RwLock;
    use proptest::prelude::*;

    /// What happens to windows.
    #[derive(Debug, Clone)]
    enum Step {
        Push(Burst),
        /// A cut, with what comes after it before the checkpointer does; whether the file gets written.
        Cut(Vec<Burst>, bool),
        /// So many buckets more.
        Seal(i64),
    }

    /// Bursts from a few buckets behind the watermark to many ahead.
    fn burst() -> impl Strategy<Value = Burst> {
        let events = prop_oneof![1usize..4, 150usize..300, 1_500usize..2_500];
        let size = prop_oneof![Just(1.0), Just(1e-6), Just(1e9)];
        (0..SERIES.len(), -2i64..9, events, size).prop_map(|(series, bucket, events, size)| Burst {
            series,
            bucket,
            events,
            size,
        })
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => burst().prop_map(Step::Push),
            3 => (prop::collection::vec(burst(), 0..3), any::<bool>())
                .prop_map(|(after, saved)| Step::Cut(after, saved)),
            1 => (1i64..4).prop_map(Step::Seal),
        ]
    }

    fn totals_of(windows: &Windows) -> (Vec<u64>, Vec<u64>) {
        let events = SERIES.iter().map(|series| windows.store.events(*series)).collect();
        (events, (0..2).map(|measure| windows.store.values(measure)).collect())
    }

    fn told(totals: &Totals) -> (Vec<u64>, Vec<u64>) {
        let of = |series: &u32| totals.events.get(*series as usize).copied().unwrap_or(0);
        (SERIES.iter().map(of).collect(), totals.values.clone())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// However often and whenever what is open is set aside, the same bits are sealed, every
        /// event is found once, each cut tells what was counted before it, and nothing is left over.
        #[test]
        fn cuts_leave_no_trace(steps in prop::collection::vec(step(), 1..40)) {
            let (mut cut, mut whole) = (Windows::new(), Windows::new());
            let mut at = 2;
            for step in steps.into_iter().chain([Step::Seal(50)]) {
                match step {
                    Step::Push(burst) => {
                        let burst = Burst { bucket: at + burst.bucket, ..burst };
                        prop_assert_eq!(whole.push(burst), cut.push(burst));
                    }
                    Step::Cut(after, saved) => {
                        let wanted = totals_of(&whole);
                        cut.cut += 1;
                        for burst in after {
                            let burst = Burst { bucket: at + burst.bucket, ..burst };
                            prop_assert_eq!(whole.push(burst), cut.push(burst));
                        }
                        let edge = cut.store.freeze_all(cut.cut);
                        prop_assert_eq!(wanted, told(&edge.totals));
                        prop_assert!(edge.totals.needs.len() <= GENERATIONS_MAX);
                        if saved {
                            cut.store.saved(cut.cut);
                        }
                    }
                    Step::Seal(more) => {
                        at += more;
                        prop_assert_eq!(whole.seal(at), cut.seal(at));
                    }
                }
                prop_assert_eq!(totals_of(&whole), totals_of(&cut));
                for series in 0..SERIES.len() {
                    prop_assert_eq!(whole.count(series), cut.count(series));
                    prop_assert_eq!(whole.answer(series, (0, 200)).1, cut.answer(series, (0, 200)).1);
                }
            }
            prop_assert_eq!(Vec::<u64>::new(), cut.store.live_generations());
            prop_assert_eq!(Held::default(), cut.store.footprint().open);
        }
    }

    fn one(series: usize, bucket: i64, events: usize) -> Burst {
        Burst { series, bucket, events, size: 1.0 }
    }

    fn parts_of(edge: &Edge) -> usize {
        edge.parts.iter().map(|frozen| frozen.parts.len()).sum()
    }

    /// A cut gives what came since the last one, and names the earlier files that still matter.
    #[test]
    fn each_part_is_given_once() {
        let mut windows = Windows::new();
        let _ = windows.push(one(0, 5, 3));
        let _ = windows.push(one(3, 1, 3));
        assert_eq!(2, parts_of(&windows.freeze()));
        windows.store.saved(1);
        let _ = windows.push(one(1, 5, 3));
        let edge = windows.freeze();
        assert_eq!((1, vec![1, 2]), (parts_of(&edge), edge.totals.needs));
        windows.store.saved(2);
        let _ = windows.seal(6);
        assert_eq!(vec![3], windows.freeze().totals.needs);
    }

    /// What never reached a file is given again with the next cut, as one.
    #[test]
    fn what_was_not_saved_is_given_again() {
        let mut windows = Windows::new();
        let _ = windows.push(one(0, 5, 3));
        let _ = windows.freeze();
        let _ = windows.push(one(1, 5, 3));
        let edge = windows.freeze();
        assert_eq!((2, vec![2]), (parts_of(&edge), edge.totals.needs));
        assert_eq!(vec![2], windows.store.live_generations());
    }

    /// However many cuts come while event time stands still, few generations live, with every event.
    #[test]
    fn generations_are_bounded() {
        let mut windows = Windows::new();
        for cut in 1..=100 {
            let _ = windows.push(one(0, 5, 30));
            let edge = windows.freeze();
            assert!(edge.totals.needs.len() <= GENERATIONS_MAX, "{:?}", edge.totals.needs);
            windows.store.saved(cut);
        }
        assert_eq!(3_000, windows.count(0));
        let held = windows.store.footprint().open;
        assert!(held.buckets <= GENERATIONS_MAX && held.bytes < 200_000, "{held:?}");
        assert_eq!(1, windows.seal(6).len());
        assert_eq!(Held::default(), windows.store.footprint().open);
    }

    /// A series of which something is set aside is not silent, and is once that is sealed and gone.
    #[test]
    fn frozen_series_are_not_silent() {
        let mut windows = Windows::new();
        let _ = windows.push(one(0, 5, 3));
        let _ = windows.freeze();
        windows.store.list_silent(SERIES.into_iter().take(1));
        assert_eq!((vec![], None), (windows.store.silent(), windows.store.forget(SERIES[0])));
        let _ = windows.seal(9_000);
        let _ = windows.seal(18_000);
        assert_eq!((vec![SERIES[0]], Some(3)), (windows.store.silent(), windows.store.forget(3)));
    }

    /// What the checkpointer still holds keeps its content while it is sealed and let go of here.
    #[test]
    fn a_shared_generation_stays_whole() {
        let mut windows = Windows::new();
        for bucket in 0..4 {
            let _ = windows.push(one(0, bucket, 3));
        }
        let edge = windows.freeze();
        let _ = windows.seal(2);
        let _ = windows.seal(4);
        assert_eq!(4, edge.parts[0].parts[0].buckets(i64::MIN).count());
        assert_eq!(12, windows.count(0));
        assert_eq!(Vec::<u64>::new(), windows.store.live_generations());
    }

    /// While threads apply, each cut tells exactly what was applied before it, and nothing is
    /// lost or found twice however cuts, questions and sealing fall between them.
    #[test]
    fn cuts_are_exact_under_load() {
        let windows = RwLock::new(Windows::new());
        let applied = AtomicU64::new(0);
        let rounds = 400;
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (windows, applied) = (&windows, &applied);
                let _ = scope.spawn(move || {
                    for round in 0..rounds {
                        // Held while a batch is applied, as the sequencing point does it.
                        let windows = windows.read();
                        let series = (round + thread) as usize % SERIES.len();
                        assert_eq!(0, windows.push(one(series, 40 + round % 7, 3)));
                        let _ = applied.fetch_add(3, Ordering::Relaxed);
                    }
                });
            }
            for cut in 1..=60 {
                let before = {
                    let mut windows = windows.write();
                    windows.cut = cut;
                    applied.load(Ordering::Relaxed)
                };
                let edge = windows.read().store.freeze_all(cut);
                assert_eq!(before, edge.totals.events.iter().sum::<u64>(), "cut {cut}");
                if cut % 3 > 0 {
                    windows.read().store.saved(cut);
                }
                let windows = windows.read();
                let found: u64 = (0..SERIES.len()).map(|series| windows.count(series)).sum();
                assert!((before..=6 * rounds as u64).contains(&found), "{found} after {before}");
            }
        });
        let mut windows = windows.into_inner();
        let whole = Windows::new();
        for (round, thread) in (0..rounds).flat_map(|round| [(round, 0), (round, 1)]) {
            let series = (round + thread) as usize % SERIES.len();
            let _ = whole.push(one(series, 40 + round % 7, 3));
        }
        assert_eq!({ whole }.seal(60), windows.seal(60));
    }
}
