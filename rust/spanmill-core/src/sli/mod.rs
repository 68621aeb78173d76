//! Service-level indicators: is this event good, bad, or not its concern?
//!
//! A kind is one file and one arm in [`build`].

mod errors;
mod latency;

use crate::config::SliConfig;
use crate::error::Result;
use crate::signal::Measure;

/// What an indicator may look at.
pub(crate) struct Event<'a> {
    /// Measures by slot, NaN where absent.
    pub measures: &'a [f64],
    /// The span failed.
    pub error: bool,
}

/// One indicator, compiled.
pub(crate) trait Sli: Send + Sync {
    /// `Some(true)` good, `Some(false)` bad, `None` where it does not apply.
    fn judge(&self, event: &Event<'_>) -> Option<bool>;
}

/// Measures that an indicator needs filled.
pub(crate) fn measures(config: &SliConfig) -> Result<Vec<Measure>> {
    match config {
        SliConfig::Latency { measure, .. } => latency::measure(measure).map(|m| vec![m]),
        SliConfig::Errors => Ok(Vec::new()),
    }
}

/// Compile an indicator; `slot` gives the place of a measure.
pub(crate) fn build(
    config: &SliConfig,
    slot: impl Fn(Measure) -> Option<usize>,
) -> Result<Box<dyn Sli>> {
    match config {
        SliConfig::Latency { measure, below } => {
            Ok(Box::new(latency::Latency::new(slot(latency::measure(measure)?), *below)))
        }
        SliConfig::Errors => Ok(Box::new(errors::Errors)),
    }
}
