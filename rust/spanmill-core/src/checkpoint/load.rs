//! Putting a checkpoint back: the newest that reads with everything that it needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::FOLDER;
use super::changed::Mapping;
use super::counters;
use super::manifest::{Manifest, Section};
use super::names;
use super::write::{Checkpointer, Kept, Last, Progress};
use crate::archive;
use crate::codec::{Damaged, Read};
use crate::companion::{self, COMPANIONS, Companions};
use crate::config::{Config, Limits};
use crate::dedupe::Dedupe;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::file::{self, BlockReader};
use crate::journal::{Lsn, Weakened};
use crate::ledger::Books;
use crate::overflow::Overflow;
use crate::state::{State, dedupe_limits};
use crate::value::Values;
use crate::view::{Grouping, View};
use crate::window::{self, EDGE, Target, Totals, load_edge};

/// A checkpoint that reads.
pub(crate) struct Loaded {
    disk: Arc<dyn Disk>,
    data_dir: PathBuf,
    name: String,
    manifest: Manifest,
    /// The one before, which stands in for it if it is damaged later.
    older: Option<Kept>,
    /// What is damaged, one line each: an older checkpoint stands in for it.
    pub warnings: Vec<String>,
}

/// What a checkpoint gave back beside what is in the state.
pub(crate) struct Restored {
    /// Goes on from it.
    pub checkpointer: Checkpointer,
    /// What [`super::Sealed`] held: rings are put back from it, into views for which `views` holds.
    pub sealed: Vec<u8>,
    /// By view: whether it has what the checkpoint held.
    pub views: Vec<bool>,
    /// One line for each view and objective that begins empty because it was changed.
    pub dropped: Vec<String>,
}

/// The newest checkpoint of a data folder; `None` where there was never one.
///
/// # Errors
///
/// [`Error::NoCheckpoint`] where none of those there are reads; [`Error::Layout`] where the
/// newest was written by another version; [`Error::Folder`].
pub(crate) fn load(disk: &Arc<dyn Disk>, data_dir: &Path) -> Result<Option<Loaded>> {
    let mut found = names::checkpoints(&**disk, data_dir)?;
    let mut damaged = Vec::new();
    while let Some((_, name)) = found.pop() {
        match read_whole(&**disk, data_dir, &name) {
            Ok(manifest) => {
                let older = found.pop().and_then(|(_, name)| {
                    let manifest = read_whole(&**disk, data_dir, &name).ok()?;
                    Some(Kept::of(name, &manifest))
                });
                let warnings = damaged.iter().map(|(_, error)| {
                    format!("{error}; going on from the older {name} and the journal since")
                });
                return Ok(Some(Loaded {
                    warnings: warnings.collect(),
                    disk: Arc::clone(disk),
                    data_dir: data_dir.to_path_buf(),
                    name,
                    manifest,
                    older,
                }));
            }
            Err(error @ Error::Layout { .. }) => return Err(error),
            Err(error) => damaged.push((name, error)),
        }
    }
    if damaged.is_empty() {
        return Ok(None);
    }
    let found: Vec<String> = damaged.iter().map(|(_, error)| error.to_string()).collect();
    Err(Error::NoCheckpoint { folder: data_dir.join(FOLDER), found: found.join("; ") })
}

/// Read a checkpoint, and the checksums of what it alone needs; that the others are there.
pub(super) fn read_whole(disk: &dyn Disk, data_dir: &Path, name: &str) -> Result<Manifest> {
    let manifest = Manifest::read(disk, &data_dir.join(name))?;
    for file in manifest.files() {
        let path = data_dir.join(&file.name);
        let is_sealed = Path::new(&file.name).starts_with(archive::FOLDER);
        // Sealed buckets may be many gigabytes, and no older checkpoint has others.
        let bytes = match is_sealed {
            true => names::length(disk, data_dir, &file.name)?,
            false => file::check(disk, &path)?,
        };
        if bytes != file.bytes {
            return Err(Error::Damaged { path, offset: bytes, what: "has another length" });
        }
    }
    Ok(manifest)
}

impl Loaded {
    /// Everything up to this record is in it.
    pub(crate) fn lsn(&self) -> Lsn {
        self.manifest.lsn
    }

    /// The configuration under which the records after it are written, in this data folder.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] where it does not read, here as in the other functions.
    pub(crate) fn config(&self, current: &Config) -> Result<Config> {
        let stored = self.manifest.config().map_err(|damage| self.explain(damage))?;
        Ok(Config { data_dir: current.data_dir.clone(), durability: current.durability, ..stored })
    }

    /// Whether the records after it read under this configuration as well.
    pub(crate) fn is_of(&self, current: &Config) -> Result<bool> {
        Ok(self.mapping(current)?.is_same((&current.views, &current.objectives)))
    }

    fn mapping(&self, current: &Config) -> Result<Mapping> {
        let stored = self.manifest.config().map_err(|damage| self.explain(damage))?;
        Ok(Mapping::new((&stored.views, &stored.objectives), (&current.views, &current.objectives)))
    }

    fn explain(&self, damage: Damaged) -> Error {
        Error::Damaged { path: self.data_dir.join(&self.name), offset: 0, what: damage.0 }
    }

    /// Values with their ids: what a state is built on.
    pub(crate) fn values(&self, limits: &Limits, seed: u64) -> Result<Values> {
        let bounds = (limits.dimension_values, limits.dimension_bytes);
        let values = self
            .manifest
            .section(Section::Values, 0)
            .and_then(|mut reader| Values::load(&mut reader, bounds, seed));
        values.map_err(|damage| self.explain(damage))
    }

    /// Put everything back into a state that was built on [`Loaded::values`] and `config`.
    ///
    /// What of it `config` has no place for, or another meaning, is let go.
    pub(crate) fn restore(
        self,
        state: &State,
        config: &Config,
        weakened: Weakened,
    ) -> Result<Restored> {
        let mapping = self.mapping(config)?;
        let is_same = mapping.is_same((&config.views, &config.objectives));
        let ours = |damage| self.explain(damage);
        self.restore_small(state, &mapping).map_err(ours)?;
        self.restore_edges(state, &mapping)?;
        self.restore_companions(state, &mapping)?;
        self.restore_counters(state, &mapping)?;
        self.restore_sequence(state)?;
        if !is_same {
            // What files have is found there by places that are others now: it is written anew.
            state.plan.views.iter().for_each(|view| {
                view.windows.forget_saved();
                view.companions.iter().for_each(Companions::forget_saved);
            });
        }
        state.plan.views.iter().for_each(View::list_silent);
        let sealed = self.manifest.section(Section::Sealed, 0).map_err(ours)?.0.to_vec();
        let mut views = vec![false; config.views.len()];
        mapping.views.iter().flatten().for_each(|place| views[*place] = true);
        let (disk, data_dir) = (Arc::clone(&self.disk), self.data_dir.clone());
        let last = self.last(is_same, state.clock.steady_ns());
        let checkpointer = Checkpointer::after((disk, &data_dir), weakened, last)?;
        Ok(Restored { checkpointer, sealed, views, dropped: mapping.dropped })
    }

    /// From where the next one goes on.
    fn last(self, is_same: bool, steady_ns: i64) -> Last {
        let newest = Kept::of(self.name.clone(), &self.manifest);
        let kept = self.older.into_iter().chain([newest]);
        let kept = kept.map(|kept| Kept { is_stale: !is_same, ..kept }).collect();
        let progress = Progress { lsn: self.manifest.lsn, journal_bytes: 0, steady_ns };
        let mut last = Last { kept, progress, ..Last::default() };
        last.take(self.manifest);
        if !is_same {
            // Files know views and objectives by their places: those are others now.
            last.counters.clear();
            last.edges.clear();
            last.companions.clear();
        }
        last
    }

    fn restore_sequence(&self, state: &State) -> Result<()> {
        let names: Vec<String> =
            self.manifest.dedupe.iter().map(|file| file.name.clone()).collect();
        let limits = dedupe_limits(&state.limits);
        let loaded = Dedupe::load(limits, &*self.disk, &self.data_dir, &names)?;
        state.sequence.restore(self.manifest.time, |dedupe, _| {
            *dedupe = loaded;
            Ok(())
        })
    }

    fn restore_small(&self, state: &State, mapping: &Mapping) -> Read<()> {
        let ids = state.values.ids();
        let manifest = &self.manifest;
        state.ledger.restore(Books::load(&mut manifest.section(Section::Ledger, 0)?, ids)?);
        state.keep(window::Kept::load(&mut manifest.section(Section::Kept, 0)?)?);
        for (stored, place) in mapping.views.iter().enumerate() {
            if let Some(place) = place {
                self.restore_view(state, stored, &state.plan.views[*place])?;
            }
        }
        for (stored, place) in mapping.objectives.iter().enumerate() {
            if let Some(place) = place {
                let mut reader = manifest.section(Section::Objective, stored)?;
                state.plan.objectives[*place].grouping.load_identities(&mut reader, ids)?;
            }
        }
        Ok(())
    }

    fn restore_view(&self, state: &State, stored: usize, view: &View) -> Read<()> {
        let ids = state.values.ids();
        let mut reader = self.manifest.section(Section::View, stored)?;
        view.grouping.load_identities(&mut reader, ids)?;
        let width = view.grouping.dimensions.len();
        *view.overflow.lock() = Overflow::load(&mut reader, state.limits.sources, (width, ids))?;
        let totals = Totals::load(&mut reader, series(&view.grouping), view.measures.len())?;
        view.windows.set_totals(self.manifest.lsn.0, totals);
        if let Some(companions) = &view.companions {
            let totals = companion::Totals::load(&mut reader)?;
            companions.set_totals(self.manifest.lsn.0, state.sealed(), &totals);
        }
        reader.end()
    }

    fn restore_edges(&self, state: &State, mapping: &Mapping) -> Result<()> {
        let sealed = state.sealed().unwrap_or(i64::MIN);
        let target = |stored: u32| {
            let place = mapping.views.get(stored as usize).copied().flatten()?;
            let view = &state.plan.views[place];
            Some(Target { store: &view.windows, series: series(&view.grouping), sealed })
        };
        for (cut, file) in &self.manifest.edges {
            let path = self.data_dir.join(&file.name);
            let mut reader = BlockReader::open(&*self.disk, &path, EDGE)?;
            load_edge(&mut reader, *cut, target)?;
        }
        Ok(())
    }

    fn restore_companions(&self, state: &State, mapping: &Mapping) -> Result<()> {
        let target = |stored: u32| {
            let place = mapping.views.get(stored as usize).copied().flatten()?;
            let view = &state.plan.views[place];
            let companions = view.companions.as_ref()?;
            Some(companion::Target { companions, series: series(&view.grouping) })
        };
        for (cut, file) in &self.manifest.companions {
            let path = self.data_dir.join(&file.name);
            let mut reader = BlockReader::open(&*self.disk, &path, COMPANIONS)?;
            companion::load_edge(&mut reader, *cut, target)?;
        }
        Ok(())
    }

    fn restore_counters(&self, state: &State, mapping: &Mapping) -> Result<()> {
        let grouped = |place: usize| {
            let grouped = &state.plan.objectives[place];
            (&grouped.objective, series(&grouped.grouping) as usize)
        };
        let objectives: Vec<_> =
            mapping.objectives.iter().map(|place| place.map(grouped)).collect();
        counters::load((&*self.disk, &self.data_dir), &self.manifest.counters, &objectives)?;
        let all = state.plan.objectives.iter();
        all.for_each(|grouped| grouped.objective.restore(self.manifest.lsn.0));
        Ok(())
    }
}

/// Ids of identities are below this.
fn series(grouping: &Grouping) -> u32 {
    grouping.identities.read().ids() as u32
}
