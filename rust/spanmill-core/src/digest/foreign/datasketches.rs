//! Apache DataSketches.

use super::super::{Centroid, Digest, DigestError};
use super::bytes::Bytes;
use super::tdunning::TDunning;
use super::{Layout, Parts, refused};

const PREAMBLE_SHORT: u8 = 1;
const PREAMBLE_LONG: u8 = 2;
const VERSION: u8 = 1;
const FAMILY: u8 = 20;
const EMPTY: u8 = 1;
const SINGLE: u8 = 2;

/// The k that its readers default to, and the largest one that Java's i16 holds.
const K: u16 = 200;
const K_MAX: u16 = 32_767;
/// A reader of `k` has room for 2k + 10 centroids.
const CENTROIDS_MAX: usize = 2 * K_MAX as usize + 10;

/// Apache DataSketches' t-digest of doubles, in C++, Python, Java, Go and Rust.
///
/// Little-endian: preamble, version 1, family 20, u16 k, flags, then nothing
/// (empty), one f64 (a single value), or u32 n, u32 buffered, f64 minimum and
/// maximum, n times f64 mean and u64 weight, the buffered f64.
///
/// Readers from before 2026's fix (PyPI's 5.2.0 and Java's 6.2.0 among them) swap two weights
/// when they interpolate and return wrong quantiles; their ranks are right. The t-digest of floats
/// is read too and, as its own readers do, the bytes of tdunning.
pub struct DataSketches;

impl Layout for DataSketches {
    fn name(&self) -> &'static str {
        "datasketches"
    }

    fn write(&self, digest: &Digest) -> Result<Vec<u8>, DigestError> {
        let centroids: Vec<_> = digest.centroids().collect();
        let n = centroids.len();
        if n > CENTROIDS_MAX {
            let problem = format!("{n} centroids, over its {CENTROIDS_MAX}: lower max_bytes");
            return Err(refused(self.name(), problem));
        }
        let (preamble, flags) = match digest.count() {
            0 => (PREAMBLE_SHORT, EMPTY),
            1 => (PREAMBLE_SHORT, SINGLE),
            _ => (PREAMBLE_LONG, 0),
        };
        let k = (n as u16).clamp(K, K_MAX);
        let mut out = Vec::with_capacity(32 + 16 * n);
        out.extend([preamble, VERSION, FAMILY]);
        out.extend(k.to_le_bytes());
        out.extend([flags, 0, 0]);
        if flags == SINGLE {
            out.extend(centroids[0].mean.to_le_bytes());
        } else if flags == 0 {
            out.extend((n as u32).to_le_bytes());
            out.extend(0u32.to_le_bytes());
            out.extend(digest.min().unwrap_or(f64::INFINITY).to_le_bytes());
            out.extend(digest.max().unwrap_or(f64::NEG_INFINITY).to_le_bytes());
            for Centroid { mean, weight } in centroids {
                out.extend(mean.to_le_bytes());
                out.extend(weight.to_le_bytes());
            }
        }
        Ok(out)
    }

    fn parts(&self, bytes: &[u8]) -> Result<Parts, DigestError> {
        if bytes.starts_with(&[0, 0, 0]) {
            return TDunning.parts(bytes);
        }
        let mut from = Bytes::new(self.name(), bytes);
        let [preamble, version, family, _k_low, _k_high, flags, _, _] = from.take()?;
        let expected = if flags & (EMPTY | SINGLE) == 0 { PREAMBLE_LONG } else { PREAMBLE_SHORT };
        if (preamble, version, family) != (expected, VERSION, FAMILY) {
            let problem = format!(
                "preamble {preamble}, version {version}, family {family}; \
                 expected {expected}, {VERSION}, {FAMILY}"
            );
            return Err(refused(self.name(), problem));
        }
        if flags & EMPTY != 0 {
            return nothing(self.name(), &from);
        }
        if flags & SINGLE != 0 {
            return single(self.name(), from);
        }
        several(self.name(), from)
    }
}

fn nothing(layout: &'static str, from: &Bytes<'_>) -> Result<Parts, DigestError> {
    let _none = from.holds(0, 16)?;
    let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
    Ok(Parts { layout, min, max, total: None, centroids: Vec::new() })
}

fn single(layout: &'static str, mut from: Bytes<'_>) -> Result<Parts, DigestError> {
    let value = match from.left() {
        4 => f64::from(from.take().map(f32::from_le_bytes)?),
        _ => from.take().map(f64::from_le_bytes)?,
    };
    let _none = from.holds(0, 16)?;
    let centroids = vec![Centroid { mean: value, weight: 1 }];
    Ok(Parts { layout, min: value, max: value, total: None, centroids })
}

fn several(layout: &'static str, mut from: Bytes<'_>) -> Result<Parts, DigestError> {
    let n = u64::from(from.take().map(u32::from_le_bytes)?);
    let buffered = u64::from(from.take().map(u32::from_le_bytes)?);
    // Minimum, maximum, n pairs and the buffer: nothing says whether they are floats of
    // 4 or of 8 B, but their number does.
    let words = 2 * n + buffered + 2;
    let width = match from.left() as u64 {
        left if left == words * 8 => 8,
        left if left == words * 4 => 4,
        left => {
            let problem = format!(
                "{n} centroids and {buffered} buffered values take {} B, or {} B as floats; \
                 {left} B are left",
                words * 8,
                words * 4,
            );
            return Err(refused(layout, problem));
        }
    };
    let number = |from: &mut Bytes<'_>| match width {
        8 => from.take().map(f64::from_le_bytes),
        _ => from.take().map(f32::from_le_bytes).map(f64::from),
    };
    let (min, max) = (number(&mut from)?, number(&mut from)?);
    let mut centroids = Vec::with_capacity((n + buffered) as usize);
    for _ in 0..n {
        let mean = number(&mut from)?;
        let weight = match width {
            8 => from.take().map(u64::from_le_bytes)?,
            _ => from.take().map(u32::from_le_bytes)?.into(),
        };
        centroids.push(Centroid { mean, weight });
    }
    for _ in 0..buffered {
        centroids.push(Centroid { mean: number(&mut from)?, weight: 1 });
    }
    Ok(Parts { layout, min, max, total: None, centroids })
}
