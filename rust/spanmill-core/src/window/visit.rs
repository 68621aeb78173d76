//! What a question meets: slices of event time, series by series, one short lock a shard.

use super::BUCKET_S;
use super::rings::Rings;
use super::slice::Slice;
use super::store::{Shard, WindowStore, shard_of, slot_of};

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

/// Something of one series, met in a slice of event time.
pub(crate) enum Piece<'a> {
    /// Events with their values.
    Events(Slice<'a>),
    /// How many events came too late for the digests.
    Late(u64),
}

impl WindowStore {
    /// Meet what `series` hold in each of `steps`, one lock a shard.
    ///
    /// `found` is told the place in `series` and the slice, and runs under the
    /// shard's lock: what takes long belongs after the visit. `disk` is what was read
    /// from there, by place; empty, or as long as `series`.
    pub(crate) fn visit(
        &self,
        steps: &Steps,
        series: &[u32],
        disk: &[Option<Rings>],
        mut found: impl FnMut(usize, usize, Piece<'_>),
    ) {
        let mut places: Vec<u32> = (0..series.len() as u32).collect();
        places.sort_unstable_by_key(|place| shard_of(series[*place as usize]));
        let same =
            |a: &u32, b: &u32| shard_of(series[*a as usize]) == shard_of(series[*b as usize]);
        for places in places.chunk_by(same) {
            let shard = self.shard(series[places[0] as usize]).lock();
            for &place in places {
                let place = place as usize;
                let disk = disk.get(place).and_then(Option::as_ref);
                for at in 0..steps.count {
                    shard.meet(series[place], disk, steps.slice(at), |piece| {
                        found(place, at, piece);
                    });
                }
            }
        }
    }
}

impl Shard {
    /// Frozen buckets of one series in [start, end), seconds, that are not sealed yet.
    fn frozen_of(&self, series: u32, (start, end): (i64, i64), mut found: impl FnMut(Slice<'_>)) {
        let from = self.passed.live_from(slot_of(series));
        for frozen in &self.frozen {
            let Some(place) = frozen.place(series) else { continue };
            let numbers = frozen.parts()[place].buckets(from).map(|bucket| bucket.number);
            let inside = |number: &i32| (start..end).contains(&(i64::from(*number) * BUCKET_S));
            numbers.filter(inside).for_each(|number| found(Slice::Frozen(frozen, place, number)));
        }
    }

    /// Everything of one series in [start, end), seconds, of each event once: the
    /// widest sealed buckets that fit, what is just being sealed, then open ones.
    fn meet(
        &self,
        series: u32,
        disk: Option<&Rings>,
        (start, end): (i64, i64),
        mut found: impl FnMut(Piece<'_>),
    ) {
        let windows = self.series.get(slot_of(series));
        let rings = windows.and_then(|windows| windows.rings.as_deref());
        let mut sealed = |slice: Slice<'_>| found(Piece::Events(slice));
        match (disk, rings) {
            (Some(disk), memory) => Rings::cover_both(disk, memory, (start, end), &mut sealed),
            (None, Some(rings)) => rings.cover((start, end), &mut sealed),
            (None, None) => (),
        }
        let Some(windows) = windows else { return };
        for bucket in self.closing_of(series, (start, end)) {
            found(Piece::Events(Slice::Closing(bucket)));
        }
        self.frozen_of(series, (start, end), |slice| found(Piece::Events(slice)));
        for bucket in windows.open_in(start, end) {
            found(Piece::Events(Slice::Open(bucket)));
        }
        let late = windows.late_in(start, end);
        if late > 0 {
            found(Piece::Late(late));
        }
    }
}
