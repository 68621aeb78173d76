//! Good is a measure below a threshold.

use super::{Event, Sli};
use crate::error::{Error, Result};
use crate::signal::{MEASURES, Measure, known};

/// Compares one measure of each event, exactly, with its threshold.
pub(super) struct Latency {
    slot: Option<usize>,
    below: f64,
}

impl Latency {
    pub(super) fn new(slot: Option<usize>, below: f64) -> Self {
        Self { slot, below }
    }
}

impl Sli for Latency {
    fn judge(&self, event: &Event<'_>) -> Option<bool> {
        let value = event.measures[self.slot?];
        // An event without the measure, such as a failed one without a first
        // token, is not this indicator's: missing is absent, never slow or fast.
        (!value.is_nan()).then_some(value < self.below)
    }
}

/// The measure named in a config.
pub(super) fn measure(name: &str) -> Result<Measure> {
    Measure::named(name).ok_or_else(|| Error::Unknown {
        what: "measure",
        name: name.to_owned(),
        known: known(MEASURES.iter().map(|info| info.name)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The threshold itself is not below it; a missing measure is nobody's failure.
    #[test]
    fn strictly_below() {
        let sli = Latency::new(Some(0), 1.2);
        let judge = |value| sli.judge(&Event { measures: &[value], error: false });
        assert_eq!(Some(true), judge(1.199_999));
        assert_eq!(Some(false), judge(1.2));
        assert_eq!(None, judge(f64::NAN));
    }
}
