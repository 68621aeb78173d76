//! The crate `sketches-ddsketch`.

use sketches_ddsketch::{Config, DDSketch};

use crate::Failure;
use crate::request::Setup;
use crate::sketch;

/// Bounds the value's error instead of the rank's.
pub(super) struct Sketch(DDSketch);

/// As its own default.
const MAX_BINS: u32 = 2048;
/// As its own default: smaller magnitudes count as zero.
const MIN_VALUE: f64 = 1e-9;

impl sketch::Sketch for Sketch {
    const NAME: &'static str = "sketches-ddsketch";
    const PARAMETER: &'static str = "relative accuracy";
    const DEFAULT: f64 = 0.01;
    const WEIGHTED: bool = true;
    const SAME_FOR_EVERY_BATCH: bool = true;

    fn parameters() -> Vec<f64> {
        // From 50 % to 0.01 % in steps of a twentieth.
        (0..=166).map(|step| 0.5 * 0.95f64.powi(step)).collect()
    }

    fn new(setup: &Setup) -> Result<Self, Failure> {
        Ok(Self(DDSketch::new(Config::new(setup.parameter, MAX_BINS, MIN_VALUE))))
    }

    fn add(&mut self, values: &[f64]) -> u64 {
        for value in values {
            self.0.add(*value);
        }
        0
    }

    fn add_weighted(&mut self, values: &[f64], weights: &[u64]) -> Result<u64, Failure> {
        for (value, weight) in values.iter().zip(weights) {
            self.0.add_with_count(*value, *weight);
        }
        Ok(0)
    }

    fn merge(parts: &mut Vec<Self>, setup: &Setup) -> Result<Self, Failure> {
        let mut merged = Self::new(setup)?;
        for part in parts {
            merged.0.merge(&part.0)?;
        }
        Ok(merged)
    }

    fn reader(&self) -> impl Fn(&[f64], &mut [f64]) {
        move |ranks, out| {
            for (value, rank) in out.iter_mut().zip(ranks) {
                *value = self.0.quantile(*rank).ok().flatten().unwrap_or(f64::NAN);
            }
        }
    }

    fn serialized_bytes(&self) -> Result<usize, Failure> {
        Ok(self.0.to_java_bytes().len())
    }
}
