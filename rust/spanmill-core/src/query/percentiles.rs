//! `GET /api/v1/query`: percentiles over one window.

use serde::{Deserialize, Serialize};

use super::answer::{ByRank, Dims, bytes};
use super::ask::{Asked, Conditions, Ranks, Subject, parse, understand};
use super::gather::{Group, Matching};
use super::when::{Held, Window, look_back, watermark};
use crate::error::Result;
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
}

#[derive(Serialize)]
struct Answer<'a> {
    measure: &'a str,
    unit: &'a str,
    view: &'a str,
    window: Window,
    watermark: Option<String>,
    series: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    dims: Dims<'a>,
    count: u64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
    quantiles: ByRank<'a, f64>,
    exact: bool,
    rank_error: f64,
    late: u64,
}

/// Answer a query, JSON in and out.
pub(crate) fn query(state: &State, request: &str) -> Result<Vec<u8>> {
    let question: Question = parse(request)?;
    let ranks = Ranks::new(&question.q)?;
    let asked = understand(
        state,
        &Subject {
            measure: &question.measure,
            by: &question.by,
            conditions: &question.conditions,
            view: question.view.as_deref(),
        },
    )?;
    let matching = Matching::find(&asked);
    let held = Held::new(state, matching.used);
    let (start, end) = look_back(state, &held, question.window_s, question.end_ns)?;
    let steps = Steps { start, step: end - start, count: 1 };
    let mut groups = matching.gather(state, &asked, &held, &steps)?;
    let info = asked.measure.info();
    Ok(bytes(&Answer {
        measure: info.name,
        unit: info.unit.code(),
        view: &asked.view.name,
        window: Window::new(state, (start, end)),
        watermark: watermark(state),
        series: groups.iter_mut().filter_map(|group| row(&asked, &ranks, group)).collect(),
    }))
}

fn row<'a>(asked: &'a Asked<'a>, ranks: &'a Ranks, group: &'a mut Group) -> Option<Row<'a>> {
    let cell = group.cells.pop()?;
    let late = cell.late;
    let digest = cell.merge();
    // No event in the window: absent, not zero.
    let quantiles = digest.quantiles(&ranks.values)?;
    Some(Row {
        dims: Dims(asked, &group.dims),
        count: digest.count(),
        sum: digest.sum(),
        min: digest.min(),
        max: digest.max(),
        rank_error: quantiles.iter().map(|at| at.rank_error).fold(0.0, f64::max),
        quantiles: ByRank(ranks, quantiles.iter().map(|at| at.value).collect()),
        exact: digest.is_exact(),
        late,
    })
}
