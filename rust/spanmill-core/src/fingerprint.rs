//! Everything that is known, as bytes that are alike where it is: whatever ids it goes by,
//! and however it got there. What a restart must not change.

use crate::codec::Writer;
use crate::state::State;
use crate::value::ValueId;
use crate::view::Grouping;

/// Write down windows, counters, ledger and event time.
pub(crate) fn fingerprint(state: &State) -> Vec<u8> {
    let mut out = Writer::default();
    let kept = state.kept();
    for view in &state.plan.views {
        out.bytes(view.name.as_bytes());
        for (texts, series, tuple) in named(state, &view.grouping) {
            out.bytes(texts.as_bytes());
            view.windows.describe(series, (&kept, view.used(&tuple)), &mut out);
        }
    }
    for grouped in &state.plan.objectives {
        out.bytes(grouped.objective.config.name.as_bytes());
        grouped.objective.describe(None, &mut out);
        for (texts, group, _) in named(state, &grouped.grouping) {
            out.bytes(texts.as_bytes());
            grouped.objective.describe(Some(group as usize), &mut out);
        }
    }
    out.bytes(state.ledger.to_json(&state.values).to_string().as_bytes());
    let time = state.sequence.event_time();
    out.option(time.newest_ns);
    out.option(time.watermark_ns);
    out.i64(time.last_arrival_ns);
    out.u64(time.lsn.0);
    out.option(kept.sealed());
    out.0
}

/// Identities by their texts, in order.
fn named(state: &State, grouping: &Grouping) -> Vec<(String, u32, Vec<ValueId>)> {
    let identities = grouping.identities.read();
    let text =
        |id: &ValueId| state.values.text(*id).map_or_else(String::new, |text| text.to_string());
    let named = |(series, tuple): (u32, &[ValueId])| {
        // No text has a line break of its own in tests; a real one would only sort oddly.
        let texts: Vec<String> = tuple.iter().map(text).collect();
        (texts.join("\n"), series, tuple.to_vec())
    };
    let mut all: Vec<_> = identities.live().map(named).collect();
    all.sort_unstable();
    all
}
