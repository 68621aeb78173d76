//! `GET /api/v1/query_range`: percentiles in steps.

use serde::{Deserialize, Serialize};

use super::answer::{ByRank, Dims, bytes};
use super::ask::{Asked, Conditions, Ranks, Subject, parse, understand};
use super::gather::{Cell, Group, Matching};
use super::when::{Held, Range, Window, time, watermark};
use crate::error::{Error, Result};
use crate::state::State;
use crate::window::Steps;

/// Points of one answer, slices times series: about 5 MB of JSON.
const POINTS_MAX: usize = 20_000;

/// Points a series gets where no step was asked for.
const COUNT_DEFAULT: usize = 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    measure: String,
    q: Vec<f64>,
    by: Vec<String>,
    #[serde(rename = "where")]
    conditions: Conditions,
    /// Without it, a look-back of `window_s`.
    start_ns: Option<i64>,
    window_s: f64,
    end_ns: Option<i64>,
    step_s: Option<f64>,
    view: Option<String>,
}

#[derive(Serialize)]
struct Answer<'a> {
    measure: &'a str,
    unit: &'a str,
    view: &'a str,
    window: Window,
    step: i64,
    watermark: Option<String>,
    series: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    dims: Dims<'a>,
    points: Vec<Point<'a>>,
}

#[derive(Serialize)]
struct Point<'a> {
    start: &'a str,
    end: &'a str,
    count: u64,
    sum: f64,
    quantiles: ByRank<'a, f64>,
    exact: bool,
    rank_error: f64,
    late: u64,
}

/// Answer a range query, JSON in and out.
pub(crate) fn query_range(state: &State, request: &str) -> Result<Vec<u8>> {
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
    let range = Range::new(state, question.start_ns, question.window_s, question.end_ns)?;
    let matching = Matching::find(&asked);
    let held = Held::new(state, matching.used);
    let steps = range.steps(&held, question.step_s, COUNT_DEFAULT)?;
    check_points(&steps, matching.group_count())?;
    // The edges of a slice are the same in every series: written once.
    let times: Vec<String> = (0..=steps.count).map(|at| time(steps.slice(at).0)).collect();
    let mut groups = matching.gather(state, &asked, &held, &steps)?;
    let info = asked.measure.info();
    Ok(bytes(&Answer {
        measure: info.name,
        unit: info.unit.code(),
        view: &asked.view.name,
        window: Window::new(state, steps.whole()),
        step: steps.step,
        watermark: watermark(state),
        series: groups.iter_mut().filter_map(|group| row(&asked, &ranks, &times, group)).collect(),
    }))
}

fn check_points(steps: &Steps, groups: usize) -> Result<()> {
    let points = steps.count.saturating_mul(groups);
    if points <= POINTS_MAX {
        return Ok(());
    }
    let remedy = if groups <= POINTS_MAX {
        let slices = POINTS_MAX / groups;
        let step = steps.step * steps.count.div_ceil(slices) as i64;
        format!("use a step of {step} s or more, a shorter range, or fewer dimensions in by")
    } else {
        "use fewer dimensions in by, or narrow it with where".to_owned()
    };
    Err(Error::Request(format!(
        "{} slices of {} s for {groups} series are {points} points, over the limit of {POINTS_MAX}; \
         {remedy}",
        steps.count, steps.step
    )))
}

fn row<'a>(
    asked: &'a Asked<'a>,
    ranks: &'a Ranks,
    times: &'a [String],
    group: &'a mut Group,
) -> Option<Row<'a>> {
    let cells = std::mem::take(&mut group.cells);
    let edges = times.windows(2);
    let points: Vec<Point<'a>> = cells
        .into_iter()
        .zip(edges)
        .filter_map(|(cell, edges)| point(ranks, cell, &edges[0], &edges[1]))
        .collect();
    // No event in the range: absent, like a slice without one.
    (!points.is_empty()).then_some(Row { dims: Dims(asked, &group.dims), points })
}

fn point<'a>(ranks: &'a Ranks, cell: Cell, start: &'a str, end: &'a str) -> Option<Point<'a>> {
    let late = cell.late;
    let digest = cell.merge();
    let quantiles = digest.quantiles(&ranks.values)?;
    Some(Point {
        start,
        end,
        count: digest.count(),
        sum: digest.sum(),
        rank_error: quantiles.iter().map(|at| at.rank_error).fold(0.0, f64::max),
        quantiles: ByRank(ranks, quantiles.iter().map(|at| at.value).collect()),
        exact: digest.is_exact(),
        late,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Past the limit the error names the points and a step that would fit.
    #[test]
    fn too_many_points_name_a_step_that_fits() {
        let steps = Steps { start: 0, step: 60, count: 60 };
        assert!(check_points(&steps, 333).is_ok());
        let error = check_points(&steps, 1_000).map(|()| 0).expect_err("too many").to_string();
        assert!(error.contains("are 60000 points, over the limit of 20000"), "{error}");
        assert!(error.contains("a step of 180 s"), "{error}");
        assert!(check_points(&Steps { start: 0, step: 180, count: 20 }, 1_000).is_ok());
        let error = check_points(&steps, 30_000).map(|()| 0).expect_err("too many").to_string();
        assert!(error.contains("narrow it with where"), "{error}");
    }
}
