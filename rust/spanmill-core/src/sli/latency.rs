//! Good is a measure below a threshold.

use serde::Deserialize;

use super::{Event, Kind, Sli, parameters};
use crate::config::measure;

/// `{kind: latency, measure: ttft, below: 1.2}`, the threshold in the measure's unit.
pub(super) const KIND: Kind = Kind {
    name: "latency",
    measures: |config| Ok(vec![measure(&parameters::<Parameters>(config)?.measure)?]),
    build: |config, slot| {
        let parameters: Parameters = parameters(config)?;
        Ok(Box::new(Latency { slot: slot(measure(&parameters.measure)?), below: parameters.below }))
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    measure: String,
    below: f64,
}

/// Compares one measure of each event, exactly, with its threshold.
struct Latency {
    slot: usize,
    below: f64,
}

impl Sli for Latency {
    fn judge(&self, event: &Event<'_>) -> Option<bool> {
        let value = event.measures[self.slot];
        // An event without the measure, such as a failed one without a first
        // token, is not this indicator's: missing is absent, never slow or fast.
        (!value.is_nan()).then_some(value < self.below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The threshold itself is not below it; a missing measure is nobody's failure.
    #[test]
    fn strictly_below() {
        let sli = Latency { slot: 0, below: 1.2 };
        let judge = |value| sli.judge(&Event { measures: &[value], error: false });
        assert_eq!(Some(true), judge(1.199_999));
        assert_eq!(Some(false), judge(1.2));
        assert_eq!(None, judge(f64::NAN));
    }
}
