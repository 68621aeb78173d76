//! Whose clock is wrong? One source ahead of ours is its own fault; most of them make ours the suspect.

use std::collections::HashMap;

use crate::clock::SECOND_NS;
use crate::value::ValueId;

/// How long a source has a say after its last batch.
const MEMORY_NS: i64 = 60 * SECOND_NS;

/// Fewer sources than this prove nothing.
const QUORUM: usize = 3;

/// Sources that have a say at once; more would tell no more.
const SOURCES_MAX: usize = 1000;

/// What one source's newest batch looked like, and whether any before agreed with our clock.
struct Seen {
    at_ns: i64,
    batch: u64,
    events: u64,
    future: u64,
    agreed: bool,
}

impl Seen {
    fn is_ahead(&self) -> bool {
        self.future * 2 > self.events
    }
}

/// Votes against our clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Votes {
    against: usize,
    of: usize,
}

impl Votes {
    fn count<'a>(voters: impl Iterator<Item = &'a Seen>) -> Self {
        voters.fold(Self::default(), |votes, seen| Self {
            against: votes.against + usize::from(seen.is_ahead()),
            of: votes.of + 1,
        })
    }
}

/// Sources seen in the last minute, and how many of them are ahead of our clock.
///
/// Time is the steady clock's: the other one is what is in doubt.
#[derive(Default)]
pub(crate) struct SkewWatch {
    sources: HashMap<ValueId, Seen>,
    /// Of all sources, and of those that have agreed with our clock before.
    all: Votes,
    agreed: Votes,
    batch: u64,
    swept_at_ns: i64,
}

impl SkewWatch {
    /// Take a batch into account: (source, events, those that are future-dated).
    pub(crate) fn observe(
        &mut self,
        steady_ns: i64,
        accounts: impl Iterator<Item = (ValueId, u64, u64)>,
    ) {
        self.sweep(steady_ns);
        self.batch += 1;
        let mut changes = false;
        for (source, events, future) in accounts {
            if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
                continue;
            }
            let fresh = || {
                changes = true;
                Seen { at_ns: steady_ns, batch: self.batch, events: 0, future: 0, agreed: false }
            };
            let seen = self.sources.entry(source).or_insert_with(fresh);
            let before = (seen.is_ahead(), seen.agreed);
            if seen.batch != self.batch {
                let agreed = seen.agreed;
                *seen = Seen { at_ns: steady_ns, batch: self.batch, events: 0, future: 0, agreed };
            }
            seen.events += events;
            seen.future += future;
            seen.agreed |= !seen.is_ahead();
            changes |= before != (seen.is_ahead(), seen.agreed);
        }
        if changes {
            self.count();
        }
    }

    /// Sources that look ahead, of how many: where most do, and enough have a say.
    ///
    /// Where enough have agreed with our clock before, only they have a say: names
    /// that were never seen in step are cheap to make up.
    pub(crate) fn suspicion(&mut self, steady_ns: i64) -> Option<(usize, usize)> {
        self.sweep(steady_ns);
        let votes = if self.agreed.of >= QUORUM { self.agreed } else { self.all };
        (votes.of >= QUORUM && votes.against * 2 > votes.of).then_some((votes.against, votes.of))
    }

    fn sweep(&mut self, steady_ns: i64) {
        if steady_ns - self.swept_at_ns < SECOND_NS {
            return;
        }
        self.swept_at_ns = steady_ns;
        self.sources.retain(|_, seen| steady_ns - seen.at_ns < MEMORY_NS);
        self.count();
    }

    /// Seldom: sources change their minds only now and then.
    fn count(&mut self) {
        self.all = Votes::count(self.sources.values());
        self.agreed = Votes::count(self.sources.values().filter(|seen| seen.agreed));
    }

    /// Sources that have a say now.
    pub(crate) fn sources(&self) -> impl Iterator<Item = ValueId> {
        self.sources.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(watch: &mut SkewWatch, at_s: i64, source: ValueId, ahead: bool) {
        watch.observe(at_s * SECOND_NS, [(source, 10, if ahead { 10 } else { 0 })].into_iter());
    }

    /// Two sources ahead prove nothing; three of five put our clock in doubt, until most agree with it.
    #[test]
    fn a_majority_decides() {
        let mut watch = SkewWatch::default();
        ahead(&mut watch, 1, 10, true);
        ahead(&mut watch, 1, 11, true);
        assert_eq!(None, watch.suspicion(SECOND_NS));
        ahead(&mut watch, 1, 12, true);
        assert_eq!(Some((3, 3)), watch.suspicion(SECOND_NS));
        ahead(&mut watch, 1, 13, false);
        ahead(&mut watch, 1, 14, false);
        assert_eq!(Some((3, 5)), watch.suspicion(SECOND_NS));
        ahead(&mut watch, 2, 12, false);
        assert_eq!(None, watch.suspicion(2 * SECOND_NS));
    }

    /// Made-up sources that were never in step do not outvote those that were.
    #[test]
    fn newcomers_do_not_outvote() {
        let mut watch = SkewWatch::default();
        for source in 10..14 {
            ahead(&mut watch, 1, source, false);
        }
        for junk in 100..200 {
            ahead(&mut watch, 1, junk, true);
        }
        assert_eq!(None, watch.suspicion(SECOND_NS));
        for source in 10..13 {
            ahead(&mut watch, 2, source, true);
        }
        assert_eq!(Some((3, 4)), watch.suspicion(2 * SECOND_NS));
    }

    /// A source's newest batch counts as a whole, and a minute after it the source has no say.
    #[test]
    fn only_the_last_minute_counts() {
        let mut watch = SkewWatch::default();
        for source in 10..13 {
            let parts = [(source, 10, 0), (source, 30, 30)];
            watch.observe(SECOND_NS, parts.into_iter());
        }
        assert_eq!(Some((3, 3)), watch.suspicion(60 * SECOND_NS));
        assert_eq!(None, watch.suspicion(61 * SECOND_NS));
        assert_eq!(0, watch.sources().count());
    }
}
