//! The crate `tdigest`.

use tdigest::TDigest;

use crate::Failure;
use crate::request::Setup;
use crate::sketch::Sketch;

/// Batches go through its batch interface, single values through its buffer.
pub(super) struct Digest(TDigest);

/// Two f64 each.
const CENTROID_BYTES: usize = 16;
/// Its other fields: size, sum, count, minimum and maximum, 8 B each.
const HEADER_BYTES: usize = 40;

impl Sketch for Digest {
    const NAME: &'static str = "tdigest";
    const PARAMETER: &'static str = "max_size";
    const DEFAULT: f64 = 100.0;

    fn parameters() -> Vec<f64> {
        (10..=400).map(f64::from).collect()
    }

    fn new(setup: &Setup) -> Result<Self, Failure> {
        Ok(Self(TDigest::new_with_size(setup.parameter as usize)))
    }

    fn add(&mut self, values: &[f64]) -> u64 {
        match values {
            [value] => self.0.push(*value),
            _ => self.0 = self.0.merge_unsorted(values.to_vec()),
        }
        0
    }

    fn finish(&mut self) {
        self.0.flush();
    }

    fn merge(parts: &mut Vec<Self>, _setup: &Setup) -> Result<Self, Failure> {
        Ok(Self(TDigest::merge_digests(parts.drain(..).map(|part| part.0).collect())))
    }

    fn reader(&self) -> impl Fn(&[f64], &mut [f64]) {
        move |ranks, out| {
            for (value, read) in out.iter_mut().zip(self.0.quantiles(ranks)) {
                *value = read.unwrap_or(f64::NAN);
            }
        }
    }

    fn serialized_bytes(&self) -> Result<usize, Failure> {
        Ok(HEADER_BYTES + self.0.centroids().len() * CENTROID_BYTES)
    }
}
