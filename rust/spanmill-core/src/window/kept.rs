//! What is held, and so what can be answered; what goes first when memory runs short.

use std::collections::BTreeMap;

use super::{BUCKET_S, REACH_S, RECENT, TIERS};
use crate::codec::{Damaged, Read, Reader, Writer};

/// What a series' buckets are kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// No objective uses the series: the finer tiers, for looking at.
    Recent,
    /// An objective uses it: every tier.
    Objective,
}

pub(crate) const USES: usize = 2;

/// In which order tiers give up buckets, oldest first within each.
///
/// What no objective uses goes first, the widest of it before the finest; what an
/// objective uses last, its long rings at the very end. Counters never, and
/// never the open edge.
const DEMOTION: [(Use, usize); RECENT + TIERS.len()] = [
    (Use::Recent, 2),
    (Use::Recent, 1),
    (Use::Recent, 0),
    (Use::Objective, 2),
    (Use::Objective, 1),
    (Use::Objective, 0),
    (Use::Objective, 4),
    (Use::Objective, 3),
];

/// The newest minutes are never demoted: the export reads them from here.
const EXPORT_S: i64 = 300;
/// Nor are the newest fine buckets: the next minute is built from them.
const FINE_S: i64 = 60;

pub(super) fn down(second: i64, width_s: i64) -> i64 {
    // What reaches back for ever stays there.
    second.div_euclid(width_s).saturating_mul(width_s)
}

pub(super) fn up(second: i64, width_s: i64) -> i64 {
    -down(second.saturating_neg(), width_s)
}

/// From where on each tier holds buckets: the same for all series of one use.
///
/// Published whole: a query that was understood against one `Kept` finds
/// everything that it promised, for what the next no longer holds is let go only
/// in the sealing pass after that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Bucket number below which everything is sealed.
    through: Option<i64>,
    /// Start of the first bucket held, seconds; `i64::MAX` where the tier is not built.
    first_s: [[i64; TIERS.len()]; USES],
    /// The first tier to give up buckets has no more to give: building it would be in vain.
    is_short: bool,
}

impl Default for Kept {
    /// Nothing is sealed, so nothing was ever let go.
    fn default() -> Self {
        let mut first_s = [[i64::MIN; TIERS.len()]; USES];
        first_s[Use::Recent as usize][RECENT..].fill(i64::MAX);
        Self { through: None, first_s, is_short: false }
    }
}

impl Kept {
    /// Bucket number below which everything is sealed; `None` before the first time.
    #[must_use]
    pub fn sealed(&self) -> Option<i64> {
        self.through
    }

    /// Second before which everything is sealed.
    pub(super) fn through_s(&self) -> i64 {
        self.through.map_or(i64::MIN, |through| through * BUCKET_S)
    }

    /// Start of the first bucket of `tier` that is held for this use, seconds.
    pub(super) fn first_s(&self, used: Use, tier: usize) -> i64 {
        self.first_s[used as usize][tier]
    }

    /// Whether the sealed bucket `number` of `tier` is held for this use.
    pub(super) fn holds(&self, used: Use, tier: usize, number: i64) -> bool {
        let width_s = TIERS[tier].width_s;
        self.first_s(used, tier) <= number * width_s && (number + 1) * width_s <= self.through_s()
    }

    /// Whether some series may need a bucket of `tier` that is numbered below `to`.
    pub(crate) fn needs(&self, tier: usize, to: i64) -> bool {
        let firsts = [Use::Recent, Use::Objective].map(|used| self.first_s(used, tier));
        firsts.iter().any(|first| *first < to * TIERS[tier].width_s)
    }

    /// Change where each tier of each use begins.
    pub(super) fn each(&mut self, mut change: impl FnMut(Use, usize, &mut i64)) {
        for used in [Use::Recent, Use::Objective] {
            for (tier, first) in self.first_s[used as usize].iter_mut().enumerate() {
                change(used, tier, first);
            }
        }
    }

    /// The numbers [from, to) of the buckets of `tier` that sealing through `through` completes.
    ///
    /// Only those all of whose parts are still held, and for which there is memory.
    pub(super) fn due(&self, used: Use, tier: usize, through: i64) -> (i64, i64) {
        let (from, to) = self.whole(used, tier, through);
        if self.is_short && (used, tier) == DEMOTION[0] { (to, to) } else { (from, to) }
    }

    /// Like [`Kept::due`], whether or not there is memory for them.
    pub(super) fn whole(&self, used: Use, tier: usize, through: i64) -> (i64, i64) {
        let width_s = TIERS[tier].width_s;
        let to = (through * BUCKET_S).div_euclid(width_s);
        let held = self.first_s(used, tier).max(self.first_s(used, TIERS[tier].from));
        let from = match held {
            i64::MAX => to,
            i64::MIN => i64::MIN,
            held => up(held, width_s).div_euclid(width_s),
        };
        (from.max(self.through_s().div_euclid(width_s)).min(to), to)
    }

    /// What is held once everything before bucket number `through` is sealed.
    #[must_use]
    pub fn advanced(&self, through: i64) -> Self {
        let mut next = self.clone();
        next.through = Some(through);
        for used in [Use::Recent, Use::Objective] {
            for (tier, info) in TIERS.iter().enumerate() {
                let first = &mut next.first_s[used as usize][tier];
                if *first == i64::MAX {
                    continue;
                }
                let (from, to) = self.due(used, tier, through);
                let oldest = to - info.slots;
                // A bucket that lacked parts was not built: the tier starts after it.
                let skipped = from > self.through_s().div_euclid(info.width_s);
                let oldest = if skipped { oldest.max(from) } else { oldest };
                *first = (*first).max(oldest * info.width_s);
            }
        }
        next
    }

    /// Second from which everything up to now is held without a hole.
    #[must_use]
    pub fn start_s(&self, used: Use) -> i64 {
        let through_s = self.through_s();
        let mut start = through_s;
        for (tier, info) in TIERS.iter().enumerate() {
            let first = self.first_s(used, tier);
            // A tier ends with its last whole bucket; finer ones must reach back to there.
            if first < start && (first == i64::MIN || down(through_s, info.width_s) >= start) {
                start = first;
            }
        }
        start
    }

    /// The window [start, end), seconds, that answers a question about [start, end).
    ///
    /// Clipped to what series of this use hold, then moved outward to edges of
    /// buckets that are still held. Empty where it ends before anything held.
    pub(crate) fn reach(&self, used: Use, (start, end): (i64, i64)) -> (i64, i64) {
        let first = self.start_s(used);
        let (start, end) = (start.max(first), end.max(first));
        if start == end {
            return (start, end);
        }
        (down(start, self.width_at(used, start)), up(end, self.width_at(used, end - 1)))
    }

    /// Width of the finest buckets that are still held at `at`, seconds; the widest before any.
    pub(crate) fn width_at(&self, used: Use, at: i64) -> i64 {
        let tiers = TIERS.iter().enumerate();
        let mut built = tiers.filter(|(tier, _)| self.first_s(used, *tier) != i64::MAX);
        let widest = built.clone().next_back().map_or(BUCKET_S, |(_, info)| info.width_s);
        let held = |(tier, info): &(usize, &super::Tier)| {
            self.first_s(used, *tier) <= down(at, info.width_s)
        };
        built.find(held).map_or(widest, |(_, info)| info.width_s)
    }

    /// Seconds from which late events are told apart.
    pub(super) fn late_from_s(&self, used: Use) -> i64 {
        let reach = match used {
            Use::Recent => REACH_S,
            Use::Objective => TIERS[TIERS.len() - 1].width_s * TIERS[TIERS.len() - 1].slots,
        };
        self.through.map_or(i64::MIN, |_| self.through_s() - reach)
    }

    /// Second up to which buckets of `tier` may be demoted.
    fn demotable_s(&self, used: Use, tier: usize) -> i64 {
        let through = self.through_s();
        // Parts of a wider bucket that is still to be built stay, where one is built.
        let built = |wider: usize| down(through, TIERS[wider].width_s);
        match (used, tier) {
            (Use::Recent, 0) => through - FINE_S,
            (Use::Objective, 0) => (through - FINE_S).min(built(2)),
            (Use::Recent, 1) => through - EXPORT_S,
            (Use::Objective, 1) => (through - EXPORT_S).min(built(3)),
            (Use::Objective, 2) => built(4),
            _ => through,
        }
    }

    /// Memory is ample again: build every tier.
    pub(super) fn resume(&mut self) {
        self.is_short = false;
    }

    /// Give up the oldest buckets, in the order of [`DEMOTION`], until `excess` bytes are let go.
    ///
    /// Says what goes, by tier. Less than `excess` where the rest must stay.
    pub(crate) fn demote(&mut self, holdings: &Holdings, excess: usize) -> [Held; TIERS.len()] {
        let mut demoted = [Held::default(); TIERS.len()];
        let mut left = excess;
        for (used, tier) in DEMOTION {
            let width_s = TIERS[tier].width_s;
            let limit_s = self.demotable_s(used, tier);
            let first = &mut self.first_s[used as usize][tier];
            for (number, held) in &holdings.0[used as usize][tier] {
                let end_s = (number + 1) * width_s;
                if left == 0 || end_s > limit_s {
                    break;
                }
                if number * width_s < *first {
                    // Already on its way out.
                    continue;
                }
                *first = end_s;
                demoted[tier].add(*held);
                left = left.saturating_sub(held.bytes);
            }
            self.is_short |= (used, tier) == DEMOTION[0] && left > 0;
        }
        demoted
    }
}

impl Kept {
    /// Write it down.
    pub(crate) fn save(&self, out: &mut Writer) {
        out.option(self.through);
        out.varint(TIERS.len() as u64);
        self.first_s.iter().flatten().for_each(|first| out.i64(*first));
        out.u8(u8::from(self.is_short));
    }

    /// What [`Kept::save`] wrote.
    pub(crate) fn load(reader: &mut Reader<'_>) -> Read<Self> {
        let mut kept = Self { through: reader.option()?, ..Self::default() };
        if reader.varint()? != TIERS.len() as u64 {
            return Err(Damaged("has windows of other widths than this version"));
        }
        for first in kept.first_s.iter_mut().flatten() {
            *first = reader.i64()?;
        }
        kept.is_short = reader.u8()? != 0;
        Ok(kept)
    }
}

/// Buckets and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// How many.
    pub buckets: usize,
    /// Taken from the allocator.
    pub bytes: usize,
}

impl Held {
    /// Count more.
    pub fn add(&mut self, more: Self) {
        self.buckets += more.buckets;
        self.bytes += more.bytes;
    }
}

/// What is held by use, tier and bucket number: kept up while sealing, so that neither
/// metrics nor demotion walk the series.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holdings([[BTreeMap<i64, Held>; TIERS.len()]; USES]);

impl Holdings {
    pub(super) fn add(&mut self, used: Use, tier: usize, number: i64, held: Held) {
        self.0[used as usize][tier].entry(number).or_default().add(held);
    }

    /// Count in what `other` holds.
    pub(crate) fn absorb(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
            for (number, held) in theirs {
                mine.entry(*number).or_default().add(*held);
            }
        }
    }

    /// Forget what `kept` no longer holds.
    pub(super) fn retire(&mut self, kept: &Kept) {
        for used in [Use::Recent, Use::Objective] {
            for (tier, info) in TIERS.iter().enumerate() {
                let first = kept.first_s(used, tier);
                if first != i64::MIN && first != i64::MAX {
                    let numbers = &mut self.0[used as usize][tier];
                    *numbers = numbers.split_off(&up(first, info.width_s).div_euclid(info.width_s));
                }
            }
        }
    }

    pub(crate) fn total(&self) -> Held {
        let mut total = Held::default();
        self.0.iter().flatten().flat_map(BTreeMap::values).for_each(|held| total.add(*held));
        total
    }

    /// Number of the oldest bucket of `tier`.
    pub(super) fn oldest(&self, tier: usize) -> Option<i64> {
        self.0.iter().filter_map(|tiers| Some(*tiers[tier].first_key_value()?.0)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A multiple of six hours.
    const THROUGH_S: i64 = 1_795_219_200;
    const THROUGH: i64 = THROUGH_S / BUCKET_S;

    fn kept() -> Kept {
        Kept::default().advanced(THROUGH)
    }

    /// A window only widens, and only where fine buckets are gone.
    #[test]
    fn windows_widen_to_what_is_held() {
        let reach = |used, back: i64, until: i64| {
            let (start, end) = kept().reach(used, (THROUGH_S - back, THROUGH_S - until));
            (THROUGH_S - start, THROUGH_S - end)
        };
        assert_eq!((300, 0), reach(Use::Recent, 300, 0));
        assert_eq!((300, -40), reach(Use::Recent, 300, -40));
        assert_eq!((3_600, 0), reach(Use::Recent, 3_590, 0));
        assert_eq!((20_100, 19_800), reach(Use::Recent, 20_010, 19_990));
        assert_eq!((75 * 3_600, 18_000), reach(Use::Objective, 75 * 3_600 - 5, 18_000));
        assert_eq!((29 * 86_400, 0), reach(Use::Objective, 29 * 86_400 - 5, 0));
    }

    /// A window that reaches beyond what is held starts where that does, and is empty before it.
    #[test]
    fn windows_are_clipped() {
        let (start, end) = kept().reach(Use::Recent, (THROUGH_S - 86_400, THROUGH_S));
        assert_eq!((THROUGH_S - REACH_S, THROUGH_S), (start, end));
        let (start, end) = kept().reach(Use::Recent, (THROUGH_S - 90_000, THROUGH_S - 86_400));
        assert_eq!(start, end);
        let (start, _) = kept().reach(Use::Objective, (0, THROUGH_S));
        assert_eq!(THROUGH_S - 31 * 86_400, start);
        assert_eq!((-30, 90), Kept::default().reach(Use::Recent, (-25, 84)));
    }

    fn holdings(bytes: usize, through: i64) -> Holdings {
        let mut holdings = Holdings::default();
        for (used, tier) in DEMOTION {
            let last = through * BUCKET_S / TIERS[tier].width_s;
            for number in last - TIERS[tier].slots..last {
                holdings.add(used, tier, number, Held { buckets: 1, bytes });
            }
        }
        holdings
    }

    /// Memory comes first from what no objective uses, oldest first, and answers are clipped to the rest.
    #[test]
    fn demotion_takes_the_least_missed() {
        let (holdings, mut kept) = (holdings(100, THROUGH), kept());
        let demoted = kept.demote(&holdings, 2_950);
        assert_eq!(Held { buckets: 30, bytes: 3_000 }, demoted[2]);
        let demoted_buckets = |demoted: &[Held]| demoted.iter().map(|h| h.buckets).sum::<usize>();
        assert_eq!(30, demoted_buckets(&demoted));
        assert_eq!(THROUGH_S - 48 * 300, kept.start_s(Use::Recent));
        assert_eq!(THROUGH_S - 31 * 86_400, kept.start_s(Use::Objective));
        let demoted = kept.demote(&holdings, 5_000);
        assert_eq!((48, 2), (demoted[2].buckets, demoted[1].buckets));
        assert_eq!(THROUGH_S - 64 * 60, kept.start_s(Use::Recent));
    }

    /// Whatever the need, the newest buckets stay, and what is held has no hole.
    #[test]
    fn demotion_spares_the_edge() {
        for after_s in [0, 10, 290, 3_590, 21_590] {
            let through = THROUGH + after_s / BUCKET_S;
            let mut kept = kept().advanced(through);
            let _ = kept.demote(&holdings(100, through), usize::MAX);
            let edge = |used| through * BUCKET_S - kept.start_s(used);
            assert!(edge(Use::Recent) >= FINE_S, "{after_s}");
            assert!(edge(Use::Objective) >= after_s.max(FINE_S), "{after_s}");
            let next = kept.advanced(through + 6);
            assert!(next.start_s(Use::Recent) <= kept.start_s(Use::Recent).max(0), "{after_s}");
        }
    }

    /// A wider bucket is not built from fewer parts than it spans, and the tier starts after it.
    #[test]
    fn nothing_is_built_from_a_remainder() {
        let mut kept = kept();
        let _ = kept.demote(&holdings(100, THROUGH), usize::MAX);
        let through = THROUGH + 30;
        let last = THROUGH_S / 300;
        // In vain while memory is short.
        assert_eq!((last + 1, last + 1), kept.due(Use::Recent, 2, through));
        kept.resume();
        assert_eq!((last, last + 1), kept.due(Use::Recent, 2, through));
        let mut short = kept.advanced(THROUGH + 20);
        short.first_s[Use::Recent as usize][0] = THROUGH_S + 100;
        assert_eq!((last + 1, last + 1), short.due(Use::Recent, 2, through));
        assert_eq!((last + 1) * 300, short.advanced(through).first_s(Use::Recent, 2));
    }

    /// What was retired is no longer counted.
    #[test]
    fn holdings_follow_what_is_kept() {
        let mut holdings = holdings(10, THROUGH);
        let kept = kept().advanced(THROUGH + 6);
        holdings.retire(&kept);
        assert_eq!(Some(THROUGH_S / 60 - 65), holdings.oldest(1));
        let slots: i64 = TIERS.iter().map(|tier| tier.slots).sum::<i64>() + 36 + 66 + 78;
        assert_eq!(slots as usize - 2 * (6 + 1), holdings.total().buckets);
    }

    /// What is held comes back as it was, demoted or not.
    #[test]
    fn what_is_held_comes_back() {
        let mut demoted = kept();
        let _ = demoted.demote(&holdings(100, THROUGH), 2_950);
        for kept in [Kept::default(), kept(), demoted] {
            let mut out = Writer::default();
            kept.save(&mut out);
            let mut reader = Reader(&out.0);
            assert_eq!(Ok(kept), Kept::load(&mut reader));
            assert_eq!(Ok(()), reader.end());
            assert!(Kept::load(&mut Reader(&out.0[..out.0.len() - 1])).is_err());
        }
    }
}
