//! Event-time buckets: open ones fill, the watermark seals them, sealed ones are merged upwards.

mod open;
mod series;
mod store;

pub(crate) use series::{Slice, merge_slices};
pub(crate) use store::{ByShard, NOT_TAKEN, Piece, Rows, SHARDS, WindowStore};

/// One width of buckets and how many are kept.
pub(crate) struct Tier {
    /// Bucket width, seconds.
    pub width_s: i64,
    /// Sealed buckets kept.
    pub slots: i64,
}

/// Finest first. The wider two are built from the first, to keep merges to two
/// levels: a query's and this one.
pub(crate) const TIERS: [Tier; 3] = [
    Tier { width_s: BUCKET_S, slots: 36 },
    Tier { width_s: 60, slots: 66 },
    Tier { width_s: 300, slots: 78 },
];

/// Width of the finest bucket, seconds: windows are multiples of it.
pub(crate) const BUCKET_S: i64 = 10;

/// Consecutive slices of event time that a question asks for, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps {
    /// Start of the first.
    pub start: i64,
    /// Width of each.
    pub step: i64,
    pub count: usize,
}

impl Steps {
    /// [start, end) of one slice.
    pub(crate) fn slice(&self, at: usize) -> (i64, i64) {
        let start = self.start + at as i64 * self.step;
        (start, start + self.step)
    }

    /// [start, end) of all of them.
    pub(crate) fn whole(&self) -> (i64, i64) {
        (self.start, self.start + self.count as i64 * self.step)
    }
}

/// How far back distributions reach, seconds.
pub(crate) const REACH_S: i64 = TIERS[2].width_s * TIERS[2].slots;

/// Width of the finest buckets that are still held at `at`, seconds.
pub(crate) fn width_at(at: i64, through_s: i64) -> i64 {
    let held = |tier: &&Tier| at >= through_s - tier.width_s * tier.slots;
    TIERS.iter().find(held).unwrap_or(&TIERS[TIERS.len() - 1]).width_s
}

/// Move [start, end), seconds, outward to edges that `through_s` (everything
/// before it is sealed) still lets the tiers answer.
pub(crate) fn snap(start: i64, end: i64, through_s: i64) -> (i64, i64) {
    let (down, up) = (width_at(start, through_s), width_at(end - 1, through_s));
    (start.div_euclid(down) * down, (end + up - 1).div_euclid(up) * up)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window only widens, and only where fine buckets are gone.
    #[test]
    fn windows_widen_to_what_is_held() {
        let through = 1_795_219_200;
        assert_eq!((through - 300, through), snap(through - 300, through, through));
        assert_eq!((through - 3_600, through), snap(through - 3_590, through, through));
        let (start, end) = snap(through - 20_010, through - 19_990, through);
        assert_eq!((through - 20_100, through - 19_800), (start, end));
    }
}
