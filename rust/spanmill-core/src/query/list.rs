//! What exists and how it stands: series, measures, budgets, the core's own figures.

use serde_json::{Map, Value as Json, json};

use super::limits;
use crate::clock::SECOND_NS;
use crate::convention::describe;
use crate::signal::{DIMENSIONS, MEASURES};
use crate::state::State;
use crate::value::ValueId;
use crate::view::{Grouping, View};

/// Dimension names and values of one identity; absent ones left out.
fn dims(state: &State, grouping: &Grouping, tuple: &[ValueId]) -> Map<String, Json> {
    let named = grouping.dimensions.iter().zip(tuple).filter_map(|(dimension, id)| {
        let text = state.values.text(*id)?;
        Some((dimension.info().name.to_owned(), json!(&*text)))
    });
    named.collect()
}

/// Views with their series.
pub(crate) fn series(state: &State) -> Json {
    let views = state.plan.views.iter().map(|view| {
        let identities = view.grouping.identities.read();
        let entry = |(series, tuple): (u32, &[ValueId])| {
            // Not the place, which another series may have had before.
            json!({
                "id": identities.serial(series), "dims": dims(state, &view.grouping, tuple),
                "count": view.windows.events(series),
            })
        };
        let series: Vec<Json> = identities.live().map(entry).collect();
        let names = |known: Vec<&'static str>| json!(known);
        json!({
            "view": view.name,
            "dimensions": names(view.grouping.dimensions.iter().map(|d| d.info().name).collect()),
            "measures": names(view.measures.iter().map(|m| m.info().name).collect()),
            "series": series,
        })
    });
    json!({ "views": views.collect::<Vec<_>>() })
}

/// The registry and the conventions that fill it.
pub(crate) fn signals() -> Json {
    let mut shown = registry();
    shown["conventions"] = describe();
    shown
}

/// Every signal the core knows, whether or not a view uses it.
fn registry() -> Json {
    let measures = MEASURES.iter().map(|info| {
        json!({ "name": info.name, "unit": info.unit.code(), "description": info.description })
    });
    let dimensions =
        DIMENSIONS.iter().map(|info| json!({ "name": info.name, "description": info.description }));
    json!({
        "measures": measures.collect::<Vec<_>>(),
        "dimensions": dimensions.collect::<Vec<_>>(),
    })
}

/// The registry, with the views that keep each measure and the values taken since the start.
pub(crate) fn measures(state: &State) -> Json {
    let mut shown = registry();
    let Some(list) = shown["measures"].as_array_mut() else { return shown };
    for (entry, info) in list.iter_mut().zip(MEASURES) {
        let views: Vec<&View> =
            state.plan.views.iter().filter(|view| view.measures.contains(&info.measure)).collect();
        entry["views"] = json!(views.iter().map(|view| &*view.name).collect::<Vec<_>>());
        let taken = |view: &&View| {
            let place = view.measures.iter().position(|m| *m == info.measure)?;
            Some(view.windows.values(place))
        };
        // Views overlap: the fullest one comes nearest to the number of events.
        entry["count"] = json!(views.iter().filter_map(taken).max().unwrap_or(0));
    }
    shown
}

/// State of every objective: a row for all its events, then one a group.
pub(crate) fn slos(state: &State) -> Json {
    let now_ns = state.clock.now_ns();
    let newest_ns = state.sequence.event_time().newest_ns;
    let mut rows = Vec::new();
    for grouped in &state.plan.objectives {
        let mut row = |group: Option<usize>, dims: Map<String, Json>| {
            let mut shown = grouped.objective.state(group, newest_ns, now_ns);
            shown["group"] = Json::Object(dims);
            rows.push(shown);
        };
        row(None, Map::new());
        let identities = grouped.grouping.identities.read();
        for group in 0..grouped.objective.group_count() {
            let tuple = identities.tuple(group as u32);
            row(Some(group), dims(state, &grouped.grouping, tuple));
        }
    }
    Json::Array(rows)
}

/// The core's counters, where event time stands, series, overflow and memory.
pub(crate) fn stats(state: &State) -> Json {
    let time = state.sequence.event_time();
    let mut shown = state.stats.to_json();
    shown["watermark_s"] = json!(time.watermark_ns.map(|ns| ns as f64 / SECOND_NS as f64));
    shown["batches"] = json!(time.lsn.0);
    shown["dedupe"] = state.sequence.dedupe_stats(state.clock.now_ns()).to_json();
    let (dictionaries, bytes) = state.dictionaries.held();
    shown["dictionaries"] = json!({ "held": dictionaries, "bytes": bytes });
    let mut series = Map::new();
    for view in &state.plan.views {
        let identities = view.grouping.identities.read();
        let _ = series.insert(view.name.clone(), json!(identities.count()));
    }
    let counters: usize = state.plan.objectives.iter().map(|o| o.objective.heap_bytes()).sum();
    let memory = state.memory();
    let windows = memory.windows;
    shown["series"] = Json::Object(series);
    limits::show(state, &mut shown);
    shown["open_buckets"] = json!(windows.open.buckets);
    shown["sealed_buckets"] = json!(windows.sealed.buckets);
    shown["memory_bytes"] = json!(memory.bounded() + counters);
    shown["memory_limit_bytes"] = json!(state.limits.memory);
    shown["memory_parts"] = json!({
        "open": windows.open.bytes, "sealed": windows.sealed.bytes,
        "series": windows.series_bytes + memory.identities, "counters": counters,
    });
    let mut demoted = Map::new();
    for (tier, held) in state.demoted() {
        let shown = json!({ "buckets": held.buckets, "bytes": held.bytes });
        let _ = demoted.insert(tier.to_owned(), shown);
    }
    shown["demoted"] = Json::Object(demoted);
    shown["events"] = state.ledger.to_json(&state.values);
    shown
}
