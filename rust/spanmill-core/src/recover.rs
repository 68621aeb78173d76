//! The path back: every record after a checkpoint, in order, through the same `apply`.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Serialize;

use crate::archive::{Archive, Catalog, Keep};
use crate::batch::Batch;
use crate::checkpoint::{self, Checkpointer, Loaded, Parts, Progress};
use crate::clock::{Clock, SECOND_NS};
use crate::codec::{Damaged, Read, Reader};
use crate::config::{Config, Durability};
use crate::dedupe::Key;
use crate::disk::{Disk, RealDisk};
use crate::error::{Error, Result};
use crate::filing;
use crate::ingest::apply;
use crate::journal::{self, Journal, Lsn, Weakened};
use crate::record::{self, Defined, Duplicate, Kind, Retire, Seal, Watermark};
use crate::retirement;
use crate::sequence::Ruling;
use crate::state::{State, seed};
use crate::window::Kept;

/// Folder of the journal, in the data folder.
const JOURNAL: &str = "journal";

/// Of a segment of the journal, and of a folder's first.
const SEGMENT_BYTES: u64 = 64 << 20;
const FIRST_SEGMENT_BYTES: u64 = 4 << 20;

/// Zeroed room kept in hand: a second of a full load, so that no batch waits for zeros.
const RESERVE_BYTES: u64 = 32 << 20;

/// What the engine needs of the world around it.
pub struct Outside {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where the data folder is.
    pub disk: Arc<dyn Disk>,
    /// No threads of our own: the caller commits, and checkpoints.
    pub by_hand: bool,
    /// Size of a segment of the journal: no record is longer.
    pub segment_bytes: u64,
    /// Size of a folder's first, so that it starts at once.
    pub first_segment_bytes: u64,
    /// Zeroed room kept in hand.
    pub reserve_bytes: u64,
    #[doc(hidden)]
    pub weakened: Weakened,
}

impl Outside {
    /// The machine's disk, with this clock.
    #[must_use]
    pub fn real(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            disk: Arc::new(RealDisk),
            by_hand: false,
            segment_bytes: SEGMENT_BYTES,
            first_segment_bytes: FIRST_SEGMENT_BYTES,
            reserve_bytes: RESERVE_BYTES,
            weakened: Weakened::default(),
        }
    }

    fn both(&self) -> (Arc<dyn Clock>, Arc<dyn Disk>) {
        (self.clock.clone(), self.disk.clone())
    }

    fn journal(&self, durability: Durability) -> journal::Options {
        journal::Options {
            durability,
            segment_bytes: self.segment_bytes,
            first_segment_bytes: self.first_segment_bytes,
            reserve_bytes: self.reserve_bytes,
            weakened: self.weakened,
        }
    }
}

/// What a start found, for the log.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Recovered {
    /// The last record of the checkpoint; 0 where there was none.
    pub checkpoint: u64,
    /// Records replayed after it.
    pub records: u64,
    /// Bytes of a record that a crash cut short: it was never acknowledged.
    pub torn_bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// One line for each thing that an operator should know.
    pub warnings: Vec<String>,
}

/// Everything as it was acknowledged, and what goes on from there.
pub(crate) struct Restart {
    pub state: State,
    /// There is one unless durability is off.
    pub checkpointer: Option<Checkpointer>,
    pub recovered: Recovered,
}

/// Read what is in the data folder, and begin a journal after it.
///
/// # Errors
///
/// What does not read: nothing was changed then.
pub(crate) fn recover(config: &Config, outside: &Outside) -> Result<Restart> {
    let begun_ns = outside.clock.steady_ns();
    let mut recovered = Recovered::default();
    if config.durability == Durability::Off {
        let state = State::new(config, outside.both(), None)?;
        return Ok(Restart { state, checkpointer: None, recovered });
    }
    let found = checkpoint::load(&outside.disk, &config.data_dir)?;
    // Records say what they say under the configuration of the checkpoint before them.
    let written_under = match &found {
        Some(found) if !found.is_of(config)? => Some(found.config(config)?),
        _ => None,
    };
    let then = written_under.as_ref().unwrap_or(config);
    let (mut state, mut checkpointer) = restore(then, outside, found, &mut recovered)?;
    let next = replay_all(&state, outside, &mut recovered)?;
    file(&state)?;
    if written_under.is_some() {
        let _ = checkpointer.write(
            &state,
            state.upkeep.lock(),
            &all_durable(then, &state),
            Progress::default(),
        )?;
        let found = checkpoint::load(&outside.disk, &config.data_dir)?;
        (state, checkpointer) = restore(config, outside, found, &mut recovered)?;
    }
    let folder = config.data_dir.join(JOURNAL);
    let (clock, disk) = outside.both();
    let journal = Journal::open(disk, clock, &folder, outside.journal(config.durability), next)?;
    state.begin_journal(Arc::new(journal));
    // Ids that the configuration's own names got are in it, and nothing is replayed twice.
    let written = checkpointer.write(
        &state,
        state.upkeep.lock(),
        &all_durable(config, &state),
        Progress::default(),
    );
    if let Err(error) = written {
        recovered.warnings.push(format!("no checkpoint was written at the start: {error}"));
    }
    recovered.seconds = (outside.clock.steady_ns() - begun_ns) as f64 / SECOND_NS as f64;
    Ok(Restart { state, checkpointer: Some(checkpointer), recovered })
}

/// Parts of a checkpoint before there is a journal to write to: all that was read is durable.
fn all_durable<'a>(config: &'a Config, state: &State) -> Parts<'a> {
    Parts {
        config,
        sealed: checkpoint::Sealed::of(state),
        durable: &|_| Ok(()),
        release_before: &|_| Ok(()),
    }
}

/// A state as a checkpoint has it; an empty one where there is none.
fn restore(
    config: &Config,
    outside: &Outside,
    found: Option<Loaded>,
    recovered: &mut Recovered,
) -> Result<(State, Checkpointer)> {
    let archive = Archive::new(outside.disk.clone(), &config.data_dir, Keep::new(config)?)?;
    let Some(mut found) = found else {
        let state = State::new(config, outside.both(), None)?;
        archive.adopt(Catalog::default())?;
        state.begin_archive(archive);
        let disk = outside.disk.clone();
        let checkpointer = Checkpointer::new(disk, &config.data_dir, outside.weakened)?;
        return Ok((state, checkpointer));
    };
    recovered.checkpoint = found.lsn().0;
    recovered.warnings.append(&mut found.warnings);
    let values = found.values(&config.limits, seed(&*outside.clock))?;
    let state = State::new(config, outside.both(), Some(values))?;
    let restored = found.restore(&state, config, outside.weakened)?;
    recovered.warnings.extend(restored.dropped);
    let damaged = |damage: Damaged| Error::Record { lsn: recovered.checkpoint, what: damage.0 };
    archive.adopt(Catalog::load(&mut Reader(&restored.sealed)).map_err(damaged)?)?;
    let is_same = |place: usize| restored.views[place];
    let _ = filing::restore((&state.plan, &state.values), &archive, &state.kept(), is_same)?;
    state.begin_archive(archive);
    limit(&state);
    Ok((state, restored.checkpointer))
}

/// Promise nothing that is not on disk: after a restart memory has no more than that.
fn limit(state: &State) {
    let mut kept = state.kept();
    if let Some(archive) = state.archive() {
        archive.limit(&mut kept);
    }
    state.keep(kept);
}

/// Write what the replay sealed.
fn file(state: &State) -> Result<()> {
    limit(state);
    state.archive().map_or(Ok(()), Archive::flush)
}

/// Replay what the journal has beyond the checkpoint; the record to go on with.
fn replay_all(state: &State, outside: &Outside, recovered: &mut Recovered) -> Result<Lsn> {
    let mut batch = Batch::new(&state.plan);
    let mut each = |lsn: Lsn, kind, payload: &[u8]| replay(state, &mut batch, lsn, (kind, payload));
    let (folder, after) = (state.folder.join(JOURNAL), state.sequence.event_time().lsn);
    let replayed = journal::replay(&*outside.disk, &folder, after, outside.weakened, &mut each)?;
    recovered.records = replayed.records;
    recovered.torn_bytes = replayed.torn.map_or(0, |torn| torn.bytes);
    Ok(replayed.next)
}

const TAKEN: Damaged = Damaged("gives an id that another has");

/// Do what one record says. It must follow the one before.
///
/// # Errors
///
/// [`Error::Record`] where it does not read, or contradicts what is there.
fn replay(state: &State, batch: &mut Batch, lsn: Lsn, (kind, payload): (u8, &[u8])) -> Result<()> {
    let damaged = |damage: Damaged| Error::Record { lsn: lsn.0, what: damage.0 };
    let kind = Kind::of(kind).ok_or(Damaged("is of an unknown kind")).map_err(damaged)?;
    match kind {
        Kind::Batch => return replay_batch(state, batch, lsn, payload).map_err(damaged),
        Kind::Duplicate => replay_duplicate(state, batch, payload).map_err(damaged)?,
        Kind::Watermark => {
            let watermark = Watermark::read(payload).map_err(damaged)?;
            state.sequence.replay_watermark(watermark.watermark_ns);
        }
        Kind::Seal => {
            let Seal { through, kept } = Seal::read(payload).map_err(damaged)?;
            let kept = Kept::load(&mut Reader(kept)).map_err(damaged)?;
            state.replay_seal(&kept, (lsn, through))?;
        }
        Kind::Retire => {
            let retire = Retire::read(payload, &state.plan).map_err(damaged)?;
            retirement::replay(state, &retire).map_err(damaged)?;
        }
    }
    state.sequence.replay_number(lsn);
    Ok(())
}

fn replay_duplicate(state: &State, batch: &mut Batch, payload: &[u8]) -> Read<()> {
    let duplicate = Duplicate::read(payload, &state.plan, &mut batch.accounts)?;
    define(state, duplicate.defined)?;
    state.ledger.book(&batch.accounts);
    Ok(())
}

fn replay_batch(state: &State, batch: &mut Batch, lsn: Lsn, payload: &[u8]) -> Read<()> {
    let head = record::decode(payload, &state.plan, batch)?;
    define(state, head.defined)?;
    let ruling = Ruling {
        lsn,
        now_ns: head.now_ns,
        newest_ns: head.newest_ns,
        watermark_ns: head.watermark_ns,
        sealed: head.sealed,
        horizon_ns: head.horizon_ns,
        cut: 0,
    };
    let key = Key::read(&mut Reader(head.key))?;
    let has_events = !batch.ends_ns.is_empty();
    let ruling = state.sequence.replay(ruling, has_events, (&key, head.response));
    apply(state, batch, &ruling);
    state.ledger.book(&batch.accounts);
    Ok(())
}

/// Give values and identities the ids that they had.
fn define(state: &State, defined: Defined<'_>) -> Read<()> {
    if defined.is_empty() {
        return Ok(());
    }
    defined.values(|id, dimension, text| {
        let _ = state.sequence.journaled(|journaled| journaled.note(id));
        if state.values.define(id, dimension, text) { Ok(()) } else { Err(TAKEN) }
    })?;
    defined.identities(&state.plan, |identity| {
        let grouping = state.plan.groupings().nth(identity.grouping).ok_or(TAKEN)?;
        let mut identities = grouping.identities.write();
        let is_its_own = identities.define(identity.series, identity.serial, identity.tuple);
        if is_its_own { Ok(()) } else { Err(TAKEN) }
    })
}
