//! A block of a file: some buckets of one view as columns, sorted by series and time.
//!
//! | column | of each |
//! |---|---|
//! | stable id, as steps | series |
//! | place of each text in the dictionary, one column a dimension | series |
//! | how many buckets | series |
//! | number, counted from the file's first | bucket |
//! | `values << 1`, or 1 for a digest, one column a measure | bucket |
//! | values, one column a measure | value |
//! | digests, each with its length | digest |
//!
//! What is exact is bit for bit what was measured.

use crate::codec::{Damaged, Read, Reader, Writer};
use crate::digest::{Digest, EXACT_MAX, holds};
use crate::pack::{pack_f64, pack_u64, unpack_f64, unpack_u64};
use crate::window::{Sealed, exact_digests};

/// Stands for a text that is absent; the dictionary's start after it.
pub(super) const ABSENT: u64 = 0;

/// A block ends once it is about so long: one series is read without much of the others.
const BYTES: usize = 64 << 10;
/// Bytes that a value is taken for, before it is packed.
const VALUE_BYTES: usize = 4;
/// And what tells a bucket and its series.
const ENTRY_BYTES: usize = 16;

/// More buckets, or values of one measure, than a block of ours ever has.
const ENTRIES_MAX: usize = BYTES / ENTRY_BYTES + 1;
const VALUES_MAX: usize = BYTES / VALUE_BYTES + EXACT_MAX;

/// Columns on their way into a block.
pub(super) struct BlockBuilder {
    stables: Vec<i64>,
    texts: Vec<Vec<u64>>,
    buckets: Vec<u64>,
    numbers: Vec<u64>,
    lengths: Vec<Vec<u64>>,
    values: Vec<Vec<f64>>,
    digests: Writer,
    /// Room taken, about.
    bytes: usize,
}

impl BlockBuilder {
    pub(super) fn new(dimensions: usize, measures: usize) -> Self {
        Self {
            stables: Vec::new(),
            texts: vec![Vec::new(); dimensions],
            buckets: Vec::new(),
            numbers: Vec::new(),
            lengths: vec![Vec::new(); measures],
            values: vec![Vec::new(); measures],
            digests: Writer::default(),
            bytes: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BYTES
    }

    /// Stable id of the first series.
    pub(super) fn first(&self) -> Option<i64> {
        self.stables.first().copied()
    }

    /// Begin a series; its buckets follow.
    pub(super) fn series(&mut self, stable: i64, texts: impl Iterator<Item = u64>) {
        self.stables.push(stable);
        self.buckets.push(0);
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.push(text));
    }

    /// Add a bucket to the series begun last.
    pub(super) fn bucket(&mut self, bucket: &Sealed, from: i64) {
        if let Some(buckets) = self.buckets.last_mut() {
            *buckets += 1;
        }
        self.numbers.push((bucket.number() - from).cast_unsigned());
        self.bytes += ENTRY_BYTES;
        for measure in 0..self.lengths.len() {
            match bucket.shared(measure) {
                None => self.exact(measure, bucket.values(measure).map(f64::from_bits)),
                Some(digest) => self.digest(measure, digest),
            }
        }
    }

    fn exact(&mut self, measure: usize, values: impl Iterator<Item = f64>) {
        let column = &mut self.values[measure];
        let before = column.len();
        column.extend(values);
        let added = column.len() - before;
        self.lengths[measure].push((added as u64) << 1);
        self.bytes += added * VALUE_BYTES;
    }

    fn digest(&mut self, measure: usize, digest: &Digest) {
        if digest.is_exact() {
            let values: Vec<f64> = digest.centroids().map(|value| value.mean).collect();
            if of_values(&values) == *digest {
                return self.exact(measure, values.into_iter());
            }
        }
        let mut content = Vec::with_capacity(digest.heap_bytes());
        digest.write_content(&mut content);
        self.digests.bytes(&content);
        self.lengths[measure].push(1);
        self.bytes += content.len();
    }

    /// The block's bytes; the builder is empty then.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut out = Writer::default();
        out.varint(self.stables.len() as u64);
        out.varint(self.numbers.len() as u64);
        out.i64(self.stables.first().copied().unwrap_or(0));
        let steps = self.stables.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
        pack_u64(&steps.map(i64::cast_unsigned).collect::<Vec<_>>(), &mut out);
        self.texts.iter().for_each(|column| pack_u64(column, &mut out));
        pack_u64(&self.buckets, &mut out);
        pack_u64(&self.numbers, &mut out);
        self.lengths.iter().for_each(|column| pack_u64(column, &mut out));
        self.values.iter().for_each(|column| pack_f64(column, &mut out));
        out.0.extend_from_slice(&self.digests.0);
        *self = Self::new(self.texts.len(), self.lengths.len());
        out.0
    }
}

/// The digest that holds exactly `values`, at most [`EXACT_MAX`].
fn of_values(values: &[f64]) -> Digest {
    exact_digests(values).pop().unwrap_or_default()
}

/// A block being read.
#[derive(Default)]
pub(super) struct Block {
    stables: Vec<i64>,
    texts: Vec<Vec<u64>>,
    buckets: Vec<u64>,
    numbers: Vec<u64>,
    lengths: Vec<Vec<u64>>,
    values: Vec<Vec<f64>>,
    digests: Vec<u8>,
}

fn cleared<T>(column: &mut Vec<T>) -> &mut Vec<T> {
    column.clear();
    column
}

fn refill<T>(columns: &mut Vec<Vec<T>>, count: usize) -> impl Iterator<Item = &mut Vec<T>> {
    columns.resize_with(count, Vec::new);
    columns.iter_mut().map(cleared)
}

impl Block {
    /// Read a block's columns; room is used again.
    pub(super) fn read(&mut self, bytes: &[u8], dimensions: usize, measures: usize) -> Read<()> {
        let mut reader = Reader(bytes);
        let series = reader.varint()? as usize;
        let buckets = reader.varint()? as usize;
        if series == 0 || series > buckets || buckets > ENTRIES_MAX {
            return Err(Damaged("has a block with more buckets than fit"));
        }
        self.read_series(&mut reader, series, dimensions)?;
        if self.buckets.iter().try_fold(0u64, |sum, &n| sum.checked_add(n)) != Some(buckets as u64)
        {
            return Err(Damaged("has series whose buckets do not add up"));
        }
        self.numbers.clear();
        unpack_u64(&mut reader, buckets, &mut self.numbers)?;
        for column in refill(&mut self.lengths, measures) {
            unpack_u64(&mut reader, buckets, column)?;
        }
        for (column, lengths) in refill(&mut self.values, measures).zip(&self.lengths) {
            let values = lengths.iter().map(|length| length >> 1);
            let values = values.fold(0, u64::saturating_add);
            if values > VALUES_MAX as u64 {
                return Err(Damaged("has a block with more values than fit"));
            }
            unpack_f64(&mut reader, values as usize, column)?;
        }
        self.digests.clear();
        self.digests.extend_from_slice(reader.0);
        Ok(())
    }

    fn read_series(
        &mut self,
        reader: &mut Reader<'_>,
        series: usize,
        dimensions: usize,
    ) -> Read<()> {
        let first = reader.i64()?;
        self.numbers.clear();
        unpack_u64(reader, series - 1, &mut self.numbers)?;
        self.stables.clear();
        self.stables.push(first);
        let mut stable = first;
        for step in &self.numbers {
            stable = stable.wrapping_add_unsigned(*step);
            self.stables.push(stable);
        }
        for column in refill(&mut self.texts, dimensions) {
            unpack_u64(reader, series, column)?;
        }
        self.buckets.clear();
        unpack_u64(reader, series, &mut self.buckets)
    }

    /// Hand each bucket of the wanted series to `found`, by series and then by time.
    ///
    /// `wanted` is told a stable id and the places of its texts. Numbers are counted from
    /// `from`; one that is not below `to` is damage.
    pub(super) fn visit(
        &self,
        range: (i64, i64),
        mut wanted: impl FnMut(i64, &mut dyn Iterator<Item = u64>) -> Option<u32>,
        mut found: impl FnMut(u32, Sealed),
    ) -> Read<()> {
        let mut walk = Walk::new(self);
        for (series, count) in self.buckets.iter().enumerate() {
            let mut texts = self.texts.iter().map(|column| column[series]);
            let place = wanted(self.stables[series], &mut texts);
            for _ in 0..*count {
                match place {
                    Some(place) => found(place, walk.bucket(range)?),
                    None => walk.skip()?,
                }
            }
        }
        walk.digests.end()
    }
}

/// Where reading is in a block's columns.
struct Walk<'a> {
    block: &'a Block,
    entry: usize,
    /// Where the next bucket's values start, by measure.
    at: Vec<usize>,
    /// The bucket's values, by measure.
    columns: Vec<&'a [f64]>,
    digests: Reader<'a>,
    words: Vec<u64>,
}

impl<'a> Walk<'a> {
    fn new(block: &'a Block) -> Self {
        let measures = block.lengths.len();
        let columns = Vec::with_capacity(measures);
        let digests = Reader(&block.digests);
        Self { block, entry: 0, at: vec![0; measures], columns, digests, words: Vec::new() }
    }

    fn lengths(&self) -> impl Iterator<Item = u64> + use<'a> {
        let (block, entry) = (self.block, self.entry);
        block.lengths.iter().map(move |column| column[entry])
    }

    fn bucket(&mut self, (from, to): (i64, i64)) -> Read<Sealed> {
        let number = self.block.numbers[self.entry];
        let number = from.checked_add_unsigned(number).filter(|number| *number < to);
        let number = number.and_then(|number| i32::try_from(number).ok());
        let number = number.ok_or(Damaged("has a bucket outside of its range"))?;
        self.columns.clear();
        for (measure, length) in self.lengths().enumerate() {
            let (at, values) = (&mut self.at[measure], (length >> 1) as usize);
            self.columns.push(&self.block.values[measure][*at..*at + values]);
            *at += values;
        }
        check(&self.columns)?;
        let bucket = if self.lengths().all(|length| length & 1 == 0) {
            Sealed::of_values(number, &self.columns, &mut self.words)
        } else {
            Sealed::of_digests(number, self.mixed()?)
        };
        self.entry += 1;
        Ok(bucket)
    }

    fn mixed(&mut self) -> Read<Vec<Digest>> {
        let mut digests = Vec::with_capacity(self.columns.len());
        for (length, values) in self.lengths().zip(&self.columns) {
            digests.push(if length & 1 == 0 {
                of_values(values)
            } else {
                digest(&mut self.digests)?
            });
        }
        Ok(digests)
    }

    fn skip(&mut self) -> Read<()> {
        for (at, length) in self.at.iter_mut().zip(self.block.lengths.iter()) {
            let length = length[self.entry];
            *at += (length >> 1) as usize;
            if length & 1 == 1 {
                let _ = self.digests.bytes()?;
            }
        }
        self.entry += 1;
        Ok(())
    }
}

fn digest(digests: &mut Reader<'_>) -> Read<Digest> {
    Digest::from_content(digests.bytes()?).map_err(|_| Damaged("has a digest that does not read"))
}

/// Values must be what an open bucket may hold, in order.
fn check(columns: &[&[f64]]) -> Read<()> {
    let fits = |values: &[f64]| {
        values.len() <= EXACT_MAX
            && values.iter().all(|value| holds(*value))
            && values.is_sorted_by(|a, b| a.total_cmp(b).is_le())
    };
    let all = columns.iter().all(|values| fits(values));
    if all { Ok(()) } else { Err(Damaged("has values that no bucket holds")) }
}
