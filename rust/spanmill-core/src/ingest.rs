//! The path of a request: bytes, spans, signals, series, budgets, ledger.

use crate::batch::{Batch, Context, resolve};
use crate::clock::SECOND_NS;
use crate::companion;
use crate::error::{Error, Result};
use crate::ledger::{Classes, REJECTIONS};
use crate::sequence::{Admission, Arrival, Verdict};
use crate::state::State;
use crate::window::Rows;
use crate::wire::partial_success;

/// Fold one `ExportTraceServiceRequest` and return the encoded response.
pub(crate) fn ingest(state: &State, request: &[u8]) -> Result<Vec<u8>> {
    let limit = state.limits.request_bytes;
    if request.len() > limit {
        return Err(Error::TooLarge { bytes: request.len(), limit });
    }
    let mut batch = state.scratch.take(&state.plan);
    let outcome = fold(state, request, &mut batch);
    state.scratch.give_back(batch);
    outcome
}

fn fold(state: &State, request: &[u8], batch: &mut Batch) -> Result<Vec<u8>> {
    let now_ns = state.clock.now_ns();
    let latest_ns = now_ns.saturating_add(state.future_skew_ns);
    let context = Context { plan: &state.plan, values: &state.values, latest_ns };
    let verdict = loop {
        batch.enter(state.sequence.epoch());
        batch.decode(request, context)?;
        let arrival = Arrival {
            now_ns,
            steady_ns: state.clock.steady_ns(),
            newest_ns: batch.newest_ns,
            epoch: batch.epoch,
            accounts: &batch.accounts,
        };
        match state.sequence.admit(&arrival, || resolve(&mut batch.groups, &state.plan)) {
            Admission::Admitted(verdict) => break verdict,
            // Rare: once a minute at most.
            Admission::Stale => {}
            Admission::ClockSuspect(ahead, of) => return Err(Error::ClockSuspect { ahead, of }),
        }
    };
    apply(state, batch, &verdict);
    settle(batch, &verdict);
    state.ledger.book(&batch.accounts);
    Ok(respond(&batch.accounts.total()))
}

/// Fold the batch into windows and budgets. Commutative: the verdict has decided the rest.
fn apply(state: &State, batch: &mut Batch, verdict: &Verdict<'_>) {
    let plan = &state.plan;
    let (views, objectives) = batch.groups.split_at(plan.views.len());
    for (groups, view) in views.iter().zip(&plan.views) {
        let rows = Rows {
            ends_ns: &batch.ends_ns,
            measures: &batch.measures,
            stride: plan.slots.measures.len(),
            series: &groups.series,
            horizon_ns: verdict.horizon_ns,
            cut: 0,
        };
        let late = view.windows.apply(&rows, verdict.sealed, &mut batch.by_shard);
        state.stats.add_digest_late(late);
        if let Some(companions) = &view.companions {
            companions.apply(&companion::Rows {
                ends_ns: &batch.ends_ns,
                series: &groups.series,
                by_shard: &batch.by_shard,
                wide: &batch.wide,
                horizon_ns: verdict.horizon_ns,
                sealed: verdict.sealed,
                cut: 0,
            });
        }
    }
    let horizon_s = verdict.horizon_ns.div_euclid(SECOND_NS);
    for (groups, grouped) in objectives.iter().zip(&plan.objectives) {
        if !groups.tallies.is_empty() {
            grouped.objective.add(&groups.tallies, horizon_s);
        }
    }
}

/// Class every event that was not refused: counted, or older than any counter holds.
fn settle(batch: &mut Batch, verdict: &Verdict<'_>) {
    for (ends_ns, place) in batch.ends_ns.iter().zip(&batch.places) {
        let classes = batch.accounts.at(*place);
        if *ends_ns < verdict.horizon_ns {
            classes.late += 1;
        } else {
            classes.counted += 1;
        }
    }
}

/// Rejected and late spans are final: sending them again cannot help.
fn respond(total: &Classes) -> Vec<u8> {
    let named = REJECTIONS.iter().map(|(_, name)| *name).zip(total.rejected);
    let reasons: Vec<(&str, u64)> =
        named.chain([("late", total.late)]).filter(|(_, n)| *n > 0).collect();
    let message: Vec<String> = reasons.iter().map(|(name, n)| format!("{name}: {n}")).collect();
    partial_success(reasons.iter().map(|(_, n)| n).sum(), &message.join(", "))
}
