//! Names of files in the data folder, and which of them go.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use super::{FOLDER, failed};
use crate::codec::{Read, Reader, Writer};
use crate::disk::{Disk, Mode};
use crate::error::Result;
use crate::journal::Lsn;

/// A file that a checkpoint needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileRef {
    /// Relative to the data folder, with `/`.
    pub name: String,
    pub bytes: u64,
}

impl FileRef {
    /// Of a file that is there.
    pub(crate) fn of(disk: &dyn Disk, data_dir: &Path, name: &str) -> Result<Self> {
        Ok(Self { name: name.to_owned(), bytes: length(disk, data_dir, name)? })
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.bytes(self.name.as_bytes());
        out.varint(self.bytes);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Read<Self> {
        Ok(Self { name: reader.text()?.to_owned(), bytes: reader.varint()? })
    }
}

/// Bytes of a file that is there.
pub(super) fn length(disk: &dyn Disk, data_dir: &Path, name: &str) -> Result<u64> {
    let path = data_dir.join(name);
    let file = disk.open(&path, Mode::Read).map_err(failed(&path))?;
    file.size().map_err(failed(&path))
}

/// `LSN.EXTENSION`, or `LSN-N.EXTENSION` for the N-th of the same record.
fn name(lsn: Lsn, nth: u32, extension: &str) -> String {
    match nth {
        1 => format!("{:020}.{extension}", lsn.0),
        _ => format!("{:020}-{nth}.{extension}", lsn.0),
    }
}

/// Record of a file's name, and how many had the same before.
fn parse(name: &str, extension: &str) -> Option<(Lsn, u32)> {
    let stem = name.strip_suffix(extension)?.strip_suffix('.')?;
    let (lsn, nth) = stem.split_once('-').unwrap_or((stem, "1"));
    Some((Lsn(lsn.parse().ok()?), nth.parse().ok()?))
}

fn list(disk: &dyn Disk, data_dir: &Path, folder: &str) -> Result<Vec<String>> {
    let path = data_dir.join(folder);
    disk.list(&path).map_err(failed(&path))
}

/// A name in `folder` that no file has, relative to the data folder: what an earlier
/// checkpoint names is never written over.
pub(super) fn fresh(
    disk: &dyn Disk,
    data_dir: &Path,
    folder: &str,
    (lsn, extension): (Lsn, &str),
) -> Result<String> {
    let taken = list(disk, data_dir, folder)?;
    let names = taken.iter().filter_map(|name| parse(name, extension));
    let last = names.filter(|(of, _)| *of == lsn).map(|(_, nth)| nth).max();
    Ok(format!("{folder}/{}", name(lsn, last.unwrap_or(0) + 1, extension)))
}

/// Checkpoints in the folder, oldest first, relative to the data folder.
pub(super) fn checkpoints(disk: &dyn Disk, data_dir: &Path) -> Result<Vec<(Lsn, String)>> {
    let names = list(disk, data_dir, FOLDER)?;
    let mut found: Vec<(Lsn, u32, String)> = names
        .into_iter()
        .filter_map(|name| {
            parse(&name, "ckpt").map(|(lsn, nth)| (lsn, nth, format!("{FOLDER}/{name}")))
        })
        .collect();
    found.sort_unstable();
    Ok(found.into_iter().map(|(lsn, _, name)| (lsn, name)).collect())
}

/// Everything in these folders that is not `needed`, relative to the data folder, in order.
pub(super) fn unneeded(
    disk: &dyn Disk,
    data_dir: &Path,
    folders: &[&str],
    needed: &BTreeSet<&str>,
) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in folders {
        for name in list(disk, data_dir, folder)? {
            let name = format!("{folder}/{name}");
            if !needed.contains(name.as_str()) {
                found.push(name);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Remove files, then make that durable.
pub(super) fn remove(disk: &dyn Disk, data_dir: &Path, names: &[String]) -> Result<()> {
    let mut folders = BTreeSet::new();
    for name in names {
        let path = data_dir.join(name);
        match disk.remove(&path) {
            // Gone before we came.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            removed => removed.map_err(failed(&path))?,
        }
        let _ = folders.insert(path.parent().map(Path::to_path_buf).unwrap_or_default());
    }
    folders.iter().try_for_each(|folder| disk.sync_dir(folder).map_err(failed(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names say which record, in its order, and other files are none of ours.
    #[test]
    fn names_are_told_apart() {
        let lsn = Lsn(1_234);
        assert_eq!("00000000000000001234.ckpt", name(lsn, 1, "ckpt"));
        for nth in [1, 2, 17] {
            assert_eq!(Some((lsn, nth)), parse(&name(lsn, nth, "ckpt"), "ckpt"));
        }
        for other in ["1234.ckpt.part", "1234.ctr", "x.ckpt", "12-x.ckpt", ".ckpt", "ckpt"] {
            assert_eq!(None, parse(other, "ckpt"), "{other}");
        }
    }
}
