//! Event-time buckets: open ones fill, the watermark seals them, sealed ones are merged upwards.

mod open;
mod series;
mod store;

pub(crate) use series::{SeriesWindows, Slice, merge_slices};
pub(crate) use store::{ByShard, NOT_TAKEN, Rows, WindowStore};

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

/// How far back distributions reach, seconds.
pub(crate) const REACH_S: i64 = TIERS[2].width_s * TIERS[2].slots;

/// Move [start, end), seconds, outward to edges that `through_s` (everything
/// before it is sealed) still lets the tiers answer.
pub(crate) fn snap(start: i64, end: i64, through_s: i64) -> (i64, i64) {
    let edge = |at: i64| {
        let held = |tier: &&Tier| at >= through_s - tier.width_s * tier.slots;
        TIERS.iter().find(held).unwrap_or(&TIERS[TIERS.len() - 1]).width_s
    };
    let (down, up) = (edge(start), edge(end - 1));
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
