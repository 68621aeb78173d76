//! The one point where order decides.
//!
//! It numbers each batch and takes every verdict that depends on what came
//! before: whether it was here already, where the watermark stands, what is too
//! old, which series a new identity becomes. Everything after it is commutative, so
//! applying in any order, or replaying, decides nothing. The journal records what it says.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use crate::budget::HORIZON_S;
use crate::clock::SECOND_NS;
use crate::config::WindowConfig;
use crate::dedupe::{self, Dedupe, Frozen, Key, Seen};
use crate::error::{Error, Result};
use crate::journal::{Journal, Lsn, Slot};
use crate::skew::SkewWatch;
use crate::value::{Journaled, ValueId};
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
    /// Source, events received, those of them that are future-dated, by account.
    pub by_source: &'a [(ValueId, u64, u64)],
    /// What tells this batch from others.
    pub key: &'a Key,
    /// Bytes that its record takes in the journal at the most, or one that it was here before.
    pub record_bytes: usize,
}

/// What becomes of a batch.
pub(crate) enum Admission<'a> {
    Admitted(Verdict<'a>),
    /// It was here before.
    Known(Known<'a>),
    /// Ids were let go since it was decoded: they may mean something else now. Decode again.
    Stale,
    /// Nothing was decided; it may come again.
    Refused(Error),
}

/// What is done with a batch while the order stands still.
pub(crate) enum Step<'a> {
    /// Settle it. The response goes to every copy that may come.
    First(&'a Ruling),
    /// It is a copy.
    Again,
}

/// What the sequencing point says of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ruling {
    pub lsn: Lsn,
    /// When it came, wall time, Unix nanoseconds.
    pub now_ns: i64,
    /// Newest event so far, its own included, Unix nanoseconds.
    pub newest_ns: Option<i64>,
    /// Where the watermark stands after it, Unix nanoseconds.
    pub watermark_ns: Option<i64>,
    /// Buckets numbered below this are sealed: their digests take nothing more.
    pub sealed: i64,
    /// Events before this, Unix nanoseconds, are older than any counter holds.
    pub horizon_ns: i64,
    /// The newest cut before it, by the number of the record that stands before the cut.
    pub cut: u64,
}

/// A ruling that is being carried out. Dropping it means the batch is applied.
pub(crate) struct Verdict<'a> {
    pub ruling: Ruling,
    /// Its place in the journal, where there is one.
    pub slot: Option<Slot<'a>>,
    _applying: RwLockReadGuard<'a, ()>,
}

/// A batch that was here before: what was said then holds.
pub(crate) struct Known<'a> {
    /// Record of the first copy.
    pub first: Lsn,
    pub response: Vec<u8>,
    /// Place of the record that says there was another.
    pub slot: Option<Slot<'a>>,
    _applying: RwLockReadGuard<'a, ()>,
}

/// Where event time stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct EventTime {
    /// Newest event, Unix nanoseconds.
    pub newest_ns: Option<i64>,
    /// Event time before which buckets are sealed, Unix nanoseconds.
    pub watermark_ns: Option<i64>,
    /// When the last event came, wall time, Unix nanoseconds.
    pub last_arrival_ns: i64,
    /// Records so far.
    pub lsn: Lsn,
}

/// What stands at a cut, with no batch under way.
pub(crate) struct Cut {
    pub time: EventTime,
    pub dedupe: Frozen,
}

struct State {
    time: EventTime,
    /// Number of the record before the newest cut.
    cut: u64,
    skew: SkewWatch,
    dedupe: Dedupe,
    /// Values that the journal has defined.
    journaled: Journaled,
}

impl State {
    /// Raise the watermark to `at`; it never falls.
    fn advance(&mut self, at: i64) {
        self.time.watermark_ns = self.time.watermark_ns.max(Some(at));
    }

    fn sealed(&self) -> i64 {
        self.time.watermark_ns.map_or(i64::MIN, |ns| ns.div_euclid(BUCKET_S * SECOND_NS))
    }

    /// The next record's number, and its place where there is a journal.
    fn next<'j>(
        &mut self,
        journal: Option<&'j Journal>,
        bytes_max: usize,
    ) -> Result<Option<Slot<'j>>> {
        self.take(journal.map(|journal| journal.reserve(bytes_max)).transpose()?)
    }

    /// The same for a record of our own making: it has room where batches have none.
    fn next_own<'j>(
        &mut self,
        journal: Option<&'j Journal>,
        bytes_max: usize,
    ) -> Result<Option<Slot<'j>>> {
        self.take(journal.map(|journal| journal.reserve_own(bytes_max)).transpose()?)
    }

    fn take<'j>(&mut self, slot: Option<Slot<'j>>) -> Result<Option<Slot<'j>>> {
        self.time.lsn.0 += 1;
        debug_assert!(slot.as_ref().is_none_or(|slot| slot.lsn() == self.time.lsn));
        Ok(slot)
    }
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
    pub(crate) fn new(config: &WindowConfig, limits: dedupe::Limits) -> Self {
        let state = State {
            time: EventTime::default(),
            cut: 0,
            skew: SkewWatch::default(),
            dedupe: Dedupe::new(limits),
            journaled: Journaled::default(),
        };
        Self {
            lateness_ns: nanoseconds(config.lateness_s),
            idle_ns: nanoseconds(config.idle_s),
            epoch: AtomicU64::new(0),
            state: Mutex::new(state),
            applying: RwLock::new(()),
        }
    }

    /// Number a batch and take its verdicts.
    ///
    /// `settle` runs at this point of the order: it resolves identities, notes what
    /// the journal has not defined yet, and returns the response that copies get as well.
    /// A batch is judged by what came before it, never by its own events; but for
    /// whose clock is wrong, of which it is evidence itself.
    pub(crate) fn admit<'s>(
        &'s self,
        arrival: &Arrival<'_>,
        journal: Option<&'s Journal>,
        settle: impl FnOnce(Step<'_>, &mut Journaled) -> Vec<u8>,
    ) -> Admission<'s> {
        let mut state = self.state.lock();
        if arrival.epoch != self.epoch() {
            return Admission::Stale;
        }
        match state.dedupe.look(arrival.key, arrival.now_ns) {
            Seen::Fresh => {}
            Seen::Conflict => return Admission::Refused(Error::BatchConflict(String::new())),
            Seen::TooOld => return Admission::Refused(Error::Forgotten),
            Seen::Duplicate { lsn: first, response } => {
                return match state.next(journal, arrival.record_bytes) {
                    Ok(slot) => {
                        let _ = settle(Step::Again, &mut state.journaled);
                        let _applying = self.applying.read();
                        Admission::Known(Known { first, response, slot, _applying })
                    }
                    Err(error) => Admission::Refused(error),
                };
            }
        }
        state.skew.observe(arrival.steady_ns, arrival.by_source.iter().copied());
        if let Some((ahead, of)) = state.skew.suspicion(arrival.steady_ns) {
            return Admission::Refused(Error::ClockSuspect { ahead, of });
        }
        match state.next(journal, arrival.record_bytes) {
            Ok(slot) => Admission::Admitted(self.rule(&mut state, arrival, slot, settle)),
            Err(error) => Admission::Refused(error),
        }
    }

    fn rule<'s>(
        &'s self,
        state: &mut State,
        arrival: &Arrival<'_>,
        slot: Option<Slot<'s>>,
        settle: impl FnOnce(Step<'_>, &mut Journaled) -> Vec<u8>,
    ) -> Verdict<'s> {
        let &Arrival { now_ns, newest_ns, .. } = arrival;
        let sealed = state.sealed();
        let reference_ns = state.time.newest_ns.or(newest_ns).unwrap_or(now_ns);
        if let Some(newest) = newest_ns {
            state.time.last_arrival_ns = now_ns;
            state.time.newest_ns = state.time.newest_ns.max(Some(newest));
            let newest = state.time.newest_ns.unwrap_or(newest);
            state.advance(newest.min(now_ns) - self.lateness_ns);
        }
        let ruling = Ruling {
            lsn: state.time.lsn,
            now_ns,
            newest_ns: state.time.newest_ns,
            watermark_ns: state.time.watermark_ns,
            sealed,
            horizon_ns: reference_ns - HORIZON_S * SECOND_NS,
            cut: state.cut,
        };
        let response = settle(Step::First(&ruling), &mut state.journaled);
        state.dedupe.insert(arrival.key, ruling.lsn, now_ns, &response);
        Verdict { ruling, slot, _applying: self.applying.read() }
    }

    /// Take up what a record says was ruled; it must follow the last one.
    pub(crate) fn replay(
        &self,
        ruling: Ruling,
        has_events: bool,
        (key, response): (&Key, &[u8]),
    ) -> Ruling {
        let mut state = self.state.lock();
        let time = &mut state.time;
        if has_events {
            time.last_arrival_ns = ruling.now_ns;
        }
        (time.newest_ns, time.watermark_ns) = (ruling.newest_ns, ruling.watermark_ns);
        time.lsn = ruling.lsn;
        state.dedupe.insert(key, ruling.lsn, ruling.now_ns, response);
        Ruling { cut: state.cut, ..ruling }
    }

    /// Take up another record's number.
    pub(crate) fn replay_number(&self, lsn: Lsn) {
        self.state.lock().time.lsn = lsn;
    }

    /// Take up a watermark that silence had moved.
    pub(crate) fn replay_watermark(&self, watermark_ns: i64) {
        self.state.lock().advance(watermark_ns);
    }

    /// Take up what a checkpoint holds. `dedupe` and `journaled` are changed as the caller needs.
    pub(crate) fn restore(
        &self,
        time: EventTime,
        change: impl FnOnce(&mut Dedupe, &mut Journaled) -> Result<()>,
    ) -> Result<()> {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.time = time;
        change(&mut state.dedupe, &mut state.journaled)
    }

    /// Change which values the journal has defined, as a record that is replayed says.
    pub(crate) fn journaled<T>(&self, change: impl FnOnce(&mut Journaled) -> T) -> T {
        change(&mut self.state.lock().journaled)
    }

    /// Round of ids: what was decoded in an earlier one must be decoded again.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Let go of ids while no batch is under way that could hold one, and begin a new round.
    ///
    /// `change` is given the sources whose clocks are being watched, what the journal has
    /// defined, and a place for the record of what it does.
    ///
    /// # Errors
    ///
    /// The journal's: nothing was changed.
    pub(crate) fn let_go<T>(
        &self,
        journal: Option<&Journal>,
        bytes_max: usize,
        change: impl FnOnce(&[ValueId], &mut Journaled, Option<Slot<'_>>) -> T,
    ) -> Result<T> {
        let mut state = self.state.lock();
        let slot = state.next_own(journal, bytes_max)?;
        drop(self.applying.write());
        let watched: Vec<ValueId> = state.skew.sources().collect();
        let done = change(&watched, &mut state.journaled, slot);
        let _ = self.epoch.fetch_add(1, Ordering::Release);
        Ok(done)
    }

    /// Sources ahead of our clock, of how many, while it is in doubt.
    pub(crate) fn clock_suspicion(&self, steady_ns: i64) -> Option<(usize, usize)> {
        self.state.lock().skew.suspicion(steady_ns)
    }

    /// After a silence, let the watermark catch up with the newest event.
    ///
    /// Not with wall time: what a recovering sender still holds is not late. `record`
    /// writes down where it stands then.
    ///
    /// # Errors
    ///
    /// The journal's: it stays where it is.
    pub(crate) fn tick(
        &self,
        now_ns: i64,
        journal: Option<&Journal>,
        bytes_max: usize,
        record: impl FnOnce(i64, Slot<'_>),
    ) -> Result<()> {
        let mut state = self.state.lock();
        let Some(newest) = state.time.newest_ns else { return Ok(()) };
        let at = newest.min(now_ns);
        let is_idle = now_ns - state.time.last_arrival_ns >= self.idle_ns;
        if is_idle && state.time.watermark_ns < Some(at) {
            let slot = state.next_own(journal, bytes_max)?;
            state.advance(at);
            if let Some(slot) = slot {
                record(at, slot);
            }
        }
        Ok(())
    }

    /// Bucket number below which no batch, not even one under way, will add anything.
    pub(crate) fn settled(&self) -> Option<i64> {
        let state = self.state.lock();
        // Every batch admitted so far holds the gate until it is applied, and
        // none is admitted while we hold the state.
        drop(self.applying.write());
        state.time.watermark_ns.map(|_| state.sealed())
    }

    /// A place for a record that no batch is the reason of.
    ///
    /// # Errors
    ///
    /// The journal's: no number was used.
    pub(crate) fn number<'j>(
        &self,
        journal: Option<&'j Journal>,
        bytes_max: usize,
    ) -> Result<Option<Slot<'j>>> {
        self.state.lock().next_own(journal, bytes_max)
    }

    /// Draw a line: what was numbered before it is applied, what comes after bears the new number.
    ///
    /// `note` sees what stands at that very point; it holds up ingest, so it only copies.
    pub(crate) fn cut<T>(&self, note: impl FnOnce() -> T) -> (Cut, T) {
        let mut state = self.state.lock();
        drop(self.applying.write());
        state.cut = state.time.lsn.0;
        let cut = Cut { time: state.time, dedupe: state.dedupe.freeze() };
        (cut, note())
    }

    pub(crate) fn event_time(&self) -> EventTime {
        self.state.lock().time
    }

    /// What is remembered of batches, for metrics.
    pub(crate) fn dedupe_stats(&self, now_ns: i64) -> crate::dedupe::Stats {
        self.state.lock().dedupe.stats(now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_219_200 * SECOND_NS;

    fn sequencer() -> Sequencer {
        let config = WindowConfig { lateness_s: 60.0, future_skew_s: 5.0, idle_s: 30.0 };
        let limits = dedupe::Limits { entries: 100, producers: 10, horizon_s: 900.0 };
        Sequencer::new(&config, limits)
    }

    fn watermark_s(sequencer: &Sequencer) -> i64 {
        (sequencer.event_time().watermark_ns.expect("has one") - NOW) / SECOND_NS
    }

    fn arrival<'a>(sequencer: &Sequencer, newest_ns: i64, key: &'a Key) -> Arrival<'a> {
        Arrival {
            now_ns: NOW,
            steady_ns: 0,
            newest_ns: Some(newest_ns),
            epoch: sequencer.epoch(),
            by_source: &[],
            key,
            record_bytes: 0,
        }
    }

    fn admit(sequencer: &Sequencer, newest_ns: i64) -> Verdict<'_> {
        let arrival = arrival(sequencer, newest_ns, &Key::None);
        match sequencer.admit(&arrival, None, |_, _| Vec::new()) {
            Admission::Admitted(verdict) => verdict,
            _ => panic!("nothing speaks against it"),
        }
    }

    fn tick(sequencer: &Sequencer, now_ns: i64) {
        sequencer.tick(now_ns, None, 0, |_, _| panic!("has no journal")).expect("no journal");
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
        tick(&sequencer, NOW + 29 * SECOND_NS);
        assert_eq!(-60, watermark_s(&sequencer));
        tick(&sequencer, NOW + 3_600 * SECOND_NS);
        assert_eq!(0, watermark_s(&sequencer));
        let lsn = sequencer.event_time().lsn;
        tick(&sequencer, NOW + 7_200 * SECOND_NS);
        assert_eq!(lsn, sequencer.event_time().lsn, "what changes nothing is no record");
    }

    /// A batch is judged by what came before it: its own newest event makes none of it late.
    #[test]
    fn a_batch_does_not_judge_itself() {
        let sequencer = sequencer();
        let verdict = admit(&sequencer, NOW);
        assert_eq!(i64::MIN, verdict.ruling.sealed);
        drop(verdict);
        let verdict = admit(&sequencer, NOW);
        assert_eq!((NOW / SECOND_NS - 60) / BUCKET_S, verdict.ruling.sealed);
        drop(verdict);
        assert_eq!(Lsn(2), sequencer.event_time().lsn);
    }

    /// A batch that comes again is settled as a copy, gets the first one's answer and a number of
    /// its own, and moves nothing.
    #[test]
    fn copies_get_the_first_answer() {
        let sequencer = sequencer();
        let key = Key::Content(7);
        let first = arrival(&sequencer, NOW, &key);
        let admission = sequencer.admit(&first, None, |step, _| {
            assert!(matches!(step, Step::First(_)));
            b"late: 1".to_vec()
        });
        drop(admission);
        let before = sequencer.event_time();
        let again = sequencer.admit(&first, None, |step, _| {
            assert!(matches!(step, Step::Again));
            Vec::new()
        });
        let Admission::Known(known) = again else { panic!("was here before") };
        assert_eq!((Lsn(1), &b"late: 1"[..]), (known.first, &known.response[..]));
        drop(known);
        assert_eq!(EventTime { lsn: Lsn(2), ..before }, sequencer.event_time());
    }

    /// A batch decoded before ids were let go is turned away, unnumbered and unresolved.
    #[test]
    fn stale_batches_are_turned_away() {
        let sequencer = sequencer();
        let arrival = arrival(&sequencer, NOW, &Key::None);
        sequencer.let_go(None, 0, |_, _, _| ()).expect("no journal");
        let admission = sequencer.admit(&arrival, None, |_, _| panic!("must not be settled"));
        assert!(matches!(admission, Admission::Stale));
        assert_eq!(Lsn(1), sequencer.event_time().lsn);
    }

    /// A replay leaves the sequencing point where the rulings had left it.
    #[test]
    fn replaying_rulings_repeats_them() {
        let (live, replayed) = (sequencer(), sequencer());
        for newest_ns in [NOW - 100 * SECOND_NS, NOW, NOW - 500 * SECOND_NS] {
            let ruling = admit(&live, newest_ns).ruling;
            let again = replayed.replay(ruling, true, (&Key::None, &[]));
            assert_eq!(ruling, again);
        }
        assert_eq!(live.event_time(), replayed.event_time());
    }
}
