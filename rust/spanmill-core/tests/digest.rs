//! Open and sealed digests against an exact sort, over laws that telemetry follows.

mod digest_model;

use digest_model::{Kind, Model, RANKS, STREAMS, Stream, values as stream};
use proptest::prelude::*;
use spanmill_core::digest::{Digest, ExponentialHistogram, Merger, OpenDigest, Transform};

fn digest_of(values: &[f64], batch: usize) -> OpenDigest {
    let mut open = OpenDigest::default();
    values.chunks(batch).for_each(|chunk| open.add_all(chunk));
    open
}

fn standard() -> impl Iterator<Item = &'static Stream> {
    STREAMS.iter().filter(|stream| stream.transform == Transform::Standard)
}

/// Up to 200 values every quantile is one of the values that went in, at the right rank.
#[test]
fn small_inputs_are_exact() {
    for n in [1, 2, 3, 10, 100, 200] {
        let mut values = stream("lognormal-1", n, 7);
        let digest = digest_of(&values, 3).seal();
        values.sort_unstable_by(f64::total_cmp);
        for q in (0..=1_000).map(|i| f64::from(i) / 1_000.0) {
            let place = ((q * n as f64).ceil() as usize).clamp(1, n) - 1;
            let got = digest.quantiles(&[q]).expect("not empty")[0];
            assert_eq!((values[place], 0.0), (got.value, got.rank_error), "n={n} q={q}");
            assert_eq!(Some(values[place]), digest.quantile_discrete(q));
        }
    }
}

/// Ten thousand and a million values in one open bucket: ranks are off by less than is
/// stated with each answer, on every stream, and on smooth laws by less than 400 ppm.
#[test]
fn open_buckets_state_their_error() {
    for (n, batch) in [(10_000, 300), (1_000_000, 5_000)] {
        for law in standard() {
            let values = stream(law.name, n, 11);
            let digest = digest_of(&values, batch).seal();
            assert!(digest.heap_bytes() <= 1_600, "{}: {} B", law.name, digest.heap_bytes());
            let model = Model::new(law.transform, values);
            for (q, got) in RANKS.into_iter().zip(digest.quantiles(&RANKS).expect("not empty")) {
                let (error, name) = (model.rank_error(got.value, q), law.name);
                assert!(error <= got.rank_error, "{name} n={n} q={q}: {error} > {got:?}");
                if law.kind == Kind::Smooth && n > 10_000 {
                    assert!(error <= 400e-6, "{name} q={q}: {:.1} ppm", error * 1e6);
                }
            }
        }
    }
}

/// The buckets of a window, merged, sealed or still open: inside the gates for merged
/// leaves, and inside the error stated with each answer.
#[test]
fn merged_windows_meet_the_gates() {
    for law in standard().filter(|law| law.kind == Kind::Smooth) {
        let values = stream(law.name, 720_000, 13);
        let mut merger = Merger::new(Transform::Standard);
        for (at, part) in values.chunks(20_000).enumerate() {
            let open = digest_of(part, 500);
            if at % 12 == 0 { merger.push_open(&open) } else { merger.push(&open.seal()) }
        }
        let merged = merger.finish();
        assert_eq!(720_000, merged.count());
        let model = Model::new(law.transform, values);
        for (q, got) in RANKS.into_iter().zip(merged.quantiles(&RANKS).expect("not empty")) {
            let error = model.rank_error(got.value, q);
            assert!(error <= 450e-6, "{} q={q}: {:.1} ppm", law.name, error * 1e6);
            assert!(error <= got.rank_error, "{} q={q}: {error} > {got:?}", law.name);
        }
    }
}

/// Heavy ties keep their exact place: a quantile of integer milliseconds is an integer.
#[test]
fn ties_stay_exact() {
    let values = stream("integer-ms", 100_000, 17);
    let digest = digest_of(&values, 1_000).seal();
    let model = Model::new(Transform::Standard, values);
    for q in [0.001, 0.1, 0.25] {
        let got = digest.quantile_discrete(q).expect("not empty");
        assert!((got / got.round() - 1.0).abs() < 1e-7, "{got}");
        assert_eq!(0.0, model.rank_error(got, q));
    }
}

/// No part's place in line leaves a trace, however many there are: sorted or on the grid.
#[test]
fn merging_forgets_the_order() {
    let values = stream("lognormal-1", 600_000, 19);
    for part in [200, 600, 60_000] {
        let parts: Vec<Digest> =
            values.chunks(part).map(|part| digest_of(part, 500).seal()).collect();
        // A few hundred values each, so that enough centroids for the grid come together.
        let forward = Digest::merge_for_query(&parts);
        let backward = Digest::merge_for_query(parts.iter().rev());
        assert_eq!(forward.to_bytes(), backward.to_bytes(), "{part} values a part");
        let model = Model::new(Transform::Standard, values.clone());
        let (_, grid_max) = model.errors(&forward.reader().expect("not empty"));
        assert!(grid_max <= 450e-6, "{part} values a part: {:.1} ppm", grid_max * 1e6);
    }
}

/// Open buckets merge as sealed ones do: in any order, inside the error that is stated, and a
/// constant stays that constant.
#[test]
fn open_buckets_merge_in_any_order() {
    for law in ["lognormal-1", "pareto-1.5", "integer-ms"] {
        let values = stream(law, 300_000, 29);
        let model = Model::new(Transform::Standard, values.clone());
        for part in [150, 1_900, 30_000] {
            let parts: Vec<OpenDigest> =
                values.chunks(part).map(|part| digest_of(part, 500)).collect();
            let merged = |parts: &mut dyn Iterator<Item = &OpenDigest>| {
                let mut merger = Merger::new(Transform::Standard);
                parts.for_each(|part| merger.push_open(part));
                merger.finish()
            };
            let forward = merged(&mut parts.iter());
            assert_eq!(forward.to_bytes(), merged(&mut parts.iter().rev()).to_bytes(), "{law}");
            for (q, got) in RANKS.into_iter().zip(forward.quantiles(&RANKS).expect("not empty")) {
                let error = model.rank_error(got.value, q);
                assert!(error <= got.rank_error, "{law}, {part} each, q={q}: {error} > {got:?}");
            }
        }
    }
    let parts = vec![digest_of(&[100.0; 2_000], 500); 30];
    let mut merger = Merger::new(Transform::Standard);
    parts.iter().for_each(|part| merger.push_open(part));
    let constant = merger.finish().quantiles(&RANKS).expect("not empty");
    assert!(constant.iter().all(|at| at.value == 100.0), "{constant:?}");
}

/// A value falls into the OTLP bucket whose lower limit it passes and whose upper limit it
/// does not, from each tier of an open bucket and from an exact digest.
#[test]
fn exponential_histograms_count_directly() {
    for n in [150, 1_500, 30_000] {
        let mut values = stream("mixed-sign", n, 23);
        values.extend([0.0, 1.0, 2.0, -4.0]);
        let open = digest_of(&values, 100);
        let got = open.exponential_histogram(4);
        assert_eq!(values.len() as u64, total(&got), "n={n}");
        assert_eq!((1, true), (got.zero_count, got.scale <= 4));
        assert_eq!(direct(&values, got.scale), got, "n={n}");
        if n == 150 {
            assert_eq!(Some(got), open.seal().exponential_histogram(4));
        }
    }
}

fn total(histogram: &ExponentialHistogram) -> u64 {
    let sides = histogram.positive.counts.iter().chain(&histogram.negative.counts);
    histogram.zero_count + sides.sum::<u64>()
}

/// The data model's definition, by the library's logarithm.
fn direct(values: &[f64], scale: i32) -> ExponentialHistogram {
    let buckets = |wanted: f64| {
        let numbers: Vec<i32> = values
            .iter()
            .filter(|value| value.signum() == wanted && **value != 0.0)
            .map(|value| (value.abs().log2() * 2f64.powi(scale)).ceil() as i32 - 1)
            .collect();
        let offset = numbers.iter().copied().min().unwrap_or(0);
        let mut counts = Vec::new();
        for number in numbers {
            let place = (number - offset) as usize;
            counts.resize(counts.len().max(place + 1), 0);
            counts[place] += 1;
        }
        spanmill_core::digest::Buckets { offset, counts }
    };
    let zero_count = values.iter().filter(|value| **value == 0.0).count() as u64;
    ExponentialHistogram { scale, zero_count, positive: buckets(1.0), negative: buckets(-1.0) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A sealed bucket depends on the multiset alone: not on order, not on batches.
    #[test]
    fn order_and_batches_leave_no_trace(
        mut values in prop::collection::vec(1e-6f64..1e6, 1..6_000),
        batch in 1usize..700,
    ) {
        let forward = digest_of(&values, batch).seal();
        values.reverse();
        prop_assert_eq!(forward, digest_of(&values, 512).seal());
    }

    /// Counts and extremes are exact, sums exact to a nano-unit a value, weights add up.
    #[test]
    fn totals_are_exact(values in prop::collection::vec(-1e6f64..1e6, 1..3_000)) {
        let digest = digest_of(&values, 100).seal();
        let sum: f64 = values.iter().sum();
        prop_assert_eq!(values.len() as u64, digest.count());
        prop_assert!((digest.sum() - sum).abs() <= 1e-9 * values.len() as f64 + sum.abs() * 1e-12);
        prop_assert_eq!(values.iter().copied().reduce(f64::min), digest.min());
        prop_assert_eq!(values.iter().copied().reduce(f64::max), digest.max());
        let weights: u64 = digest.centroids().map(|c| c.weight).sum();
        prop_assert_eq!(digest.count(), weights);
    }

    /// Quantiles never fall as the rank rises, and end at the extremes.
    #[test]
    fn quantiles_are_monotone(values in prop::collection::vec(-1e3f64..1e3, 201..2_000)) {
        let digest = digest_of(&values, 64).seal();
        let qs: Vec<f64> = (0..=10_000).map(|i| f64::from(i) / 10_000.0).collect();
        let answers = digest.quantiles(&qs).expect("not empty");
        for pair in answers.windows(2) {
            prop_assert!(pair[0].value <= pair[1].value);
        }
        let ends = (Some(answers[0].value), Some(answers[10_000].value));
        prop_assert_eq!((digest.min(), digest.max()), ends);
    }

    /// Merging with an empty digest changes no answer.
    #[test]
    fn empty_is_the_identity(values in prop::collection::vec(0.0f64..1e3, 1..1_000)) {
        let digest = digest_of(&values, 64).seal();
        let merged = Digest::merge([&digest, &Digest::default()]);
        prop_assert_eq!(digest, merged);
    }

    /// Reading the curve back gives the rank: a share's value has that share below it,
    /// unless a tie or a step carries it on.
    #[test]
    fn cdf_inverts_quantile(values in prop::collection::vec(-1e3f64..1e3, 201..3_000)) {
        let digest = digest_of(&values, 64).seal();
        let reader = digest.reader().expect("not empty");
        for i in 1..1_000 {
            let q = f64::from(i) / 1_000.0;
            let value = reader.quantile(q).value;
            let back = reader.cdf(value);
            prop_assert!(back >= q - 1e-9, "{q} came back as {back}");
            let rises = reader.quantile(q - 1e-7).value < value;
            if rises && value < reader.quantile(q + 1e-7).value {
                prop_assert!((back - q).abs() <= 1e-9, "{q} came back as {back}");
            }
        }
        prop_assert_eq!(Some(vec![1.0, 0.0]), digest.cdf(&[1e9, -1e9]));
    }
}
