//! The path back: a checkpoint, then every record after it, through the same `apply`.

use crate::batch::Batch;
use crate::codec::{Damaged, Read, Reader};
use crate::ingest::apply;
use crate::journal::Lsn;
use crate::record::{self, Head, Retire, Seal};
use crate::retirement;
use crate::state::State;

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
    match kind {
        record::BATCH => replay_batch(state, batch, lsn, payload),
        record::DUPLICATE => {
            record::read_duplicate(payload, batch)?;
            define(state, batch)?;
            state.ledger.book(&batch.accounts);
            state.sequence.replay_number(lsn);
            Ok(())
        }
        record::WATERMARK => {
            let watermark_ns = Reader(payload).i64()?;
            state.sequence.replay_watermark(lsn, watermark_ns);
            Ok(())
        }
        record::SEAL => {
            let Seal { through, kept } = Seal::read(payload)?;
            state.replay_seal(kept, through);
            state.sequence.replay_number(lsn);
            Ok(())
        }
        record::RETIRE => {
            retirement::replay(state, &Retire::read(payload)?)?;
            state.sequence.replay_number(lsn);
            Ok(())
        }
        _ => Err(Damaged("is a record of a kind that this version does not know")),
    }
}

fn replay_batch(state: &State, batch: &mut Batch, lsn: Lsn, payload: &[u8]) -> Read<()> {
    let Head { ruling, key, response } = record::read_batch(payload, lsn, &state.plan, batch)?;
    define(state, batch)?;
    let has_events = !batch.ends_ns.is_empty();
    let ruling = state.sequence.replay(&ruling, has_events, (&key, &response));
    apply(state, batch, &ruling);
    state.ledger.book(&batch.accounts);
    Ok(())
}

/// Give values and identities the ids that they had.
fn define(state: &State, batch: &Batch) -> Read<()> {
    let taken = Damaged("gives an id that another has");
    for value in &batch.definitions.values {
        if !state.values.define(value.id, value.dimension, &value.text) {
            return Err(taken);
        }
        state.sequence.journaled(|journaled| journaled.note(value.id));
    }
    for identity in &batch.definitions.identities {
        let grouping = state.plan.groupings().nth(identity.grouping as usize);
        let grouping = grouping.ok_or(Damaged("names a view that is not there"))?;
        let mut identities = grouping.identities.write();
        if !identities.define(identity.series, identity.serial, &identity.tuple) {
            return Err(taken);
        }
    }
    Ok(())
}
