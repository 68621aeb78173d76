//! spanmill's digest: the contender, and what only it is asked.

use std::hint::black_box;
use std::time::Instant;

use serde_json::{Value, json};
use spanmill_core::digest::{Builder, Digest, OpenDigest, Reader, Transform};

use crate::Failure;
use crate::measure::{batches, best_ns};
use crate::request::{FeedJob, QueryJob, Setup, Streams, WaysJob};
use crate::sketch::Sketch;

/// A builder while values come, a digest once finished or merged.
pub(crate) enum Ours {
    /// Still taking values.
    Builder(Box<Builder>),
    /// Sealed.
    Digest(Digest),
}

const FINISHED: &str = "a digest is finished once";

impl Ours {
    fn builder(&mut self) -> Result<&mut Builder, Failure> {
        match self {
            Self::Builder(builder) => Ok(builder),
            Self::Digest(_) => Err(FINISHED.into()),
        }
    }

    fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Builder(_) => None,
            Self::Digest(digest) => Some(digest),
        }
    }
}

fn builder(setup: &Setup) -> Result<Builder, Failure> {
    let transform = if setup.wide { Transform::Wide } else { Transform::Standard };
    Ok(Builder::new(transform, setup.parameter as usize)?)
}

impl Sketch for Ours {
    const NAME: &'static str = "spanmill";
    const PARAMETER: &'static str = "max_bytes";
    const DEFAULT: f64 = 1600.0;
    const WEIGHTED: bool = true;

    fn parameters() -> Vec<f64> {
        vec![1600.0]
    }

    fn new(setup: &Setup) -> Result<Self, Failure> {
        Ok(Self::Builder(Box::new(builder(setup)?)))
    }

    fn add(&mut self, values: &[f64]) -> u64 {
        self.builder().expect(FINISHED).add(values)
    }

    fn add_weighted(&mut self, values: &[f64], weights: &[u64]) -> Result<u64, Failure> {
        Ok(self.builder()?.add_weighted(values, weights)?)
    }

    fn finish(&mut self) {
        if let Self::Builder(builder) = self {
            *self = Self::Digest(builder.seal());
        }
    }

    fn merge(parts: &mut Vec<Self>, _setup: &Setup) -> Result<Self, Failure> {
        Ok(Self::Digest(Digest::merge_for_query(parts.iter().filter_map(Self::digest))))
    }

    fn reader(&self) -> impl Fn(&[f64], &mut [f64]) {
        let reader = self.digest().and_then(Digest::reader);
        move |ranks, out| read(reader.as_ref(), ranks, out)
    }

    fn serialized_bytes(&self) -> Result<usize, Failure> {
        Ok(self.digest().ok_or("a digest is finished before it is weighed")?.to_bytes().len())
    }
}

fn read(reader: Option<&Reader>, ranks: &[f64], out: &mut [f64]) {
    for (value, rank) in out.iter_mut().zip(ranks) {
        *value = reader.map_or(f64::NAN, |reader| reader.quantile(*rank).value);
    }
}

/// Nanoseconds a value into one open bucket, as the engine adds them.
pub(crate) fn open_insert(job: &FeedJob, streams: &mut Streams) -> Result<Value, Failure> {
    let values = streams.values(&job.stream)?;
    let values = if job.values == 0 { &values[..] } else { &values[..job.values] };
    let start = Instant::now();
    let mut open = OpenDigest::default();
    for batch in batches(values, job.batch) {
        open.add_all(batch);
    }
    let took = start.elapsed();
    let count = black_box(open.seal()).count();
    Ok(json!({"ns": took.as_nanos() as f64 / values.len() as f64, "count": count}))
}

/// Sealed buckets as the engine keeps them: at most 200 centroids of 8 B, 1,600 B in memory.
fn stored(values: &[f64], ways: usize, each: usize) -> Result<Vec<Digest>, Failure> {
    let whole = values.chunks_exact(each);
    if whole.len() == 0 {
        return Err(format!("a part of {each} values needs a longer stream").into());
    }
    let sealed = |part| {
        let mut open = OpenDigest::default();
        open.add_all(part);
        open.seal()
    };
    Ok(whole.cycle().take(ways).map(sealed).collect())
}

/// Nanoseconds a centroid to merge digests for a query.
pub(crate) fn merge_ways(job: &WaysJob, streams: &mut Streams) -> Result<Value, Failure> {
    let values = streams.values(&job.stream)?;
    let parts = stored(&values, job.ways, job.each)?;
    let centroids: usize = parts.iter().map(|part| part.centroids().count()).sum();
    let part_bytes = parts[0].heap_bytes();
    let took = best_ns(1, || drop(black_box(Digest::merge_for_query(black_box(&parts)))));
    Ok(json!({
        "us": took / 1e3,
        "ns_per_centroid": took / centroids as f64,
        "centroids": centroids,
        "part_bytes": part_bytes,
    }))
}

/// Calls in a round of what takes microseconds.
const CALLS: u32 = 10;

fn best_us(call: impl FnMut()) -> f64 {
    best_ns(CALLS, call) / 1e3
}

/// Microseconds to write and read our bytes, to build a reader, and to read without a cached one.
pub(crate) fn codec(job: &QueryJob, streams: &mut Streams) -> Result<Value, Failure> {
    let values = streams.values(&job.stream)?;
    let mut builder = builder(&job.setup)?;
    let _ = builder.add(&values);
    let sealed = builder.seal();
    let bytes = sealed.to_bytes();
    if Digest::from_bytes(&bytes)? != sealed {
        return Err("a digest is not what its bytes say".into());
    }
    Ok(json!({
        "bytes": bytes.len(),
        "memory_bytes": size_of::<Digest>() + sealed.heap_bytes(),
        "seal_us": best_us(|| drop(black_box(builder.seal()))),
        "to_bytes_us": best_us(|| drop(black_box(sealed.to_bytes()))),
        "from_bytes_us": best_us(|| drop(black_box(Digest::from_bytes(black_box(&bytes))))),
        "reader_us": best_us(|| drop(black_box(sealed.reader()))),
        "quantiles_us": best_us(|| drop(black_box(sealed.quantiles(black_box(&job.ranks))))),
    }))
}
