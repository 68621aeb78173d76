//! The crate `hdrhistogram`.

use hdrhistogram::serialization::{Serializer, V2Serializer};

use crate::Failure;
use crate::request::Setup;
use crate::sketch::Sketch;

/// Counts of integers: a value is so many units, as a user of it would record microseconds.
pub(super) struct Histogram {
    counts: hdrhistogram::Histogram<u64>,
    unit: f64,
}

impl Histogram {
    /// The value in units; `None` where no u64 is near it.
    fn units(&self, value: f64) -> Option<u64> {
        let units = (value / self.unit).round();
        (0.0..u64::MAX as f64).contains(&units).then_some(units as u64)
    }

    fn record(&mut self, value: f64, weight: u64) -> u64 {
        let recorded = self.units(value).map(|units| self.counts.record_n(units, weight));
        u64::from(!matches!(recorded, Some(Ok(()))))
    }
}

impl Sketch for Histogram {
    const NAME: &'static str = "hdrhistogram";
    const PARAMETER: &'static str = "significant digits";
    // None of its own: the number of its documentation's examples.
    const DEFAULT: f64 = 3.0;
    const WEIGHTED: bool = true;
    const SAME_FOR_EVERY_BATCH: bool = true;

    fn parameters() -> Vec<f64> {
        (0..=5).map(f64::from).collect()
    }

    fn new(setup: &Setup) -> Result<Self, Failure> {
        Ok(Self { counts: hdrhistogram::Histogram::new(setup.parameter as u8)?, unit: setup.unit })
    }

    fn add(&mut self, values: &[f64]) -> u64 {
        values.iter().map(|value| self.record(*value, 1)).sum()
    }

    fn add_weighted(&mut self, values: &[f64], weights: &[u64]) -> Result<u64, Failure> {
        Ok(values.iter().zip(weights).map(|(value, weight)| self.record(*value, *weight)).sum())
    }

    fn merge(parts: &mut Vec<Self>, setup: &Setup) -> Result<Self, Failure> {
        let mut merged = Self::new(setup)?;
        for part in parts {
            merged.counts.add(&part.counts)?;
        }
        Ok(merged)
    }

    fn reader(&self) -> impl Fn(&[f64], &mut [f64]) {
        move |ranks, out| {
            for (value, rank) in out.iter_mut().zip(ranks) {
                *value = self.counts.value_at_quantile(*rank) as f64 * self.unit;
            }
        }
    }

    fn serialized_bytes(&self) -> Result<usize, Failure> {
        Ok(V2Serializer::new().serialize(&self.counts, &mut Vec::new())?)
    }
}
