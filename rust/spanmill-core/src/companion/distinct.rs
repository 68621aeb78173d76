//! How many different values: an exact set while it is small, then `HyperLogLog`.

use datasketches::hll::{HllSketch, HllType, HllUnion};
use hashbrown::HashTable;

/// Values that a bucket holds exactly.
const EXACT_MAX: usize = 256;

/// Values that an answer counts exactly: 8 MiB while it is worked out.
const ANSWER_MAX: usize = 1 << 20;

/// Registers: 2^11, of a byte each. Kept by the maximum, so the order of arrival leaves no trace.
const LG_REGISTERS: u8 = 11;

/// Relative standard error of an estimate from that many registers.
///
/// Source: Flajolet, Fusy, Gandouet, Meunier, "`HyperLogLog`" (2007), 1.04 / sqrt(m).
const RELATIVE_ERROR: f64 = 0.023;

const VALID: &str = "2^11 registers are within what the crate takes";

/// The values of one bucket, as hashes.
#[derive(Clone)]
pub(super) enum Distinct {
    /// In order, each once.
    Exact(Vec<u64>),
    Sketch(Box<HllSketch>),
}

impl Default for Distinct {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

impl Distinct {
    pub(super) fn add(&mut self, hash: u64) {
        match self {
            Self::Exact(hashes) => {
                let Err(place) = hashes.binary_search(&hash) else { return };
                hashes.insert(place, hash);
                if hashes.len() > EXACT_MAX {
                    let mut sketch = HllSketch::new(LG_REGISTERS, HllType::Hll8).expect(VALID);
                    hashes.iter().for_each(|hash| sketch.update(*hash));
                    *self = Self::Sketch(Box::new(sketch));
                }
            }
            Self::Sketch(sketch) => sketch.update(hash),
        }
    }

    /// Everything in all of `parts`.
    pub(super) fn merge<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        let mut merged = Self::default();
        let mut union: Option<HllUnion> = None;
        for part in parts {
            match (part, &mut union) {
                (Self::Exact(hashes), None) => hashes.iter().for_each(|hash| merged.add(*hash)),
                (Self::Exact(hashes), Some(union)) => {
                    hashes.iter().for_each(|hash| union.update_value(*hash));
                }
                (Self::Sketch(sketch), _) => {
                    let union = union.get_or_insert_with(|| std::mem::take(&mut merged).union());
                    union.update(sketch);
                }
            }
        }
        match union {
            Some(union) => Self::Sketch(Box::new(union.to_sketch(HllType::Hll8))),
            None => merged,
        }
    }

    fn union(self) -> HllUnion {
        let mut union = HllUnion::new(LG_REGISTERS).expect(VALID);
        match self {
            Self::Exact(hashes) => hashes.iter().for_each(|hash| union.update_value(*hash)),
            Self::Sketch(sketch) => union.update(&sketch),
        }
        union
    }

    /// Nothing more will come.
    pub(super) fn seal(&mut self) {
        if let Self::Exact(hashes) = self {
            hashes.shrink_to_fit();
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Exact(hashes) => hashes.capacity() * size_of::<u64>(),
            Self::Sketch(sketch) => size_of::<HllSketch>() + sketch.estimated_size(),
        }
    }
}

/// How many different values, and how far that may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Count {
    pub values: u64,
    pub exact: bool,
    /// Standard error over the count; 0 where exact.
    pub relative_error: f64,
}

/// Buckets of several series and minutes, added up for an answer.
#[derive(Default)]
pub(crate) struct DistinctUnion {
    /// Hashes are random already: they are their own hash.
    exact: HashTable<u64>,
    sketch: Option<HllUnion>,
}

impl DistinctUnion {
    pub(super) fn add(&mut self, part: &Distinct) {
        match part {
            Distinct::Exact(hashes) => hashes.iter().for_each(|hash| self.add_hash(*hash)),
            Distinct::Sketch(sketch) => self.sketch().update(sketch),
        }
    }

    fn add_hash(&mut self, hash: u64) {
        if let Some(sketch) = &mut self.sketch {
            sketch.update_value(hash);
            return;
        }
        if self.exact.find(hash, |known| *known == hash).is_none() {
            let _ = self.exact.insert_unique(hash, hash, |known| *known);
            if self.exact.len() > ANSWER_MAX {
                let _ = self.sketch();
            }
        }
    }

    /// The sketch, with all that was exact so far.
    fn sketch(&mut self) -> &mut HllUnion {
        let exact = &mut self.exact;
        self.sketch.get_or_insert_with(|| {
            let mut union = HllUnion::new(LG_REGISTERS).expect(VALID);
            exact.drain().for_each(|hash| union.update_value(hash));
            union
        })
    }

    /// The count; from registers alone, so that order leaves no trace in it.
    pub(crate) fn count(&self) -> Count {
        match &self.sketch {
            None => Count { values: self.exact.len() as u64, exact: true, relative_error: 0.0 },
            Some(sketch) => Count {
                values: sketch.composite_estimate().round() as u64,
                exact: false,
                relative_error: RELATIVE_ERROR,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes as random as those of users.
    fn hashes(from: u64, to: u64) -> impl DoubleEndedIterator<Item = u64> + Clone {
        (from..to).map(|user| xxhash_rust::xxh3::xxh3_64(&user.to_le_bytes()).max(1))
    }

    fn bucket(hashes: impl Iterator<Item = u64>) -> Distinct {
        let mut distinct = Distinct::default();
        hashes.for_each(|hash| distinct.add(hash));
        distinct
    }

    fn count<'a>(parts: impl IntoIterator<Item = &'a Distinct>) -> Count {
        let mut union = DistinctUnion::default();
        parts.into_iter().for_each(|part| union.add(part));
        union.count()
    }

    /// Up to 256 values a bucket is exact however often each comes, and so is any union of such.
    #[test]
    fn few_values_are_exact() {
        let parts: Vec<Distinct> = (0..100)
            .map(|part| {
                bucket(
                    hashes(part * 128, part * 128 + 256).chain(hashes(part * 128, part * 128 + 9)),
                )
            })
            .collect();
        let exact = |values| Count { values, exact: true, relative_error: 0.0 };
        assert_eq!(exact(256), count(&parts[..1]));
        assert_eq!(exact(100 * 128 + 128), count(&parts));
        assert!(parts[0].heap_bytes() <= 4096);
    }

    /// Beyond that an estimate is within four of its standard errors, alone, merged or in a union.
    #[test]
    fn many_values_are_estimated() {
        for users in [300u64, 5_000, 100_000, 400_000] {
            let whole = count([&bucket(hashes(0, users))]);
            let parts: Vec<Distinct> = (0..7)
                .map(|part| bucket(hashes(users * part / 7, users * (part + 1) / 7)))
                .collect();
            let merged = Distinct::merge(parts.iter());
            assert!(merged.heap_bytes() < 2_300 || users < 300, "{}", merged.heap_bytes());
            for counted in [whole, count(&parts), count([&merged])] {
                let off = counted.values as f64 / users as f64 - 1.0;
                assert!(off.abs() <= 4.0 * counted.relative_error, "{users}: {counted:?}");
            }
        }
    }

    /// The same values give the same count in any order and however they are split into buckets.
    #[test]
    fn order_and_split_leave_no_trace() {
        let users = 20_000;
        let forward = bucket(hashes(0, users));
        let backward = bucket(hashes(0, users).rev());
        let wanted = count([&forward]);
        assert!(!wanted.exact);
        assert_eq!(wanted, count([&backward]));
        let parts: Vec<Distinct> =
            (0..200).map(|part| bucket(hashes(part * 100, (part + 1) * 100))).collect();
        let big = bucket(hashes(0, 10_000));
        assert_eq!(wanted, count(parts.iter().chain([&big])));
        assert_eq!(wanted, count([&big].into_iter().chain(parts.iter().rev())));
        let merged = Distinct::merge(parts.iter().rev().chain([&big]));
        assert_eq!(wanted, count([&merged]));
    }
}
