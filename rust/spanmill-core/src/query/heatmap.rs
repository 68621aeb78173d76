//! `GET /api/v1/heatmap`: how many events of which size at what time.

use serde::{Deserialize, Serialize};

use super::answer::{Dims, bytes};
use super::ask::{Asked, Conditions, Subject, parse, understand};
use super::edges::{Edges, Extent, ROWS_MIN};
use super::gather::{Group, Matching};
use super::when::{Held, Range, Window, time, watermark};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::state::State;

/// Columns of one picture: more than a screen is wide in characters.
const COLUMNS_MAX: usize = 500;
const ROWS_MAX: usize = 200;
/// Cells of one answer over all its series: about 1 MB of JSON.
const CELLS_MAX: usize = 200_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    measure: String,
    by: Vec<String>,
    #[serde(rename = "where")]
    conditions: Conditions,
    window_s: f64,
    end_ns: Option<i64>,
    /// At most so many slices of time.
    columns: usize,
    /// At most so many ranges of values.
    rows: usize,
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
    edges: &'a [f64],
    approximate: bool,
    columns: Vec<Column<'a>>,
    series: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    dims: Dims<'a>,
    columns: Vec<Column<'a>>,
}

#[derive(Clone, Serialize)]
struct Column<'a> {
    start: &'a str,
    end: &'a str,
    count: u64,
    counts: Vec<u64>,
    late: u64,
}

/// One group, merged: a digest and late events a column.
type Merged = Vec<(Digest, u64)>;

/// Answer with a picture, JSON in and out.
pub(crate) fn heatmap(state: &State, request: &str) -> Result<Vec<u8>> {
    let question: Question = parse(request)?;
    let asked = understand(
        state,
        &Subject {
            measure: &question.measure,
            by: &question.by,
            conditions: &question.conditions,
            view: question.view.as_deref(),
        },
    )?;
    check_cells("columns", question.columns, 1, COLUMNS_MAX)?;
    check_cells("rows", question.rows, ROWS_MIN, ROWS_MAX)?;
    let range = Range::new(state, None, question.window_s, question.end_ns)?;
    let matching = Matching::find(&asked);
    let held = Held::new(state, matching.used);
    let steps = range.steps(&held, None, question.columns)?;
    check_total(&question, matching.group_count())?;
    let times: Vec<String> = (0..=steps.count).map(|at| time(steps.slice(at).0)).collect();
    let groups = matching.gather(state, &asked, &held, &steps)?;
    let (groups, merged): (Vec<_>, Vec<_>) = groups.into_iter().map(merge).unzip();
    let digests = || merged.iter().flatten().map(|(digest, _)| digest);
    let edges = Edges::over(&digests().fold(Extent::EMPTY, Extent::with), question.rows);
    let drawn = merged.iter().map(|merged| draw(&edges, &times, merged));
    let series: Vec<Vec<Column<'_>>> = drawn.collect();
    let info = asked.measure.info();
    Ok(bytes(&Answer {
        measure: info.name,
        unit: info.unit.code(),
        view: &asked.view.name,
        window: Window::new(state, steps.whole()),
        step: steps.step,
        watermark: watermark(state),
        edges: &edges.values,
        approximate: digests().any(|digest| !digest.is_exact()),
        columns: total(&edges, &times, &series),
        series: if asked.by.is_empty() { Vec::new() } else { rows(&asked, &groups, series) },
    }))
}

fn check_cells(what: &str, asked: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&asked) {
        return Ok(());
    }
    Err(Error::Request(format!("{asked} {what} of cells are not between {least} and {most}")))
}

fn check_total(question: &Question, groups: usize) -> Result<()> {
    let picture = question.columns * question.rows;
    let cells = picture.saturating_mul(groups);
    if groups <= 1 || cells <= CELLS_MAX {
        return Ok(());
    }
    Err(Error::Request(format!(
        "{groups} series of {} x {} cells are {cells}, over the limit of {CELLS_MAX}; ask for \
         fewer cells, fewer dimensions in by, or narrow it with where",
        question.columns, question.rows
    )))
}

fn merge(group: Group) -> (Group, Merged) {
    let Group { dims, cells } = group;
    let merged = cells.into_iter().map(|cell| {
        let late = cell.late;
        (cell.merge(), late)
    });
    let merged = merged.collect();
    (Group { dims, cells: Vec::new() }, merged)
}

fn draw<'a>(edges: &Edges, times: &'a [String], merged: &Merged) -> Vec<Column<'a>> {
    let columns = merged.iter().zip(times.windows(2)).map(|((digest, late), time)| {
        let mut counts = vec![0; edges.rows()];
        edges.add(digest, &mut counts);
        Column { start: &time[0], end: &time[1], count: digest.count(), counts, late: *late }
    });
    columns.collect()
}

/// The columns of all groups, added up; none where no group has an event.
fn total<'a>(edges: &Edges, times: &'a [String], series: &[Vec<Column<'a>>]) -> Vec<Column<'a>> {
    if edges.rows() == 0 {
        return Vec::new();
    }
    let empty = |time: &'a [String]| Column {
        start: &time[0],
        end: &time[1],
        count: 0,
        counts: vec![0; edges.rows()],
        late: 0,
    };
    let mut columns: Vec<Column<'a>> = times.windows(2).map(empty).collect();
    for theirs in series {
        for (mine, theirs) in columns.iter_mut().zip(theirs) {
            mine.count += theirs.count;
            mine.late += theirs.late;
            mine.counts.iter_mut().zip(&theirs.counts).for_each(|(mine, theirs)| *mine += theirs);
        }
    }
    columns
}

fn rows<'a>(
    asked: &'a Asked<'a>,
    groups: &'a [Group],
    series: Vec<Vec<Column<'a>>>,
) -> Vec<Row<'a>> {
    let rows = groups.iter().zip(series);
    // A group without an event is absent.
    rows.filter(|(_, columns)| columns.iter().any(|column| column.count > 0))
        .map(|(group, columns)| Row { dims: Dims(asked, &group.dims), columns })
        .collect()
}
