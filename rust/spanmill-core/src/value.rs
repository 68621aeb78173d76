//! Dimension values, interned: each string is hashed and compared once per batch, stored once.

use std::sync::Arc;

use hashbrown::HashTable;
use parking_lot::RwLock;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Id of a dimension value. Ids are this process's own and never leave it.
pub(crate) type ValueId = u32;
/// The dimension is absent from the span.
pub(crate) const ABSENT: ValueId = 0;
/// Stands for every value past a limit.
pub(crate) const OTHER: ValueId = 1;
/// How [`OTHER`] reads in queries and exports.
pub(crate) const OTHER_NAME: &str = "__other__";

/// Entries a cache may hold before it starts afresh.
const CACHE_MAX: usize = 1 << 18;

struct Interned {
    table: HashTable<ValueId>,
    texts: Vec<Arc<str>>,
}

impl Interned {
    /// Give `text` the next id.
    fn add(&mut self, text: &str, seed: u64) -> ValueId {
        let id = self.texts.len() as ValueId;
        self.texts.push(Arc::from(text));
        let texts = &self.texts;
        let hash = |id: &ValueId| xxh3_64_with_seed(texts[*id as usize].as_bytes(), seed);
        let _ = self.table.insert_unique(hash(&id), id, hash);
        id
    }
}

/// Every dimension value seen, over all dimensions.
pub(crate) struct Values {
    /// Keyed: tenants choose strings, and must not choose collisions.
    seed: u64,
    count_max: usize,
    bytes_max: usize,
    interned: RwLock<Interned>,
}

impl Values {
    pub(crate) fn new(count_max: usize, bytes_max: usize, seed: u64) -> Self {
        // The empty text holds the place of `ABSENT` and is never looked up.
        let mut interned = Interned { table: HashTable::new(), texts: vec![Arc::from("")] };
        let other = interned.add(OTHER_NAME, seed);
        debug_assert!(other == OTHER, "the first value added is the one for all others");
        Self { seed, count_max, bytes_max, interned: RwLock::new(interned) }
    }

    fn hash(&self, text: &[u8]) -> u64 {
        xxh3_64_with_seed(text, self.seed)
    }

    /// Id of `text`, made on first sight; [`OTHER`] past the limits.
    pub(crate) fn intern(&self, text: &[u8]) -> ValueId {
        if text.len() > self.bytes_max {
            return OTHER;
        }
        let text = String::from_utf8_lossy(text);
        let hash = self.hash(text.as_bytes());
        let mut interned = self.interned.write();
        let Interned { table, texts } = &*interned;
        if let Some(id) = table.find(hash, |id| *texts[*id as usize] == *text) {
            return *id;
        }
        if texts.len() >= self.count_max {
            return OTHER;
        }
        interned.add(&text, self.seed)
    }

    /// Id of a value that was seen before.
    pub(crate) fn find(&self, text: &str) -> Option<ValueId> {
        let interned = self.interned.read();
        let found = |id: &ValueId| *interned.texts[*id as usize] == *text;
        interned.table.find(self.hash(text.as_bytes()), found).copied()
    }

    /// The value, or `None` where the dimension is absent.
    pub(crate) fn text(&self, id: ValueId) -> Option<Arc<str>> {
        (id != ABSENT).then(|| Arc::clone(&self.interned.read().texts[id as usize]))
    }
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
}

impl CachedValue {
    fn is(&self, hash: u64, text: &[u8], bytes: &[u8]) -> bool {
        let start = self.start as usize;
        self.hash == hash && bytes[start..start + self.length as usize] == *text
    }
}

impl ValueCache {
    /// Id of `text`; an empty value is an absent one.
    #[inline]
    pub(crate) fn id(&mut self, text: &[u8], values: &Values) -> ValueId {
        if text.is_empty() {
            return ABSENT;
        }
        let hash = values.hash(text);
        match self.table.find(hash, |cached| cached.is(hash, text, &self.bytes)) {
            Some(cached) => cached.id,
            None => self.learn(hash, text, values),
        }
    }

    #[cold]
    fn learn(&mut self, hash: u64, text: &[u8], values: &Values) -> ValueId {
        let id = values.intern(text);
        if self.table.len() >= CACHE_MAX || self.bytes.len() + text.len() > u32::MAX as usize {
            self.table.clear();
            self.bytes.clear();
        }
        // Long values are refused by length alone and need no place here.
        if text.len() <= values.bytes_max {
            let start = self.bytes.len() as u32;
            self.bytes.extend_from_slice(text);
            let cached = CachedValue { start, length: text.len() as u32, hash, id };
            let _ = self.table.insert_unique(hash, cached, |cached| cached.hash);
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value has one id for ever, and past the limits all new ones share `__other__`.
    #[test]
    fn values_are_bounded() {
        let values = Values::new(4, 8, 1);
        let a = values.intern(b"a");
        assert_eq!(a, values.intern(b"a"));
        assert_eq!(Some(a), values.find("a"));
        let b = values.intern(b"b");
        assert_ne!(a, b);
        assert_eq!(OTHER, values.intern(b"c"));
        assert_eq!(OTHER, values.intern(b"longer than eight"));
        assert_eq!("b", &*values.text(b).expect("interned"));
    }

    /// A cache gives the same ids as the table behind it.
    #[test]
    fn caches_agree() {
        let values = Values::new(100, 8, 1);
        let (mut one, mut two) = (ValueCache::default(), ValueCache::default());
        for text in [&b"a"[..], b"b", b"a", b"", b"much too long"] {
            assert_eq!(one.id(text, &values), two.id(text, &values));
        }
        assert_eq!(ABSENT, one.id(b"", &values));
    }
}
