//! Series identities: tuples of dimension values to dense ids, within a limit.

use hashbrown::HashTable;

use crate::value::{OTHER, ValueId};

/// Entries a cache may hold before it starts afresh.
const CACHE_MAX: usize = 1 << 18;

/// Tuples of value ids to dense series ids: the identities of one view or objective.
pub(crate) struct Identities {
    width: usize,
    limit: usize,
    table: HashTable<u32>,
    tuples: Vec<ValueId>,
    /// Distinct values by position, to find the one that floods.
    distinct: Vec<hashbrown::HashSet<ValueId, std::hash::RandomState>>,
}

fn tuple_hash(tuple: &[ValueId]) -> u64 {
    // Ids are ours, not the sender's: mixing is enough, no key needed.
    tuple.iter().fold(0x9e37_79b9_7f4a_7c15, |hash: u64, &id| {
        (hash.rotate_left(23) ^ u64::from(id)).wrapping_mul(0x9fb2_1c65_1e98_df25)
    })
}

fn at(tuples: &[ValueId], width: usize, series: u32) -> &[ValueId] {
    &tuples[series as usize * width..][..width]
}

impl Identities {
    pub(crate) fn new(width: usize, limit: usize) -> Self {
        let mut identities = Self {
            width,
            limit,
            table: HashTable::new(),
            tuples: Vec::new(),
            distinct: vec![hashbrown::HashSet::default(); width],
        };
        if width == 0 {
            let _ = identities.insert(&[]);
        }
        identities
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes held, read off capacities.
    pub(crate) fn heap_bytes(&self) -> usize {
        let distinct: usize = self.distinct.iter().map(hashbrown::HashSet::allocation_size).sum();
        self.tuples.capacity() * size_of::<ValueId>() + self.table.allocation_size() + distinct
    }

    /// Value ids of one series, in the order of its view's dimensions.
    pub(crate) fn tuple(&self, series: u32) -> &[ValueId] {
        at(&self.tuples, self.width, series)
    }

    fn find(&self, tuple: &[ValueId]) -> Option<u32> {
        let same = |series: &u32| at(&self.tuples, self.width, *series) == tuple;
        self.table.find(tuple_hash(tuple), same).copied()
    }

    fn insert(&mut self, tuple: &[ValueId]) -> u32 {
        let series = self.len() as u32;
        self.tuples.extend_from_slice(tuple);
        for (seen, id) in self.distinct.iter_mut().zip(tuple) {
            let _ = seen.insert(*id);
        }
        let (tuples, width) = (&self.tuples, self.width);
        let rehash = |series: &u32| tuple_hash(at(tuples, width, *series));
        let _ = self.table.insert_unique(tuple_hash(tuple), series, rehash);
        series
    }

    /// Series of `tuple`, made on first sight.
    ///
    /// Past the limit the dimension with most values becomes [`OTHER`], then the
    /// next, until the identity is known or fits the quarter kept for such.
    pub(crate) fn resolve(&mut self, tuple: &[ValueId]) -> u32 {
        if let Some(series) = self.find(tuple) {
            return series;
        }
        if self.len() < self.limit {
            return self.insert(tuple);
        }
        let mut collapsed = tuple.to_vec();
        let mut positions: Vec<usize> = (0..self.width).collect();
        positions.sort_by_key(|&position| std::cmp::Reverse(self.distinct[position].len()));
        for (place, position) in positions.iter().enumerate() {
            collapsed[*position] = OTHER;
            let last = place + 1 == positions.len();
            match self.find(&collapsed) {
                Some(series) => return series,
                None if last || self.len() < self.limit + self.limit / 4 => break,
                None => {}
            }
        }
        self.insert(&collapsed)
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

    /// Past the limit only the flooding dimension collapses; the others keep their values.
    #[test]
    fn only_the_flooding_dimension_collapses() {
        let mut identities = Identities::new(2, 8);
        for model in 10..18 {
            let _ = identities.resolve(&[5, model]);
        }
        let over = identities.resolve(&[5, 99]);
        assert_eq!(&[5, OTHER], identities.tuple(over));
        assert_eq!(over, identities.resolve(&[5, 100]));
        let known = identities.resolve(&[5, 12]);
        assert_eq!(&[5, 12], identities.tuple(known));
    }

    /// However many identities are thrown at it, the table stays within a quarter of its limit.
    #[test]
    fn identities_are_bounded() {
        let mut identities = Identities::new(3, 100);
        for i in 0..10_000u32 {
            let _ = identities.resolve(&[2 + i % 97, 200 + i % 89, 400 + i % 83]);
        }
        assert!(identities.len() <= 126, "{}", identities.len());
    }
}
