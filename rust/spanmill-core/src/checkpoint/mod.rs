//! Checkpoints: all that the journal says up to one record, so that what is before it may go.
//!
//! A checkpoint is a `manifest`: everything small, and the names of the files that hold
//! the rest. `write` makes one while events go on, its cost being that of what is new;
//! `load` finds the newest that reads and puts it back, also under a configuration that
//! has `changed`. The last two are kept, and the journal since the older one, so that a
//! damaged file loses nothing. `counters` writes what objectives count, `names` says what
//! files are called and which go, `examine` is what `spanmill doctor` shows.
//!
//! Record first, unlink second: a file goes once a checkpoint that does not need it is durable.

mod changed;
mod counters;
mod examine;
mod load;
mod manifest;
mod names;
mod write;

use std::io;
use std::path::Path;

use crate::error::Error;

pub(crate) use examine::{Examined, examine};
pub(crate) use load::{Loaded, load};
pub(crate) use write::{Checkpointer, Parts, Progress, Report, Sealed};

/// Folder of manifests, in the data folder.
pub(crate) const FOLDER: &str = "checkpoint";

fn failed(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    |source| Error::Folder { path: path.to_path_buf(), source }
}
