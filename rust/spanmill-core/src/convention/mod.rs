//! From the vocabularies that senders speak to signals with fixed units.
//!
//! A convention is one file with a table of attributes, and one line in
//! [`CONVENTIONS`]. The tables are compiled once into a [`Vocabulary`], so that
//! an attribute costs one look-up however many conventions there are.

mod gen_ai;
mod general;
mod plain_ai;
mod spanmill;
mod vocabulary;

pub(crate) use vocabulary::{Flaw, Meaning, Reading, Signals, Slots, Vocabulary};

use serde_json::{Value as Json, json};

use crate::signal::{Dimension, Measure};
use crate::wire::Scope;

/// Every convention; order is precedence: an earlier one wins, later ones fill gaps.
pub(crate) const CONVENTIONS: &[&dyn Convention] =
    &[&general::General, &gen_ai::GenAi, &plain_ai::PlainAi, &spanmill::Spanmill];

/// One vocabulary.
pub(crate) trait Convention: Sync {
    /// Name in docs and errors.
    fn name(&self) -> &'static str;

    /// Attributes it reads; order is precedence among names for one signal.
    fn attributes(&self) -> &'static [Attribute];

    /// Whether spans of this scope speak it.
    fn matches(&self, _scope: &Scope<'_>) -> bool {
        true
    }
}

/// One attribute and the signal it fills.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub key: &'static str,
    pub reads: Reads,
}

/// The signal an attribute fills, with what it takes to reach our unit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reads {
    Text(Dimension),
    /// Already in the measure's unit.
    Number(Measure),
    /// Milliseconds, for a measure in seconds.
    Milliseconds(Measure),
}

/// Every convention with what it reads, in order of precedence, as JSON.
pub(crate) fn describe() -> Json {
    let attribute = |attribute: &Attribute| {
        let (signal, unit) = match attribute.reads {
            Reads::Text(dimension) => (dimension.info().name, None),
            Reads::Number(measure) => (measure.info().name, Some(measure.info().unit.code())),
            Reads::Milliseconds(measure) => (measure.info().name, Some("ms")),
        };
        json!({ "key": attribute.key, "signal": signal, "unit": unit })
    };
    let convention = |convention: &&dyn Convention| {
        let attributes: Vec<Json> = convention.attributes().iter().map(attribute).collect();
        json!({ "name": convention.name(), "attributes": attributes })
    };
    CONVENTIONS.iter().map(convention).collect()
}

const fn text(key: &'static str, dimension: Dimension) -> Attribute {
    Attribute { key, reads: Reads::Text(dimension) }
}

const fn number(key: &'static str, measure: Measure) -> Attribute {
    Attribute { key, reads: Reads::Number(measure) }
}

const fn milliseconds(key: &'static str, measure: Measure) -> Attribute {
    Attribute { key, reads: Reads::Milliseconds(measure) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::signal::Unit;

    /// Each convention is named once and no attribute stands twice, so precedence is never in doubt.
    #[test]
    fn tables_are_unambiguous() {
        let mut names = HashSet::new();
        let mut keys = HashSet::new();
        for convention in CONVENTIONS {
            assert!(names.insert(convention.name()));
            for attribute in convention.attributes() {
                let fills = format!("{} {:?}", attribute.key, attribute.reads);
                assert!(keys.insert(fills), "{} twice", attribute.key);
            }
        }
    }

    /// Milliseconds only ever fill measures in seconds.
    #[test]
    fn milliseconds_become_seconds() {
        for convention in CONVENTIONS {
            for attribute in convention.attributes() {
                if let Reads::Milliseconds(measure) = attribute.reads {
                    assert_eq!(Unit::Seconds, measure.info().unit, "{}", attribute.key);
                    assert!(attribute.key.ends_with("_ms"), "{}", attribute.key);
                }
            }
        }
    }
}
