//! Making a checkpoint while events go on, and letting go of what it makes needless.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::counters::{self, CounterFile};
use super::manifest::{Manifest, Section};
use super::names::{self, FileRef};
use super::{FOLDER, failed};
use crate::archive;
use crate::budget::Objective;
use crate::clock::SECOND_NS;
use crate::codec::Writer;
use crate::companion::{self, COMPANIONS};
use crate::config::Config;
use crate::dedupe;
use crate::disk::Disk;
use crate::error::Result;
use crate::file::{BlockWriter, Kind};
use crate::journal::{Lsn, Weakened};
use crate::ledger::Books;
use crate::sequence::Cut;
use crate::state::State;
use crate::view::View;
use crate::window::{self, EDGE, save_edge};

/// Folder of files with what windows have open, in the data folder.
pub(super) const EDGES: &str = "edge";

/// Folder of files with what views count and rank beside their series.
pub(super) const COMPANION_EDGES: &str = "companions";

/// Checkpoints kept: the older one is for a newest that does not read.
const KEPT: usize = 2;

/// A checkpoint is due after so many bytes of journal, or as many as the last one wrote …
const JOURNAL_BYTES: u64 = 64 << 20;
/// … or after so long, unless the journal is much shorter than a checkpoint.
const EVERY_NS: i64 = 30 * SECOND_NS;
const SHORTER: u64 = 4;

/// What the archive has of its own in a checkpoint.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sealed {
    /// Every file of sealed buckets that queries or a recovery may need.
    pub files: Vec<FileRef>,
    /// What [`super::Restored`] gives back.
    pub state: Vec<u8>,
}

impl Sealed {
    /// What the archive has now; everything sealed must be written.
    pub(crate) fn of(state: &State) -> Self {
        let Some(archive) = state.archive() else { return Self::default() };
        let file = |file: archive::File| FileRef {
            name: file.path().to_string_lossy().into_owned(),
            bytes: file.bytes,
        };
        let mut saved = Writer::default();
        archive.save(&mut saved);
        Self { files: archive.files().into_iter().map(file).collect(), state: saved.0 }
    }
}

/// What a checkpoint needs of others.
pub(crate) struct Parts<'a> {
    /// The configuration that records are written under.
    pub config: &'a Config,
    pub sealed: Sealed,
    /// Returns once the journal is durable through a record.
    pub durable: &'a dyn Fn(Lsn) -> Result<()>,
    /// Lets go of the journal before a record.
    pub release_before: &'a dyn Fn(Lsn) -> Result<()>,
}

/// How far the journal is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    pub lsn: Lsn,
    /// Written since some start.
    pub journal_bytes: u64,
    pub steady_ns: i64,
}

/// What a checkpoint was.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Report {
    pub lsn: Lsn,
    /// Written, all files together.
    pub bytes: u64,
    /// That it needs, its own included.
    pub files: usize,
    pub seconds: f64,
}

/// A checkpoint that is kept, and what it needs.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub lsn: Lsn,
    pub name: String,
    pub files: BTreeSet<String>,
    /// Records after it are written under another configuration: it can no longer stand in
    /// for a newer one.
    pub is_stale: bool,
}

impl Kept {
    pub(super) fn of(name: String, manifest: &Manifest) -> Self {
        let files = manifest.files().map(|file| file.name.clone()).collect();
        Self { lsn: manifest.lsn, name, files, is_stale: false }
    }
}

/// Files by the cut that they are of.
pub(super) type ByCut = BTreeMap<u64, FileRef>;

/// What the last checkpoints left.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// Oldest first.
    pub kept: Vec<Kept>,
    /// Configuration of the newest.
    pub config: String,
    pub counters: Vec<CounterFile>,
    pub edges: ByCut,
    pub companions: ByCut,
    pub dedupe: Vec<FileRef>,
    /// Where the journal was.
    pub progress: Progress,
    pub bytes: u64,
}

/// Makes checkpoints, one at a time.
pub(crate) struct Checkpointer {
    disk: Arc<dyn Disk>,
    data_dir: PathBuf,
    weakened: Weakened,
    last: Mutex<Last>,
}

/// What is open, as it stood at a cut.
struct Frozen {
    windows: Vec<window::Edge>,
    /// By view; `None` where it has none.
    companions: Vec<Option<companion::Edge>>,
}

impl Frozen {
    fn new(views: &[View], cut: Lsn) -> Self {
        let companions = |view: &View| view.companions.as_ref().map(|of| of.freeze_all(cut.0));
        Self {
            windows: views.iter().map(|view| view.windows.freeze_all(cut.0)).collect(),
            companions: views.iter().map(companions).collect(),
        }
    }
}

/// Files of one checkpoint on their way.
struct Written {
    manifest: Manifest,
    bytes: u64,
}

impl Checkpointer {
    /// For a data folder without any checkpoint.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::Folder`], here as in the other functions.
    pub(crate) fn new(disk: Arc<dyn Disk>, data_dir: &Path, weakened: Weakened) -> Result<Self> {
        Self::after((disk, data_dir), weakened, Last::default())
    }

    pub(super) fn after(
        (disk, data_dir): (Arc<dyn Disk>, &Path),
        weakened: Weakened,
        last: Last,
    ) -> Result<Self> {
        for folder in FOLDERS {
            let path = data_dir.join(folder);
            disk.create_dir(&path).map_err(failed(&path))?;
        }
        disk.sync_dir(data_dir).map_err(failed(data_dir))?;
        let data_dir = data_dir.to_path_buf();
        Ok(Self { disk, data_dir, weakened, last: Mutex::new(last) })
    }

    /// Whether enough was written since the last one that a recovery would take long.
    pub(crate) fn due(&self, now: &Progress) -> bool {
        let last = self.last.lock();
        let bytes = now.journal_bytes.saturating_sub(last.progress.journal_bytes);
        let waited_ns = now.steady_ns - last.progress.steady_ns;
        now.lsn > last.progress.lsn
            && (bytes >= JOURNAL_BYTES.max(last.bytes)
                || waited_ns >= EVERY_NS && bytes * SHORTER >= last.bytes)
    }

    /// Make one. Events go on: no lock of theirs is held for longer than some of a shard takes.
    ///
    /// `upkeep` is [`State::upkeep`]'s, held since [`Parts::sealed`] was noted; it goes once
    /// everything small is. On an error the earlier checkpoints stay, and the next has all
    /// that this one lacks.
    pub(crate) fn write(
        &self,
        state: &State,
        upkeep: MutexGuard<'_, ()>,
        parts: &Parts<'_>,
        now: Progress,
    ) -> Result<Report> {
        let mut last = self.last.lock();
        let begun_ns = state.clock.steady_ns();
        let config = parts.config.to_json()?;
        let (cut, books) = state.sequence.cut(|| state.ledger.books());
        let cut_lsn = cut.time.lsn;
        if let Some(newest) = last.kept.last()
            && (newest.lsn, &last.config) == (cut_lsn, &config)
        {
            // Nothing came since: writing the same again would only crowd out the older one.
            let files = newest.files.len() + 1;
            drop(upkeep);
            self.let_go(state, parts, &last)?;
            return Ok(Report { lsn: cut_lsn, files, ..Report::default() });
        }
        let written = self
            .write_files(state, upkeep, (parts, config), (cut, &books), &last)
            .and_then(|written| self.publish(state, parts, written, &mut last));
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                objectives(state).iter().for_each(|objective| objective.abandon());
                // Most likely the disk is full: what is of no use goes. But for what was seen
                // before, of which the next one writes only what no file has by now.
                let _ = self.sweep(&last.kept, &FOLDERS[..DEDUPE]);
                return Err(error);
            }
        };
        state.plan.views.iter().for_each(|view| {
            view.windows.saved(cut_lsn.0);
            view.companions.iter().for_each(|companions| companions.saved(cut_lsn.0));
        });
        let files = written.manifest.files().count() + 1;
        last.take(written.manifest);
        last.bytes = written.bytes;
        last.progress = Progress { lsn: cut_lsn, ..now };
        self.let_go(state, parts, &last)?;
        let seconds = (state.clock.steady_ns() - begun_ns) as f64 / SECOND_NS as f64;
        Ok(Report { lsn: cut_lsn, bytes: written.bytes, files, seconds })
    }

    fn write_files(
        &self,
        state: &State,
        upkeep: MutexGuard<'_, ()>,
        (parts, config): (&Parts<'_>, String),
        (cut, books): (Cut, &Books),
        last: &Last,
    ) -> Result<Written> {
        let lsn = cut.time.lsn;
        let views = &state.plan.views;
        let frozen = Frozen::new(views, lsn);
        let sections = sections(state, books, &frozen, &parts.sealed.state);
        drop(upkeep);
        let mut bytes = 0;
        let mut add = |files: &mut ByCut, new: Option<FileRef>, needed: BTreeSet<u64>| {
            if let Some(file) = new {
                bytes += file.bytes;
                let _ = files.insert(lsn.0, file);
            }
            files.retain(|cut, _| needed.contains(cut));
        };
        let (mut edges, mut companions) = (last.edges.clone(), last.companions.clone());
        let needed = frozen.windows.iter().flat_map(|edge| edge.totals.needs.clone());
        add(&mut edges, self.write_edge(lsn, views, &frozen.windows)?, needed.collect());
        let needed = frozen.companions.iter().flatten().flat_map(|edge| edge.totals.needs.clone());
        let new = self.write_companions(lsn, &frozen.companions)?;
        add(&mut companions, new, needed.collect());
        let counters =
            counters::save((&*self.disk, &self.data_dir), &objectives(state), lsn, &last.counters)?;
        bytes += counters.last().filter(|file| file.to == lsn.0).map_or(0, |file| file.file.bytes);
        let dedupe = self.write_dedupe(&cut, last)?;
        bytes += dedupe.last().map_or(0, |file| file.bytes);
        let sealed = parts.sealed.files.clone();
        let time = cut.time;
        let manifest =
            Manifest { lsn, config, time, edges, companions, counters, dedupe, sealed, sections };
        Ok(Written { manifest, bytes })
    }

    fn create(
        &self,
        (folder, extension): (&str, &str),
        lsn: Lsn,
        kind: Kind,
    ) -> Result<(String, BlockWriter<'_>)> {
        let name = names::fresh(&*self.disk, &self.data_dir, folder, (lsn, extension))?;
        let writer = BlockWriter::create(&*self.disk, &self.data_dir.join(&name), kind)?;
        Ok((name, writer))
    }

    /// What no earlier file has of what windows have open.
    fn write_edge(
        &self,
        lsn: Lsn,
        views: &[View],
        frozen: &[window::Edge],
    ) -> Result<Option<FileRef>> {
        if frozen.iter().all(|edge| edge.parts.is_empty()) {
            return Ok(None);
        }
        let (name, mut writer) = self.create((EDGES, "edge"), lsn, EDGE)?;
        for (number, (view, edge)) in views.iter().zip(frozen).enumerate() {
            save_edge(&mut writer, number as u32, edge, view.measures.len())?;
        }
        Ok(Some(FileRef { name, bytes: writer.finish()? }))
    }

    /// The same of companions, with what was sealed since.
    fn write_companions(
        &self,
        lsn: Lsn,
        frozen: &[Option<companion::Edge>],
    ) -> Result<Option<FileRef>> {
        let all: Vec<_> =
            frozen.iter().enumerate().filter_map(|(at, edge)| Some((at, edge.as_ref()?))).collect();
        if all.is_empty() {
            return Ok(None);
        }
        let (name, mut writer) = self.create((COMPANION_EDGES, "comp"), lsn, COMPANIONS)?;
        for (number, edge) in all {
            companion::save_edge(&mut writer, number as u32, edge)?;
        }
        Ok(Some(FileRef { name, bytes: writer.finish()? }))
    }

    fn write_dedupe(&self, cut: &Cut, last: &Last) -> Result<Vec<FileRef>> {
        let lsn = cut.time.lsn;
        if last.kept.last().is_some_and(|newest| newest.lsn == lsn) {
            // Its file bears this number: the checkpoint that has it is still needed.
            return Ok(last.dedupe.clone());
        }
        if self.weakened.forget_dedupe {
            return Ok(Vec::new());
        }
        let names = cut.dedupe.save(&*self.disk, &self.data_dir, lsn)?;
        names.iter().map(|name| FileRef::of(&*self.disk, &self.data_dir, name)).collect()
    }

    /// Give it its name once everything that it builds on is durable; it counts from then on.
    fn publish(
        &self,
        state: &State,
        parts: &Parts<'_>,
        mut written: Written,
        last: &mut Last,
    ) -> Result<Written> {
        // Ids that came while it was written may be in it: what gave them must not be lost.
        (parts.durable)(state.sequence.event_time().lsn)?;
        let lsn = written.manifest.lsn;
        let name = names::fresh(&*self.disk, &self.data_dir, FOLDER, (lsn, "ckpt"))?;
        let new = Kept::of(name.clone(), &written.manifest);
        if self.weakened.unlink_first {
            self.sweep(std::slice::from_ref(&new), &FOLDERS)?;
            (parts.release_before)(lsn.next())?;
        }
        written.bytes += written.manifest.write(&*self.disk, &self.data_dir.join(&name))?;
        last.kept.retain(|kept| !kept.is_stale);
        last.kept.push(new);
        let surplus = last.kept.len().saturating_sub(KEPT);
        let _ = last.kept.drain(..surplus);
        Ok(written)
    }

    /// Let go of what no checkpoint that is kept needs.
    fn let_go(&self, state: &State, parts: &Parts<'_>, last: &Last) -> Result<()> {
        self.sweep(&last.kept, &FOLDERS)?;
        if let Some(archive) = state.archive() {
            let named: BTreeSet<&Path> =
                last.kept.iter().flat_map(|kept| &kept.files).map(Path::new).collect();
            archive.sweep(|path| named.contains(path))?;
        }
        match last.kept.first() {
            Some(oldest) => (parts.release_before)(oldest.lsn.next()),
            None => Ok(()),
        }
    }

    /// Remove every file of these folders that none of these checkpoints needs.
    fn sweep(&self, kept: &[Kept], folders: &[&str]) -> Result<()> {
        let needed = kept.iter().flat_map(|kept| kept.files.iter().chain([&kept.name]));
        let needed: BTreeSet<&str> = needed.map(String::as_str).collect();
        let gone = names::unneeded(&*self.disk, &self.data_dir, folders, &needed)?;
        // Checkpoints first: one that is there has its files.
        let (checkpoints, files): (Vec<String>, Vec<String>) =
            gone.into_iter().partition(|name| name.starts_with(FOLDER));
        names::remove(&*self.disk, &self.data_dir, &checkpoints)?;
        names::remove(&*self.disk, &self.data_dir, &files)
    }
}

impl Last {
    /// Go on from a checkpoint that is durable.
    pub(super) fn take(&mut self, manifest: Manifest) {
        let Manifest { config, edges, companions, counters, dedupe, .. } = manifest;
        (self.config, self.counters, self.dedupe) = (config, counters, dedupe);
        (self.edges, self.companions) = (edges, companions);
    }
}

/// Folders whose files checkpoints alone need, and that of checkpoints.
pub(super) const FOLDERS: [&str; 5] =
    [FOLDER, EDGES, COMPANION_EDGES, counters::FOLDER, dedupe::FOLDER];

/// Place of the last.
const DEDUPE: usize = FOLDERS.len() - 1;

fn objectives(state: &State) -> Vec<&Objective> {
    state.plan.objectives.iter().map(|grouped| &grouped.objective).collect()
}

/// Everything small.
fn sections(
    state: &State,
    books: &Books,
    frozen: &Frozen,
    sealed: &[u8],
) -> Vec<(Section, usize, Vec<u8>)> {
    let mut sections = Vec::new();
    let mut add = |section: Section, which: usize, write: &dyn Fn(&mut Writer)| {
        let mut out = Writer::default();
        write(&mut out);
        sections.push((section, which, out.0));
    };
    for (number, view) in state.plan.views.iter().enumerate() {
        add(Section::View, number, &|out| {
            view.grouping.save_identities(out);
            view.overflow.lock().save(out);
            frozen.windows[number].totals.save(out);
            frozen.companions[number].iter().for_each(|edge| edge.totals.save(out));
        });
    }
    for (number, grouped) in state.plan.objectives.iter().enumerate() {
        add(Section::Objective, number, &|out| grouped.grouping.save_identities(out));
    }
    add(Section::Ledger, 0, &|out| books.save(out));
    add(Section::Kept, 0, &|out| state.kept().save(out));
    add(Section::Sealed, 0, &|out| out.0.extend_from_slice(sealed));
    // Last: the others name values.
    add(Section::Values, 0, &|out| state.values.save(out));
    sections
}
