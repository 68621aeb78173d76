//! Series identities: tuples of dimension values to dense ids, within limits.
//!
//! An identity seen before keeps its place. A new one past a limit gives up the
//! dimension that floods, then the next, until it is known or fits a reserve.
//! Ids of identities that fell silent are given again.

use std::cmp::Reverse;
use std::collections::HashMap;

use hashbrown::HashTable;

use crate::codec::{Damaged, Read, Reader, Writer};
use crate::value::{ABSENT, OTHER, ValueId, load_ids, save_ids};

/// Entries a cache may hold before it starts afresh.
const CACHE_MAX: usize = 1 << 18;

/// Stands for no tenant in particular: all of them.
const EVERYONE: ValueId = ValueId::MAX;

/// What bounds the identities of one grouping, and what gives way first.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// Identities in all.
    pub limit: usize,
    pub past: Past,
}

/// Which values of a dimension some objective looks at: they give way last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Promised {
    /// Those that some `where` names; perhaps none.
    Values(Vec<ValueId>),
    /// All of them: the dimension tells an objective's groups apart.
    All,
}

impl Promised {
    fn holds(&self, value: ValueId) -> bool {
        match self {
            Self::Values(values) => values.contains(&value),
            Self::All => true,
        }
    }
}

/// What becomes of a new identity past the limit.
#[derive(Debug, Clone)]
pub(crate) enum Past {
    /// All such share one identity: groups of an objective.
    ShareOne,
    /// The dimension that floods becomes [`OTHER`]: series of a view.
    Collapse {
        /// By position.
        promised: Vec<Promised>,
        /// Position of the tenant and how many identities each may have.
        tenant: Option<(usize, usize)>,
    },
}

/// Room beyond a limit for identities that gave something up: an eighth for any,
/// as much again for those that gave up all that no objective looks at.
fn reserve(limit: usize, gave_all: bool) -> usize {
    if gave_all { limit.div_ceil(4) } else { limit.div_ceil(8) }
}

/// Identities of one tenant, or of everyone.
#[derive(Debug, Default)]
struct Share {
    identities: usize,
    /// Distinct values by position, to find the one that floods.
    distinct: Vec<u32>,
}

/// Tuples of value ids to dense series ids: the identities of one view or objective.
pub(crate) struct Identities {
    width: usize,
    bounds: Bounds,
    /// The limit now: lower while there is no memory for more.
    limit: usize,
    short: bool,
    table: HashTable<u32>,
    tuples: Vec<ValueId>,
    /// Number of each identity in the order of first sight, by series: unique for ever.
    serials: Vec<u64>,
    /// Serials below this are given.
    next_serial: u64,
    shares: HashMap<ValueId, Share>,
    /// Identities by (whose share, position, value).
    uses: HashMap<(ValueId, u32, ValueId), u32>,
    /// Series with a value that is [`OTHER`].
    collapsed: Vec<u32>,
    /// Ids let go: ready, and resting for a round.
    free: Vec<u32>,
    resting: Vec<u32>,
}

/// Serial of a series id that no identity has now.
const VACANT: u64 = u64::MAX;

/// Hash of a few numbers of ours: not the sender's, so mixing is enough, no key needed.
pub(crate) fn tuple_hash(tuple: &[ValueId]) -> u64 {
    tuple.iter().fold(0x9e37_79b9_7f4a_7c15, |hash: u64, &id| {
        (hash.rotate_left(23) ^ u64::from(id)).wrapping_mul(0x9fb2_1c65_1e98_df25)
    })
}

fn at(tuples: &[ValueId], width: usize, series: u32) -> &[ValueId] {
    &tuples[series as usize * width..][..width]
}

impl Identities {
    pub(crate) fn new(width: usize, bounds: Bounds) -> Self {
        let mut identities = Self::empty(width, bounds);
        if width == 0 {
            let _ = identities.insert(&[]);
        }
        identities
    }

    fn empty(width: usize, bounds: Bounds) -> Self {
        Self {
            width,
            limit: bounds.limit,
            short: false,
            bounds,
            table: HashTable::new(),
            tuples: Vec::new(),
            serials: Vec::new(),
            next_serial: 0,
            shares: HashMap::new(),
            uses: HashMap::new(),
            collapsed: Vec::new(),
            free: Vec::new(),
            resting: Vec::new(),
        }
    }

    /// Take no more than there are now while memory is short, and as many as before once it is not.
    pub(crate) fn set_short(&mut self, short: bool) {
        self.short = short;
        self.limit = if short { self.count().min(self.limit) } else { self.bounds.limit };
    }

    /// Whether memory is short for more.
    pub(crate) fn is_short(&self) -> bool {
        self.short
    }

    /// How many there are now.
    pub(crate) fn count(&self) -> usize {
        self.table.len()
    }

    /// Every identity there is now: its series and value ids in the order of the dimensions.
    pub(crate) fn live(&self) -> impl Iterator<Item = (u32, &[ValueId])> {
        let taken = self.serials.iter().enumerate().filter(|(_, serial)| **serial != VACANT);
        taken.map(|(series, _)| (series as u32, self.tuple(series as u32)))
    }

    /// Value ids of one series, in the order of its view's dimensions.
    pub(crate) fn tuple(&self, series: u32) -> &[ValueId] {
        at(&self.tuples, self.width, series)
    }

    /// Number of an identity among all there ever were.
    pub(crate) fn serial(&self, series: u32) -> u64 {
        self.serials[series as usize]
    }

    /// Series that gave a value up: those with an [`OTHER`] in them.
    pub(crate) fn collapsed(&self) -> &[u32] {
        &self.collapsed
    }

    /// Series of a tuple that has one.
    pub(crate) fn find(&self, tuple: &[ValueId]) -> Option<u32> {
        let same = |series: &u32| at(&self.tuples, self.width, *series) == tuple;
        self.table.find(tuple_hash(tuple), same).copied()
    }

    fn insert(&mut self, tuple: &[ValueId]) -> u32 {
        let series = self.place(tuple);
        if tuple.contains(&OTHER) {
            self.collapsed.push(series);
        }
        self.recount(tuple, true);
        let (tuples, width) = (&self.tuples, self.width);
        let rehash = |series: &u32| tuple_hash(at(tuples, width, *series));
        let _ = self.table.insert_unique(tuple_hash(tuple), series, rehash);
        series
    }

    /// Give a tuple the series and serial that it had when it was written down.
    ///
    /// Whether neither it nor the series is another's.
    pub(crate) fn define(&mut self, series: u32, serial: u64, tuple: &[ValueId]) -> bool {
        if let Some(known) = self.find(tuple) {
            return (known, self.serial(known)) == (series, serial);
        }
        if tuple.len() != self.width || self.is_live(series) {
            return false;
        }
        while self.serials.len() <= series as usize {
            self.free.push(self.serials.len() as u32);
            self.serials.push(VACANT);
            self.tuples.resize(self.tuples.len() + self.width, ABSENT);
        }
        self.free.retain(|free| *free != series);
        self.resting.retain(|resting| *resting != series);
        self.free.push(series);
        self.next_serial = serial;
        let _ = self.insert(tuple);
        true
    }

    /// Serials below this are given.
    pub(crate) fn next_serial(&self) -> u64 {
        self.next_serial
    }

    /// A place for a tuple: one let go, or the next.
    fn place(&mut self, tuple: &[ValueId]) -> u32 {
        let serial = self.next_serial;
        self.next_serial += 1;
        let Some(series) = self.free.pop() else {
            self.tuples.extend_from_slice(tuple);
            self.serials.push(serial);
            return (self.serials.len() - 1) as u32;
        };
        self.tuples[series as usize * self.width..][..self.width].copy_from_slice(tuple);
        self.serials[series as usize] = serial;
        series
    }

    /// Add a tuple to the shares it belongs to, or take it out.
    fn recount(&mut self, tuple: &[ValueId], comes: bool) {
        let tenant = self.tenant(tuple).map(|(tenant, _)| tenant);
        for whose in [Some(EVERYONE), tenant].into_iter().flatten() {
            let share = self.shares.entry(whose).or_default();
            share.distinct.resize(tuple.len(), 0);
            for (position, value) in tuple.iter().enumerate() {
                let uses = self.uses.entry((whose, position as u32, *value)).or_default();
                if comes {
                    share.distinct[position] += u32::from(*uses == 0);
                    *uses += 1;
                } else {
                    *uses -= 1;
                    if *uses == 0 {
                        share.distinct[position] -= 1;
                        let _ = self.uses.remove(&(whose, position as u32, *value));
                    }
                }
            }
            share.identities = if comes { share.identities + 1 } else { share.identities - 1 };
            if share.identities == 0 {
                let _ = self.shares.remove(&whose);
            }
        }
    }

    /// Tenant of a tuple with its limit, where each has one.
    fn tenant(&self, tuple: &[ValueId]) -> Option<(ValueId, usize)> {
        match self.bounds.past {
            // Events without a tenant have no share of their own: the limit of all holds them.
            Past::Collapse { tenant: Some((position, limit)), .. } => {
                Some((tuple[position], limit)).filter(|(tenant, _)| *tenant != ABSENT)
            }
            _ => None,
        }
    }

    fn share_of(&self, tenant: ValueId) -> usize {
        self.shares.get(&tenant).map_or(0, |share| share.identities)
    }

    /// Series of `tuple`, made on first sight; past a limit perhaps one that it shares.
    pub(crate) fn resolve(&mut self, tuple: &[ValueId]) -> u32 {
        if let Some(series) = self.find(tuple) {
            return series;
        }
        let everyone_full = self.count() >= self.limit;
        let tenant_full =
            self.tenant(tuple).is_some_and(|(tenant, limit)| self.share_of(tenant) >= limit);
        if !everyone_full && !tenant_full {
            return self.insert(tuple);
        }
        match &self.bounds.past {
            Past::ShareOne => {
                let shared = vec![OTHER; self.width];
                self.find(&shared).unwrap_or_else(|| self.insert(&shared))
            }
            Past::Collapse { .. } => {
                let (order, free) = self.giving_way(tuple, everyone_full);
                self.collapse(tuple, &order, free)
            }
        }
    }

    /// Positions in the order in which they give way, and how many of them no objective looks at.
    ///
    /// A tenant past its own limit keeps its name and gives up its own values:
    /// what it has most of.
    fn giving_way(&self, tuple: &[ValueId], everyone_full: bool) -> (Vec<usize>, usize) {
        let Past::Collapse { promised, tenant } = &self.bounds.past else {
            return (Vec::new(), 0);
        };
        let own = tenant.filter(|_| !everyone_full).map(|(position, _)| position);
        let whose = own.map_or(EVERYONE, |position| tuple[position]);
        let share = self.shares.get(&whose);
        let distinct = |position: usize| share.map_or(0, |share| share.distinct[position]);
        let mut order: Vec<usize> = (0..self.width).filter(|at| Some(*at) != own).collect();
        let is_promised = |position: usize| promised[position].holds(tuple[position]);
        order.sort_by_key(|&position| (is_promised(position), Reverse(distinct(position))));
        let free = order.iter().filter(|position| !is_promised(**position)).count();
        (order, free)
    }

    fn collapse(&mut self, tuple: &[ValueId], order: &[usize], free: usize) -> u32 {
        let mut collapsed = tuple.to_vec();
        for (place, position) in order.iter().enumerate() {
            collapsed[*position] = OTHER;
            if let Some(series) = self.find(&collapsed) {
                return series;
            }
            if self.has_room(&collapsed, place + 1 >= free) {
                break;
            }
        }
        // One more than the reserves hold, at the most, for each tenant that is full.
        self.insert(&collapsed)
    }

    fn has_room(&self, tuple: &[ValueId], gave_all: bool) -> bool {
        let room = |held: usize, limit: usize| held < limit + reserve(limit, gave_all);
        let tenant = self.tenant(tuple);
        room(self.count(), self.limit)
            && tenant.is_none_or(|(tenant, limit)| room(self.share_of(tenant), limit))
    }

    /// Let identities go. Their ids are given again after the next round only: a
    /// reader that listed them before must not see others under their names.
    pub(crate) fn retire(&mut self, silent: &[u32]) {
        self.free.append(&mut self.resting);
        for &series in silent {
            let tuple = self.tuple(series).to_vec();
            let found = self.table.find_entry(tuple_hash(&tuple), |known| *known == series);
            let Ok(entry) = found else { continue };
            let _ = entry.remove();
            self.recount(&tuple, false);
            self.serials[series as usize] = VACANT;
            self.resting.push(series);
        }
        let serials = &self.serials;
        self.collapsed.retain(|series| serials[*series as usize] != VACANT);
    }

    /// Whether a series id means an identity now.
    pub(crate) fn is_live(&self, series: u32) -> bool {
        self.serials.get(series as usize).is_some_and(|serial| *serial != VACANT)
    }

    /// Whether the next round has ids to give back.
    pub(crate) fn has_resting(&self) -> bool {
        !self.resting.is_empty()
    }

    /// Bytes held, from the tables' sizes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let uses = self.uses.capacity() * size_of::<((ValueId, u32, ValueId), u32)>();
        let share = size_of::<(ValueId, Share)>() + self.width * size_of::<u32>();
        self.tuples.capacity() * size_of::<ValueId>()
            + self.serials.capacity() * size_of::<u64>()
            + self.table.capacity() * size_of::<u32>()
            + self.shares.capacity() * share
            + uses
    }
}

/// Identities written down under one lock.
const SLICE: usize = 4_096;

impl Identities {
    /// Write down the identities from `first` on, a part of them; the first of the next part.
    ///
    /// `None` after the last. So nobody waits for all of them. Identities that come
    /// meanwhile may be there or not; none may be let go.
    pub(crate) fn save_some(&self, first: usize, out: &mut Writer) -> Option<usize> {
        let slice = self.serials[first..].iter().take(SLICE);
        let next = first + slice.len();
        out.varint(slice.len() as u64);
        for (series, serial) in (first as u32..).zip(slice) {
            // One more than the serial, so that the one of no identity is short.
            out.varint(serial.wrapping_add(1));
            self.tuple(series).iter().for_each(|id| out.varint(u64::from(*id)));
        }
        if next > first {
            return Some(next);
        }
        out.varint(self.next_serial);
        save_ids(&self.free, out);
        save_ids(&self.resting, out);
        out.varint(self.limit as u64);
        out.u8(u8::from(self.short));
        None
    }

    /// Identities as [`Identities::save_some`] wrote them, of the same width and within the same
    /// bounds as these; their values are below `ids`.
    pub(crate) fn load(&self, reader: &mut Reader<'_>, ids: ValueId) -> Read<Self> {
        let mut identities = Self::empty(self.width, self.bounds.clone());
        loop {
            let slice = reader.count(1 + self.width)?;
            if slice == 0 {
                break;
            }
            for _ in 0..slice {
                identities.put(reader, ids)?;
            }
        }
        // In the order in which they came, as before.
        let serials = &identities.serials;
        identities.collapsed.sort_unstable_by_key(|series| serials[*series as usize]);
        identities.next_serial = reader.varint()?;
        let mut vacant: Vec<bool> =
            identities.serials.iter().map(|serial| *serial == VACANT).collect();
        identities.free = load_ids(reader, &mut vacant)?;
        identities.resting = load_ids(reader, &mut vacant)?;
        // Taken while the rest was written down: what took them is in the journal.
        let taken = (0..).zip(&vacant).filter(|(_, vacant)| **vacant).map(|(series, _)| series);
        identities.free.extend(taken);
        let limit = reader.varint()? as usize;
        identities.short = reader.u8()? != 0;
        if identities.short {
            identities.limit = limit.min(identities.bounds.limit);
        }
        Ok(identities)
    }

    /// Append what is written down of the next series.
    fn put(&mut self, reader: &mut Reader<'_>, ids: ValueId) -> Read<()> {
        let serial = reader.varint()?.wrapping_sub(1);
        let mut tuple = Vec::with_capacity(self.width);
        for _ in 0..self.width {
            let id = reader.varint()?;
            if id >= u64::from(ids) {
                return Err(Damaged("has a series with a value that there is not"));
            }
            tuple.push(id as ValueId);
        }
        if serial == VACANT {
            self.serials.push(VACANT);
            self.tuples.extend_from_slice(&tuple);
            return Ok(());
        }
        if self.find(&tuple).is_some() {
            return Err(Damaged("has two series of the same values"));
        }
        self.next_serial = serial;
        let _ = self.insert(&tuple);
        Ok(())
    }

    /// Series ids below this may have been given.
    pub(crate) fn ids(&self) -> usize {
        self.serials.len()
    }
}

/// A value that this cache has not met.
const UNMET: u32 = u32::MAX;

/// One batch's own view of [`Identities`]: no lock for a series it has seen before.
#[derive(Default)]
pub(crate) struct IdentityCache {
    /// Series by value id, for identities of one dimension: most groups of objectives.
    by_value: Vec<u32>,
    /// Hash, place among the tuples, series.
    table: HashTable<(u64, u32, u32)>,
    tuples: Vec<ValueId>,
}

impl IdentityCache {
    /// Series of a tuple this cache has learnt. The empty tuple is series 0 from the start.
    #[inline]
    pub(crate) fn find(&self, tuple: &[ValueId]) -> Option<u32> {
        match *tuple {
            [] => Some(0),
            [value] if (value as usize) < CACHE_MAX => {
                self.by_value.get(value as usize).copied().filter(|series| *series != UNMET)
            }
            _ => self.find_hashed(tuple),
        }
    }

    fn find_hashed(&self, tuple: &[ValueId]) -> Option<u32> {
        let hash = tuple_hash(tuple);
        let same = |entry: &(u64, u32, u32)| {
            entry.0 == hash && self.tuples[entry.1 as usize..][..tuple.len()] == *tuple
        };
        self.table.find(hash, same).map(|entry| entry.2)
    }

    /// Forget everything: ids may have been given to other identities.
    pub(crate) fn clear(&mut self) {
        self.by_value.clear();
        self.table.clear();
        self.tuples.clear();
    }

    /// Remember where `tuple` was resolved to.
    pub(crate) fn learn(&mut self, tuple: &[ValueId], series: u32) {
        if let [value] = *tuple
            && (value as usize) < CACHE_MAX
        {
            let places = self.by_value.len().max(value as usize + 1);
            self.by_value.resize(places, UNMET);
            self.by_value[value as usize] = series;
            return;
        }
        if self.table.len() >= CACHE_MAX {
            self.table.clear();
            self.tuples.clear();
        }
        let hash = tuple_hash(tuple);
        let start = self.tuples.len() as u32;
        self.tuples.extend_from_slice(tuple);
        let _ = self.table.insert_unique(hash, (hash, start, series), |entry| entry.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache gives back what it learnt, for identities of any width, and nothing else.
    #[test]
    fn caches_give_back_what_they_learnt() {
        let mut cache = IdentityCache::default();
        for tuple in [&[7][..], &[7, 8], &[8, 7], &[CACHE_MAX as ValueId + 5]] {
            assert_eq!(None, cache.find(tuple));
            cache.learn(tuple, 40 + tuple.len() as u32);
            assert_eq!(Some(40 + tuple.len() as u32), cache.find(tuple));
        }
        assert_eq!(Some(0), cache.find(&[]));
        assert_eq!((None, None), (cache.find(&[6]), cache.find(&[8])));
    }

    fn views(width: usize, limit: usize, tenant: Option<(usize, usize)>) -> Identities {
        let promised = vec![Promised::Values(Vec::new()); width];
        let past = Past::Collapse { promised, tenant };
        Identities::new(width, Bounds { limit, past })
    }

    /// Past the limit only the flooding dimension collapses; the others keep their values.
    #[test]
    fn only_the_flooding_dimension_collapses() {
        let mut identities = views(2, 8, None);
        for model in 10..18 {
            let _ = identities.resolve(&[5, model]);
        }
        let over = identities.resolve(&[5, 99]);
        assert_eq!(&[5, OTHER], identities.tuple(over));
        assert_eq!(over, identities.resolve(&[5, 100]));
        let known = identities.resolve(&[5, 12]);
        assert_eq!(&[5, 12], identities.tuple(known));
    }

    /// Values that an objective's `where` names give way last; what floods beside them goes first.
    #[test]
    fn promised_values_give_way_last() {
        let promised = vec![Promised::Values(Vec::new()), Promised::Values(vec![77])];
        let mut identities = Identities::new(
            2,
            Bounds { limit: 8, past: Past::Collapse { promised, tenant: None } },
        );
        for model in 10..18 {
            let _ = identities.resolve(&[5, model]);
        }
        let flooding = identities.resolve(&[5, 99]);
        assert_eq!(&[5, OTHER], identities.tuple(flooding));
        let promised = identities.resolve(&[5, 77]);
        assert_eq!(&[OTHER, 77], identities.tuple(promised));
    }

    /// A dimension that tells groups apart gives way last, even where it has most values.
    #[test]
    fn promised_dimensions_give_way_last() {
        let promised = vec![Promised::All, Promised::Values(Vec::new())];
        let past = Past::Collapse { promised, tenant: None };
        let mut identities = Identities::new(2, Bounds { limit: 8, past });
        for tenant in 10..18 {
            let _ = identities.resolve(&[tenant, 5]);
        }
        let over = identities.resolve(&[99, 6]);
        assert_eq!(&[99, OTHER], identities.tuple(over));
        for tenant in 100..200 {
            let _ = identities.resolve(&[tenant, 6]);
        }
        let last = identities.resolve(&[300, 6]);
        assert_eq!(&[OTHER, OTHER], identities.tuple(last));
        assert!(identities.count() <= 11, "{}", identities.count());
    }

    /// A tenant's flood collapses what that tenant has most of; its neighbours get all they ask for.
    #[test]
    fn a_tenants_flood_is_its_own() {
        let mut identities = views(3, 1_000, Some((0, 16)));
        for neighbour in 0..20 {
            let _ = identities.resolve(&[7, 50 + neighbour % 3, 80 + neighbour]);
        }
        for model in 0..10_000 {
            let _ = identities.resolve(&[6, 50, 10_000 + model]);
        }
        let flooded = identities.resolve(&[6, 51, 99_999]);
        assert_eq!(&[6, 51, OTHER], identities.tuple(flooded));
        let neighbour = identities.resolve(&[8, 52, 123]);
        assert_eq!(&[8, 52, 123], identities.tuple(neighbour));
        assert!(identities.count() <= 16 + 20 + 5, "{}", identities.count());
    }

    /// Groups past their limit share one, whatever they have in common with others.
    #[test]
    fn groups_share_one() {
        let mut groups = Identities::new(2, Bounds { limit: 2, past: Past::ShareOne });
        let known = [groups.resolve(&[5, 6]), groups.resolve(&[5, 7])];
        let shared = groups.resolve(&[5, 8]);
        assert_eq!(&[OTHER, OTHER], groups.tuple(shared));
        assert_eq!(shared, groups.resolve(&[9, 9]));
        assert_eq!(known, [groups.resolve(&[5, 6]), groups.resolve(&[5, 7])]);
        assert_eq!(&[shared], groups.collapsed());
    }

    /// While memory is short a new identity gives way to known ones, and not once there is room again.
    #[test]
    fn memory_bounds_identities_too() {
        let mut identities = views(2, 1_000, None);
        for model in 10..40 {
            let _ = identities.resolve(&[5, model]);
        }
        identities.set_short(true);
        for model in 100..200 {
            let series = identities.resolve(&[5, model]);
            assert_eq!(&[5, OTHER], identities.tuple(series));
        }
        identities.set_short(false);
        let fresh = identities.resolve(&[5, 300]);
        assert_eq!(&[5, 300], identities.tuple(fresh));
    }

    /// What is retired makes room and its id is given again, one round later, under a new number.
    #[test]
    fn retired_identities_make_room() {
        let mut identities = views(2, 4, None);
        let ids: Vec<u32> = (10..14).map(|model| identities.resolve(&[5, model])).collect();
        identities.retire(&ids[..2]);
        assert_eq!((2, None), (identities.count(), identities.find(&[5, 10])));
        let fresh = identities.resolve(&[5, 20]);
        assert!(!ids.contains(&fresh), "rests for a round");
        identities.retire(&[]);
        let again = identities.resolve(&[5, 10]);
        assert!(ids[..2].contains(&again), "given again");
        assert_eq!((4, 5), (identities.serial(fresh), identities.serial(again)));
        assert_eq!(4, identities.live().count());
    }

    fn reloaded(identities: &Identities) -> Identities {
        let mut out = Writer::default();
        let mut next = Some(0);
        while let Some(first) = next {
            next = identities.save_some(first, &mut out);
        }
        let mut reader = Reader(&out.0);
        let loaded = identities.load(&mut reader, 9_999);
        assert_eq!(Ok(()), reader.end());
        loaded.expect("whole")
    }

    /// What comes while identities are written down leaves none of them out, and no id without a use.
    #[test]
    fn identities_may_come_meanwhile() {
        let mut identities = views(1, 20_000, None);
        let ids: Vec<u32> = (10..10 + 5_000).map(|value| identities.resolve(&[value])).collect();
        identities.retire(&ids[..3]);
        identities.retire(&[]);
        let mut out = Writer::default();
        let next = identities.save_some(0, &mut out);
        let meanwhile = identities.resolve(&[8_000]);
        let last = identities.save_some(next.expect("more"), &mut out).expect("the end");
        assert_eq!(None, identities.save_some(last, &mut out));
        let loaded = identities.load(&mut Reader(&out.0), 9_999).expect("whole");
        assert!(ids[..3].contains(&meanwhile));
        assert_eq!((4_997, None), (loaded.count(), loaded.find(&[8_000])));
        assert!(loaded.free.contains(&meanwhile));
        assert_eq!(identities.next_serial, loaded.next_serial);
    }

    proptest::proptest! {
        /// Identities come back with their series and serials, and go on as they would have.
        #[test]
        fn identities_come_back(
            tuples in proptest::collection::vec((2u32..6, 0u32..40), 1..300),
            retired_every in 5usize..50,
        ) {
            let mut identities = views(2, 40, Some((0, 12)));
            for (turn, (tenant, model)) in tuples.iter().enumerate() {
                let _ = identities.resolve(&[*tenant, 100 + model]);
                if turn % retired_every == 0 {
                    let live: Vec<u32> = identities.live().map(|(series, _)| series).collect();
                    identities.retire(&live[..live.len() / 2]);
                }
            }
            let mut loaded = reloaded(&identities);
            for (tenant, model) in tuples {
                let tuple = [tenant, 200 + model];
                let (mine, theirs) = (identities.resolve(&tuple), loaded.resolve(&tuple));
                proptest::prop_assert_eq!(mine, theirs);
                proptest::prop_assert_eq!(identities.serial(mine), loaded.serial(theirs));
            }
            let all = |of: &Identities| -> Vec<(u32, Vec<ValueId>)> {
                of.live().map(|(series, tuple)| (series, tuple.to_vec())).collect()
            };
            proptest::prop_assert_eq!(all(&identities), all(&loaded));
        }

        /// Whatever the bytes, reading ends in identities or an error, never in a panic.
        #[test]
        fn any_bytes_are_safe(bytes: Vec<u8>, width in 0usize..4) {
            let groups = Identities::new(width, Bounds { limit: 9, past: Past::ShareOne });
            if let Ok(mut loaded) = groups.load(&mut Reader(&bytes), 50) {
                let _ = loaded.resolve(&vec![7; width]);
            }
        }

        /// Whatever comes and goes, limits and reserves hold, shares add up, and every live tuple is found.
        #[test]
        fn identities_are_bounded(
            tuples in proptest::collection::vec((2u32..6, 0u32..40, 0u32..40), 1..600),
            retired_every in 5usize..50,
        ) {
            let mut identities = views(3, 40, Some((0, 12)));
            for (turn, (tenant, model, region)) in tuples.into_iter().enumerate() {
                let _ = identities.resolve(&[tenant, 100 + model, 200 + region]);
                if turn % retired_every == 0 {
                    let live: Vec<u32> = identities.live().map(|(series, _)| series).collect();
                    identities.retire(&live[..live.len() / 2]);
                }
            }
            proptest::prop_assert!(identities.count() <= 40 + 10 + 5, "{}", identities.count());
            let live: Vec<(u32, Vec<ValueId>)> =
                identities.live().map(|(series, tuple)| (series, tuple.to_vec())).collect();
            for (series, tuple) in &live {
                proptest::prop_assert_eq!(Some(*series), identities.find(tuple));
            }
            let share = |whose: ValueId| identities.share_of(whose);
            let tenants: usize = (1..6).map(share).sum();
            proptest::prop_assert_eq!((live.len(), live.len()), (tenants, share(EVERYONE)));
            for tenant in 2..6 {
                proptest::prop_assert!(share(tenant) <= 12 + 3 + 1, "{}", share(tenant));
            }
        }
    }
}
