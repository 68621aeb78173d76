//! Counters on disk: each checkpoint writes those that are new since the last.
//!
//! A file has the counters changed after one cut and before another. As many of the
//! newest files as are not much longer than what is new become one with it: so there are
//! some twenty at most, and together they hold at most twice what is live.

use std::path::Path;

use super::names::{self, FileRef};
use crate::budget::{Objective, SavedGroup};
use crate::codec::{Read, Reader, Writer};
use crate::disk::Disk;
use crate::error::Result;
use crate::file::{BlockReader, BlockWriter, Kind};
use crate::journal::Lsn;

/// Folder of these files, in the data folder.
pub(super) const FOLDER: &str = "counters";

const KIND: Kind = Kind { number: 5, name: "counters", layout: 1 };

/// A file is at least this many times as long as all that come after it.
const RATIO: u64 = 2;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CounterFile {
    pub file: FileRef,
    /// It has what was changed after this cut …
    pub from: u64,
    /// … and before this.
    pub to: u64,
    /// Stretches of counters in it.
    pub chunks: u64,
}

impl CounterFile {
    pub(super) fn write(&self, out: &mut Writer) {
        self.file.write(out);
        out.varint(self.from);
        out.varint(self.to);
        out.varint(self.chunks);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Read<Self> {
        Ok(Self {
            file: FileRef::read(reader)?,
            from: reader.varint()?,
            to: reader.varint()?,
            chunks: reader.varint()?,
        })
    }
}

/// How many of the files stay when `fresh` stretches of counters are new.
fn staying(files: &[CounterFile], fresh: u64) -> usize {
    let mut after = fresh;
    let mut staying = files.len();
    while let Some(last) = staying.checked_sub(1).map(|last| &files[last])
        && last.chunks < RATIO * after
    {
        after += last.chunks;
        staying -= 1;
    }
    staying
}

/// Write what no file has of the counters as they stood at the cut; the files that hold all of them.
pub(super) fn save(
    (disk, data_dir): (&dyn Disk, &Path),
    objectives: &[&Objective],
    lsn: Lsn,
    files: &[CounterFile],
) -> Result<Vec<CounterFile>> {
    let cut = lsn.0;
    let fresh: u64 = objectives.iter().map(|objective| objective.begin_pass(cut)).sum();
    let kept = &files[..staying(files, fresh)];
    let from = kept.last().map_or(0, |last| last.to);
    let name = names::fresh(disk, data_dir, FOLDER, (lsn, "ctr"))?;
    let path = data_dir.join(&name);
    let mut writer = None;
    let mut out = Writer::default();
    let mut chunks = 0;
    for (number, objective) in objectives.iter().enumerate() {
        chunks += objective.save(number, from, &mut out, &mut |out| match &mut writer {
            _ if out.0.is_empty() => Ok(()),
            Some(writer) => BlockWriter::spill(writer, out),
            none => none.insert(BlockWriter::create(disk, &path, KIND)?).spill(out),
        })?;
    }
    let Some(mut writer) = writer else { return Ok(files.to_vec()) };
    if !out.0.is_empty() {
        writer.block(&out.0)?;
    }
    let file = FileRef { name, bytes: writer.finish()? };
    let newest = CounterFile { file, from, to: cut, chunks: chunks as u64 };
    Ok(kept.iter().cloned().chain([newest]).collect())
}

/// Put back what the files hold, in their order.
///
/// `objectives` are those of the checkpoint, each with how many groups it may have; `None`
/// where it is not wanted any more.
pub(super) fn load(
    (disk, data_dir): (&dyn Disk, &Path),
    files: &[CounterFile],
    objectives: &[Option<(&Objective, usize)>],
) -> Result<()> {
    let mut block = Vec::new();
    for CounterFile { file, from, .. } in files {
        let mut reader = BlockReader::open(disk, &data_dir.join(&file.name), KIND)?;
        while reader.next(&mut block)? {
            load_block(&block, *from, objectives).map_err(|damage| reader.explain(damage))?;
        }
    }
    Ok(())
}

fn load_block(block: &[u8], from: u64, objectives: &[Option<(&Objective, usize)>]) -> Read<()> {
    let mut reader = Reader(block);
    while reader.end().is_err() {
        let saved = SavedGroup::read(&mut reader)?;
        if let Some((objective, groups_max)) = objectives.get(saved.number).copied().flatten() {
            objective.load(saved, from, groups_max)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is listed stays within twice what is live, in few files, however much is new each
    /// time; and what changed after any cut is in one of them.
    #[test]
    fn files_stay_few() {
        const LIVE: usize = 2_000;
        for fresh in [1, 7, 100, 1_500] {
            let mut changed = vec![0; LIVE];
            let mut files: Vec<CounterFile> = Vec::new();
            for cut in 1..1_000 {
                for step in 0..fresh {
                    changed[(cut as usize * 7_919 + step * 31) % LIVE] = cut;
                }
                files.truncate(staying(&files, fresh as u64));
                let from = files.last().map_or(0, |last| last.to);
                let chunks = changed.iter().filter(|last| **last >= from).count() as u64;
                let file = FileRef { name: String::new(), bytes: 0 };
                files.push(CounterFile { file, from, to: cut + 1, chunks });
                let listed: u64 = files.iter().map(|file| file.chunks).sum();
                assert!(listed <= 2 * LIVE as u64, "{files:?}");
                assert!(files.len() <= 12, "{files:?}");
                assert!(files.windows(2).all(|pair| pair[0].to == pair[1].from), "{files:?}");
            }
        }
    }
}
