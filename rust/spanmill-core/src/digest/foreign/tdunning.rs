//! T. Dunning's own.

use super::super::{Centroid, Digest, DigestError};
use super::bytes::Bytes;
use super::{Layout, Parts, centroid, refused};

pub(super) const VERBOSE: i32 = 1;
pub(super) const SMALL: i32 = 2;
const COMPRESSION: f64 = 100.0;

/// The reference implementation, `MergingDigest` of `com.tdunning:t-digest`: `asBytes`, `fromBytes`.
///
/// Big-endian: i32 1; f64 minimum, maximum and compression; i32 n; n times f64
/// weight and mean.
///
/// Its small encoding (i32 2) is read too: values and weights in single floats stay as
/// coarse as they are. `AVLTreeDigest` has bytes of its own, which are refused.
pub struct TDunning;

impl Layout for TDunning {
    fn name(&self) -> &'static str {
        "tdunning"
    }

    fn write(&self, digest: &Digest) -> Result<Vec<u8>, DigestError> {
        let centroids: Vec<_> = digest.centroids().collect();
        let n = i32::try_from(centroids.len())
            .map_err(|_| refused(self.name(), "more than 2^31 centroids: lower max_bytes"))?;
        let mut out = Vec::with_capacity(32 + 16 * centroids.len());
        out.extend(VERBOSE.to_be_bytes());
        out.extend(digest.min().unwrap_or(f64::INFINITY).to_be_bytes());
        out.extend(digest.max().unwrap_or(f64::NEG_INFINITY).to_be_bytes());
        out.extend(COMPRESSION.max(f64::from(n)).to_be_bytes());
        out.extend(n.to_be_bytes());
        for Centroid { mean, weight } in centroids {
            out.extend((weight as f64).to_be_bytes());
            out.extend(mean.to_be_bytes());
        }
        Ok(out)
    }

    fn parts(&self, bytes: &[u8]) -> Result<Parts, DigestError> {
        let mut from = Bytes::new(self.name(), bytes);
        let encoding = from.take().map(i32::from_be_bytes)?;
        match encoding {
            VERBOSE => verbose(self.name(), from),
            SMALL => small(self.name(), from),
            _ => Err(refused(self.name(), format!("encoding {encoding}; 1 and 2 are known"))),
        }
    }
}

fn verbose(layout: &'static str, mut from: Bytes<'_>) -> Result<Parts, DigestError> {
    let f64 = |from: &mut Bytes<'_>| from.take().map(f64::from_be_bytes);
    let (min, max, _compression) = (f64(&mut from)?, f64(&mut from)?, f64(&mut from)?);
    let n = from.take().map(i32::from_be_bytes)?;
    let n = from.holds(n.into(), 16)?;
    let one = |_| {
        let (weight, mean) = (f64(&mut from)?, f64(&mut from)?);
        centroid(layout, mean, weight)
    };
    let centroids = (0..n).map(one).collect::<Result<_, _>>()?;
    Ok(Parts { layout, min, max, total: None, centroids })
}

fn small(layout: &'static str, mut from: Bytes<'_>) -> Result<Parts, DigestError> {
    let f64 = |from: &mut Bytes<'_>| from.take().map(f64::from_be_bytes);
    let f32 = |from: &mut Bytes<'_>| from.take().map(f32::from_be_bytes).map(f64::from);
    let (min, max) = (f64(&mut from)?, f64(&mut from)?);
    // Compression, and the lengths of two arrays of the writer's.
    let _sizes = from.take::<8>()?;
    let n = from.take().map(i16::from_be_bytes)?;
    let n = from.holds(n.into(), 8)?;
    let one = |_| {
        let (weight, mean) = (f32(&mut from)?, f32(&mut from)?);
        // Rounding to a single float may have carried a mean past the extremes.
        let mean = if min <= max { mean.clamp(min, max) } else { mean };
        centroid(layout, mean, weight)
    };
    let centroids = (0..n).map(one).collect::<Result<_, _>>()?;
    Ok(Parts { layout, min, max, total: None, centroids })
}
