//! Trino.

use super::super::{Digest, DigestError};
use super::bytes::Bytes;
use super::{Layout, Parts, centroid, refused};

const FORMAT: u8 = 0;
const COMPRESSION: f64 = 100.0;

/// Trino's `tdigest` type, as `CAST(… AS varbinary)`: for `merge` and `values_at_quantiles`.
///
/// Little-endian: a format byte 0; f64 minimum, maximum, compression and total
/// weight; i32 n; n f64 means; n f64 weights.
///
/// The compression is at least n, so that Trino keeps the centroids when it merges.
/// What it merges into a digest of its own it compresses to its own 100.
pub struct Trino;

impl Layout for Trino {
    fn name(&self) -> &'static str {
        "trino"
    }

    fn write(&self, digest: &Digest) -> Result<Vec<u8>, DigestError> {
        let centroids: Vec<_> = digest.centroids().collect();
        let n = i32::try_from(centroids.len())
            .map_err(|_| refused(self.name(), "more than 2^31 centroids: lower max_bytes"))?;
        let mut out = Vec::with_capacity(37 + 16 * centroids.len());
        out.push(FORMAT);
        out.extend(digest.min().unwrap_or(f64::INFINITY).to_le_bytes());
        out.extend(digest.max().unwrap_or(f64::NEG_INFINITY).to_le_bytes());
        out.extend(COMPRESSION.max(f64::from(n)).to_le_bytes());
        out.extend((digest.count() as f64).to_le_bytes());
        out.extend(n.to_le_bytes());
        out.extend(centroids.iter().flat_map(|it| it.mean.to_le_bytes()));
        out.extend(centroids.iter().flat_map(|it| (it.weight as f64).to_le_bytes()));
        Ok(out)
    }

    fn parts(&self, bytes: &[u8]) -> Result<Parts, DigestError> {
        let mut from = Bytes::new(self.name(), bytes);
        let [format] = from.take()?;
        if format != FORMAT {
            return Err(refused(self.name(), format!("format {format}; only {FORMAT} is known")));
        }
        let f64 = |from: &mut Bytes<'_>| from.take().map(f64::from_le_bytes);
        let (min, max, _compression, total) =
            (f64(&mut from)?, f64(&mut from)?, f64(&mut from)?, f64(&mut from)?);
        let n = from.take().map(i32::from_le_bytes)?;
        let n = from.holds(n.into(), 16)?;
        let means = (0..n).map(|_| f64(&mut from)).collect::<Result<Vec<_>, _>>()?;
        let centroids = means
            .into_iter()
            .map(|mean| centroid(self.name(), mean, from.take().map(f64::from_le_bytes)?))
            .collect::<Result<_, _>>()?;
        Ok(Parts { layout: self.name(), min, max, total: Some(total), centroids })
    }
}
