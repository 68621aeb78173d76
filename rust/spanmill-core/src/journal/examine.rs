//! The journal as `spanmill doctor` sees it, and what it may do to it when told.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::frame::END;
use super::read::{Damage, Found, Torn, walk};
use super::segment::{SEGMENT_HEAD, SegmentHead, failed, log_path, logs};
use super::{Lsn, Weakened};
use crate::disk::{Disk, Mode};
use crate::error::{Error, Result};
use crate::file::STAGED;

/// Bytes copied at a time.
const COPIED: usize = 1 << 20;

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ExaminedSegment {
    pub path: PathBuf,
    pub first: Lsn,
    /// `None` where it holds no record that reads.
    pub last: Option<Lsn>,
    /// Records that read.
    pub records: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of what the records say.
    pub payload_bytes: u64,
}

/// What is in the journal's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Examined {
    pub segments: Vec<ExaminedSegment>,
    /// Where a crash tore the log: normal, nothing behind it was acknowledged.
    pub torn: Option<Torn>,
    /// Records that were durable and do not read, in order.
    pub damage: Vec<Damage>,
    /// The record that would be written next.
    pub next: Lsn,
}

impl Examined {
    /// The first damage that no checkpoint makes good.
    pub(crate) fn harm(&self, after: Lsn) -> Option<&Damage> {
        self.damage.iter().find(|damage| damage.last > after)
    }
}

/// What [`repair`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Repaired {
    /// First and last record given up; `None` where nothing had to be.
    pub given_up: Option<(Lsn, Lsn)>,
    /// Copies of what was changed or taken out.
    pub kept: Vec<PathBuf>,
}

/// Look at everything, change nothing. `after` is the last record that a checkpoint holds.
///
/// # Errors
///
/// [`crate::error::Error::Layout`], [`crate::error::Error::Folder`]; damage is none, it is reported.
pub(crate) fn examine(disk: &dyn Disk, folder: &Path, after: Lsn) -> Result<Examined> {
    let mut examined = Examined::default();
    let start = logs(disk, folder)?.first().map_or(after, |first| Lsn(first.0 - 1));
    examined.next = walk(disk, folder, start.min(after), Weakened::default(), &mut |found| {
        examined.see(found);
        Ok(())
    })?
    .max(after.next());
    Ok(examined)
}

impl Examined {
    fn see(&mut self, found: Found<'_>) {
        match found {
            Found::Segment { path, first, bytes } => self.segments.push(ExaminedSegment {
                path: path.to_path_buf(),
                first,
                last: None,
                records: 0,
                bytes,
                payload_bytes: 0,
            }),
            Found::Record { lsn, payload, .. } => {
                if let Some(segment) = self.segments.last_mut() {
                    segment.last = Some(lsn);
                    segment.records += 1;
                    segment.payload_bytes += payload.len() as u64;
                }
            }
            Found::Damage(damage) => self.damage.push(damage),
            Found::Torn(torn) => self.torn = Some(torn),
        }
    }
}

/// Cut the log where it is damaged: what comes after may build on what is lost. Copies of
/// everything that is changed stay beside it.
///
/// # Errors
///
/// Those of [`examine`]. It can be run again: a cut that was interrupted left the log
/// damaged where it was, or cut.
pub(crate) fn repair(disk: &dyn Disk, folder: &Path, after: Lsn) -> Result<Repaired> {
    let examined = examine(disk, folder, after)?;
    let Some(harm) = examined.harm(after) else {
        return Ok(Repaired::default());
    };
    let last = examined.segments.iter().filter_map(|it| it.last).max().unwrap_or(harm.last);
    let given_up = (harm.first.max(after.next()), last.max(harm.last));
    let mut kept = Vec::new();
    // From the last on: whatever a crash leaves is the log without its end.
    for segment in examined.segments.iter().rev() {
        if segment.path == harm.path && harm.offset > 0 {
            kept.push(cut(disk, folder, segment, harm.offset)?);
            break;
        }
        let aside = aside(disk, folder, segment.first)?;
        disk.rename(&segment.path, &aside).map_err(failed(&segment.path))?;
        disk.sync_dir(folder).map_err(failed(folder))?;
        kept.push(aside);
        if segment.path == harm.path {
            break;
        }
    }
    kept.reverse();
    Ok(Repaired { given_up: Some(given_up), kept })
}

/// A name that nothing has yet, for a segment taken out.
fn aside(disk: &dyn Disk, folder: &Path, first: Lsn) -> Result<PathBuf> {
    let names = disk.list(folder).map_err(failed(folder))?;
    let stem = format!("{:020}.damaged", first.0);
    let numbered = (2..).map(|number| format!("{stem}-{number}"));
    let free = std::iter::once(stem.clone()).chain(numbered).find(|name| !names.contains(name));
    Ok(folder.join(free.unwrap_or(stem)))
}

/// End a segment at `offset`; where its copy is.
fn cut(disk: &dyn Disk, folder: &Path, segment: &ExaminedSegment, offset: u64) -> Result<PathBuf> {
    let aside = aside(disk, folder, segment.first)?;
    copy(disk, &segment.path, &aside, segment.bytes, None)?;
    let mut bytes = [0; SEGMENT_HEAD];
    let source = disk.open(&segment.path, Mode::Read).map_err(failed(&segment.path))?;
    source.read_at(0, &mut bytes).map_err(failed(&segment.path))?;
    let what = "has a head that does not read";
    let head = SegmentHead::read(&bytes).map_err(|_| Error::Damaged {
        path: segment.path.clone(),
        offset: 0,
        what,
    })?;
    let head = SegmentHead { size: offset + END.len() as u64, ..head };
    copy(disk, &segment.path, &log_path(folder, segment.first), offset, Some(head))?;
    Ok(aside)
}

/// Copy the first `length` bytes, durably; `head` instead of the one it has, and the end of
/// the log behind.
fn copy(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    length: u64,
    head: Option<SegmentHead>,
) -> Result<()> {
    let mut staged = to.as_os_str().to_owned();
    staged.push(STAGED);
    let staged = PathBuf::from(staged);
    let source = disk.open(from, Mode::Read).map_err(failed(from))?;
    let target = disk.open(&staged, Mode::Create).map_err(failed(&staged))?;
    let mut bytes = Vec::new();
    for at in (0..length).step_by(COPIED) {
        bytes.resize(COPIED.min((length - at) as usize), 0);
        source.read_at(at, &mut bytes).map_err(failed(from))?;
        target.write_at(at, &bytes).map_err(failed(&staged))?;
    }
    if let Some(head) = head {
        bytes.clear();
        head.put(&mut bytes);
        target.write_at(0, &bytes).map_err(failed(&staged))?;
        target.write_at(length, &END).map_err(failed(&staged))?;
    }
    target.sync().map_err(failed(&staged))?;
    disk.rename(&staged, to).map_err(failed(to))?;
    let folder = to.parent().unwrap_or(Path::new("."));
    disk.sync_dir(folder).map_err(failed(folder))
}
