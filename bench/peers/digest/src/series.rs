//! Open buckets by the thousand, in the engine's own store: what the rate becomes when
//! caches no longer hold them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spanmill_core::window::{ByShard, Kept, Rows, Use, WindowStore};

use crate::Failure;
use crate::request::{SeriesJob, Streams};

/// Measures of an event: those of the default view.
const MEASURES: usize = 6;
/// A multiple of six hours.
const START_S: i64 = 1_795_219_200;
const SECOND_NS: i64 = 1_000_000_000;
/// Width of an open bucket, seconds.
const BUCKET_S: i64 = 10;

/// Steps of a full-period generator that leaves no pattern in the high bits.
///
/// Source: G. Steele et al., "Fast splittable pseudorandom number generators" (2014).
fn mixed(step: u64) -> u64 {
    let mut z = step.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Time `values` values, six an event, over `series` open buckets, then sealing them all.
pub(crate) fn run(job: &SeriesJob, streams: &mut Streams) -> Result<Value, Failure> {
    let stream = streams.values(&job.stream)?;
    let store = WindowStore::new((0..MEASURES).collect(), MEASURES);
    let mut scratch = ByShard::default();
    let (mut series, mut measures) = (vec![0; job.batch], vec![0.0; job.batch * MEASURES]);
    let ends_ns = vec![START_S * SECOND_NS; job.batch];
    let mut added = Duration::ZERO;
    let batches = (job.values / MEASURES / job.batch).max(1);
    for batch in 0..batches {
        for (place, series) in series.iter_mut().enumerate() {
            *series = (mixed((batch * job.batch + place) as u64) % job.series as u64) as u32;
        }
        for (place, value) in measures.iter_mut().enumerate() {
            *value = stream[(batch * measures_of(job) + place) % stream.len()];
        }
        let rows = Rows {
            ends_ns: &ends_ns,
            measures: &measures,
            stride: MEASURES,
            series: &series,
            horizon_ns: i64::MIN,
        };
        let start = Instant::now();
        let late = store.apply(&rows, i64::MIN, &mut scratch);
        added += start.elapsed();
        assert_eq!(0, late, "nothing is sealed yet");
    }
    let total = (batches * measures_of(job)) as f64;
    let bytes = store.footprint().bytes();
    let start = Instant::now();
    store.seal(&Kept::default(), START_S / BUCKET_S + 1, &|_| Use::Recent);
    let seal = start.elapsed();
    let events: u64 = (0..job.series as u32).map(|series| store.events(series)).sum();
    Ok(json!({
        "add_ns": added.as_nanos() as f64 / total,
        "seal_ns": seal.as_nanos() as f64 / total,
        "bytes_per_series": bytes as f64 / job.series as f64,
        "count": events,
    }))
}

fn measures_of(job: &SeriesJob) -> usize {
    job.batch * MEASURES
}
