//! Which values come most: exact counts while they are few, then a sketch that states its error.

use std::collections::HashMap;

use datasketches::frequencies::{ErrorType, FrequentItemsSketch};
use hashbrown::HashTable;

use crate::codec::{Damaged, Read, Reader, Writer};

/// Values that a bucket counts exactly.
const EXACT_MAX: usize = 256;

/// Places of a bucket's sketch. It errs by at most 3.5 / 512 of the bucket's events.
const BUCKET_PLACES: usize = 512;

/// Places of an answer's sketch, and values that an answer counts exactly.
const ANSWER_PLACES: usize = 8_192;
const ANSWER_MAX: usize = 1 << 16;

/// How a bucket is written: its values, or a sketch as the crate writes it, whose counts
/// begin after so many bytes.
const EXACT: u8 = 0;
const SKETCH: u8 = 1;
const SKETCH_HEAD: usize = 32;

const VALID: &str = "the number of places is a power of two that the crate takes";

#[derive(Clone)]
struct Value {
    hash: u64,
    events: u64,
    text: Box<str>,
}

/// Values and their events, while they are few.
#[derive(Clone, Default)]
pub(super) struct Exact {
    values: HashTable<Value>,
    text_bytes: usize,
}

impl Exact {
    fn add(&mut self, hash: u64, text: &str, events: u64) {
        if let Some(known) = self.values.find_mut(hash, |known| known.hash == hash) {
            known.events += events;
            return;
        }
        self.text_bytes += text.len();
        let fresh = Value { hash, events, text: text.into() };
        let _ = self.values.insert_unique(hash, fresh, |known| known.hash);
    }

    /// By hash: the order in which a sketch is filled leaves traces, so it is always the same.
    fn in_order(&self) -> Vec<&Value> {
        let mut list: Vec<&Value> = self.values.iter().collect();
        list.sort_unstable_by_key(|known| known.hash);
        list
    }

    fn sketch(&self) -> FrequentItemsSketch<String> {
        let mut sketch = FrequentItemsSketch::new(BUCKET_PLACES).expect(VALID);
        for known in self.in_order() {
            sketch.update_with_count_ref(&*known.text, known.events);
        }
        sketch
    }
}

/// The values of one bucket with how often each came.
#[derive(Clone)]
pub(super) enum Top {
    Exact(Exact),
    /// From here on what is kept depends on the order of arrival, within the error stated.
    Sketch(Box<FrequentItemsSketch<String>>),
}

impl Default for Top {
    fn default() -> Self {
        Self::Exact(Exact::default())
    }
}

impl Top {
    /// Count events of one value; `text` belongs to `hash`.
    pub(super) fn add(&mut self, hash: u64, text: &str, events: u64) {
        match self {
            Self::Sketch(sketch) => sketch.update_with_count_ref(text, events),
            Self::Exact(exact) => {
                exact.add(hash, text, events);
                if exact.values.len() > EXACT_MAX {
                    *self = Self::Sketch(Box::new(exact.sketch()));
                }
            }
        }
    }

    /// Everything in all of `parts`.
    pub(super) fn merge<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let mut merged = Self::default();
        for part in parts {
            match (part, &mut merged) {
                (Self::Exact(exact), merged) => {
                    exact.in_order().iter().for_each(|it| merged.add(it.hash, &it.text, it.events));
                }
                (Self::Sketch(theirs), Self::Sketch(ours)) => ours.merge(theirs),
                (Self::Sketch(theirs), Self::Exact(exact)) => {
                    let mut ours = exact.sketch();
                    ours.merge(theirs);
                    merged = Self::Sketch(Box::new(ours));
                }
            }
        }
        merged
    }

    /// Nothing more will come.
    pub(super) fn seal(&mut self) {
        if let Self::Exact(exact) = self {
            exact.values.shrink_to_fit(|known| known.hash);
        }
    }

    /// Append what it holds.
    pub(super) fn save(&self, out: &mut Writer) {
        match self {
            Self::Exact(exact) => {
                out.u8(EXACT);
                out.varint(exact.values.len() as u64);
                for known in exact.in_order() {
                    out.u64(known.hash);
                    out.varint(known.events);
                    out.bytes(known.text.as_bytes());
                }
            }
            Self::Sketch(sketch) => {
                out.u8(SKETCH);
                out.bytes(&sketch.serialize());
            }
        }
    }

    /// Read what [`save`](Self::save) wrote.
    pub(super) fn load(reader: &mut Reader<'_>) -> Read<Self> {
        match reader.u8()? {
            EXACT => {
                let mut exact = Exact::default();
                let count = reader.count(10)?;
                for _ in 0..count {
                    let (hash, events) = (reader.u64()?, reader.varint()?);
                    exact.add(hash, reader.text()?, events);
                }
                let whole = exact.values.len() == count && count <= EXACT_MAX;
                let total = |all: u64, known: &Value| all.checked_add(known.events);
                if !whole || exact.values.iter().try_fold(0, total).is_none() {
                    return Err(Damaged("has values that no ranking holds"));
                }
                Ok(Self::Exact(exact))
            }
            SKETCH => {
                let sketch = read_sketch(reader.bytes()?);
                let sketch = sketch.ok_or(Damaged("has a ranking that does not read"))?;
                Ok(Self::Sketch(Box::new(sketch)))
            }
            _ => Err(Damaged("has a ranking of no known form")),
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Exact(exact) => {
                exact.values.capacity() * (size_of::<Value>() + 1) + exact.text_bytes
            }
            // Texts are not walked for each event: a name is some 32 B.
            Self::Sketch(sketch) => sketch.estimated_size() + sketch.num_active_items() * 32,
        }
    }
}

/// The sketch that gave `bytes`, its table laid out alike: merging walks along it, so that it
/// does from here on what the one that was saved would have done.
fn read_sketch(bytes: &[u8]) -> Option<FrequentItemsSketch<String>> {
    let sketch = FrequentItemsSketch::deserialize(bytes).ok()?;
    if sketch.max_map_size() != BUCKET_PLACES {
        return None;
    }
    // Values come in the table's order; those that went round its end stand first and
    // must be put in last.
    let alike = (0..sketch.num_active_items()).find_map(|first| {
        let again = FrequentItemsSketch::deserialize(&turned(bytes, first)?).ok()?;
        (again.serialize() == bytes).then_some(again)
    });
    Some(alike.unwrap_or(sketch))
}

/// The same bytes with the first so many values behind the others.
fn turned(bytes: &[u8], first: usize) -> Option<Vec<u8>> {
    let (head, mut rest) = bytes.split_at_checked(SKETCH_HEAD)?;
    let values = u32::from_le_bytes(head.get(8..12)?.try_into().ok()?) as usize;
    let mut weights = Vec::new();
    for _ in 0..values {
        let (weight, more) = rest.split_at_checked(size_of::<u64>())?;
        weights.push(weight);
        rest = more;
    }
    let mut texts = Vec::new();
    for _ in 0..values {
        let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
        let (text, more) = rest.split_at_checked(size_of::<u32>() + length)?;
        texts.push(text);
        rest = more;
    }
    weights.rotate_left(first);
    texts.rotate_left(first);
    Some([&[head], &weights[..], &texts[..]].concat().concat())
}

/// One value and how often it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub text: String,
    pub events: u64,
    /// The true number lies between these.
    pub at_least: u64,
    pub at_most: u64,
}

/// The values that come most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranking {
    /// Most events first.
    pub items: Vec<Item>,
    pub exact: bool,
    /// Events by which any count may be off, also that of a value which is not listed.
    pub error: u64,
    /// Events that had a value.
    pub events: u64,
}

/// Buckets of several series and minutes, added up for an answer.
#[derive(Default)]
pub(crate) struct TopUnion {
    events: u64,
    exact: HashMap<Box<str>, u64>,
    sketch: Option<FrequentItemsSketch<String>>,
}

impl TopUnion {
    pub(super) fn add(&mut self, part: &Top) {
        match part {
            Top::Exact(exact) => {
                exact.in_order().iter().for_each(|it| self.add_value(&it.text, it.events));
            }
            Top::Sketch(sketch) => {
                self.events += sketch.total_weight();
                self.sketch().merge(sketch);
            }
        }
    }

    fn add_value(&mut self, text: &str, events: u64) {
        self.events += events;
        if let Some(sketch) = &mut self.sketch {
            return sketch.update_with_count_ref(text, events);
        }
        match self.exact.get_mut(text) {
            Some(known) => *known += events,
            None => {
                let _ = self.exact.insert(text.into(), events);
                if self.exact.len() > ANSWER_MAX {
                    let _ = self.sketch();
                }
            }
        }
    }

    /// The sketch, with all that was exact so far.
    fn sketch(&mut self) -> &mut FrequentItemsSketch<String> {
        let exact = &mut self.exact;
        self.sketch.get_or_insert_with(|| {
            let mut sketch = FrequentItemsSketch::new(ANSWER_PLACES).expect(VALID);
            let mut counted: Vec<(Box<str>, u64)> = exact.drain().collect();
            counted.sort_unstable();
            counted.into_iter().for_each(|(text, n)| sketch.update_with_count_ref(&*text, n));
            sketch
        })
    }

    /// The `k` values with most events; by name where as many came of two.
    pub(crate) fn ranking(&self, k: usize) -> Ranking {
        let mut items: Vec<Item> = match &self.sketch {
            None => {
                let exact = self.exact.iter();
                exact
                    .map(|(text, &events)| Item {
                        text: text.to_string(),
                        events,
                        at_least: events,
                        at_most: events,
                    })
                    .collect()
            }
            Some(sketch) => {
                let item = |row: &datasketches::frequencies::Row<String>| Item {
                    text: row.item().clone(),
                    events: row.estimate(),
                    at_least: row.lower_bound(),
                    at_most: row.upper_bound(),
                };
                sketch.frequent_items(ErrorType::NoFalseNegatives).iter().map(item).collect()
            }
        };
        items.sort_unstable_by(|a, b| (b.events, &a.text).cmp(&(a.events, &b.text)));
        items.truncate(k);
        let error = self.sketch.as_ref().map_or(0, FrequentItemsSketch::maximum_error);
        Ranking { items, exact: error == 0, error, events: self.events }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn add(top: &mut Top, value: u64, events: u64) {
        let hash = xxhash_rust::xxh3::xxh3_64(&value.to_le_bytes());
        top.add(hash, &format!("prompt-{value}"), events);
    }

    fn ranking<'a>(parts: impl IntoIterator<Item = &'a Top>, k: usize) -> Ranking {
        let mut union = TopUnion::default();
        parts.into_iter().for_each(|part| union.add(part));
        union.ranking(k)
    }

    fn saved(top: &Top) -> Vec<u8> {
        let mut out = Writer::default();
        top.save(&mut out);
        out.0
    }

    /// What is read back takes what comes next, and merges, as what was saved would have: to the same bits.
    #[test]
    fn a_restart_changes_nothing() {
        for values in [0u64, 1, 256, 300, 1_000, 5_000] {
            let mut top = Top::default();
            (0..values).for_each(|value| add(&mut top, value * 7, value % 13 + 1));
            let bytes = saved(&top);
            let mut loaded = Top::load(&mut Reader(&bytes)).expect("reads");
            assert_eq!(bytes, saved(&loaded), "{values} values");
            for value in 0..3_000 {
                add(&mut top, value, 1 + value % 5);
                add(&mut loaded, value, 1 + value % 5);
            }
            assert_eq!(saved(&top), saved(&loaded), "{values} values");
            let merged = |part: &Top| saved(&Top::merge([part, part].into_iter()));
            assert_eq!(merged(&top), merged(&loaded), "{values} values");
        }
    }

    proptest! {
        /// Whatever the bytes, reading ends in a ranking or an error.
        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200), at: usize, bit in 0u8..8) {
            let _ = Top::load(&mut Reader(&bytes));
            let mut top = Top::default();
            (0..400).for_each(|value| add(&mut top, value, 1));
            let mut damaged = saved(&top);
            let place = at % damaged.len();
            damaged[place] ^= 1 << bit;
            if let Ok(top) = Top::load(&mut Reader(&damaged)) {
                let _ = ranking([&top], 10);
            }
        }
    }

    /// A few hundred values are counted exactly, in any order and over any buckets.
    #[test]
    fn few_values_are_exact() {
        let (mut one, mut two) = (Top::default(), Top::default());
        for value in 0..256 {
            add(&mut one, value, value + 1);
            add(&mut two, 255 - value, 1);
        }
        let told = ranking([&one, &two], 2);
        assert_eq!((true, 0), (told.exact, told.error));
        assert_eq!(256 * 257 / 2 + 256, told.events);
        let item = |text: &str, n| Item { text: text.into(), events: n, at_least: n, at_most: n };
        assert_eq!(vec![item("prompt-255", 257), item("prompt-254", 256)], told.items);
        assert_eq!(told, ranking([&Top::merge([&two, &one].into_iter())], 2));
    }

    /// Beyond that every true count lies within the bounds told, and no value above the error is missing.
    #[test]
    fn many_values_keep_their_bounds() {
        let mut buckets: Vec<Top> = (0..5).map(|_| Top::default()).collect();
        let mut truth: HashMap<String, u64> = HashMap::new();
        for (bucket, top) in buckets.iter_mut().enumerate() {
            for event in 0..20_000u64 {
                // Ten values have half of the events; the rest are junk.
                let value =
                    if event % 2 == 0 { event % 20 } else { 1_000 + event * 5 + bucket as u64 };
                add(top, value, 1);
                *truth.entry(format!("prompt-{value}")).or_default() += 1;
            }
        }
        let merged = Top::merge(buckets.iter());
        for told in [ranking(&buckets, 10), ranking([&merged], 10)] {
            assert_eq!((false, 100_000), (told.exact, told.events));
            assert!(told.error < 100_000 * 7 / 512, "{}", told.error);
            assert_eq!(10, told.items.len());
            for item in &told.items {
                let true_count = truth[&item.text];
                assert!((item.at_least..=item.at_most).contains(&true_count), "{item:?}");
                assert_eq!(5_000, true_count, "{item:?}");
            }
        }
        assert!(merged.heap_bytes() < 40_000, "{}", merged.heap_bytes());
    }
}
