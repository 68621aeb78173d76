//! Records that have a number and wait to be written, and the room they were promised.

use std::collections::VecDeque;

use super::Lsn;
use super::frame::FRAME_HEAD;
use super::segment::Spare;

/// A record ready to be written.
#[derive(Debug)]
pub(super) struct Filled {
    pub kind: u8,
    pub payload: Vec<u8>,
    /// CRC32C of the payload.
    pub contents: u32,
}

#[derive(Debug)]
struct Entry {
    /// Which segment, in the order they are begun, it was given room in.
    segment: u64,
    /// Most bytes of its frame.
    bytes: u64,
    filled: Option<Filled>,
}

/// The segment that records are being given room in.
#[derive(Debug, Default)]
struct Tail {
    number: u64,
    /// Bytes used if every record given room is as long as it may be.
    used: u64,
    room: u64,
}

/// Records that go into one segment in one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    /// First of them.
    pub first: Lsn,
    pub segment: u64,
}

/// The queue: numbers are given here, and room with them.
#[derive(Debug)]
pub(super) struct Queue {
    /// The record at the front.
    front: u64,
    entries: VecDeque<Entry>,
    tail: Tail,
    spares: VecDeque<Spare>,
    /// Segments that records were given room in, and that are not begun on disk yet.
    begun: VecDeque<Spare>,
    /// Segments given out since [`Queue::drain_begun`].
    begun_count: u64,
    /// Left for records of our own where there is no spare.
    own_bytes: u64,
}

impl Queue {
    pub(super) fn new(next: Lsn, own_bytes: u64) -> Self {
        Self {
            front: next.0,
            entries: VecDeque::new(),
            tail: Tail::default(),
            spares: VecDeque::new(),
            begun: VecDeque::new(),
            begun_count: 0,
            own_bytes,
        }
    }

    /// Number a record of at most `bytes` of payload; `None` where there is no room.
    ///
    /// `own` may use the very last.
    pub(super) fn reserve(&mut self, bytes: usize, own: bool) -> Option<Lsn> {
        let bytes = (FRAME_HEAD + bytes) as u64;
        let kept = if own { 0 } else { self.own_bytes };
        let kept_here = if self.spares.is_empty() { kept } else { 0 };
        if self.tail.used + bytes + kept_here > self.tail.room {
            let kept_there = if self.spares.len() > 1 { 0 } else { kept };
            // A small first segment may be passed over, and serve the next short record.
            let fits = |spare: &Spare| bytes + kept_there <= spare.room();
            let spare = self.spares.remove(self.spares.iter().position(fits)?)?;
            self.tail = Tail { number: self.tail.number + 1, used: 0, room: spare.room() };
            self.begun.push_back(spare);
            self.begun_count += 1;
        }
        self.tail.used += bytes;
        let lsn = Lsn(self.front + self.entries.len() as u64);
        self.entries.push_back(Entry { segment: self.tail.number, bytes, filled: None });
        Some(lsn)
    }

    /// Hand in what a record says; whether the front can be written now.
    pub(super) fn fill(&mut self, lsn: Lsn, filled: Filled) -> bool {
        let at = (lsn.0 - self.front) as usize;
        let entry = &mut self.entries[at];
        let bytes = (FRAME_HEAD + filled.payload.len()) as u64;
        assert!(
            bytes <= entry.bytes,
            "record {lsn} has {bytes} B, and room for {} B was reserved",
            entry.bytes
        );
        if entry.segment == self.tail.number {
            self.tail.used -= entry.bytes - bytes;
        }
        entry.filled = Some(filled);
        at == 0
    }

    /// Whether every record that has a number was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the front can be written.
    pub(super) fn is_ready(&self) -> bool {
        self.entries.front().is_some_and(|entry| entry.filled.is_some())
    }

    /// Take what can be written now, in order, up to `bytes_max` or one record, into `into`.
    pub(super) fn take(&mut self, bytes_max: usize, into: &mut Vec<Filled>) -> Option<Group> {
        let segment = self.entries.front()?.segment;
        let first = Lsn(self.front);
        let mut bytes = 0;
        while let Some(entry) = self.entries.front_mut()
            && entry.segment == segment
            && let Some(filled) = &entry.filled
        {
            bytes += FRAME_HEAD + filled.payload.len();
            if bytes > bytes_max && !into.is_empty() {
                break;
            }
            into.extend(entry.filled.take());
            let _ = self.entries.pop_front();
            self.front += 1;
        }
        (!into.is_empty()).then_some(Group { first, segment })
    }

    /// The segment that is begun next.
    pub(super) fn begin(&mut self) -> Option<Spare> {
        self.begun.pop_front()
    }

    /// Bytes that records can still be given, worst case.
    pub(super) fn room(&self) -> u64 {
        self.tail.room - self.tail.used + self.spares.iter().map(Spare::room).sum::<u64>()
    }

    /// Add room.
    pub(super) fn add(&mut self, spare: Spare) {
        self.spares.push_back(spare);
    }

    /// Spares in hand.
    pub(super) fn spares(&self) -> usize {
        self.spares.len()
    }

    /// Take the oldest spare out.
    pub(super) fn remove_spare(&mut self) -> Option<Spare> {
        self.spares.pop_front()
    }

    /// Segments given out since the last call.
    pub(super) fn drain_begun(&mut self) -> u64 {
        std::mem::take(&mut self.begun_count)
    }
}
