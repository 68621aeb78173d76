//! What every contender can do.

use crate::Failure;
use crate::request::Setup;

/// One digest of a contender, fed and read as its documentation says.
pub(crate) trait Sketch: Sized {
    /// Its name in every table.
    const NAME: &'static str;
    /// What its one parameter means.
    const PARAMETER: &'static str;
    /// What its own documentation or constructor takes for the parameter.
    const DEFAULT: f64;
    /// Whether a value may come with a weight.
    const WEIGHTED: bool = false;
    /// Smallest batch that its interface is made for.
    const BATCH_MIN: usize = 1;
    /// Whether it takes one value at a time, so that batches change nothing.
    const SAME_FOR_EVERY_BATCH: bool = false;

    /// Parameters worth trying; later ones make larger digests.
    fn parameters() -> Vec<f64>;

    /// An empty digest.
    fn new(setup: &Setup) -> Result<Self, Failure>;

    /// Add values; gives how many were refused.
    fn add(&mut self, values: &[f64]) -> u64;

    /// Add values that each count `weight` times; gives how many were refused.
    fn add_weighted(&mut self, _values: &[f64], _weights: &[u64]) -> Result<u64, Failure> {
        Err(format!("{} takes no weights", Self::NAME).into())
    }

    /// Leave nothing in a buffer.
    fn finish(&mut self) {}

    /// One digest of all `parts`, each of them finished; what stays in `parts` is freed untimed.
    fn merge(parts: &mut Vec<Self>, setup: &Setup) -> Result<Self, Failure>;

    /// A reader of the finished digest: fills the second slice with the values at the first's ranks.
    fn reader(&self) -> impl Fn(&[f64], &mut [f64]);

    /// Size in its own serialized form, or of the fields that its constructor needs again.
    fn serialized_bytes(&self) -> Result<usize, Failure>;
}
