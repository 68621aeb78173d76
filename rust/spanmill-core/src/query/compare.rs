//! `GET /api/v1/compare`: by how much each quantile differs between two windows, or
//! between two values of a dimension.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::answer::{ByRank, Dims, bytes};
use super::ask::{Asked, Conditions, Ranks, Subject, parse, understand};
use super::gather::{Group, Matching};
use super::interval::{Bounded, CONFIDENCE, Estimate, estimates, shift};
use super::when::{Held, Window, end, end_before, look_back, time, watermark, whole_buckets};
use crate::clock::SECOND_NS;
use crate::error::{Error, Result};
use crate::state::State;
use crate::window::Steps;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    measure: String,
    q: Vec<f64>,
    by: Vec<String>,
    #[serde(rename = "where")]
    conditions: Conditions,
    window_s: f64,
    end_ns: Option<i64>,
    view: Option<String>,
    against: Against,
}

/// What the newer window, or `b`, is compared with.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Against {
    /// The window of equal length right before.
    Before,
    /// The one that ended so long before, seconds.
    Offset(f64),
    /// The one that ended then, Unix nanoseconds.
    End(i64),
    /// Another value of a dimension, in the same window.
    Value { dimension: String, a: String, b: String },
}

#[derive(Serialize)]
struct Answer<'a> {
    measure: &'a str,
    unit: &'a str,
    view: &'a str,
    confidence: f64,
    watermark: Option<String>,
    a: Side<'a>,
    b: Side<'a>,
    series: Vec<Row<'a>>,
}

/// What tells one side from the other.
#[derive(Serialize)]
struct Side<'a> {
    dims: BTreeMap<&'a str, &'a str>,
    window: Window,
}

#[derive(Serialize)]
struct Row<'a> {
    dims: Dims<'a>,
    a: Option<Totals>,
    b: Option<Totals>,
    quantiles: ByRank<'a, Compared>,
}

/// One side of a row, but for its quantiles.
#[derive(Clone, Copy, Serialize)]
struct Totals {
    count: u64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
    exact: bool,
    rank_error: f64,
    late: u64,
}

/// One quantile of both sides; `None` where a side has no event.
#[derive(Serialize)]
struct Compared {
    a: Option<Bounded>,
    b: Option<Bounded>,
    shift: Option<Bounded>,
    relative: Option<Bounded>,
    clear: bool,
}

/// One group of one side, merged.
struct Read {
    totals: Totals,
    estimates: Vec<Estimate>,
}

/// Both sides of each group, by its dimension values.
type Pairs = BTreeMap<Vec<Option<Arc<str>>>, [Option<Read>; 2]>;

/// Answer a comparison, JSON in and out.
pub(crate) fn compare(state: &State, request: &str) -> Result<Vec<u8>> {
    let question: Question = parse(request)?;
    let ranks = Ranks::new(&question.q)?;
    let (mut by, mut conditions) = (question.by.clone(), question.conditions.clone());
    if let Against::Value { dimension, a, b } = &question.against {
        check_values(&question, dimension, a, b)?;
        by.push(dimension.clone());
        conditions.push((dimension.clone(), vec![a.clone(), b.clone()]));
    }
    let subject = Subject {
        measure: &question.measure,
        by: &by,
        conditions: &conditions,
        view: question.view.as_deref(),
    };
    let mut asked = understand(state, &subject)?;
    let matching = Matching::find(&asked);
    let held = Held::new(state, matching.used);
    let window = look_back(state, &held, question.window_s, question.end_ns)?;
    let (pairs, sides) = match &question.against {
        Against::Value { dimension, a, b } => {
            let groups = gather(state, &asked, (&matching, &held), window)?;
            // Rows are told apart by the other dimensions.
            let _ = asked.by.pop();
            let side = |value| Side {
                dims: BTreeMap::from([(&**dimension, value)]),
                window: Window::new(state, window),
            };
            (by_value(&ranks, groups, [a, b]), [side(a), side(b)])
        }
        against => {
            let before = earlier(state, &held, &question, against, window)?;
            let side = |it| gather(state, &asked, (&matching, &held), it);
            let groups = [side(before)?, side(window)?];
            let side = |it| Side { dims: BTreeMap::new(), window: Window::new(state, it) };
            (by_window(&ranks, groups), [side(before), side(window)])
        }
    };
    let info = asked.measure.info();
    let [a, b] = sides;
    Ok(bytes(&Answer {
        measure: info.name,
        unit: info.unit.code(),
        view: &asked.view.name,
        confidence: CONFIDENCE,
        watermark: watermark(state),
        a,
        b,
        series: pairs.iter().map(|(dims, pair)| row(&asked, &ranks, dims, pair)).collect(),
    }))
}

fn check_values(question: &Question, dimension: &str, a: &str, b: &str) -> Result<()> {
    if a == b {
        return Err(Error::Request(format!("a and b are both {a:?}; name two values to compare")));
    }
    let elsewhere = [
        ("by", question.by.iter().any(|name| name == dimension)),
        ("where", question.conditions.iter().any(|(name, _)| name == dimension)),
    ];
    match elsewhere.iter().find(|(_, named)| *named) {
        Some((parameter, _)) => Err(Error::Request(format!(
            "{dimension} is in {parameter}, but a and b already fix its values; leave it out there"
        ))),
        None => Ok(()),
    }
}

/// The window to compare with: as long, and over before the newer one starts. Seconds.
fn earlier(
    state: &State,
    held: &Held,
    question: &Question,
    against: &Against,
    (start, _): (i64, i64),
) -> Result<(i64, i64)> {
    let newer_end = end(state, question.end_ns);
    let newer_start = newer_end - whole_buckets("window", question.window_s)?;
    let asked_end = match against {
        Against::Offset(offset_s) => newer_end - whole_buckets("offset", *offset_s)?,
        Against::End(end_ns) => end(state, Some(*end_ns)),
        Against::Before | Against::Value { .. } => newer_start,
    };
    if asked_end > newer_start {
        return Err(Error::Request(format!(
            "the earlier window would end at {}, {} s after the newer one starts; go back by the \
             window's {} s or more",
            time(asked_end),
            asked_end - newer_start,
            question.window_s
        )));
    }
    // Where fine buckets are gone the newer window may have been widened: no event counts on both sides.
    let clear_of_newer = asked_end.min(end_before(held, start));
    look_back(state, held, question.window_s, Some(clear_of_newer.saturating_mul(SECOND_NS)))
}

fn gather(
    state: &State,
    asked: &Asked<'_>,
    (matching, held): (&Matching, &Held),
    (start, end): (i64, i64),
) -> Result<Vec<Group>> {
    let steps = Steps { start, step: end - start, count: 1 };
    matching.gather(state, asked, held, &steps)
}

fn by_window(ranks: &Ranks, sides: [Vec<Group>; 2]) -> Pairs {
    let mut pairs = Pairs::new();
    for (side, groups) in sides.into_iter().enumerate() {
        for mut group in groups {
            if let Some(read) = read(ranks, &mut group) {
                pairs.entry(group.dims).or_default()[side] = Some(read);
            }
        }
    }
    pairs
}

fn by_value(ranks: &Ranks, groups: Vec<Group>, values: [&str; 2]) -> Pairs {
    let mut pairs = Pairs::new();
    for mut group in groups {
        let value = group.dims.pop().flatten();
        let side = values.iter().position(|wanted| value.as_deref() == Some(wanted));
        if let Some((side, read)) = side.zip(read(ranks, &mut group)) {
            pairs.entry(group.dims).or_default()[side] = Some(read);
        }
    }
    pairs
}

fn read(ranks: &Ranks, group: &mut Group) -> Option<Read> {
    let cell = group.cells.pop()?;
    let late = cell.late;
    let digest = cell.merge();
    let (estimates, rank_error) = estimates(&digest, &ranks.values)?;
    let totals = Totals {
        count: digest.count(),
        sum: digest.sum(),
        min: digest.min(),
        max: digest.max(),
        exact: digest.is_exact(),
        rank_error,
        late,
    };
    Some(Read { totals, estimates })
}

fn row<'a>(
    asked: &'a Asked<'a>,
    ranks: &'a Ranks,
    dims: &'a [Option<Arc<str>>],
    pair: &'a [Option<Read>; 2],
) -> Row<'a> {
    let [a, b] = pair;
    let at = |side: &Option<Read>, rank: usize| side.as_ref().map(|read| read.estimates[rank]);
    let compared = |rank: usize| {
        let (a, b) = (at(a, rank), at(b, rank));
        let shift = a.zip(b).map(|(a, b)| shift(&a, &b));
        Compared {
            a: a.map(|it| it.bounded()),
            b: b.map(|it| it.bounded()),
            shift: shift.map(|it| it.absolute),
            relative: shift.and_then(|it| it.relative),
            clear: shift.is_some_and(|it| it.is_clear),
        }
    };
    Row {
        dims: Dims(asked, dims),
        a: a.as_ref().map(|read| read.totals),
        b: b.as_ref().map(|read| read.totals),
        quantiles: ByRank(ranks, (0..ranks.values.len()).map(compared).collect()),
    }
}
