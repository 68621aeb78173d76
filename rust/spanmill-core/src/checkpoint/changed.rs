//! What of a checkpoint another configuration can go on with.

use crate::config::{ObjectiveConfig, ViewConfig};
use crate::signal::known;

/// What records and counters depend on of a configuration.
pub(super) type Shapes<'a> = (&'a [ViewConfig], &'a [ObjectiveConfig]);

/// Where what a checkpoint holds goes under a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    /// Place of each view of the checkpoint now; `None` where its windows are let go.
    pub views: Vec<Option<usize>>,
    /// The same of objectives and their counters.
    pub objectives: Vec<Option<usize>>,
    /// One line for each view and objective that begins empty, and each that is gone.
    pub dropped: Vec<String>,
}

impl Mapping {
    /// Between the configuration of a checkpoint and the one there is now.
    pub(super) fn new(stored: Shapes<'_>, (views_now, objectives_now): Shapes<'_>) -> Self {
        let mut dropped = Vec::new();
        let views = stored.0.iter().map(|view| {
            let now = views_now.iter().position(|now| now.name == view.name);
            let changed = now.map(|now| changed_view(view, &views_now[now]));
            follow(("view", &view.name), now, changed.as_deref(), &mut dropped)
        });
        let views = views.collect();
        let objectives = stored.1.iter().map(|objective| {
            let now = objectives_now.iter().position(|now| now.name == objective.name);
            let changed = now.map(|now| changed_objective(objective, &objectives_now[now]));
            follow(("objective", &objective.name), now, changed.as_deref(), &mut dropped)
        });
        let objectives = objectives.collect();
        Self { views, objectives, dropped }
    }

    /// Whether records written under the one read under the other: everything has its place.
    pub(super) fn is_same(&self, (views, objectives): Shapes<'_>) -> bool {
        let in_place = |places: &[Option<usize>], count: usize| {
            places.iter().copied().eq((0..count).map(Some))
        };
        in_place(&self.views, views.len()) && in_place(&self.objectives, objectives.len())
    }
}

/// Place of what is the same now; else say in `dropped` why it is not.
fn follow(
    (what, name): (&str, &str),
    now: Option<usize>,
    changed: Option<&[&str]>,
    dropped: &mut Vec<String>,
) -> Option<usize> {
    match changed {
        Some([]) => return now,
        Some(changed) => dropped.push(format!(
            "{what} {name:?} has other {}: it is another {what}, and begins empty",
            known(changed.iter().copied())
        )),
        None => {
            dropped.push(format!("{what} {name:?} is no longer configured: what it held is let go"))
        }
    }
    None
}

fn named<const N: usize>(changed: [(&'static str, bool); N]) -> Vec<&'static str> {
    changed.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}

fn changed_view(stored: &ViewConfig, now: &ViewConfig) -> Vec<&'static str> {
    named([
        ("where", stored.conditions != now.conditions),
        ("dimensions", stored.dimensions != now.dimensions),
        ("measures", stored.measures != now.measures),
        ("distinct", stored.distinct != now.distinct),
        ("top", stored.top != now.top),
    ])
}

fn changed_objective(stored: &ObjectiveConfig, now: &ObjectiveConfig) -> Vec<&'static str> {
    named([
        ("sli", stored.sli != now.sli),
        ("where", stored.conditions != now.conditions),
        ("group_by", stored.group_by != now.group_by),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view(name: &str, dimensions: &[&str]) -> ViewConfig {
        let view = json!({
            "name": name, "where": [], "dimensions": dimensions, "measures": ["ttft"],
            "distinct": [], "top": [],
        });
        serde_json::from_value(view).expect("a view")
    }

    fn objective(name: &str, below: f64, objective: f64) -> ObjectiveConfig {
        let objective = json!({
            "name": name, "description": "", "where": [], "group_by": [], "objective": objective,
            "sli": {"kind": "latency", "measure": "ttft", "below": below},
            "period_s": 3600, "layer": "", "runbook": "",
        });
        serde_json::from_value(objective).expect("an objective")
    }

    /// Targets and texts may change without a loss; another order only needs another place.
    #[test]
    fn what_is_counted_alike_stays() {
        let views = [view("a", &["model"]), view("b", &["tenant"])];
        let stored = [objective("fast", 1.2, 0.99)];
        let now = [objective("fast", 1.2, 0.999)];
        let mapping = Mapping::new((&views, &stored), (&views, &now));
        assert_eq!((&[Some(0), Some(1)][..], &[Some(0)][..]), places(&mapping));
        assert!(mapping.is_same((&views, &now)) && mapping.dropped.is_empty());
        let turned = [views[1].clone(), views[0].clone()];
        let mapping = Mapping::new((&views, &stored), (&turned, &now));
        assert_eq!((&[Some(1), Some(0)][..], &[Some(0)][..]), places(&mapping));
        assert!(!mapping.is_same((&turned, &now)) && mapping.dropped.is_empty());
    }

    /// What is cut or judged otherwise begins empty, and a line says what and why.
    #[test]
    fn what_is_counted_otherwise_begins_empty() {
        let stored = [view("a", &["model"]), view("b", &["tenant"])];
        let now = [view("b", &["tenant", "model"])];
        let mapping = Mapping::new(
            (&stored, &[objective("fast", 1.2, 0.99)]),
            (&now, &[objective("fast", 2.0, 0.99)]),
        );
        assert_eq!((&[None, None][..], &[None][..]), places(&mapping));
        assert_eq!(
            [
                "view \"a\" is no longer configured: what it held is let go",
                "view \"b\" has other dimensions: it is another view, and begins empty",
                "objective \"fast\" has other sli: it is another objective, and begins empty",
            ],
            mapping.dropped[..]
        );
    }

    /// A view or objective that is new makes records differ, though nothing is let go.
    #[test]
    fn what_is_new_changes_records() {
        let now = [view("a", &["model"]), view("b", &["model"])];
        let mapping = Mapping::new((&now[..1], &[]), (&now, &[]));
        assert!(!mapping.is_same((&now, &[])) && mapping.dropped.is_empty());
    }

    fn places(mapping: &Mapping) -> (&[Option<usize>], &[Option<usize>]) {
        (&mapping.views, &mapping.objectives)
    }
}
