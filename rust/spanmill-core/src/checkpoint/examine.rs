//! Checkpoints as `spanmill doctor` sees them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::load::read_whole;
use super::manifest::Manifest;
use super::names;
use super::write::FOLDERS;
use crate::disk::Disk;
use crate::error::Result;
use crate::journal::Lsn;

/// One checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ExaminedCheckpoint {
    pub path: PathBuf,
    /// Everything up to this record is in it.
    pub lsn: Lsn,
    /// Its own, and of the files that it needs.
    pub bytes: u64,
    pub files: usize,
    /// Files that it needs and that are not there, or not whole.
    pub missing: Vec<String>,
    /// Why it does not read; `None` where a recovery can begin with it.
    pub damage: Option<String>,
}

/// What is in the folders of checkpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Examined {
    /// Oldest first.
    pub checkpoints: Vec<ExaminedCheckpoint>,
    /// Files that no checkpoint needs: from after the newest, or from one that was not finished.
    pub unneeded: Vec<String>,
}

impl Examined {
    /// The last record that a recovery need not read from the journal; 0 where there is no
    /// checkpoint that reads.
    pub(crate) fn after(&self) -> Lsn {
        let whole = self.checkpoints.iter().rev().find(|checkpoint| checkpoint.damage.is_none());
        whole.map_or(Lsn(0), |checkpoint| checkpoint.lsn)
    }

    /// Whether there are checkpoints and none reads.
    pub(crate) fn is_lost(&self) -> bool {
        let is_damaged = |checkpoint: &ExaminedCheckpoint| checkpoint.damage.is_some();
        !self.checkpoints.is_empty() && self.checkpoints.iter().all(is_damaged)
    }
}

/// Look at everything, change nothing.
///
/// # Errors
///
/// [`crate::error::Error::Folder`] where a folder cannot be listed; damage is none, it is reported.
pub(crate) fn examine(disk: &dyn Disk, data_dir: &Path) -> Result<Examined> {
    let mut examined = Examined::default();
    let mut needed = BTreeSet::new();
    for (lsn, name) in names::checkpoints(disk, data_dir)? {
        examined.checkpoints.push(one(disk, data_dir, (lsn, &name), &mut needed));
        let _ = needed.insert(name);
    }
    let needed: BTreeSet<&str> = needed.iter().map(String::as_str).collect();
    examined.unneeded = names::unneeded(disk, data_dir, &FOLDERS, &needed)?;
    Ok(examined)
}

fn one(
    disk: &dyn Disk,
    data_dir: &Path,
    (lsn, name): (Lsn, &str),
    needed: &mut BTreeSet<String>,
) -> ExaminedCheckpoint {
    let path = data_dir.join(name);
    let own = names::length(disk, data_dir, name).unwrap_or(0);
    let damage = read_whole(disk, data_dir, name).err().map(|error| error.to_string());
    let mut examined =
        ExaminedCheckpoint { lsn, bytes: own, files: 0, missing: Vec::new(), damage, path };
    let Ok(manifest) = Manifest::read(disk, &examined.path) else { return examined };
    for file in manifest.files() {
        examined.files += 1;
        match names::length(disk, data_dir, &file.name) {
            Ok(bytes) if bytes == file.bytes => examined.bytes += bytes,
            _ => examined.missing.push(file.name.clone()),
        }
        let _ = needed.insert(file.name.clone());
    }
    examined
}
