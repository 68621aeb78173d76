//! Matching series to groups, and what they hold to one digest a group and slice.

use std::collections::HashMap;
use std::sync::Arc;

use super::ask::Asked;
use super::when::Held;
use crate::digest::Digest;
use crate::error::Result;
use crate::filing;
use crate::state::State;
use crate::value::ValueId;
use crate::window::{Gathered, Piece, Steps, Use};

/// Series that match, each with its group.
pub(super) struct Matching {
    series: Vec<u32>,
    /// Group of each series.
    groups: Vec<u32>,
    keys: Vec<Vec<ValueId>>,
    /// What all of them are kept for.
    pub used: Use,
}

impl Matching {
    /// Under a read lock, without an allocation a series.
    pub(super) fn find(asked: &Asked<'_>) -> Self {
        let mut matching =
            Self { series: Vec::new(), groups: Vec::new(), keys: Vec::new(), used: Use::Objective };
        let mut known: HashMap<Vec<ValueId>, u32> = HashMap::new();
        let mut key = Vec::with_capacity(asked.by.len());
        let identities = asked.view.grouping.identities.read();
        for (series, tuple) in identities.live() {
            if !asked.conditions.iter().all(|(at, ids)| ids.contains(&tuple[*at])) {
                continue;
            }
            if matching.used == Use::Objective {
                matching.used = asked.view.used(tuple);
            }
            key.clear();
            key.extend(asked.by.iter().map(|at| tuple[*at]));
            let group = known.get(&key).copied().unwrap_or_else(|| {
                let group = matching.keys.len() as u32;
                let _ = known.insert(key.clone(), group);
                matching.keys.push(key.clone());
                group
            });
            matching.series.push(series);
            matching.groups.push(group);
        }
        matching
    }

    /// How many groups there are at most; those without an event are absent from answers.
    pub(super) fn group_count(&self) -> usize {
        self.keys.len()
    }

    /// Everything the groups hold in each slice, sorted by the groups' names.
    ///
    /// # Errors
    ///
    /// What memory does not hold cannot be read from the disk.
    pub(super) fn gather(
        &self,
        state: &State,
        asked: &Asked<'_>,
        held: &Held,
        steps: &Steps,
    ) -> Result<Vec<Group>> {
        let disk = match state.archive() {
            Some(archive) => {
                let beyond = |used| held.beyond(used, steps);
                filing::fetch(archive, (asked.view, &state.values), &self.series, beyond)?
            }
            None => Vec::new(),
        };
        let cell = |_| Cell::new(asked);
        let cells = |_| (0..steps.count).map(cell).collect();
        let mut cells: Vec<Vec<Cell>> = (0..self.keys.len()).map(cells).collect();
        asked.view.windows.visit(steps, &self.series, &disk, |place, at, piece| {
            let cell = &mut cells[self.groups[place] as usize][at];
            match piece {
                Piece::Events(slice) => cell.gathered.take(slice),
                Piece::Late(events) => cell.late += events,
            }
        });
        let text = |id: &ValueId| state.values.text(*id);
        let named = |(key, cells): (&Vec<ValueId>, _)| Group {
            dims: key.iter().map(text).collect(),
            cells,
        };
        let mut groups: Vec<Group> = self.keys.iter().zip(cells).map(named).collect();
        // By name: ids depend on who came first, answers must not.
        groups.sort_unstable_by(|a, b| a.dims.cmp(&b.dims));
        Ok(groups)
    }
}

/// What one group holds.
pub(super) struct Group {
    /// Values of the dimensions asked for; `None` where one is absent.
    pub dims: Vec<Option<Arc<str>>>,
    /// One a slice.
    pub cells: Vec<Cell>,
}

/// What one group holds in one slice, still to be merged.
pub(super) struct Cell {
    gathered: Gathered,
    pub late: u64,
}

impl Cell {
    fn new(asked: &Asked<'_>) -> Self {
        Self { gathered: Gathered::new(asked.place, asked.view.measures.len()), late: 0 }
    }

    /// The distribution of the measure asked for; empty without an event.
    pub(super) fn merge(self) -> Digest {
        self.gathered.merge()
    }
}
