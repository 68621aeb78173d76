//! Between views and the archive: names for ids on the way out, ids for names on the way back.

use std::collections::HashMap;

use crate::archive::{Archive, Filed, Named, Pass, SealedView, Shape, Target, Wanted};
use crate::error::Result;
use crate::journal::Lsn;
use crate::series::Identities;
use crate::value::Values;
use crate::view::{Plan, View};
use crate::window::{Kept, Leaf, Rings, Stretch, Use};

fn shape(view: &View) -> Shape {
    let dimensions = view.grouping.dimensions.iter().map(|it| it.info().name.to_owned());
    let measures = view.measures.iter().map(|it| it.info().name.to_owned());
    let accepted = |(dimension, values): &(String, Vec<String>)| {
        let each = values.iter().map(|value| format!("{dimension}:{value}"));
        each.collect::<Vec<String>>()
    };
    let mut conditions: Vec<String> = view.conditions.iter().flat_map(accepted).collect();
    conditions.sort_unstable();
    Shape {
        name: view.name.clone(),
        conditions,
        dimensions: dimensions.collect(),
        measures: measures.collect(),
    }
}

fn named(view: &View, identities: &Identities, series: u32, values: &Values) -> Named {
    let tuple = identities.tuple(series);
    Named {
        stable: view.stable_id(tuple, values),
        texts: tuple.iter().map(|id| values.text(*id)).collect(),
    }
}

/// What a sealing pass leaves to the archive.
///
/// - `lsn`: the record of the pass.
/// - `kept`: what was held before it.
pub(crate) fn pass(
    (lsn, kept, through): (Lsn, &Kept, i64),
    sealed: Vec<(&View, Vec<Leaf>)>,
    values: &Values,
) -> Pass {
    let views = sealed.into_iter().map(|(view, leaves)| sealed_view(view, leaves, values));
    Pass { lsn, through, due: kept.completed(through), views: views.collect() }
}

fn sealed_view(view: &View, leaves: Vec<Leaf>, values: &Values) -> SealedView {
    let identities = view.grouping.identities.read();
    let mut places: HashMap<u32, u32> = HashMap::new();
    let mut series = Vec::new();
    let filed = |Leaf { tier, series: of, bucket }: Leaf| {
        let place = *places.entry(of).or_insert_with(|| {
            series.push(named(view, &identities, of, values));
            (series.len() - 1) as u32
        });
        Filed { tier, place, bucket }
    };
    let buckets = leaves.into_iter().map(filed).collect();
    SealedView { shape: shape(view), series, buckets }
}

/// Put back the sealed buckets of every identity there is; how many.
///
/// `is_same` says of each view whether the files' is the same.
///
/// # Errors
///
/// Those of [`Archive::load_into`].
pub(crate) fn restore(
    (plan, values): (&Plan, &Values),
    archive: &Archive,
    kept: &Kept,
    is_same: impl Fn(usize) -> bool,
) -> Result<usize> {
    let used: Vec<Vec<Use>> = plan.views.iter().map(uses).collect();
    let asked: Vec<_> = used.iter().map(|used| |series: u32| used[series as usize]).collect();
    let target = |(view, used): (&'_ View, _)| {
        let identities = view.grouping.identities.read();
        let live = identities.live();
        let series = live.map(|(id, _)| (named(view, &identities, id, values), id)).collect();
        (Wanted::new(shape(view), series), used)
    };
    let wanted: Vec<_> = plan.views.iter().zip(&asked).map(target).collect();
    let targets = plan.views.iter().zip(wanted).enumerate().filter(|(place, _)| is_same(*place));
    let targets: Vec<Target<'_>> = targets
        .map(|(_, (view, (wanted, used)))| Target { wanted, windows: &view.windows, used })
        .collect();
    archive.load_into(&targets, kept)
}

/// What each series of a view is kept for, by id.
fn uses(view: &View) -> Vec<Use> {
    let mut uses = Vec::new();
    for (series, tuple) in view.grouping.identities.read().live() {
        uses.resize(uses.len().max(series as usize + 1), Use::Recent);
        uses[series as usize] = view.used(tuple);
    }
    uses
}

/// What the disk must give of `series` so that memory and it together answer a question, by
/// place in `series`. `beyond` says which stretches a use lacks in memory.
///
/// # Errors
///
/// Those of [`Archive::fetch`].
pub(crate) fn fetch(
    archive: &Archive,
    (view, values): (&View, &Values),
    series: &[u32],
    beyond: impl Fn(Use) -> Vec<Stretch>,
) -> Result<Vec<Option<Rings>>> {
    let mut found: Vec<Option<Rings>> = Vec::new();
    for used in [Use::Recent, Use::Objective] {
        let stretches = beyond(used);
        if stretches.is_empty() {
            continue;
        }
        let identities = view.grouping.identities.read();
        let places = (0..).zip(series);
        let mine = places.filter(|(_, id)| view.used(identities.tuple(**id)) == used);
        let mine: Vec<(Named, u32)> =
            mine.map(|(place, id)| (named(view, &identities, *id, values), place)).collect();
        drop(identities);
        if mine.is_empty() {
            continue;
        }
        found.resize_with(series.len(), || None);
        archive.fetch(&Wanted::new(shape(view), mine), &stretches, |place, tier, bucket| {
            found[place as usize].get_or_insert_default().push(tier, bucket);
        })?;
    }
    Ok(found)
}
