//! What the frames of the journal hold: batches with their verdicts, and every other decision.
//!
//! A record says everything that was decided at the sequencing point, so that a replay
//! decides nothing: it reads the columns back and applies them as ingest did.

mod accounts;
mod batch;
mod column;
mod decision;
mod definition;
#[cfg(test)]
mod rig;
mod trial;

pub(crate) use batch::{Head, bytes_max, decode, encode};
pub(crate) use decision::{Duplicate, Retire, Seal, Watermark};
pub(crate) use definition::{Defined, Definitions, Identity};
pub use trial::RecordTrial;

/// What a record is of, as its frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A batch's events: [`encode`].
    Batch = 1,
    /// A batch that was there before: [`Duplicate`].
    Duplicate = 2,
    /// The watermark's advance after a silence: [`Watermark`].
    Watermark = 3,
    /// Buckets become sealed: [`Seal`].
    Seal = 4,
    /// Ids are let go: [`Retire`].
    Retire = 5,
}

impl Kind {
    /// The kind that a frame says; `None` where this version has no such kind.
    pub(crate) fn of(number: u8) -> Option<Self> {
        let kinds = [Self::Batch, Self::Duplicate, Self::Watermark, Self::Seal, Self::Retire];
        kinds.into_iter().find(|kind| *kind as u8 == number)
    }
}
