//! Sealed minutes as Arrow columns: one row per view, measure, series and minute.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, Int32Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{Field, Schema};
use xxhash_rust::xxh3::Xxh3;

use crate::digest::Digest;
use crate::digest::foreign::duckdb;
use crate::signal::Dimension;
use crate::state::State;
use crate::view::View;
use crate::window::BUCKET_S;

const MINUTE_S: i32 = 60;

/// One row, still by reference.
struct Row<'a> {
    view: &'a str,
    measure: &'static str,
    series_id: i64,
    /// One a dimension of the table, in its order.
    dims: Arc<[Option<Arc<str>>]>,
    window_start_s: i64,
    digests: Arc<[Digest]>,
    place: usize,
}

impl Row<'_> {
    fn digest(&self) -> &Digest {
        &self.digests[self.place]
    }
}

/// [first, last) of the sealed minutes still held, Unix seconds.
pub(crate) fn sealed_range(state: &State) -> Option<(i64, i64)> {
    let through = state.sealed()? * BUCKET_S;
    let last = through - through.rem_euclid(i64::from(MINUTE_S));
    let held = state.plan.views.iter().filter_map(|view| view.windows.oldest_sealed_minute());
    held.min().map(|first| (first, last)).filter(|(first, last)| first < last)
}

/// Export the sealed minutes that start in [`start_s`, `end_s`).
pub(crate) fn rollup(state: &State, start_s: i64, end_s: i64) -> RecordBatch {
    let dimensions = table_dimensions(state);
    let mut rows = Vec::new();
    for view in &state.plan.views {
        collect(state, view, &dimensions, (start_s, end_s), &mut rows);
    }
    rows.sort_by(|a, b| {
        (a.view, a.measure, a.series_id, a.window_start_s).cmp(&(
            b.view,
            b.measure,
            b.series_id,
            b.window_start_s,
        ))
    });
    columns(&dimensions, &rows)
}

/// Every dimension that some view has, in registry order.
fn table_dimensions(state: &State) -> Vec<Dimension> {
    let mut all: Vec<Dimension> =
        state.plan.views.iter().flat_map(|view| view.grouping.dimensions.clone()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn collect<'a>(
    state: &State,
    view: &'a View,
    dimensions: &[Dimension],
    (start_s, end_s): (i64, i64),
    rows: &mut Vec<Row<'a>>,
) {
    let identities = view.grouping.identities.read();
    for series in 0..identities.len() as u32 {
        let minutes: Vec<(i64, Arc<[Digest]>)> = view
            .windows
            .with(series, |windows| {
                windows.minutes(start_s, end_s).map(|(at, d)| (at, Arc::clone(d))).collect()
            })
            .unwrap_or_default();
        if minutes.is_empty() {
            continue;
        }
        let tuple = identities.tuple(series);
        let text = |dimension: &Dimension| {
            let at = view.grouping.dimensions.iter().position(|mine| mine == dimension)?;
            state.values.text(tuple[at])
        };
        let dims: Arc<[Option<Arc<str>>]> = dimensions.iter().map(text).collect();
        let series_id = stable_id(&view.name, dimensions, &dims);
        for (window_start_s, digests) in minutes {
            let measured = view.measures.iter().enumerate();
            rows.extend(measured.filter(|(place, _)| digests[*place].count() > 0).map(
                |(place, measure)| Row {
                    view: &view.name,
                    measure: measure.info().name,
                    series_id,
                    dims: Arc::clone(&dims),
                    window_start_s,
                    digests: Arc::clone(&digests),
                    place,
                },
            ));
        }
    }
}

/// The same identity has the same id in every file of every process.
fn stable_id(view: &str, dimensions: &[Dimension], dims: &[Option<Arc<str>>]) -> i64 {
    let mut hasher = Xxh3::new();
    hasher.update(view.as_bytes());
    for (dimension, text) in dimensions.iter().zip(dims) {
        if let Some(text) = text {
            hasher.update(&[0]);
            hasher.update(dimension.info().name.as_bytes());
            hasher.update(&[1]);
            hasher.update(text.as_bytes());
        }
    }
    hasher.digest().cast_signed()
}

fn strings<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    let mut builder = StringBuilder::new();
    texts.for_each(|text| builder.append_option(text));
    Arc::new(builder.finish())
}

fn columns(dimensions: &[Dimension], rows: &[Row<'_>]) -> RecordBatch {
    let digests = || rows.iter().map(Row::digest);
    let micros = rows.iter().map(|row| row.window_start_s * 1_000_000);
    let starts = TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC");
    let ids = rows.iter().map(|row| row.series_id);
    let mut named: Vec<(&str, ArrayRef, bool)> = vec![
        ("view", strings(rows.iter().map(|row| Some(row.view))), false),
        ("measure", strings(rows.iter().map(|row| Some(row.measure))), false),
        ("series_id", Arc::new(arrow_array::Int64Array::from_iter_values(ids)), false),
    ];
    for (at, dimension) in dimensions.iter().enumerate() {
        let texts = rows.iter().map(|row| row.dims[at].as_deref());
        named.push((dimension.info().name, strings(texts), true));
    }
    let counts = digests().map(|d| d.count().cast_signed());
    named.extend([
        ("window_start", Arc::new(starts) as ArrayRef, false),
        ("window_secs", Arc::new(Int32Array::from_value(MINUTE_S, rows.len())), false),
        ("count", Arc::new(arrow_array::Int64Array::from_iter_values(counts)), false),
        ("sum", floats(digests().map(Digest::sum)), false),
        ("min", floats(digests().filter_map(Digest::min)), false),
        ("max", floats(digests().filter_map(Digest::max)), false),
        ("digest", Arc::new(duckdb::column(digests().map(Some))), false),
    ]);
    let fields: Vec<Field> = named
        .iter()
        .map(|(name, array, nullable)| Field::new(*name, array.data_type().clone(), *nullable))
        .collect();
    let arrays = named.into_iter().map(|(_, array, _)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .expect("columns are built row for row from one list")
}

fn floats(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(arrow_array::Float64Array::from_iter_values(values))
}
