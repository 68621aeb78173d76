//! What the engine is built from: the JSON that the Python side validates and writes.
//!
//! Defaults live there, once; here every key is required and unknown ones are refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::signal::{DIMENSIONS, Dimension, MEASURES, Measure, known};

/// `dimension` is one of these values; all conditions of a list must hold.
pub type Condition = (String, Vec<String>);

/// Everything the engine needs to know.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder that this engine alone may use.
    pub data_dir: PathBuf,
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// Event-time windows.
    pub window: WindowConfig,
    /// What becomes series.
    pub views: Vec<ViewConfig>,
    /// What is judged good or bad.
    pub objectives: Vec<ObjectiveConfig>,
    /// Bounds on everything that grows.
    pub limits: Limits,
    /// How long sealed buckets stay on disk, seconds by name of the tier; as long as in
    /// memory where a tier is not named.
    pub retention: BTreeMap<String, f64>,
}

impl Config {
    /// Parse the JSON form.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] names the first key that is missing, unknown or of a wrong type.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|error| Error::Config(error.to_string()))
    }

    /// The JSON form.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where `data_dir` is not Unicode.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::Config(error.to_string()))
    }
}

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// It is on the disk.
    Sync,
    /// The operating system has it: a power cut may take the last tenth of a second.
    Relaxed,
    /// Nothing survives a restart.
    Off,
}

/// How event time moves.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// How far the watermark trails the newest event.
    pub lateness_s: f64,
    /// Events further ahead of our clock than this are refused.
    pub future_skew_s: f64,
    /// Silence after which the watermark moves up to the newest event.
    pub idle_s: f64,
}

/// One view: which events, cut how, measured by what.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ViewConfig {
    /// Unique name.
    pub name: String,
    /// Which events.
    #[serde(rename = "where")]
    pub conditions: Vec<Condition>,
    /// What makes a series.
    pub dimensions: Vec<String>,
    /// What each series keeps distributions of.
    pub measures: Vec<String>,
    /// Dimensions of which each series counts the different values.
    pub distinct: Vec<String>,
    /// Dimensions of which each series knows the values that come most.
    pub top: Vec<String>,
}

/// One objective.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// Unique name.
    pub name: String,
    /// One line for a person.
    pub description: String,
    /// What makes an event good: `kind`, and what that kind takes.
    pub sli: serde_json::Value,
    /// Which events.
    #[serde(rename = "where")]
    pub conditions: Vec<Condition>,
    /// A budget for each combination of these dimensions.
    pub group_by: Vec<String>,
    /// Wanted share of good events, in (0, 1).
    pub objective: f64,
    /// Rolling period, seconds; at most the counters' 90 days.
    pub period_s: u64,
    /// Layer that answers for it; empty where none was named.
    pub layer: String,
    /// Where to read what to do; empty where none was named.
    pub runbook: String,
}

/// Bounds on everything that grows.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Series of one view.
    pub series: usize,
    /// Series of one tenant in one view.
    pub tenant_series: usize,
    /// Groups of one objective.
    pub groups: usize,
    /// Distinct values of one dimension.
    pub dimension_values: usize,
    /// Length of one dimension value.
    pub dimension_bytes: usize,
    /// Sources, and tenants, the ledger tells apart.
    pub sources: usize,
    /// Length of one request.
    pub request_bytes: usize,
    /// Bytes that `distinct` and `top` of one view may hold.
    pub companion_bytes: usize,
    /// Memory for windows and identities, bytes.
    pub memory: usize,
    /// Disk for sealed buckets, bytes.
    pub disk: u64,
    /// How long a request is remembered, to know it when it comes again.
    #[serde(rename = "dedupe_horizon")]
    pub dedupe_horizon_s: f64,
    /// Requests remembered.
    pub dedupe_entries: usize,
    /// Senders that number their batches, remembered however long ago they sent.
    pub producers: usize,
}

/// Dimension of this name whose values may be shown: the end user's may not.
pub(crate) fn shown_dimension(name: &str) -> Result<Dimension> {
    match dimension(name)? {
        Dimension::User => Err(Error::Config(
            "dimension \"user\" is kept as a keyed hash that no answer can show: it may stand in \
             distinct of a view only"
                .to_owned(),
        )),
        shown => Ok(shown),
    }
}

/// Dimension of this name.
pub(crate) fn dimension(name: &str) -> Result<Dimension> {
    Dimension::named(name).ok_or_else(|| Error::Unknown {
        what: "dimension",
        name: name.to_owned(),
        known: known(DIMENSIONS.iter().map(|info| info.name)),
    })
}

/// Measure of this name.
pub(crate) fn measure(name: &str) -> Result<Measure> {
    Measure::named(name).ok_or_else(|| Error::Unknown {
        what: "measure",
        name: name.to_owned(),
        known: known(MEASURES.iter().map(|info| info.name)),
    })
}
