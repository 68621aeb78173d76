//! Where an entry stands, by its hash: one look-up, however many generations there are.
//!
//! In shards, so that none of them ever grows for long: the sequencing lock is held meanwhile.

use hashbrown::HashTable;

/// Entries of a shard when all of the index is in use. A quarter more is what a table of
/// 8,192 places holds: what is dead is swept out before it grows.
const SHARD_ENTRIES: usize = 5_734;

const OFFSET_BITS: u32 = 25;
const GENERATION_BITS: u32 = 12;

/// Entries of one kind that a generation may have.
pub(super) const OFFSETS: usize = 1 << OFFSET_BITS;

/// Generations that can be told apart at one time.
pub(super) const GENERATIONS: u64 = 1 << GENERATION_BITS;

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the generation; of what was found, the rest after [`GENERATIONS`].
    pub generation: u64,
    /// Among the named, or the contents.
    pub named: bool,
    /// In that list.
    pub offset: usize,
}

/// A place and as much of the hash as still fits: `fingerprint 26 | generation 12 | named 1 |
/// offset 25`. With all of the hash, an entry took twice the memory.
#[derive(Debug, Clone, Copy)]
struct Slot(u64);

impl Slot {
    fn new(hash: u128, place: Place) -> Self {
        debug_assert!(place.offset < OFFSETS, "a generation of {} entries", place.offset);
        let mut bits = fingerprint(hash);
        bits = (bits << GENERATION_BITS) | (place.generation % GENERATIONS);
        bits = bits << 1 | u64::from(place.named);
        Self(bits << OFFSET_BITS | place.offset as u64)
    }

    fn fingerprint(self) -> u64 {
        self.0 >> (OFFSET_BITS + 1 + GENERATION_BITS)
    }

    fn place(self) -> Place {
        Place {
            generation: (self.0 >> (OFFSET_BITS + 1)) % GENERATIONS,
            named: self.0 >> OFFSET_BITS & 1 == 1,
            offset: self.0 as usize % OFFSETS,
        }
    }
}

/// The upper 26 bits; the lower half chooses the shard.
fn fingerprint(hash: u128) -> u64 {
    (hash >> 64) as u64 >> (OFFSET_BITS + 1 + GENERATION_BITS)
}

/// What a shard's table goes by: places use the low bits of it, tags the high ones.
fn spread(fingerprint: u64) -> u64 {
    fingerprint.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Places by hash. The hashes are keyed, so nobody can choose them to collide.
pub(super) struct Index {
    shards: Box<[HashTable<Slot>]>,
}

impl Index {
    /// For so many entries; empty, it takes almost no memory.
    pub(super) fn new(entries: usize) -> Self {
        let shards = entries.div_ceil(SHARD_ENTRIES).max(1);
        Self { shards: (0..shards).map(|_| HashTable::new()).collect() }
    }

    /// Make room for so many more at once.
    pub(super) fn reserve(&mut self, entries: usize) {
        // Shards fill unevenly, by some hundredths.
        let each = entries / self.shards.len();
        self.shards.iter_mut().for_each(|shard| shard.reserve(each + each / 16, by_fingerprint));
    }

    fn shard(&self, hash: u128) -> usize {
        ((u128::from(hash as u64) * self.shards.len() as u128) >> 64) as usize
    }

    /// The place that `is_it` says yes to, among those whose hashes look alike.
    #[inline]
    pub(super) fn find(&self, hash: u128, is_it: impl Fn(Place) -> bool) -> Option<Place> {
        let fingerprint = fingerprint(hash);
        let alike = |slot: &Slot| slot.fingerprint() == fingerprint && is_it(slot.place());
        let shard = &self.shards[self.shard(hash)];
        shard.find(spread(fingerprint), alike).map(|slot| slot.place())
    }

    /// Add a place. Where there is no room for it, what `is_live` denies goes first.
    pub(super) fn insert(&mut self, hash: u128, place: Place, is_live: impl Fn(Place) -> bool) {
        let shard = self.shard(hash);
        let shard = &mut self.shards[shard];
        if shard.len() == shard.capacity() {
            let live = || shard.iter().filter(|slot| is_live(slot.place()));
            let count = live().count();
            // A new table: what is removed from one leaves marks that fill it up.
            let mut swept = HashTable::with_capacity(count + count / 4 + 1);
            for slot in live() {
                let _ = swept.insert_unique(spread(slot.fingerprint()), *slot, by_fingerprint);
            }
            *shard = swept;
        }
        let slot = Slot::new(hash, place);
        let _ = shard.insert_unique(spread(slot.fingerprint()), slot, by_fingerprint);
    }

    /// Memory it takes, bytes.
    pub(super) fn bytes(&self) -> usize {
        let tables: usize = self.shards.iter().map(HashTable::allocation_size).sum();
        tables + size_of_val(&*self.shards)
    }
}

fn by_fingerprint(slot: &Slot) -> u64 {
    spread(slot.fingerprint())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash(number: u64) -> u128 {
        xxhash_rust::xxh3::xxh3_128(&number.to_le_bytes())
    }

    proptest! {
        /// What was inserted is found at its place, generations apart from their number's rest.
        #[test]
        fn places_come_back(generation: u64, named: bool, offset in 0..OFFSETS, key: u128) {
            let mut index = Index::new(1);
            let place = Place { generation, named, offset };
            index.insert(key, place, |_| true);
            let found = Place { generation: generation % GENERATIONS, ..place };
            prop_assert_eq!(Some(found), index.find(key, |_| true));
        }
    }

    /// With 20 times what it is for gone through it, the index takes no more than it did full.
    #[test]
    fn the_dead_make_room() {
        const LIVE: u64 = 20_000;
        let mut index = Index::new(LIVE as usize);
        let mut full = 0;
        for number in 0..20 * LIVE {
            let place =
                Place { generation: number / 1000, named: false, offset: number as usize % 1000 };
            let oldest = (number / 1000).saturating_sub(LIVE / 1000 - 1);
            index.insert(hash(number), place, |place| {
                (place.generation + GENERATIONS - oldest % GENERATIONS) % GENERATIONS < LIVE / 1000
            });
            if number == LIVE {
                full = index.bytes();
            }
        }
        assert!(index.bytes() <= full, "{} B, then {full} B", index.bytes());
        for number in 19 * LIVE..20 * LIVE {
            let offset = number as usize % 1000;
            assert!(index.find(hash(number), |place| place.offset == offset).is_some());
        }
    }
}
