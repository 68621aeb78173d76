//! Good is a span that did not fail.

use serde::Deserialize;

use super::{Event, Kind, Sli, parameters};

/// `{kind: errors}`.
pub(super) const KIND: Kind = Kind {
    name: "errors",
    measures: |config| parameters::<Errors>(config).map(|_| Vec::new()),
    build: |config, _| Ok(Box::new(parameters::<Errors>(config)?)),
};

/// Bad: span status ERROR, or an error type. Every event counts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Errors {}

impl Sli for Errors {
    fn judge(&self, event: &Event<'_>) -> Option<bool> {
        Some(!event.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every event counts, failed ones as bad.
    #[test]
    fn failed_is_bad() {
        assert_eq!(Some(true), Errors {}.judge(&Event { measures: &[], error: false }));
        assert_eq!(Some(false), Errors {}.judge(&Event { measures: &[], error: true }));
    }
}
