//! Exact counters over event time: four rings of shrinking detail, sparse inside.

use super::Counts;
use crate::codec::{Damaged, Read, Reader, Writer};

/// Bucket width and how much event time the ring holds, both seconds.
struct Tier {
    width_s: i64,
    span_s: i64,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Finest first. Every width divides the next, so any sum can change tier at an edge.
const TIERS: [Tier; 4] = [
    Tier { width_s: 1, span_s: 15 * MINUTE },
    Tier { width_s: 10, span_s: 6 * HOUR },
    Tier { width_s: MINUTE, span_s: 3 * DAY },
    Tier { width_s: 5 * MINUTE, span_s: HORIZON_S },
];

/// How far back any counter reaches, seconds.
pub(crate) const HORIZON_S: i64 = 90 * DAY;

/// Buckets allocated together: an objective group that is seldom hit stays small.
const CHUNK: i64 = 60;

/// The last cut before a change: a record's number, 0 before any cut.
pub(crate) type Stamp = u64;

#[derive(Clone)]
struct Chunk {
    /// Which multiple of the chunk's time it holds.
    number: i64,
    counts: [Counts; CHUNK as usize],
}

impl Chunk {
    /// Only buckets with events: three of them take some twenty bytes.
    fn save(&self, out: &mut Writer) {
        out.zigzag(self.number);
        let places = self.counts.iter().enumerate();
        let filled = places.filter(|(_, counts)| counts.total() > 0);
        out.u64(filled.clone().fold(0, |all, (place, _)| all | 1 << place));
        for (_, counts) in filled {
            out.varint(counts.good);
            out.varint(counts.bad);
        }
    }

    fn load(reader: &mut Reader<'_>) -> Read<Self> {
        let mut chunk =
            Self { number: reader.zigzag()?, counts: [Counts::default(); CHUNK as usize] };
        let filled = reader.u64()?;
        if filled >> CHUNK != 0 {
            return Err(Damaged("has more counters than a stretch holds"));
        }
        for (place, counts) in chunk.counts.iter_mut().enumerate() {
            if filled >> place & 1 == 1 {
                *counts = Counts { good: reader.varint()?, bad: reader.varint()? };
            }
        }
        Ok(chunk)
    }
}

/// Ends a list of chunks, in the place of a tier.
const END: usize = u8::MAX as usize;

/// What a checkpoint has yet to write when an event changes it: as it stood at the cut.
pub(super) struct Overtaken {
    tier: u8,
    stamp: Stamp,
    chunk: Box<Chunk>,
}

impl Overtaken {
    /// What one takes.
    pub(super) fn bytes() -> usize {
        size_of::<Self>() + size_of::<Chunk>()
    }
}

/// A chunk as a file has it, with its tier.
pub(super) struct SavedChunk(usize, Chunk);

impl SavedChunk {
    /// The next of a list; `None` at its end.
    pub(super) fn read(reader: &mut Reader<'_>) -> Read<Option<Self>> {
        match usize::from(reader.u8()?) {
            END => Ok(None),
            tier if tier < TIERS.len() => Ok(Some(Self(tier, Chunk::load(reader)?))),
            _ => Err(Damaged("has counters of a tier that there is not")),
        }
    }
}

/// Write down what was overtaken of chunks changed after cuts [from, to), and end the list.
pub(super) fn save_overtaken(
    overtaken: &[Overtaken],
    (from, to): (Stamp, Stamp),
    out: &mut Writer,
) -> usize {
    let wanted = overtaken.iter().filter(|old| (from..to).contains(&old.stamp));
    let saved = wanted.clone().count();
    for old in wanted {
        out.u8(old.tier);
        old.chunk.save(out);
    }
    out.u8(END as u8);
    saved
}

/// One tier's buckets, in chunks that are reused as time wraps round.
#[derive(Clone, Default)]
struct Ring {
    chunks: Vec<Option<Box<Chunk>>>,
    /// Of the last change of each: beside them, so that a checkpoint finds the new ones
    /// without touching the others.
    stamps: Vec<Stamp>,
}

impl Ring {
    fn slot(tier: &Tier, second: i64) -> (i64, usize) {
        let bucket = second.div_euclid(tier.width_s);
        (bucket.div_euclid(CHUNK), bucket.rem_euclid(CHUNK) as usize)
    }

    /// Chunks a tier needs: its span, and one more for the partial ones at both ends.
    fn chunks(tier: &Tier) -> i64 {
        tier.span_s / tier.width_s / CHUNK + 2
    }

    /// The place of a chunk, made on first sight.
    fn place(&mut self, tier: &Tier, number: i64) -> usize {
        let place = number.rem_euclid(Self::chunks(tier)) as usize;
        if self.chunks.len() <= place {
            self.chunks.resize(place + 1, None);
            self.stamps.resize(place + 1, 0);
        }
        place
    }

    /// `keep` gets a chunk, and when it was last changed, before its first change after this
    /// cut. Whether it is its first.
    fn add(
        &mut self,
        tier: &Tier,
        second: i64,
        counts: Counts,
        (stamp, keep): (Stamp, &mut impl FnMut(Stamp, &Chunk)),
    ) -> bool {
        let (number, bucket) = Self::slot(tier, second);
        let place = self.place(tier, number);
        // A newer chunk in this place means the event's time was let go.
        if self.chunks[place].as_ref().is_some_and(|chunk| chunk.number > number) {
            return false;
        }
        let changed = std::mem::replace(&mut self.stamps[place], stamp);
        let mut is_fresh = changed != stamp;
        match &self.chunks[place] {
            Some(chunk) if is_fresh => keep(changed, chunk),
            Some(_) => {}
            None => is_fresh = true,
        }
        match &mut self.chunks[place] {
            Some(chunk) if chunk.number == number => chunk.counts[bucket].add(counts),
            old => {
                let mut fresh = Chunk { number, counts: [Counts::default(); CHUNK as usize] };
                fresh.counts[bucket] = counts;
                *old = Some(Box::new(fresh));
            }
        }
        is_fresh
    }

    fn at(&self, tier: &Tier, second: i64) -> Counts {
        let (number, bucket) = Self::slot(tier, second);
        let place = number.rem_euclid(Self::chunks(tier)) as usize;
        match self.chunks.get(place) {
            Some(Some(chunk)) if chunk.number == number => chunk.counts[bucket],
            _ => Counts::default(),
        }
    }
}

/// Good and bad events of one objective group.
///
/// Each event is counted in every tier that still holds its time, so content
/// does not depend on the order events come in.
#[derive(Clone, Default)]
pub(crate) struct CounterRing {
    rings: [Ring; TIERS.len()],
    /// Newest second with an event, and whether there is one.
    newest_s: Option<i64>,
}

impl CounterRing {
    /// Count events of one second.
    ///
    /// `stamp` is the last cut before them. What stood at that cut goes to `overtaken`,
    /// where there is one, before it changes. Returns how many chunks are new since the cut.
    pub(crate) fn add(
        &mut self,
        second: i64,
        counts: Counts,
        stamp: Stamp,
        mut overtaken: Option<&mut Vec<Overtaken>>,
    ) -> u64 {
        self.newest_s = self.newest_s.max(Some(second));
        let mut fresh = 0;
        for (index, (ring, tier)) in self.rings.iter_mut().zip(&TIERS).enumerate() {
            let mut keep = |stamp: Stamp, chunk: &Chunk| {
                if let Some(overtaken) = overtaken.as_deref_mut() {
                    let chunk = Box::new(chunk.clone());
                    overtaken.push(Overtaken { tier: index as u8, stamp, chunk });
                }
            };
            fresh += u64::from(ring.add(tier, second, counts, (stamp, &mut keep)));
        }
        fresh
    }

    /// Newest second with an event.
    pub(super) fn newest_s(&self) -> Option<i64> {
        self.newest_s
    }

    /// Write down the chunks changed after cuts [from, to), and end the list; how many they were.
    pub(super) fn save(&self, (from, to): (Stamp, Stamp), out: &mut Writer) -> usize {
        let mut saved = 0;
        for (tier, ring) in self.rings.iter().enumerate() {
            for (chunk, stamp) in ring.chunks.iter().zip(&ring.stamps) {
                if (from..to).contains(stamp)
                    && let Some(chunk) = chunk
                {
                    out.u8(tier as u8);
                    chunk.save(out);
                    saved += 1;
                }
            }
        }
        out.u8(END as u8);
        saved
    }

    /// Put back a chunk that was last changed after the cut `stamp`.
    pub(super) fn load(&mut self, SavedChunk(tier, chunk): SavedChunk, stamp: Stamp) {
        let ring = &mut self.rings[tier];
        let place = ring.place(&TIERS[tier], chunk.number);
        ring.chunks[place] = Some(Box::new(chunk));
        ring.stamps[place] = stamp;
    }

    /// Put back what [`CounterRing::newest_s`] was.
    pub(super) fn set_newest_s(&mut self, newest_s: Option<i64>) {
        self.newest_s = newest_s;
    }

    /// Sum over [start, end), seconds; with the start moved down to the edge of
    /// the finest bucket still held there.
    ///
    /// `end` is exact within the newest quarter of an hour, else it moves up to
    /// its bucket's edge likewise.
    pub(crate) fn sum(&self, start: i64, end: i64) -> Counts {
        let mut sum = Counts::default();
        let mut at = end;
        while at > start {
            let (index, tier) = self.widest(start, at);
            at = (at - 1).div_euclid(tier.width_s) * tier.width_s;
            sum.add(self.rings[index].at(tier, at));
        }
        sum
    }

    /// The widest bucket that ends at `at` and starts no earlier than `start`,
    /// or the finest still held.
    fn widest(&self, start: i64, at: i64) -> (usize, &'static Tier) {
        let newest = self.newest_s.unwrap_or(at);
        let held = |tier: &Tier| at > newest - tier.span_s;
        let finest = TIERS.iter().position(held).unwrap_or(TIERS.len() - 1);
        let fits = |tier: &Tier| at.rem_euclid(tier.width_s) == 0 && at - tier.width_s >= start;
        let index = (finest..TIERS.len()).rev().find(|i| fits(&TIERS[*i])).unwrap_or(finest);
        (index, &TIERS[index])
    }

    /// Write down every bucket with events whose time is held: the same bytes for the same counts.
    pub(super) fn describe(&self, out: &mut Writer) {
        out.option(self.newest_s);
        let newest_s = self.newest_s.unwrap_or(0);
        for (tier, ring) in TIERS.iter().zip(&self.rings) {
            let mut chunks: Vec<&Chunk> =
                ring.chunks.iter().flatten().map(|chunk| &**chunk).collect();
            chunks.sort_unstable_by_key(|chunk| chunk.number);
            for chunk in chunks {
                for (at, counts) in (chunk.number * CHUNK..).zip(&chunk.counts) {
                    if counts.total() > 0 && at * tier.width_s > newest_s - tier.span_s {
                        out.zigzag(at);
                        out.varint(counts.good);
                        out.varint(counts.bad);
                    }
                }
            }
        }
    }

    /// Bytes held outside the struct itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        let chunk = |c: &Option<Box<Chunk>>| {
            size_of::<usize>() + size_of::<Stamp>() + c.as_ref().map_or(0, |_| size_of::<Chunk>())
        };
        self.rings.iter().flat_map(|ring| &ring.chunks).map(chunk).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_795_219_200;

    impl CounterRing {
        fn count(&mut self, second: i64, counts: Counts) {
            let _ = self.add(second, counts, 1, None);
        }
    }

    proptest! {
        /// Within the newest quarter of an hour any window is exact to the second, in any order of arrival.
        #[test]
        fn exact_to_the_second(
            mut events in prop::collection::vec((0i64..900, any::<bool>()), 1..200),
            start in 0i64..899,
            length in 1i64..900,
        ) {
            events.push((899, true));
            let end = (start + length).min(900);
            let mut forward = CounterRing::default();
            let mut backward = CounterRing::default();
            let one = |good: bool| Counts { good: u64::from(good), bad: u64::from(!good) };
            for (second, good) in &events {
                forward.count(NOW + second, one(*good));
            }
            for (second, good) in events.iter().rev() {
                backward.count(NOW + second, one(*good));
            }
            let mut wanted = Counts::default();
            for (second, good) in events.iter().filter(|(s, _)| (start..end).contains(s)) {
                let _ = second;
                wanted.add(one(*good));
            }
            prop_assert_eq!(wanted, forward.sum(NOW + start, NOW + end));
            prop_assert_eq!(wanted, backward.sum(NOW + start, NOW + end));
        }

        /// A long window's sum is the count of its events, with only the oldest bucket in doubt.
        #[test]
        fn long_windows_add_up(
            events in prop::collection::vec(0i64..40 * DAY, 1..100),
            days in 1i64..30,
        ) {
            let newest = NOW + 40 * DAY;
            let mut ring = CounterRing::default();
            ring.count(newest - 1, Counts { good: 1, bad: 0 });
            for second in &events {
                ring.count(NOW + second, Counts { good: 0, bad: 1 });
            }
            let start = newest - days * DAY;
            let inside = |edge: i64| events.iter().filter(|s| NOW + **s >= edge).count() as u64;
            let got = ring.sum(start, newest);
            prop_assert_eq!(1, got.good);
            prop_assert!((inside(start)..=inside(start - 5 * MINUTE)).contains(&got.bad));
        }
    }

    /// Time that wrapped out of the ring is forgotten, not added to what took its place.
    #[test]
    fn old_time_is_forgotten() {
        let mut ring = CounterRing::default();
        ring.count(NOW, Counts { good: 1, bad: 0 });
        ring.count(NOW + 2 * HORIZON_S, Counts { good: 0, bad: 1 });
        ring.count(NOW, Counts { good: 1, bad: 0 });
        let newest = NOW + 2 * HORIZON_S + 1;
        assert_eq!(Counts { good: 0, bad: 1 }, ring.sum(newest - 30 * DAY, newest));
    }

    /// A group hit once a day stays small.
    #[test]
    fn sparse_groups_are_small() {
        let mut ring = CounterRing::default();
        ring.count(NOW, Counts { good: 1, bad: 0 });
        assert!(ring.heap_bytes() < 12_000, "{}", ring.heap_bytes());
    }
}
