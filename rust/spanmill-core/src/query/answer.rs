//! Pieces that answers share, written straight to JSON bytes.

use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::ask::{Asked, Ranks};

/// An answer as bytes.
pub(super) fn bytes(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("keys are text and writing to memory cannot fail")
}

/// Names and values of a group's dimensions; absent ones left out.
pub(super) struct Dims<'a>(pub &'a Asked<'a>, pub &'a [Option<Arc<str>>]);

impl Serialize for Dims<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(asked, values) = self;
        let named = asked.by.iter().zip(*values);
        let present =
            named.filter_map(|(at, value)| value.as_deref().map(|value| (asked.name(*at), value)));
        serializer.collect_map(present)
    }
}

/// Something by rank: `{"0.99": 1.42}`.
pub(super) struct ByRank<'a, T>(pub &'a Ranks, pub Vec<T>);

impl<T: Serialize> Serialize for ByRank<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(ranks, values) = self;
        let mut map = serializer.serialize_map(Some(values.len()))?;
        for (label, value) in ranks.labels.iter().zip(values) {
            map.serialize_entry(label, value)?;
        }
        map.end()
    }
}
