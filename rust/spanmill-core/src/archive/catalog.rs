//! Which files there are, what they cover, and which must go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::segment::Extent;
use crate::codec::{Damaged, Read, Reader, Writer};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::signal::known;
use crate::window::{Due, OnDisk, TIERS, Tier, USES};

/// How long and how much is kept on disk.
#[derive(Debug, Clone)]
pub(crate) struct Keep {
    /// Buckets of each tier.
    pub slots: [i64; TIERS.len()],
    /// Bytes of all files.
    pub bytes_max: u64,
}

impl Keep {
    /// # Errors
    ///
    /// [`Error::Config`] where `retention` names a tier that there is not, or less than
    /// memory holds.
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let mut slots = TIERS.map(|tier| tier.slots);
        for (name, seconds) in &config.retention {
            let Some(tier) = TIERS.iter().position(|tier| tier.name == name) else {
                let known = known(TIERS.iter().map(|tier| tier.name));
                return Err(Error::Unknown { what: "tier", name: name.clone(), known });
            };
            let Tier { width_s, slots: own, .. } = TIERS[tier];
            if *seconds < (width_s * own) as f64 {
                return Err(Error::Config(format!(
                    "retention of {name}: {seconds} s is less than the {} s that memory holds",
                    width_s * own
                )));
            }
            slots[tier] = (*seconds / width_s as f64).ceil() as i64;
        }
        Ok(Self { slots, bytes_max: config.limits.disk })
    }
}

/// One file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct File {
    pub(super) extent: Extent,
    pub bytes: u64,
}

impl File {
    /// Its path below the data folder.
    pub(crate) fn path(&self) -> PathBuf {
        path(self.extent)
    }
}

/// Path below the data folder.
pub(super) fn path(extent: Extent) -> PathBuf {
    let Extent { tier, from, to } = extent;
    PathBuf::from(super::FOLDER).join(TIERS[tier].name).join(format!("{from}-{to}.seg"))
}

/// What a tier has on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OfTier {
    /// By the number of the first bucket.
    files: BTreeMap<i64, File>,
    /// Number of the first bucket from which none is missing, by use.
    first: [i64; USES],
    /// Number after the last bucket written.
    to: Option<i64>,
}

/// What every tier has on disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    tiers: [OfTier; TIERS.len()],
    /// Files that no longer count, to be removed once no checkpoint names them.
    expired: Vec<PathBuf>,
    /// Files that went before their time, for want of room, since the start.
    pub(super) shed: u64,
}

impl Default for OfTier {
    fn default() -> Self {
        Self { files: BTreeMap::new(), first: [i64::MIN; USES], to: None }
    }
}

impl OfTier {
    /// Number up to which files may go before their time: wider buckets are built from the rest.
    fn spared(&self, tier: usize) -> i64 {
        let width_s = TIERS[tier].width_s;
        let to_s = self.to.map_or(i64::MIN, |to| to * width_s);
        let wider = TIERS.iter().filter(|wider| wider.from == tier && wider.width_s > width_s);
        let built = wider.map(|wider| to_s.div_euclid(wider.width_s) * wider.width_s);
        built.fold(to_s, i64::min).div_euclid(width_s)
    }

    /// Let the oldest file go if it ends by `limit`.
    fn expire(&mut self, limit: i64) -> Option<File> {
        let oldest = self.files.first_entry().filter(|oldest| oldest.get().extent.to <= limit)?;
        let file = oldest.remove();
        for first in &mut self.first {
            *first = (*first).max(file.extent.to);
        }
        Some(file)
    }
}

impl Catalog {
    /// What a pass sealed of a tier is on disk; without bytes where there was no bucket.
    pub(super) fn add(&mut self, extent: Extent, bytes: Option<u64>, due: &Due) {
        let mine = &mut self.tiers[extent.tier];
        for (first, tiers) in mine.first.iter_mut().zip(due) {
            let (from, to) = tiers[extent.tier];
            let from = if from < to { from.max(extent.from) } else { to };
            // The pass could not build what lies between, or it was too old for the disk.
            if mine.to.is_none_or(|before| before < from) {
                *first = (*first).max(from);
            }
        }
        mine.to = mine.to.max(Some(extent.to));
        if let Some(bytes) = bytes {
            let file = File { extent, bytes };
            self.expired.retain(|gone| *gone != file.path());
            let _ = mine.files.insert(extent.from, file);
        }
    }

    /// Let go of what is older than is kept, then of the oldest of the finest tiers while
    /// there is too much; the files that went.
    pub(super) fn retire(&mut self, keep: &Keep) -> Vec<File> {
        let mut gone = Vec::new();
        for (mine, slots) in self.tiers.iter_mut().zip(keep.slots) {
            let limit = mine.to.map_or(i64::MIN, |to| to - slots);
            gone.extend(std::iter::from_fn(|| mine.expire(limit)));
        }
        let mut bytes = self.bytes().iter().sum::<u64>();
        for (tier, mine) in self.tiers.iter_mut().enumerate() {
            let limit = mine.spared(tier);
            while bytes > keep.bytes_max
                && let Some(file) = mine.expire(limit)
            {
                bytes -= file.bytes;
                self.shed += 1;
                gone.push(file);
            }
        }
        self.expired.extend(gone.iter().map(File::path));
        gone
    }

    /// Files that no longer count.
    pub(super) fn expired(&self) -> &[PathBuf] {
        &self.expired
    }

    /// A file that no longer counted is gone.
    pub(super) fn removed(&mut self, path: &Path) {
        self.expired.retain(|gone| gone != path);
    }

    /// A file that no one counts.
    pub(super) fn stray(&mut self, path: PathBuf) {
        self.expired.push(path);
    }

    pub(super) fn files(&self) -> impl Iterator<Item = File> {
        self.tiers.iter().flat_map(|mine| mine.files.values().copied())
    }

    /// Files of a tier with some bucket numbered in [from, to), oldest first.
    pub(super) fn overlapping(&self, tier: usize, (from, to): (i64, i64)) -> Vec<File> {
        let before = self.tiers[tier].files.range(..to).map(|(_, file)| *file);
        before.filter(|file| file.extent.to > from).collect()
    }

    /// Bytes by tier.
    pub(super) fn bytes(&self) -> [u64; TIERS.len()] {
        std::array::from_fn(|tier| self.tiers[tier].files.values().map(|file| file.bytes).sum())
    }

    /// From where to where nothing is missing.
    pub(super) fn coverage(&self) -> OnDisk {
        let mut covered = OnDisk::default();
        for (tier, (mine, info)) in self.tiers.iter().zip(&TIERS).enumerate() {
            covered.to_s[tier] = mine.to.map(|to| to * info.width_s);
            for (used, first) in mine.first.iter().enumerate() {
                covered.first_s[used][tier] = first.saturating_mul(info.width_s);
            }
        }
        covered
    }

    pub(super) fn save(&self, out: &mut Writer) {
        for mine in &self.tiers {
            mine.first.iter().for_each(|first| out.i64(*first));
            out.option(mine.to);
            out.varint(mine.files.len() as u64);
            for File { extent, bytes } in mine.files.values() {
                out.i64(extent.from);
                out.i64(extent.to);
                out.varint(*bytes);
            }
        }
    }

    /// What [`Archive::save`](super::Archive::save) wrote.
    pub(crate) fn load(reader: &mut Reader<'_>) -> Read<Self> {
        let mut catalog = Self::default();
        for (tier, mine) in catalog.tiers.iter_mut().enumerate() {
            for first in &mut mine.first {
                *first = reader.i64()?;
            }
            mine.to = reader.option()?.map(number).transpose()?;
            for _ in 0..reader.count(17)? {
                let (from, to) = (number(reader.i64()?)?, number(reader.i64()?)?);
                let extent = Extent { tier, from, to };
                if extent.from >= extent.to {
                    return Err(Damaged("lists a file of no range"));
                }
                let _ = mine.files.insert(extent.from, File { extent, bytes: reader.varint()? });
            }
        }
        Ok(catalog)
    }
}

/// A bucket's number, which is never longer than 32 bits.
fn number(read: i64) -> Read<i64> {
    i32::try_from(read).map(i64::from).map_err(|_| Damaged("lists a time that there is not"))
}
