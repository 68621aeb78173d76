//! A disk in memory that keeps no more than POSIX promises.
//!
//! Bytes are durable after a sync of their file, names after a sync of their folder. Until
//! then a power cut may take any of them: whole writes, some sectors of one, single bits, a
//! rename without the write before it. The power goes at an operation chosen beforehand:
//! from then on every call fails, until [`SimDisk::power_up`] shows what was left.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use spanmill_core::disk::{Disk, DiskFile, Mode};

use super::random::Random;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Operations that a failing seed shows.
const TRACED: usize = 4000;

/// Change of a file that was not synced.
#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

/// Change of a name that was not synced.
#[derive(Debug, Clone)]
enum NameChange {
    Link { path: PathBuf, inode: usize },
    Rename { from: PathBuf, to: PathBuf, inode: usize },
    Remove { path: PathBuf, inode: usize },
}

impl NameChange {
    fn touches(&self, folder: &Path) -> bool {
        let path = match self {
            Self::Link { path, .. } | Self::Remove { path, .. } => path,
            Self::Rename { to, .. } => to,
        };
        path.parent() == Some(folder)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Link { path, inode } => {
                let _ = names.insert(path.clone(), *inode);
            }
            Self::Rename { from, to, inode } => {
                if names.get(from) == Some(inode) {
                    let _ = names.remove(from);
                }
                let _ = names.insert(to.clone(), *inode);
            }
            // What has the name by now may be another file.
            Self::Remove { path, inode } => {
                if names.get(path) == Some(inode) {
                    let _ = names.remove(path);
                }
            }
        }
    }
}

/// What goes wrong, and when.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The power goes at this operation, counted from [`SimDisk::power_up`].
    pub power_cut_at: Option<u64>,
    /// So many syncs from now, one fails.
    pub sync_error_in: Option<u64>,
    /// Bytes that all files may have together.
    pub space: Option<usize>,
}

#[derive(Debug)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending_names: Vec<NameChange>,
    locked: BTreeSet<PathBuf>,
    faults: Faults,
    random: Random,
    operations: u64,
    is_off: bool,
    /// How often power came: what was opened before is no file any more.
    life: u64,
    trace: VecDeque<String>,
    /// Whole segments of the journal as they were when they lost their names.
    released: BTreeMap<PathBuf, Vec<u8>>,
    syncs_failed: u64,
    /// Calls that found no room.
    times_full: u64,
}

/// The disk. Clones are the same one.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    let end = at + new.len();
    bytes.resize(bytes.len().max(end), 0);
    bytes[at..end].copy_from_slice(new);
}

fn off() -> io::Error {
    io::Error::other("the power is off")
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes: new } => put(bytes, *at, new),
            Self::Truncate => bytes.clear(),
        }
    }

    /// What a power cut leaves of it.
    fn survive(&self, bytes: &mut Vec<u8>, fate: Fate, random: &mut Random) {
        let Self::Write { at, bytes: new } = self else {
            if fate != Fate::Lost {
                bytes.clear();
            }
            return;
        };
        let torn_at = random.below(new.len() as u64 + 1) as usize;
        let mut start = 0;
        while start < new.len() {
            // Sectors of the disk, not of the write.
            let end = (start + SECTOR - (at + start) % SECTOR).min(new.len());
            let stays = match fate {
                Fate::Whole | Fate::Flipped => true,
                Fate::Prefix => end <= torn_at,
                Fate::Sectors => random.once_in(2),
                Fate::Lost => false,
            };
            let sector = &new[start..end];
            // One that is written with what it holds is the same whenever the power goes.
            if stays && bytes.get(at + start..at + end) != Some(sector) {
                put(bytes, at + start, sector);
                if fate == Fate::Flipped {
                    let bit = random.below(sector.len() as u64 * 8) as usize;
                    bytes[at + start + bit / 8] ^= 1 << (bit % 8);
                }
            }
            start = end;
        }
        // The file's length may be on the disk without the bytes.
        if fate != Fate::Whole && random.once_in(4) {
            bytes.resize(bytes.len().max(at + new.len()), 0);
        }
    }
}

/// What becomes of one unsynced write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Whole,
    Prefix,
    Sectors,
    Flipped,
    Lost,
}

impl State {
    fn note(&mut self, what: impl FnOnce() -> String) {
        if self.trace.len() == TRACED {
            let _ = self.trace.pop_front();
        }
        let line = format!("{:>6} {}", self.operations, what());
        self.trace.push_back(line);
    }

    /// Count an operation; `true` where the power goes while it runs.
    fn step(&mut self) -> io::Result<bool> {
        if self.is_off {
            return Err(off());
        }
        self.operations += 1;
        if self.faults.power_cut_at == Some(self.operations) {
            self.is_off = true;
            self.note(|| "the power goes".to_owned());
        }
        Ok(self.is_off)
    }

    /// What an operation says in whose midst the power may have gone.
    fn end(&self, cut: bool) -> io::Result<()> {
        if cut { Err(off()) } else { Ok(()) }
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn used(&self) -> usize {
        let held = self.names.values();
        held.map(|&inode| self.inodes[inode].bytes.len()).sum()
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }

    /// Keep a segment of the journal that is let go of: the whole log can be replayed then.
    fn keep(&mut self, path: &Path, inode: usize) {
        if path.extension().is_some_and(|ending| ending == "log") {
            let bytes = self.inodes[inode].bytes.clone();
            let _ = self.released.entry(path.to_path_buf()).or_insert(bytes);
        }
    }

    fn write(&mut self, inode: usize, at: usize, new: &[u8]) -> io::Result<()> {
        let cut = self.step()?;
        let length = self.inodes[inode].bytes.len();
        let grown = (at + new.len()).saturating_sub(length);
        let room = self.faults.space.map_or(usize::MAX, |all| all.saturating_sub(self.used()));
        let fits = if grown > room { new.len() - (grown - room) } else { new.len() };
        self.note(|| format!("write {inode} at {at}: {fits} of {} B", new.len()));
        let is_full = fits < new.len();
        if fits > 0 {
            let change = Change::Write { at, bytes: new[..fits].to_vec() };
            change.apply(&mut self.inodes[inode].bytes);
            self.inodes[inode].pending.push(change);
        }
        if is_full {
            self.times_full += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.end(cut)
    }

    fn sync(&mut self, inode: usize) -> io::Result<()> {
        let cut = self.step()?;
        let fails = match &mut self.faults.sync_error_in {
            Some(0) => {
                self.faults.sync_error_in = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        self.note(|| format!("sync {inode}{}", if fails { ": fails" } else { "" }));
        let State { inodes, random, .. } = self;
        let inode = &mut inodes[inode];
        if cut {
            // Some of it got there.
            let done = random.below(inode.pending.len() as u64 + 1) as usize;
            inode.pending.drain(..done).for_each(|change| change.apply(&mut inode.durable));
            return Err(off());
        }
        let changes = std::mem::take(&mut inode.pending);
        for change in changes {
            // What failed is forgotten all the same: the next sync says nothing of it.
            if !fails || random.once_in(2) {
                change.apply(&mut inode.durable);
            }
        }
        if fails {
            self.syncs_failed += 1;
            return Err(io::Error::other("lost in the cable"));
        }
        Ok(())
    }

    /// Let the power go, and show what was left.
    fn restart(&mut self) {
        let State { inodes, random, .. } = self;
        let keeps = random.below(6);
        for inode in inodes.iter_mut() {
            let mut bytes = std::mem::take(&mut inode.durable);
            for change in inode.pending.drain(..) {
                let fate = match (keeps, random.below(8)) {
                    (0, _) => Fate::Lost,
                    (1, _) | (_, 0..=2) => Fate::Whole,
                    (_, 3) => Fate::Prefix,
                    (_, 4) => Fate::Sectors,
                    (_, 5) => Fate::Flipped,
                    _ => Fate::Lost,
                };
                change.survive(&mut bytes, fate, random);
            }
            inode.durable.clone_from(&bytes);
            inode.bytes = bytes;
        }
        let mut names = self.durable_names.clone();
        // Most file systems keep the order of names; POSIX does not ask for it.
        let is_ordered = self.random.once_in(2);
        let first_lost = self.random.below(self.pending_names.len() as u64 + 1) as usize;
        for (at, change) in self.pending_names.drain(..).enumerate() {
            let stays = if is_ordered { at < first_lost } else { self.random.once_in(2) };
            if stays {
                change.apply(&mut names);
            }
        }
        self.durable_names.clone_from(&names);
        self.names = names;
        self.locked.clear();
        self.is_off = false;
        self.life += 1;
        self.operations = 0;
        self.note(|| "the power is back".to_owned());
    }
}

impl SimDisk {
    /// An empty one, whose misfortunes follow from `random`.
    pub fn new(random: Random) -> Self {
        Self(Arc::new(Mutex::new(State {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            locked: BTreeSet::new(),
            faults: Faults::default(),
            random,
            operations: 0,
            is_off: false,
            life: 0,
            trace: VecDeque::new(),
            released: BTreeMap::new(),
            syncs_failed: 0,
            times_full: 0,
        })))
    }

    /// Cut the power if it is still there, show what was left, and go on with these faults.
    pub fn power_up(&self, faults: Faults) {
        let mut state = self.0.lock();
        state.restart();
        state.faults = faults;
    }

    /// Cut the power now.
    pub fn cut_power(&self) {
        self.0.lock().is_off = true;
    }

    /// The process ends, and the machine goes on: what was written is still to be read, and
    /// still not durable.
    pub fn end_process(&self) {
        let mut state = self.0.lock();
        state.locked.clear();
        state.life += 1;
    }

    /// Change what goes wrong from here on.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.lock().faults);
    }

    /// Whether the power went.
    pub fn is_off(&self) -> bool {
        self.0.lock().is_off
    }

    /// Syncs that failed, and calls that found no room.
    pub fn troubles(&self) -> (u64, u64) {
        let state = self.0.lock();
        (state.syncs_failed, state.times_full)
    }

    /// Operations since the power came.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// Bytes in files.
    pub fn used(&self) -> usize {
        self.0.lock().used()
    }

    /// Add a line to what a failing seed shows.
    pub fn say(&self, what: &str) {
        self.0.lock().note(|| format!("-- {what}"));
    }

    /// The last operations.
    pub fn trace(&self) -> Vec<String> {
        let state = self.0.lock();
        let names = state.names.iter().map(|(path, inode)| {
            format!("       {} is {inode}, {} B", path.display(), state.inodes[*inode].bytes.len())
        });
        names.chain(state.trace.iter().cloned()).collect()
    }

    /// Every file with its bytes.
    pub fn files(&self) -> Vec<(PathBuf, usize)> {
        let state = self.0.lock();
        let files = state.names.iter();
        files.map(|(path, inode)| (path.clone(), state.inodes[*inode].bytes.len())).collect()
    }

    /// Change bits of synced data where they are, as rot does.
    pub fn rot(&self, path: &Path, at: usize, mask: u8) {
        let mut state = self.0.lock();
        let inode = state.names[path];
        let inode = &mut state.inodes[inode];
        inode.bytes[at] ^= mask;
        inode.durable.clone_from(&inode.bytes);
    }

    /// The same files on a sound disk; only those whose path `keep` wants.
    pub fn copy(&self, keep: impl Fn(&Path) -> bool) -> Self {
        self.copy_with(BTreeMap::new(), keep)
    }

    /// The same with every segment of the journal that was ever let go of.
    pub fn copy_whole_log(&self, keep: impl Fn(&Path) -> bool) -> Self {
        let released = self.0.lock().released.clone();
        self.copy_with(released, keep)
    }

    fn copy_with(
        &self,
        mut files: BTreeMap<PathBuf, Vec<u8>>,
        keep: impl Fn(&Path) -> bool,
    ) -> Self {
        let copy = Self::new(Random::new(0));
        let state = self.0.lock();
        for (path, inode) in state.names.iter().filter(|(path, _)| keep(path)) {
            let _ = files.entry(path.clone()).or_insert_with(|| state.inodes[*inode].bytes.clone());
        }
        {
            let mut into = copy.0.lock();
            for (path, bytes) in files {
                let inode = into.inodes.len();
                into.inodes.push(Inode {
                    bytes: bytes.clone(),
                    durable: bytes,
                    pending: Vec::new(),
                });
                let _ = into.names.insert(path, inode);
            }
            into.durable_names = into.names.clone();
        }
        copy
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        // Folders are there: nothing is ever told by whether one is.
        if self.is_off() { Err(off()) } else { Ok(()) }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        if state.is_off {
            return Err(off());
        }
        let inside = state.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.0.lock();
        if state.is_off {
            return Err(off());
        }
        if mode == Mode::Create {
            let cut = state.step()?;
            match state.inode(path) {
                Ok(inode) => {
                    state.note(|| format!("empty {inode} {}", path.display()));
                    state.inodes[inode].bytes.clear();
                    state.inodes[inode].pending.push(Change::Truncate);
                }
                Err(_) => {
                    let inode = state.inodes.len();
                    state.note(|| format!("make {inode} {}", path.display()));
                    state.inodes.push(Inode::default());
                    state.change_name(NameChange::Link { path: path.to_path_buf(), inode });
                }
            }
            state.end(cut)?;
        }
        let (inode, life) = (state.inode(path)?, state.life);
        Ok(Box::new(SimFile { disk: self.clone(), inode, life }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let cut = state.step()?;
        let inode = state.inode(from)?;
        state.note(|| format!("rename {inode} {} to {}", from.display(), to.display()));
        state.keep(from, inode);
        state.change_name(NameChange::Rename {
            from: from.to_path_buf(),
            to: to.to_path_buf(),
            inode,
        });
        state.end(cut)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let cut = state.step()?;
        let inode = state.inode(path)?;
        state.note(|| format!("remove {inode} {}", path.display()));
        state.keep(path, inode);
        state.change_name(NameChange::Remove { path: path.to_path_buf(), inode });
        state.end(cut)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let cut = state.step()?;
        state.note(|| format!("sync names of {}", folder.display()));
        if cut {
            return Err(off());
        }
        let changes = std::mem::take(&mut state.pending_names);
        let (synced, rest): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| change.touches(folder));
        synced.iter().for_each(|change| change.apply(&mut state.durable_names));
        state.pending_names = rest;
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        let mut state = self.0.lock();
        if state.is_off {
            return Err(off());
        }
        if !state.locked.insert(path.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock { disk: self.clone(), path: path.to_path_buf(), life: state.life }))
    }
}

#[derive(Debug)]
struct Lock {
    disk: SimDisk,
    path: PathBuf,
    life: u64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut state = self.disk.0.lock();
        if state.life == self.life {
            let _ = state.locked.remove(&self.path);
        }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
    life: u64,
}

impl SimFile {
    /// A process that power took writes no more.
    fn state(&self) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let state = self.disk.0.lock();
        if state.is_off || state.life != self.life { Err(off()) } else { Ok(state) }
    }
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.state()?.inodes[self.inode].bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let state = self.state()?;
        let start = offset as usize;
        let bytes = state.inodes[self.inode].bytes.get(start..start + into.len());
        into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.state()?.write(self.inode, offset as usize, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.state()?.sync(self.inode)
    }
}
