//! Other engines' t-digests, written and read byte for byte.
//!
//! All of them hold the same thing, a minimum, a maximum and sorted centroids,
//! and lose the same: a centroid's mean is the value at its mean *key*, a
//! geometric mean, and sums do not travel, so that an imported digest sums its
//! centroids and says that this is not exact. Weights are whole numbers here;
//! most engines keep them in floats.
//!
//! What an importer is given may be anything: it allocates no more than its
//! input is long, and says what is wrong with it.

mod bytes;
mod datasketches;
pub mod duckdb;
mod tdunning;
mod trino;

use super::{Centroid, Digest, DigestError, Foreign, Transform};

pub use datasketches::DataSketches;
pub use tdunning::TDunning;
pub use trino::Trino;

/// One engine's bytes.
pub trait Layout: Sync {
    /// What it is called in messages, in golden files and in Python, as `to_<name>`.
    fn name(&self) -> &'static str;

    /// The digest as the engine stores it.
    ///
    /// # Errors
    ///
    /// The engine cannot hold so many centroids.
    fn write(&self, digest: &Digest) -> Result<Vec<u8>, DigestError>;

    /// What the engine's bytes hold, as far as the layout says.
    ///
    /// # Errors
    ///
    /// They are not the engine's bytes.
    fn parts(&self, bytes: &[u8]) -> Result<Parts, DigestError>;

    /// The digest that the engine stored, on an axis that holds its values.
    ///
    /// # Errors
    ///
    /// They are not the engine's bytes, or hold what no digest does: a value
    /// that is not finite, a weight that is not whole, a wrong total.
    fn read(&self, transform: Transform, bytes: &[u8]) -> Result<Digest, DigestError> {
        self.parts(bytes)?.digest(transform)
    }
}

/// Every layout of bytes; DuckDB's is a struct of columns ([`duckdb`]).
pub const LAYOUTS: &[&dyn Layout] = &[&Trino, &DataSketches, &TDunning];

/// What is wrong with an engine's data, said with the engine's name.
fn refused(layout: &'static str, problem: impl Into<String>) -> DigestError {
    DigestError::Foreign { layout, problem: problem.into() }
}

/// One engine's digest, not checked yet.
#[derive(Debug)]
pub struct Parts {
    layout: &'static str,
    min: f64,
    max: f64,
    /// Sum of the weights, where the engine writes it beside them.
    total: Option<f64>,
    centroids: Vec<Centroid>,
}

/// Totals of weights may differ by the rounding of floats past 2^53, no more.
const TOTAL_TOLERANCE: f64 = 1e-12;

impl Parts {
    fn digest(self, transform: Transform) -> Result<Digest, DigestError> {
        let Self { layout, min, max, total, centroids } = self;
        let sum: f64 = centroids.iter().map(|centroid| centroid.weight as f64).sum();
        // A total that is NaN does not fit either.
        let fits = |total: &f64| (total - sum).abs() <= sum * TOTAL_TOLERANCE;
        if let Some(total) = total.filter(|total| !fits(total)) {
            return Err(refused(layout, format!("says {total} values, its weights sum to {sum}")));
        }
        if centroids.is_empty() {
            return Ok(Digest::empty(transform));
        }
        Digest::from_centroids(Foreign { transform, min, max, sum: None, centroids })
            .map_err(|error| refused(layout, error.to_string()))
    }
}

/// A centroid whose weight came as a float.
fn centroid(layout: &'static str, mean: f64, weight: f64) -> Result<Centroid, DigestError> {
    // Past 2^63 a digest refuses the count anyway; below, the conversion is exact.
    if weight.fract() == 0.0 && (1.0..9.2e18).contains(&weight) {
        return Ok(Centroid { mean, weight: weight as u64 });
    }
    let problem = format!("the centroid at {mean} weighs {weight}: scale weights to whole numbers");
    Err(refused(layout, problem))
}
