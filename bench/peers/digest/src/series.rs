//! Open buckets by the thousand: what the rate becomes when caches no longer hold them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spanmill_core::digest::OpenDigest;

use crate::Failure;
use crate::request::{SeriesJob, Streams};

/// Places of the counting sort; series whose numbers agree in the low bits share one.
const PLACES: usize = 4096;

/// Steps of a full-period generator that leaves no pattern in the high bits.
///
/// Source: G. Steele et al., "Fast splittable pseudorandom number generators" (2014).
fn mixed(step: u64) -> u64 {
    let mut z = step.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Scratch that outlives a batch.
struct Grouping {
    starts: Vec<u32>,
    series: Vec<u32>,
    values: Vec<f64>,
}

impl Grouping {
    fn new(batch: usize) -> Self {
        Self { starts: vec![0; PLACES + 1], series: vec![0; batch], values: vec![0.0; batch] }
    }

    /// Bring values of one series together: one counting sort, two passes.
    fn group(&mut self, series: &[u32], values: &[f64]) {
        self.starts.fill(0);
        for one in series {
            self.starts[*one as usize % PLACES + 1] += 1;
        }
        let mut total = 0;
        for start in &mut self.starts {
            total += *start;
            *start = total;
        }
        for (one, value) in series.iter().zip(values) {
            let next = &mut self.starts[*one as usize % PLACES];
            self.series[*next as usize] = *one;
            self.values[*next as usize] = *value;
            *next += 1;
        }
    }
}

/// Time `values` values over `series` open buckets, in batches, then sealing them all.
pub(crate) fn run(job: &SeriesJob, streams: &mut Streams) -> Result<Value, Failure> {
    let stream = streams.values(&job.stream)?;
    let mut open = vec![OpenDigest::default(); job.series];
    let mut grouping = Grouping::new(job.batch);
    let (mut series, mut values) = (vec![0; job.batch], vec![0.0; job.batch]);
    let (mut grouped, mut added) = (Duration::ZERO, Duration::ZERO);
    let batches = job.values / job.batch;
    for batch in 0..batches {
        for place in 0..job.batch {
            let step = batch * job.batch + place;
            series[place] = (mixed(step as u64) % job.series as u64) as u32;
            values[place] = stream[step % stream.len()];
        }
        let start = Instant::now();
        grouping.group(&series, &values);
        grouped += start.elapsed();
        let start = Instant::now();
        add(&mut open, &grouping);
        added += start.elapsed();
    }
    let total = (batches * job.batch) as f64;
    let bytes: usize = open.iter().map(|one| size_of::<OpenDigest>() + one.heap_bytes()).sum();
    let start = Instant::now();
    let sealed: u64 = open.iter().map(|one| black_box(one.seal()).count()).sum();
    let seal = start.elapsed();
    Ok(json!({
        "group_ns": grouped.as_nanos() as f64 / total,
        "add_ns": added.as_nanos() as f64 / total,
        "seal_ns": seal.as_nanos() as f64 / total,
        "bytes_per_series": bytes as f64 / job.series as f64,
        "count": sealed,
    }))
}

fn add(open: &mut [OpenDigest], grouping: &Grouping) {
    let mut values = &grouping.values[..];
    for run in grouping.series.chunk_by(|a, b| a == b) {
        let (taken, left) = values.split_at(run.len());
        open[run[0] as usize].add_all(taken);
        values = left;
    }
}
