//! The acceptance streams, and the exact sort that digests are judged by.
//!
//! Shared by the digest tests and by `examples/bench_digest.rs`.

#![allow(dead_code, reason = "each of them uses a part")]

use spanmill_core::digest::{Reader, Transform};

/// Ranks whose errors are reported one by one.
pub const RANKS: [f64; 7] = [0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999];

/// Deterministic uniforms in (0, 1): splitmix64.
pub struct Uniform(pub u64);

impl Uniform {
    /// The next one.
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() * n as f64) as usize
    }

    /// Normal with mean 0 and deviation 1.
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.next().ln()).sqrt() * (std::f64::consts::TAU * self.next()).cos()
    }

    /// Lognormal with this median and spread.
    fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    /// Gamma with shape 0.1 (Ahrens, Dieter 1974).
    fn gamma_tenth(&mut self) -> f64 {
        const SHAPE: f64 = 0.1;
        let b = 1.0 + SHAPE / std::f64::consts::E;
        loop {
            let p = b * self.next();
            let u = self.next();
            if p <= 1.0 {
                let x = p.powf(1.0 / SHAPE);
                // What lies below the standard axis is drawn again.
                if u <= (-x).exp() && x > 1e-19 {
                    return x;
                }
            } else {
                let x = -((b - p) / SHAPE).ln();
                if u <= x.powf(SHAPE - 1.0) {
                    return x;
                }
            }
        }
    }
}

/// What a stream is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Continuous data without a gap.
    Smooth,
    /// Modes far apart.
    Gaps,
    /// Heavy ties, or ties beside continuous data.
    Ties,
    /// No bound is promised; shown only.
    Shown,
}

/// A law or an order of arrival.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    pub name: &'static str,
    pub kind: Kind,
    pub transform: Transform,
}

const fn standard(name: &'static str, kind: Kind) -> Stream {
    Stream { name, kind, transform: Transform::Standard }
}

const fn wide(name: &'static str, kind: Kind) -> Stream {
    Stream { name, kind, transform: Transform::Wide }
}

/// All of them, weighted ones apart.
pub const STREAMS: &[Stream] = &[
    standard("uniform", Kind::Smooth),
    standard("exponential", Kind::Smooth),
    standard("lognormal-0.5", Kind::Smooth),
    standard("lognormal-1", Kind::Smooth),
    standard("lognormal-2", Kind::Smooth),
    standard("pareto-1.1", Kind::Smooth),
    standard("pareto-1.5", Kind::Smooth),
    standard("gamma-0.1", Kind::Smooth),
    standard("bimodal", Kind::Gaps),
    standard("ttft-cold-start", Kind::Gaps),
    standard("integer-ms", Kind::Ties),
    standard("constant", Kind::Ties),
    standard("two-values", Kind::Ties),
    standard("outliers", Kind::Gaps),
    standard("drift", Kind::Smooth),
    standard("sorted", Kind::Smooth),
    standard("reversed", Kind::Smooth),
    standard("sawtooth", Kind::Smooth),
    standard("organ-pipe", Kind::Smooth),
    standard("alternating", Kind::Smooth),
    standard("log-uniform-18", Kind::Smooth),
    wide("log-uniform-150", Kind::Smooth),
    standard("negative", Kind::Smooth),
    standard("mixed-sign", Kind::Smooth),
    wide("zeros-subnormals", Kind::Ties),
    wide("1e308-pairs", Kind::Gaps),
    standard("repetitive", Kind::Ties),
    standard("median-of-three", Kind::Smooth),
    wide("cormode", Kind::Shown),
];

/// `n` values of a stream.
///
/// # Panics
///
/// There is no such stream.
#[must_use]
pub fn values(name: &str, n: usize, seed: u64) -> Vec<f64> {
    let mut u = Uniform(seed.wrapping_mul(0x1234_5678_9abc_def1));
    let mut out: Vec<f64> = Vec::with_capacity(n);
    for i in 0..n {
        let share = i as f64 / n as f64;
        let value = match name {
            "uniform" => u.next(),
            "exponential" => -u.next().ln(),
            "lognormal-0.5" => u.lognormal(1.6, 0.5),
            "lognormal-1" | "sorted" | "reversed" => u.lognormal(1.6, 1.0),
            "lognormal-2" => u.lognormal(1.6, 2.0),
            "negative" => -u.lognormal(1.6, 1.0),
            "pareto-1.1" => u.next().powf(-1.0 / 1.1),
            "pareto-1.5" => u.next().powf(-1.0 / 1.5),
            "gamma-0.1" => u.gamma_tenth(),
            "bimodal" if u.next() < 0.96 => u.lognormal(0.005, 0.3),
            "bimodal" => u.lognormal(1.5, 0.3),
            "ttft-cold-start" => match u.next() {
                it if it < 0.8 => u.lognormal(0.25, 0.4),
                it if it < 0.97 => u.lognormal(1.2, 0.3),
                _ => u.lognormal(25.0, 0.2),
            },
            "integer-ms" => u.lognormal(54.6, 1.0).round(),
            "constant" => 0.05,
            "two-values" => [0.05, 1.2][u.below(2)],
            "outliers" if u.next() < 0.001 => 1e4 * (1.0 + u.next()),
            "outliers" => 100.0 + 5.0 * u.normal(),
            "drift" => 1.0 + share + 0.1 * u.next(),
            "sawtooth" => (i % 1000) as f64 + u.next(),
            "organ-pipe" => i.min(n - i) as f64 + u.next(),
            "alternating" if i.is_multiple_of(2) => i as f64 + u.next(),
            "alternating" => -(i as f64) - u.next(),
            "log-uniform-18" => 10f64.powf(36.0 * u.next() - 18.0),
            "log-uniform-150" => 10f64.powf(300.0 * u.next() - 150.0),
            "mixed-sign" => u.normal(),
            "zeros-subnormals" if u.next() < 0.3 => 0.0,
            "zeros-subnormals" => f64::from_bits((u.next() * 2f64.powi(52)) as u64),
            "1e308-pairs" if u.next() < 0.5 => 1e308 * (1.0 + 0.7 * u.next()),
            "1e308-pairs" => -1e308 * (1.0 + 0.7 * u.next()),
            "repetitive" if i > 0 && u.next() < 0.9 => out[u.below(i)],
            "repetitive" => u.lognormal(1.6, 1.0),
            "median-of-three" => median_of_three_killer(i, n),
            "cormode" => {
                let sign = if u.next() < 0.5 { -1.0 } else { 1.0 };
                sign * 10f64.powf((2.0 * u.next().powi(2) - 1.0) * 300.0)
            }
            _ => panic!("there is no stream {name}"),
        };
        out.push(value);
    }
    match name {
        "sorted" => out.sort_unstable_by(f64::total_cmp),
        "reversed" => out.sort_unstable_by(|a, b| b.total_cmp(a)),
        _ => {}
    }
    out
}

/// The permutation of 1 to n that makes a median-of-three quicksort quadratic.
fn median_of_three_killer(i: usize, n: usize) -> f64 {
    let half = n / 2;
    let value = if i >= half {
        2 * (i + 1 - half)
    } else if i.is_multiple_of(2) {
        i + 1
    } else {
        half + i + half % 2
    };
    value as f64
}

/// Sorted values with the weight at or below each.
pub struct Model {
    values: Vec<f64>,
    through: Vec<u64>,
    /// What a value may be off by after its key was rounded, relative.
    step: f64,
}

impl Model {
    /// From weighted values.
    #[must_use]
    pub fn weighted(transform: Transform, values: &[f64], weights: &[u64]) -> Self {
        let mut pairs: Vec<(f64, u64)> =
            values.iter().copied().zip(weights.iter().copied()).collect();
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut sum = 0;
        let through = pairs.iter().map(|pair| {
            sum += pair.1;
            sum
        });
        let through = through.collect();
        Self { values: pairs.iter().map(|pair| pair.0).collect(), through, step: step(transform) }
    }

    /// From values.
    #[must_use]
    pub fn new(transform: Transform, mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let through = (1..=values.len() as u64).collect();
        Self { values, through, step: step(transform) }
    }

    fn count(&self) -> f64 {
        *self.through.last().expect("not empty") as f64
    }

    /// Values that went in, sorted.
    #[must_use]
    pub fn sorted(&self) -> &[f64] {
        &self.values
    }

    /// Distance of rank q from the ranks that `value` holds, as a share.
    #[must_use]
    pub fn rank_error(&self, value: f64, q: f64) -> f64 {
        // Beyond the exact tier a value is known to its key.
        let slack = (value.abs() * self.step).max(f64::from_bits(1));
        let weight = |end: usize| if end == 0 { 0 } else { self.through[end - 1] };
        let below = weight(self.values.partition_point(|v| *v < value - slack)) as f64;
        let through = weight(self.values.partition_point(|v| *v <= value + slack)) as f64;
        let (below, through) = (below / self.count(), through / self.count());
        (below - q).max(q - through).max(0.0)
    }

    /// Errors at [`RANKS`], and the greatest over 0.001 to 0.999 in thousandths.
    #[must_use]
    pub fn errors(&self, reader: &Reader) -> ([f64; 7], f64) {
        let error = |q| self.rank_error(reader.quantile(q).value, q);
        let grid = (1..1_000).map(|i| error(f64::from(i) / 1_000.0)).fold(0.0, f64::max);
        (RANKS.map(error), grid)
    }
}

fn step(transform: Transform) -> f64 {
    match transform {
        Transform::Standard => 1e-7,
        Transform::Wide => 1.4e-6,
    }
}

/// The 95th percentile, between the two nearest values as NumPy takes it.
#[must_use]
pub fn p95(sample: &[f64]) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = 0.95 * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}
