//! The one point where order decides.
//!
//! It numbers each batch and takes every verdict that depends on what came
//! before: where the watermark stands, what is too old, which series a new
//! identity becomes. Everything after it is commutative, so applying in any
//! order, or replaying, decides nothing. The journal will record what it says.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use crate::budget::HORIZON_S;
use crate::clock::SECOND_NS;
use crate::config::WindowConfig;
use crate::ledger::Accounts;
use crate::skew::SkewWatch;
use crate::value::ValueId;
use crate::window::BUCKET_S;

/// What the sequencing point looks at.
pub(crate) struct Arrival<'a> {
    /// Wall time, Unix nanoseconds.
    pub now_ns: i64,
    /// Time that no one adjusts.
    pub steady_ns: i64,
    /// The batch's newest event that is not future-dated.
    pub newest_ns: Option<i64>,
    /// [`Sequencer::epoch`] from before the batch was decoded.
    pub epoch: u64,
    pub accounts: &'a Accounts,
}

/// What becomes of a batch.
pub(crate) enum Admission<'a> {
    Admitted(Verdict<'a>),
    /// Ids were let go since it was decoded: they may mean something else now. Decode again.
    Stale,
    /// So many sources of so many are ahead of our clock: it is in doubt, and nothing was decided.
    ClockSuspect(usize, usize),
}

/// What the sequencing point says of one batch. Dropping it means the batch is applied.
pub(crate) struct Verdict<'a> {
    /// Buckets numbered below this are sealed: their digests take nothing more.
    pub sealed: i64,
    /// Events before this, Unix nanoseconds, are older than any counter holds.
    pub horizon_ns: i64,
    _applying: RwLockReadGuard<'a, ()>,
}

#[derive(Default)]
struct State {
    number: u64,
    newest_ns: Option<i64>,
    watermark_ns: Option<i64>,
    last_arrival_ns: i64,
    skew: SkewWatch,
}

impl State {
    /// Raise the watermark to `at`; it never falls.
    fn advance(&mut self, at: i64) {
        self.watermark_ns = self.watermark_ns.max(Some(at));
    }

    fn sealed(&self) -> i64 {
        self.watermark_ns.map_or(i64::MIN, |ns| ns.div_euclid(BUCKET_S * SECOND_NS))
    }
}

/// Where event time stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventTime {
    /// Newest event, Unix nanoseconds.
    pub newest_ns: Option<i64>,
    /// Event time before which buckets are sealed, Unix nanoseconds.
    pub watermark_ns: Option<i64>,
    /// Batches numbered so far.
    pub batches: u64,
}

/// The sequencing point.
pub(crate) struct Sequencer {
    lateness_ns: i64,
    idle_ns: i64,
    /// Counts the rounds in which ids were let go. Changes only while `state` is held.
    epoch: AtomicU64,
    state: Mutex<State>,
    /// Held shared while a batch is applied; taken alone to wait for all of them.
    applying: RwLock<()>,
}

fn nanoseconds(seconds: f64) -> i64 {
    (seconds * SECOND_NS as f64) as i64
}

impl Sequencer {
    pub(crate) fn new(config: &WindowConfig) -> Self {
        Self {
            lateness_ns: nanoseconds(config.lateness_s),
            idle_ns: nanoseconds(config.idle_s),
            epoch: AtomicU64::new(0),
            state: Mutex::default(),
            applying: RwLock::new(()),
        }
    }

    /// Number a batch and take its verdicts; `resolve` runs at this point of the order.
    ///
    /// A batch is judged by what came before it, never by its own events; but for
    /// whose clock is wrong, of which it is evidence itself.
    pub(crate) fn admit(&self, arrival: &Arrival<'_>, resolve: impl FnOnce()) -> Admission<'_> {
        let &Arrival { now_ns, steady_ns, newest_ns, .. } = arrival;
        let mut state = self.state.lock();
        if arrival.epoch != self.epoch() {
            return Admission::Stale;
        }
        state.skew.observe(steady_ns, arrival.accounts.by_skew());
        if let Some((ahead, of)) = state.skew.suspicion(steady_ns) {
            return Admission::ClockSuspect(ahead, of);
        }
        state.number += 1;
        let sealed = state.sealed();
        let reference_ns = state.newest_ns.or(newest_ns).unwrap_or(now_ns);
        if let Some(newest) = newest_ns {
            state.last_arrival_ns = now_ns;
            state.newest_ns = state.newest_ns.max(Some(newest));
            let newest = state.newest_ns.unwrap_or(newest);
            state.advance(newest.min(now_ns) - self.lateness_ns);
        }
        resolve();
        Admission::Admitted(Verdict {
            sealed,
            horizon_ns: reference_ns - HORIZON_S * SECOND_NS,
            _applying: self.applying.read(),
        })
    }

    /// Round of ids: what was decoded in an earlier one must be decoded again.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Let go of ids while no batch is under way that could hold one, and begin a new round.
    ///
    /// `change` is given the sources whose clocks are being watched.
    pub(crate) fn let_go<T>(&self, change: impl FnOnce(&[ValueId]) -> T) -> T {
        let state = self.state.lock();
        drop(self.applying.write());
        let watched: Vec<ValueId> = state.skew.sources().collect();
        let done = change(&watched);
        let _ = self.epoch.fetch_add(1, Ordering::Release);
        done
    }

    /// Sources ahead of our clock, of how many, while it is in doubt.
    pub(crate) fn clock_suspicion(&self, steady_ns: i64) -> Option<(usize, usize)> {
        self.state.lock().skew.suspicion(steady_ns)
    }

    /// After a silence, let the watermark catch up with the newest event.
    ///
    /// Not with wall time: what a recovering sender still holds is not late.
    pub(crate) fn tick(&self, now_ns: i64) {
        let mut state = self.state.lock();
        if let Some(newest) = state.newest_ns
            && now_ns - state.last_arrival_ns >= self.idle_ns
        {
            state.advance(newest.min(now_ns));
        }
    }

    /// Bucket number below which no batch, not even one under way, will add anything.
    pub(crate) fn settled(&self) -> Option<i64> {
        let state = self.state.lock();
        // Every batch admitted so far holds the gate until it is applied, and
        // none is admitted while we hold the state.
        drop(self.applying.write());
        state.watermark_ns.map(|_| state.sealed())
    }

    pub(crate) fn event_time(&self) -> EventTime {
        let state = self.state.lock();
        EventTime {
            newest_ns: state.newest_ns,
            watermark_ns: state.watermark_ns,
            batches: state.number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_219_200 * SECOND_NS;

    fn sequencer() -> Sequencer {
        Sequencer::new(&WindowConfig { lateness_s: 60.0, future_skew_s: 5.0, idle_s: 30.0 })
    }

    fn watermark_s(sequencer: &Sequencer) -> i64 {
        (sequencer.event_time().watermark_ns.expect("has one") - NOW) / SECOND_NS
    }

    fn admit(sequencer: &Sequencer, newest_ns: i64) -> Verdict<'_> {
        let arrival = Arrival {
            now_ns: NOW,
            steady_ns: 0,
            newest_ns: Some(newest_ns),
            epoch: sequencer.epoch(),
            accounts: &Accounts::default(),
        };
        match sequencer.admit(&arrival, || ()) {
            Admission::Admitted(verdict) => verdict,
            _ => panic!("nothing speaks against it"),
        }
    }

    /// The watermark trails the newest event by the lateness, never passes wall time and never falls.
    #[test]
    fn watermark_trails() {
        let sequencer = sequencer();
        drop(admit(&sequencer, NOW - 100 * SECOND_NS));
        assert_eq!(-160, watermark_s(&sequencer));
        drop(admit(&sequencer, NOW + 4 * SECOND_NS));
        assert_eq!(-60, watermark_s(&sequencer));
        drop(admit(&sequencer, NOW - 500 * SECOND_NS));
        assert_eq!(-60, watermark_s(&sequencer));
    }

    /// Silence moves the watermark to the newest event, and no further however long it lasts.
    #[test]
    fn idle_stops_at_the_newest_event() {
        let sequencer = sequencer();
        drop(admit(&sequencer, NOW));
        sequencer.tick(NOW + 29 * SECOND_NS);
        assert_eq!(-60, watermark_s(&sequencer));
        sequencer.tick(NOW + 3_600 * SECOND_NS);
        assert_eq!(0, watermark_s(&sequencer));
    }

    /// A batch is judged by what came before it: its own newest event makes none of it late.
    #[test]
    fn a_batch_does_not_judge_itself() {
        let sequencer = sequencer();
        let verdict = admit(&sequencer, NOW);
        assert_eq!(i64::MIN, verdict.sealed);
        drop(verdict);
        let verdict = admit(&sequencer, NOW);
        assert_eq!((NOW / SECOND_NS - 60) / BUCKET_S, verdict.sealed);
        drop(verdict);
        assert_eq!(2, sequencer.event_time().batches);
    }

    /// A batch decoded before ids were let go is turned away, unnumbered and unresolved.
    #[test]
    fn stale_batches_are_turned_away() {
        let sequencer = sequencer();
        let accounts = Accounts::default();
        let arrival = Arrival {
            now_ns: NOW,
            steady_ns: 0,
            newest_ns: Some(NOW),
            epoch: sequencer.epoch(),
            accounts: &accounts,
        };
        sequencer.let_go(|_| ());
        let admission = sequencer.admit(&arrival, || panic!("must not be resolved"));
        assert!(matches!(admission, Admission::Stale));
        assert_eq!(0, sequencer.event_time().batches);
    }
}
