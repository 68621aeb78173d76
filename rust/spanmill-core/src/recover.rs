//! The path back: every record after a checkpoint, in order, through the same `apply`.

use crate::batch::Batch;
use crate::codec::{Damaged, Read, Reader};
use crate::dedupe::Key;
use crate::ingest::apply;
use crate::journal::Lsn;
use crate::record::{self, Defined, Duplicate, Kind, Retire, Seal, Watermark};
use crate::retirement;
use crate::sequence::Ruling;
use crate::state::State;
use crate::window::Kept;

const TAKEN: Damaged = Damaged("gives an id that another has");

/// Do what one record says. It must follow the one before.
///
/// # Errors
///
/// [`Damaged`] where it does not read, or contradicts what is there.
pub(crate) fn replay(
    state: &State,
    batch: &mut Batch,
    lsn: Lsn,
    (kind, payload): (u8, &[u8]),
) -> Read<()> {
    let kind = Kind::of(kind).ok_or(Damaged("is a record of an unknown kind"))?;
    match kind {
        Kind::Batch => return replay_batch(state, batch, lsn, payload),
        Kind::Duplicate => {
            let duplicate = Duplicate::read(payload, &state.plan, &mut batch.accounts)?;
            define(state, duplicate.defined)?;
            state.ledger.book(&batch.accounts);
        }
        Kind::Watermark => {
            state.sequence.replay_watermark(Watermark::read(payload)?.watermark_ns);
        }
        Kind::Seal => {
            let Seal { through, kept } = Seal::read(payload)?;
            let kept = Kept::load(&mut Reader(kept))?;
            state.replay_seal(&kept, through);
        }
        Kind::Retire => retirement::replay(state, &Retire::read(payload, &state.plan)?)?,
    }
    state.sequence.replay_number(lsn);
    Ok(())
}

fn replay_batch(state: &State, batch: &mut Batch, lsn: Lsn, payload: &[u8]) -> Read<()> {
    let head = record::decode(payload, &state.plan, batch)?;
    define(state, head.defined)?;
    let ruling = Ruling {
        lsn,
        now_ns: head.now_ns,
        watermark_ns: head.watermark_ns,
        sealed: head.sealed,
        horizon_ns: head.horizon_ns,
        cut: 0,
    };
    let key = Key::read(&mut Reader(head.key))?;
    let ruling = state.sequence.replay(ruling, batch.newest_ns, &key, head.response);
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
