//! How many different values: an exact set while it is small, then `HyperLogLog`.

use datasketches::hll::{HllSketch, HllType, HllUnion};
use hashbrown::HashTable;

use crate::codec::{Damaged, Read, Reader, Writer};

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

/// How a bucket is written: its hashes, or a sketch as the crate writes it.
const EXACT: u8 = 0;
const SKETCH: u8 = 1;

/// Of the latter: where the number of empty registers stands, and where they all do.
const EMPTY_AT: usize = 32;
const REGISTERS_AT: usize = 40;
/// Most that a register holds.
const REGISTER_MAX: u8 = 63;

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

    /// Append what it holds.
    pub(super) fn save(&self, out: &mut Writer) {
        match self {
            Self::Exact(hashes) => {
                out.u8(EXACT);
                out.varint(hashes.len() as u64);
                hashes.iter().for_each(|hash| out.u64(*hash));
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
                let count = reader.count(size_of::<u64>())?;
                let hashes: Vec<u64> = (0..count).map(|_| reader.u64()).collect::<Read<_>>()?;
                if count > EXACT_MAX || !hashes.is_sorted_by(|a, b| a < b) {
                    return Err(Damaged("has hashes that no bucket holds"));
                }
                Ok(Self::Exact(hashes))
            }
            SKETCH => {
                let bytes = reader.bytes()?;
                let sketch = HllSketch::deserialize(bytes).ok().filter(|sketch| {
                    sketch.lg_config_k() == LG_REGISTERS
                        && sketch.target_type() == HllType::Hll8
                        && are_registers(bytes)
                });
                let sketch = sketch.ok_or(Damaged("has a distinct count that does not read"))?;
                Ok(Self::Sketch(Box::new(sketch)))
            }
            _ => Err(Damaged("has a distinct count of no known form")),
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Exact(hashes) => hashes.capacity() * size_of::<u64>(),
            Self::Sketch(sketch) => size_of::<HllSketch>() + sketch.estimated_size(),
        }
    }
}

/// Whether a sketch as bytes has registers that its crate can work with: it does not look.
fn are_registers(bytes: &[u8]) -> bool {
    let Some((head, registers)) = bytes.split_at_checked(REGISTERS_AT) else { return false };
    let empty = registers.iter().filter(|register| **register == 0).count();
    registers.len() == 1 << LG_REGISTERS
        && registers.iter().all(|register| *register <= REGISTER_MAX)
        && head[EMPTY_AT..].first_chunk() == Some(&(empty as u32).to_le_bytes())
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
    use proptest::prelude::*;

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

    fn saved(distinct: &Distinct) -> Vec<u8> {
        let mut out = Writer::default();
        distinct.save(&mut out);
        out.0
    }

    /// What is read back counts, grows and merges as what was saved: to the same bits.
    #[test]
    fn a_restart_changes_nothing() {
        for users in [0, 1, 256, 257, 300, 5_000, 100_000] {
            let mut whole = bucket(hashes(0, users));
            let bytes = saved(&whole);
            let mut loaded = Distinct::load(&mut Reader(&bytes)).expect("reads");
            assert_eq!((&bytes, count([&whole])), (&saved(&loaded), count([&loaded])));
            hashes(users / 2, users * 2).for_each(|hash| whole.add(hash));
            hashes(users / 2, users * 2).for_each(|hash| loaded.add(hash));
            assert_eq!(saved(&whole), saved(&loaded), "{users} users");
            let other = bucket(hashes(7, 500));
            let merged = |part: &Distinct| saved(&Distinct::merge([part, &other].into_iter()));
            assert_eq!(merged(&whole), merged(&loaded), "{users} users");
        }
    }

    proptest! {
        /// Whatever the bytes, reading ends in a count or an error.
        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200), at: usize, bit in 0u8..8) {
            let _ = Distinct::load(&mut Reader(&bytes));
            for users in [100, 1_000] {
                let mut damaged = saved(&bucket(hashes(0, users)));
                let place = at % damaged.len();
                damaged[place] ^= 1 << bit;
                if let Ok(distinct) = Distinct::load(&mut Reader(&damaged)) {
                    let _ = count([&distinct, &bucket(hashes(0, 300))]);
                }
            }
        }
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
