//! The scale function: how much of the data one centroid may stand for.
//!
//! Centroid density over rank q is proportional to
//! `1/sqrt(q(1-q)) + 0.03/(q(1-q)) + 0.07/(1-q)`: the body of t-digest's k1, a
//! light k2 at both ends and an extra share for the upper tail, which is what
//! latency is read at. Integrated once over `t = log2(q/(1-q))`, where it is
//! smooth, and inverted into a table, so that sealing calls nothing transcendental.

use std::sync::LazyLock;

use super::key::{exp2, log2};

const T_MAX: f64 = 64.0;
const STEPS_PER_T: usize = 16;
const GRID: usize = 2 * T_MAX as usize * STEPS_PER_T + 1;
const INVERSE: usize = 4096;

struct Tables {
    /// k at `t = -T_MAX + i / STEPS_PER_T`.
    k: Vec<f64>,
    /// t at `k = i / INVERSE * k_max`.
    t: Vec<f64>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(tables);

fn rank_at(t: f64) -> f64 {
    let odds = exp2(t);
    odds / (1.0 + odds)
}

fn density(t: f64) -> f64 {
    let q = rank_at(t);
    ((q * (1.0 - q)).sqrt() + 0.03 + 0.07 * q) * std::f64::consts::LN_2
}

fn tables() -> Tables {
    let step = 1.0 / STEPS_PER_T as f64;
    let at = |i: usize| i as f64 * step - T_MAX;
    let mut k = Vec::with_capacity(GRID);
    k.push(0.0);
    for i in 1..GRID {
        // Simpson's rule over one step.
        let area = (density(at(i - 1)) + 4.0 * density(at(i) - 0.5 * step) + density(at(i))) / 6.0;
        k.push(k[i - 1] + area * step);
    }
    let k_max = k[GRID - 1];
    let mut cell = 0;
    let t = (0..=INVERSE)
        .map(|i| {
            let wanted = i as f64 / INVERSE as f64 * k_max;
            while cell + 2 < GRID && k[cell + 1] < wanted {
                cell += 1;
            }
            at(cell) + (wanted - k[cell]) / (k[cell + 1] - k[cell]) * step
        })
        .collect();
    Tables { k, t }
}

fn interpolate(table: &[f64], place: f64) -> f64 {
    let cell = (place as usize).min(table.len() - 2);
    table[cell] + (table[cell + 1] - table[cell]) * (place - cell as f64)
}

/// Upper rank limits of `clusters` centroids over `count` values, in order.
///
/// The first limit is 1 and the one before last is `count - 1`, so the extreme
/// values stay alone. `count >= 3`, `clusters >= 3`.
pub(super) fn limits(count: u64, clusters: usize) -> impl Iterator<Item = f64> {
    let tables = &*TABLES;
    let k_max = tables.k[GRID - 1];
    let n = count as f64;
    let t_end = log2(n - 1.0).min(T_MAX);
    let k_at = |t: f64| interpolate(&tables.k, (t + T_MAX) * STEPS_PER_T as f64);
    let (low, high) = (k_at(-t_end), k_at(t_end));
    let inner = clusters - 2;
    let inside = (1..inner).map(move |j| {
        let k = low + (high - low) * j as f64 / inner as f64;
        n * rank_at(interpolate(&tables.t, k / k_max * INVERSE as f64))
    });
    std::iter::once(1.0).chain(inside).chain([n - 1.0, n])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limits rise strictly from 1 to the count and are as many as asked for.
    #[test]
    fn limits_rise() {
        for count in [1_000, 1_000_000, 1_000_000_000_000] {
            let limits: Vec<f64> = limits(count, 200).collect();
            assert_eq!(200, limits.len());
            assert_eq!((1.0, count as f64), (limits[0], limits[199]));
            assert!(limits.windows(2).all(|pair| pair[0] < pair[1]), "{count}");
        }
    }

    /// The upper tail gets finer centroids than the lower one.
    #[test]
    fn upper_tail_is_finer() {
        let limits: Vec<f64> = limits(1_000_000, 200).collect();
        let below = limits.iter().filter(|r| **r < 10_000.0).count();
        let above = limits.iter().filter(|r| **r > 990_000.0).count();
        assert!(above > below, "{above} above p99, {below} below p1");
    }
}
