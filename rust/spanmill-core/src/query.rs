//! Questions: percentiles over a window, what exists, how budgets stand.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::clock::{SECOND_NS, rfc3339};
use crate::config::{dimension, measure};
use crate::convention::describe;
use crate::error::{Error, Result};
use crate::signal::{DIMENSIONS, Dimension, MEASURES, Measure, known};
use crate::state::State;
use crate::value::ValueId;
use crate::view::{Grouping, View};
use crate::window::{BUCKET_S, REACH_S, SeriesWindows, Slice, merge_slices, snap};

/// `GET /api/v1/query`, parsed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    measure: String,
    q: Vec<f64>,
    by: Vec<String>,
    #[serde(rename = "where")]
    conditions: Vec<(String, Vec<String>)>,
    window_s: f64,
    end_ns: Option<i64>,
    view: Option<String>,
}

/// A query that makes sense, against one view.
struct Asked<'a> {
    view: &'a View,
    measure: Measure,
    /// Place of the measure among the view's.
    place: usize,
    /// Places among the view's dimensions.
    by: Vec<usize>,
    /// Place and accepted values; no values where none was ever seen.
    conditions: Vec<(usize, Vec<ValueId>)>,
    /// Seconds, snapped outward to what is held.
    window: (i64, i64),
}

/// Answer a query, JSON in and out.
pub(crate) fn query(state: &State, request: &str) -> Result<Vec<u8>> {
    let query: Query =
        serde_json::from_str(request).map_err(|error| Error::Request(error.to_string()))?;
    if let Some(q) = query.q.iter().find(|q| !(0.0..=1.0).contains(*q)) {
        return Err(Error::Request(format!("q = {q} is not a rank between 0 and 1")));
    }
    let asked = understand(state, &query)?;
    let groups = gather(state, &asked);
    let series: Vec<Json> = groups
        .into_iter()
        .filter_map(|(key, group)| answer(&asked, &key, group, &query.q))
        .collect();
    Ok(envelope(state, &asked, series).to_string().into_bytes())
}

fn understand<'a>(state: &'a State, query: &Query) -> Result<Asked<'a>> {
    let wanted = measure(&query.measure)?;
    let by: Vec<Dimension> = query.by.iter().map(|name| dimension(name)).collect::<Result<_>>()?;
    let filtered: Vec<Dimension> =
        query.conditions.iter().map(|(name, _)| dimension(name)).collect::<Result<_>>()?;
    let dimensions: Vec<Dimension> = by.iter().chain(&filtered).copied().collect();
    let view = choose_view(state, query.view.as_deref(), wanted, &dimensions)?;
    let place = |d: &Dimension| view.grouping.dimensions.iter().position(|mine| mine == d);
    let conditions = query.conditions.iter().zip(&filtered).map(|((_, accepted), d)| {
        let ids = accepted.iter().filter_map(|text| state.values.find(text)).collect();
        place(d).map(|place| (place, ids))
    });
    Ok(Asked {
        view,
        measure: wanted,
        place: view.measures.iter().position(|m| *m == wanted).unwrap_or_default(),
        by: by.iter().filter_map(place).collect(),
        conditions: conditions.flatten().collect(),
        window: window(state, query)?,
    })
}

/// The first view, or the named one, with the measure and every dimension asked for.
fn choose_view<'a>(
    state: &'a State,
    name: Option<&str>,
    measure: Measure,
    dimensions: &[Dimension],
) -> Result<&'a View> {
    let views = &state.plan.views;
    if let Some(name) = name
        && !views.iter().any(|view| view.name == name)
    {
        let known = known(views.iter().map(|view| &*view.name));
        return Err(Error::Unknown { what: "view", name: name.to_owned(), known });
    }
    let has = |view: &&View| {
        view.measures.contains(&measure)
            && dimensions.iter().all(|d| view.grouping.dimensions.contains(d))
    };
    let candidates = || views.iter().filter(|view| name.is_none_or(|name| name == view.name));
    candidates().find(has).ok_or_else(|| {
        let offers: Vec<String> = candidates().map(offer).collect();
        let wanted = known(dimensions.iter().map(|d| d.info().name));
        Error::Request(format!(
            "no view has measure {} by ({wanted}); there are: {}",
            measure.info().name,
            offers.join("; ")
        ))
    })
}

fn offer(view: &View) -> String {
    let measures = known(view.measures.iter().map(|m| m.info().name));
    let dimensions = known(view.grouping.dimensions.iter().map(|d| d.info().name));
    format!("{} with {measures} by {dimensions}", view.name)
}

/// The window in seconds: whole buckets, then outward to what is still held.
fn window(state: &State, query: &Query) -> Result<(i64, i64)> {
    let length = query.window_s;
    let whole = (length / BUCKET_S as f64).round() * BUCKET_S as f64;
    if length < BUCKET_S as f64 || whole != length {
        let nearest = whole.max(BUCKET_S as f64);
        return Err(Error::Request(format!(
            "window of {length} s is not a multiple of {BUCKET_S} s; the nearest is {nearest} s"
        )));
    }
    let time = state.sequence.event_time();
    let latest = state.clock.now_ns().max(time.newest_ns.unwrap_or(i64::MIN));
    let end_ns = query.end_ns.unwrap_or(latest + 1);
    let bucket_ns = BUCKET_S * SECOND_NS;
    let end = end_ns.div_euclid(bucket_ns) * BUCKET_S
        + if end_ns.rem_euclid(bucket_ns) > 0 { BUCKET_S } else { 0 };
    let start = end - whole as i64;
    let through = state.sealed().map_or(start, |bucket| bucket * BUCKET_S);
    let (start, end) = snap(start, end, through);
    if start < through - REACH_S {
        let first = rfc3339((through - REACH_S) * SECOND_NS).unwrap_or_default();
        return Err(Error::Request(format!(
            "the window starts before {first}; distributions are kept for {} h of event time",
            REACH_S as f64 / 3600.0
        )));
    }
    Ok((start, end))
}

/// What one group of the answer is merged from.
#[derive(Default)]
struct Group {
    slices: Vec<Slice>,
    late: u64,
}

fn gather(state: &State, asked: &Asked<'_>) -> BTreeMap<Vec<Option<String>>, Group> {
    let identities = asked.view.grouping.identities.read();
    let matching: Vec<(u32, Vec<ValueId>)> = (0..identities.len() as u32)
        .map(|series| (series, identities.tuple(series)))
        .filter(|(_, tuple)| asked.conditions.iter().all(|(at, ids)| ids.contains(&tuple[*at])))
        .map(|(series, tuple)| (series, asked.by.iter().map(|at| tuple[*at]).collect()))
        .collect();
    drop(identities);
    let mut groups: HashMap<Vec<ValueId>, Group> = HashMap::new();
    for (series, key) in matching {
        let (mut slices, late) = asked.view.windows.slices(series, asked.window, asked.place);
        let group = groups.entry(key).or_default();
        group.slices.append(&mut slices);
        group.late += late;
    }
    // Sorted by name: ids depend on who came first, answers must not.
    let text = |id: &ValueId| state.values.text(*id).map(|text| text.as_ref().to_owned());
    groups.into_iter().map(|(key, group)| (key.iter().map(text).collect(), group)).collect()
}

fn answer(asked: &Asked<'_>, key: &[Option<String>], group: Group, qs: &[f64]) -> Option<Json> {
    let digest = merge_slices(group.slices, asked.place);
    // No event in the window: absent, not zero.
    let quantiles = digest.quantiles(qs)?;
    let named: Map<String, Json> =
        qs.iter().zip(&quantiles).map(|(q, at)| (q.to_string(), json!(at.value))).collect();
    let rank_error = quantiles.iter().map(|at| at.rank_error).fold(0.0, f64::max);
    let dims = asked.by.iter().zip(key).filter_map(|(at, text)| {
        let name = asked.view.grouping.dimensions[*at].info().name;
        text.as_ref().map(|text| (name.to_owned(), json!(text)))
    });
    Some(json!({
        "dims": dims.collect::<Map<_, _>>(), "count": digest.count(), "sum": digest.sum(),
        "min": digest.min(), "max": digest.max(), "quantiles": named,
        "exact": digest.is_exact(), "rank_error": rank_error, "late": group.late,
    }))
}

fn envelope(state: &State, asked: &Asked<'_>, series: Vec<Json>) -> Json {
    let (start, end) = asked.window;
    let sealed = state.sealed().map_or(i64::MIN, |bucket| bucket * BUCKET_S);
    let info = asked.measure.info();
    json!({
        "measure": info.name, "unit": info.unit.code(), "view": asked.view.name,
        "window": {
            "start": rfc3339(start * SECOND_NS), "end": rfc3339(end * SECOND_NS),
            "open": end > sealed,
        },
        "watermark": state.sequence.event_time().watermark_ns.and_then(rfc3339),
        "series": series,
    })
}

/// Dimension names and values of one identity; absent ones left out.
pub(crate) fn dims(state: &State, grouping: &Grouping, tuple: &[ValueId]) -> Map<String, Json> {
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
        let series: Vec<Json> = (0..identities.len() as u32)
            .map(|id| {
                let events = view.windows.with(id, |windows| windows.events).unwrap_or(0);
                json!({ "id": id, "dims": dims(state, &view.grouping, identities.tuple(id)), "count": events })
            })
            .collect();
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
    shown["batches"] = json!(time.batches);
    let mut series = Map::new();
    let mut overflow = Map::new();
    let (mut open, mut sealed, mut bytes) = (0, 0, 0);
    for view in &state.plan.views {
        let identities = view.grouping.identities.read();
        let _ = series.insert(view.name.clone(), json!(identities.len()));
        let _ = overflow.insert(view.name.clone(), Json::Object(overflowed(view, &identities)));
        let held = view.windows.footprint();
        (open, sealed, bytes) = (open + held.0, sealed + held.1, bytes + held.2);
    }
    bytes += state.plan.objectives.iter().map(|o| o.objective.heap_bytes()).sum::<usize>();
    shown["series"] = Json::Object(series);
    shown["overflow"] = Json::Object(overflow);
    shown["open_buckets"] = json!(open);
    shown["sealed_buckets"] = json!(sealed);
    shown["memory_bytes"] = json!(bytes);
    shown["events"] = state.ledger.to_json(&state.values);
    shown
}

/// Events whose series had a dimension collapsed, by that dimension.
fn overflowed(view: &View, identities: &crate::series::Identities) -> Map<String, Json> {
    let mut events: BTreeMap<&str, u64> = BTreeMap::new();
    for id in 0..identities.len() as u32 {
        let collapsed = identities.tuple(id).iter().zip(&view.grouping.dimensions);
        for (_, dimension) in collapsed.filter(|(value, _)| **value == crate::value::OTHER) {
            *events.entry(dimension.info().name).or_default() +=
                view.windows.with(id, |windows: &SeriesWindows| windows.events).unwrap_or(0);
        }
    }
    events.into_iter().map(|(name, n)| (name.to_owned(), json!(n))).collect()
}
