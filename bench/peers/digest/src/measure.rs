//! The measured loops, one for every contender.

use std::hint::black_box;
use std::time::Instant;

use serde_json::{Value, json};

use crate::Failure;
use crate::request::{AnswerJob, FeedJob, MergeJob, QueryJob, ResidentJob, Setup, Streams};
use crate::sketch::Sketch;

/// Rounds of what is over in no time; the best counts.
const ROUNDS: u32 = 20;

/// A contender whose loops are compiled for its own type.
#[derive(Clone, Copy)]
pub(crate) struct Contender {
    /// Its name in every table.
    pub name: &'static str,
    list: fn() -> Value,
    answer: fn(&AnswerJob, &mut Streams) -> Result<Value, Failure>,
    insert: fn(&FeedJob, &mut Streams) -> Result<Value, Failure>,
    merge: fn(&MergeJob, &mut Streams) -> Result<Value, Failure>,
    query: fn(&QueryJob, &mut Streams) -> Result<Value, Failure>,
    resident: fn(&ResidentJob, &mut Streams) -> Result<Value, Failure>,
}

impl Contender {
    /// The contender whose digests are `S`.
    pub(crate) const fn of<S: Sketch>() -> Self {
        Self {
            name: S::NAME,
            list: list::<S>,
            answer: answer::<S>,
            insert: insert::<S>,
            merge: merge::<S>,
            query: query::<S>,
            resident: resident::<S>,
        }
    }

    /// Its name, parameters and abilities.
    pub(crate) fn list(&self) -> Value {
        (self.list)()
    }

    /// Size and quantiles of one digest.
    pub(crate) fn answer(&self, job: &AnswerJob, streams: &mut Streams) -> Result<Value, Failure> {
        (self.answer)(job, streams)
    }

    /// Nanoseconds a value to build one digest.
    pub(crate) fn insert(&self, job: &FeedJob, streams: &mut Streams) -> Result<Value, Failure> {
        (self.insert)(job, streams)
    }

    /// Microseconds to merge.
    pub(crate) fn merge(&self, job: &MergeJob, streams: &mut Streams) -> Result<Value, Failure> {
        (self.merge)(job, streams)
    }

    /// Nanoseconds to read the ranks.
    pub(crate) fn query(&self, job: &QueryJob, streams: &mut Streams) -> Result<Value, Failure> {
        (self.query)(job, streams)
    }

    /// Bytes in memory.
    pub(crate) fn resident(
        &self,
        job: &ResidentJob,
        streams: &mut Streams,
    ) -> Result<Value, Failure> {
        (self.resident)(job, streams)
    }
}

fn list<S: Sketch>() -> Value {
    json!({
        "name": S::NAME,
        "parameter": S::PARAMETER,
        "parameters": S::parameters(),
        "default": S::DEFAULT,
        "weighted": S::WEIGHTED,
        "batch_min": S::BATCH_MIN,
        "same_for_every_batch": S::SAME_FOR_EVERY_BATCH,
    })
}

/// Batches of `size` values; 0 gives all at once.
pub(crate) fn batches(values: &[f64], size: usize) -> std::slice::Chunks<'_, f64> {
    values.chunks(if size == 0 { values.len().max(1) } else { size })
}

/// Nanoseconds a call, the best of some rounds of `calls`.
pub(crate) fn best_ns(calls: u32, mut call: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        for _ in 0..calls {
            call();
        }
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

fn answer<S: Sketch>(job: &AnswerJob, streams: &mut Streams) -> Result<Value, Failure> {
    let (values, weights) = streams.weighted(&job.stream, job.weights.as_deref())?;
    let mut sketch = S::new(&job.setup)?;
    let mut refused = 0;
    let mut place = 0;
    for batch in batches(&values, job.batch) {
        refused += match &weights {
            Some(weights) => sketch.add_weighted(batch, &weights[place..][..batch.len()])?,
            None => sketch.add(batch),
        };
        place += batch.len();
    }
    sketch.finish();
    let mut read = vec![0.0; job.ranks.len()];
    sketch.reader()(&job.ranks, &mut read);
    Ok(json!({"bytes": sketch.serialized_bytes()?, "refused": refused, "values": read}))
}

fn insert<S: Sketch>(job: &FeedJob, streams: &mut Streams) -> Result<Value, Failure> {
    let values = streams.values(&job.stream)?;
    let values = if job.values == 0 { &values[..] } else { &values[..job.values] };
    let start = Instant::now();
    let mut sketch = S::new(&job.setup)?;
    let mut refused = 0;
    for batch in batches(values, job.batch) {
        refused += sketch.add(batch);
    }
    sketch.finish();
    let took = start.elapsed();
    // Read it, so that nothing above can be left out.
    let mut read = [0.0];
    sketch.reader()(&[0.5], &mut read);
    Ok(json!({
        "ns": took.as_nanos() as f64 / values.len() as f64, "refused": refused, "median": read[0],
    }))
}

/// Finished digests of consecutive parts of a stream, `each` values long, round and round.
fn parts<S: Sketch>(
    setup: &Setup,
    values: &[f64],
    parts: usize,
    each: usize,
) -> Result<Vec<S>, Failure> {
    let whole = values.chunks_exact(each);
    if whole.len() == 0 {
        return Err(format!("a part of {each} values needs a longer stream").into());
    }
    whole
        .cycle()
        .take(parts)
        .map(|part| {
            let mut sketch = fed::<S>(setup, part)?;
            sketch.finish();
            Ok(sketch)
        })
        .collect()
}

fn fed<S: Sketch>(setup: &Setup, values: &[f64]) -> Result<S, Failure> {
    let mut sketch = S::new(setup)?;
    let _ = sketch.add(values);
    Ok(sketch)
}

fn merge<S: Sketch>(job: &MergeJob, streams: &mut Streams) -> Result<Value, Failure> {
    let values = streams.values(&job.stream)?;
    let mut parts = parts::<S>(&job.setup, &values, job.parts, job.each)?;
    let part_bytes = parts[0].serialized_bytes()?;
    let start = Instant::now();
    let mut merged = S::merge(&mut parts, &job.setup)?;
    merged.finish();
    let took = start.elapsed();
    let mut read = vec![0.0; job.ranks.len()];
    merged.reader()(&job.ranks, &mut read);
    Ok(json!({
        "us": took.as_nanos() as f64 / 1e3,
        "part_bytes": part_bytes,
        "bytes": merged.serialized_bytes()?,
        "values": read,
    }))
}

fn query<S: Sketch>(job: &QueryJob, streams: &mut Streams) -> Result<Value, Failure> {
    let values = streams.values(&job.stream)?;
    let mut sketch = fed::<S>(&job.setup, &values)?;
    sketch.finish();
    let mut read = vec![0.0; job.ranks.len()];
    let reader = sketch.reader();
    let ns = best_ns(100, || reader(black_box(&job.ranks), black_box(&mut read)));
    Ok(json!({"ns": ns}))
}

fn resident<S: Sketch>(job: &ResidentJob, streams: &mut Streams) -> Result<Value, Failure> {
    let values = streams.values(&job.stream)?;
    // Not finished: what can still be added to is weighed, ours beside the peers'.
    let hold = |digests| -> Result<Vec<S>, Failure> {
        let parts = values.chunks_exact(job.each).cycle().take(digests);
        parts.map(|part| fed(&job.setup, part)).collect()
    };
    // Once beforehand: tables that all digests share are not a digest's memory.
    drop(hold(2)?);
    let before = resident_bytes()?;
    let held = hold(job.digests)?;
    let after = resident_bytes()?;
    let bytes = after.saturating_sub(before) as f64 / held.len() as f64;
    Ok(json!({"bytes": bytes}))
}

/// Memory of this process, as the kernel counts it.
fn resident_bytes() -> Result<u64, Failure> {
    const PAGE: u64 = 4096;
    let status = std::fs::read_to_string("/proc/self/statm")?;
    let pages = status.split(' ').nth(1).ok_or("/proc/self/statm has no second field")?;
    Ok(pages.parse::<u64>()? * PAGE)
}
