//! What the limits did: overflow, retirement, companions, and whether our clock is in doubt.

use serde_json::{Map, Value as Json, json};

use crate::state::State;
use crate::value::{ABSENT, ValueId};
use crate::view::View;

/// Add the figures to the core's others.
pub(super) fn show(state: &State, shown: &mut Json) {
    let by_view = |figure: &dyn Fn(&View) -> Json| -> Json {
        let views = state.plan.views.iter().map(|view| (view.name.clone(), figure(view)));
        Json::Object(views.collect())
    };
    let overflow: Vec<(Json, Json)> =
        state.plan.views.iter().map(|view| overflown(state, view)).collect();
    let named = |figures: Vec<Json>| -> Json {
        let names = state.plan.views.iter().map(|view| view.name.clone());
        Json::Object(names.zip(figures).collect())
    };
    let (by_dimension, by_tenant): (Vec<Json>, Vec<Json>) = overflow.into_iter().unzip();
    shown["overflow"] = named(by_dimension);
    shown["overflow_tenants"] = named(by_tenant);
    shown["slo_overflow"] = objectives(state);
    shown["series_retired"] = by_view(&|view| json!(view.overflow.lock().retired_series));
    shown["series_retired_events"] = by_view(&|view| json!(view.overflow.lock().retired_events));
    shown["companions"] = by_view(&|view| {
        view.companions.as_ref().map_or(Json::Null, |companions| {
            let held = companions.held();
            json!({
                "bytes": held.bytes, "late": held.late, "skipped": held.skipped,
                "shed": held.shed,
            })
        })
    });
    let suspicion = state.sequence.clock_suspicion(state.clock.steady_ns());
    shown["clock_suspect"] = json!(suspicion.is_some());
}

/// Events whose series gave a value up, by dimension and by tenant.
fn overflown(state: &State, view: &View) -> (Json, Json) {
    let events = view.overflown();
    let dimension = |(position, n): (&usize, &u64)| {
        (view.grouping.dimensions[*position].info().name.to_owned(), json!(n))
    };
    let name = |id: ValueId| match id {
        // An event without a tenant is still somebody's, as on the ledger.
        ABSENT => String::new(),
        id => state.values.text(id).as_deref().unwrap_or_default().to_owned(),
    };
    let by_dimension: Map<String, Json> = events.by_position.iter().map(dimension).collect();
    let by_tenant: Map<String, Json> =
        events.by_tenant.iter().map(|(id, n)| (name(*id), json!(n))).collect();
    (Json::Object(by_dimension), Json::Object(by_tenant))
}

/// Events that share an objective's group for all others.
fn objectives(state: &State) -> Json {
    let grouped = state.plan.objectives.iter().map(|grouped| {
        let identities = grouped.grouping.identities.read();
        let events = grouped.objective.events_in(identities.collapsed());
        (grouped.objective.config.name.clone(), json!(events))
    });
    Json::Object(grouped.collect())
}
