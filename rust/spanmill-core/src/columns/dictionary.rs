//! What senders call their series, and what we do.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::malformed;
use crate::batch::{Batch, Context, Groups, UNRESOLVED, refusal};
use crate::convention::Flaw;
use crate::error::{Error, Result};
use crate::ledger::Rejection;
use crate::value::ValueId;
use crate::view::Grouping;
use crate::window::NOT_TAKEN;
use crate::wire::series_attributes;

/// Entries of one sender's dictionary.
const ENTRIES_MAX: usize = 1 << 16;

/// Bytes that all dictionaries hold together.
const BYTES_MAX: usize = 256 << 20;

/// Part of all senders that is forgotten at one time when there are too many.
const PART: usize = 8;

/// No round of ids: what is of it must be resolved.
const NO_ROUND: u64 = u64::MAX;

/// Place of an entry in a grouping that no event was counted in yet: that makes an identity.
const PENDING: u32 = NOT_TAKEN - 1;

/// What the events of an entry have in common.
struct Entry {
    /// As it was sent: ids mean something else after a round, and are looked up again.
    series: Box<[u8]>,
    source: ValueId,
    tenant: ValueId,
    /// By slot.
    dimensions: Box<[ValueId]>,
    /// Measures that its attributes give, by slot.
    measures: Box<[(u8, f64)]>,
    /// Every event of it failed.
    failed: bool,
    /// Why no event of it can be counted.
    refused: Option<Rejection>,
}

/// One sender's dictionary within one of its epochs.
///
/// What is needed for every event stands in columns of its own.
#[derive(Default)]
pub(super) struct Dictionary {
    /// The sender's.
    epoch: u64,
    entries: Vec<Entry>,
    /// Series in each grouping of the plan, entry by entry.
    places: Vec<u32>,
    /// Round of ids that an entry is resolved in.
    rounds: Vec<u64>,
    /// Batch that an entry was last met in.
    batches: Vec<u64>,
    /// The how manieth it was there.
    turns: Vec<u32>,
    /// Entries that the batch under way has met, in their order.
    met: Vec<u32>,
    /// Its account in that batch.
    accounts: Vec<u32>,
    /// Its values that companions count in that batch, entry by entry.
    wide: Vec<u64>,
    /// Entries whose places are stand-ins of the batch under way.
    provisional: Vec<u32>,
    tuple: Vec<ValueId>,
    /// Groupings of the plan.
    width: usize,
    /// Some entry's attributes give measures; some entry's say that all of its events failed.
    has_common: bool,
    has_failed: bool,
    /// Batches so far.
    batch: u64,
    bytes: usize,
}

impl Dictionary {
    /// Take up entries from place `base` on; how many bytes all of them take.
    pub(super) fn extend(&mut self, epoch: u64, base: usize, series: &[&[u8]]) -> Result<usize> {
        if epoch < self.epoch {
            return Err(Error::Forgotten);
        }
        let known = if epoch == self.epoch { self.entries.len() } else { 0 };
        if base > known {
            return Err(Error::Dictionary { wanted: base, known });
        }
        if base + series.len() > ENTRIES_MAX {
            return Err(Error::SpanBatch(format!(
                "{} entries of the dictionary, at most {ENTRIES_MAX} are taken; begin a new epoch",
                base + series.len()
            )));
        }
        if epoch > self.epoch {
            *self = Self { epoch, ..Self::default() };
        }
        for (at, series) in (base..).zip(series) {
            match self.entries.get(at) {
                Some(entry) if *entry.series == **series => {}
                Some(_) => {
                    return Err(Error::SpanBatch(format!(
                        "entry {at} of the dictionary is not what it was; begin a new epoch"
                    )));
                }
                None => self.push(series)?,
            }
        }
        Ok(self.bytes)
    }

    fn push(&mut self, series: &[u8]) -> Result<()> {
        series_attributes(series, |_, _, _| {}).map_err(malformed)?;
        self.entries.push(Entry {
            series: series.into(),
            source: 0,
            tenant: 0,
            dimensions: Box::default(),
            measures: Box::default(),
            failed: false,
            refused: None,
        });
        self.rounds.push(NO_ROUND);
        self.batches.push(0);
        self.turns.push(0);
        self.accounts.push(0);
        self.bytes += series.len() + size_of::<Entry>() + 4 * size_of::<u64>();
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A batch begins.
    pub(super) fn begin_batch(&mut self, context: Context<'_>) {
        self.batch += 1;
        self.met.clear();
        self.width = context.plan.groupings().count();
        self.places.resize(self.len() * self.width, PENDING);
        let wide = context.plan.wide.as_ref().map_or(0, |plan| plan.columns.len());
        self.wide.resize(self.len() * wide, 0);
    }

    /// A batch ends: stand-ins for identities that it saw first were its own.
    pub(super) fn end_batch(&mut self) {
        for entry in self.provisional.drain(..) {
            self.rounds[entry as usize] = NO_ROUND;
        }
    }

    /// The entry's account in this batch; it was checked that there is one.
    #[inline]
    pub(super) fn account(
        &mut self,
        entry: u32,
        batch: &mut Batch,
        context: Context<'_>,
    ) -> Result<u32> {
        if self.batches[entry as usize] != self.batch {
            self.meet(entry as usize, batch, context)?;
        }
        Ok(self.accounts[entry as usize])
    }

    /// The batch's first event of an entry.
    #[cold]
    fn meet(&mut self, at: usize, batch: &mut Batch, context: Context<'_>) -> Result<()> {
        if self.rounds[at] != batch.epoch || context.plan.wide.is_some() {
            self.resolve(at, batch, context)?;
        }
        let entry = &self.entries[at];
        self.accounts[at] = batch.accounts.place(entry.source, entry.tenant);
        self.batches[at] = self.batch;
        self.turns[at] = self.met.len() as u32;
        self.met.push(at as u32);
        Ok(())
    }

    fn resolve(&mut self, at: usize, batch: &mut Batch, context: Context<'_>) -> Result<()> {
        let plan = context.plan;
        let entry = &mut self.entries[at];
        let signals = batch.read_series(&entry.series, context).map_err(malformed)?;
        entry.source = signals.dimensions[plan.source];
        entry.tenant = signals.dimensions[plan.tenant];
        entry.failed = signals.error;
        entry.measures = signals.filled().map(|(slot, value)| (slot as u8, value)).collect();
        let flaws = entry.measures.iter().filter_map(|(_, value)| Flaw::of(*value));
        entry.refused = flaws.min().map(refusal);

        self.has_common |= !entry.measures.is_empty();
        self.has_failed |= entry.failed;
        entry.dimensions = signals.dimensions[..plan.slots.dimensions.len()].into();
        let places = &mut self.places[at * self.width..][..self.width];
        for (place, grouping) in places.iter_mut().zip(plan.groupings()) {
            *place = if grouping.takes(&entry.dimensions) { PENDING } else { NOT_TAKEN };
        }
        self.rounds[at] = batch.epoch;
        if let Some(wide) = &plan.wide {
            let width = wide.columns.len();
            let cells = &mut self.wide[at * width..][..width];
            cells.iter_mut().zip(batch.wide.row()).for_each(|(cell, hash)| *cell = hash);
        }
        Ok(())
    }

    /// Series of an entry in the grouping at place `at` of the plan's; [`NOT_TAKEN`] where it takes
    /// none of its events.
    #[inline]
    pub(super) fn series(
        &mut self,
        entry: u32,
        (at, grouping): (usize, &Grouping),
        groups: &mut Groups,
    ) -> u32 {
        let series = self.places[entry as usize * self.width + at];
        if series == PENDING { self.find(entry, (at, grouping), groups) } else { series }
    }

    #[cold]
    fn find(&mut self, entry: u32, (at, grouping): (usize, &Grouping), groups: &mut Groups) -> u32 {
        let dimensions = &self.entries[entry as usize].dimensions;
        let series = groups.place(grouping, dimensions, &mut self.tuple).unwrap_or(NOT_TAKEN);
        self.places[entry as usize * self.width + at] = series;
        if (UNRESOLVED..PENDING).contains(&series) {
            self.provisional.push(entry);
        }
        series
    }

    /// Entries that the batch under way has met.
    pub(super) fn met(&self) -> &[u32] {
        &self.met
    }

    /// Place of an entry among those.
    #[inline]
    pub(super) fn turn(&self, entry: u32) -> usize {
        self.turns[entry as usize] as usize
    }

    /// What companions count of an entry.
    pub(super) fn wide(&self, entry: u32, width: usize) -> &[u64] {
        &self.wide[entry as usize * width..][..width]
    }

    /// Whether some entry has measures in common.
    pub(super) fn has_common(&self) -> bool {
        self.has_common
    }

    /// Whether all events of some entry failed.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Whether every event of an entry failed.
    #[inline]
    pub(super) fn failed(&self, entry: u32) -> bool {
        self.entries[entry as usize].failed
    }

    /// Why no event of an entry can be counted, and the measures that all of them have.
    pub(super) fn common(&self, entry: u32) -> (Option<Rejection>, &[(u8, f64)]) {
        let entry = &self.entries[entry as usize];
        (entry.refused, &entry.measures)
    }
}

/// One sender, as all of them are kept.
#[derive(Default)]
struct Known {
    dictionary: Arc<Mutex<Dictionary>>,
    /// Turn of its newest batch.
    used: u64,
    bytes: usize,
}

#[derive(Default)]
struct Held {
    by_producer: HashMap<u128, Known>,
    turn: u64,
    bytes: usize,
}

/// Dictionaries of all senders; past the limits those go that were silent longest.
pub(crate) struct Dictionaries {
    producers_max: usize,
    held: Mutex<Held>,
}

impl Dictionaries {
    pub(crate) fn new(producers_max: usize) -> Self {
        Self { producers_max, held: Mutex::default() }
    }

    /// The sender's own, begun where it has none. Nobody but the sender waits for its lock.
    pub(super) fn of(&self, producer: u128) -> Arc<Mutex<Dictionary>> {
        let mut held = self.held.lock();
        let held = &mut *held;
        held.turn += 1;
        if !held.by_producer.contains_key(&producer) && held.by_producer.len() >= self.producers_max
        {
            held.forget_some();
        }
        let known = held.by_producer.entry(producer).or_default();
        known.used = held.turn;
        Arc::clone(&known.dictionary)
    }

    /// A sender's dictionary takes so many bytes now.
    pub(super) fn note(&self, producer: u128, bytes: usize) {
        let mut held = self.held.lock();
        let Some(known) = held.by_producer.get_mut(&producer) else { return };
        let before = std::mem::replace(&mut known.bytes, bytes);
        held.bytes = held.bytes - before + bytes;
        while held.bytes > BYTES_MAX && held.by_producer.len() > 1 {
            held.forget_some();
        }
    }

    /// Senders and bytes held.
    pub(crate) fn held(&self) -> (usize, usize) {
        let held = self.held.lock();
        (held.by_producer.len(), held.bytes)
    }
}

impl Held {
    /// Forget a part of all, so that finding the oldest is worth its while.
    fn forget_some(&mut self) {
        let mut turns: Vec<u64> = self.by_producer.values().map(|known| known.used).collect();
        let last = turns.len().div_ceil(PART).saturating_sub(1);
        let (_, last, _) = turns.select_nth_unstable(last);
        let last = *last;
        let bytes = &mut self.bytes;
        self.by_producer.retain(|_, known| {
            let stays = known.used > last;
            *bytes -= if stays { 0 } else { known.bytes };
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `Series` of one attribute without a value.
    const SERIES: &[u8] = b"\x12\x03\x0a\x01a";

    fn extend(dictionaries: &Dictionaries, producer: u128, epoch: u64, series: &[&[u8]]) {
        let bytes = dictionaries.of(producer).lock().extend(epoch, 0, series).expect("taken");
        dictionaries.note(producer, bytes);
    }

    /// Past their number, senders that were silent longest are forgotten, an eighth at a time, and
    /// the bytes that they held with them.
    #[test]
    fn the_silent_are_forgotten() {
        let dictionaries = Dictionaries::new(16);
        (0..16).for_each(|producer| extend(&dictionaries, producer, 1, &[SERIES]));
        let (_, before) = dictionaries.held();
        let _ = dictionaries.of(0);
        extend(&dictionaries, 99, 1, &[SERIES]);
        let (senders, bytes) = dictionaries.held();
        assert_eq!((15, before / 16 * 15), (senders, bytes));
        let known = |producer| dictionaries.of(producer).lock().len();
        // The one who spoke last stays, and the third that was silent; the first two went.
        assert_eq!([1, 1, 0], [known(0), known(3), known(1)]);
    }

    /// A newer epoch begins empty; the bytes of the older one are given back.
    #[test]
    fn an_epoch_ends_a_dictionary() {
        let dictionaries = Dictionaries::new(16);
        extend(&dictionaries, 1, 1, &[SERIES, b"", SERIES]);
        let (_, before) = dictionaries.held();
        extend(&dictionaries, 1, 2, &[SERIES]);
        assert!(dictionaries.held().1 < before);
        assert_eq!(1, dictionaries.of(1).lock().len());
    }

    /// Entries past the most there may be are refused before any of them is taken.
    #[test]
    fn dictionaries_are_bounded() {
        let mut dictionary = Dictionary::default();
        let error = dictionary.extend(1, 0, &vec![SERIES; ENTRIES_MAX + 1]).expect_err("too many");
        assert!(error.to_string().contains("65537 entries"), "{error}");
        assert_eq!(0, dictionary.len());
        assert!(dictionary.extend(1, 0, &[b"\xff"]).is_err());
        assert_eq!(0, dictionary.len());
    }
}
