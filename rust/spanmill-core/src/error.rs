//! What can go wrong, with the numbers an operator needs.

use std::path::PathBuf;

/// Every failure the core reports. Bad input is one of these; a broken invariant of ours panics.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Input is not valid OTLP. The whole request is refused, nothing was folded.
    #[error("not valid OTLP at byte {offset}: {reason}")]
    Wire {
        /// Where the walker stopped, bytes from the start of the request.
        offset: usize,
        /// What was wrong there.
        reason: &'static str,
    },
    /// A `SpanBatch` is not one that can be taken. Nothing of it was folded.
    #[error("not a valid SpanBatch: {0}")]
    SpanBatch(String),
    /// A `SpanBatch` builds on entries of its sender's dictionary that we do not have, as after
    /// a restart of ours. Nothing was folded.
    #[error(
        "resend dictionary: the batch builds on {wanted} entries of this producer and epoch, and \
         {known} are known here; send it again with all of them, from dict_base 0"
    )]
    Dictionary {
        /// `dict_base` of the batch.
        wanted: usize,
        /// Entries we have.
        known: usize,
    },
    /// The request is longer than `limits.request_bytes`.
    #[error("request of {bytes} B is over limits.request_bytes = {limit} B; send smaller batches")]
    TooLarge {
        /// Length of the request.
        bytes: usize,
        /// The configured limit.
        limit: usize,
    },
    /// The configuration names something the core does not have.
    #[error("{0}")]
    Config(String),
    /// A query names an unknown measure, dimension, view or objective.
    #[error("unknown {what} {name:?}; there are: {known}")]
    Unknown {
        /// `measure`, `dimension`, `view` or `objective`.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What exists, comma-separated.
        known: String,
    },
    /// A query is out of range.
    #[error("{0}")]
    Request(String),
    /// Another process holds the data folder.
    #[error("data folder {} is in use by another daemon; stop it, or set another data_dir", .0.display())]
    FolderInUse(PathBuf),
    /// The data folder cannot be used.
    #[error("data folder {}: {source}; check that it exists and is writable", .path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file of ours does not read. The daemon refuses to start on it.
    #[error(
        "{} {what} at byte {offset}; run `spanmill doctor --data-dir DIR` to see what is affected",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where reading stopped, bytes from the start of the file.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Records of the journal that were acknowledged do not read, and later ones do.
    #[error(
        "{} does not read at byte {offset}, where records {first} to {last} were; run \
         `spanmill doctor --data-dir DIR`: it says what is affected and what can be done",
        .path.display()
    )]
    JournalDamaged {
        /// The segment.
        path: PathBuf,
        /// Where reading stopped, bytes from the start of the file.
        offset: u64,
        /// First record lost.
        first: u64,
        /// Last record lost.
        last: u64,
    },
    /// A file was written by a version whose layout this one does not read.
    #[error(
        "{} has layout {found}, and this version reads {wanted}; start the version that wrote it, \
         or move data_dir away to begin anew",
        .path.display()
    )]
    Layout {
        /// The file.
        path: PathBuf,
        /// Frame version, kind and layout in the file.
        found: String,
        /// Those that this version reads.
        wanted: String,
    },
    /// There are checkpoints, and none of them reads.
    #[error(
        "no checkpoint in {} reads: {found}; run `spanmill doctor --data-dir DIR` to see what is \
         affected",
        .folder.display()
    )]
    NoCheckpoint {
        /// The folder of checkpoints.
        folder: PathBuf,
        /// Each with what is wrong.
        found: String,
    },
    /// The journal cannot be written: nothing may be acknowledged any more.
    #[error(
        "journal {}: {source}; acknowledging nothing more: restart the daemon once the disk is well, \
         it replays what was acknowledged",
        .path.display()
    )]
    Journal {
        /// The segment.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A record of the journal does not read, though its checksum is right.
    #[error(
        "journal record {lsn} {what}; run `spanmill doctor --data-dir DIR` to see what is affected"
    )]
    Record {
        /// Its number.
        lsn: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The operating system gives us no thread.
    #[error("cannot start a thread: {0}; raise the limit on processes")]
    Thread(std::io::Error),
    /// There is no room in the journal. Nothing was folded.
    #[error(
        "no room for {wanted} B in the journal of {}: the disk is full; free some of it, events wait \
         at their senders",
        .path.display()
    )]
    Full {
        /// The journal's folder.
        path: PathBuf,
        /// Bytes that were to be written.
        wanted: usize,
    },
    /// The journal's next segment is not ready. Nothing was folded.
    #[error("no room for {wanted} B in the journal yet: it is being made, send again at once")]
    Preparing {
        /// Bytes that were to be written.
        wanted: usize,
    },
    /// A batch id came again with other content. Nothing was folded.
    #[error("batch id {0:?} was used for other content before; give each batch an id of its own")]
    BatchConflict(String),
    /// A batch is numbered so far behind its producer's newest that nobody knows whether it was here.
    #[error(
        "the batch's number is too far behind its producer's newest to tell whether it was counted; \
         give up on it, or begin a new epoch"
    )]
    Forgotten,
    /// Most sources are ahead of our clock, so it is ours that is in doubt. Nothing was folded.
    #[error(
        "{ahead} of {of} sources seen in the last minute are more than window.future_skew ahead of \
         this daemon's clock, which is the suspect; set the clock, events wait at their senders"
    )]
    ClockSuspect {
        /// Sources ahead of our clock.
        ahead: usize,
        /// Sources seen.
        of: usize,
    },
    /// The engine was closed.
    #[error("the engine is closed")]
    Closed,
}

/// When a request refused for a clock in doubt may come again, seconds: clocks are not set sooner.
const CLOCK_RETRY_S: f64 = 5.0;

/// When a request refused for a full disk may come again, seconds: it takes a person to make room.
const FULL_RETRY_S: f64 = 10.0;

/// When a request may come again that found the next segment not ready, seconds.
const PREPARING_RETRY_S: f64 = 0.1;

impl Error {
    /// A word for what a request was refused for, as metrics count it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::ClockSuspect { .. } => "clock_suspect",
            Self::BatchConflict(_) => "batch_conflict",
            Self::Forgotten => "forgotten",
            Self::Full { .. } => "disk_full",
            Self::Preparing { .. } => "journal_preparing",
            Self::Journal { .. } => "journal_failed",
            Self::Wire { .. } | Self::SpanBatch(_) => "malformed",
            Self::Dictionary { .. } => "dictionary_unknown",
            _ => "internal",
        }
    }

    /// Seconds after which the same request may succeed; `None` where it never will.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<f64> {
        match self {
            Self::ClockSuspect { .. } => Some(CLOCK_RETRY_S),
            Self::Full { .. } => Some(FULL_RETRY_S),
            Self::Preparing { .. } => Some(PREPARING_RETRY_S),
            _ => None,
        }
    }
}

/// Result with the core's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
