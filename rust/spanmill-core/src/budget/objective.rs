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
    /// `cut` counts the checkpoints begun before the batch was numbered.
    pub(crate) fn add(&self, tallies: &[Tally], horizon_s: i64, cut: u64) {
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

    /// Bytes held by the counters.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.counters.lock().heap_bytes()
    }

    /// Write down what was changed before the cut and under the stamps from `from` on.
    ///
    /// `spill` is called often, without the lock. Returns how many chunks it was.
    ///
    /// # Errors
    ///
    /// Those of `spill`. [`Objective::abandon`] then gives back what was kept aside.
    pub(crate) fn save(
        &self,
        number: usize,
        (cut, from): (u64, Stamp),
        out: &mut Writer,
        spill: &mut dyn FnMut(&mut Writer) -> Result<()>,
    ) -> Result<usize> {
        self.counters.lock().enter(cut);
        let mut saved = 0;
        loop {
            let progress = self.counters.lock().save_some(number, from, out);
            spill(out)?;
            match progress {
                Some(chunks) => saved += chunks,
                None => break,
            }
        }
        let to = self.stamp();
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

    /// Stamp that changes now bear.
    pub(crate) fn stamp(&self) -> Stamp {
        self.counters.lock().stamp()
    }

    /// Let changes bear stamps from `first` on, and no cut be known yet.
    pub(crate) fn set_first_stamp(&self, first: Stamp) {
        let mut counters = self.counters.lock();
        counters.first = first;
        counters.cut = 0;
    }

    /// Put back what a file has of one group, last changed under `stamp`.
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
    use super::*;

    const NOW: i64 = 1_795_219_200;

    /// A budget that starts to burn is dated to within the look-back, and a healthy one is not dated.
    #[test]
    fn dates_the_onset() {
        let mut ring = CounterRing::default();
        for second in 0..7_200 {
            let bad = u64::from(second >= 3_600);
            ring.add(NOW + second, Counts { good: 100, bad: 5 * bad }, 1, None);
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
}
