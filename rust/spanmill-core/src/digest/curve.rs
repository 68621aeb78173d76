//! The quantile curve: a monotone cubic (PCHIP) from rank to key.
//!
//! A centroid is a knot at the middle of its ranks; a pure one is flat over all
//! of them. Where two flat stretches meet the curve steps.
//!
//! Source: F. Fritsch, J. Butland, "A method for constructing local monotone
//! piecewise cubic interpolants" (1984).

use super::compress::Item;

/// Share of the local centroid's weight that a quantile may be off by.
///
/// A centroid's mean lies inside its ranks, so a whole weight would be certain
/// for one digest. Measured on the acceptance streams the error stays under a
/// twentieth; a quarter leaves room for merges and gaps.
const ERROR_SHARE: f64 = 0.25;

/// Share of the heaviest bin that a rank inside a histogram bin may be off by.
///
/// Values were taken to lie evenly in their bin; a density that falls to nothing
/// across it is off by a quarter of them at most.
const BIN_SHARE: f64 = 0.25;

#[derive(Clone, Copy)]
struct Knot {
    rank: f64,
    key: f64,
}

/// Rank to key over one digest.
pub(super) struct Curve {
    count: f64,
    heaviest_bin: f64,
    knots: Vec<Knot>,
    /// Ranks at or below each centroid, with its weight and purity.
    ends: Vec<(f64, f64, bool)>,
}

impl Curve {
    /// From sorted centroids, not empty, whose weights sum to `count`.
    pub(super) fn new(items: &[Item], count: u64, heaviest_bin: u64) -> Self {
        let mut knots = Vec::with_capacity(items.len() + items.len() / 2);
        let mut ends = Vec::with_capacity(items.len());
        let mut before = 0.0;
        for item in items {
            let (weight, key) = (item.weight as f64, f64::from(item.key));
            if item.pure {
                knots.push(Knot { rank: before, key });
                knots.push(Knot { rank: before + weight, key });
            } else {
                knots.push(Knot { rank: before + weight * 0.5, key });
            }
            before += weight;
            ends.push((before, weight, item.pure));
        }
        Self { count: count as f64, heaviest_bin: heaviest_bin as f64, knots, ends }
    }

    /// Key at share `q` of the count, and the estimated rank error as a share.
    pub(super) fn at(&self, q: f64) -> (f64, f64) {
        let rank = q * self.count;
        let right = self.knots.partition_point(|knot| knot.rank < rank);
        let key = if right == 0 {
            self.knots[0].key
        } else if right == self.knots.len() {
            self.knots[right - 1].key
        } else {
            self.between(right - 1, rank)
        };
        (key, self.rank_error(rank))
    }

    fn rank_error(&self, rank: f64) -> f64 {
        let last = self.ends.len() - 1;
        let here = self.ends.partition_point(|(end, ..)| *end < rank).min(last);
        // A tie is known exactly, but its neighbours may hold values of its far side.
        let loosest = self.ends[here.saturating_sub(1)..=(here + 1).min(last)]
            .iter()
            .filter(|(.., pure)| !pure)
            .map(|(_, weight, _)| weight * ERROR_SHARE)
            .fold(1.0, f64::max);
        let tail = rank.min(self.count - rank).max(0.0);
        // Beyond the rank there are no more values than the tail to be wrong about.
        let forgotten = (self.heaviest_bin * BIN_SHARE).min(tail * 0.5);
        loosest.max(forgotten) / self.count
    }

    fn between(&self, left: usize, rank: f64) -> f64 {
        let (a, b) = (self.knots[left], self.knots[left + 1]);
        let width = b.rank - a.rank;
        // Equal keys: a cubic's round-off would break the tie.
        if a.key == b.key || width <= 0.0 {
            return b.key;
        }
        let s = (rank - a.rank) / width;
        let (slope_a, slope_b) = (self.slope(left) * width, self.slope(left + 1) * width);
        let rise = b.key - a.key;
        let c2 = 3.0 * rise - 2.0 * slope_a - slope_b;
        let c3 = slope_a + slope_b - 2.0 * rise;
        (a.key + s * (slope_a + s * (c2 + s * c3))).clamp(a.key, b.key)
    }

    fn secant(&self, left: usize) -> (f64, f64) {
        let (a, b) = (self.knots[left], self.knots[left + 1]);
        let width = b.rank - a.rank;
        (width, if width > 0.0 { (b.key - a.key) / width } else { 0.0 })
    }

    /// Derivative at a knot: weighted harmonic mean of its secants, flat beside a flat.
    fn slope(&self, at: usize) -> f64 {
        if at == 0 {
            return self.secant(0).1;
        }
        if at + 1 == self.knots.len() {
            return self.secant(at - 1).1;
        }
        let ((h0, d0), (h1, d1)) = (self.secant(at - 1), self.secant(at));
        if d0 <= 0.0 || d1 <= 0.0 {
            return 0.0;
        }
        let (w0, w1) = (2.0 * h1 + h0, h1 + 2.0 * h0);
        (w0 + w1) / (w0 / d0 + w1 / d1)
    }
}
