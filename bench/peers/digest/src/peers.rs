//! The contenders, ours first.

mod ddsketch;
mod hdr;
mod tdigest;
mod tdigests;

use serde_json::{Value, json};

use crate::Failure;
use crate::measure::Contender;
use crate::ours::Ours;

const CONTENDERS: [Contender; 5] = [
    Contender::of::<Ours>(),
    Contender::of::<tdigests::Digest>(),
    Contender::of::<tdigest::Digest>(),
    Contender::of::<ddsketch::Sketch>(),
    Contender::of::<hdr::Histogram>(),
];

/// Every contender's name, parameters and abilities.
pub(crate) fn list() -> Value {
    let all: Value = CONTENDERS.iter().map(Contender::list).collect();
    json!({"contenders": all})
}

/// The contender called `name`.
pub(crate) fn named(name: &str) -> Result<Contender, Failure> {
    let found = CONTENDERS.into_iter().find(|contender| contender.name == name);
    found.ok_or_else(|| {
        let known: Vec<_> = CONTENDERS.iter().map(|contender| contender.name).collect();
        format!("no contender {name:?}; known: {}", known.join(", ")).into()
    })
}
