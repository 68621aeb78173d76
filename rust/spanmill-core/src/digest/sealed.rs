//! A sealed digest: immutable, shared, mergeable.

use super::compress::{BLOCK, Block, Item, Source};
use super::curve::{Curve, Place};
use super::error::DigestError;
use super::key::Transform;
use super::merge::{EXACT_MERGE_MAX, Merger};
use super::open::EXACT_MAX;
use super::radix;
use super::totals::Totals;

/// Set in the word of a tie.
pub(super) const PURE: u64 = 1 << 31;
const ESCAPED: u64 = 1 << 30;
/// First weight that does not fit into a centroid's word.
const WORD_WEIGHT_MAX: u64 = ESCAPED - 1;

/// Keys that a block of words may span: with its weights the sum of products fits 64 bits.
const OFFSETS_MAX: u32 = 1 << 31;

/// Mean value and weight of one centroid, as other engines store it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Centroid {
    /// Mean, in the measure's unit. Geometric within the centroid.
    pub mean: f64,
    /// How many values.
    pub weight: u64,
}

/// One quantile with how far off its rank may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// The value, in the measure's unit.
    pub value: f64,
    /// Estimated rank error, a share of the count; 0 where exact.
    pub rank_error: f64,
}

/// What another library's digest says of a distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    /// The axis to lay it on.
    pub transform: Transform,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Sum of the values, where the layout carries one.
    pub sum: Option<f64>,
    /// In any order.
    pub centroids: Vec<Centroid>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    /// Sorted values as they came.
    Exact(Box<[f64]>),
    /// 8 B a centroid.
    Centroids(Centroids),
}

/// Centroids by key: a word holds key, purity and weight, and sorts as its key does.
///
/// Weights of 2^30 and up are escaped into `large`, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Centroids {
    words: Box<[u64]>,
    large: Box<[u64]>,
}

/// A word for a weight below 2^30.
#[inline]
pub(super) fn word(key: i32, weight: u64, pure: bool) -> u64 {
    u64::from(radix::place(key)) << 32 | if pure { PURE } else { 0 } | weight
}

/// What a word sorts by.
#[inline]
pub(super) fn word_place(word: u64) -> u32 {
    (word >> 32) as u32
}

/// The key of a word.
#[inline]
pub(super) fn word_key(word: u64) -> i32 {
    radix::key(word_place(word))
}

/// The weight of a word that is not escaped.
#[inline]
pub(super) fn word_weight(word: u64) -> u64 {
    word & WORD_WEIGHT_MAX
}

/// The centroid of a word that is not escaped.
#[inline]
pub(super) fn word_item(word: u64) -> Item {
    let weight = word_weight(word);
    let key = word_key(word);
    if word & PURE == 0 { Item::mean(key, weight) } else { Item::tie(key, weight) }
}

/// A word is read as its item.
impl Source for u64 {
    const SINGLY: usize = BLOCK;

    #[inline]
    fn item(self) -> Item {
        word_item(self)
    }

    #[inline]
    fn block(words: &[Self; BLOCK]) -> Option<Block> {
        let (first, last) = (word_place(words[0]), word_place(words[BLOCK - 1]));
        let (mut weight, mut offset_sum, mut pure, mut ties) = (0, 0, PURE, 0);
        for &word in words {
            let one = word_weight(word);
            weight += one;
            // What passes 64 bits is not used.
            offset_sum = u64::wrapping_add(offset_sum, u64::from(word_place(word) - first) * one);
            pure &= word;
            // A tie's weight passes 1, a mean's bit for ties is not set.
            ties |= (word & PURE) * (one >> 1);
        }
        let weight = u32::try_from(weight).ok()?;
        // Weights have 30 bits, so that eight products fit.
        let fits = ties == 0 && last - first < OFFSETS_MAX;
        fits.then(|| Block {
            ends: (radix::key(first), radix::key(last)),
            weight,
            offset_sum,
            pure: pure != 0,
        })
    }
}

/// Whether two words are one tie.
#[inline]
fn is_one_tie(one: u64, two: u64) -> bool {
    // Equal places and purity in both, in one comparison.
    ((one ^ two) | (!one & PURE)) & !WORD_WEIGHT_MAX & !ESCAPED == 0
}

/// Join sorted words that are one tie; `false` where the weight of one does not fit a word.
pub(super) fn join_words(words: &mut Vec<u64>) -> bool {
    let next = words.get(1..).unwrap_or_default();
    // Measures that are no whole numbers have none, or few: looking for them is a third of joining.
    if !words.iter().zip(next).fold(false, |any, (&one, &two)| any | is_one_tie(one, two)) {
        return true;
    }
    let mut fits = true;
    words.dedup_by(|word, kept| {
        let tie = is_one_tie(*word, *kept);
        let weight = (*word & WORD_WEIGHT_MAX) + (*kept & WORD_WEIGHT_MAX);
        fits &= !tie || weight <= WORD_WEIGHT_MAX;
        if tie && weight <= WORD_WEIGHT_MAX {
            *kept += *word & WORD_WEIGHT_MAX;
            return true;
        }
        false
    });
    fits
}

impl Item {
    /// As a word, where the weight fits.
    #[inline]
    pub(super) fn as_word(self) -> Option<u64> {
        (self.weight <= WORD_WEIGHT_MAX).then(|| word(self.key, self.weight, self.is_pure()))
    }
}

impl Centroids {
    pub(super) fn from_items(items: &[Item]) -> Self {
        let mut large = Vec::new();
        let words = items
            .iter()
            .map(|item| {
                item.as_word().unwrap_or_else(|| {
                    large.push(item.weight);
                    word(item.key, ESCAPED | (large.len() as u64 - 1), item.is_pure())
                })
            })
            .collect();
        Self { words, large: large.into() }
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = Item> + Clone {
        self.words.iter().map(|&word| {
            let item = word_item(word);
            if word & ESCAPED == 0 {
                return item;
            }
            Item { weight: self.large[item.weight as usize], ..item }
        })
    }

    /// The words, where every one says its own weight.
    pub(super) fn as_words(&self) -> Option<&[u64]> {
        self.large.is_empty().then_some(&*self.words)
    }
}

/// How many values of one histogram bin had their ranks forgotten; parts add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Forgotten {
    /// Those of the heaviest bin.
    pub bin: u64,
    /// Those that a bin had more than either neighbour, beyond chance: a tie among them
    /// may be anywhere in it.
    pub spike: u64,
}

impl Forgotten {
    pub(super) fn add(&mut self, other: Self) {
        self.bin = self.bin.saturating_add(other.bin);
        self.spike = self.spike.saturating_add(other.spike);
    }
}

/// The distribution of one series, measure and stretch of event time.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    pub(super) transform: Transform,
    pub(super) totals: Totals,
    pub(super) forgotten: Forgotten,
    pub(super) body: Body,
}

impl Default for Digest {
    fn default() -> Self {
        Self::empty(Transform::Standard)
    }
}

impl Digest {
    /// A digest of no values.
    #[must_use]
    pub fn empty(transform: Transform) -> Self {
        Self::exact(transform, Totals::new(transform), Vec::new())
    }

    /// From values in any order, all of them in `totals`.
    pub(super) fn exact(transform: Transform, totals: Totals, mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        Self {
            transform,
            totals,
            forgotten: Forgotten::default(),
            body: Body::Exact(values.into()),
        }
    }

    /// From sorted centroids.
    pub(super) fn compressed(
        transform: Transform,
        totals: Totals,
        forgotten: Forgotten,
        items: &[Item],
    ) -> Self {
        let body = Body::Centroids(Centroids::from_items(items));
        Self { transform, totals, forgotten, body }
    }

    /// From another library's centroids.
    ///
    /// Means become keys; a centroid of weight 1 is taken for the value itself. The sum
    /// is not exact, and estimated from the centroids where none was told.
    ///
    /// # Errors
    ///
    /// A mean or extreme that is not a number or off the axis, a weight of 0,
    /// extremes that do not enclose the means, or more than 10^18 values.
    pub fn from_centroids(foreign: Foreign) -> Result<Self, DigestError> {
        let Foreign { transform, min, max, sum, mut centroids } = foreign;
        if centroids.is_empty() {
            return Ok(Self::empty(transform));
        }
        let mut totals = Totals::new(transform);
        for (place, centroid) in centroids.iter().enumerate() {
            let refuse =
                |reason| Err(DigestError::Centroid { place, centroids: centroids.len(), reason });
            if !transform.holds(centroid.mean) {
                return refuse(match transform {
                    Transform::Standard => {
                        "its mean is not a number from 2^-64 to 2^64 in size: read it as a wide digest"
                    }
                    Transform::Wide => "its mean is not a finite number",
                });
            }
            if centroid.weight == 0 {
                return refuse("the weight is 0");
            }
            totals.check_room(centroid.weight)?;
            totals.add_weighted(centroid.mean, centroid.weight);
        }
        centroids.sort_by(|a, b| a.mean.total_cmp(&b.mean).then(a.weight.cmp(&b.weight)));
        let (low, high) = (totals.min, totals.max);
        if !(transform.holds(min) && transform.holds(max) && min <= low && high <= max) {
            return Err(DigestError::Extremes { min, max, low, high });
        }
        (totals.min, totals.max) = (min, max);
        if let Some(told) = sum.filter(|sum| sum.is_finite()) {
            totals.sum = Totals::new(transform).sum;
            totals.sum.add_weighted(told, 1);
        }
        totals.sum = totals.sum.estimated();
        Ok(Self::of_foreign(transform, totals, &centroids))
    }

    fn of_foreign(transform: Transform, totals: Totals, centroids: &[Centroid]) -> Self {
        let ends = (centroids[0].mean, centroids[centroids.len() - 1].mean);
        if centroids.iter().all(|it| it.weight == 1) && ends == (totals.min, totals.max) {
            let values = centroids.iter().map(|centroid| centroid.mean).collect();
            return Self::exact(transform, totals, values);
        }
        let item = |centroid: &Centroid| {
            let key = transform.key(centroid.mean);
            match centroid.weight {
                1 => Item::tie(key, 1),
                weight => Item::mean(key, weight),
            }
        };
        let items: Vec<Item> = centroids.iter().map(item).collect();
        Self::compressed(transform, totals, Forgotten::default(), &items)
    }

    /// The axis its keys lie on.
    #[must_use]
    pub fn transform(&self) -> Transform {
        self.transform
    }

    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.totals.count
    }

    /// How many values were refused: not a number, infinite, or off the axis.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.totals.refused
    }

    /// Sum of the values: to a nano-unit each on the standard axis, to the last bit on
    /// the wide one; infinite where it passes f64.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.totals.sum.value()
    }

    /// Whether the sum was added up from the values, without overflow: not told by a foreign
    /// digest nor estimated from its centroids.
    #[must_use]
    pub fn sum_is_exact(&self) -> bool {
        self.totals.sum.is_exact()
    }

    /// Smallest value; `None` while empty.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        (self.count() > 0).then_some(self.totals.min)
    }

    /// Largest value; `None` while empty.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        (self.count() > 0).then_some(self.totals.max)
    }

    /// Whether every quantile is one of the values that went in.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        matches!(self.body, Body::Exact(_))
    }

    /// Bytes held outside the struct itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let body = match &self.body {
            Body::Exact(values) => values.len() * 8,
            Body::Centroids(centroids) => (centroids.words.len() + centroids.large.len()) * 8,
        };
        body + self.totals.sum.heap_bytes()
    }

    /// Keys in order with their weights.
    pub(super) fn weighted_keys(&self) -> Vec<(i32, u64)> {
        match &self.body {
            Body::Exact(values) => values.iter().map(|&v| (self.transform.key(v), 1)).collect(),
            Body::Centroids(centroids) => {
                centroids.iter().map(|item| (item.key, item.weight)).collect()
            }
        }
    }

    /// Centroids in order, means clamped to the true minimum and maximum.
    pub fn centroids(&self) -> impl Iterator<Item = Centroid> {
        let (exact, centroids) = match &self.body {
            Body::Exact(values) => (Some(values), None),
            Body::Centroids(centroids) => (None, Some(centroids)),
        };
        let values = exact.into_iter().flatten().map(|&mean| Centroid { mean, weight: 1 });
        let means = centroids.into_iter().flat_map(Centroids::iter).map(|item| Centroid {
            mean: self.transform.value(item.key, 0.0).clamp(self.totals.min, self.totals.max),
            weight: item.weight,
        });
        values.chain(means)
    }

    /// Merge parts into a digest to store, of at most [`CENTROIDS`](super::CENTROIDS) centroids.
    ///
    /// The result depends on the parts as a multiset, not on their order. It is wide
    /// where one of the parts is.
    #[must_use]
    pub fn merge<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::merge_to(parts, EXACT_MAX)
    }

    /// Merge parts into a digest to read once: exact for longer than a stored one.
    ///
    /// No finer than a stored one: 36 leaves left at 800 centroids form a
    /// staircase (1,300 ppm at worst against 280 at 200).
    #[must_use]
    pub fn merge_for_query<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::merge_to(parts, EXACT_MERGE_MAX)
    }

    fn merge_to<'a>(parts: impl IntoIterator<Item = &'a Self>, exact_max: usize) -> Self {
        let mut merger = Merger::new(Transform::Standard).exact_to(exact_max);
        parts.into_iter().for_each(|part| merger.push(part));
        merger.finish()
    }

    /// The digest, ready to be read many times; `None` while empty.
    #[must_use]
    pub fn reader(&self) -> Option<Reader> {
        let Totals { count, min, max, .. } = self.totals;
        let shape = match &self.body {
            _ if count == 0 => return None,
            Body::Exact(values) => Shape::Exact(values.clone()),
            Body::Centroids(centroids) => {
                let ends = (self.transform.key(min), self.transform.key(max));
                Shape::Curve(Curve::new(centroids.iter(), count, self.forgotten, ends))
            }
        };
        Some(Reader { transform: self.transform, min, max, shape })
    }

    /// Values at ranks `qs`, in the order asked; `None` while empty. See [`Reader::quantile`].
    #[must_use]
    pub fn quantiles(&self, qs: &[f64]) -> Option<Vec<Quantile>> {
        Some(self.reader()?.quantiles(qs))
    }

    /// A value near rank `q` that the data has; `None` while empty. See [`Reader::discrete`].
    #[must_use]
    pub fn quantile_discrete(&self, q: f64) -> Option<f64> {
        Some(self.reader()?.discrete(q))
    }

    /// Shares of the values at or below each of `xs`; `None` while empty. See [`Reader::cdf`].
    #[must_use]
    pub fn cdf(&self, xs: &[f64]) -> Option<Vec<f64>> {
        let reader = self.reader()?;
        Some(xs.iter().map(|&x| reader.cdf(x)).collect())
    }
}

#[derive(Debug, Clone)]
enum Shape {
    Exact(Box<[f64]>),
    Curve(Curve),
}

/// A digest that is not empty, its curve built once.
#[derive(Debug, Clone)]
pub struct Reader {
    transform: Transform,
    min: f64,
    max: f64,
    shape: Shape,
}

impl Reader {
    /// Bytes held outside the struct itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.shape {
            Shape::Exact(values) => values.len() * 8,
            Shape::Curve(curve) => curve.heap_bytes(),
        }
    }

    /// Value at rank `q`, held within [0, 1].
    ///
    /// Exact digests return the smallest value whose share of values at or below
    /// it reaches q. Others read a monotone cubic through the centroids.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Quantile {
        let curve = match &self.shape {
            Shape::Exact(values) => {
                return Quantile { value: value_at(values, q), rank_error: 0.0 };
            }
            Shape::Curve(curve) => curve,
        };
        let (place, rank_error) = curve.at(q.clamp(0.0, 1.0));
        let value = if q <= 0.0 {
            self.min
        } else if q >= 1.0 {
            self.max
        } else {
            self.value(curve, place)
        };
        Quantile { value, rank_error }
    }

    /// Values at ranks `qs`, in the order asked.
    #[must_use]
    pub fn quantiles(&self, qs: &[f64]) -> Vec<Quantile> {
        qs.iter().map(|&q| self.quantile(q)).collect()
    }

    /// Never a value from inside a gap: the tie at rank `⌈q · count⌉`, or the mean of
    /// the centroid that holds it.
    #[must_use]
    pub fn discrete(&self, q: f64) -> f64 {
        match &self.shape {
            Shape::Exact(values) => value_at(values, q),
            Shape::Curve(curve) => self.value(curve, (curve.holds(q), 0.0)),
        }
    }

    /// Share of the values at or below `x`, in [0, 1]; NaN for NaN.
    ///
    /// The inverse of [`quantile`](Self::quantile) on the same curve. A tie's whole
    /// weight is at or below every value that shares its key.
    #[must_use]
    pub fn cdf(&self, x: f64) -> f64 {
        match &self.shape {
            _ if x.is_nan() => f64::NAN,
            Shape::Exact(values) => {
                values.partition_point(|&value| value <= x) as f64 / values.len() as f64
            }
            _ if x < self.min => 0.0,
            _ if x >= self.max => 1.0,
            Shape::Curve(curve) => curve.share(self.transform.place(x)),
        }
    }

    /// The value at a place, which at either end is the very extreme.
    fn value(&self, curve: &Curve, place: Place) -> f64 {
        match curve.is_end(place) {
            (true, _) => self.min,
            (_, true) => self.max,
            _ => self.transform.value(place.0, place.1).clamp(self.min, self.max),
        }
    }
}

/// The smallest of sorted values whose share of values at or below it reaches q.
fn value_at(values: &[f64], q: f64) -> f64 {
    let place = (q * values.len() as f64).ceil() as usize;
    values[place.clamp(1, values.len()) - 1]
}
