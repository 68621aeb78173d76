//! Series that a reader wants, found in a file's blocks.

use std::collections::HashMap;
use std::sync::Arc;

use super::block::ABSENT;
use super::pass::{Named, Shape};
use super::segment::Dictionary;

/// A text that no wanted series has.
const UNKNOWN: u32 = u32::MAX;

/// Series of one view, each with a place that what is found is told by.
pub(crate) struct Wanted {
    pub(super) shape: Shape,
    /// Every text of the series, in order; numbers in tuples count from 1.
    texts: Vec<Arc<str>>,
    /// Sorted.
    stables: Vec<i64>,
    places: Vec<u32>,
    /// Numbers of each series' texts, 0 where one is absent.
    tuples: Vec<u32>,
}

impl Wanted {
    /// Series with their places, in any order.
    pub(crate) fn new(shape: Shape, mut series: Vec<(Named, u32)>) -> Self {
        series.sort_unstable();
        let mut texts: Vec<Arc<str>> =
            series.iter().flat_map(|(named, _)| named.texts.iter().flatten()).cloned().collect();
        texts.sort_unstable();
        texts.dedup();
        let numbers: HashMap<&str, u32> = texts.iter().map(|text| &**text).zip(1..).collect();
        let number = |text: &Option<Arc<str>>| text.as_deref().map_or(0, |text| numbers[text]);
        let tuples = series.iter().flat_map(|(named, _)| named.texts.iter().map(number)).collect();
        let stables = series.iter().map(|(named, _)| named.stable).collect();
        let places = series.iter().map(|(_, place)| *place).collect();
        Self { tuples, stables, places, shape, texts }
    }

    /// Whether some series may be in a block from `first` to `last`, both included.
    pub(super) fn any_in(&self, first: i64, last: i64) -> bool {
        let from = self.stables.partition_point(|stable| *stable < first);
        self.stables.get(from).is_some_and(|stable| *stable <= last)
    }

    /// Our number of each text of a file.
    pub(super) fn known(&self, dictionary: &Dictionary) -> Vec<u32> {
        let mut known = vec![UNKNOWN; dictionary.len() + 1];
        known[ABSENT as usize] = 0;
        let mut from = 0;
        for (text, number) in self.texts.iter().zip(1..) {
            // Both are sorted: what was passed is not looked at again.
            from = dictionary.place(from, text);
            if dictionary.get(from) == Some(text) {
                known[from + 1] = number;
            }
        }
        known
    }

    /// A search through a block's series, in their order.
    pub(super) fn search<'a>(&'a self, known: &'a [u32]) -> Search<'a> {
        Search { wanted: self, known, at: 0, tuple: Vec::new() }
    }
}

/// Where a search is.
pub(super) struct Search<'a> {
    wanted: &'a Wanted,
    known: &'a [u32],
    at: usize,
    /// Scratch.
    tuple: Vec<u32>,
}

impl Search<'_> {
    /// Place of the series with this id and these texts, where it is wanted.
    pub(super) fn find(
        &mut self,
        stable: i64,
        texts: &mut dyn Iterator<Item = u64>,
    ) -> Option<u32> {
        let Wanted { stables, places, tuples, shape, .. } = self.wanted;
        let rest = &stables[self.at..];
        self.at += match rest.get(1) {
            // One step is what there is to go where every series is wanted.
            Some(next) if *next >= stable => usize::from(rest[0] < stable),
            _ => rest.partition_point(|known| *known < stable),
        };
        if stables.get(self.at) != Some(&stable) {
            return None;
        }
        let number = |text: u64| self.known.get(text as usize).copied().unwrap_or(UNKNOWN);
        self.tuple.clear();
        self.tuple.extend(texts.map(number));
        let width = shape.dimensions.len();
        let mut same = (self.at..stables.len()).take_while(|at| stables[*at] == stable);
        same.find(|at| tuples[at * width..][..width] == self.tuple[..]).map(|at| places[at])
    }
}
