//! Error budgets: exact counts over sliding windows, and what follows from them.

mod groups;
mod objective;
mod ring;

pub(crate) use groups::SavedGroup;
pub(crate) use objective::{Objective, Tally};
pub(crate) use ring::HORIZON_S;

/// Good and bad events of some stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub good: u64,
    pub bad: u64,
}

impl Counts {
    pub(crate) fn total(self) -> u64 {
        self.good + self.bad
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.good += other.good;
        self.bad += other.bad;
    }
}

/// How fast the error budget burns over one window (dimensionless).
///
/// 14.4 for one hour spends 2 % of a 30-day budget, if traffic is even.
///
/// - `objective`: wanted share of good events, in (0, 1), e.g. 0.999.
///
/// `None` while there are no events: silence is not success.
///
/// Source: Google SRE Workbook, ch. 5, "Alerting on SLOs".
pub(crate) fn rate_burn(window: Counts, objective: f64) -> Option<f64> {
    let total = window.total();
    (total > 0).then(|| (window.bad as f64 / total as f64) / (1.0 - objective))
}

/// Share of the period's error budget that one window spent (dimensionless).
///
/// Unlike [`rate_burn`] it weighs the window by its traffic: a quiet hour that
/// fails spends little.
pub(crate) fn volume_burn(window: Counts, period: Counts, objective: f64) -> Option<f64> {
    let total = period.total();
    (total > 0).then(|| window.bad as f64 / ((1.0 - objective) * total as f64))
}

/// Share of the period's error budget that is left: 1 untouched, 0 spent, negative overspent.
pub(crate) fn budget_left(period: Counts, objective: f64) -> Option<f64> {
    volume_burn(period, period, objective).map(|spent| 1.0 - spent)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The workbook's figures: 1.44 % errors against 99.9 % burn at 14.4, and no traffic burns nothing.
    #[test]
    fn workbook_figures() {
        let hour = Counts { good: 9_856, bad: 144 };
        let burn = rate_burn(hour, 0.999).expect("has events");
        assert!((burn - 14.4).abs() < 1e-9, "{burn}");
        assert_eq!(None, rate_burn(Counts::default(), 0.999));
    }

    /// Budget left is signed and never clamped.
    #[test]
    fn overspent_is_negative() {
        let left = budget_left(Counts { good: 970, bad: 30 }, 0.99).expect("has events");
        assert!((left + 2.0).abs() < 1e-9, "{left}");
    }
}
