//! What an open digest holds as plain numbers, for a file, and back.

use super::histogram::LogHistogram;
use super::key;
use super::sum::Sum;
use super::totals::Totals;

/// Keys reach from minus this to this.
pub(super) const KEY_MAX: i32 = 1 << 30;

/// The content of an [`OpenDigest`](super::OpenDigest).
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// Values as they came.
    Raw(Vec<f64>),
    /// Keys in ascending order.
    Keys(Sums, Vec<i32>),
    Histogram(Sums, Bins),
}

/// What is exact about values that are held as keys or bins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sums {
    /// Sum in nano-units, and whether that is exact.
    pub nano: i128,
    pub exact: bool,
    pub min: f64,
    pub max: f64,
}

/// Bins of a histogram that hold something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bins {
    pub zeros: u64,
    /// A bin is `2^shift` keys wide.
    pub shift: u32,
    pub positive: Vec<Bin>,
    pub negative: Vec<Bin>,
}

/// One of them: its number, how many values, and where the smallest and largest lie in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bin {
    pub number: u32,
    pub count: u32,
    pub low: u16,
    pub high: u16,
}

impl Sums {
    pub(super) fn of(totals: &Totals) -> Self {
        let (nano, exact) = match &totals.sum {
            Sum::Nano { units, exact } => (*units, *exact),
            // Open digests are of the standard axis, whose sums are nano-units.
            Sum::Long { .. } => (0, false),
        };
        Self { nano, exact, min: totals.min, max: totals.max }
    }

    /// Totals of `count` values; `None` where no values have such extremes.
    pub(super) fn totals(self, count: u64) -> Option<Totals> {
        let Self { nano, exact, min, max } = self;
        let possible = key::has_key(min) && key::has_key(max) && min <= max;
        let sum = Sum::Nano { units: nano, exact };
        possible.then_some(Totals { count, refused: 0, sum, min, max })
    }
}

impl Bins {
    /// Values counted; `None` where they are more than can be.
    pub(super) fn count(&self) -> Option<u64> {
        let sides = self.positive.iter().chain(&self.negative);
        sides.map(|bin| u64::from(bin.count)).try_fold(self.zeros, u64::checked_add)
    }

    /// The histogram; `None` where there is none with such bins.
    pub(super) fn histogram(&self) -> Option<LogHistogram> {
        LogHistogram::of_bins(self)
    }
}
