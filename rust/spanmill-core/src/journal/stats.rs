//! What the journal did so far, for metrics.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::{Journal, Lsn};

/// Steps of a histogram: powers of two.
pub(crate) const STEPS: usize = 24;

/// Counts of values by size: the n-th of those in [2^(n-1), 2^n), the first of 0, the last
/// of all above.
pub(crate) type Histogram = [u64; STEPS];

fn step(value: u64) -> usize {
    ((u64::BITS - value.leading_zeros()) as usize).min(STEPS - 1)
}

/// Totals since the journal was opened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    bytes: u64,
    records: u64,
    groups: Histogram,
    syncs: u64,
    sync_ns: u64,
    sync_us: Histogram,
}

impl Counters {
    pub(super) fn wrote(&mut self, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
        self.groups[step(records)] += 1;
    }

    pub(super) fn synced(&mut self, took_ns: i64) {
        let took_ns = took_ns.max(0).unsigned_abs();
        self.syncs += 1;
        self.sync_ns += took_ns;
        self.sync_us[step(took_ns / 1_000)] += 1;
    }
}

/// How the journal is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JournalStats {
    /// Bytes written since it was opened.
    pub bytes: u64,
    /// Records written since.
    pub records: u64,
    /// Groups by their number of records.
    pub groups: Histogram,
    /// Syncs of segments.
    pub syncs: u64,
    /// Time in them, nanoseconds.
    pub sync_ns: u64,
    /// Syncs by their time, microseconds.
    pub sync_us: Histogram,
    /// Segments that hold records.
    pub segments: usize,
    /// Their bytes on the disk.
    pub segment_bytes: u64,
    /// Segments that wait to be used.
    pub spares: usize,
    /// Bytes that records can still be given without asking the disk.
    pub free_bytes: u64,
    /// Whether the disk had no room for another segment when last asked.
    pub full: bool,
    /// Why nothing is acknowledged any more.
    pub failed: Option<String>,
    /// Last durable record.
    pub durable: Lsn,
}

impl Journal {
    /// How it is.
    pub(crate) fn stats(&self) -> JournalStats {
        let counters = *self.counters.lock();
        let (segments, segment_bytes) = {
            let named = self.named.lock();
            (named.len(), named.iter().map(|it| it.size).sum())
        };
        let (spares, free_bytes) = {
            let queue = self.queue.lock();
            (queue.spares(), queue.room())
        };
        JournalStats {
            bytes: counters.bytes,
            records: counters.records,
            groups: counters.groups,
            syncs: counters.syncs,
            sync_ns: counters.sync_ns,
            sync_us: counters.sync_us,
            segments,
            segment_bytes,
            spares,
            free_bytes,
            full: self.full.load(Ordering::Relaxed),
            failed: self.failed.get().map(|failure| failure.error().to_string()),
            durable: self.durable(),
        }
    }
}
