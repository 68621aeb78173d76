//! `DuckDB`: a struct rather than bytes, so that digests travel in columns.
//!
//! Engines without t-digests read it as nested columns.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, ListArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields};

use super::super::{Digest, DigestError, Transform};
use super::{Parts, centroid, refused};

const NAME: &str = "duckdb";

/// DuckDB's state of `approx_quantile`, a row: for `to_aggregate_state`, `combine_aggr`, `finalize`.
///
/// `STRUCT(count BIGINT, min DOUBLE, max DOUBLE, centroids STRUCT(mean DOUBLE, weight DOUBLE)[])`
///
/// States that DuckDB 2.0 exports say the means of the outer centroids for minimum and
/// maximum once it has compressed, and 2.2e-308 for the maximum of negative values, which is
/// read as the last centroid.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// How many values.
    pub count: i64,
    /// Smallest value; infinite while empty, which any merge absorbs.
    pub min: f64,
    /// Largest value; negative infinity while empty.
    pub max: f64,
    /// Means, ascending.
    pub means: Vec<f64>,
    /// How many values each mean stands for, in the order of `means`.
    pub weights: Vec<f64>,
}

impl From<&Digest> for State {
    fn from(digest: &Digest) -> Self {
        let (means, weights) = digest.centroids().map(|it| (it.mean, it.weight as f64)).unzip();
        Self {
            count: digest.count().cast_signed(),
            min: digest.min().unwrap_or(f64::INFINITY),
            max: digest.max().unwrap_or(f64::NEG_INFINITY),
            means,
            weights,
        }
    }
}

impl State {
    /// The digest that `DuckDB` stored, on an axis that holds its values.
    ///
    /// # Errors
    ///
    /// The state holds what no digest does: a value that is not finite, a weight
    /// that is not whole, a count that its weights do not sum to.
    pub fn digest(&self, transform: Transform) -> Result<Digest, DigestError> {
        if self.means.len() != self.weights.len() {
            let (means, weights) = (self.means.len(), self.weights.len());
            return Err(refused(NAME, format!("{means} means, but {weights} weights")));
        }
        let pairs = self.means.iter().zip(&self.weights);
        let centroids =
            pairs.map(|(&mean, &weight)| centroid(NAME, mean, weight)).collect::<Result<_, _>>()?;
        let total = Some(self.count as f64);
        Parts { layout: NAME, min: self.min, max: self.true_max(), total, centroids }
            .digest(transform)
    }

    /// The largest value, where `DuckDB` (2.0 at least) lost it.
    ///
    /// Its running maximum starts at the smallest positive double, which therefore
    /// stands beside data that is all negative. The last centroid, which it keeps
    /// small, is the best there is.
    fn true_max(&self) -> f64 {
        match self.means.last() {
            Some(&last) if last < 0.0 && self.max == f64::MIN_POSITIVE => last,
            _ => self.max,
        }
    }
}

/// A column of states; null where there is no digest.
///
/// # Panics
///
/// More than 2^31 centroids in one column.
pub fn column<'a>(digests: impl IntoIterator<Item = Option<&'a Digest>>) -> StructArray {
    let states: Vec<Option<State>> =
        digests.into_iter().map(|digest| digest.map(State::from)).collect();
    let present = || states.iter().map(Option::as_ref);
    let held = || present().flatten();
    let centroids = StructArray::new(
        centroid_fields(),
        vec![
            floats(held().flat_map(|state| state.means.iter().copied())),
            floats(held().flat_map(|state| state.weights.iter().copied())),
        ],
        None,
    );
    let lengths = present().map(|state| state.map_or(0, |state| state.means.len()));
    let lists =
        ListArray::new(element(), OffsetBuffer::from_lengths(lengths), Arc::new(centroids), None);
    let counts = present().map(|state| state.map_or(0, |state| state.count));
    let field = |read: fn(&State) -> f64| floats(present().map(move |it| it.map_or(0.0, read)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(counts)),
        field(|state| state.min),
        field(|state| state.max),
        Arc::new(lists),
    ];
    let nulls = NullBuffer::from_iter(states.iter().map(Option::is_some));
    StructArray::new(fields(), columns, Some(nulls).filter(|nulls| nulls.null_count() > 0))
}

fn floats(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

fn centroid_fields() -> Fields {
    Fields::from(vec![
        Field::new("mean", DataType::Float64, true),
        Field::new("weight", DataType::Float64, true),
    ])
}

fn element() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Struct(centroid_fields()), true))
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("count", DataType::Int64, true),
        Field::new("min", DataType::Float64, true),
        Field::new("max", DataType::Float64, true),
        Field::new("centroids", DataType::List(element()), true),
    ])
}
