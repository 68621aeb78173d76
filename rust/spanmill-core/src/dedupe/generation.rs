//! What came in one minute, or in a part of it.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::key::Key;
use crate::journal::Lsn;

/// Memory of one entry, what leads to it included, in bytes: what an answer is weighed by.
const ENTRY_BYTES: usize = 48;

/// Memory that an answer takes beside its own bytes.
const ANSWER_BYTES: usize = size_of::<(Key, Box<[u8]>)>() + 16;

/// A request known by its content. In halves: as one number it would take a third more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    halves: [u64; 2],
    pub lsn: Lsn,
}

/// A request known by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    halves: [u64; 2],
    /// Half of its content's hash: only sees mistakes, so 64 bits are plenty.
    pub content: u64,
    pub lsn: Lsn,
}

fn halves(hash: u128) -> [u64; 2] {
    [(hash >> 64) as u64, hash as u64]
}

fn whole([upper, lower]: [u64; 2]) -> u128 {
    u128::from(upper) << 64 | u128::from(lower)
}

impl Content {
    pub(super) fn new(content: u128, lsn: Lsn) -> Self {
        Self { halves: halves(content), lsn }
    }

    pub(super) fn content(&self) -> u128 {
        whole(self.halves)
    }
}

impl Named {
    pub(super) fn new(name: u128, content: u64, lsn: Lsn) -> Self {
        Self { halves: halves(name), content, lsn }
    }

    pub(super) fn name(&self) -> u128 {
        whole(self.halves)
    }
}

/// What came in one minute, or in a part of it. Once closed it never changes.
#[derive(Debug, Default)]
pub(super) struct Generation {
    /// Counts up without holes.
    pub number: u64,
    /// Minute of arrival, by [`super::Age`].
    pub minute: i64,
    /// Its last arrival, by [`super::Age`].
    pub newest_ns: i64,
    pub contents: Vec<Content>,
    pub named: Vec<Named>,
    /// Answers that were more than a plain success.
    pub answers: HashMap<Key, Box<[u8]>>,
    answer_bytes: usize,
    /// The file that holds it.
    pub saved: OnceLock<Lsn>,
}

impl Generation {
    pub(super) fn new(number: u64, minute: i64) -> Self {
        Self { number, minute, ..Self::default() }
    }

    /// What comes after it, with room for as much: growing copies, while everybody waits.
    pub(super) fn successor(&self) -> Self {
        let room = |entries: usize| entries + entries / 8;
        Self {
            contents: Vec::with_capacity(room(self.contents.len())),
            named: Vec::with_capacity(room(self.named.len())),
            ..Self::new(self.number + 1, self.minute)
        }
    }

    pub(super) fn answer(&mut self, key: Key, response: &[u8]) {
        if !response.is_empty() {
            self.answer_bytes += response.len() + ANSWER_BYTES;
            let _ = self.answers.insert(key, response.into());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.contents.is_empty() && self.named.is_empty() && self.answers.is_empty()
    }

    /// What it takes of `limits.dedupe_entries`: answers weigh what entries of their size would.
    pub(super) fn entries(&self) -> usize {
        self.contents.len() + self.named.len() + self.answer_bytes.div_ceil(ENTRY_BYTES)
    }

    /// Memory it takes, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.contents.capacity() * size_of::<Content>()
            + self.named.capacity() * size_of::<Named>()
            + self.answer_bytes
    }

    /// It takes no more: give back what was asked for beforehand.
    pub(super) fn close(&mut self) {
        self.contents.shrink_to_fit();
        self.named.shrink_to_fit();
    }
}
