//! Series that fell silent free their identities; values that nothing uses any more make room.
//!
//! A series is silent once its windows and companions hold nothing of it, hours
//! after its last event. Counters are not touched: they have rings of their own.
//! Batches may hold ids in their caches, so a round runs while none is under way,
//! and what was decoded before it is decoded again.

use std::sync::atomic::Ordering;

use crate::clock::SECOND_NS;
use crate::codec::{Damaged, Read};
use crate::error::Result;
use crate::overflow::Collapsed;
use crate::record::{Kind, Retire};
use crate::state::State;
use crate::value::ValueId;
use crate::view::View;

/// Every round makes batches forget what they cached: often enough is once a minute.
const EVERY_NS: i64 = 60 * SECOND_NS;

/// How long to wait after no value could be let go of.
const FRUITLESS_NS: i64 = 15 * EVERY_NS;

/// Series of one view that one round lets go: it holds up ingest for some milliseconds at most.
const ROUND_MAX: usize = 4_096;

/// Let go of what is silent, once a minute.
///
/// # Errors
///
/// The journal's: nothing was let go.
pub(crate) fn retire(state: &State) -> Result<()> {
    let views = &state.plan.views;
    views.iter().for_each(mind_memory);
    let now_ns = state.clock.steady_ns();
    if now_ns - state.retired_at_ns.load(Ordering::Relaxed) < EVERY_NS {
        return Ok(());
    }
    state.retired_at_ns.store(now_ns, Ordering::Relaxed);
    let silent: Vec<Vec<u32>> = views.iter().map(silent).collect();
    let crowded = state.values.is_crowded()
        && now_ns >= state.values_looked_through_ns.load(Ordering::Relaxed);
    let resting = |view: &View| view.grouping.identities.read().has_resting();
    if silent.iter().all(Vec::is_empty) && !crowded && !views.iter().any(resting) {
        return Ok(());
    }
    let most =
        Retire { series: silent.clone(), values: crowded.then(|| vec![0; state.values.held()]) };
    state.sequence.let_go(state.journal(), most.bytes_max(), |watched, journaled, slot| {
        let series = views.iter().zip(silent).map(|(view, silent)| let_go(view, silent)).collect();
        let values = crowded.then(|| {
            let used = used_values(state, watched);
            let gone = state.values.retain(|id| used.get(id as usize).copied().unwrap_or(false));
            gone.iter().for_each(|id| journaled.forget(*id));
            // Looking through every series holds up ingest: not each minute for nothing.
            let wait_ns = if state.values.is_room(gone.len()) { 0 } else { FRUITLESS_NS };
            state.values_looked_through_ns.store(now_ns + wait_ns, Ordering::Relaxed);
            gone
        });
        if let Some(slot) = slot {
            let mut payload = Vec::new();
            Retire { series, values }.write(&mut payload);
            slot.fill(Kind::Retire as u8, payload);
        }
    })
}

/// Let go of what a record says was let go.
///
/// # Errors
///
/// [`Damaged`] where something it names still holds events.
pub(crate) fn replay(state: &State, record: &Retire) -> Read<()> {
    for (view, silent) in state.plan.views.iter().zip(&record.series) {
        let gone = let_go(view, silent.clone());
        if gone.len() != silent.len() {
            return Err(Damaged("lets go of a series that still holds events"));
        }
    }
    if let Some(values) = &record.values {
        state.values.let_go(values);
        state.sequence.journaled(|journaled| values.iter().for_each(|id| journaled.forget(*id)));
    }
    Ok(())
}

/// Where the budget does not even hold the open edge, no identity is made that it would have to hold.
fn mind_memory(view: &View) {
    let short = view.windows.over_budget();
    if short != view.grouping.identities.read().is_short() {
        view.grouping.identities.write().set_short(short);
    }
}

/// Candidates of a view; the rest wait for the next round. An event may still wake one.
fn silent(view: &View) -> Vec<u32> {
    let mut waiting = view.silent.lock();
    waiting.extend(view.windows.silent());
    waiting.sort_unstable();
    waiting.dedup();
    let identities = view.grouping.identities.read();
    let (mut ready, rest): (Vec<u32>, Vec<u32>) = waiting
        .drain(..)
        .filter(|series| identities.is_live(*series))
        .partition(|series| !holds_companions(view, *series));
    *waiting = rest;
    waiting.extend(ready.drain(ready.len().min(ROUND_MAX)..));
    ready
}

fn holds_companions(view: &View, series: u32) -> bool {
    view.companions.as_ref().is_some_and(|companions| companions.holds(series))
}

/// Those that it let go of.
fn let_go(view: &View, mut silent: Vec<u32>) -> Vec<u32> {
    let mut identities = view.grouping.identities.write();
    let mut overflow = view.overflow.lock();
    let tenant = view.tenant();
    if let Some(position) = tenant {
        let collapsed = identities.collapsed().iter();
        overflow.tell_apart(collapsed.map(|&series| identities.tuple(series)[position]));
    }
    // Nothing is under way now: what is still silent stays so.
    silent.retain(|&series| {
        let Some(events) = view.windows.forget(series) else { return false };
        let tuple = identities.tuple(series);
        let tenant = tenant.map(|position| tuple[position]);
        overflow.retire(&Collapsed { tuple, tenant, events });
        true
    });
    identities.retire(&silent);
    silent
}

/// By id: whether something still means a value.
fn used_values(state: &State, watched: &[ValueId]) -> Vec<bool> {
    let mut used: Vec<bool> = Vec::new();
    let mut mark = |id: ValueId| {
        let length = used.len().max(id as usize + 1);
        used.resize(length, false);
        used[id as usize] = true;
    };
    for grouping in state.plan.groupings() {
        grouping.named_values().for_each(&mut mark);
        let identities = grouping.identities.read();
        identities.live().flat_map(|(_, tuple)| tuple).for_each(|id| mark(*id));
    }
    for view in &state.plan.views {
        view.overflow.lock().tenants().for_each(&mut mark);
    }
    state.ledger.ids().iter().chain(watched).for_each(|id| mark(*id));
    used
}
