//! How old what is remembered is, by a clock that no step of the wall clock moves.

/// Most that one arrival adds. A pause between requests may be one, or a clock set forward:
/// taken for a pause, the step would forget everything at once.
pub(super) const PAUSE_MAX_NS: i64 = 10_000_000_000;

/// Time in which requests came. Follows from the arrivals alone, so that a replay ages alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Age {
    /// Nanoseconds.
    pub elapsed_ns: i64,
    /// Wall time it goes by, Unix nanoseconds.
    pub wall_ns: i64,
}

impl Age {
    /// What it is at an arrival.
    pub(super) fn at(self, now_ns: i64) -> Self {
        let passed_ns = now_ns.saturating_sub(self.wall_ns);
        if passed_ns >= 0 {
            let elapsed_ns = self.elapsed_ns + passed_ns.min(PAUSE_MAX_NS);
            Self { elapsed_ns, wall_ns: now_ns }
        } else if passed_ns >= -PAUSE_MAX_NS {
            // Requests read the clock before they queue up: some are overtaken.
            self
        } else {
            Self { wall_ns: now_ns, ..self }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND_NS;
    use proptest::prelude::*;

    const NOW: i64 = 1_795_219_200 * SECOND_NS;

    fn passed(arrivals_s: &[i64]) -> i64 {
        let begun = Age::default().at(NOW);
        let ended = arrivals_s.iter().fold(begun, |age, second| age.at(NOW + second * SECOND_NS));
        (ended.elapsed_ns - begun.elapsed_ns) / SECOND_NS
    }

    /// Time is counted as it passes; a step either way, and a long pause, count ten seconds at most.
    #[test]
    fn steps_do_not_age() {
        assert_eq!(30, passed(&[5, 10, 20, 30]));
        assert_eq!(15, passed(&[5, 3_600]));
        assert_eq!(10, passed(&[5, -3_600, -3_595]));
        assert_eq!(10, passed(&[5, 3, 5, 4, 10]));
    }

    proptest! {
        /// It never goes back, and never faster than arrivals can account for.
        #[test]
        fn never_runs_ahead(arrivals_s in prop::collection::vec(-10_000_i64..10_000, 0..50)) {
            let mut age = Age::default().at(NOW);
            for second in &arrivals_s {
                let next = age.at(NOW + second * SECOND_NS);
                prop_assert!((0..=PAUSE_MAX_NS).contains(&(next.elapsed_ns - age.elapsed_ns)));
                age = next;
            }
        }
    }
}
