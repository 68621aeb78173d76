//! What can be asked, and the streams it is asked about.

use std::collections::HashMap;
use std::rc::Rc;

use serde::Deserialize;

use crate::Failure;

/// One request: what to do, and with what.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Ask {
    /// Name the contenders and the parameters they take.
    List,
    /// Build one digest of a stream, and give its size and quantiles.
    Answer(AnswerJob),
    /// Time building one digest of a stream.
    Insert(FeedJob),
    /// Time merging digests of consecutive parts of a stream.
    Merge(MergeJob),
    /// Time reading quantiles from one digest.
    Query(QueryJob),
    /// Weigh many digests in memory; only the first such request of a process is exact.
    Resident(ResidentJob),
    /// Time an open bucket of ours.
    OpenInsert(FeedJob),
    /// Time open buckets of ours, many at once.
    Series(SeriesJob),
    /// Time a merge of ours, by the centroid.
    Ways(WaysJob),
    /// Time our bytes, to and from.
    Codec(QueryJob),
}

/// Who is asked, and how it is set up.
#[derive(Deserialize, Clone)]
pub(crate) struct Setup {
    /// Its name in the list.
    pub contender: String,
    /// Its one parameter; the list says what it means.
    pub parameter: f64,
    /// Whether values pass 2^±64 and ours must use its wide axis.
    #[serde(default)]
    pub wide: bool,
    /// What one step of an integer histogram stands for, in the stream's unit.
    #[serde(default = "micro")]
    pub unit: f64,
}

fn micro() -> f64 {
    1e-6
}

/// [`Ask::Answer`].
#[derive(Deserialize)]
pub(crate) struct AnswerJob {
    /// Who.
    #[serde(flatten)]
    pub setup: Setup,
    /// Path of the values.
    pub stream: String,
    /// Path of one weight a value, as f64 that hold integers.
    pub weights: Option<String>,
    /// Values added at once; 0: all.
    pub batch: usize,
    /// Ranks in [0, 1] to read.
    pub ranks: Vec<f64>,
}

/// [`Ask::Insert`] and [`Ask::OpenInsert`].
#[derive(Deserialize)]
pub(crate) struct FeedJob {
    /// Who.
    #[serde(flatten)]
    pub setup: Setup,
    /// Path of the values.
    pub stream: String,
    /// Values added at once; 0: all.
    pub batch: usize,
    /// How many of the stream's first values are added; 0: all.
    #[serde(default)]
    pub values: usize,
}

/// [`Ask::Merge`].
#[derive(Deserialize)]
pub(crate) struct MergeJob {
    /// Who.
    #[serde(flatten)]
    pub setup: Setup,
    /// Path of the values.
    pub stream: String,
    /// How many digests are merged.
    pub parts: usize,
    /// Values in each.
    pub each: usize,
    /// Ranks to read from the merged digest.
    #[serde(default)]
    pub ranks: Vec<f64>,
}

/// [`Ask::Query`] and [`Ask::Codec`].
#[derive(Deserialize)]
pub(crate) struct QueryJob {
    /// Who.
    #[serde(flatten)]
    pub setup: Setup,
    /// Path of the values.
    pub stream: String,
    /// Ranks read at once.
    #[serde(default)]
    pub ranks: Vec<f64>,
}

/// [`Ask::Resident`].
#[derive(Deserialize)]
pub(crate) struct ResidentJob {
    /// Who.
    #[serde(flatten)]
    pub setup: Setup,
    /// Path of the values.
    pub stream: String,
    /// How many digests are held.
    pub digests: usize,
    /// Values in each.
    pub each: usize,
}

/// [`Ask::Series`].
#[derive(Deserialize)]
pub(crate) struct SeriesJob {
    /// Path of the values.
    pub stream: String,
    /// How many series.
    pub series: usize,
    /// How many values in all, in an order of series that looks random.
    pub values: usize,
    /// Values that arrive at once.
    pub batch: usize,
}

/// [`Ask::Ways`].
#[derive(Deserialize)]
pub(crate) struct WaysJob {
    /// Path of the values.
    pub stream: String,
    /// How many digests are merged.
    pub ways: usize,
    /// Values in each.
    pub each: usize,
}

/// How often each value counts.
pub(crate) type Weights = Vec<u64>;

/// Files read so far: a round asks many peers for the same one.
#[derive(Default)]
pub(crate) struct Streams {
    held: HashMap<String, Rc<[f64]>>,
}

/// Files held at once: a stream and its weights.
const HELD_MAX: usize = 2;

impl Streams {
    /// The values of the file at `path`.
    pub(crate) fn values(&mut self, path: &str) -> Result<Rc<[f64]>, Failure> {
        if let Some(values) = self.held.get(path) {
            return Ok(Rc::clone(values));
        }
        let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        let (words, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(format!("{path}: {} bytes are no whole f64s", bytes.len()).into());
        }
        let values: Rc<[f64]> = words.iter().map(|word| f64::from_le_bytes(*word)).collect();
        if self.held.len() >= HELD_MAX {
            self.held.clear();
        }
        let _ = self.held.insert(path.to_owned(), Rc::clone(&values));
        Ok(values)
    }

    /// The stream at `path` and, where there are any, its weights.
    pub(crate) fn weighted(
        &mut self,
        path: &str,
        weights: Option<&str>,
    ) -> Result<(Rc<[f64]>, Option<Weights>), Failure> {
        let values = self.values(path)?;
        let weights = weights.map(|path| self.values(path)).transpose()?;
        Ok((values, weights.map(|weights| weights.iter().map(|&w| w as u64).collect())))
    }
}
