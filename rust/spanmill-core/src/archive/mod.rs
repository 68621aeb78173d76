//! Sealed buckets on disk: written once, for recovery and for windows longer than memory.
//!
//! Every sealing pass hands over what it sealed and built (`pass`), and becomes one file
//! for each tier that it completed a bucket of (`segment`, `block`). What is there, from
//! where on nothing is missing, and what may go is kept in memory (`catalog`) and goes
//! into each checkpoint. Readers say which series they want (`wanted`).

mod block;
mod cache;
mod catalog;
mod pass;
mod segment;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde::Serialize;

use self::cache::Cache;
use self::segment::{Extent, Index, Scratch, Segment};
use crate::codec::Writer;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::journal::Lsn;
use crate::window::{Kept, Sealed, Stretch, TIERS, Use, WindowStore};

pub(crate) use self::catalog::{Catalog, File, Keep};
pub(crate) use self::pass::{Filed, Named, Pass, SealedView, Shape};
pub(crate) use self::wanted::Wanted;

/// Below the data folder; a folder for each tier in it.
pub(crate) const FOLDER: &str = "sealed";

/// Passes that the disk did not take wait in memory: it holds no more bytes of them than these.
const BACKLOG_MAX: usize = 256 << 20;

/// A pass that is not all on disk.
struct Waiting {
    pass: Pass,
    /// The first tier that is not.
    tier: usize,
    bytes: usize,
}

/// Sealed buckets on disk.
pub(crate) struct Archive {
    disk: Arc<dyn Disk>,
    /// The data folder.
    folder: PathBuf,
    keep: Keep,
    catalog: Mutex<Catalog>,
    /// Oldest first. Held while writing.
    waiting: Mutex<VecDeque<Waiting>>,
    backlog_bytes: AtomicUsize,
    cache: Mutex<Cache>,
}

/// Figures for `/metrics`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Figures {
    pub files: usize,
    /// By tier.
    pub bytes: [u64; TIERS.len()],
    /// Files that went before their time, for want of room.
    pub shed: u64,
    /// Bytes in memory that the disk did not take yet, and the record of the first such pass.
    pub backlog_bytes: usize,
    pub unwritten_since: Option<Lsn>,
}

/// Series of a view to put buckets back to.
pub(crate) struct Target<'a> {
    /// Places are ids of series.
    pub wanted: Wanted,
    pub windows: &'a WindowStore,
    pub used: &'a dyn Fn(u32) -> Use,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    |source| Error::Folder { path: path.to_path_buf(), source }
}

impl Archive {
    /// Make the folders.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`].
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: &Path, keep: Keep) -> Result<Self> {
        for tier in &TIERS {
            let path = folder.join(FOLDER).join(tier.name);
            disk.create_dir(&path).map_err(failed(&path))?;
        }
        Ok(Self {
            disk,
            folder: folder.to_path_buf(),
            keep,
            catalog: Mutex::default(),
            waiting: Mutex::default(),
            backlog_bytes: AtomicUsize::new(0),
            cache: Mutex::default(),
        })
    }

    /// Take over what a pass sealed; [`Archive::flush`] writes it.
    pub(crate) fn take(&self, mut pass: Pass) {
        let bytes = pass.keep(self.keep.slots);
        let _ = self.backlog_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.waiting.lock().push_back(Waiting { pass, tier: 0, bytes });
    }

    /// Write every pass taken over, oldest first, and let go of what is too old or too much.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`]: what is not written stays, and is tried again by the next call.
    pub(crate) fn flush(&self) -> Result<()> {
        let mut waiting = self.waiting.lock();
        while let Some(next) = waiting.front_mut() {
            while next.tier < TIERS.len() {
                self.write(&next.pass, next.tier)?;
                next.tier += 1;
            }
            let _ = self.backlog_bytes.fetch_sub(next.bytes, Ordering::Relaxed);
            let _ = waiting.pop_front();
            self.retire();
        }
        Ok(())
    }

    fn write(&self, pass: &Pass, tier: usize) -> Result<()> {
        let Some((from, to)) = pass.range(tier, self.keep.slots[tier]) else { return Ok(()) };
        let extent = Extent { tier, from, to };
        let path = self.folder.join(catalog::path(extent));
        let bytes = segment::write(&*self.disk, &path, pass, extent)?;
        self.catalog.lock().add(extent, bytes, &pass.due);
        Ok(())
    }

    fn retire(&self) {
        let gone = self.catalog.lock().retire(&self.keep);
        let mut cache = self.cache.lock();
        gone.iter().for_each(|file| cache.forget(file.extent));
    }

    /// The record from which on the journal has to stay, and which no checkpoint may pass:
    /// what it sealed is not on disk.
    pub(crate) fn unwritten_since(&self) -> Option<Lsn> {
        self.waiting.lock().front().map(|waiting| waiting.pass.lsn)
    }

    /// Whether more events may be taken.
    ///
    /// # Errors
    ///
    /// [`Error::Full`]: as much waits for the disk as memory may hold.
    pub(crate) fn check_room(&self) -> Result<()> {
        let wanted = self.backlog_bytes.load(Ordering::Relaxed);
        if wanted <= BACKLOG_MAX {
            return Ok(());
        }
        Err(Error::Full { path: self.folder.join(FOLDER), wanted })
    }

    /// Files that a checkpoint has to name.
    pub(crate) fn files(&self) -> Vec<File> {
        self.catalog.lock().files().collect()
    }

    /// Remove files that no longer count and that nothing needs any more.
    ///
    /// `needed` is told paths below the data folder: those that a checkpoint names stay.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`]: the rest is tried again by the next call.
    pub(crate) fn sweep(&self, needed: impl Fn(&Path) -> bool) -> Result<()> {
        let mut gone = self.catalog.lock().expired().to_vec();
        gone.retain(|path| !needed(path));
        for path in &gone {
            let full = self.folder.join(path);
            match self.disk.remove(&full) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(&full)(error));
                }
                _ => self.catalog.lock().removed(path),
            }
        }
        Ok(())
    }

    /// What a checkpoint keeps of this.
    pub(crate) fn save(&self, out: &mut Writer) {
        self.catalog.lock().save(out);
    }

    /// Go on with what was saved, empty where nothing was. Other files that are in the folders, from
    /// after the checkpoint, are written again by the replay, or go.
    ///
    /// # Errors
    ///
    /// [`Error::Folder`] where the folders cannot be listed.
    pub(crate) fn adopt(&self, saved: Catalog) -> Result<()> {
        let mut known: Vec<PathBuf> = saved.files().map(|file| file.path()).collect();
        known.sort_unstable();
        let mut catalog = self.catalog.lock();
        *catalog = saved;
        for tier in &TIERS {
            let below = Path::new(FOLDER).join(tier.name);
            let path = self.folder.join(&below);
            for name in self.disk.list(&path).map_err(failed(&path))? {
                let path = below.join(name);
                if known.binary_search(&path).is_err() {
                    catalog.stray(path);
                }
            }
        }
        Ok(())
    }

    /// Hold nothing that is not on disk: after a restart memory has no more than that.
    pub(crate) fn limit(&self, kept: &mut Kept) {
        kept.only(&self.catalog.lock().coverage());
    }

    /// Put back what `kept` holds; how many buckets. Series that are not wanted any more are
    /// left on disk.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`], [`Error::Layout`] or [`Error::Folder`] of the first file that does not read.
    pub(crate) fn load_into(&self, targets: &[Target<'_>], kept: &Kept) -> Result<usize> {
        let (mut loaded, mut scratch, mut buckets) = (0, Scratch::default(), Vec::new());
        let files: Vec<File> = self.files();
        for file in files.iter().filter(|file| kept.needs(file.extent.tier, file.extent.to)) {
            let mut segment = self.open(file.extent)?;
            let index = segment.index()?;
            for Target { wanted, windows, used } in targets {
                segment.visit(&index, wanted, &mut scratch, &mut |series, bucket| {
                    buckets.push((series, bucket));
                })?;
                loaded += windows.restore(kept, file.extent.tier, *used, &mut buckets);
            }
        }
        Ok(loaded)
    }

    fn open(&self, extent: Extent) -> Result<Segment> {
        Segment::open(&*self.disk, &self.folder.join(catalog::path(extent)))
    }

    /// What memory and the disk hold together.
    pub(crate) fn reach(&self, memory: &Kept) -> Kept {
        memory.with(&self.catalog.lock().coverage())
    }

    /// Hand what the wanted series have in some stretches to `found`, with its tier: of each
    /// series and tier from the oldest on.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] or [`Error::Folder`].
    pub(crate) fn fetch(
        &self,
        wanted: &Wanted,
        stretches: &[Stretch],
        mut found: impl FnMut(u32, usize, Sealed),
    ) -> Result<()> {
        let mut scratch = Scratch::default();
        for &Stretch { tier, from, to } in stretches {
            let files = self.catalog.lock().overlapping(tier, (from, to));
            for file in files {
                let mut segment = self.open(file.extent)?;
                let index = self.index(&mut segment, file.extent)?;
                segment.visit(&index, wanted, &mut scratch, &mut |place, bucket| {
                    if (from..to).contains(&bucket.number()) {
                        found(place, tier, bucket);
                    }
                })?;
            }
        }
        Ok(())
    }

    fn index(&self, segment: &mut Segment, extent: Extent) -> Result<Arc<Index>> {
        if let Some(known) = self.cache.lock().find(extent) {
            return Ok(known);
        }
        let index = Arc::new(segment.index()?);
        self.cache.lock().add(extent, Arc::clone(&index));
        Ok(index)
    }

    pub(crate) fn figures(&self) -> Figures {
        let unwritten_since = self.unwritten_since();
        let catalog = self.catalog.lock();
        Figures {
            files: catalog.files().count(),
            bytes: catalog.bytes(),
            shed: catalog.shed,
            backlog_bytes: self.backlog_bytes.load(Ordering::Relaxed),
            unwritten_since,
        }
    }
}
