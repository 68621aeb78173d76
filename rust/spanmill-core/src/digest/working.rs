//! What a builder works on: a buffer of keys, and centroids finer than those stored.

use super::compress::{Item, condense};
use super::key::Transform;
use super::radix;
use super::scale;

/// Values buffered as keys between two merges into the centroids.
const BUFFER: usize = 8_192;
/// Items with weights buffered likewise.
const ITEMS: usize = 1_024;
/// Growth of the count after which the scale function is asked again.
const SCALE_GROWTH: f64 = 1.25;

#[derive(Debug, Clone)]
pub(super) struct Working {
    /// Slots of the scale function; the centroids are about as many.
    slots: usize,
    /// Places of values not yet merged.
    buffer: Vec<u32>,
    scratch: Vec<u32>,
    /// Weighted ones not yet merged.
    items: Vec<Item>,
    /// Sorted, with their weight in all.
    centroids: Vec<Item>,
    count: u64,
    spare: Vec<Item>,
    /// Limits of the scale function, as of [`limits_for`](Self::limits_for) values.
    limits: Vec<f64>,
    limits_for: f64,
}

impl Working {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots,
            buffer: Vec::new(),
            scratch: Vec::new(),
            items: Vec::new(),
            centroids: Vec::new(),
            count: 0,
            spare: Vec::new(),
            limits: Vec::new(),
            limits_for: 0.0,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let items = self.items.capacity() + self.centroids.capacity() + self.spare.capacity();
        (self.buffer.capacity() + self.scratch.capacity()) * size_of::<u32>()
            + items * size_of::<Item>()
            + self.limits.capacity() * size_of::<f64>()
    }

    /// Add values that the axis holds.
    #[inline]
    pub(super) fn add(&mut self, transform: Transform, values: &[f64]) {
        self.buffer.extend(values.iter().map(|&value| radix::place(transform.key(value))));
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    pub(super) fn add_item(&mut self, item: Item) {
        self.items.push(item);
        if self.items.len() >= ITEMS {
            self.flush();
        }
    }

    /// Everything held, sorted.
    pub(super) fn settled(&mut self) -> &[Item] {
        if !(self.buffer.is_empty() && self.items.is_empty()) {
            self.flush();
        }
        &self.centroids
    }

    fn flush(&mut self) {
        radix::sort(&mut self.buffer, &mut self.scratch, |place| place);
        self.items.sort_unstable();
        let weights = self.items.iter().map(|item| item.weight).sum::<u64>();
        self.count += self.buffer.len() as u64 + weights;
        let limits = self.limits();
        let all = Sorted { places: &self.buffer, items: &self.items, centroids: &self.centroids };
        let out = condense(all, limits, std::mem::take(&mut self.spare));
        self.spare = std::mem::replace(&mut self.centroids, out);
        self.buffer.clear();
        self.items.clear();
    }

    /// Limits of the slots; between two looks at the scale function its shares stay.
    fn limits(&mut self) -> Vec<f64> {
        let count = self.count as f64;
        if self.count < 3 {
            return vec![count];
        }
        if count > self.limits_for * SCALE_GROWTH {
            self.limits = scale::limits(self.count, self.slots).collect();
            self.limits_for = count;
        }
        let growth = count / self.limits_for;
        let inside = &self.limits[1..self.limits.len() - 2];
        let inside = inside.iter().map(|limit| limit * growth);
        std::iter::once(1.0).chain(inside).chain([count - 1.0, count]).collect()
    }
}

/// Three sorted sources as one.
#[derive(Clone)]
struct Sorted<'a> {
    places: &'a [u32],
    items: &'a [Item],
    centroids: &'a [Item],
}

impl Iterator for Sorted<'_> {
    type Item = Item;

    #[inline]
    fn next(&mut self) -> Option<Item> {
        const NONE: i64 = i64::MAX;
        let value = self.places.first().map_or(NONE, |&place| radix::key(place).into());
        let item = self.items.first().map_or(NONE, |item| item.key.into());
        let centroid = self.centroids.first().map_or(NONE, |item| item.key.into());
        if value <= item && value <= centroid {
            let (_, rest) = self.places.split_first()?;
            self.places = rest;
            return Some(Item::tie(value as i32, 1));
        }
        let source = if item <= centroid { &mut self.items } else { &mut self.centroids };
        let (&first, rest) = source.split_first()?;
        *source = rest;
        Some(first)
    }
}
