//! Batches seen before: a sender that got no answer sends again, and is counted once.
//!
//! Requests are kept by minute of arrival, in generations that are shared once closed, and
//! forgotten a generation at a time; [`Age`] says which minute it is. Producers that number their batches are kept for
//! themselves: a window of numbers says exactly what was counted, however long ago.

mod age;
mod file;
mod generation;
mod index;
mod key;
mod producers;

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value as Json, json};

pub(crate) use self::file::FOLDER;
pub(crate) use self::key::{Key, Name};

use self::age::Age;
use self::generation::{Content, Generation, Named};
use self::index::{GENERATIONS, Index, OFFSETS, Place};
use self::producers::{Numbered, Producer, Producers};
use crate::clock::SECOND_NS;
use crate::journal::Lsn;

const MINUTE_NS: i64 = 60 * SECOND_NS;

/// Parts of all entries that are forgotten at one time when there are too many.
const PARTS: usize = 16;

/// Bounds on what is remembered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Requests, by their content or name.
    pub entries: usize,
    /// Senders that number their batches.
    pub producers: usize,
    /// How long a request is remembered, seconds of traffic; up to a minute longer.
    pub horizon_s: f64,
}

/// What a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Fresh,
    /// It was counted by this record, or an earlier one: once it is durable, so is the request.
    Duplicate {
        lsn: Lsn,
        response: Vec<u8>,
    },
    /// Its batch id was given to other content.
    Conflict,
    /// Its number is out of the producer's window: it may have been counted, or not.
    TooOld,
}

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stats {
    pub entries: usize,
    pub bytes: usize,
    pub producers: usize,
    pub generations: usize,
    /// How far back every request is known again, seconds.
    pub horizon_s: f64,
    /// Entries forgotten before their time.
    pub evicted_early: u64,
    /// Producers forgotten because there were too many.
    pub producers_evicted: u64,
}

impl Stats {
    pub(crate) fn to_json(self) -> Json {
        json!({
            "entries": self.entries, "bytes": self.bytes, "producers": self.producers,
            "generations": self.generations, "horizon_s": self.horizon_s,
            "evicted_early": self.evicted_early, "producers_evicted": self.producers_evicted,
        })
    }
}

/// Everything remembered, as it was at one moment.
pub(crate) struct Frozen {
    /// Oldest first, numbered without holes.
    generations: Vec<Arc<Generation>>,
    producers: Vec<Arc<Vec<Producer>>>,
    losses: Losses,
    age: Age,
    /// Number of the generation that begins.
    next: u64,
}

/// What was forgotten before its time.
#[derive(Debug, Clone, Copy, Default)]
struct Losses {
    entries: u64,
    /// The last arrival among them, by [`Age`].
    newest_ns: Option<i64>,
}

/// Batches seen before. Lives inside the sequencing lock.
pub(crate) struct Dedupe {
    limits: Limits,
    age: Age,
    horizon_minutes: i64,
    index: Index,
    /// Oldest first, numbered without holes up to the open one.
    closed: VecDeque<Arc<Generation>>,
    open: Generation,
    /// Entries of the closed ones.
    closed_entries: usize,
    producers: Producers,
    losses: Losses,
}

fn minute(age: Age) -> i64 {
    age.elapsed_ns / MINUTE_NS
}

/// The generation of a place, of those that are held.
fn generation_of<'a>(
    closed: &'a VecDeque<Arc<Generation>>,
    open: &'a Generation,
    place: Place,
) -> Option<&'a Generation> {
    let oldest = open.number - closed.len() as u64;
    let at = (place.generation.wrapping_sub(oldest) % GENERATIONS) as usize;
    if at == closed.len() { Some(open) } else { closed.get(at).map(Arc::as_ref) }
}

impl Dedupe {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            age: Age::default(),
            horizon_minutes: (limits.horizon_s / 60.0).ceil() as i64,
            index: Index::new(limits.entries),
            closed: VecDeque::new(),
            open: Generation::default(),
            closed_entries: 0,
            producers: Producers::new(limits.producers),
            losses: Losses::default(),
            limits,
        }
    }

    /// What is known of a request that arrives now.
    pub(crate) fn look(&self, key: &Key, now_ns: i64) -> Seen {
        match *key {
            Key::None => Seen::Fresh,
            Key::Content(content) => match self.find_content(content, now_ns) {
                Some((generation, entry)) => duplicate(generation, key, entry.lsn),
                None => Seen::Fresh,
            },
            Key::Named { name, content } => match self.find_named(name, now_ns) {
                Some((_, entry)) if entry.content != content as u64 => Seen::Conflict,
                Some((generation, entry)) => duplicate(generation, key, entry.lsn),
                None => Seen::Fresh,
            },
            Key::Numbered { producer, epoch, seq } => {
                match self.producers.look(producer, epoch, seq) {
                    Numbered::Fresh => Seen::Fresh,
                    Numbered::TooOld => Seen::TooOld,
                    Numbered::Seen(lsn) => Seen::Duplicate { lsn, response: self.answer(key) },
                }
            }
        }
    }

    /// The answer that a numbered batch got; a plain success where it is no longer known.
    fn answer(&self, key: &Key) -> Vec<u8> {
        let mut held = self.closed.iter().map(Arc::as_ref).chain([&self.open]);
        let answer = held.find_map(|generation| generation.answers.get(key));
        answer.map_or_else(Vec::new, |answer| answer.to_vec())
    }

    /// The generation of a place, unless its time is over.
    fn remembered(&self, place: Place, now_ns: i64) -> Option<&Generation> {
        generation_of(&self.closed, &self.open, place)
            .filter(|it| minute(self.age.at(now_ns)) - it.minute <= self.horizon_minutes)
    }

    fn find_content(&self, content: u128, now_ns: i64) -> Option<(&Generation, &Content)> {
        let at = |place: Place| {
            let generation = self.remembered(place, now_ns).filter(|_| !place.named)?;
            Some((generation, generation.contents.get(place.offset)?))
        };
        let is_it = |place| at(place).is_some_and(|(_, entry)| entry.content() == content);
        at(self.index.find(content, is_it)?)
    }

    fn find_named(&self, name: u128, now_ns: i64) -> Option<(&Generation, &Named)> {
        let at = |place: Place| {
            let generation = self.remembered(place, now_ns).filter(|_| place.named)?;
            Some((generation, generation.named.get(place.offset)?))
        };
        let is_it = |place| at(place).is_some_and(|(_, entry)| entry.name() == name);
        at(self.index.find(name, is_it)?)
    }

    /// Remember a request that record `lsn` counted, and what it was answered: empty for a
    /// plain success, which costs nothing.
    ///
    /// [`Dedupe::look`] said [`Seen::Fresh`] with the same time.
    pub(crate) fn insert(&mut self, key: &Key, lsn: Lsn, now_ns: i64, response: &[u8]) {
        self.age = self.age.at(now_ns);
        self.turn_to(minute(self.age));
        let number = self.open.number;
        match *key {
            Key::None => return,
            Key::Content(content) => {
                let place =
                    Place { generation: number, named: false, offset: self.open.contents.len() };
                self.open.contents.push(Content::new(content, lsn));
                self.lead_to(content, place);
            }
            Key::Named { name, content } => {
                let place =
                    Place { generation: number, named: true, offset: self.open.named.len() };
                self.open.named.push(Named::new(name, content as u64, lsn));
                self.lead_to(name, place);
            }
            Key::Numbered { producer, epoch, seq } => {
                self.producers.insert(producer, epoch, seq, lsn);
            }
        }
        self.open.newest_ns = self.age.elapsed_ns;
        self.open.answer(*key, response);
        self.keep_to_limits();
    }

    fn lead_to(&mut self, hash: u128, place: Place) {
        let (closed, open) = (&self.closed, &self.open);
        let is_live = |place| generation_of(closed, open, place).is_some();
        self.index.insert(hash, place, is_live);
    }

    /// Lead to every entry that is held.
    fn index_all(&mut self) {
        self.index.reserve(self.closed_entries);
        for generation in &self.closed {
            let place = |named, offset| Place { generation: generation.number, named, offset };
            for (offset, entry) in generation.contents.iter().enumerate() {
                self.index.insert(entry.content(), place(false, offset), |_| true);
            }
            for (offset, entry) in generation.named.iter().enumerate() {
                self.index.insert(entry.name(), place(true, offset), |_| true);
            }
        }
    }

    /// It is at least this minute: forget what is out of time.
    ///
    /// By whole minutes, so that it makes no difference when generations were frozen.
    fn turn_to(&mut self, minute: i64) {
        if minute <= self.open.minute {
            return;
        }
        self.close();
        self.open.minute = minute;
        while let Some(oldest) = self.closed.front()
            && minute - oldest.minute > self.horizon_minutes
        {
            self.closed_entries -= oldest.entries();
            let _ = self.closed.pop_front();
        }
    }

    /// End the open generation and begin another in the same minute, unless nothing is in it.
    fn close(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let next = self.open.successor();
        let mut closed = std::mem::replace(&mut self.open, next);
        closed.close();
        self.closed_entries += closed.entries();
        self.closed.push_back(Arc::new(closed));
    }

    fn keep_to_limits(&mut self) {
        if self.open.entries() >= (self.limits.entries / PARTS).clamp(1, OFFSETS) {
            self.close();
        }
        while self.closed_entries + self.open.entries() > self.limits.entries
            || self.closed.len() as u64 >= GENERATIONS - 1
        {
            let Some(lost) = self.closed.pop_front() else { return };
            self.closed_entries -= lost.entries();
            self.losses.entries += (lost.contents.len() + lost.named.len()) as u64;
            self.losses.newest_ns = self.losses.newest_ns.max(Some(lost.newest_ns));
        }
    }

    /// Everything as it is now, shared; a new generation begins.
    pub(crate) fn freeze(&mut self) -> Frozen {
        self.close();
        Frozen {
            generations: self.closed.iter().cloned().collect(),
            producers: self.producers.freeze(),
            losses: self.losses,
            age: self.age,
            next: self.open.number,
        }
    }

    pub(crate) fn stats(&self, now_ns: i64) -> Stats {
        let held = || self.closed.iter().map(Arc::as_ref).chain([&self.open]);
        let elapsed_ns = self.age.at(now_ns).elapsed_ns;
        let since_loss_s = self.losses.newest_ns.map(|lost| (elapsed_ns - lost) as f64 / 1e9);
        Stats {
            entries: held().map(|it| it.contents.len() + it.named.len()).sum(),
            bytes: self.index.bytes() + held().map(Generation::bytes).sum::<usize>(),
            producers: self.producers.len(),
            generations: held().filter(|it| !it.is_empty()).count(),
            horizon_s: since_loss_s.unwrap_or(f64::INFINITY).clamp(0.0, self.limits.horizon_s),
            evicted_early: self.losses.entries,
            producers_evicted: self.producers.evicted,
        }
    }
}

fn duplicate(generation: &Generation, key: &Key, lsn: Lsn) -> Seen {
    let answer = generation.answers.get(key);
    Seen::Duplicate { lsn, response: answer.map_or_else(Vec::new, |answer| answer.to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::age::PAUSE_MAX_NS;
    use super::*;
    use crate::disk::RealDisk;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::path::PathBuf;

    const LIMITS: Limits = Limits { entries: 1_000, producers: 10, horizon_s: 900.0 };
    const NOW: i64 = 1_795_219_200 * SECOND_NS;

    fn spread(number: u64) -> u128 {
        xxhash_rust::xxh3::xxh3_128(&number.to_le_bytes())
    }

    fn content(number: u64) -> Key {
        Key::Content(spread(number))
    }

    fn named(name: u64, content: u64) -> Key {
        Key::Named { name: spread(name), content: spread(content) }
    }

    fn numbered(seq: u64) -> Key {
        Key::Numbered { producer: 7, epoch: 1, seq }
    }

    fn known(lsn: u64, response: &[u8]) -> Seen {
        Seen::Duplicate { lsn: Lsn(lsn), response: response.to_vec() }
    }

    /// So much later, with a request every ten seconds that leaves no trace.
    fn wait(dedupe: &mut Dedupe, now_ns: i64, seconds: i64) -> i64 {
        let later = now_ns + seconds * SECOND_NS;
        for at in (now_ns..later).step_by(PAUSE_MAX_NS as usize).chain([later]) {
            dedupe.insert(&Key::None, Lsn(0), at, b"");
        }
        later
    }

    struct TemporaryFolder(PathBuf);

    impl TemporaryFolder {
        fn new(name: &str) -> Self {
            let name = format!("spanmill-dedupe-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).expect("temporary folders can be made");
            Self(path)
        }
    }

    impl Drop for TemporaryFolder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).expect("ours");
        }
    }

    fn load(limits: Limits, folder: &TemporaryFolder, files: &[String]) -> Dedupe {
        Dedupe::load(limits, &RealDisk, &folder.0, files).expect("whole")
    }

    /// Each kind of key is known again with the first answer; another name or number is not,
    /// and what has no key never is.
    #[test]
    fn a_repetition_gets_the_first_answer() {
        let mut dedupe = Dedupe::new(LIMITS);
        let keys = [content(1), named(2, 3), numbered(4)];
        for (lsn, key) in (1..).zip(keys) {
            assert_eq!(Seen::Fresh, dedupe.look(&key, NOW));
            dedupe.insert(&key, Lsn(lsn), NOW, b"partial");
        }
        dedupe.insert(&content(5), Lsn(4), NOW, b"");
        dedupe.insert(&Key::None, Lsn(5), NOW, b"partial");
        for (lsn, key) in (1..).zip(keys) {
            assert_eq!(known(lsn, b"partial"), dedupe.look(&key, NOW));
        }
        assert_eq!(known(4, b""), dedupe.look(&content(5), NOW));
        for key in [content(2), content(3), named(1, 3), numbered(5), Key::None] {
            assert_eq!(Seen::Fresh, dedupe.look(&key, NOW));
        }
    }

    /// A batch id with other content is a conflict, and one of another tenant's name is not.
    #[test]
    fn another_content_conflicts() {
        let mut dedupe = Dedupe::new(LIMITS);
        dedupe.insert(&named(1, 1), Lsn(1), NOW, b"");
        assert_eq!(Seen::Conflict, dedupe.look(&named(1, 2), NOW));
        assert_eq!(Seen::Fresh, dedupe.look(&named(2, 1), NOW));
        assert_eq!(known(1, b""), dedupe.look(&named(1, 1), NOW));
    }

    /// A request is remembered for the horizon, forgotten a minute later, and may come again then.
    #[test]
    fn the_horizon_is_kept() {
        let mut dedupe = Dedupe::new(LIMITS);
        dedupe.insert(&named(1, 1), Lsn(1), NOW, b"first");
        let end = wait(&mut dedupe, NOW, 900);
        dedupe.insert(&content(2), Lsn(2), end, b"");
        assert_eq!(known(1, b"first"), dedupe.look(&named(1, 1), end));
        let later = wait(&mut dedupe, end, 60);
        assert_eq!(Seen::Fresh, dedupe.look(&named(1, 2), later));
        dedupe.insert(&named(1, 2), Lsn(3), later, b"");
        assert_eq!(known(3, b""), dedupe.look(&named(1, 2), later));
        assert_eq!(2, dedupe.stats(later).entries);
        assert_eq!((900.0, 0), {
            let stats = dedupe.stats(later);
            (stats.horizon_s, stats.evicted_early)
        });
    }

    /// A wall clock that is set back or forward, or a machine that slept, forgets nothing.
    #[test]
    fn a_clock_that_is_set_forgets_nothing() {
        let mut dedupe = Dedupe::new(LIMITS);
        for (number, at_s) in [(1, 0), (2, -3_600), (3, 86_400), (4, 0)] {
            dedupe.insert(&content(number), Lsn(number), NOW + at_s * SECOND_NS, b"");
        }
        for (number, at_s) in [(1, 0), (2, -3_600), (3, 86_400), (4, 0), (1, 86_400)] {
            let seen = dedupe.look(&content(number), NOW + at_s * SECOND_NS);
            assert_eq!(known(number, b""), seen);
        }
    }

    /// Past the bound the oldest go early: counted, and the horizon held says so.
    #[test]
    fn too_many_shorten_the_horizon() {
        let mut dedupe = Dedupe::new(LIMITS);
        for second in 0..300 {
            for number in 0..10 {
                let number = second * 10 + number;
                let at = NOW + second as i64 * SECOND_NS;
                dedupe.insert(&content(number), Lsn(number + 1), at, b"");
            }
        }
        let stats = dedupe.stats(NOW + 300 * SECOND_NS);
        assert!(stats.entries <= 1_000 && stats.entries > 900, "{stats:?}");
        assert_eq!(3_000, stats.entries as u64 + stats.evicted_early);
        assert!((93.0..=101.0).contains(&stats.horizon_s), "{stats:?}");
        assert!(matches!(dedupe.look(&content(2_999), NOW), Seen::Duplicate { .. }));
        assert_eq!(Seen::Fresh, dedupe.look(&content(0), NOW));
    }

    /// Long answers take the place of entries: memory stays bounded whatever is answered.
    #[test]
    fn answers_take_room() {
        let mut dedupe = Dedupe::new(LIMITS);
        for number in 0..1_000 {
            dedupe.insert(&content(number), Lsn(number + 1), NOW, &[7; 1_000]);
        }
        let stats = dedupe.stats(NOW);
        assert!(stats.entries < 60 && stats.bytes < 80_000, "{stats:?}");
        assert_eq!(known(1_000, &[7; 1_000]), dedupe.look(&content(999), NOW));
    }

    /// An entry takes at most 50 B when as many are held as may be.
    #[test]
    fn entries_are_small() {
        const ENTRIES: u64 = 300_000;
        let mut dedupe = Dedupe::new(Limits { entries: ENTRIES as usize, ..LIMITS });
        for number in 0..2 * ENTRIES {
            let key = if number % 2 == 0 { content(number) } else { named(number, 1) };
            dedupe.insert(&key, Lsn(number + 1), NOW + number as i64 * 1_000_000, b"");
        }
        let stats = dedupe.stats(NOW);
        assert!(stats.entries as u64 > ENTRIES * 9 / 10);
        assert!(stats.bytes / stats.entries <= 50, "{} B", stats.bytes / stats.entries);
    }

    /// Files written at several cuts give back together what was held at the last; what was
    /// forgotten by then does not come back, and each generation is written once.
    #[test]
    fn what_was_saved_comes_back() {
        let folder = TemporaryFolder::new("saved");
        let mut dedupe = Dedupe::new(LIMITS);
        let mut files = Vec::new();
        let mut sizes = Vec::new();
        let mut now_ns = NOW;
        for cut in 0..30_u64 {
            now_ns = wait(&mut dedupe, now_ns, 60);
            for (place, key) in [content(cut), named(cut, cut), numbered(cut)].iter().enumerate() {
                dedupe.insert(key, Lsn(cut * 3 + place as u64 + 1), now_ns, b"answer");
            }
            let lsn = Lsn(cut * 3 + 3);
            files = dedupe.freeze().save(&RealDisk, &folder.0, lsn).expect("writable");
            let newest = folder.0.join(files.last().expect("at least one"));
            sizes.push(std::fs::metadata(newest).expect("there").len());
        }
        assert_eq!(16, files.len());
        assert!(sizes[29] < sizes[5] + 16, "{sizes:?}");
        let loaded = load(LIMITS, &folder, &files);
        for cut in 0..30 {
            for key in [content(cut), named(cut, cut), numbered(cut), named(cut, cut + 1)] {
                assert_eq!(dedupe.look(&key, now_ns), loaded.look(&key, now_ns), "{cut}: {key:?}");
            }
        }
        assert_eq!(dedupe.stats(now_ns).entries, loaded.stats(now_ns).entries);
    }

    /// A second save at the same cut keeps what the first wrote there.
    #[test]
    fn saving_again_loses_nothing() {
        let folder = TemporaryFolder::new("again");
        let mut dedupe = Dedupe::new(LIMITS);
        dedupe.insert(&content(1), Lsn(1), NOW, b"");
        for _ in 0..2 {
            let files = dedupe.freeze().save(&RealDisk, &folder.0, Lsn(1)).expect("writable");
            let loaded = load(LIMITS, &folder, &files);
            assert_eq!(known(1, b""), loaded.look(&content(1), NOW));
        }
    }

    /// A list that lacks a file is refused: what it held would be counted twice.
    #[test]
    fn a_missing_file_is_damage() {
        let folder = TemporaryFolder::new("missing");
        let mut dedupe = Dedupe::new(LIMITS);
        dedupe.insert(&content(1), Lsn(1), NOW, b"");
        let _ = dedupe.freeze().save(&RealDisk, &folder.0, Lsn(1)).expect("writable");
        dedupe.insert(&content(2), Lsn(2), NOW, b"");
        let files = dedupe.freeze().save(&RealDisk, &folder.0, Lsn(2)).expect("writable");
        assert_eq!(2, files.len());
        let outcome = Dedupe::load(LIMITS, &RealDisk, &folder.0, &files[1..]);
        let error = outcome.map(|_| ()).expect_err("refused").to_string();
        assert!(error.contains("a generation is missing"), "{error}");
    }

    /// Lower limits after a restart are kept to, and the loss is counted.
    #[test]
    fn limits_may_shrink() {
        let folder = TemporaryFolder::new("shrink");
        let mut dedupe = Dedupe::new(LIMITS);
        for number in 0..1_000 {
            dedupe.insert(&content(number), Lsn(number + 1), NOW, b"");
        }
        let files = dedupe.freeze().save(&RealDisk, &folder.0, Lsn(1_000)).expect("writable");
        let loaded = load(Limits { entries: 500, ..LIMITS }, &folder, &files);
        let stats = loaded.stats(NOW);
        assert!(stats.entries <= 500 && stats.evicted_early >= 500, "{stats:?}");
        assert!(matches!(loaded.look(&content(999), NOW), Seen::Duplicate { .. }));
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Send(u64, u64),
        Wait(i64),
        Freeze,
        Restart,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (0..30_u64, 0..3_u64).prop_map(|(name, content)| Step::Send(name, content)),
            3 => (0..400_i64).prop_map(Step::Wait),
            1 => Just(Step::Freeze),
            1 => Just(Step::Restart),
        ];
        prop::collection::vec(step, 1..120)
    }

    proptest! {
        // Each restart syncs files.
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whenever it was frozen, saved and loaded, a request is known again for the horizon and
        /// never a minute longer, with its own answer.
        #[test]
        fn remembers_what_was_sent(steps in steps(), run: u64) {
            let folder = TemporaryFolder::new(&format!("steps-{run}"));
            let mut dedupe = Dedupe::new(LIMITS);
            let mut sent: HashMap<u64, (i64, u64, u64)> = HashMap::new();
            let (mut now_ns, mut lsn) = (NOW, 0);
            for step in steps {
                match step {
                    Step::Wait(seconds) => now_ns = wait(&mut dedupe, now_ns, seconds),
                    Step::Freeze => drop(dedupe.freeze()),
                    Step::Restart => {
                        let frozen = dedupe.freeze();
                        let files = frozen.save(&RealDisk, &folder.0, Lsn(lsn)).expect("writable");
                        dedupe = load(LIMITS, &folder, &files);
                    }
                    Step::Send(name, content) => {
                        let key = named(name, content);
                        let seen = dedupe.look(&key, now_ns);
                        let first = sent.get(&name).copied();
                        let age_s = first.map(|(at, ..)| (now_ns - at) / SECOND_NS);
                        if seen == Seen::Fresh {
                            prop_assert!(age_s.is_none_or(|age_s| age_s > 900));
                            lsn += 1;
                            let response = lsn.to_le_bytes();
                            dedupe.insert(&key, Lsn(lsn), now_ns, &response[..lsn as usize % 9]);
                            let _ = sent.insert(name, (now_ns, content, lsn));
                            continue;
                        }
                        let (_, content_then, lsn_then) = first.expect("sent before");
                        prop_assert!(age_s < Some(960));
                        let response = lsn_then.to_le_bytes();
                        let expected = match content_then == content {
                            true => known(lsn_then, &response[..lsn_then as usize % 9]),
                            false => Seen::Conflict,
                        };
                        prop_assert_eq!(expected, seen);
                    }
                }
            }
        }
    }
}
