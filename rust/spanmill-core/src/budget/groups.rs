//! Counters of an objective's groups, and what a checkpoint takes of them while events go on.
//!
//! A cut draws a line through the events: a checkpoint writes what stood there, although
//! more is counted meanwhile. Each stretch of counters bears the cut that its last change
//! came after. One that changes after a newer cut, before the checkpoint came by, is copied
//! first: so a cut itself costs nothing, and nobody waits for a file.

use std::collections::BTreeMap;

use super::objective::Tally;
use super::ring::{CounterRing, Overtaken, SavedChunk, Stamp, save_overtaken};
use crate::codec::{Damaged, Read, Reader, Writer};

/// Place of the counters of all events, before those of the groups.
pub(super) const ALL: usize = 0;

/// Place of a group's counters.
pub(super) fn place_of(group: usize) -> usize {
    group + 1
}

/// Chunks, and groups, that are looked at under one lock: some 50 µs.
const CHUNKS_MAX: usize = 256;
const GROUPS_MAX: usize = 4_096;

/// Stamp of a group without any events.
const NEVER: Stamp = Stamp::MAX;

/// Newest second with an event, and events since the start.
type Head = (Option<i64>, u64);

/// Counters of one group.
pub(super) struct Group {
    pub ring: CounterRing,
    /// Events since the start.
    pub events: u64,
    /// Of the last change.
    pub stamp: Stamp,
}

impl Default for Group {
    fn default() -> Self {
        Self { ring: CounterRing::default(), events: 0, stamp: NEVER }
    }
}

impl Group {
    fn head(&self) -> Head {
        (self.ring.newest_s(), self.events)
    }
}

/// A group as it stood at the cut, as far as it was changed since.
#[derive(Default)]
pub(super) struct Past {
    head: Option<(Stamp, Head)>,
    chunks: Vec<Overtaken>,
}

impl Past {
    /// Write down what was changed after cuts [from, to); how many chunks it was.
    pub(super) fn save(
        &self,
        id: (usize, usize),
        (from, to): (Stamp, Stamp),
        out: &mut Writer,
    ) -> usize {
        let head = self.head.filter(|(stamp, _)| (from..to).contains(stamp));
        save_head(id, head.map(|(_, head)| head), out);
        save_overtaken(&self.chunks, (from, to), out)
    }
}

/// What the checkpoint that is being written has yet to see.
pub(super) struct Passing {
    /// The groups before it have been written.
    next: usize,
    /// Chunks changed between the cut before and this one.
    fresh: u64,
    pub overtaken: BTreeMap<usize, Past>,
}

impl Passing {
    fn is_on(&self) -> bool {
        self.next != usize::MAX
    }

    fn begin(&mut self, fresh: u64) {
        *self = Self { next: ALL, fresh, overtaken: BTreeMap::new() };
    }
}

impl Default for Passing {
    /// None is being written: nothing is kept aside.
    fn default() -> Self {
        Self { next: usize::MAX, fresh: 0, overtaken: BTreeMap::new() }
    }
}

/// Counters of one objective.
pub(super) struct Counters {
    /// Of all events, exact however many groups there are; then of each group.
    pub groups: Vec<Group>,
    /// The last cut.
    pub cut: Stamp,
    /// Chunks changed since, about.
    fresh: u64,
    pub passing: Passing,
}

impl Default for Counters {
    fn default() -> Self {
        let groups = vec![Group::default()];
        Self { groups, cut: 0, fresh: 0, passing: Passing::default() }
    }
}

impl Counters {
    /// See that nothing counted from now on stood at this cut.
    #[inline]
    pub(super) fn enter(&mut self, cut: Stamp) {
        if self.cut < cut {
            self.cut = cut;
            self.passing.begin(std::mem::take(&mut self.fresh));
        }
    }

    /// Begin to write what stood at this cut; how many chunks are new since the one before, about.
    pub(super) fn begin_pass(&mut self, cut: Stamp) -> u64 {
        self.enter(cut);
        if !self.passing.is_on() {
            self.passing.begin(0);
        }
        self.passing.fresh
    }

    /// The group at a place, made on first sight.
    pub(super) fn group(&mut self, place: usize) -> &mut Group {
        if self.groups.len() <= place {
            self.groups.resize_with(place + 1, Group::default);
        }
        &mut self.groups[place]
    }

    pub(super) fn add(&mut self, place: usize, tally: &Tally) {
        let stamp = self.cut;
        let _ = self.group(place);
        let group = &mut self.groups[place];
        let is_ahead = self.passing.next <= place && group.stamp != NEVER;
        let mut past = is_ahead.then(|| self.passing.overtaken.entry(place).or_default());
        if group.stamp != stamp
            && let Some(past) = &mut past
        {
            past.head = Some((group.stamp, group.head()));
        }
        group.stamp = stamp;
        group.events += tally.counts.total();
        let chunks = past.map(|past| &mut past.chunks);
        self.fresh += group.ring.add(tally.second, tally.counts, stamp, chunks);
    }

    /// Write down some groups more; how many chunks they were, `None` after the last.
    pub(super) fn save_some(
        &mut self,
        number: usize,
        from: Stamp,
        out: &mut Writer,
    ) -> Option<usize> {
        let to = self.cut;
        let first = self.passing.next.min(self.groups.len());
        let mut saved = 0;
        let mut seen = 0;
        for group in self.groups[first..].iter().take(GROUPS_MAX) {
            if saved >= CHUNKS_MAX {
                break;
            }
            if (from..=to).contains(&group.stamp) {
                let is_past = group.stamp < to;
                save_head((number, first + seen), is_past.then(|| group.head()), out);
                saved += group.ring.save((from, to), out);
            }
            seen += 1;
        }
        self.passing.next = first + seen;
        (seen > 0).then_some(saved)
    }

    /// Bytes held outside the struct itself.
    pub(super) fn heap_bytes(&self) -> usize {
        let groups: usize = self.groups.iter().map(|group| group.ring.heap_bytes()).sum();
        let past = self.passing.overtaken.values();
        let past: usize = past.map(|past| past.chunks.len() * Overtaken::bytes()).sum();
        groups + past
    }
}

/// Begin what a file has of one group of the objective with this number.
fn save_head((number, place): (usize, usize), head: Option<Head>, out: &mut Writer) {
    out.varint(number as u64);
    out.varint(place as u64);
    out.u8(u8::from(head.is_some()));
    if let Some((newest_s, events)) = head {
        out.option(newest_s);
        out.varint(events);
    }
}

/// What a file has of one group.
pub(crate) struct SavedGroup {
    /// Of its objective.
    pub number: usize,
    pub(super) place: usize,
    pub(super) head: Option<Head>,
    pub(super) chunks: Vec<SavedChunk>,
}

impl SavedGroup {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Read<Self> {
        let (number, place) = (reader.varint()? as usize, reader.varint()? as usize);
        let head = match reader.u8()? {
            0 => None,
            1 => Some((reader.option()?, reader.varint()?)),
            _ => return Err(Damaged("has counters with two heads")),
        };
        let mut chunks = Vec::new();
        while let Some(chunk) = SavedChunk::read(reader)? {
            chunks.push(chunk);
        }
        Ok(Self { number, place, head, chunks })
    }
}
