//! How far a quantile may be off, and whether two differ.
//!
//! The interval of one quantile joins two errors. Events are a sample of what
//! customers would feel: with 95 % confidence the true quantile lies between the
//! order statistics at ranks `q ± z·sqrt(q(1-q)/n)`, whatever the distribution.
//! And a digest may read a rank wrong by the error that it states: the ranks move
//! outward by it. Both ends are read off the curve. Where a rank leaves (0, 1) no
//! observed value bounds the quantile, and that end is open.
//!
//! Two quantiles are compared by the method of variance estimates recovery: the
//! distances from estimate to end add in squares, because samples err
//! independently; what the digests may add is not random, and adds up.
//!
//! Both assume independent events. A burst of equal requests narrows intervals
//! more than it should.
//!
//! Sources: W. J. Conover, "Practical Nonparametric Statistics", 3rd ed., §3.2;
//! G. Y. Zou, A. Donner, "Construction of confidence limits about effect
//! measures: a general approach", Statistics in Medicine 27 (2008).

use serde::Serialize;

use crate::digest::{Digest, Quantile};

/// Share of intervals that hold the true value.
pub(super) const CONFIDENCE: f64 = 0.95;
/// Standard deviations to either side that hold [`CONFIDENCE`] of a normal law.
const Z: f64 = 1.96;

/// A value with the interval it lies in; an end is `None` where nothing bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Bounded {
    pub value: f64,
    pub interval: [Option<f64>; 2],
}

/// One quantile of one side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate {
    value: f64,
    /// Ends by sampling alone, then with the digest's own error.
    low: Option<(f64, f64)>,
    high: Option<(f64, f64)>,
}

impl Estimate {
    /// The value with its interval, both errors joined.
    pub(super) fn bounded(&self) -> Bounded {
        let interval = [self.low.map(|(_, end)| end), self.high.map(|(_, end)| end)];
        Bounded { value: self.value, interval }
    }

    /// Sampling and digest part of the distance to one end.
    fn distance(&self, end: Option<(f64, f64)>) -> Option<(f64, f64)> {
        end.map(|(sampled, joined)| ((sampled - self.value).abs(), (joined - sampled).abs()))
    }
}

/// Estimates at `qs`, and the largest rank error of them; `None` while empty.
pub(super) fn estimates(digest: &Digest, qs: &[f64]) -> Option<(Vec<Estimate>, f64)> {
    let reader = digest.reader()?;
    let at_q = reader.quantiles(qs);
    let margin = |q: f64| Z * (q * (1.0 - q) / digest.count() as f64).sqrt();
    let sampled: Vec<f64> = qs.iter().flat_map(|&q| [q - margin(q), q + margin(q)]).collect();
    let at_ends = reader.quantiles(&clamped(&sampled));
    let joined: Vec<f64> = (0..sampled.len())
        .map(|end| {
            let error = at_q[end / 2].rank_error.max(at_ends[end].rank_error);
            if end % 2 == 0 { sampled[end] - error } else { sampled[end] + error }
        })
        .collect();
    let at_joined = reader.quantiles(&clamped(&joined));
    let end = |end: usize| {
        let inside = joined[end] > 0.0 && joined[end] < 1.0;
        inside.then_some((at_ends[end].value, at_joined[end].value))
    };
    let estimate = |(at, quantile): (usize, &Quantile)| Estimate {
        value: quantile.value,
        low: end(2 * at),
        high: end(2 * at + 1),
    };
    let rank_error = at_q.iter().map(|at| at.rank_error).fold(0.0, f64::max);
    Some((at_q.iter().enumerate().map(estimate).collect(), rank_error))
}

fn clamped(ranks: &[f64]) -> Vec<f64> {
    ranks.iter().map(|rank| rank.clamp(0.0, 1.0)).collect()
}

/// How far `b` lies from `a`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shift {
    /// In the measure's unit.
    pub absolute: Bounded,
    /// As a share of `a`; `None` where `a` is not above 0.
    pub relative: Option<Bounded>,
    /// The interval excludes 0.
    pub is_clear: bool,
}

/// The shift from `a` to `b`, of independent samples.
pub(super) fn shift(a: &Estimate, b: &Estimate) -> Shift {
    // The shift is least where b is low and a is high, and the other way round.
    let low = b.distance(b.low).zip(a.distance(a.high));
    let high = b.distance(b.high).zip(a.distance(a.low));
    let value = b.value - a.value;
    let reach = |((b_sampled, b_digest), (a_sampled, a_digest)): ((f64, f64), (f64, f64))| {
        (b_sampled * b_sampled + a_sampled * a_sampled).sqrt() + b_digest + a_digest
    };
    let interval = [low.map(|it| value - reach(it)), high.map(|it| value + reach(it))];
    let is_clear =
        interval[0].is_some_and(|end| end > 0.0) || interval[1].is_some_and(|end| end < 0.0);
    let relative = (a.value > 0.0).then(|| Bounded {
        value: value / a.value,
        interval: [
            low.and_then(|it| ratio_end(a.value, b.value, it, -1.0)).map(|ratio| ratio - 1.0),
            high.and_then(|it| ratio_end(a.value, b.value, it, 1.0)).map(|ratio| ratio - 1.0),
        ],
    });
    Shift { absolute: Bounded { value, interval }, relative, is_clear }
}

/// The ratio r at which the interval of `b - r·a` just touches 0: the lower end of
/// b / a where `side` is -1, the upper where it is 1.
///
/// So a relative interval excludes 0 exactly where the absolute one does.
fn ratio_end(
    a: f64,
    b: f64,
    ((b_sampled, b_digest), (a_sampled, a_digest)): ((f64, f64), (f64, f64)),
    side: f64,
) -> Option<f64> {
    let (b, a) = (b + side * b_digest, a - side * a_digest);
    if a <= 0.0 || b < 0.0 {
        return None;
    }
    // r²·(a² - da²) - 2ab·r + (b² - db²) = 0
    let (square, constant) = ((a - a_sampled) * (a + a_sampled), (b - b_sampled) * (b + b_sampled));
    let root = (a * b * a * b - square * constant).max(0.0).sqrt();
    let (numerator, denominator) =
        if side < 0.0 { (constant, a * b + root) } else { (a * b + root, square) };
    (denominator > 0.0).then(|| numerator / denominator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::OpenDigest;

    /// Uniform numbers in (0, 1) from a fixed start.
    struct Draw(u64);

    impl Draw {
        fn uniform(&mut self) -> f64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        }

        fn exponential(&mut self, count: usize, mean: f64) -> Digest {
            let values: Vec<f64> = (0..count).map(|_| -self.uniform().ln() * mean).collect();
            let mut open = OpenDigest::default();
            open.add_all(&values);
            open.seal()
        }
    }

    fn one(digest: &Digest, q: f64) -> Estimate {
        estimates(digest, &[q]).expect("not empty").0[0]
    }

    fn holds(bounded: &Bounded, truth: f64) -> bool {
        let [low, high] = bounded.interval;
        low.is_none_or(|low| low <= truth) && high.is_none_or(|high| truth <= high)
    }

    const TRIALS: usize = 1_000;

    /// The interval of a quantile holds the true one in 95 of 100 samples, not in all.
    #[test]
    fn intervals_hold_the_truth() {
        let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
        for (q, count) in [(0.5, 150), (0.9, 150), (0.99, 600), (0.5, 2_000), (0.95, 2_000)] {
            let truth = -(1.0f64 - q).ln();
            let trial = |_| holds(&one(&draw.exponential(count, 1.0), q).bounded(), truth);
            let held = (0..TRIALS).map(trial).filter(|held| *held).count();
            assert!((930..=995).contains(&held), "p{q} of {count}: {held} of {TRIALS}");
        }
    }

    /// Two samples of one law are told apart in no more than 5 of 100 cases.
    #[test]
    fn equal_laws_are_rarely_clear() {
        let mut draw = Draw(7);
        for (q, count) in [(0.5, 200), (0.9, 200), (0.99, 1_000)] {
            let mut pair = || (draw.exponential(count, 1.0), draw.exponential(count, 1.0));
            let trial = |_| {
                let (a, b) = pair();
                let shift = shift(&one(&a, q), &one(&b, q));
                let relative = shift.relative.expect("a is above 0");
                assert_eq!(shift.is_clear, !holds(&relative, 0.0));
                shift.is_clear
            };
            let clear = (0..TRIALS).map(trial).filter(|clear| *clear).count();
            // What the digest may be off by is added in full, so beyond the exact tier few are.
            let least = usize::from(count <= 200);
            assert!((least..=60).contains(&clear), "p{q} of {count}: {clear} of {TRIALS}");
        }
    }

    /// The shift's intervals hold the true shift, absolute and relative, and see one that is there.
    #[test]
    fn shifts_are_seen() {
        let mut draw = Draw(11);
        for (q, count) in [(0.5, 300), (0.95, 2_000)] {
            let truth = -(1.0f64 - q).ln();
            let (mut held, mut held_relative, mut clear) = (0, 0, 0);
            for _ in 0..TRIALS {
                let (a, b) = (draw.exponential(count, 1.0), draw.exponential(count, 1.5));
                let shift = shift(&one(&a, q), &one(&b, q));
                held += usize::from(holds(&shift.absolute, 0.5 * truth));
                held_relative += usize::from(holds(&shift.relative.expect("a is above 0"), 0.5));
                clear += usize::from(shift.is_clear);
            }
            assert!(held >= 930, "p{q} of {count}: {held} of {TRIALS}");
            assert!(held_relative >= 930, "p{q} of {count}: {held_relative} of {TRIALS}");
            assert!(clear >= 850, "p{q} of {count}: {clear} of {TRIALS}");
        }
    }

    /// Too few events above a quantile leave its upper end open, and nothing follows from it.
    #[test]
    fn few_events_bound_nothing() {
        let digest = Draw(3).exponential(100, 1.0);
        let estimate = one(&digest, 0.99);
        assert_eq!(None, estimate.bounded().interval[1]);
        assert!(estimate.bounded().interval[0].is_some());
        let shift = shift(&estimate, &estimate);
        assert_eq!((false, [None, None]), (shift.is_clear, shift.absolute.interval));
        assert_eq!([None, None], shift.relative.expect("above 0").interval);
    }

    /// One event has a value and no bound at all.
    #[test]
    fn one_event_bounds_nothing() {
        let digest = Draw(3).exponential(1, 1.0);
        assert_eq!([None, None], one(&digest, 0.5).bounded().interval);
    }
}
