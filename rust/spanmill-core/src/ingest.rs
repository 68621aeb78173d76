//! The path of a request: bytes, spans, signals, series, journal, budgets, ledger.

use crate::batch::{Batch, Context, resolve};
use crate::clock::SECOND_NS;
use crate::companion;
use crate::dedupe::Key;
use crate::error::{Error, Result};
use crate::journal::Lsn;
use crate::ledger::{Classes, REJECTIONS};
use crate::record;
use crate::sequence::{Admission, Arrival, Known, Ruling, Step, Verdict};
use crate::state::State;
use crate::window::Rows;
use crate::wire::partial_success;

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
}

/// Fold one `ExportTraceServiceRequest`.
pub(crate) fn ingest(state: &State, request: &[u8], sender: Sender<'_>) -> Result<Receipt> {
    let limit = state.limits.request_bytes;
    if request.len() > limit {
        return Err(Error::TooLarge { bytes: request.len(), limit });
    }
    let key = Key::of(&state.key, sender.tenant, sender.batch_id, request);
    let mut batch = state.scratch.take(&state.plan);
    let decode = |batch: &mut Batch, context: Context<'_>| batch.decode(request, context);
    let outcome = fold(state, &mut batch, key, &decode);
    state.scratch.give_back(batch);
    outcome.map_err(|error| match error {
        Error::BatchConflict(_) => Error::BatchConflict(sender.batch_id.unwrap_or("").to_owned()),
        other => other,
    })
}

/// Decode, sequence, journal and apply one batch, whatever `decode` reads it from.
pub(crate) fn fold(
    state: &State,
    batch: &mut Batch,
    key: Key,
    decode: &dyn Fn(&mut Batch, Context<'_>) -> Result<()>,
) -> Result<Receipt> {
    let now_ns = state.clock.now_ns();
    let latest_ns = now_ns.saturating_add(state.future_skew_ns);
    let context = Context { plan: &state.plan, values: &state.values, latest_ns };
    loop {
        batch.enter(state.sequence.epoch());
        decode(batch, context)?;
        match sequence(state, batch, key.if_told_apart(batch.has_all_ids), now_ns) {
            Admission::Admitted(verdict) => return Ok(carry_out(state, batch, verdict)),
            Admission::Known(known) => return Ok(repeat(state, batch, known)),
            Admission::Refused(error) => return Err(error),
            // Rare: once a minute at most.
            Admission::Stale => {}
        }
    }
}

/// Bring a decoded batch to the sequencing point.
fn sequence<'s>(state: &'s State, batch: &mut Batch, key: Key, now_ns: i64) -> Admission<'s> {
    batch.key = key;
    let seen = std::mem::take(&mut batch.by_source);
    let arrival = Arrival {
        now_ns,
        steady_ns: state.clock.steady_ns(),
        newest_ns: batch.newest_ns,
        epoch: batch.epoch,
        by_source: &seen,
        key: &key,
        record_bytes: record::batch_bytes_max(batch, &state.plan, &state.limits),
        duplicate_bytes: record::duplicate_bytes_max(batch),
    };
    let admission = state.sequence.admit(&arrival, state.journal(), |step, journaled| match step {
        Step::First(ruling) => {
            resolve(&mut batch.groups, &state.plan);
            settle(batch, ruling.horizon_ns);
            batch.define(&state.plan, &state.values, journaled);
            batch.response = respond(&batch.accounts.total());
            batch.response.clone()
        }
        Step::Again => {
            batch.accounts.make_duplicate();
            batch.define_accounts(&state.values, journaled);
            Vec::new()
        }
    });
    batch.by_source = seen;
    admission
}

/// Write down what was ruled, and do it. Whether it is durable is for the caller to wait for.
fn carry_out(state: &State, batch: &mut Batch, verdict: Verdict<'_>) -> Receipt {
    let Verdict { ruling, slot, .. } = &verdict;
    if let (Some(slot), Some(journal)) = (slot, state.journal()) {
        let mut payload = journal.recycle();
        record::write_batch(batch, ruling, &state.plan, &mut payload);
        slot.fill(record::BATCH, payload);
    }
    apply(state, batch, ruling);
    state.ledger.book(&batch.accounts);
    Receipt { lsn: ruling.lsn, response: std::mem::take(&mut batch.response) }
}

/// A batch that was here before: what was said then holds, once the first copy is durable.
fn repeat(state: &State, batch: &Batch, known: Known) -> Receipt {
    let Known { first, response, slot } = known;
    if let (Some(slot), Some(journal)) = (slot, state.journal()) {
        let mut payload = journal.recycle();
        record::write_duplicate(batch, &mut payload);
        slot.fill(record::DUPLICATE, payload);
    }
    state.ledger.book(&batch.accounts);
    Receipt { lsn: first, response }
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
