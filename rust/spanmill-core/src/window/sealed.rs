//! A sealed bucket: immutable, shared with readers, as small as its content.

use std::ops::Deref;
use std::sync::Arc;

use super::allocated;
use super::open::OpenBucket;
use crate::digest::{Digest, EXACT_MAX, Merger, OpenDigest};

/// Before the values stand the number of measures and the length of each, four to a word.
const HEADS_A_WORD: usize = 4;
const HEAD_BITS: usize = 16;
/// The two counters before what an `Arc` points at.
const ARC_HEAD: usize = 16;

/// Distributions of one series and bucket, one a measure.
///
/// While every measure is exact, all values of the bucket are one allocation:
/// most buckets of a large fleet hold a handful, and a digest of its own for each
/// measure would be ten times that. Buckets with a busy measure hold digests,
/// whose centroids a query reads as they stand.
#[derive(Clone)]
pub(crate) enum Sealed {
    /// Sorted values of every measure, after their lengths.
    Exact { number: i32, words: Arc<[u64]> },
    /// One a measure.
    Digests { number: i32, digests: Arc<[Digest]> },
}

/// The digest of one measure, shared where the bucket holds it as one.
pub(crate) enum OneDigest {
    Shared(Arc<[Digest]>, usize),
    Own(Digest),
}

impl Deref for OneDigest {
    type Target = Digest;

    fn deref(&self) -> &Digest {
        match self {
            Self::Shared(digests, measure) => &digests[*measure],
            Self::Own(digest) => digest,
        }
    }
}

impl Sealed {
    /// Seal an open bucket, of which these are all parts; not empty.
    pub(super) fn from_open(parts: &[&OpenBucket], measures: usize) -> Self {
        let number = parts[0].number;
        if parts.iter().all(|part| part.is_rows()) {
            let rows = |m| parts.iter().flat_map(move |part| part.rows(measures, m)).collect();
            let columns: Vec<Vec<f64>> = (0..measures).map(rows).collect();
            if columns.iter().all(|values| values.len() <= EXACT_MAX) {
                return Self::exact(number, columns);
            }
        }
        let gathered = |measure| OpenBucket::gathered_of(parts, measures, measure);
        let digests = (0..measures).map(|measure| gathered(measure).seal()).collect();
        Self::from_digests(number, digests)
    }

    /// The bucket of a wider tier whose parts these are; not empty.
    ///
    /// A part that is alone is shared: merging it with nothing would change nothing.
    pub(super) fn merge(parts: &[Self], number: i32, measures: usize) -> Self {
        if let [alone] = parts {
            return alone.with_number(number);
        }
        let column = |measure| -> Vec<f64> {
            parts.iter().flat_map(|part| part.values(measure)).map(f64::from_bits).collect()
        };
        let columns: Vec<Vec<f64>> = (0..measures).map(column).collect();
        let is_exact = |part: &Self| matches!(part, Self::Exact { .. });
        if parts.iter().all(is_exact) && columns.iter().all(|values| values.len() <= EXACT_MAX) {
            return Self::exact(number, columns);
        }
        let merged = |(measure, values): (usize, &Vec<f64>)| {
            let exact = exact_digests(values);
            Digest::merge(parts.iter().filter_map(|part| part.shared(measure)).chain(&exact))
        };
        Self::from_digests(number, columns.iter().enumerate().map(merged).collect())
    }

    fn from_digests(number: i32, digests: Vec<Digest>) -> Self {
        if digests.iter().all(Digest::is_exact) {
            let values = |digest: &Digest| digest.centroids().map(|value| value.mean).collect();
            return Self::exact(number, digests.iter().map(values).collect());
        }
        Self::Digests { number, digests: digests.into() }
    }

    fn exact(number: i32, columns: Vec<Vec<f64>>) -> Self {
        let heads = std::iter::once(columns.len()).chain(columns.iter().map(Vec::len));
        let values: usize = columns.iter().map(Vec::len).sum();
        let mut words = Vec::with_capacity(head_words(columns.len()) + values);
        words.resize(head_words(columns.len()), 0);
        write_heads(&mut words, heads);
        for mut values in columns {
            values.sort_unstable_by(f64::total_cmp);
            words.extend(values.into_iter().map(f64::to_bits));
        }
        Self::Exact { number, words: words.into() }
    }

    /// From each measure's sorted values, at most [`EXACT_MAX`]; `words` is scratch.
    pub(crate) fn of_values(number: i32, columns: &[&[f64]], words: &mut Vec<u64>) -> Self {
        words.clear();
        words.resize(head_words(columns.len()), 0);
        let lengths = columns.iter().map(|values| values.len());
        write_heads(words, std::iter::once(columns.len()).chain(lengths));
        words.extend(columns.iter().copied().flatten().map(|value| value.to_bits()));
        Self::Exact { number, words: Arc::from(&words[..]) }
    }

    /// From one digest a measure.
    pub(crate) fn of_digests(number: i32, digests: Vec<Digest>) -> Self {
        Self::Digests { number, digests: digests.into() }
    }

    pub(super) fn with_number(&self, number: i32) -> Self {
        match self {
            Self::Exact { words, .. } => Self::Exact { number, words: Arc::clone(words) },
            Self::Digests { digests, .. } => Self::Digests { number, digests: Arc::clone(digests) },
        }
    }

    /// Its start in seconds over its tier's bucket width.
    pub(crate) fn number(&self) -> i64 {
        match self {
            Self::Exact { number, .. } | Self::Digests { number, .. } => i64::from(*number),
        }
    }

    /// Bits of one measure's sorted values, where the bucket is exact; else nothing.
    pub(crate) fn values(&self, measure: usize) -> impl Iterator<Item = u64> {
        let values = match self {
            Self::Exact { words, .. } => {
                let before: usize = (0..measure).map(|m| head(words, m + 1)).sum();
                let from = head_words(head(words, 0)) + before;
                &words[from..][..head(words, measure + 1)]
            }
            Self::Digests { .. } => &[],
        };
        values.iter().copied()
    }

    /// Add one measure's values to a merge.
    pub(super) fn fold(&self, measure: usize, merger: &mut Merger) {
        match self.shared(measure) {
            Some(digest) => merger.push(digest),
            None => {
                let values: Vec<f64> = self.values(measure).map(f64::from_bits).collect();
                let mut open = OpenDigest::default();
                open.add_all(&values);
                merger.push_open(&open);
            }
        }
    }

    /// One measure's digest, where the bucket holds digests.
    pub(crate) fn shared(&self, measure: usize) -> Option<&Digest> {
        match self {
            Self::Exact { .. } => None,
            Self::Digests { digests, .. } => Some(&digests[measure]),
        }
    }

    /// One measure's digest, shared or built from its values.
    pub(crate) fn digest(&self, measure: usize) -> OneDigest {
        if let Self::Digests { digests, .. } = self {
            return OneDigest::Shared(Arc::clone(digests), measure);
        }
        let values: Vec<f64> = self.values(measure).map(f64::from_bits).collect();
        OneDigest::Own(exact_digests(&values).pop().unwrap_or_default())
    }

    /// Bytes taken from the allocator, the entry in a ring included.
    pub(crate) fn bytes(&self) -> usize {
        let content = match self {
            Self::Exact { words, .. } => allocated(ARC_HEAD + size_of_val(&**words)),
            Self::Digests { digests, .. } => {
                let each = digests.iter().map(|digest| allocated(digest.heap_bytes()));
                allocated(ARC_HEAD + size_of_val(&**digests)) + each.sum::<usize>()
            }
        };
        size_of::<Self>() + content
    }
}

fn write_heads(words: &mut [u64], heads: impl Iterator<Item = usize>) {
    for (at, head) in heads.enumerate() {
        words[at / HEADS_A_WORD] |= (head as u64) << (at % HEADS_A_WORD * HEAD_BITS);
    }
}

fn head_words(measures: usize) -> usize {
    (1 + measures).div_ceil(HEADS_A_WORD)
}

fn head(words: &[u64], at: usize) -> usize {
    let word = words[at / HEADS_A_WORD] >> (at % HEADS_A_WORD * HEAD_BITS);
    word as usize & ((1 << HEAD_BITS) - 1)
}

/// Digests that together hold exactly `values`.
pub(crate) fn exact_digests(values: &[f64]) -> Vec<Digest> {
    let digest = |values: &[f64]| {
        let mut open = OpenDigest::default();
        open.add_all(values);
        open.seal()
    };
    values.chunks(EXACT_MAX).map(digest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(events: usize, measures: usize) -> OpenBucket {
        let mut bucket = OpenBucket::new(3);
        for event in 0..events {
            // Every second event lacks the last measure.
            let value = |m: usize| {
                let absent = m + 1 == measures && event % 2 == 1;
                if absent { f64::NAN } else { ((event * 7919 + m) % events) as f64 }
            };
            bucket.push((0..measures).map(value), &mut 0);
        }
        bucket
    }

    /// A sealed bucket gives each measure the digest its open one had, in either form.
    #[test]
    fn both_forms_hold_the_same() {
        for events in [1, 5, 200, 201, 256, 400, 900] {
            for measures in [1, 3, 4, 6] {
                let open = bucket(events, measures);
                let sealed = Sealed::from_open(&[&open], measures);
                let most = if measures == 1 { events.div_ceil(2) } else { events };
                assert_eq!(most <= EXACT_MAX, matches!(sealed, Sealed::Exact { .. }));
                for measure in 0..measures {
                    let wanted = open.gathered(measures, measure).seal();
                    assert_eq!(wanted, *sealed.digest(measure), "{events} events, {measures}");
                }
            }
        }
    }

    /// Merging buckets gives what merging their digests gives; one alone is shared as it stands.
    #[test]
    fn merging_is_merging_digests() {
        let parts: Vec<Sealed> =
            [30, 60, 300, 110].map(|events| Sealed::from_open(&[&bucket(events, 3)], 3)).into();
        for parts in [&parts[..2], &parts[1..], &parts[3..]] {
            let merged = Sealed::merge(parts, 9, 3);
            assert_eq!(9, merged.number());
            for measure in 0..3 {
                let digests: Vec<OneDigest> = parts.iter().map(|p| p.digest(measure)).collect();
                assert_eq!(
                    Digest::merge(digests.iter().map(Deref::deref)),
                    *merged.digest(measure)
                );
            }
        }
    }

    /// An entry is 24 B, and a bucket of one event of three measures 32 B of content and its counters.
    #[test]
    fn sealed_buckets_are_small() {
        assert_eq!(24, size_of::<Sealed>());
        let one = Sealed::from_open(&[&bucket(1, 3)], 3);
        assert_eq!(24 + allocated(16 + 8 + 3 * 8), one.bytes());
    }
}
