//! The path of a request: bytes, spans, signals, series, journal, budgets, ledger.

use std::cell::Cell;

use crate::archive::Archive;
use crate::batch::{Batch, Context, resolve};
use crate::clock::SECOND_NS;
use crate::columns;
use crate::companion;
use crate::dedupe::{Key, Name};
use crate::error::{Error, Result};
use crate::journal::Lsn;
use crate::ledger::{Accounts, Classes, REJECTIONS};
use crate::record::{self, Definitions, Duplicate, Head, Identity, Kind};
use crate::sequence::{Admission, Arrival, Known, Ruling, Step, Verdict};
use crate::state::{State, Work};
use crate::value::{Journaled, ValueId};
use crate::window::Rows;
use crate::wire::{partial_success, span_batch_ack};

/// What a sender says of a request beside its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sender<'a> {
    /// Whose batch ids these are; empty where it does not say.
    pub tenant: &'a str,
    /// Its own name for the batch: the same when it sends it again.
    pub batch_id: Option<&'a str>,
}

/// A request that was taken. It must not be acknowledged before [`State::wait`] says so.
#[derive(Debug)]
pub struct Receipt {
    /// Record that must be durable first.
    pub lsn: Lsn,
    /// Encoded response.
    pub response: Vec<u8>,
    /// The batch was here before, and was counted then.
    pub duplicate: bool,
}

/// Fold one `ExportTraceServiceRequest`.
pub(crate) fn ingest(state: &State, request: &[u8], sender: Sender<'_>) -> Result<Receipt> {
    let limit = state.limits.request_bytes;
    if request.len() > limit {
        return Err(Error::TooLarge { bytes: request.len(), limit });
    }
    let name = sender.batch_id.map(|id| Name { tenant: sender.tenant, id });
    let decode = |batch: &mut Batch, context: Context<'_>| {
        batch.decode(request, context)?;
        Ok(Key::of(&state.secret, name, request, batch.has_all_ids))
    };
    fold(state, decode).map_err(|error| match error {
        Error::BatchConflict(_) => Error::BatchConflict(sender.batch_id.unwrap_or("").to_owned()),
        other => other,
    })
}

/// Fold one `SpanBatch`; the receipt's response is its `SpanBatchAck`.
pub(crate) fn ingest_columns(state: &State, request: &[u8]) -> Result<Receipt> {
    let limit = state.limits.request_bytes;
    if request.len() > limit {
        return Err(Error::TooLarge { bytes: request.len(), limit });
    }
    let seq = Cell::new(0);
    let decode = |batch: &mut Batch, context: Context<'_>| {
        let key = columns::decode(batch, request, &state.dictionaries, context)?;
        if let Key::Numbered { seq: its, .. } = key {
            seq.set(its);
        }
        Ok(key)
    };
    let receipt = fold(state, decode)?;
    let response = span_batch_ack(&receipt.response, seq.get(), receipt.duplicate);
    Ok(Receipt { response, ..receipt })
}

/// Decode, sequence, journal and apply one batch.
///
/// `decode` reads it from wherever it comes and says what it is known again by.
pub(crate) fn fold(
    state: &State,
    decode: impl Fn(&mut Batch, Context<'_>) -> Result<Key>,
) -> Result<Receipt> {
    state.archive().map_or(Ok(()), Archive::check_room)?;
    let mut work = state.scratch.take(&state.plan);
    let outcome = fold_in(state, &mut work, decode);
    state.scratch.give_back(work);
    outcome
}

fn fold_in(
    state: &State,
    work: &mut Work,
    decode: impl Fn(&mut Batch, Context<'_>) -> Result<Key>,
) -> Result<Receipt> {
    let now_ns = state.clock.now_ns();
    let latest_ns = now_ns.saturating_add(state.future_skew_ns);
    let context = Context { plan: &state.plan, values: &state.values, latest_ns };
    loop {
        work.batch.enter(state.sequence.epoch());
        let key = decode(&mut work.batch, context)?;
        if key == Key::None {
            work.batch.accounts.become_at_least_once();
        }
        let mut response = Vec::new();
        match sequence(state, work, &key, now_ns, &mut response) {
            Admission::Admitted(verdict) => {
                let lsn = verdict.ruling.lsn;
                carry_out(state, work, &key, verdict, &response);
                return Ok(Receipt { lsn, response, duplicate: false });
            }
            Admission::Known(known) => return Ok(repeat(state, work, now_ns, known)),
            Admission::Refused(error) => return Err(error),
            // Rare: once a minute at most.
            Admission::Stale => {}
        }
    }
}

/// Bring a decoded batch to the sequencing point.
fn sequence<'s>(
    state: &'s State,
    work: &mut Work,
    key: &Key,
    now_ns: i64,
    response: &mut Vec<u8>,
) -> Admission<'s> {
    let Work { batch, definitions, by_source, .. } = work;
    let plan = &state.plan;
    by_source.clear();
    by_source.extend(batch.accounts.by_skew());
    definitions.clear();
    let arrival = Arrival {
        now_ns,
        steady_ns: state.clock.steady_ns(),
        newest_ns: batch.newest_ns,
        epoch: batch.epoch,
        by_source,
        key,
        record_bytes: record::bytes_max(batch, plan, &state.values),
    };
    state.sequence.admit(&arrival, state.journal(), |step, journaled| match step {
        Step::First(ruling) => {
            resolve(&mut batch.groups, plan);
            settle(batch, ruling.horizon_ns);
            define_series(state, batch, journaled, definitions);
            define_accounts(state, &batch.accounts, journaled, definitions);
            *response = respond(&batch.accounts.total());
            response.clone()
        }
        Step::Again => {
            batch.accounts.become_duplicate();
            define_accounts(state, &batch.accounts, journaled, definitions);
            Vec::new()
        }
    })
}

/// Note what the journal has not defined yet of the identities that this batch brought.
fn define_series(
    state: &State,
    batch: &Batch,
    journaled: &mut Journaled,
    definitions: &mut Definitions,
) {
    for (grouping, (groups, at)) in batch.groups.iter().zip(state.plan.groupings()).enumerate() {
        if groups.new.is_empty() {
            continue;
        }
        let identities = at.identities.read();
        for &(series, serial) in &groups.new {
            let tuple = identities.tuple(series);
            tuple.iter().for_each(|id| define(state, *id, journaled, definitions));
            definitions.identity(Identity { grouping, series, serial, tuple });
        }
    }
}

fn define_accounts(
    state: &State,
    accounts: &Accounts,
    journaled: &mut Journaled,
    definitions: &mut Definitions,
) {
    let ids = accounts.list().iter().flat_map(|account| [account.source, account.tenant]);
    ids.for_each(|id| define(state, id, journaled, definitions));
}

#[inline]
fn define(state: &State, id: ValueId, journaled: &mut Journaled, definitions: &mut Definitions) {
    if journaled.note(id)
        && let Some((dimension, text)) = state.values.definition(id)
    {
        definitions.value(id, dimension, &text);
    }
}

/// Write down what was ruled, and do it. Whether it is durable is for the caller to wait for.
fn carry_out(state: &State, work: &mut Work, key: &Key, mut verdict: Verdict<'_>, response: &[u8]) {
    let Work { batch, definitions, key: written, .. } = work;
    let ruling = verdict.ruling;
    if let Some((slot, journal)) = verdict.slot.take().zip(state.journal()) {
        written.0.clear();
        key.write(written);
        let head = Head {
            now_ns: ruling.now_ns,
            newest_ns: ruling.newest_ns,
            watermark_ns: ruling.watermark_ns,
            sealed: ruling.sealed,
            horizon_ns: ruling.horizon_ns,
            key: &written.0,
            response,
            defined: definitions.defined(),
        };
        let mut payload = journal.recycle();
        record::encode(batch, &head, &state.plan, &mut payload);
        slot.fill(Kind::Batch as u8, payload);
    }
    apply(state, batch, &ruling);
    state.ledger.book(&batch.accounts);
    // What stands at a cut is booked as well.
    drop(verdict);
}

/// A batch that was here before: what was said then holds, once the first copy is durable.
fn repeat(state: &State, work: &Work, now_ns: i64, mut known: Known<'_>) -> Receipt {
    let (batch, definitions) = (&work.batch, &work.definitions);
    if let Some((slot, journal)) = known.slot.take().zip(state.journal()) {
        let mut payload = journal.recycle();
        let record = Duplicate { now_ns, defined: definitions.defined() };
        record.write(&batch.accounts, &mut payload);
        slot.fill(Kind::Duplicate as u8, payload);
    }
    state.ledger.book(&batch.accounts);
    let response = std::mem::take(&mut known.response);
    Receipt { lsn: known.first, response, duplicate: true }
}

/// Fold the batch into windows and budgets. Commutative: the ruling has decided the rest.
pub(crate) fn apply(state: &State, batch: &mut Batch, ruling: &Ruling) {
    let plan = &state.plan;
    let (views, objectives) = batch.groups.split_at(plan.views.len());
    for (groups, view) in views.iter().zip(&plan.views) {
        let rows = Rows {
            ends_ns: &batch.ends_ns,
            measures: &batch.measures,
            stride: plan.slots.measures.len(),
            series: &groups.series,
            horizon_ns: ruling.horizon_ns,
            cut: ruling.cut,
        };
        let late = view.windows.apply(&rows, ruling.sealed, &mut batch.by_shard);
        state.stats.add_digest_late(late);
        if let Some(companions) = &view.companions {
            companions.apply(&companion::Rows {
                ends_ns: &batch.ends_ns,
                series: &groups.series,
                by_shard: &batch.by_shard,
                wide: &batch.wide,
                horizon_ns: ruling.horizon_ns,
                sealed: ruling.sealed,
                cut: ruling.cut,
            });
        }
    }
    let horizon_s = ruling.horizon_ns.div_euclid(SECOND_NS);
    for (groups, grouped) in objectives.iter().zip(&plan.objectives) {
        if !groups.tallies.is_empty() {
            grouped.objective.add(&groups.tallies, horizon_s, ruling.cut);
        }
    }
}

/// Class every event that was not refused: counted, or older than any counter holds.
fn settle(batch: &mut Batch, horizon_ns: i64) {
    if batch.oldest_ns < horizon_ns {
        for (ends_ns, place) in batch.ends_ns.iter().zip(&batch.places) {
            batch.accounts.at(*place).late += u64::from(*ends_ns < horizon_ns);
        }
    }
    batch.accounts.settle();
}

/// Rejected and late spans are final: sending them again cannot help.
fn respond(total: &Classes) -> Vec<u8> {
    let named = REJECTIONS.iter().map(|(_, name)| *name).zip(total.rejected);
    let reasons: Vec<(&str, u64)> =
        named.chain([("late", total.late)]).filter(|(_, n)| *n > 0).collect();
    let message: Vec<String> = reasons.iter().map(|(name, n)| format!("{name}: {n}")).collect();
    partial_success(reasons.iter().map(|(_, n)| n).sum(), &message.join(", "))
}
