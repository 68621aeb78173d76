//! Of dimensions too wide to be series: how many different values, and which come most.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::answer::bytes;
use super::ask::{Conditions, parse};
use super::when::{Window, end, time, watermark, whole_buckets};
use crate::companion::{Companions, DistinctUnion, Item, TopUnion, snap};
use crate::config::dimension;
use crate::error::{Error, Result};
use crate::signal::{Dimension, known};
use crate::state::State;
use crate::value::ValueId;
use crate::view::View;
use crate::window::BUCKET_S;

/// Values that a ranking lists at most, and where it is not told how many.
const K_MAX: usize = 1000;
const K_DEFAULT: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    dimension: String,
    by: Vec<String>,
    #[serde(rename = "where")]
    conditions: Conditions,
    window_s: f64,
    end_ns: Option<i64>,
    view: Option<String>,
    /// Of rankings only.
    k: Option<usize>,
}

#[derive(Serialize)]
struct Answer<'a, R> {
    dimension: &'a str,
    view: &'a str,
    window: Window,
    watermark: Option<String>,
    series: Vec<R>,
}

type Dims = BTreeMap<&'static str, String>;

#[derive(Serialize)]
struct Counted {
    dims: Dims,
    distinct: u64,
    exact: bool,
    relative_error: f64,
}

#[derive(Serialize)]
struct Ranked {
    dims: Dims,
    count: u64,
    exact: bool,
    error: u64,
    top: Vec<Value>,
}

#[derive(Serialize)]
struct Value {
    value: String,
    count: u64,
    at_least: u64,
    at_most: u64,
}

/// A question that makes sense, against one view.
struct Asked<'a> {
    view: &'a View,
    companions: &'a Companions,
    /// Place of the dimension among those that the view counts, or ranks.
    place: usize,
    /// Places among the view's dimensions.
    by: Vec<usize>,
    /// Place and accepted values; no values where none was ever seen.
    conditions: Vec<(usize, Vec<ValueId>)>,
    /// Seconds, snapped outward to what is held.
    window: (i64, i64),
}

/// How many different values of a dimension there are, JSON in and out.
pub(crate) fn distinct(state: &State, request: &str) -> Result<Vec<u8>> {
    let question: Question = parse(request)?;
    let (asked, groups) = gather(
        state,
        || understand(state, &question, "distinct", |view| &view.distinct),
        |asked, series, union: &mut DistinctUnion| {
            asked.companions.distinct(series, asked.window, asked.place, union);
        },
    )?;
    let rows = groups.into_iter().filter_map(|(dims, union)| {
        let count = union.count();
        let (exact, relative_error) = (count.exact, count.relative_error);
        // No value in the window: absent, as everywhere.
        (count.values > 0).then_some(Counted {
            dims,
            distinct: count.values,
            exact,
            relative_error,
        })
    });
    Ok(answer(state, &question, &asked, rows.collect()))
}

/// The values of a dimension that come most, JSON in and out.
pub(crate) fn top(state: &State, request: &str) -> Result<Vec<u8>> {
    let question: Question = parse(request)?;
    let k = question.k.unwrap_or(K_DEFAULT);
    if !(1..=K_MAX).contains(&k) {
        return Err(Error::Request(format!("k = {k} is not between 1 and {K_MAX}")));
    }
    let (asked, groups) = gather(
        state,
        || understand(state, &question, "top", |view| &view.top),
        |asked, series, union: &mut TopUnion| {
            asked.companions.top(series, asked.window, asked.place, union);
        },
    )?;
    let value = |Item { text, events, at_least, at_most }: Item| Value {
        value: text,
        count: events,
        at_least,
        at_most,
    };
    let rows = groups.into_iter().filter_map(|(dims, union)| {
        let ranking = union.ranking(k);
        let (exact, error) = (ranking.exact, ranking.error);
        let top = ranking.items.into_iter().map(value).collect();
        (ranking.events > 0).then_some(Ranked { dims, count: ranking.events, exact, error, top })
    });
    Ok(answer(state, &question, &asked, rows.collect()))
}

fn understand<'a>(
    state: &'a State,
    question: &Question,
    list: &str,
    of: impl Fn(&View) -> &[Dimension],
) -> Result<Asked<'a>> {
    let wanted = dimension(&question.dimension)?;
    let by: Vec<Dimension> =
        question.by.iter().map(|name| dimension(name)).collect::<Result<_>>()?;
    let filtered: Vec<Dimension> =
        question.conditions.iter().map(|(name, _)| dimension(name)).collect::<Result<_>>()?;
    let needed: Vec<Dimension> = by.iter().chain(&filtered).copied().collect();
    let named = question.view.as_deref();
    let views =
        || state.plan.views.iter().filter(|view| named.is_none_or(|name| name == view.name));
    if let Some(name) = named
        && views().next().is_none()
    {
        let known = known(state.plan.views.iter().map(|view| &*view.name));
        return Err(Error::Unknown { what: "view", name: name.to_owned(), known });
    }
    let fits = |view: &&View| {
        of(view).contains(&wanted) && needed.iter().all(|d| view.grouping.dimensions.contains(d))
    };
    let found = views().find(fits).and_then(|view| Some((view, view.companions.as_ref()?)));
    let Some((view, companions)) = found else {
        let offers: Vec<String> = views().map(|view| offer(view, list, of(view))).collect();
        let wanted = wanted.info().name;
        let by = known(needed.iter().map(|d| d.info().name));
        let message = format!(
            "no view keeps {list} {wanted} by ({by}): name it in {list} of a view; there are: {}",
            offers.join("; ")
        );
        return Err(Error::Request(message));
    };
    let place = |d: &Dimension| view.grouping.dimensions.iter().position(|mine| mine == d);
    let conditions = question.conditions.iter().zip(&filtered).filter_map(|((_, accepted), d)| {
        let ids = accepted.iter().filter_map(|text| state.values.find(*d, text)).collect();
        place(d).map(|place| (place, ids))
    });
    Ok(Asked {
        view,
        companions,
        place: of(view).iter().position(|d| *d == wanted).unwrap_or_default(),
        by: by.iter().filter_map(place).collect(),
        conditions: conditions.collect(),
        window: window(state, question, companions)?,
    })
}

fn offer(view: &View, list: &str, kept: &[Dimension]) -> String {
    let kept = known(kept.iter().map(|d| d.info().name));
    let by = known(view.grouping.dimensions.iter().map(|d| d.info().name));
    format!("{} with {list} ({kept}) by {by}", view.name)
}

/// The window in seconds: outward to the companions' buckets, and no further back than they reach.
fn window(state: &State, question: &Question, companions: &Companions) -> Result<(i64, i64)> {
    let length = whole_buckets("window", question.window_s)?;
    let end = end(state, question.end_ns);
    let sealed = state.sealed().unwrap_or((end - length).div_euclid(BUCKET_S));
    let (start, end) = snap(end - length, end, sealed);
    let start = start.max(companions.kept_from_s());
    if start < end {
        return Ok((start, end));
    }
    Err(Error::Request(format!(
        "the window ends at {}, and what this view counts and ranks is held from {} on; ask for a \
         later one",
        time(end),
        time(start)
    )))
}

/// Understand a question and add up each group's series, sorted by name: ids depend
/// on who came first, answers must not.
fn gather<'a, U: Default>(
    state: &State,
    understand: impl Fn() -> Result<Asked<'a>>,
    add: impl Fn(&Asked<'a>, u32, &mut U),
) -> Result<(Asked<'a>, BTreeMap<Dims, U>)> {
    loop {
        let asked = understand()?;
        let mut groups = BTreeMap::new();
        let mut last: Option<(Vec<ValueId>, Dims)> = None;
        for (series, key) in matching(&asked) {
            let named = match last.take() {
                Some((known, dims)) if known == key => dims,
                _ => dims(state, &asked, &key),
            };
            add(&asked, series, groups.entry(named.clone()).or_default());
            last = Some((key, named));
        }
        // What was let go meanwhile for want of room may be in some groups and not in others.
        if asked.companions.kept_from_s() <= asked.window.0 {
            return Ok((asked, groups));
        }
    }
}

/// Series that match, each with its group.
fn matching(asked: &Asked<'_>) -> Vec<(u32, Vec<ValueId>)> {
    let holds = |tuple: &[ValueId]| {
        asked.conditions.iter().all(|(place, ids)| ids.contains(&tuple[*place]))
    };
    let identities = asked.view.grouping.identities.read();
    let matching = identities.live().filter(|(_, tuple)| holds(tuple));
    matching
        .map(|(series, tuple)| (series, asked.by.iter().map(|at| tuple[*at]).collect()))
        .collect()
}

fn dims(state: &State, asked: &Asked<'_>, key: &[ValueId]) -> Dims {
    let named = asked.by.iter().zip(key).filter_map(|(at, id)| {
        Some((asked.view.grouping.dimensions[*at].info().name, state.values.text(*id)?.to_string()))
    });
    named.collect()
}

fn answer<R: Serialize>(
    state: &State,
    question: &Question,
    asked: &Asked<'_>,
    series: Vec<R>,
) -> Vec<u8> {
    bytes(&Answer {
        dimension: &question.dimension,
        view: &asked.view.name,
        window: Window::new(state, asked.window),
        watermark: watermark(state),
        series,
    })
}
