//! Events whose series gave a value up at a limit: exact, also once the series is retired.

use std::collections::{BTreeMap, HashSet};

use crate::value::{OTHER, ValueId};

/// What one series gave up, and the events it took since.
pub(crate) struct Collapsed<'a> {
    pub tuple: &'a [ValueId],
    /// Its tenant, where the view tells tenants apart.
    pub tenant: Option<ValueId>,
    pub events: u64,
}

/// Events by dimension and tenant of a view's series that were retired, and the tenants told apart.
pub(crate) struct Overflow {
    /// Tenants told apart; the rest share one row.
    tenants_max: usize,
    /// The first that overflowed: once told apart, always.
    tenants: HashSet<ValueId>,
    retired: Events,
    /// Series retired since the start, and the events they had taken.
    pub retired_series: u64,
    pub retired_events: u64,
}

/// Exact counts of overflown events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// By position of the dimension that gave way. An event may stand under several.
    pub by_position: BTreeMap<usize, u64>,
    /// By tenant; each event stands under one.
    pub by_tenant: BTreeMap<ValueId, u64>,
}

impl Overflow {
    pub(crate) fn new(tenants_max: usize) -> Self {
        Self {
            tenants_max,
            tenants: HashSet::new(),
            retired: Events::default(),
            retired_series: 0,
            retired_events: 0,
        }
    }

    /// A series goes: keep what it counted.
    pub(crate) fn retire(&mut self, collapsed: &Collapsed<'_>) {
        self.retired_series += 1;
        self.retired_events += collapsed.events;
        let mut retired = std::mem::take(&mut self.retired);
        self.add(&mut retired, collapsed);
        self.retired = retired;
    }

    /// Everything so far: what was retired, and the series there are.
    pub(crate) fn events<'a>(&mut self, live: impl Iterator<Item = Collapsed<'a>>) -> Events {
        let mut events = self.retired.clone();
        live.for_each(|collapsed| self.add(&mut events, &collapsed));
        events
    }

    fn add(&mut self, events: &mut Events, collapsed: &Collapsed<'_>) {
        let gave = |value: &&ValueId| **value == OTHER;
        if collapsed.events == 0 || !collapsed.tuple.contains(&OTHER) {
            return;
        }
        let positions = collapsed.tuple.iter().enumerate();
        for (position, _) in positions.filter(|(_, value)| gave(value)) {
            *events.by_position.entry(position).or_default() += collapsed.events;
        }
        if let Some(tenant) = collapsed.tenant {
            *events.by_tenant.entry(self.told_apart(tenant)).or_default() += collapsed.events;
        }
    }

    fn told_apart(&mut self, tenant: ValueId) -> ValueId {
        if self.tenants.contains(&tenant) {
            return tenant;
        }
        if self.tenants.len() >= self.tenants_max {
            return OTHER;
        }
        let _ = self.tenants.insert(tenant);
        tenant
    }

    /// Tenants that are told apart.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = ValueId> {
        self.tenants.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collapsed(tuple: &[ValueId], events: u64) -> Collapsed<'_> {
        Collapsed { tuple, tenant: Some(tuple[0]), events }
    }

    /// Retired or not, each event stands under every dimension that gave way, and under its tenant once.
    #[test]
    fn retired_events_still_count() {
        let mut overflow = Overflow::new(10);
        overflow.retire(&collapsed(&[5, OTHER, OTHER], 3));
        overflow.retire(&collapsed(&[5, 6, 7], 100));
        let live = [[5, OTHER, 9], [6, OTHER, 9]];
        let events = overflow.events(live.iter().map(|tuple| collapsed(tuple, 10)));
        assert_eq!(BTreeMap::from([(1, 23), (2, 3)]), events.by_position);
        assert_eq!(BTreeMap::from([(5, 13), (6, 10)]), events.by_tenant);
        assert_eq!((2, 103), (overflow.retired_series, overflow.retired_events));
    }

    /// Past its limit tenants share one row, and those told apart before keep theirs.
    #[test]
    fn tenants_are_bounded() {
        let mut overflow = Overflow::new(2);
        let tuples: Vec<[ValueId; 2]> = (10..15).map(|tenant| [tenant, OTHER]).collect();
        let live = || tuples.iter().rev().map(|tuple| collapsed(tuple, 1));
        let first = overflow.events(live());
        assert_eq!(BTreeMap::from([(OTHER, 3), (13, 1), (14, 1)]), first.by_tenant);
        assert_eq!(first, overflow.events(tuples.iter().map(|tuple| collapsed(tuple, 1))));
    }
}
