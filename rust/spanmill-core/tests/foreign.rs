//! Other engines' layouts: written and read back, read from the engines' own files, and refused
//! without a panic whatever the bytes.

use std::path::PathBuf;

use proptest::prelude::*;
use spanmill_core::digest::foreign::{LAYOUTS, Layout, TDunning, duckdb};
use spanmill_core::digest::{Builder, Digest, DigestError, Transform};

fn digest_of(values: &[f64]) -> Digest {
    on_axis(Transform::Standard, values)
}

fn on_axis(axis: Transform, values: &[f64]) -> Digest {
    let mut builder = Builder::new(axis, 1600).expect("1,600 B hold a digest");
    assert_eq!(0, builder.add(values));
    builder.seal()
}

fn written(layout: &dyn Layout, digest: &Digest) -> Vec<u8> {
    layout.write(digest).expect("every layout holds so few centroids")
}

fn read(layout: &dyn Layout, axis: Transform, bytes: &[u8]) -> Digest {
    layout.read(axis, bytes).unwrap_or_else(|error| panic!("{error}"))
}

fn read_state(state: &duckdb::State) -> Digest {
    state.digest(Transform::Standard).unwrap_or_else(|error| panic!("{error}"))
}

/// The shuffled eighths that the foreign implementations wrote their golden files from.
fn eighths() -> Vec<f64> {
    (0..5000).map(|i| f64::from(i * 7919 % 5000 + 1) / 8.0).collect()
}

fn golden(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect();
    std::fs::read(path).expect("the file is in the tree")
}

fn message(refused: Result<Digest, DigestError>) -> String {
    refused.expect_err("it contradicts itself").to_string()
}

/// Count, extremes and centroids come back from every layout; the sum comes back inexact.
#[test]
fn what_is_written_is_read() {
    for values in [vec![2.5], vec![-1.0, 0.0, 3.0], eighths(), eighths().repeat(200)] {
        let digest = digest_of(&values);
        for layout in LAYOUTS {
            let bytes = written(*layout, &digest);
            let back = read(*layout, Transform::Standard, &bytes);
            assert_eq!((digest.count(), digest.min()), (back.count(), back.min()));
            assert_eq!(digest.max(), back.max());
            assert!(!back.sum_is_exact());
            assert_eq!(bytes, written(*layout, &back), "{}", layout.name());
        }
    }
}

/// An empty digest is empty in every layout.
#[test]
fn nothing_is_nothing() {
    for layout in LAYOUTS {
        for axis in [Transform::Standard, Transform::Wide] {
            let bytes = written(*layout, &Digest::empty(axis));
            assert_eq!(Ok(Digest::empty(axis)), layout.read(axis, &bytes), "{}", layout.name());
        }
    }
}

/// What the engines wrote holds the values that they were given.
#[test]
fn golden_files_of_engines() {
    let mut digests: Vec<(String, Digest)> = LAYOUTS
        .iter()
        .map(|layout| {
            let name = format!("foreign-{}.bin", layout.name());
            let digest = read(*layout, Transform::Standard, &golden(&name));
            (name, digest)
        })
        .collect();
    let small = golden("foreign-tdunning-small.bin");
    digests.push(("small".into(), read(&TDunning, Transform::Standard, &small)));
    for (name, digest) in digests {
        assert_eq!((5000, Some(0.125), Some(625.0)), (digest.count(), digest.min(), digest.max()));
        let found = digest.quantiles(&[0.01, 0.5, 0.99]).expect("it has values");
        for (wanted, found) in [6.25, 312.5, 618.75].into_iter().zip(found) {
            assert!((wanted - found.value).abs() < 4.0, "{name}: {wanted}, {}", found.value);
        }
    }
}

/// What we write is what we wrote: the bytes of the same digest never change.
#[test]
fn golden_files_of_ours() {
    let digest = digest_of(&[0.05, 1.2, 1.2, 3.0, 1e9]);
    for layout in LAYOUTS {
        let name = format!("ours-{}.bin", layout.name());
        assert_eq!(golden(&name), written(*layout, &digest), "{name}");
    }
}

/// Totals, weights and extremes that contradict the centroids are refused with the numbers.
#[test]
fn contradictions_are_named() {
    let state = duckdb::State::from(&digest_of(&[1.0, 2.0, 4.0]));
    let refused = |change: fn(&mut duckdb::State)| {
        let mut state = state.clone();
        change(&mut state);
        message(state.digest(Transform::Standard))
    };
    assert_eq!("duckdb: says 4 values, its weights sum to 3", refused(|it| it.count = 4));
    assert!(refused(|it| it.weights[1] = 1.5).contains("the centroid at 2 weighs 1.5"));
    assert!(refused(|it| it.weights[1] = f64::NAN).contains("weighs NaN"));
    assert!(refused(|it| it.max = 3.0).contains("max 3 do not enclose"));
    assert!(refused(|it| it.min = f64::NAN).contains("min NaN"));
    assert!(refused(|it| it.means[2] = f64::INFINITY).contains("centroid 2 of 3"));
    assert!(refused(|it| it.means.truncate(2)).contains("2 means, but 3 weights"));
}

/// Means off the standard axis are refused with the way out, which works.
#[test]
fn off_the_axis_is_wide() {
    let digest = on_axis(Transform::Wide, &[1e-300, 1.0, 1e308]);
    for layout in LAYOUTS {
        let bytes = written(*layout, &digest);
        assert!(message(layout.read(Transform::Standard, &bytes)).contains("wide digest"));
        let wide = read(*layout, Transform::Wide, &bytes);
        assert_eq!((Some(1e-300), Some(1e308)), (wide.min(), wide.max()));
    }
}

/// A maximum that `DuckDB` lost among negative values is that of the last centroid.
#[test]
fn duckdbs_lost_maximum() {
    let mut state = duckdb::State::from(&digest_of(&[-4.0, -2.0]));
    state.max = f64::MIN_POSITIVE;
    assert_eq!(Some(-2.0), read_state(&state).max());
}

/// A column has a null where there is no digest, and the states of the others in order.
#[test]
fn columns_have_nulls() {
    use arrow_array::{Array, Int64Array};
    let (one, two) = (digest_of(&[1.0]), digest_of(&[1.0, 2.0]));
    let column = duckdb::column([Some(&one), None, Some(&two)]);
    assert_eq!((3, 1), (column.len(), column.null_count()));
    assert!(column.is_null(1));
    let counts = column.column(0).as_any().downcast_ref::<Int64Array>().expect("counts are int64");
    assert_eq!((1, 2), (counts.value(0), counts.value(2)));
}

/// Change some bytes of a digest's, and where it ends.
fn mutated(layout: &dyn Layout, edits: &[(prop::sample::Index, u8)], end: usize) -> Vec<u8> {
    let mut bytes = written(layout, &digest_of(&[1.0, 2.0, 2.0, 3.5]));
    for (place, value) in edits {
        let place = place.index(bytes.len());
        bytes[place] = *value;
    }
    bytes.resize(bytes.len().saturating_sub(8) + end, 0);
    bytes
}

proptest! {
    /// Whatever the values, every layout gives the same centroids back.
    #[test]
    fn centroids_survive(values in prop::collection::vec(-1e15f64..1e15, 1..2000)) {
        let values: Vec<f64> =
            values.into_iter().filter(|value| Transform::Standard.holds(*value)).collect();
        let digest = digest_of(&values);
        let centroids: Vec<_> = digest.centroids().collect();
        for layout in LAYOUTS {
            let back = read(*layout, Transform::Standard, &written(*layout, &digest));
            let found: Vec<_> = back.centroids().collect();
            prop_assert_eq!(&centroids, &found, "{}", layout.name());
        }
        let state = duckdb::State::from(&digest);
        let back = read_state(&state);
        prop_assert_eq!(centroids, back.centroids().collect::<Vec<_>>());
    }

    /// Arbitrary bytes are read or refused, never a panic, and what is read can be used.
    #[test]
    fn arbitrary_bytes(layout in 0..LAYOUTS.len(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(digest) = LAYOUTS[layout].read(Transform::Wide, &bytes) {
            let _ = (digest.quantiles(&[0.0, 0.5, 1.0]), digest.to_bytes());
        }
    }

    /// Nearly right bytes are read or refused, never a panic, and what is read can be used.
    #[test]
    fn damaged_bytes(
        layout in 0..LAYOUTS.len(),
        edits in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..4),
        end in 0usize..12,
    ) {
        let layout = LAYOUTS[layout];
        if let Ok(digest) = layout.read(Transform::Standard, &mutated(layout, &edits, end)) {
            let _ = (digest.quantiles(&[0.0, 0.5, 1.0]), digest.to_bytes());
        }
    }
}

/// A million damaged digests: `make test-peers` runs it, for it takes most of a minute.
#[test]
#[ignore = "long: make test-peers"]
fn a_million_damaged_digests() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let whole: Vec<Vec<u8>> = LAYOUTS
        .iter()
        .map(|layout| written(*layout, &digest_of(&eighths()[..30])))
        .chain([golden("foreign-tdunning-small.bin")])
        .collect();
    for _ in 0..1_000_000 {
        let mut bytes = whole[next() as usize % whole.len()].clone();
        for _ in 0..=next() % 3 {
            let place = next() as usize % bytes.len().min(64);
            bytes[place] = next() as u8;
        }
        if next() % 4 == 0 {
            bytes.truncate(next() as usize % (bytes.len() + 1));
        }
        for layout in LAYOUTS {
            if let Ok(digest) = layout.read(Transform::Standard, &bytes) {
                let _ = (digest.quantile_discrete(0.5), digest.to_bytes());
            }
        }
    }
}
