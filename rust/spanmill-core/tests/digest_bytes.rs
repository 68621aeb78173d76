//! The native layout: golden files, damage, and arbitrary bytes.

mod digest_model;

use std::path::PathBuf;

use digest_model::{Uniform, values as stream};
use proptest::prelude::*;
use spanmill_core::digest::{Builder, Centroid, Digest, DigestError, Foreign, Transform};

fn built(transform: Transform, values: &[f64]) -> Digest {
    let mut builder = Builder::new(transform, 1_600).expect("enough bytes");
    let _ = builder.add(values);
    builder.seal()
}

/// Deterministic values without the library's functions, which differ between machines.
fn spread(n: usize) -> Vec<f64> {
    let mut u = Uniform(41);
    (0..n).map(|_| 1e-3 / (1.0 - u.next()) + 0.25 * u.next()).collect()
}

/// Name and content of each golden file.
fn golden() -> Vec<(&'static str, Digest)> {
    let refused = [f64::NAN, 1.0, -0.0, 2.5, f64::INFINITY];
    let huge: Vec<f64> = spread(3_000).iter().map(|v| v * 1e200).chain([5e-324, -1e308]).collect();
    let heavy = [(0.05, 3_000_000_000), (1.2, 1), (7.0, 1_000_000_000_000)];
    let centroids = heavy.map(|(mean, weight)| Centroid { mean, weight }).to_vec();
    let foreign =
        Foreign { transform: Transform::Standard, min: 0.01, max: 9.0, sum: None, centroids };
    vec![
        ("empty", Digest::empty(Transform::Standard)),
        ("exact", built(Transform::Standard, &refused)),
        ("centroids", built(Transform::Standard, &spread(20_000))),
        ("wide", built(Transform::Wide, &huge)),
        ("escaped", Digest::from_centroids(foreign).expect("valid centroids")),
    ]
}

fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    folder.join(format!("digest-{name}.bin"))
}

/// Digests are written as the golden files have it, byte for byte, and read back as they were.
#[test]
fn golden_files_hold() {
    for (name, digest) in golden() {
        let file = std::fs::read(path(name)).expect("a golden file");
        assert_eq!(file, digest.to_bytes(), "{name}");
        assert_eq!(Ok(digest), Digest::from_bytes(&file), "{name}");
    }
}

/// Writes golden files that do not exist yet. Change none: version 1 must stay readable.
#[test]
#[ignore = "writes files"]
fn write_golden_files() {
    for (name, digest) in golden() {
        if !path(name).exists() {
            std::fs::write(path(name), digest.to_bytes()).expect("a writable folder");
        }
    }
}

/// A wrong start, a newer version and a flipped bit are told apart, each with what to do.
#[test]
fn damage_is_named() {
    let good = built(Transform::Standard, &stream("lognormal-1", 5_000, 1)).to_bytes();
    let error = |bytes: &[u8]| Digest::from_bytes(bytes).expect_err("damaged").to_string();
    assert_eq!("not a spanmill digest: it starts with nothing, not with 53 4d 44 47", error(b""));
    assert!(error(b"PAR1 and more").starts_with("not a spanmill digest: it starts with 50 41"));
    let mut newer = good.clone();
    newer[4] = 9;
    assert_eq!("digest version 9 is newer than 1: upgrade spanmill to read it", error(&newer));
    for at in 5..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 0x10;
        assert!(error(&damaged).contains("damaged on its way"), "byte {at}");
    }
    assert!(error(&good[..good.len() - 1]).contains("checksum"));
}

/// Bytes with a right checksum over wrong content are refused with the place.
#[test]
fn contradictions_are_named() {
    let good = built(Transform::Standard, &stream("lognormal-1", 5_000, 1)).to_bytes();
    let mut flags = good.clone();
    flags[5] |= 0x80;
    let error = Digest::from_bytes(&resealed(flags)).expect_err("a contradiction");
    let reason = "a flag is set that version 1 does not have";
    assert_eq!(DigestError::Malformed { offset: 5, reason }, error);
    let mut count = good;
    count[6] ^= 1;
    let error = Digest::from_bytes(&resealed(count)).expect_err("a contradiction").to_string();
    assert!(error.ends_with("the weights do not add up to the count"), "{error}");
}

/// The bytes with a checksum that fits them.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len().saturating_sub(4);
    let checksum = crc32c::crc32c(&bytes[..end]);
    bytes.truncate(end);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Whatever is read must answer without a panic.
fn read(bytes: &[u8]) {
    let Ok(digest) = Digest::from_bytes(bytes) else { return };
    assert_eq!(Ok(digest.clone()), Digest::from_bytes(&digest.to_bytes()));
    if let Some(reader) = digest.reader() {
        let values = [0.0, 0.3, 0.999, 1.0].map(|q| reader.quantile(q).value);
        assert!(values.is_sorted(), "{values:?}");
        let _ = values.map(|value| reader.cdf(value));
    }
    let merged = Digest::merge_for_query([&digest, &digest]);
    assert!(merged.count() >= digest.count());
}

proptest! {
    /// Arbitrary bytes, with or without a right start and checksum, are read or refused.
    #[test]
    fn arbitrary_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..200), wide: bool) {
        read(&tail);
        for flags in 0..8 {
            let mut bytes = b"SMDG\x01".to_vec();
            bytes.push(flags ^ u8::from(wide));
            bytes.extend_from_slice(&tail);
            bytes.extend_from_slice(&[0; 4]);
            read(&resealed(bytes));
        }
    }

    /// What was written is read back the same, from either axis and any tier.
    #[test]
    fn bytes_round_trip(values in prop::collection::vec(-1e9f64..1e9, 0..2_000), wide: bool) {
        let digest = built(if wide { Transform::Wide } else { Transform::Standard }, &values);
        prop_assert_eq!(Ok(digest.clone()), Digest::from_bytes(&digest.to_bytes()));
    }
}

fn mutate(turns: usize) {
    let goods: Vec<Vec<u8>> = golden().into_iter().map(|(_, digest)| digest.to_bytes()).collect();
    let mut u = Uniform(43);
    for turn in 0..turns {
        let mut bytes = goods[u.below(goods.len())].clone();
        for _ in 0..=u.below(3) {
            let at = 5 + u.below(bytes.len() - 5);
            match u.below(4) {
                0 => bytes[at] = u.below(256) as u8,
                1 => bytes[at] ^= 1 << u.below(8),
                2 => drop(bytes.drain(at..(at + 1 + u.below(9)).min(bytes.len()))),
                _ => bytes.insert(at, u.below(256) as u8),
            }
            if bytes.len() < 16 {
                break;
            }
        }
        read(&if turn % 8 == 0 { bytes } else { resealed(bytes) });
    }
}

/// Good digests with a few bytes changed, most with a checksum that fits.
#[test]
fn mutated_bytes_never_panic() {
    mutate(20_000);
}

/// The same for longer.
#[test]
#[ignore = "long: make test-peers"]
fn a_million_mutations_never_panic() {
    mutate(1_000_000);
}
