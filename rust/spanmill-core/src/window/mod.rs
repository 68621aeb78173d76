//! Event-time buckets: open ones fill, the watermark seals them, sealed ones are merged upwards.
//!
//! [`WindowStore`] holds a view's series in shards. A series is its open buckets
//! (`open`) and, once something was sealed, a ring of sealed ones for each tier
//! (`rings`, `sealed`). `seal` moves buckets on without holding up ingest, `parts` sets
//! open ones aside for a checkpoint, which `edge` writes and reads, and `kept` says what is held, what to demote first, and so what can be answered.

mod beyond;
mod demotion;
mod describe;
mod edge;
mod kept;
mod late;
mod open;
mod parts;
mod restore;
#[cfg(test)]
mod rig;
mod rings;
mod seal;
mod sealed;
mod series;
mod sink;
mod slice;
mod store;
mod visit;

pub(crate) use beyond::{Due, OnDisk, Stretch};
pub use demotion::{Demotion, demote};
pub(crate) use edge::{EDGE, Target, load as load_edge, save as save_edge};
pub(crate) use kept::USES;
pub use kept::{Held, Kept, Use};
pub(crate) use parts::{Edge, Totals};
pub(crate) use rings::Rings;
pub(crate) use seal::Leaf;
pub(crate) use sealed::{OneDigest, Sealed, exact_digests};
pub use sink::{SealSink, SealedBucket};
pub(crate) use slice::Gathered;
pub(crate) use store::SHARDS;
pub use store::{ByShard, Footprint, NOT_TAKEN, Rows, WindowStore};
pub(crate) use visit::{Piece, Steps};

/// One width of buckets and how many are kept.
pub(crate) struct Tier {
    /// As metrics and documents call it.
    pub name: &'static str,
    /// Bucket width, seconds.
    pub width_s: i64,
    /// Sealed buckets kept.
    pub slots: i64,
    /// Tier that its buckets are merged from.
    pub from: usize,
}

/// Finest first.
///
/// Each is merged from the finest tier that still holds all of its parts, so
/// that no value passes more than three merges, a query's included.
pub(crate) const TIERS: [Tier; 5] = [
    Tier { name: "10s", width_s: BUCKET_S, slots: 36, from: 0 },
    Tier { name: "1m", width_s: 60, slots: 66, from: 0 },
    Tier { name: "5m", width_s: 300, slots: 78, from: 0 },
    Tier { name: "1h", width_s: 3_600, slots: 76, from: 1 },
    Tier { name: "6h", width_s: 21_600, slots: 124, from: 2 },
];

/// Tiers that every series keeps; the wider ones are for those that an objective uses.
pub(crate) const RECENT: usize = 3;

/// Width of the finest bucket, seconds: windows are multiples of it.
pub const BUCKET_S: i64 = 10;

/// How far back distributions reach for a series that no objective uses, seconds.
pub(crate) const REACH_S: i64 = TIERS[RECENT - 1].width_s * TIERS[RECENT - 1].slots;

/// Bytes that one allocation of `bytes` takes from the system's allocator.
///
/// glibc's on 64 bits: a word of bookkeeping, in steps of two words. Others differ
/// little; leaving it out would miss a third of a small bucket.
pub(crate) fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + 8).next_multiple_of(16).max(32) }
}
