//! The conventions' tables, compiled to one hash table over the keys that some view needs.

use std::borrow::Cow;

use super::{Attribute, CONVENTIONS, Reads};
use crate::digest::holds;
use crate::signal::{DIMENSIONS, Dimension, MEASURES, Measure};
use crate::value::{ABSENT, ValueCache, ValueId, Values};
use crate::wide::{Wide, WidePlan};
use crate::wire::{Kind, Scope, Value};

const MEASURE_COUNT: usize = MEASURES.len();
const DIMENSION_COUNT: usize = DIMENSIONS.len();
/// A signal no view needs.
const UNUSED: u8 = u8::MAX;
/// Precedence of a signal nothing has filled.
const UNFILLED: u8 = u8::MAX;
/// What a resource says ranks behind what a span says.
const RESOURCE_RANK: u8 = 128;

/// Dense places for the signals that some view or objective needs.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    pub measures: Vec<Measure>,
    pub dimensions: Vec<Dimension>,
    /// Dimensions that are hashed for companions, whether or not they have a place above too.
    pub wide: Vec<Dimension>,
}

impl Slots {
    /// Place of a measure that is needed.
    pub(crate) fn measure(&self, measure: Measure) -> Option<usize> {
        self.measures.iter().position(|m| *m == measure)
    }

    /// Place of a dimension that is needed.
    pub(crate) fn dimension(&self, dimension: Dimension) -> Option<usize> {
        self.dimensions.iter().position(|d| *d == dimension)
    }
}

/// What is wrong with a measure; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flaw {
    /// NaN or infinite.
    NotFinite,
    Negative,
    /// Finite but beyond 2^±64.
    OutOfRange,
}

impl Flaw {
    /// What is wrong with a value, if anything.
    pub(crate) fn of(value: f64) -> Option<Self> {
        match value {
            value if !value.is_finite() => Some(Self::NotFinite),
            value if value < 0.0 => Some(Self::Negative),
            value if !holds(value) => Some(Self::OutOfRange),
            _ => None,
        }
    }
}

/// Signals of one span, by slot, with the precedence of what filled them.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    /// NaN where absent.
    pub measures: [f64; MEASURE_COUNT],
    measure_rank: [u8; MEASURE_COUNT],
    pub dimensions: [ValueId; DIMENSION_COUNT],
    dimension_rank: [u8; DIMENSION_COUNT],
    /// An error type was named.
    pub error: bool,
    /// Some measure may be one that no digest holds.
    suspicious: bool,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            measures: [f64::NAN; MEASURE_COUNT],
            measure_rank: [UNFILLED; MEASURE_COUNT],
            dimensions: [ABSENT; DIMENSION_COUNT],
            dimension_rank: [UNFILLED; DIMENSION_COUNT],
            error: false,
            suspicious: false,
        }
    }
}

impl Signals {
    fn set_measure(&mut self, slot: usize, rank: u8, value: f64) {
        if rank >= self.measure_rank[slot] {
            return;
        }
        self.measure_rank[slot] = rank;
        self.measures[slot] = value;
        // One cheap test for all that can be wrong; zero is sorted out later.
        self.suspicious |= !(1e-18..1e18).contains(&value);
    }

    /// Why the span cannot be counted, if some measure is one that no digest holds.
    pub(crate) fn flaw(&self) -> Option<Flaw> {
        if !self.suspicious {
            return None;
        }
        self.filled().filter_map(|(_, value)| Flaw::of(value)).min()
    }

    /// Measures by slot that were filled, with their slots.
    pub(crate) fn filled(&self) -> impl Iterator<Item = (usize, f64)> {
        let ranked = self.measures.iter().zip(&self.measure_rank).enumerate();
        ranked.filter(|(_, (_, rank))| **rank != UNFILLED).map(|(slot, (value, _))| (slot, *value))
    }

    fn set_dimension(&mut self, slot: usize, rank: u8, id: ValueId) {
        if rank < self.dimension_rank[slot] && id != ABSENT {
            self.dimension_rank[slot] = rank;
            self.dimensions[slot] = id;
        }
    }

    /// Fill a measure that no attribute gave.
    pub(crate) fn fill(&mut self, slot: Option<usize>, value: impl FnOnce(&Self) -> Option<f64>) {
        let Some(slot) = slot.filter(|slot| self.measures[*slot].is_nan()) else { return };
        if self.measure_rank[slot] == UNFILLED
            && let Some(value) = value(self)
        {
            self.set_measure(slot, UNFILLED - 1, value);
        }
    }

    /// A measure that is there.
    pub(crate) fn measure(&self, slot: Option<usize>) -> Option<f64> {
        slot.map(|slot| self.measures[slot]).filter(|value| !value.is_nan())
    }
}

#[derive(Clone, Copy)]
enum Target {
    Text { dimension: Dimension, slot: u8, wide: u8, marks_error: bool },
    Number { slot: u8, milliseconds: bool },
}

#[derive(Clone, Copy)]
struct Entry {
    key: &'static [u8],
    rank: u8,
    /// Bit of the convention it belongs to.
    convention: u32,
    target: Target,
    /// Another entry for the same key, or 0.
    next: u16,
}

/// What one attribute's key means to a vocabulary: its entry's index + 1, or 0 for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning(u16);

/// Places of the hash table: many times the attributes, so that most misses end at once.
const TABLE: usize = 1024;

/// Attribute keys to signals, one probe a key.
pub(crate) struct Vocabulary {
    /// Index + 1 into `entries`, by hash; 0 is empty.
    table: Box<[u16; TABLE]>,
    entries: Vec<Entry>,
}

/// Mixes length and ends: attribute names differ there.
#[inline]
fn key_hash(key: &[u8]) -> usize {
    let (head, tail) = match (key.first_chunk::<8>(), key.last_chunk::<8>()) {
        (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        _ => key.iter().fold((0, 0), |(head, tail), &b| (head << 8 | u64::from(b), tail)),
    };
    let mixed = (head ^ tail.rotate_left(29) ^ (key.len() as u64) << 56)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as usize
}

impl Vocabulary {
    /// Compile every convention's table, leaving out what no slot needs.
    pub(crate) fn new(slots: &Slots) -> Self {
        let mut vocabulary = Self { table: Box::new([0; TABLE]), entries: Vec::new() };
        let mut rank = 0;
        for (bit, convention) in CONVENTIONS.iter().enumerate() {
            for attribute in convention.attributes() {
                rank += 1;
                assert!(rank < RESOURCE_RANK, "more attributes than precedence has places for");
                if let Some(target) = target(attribute, slots) {
                    let key = attribute.key.as_bytes();
                    vocabulary.insert(Entry { key, rank, convention: 1 << bit, target, next: 0 });
                }
            }
        }
        vocabulary
    }

    fn insert(&mut self, entry: Entry) {
        self.entries.push(entry);
        let index = self.entries.len() as u16;
        let mut place = key_hash(entry.key) % TABLE;
        while self.table[place] != 0 {
            let known = self.table[place] as usize - 1;
            if self.entries[known].key == entry.key {
                let mut last = known;
                while self.entries[last].next != 0 {
                    last = self.entries[last].next as usize - 1;
                }
                self.entries[last].next = index;
                return;
            }
            place = (place + 1) % TABLE;
        }
        self.table[place] = index;
    }

    /// Bits of the conventions that spans of `scope` may speak.
    pub(crate) fn conventions(scope: &Scope<'_>) -> u32 {
        let speaking = CONVENTIONS.iter().enumerate().filter(|(_, c)| c.matches(scope));
        speaking.fold(0, |bits, (bit, _)| bits | 1 << bit)
    }

    /// What an attribute's key means here.
    pub(crate) fn look_up(&self, key: &[u8]) -> Meaning {
        let mut place = key_hash(key) % TABLE;
        loop {
            let index = self.table[place];
            if index == 0 || self.entries[index as usize - 1].key == key {
                return Meaning(index);
            }
            place = (place + 1) % TABLE;
        }
    }

    /// Take one attribute whose key was looked up.
    ///
    /// Only this test is inlined into the walker: half of all attributes end here.
    #[inline(always)]
    pub(crate) fn observe(&self, meaning: Meaning, value: Value<'_>, reading: &mut Reading<'_>) {
        if meaning.0 != 0 {
            self.accept(&self.entries[meaning.0 as usize - 1], value, reading);
        }
    }

    #[inline(never)]
    fn accept(&self, entry: &Entry, value: Value<'_>, reading: &mut Reading<'_>) {
        match (value.kind, entry.target) {
            (Kind::Double, Target::Number { .. }) => {
                self.each(entry, |entry| take_number(entry, value.double(), reading));
            }
            (Kind::Int, Target::Number { .. }) => {
                self.each(entry, |entry| take_number(entry, value.int() as f64, reading));
            }
            (Kind::String, Target::Text { .. }) => {
                self.each(entry, |entry| take_text(entry, value.bytes, reading));
            }
            _ => self.observe_rare(entry, value, reading),
        }
    }

    /// A type that the signal is not usually sent in.
    #[cold]
    fn observe_rare(&self, entry: &Entry, value: Value<'_>, reading: &mut Reading<'_>) {
        if matches!(entry.target, Target::Text { .. }) {
            let text = text(value);
            self.each(entry, |entry| take_text(entry, &text, reading));
        } else if let Some(number) = number(value) {
            self.each(entry, |entry| take_number(entry, number, reading));
        }
    }

    /// Every entry of one key. They fill signals of one type: all text, or all numbers.
    #[inline(always)]
    fn each(&self, entry: &Entry, mut take: impl FnMut(&Entry)) {
        take(entry);
        let mut next = entry.next;
        while next != 0 {
            let entry = &self.entries[next as usize - 1];
            take(entry);
            next = entry.next;
        }
    }
}

/// Where observed attributes go.
pub(crate) struct Reading<'a> {
    pub signals: &'a mut Signals,
    pub cache: &'a mut ValueCache,
    pub values: &'a Values,
    pub wide: &'a mut Wide,
    /// There is one where some entry has a wide slot.
    pub wide_plan: Option<&'a WidePlan>,
    /// Bits of the conventions that count here.
    pub conventions: u32,
    /// The attributes stand on the resource, behind a span's own.
    pub on_resource: bool,
}

fn target(attribute: &Attribute, slots: &Slots) -> Option<Target> {
    let number = |measure, milliseconds| {
        slots.measure(measure).map(|slot| Target::Number { slot: slot as u8, milliseconds })
    };
    match attribute.reads {
        Reads::Number(measure) => number(measure, false),
        Reads::Milliseconds(measure) => number(measure, true),
        Reads::Text(dimension) => {
            let marks_error = dimension == Dimension::ErrorType;
            let slot = slots.dimension(dimension).map_or(UNUSED, |slot| slot as u8);
            let wide = slots.wide.iter().position(|wide| *wide == dimension);
            let wide = wide.map_or(UNUSED, |column| column as u8);
            let wanted = slot != UNUSED || wide != UNUSED || marks_error;
            wanted.then_some(Target::Text { dimension, slot, wide, marks_error })
        }
    }
}

impl Reading<'_> {
    /// Precedence of an entry here, or `None` where its convention does not count.
    #[inline]
    fn rank(&self, entry: &Entry) -> Option<u8> {
        let rank = if self.on_resource { entry.rank + RESOURCE_RANK } else { entry.rank };
        (entry.convention & self.conventions != 0).then_some(rank)
    }
}

#[inline]
fn take_number(entry: &Entry, number: f64, reading: &mut Reading<'_>) {
    if let (Some(rank), Target::Number { slot, milliseconds }) = (reading.rank(entry), entry.target)
    {
        let number = if milliseconds { number / 1000.0 } else { number };
        reading.signals.set_measure(slot as usize, rank, number);
    }
}

/// Inlined into what matched the type: the call alone cost 30 instructions, three times a span.
#[inline(always)]
fn take_text(entry: &Entry, text: &[u8], reading: &mut Reading<'_>) {
    let Target::Text { dimension, slot, wide, marks_error } = entry.target else { return };
    let Some(rank) = reading.rank(entry) else { return };
    // An alias of what is filled already is not worth interning.
    if slot != UNUSED && rank < reading.signals.dimension_rank[slot as usize] {
        let id = reading.cache.id(dimension, text, reading.values);
        reading.signals.set_dimension(slot as usize, rank, id);
    }
    if marks_error | (wide != UNUSED) {
        take_seldom(entry, text, rank, reading);
    }
}

/// What few attributes do beside filling a dimension: mark an error, be counted by companions.
#[cold]
fn take_seldom(entry: &Entry, text: &[u8], rank: u8, reading: &mut Reading<'_>) {
    let Target::Text { wide, marks_error, .. } = entry.target else { return };
    reading.signals.error |= marks_error && !text.is_empty();
    if wide != UNUSED
        && let Some(plan) = reading.wide_plan
    {
        reading.wide.take(plan, wide as usize, rank, text);
    }
}

/// A number however it was sent: some emitters write counts as text.
fn number(value: Value<'_>) -> Option<f64> {
    match value.kind {
        Kind::Double => Some(value.double()),
        Kind::Int => Some(value.int() as f64),
        Kind::String => std::str::from_utf8(value.bytes).ok()?.trim().parse().ok(),
        Kind::None | Kind::Bool | Kind::Bytes | Kind::Other => None,
    }
}

/// Text however it was sent; empty where it is none.
fn text(value: Value<'_>) -> Cow<'_, [u8]> {
    match value.kind {
        Kind::String => value.bytes.into(),
        Kind::Bool => if value.flag() { &b"true"[..] } else { b"false" }.into(),
        Kind::Int => value.int().to_string().into_bytes().into(),
        Kind::Double => value.double().to_string().into_bytes().into(),
        Kind::None | Kind::Bytes | Kind::Other => Cow::Borrowed(b""),
    }
}
