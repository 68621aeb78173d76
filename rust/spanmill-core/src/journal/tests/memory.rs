//! A disk in memory that forgets what was not synced, fills up and fails when told.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, Mode};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

#[derive(Debug, Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Written since the last sync.
    pending: Vec<(u64, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Bytes that files may have together.
    space: Option<usize>,
    fail_syncs: bool,
    fail_writes: bool,
    /// Changes until the power is gone.
    changes_left: Option<u64>,
}

impl State {
    fn inode(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Count a change; fails once there is no power.
    fn change(&mut self) -> io::Result<()> {
        match &mut self.changes_left {
            Some(0) => return Err(io::Error::other("no power")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }

    fn used(&self) -> usize {
        self.names.values().map(|&inode| self.inodes[inode].bytes.len()).sum()
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<State>>);

fn put(bytes: &mut Vec<u8>, at: u64, new: &[u8]) {
    let (start, end) = (at as usize, at as usize + new.len());
    bytes.resize(bytes.len().max(end), 0);
    bytes[start..end].copy_from_slice(new);
}

impl MemoryDisk {
    pub(crate) fn set_space(&self, space: Option<usize>) {
        self.0.lock().space = space;
    }

    pub(crate) fn fail_syncs(&self) {
        self.0.lock().fail_syncs = true;
    }

    pub(crate) fn fail_writes(&self) {
        self.0.lock().fail_writes = true;
    }

    /// Lose power after so many changes: all that follow fail.
    pub(crate) fn die_after(&self, changes: u64) {
        self.0.lock().changes_left = Some(changes);
    }

    /// Change a byte where it is, durably, as rot does.
    pub(crate) fn change(&self, path: &Path, at: usize, change: impl Fn(u8) -> u8) {
        let mut state = self.0.lock();
        let inode = state.inode(path).expect("is there");
        let inode = &mut state.inodes[inode];
        inode.bytes[at] = change(inode.bytes[at]);
        inode.durable[at] = inode.bytes[at];
    }

    /// Every file, in order.
    pub(crate) fn paths(&self) -> Vec<String> {
        let state = self.0.lock();
        state.names.keys().map(|path| path.to_string_lossy().into_owned()).collect()
    }

    /// Bytes that files have together.
    pub(crate) fn used(&self) -> usize {
        self.0.lock().used()
    }

    pub(crate) fn bytes(&self, path: &Path) -> Vec<u8> {
        let state = self.0.lock();
        state.inodes[state.inode(path).expect("is there")].bytes.clone()
    }

    /// What is there after the process died: all of it, synced or not.
    pub(crate) fn outlive(&self) {
        self.0.lock().changes_left = None;
    }

    /// The same disk, apart from this one.
    pub(crate) fn copy(&self) -> Self {
        let state = self.0.lock();
        Self(Arc::new(Mutex::new(State {
            inodes: state.inodes.clone(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            ..State::default()
        })))
    }

    /// What is there after a power cut: `survives` is asked of each sector, and of all
    /// names at once, that were not synced.
    pub(crate) fn crash(&self, survives: &mut dyn FnMut() -> bool) -> Self {
        let state = self.0.lock();
        let names = if survives() { &state.names } else { &state.durable_names }.clone();
        let inodes = state.inodes.iter().map(|inode| {
            let mut bytes = inode.durable.clone();
            for (at, new) in &inode.pending {
                let mut start = 0;
                while start < new.len() {
                    // Sectors of the disk, not of the write.
                    let length = SECTOR - (*at as usize + start) % SECTOR;
                    let end = (start + length).min(new.len());
                    if survives() {
                        put(&mut bytes, at + start as u64, &new[start..end]);
                    }
                    start = end;
                }
            }
            Inode { durable: bytes.clone(), bytes, pending: Vec::new() }
        });
        let inodes = inodes.collect();
        let durable_names = names.clone();
        Self(Arc::new(Mutex::new(State { inodes, names, durable_names, ..State::default() })))
    }
}

impl Disk for MemoryDisk {
    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        let inside = state.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.0.lock();
        if mode == Mode::Create {
            state.change()?;
            let inode = state.inodes.len();
            state.inodes.push(Inode::default());
            let _ = state.names.insert(path.to_path_buf(), inode);
        }
        let inode = state.inode(path)?;
        Ok(Box::new(MemoryFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.change()?;
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        let _ = state.names.insert(to.to_path_buf(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.change()?;
        let removed = state.names.remove(path);
        removed.map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _folder: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.change()?;
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Any + Send>> {
        Ok(Box::new(()))
    }
}

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    inode: usize,
}

impl DiskFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().inodes[self.inode].bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let state = self.disk.0.lock();
        let start = offset as usize;
        let bytes = state.inodes[self.inode].bytes.get(start..start + into.len());
        into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.change()?;
        if state.fail_writes {
            return Err(io::Error::other("bad block"));
        }
        let length = state.inodes[self.inode].bytes.len();
        let grown = (offset as usize + bytes.len()).saturating_sub(length);
        if state.space.is_some_and(|space| grown > 0 && state.used() + grown > space) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = &mut state.inodes[self.inode];
        put(&mut inode.bytes, offset, bytes);
        inode.pending.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        state.change()?;
        if state.fail_syncs {
            return Err(io::Error::other("lost in the cable"));
        }
        let inode = &mut state.inodes[self.inode];
        for (at, new) in inode.pending.drain(..) {
            put(&mut inode.durable, at, &new);
        }
        Ok(())
    }
}
