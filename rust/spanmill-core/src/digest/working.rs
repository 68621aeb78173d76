//! What a builder works on: a buffer of keys, and centroids finer than those stored.

use std::cell::RefCell;

use super::compress::{Item, Pass, condense, push_joined};
use super::key::{self, Transform};
use super::radix;
use super::scale;

/// Values buffered as keys between two merges into the centroids.
const BUFFER: usize = 32_768;
/// Items with weights buffered likewise.
const ITEMS: usize = 1_024;
/// Values for one that repeats another, from where on ties are worth joining: fewer
/// cannot make a tie that is wide.
const TIES_MIN: usize = 256;
/// Growth of the count after which the scale function is asked again.
const SCALE_GROWTH: f64 = 1.25;

/// What one flush needs and leaves no trace in; one a thread, not one a digest.
#[derive(Default)]
struct Scratch {
    places: Vec<u32>,
    gathered: Vec<Item>,
    spare: Vec<Item>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Debug, Clone)]
pub(super) struct Working {
    /// Slots of the scale function; the centroids are about as many.
    slots: usize,
    /// Places of values not yet merged.
    buffer: Vec<u32>,
    /// Weighted ones not yet merged.
    items: Vec<Item>,
    /// Sorted, with their weight in all.
    centroids: Vec<Item>,
    count: u64,
    /// Limits of the scale function, as of [`limits_for`](Self::limits_for) values.
    limits: Vec<f64>,
    limits_for: f64,
}

impl Working {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots,
            buffer: Vec::new(),
            items: Vec::new(),
            centroids: Vec::new(),
            count: 0,
            limits: Vec::new(),
            limits_for: 0.0,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.buffer.capacity() * size_of::<u32>()
            + (self.items.capacity() + self.centroids.capacity()) * size_of::<Item>()
            + self.limits.capacity() * size_of::<f64>()
    }

    /// Add values that the axis holds.
    #[inline]
    pub(super) fn add(&mut self, transform: Transform, values: &[f64]) {
        self.buffer.extend(values.iter().map(|&value| radix::place(transform.key(value))));
        self.flush_if_full();
    }

    /// The same where [`holds_all_positive`](Transform::holds_all_positive).
    #[inline]
    pub(super) fn add_positive(&mut self, values: &[f64]) {
        self.buffer.extend(values.iter().map(|&value| radix::place(key::of_positive(value))));
        self.flush_if_full();
    }

    #[inline]
    fn flush_if_full(&mut self) {
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

    /// Add many items at once.
    pub(super) fn add_items(&mut self, items: &[Item]) {
        self.items.extend_from_slice(items);
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
        SCRATCH.with_borrow_mut(|scratch| self.merge(scratch));
    }

    fn merge(&mut self, Scratch { places, gathered, spare }: &mut Scratch) {
        radix::sort(&mut self.buffer, places, |place| place);
        let weights = self.items.iter().map(|item| item.weight).sum::<u64>();
        self.count += self.buffer.len() as u64 + weights;
        let limits = self.limits();
        let (values, out) = (self.buffer.as_slice(), std::mem::take(spare));
        let repeated = values.windows(2).filter(|pair| pair[0] == pair[1]).count();
        let out = if self.items.is_empty() && repeated * TIES_MIN < values.len() {
            let (first, centroids) = (radix::key(values[0]), self.centroids.as_slice());
            let first = centroids.first().map_or(first, |centroid| centroid.key.min(first));
            condense(|pass| walk(pass, values, centroids), first, &limits, out)
        } else {
            self.gather(gathered);
            condense(|pass| pass.walk_on(gathered), gathered[0].key, &limits, out)
        };
        self.centroids.clear();
        self.centroids.extend_from_slice(&out);
        *spare = out;
        self.buffer.clear();
        self.items.clear();
    }

    /// All that is held, sorted and with ties joined, however many there are.
    fn gather(&mut self, gathered: &mut Vec<Item>) {
        if !self.items.is_empty() {
            self.centroids.append(&mut self.items);
            self.centroids.sort_unstable();
        }
        gathered.clear();
        let mut values = self.buffer.as_slice();
        for &centroid in &self.centroids {
            let place = radix::place(centroid.key);
            while let Some((&value, rest)) = values.split_first()
                && value <= place
            {
                push_joined(gathered, Item::tie(radix::key(value), 1));
                values = rest;
            }
            push_joined(gathered, centroid);
        }
        for &value in values {
            push_joined(gathered, Item::tie(radix::key(value), 1));
        }
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

/// Walk over sorted values and centroids as one, without writing them down together.
fn walk(pass: &mut Pass<'_>, values: &[u32], centroids: &[Item]) {
    let mut rest = values;
    for centroid in centroids {
        let place = radix::place(centroid.key);
        let below = rest.iter().position(|&value| value > place).unwrap_or(rest.len());
        let (run, above) = rest.split_at(below);
        pass.walk_values(run);
        pass.walk_on(std::slice::from_ref(centroid));
        rest = above;
    }
    pass.walk_values(rest);
}
