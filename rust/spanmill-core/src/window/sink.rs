//! Where sealed buckets go to be kept for good: the one door out of memory.

use crate::error::Result;

/// One sealed bucket of the finest tier, as it leaves.
#[derive(Debug, Clone, Copy)]
pub struct SealedBucket<'a> {
    /// View whose series it is of.
    pub view: &'a str,
    /// Id of the series by its dimensions' values: the same in every process and run.
    pub series: i64,
    /// Start of the bucket, Unix seconds; it is [`BUCKET_S`](super::BUCKET_S) wide.
    pub start_s: i64,
    /// One digest a measure of the view, in its order, as `Digest::to_bytes` writes them.
    pub digests: &'a [Vec<u8>],
}

/// Takes every sealed bucket once, from one thread at a time.
///
/// Within one call of `Engine::tick` buckets come view by view, ordered by start and
/// then by series: the same events give the same calls, whatever order they arrived in.
pub trait SealSink: Send {
    /// Take one bucket.
    ///
    /// # Errors
    ///
    /// Whatever kept it from being written; `Engine::tick` passes it on.
    fn sealed(&mut self, bucket: SealedBucket<'_>) -> Result<()>;
}
