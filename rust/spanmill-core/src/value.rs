//! Dimension values, interned: each string is hashed and compared once per batch, stored once.
//!
//! Each dimension has a share of its own, so that a flood of junk model names leaves
//! room for a new tenant.

use std::collections::HashSet;
use std::sync::Arc;

use hashbrown::HashTable;
use parking_lot::RwLock;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::codec::{Damaged, Read, Reader, Writer};
use crate::signal::{DIMENSIONS, Dimension};

/// Id of one value of one dimension. Ids are this process's own and never leave it.
pub(crate) type ValueId = u32;
/// The dimension is absent from the span.
pub(crate) const ABSENT: ValueId = 0;
/// Stands for every value past a limit, in any dimension.
pub(crate) const OTHER: ValueId = 1;
/// How [`OTHER`] reads in queries and exports.
pub(crate) const OTHER_NAME: &str = "__other__";

/// Entries a cache may hold before it starts afresh.
const CACHE_MAX: usize = 1 << 18;

/// One value; `text` is empty once the value was let go.
struct Entry {
    text: Arc<str>,
    dimension: Dimension,
}

/// Values and the ids of those let go, which rest for a round before they are given again.
struct Interned {
    table: HashTable<ValueId>,
    entries: Vec<Entry>,
    /// Values held, by dimension.
    counts: [usize; DIMENSIONS.len()],
    free: Vec<ValueId>,
    resting: Vec<ValueId>,
}

impl Interned {
    fn find(&self, hash: u64, dimension: Dimension, text: &str) -> Option<ValueId> {
        let same = |id: &ValueId| {
            let entry = &self.entries[*id as usize];
            entry.dimension == dimension && *entry.text == *text
        };
        self.table.find(hash, same).copied()
    }

    /// Give `text` an id.
    fn add(&mut self, seed: u64, dimension: Dimension, text: &str) -> ValueId {
        let entry = Entry { text: Arc::from(text), dimension };
        let id = self.free.pop().unwrap_or(self.entries.len() as ValueId);
        match self.entries.get_mut(id as usize) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        self.counts[dimension as usize] += 1;
        let entries = &self.entries;
        let rehash = |id: &ValueId| {
            let entry = &entries[*id as usize];
            hash_of(seed, entry.dimension, entry.text.as_bytes())
        };
        let _ = self.table.insert_unique(rehash(&id), id, rehash);
        id
    }
}

impl Interned {
    /// Ids before it that no definition came for were never used by anything that was kept.
    fn define(&mut self, seed: u64, id: ValueId, dimension: Dimension, text: &str) -> bool {
        let vacant = || Entry { text: Arc::from(""), dimension: DIMENSIONS[0].dimension };
        while self.entries.len() <= id as usize {
            self.free.push(self.entries.len() as ValueId);
            self.entries.push(vacant());
        }
        let free = [&mut self.free, &mut self.resting].into_iter().find_map(|ids| {
            let place = ids.iter().rposition(|free| *free == id)?;
            Some(ids.remove(place))
        });
        if free.is_none() {
            return false;
        }
        self.entries[id as usize] = Entry { text: Arc::from(text), dimension };
        self.counts[dimension as usize] += 1;
        let entries = &self.entries;
        let rehash = |id: &ValueId| {
            let entry = &entries[*id as usize];
            hash_of(seed, entry.dimension, entry.text.as_bytes())
        };
        let _ = self.table.insert_unique(rehash(&id), id, rehash);
        true
    }
}

/// Which ids the journal has defined.
#[derive(Debug, Default)]
pub(crate) struct Journaled(Vec<u64>);

impl Journaled {
    /// Note an id; whether it is new here.
    pub(crate) fn note(&mut self, id: ValueId) -> bool {
        let (word, bit) = (id as usize / 64, 1 << (id % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new && id > OTHER
    }

    /// The id may mean something else from now on.
    pub(crate) fn forget(&mut self, id: ValueId) {
        if let Some(word) = self.0.get_mut(id as usize / 64) {
            *word &= !(1 << (id % 64));
        }
    }
}

/// Keyed: tenants choose strings, and must not choose collisions.
#[inline]
fn hash_of(seed: u64, dimension: Dimension, text: &[u8]) -> u64 {
    xxh3_64_with_seed(text, seed ^ (dimension as u64) << 32)
}

/// Every dimension value held.
pub(crate) struct Values {
    seed: u64,
    /// Values of one dimension.
    count_max: usize,
    bytes_max: usize,
    interned: RwLock<Interned>,
}

impl Values {
    /// `count_max` bounds the values of each dimension, `bytes_max` the length of one.
    pub(crate) fn new(count_max: usize, bytes_max: usize, seed: u64) -> Self {
        // `ABSENT` and `OTHER` belong to every dimension: they have places, and
        // are never looked up.
        let fixed = |text| Entry { text: Arc::from(text), dimension: DIMENSIONS[0].dimension };
        let interned = Interned {
            table: HashTable::new(),
            entries: vec![fixed(""), fixed(OTHER_NAME)],
            counts: [0; DIMENSIONS.len()],
            free: Vec::new(),
            resting: Vec::new(),
        };
        Self { seed, count_max, bytes_max, interned: RwLock::new(interned) }
    }

    #[inline]
    fn hash(&self, dimension: Dimension, text: &[u8]) -> u64 {
        hash_of(self.seed, dimension, text)
    }

    /// Whether a value may be this long.
    pub(crate) fn fits(&self, text: &[u8]) -> bool {
        text.len() <= self.bytes_max
    }

    /// Id of `text`, made on first sight; [`OTHER`] past the limits.
    pub(crate) fn intern(&self, dimension: Dimension, text: &[u8]) -> ValueId {
        if !self.fits(text) {
            return OTHER;
        }
        let text = String::from_utf8_lossy(text);
        let full = {
            // Shared: a flood past the limit must not take turns on the lock.
            let interned = self.interned.read();
            if let Some(id) = self.find_in(&interned, dimension, &text) {
                return id;
            }
            interned.counts[dimension as usize] >= self.count_max
        };
        if full { OTHER } else { self.add(dimension, &text, self.count_max) }
    }

    /// Id of a value that the configuration names: the limit is no concern of it.
    pub(crate) fn intern_named(&self, dimension: Dimension, text: &str) -> ValueId {
        self.add(dimension, text, usize::MAX)
    }

    fn add(&self, dimension: Dimension, text: &str, count_max: usize) -> ValueId {
        let mut interned = self.interned.write();
        match self.find_in(&interned, dimension, text) {
            Some(id) => id,
            // Another thread may have been here since the limit was looked at.
            None if interned.counts[dimension as usize] >= count_max => OTHER,
            None => interned.add(self.seed, dimension, text),
        }
    }

    fn find_in(&self, interned: &Interned, dimension: Dimension, text: &str) -> Option<ValueId> {
        match text {
            "" => Some(ABSENT),
            OTHER_NAME => Some(OTHER),
            _ => interned.find(self.hash(dimension, text.as_bytes()), dimension, text),
        }
    }

    /// Id of a value that is held.
    pub(crate) fn find(&self, dimension: Dimension, text: &str) -> Option<ValueId> {
        self.find_in(&self.interned.read(), dimension, text)
    }

    /// The value, or `None` where the dimension is absent.
    pub(crate) fn text(&self, id: ValueId) -> Option<Arc<str>> {
        (id != ABSENT).then(|| Arc::clone(&self.interned.read().entries[id as usize].text))
    }

    /// What an id stands for, to be written down; `None` for those that every folder has.
    pub(crate) fn definition(&self, id: ValueId) -> Option<(Dimension, Arc<str>)> {
        let interned = self.interned.read();
        let entry = interned.entries.get(id as usize).filter(|_| id > OTHER)?;
        Some((entry.dimension, Arc::clone(&entry.text)))
    }

    /// Give `text` the id that it had when it was written down. Whether no other has it.
    pub(crate) fn define(&self, id: ValueId, dimension: Dimension, text: &str) -> bool {
        let mut interned = self.interned.write();
        let interned = &mut *interned;
        match interned.find(hash_of(self.seed, dimension, text.as_bytes()), dimension, text) {
            Some(known) => known == id,
            None if id <= OTHER || text.is_empty() => false,
            None => interned.define(self.seed, id, dimension, text),
        }
    }

    /// Let go of ids, as a record says was done before.
    pub(crate) fn let_go(&self, ids: &[ValueId]) {
        let gone: HashSet<ValueId> = ids.iter().copied().collect();
        let _ = self.retain(|id| !gone.contains(&id));
    }

    /// Whether some dimension has taken three quarters of its share: time to let go of what no one uses.
    pub(crate) fn is_crowded(&self) -> bool {
        let limit = self.count_max - self.count_max / 4;
        self.interned.read().counts.iter().any(|count| *count >= limit)
    }

    /// Let go of every value for which `used` is false. Ids given out before must not be used again.
    ///
    /// A reader may still hold one: it finds no text, and the id is given again
    /// only after the next round. Returns those that went.
    pub(crate) fn retain(&self, used: impl Fn(ValueId) -> bool) -> Vec<ValueId> {
        let mut interned = self.interned.write();
        let interned = &mut *interned;
        interned.free.append(&mut interned.resting);
        let unused = |id: &ValueId| !used(*id);
        for id in interned.table.extract_if(|id| unused(id)) {
            let entry = &mut interned.entries[id as usize];
            entry.text = Arc::from("");
            interned.counts[entry.dimension as usize] -= 1;
            interned.resting.push(id);
        }
        // The table's order is this process's own: a replay gives ids again in the same.
        interned.resting.sort_unstable();
        interned.resting.clone()
    }

    /// Values held.
    pub(crate) fn held(&self) -> usize {
        self.interned.read().table.len()
    }

    /// Whether so many ids make room worth another look: a sixteenth of a dimension's share.
    pub(crate) fn is_room(&self, ids: usize) -> bool {
        ids * 16 >= self.count_max
    }
}

/// Values written down under one lock.
const SLICE: usize = 4_096;

impl Values {
    /// Write every value down with its id, a part at a time.
    ///
    /// Values that come meanwhile may be there or not; none may be let go.
    pub(crate) fn save(&self, out: &mut Writer) {
        out.varint(DIMENSIONS.len() as u64);
        DIMENSIONS.iter().for_each(|info| out.bytes(info.name.as_bytes()));
        let mut next = OTHER as usize + 1;
        loop {
            let interned = self.interned.read();
            let slice = interned.entries[next..].iter().take(SLICE);
            out.varint(slice.len() as u64);
            if slice.len() == 0 {
                save_ids(&interned.free, out);
                save_ids(&interned.resting, out);
                return;
            }
            next += slice.len();
            for entry in slice {
                out.varint(entry.dimension as u64);
                out.bytes(entry.text.as_bytes());
            }
        }
    }

    /// Values as [`Values::save`] wrote them, with their ids; the limits hold for new ones.
    pub(crate) fn load(
        reader: &mut Reader<'_>,
        (count_max, bytes_max): (usize, usize),
        seed: u64,
    ) -> Read<Self> {
        let values = Self::new(count_max, bytes_max, seed);
        let dimensions = load_dimensions(reader)?;
        let mut interned = values.interned.write();
        let interned_now = &mut *interned;
        loop {
            let slice = reader.count(2)?;
            if slice == 0 {
                break;
            }
            for _ in 0..slice {
                let place = reader.varint()? as usize;
                let dimension = dimensions.get(place).ok_or(Damaged("has no such dimension"))?;
                interned_now.put(seed, *dimension, reader.text()?);
            }
        }
        let mut is_free = interned_now.vacant();
        interned_now.free = load_ids(reader, &mut is_free)?;
        interned_now.resting = load_ids(reader, &mut is_free)?;
        // Taken while the rest was written down: what took them is in the journal.
        let taken = (0..).zip(&is_free).filter(|(_, free)| **free).map(|(id, _)| id);
        interned_now.free.extend(taken);
        drop(interned);
        Ok(values)
    }

    /// Ids below this may have been given.
    pub(crate) fn ids(&self) -> ValueId {
        self.interned.read().entries.len() as ValueId
    }
}

impl Interned {
    /// Append a value; an empty text is one that was let go.
    fn put(&mut self, seed: u64, dimension: Dimension, text: &str) {
        let id = self.entries.len() as ValueId;
        self.entries.push(Entry { text: Arc::from(text), dimension });
        if text.is_empty() {
            return;
        }
        self.counts[dimension as usize] += 1;
        let entries = &self.entries;
        let rehash = |id: &ValueId| {
            let entry = &entries[*id as usize];
            hash_of(seed, entry.dimension, entry.text.as_bytes())
        };
        let _ = self.table.insert_unique(rehash(&id), id, rehash);
    }

    /// By id: whether no value has it.
    fn vacant(&self) -> Vec<bool> {
        let vacant = |(id, entry): (usize, &Entry)| id > OTHER as usize && entry.text.is_empty();
        self.entries.iter().enumerate().map(vacant).collect()
    }
}

fn load_dimensions(reader: &mut Reader<'_>) -> Read<Vec<Dimension>> {
    let unknown = Damaged("names a dimension that this version does not have");
    let count = reader.count(1)?;
    (0..count).map(|_| Dimension::named(reader.text()?).ok_or(unknown)).collect()
}

/// Write ids down.
pub(crate) fn save_ids(ids: &[u32], out: &mut Writer) {
    out.varint(ids.len() as u64);
    ids.iter().for_each(|id| out.varint(u64::from(*id)));
}

/// Ids that [`save_ids`] wrote: each must be free, and is not from then on.
pub(crate) fn load_ids(reader: &mut Reader<'_>, is_free: &mut [bool]) -> Read<Vec<u32>> {
    let count = reader.count(1)?;
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        let id = reader.varint()?;
        match usize::try_from(id).ok().and_then(|id| is_free.get_mut(id)) {
            Some(free) if *free => *free = false,
            _ => return Err(Damaged("lets go of an id that is in use")),
        }
        ids.push(id as u32);
    }
    Ok(ids)
}

/// One batch's own view of [`Values`]: no lock for a value it has seen before.
#[derive(Default)]
pub(crate) struct ValueCache {
    table: HashTable<CachedValue>,
    bytes: Vec<u8>,
}

struct CachedValue {
    start: u32,
    length: u32,
    hash: u64,
    id: ValueId,
    dimension: Dimension,
}

impl CachedValue {
    #[inline]
    fn is(&self, hash: u64, dimension: Dimension, text: &[u8], bytes: &[u8]) -> bool {
        let start = self.start as usize;
        self.hash == hash
            && self.dimension == dimension
            && bytes[start..start + self.length as usize] == *text
    }
}

impl ValueCache {
    /// Id of `text`; an empty value is an absent one.
    #[inline]
    pub(crate) fn id(&mut self, dimension: Dimension, text: &[u8], values: &Values) -> ValueId {
        if text.is_empty() {
            return ABSENT;
        }
        let hash = values.hash(dimension, text);
        let same = |cached: &CachedValue| cached.is(hash, dimension, text, &self.bytes);
        match self.table.find(hash, same) {
            Some(cached) => cached.id,
            None => self.learn(hash, dimension, text, values),
        }
    }

    #[cold]
    fn learn(&mut self, hash: u64, dimension: Dimension, text: &[u8], values: &Values) -> ValueId {
        let id = values.intern(dimension, text);
        // What is past a limit is not worth a place: a flood would push out the known ones.
        if id == OTHER {
            return id;
        }
        if self.table.len() >= CACHE_MAX || self.bytes.len() + text.len() > u32::MAX as usize {
            self.clear();
        }
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        let cached = CachedValue { start, length: text.len() as u32, hash, id, dimension };
        let _ = self.table.insert_unique(hash, cached, |cached| cached.hash);
        id
    }

    /// Forget everything: ids may have been given to other values.
    pub(crate) fn clear(&mut self) {
        self.table.clear();
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value has one id for ever, and past the limits all new ones share `__other__`.
    #[test]
    fn values_are_bounded() {
        let values = Values::new(2, 8, 1);
        let a = values.intern(Dimension::Model, b"a");
        assert_eq!(a, values.intern(Dimension::Model, b"a"));
        assert_eq!(Some(a), values.find(Dimension::Model, "a"));
        let b = values.intern(Dimension::Model, b"b");
        assert_ne!(a, b);
        assert_eq!(OTHER, values.intern(Dimension::Model, b"c"));
        assert_eq!(OTHER, values.intern(Dimension::Tenant, b"longer than eight"));
        assert_eq!("b", &*values.text(b).expect("interned"));
        assert_eq!("__other__", &*values.text(OTHER).expect("has a name"));
    }

    /// One dimension's flood takes no other dimension's room, and the same text is a value of each.
    #[test]
    fn dimensions_have_room_of_their_own() {
        let values = Values::new(2, 8, 1);
        let mut cache = ValueCache::default();
        for text in ["x", "y", "z", "w"] {
            let _ = cache.id(Dimension::Model, text.as_bytes(), &values);
        }
        assert_eq!(OTHER, cache.id(Dimension::Model, b"z", &values));
        let tenant = cache.id(Dimension::Tenant, b"z", &values);
        assert_eq!(Some(tenant), values.find(Dimension::Tenant, "z"));
        assert_ne!(OTHER, tenant);
        let model = cache.id(Dimension::Model, b"x", &values);
        assert_ne!(model, cache.id(Dimension::Tenant, b"x", &values));
    }

    /// What the configuration names has an id however full its dimension is.
    #[test]
    fn named_values_always_fit() {
        let values = Values::new(1, 8, 1);
        let _ = values.intern(Dimension::Model, b"a");
        let named = values.intern_named(Dimension::Model, "promised");
        assert_ne!(OTHER, named);
        assert_eq!(named, values.intern(Dimension::Model, b"promised"));
    }

    /// Values let go make room, and an id is not given again before the next round.
    #[test]
    fn values_let_go_make_room() {
        let values = Values::new(2, 8, 1);
        let [a, b] = [&b"a"[..], b"b"].map(|text| values.intern(Dimension::Model, text));
        assert!(values.is_crowded());
        assert_eq!(vec![a], values.retain(|id| id == b));
        assert_eq!(
            (None, Some(b)),
            (values.find(Dimension::Model, "a"), values.find(Dimension::Model, "b"))
        );
        let c = values.intern(Dimension::Model, b"c");
        assert!(c != a && c != OTHER, "{c}");
        assert_eq!(vec![b], values.retain(|id| id == c));
        assert_eq!(a, values.intern(Dimension::Model, b"d"));
        assert_eq!(OTHER, values.intern(Dimension::Model, b"e"));
    }

    /// Values written down are given their old ids in any order, and none takes another's.
    #[test]
    fn definitions_come_back() {
        let (old, new) = (Values::new(100, 8, 1), Values::new(100, 8, 2));
        let ids = [&b"a"[..], b"b", b"c"].map(|text| old.intern(Dimension::Model, text));
        for id in [ids[2], ids[0]] {
            let (dimension, text) = old.definition(id).expect("defined");
            assert!(new.define(id, dimension, &text));
            assert!(new.define(id, dimension, &text), "once more changes nothing");
        }
        assert!(!new.define(ids[0], Dimension::Model, "z"));
        assert!(!new.define(OTHER, Dimension::Model, "z"));
        assert_eq!(Some(ids[2]), new.find(Dimension::Model, "c"));
        // The hole that no definition came for is given next.
        assert_eq!(ids[1], new.intern(Dimension::Model, b"d"));
        assert_eq!(ids[2] + 1, new.intern(Dimension::Model, b"e"));
    }

    /// An id is new to the journal once, until it is let go of; the ids that every folder has never are.
    #[test]
    fn ids_are_defined_once() {
        let mut journaled = Journaled::default();
        assert_eq!([true, false], [journaled.note(200), journaled.note(200)]);
        journaled.forget(200);
        assert!(journaled.note(200));
        assert_eq!([false, false], [journaled.note(ABSENT), journaled.note(OTHER)]);
    }

    /// A cache gives the same ids as the table behind it.
    #[test]
    fn caches_agree() {
        let values = Values::new(100, 8, 1);
        let (mut one, mut two) = (ValueCache::default(), ValueCache::default());
        for text in [&b"a"[..], b"b", b"a", b"", b"much too long"] {
            let id = one.id(Dimension::Model, text, &values);
            assert_eq!(id, two.id(Dimension::Model, text, &values));
        }
        assert_eq!(ABSENT, one.id(Dimension::Model, b"", &values));
    }

    fn reloaded(values: &Values) -> Values {
        let mut out = Writer::default();
        values.save(&mut out);
        let mut reader = Reader(&out.0);
        let loaded = Values::load(&mut reader, (2, 8), 99).expect("whole");
        assert_eq!(Ok(()), reader.end());
        loaded
    }

    /// Values come back with their ids, and ids let go come back in the order they would have been given.
    #[test]
    fn values_come_back() {
        let values = Values::new(2, 8, 1);
        let [a, b] = [&b"a"[..], b"b"].map(|text| values.intern(Dimension::Model, text));
        let tenant = values.intern(Dimension::Tenant, b"a");
        let _ = values.retain(|id| id != a);
        let loaded = reloaded(&values);
        assert_eq!(Some(b), loaded.find(Dimension::Model, "b"));
        assert_eq!(Some(tenant), loaded.find(Dimension::Tenant, "a"));
        assert_eq!(None, loaded.find(Dimension::Model, "a"));
        let _ = (values.retain(|id| id != a), loaded.retain(|id| id != a));
        let next = |values: &Values| values.intern(Dimension::Model, b"c");
        assert_eq!((a, a), (next(&values), next(&loaded)));
        assert_eq!(OTHER, loaded.intern(Dimension::Model, b"d"), "the limit holds");
    }

    proptest::proptest! {
        /// Whatever the bytes, reading ends in values or an error, never in a panic.
        #[test]
        fn any_bytes_are_safe(mut bytes: Vec<u8>, flips: Vec<(usize, u8)>) {
            let _ = Values::load(&mut Reader(&bytes), (9, 9), 1);
            let values = Values::new(100, 8, 1);
            for text in ["a", "b", "c", "d"] {
                let _ = values.intern(Dimension::Region, text.as_bytes());
            }
            let _ = values.retain(|id| id % 2 == 0);
            let mut out = Writer::default();
            values.save(&mut out);
            bytes = out.0;
            for (place, bits) in flips {
                let place = place % bytes.len();
                bytes[place] ^= bits;
            }
            if let Ok(loaded) = Values::load(&mut Reader(&bytes), (100, 8), 1) {
                let _ = loaded.intern(Dimension::Region, b"e");
            }
        }
    }
}
