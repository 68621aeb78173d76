//! Senders that number their batches: what each has had counted, exactly.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::journal::Lsn;

/// Batches back from its newest that a producer's window tells apart.
pub(super) const WINDOW: u64 = 1_024;

const WORDS: usize = WINDOW as usize / 64;

/// Producers copied together when one of them changes after a freeze.
const CHUNK: usize = 64;

/// One sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Producer {
    pub id: u128,
    pub epoch: u64,
    /// Highest number counted.
    pub newest: u64,
    /// Of the record that counted last: once it is durable, all of them are.
    pub lsn: Lsn,
    /// A bit for each of the last [`WINDOW`] numbers, at the number's remainder.
    pub window: [u64; WORDS],
}

/// What a producer's number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbered {
    Fresh,
    /// Counted before, by this record or an earlier one.
    Seen(Lsn),
    /// Of an epoch that ended, or out of the window: nobody knows any more.
    TooOld,
}

impl Producer {
    fn new(id: u128, epoch: u64, seq: u64, lsn: Lsn) -> Self {
        let mut producer = Self { id, epoch, newest: seq, lsn, window: [0; WORDS] };
        producer.set(seq);
        producer
    }

    fn set(&mut self, seq: u64) {
        self.window[word(seq)] |= bit(seq);
    }

    fn look(&self, epoch: u64, seq: u64) -> Numbered {
        if epoch > self.epoch || (epoch == self.epoch && seq > self.newest) {
            Numbered::Fresh
        } else if epoch < self.epoch || self.newest - seq >= WINDOW {
            Numbered::TooOld
        } else if self.window[word(seq)] & bit(seq) != 0 {
            Numbered::Seen(self.lsn)
        } else {
            Numbered::Fresh
        }
    }

    fn insert(&mut self, epoch: u64, seq: u64, lsn: Lsn) {
        debug_assert_eq!(Numbered::Fresh, self.look(epoch, seq), "{epoch}.{seq} of {:x}", self.id);
        if epoch > self.epoch || seq.saturating_sub(self.newest) >= WINDOW {
            *self = Self::new(self.id, epoch, seq, lsn);
            return;
        }
        for skipped in self.newest + 1..seq {
            self.window[word(skipped)] &= !bit(skipped);
        }
        self.newest = self.newest.max(seq);
        self.lsn = lsn;
        self.set(seq);
    }
}

fn word(seq: u64) -> usize {
    (seq % WINDOW / 64) as usize
}

fn bit(seq: u64) -> u64 {
    1 << (seq % 64)
}

/// Producers by id; past the limit the one that has been silent longest is forgotten.
pub(super) struct Producers {
    max: usize,
    places: HashMap<u128, u32>,
    /// Shared with whoever saves them, until one in it changes.
    chunks: Vec<Arc<Vec<Producer>>>,
    /// Places by who counted last.
    by_lsn: BTreeMap<Lsn, u32>,
    /// Forgotten because there were too many.
    pub evicted: u64,
}

impl Producers {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            places: HashMap::new(),
            chunks: Vec::new(),
            by_lsn: BTreeMap::new(),
            evicted: 0,
        }
    }

    /// From what was saved, in any order.
    pub(super) fn restore(max: usize, mut saved: Vec<Producer>) -> Self {
        saved.sort_unstable_by_key(|producer| std::cmp::Reverse(producer.lsn));
        let evicted = saved.len().saturating_sub(max);
        saved.truncate(max);
        let mut producers = Self { evicted: evicted as u64, ..Self::new(max) };
        saved.into_iter().for_each(|producer| producers.add(producer));
        producers
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    fn at(&self, place: u32) -> &Producer {
        &self.chunks[place as usize / CHUNK][place as usize % CHUNK]
    }

    fn at_mut(&mut self, place: u32) -> &mut Producer {
        &mut Arc::make_mut(&mut self.chunks[place as usize / CHUNK])[place as usize % CHUNK]
    }

    pub(super) fn look(&self, id: u128, epoch: u64, seq: u64) -> Numbered {
        match self.places.get(&id) {
            Some(place) => self.at(*place).look(epoch, seq),
            None => Numbered::Fresh,
        }
    }

    pub(super) fn insert(&mut self, id: u128, epoch: u64, seq: u64, lsn: Lsn) {
        let Some(&place) = self.places.get(&id) else {
            self.add(Producer::new(id, epoch, seq, lsn));
            return;
        };
        let producer = self.at_mut(place);
        let before = producer.lsn;
        producer.insert(epoch, seq, lsn);
        let _ = self.by_lsn.remove(&before);
        let _ = self.by_lsn.insert(lsn, place);
    }

    fn add(&mut self, producer: Producer) {
        let (id, lsn) = (producer.id, producer.lsn);
        let place = if self.len() < self.max {
            self.append(producer)
        } else if let Some((_, place)) = self.by_lsn.pop_first() {
            self.evicted += 1;
            let evicted = std::mem::replace(self.at_mut(place), producer);
            let _ = self.places.remove(&evicted.id);
            place
        } else {
            return;
        };
        let _ = self.places.insert(id, place);
        let _ = self.by_lsn.insert(lsn, place);
    }

    fn append(&mut self, producer: Producer) -> u32 {
        let place = self.len();
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => Arc::make_mut(chunk).push(producer),
            None => self.chunks.push(Arc::new(vec![producer])),
        }
        place as u32
    }

    /// All of them as they are now, shared.
    pub(super) fn freeze(&self) -> Vec<Arc<Vec<Producer>>> {
        self.chunks.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[derive(Debug, Clone, Copy)]
    struct Sent {
        epoch: u64,
        seq: u64,
    }

    fn sent() -> impl Strategy<Value = Vec<Sent>> {
        let one = (0..3_u64, 0..4_u64, 0..600_u64);
        prop::collection::vec(one, 1..300).prop_map(|all| {
            // Numbers mostly rise, jump at times, and come again.
            let mut base = 0;
            all.into_iter()
                .map(|(epoch, jump, back)| {
                    base += jump * jump * 100;
                    Sent { epoch: epoch / 2, seq: (base + 600).saturating_sub(back) }
                })
                .collect()
        })
    }

    proptest! {
        /// Whatever the order, a number is counted at most once, one that is ahead always is,
        /// and one out of the window is never said to be fresh.
        #[test]
        fn numbers_count_once(sent in sent()) {
            let mut producers = Producers::new(1);
            let mut counted: HashSet<(u64, u64)> = HashSet::new();
            let mut ahead = (0, 0);
            for (lsn, Sent { epoch, seq }) in (1..).zip(sent) {
                let said = producers.look(7, epoch, seq);
                let known = counted.contains(&(epoch, seq));
                let lost = !counted.is_empty() && (epoch < ahead.0 || (epoch == ahead.0 && seq + WINDOW <= ahead.1));
                match said {
                    Numbered::Fresh => {
                        prop_assert!(!known && !lost);
                        producers.insert(7, epoch, seq, Lsn(lsn));
                        let _ = counted.insert((epoch, seq));
                        ahead = ahead.max((epoch, seq));
                    }
                    Numbered::Seen(_) => prop_assert!(known && !lost),
                    Numbered::TooOld => prop_assert!(lost),
                }
            }
        }
    }

    /// Past the limit the one that has been silent longest is forgotten, and counted.
    #[test]
    fn the_silent_go_first() {
        let mut producers = Producers::new(2);
        producers.insert(1, 0, 1, Lsn(1));
        producers.insert(2, 0, 1, Lsn(2));
        producers.insert(1, 0, 2, Lsn(3));
        producers.insert(3, 0, 1, Lsn(4));
        assert_eq!(Numbered::Seen(Lsn(3)), producers.look(1, 0, 1));
        assert_eq!(Numbered::Fresh, producers.look(2, 0, 1));
        assert_eq!(Numbered::Seen(Lsn(4)), producers.look(3, 0, 1));
        assert_eq!((2, 1), (producers.len(), producers.evicted));
    }

    /// What was frozen does not change when its producers go on.
    #[test]
    fn frozen_stays() {
        let mut producers = Producers::new(200);
        for id in 0..150 {
            producers.insert(id, 0, 1, Lsn(id as u64 + 1));
        }
        let frozen = producers.freeze();
        let before: Vec<Producer> = frozen.iter().flat_map(|chunk| chunk.to_vec()).collect();
        for id in 0..200 {
            producers.insert(id, 0, 5, Lsn(id as u64 + 1_000));
        }
        let after: Vec<Producer> = frozen.iter().flat_map(|chunk| chunk.to_vec()).collect();
        assert_eq!(before, after);
        let restored = Producers::restore(200, before);
        assert_eq!(Numbered::Seen(Lsn(1)), restored.look(0, 0, 1));
        assert_eq!(Numbered::Fresh, restored.look(0, 0, 5));
    }
}
