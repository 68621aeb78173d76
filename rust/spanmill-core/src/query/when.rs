//! The times of a question: whole buckets of event time that are still held.

use serde::Serialize;

use crate::clock::{SECOND_NS, rfc3339};
use crate::error::{Error, Result};
use crate::state::State;
use crate::window::{BUCKET_S, Kept, Steps, Stretch, Use};

/// Steps that an answer chooses by itself, seconds: those that a person would.
const NICE_STEPS_S: [i64; 15] =
    [10, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200, DAY_S, 2 * DAY_S];
const DAY_S: i64 = 86_400;

/// Three centuries: as much as Unix nanoseconds hold.
const LENGTH_MAX_S: f64 = 1e10;

/// A stretch of event time, as answers show it.
#[derive(Serialize)]
pub(super) struct Window {
    pub start: String,
    pub end: String,
    /// Events may still fall into it.
    pub open: bool,
}

impl Window {
    /// From [start, end), seconds.
    pub(super) fn new(state: &State, (start, end): (i64, i64)) -> Self {
        let open = state.sealed().is_none_or(|bucket| end > bucket * BUCKET_S);
        Self { start: time(start), end: time(end), open }
    }
}

/// A time in seconds, as answers show it.
pub(super) fn time(at_s: i64) -> String {
    // Windows lie within reach of an event's or the clock's time: both can be written.
    at_s.checked_mul(SECOND_NS).and_then(rfc3339).unwrap_or_default()
}

/// Where the watermark stands, as answers show it.
pub(super) fn watermark(state: &State) -> Option<String> {
    state.sequence.event_time().watermark_ns.and_then(rfc3339)
}

/// What all series of a question hold.
pub(super) struct Held {
    memory: Kept,
    /// In memory and on disk.
    all: Kept,
    used: Use,
}

impl Held {
    /// By series of which the least used is used so.
    pub(super) fn new(state: &State, used: Use) -> Self {
        let memory = state.kept();
        let all = state.archive().map_or_else(|| memory.clone(), |archive| archive.reach(&memory));
        Self { memory, all, used }
    }

    /// Width of the finest buckets that are still held at `at`, seconds.
    fn width_at(&self, at: i64) -> i64 {
        self.all.width_at(self.used, at)
    }

    /// The window that answers for [start, end), seconds; an error where nothing of it is held.
    fn reach(&self, window: (i64, i64)) -> Result<(i64, i64)> {
        let (start, end) = self.all.reach(self.used, window);
        if start < end {
            return Ok((start, end));
        }
        Err(Error::Request(format!(
            "the window ends at {}, and distributions are held from {} on; ask for a later one",
            time(window.1),
            time(start)
        )))
    }

    /// What must be read from the disk to answer for `steps`, of series of this use.
    pub(super) fn beyond(&self, used: Use, steps: &Steps) -> Vec<Stretch> {
        let slices = (0..steps.count).map(|at| steps.slice(at));
        self.all.beyond(&self.memory, used, slices)
    }
}

/// A look-back of `window_s`: whole buckets, clipped and widened to what is still held. Seconds.
pub(super) fn look_back(
    state: &State,
    held: &Held,
    window_s: f64,
    end_ns: Option<i64>,
) -> Result<(i64, i64)> {
    let length = whole_buckets("window", window_s)?;
    let end = end(state, end_ns);
    held.reach((end - length, end))
}

/// The times of a question in steps, seconds.
pub(super) struct Range {
    /// First moment; `None` in a look-back, which moves with its end.
    start: Option<i64>,
    length: i64,
    end: i64,
}

impl Range {
    /// From `start_ns` where given, else a look-back of `window_s`.
    pub(super) fn new(
        state: &State,
        start_ns: Option<i64>,
        window_s: f64,
        end_ns: Option<i64>,
    ) -> Result<Self> {
        let end = end(state, end_ns);
        let Some(start_ns) = start_ns else {
            return Ok(Self { start: None, length: whole_buckets("window", window_s)?, end });
        };
        let start = start_ns.div_euclid(BUCKET_S * SECOND_NS) * BUCKET_S;
        if start >= end {
            return Err(Error::Request(format!(
                "the range starts at {} and ends at {}; let it start before it ends",
                time(start),
                time(end)
            )));
        }
        Ok(Self { start: Some(start), length: end - start, end })
    }

    /// Cut at multiples of `step`, so that asking again a little later gives the same slices.
    ///
    /// Edges move outward; a look-back keeps its length.
    fn cut(&self, step: i64) -> Steps {
        let end = ceil(self.end, step);
        let start = match self.start {
            Some(start) => start.div_euclid(step) * step,
            None => end - ceil(self.length, step),
        };
        Steps { start, step, count: ((end - start) / step) as usize }
    }

    /// Slices of `step_s`; without it, of the smallest nice step that gives at most `count_max`.
    ///
    /// Slices that began before what is held are left out.
    pub(super) fn steps(
        &self,
        held: &Held,
        step_s: Option<f64>,
        count_max: usize,
    ) -> Result<Steps> {
        let (first, _) = held.reach((self.end - self.length, self.end))?;
        let clipped = if first > self.end - self.length {
            Self { start: Some(first), length: self.end - first, end: self.end }
        } else {
            Self { ..*self }
        };
        let mut steps = match step_s {
            Some(step_s) => clipped.asked(whole_buckets("step", step_s)?, held)?,
            None => clipped.nice(held, count_max),
        };
        if steps.start < held.all.start_s(held.used) && steps.count > 1 {
            steps.start += steps.step;
            steps.count -= 1;
        }
        Ok(steps)
    }

    fn asked(&self, step: i64, held: &Held) -> Result<Steps> {
        let steps = self.cut(step);
        let width = held.width_at(steps.start);
        if step % width == 0 {
            return Ok(steps);
        }
        Err(Error::Request(format!(
            "a step of {step} s cannot be answered from {}: buckets there are {width} s wide; the \
             nearest step is {} s, or start later",
            time(steps.start),
            ceil(step, width)
        )))
    }

    fn nice(&self, held: &Held, count_max: usize) -> Steps {
        let fits = |steps: &Steps| {
            steps.count <= count_max && steps.step % held.width_at(steps.start) == 0
        };
        let nice = NICE_STEPS_S.into_iter().map(|step| self.cut(step)).find(fits);
        // Wider than any nice one: whole days, which every bucket's width divides.
        nice.unwrap_or_else(|| self.cut(ceil(self.length / count_max.max(1) as i64 + DAY_S, DAY_S)))
    }
}

/// Seconds that are a multiple of the finest bucket, or the nearest that are.
pub(super) fn whole_buckets(what: &str, length_s: f64) -> Result<i64> {
    let whole = (length_s / BUCKET_S as f64).round() * BUCKET_S as f64;
    if length_s < BUCKET_S as f64 || whole != length_s {
        let nearest = whole.max(BUCKET_S as f64);
        return Err(Error::Request(format!(
            "{what} of {length_s} s is not a multiple of {BUCKET_S} s; the nearest is {nearest} s"
        )));
    }
    // Longer than anything is kept, and refused for that; but no sum with it overflows.
    Ok(whole.min(LENGTH_MAX_S) as i64)
}

/// The last moment, seconds, at which a window may end and hold nothing from `start` on.
pub(super) fn end_before(held: &Held, start: i64) -> i64 {
    let width = held.width_at(start - 1);
    start.div_euclid(width) * width
}

/// The end of a look-back, seconds: that of the bucket of `end_ns`, or of now or the newest event.
pub(super) fn end(state: &State, end_ns: Option<i64>) -> i64 {
    let newest_ns = state.sequence.event_time().newest_ns;
    let latest = state.clock.now_ns().max(newest_ns.unwrap_or(i64::MIN));
    let end_ns = end_ns.unwrap_or(latest + 1);
    let bucket_ns = BUCKET_S * SECOND_NS;
    let partial = i64::from(end_ns.rem_euclid(bucket_ns) > 0);
    (end_ns.div_euclid(bucket_ns) + partial) * BUCKET_S
}

fn ceil(value: i64, multiple: i64) -> i64 {
    (value + multiple - 1).div_euclid(multiple) * multiple
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_219_200;

    fn held() -> Held {
        let memory = Kept::default().advanced(NOW / BUCKET_S);
        Held { all: memory.clone(), memory, used: Use::Recent }
    }

    fn look_back(length: i64, end: i64) -> Range {
        Range { start: None, length, end }
    }

    /// A chosen step is the smallest nice one that buckets of its age can answer.
    #[test]
    fn chosen_steps_fit() {
        for (length, count, wanted) in [
            (300, 60, (10, 30)),
            (3_600, 60, (60, 60)),
            (3_600, 59, (120, 30)),
            (7_200, 1_000, (300, 24)),
            (21_600, 60, (600, 36)),
        ] {
            let steps = look_back(length, NOW).nice(&held(), count);
            assert_eq!(wanted, (steps.step, steps.count), "{length} s in {count}");
        }
    }

    /// However long the range, a chosen step keeps to the count.
    #[test]
    fn chosen_steps_keep_to_the_count() {
        for days in [1, 30, 365, 86_400] {
            let steps = look_back(days * DAY_S, NOW + days * DAY_S).nice(&held(), 24);
            assert!(steps.count <= 24, "{days} days: {}", steps.count);
        }
    }

    /// A range is widened to whole steps; a look-back keeps its length and covers its end.
    #[test]
    fn slices_are_aligned() {
        let range = Range { start: Some(NOW + 10), length: 180, end: NOW + 190 };
        let cut = range.cut(60);
        assert_eq!((NOW, 60, 4), (cut.start, cut.step, cut.count));
        let back = look_back(180, NOW + 190).cut(60);
        assert_eq!((NOW + 60, 60, 3), (back.start, back.step, back.count));
    }

    /// A step that no kept bucket can answer is refused with the nearest that one can.
    #[test]
    fn steps_are_no_finer_than_what_is_kept() {
        let error = look_back(3_000, NOW).asked(90, &held()).map(|_| ()).expect_err("too fine");
        assert!(error.to_string().contains("60 s wide; the nearest step is 120 s"), "{error}");
    }
}
