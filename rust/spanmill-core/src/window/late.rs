//! Events that came too late for their bucket's digest, by when they happened.

use std::collections::VecDeque;

use super::{BUCKET_S, TIERS};
use crate::codec::{Damaged, Read, Reader, Writer};

/// Late events of one series, as fine as a window at their age could tell them apart.
///
/// So there are never more entries than buckets in the rings, however long and
/// however much comes late.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Late(VecDeque<(i32, u64)>);

/// The bucket (of the finest tier's numbers) that stands for `number` once it is as old as it is.
fn coarse(number: i64, through: i64) -> i64 {
    let age_s = (through - number) * BUCKET_S;
    let tier = TIERS.iter().find(|tier| age_s <= tier.width_s * tier.slots);
    let ratio = tier.unwrap_or(&TIERS[TIERS.len() - 1]).width_s / BUCKET_S;
    number.div_euclid(ratio) * ratio
}

impl Late {
    /// Count an event of bucket `number` while everything before `through` is sealed.
    pub(super) fn add(&mut self, number: i64, through: i64) {
        let number = coarse(number, through) as i32;
        let place = self.0.partition_point(|(known, _)| *known < number);
        match self.0.get_mut(place) {
            Some((known, count)) if *known == number => *count += 1,
            _ => self.0.insert(place, (number, 1)),
        }
    }

    /// Forget what lies before second `first_s` and join what has become too old to tell apart.
    pub(super) fn age(&mut self, first_s: i64, through: i64) {
        let mut aged: VecDeque<(i32, u64)> = VecDeque::new();
        for (number, count) in self.0.drain(..) {
            if i64::from(number) * BUCKET_S < first_s {
                continue;
            }
            let number = coarse(i64::from(number), through) as i32;
            match aged.back_mut() {
                Some((last, total)) if *last == number => *total += count,
                _ => aged.push_back((number, count)),
            }
        }
        self.0 = aged;
    }

    /// Events in [start, end), seconds.
    pub(super) fn sum(&self, start: i64, end: i64) -> u64 {
        let inside =
            |(number, _): &&(i32, u64)| (start..end).contains(&(i64::from(*number) * BUCKET_S));
        self.0.iter().filter(inside).map(|(_, count)| count).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Append the entries.
    pub(super) fn save(&self, out: &mut Writer) {
        out.varint(self.0.len() as u64);
        let mut last = 0;
        for (number, count) in &self.0 {
            out.zigzag(i64::from(*number) - last);
            out.varint(*count);
            last = i64::from(*number);
        }
    }

    /// Read what [`save`](Self::save) wrote.
    pub(super) fn load(reader: &mut Reader<'_>) -> Read<Self> {
        const DAMAGED: Damaged = Damaged("has late events at no time");
        let mut entries = VecDeque::new();
        let mut last = 0i64;
        for _ in 0..reader.count(2)? {
            last = last.checked_add(reader.zigzag()?).ok_or(DAMAGED)?;
            let number = i32::try_from(last).map_err(|_| DAMAGED)?;
            if entries.back().is_some_and(|(known, _)| *known >= number) {
                return Err(DAMAGED);
            }
            entries.push_back((number, reader.varint()?));
        }
        Ok(Self(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THROUGH: i64 = 179_521_920;

    /// However much comes late, and however old, entries stay as few as buckets, and none is lost.
    #[test]
    fn entries_are_bounded() {
        let mut late = Late::default();
        for age in 1..=100_000 {
            late.add(THROUGH - age, THROUGH);
        }
        assert_eq!(100_000, late.sum(i64::MIN, i64::MAX));
        assert!(late.0.len() < 380, "{}", late.0.len());
        late.age(i64::MIN, THROUGH + 100_000);
        assert_eq!(100_000, late.sum(i64::MIN, i64::MAX));
        assert!(late.0.len() < 240, "{}", late.0.len());
    }
}
