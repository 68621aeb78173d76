//! One objective: its indicator, its groups' counters, and its state.

use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use super::groups::{ALL, Counters, Passing, SavedGroup, place_of};
use super::ring::{CounterRing, Stamp};
use super::{Counts, budget_left, rate_burn, volume_burn};
use crate::clock::{SECOND_NS, rfc3339};
use crate::codec::{Damaged, Read, Writer};
use crate::config::ObjectiveConfig;
use crate::error::Result;
use crate::sli::Sli;

/// Look-backs shown for every objective: those of the usual burn-rate alerts.
const BURN_WINDOWS: [(&str, i64); 4] =
    [("5m", 300), ("1h", 3_600), ("6h", 21_600), ("3d", 259_200)];

/// Silence after which a state is frozen instead of current, seconds of wall time.
const FROZEN_AFTER_S: i64 = 60;

/// Look-back that decides since when a budget burns, and how far back to search, seconds.
const ONSET_WINDOW_S: i64 = 300;
const ONSET_SEARCH_S: i64 = 259_200;

/// Events of one objective group and second, counted within a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally {
    pub group: u32,
    pub second: i64,
    pub counts: Counts,
}

/// One objective with the counters of its groups.
pub(crate) struct Objective {
    pub config: ObjectiveConfig,
    pub sli: Box<dyn Sli>,
    counters: Mutex<Counters>,
}

impl Objective {
    pub(crate) fn new(config: ObjectiveConfig, sli: Box<dyn Sli>) -> Self {
        Self { config, sli, counters: Mutex::default() }
    }

    /// Add a batch's tallies under one lock, but for seconds before the horizon.
    ///
    /// `cut` is the last one before the batch.
    pub(crate) fn add(&self, tallies: &[Tally], horizon_s: i64, cut: Stamp) {
        let grouped = !self.config.group_by.is_empty();
        let mut counters = self.counters.lock();
        counters.enter(cut);
        for tally in tallies.iter().filter(|tally| tally.second >= horizon_s) {
            counters.add(ALL, tally);
            if grouped {
                counters.add(place_of(tally.group as usize), tally);
            }
        }
    }

    /// Groups that have counters; none where the objective is not grouped.
    pub(crate) fn group_count(&self) -> usize {
        self.counters.lock().groups.len() - place_of(0)
    }

    /// Events since the start in any of `groups`.
    pub(crate) fn events_in(&self, groups: &[u32]) -> u64 {
        let counters = self.counters.lock();
        let of = |group: &u32| counters.groups.get(place_of(*group as usize));
        groups.iter().filter_map(of).map(|group| group.events).sum()
    }

    /// Write down the counters of all events, or of one group: alike where the counts are.
    pub(crate) fn describe(&self, group: Option<usize>, out: &mut Writer) {
        let counters = self.counters.lock();
        if let Some(group) = counters.groups.get(group.map_or(ALL, place_of)) {
            out.varint(group.events);
            group.ring.describe(out);
        }
    }

    /// Bytes held by the counters.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.counters.lock().heap_bytes()
    }

    /// Begin to write what stood at this cut; how many stretches of counters are new since the
    /// one before, about.
    pub(crate) fn begin_pass(&self, cut: Stamp) -> u64 {
        self.counters.lock().begin_pass(cut)
    }

    /// Write down what was changed after the cut `from` and stood at the cut that the pass
    /// was begun for.
    ///
    /// `spill` is called often, without the lock. Returns how many chunks it was.
    ///
    /// # Errors
    ///
    /// Those of `spill`. [`Objective::abandon`] then gives back what was kept aside.
    pub(crate) fn save(
        &self,
        number: usize,
        from: Stamp,
        out: &mut Writer,
        spill: &mut dyn FnMut(&mut Writer) -> Result<()>,
    ) -> Result<usize> {
        let to = self.counters.lock().cut;
        let mut saved = 0;
        loop {
            let progress = self.counters.lock().save_some(number, from, out);
            spill(out)?;
            match progress {
                Some(chunks) => saved += chunks,
                None => break,
            }
        }
        let passed = std::mem::take(&mut self.counters.lock().passing);
        for (place, past) in passed.overtaken {
            saved += past.save((number, place), (from, to), out);
            spill(out)?;
        }
        Ok(saved)
    }

    /// Nothing more is wanted of the last cut.
    pub(crate) fn abandon(&self) {
        self.counters.lock().passing = Passing::default();
    }

    /// Take up where a checkpoint stood: `cut` is the last one.
    pub(crate) fn restore(&self, cut: Stamp) {
        self.counters.lock().cut = cut;
    }

    /// Put back what a file has of one group, last changed after the cut `stamp`.
    ///
    /// There must be fewer than `groups_max` groups.
    pub(crate) fn load(&self, saved: SavedGroup, stamp: Stamp, groups_max: usize) -> Read<()> {
        if saved.place >= place_of(groups_max) {
            return Err(Damaged("has counters of a group that there is not"));
        }
        let mut counters = self.counters.lock();
        let group = counters.group(saved.place);
        group.stamp = stamp;
        if let Some((newest_s, events)) = saved.head {
            group.ring.set_newest_s(newest_s);
            group.events = events;
        }
        for chunk in saved.chunks {
            group.ring.load(chunk, stamp);
        }
        Ok(())
    }

    /// State of all events, or of one group, at event time `newest_ns`, as `GET /api/v1/slo` shows it.
    ///
    /// Counts include the open second; burn is as of the last complete one.
    pub(crate) fn state(&self, group: Option<usize>, newest_ns: Option<i64>, now_ns: i64) -> Json {
        // Copied out: summing 30 days under the lock would hold up ingest.
        let ring = {
            let counters = self.counters.lock();
            counters.groups[group.map_or(ALL, place_of)].ring.clone()
        };
        let objective = self.config.objective;
        let newest_s = newest_ns.map(|ns| ns.div_euclid(SECOND_NS));
        // Before the first event every window is empty wherever it lies.
        let complete = newest_s.unwrap_or(0);
        let open = complete + 1;
        let start = open - self.config.period_s as i64;
        let period = ring.sum(start, open);
        let burn = |over: i64| rate_burn(ring.sum(complete - over, complete), objective);
        let volume =
            |over: i64| volume_burn(ring.sum(complete - over, complete), period, objective);
        let named = |of: &dyn Fn(i64) -> Option<f64>| -> Json {
            BURN_WINDOWS.iter().map(|(name, over)| ((*name).to_owned(), json!(of(*over)))).collect()
        };
        let left = budget_left(period, objective);
        json!({
            "name": self.config.name, "description": self.config.description,
            "objective": objective, "period": duration(self.config.period_s),
            "good": period.good, "bad": period.bad, "total": period.total(),
            "budget_left": left, "burn": named(&burn), "volume_burn": named(&volume),
            "burning_since": burning_since(&ring, complete, objective)
                .and_then(|second| rfc3339(second * SECOND_NS)),
            "window": newest_s.map(|_| json!({
                "start": rfc3339(start * SECOND_NS), "end": rfc3339(open * SECOND_NS),
            })),
            "data": freshness(newest_s, now_ns),
            // No alert rules exist yet: the field is null, not a made-up "ok".
            "alert": Json::Null,
            "budget": left.map(|left| if left > 0.0 { "ok" } else { "exhausted" }),
            "layer": self.config.layer, "runbook": self.config.runbook,
        })
    }
}

fn freshness(newest_s: Option<i64>, now_ns: i64) -> &'static str {
    match newest_s {
        None => "no_data",
        Some(newest) if now_ns.div_euclid(SECOND_NS) - newest > FROZEN_AFTER_S => "frozen",
        Some(_) => "ok",
    }
}

/// Start of the stretch up to `end` over which every five minutes burnt faster than the budget allows.
fn burning_since(ring: &CounterRing, end: i64, objective: f64) -> Option<i64> {
    let burns = |at: i64| {
        rate_burn(ring.sum(at - ONSET_WINDOW_S, at), objective).is_some_and(|burn| burn > 1.0)
    };
    if !burns(end) {
        return None;
    }
    let mut since = end.div_euclid(60) * 60;
    while burns(since - 60) && end - since < ONSET_SEARCH_S {
        since -= 60;
    }
    Some(since)
}

/// `30d`, `6h`, `90s`: the largest unit that divides.
fn duration(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    match units.iter().find(|(length, _)| seconds.is_multiple_of(*length) && seconds > 0) {
        Some((length, unit)) => format!("{}{unit}", seconds / length),
        None => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Reader;
    use crate::error::Error;

    const NOW: i64 = 1_795_219_200;

    /// A budget that starts to burn is dated to within the look-back, and a healthy one is not dated.
    #[test]
    fn dates_the_onset() {
        let mut ring = CounterRing::default();
        for second in 0..7_200 {
            let bad = u64::from(second >= 3_600);
            let _ = ring.add(NOW + second, Counts { good: 100, bad: 5 * bad }, 1, None);
        }
        assert_eq!(None, burning_since(&ring, NOW + 3_600, 0.99));
        let since = burning_since(&ring, NOW + 7_200, 0.99).expect("burns");
        assert!((0..=120).contains(&(since - NOW - 3_600)), "{}", since - NOW);
    }

    /// Periods print the way they are written in files.
    #[test]
    fn durations_read_back() {
        assert_eq!(
            ["30d", "6h", "90s"],
            [2_592_000, 21_600, 90].map(duration).each_ref().map(|s| &**s)
        );
    }

    fn objective() -> Objective {
        let config = ObjectiveConfig {
            name: "answers".to_owned(),
            description: String::new(),
            sli: json!({"kind": "errors"}),
            conditions: Vec::new(),
            group_by: vec!["model".to_owned()],
            objective: 0.99,
            period_s: 86_400,
            layer: String::new(),
            runbook: String::new(),
        };
        let sli = crate::sli::build(&config.sli, &|_| 0).expect("known");
        Objective::new(config, sli)
    }

    /// Every counter there is, in one order.
    fn content(objective: &Objective) -> Vec<u8> {
        let counters = objective.counters.lock();
        let mut out = Writer::default();
        for group in &counters.groups {
            out.option(group.ring.newest_s());
            out.varint(group.events);
            let _ = group.ring.save((0, Stamp::MAX), &mut out);
        }
        out.0
    }

    /// What is done to the counters.
    #[derive(Debug, Clone)]
    enum Step {
        Add(Vec<Tally>),
        /// A checkpoint, during which these come; `usize` files stay as they are.
        Save(Vec<Vec<Tally>>, usize),
        /// A checkpoint that fails after so many parts.
        Fail(usize),
        /// A restart: the files, then everything after them again.
        Restart,
    }

    fn tallies() -> impl Strategy<Value = Vec<Tally>> {
        let seconds = prop_oneof![0i64..100, 0i64..90_000, 0i64..40_000_000];
        let one = (0u32..4, seconds, 0u64..3, 0u64..3).prop_map(|(group, second, good, bad)| {
            Tally { group, second: NOW + second, counts: Counts { good, bad } }
        });
        prop::collection::vec(one, 1..6)
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let meanwhile = prop::collection::vec(tallies(), 0..4);
        let step = prop_oneof![
            4 => tallies().prop_map(Step::Add),
            3 => (meanwhile, 0usize..4).prop_map(|(during, stay)| Step::Save(during, stay)),
            1 => (0usize..3).prop_map(Step::Fail),
            1 => Just(Step::Restart),
        ];
        prop::collection::vec(step, 1..40)
    }

    /// One objective as a daemon has it: counters, files, and what came after the last file.
    struct Daemon {
        objective: Objective,
        cut: Stamp,
        /// Cuts [from, to), and what was written.
        files: Vec<(Stamp, Stamp, Vec<u8>)>,
        journal: Vec<Vec<Tally>>,
    }

    impl Daemon {
        fn add(&mut self, tallies: &[Tally]) {
            self.objective.add(tallies, i64::MIN, self.cut);
            self.journal.push(tallies.to_vec());
        }

        fn save(&mut self, during: &[Vec<Tally>], stay: usize, fails_after: usize) {
            self.cut += 7;
            let mut during = during.iter();
            let (objective, cut) = (&self.objective, self.cut);
            let mut later = Vec::new();
            // What comes first after a cut may come before the checkpointer does.
            if let Some(tallies) = during.next() {
                objective.add(tallies, i64::MIN, cut);
                later.push(tallies.clone());
            }
            let _ = objective.begin_pass(cut);
            let kept = stay.min(self.files.len());
            let from = self.files[..kept].last().map_or(0, |(_, to, _)| *to);
            let (mut out, mut parts) = (Writer::default(), 0);
            let saved = objective.save(0, from, &mut out, &mut |_| {
                if let Some(tallies) = during.next() {
                    objective.add(tallies, i64::MIN, cut);
                    later.push(tallies.clone());
                }
                parts += 1;
                if parts > fails_after { Err(Error::Closed) } else { Ok(()) }
            });
            if saved.is_err() {
                objective.abandon();
                self.journal.extend(later);
                return;
            }
            self.files.truncate(kept);
            self.files.push((from, cut, out.0));
            self.journal = later;
            during.for_each(|tallies| self.add(tallies));
        }

        fn restart(&mut self) {
            let objective = objective();
            for (from, _, bytes) in &self.files {
                let mut reader = Reader(bytes);
                while reader.end().is_err() {
                    let saved = SavedGroup::read(&mut reader).expect("whole");
                    objective.load(saved, *from, 4).expect("fits");
                }
            }
            self.cut = self.files.last().map_or(0, |(_, to, _)| *to);
            objective.restore(self.cut);
            self.journal.iter().for_each(|tallies| objective.add(tallies, i64::MIN, self.cut));
            self.objective = objective;
        }
    }

    proptest! {
        /// However adding, checkpoints and restarts follow each other, everything is counted once.
        #[test]
        fn checkpoints_count_once(steps in steps()) {
            let plain = objective();
            let mut daemon =
                Daemon { objective: objective(), cut: 0, files: Vec::new(), journal: Vec::new() };
            for step in steps.into_iter().chain([Step::Restart]) {
                match step {
                    Step::Add(tallies) => {
                        plain.add(&tallies, i64::MIN, 0);
                        daemon.add(&tallies);
                    }
                    Step::Save(during, stay) => {
                        during.iter().for_each(|tallies| plain.add(tallies, i64::MIN, 0));
                        daemon.save(&during, stay, usize::MAX);
                    }
                    Step::Fail(parts) => daemon.save(&[], usize::MAX, parts),
                    Step::Restart => daemon.restart(),
                }
                prop_assert_eq!(content(&plain), content(&daemon.objective));
            }
        }

        /// Whatever the bytes, reading ends in counters or an error, never in a panic.
        #[test]
        fn any_bytes_are_safe(bytes: Vec<u8>) {
            if let Ok(saved) = SavedGroup::read(&mut Reader(&bytes)) {
                let _ = objective().load(saved, 0, 4);
            }
        }
    }
}
