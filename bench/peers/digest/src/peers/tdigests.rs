//! The crate `tdigests`.

use tdigests::TDigest;

use crate::Failure;
use crate::request::Setup;
use crate::sketch::Sketch;

/// No incremental insert: a batch becomes a digest, which is merged and compressed.
pub(super) struct Digest {
    digest: Option<TDigest>,
    max_centroids: usize,
}

/// Two f64 each; nothing else is kept.
const CENTROID_BYTES: usize = 16;

impl Digest {
    fn absorb(&mut self, other: TDigest) {
        let mut merged = match &self.digest {
            Some(digest) => digest.merge(&other),
            None => other,
        };
        merged.compress(self.max_centroids);
        self.digest = Some(merged);
    }
}

impl Sketch for Digest {
    const NAME: &'static str = "tdigests";
    const PARAMETER: &'static str = "max_centroids";
    // None of its own: the number of its documentation's examples.
    const DEFAULT: f64 = 100.0;
    const BATCH_MIN: usize = 2;

    fn parameters() -> Vec<f64> {
        (10..=400).map(f64::from).collect()
    }

    fn new(setup: &Setup) -> Result<Self, Failure> {
        Ok(Self { digest: None, max_centroids: setup.parameter as usize })
    }

    fn add(&mut self, values: &[f64]) -> u64 {
        self.absorb(TDigest::from_values(values.to_vec()));
        0
    }

    fn merge(parts: &mut Vec<Self>, setup: &Setup) -> Result<Self, Failure> {
        let centroids = parts.iter().filter_map(|part| part.digest.as_ref());
        let all = centroids.flat_map(|digest| digest.centroids().iter().cloned()).collect();
        let mut merged = Self::new(setup)?;
        merged.absorb(TDigest::from_centroids(all));
        Ok(merged)
    }

    fn reader(&self) -> impl Fn(&[f64], &mut [f64]) {
        move |ranks, out| {
            for (value, rank) in out.iter_mut().zip(ranks) {
                let digest = self.digest.as_ref();
                *value = digest.map_or(f64::NAN, |digest| digest.estimate_quantile(*rank));
            }
        }
    }

    fn serialized_bytes(&self) -> Result<usize, Failure> {
        Ok(self.digest.as_ref().map_or(0, |digest| digest.centroids().len() * CENTROID_BYTES))
    }
}
