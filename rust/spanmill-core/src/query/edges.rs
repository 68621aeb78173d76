//! Value edges of a picture: log-spaced, shared by all its columns.
//!
//! The edges above 0 are 2^(k / 2^s) for whole k, those of an OTLP exponential
//! histogram of scale s: they stay where they are while a picture moves on, and the
//! same values give the same edges on every machine (no libm). Negative values
//! share one row, zeros another.

use crate::digest::Digest;

/// Finest scale: rows 1.1 % wide. Finer would draw what a digest cannot know.
const SCALE_MAX: i32 = 6;
/// Coarsest scale: two rows hold every measure, 2^-64 to 2^64.
const SCALE_MIN: i32 = -6;

/// Rows that every picture can be drawn in: negative, zero, and two above.
pub(super) const ROWS_MIN: usize = 4;

/// What the values of a picture span.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    min: f64,
    max: f64,
    /// Smallest value above 0, about; infinite without one.
    least_positive: f64,
}

impl Extent {
    pub(super) const EMPTY: Self =
        Self { min: f64::INFINITY, max: f64::NEG_INFINITY, least_positive: f64::INFINITY };

    /// The span of both.
    pub(super) fn with(self, digest: &Digest) -> Self {
        let Some((min, max)) = digest.min().zip(digest.max()) else { return self };
        let least_positive = if min > 0.0 {
            min
        } else {
            let mut means = digest.centroids().map(|centroid| centroid.mean);
            means.find(|mean| *mean > 0.0).unwrap_or(f64::INFINITY)
        };
        Self {
            min: self.min.min(min),
            max: self.max.max(max),
            least_positive: self.least_positive.min(least_positive),
        }
    }
}

/// Row i counts values v with `edges[i] <= v < edges[i + 1]`.
#[derive(Debug)]
pub(super) struct Edges {
    /// Rising; empty where there is no value.
    pub values: Vec<f64>,
    /// Rows for what is not above 0.
    rows_below: usize,
}

impl Edges {
    /// At most `rows_max` rows ([`ROWS_MIN`] or more) over everything in `extent`.
    pub(super) fn over(extent: &Extent, rows_max: usize) -> Self {
        if extent.min > extent.max {
            return Self { values: Vec::new(), rows_below: 0 };
        }
        let mut values = Vec::new();
        if extent.min < 0.0 {
            values.push(extent.min);
        }
        if extent.min <= 0.0 {
            values.push(0.0);
        }
        let rows_below = values.len();
        if extent.max <= 0.0 {
            // Nothing above: the row of zeros ends anywhere.
            values.push(1.0);
            return Self { values, rows_below };
        }
        let (low, high) = (extent.least_positive.min(extent.max), extent.max);
        let fits = |scale: &i32| {
            let grid = Grid::new(*scale);
            grid.place(high) - grid.place(low) < (rows_max - rows_below) as i64
        };
        let scale = (SCALE_MIN..=SCALE_MAX).rev().find(fits).unwrap_or(SCALE_MIN);
        let grid = Grid::new(scale);
        values.extend((grid.place(low)..=grid.place(high) + 1).map(|place| grid.edge(place)));
        Self { values, rows_below }
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.values.len().saturating_sub(1)
    }

    /// Add a digest's values to `counts`, one a row. They add up to its count exactly.
    ///
    /// Cumulative counts are rounded, so the rows of a column never lose or gain an
    /// event. Where there are zeros or negative values the lowest row above 0 also
    /// takes what lies under it.
    pub(super) fn add(&self, digest: &Digest, counts: &mut [u64]) {
        let Some(reader) = digest.reader() else { return };
        let count = digest.count();
        let mut before = 0;
        for (row, total) in counts.iter_mut().enumerate() {
            let above = self.values[row + 1];
            let through = if row + 1 == self.rows() {
                count
            } else {
                let at_most = if above == 0.0 {
                    -LEAST
                } else if row + 1 == self.rows_below {
                    0.0
                } else {
                    above.next_down()
                };
                let share = reader.cdf(at_most);
                ((share * count as f64).round() as u64).clamp(before, count)
            };
            *total += through - before;
            before = through;
        }
    }
}

/// A magnitude that a digest surely tells from 0, smaller than anything measured.
const LEAST: f64 = 1.0 / (1u64 << 63) as f64;

/// The edges 2^(k / 2^scale), by k.
struct Grid {
    scale: i32,
    /// Edges in [1, 2): one where the scale is 0 or less.
    roots: Vec<f64>,
}

impl Grid {
    fn new(scale: i32) -> Self {
        let mut roots = vec![1.0];
        let mut step = 2.0f64;
        // Square roots and products are correctly rounded everywhere.
        for _ in 0..scale {
            step = step.sqrt();
            roots = roots.iter().flat_map(|root| [*root, *root]).collect();
            for (place, root) in roots.iter_mut().enumerate() {
                if place % 2 == 1 {
                    *root *= step;
                }
            }
        }
        Self { scale, roots }
    }

    /// Place of the last edge at or below `value`, which is positive and normal.
    fn place(&self, value: f64) -> i64 {
        let exponent = (value.to_bits() >> 52) as i64 - 1023;
        if self.scale <= 0 {
            return exponent >> -self.scale;
        }
        let mantissa = f64::from_bits((value.to_bits() & ((1 << 52) - 1)) | (1023 << 52));
        let root = self.roots.partition_point(|root| *root <= mantissa) as i64 - 1;
        (exponent << self.scale) + root
    }

    fn edge(&self, place: i64) -> f64 {
        if self.scale <= 0 {
            return power_of_two(place << -self.scale);
        }
        let root = place & ((1 << self.scale) - 1);
        self.roots[root as usize] * power_of_two(place >> self.scale)
    }
}

/// 2^exponent, the nearest normal number where it is out of range.
fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((exponent.clamp(-1022, 1023) + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::OpenDigest;
    use proptest::prelude::*;

    fn digest(values: &[f64]) -> Digest {
        let mut open = OpenDigest::default();
        open.add_all(values);
        open.seal()
    }

    fn drawn(values: &[f64], rows: usize) -> (Vec<f64>, Vec<u64>) {
        let digest = digest(values);
        let edges = Edges::over(&Extent::EMPTY.with(&digest), rows);
        let mut counts = vec![0; edges.rows()];
        edges.add(&digest, &mut counts);
        (edges.values, counts)
    }

    /// Edges rise, each is the edge of its own place, and doubling the scale keeps them.
    #[test]
    fn grids_nest() {
        for scale in SCALE_MIN..=SCALE_MAX {
            let grid = Grid::new(scale);
            let around = if scale < 0 { -1..2 } else { -200..200 };
            for place in around {
                let edge = grid.edge(place);
                assert!(edge < grid.edge(place + 1), "{scale}: {place}");
                assert_eq!(place, grid.place(edge), "{scale}");
                assert_eq!(place - 1, grid.place(edge.next_down()), "{scale}");
                if scale < SCALE_MAX {
                    assert_eq!(edge, Grid::new(scale + 1).edge(2 * place), "{scale}: {place}");
                }
            }
        }
    }

    /// Few values are counted exactly, each in the row that holds it; edges are powers of 2.
    #[test]
    fn few_values_are_exact() {
        let (edges, counts) = drawn(&[1.0, 1.0, 1.5, 2.0, 7.9], 4);
        assert_eq!((vec![1.0, 2.0, 4.0, 8.0], vec![3, 1, 1]), (edges, counts));
    }

    /// Zeros and negative values have rows of their own, below the others.
    #[test]
    fn zeros_and_negatives_stand_apart() {
        let (edges, counts) = drawn(&[-3.0, -0.5, 0.0, 0.0, 0.0, 0.25, 0.5], 4);
        assert_eq!((vec![-3.0, 0.0, 0.25, 0.5, 1.0], vec![2, 3, 1, 1]), (edges, counts));
        assert_eq!((vec![0.0, 1.0], vec![2]), drawn(&[0.0, 0.0], 24));
        assert_eq!((vec![-2.0, 0.0, 1.0], vec![1, 0]), drawn(&[-2.0], 24));
        assert_eq!((vec![], vec![]), drawn(&[], 24));
    }

    /// One value is one row.
    #[test]
    fn one_value_is_one_row() {
        let (edges, counts) = drawn(&[0.3; 7], 24);
        assert_eq!(vec![7], counts);
        assert!(edges[0] <= 0.3 && 0.3 < edges[1] && edges[1] / edges[0] < 1.012, "{edges:?}");
    }

    proptest! {
        /// However many values of whatever size: rows keep to the limit and add up to the count.
        #[test]
        fn rows_add_up(
            mut values in prop::collection::vec((-60.0f64..60.0).prop_map(f64::exp2), 1..1_500),
            signs in prop::collection::vec(-1i32..=1, 1_500),
            mixed: bool,
            rows in ROWS_MIN..100,
        ) {
            if mixed {
                values.iter_mut().zip(signs).for_each(|(value, sign)| *value *= f64::from(sign));
            }
            let (edges, counts) = drawn(&values, rows);
            prop_assert!(counts.len() <= rows, "{}", counts.len());
            prop_assert!(edges.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(values.len() as u64, counts.iter().sum::<u64>());
            if values.len() <= 200 {
                for (row, pair) in edges.windows(2).enumerate() {
                    let inside = values.iter().filter(|v| (pair[0]..pair[1]).contains(v)).count();
                    prop_assert_eq!(inside as u64, counts[row], "row {}", row);
                }
            }
        }
    }
}
