//! A digest that is added to and asked in turns.

use std::sync::Arc;

use super::builder::WEIGHT_MAX;
use super::{Builder, Digest, DigestError, Quantile, Reader, Transform};

/// A growing digest, and what it answers until it changes.
///
/// One that was read from bytes and never added to holds no builder, so that a table
/// of them takes a fraction of the memory.
#[derive(Debug, Clone)]
pub struct LiveDigest {
    transform: Transform,
    max_bytes: usize,
    builder: Option<Builder>,
    answers: Option<Arc<Answers>>,
}

impl LiveDigest {
    /// An empty one, whose digests take at most `max_bytes` as bytes.
    ///
    /// # Errors
    ///
    /// As [`Builder::new`].
    pub fn new(transform: Transform, max_bytes: usize) -> Result<Self, DigestError> {
        let builder = Some(Builder::new(transform, max_bytes)?);
        Ok(Self { transform, max_bytes, builder, answers: None })
    }

    /// One that holds what a digest holds, bit for bit until it changes; its bound is
    /// `max_bytes`, or the bytes that it takes already where those are more.
    ///
    /// # Errors
    ///
    /// As [`Builder::new`], of the bound.
    pub fn of(digest: Digest, max_bytes: usize) -> Result<Self, DigestError> {
        let transform = digest.transform();
        let max_bytes = max_bytes.max(digest.to_bytes().len());
        let _checked = Builder::new(transform, max_bytes)?;
        Ok(Self { transform, max_bytes, builder: None, answers: Some(Answers::new(digest)) })
    }

    /// The axis.
    #[must_use]
    pub fn transform(&self) -> Transform {
        self.transform
    }

    /// Bound of the bytes that a digest takes.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// How many values were added; does not build the answers.
    pub fn count(&mut self) -> u64 {
        match &self.builder {
            Some(builder) => builder.count(),
            None => self.answers().digest().count(),
        }
    }

    /// How many values were refused; does not build the answers.
    pub fn refused(&mut self) -> u64 {
        match &self.builder {
            Some(builder) => builder.refused(),
            None => self.answers().digest().refused(),
        }
    }

    /// Bytes held outside the struct itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.builder.as_ref().map_or(0, Builder::heap_bytes)
            + self.answers.as_ref().map_or(0, |answers| answers.heap_bytes())
    }

    /// Add values; returns how many were refused. See [`Builder::add`].
    ///
    /// # Errors
    ///
    /// The count would pass what a digest counts.
    pub fn add(&mut self, values: &[f64]) -> Result<u64, DigestError> {
        self.change(|builder| Ok(builder.add(values)))
    }

    /// Add each value as often as its weight says; returns how many were refused.
    ///
    /// # Errors
    ///
    /// As [`Builder::add_weighted`], or a weight that is not whole; nothing was added.
    pub fn add_weighted(&mut self, values: &[f64], weights: &[f64]) -> Result<u64, DigestError> {
        let weights = whole(weights)?;
        self.change(|builder| builder.add_weighted(values, &weights))
    }

    /// Add what other digests hold, whatever their order.
    ///
    /// # Errors
    ///
    /// As [`Builder::merge_all`]; nothing was added.
    pub fn merge_all(&mut self, others: &[Arc<Answers>]) -> Result<(), DigestError> {
        let others: Vec<&Digest> = others.iter().map(|answers| &answers.digest).collect();
        self.change(|builder| builder.merge_all(&others))
    }

    /// Everything that can be asked of the values so far; built once until they change.
    pub fn answers(&mut self) -> Arc<Answers> {
        let Self { builder, answers, transform, .. } = self;
        let sealed = || builder.as_ref().map_or_else(|| Digest::empty(*transform), Builder::seal);
        Arc::clone(answers.get_or_insert_with(|| Answers::new(sealed())))
    }

    fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Builder) -> Result<T, DigestError>,
    ) -> Result<T, DigestError> {
        let builder = match &mut self.builder {
            Some(builder) => builder,
            none => {
                let mut builder = Builder::new(self.transform, self.max_bytes)?;
                if let Some(answers) = &self.answers {
                    builder.merge(&answers.digest)?;
                }
                none.insert(builder)
            }
        };
        let changed = change(builder)?;
        self.answers = None;
        Ok(changed)
    }
}

/// Weights from floats, as array libraries hand them over.
fn whole(weights: &[f64]) -> Result<Vec<u64>, DigestError> {
    let whole = |(place, &weight): (usize, &f64)| {
        let fits = weight.fract() == 0.0 && (1.0..=WEIGHT_MAX as f64).contains(&weight);
        let refused = DigestError::Fraction { weight, place, max: WEIGHT_MAX };
        if fits { Ok(weight as u64) } else { Err(refused) }
    };
    weights.iter().enumerate().map(whole).collect()
}

/// A digest with its curve built; `None` stands for what an empty one cannot answer.
#[derive(Debug)]
pub struct Answers {
    digest: Digest,
    reader: Option<Reader>,
}

impl Answers {
    fn new(digest: Digest) -> Arc<Self> {
        let reader = digest.reader();
        Arc::new(Self { digest, reader })
    }

    /// The digest that is asked.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Values at ranks `qs`, in the order asked. See [`Reader::quantile`].
    ///
    /// # Errors
    ///
    /// A rank is not within [0, 1].
    pub fn quantiles(&self, qs: &[f64]) -> Result<Option<Vec<Quantile>>, DigestError> {
        qs.iter().try_for_each(|&q| check_rank(q))?;
        Ok(self.reader.as_ref().map(|reader| reader.quantiles(qs)))
    }

    /// Value at rank `q`. See [`Reader::quantile`].
    ///
    /// # Errors
    ///
    /// The rank is not within [0, 1].
    pub fn quantile(&self, q: f64) -> Result<Option<Quantile>, DigestError> {
        check_rank(q)?;
        Ok(self.reader.as_ref().map(|reader| reader.quantile(q)))
    }

    /// A value near rank `q` that the data has. See [`Reader::discrete`].
    ///
    /// # Errors
    ///
    /// The rank is not within [0, 1].
    pub fn quantile_discrete(&self, q: f64) -> Result<Option<f64>, DigestError> {
        check_rank(q)?;
        Ok(self.reader.as_ref().map(|reader| reader.discrete(q)))
    }

    /// Shares of the values at or below each of `xs`; NaN for NaN. See [`Reader::cdf`].
    #[must_use]
    pub fn cdf(&self, xs: &[f64]) -> Option<Vec<f64>> {
        let reader = self.reader.as_ref()?;
        Some(xs.iter().map(|&x| reader.cdf(x)).collect())
    }

    fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + self.digest.heap_bytes()
            + self.reader.as_ref().map_or(0, Reader::heap_bytes)
    }
}

fn check_rank(q: f64) -> Result<(), DigestError> {
    if (0.0..=1.0).contains(&q) { Ok(()) } else { Err(DigestError::Rank { q }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> LiveDigest {
        LiveDigest::new(Transform::Standard, 1600).expect("1,600 B hold a digest")
    }

    /// What was read keeps its bits until it changes, and has its values afterwards.
    #[test]
    fn a_stored_digest_grows_on() {
        let mut first = live();
        assert_eq!(Ok(0), first.add(&[3.0, 1.0]));
        let stored = first.answers().digest().clone();

        let mut second = LiveDigest::of(stored.clone(), 1600).expect("it fits");
        assert_eq!(&stored, second.answers().digest());
        assert_eq!(Ok(0), second.add(&[2.0]));
        assert_eq!(Ok(Some(2.0)), second.answers().quantile_discrete(0.5));
        assert!(matches!(LiveDigest::of(stored, 0), Err(DigestError::TooSmall { .. })));
    }

    /// An answer is built once until the digest changes, and a refused change keeps it.
    #[test]
    fn answers_last_until_a_change() {
        let mut digest = live();
        assert_eq!(Ok(0), digest.add(&[1.0]));
        let before = digest.answers();
        assert!(digest.add_weighted(&[2.0], &[0.5]).is_err());
        assert!(Arc::ptr_eq(&before, &digest.answers()));
        assert_eq!(Ok(0), digest.add(&[2.0]));
        assert_eq!((1, 2), (before.digest().count(), digest.answers().digest().count()));
    }

    /// A rank outside [0, 1], NaN included, is refused with the rank.
    #[test]
    fn ranks_are_shares() {
        let answers = live().answers();
        assert_eq!(Err(DigestError::Rank { q: 1.5 }), answers.quantile(1.5));
        assert!(answers.quantiles(&[0.5, f64::NAN]).is_err());
        assert_eq!(Ok(None), answers.quantile_discrete(1.0));
    }
}
