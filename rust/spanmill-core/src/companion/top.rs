//! Which values come most: exact counts while they are few, then a sketch that states its error.

use std::collections::HashMap;

use datasketches::frequencies::{ErrorType, FrequentItemsSketch};
use hashbrown::HashTable;

/// Values that a bucket counts exactly.
const EXACT_MAX: usize = 256;

/// Places of a bucket's sketch. It errs by at most 3.5 / 512 of the bucket's events.
const BUCKET_PLACES: usize = 512;

/// Places of an answer's sketch, and values that an answer counts exactly.
const ANSWER_PLACES: usize = 8_192;
const ANSWER_MAX: usize = 1 << 16;

const VALID: &str = "the number of places is a power of two that the crate takes";

struct Value {
    hash: u64,
    events: u64,
    text: Box<str>,
}

/// Values and their events, while they are few.
#[derive(Default)]
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

    fn add(top: &mut Top, value: u64, events: u64) {
        let hash = xxhash_rust::xxh3::xxh3_64(&value.to_le_bytes());
        top.add(hash, &format!("prompt-{value}"), events);
    }

    fn ranking<'a>(parts: impl IntoIterator<Item = &'a Top>, k: usize) -> Ranking {
        let mut union = TopUnion::default();
        parts.into_iter().for_each(|part| union.add(part));
        union.ranking(k)
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
