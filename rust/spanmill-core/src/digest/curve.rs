//! The quantile curve: a monotone cubic (PCHIP) from rank to place on the axis.
//!
//! A centroid is a knot at the middle of its ranks; a pure one is flat over all
//! of them, and over the half step of the axis to either side that its key stands
//! for. Where two flat stretches meet the curve steps. Read from rank to key it
//! gives quantiles, read back it gives shares: one curve, so each inverts the other.
//!
//! Source: F. Fritsch, J. Butland, "A method for constructing local monotone
//! piecewise cubic interpolants" (1984).

use super::compress::Item;
use super::key::floor;
use super::sealed::Forgotten;

/// Share of the local centroid's weight that a quantile may be off by, on top of the
/// weight's root, by which even a smooth law's values scatter around the curve.
///
/// A centroid's mean lies inside its ranks, so a whole weight would be certain
/// for one digest. Measured on the acceptance streams the error stays under a
/// twentieth; a quarter leaves room for merges and gaps.
const ERROR_SHARE: f64 = 0.25;
/// Centroids to either side that may hold values of this one's far side.
const NEAR: usize = 2;

/// Share of the heaviest bin that a rank inside a histogram bin may be off by.
///
/// Values were taken to lie evenly in their bin; a density that falls to nothing
/// across it is off by a quarter of them at most.
const BIN_SHARE: f64 = 0.25;

/// Parts of the count that a search starts from.
const CELLS: usize = 128;
/// Steps of bisection that narrow any segment to one f64.
const HALVINGS_MAX: usize = 80;

/// Half a step of the axis: how far a key's values may lie from it.
const HALF: f64 = 0.5;

/// How the curve runs between two knots.
#[derive(Debug, Clone, Copy)]
enum Segment {
    /// One key over all its ranks.
    Flat(i32),
    /// Slopes at both ends, times the width in ranks.
    Cubic(f64, f64),
}

/// One centroid's ranks.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// Mean key.
    key: i32,
    /// Ranks at or below it.
    end: f64,
    /// Weight that a rank here may be off by.
    error: f64,
    /// Its first knot.
    knot: usize,
}

/// Rank to place over one digest, and back.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    count: f64,
    forgotten: Forgotten,
    ranks: Vec<f64>,
    /// Places on the axis, never falling.
    places: Vec<f64>,
    /// First knot from each [`CELLS`]th of the count on: where to search.
    cells: Vec<u32>,
    /// One less than knots.
    segments: Vec<Segment>,
    /// Weight that a rank in a segment may be off by.
    errors: Vec<f64>,
    extents: Vec<Extent>,
}

/// A place on the axis: `part` steps above `key`.
pub(super) type Place = (i32, f64);

impl Curve {
    /// Bytes held outside the struct itself.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.ranks)
            + size_of_val(&*self.places)
            + size_of_val(&*self.segments)
            + size_of_val(&*self.extents)
    }

    /// From sorted centroids, not empty, whose weights sum to `count` and whose
    /// values lie between the keys `low` and `high`.
    pub(super) fn new(
        items: impl ExactSizeIterator<Item = Item>,
        count: u64,
        forgotten: Forgotten,
        (low, high): (i32, i32),
    ) -> Self {
        let mut curve = Self {
            count: count as f64,
            forgotten,
            ranks: Vec::with_capacity(items.len() * 3 / 2 + 2),
            places: Vec::with_capacity(items.len() * 3 / 2 + 2),
            segments: Vec::with_capacity(items.len() * 3 / 2 + 2),
            cells: Vec::new(),
            errors: Vec::new(),
            extents: Vec::with_capacity(items.len()),
        };
        let last = items.len() - 1;
        let mut before = 0.0;
        for (at, item) in items.enumerate() {
            if at == 0 && !item.is_pure() {
                curve.knot(0.0, f64::from(low));
            }
            curve.add(item, before);
            before += item.weight as f64;
            if at == last && !item.is_pure() {
                curve.knot(before, f64::from(high));
            }
        }
        curve.set_cells();
        curve.spread_errors();
        curve.set_slopes();
        curve
    }

    fn knot(&mut self, rank: f64, place: f64) {
        if !self.ranks.is_empty() {
            // The slopes follow once all knots are known.
            self.segments.push(Segment::Cubic(0.0, 0.0));
        }
        let floor = self.places.last().copied().unwrap_or(place);
        self.ranks.push(rank);
        self.places.push(place.max(floor));
    }

    fn add(&mut self, item: Item, before: f64) {
        let (weight, place) = (item.weight as f64, f64::from(item.key));
        let knot = self.ranks.len();
        if item.is_pure() {
            self.knot(before, place - HALF);
            self.knot(before + weight, place + HALF);
            if let Some(segment) = self.segments.last_mut() {
                *segment = Segment::Flat(item.key);
            }
        } else {
            self.knot(before + weight * 0.5, place);
        }
        let loose = (weight * ERROR_SHARE + weight.sqrt()).min(weight);
        let error = if item.is_pure() { 0.0 } else { loose };
        self.extents.push(Extent { key: item.key, end: before + weight, error, knot });
    }

    /// A tie is known exactly, but its neighbours may hold values of its far side.
    fn spread_errors(&mut self) {
        let own: Vec<f64> = self.extents.iter().map(|extent| extent.error).collect();
        self.errors = vec![1.0; self.segments.len()];
        for (at, extent) in self.extents.iter().enumerate() {
            let near = &own[at.saturating_sub(NEAR)..(at + NEAR + 1).min(own.len())];
            let loosest = near.iter().copied().fold(1.0, f64::max);
            // From the knot before a centroid's own to the one after.
            let next = self.extents.get(at + 1).map_or(self.errors.len(), |next| next.knot);
            let end = next.min(self.errors.len());
            for error in &mut self.errors[extent.knot.saturating_sub(1)..end] {
                *error = error.max(loosest);
            }
        }
    }

    fn set_cells(&mut self) {
        let mut knot = 0;
        self.cells = (0..=CELLS)
            .map(|cell| {
                let start = cell as f64 / CELLS as f64 * self.count;
                while knot < self.ranks.len() && self.ranks[knot] < start {
                    knot += 1;
                }
                knot as u32
            })
            .collect();
    }

    fn set_slopes(&mut self) {
        let mut left = None;
        for at in 0..self.segments.len() {
            let here = self.secant(at);
            if let Segment::Cubic(..) = self.segments[at] {
                let right = (at + 1 < self.segments.len()).then(|| self.secant(at + 1));
                self.segments[at] =
                    Segment::Cubic(slope(left, here) * here.0, slope(right, here) * here.0);
            }
            left = Some(here);
        }
    }

    /// Width in ranks and mean slope of a segment.
    fn secant(&self, at: usize) -> (f64, f64) {
        let width = self.ranks[at + 1] - self.ranks[at];
        let flat = matches!(self.segments[at], Segment::Flat(_)) || width <= 0.0;
        (width, if flat { 0.0 } else { (self.places[at + 1] - self.places[at]) / width })
    }

    /// Place at share `q` of the count, and the estimated rank error as a share.
    pub(super) fn at(&self, q: f64) -> (Place, f64) {
        let rank = q * self.count;
        let cell = ((q * CELLS as f64) as usize).min(CELLS - 1);
        // One knot to spare: q and the rank are rounded apart.
        let first = (self.cells[cell] as usize).saturating_sub(1);
        let end = (self.cells[cell + 1] as usize + 1).min(self.ranks.len());
        let right = first + self.ranks[first..end].partition_point(|&knot| knot < rank);
        let left = right.saturating_sub(1).min(self.segments.len() - 1);
        let place = match self.segments[left] {
            Segment::Flat(key) => (key, 0.0),
            Segment::Cubic(..) => {
                let start = self.places[left];
                let base = floor(start);
                (base as i32, start - base + self.rise(left, rank))
            }
        };
        (place, self.rank_error(rank, left))
    }

    /// How far the curve rises from the left knot of a cubic segment to `rank`.
    fn rise(&self, left: usize, rank: f64) -> f64 {
        let (width, whole) =
            (self.ranks[left + 1] - self.ranks[left], self.places[left + 1] - self.places[left]);
        // Equal knots: a cubic's round-off would break the tie.
        if whole <= 0.0 || width <= 0.0 {
            return whole.max(0.0);
        }
        self.cubic(left, whole, ((rank - self.ranks[left]) / width).clamp(0.0, 1.0))
    }

    fn cubic(&self, left: usize, whole: f64, s: f64) -> f64 {
        let Segment::Cubic(a, b) = self.segments[left] else { return 0.0 };
        let c2 = 3.0 * whole - 2.0 * a - b;
        let c3 = a + b - 2.0 * whole;
        (s * (a + s * (c2 + s * c3))).clamp(0.0, whole)
    }

    fn rank_error(&self, rank: f64, segment: usize) -> f64 {
        let loosest = self.errors[segment];
        let tail = rank.min(self.count - rank).max(0.0);
        // Beyond the rank there are no more values than the tail to be wrong about.
        let even = (self.forgotten.bin as f64 * BIN_SHARE).min(tail * 0.5);
        loosest.max(even).max(self.forgotten.spike as f64) / self.count
    }

    fn holder(&self, rank: f64) -> usize {
        self.extents.partition_point(|extent| extent.end < rank).min(self.extents.len() - 1)
    }

    /// Key of the centroid that holds the value of rank `⌈q · count⌉`.
    pub(super) fn holds(&self, q: f64) -> i32 {
        self.extents[self.holder((q.clamp(0.0, 1.0) * self.count).ceil().max(1.0))].key
    }

    /// Whether `at` is the first and whether it is the last segment, and flat.
    pub(super) fn is_end(&self, place: Place) -> (bool, bool) {
        let meets = |segment: Option<&Segment>| matches!(segment, Some(Segment::Flat(key)) if (*key, 0.0) == place);
        (meets(self.segments.first()), meets(self.segments.last()))
    }

    /// Share of the count at or below a place: the inverse of [`at`](Self::at).
    pub(super) fn share(&self, (key, part): Place) -> f64 {
        let place = f64::from(key) + part;
        // A tie holds the half step below its key without its start: a rising curve ends there.
        let right = self.places.partition_point(|&knot| knot < place);
        let left = right.saturating_sub(1).min(self.segments.len() - 1);
        let rank = match self.segments[left] {
            Segment::Flat(_) => self.ranks[left + 1],
            Segment::Cubic(..) => {
                // From the knot, where the difference is exact: the sum above is not.
                self.solve(left, f64::from(key) - self.places[left] + part)
            }
        };
        rank / self.count
    }

    /// The rank at which a cubic segment has risen by `wanted`.
    fn solve(&self, left: usize, wanted: f64) -> f64 {
        let (start, end) = (self.ranks[left], self.ranks[left + 1]);
        let whole = self.places[left + 1] - self.places[left];
        if wanted >= whole {
            return end;
        }
        let (mut low, mut high) = (0.0, 1.0);
        let mut s = (wanted / whole).clamp(0.0, 1.0);
        for _ in 0..HALVINGS_MAX {
            let over = self.cubic(left, whole, s) - wanted;
            if over > 0.0 {
                high = s;
            } else {
                low = s;
            }
            let next = s - over / self.steepness(left, whole, s);
            // Newton's step where it stays inside the bracket, else halve it.
            let next = if low < next && next < high { next } else { 0.5 * (low + high) };
            if next == s || high - low <= f64::EPSILON * high {
                break;
            }
            s = next;
        }
        start + s * (end - start)
    }

    fn steepness(&self, left: usize, whole: f64, s: f64) -> f64 {
        let Segment::Cubic(a, b) = self.segments[left] else { return 0.0 };
        let c2 = 3.0 * whole - 2.0 * a - b;
        let c3 = a + b - 2.0 * whole;
        a + s * (2.0 * c2 + 3.0 * s * c3)
    }
}

/// Derivative of a segment at one of its ends, given the secant beyond that end.
///
/// The weighted harmonic mean of both; beside a flat or a step, its own secant:
/// a tie in smooth data says nothing about the density around it.
fn slope(beyond: Option<(f64, f64)>, (width, here): (f64, f64)) -> f64 {
    match beyond {
        Some((next, there)) if there > 0.0 && here > 0.0 => {
            // The nearer midpoint of the two weighs more.
            let (w0, w1) = (2.0 * next + width, next + 2.0 * width);
            (w0 + w1) / (w0 / here + w1 / there)
        }
        _ => here,
    }
}
