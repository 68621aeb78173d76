//! A view's windows for tests, beside twins that are never cut.

use super::store::WindowStore;
use super::{BUCKET_S, ByShard, Edge, Gathered, Kept, Leaf, Piece, Rows, Steps, Use};
use crate::clock::SECOND_NS;
use crate::digest::Digest;

/// A multiple of six hours, as a bucket number.
pub(super) const START: i64 = 1_795_219_200 / BUCKET_S;

/// Series of the tests: some share a shard.
pub(super) const SERIES: [u32; 5] = [3, 67, 131, 4, 68];

/// Ids are below this.
pub(super) const SERIES_END: u32 = 132;

pub(super) const MEASURES: usize = 2;

/// Events of one series and bucket: the second measure is in every third only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Burst {
    pub series: usize,
    /// Buckets after [`START`].
    pub bucket: i64,
    pub events: usize,
    /// Their values lie around this.
    pub size: f64,
}

/// Windows, and what is held of them.
pub(super) struct Windows {
    pub store: WindowStore,
    pub kept: Kept,
    pub cut: u64,
}

impl Windows {
    pub(super) fn new() -> Self {
        let store = WindowStore::new((0..MEASURES).collect(), MEASURES);
        Self { store, kept: Kept::default(), cut: 0 }
    }

    /// Fold a burst; how many were late.
    pub(super) fn push(&self, burst: Burst) -> u64 {
        let ends_ns = vec![(START + burst.bucket) * BUCKET_S * SECOND_NS; burst.events];
        let value = |event: usize| burst.size * ((100 + event * 7_919 % 1_009) as f64 / 100.0);
        let second =
            |event: usize| if event.is_multiple_of(3) { -(event as f64) } else { f64::NAN };
        let measures: Vec<f64> =
            (0..burst.events).flat_map(|event| [value(event), second(event)]).collect();
        let rows = Rows {
            ends_ns: &ends_ns,
            measures: &measures,
            stride: MEASURES,
            series: &vec![SERIES[burst.series]; burst.events],
            horizon_ns: i64::MIN,
            cut: self.cut,
        };
        let sealed = self.kept.sealed().unwrap_or(i64::MIN);
        self.store.apply(&rows, sealed, &mut ByShard::default())
    }

    /// Set the open edge aside; how it stood.
    pub(super) fn freeze(&mut self) -> Edge {
        self.cut += 1;
        self.store.freeze_all(self.cut)
    }

    /// Seal everything before `bucket`: what that was, as bytes, in order.
    pub(super) fn seal(&mut self, bucket: i64) -> Vec<(i64, u32, Vec<Vec<u8>>)> {
        let mut leaves: Vec<Leaf> = Vec::new();
        let through = START + bucket;
        self.store.seal_into(&self.kept, through, &|_| Use::Recent, Some(&mut leaves));
        self.kept = self.kept.advanced(through);
        let bytes = |leaf: &Leaf| (0..MEASURES).map(|m| leaf.bucket.digest(m).to_bytes()).collect();
        let finest = leaves.iter().filter(|leaf| leaf.tier == 0);
        let mut sealed: Vec<_> =
            finest.map(|leaf| (leaf.bucket.number(), leaf.series, bytes(leaf))).collect();
        sealed.sort_unstable();
        sealed
    }

    /// What a series holds in `buckets`: a digest a measure, and how many came too late.
    pub(super) fn answer(&self, series: usize, buckets: (i64, i64)) -> (Vec<Digest>, u64) {
        let start = (START + buckets.0) * BUCKET_S;
        let steps = Steps { start, step: (buckets.1 - buckets.0) * BUCKET_S, count: 1 };
        let mut gathered: Vec<Gathered> =
            (0..MEASURES).map(|measure| Gathered::new(measure, MEASURES)).collect();
        let mut late = 0;
        self.store.visit(&steps, &[SERIES[series]], &[], |_, _, piece| match piece {
            Piece::Events(slice) => gathered.iter_mut().for_each(|each| each.take(slice)),
            Piece::Late(events) => late += events,
        });
        (gathered.into_iter().map(Gathered::merge).collect(), late)
    }

    /// Events in the answer over everything.
    pub(super) fn count(&self, series: usize) -> u64 {
        self.answer(series, (0, 200)).0[0].count()
    }

    /// All of the answers over everything.
    pub(super) fn answers(&self) -> Vec<(Vec<Digest>, u64)> {
        (0..SERIES.len()).map(|series| self.answer(series, (0, 200))).collect()
    }
}
