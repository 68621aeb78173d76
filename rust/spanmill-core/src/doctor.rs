//! What is in a data folder that no daemon holds, and what can be done where it does not
//! read. For `spanmill doctor --data-dir`.

use std::path::Path;

use serde::Serialize;

use crate::checkpoint;
use crate::disk::Disk;
use crate::error::Result;
use crate::folder::Folder;
use crate::journal::{self, Damage, Lsn, Repaired};

/// Whether a daemon would start on a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// It would, and miss nothing that was acknowledged.
    Whole,
    /// It would not: records that were acknowledged do not read. A repair gives up what
    /// comes after.
    Damaged,
    /// It would not: there are checkpoints, and none of them reads.
    Lost,
}

#[derive(Debug, Serialize)]
struct Examined {
    verdict: Verdict,
    checkpoints: checkpoint::Examined,
    /// The last record that a checkpoint holds, 0 where there is none.
    after: Lsn,
    journal: journal::Examined,
    /// What keeps a daemon from starting, first of all.
    harm: Option<Damage>,
}

fn look(disk: &dyn Disk, data_dir: &Path) -> Result<Examined> {
    let checkpoints = checkpoint::examine(disk, data_dir)?;
    let after = checkpoints.after();
    let journal = journal::examine(disk, &data_dir.join(journal::FOLDER), after)?;
    let harm = journal.harm(after).cloned();
    let verdict = match &harm {
        _ if checkpoints.is_lost() => Verdict::Lost,
        Some(_) => Verdict::Damaged,
        None => Verdict::Whole,
    };
    Ok(Examined { verdict, checkpoints, after, journal, harm })
}

/// Look at what a daemon would start from, changing nothing; as JSON.
///
/// # Errors
///
/// [`crate::error::Error::FolderInUse`]; [`crate::error::Error::Layout`] where another version
/// wrote it; [`crate::error::Error::Folder`]. Damage is none: it is what this reports.
pub fn examine_folder(disk: &dyn Disk, data_dir: &Path) -> Result<Vec<u8>> {
    let _held = Folder::take(disk, data_dir)?;
    Ok(json(&look(disk, data_dir)?))
}

/// Cut the journal where records that no checkpoint holds do not read, so that a daemon
/// starts again; what was done, and how it looks now, as JSON.
///
/// What is given up is named, and copies of it stay. Where nothing has to be, nothing is done.
///
/// # Errors
///
/// Those of [`examine_folder`].
pub fn repair_folder(disk: &dyn Disk, data_dir: &Path) -> Result<Vec<u8>> {
    let _held = Folder::take(disk, data_dir)?;
    let before = look(disk, data_dir)?;
    let repaired = match before.verdict {
        Verdict::Damaged => journal::repair(disk, &data_dir.join(journal::FOLDER), before.after)?,
        Verdict::Whole | Verdict::Lost => Repaired::default(),
    };
    Ok(json(&Repair { repaired, examined: look(disk, data_dir)? }))
}

#[derive(Debug, Serialize)]
struct Repair {
    #[serde(flatten)]
    repaired: Repaired,
    examined: Examined,
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::json!(value).to_string().into_bytes()
}
