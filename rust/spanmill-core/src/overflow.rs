//! Events whose series gave a value up at a limit: exact, also once the series is retired.

use std::collections::{BTreeMap, HashSet};

use crate::codec::{Damaged, Read, Reader, Writer};
use crate::value::{OTHER, ValueId};

/// What one series gave up, and the events it took since.
pub(crate) struct Collapsed<'a> {
    pub tuple: &'a [ValueId],
    /// Its tenant, where the view tells tenants apart.
    pub tenant: Option<ValueId>,
    pub events: u64,
}

/// Tenants that have a row of their own.
#[derive(Debug, Clone)]
struct Tenants {
    /// The rest share one row.
    max: usize,
    /// The first that overflowed: once told apart, always.
    known: HashSet<ValueId>,
}

impl Tenants {
    /// The row of a tenant, made if there is room.
    fn row(&mut self, tenant: ValueId) -> ValueId {
        let is_known = self.known.contains(&tenant)
            || self.known.len() < self.max && self.known.insert(tenant);
        if is_known { tenant } else { OTHER }
    }
}

/// Events by dimension and tenant of a view's series that were retired, and the tenants told apart.
///
/// Who is told apart is decided by which series came first, whoever reads it and when.
pub(crate) struct Overflow {
    tenants: Tenants,
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

impl Events {
    fn add(&mut self, tenants: &mut Tenants, collapsed: &Collapsed<'_>) {
        if !collapsed.tuple.contains(&OTHER) {
            return;
        }
        // A row is its, also while there is nothing in it.
        let row = collapsed.tenant.map(|tenant| tenants.row(tenant));
        if collapsed.events == 0 {
            return;
        }
        let positions = collapsed.tuple.iter().enumerate();
        for (position, _) in positions.filter(|(_, value)| **value == OTHER) {
            *self.by_position.entry(position).or_default() += collapsed.events;
        }
        if let Some(row) = row {
            *self.by_tenant.entry(row).or_default() += collapsed.events;
        }
    }
}

impl Overflow {
    pub(crate) fn new(tenants_max: usize) -> Self {
        Self {
            tenants: Tenants { max: tenants_max, known: HashSet::new() },
            retired: Events::default(),
            retired_series: 0,
            retired_events: 0,
        }
    }

    /// Tell tenants of collapsed series apart for good, in the order in which these came: before
    /// any of them goes.
    pub(crate) fn tell_apart(&mut self, tenants: impl Iterator<Item = ValueId>) {
        for tenant in tenants {
            let _ = self.tenants.row(tenant);
        }
    }

    /// A series goes: keep what it counted.
    pub(crate) fn retire(&mut self, collapsed: &Collapsed<'_>) {
        self.retired_series += 1;
        self.retired_events += collapsed.events;
        self.retired.add(&mut self.tenants, collapsed);
    }

    /// Everything so far: what was retired, and the series there are, in the order in which they came.
    pub(crate) fn events<'a>(&self, live: impl Iterator<Item = Collapsed<'a>>) -> Events {
        let (mut events, mut tenants) = (self.retired.clone(), self.tenants.clone());
        live.for_each(|collapsed| events.add(&mut tenants, &collapsed));
        events
    }

    /// Write everything down.
    pub(crate) fn save(&self, out: &mut Writer) {
        let mut tenants: Vec<ValueId> = self.tenants().collect();
        tenants.sort_unstable();
        out.varint(tenants.len() as u64);
        tenants.iter().for_each(|id| out.varint(u64::from(*id)));
        let positions = self.retired.by_position.iter().map(|(at, n)| (*at as u64, *n));
        save_counts(positions.collect(), out);
        let by_tenant = self.retired.by_tenant.iter().map(|(id, n)| (u64::from(*id), *n));
        save_counts(by_tenant.collect(), out);
        out.varint(self.retired_series);
        out.varint(self.retired_events);
    }

    /// What [`Overflow::save`] wrote for a view of `width` dimensions; its values are below `ids`.
    pub(crate) fn load(
        reader: &mut Reader<'_>,
        tenants_max: usize,
        (width, ids): (usize, ValueId),
    ) -> Read<Self> {
        let mut overflow = Self::new(tenants_max);
        for _ in 0..reader.count(1)? {
            let tenant = bounded(reader.varint()?, u64::from(ids))?;
            let _ = overflow.tenants.known.insert(tenant as ValueId);
        }
        for (at, events) in load_counts(reader, width as u64)? {
            let _ = overflow.retired.by_position.insert(at as usize, events);
        }
        for (id, events) in load_counts(reader, u64::from(ids))? {
            let _ = overflow.retired.by_tenant.insert(id as ValueId, events);
        }
        overflow.retired_series = reader.varint()?;
        overflow.retired_events = reader.varint()?;
        Ok(overflow)
    }

    /// Tenants that are told apart.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = ValueId> {
        self.tenants.known.iter().copied()
    }
}

fn bounded(value: u64, limit: u64) -> Read<u64> {
    if value < limit { Ok(value) } else { Err(Damaged("counts events of what there is not")) }
}

fn save_counts(counts: Vec<(u64, u64)>, out: &mut Writer) {
    out.varint(counts.len() as u64);
    for (key, events) in counts {
        out.varint(key);
        out.varint(events);
    }
}

fn load_counts(reader: &mut Reader<'_>, limit: u64) -> Read<Vec<(u64, u64)>> {
    let count = reader.count(2)?;
    (0..count).map(|_| Ok((bounded(reader.varint()?, limit)?, reader.varint()?))).collect()
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

    /// Past its limit tenants share one row, and those that came first keep theirs, also once
    /// their series are retired; reading changes nothing.
    #[test]
    fn tenants_are_bounded() {
        let mut overflow = Overflow::new(2);
        let tuples: Vec<[ValueId; 2]> = (10..15).map(|tenant| [tenant, OTHER]).collect();
        let wanted = BTreeMap::from([(OTHER, 3), (10, 1), (11, 1)]);
        let live = |from: usize| tuples[from..].iter().map(|tuple| collapsed(tuple, 1));
        let _ = overflow.events(live(3));
        assert_eq!(wanted, overflow.events(live(0)).by_tenant);
        overflow.tell_apart(tuples.iter().map(|tuple| tuple[0]));
        for retired in [4, 0] {
            overflow.retire(&collapsed(&tuples[retired], 1));
        }
        assert_eq!(wanted, overflow.events(live(1).take(3)).by_tenant);
    }

    /// What was counted comes back, and a tenant told apart before still is.
    #[test]
    fn counts_come_back() {
        let mut overflow = Overflow::new(2);
        for tenant in 10..15 {
            overflow.retire(&collapsed(&[tenant, OTHER], u64::from(tenant)));
        }
        let mut out = Writer::default();
        overflow.save(&mut out);
        let mut reader = Reader(&out.0);
        let loaded = Overflow::load(&mut reader, 2, (2, 15)).expect("whole");
        assert_eq!(Ok(()), reader.end());
        let live = [[14, OTHER], [10, OTHER]];
        let events = |of: &Overflow| of.events(live.iter().map(|tuple| collapsed(tuple, 1)));
        assert_eq!(events(&overflow), events(&loaded));
        assert_eq!((5, 60), (loaded.retired_series, loaded.retired_events));
        assert!(Overflow::load(&mut Reader(&out.0), 2, (2, 11)).is_err(), "unknown tenant");
        assert!(Overflow::load(&mut Reader(&out.0), 2, (1, 15)).is_err(), "unknown dimension");
    }
}
