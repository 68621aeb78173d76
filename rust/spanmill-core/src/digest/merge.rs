//! Many digests into one, whatever their order.

use std::cell::RefCell;

use super::compress::{CENTROIDS, Item, MERGED_GAP, compress, joined};
use super::grid::{self, Parts};
use super::histogram::LogHistogram;
use super::key::Transform;
use super::open::{OpenDigest, Store};
use super::radix;
use super::scale;
use super::sealed::{Body, Centroids, Digest, Forgotten, join_words, word, word_item, word_place};
use super::totals::Totals;

/// Merged answers stay exact up to this many values when every part was.
pub(super) const EXACT_MERGE_MAX: usize = 4096;

/// Words that a thread keeps room for between merges, 2 MiB: fresh memory costs more than sorting.
const SPARE_MAX: usize = 1 << 18;

thread_local! {
    /// Room for a merger's words, and for sorting them.
    static SPARE: RefCell<[Vec<u64>; 2]> = RefCell::default();
}

/// Centroids as words, in room that the thread keeps.
#[derive(Debug, Clone)]
struct Words(Vec<u64>);

impl Words {
    fn new() -> Self {
        Self(SPARE.with_borrow_mut(|[room, _]| std::mem::take(room)))
    }

    /// Sort them by place, then by the rest.
    fn sort(&mut self) {
        SPARE.with_borrow_mut(|[_, scratch]| {
            radix::sort(&mut self.0, scratch, word_place);
            scratch.truncate(SPARE_MAX);
            scratch.shrink_to(SPARE_MAX);
        });
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        let mut words = std::mem::take(&mut self.0);
        words.clear();
        words.shrink_to(SPARE_MAX);
        // A thread that ends keeps nothing.
        let _ = SPARE.try_with(|spare| spare.borrow_mut()[0] = words);
    }
}

/// Slots of the scale function that a histogram's bins are cut at: finer than the centroids
/// that they become part of.
const HISTOGRAM_SLOTS: usize = 4 * CENTROIDS;
/// The scale function is for at least this many values.
const SLOTS_COUNT_MIN: u64 = 3;

/// Gathers digests, sealed and open, and merges them once.
///
/// The result depends on the parts as a multiset, not on their order. A part costs a
/// copy of its centroids, an open histogram only the addition of its counts.
#[derive(Debug, Clone)]
pub struct Merger {
    transform: Transform,
    totals: Totals,
    forgotten: Forgotten,
    exact_max: usize,
    /// Values of exact parts.
    values: Vec<f64>,
    /// Of open parts: keys of single values.
    keys: Vec<i32>,
    /// Centroids, 8 B each.
    words: Words,
    /// Centroids too heavy for a word.
    large: Vec<Item>,
    /// Of open parts, with how many values it counts.
    histogram: Option<LogHistogram>,
    binned: u64,
}

impl Merger {
    /// An empty one; it turns wide when a wide digest is pushed.
    #[must_use]
    pub fn new(transform: Transform) -> Self {
        Self {
            transform,
            totals: Totals::new(transform),
            forgotten: Forgotten::default(),
            exact_max: EXACT_MERGE_MAX,
            values: Vec::new(),
            keys: Vec::new(),
            words: Words::new(),
            large: Vec::new(),
            histogram: None,
            binned: 0,
        }
    }

    /// Keep values as they came up to this many.
    pub(super) fn exact_to(self, exact_max: usize) -> Self {
        Self { exact_max, ..self }
    }

    /// How many values were taken in.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.totals.count
    }

    /// Take in a sealed digest.
    ///
    /// One that would bring the count past 10^18 is counted as refused.
    pub fn push(&mut self, part: &Digest) {
        if !self.has_room(part.count()) {
            return;
        }
        if part.transform == Transform::Wide && self.transform == Transform::Standard {
            self.widen();
        }
        self.totals.merge(&part.totals);
        self.forgotten.add(part.forgotten);
        match &part.body {
            Body::Exact(values) => self.values.extend_from_slice(values),
            Body::Centroids(centroids) if part.transform == self.transform => {
                self.push_centroids(centroids);
            }
            Body::Centroids(centroids) => {
                centroids.iter().for_each(|item| self.push_item(widened(item)));
            }
        }
    }

    /// Take in an open bucket as it stands.
    ///
    /// One that would bring the count past 10^18 is counted as refused.
    pub fn push_open(&mut self, part: &OpenDigest) {
        if self.transform == Transform::Wide {
            return self.push(&part.seal());
        }
        if !self.has_room(part.count()) {
            return;
        }
        match part.store() {
            Store::Raw(raw) => {
                self.totals.add_all(raw);
                self.values.extend_from_slice(raw);
            }
            Store::Keys(totals, keys) => {
                self.totals.merge(totals);
                self.keys.extend_from_slice(keys);
            }
            // A bin counts to 2^32: what would pass it is sealed on its own.
            Store::Histogram(totals, _) if self.binned + totals.count > u64::from(u32::MAX) => {
                self.push(&part.seal());
            }
            Store::Histogram(totals, histogram) => {
                self.binned += totals.count;
                self.totals.merge(totals);
                self.histogram.get_or_insert_default().absorb(histogram);
            }
        }
    }

    fn has_room(&mut self, more: u64) -> bool {
        let room = self.totals.check_room(more).is_ok();
        if !room {
            self.totals.refused = self.totals.refused.saturating_add(more);
        }
        room
    }

    fn push_centroids(&mut self, centroids: &Centroids) {
        match centroids.as_words() {
            Some(words) => self.words.0.extend_from_slice(words),
            None => centroids.iter().for_each(|item| self.push_item(item)),
        }
    }

    fn push_item(&mut self, item: Item) {
        match item.as_word() {
            Some(word) => self.words.0.push(word),
            None => self.large.push(item),
        }
    }

    /// Move everything over to the wide axis.
    fn widen(&mut self) {
        self.fold_histogram();
        let mut totals = Totals::new(Transform::Wide);
        totals.merge(&self.totals);
        (self.transform, self.totals) = (Transform::Wide, totals);
        let keys = std::mem::take(&mut self.keys).into_iter().map(|key| Item::tie(key, 1));
        let words = std::mem::take(&mut self.words.0).into_iter().map(word_item);
        let large = std::mem::take(&mut self.large);
        for item in keys.chain(words).chain(large) {
            self.push_item(widened(item));
        }
    }

    /// Turn the counts of open parts into centroids.
    fn fold_histogram(&mut self) {
        let Some(histogram) = self.histogram.take() else { return };
        let count = std::mem::take(&mut self.binned);
        self.forgotten.add(histogram.forgotten());
        let ends = (self.transform.key(self.totals.min), self.transform.key(self.totals.max));
        let mut slots = scale::limits(count.max(SLOTS_COUNT_MIN), HISTOGRAM_SLOTS);
        let (mut before, mut end) = (0.0, 0.0);
        for mut rest in histogram.items() {
            // Nothing is joined here: what is too fine the merge makes coarser, once.
            while rest.spread > 0 {
                while end <= before {
                    end = slots.next().unwrap_or(f64::INFINITY);
                }
                let weight = (end - before).ceil().min(rest.weight as f64) as u64;
                if weight == rest.weight {
                    break;
                }
                let (part, remainder) = rest.split(weight);
                self.push_item(held(part, ends));
                before += weight as f64;
                rest = remainder;
            }
            before += rest.weight as f64;
            self.push_item(held(rest, ends));
        }
    }

    /// Totals of everything taken in.
    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Everything taken in, where all of it was exact.
    pub(super) fn into_values(self) -> Vec<f64> {
        debug_assert!(
            self.keys.is_empty() && self.words.0.is_empty() && self.large.is_empty(),
            "a part was not exact"
        );
        self.values
    }

    /// Everything taken in, as at most `clusters` centroids.
    pub(super) fn into_items(mut self, clusters: usize) -> Vec<Item> {
        self.fold_histogram();
        let Self { transform, totals, values, mut keys, mut words, large, .. } = self;
        keys.extend(values.iter().map(|&value| transform.key(value)));
        let ends = (transform.key(totals.min), transform.key(totals.max));
        let parts = Parts { words: &words.0, keys: &keys };
        match grid::gather(parts, ends, totals.count, clusters) {
            Some(items) if large.is_empty() => {
                return compress(&items, totals.count, clusters, MERGED_GAP);
            }
            Some(items) => return merged(items, large, totals.count, clusters),
            None => (),
        }
        words.0.extend(keys.into_iter().map(|key| word(key, 1, true)));
        words.sort();
        if large.is_empty() && join_words(&mut words.0) {
            return compress(&words.0, totals.count, clusters, MERGED_GAP);
        }
        merged(words.0.iter().copied().map(word_item).collect(), large, totals.count, clusters)
    }

    /// The digest of everything taken in.
    #[must_use]
    pub fn finish(mut self) -> Digest {
        self.fold_histogram();
        let none = self.keys.is_empty() && self.words.0.is_empty() && self.large.is_empty();
        if none && self.values.len() <= self.exact_max {
            return Digest::exact(self.transform, self.totals, self.values);
        }
        let (transform, totals, forgotten) = (self.transform, self.totals.clone(), self.forgotten);
        Digest::compressed(transform, totals, forgotten, &self.into_items(CENTROIDS))
    }
}

/// A part of a bin as a centroid. Wide bins round their offsets, which may pass the extremes.
fn held(item: Item, (low, high): (i32, i32)) -> Item {
    Item { key: item.key.clamp(low, high), spread: item.spread.min(0), ..item }
}

/// A centroid of the standard axis on the wide one.
fn widened(item: Item) -> Item {
    Item { key: Transform::Wide.key(Transform::Standard.value(item.key, 0.0)), ..item }
}

fn merged(mut items: Vec<Item>, large: Vec<Item>, count: u64, clusters: usize) -> Vec<Item> {
    items.extend(large);
    items.sort_unstable();
    compress(&joined(items), count, clusters, MERGED_GAP)
}
