//! Service-level indicators: is this event good, bad, or not its concern?
//!
//! A kind is one file with its [`Kind`], and one line in [`KINDS`].

mod errors;
mod latency;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::signal::{Measure, known};

/// Every kind of indicator.
const KINDS: &[Kind] = &[errors::KIND, latency::KIND];

/// Place of a measure in an event.
pub(crate) type Slot<'a> = &'a dyn Fn(Measure) -> usize;

/// One kind of indicator: how its part of an objective file is read.
struct Kind {
    name: &'static str,
    /// Measures it needs filled.
    measures: fn(&Json) -> Result<Vec<Measure>>,
    build: fn(&Json, Slot<'_>) -> Result<Box<dyn Sli>>,
}

/// What an indicator may look at.
pub(crate) struct Event<'a> {
    /// Measures by slot, NaN where absent.
    pub measures: &'a [f64],
    /// The span failed.
    pub error: bool,
}

/// One indicator, compiled.
pub(crate) trait Sli: Send + Sync {
    /// `Some(true)` good, `Some(false)` bad, `None` where it does not apply.
    fn judge(&self, event: &Event<'_>) -> Option<bool>;

    /// Judge many events with one call; `rows` has as many as `errors`, one after another.
    fn judge_all(&self, rows: &[f64], errors: &[bool], verdicts: &mut Vec<Verdict>) {
        let verdict = |measures, error: &bool| match self.judge(&Event { measures, error: *error })
        {
            Some(false) => Verdict::Bad,
            Some(true) => Verdict::Good,
            None => Verdict::Absent,
        };
        match rows.len().checked_div(errors.len()) {
            // A plan may need no measures at all.
            None | Some(0) => verdicts.extend(errors.iter().map(|error| verdict(&[], error))),
            Some(stride) => {
                let events = rows.chunks_exact(stride).zip(errors);
                verdicts.extend(events.map(|(row, error)| verdict(row, error)));
            }
        }
    }
}

/// What became of one event of many; counters are indexed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Verdict {
    Bad,
    Good,
    /// The indicator does not apply.
    Absent,
}

/// Measures that an indicator needs filled.
pub(crate) fn measures(config: &Json) -> Result<Vec<Measure>> {
    (kind(config)?.measures)(config)
}

/// Compile an indicator.
pub(crate) fn build(config: &Json, slot: Slot<'_>) -> Result<Box<dyn Sli>> {
    (kind(config)?.build)(config, slot)
}

fn kind(config: &Json) -> Result<&'static Kind> {
    let name = config["kind"].as_str().unwrap_or_default();
    KINDS.iter().find(|kind| kind.name == name).ok_or_else(|| Error::Unknown {
        what: "SLI kind",
        name: name.to_owned(),
        known: known(KINDS.iter().map(|kind| kind.name)),
    })
}

/// Parameters of a kind, `kind` itself left out; unknown ones are refused.
fn parameters<T: DeserializeOwned>(config: &Json) -> Result<T> {
    let mut given = config.clone();
    let _ = given.as_object_mut().and_then(|object| object.remove("kind"));
    T::deserialize(given).map_err(|error| Error::Config(format!("sli: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Kinds have names of their own, and an unknown one is refused with those there are.
    #[test]
    fn kinds_are_told_apart() {
        let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        names.dedup();
        assert_eq!(KINDS.len(), names.len());
        let error = measures(&json!({"kind": "latencies"})).expect_err("unknown");
        assert!(error.to_string().contains("errors, latency"), "{error}");
    }

    /// A parameter that the kind does not take is refused by name.
    #[test]
    fn unknown_parameters_are_refused() {
        let error = measures(&json!({"kind": "errors", "below": 1})).expect_err("unknown");
        assert!(error.to_string().contains("below"), "{error}");
    }
}
