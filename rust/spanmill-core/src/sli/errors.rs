//! Good is a span that did not fail.

use super::{Event, Sli};

/// Bad: span status ERROR, or an error type. Every event counts.
pub(super) struct Errors;

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
        assert_eq!(Some(true), Errors.judge(&Event { measures: &[], error: false }));
        assert_eq!(Some(false), Errors.judge(&Event { measures: &[], error: true }));
    }
}
