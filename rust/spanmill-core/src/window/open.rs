//! A bucket that still takes events.

use super::allocated;
use crate::digest::{EXACT_MAX, Merger, OpenDigest};

/// Rows that wait before they are spread over the measures' digests.
///
/// One row is one cache line or two; spreading at once touches as many lines as
/// there are measures, for every event.
pub(super) const ROWS_MAX: usize = 256;

/// What a bucket with more events than its rows hold keeps apart, so that small ones stay small.
struct Busy {
    /// Rows that wait.
    rows: Box<[f64]>,
    /// One a measure.
    digests: Box<[OpenDigest]>,
}

enum Store {
    /// Row-major, NaN where a measure is absent.
    Rows(Box<[f64]>),
    Busy(Box<Busy>),
}

impl Default for Store {
    fn default() -> Self {
        Self::Rows(Box::default())
    }
}

impl Store {
    #[inline]
    fn rows(&self) -> &[f64] {
        match self {
            Self::Rows(rows) => rows,
            Self::Busy(busy) => &busy.rows,
        }
    }

    #[inline]
    fn rows_mut(&mut self) -> &mut Box<[f64]> {
        match self {
            Self::Rows(rows) => rows,
            Self::Busy(busy) => &mut busy.rows,
        }
    }

    fn digests(&self) -> Option<&[OpenDigest]> {
        match self {
            Self::Rows(_) => None,
            Self::Busy(busy) => Some(&busy.digests),
        }
    }

    /// The digests, made where there are none.
    fn busy(&mut self, measures: usize) -> &mut Busy {
        if let Self::Rows(rows) = self {
            let (rows, digests) = (std::mem::take(rows), default_digests(measures));
            *self = Self::Busy(Box::new(Busy { rows, digests }));
        }
        match self {
            Self::Busy(busy) => busy,
            Self::Rows(_) => unreachable!("it has just been made busy"),
        }
    }
}

/// Events of one series and bucket: a buffer of rows, then a digest per measure.
///
/// Built to be small: most series of a large fleet see a handful of events a bucket.
#[derive(Default)]
pub(crate) struct OpenBucket {
    /// Its start in seconds over the bucket width; i32 holds that of every i64 of nanoseconds.
    pub number: i32,
    /// Values in the rows; the rest of them is room.
    pub(super) filled: u32,
    store: Store,
}

impl OpenBucket {
    pub(super) fn new(number: i32) -> Self {
        Self { number, ..Self::default() }
    }

    /// Add one event's measures; `grown` by what that took from the allocator.
    #[inline]
    pub(super) fn push(&mut self, row: impl ExactSizeIterator<Item = f64>, grown: &mut i64) {
        let (from, to) = (self.filled as usize, self.filled as usize + row.len());
        match self.store.rows_mut().get_mut(from..to) {
            None => return self.push_after_growing(row, grown),
            Some(places) => places.iter_mut().zip(row).for_each(|(place, value)| *place = value),
        }
        self.filled = to as u32;
    }

    /// What the next row will overwrite, as bits.
    #[inline]
    pub(super) fn next_bits(&self) -> u64 {
        self.store.rows().get(self.filled as usize).map_or(0, |value| value.to_bits())
    }

    /// Rows double from one to [`ROWS_MAX`] and are then spread.
    #[cold]
    fn push_after_growing(&mut self, row: impl ExactSizeIterator<Item = f64>, grown: &mut i64) {
        let before = self.heap_bytes() as i64;
        let measures = row.len();
        let held = self.filled as usize / measures;
        if held >= ROWS_MAX {
            self.spread(measures);
        } else {
            self.resize_rows((2 * held).clamp(1, ROWS_MAX) * measures);
        }
        *grown += self.heap_bytes() as i64 - before;
        self.push(row, grown);
    }

    fn resize_rows(&mut self, length: usize) {
        let rows = self.store.rows_mut();
        let mut resized = Vec::from(std::mem::take(rows));
        resized.truncate(self.filled as usize);
        resized.reserve_exact(length - resized.len());
        resized.resize(length, f64::NAN);
        *rows = resized.into();
    }

    fn spread(&mut self, measures: usize) {
        let filled = std::mem::take(&mut self.filled) as usize;
        let Busy { rows, digests } = self.store.busy(measures);
        for (measure, digest) in digests.iter_mut().enumerate() {
            add_column(&rows[..filled], measures, measure, digest);
        }
    }

    /// Give back room: newer events go to a newer bucket, and few follow here.
    ///
    /// What the bucket holds does not change, only how.
    pub(super) fn settle(&mut self, measures: usize, grown: &mut i64) {
        let before = self.heap_bytes() as i64;
        // Keys are half the size of values, from where digests keep keys.
        if !self.is_rows() || self.filled as usize > EXACT_MAX * measures {
            self.spread(measures);
        }
        if (self.filled as usize) < self.store.rows().len() {
            self.resize_rows(self.filled as usize);
        }
        if let Store::Busy(busy) = &mut self.store {
            busy.digests.iter_mut().for_each(OpenDigest::settle);
        }
        *grown += self.heap_bytes() as i64 - before;
    }

    fn filled_rows(&self) -> &[f64] {
        &self.store.rows()[..self.filled as usize]
    }

    /// One measure's values, where they are still rows.
    pub(super) fn rows(&self, measures: usize, measure: usize) -> impl Iterator<Item = f64> {
        self.row_values(measures, measure).filter(|value| !value.is_nan())
    }

    /// One of rows and, where there are any, a digest for each measure.
    pub(super) fn of(number: i32, rows: Box<[f64]>, digests: Option<Box<[OpenDigest]>>) -> Self {
        let filled = rows.len() as u32;
        let store = match digests {
            None => Store::Rows(rows),
            Some(digests) => Store::Busy(Box::new(Busy { rows, digests })),
        };
        Self { number, filled, store }
    }

    /// Values in rows, of all measures together.
    pub(super) fn rows_filled(&self) -> usize {
        self.filled as usize
    }

    /// One measure's place in each row, NaN where absent.
    pub(super) fn row_values(&self, measures: usize, measure: usize) -> impl Iterator<Item = f64> {
        self.filled_rows().chunks_exact(measures).map(move |row| row[measure])
    }

    /// One digest a measure, or none while all values are rows.
    pub(super) fn digests(&self) -> &[OpenDigest] {
        self.store.digests().unwrap_or_default()
    }

    /// Whether all values are still rows.
    pub(super) fn is_rows(&self) -> bool {
        self.store.digests().is_none()
    }

    /// A copy of what one measure has gathered.
    pub(super) fn gathered(&self, measures: usize, measure: usize) -> OpenDigest {
        let digest = self.store.digests().map(|digests| digests[measure].clone());
        let mut open = digest.unwrap_or_default();
        add_column(self.filled_rows(), measures, measure, &mut open);
        open
    }

    /// A copy of what one measure has gathered in all of `parts`, as if they had been one bucket.
    pub(super) fn gathered_of(parts: &[&Self], measures: usize, measure: usize) -> OpenDigest {
        let Some((first, rest)) = parts.split_first() else { return OpenDigest::default() };
        let mut gathered = first.gathered(measures, measure);
        for part in rest {
            if let Some(digests) = part.store.digests() {
                gathered.absorb(&digests[measure]);
            }
            add_column(part.filled_rows(), measures, measure, &mut gathered);
        }
        gathered
    }

    /// One bucket that holds what all of `parts` hold; not empty, of one number.
    pub(super) fn merged(parts: &[&Self], measures: usize) -> Self {
        let number = parts[0].number;
        let rows = parts.iter().map(|part| part.filled as usize).sum::<usize>() / measures;
        if rows <= ROWS_MAX && parts.iter().all(|part| part.is_rows()) {
            let rows: Vec<&[f64]> = parts.iter().map(|part| part.filled_rows()).collect();
            return Self::of(number, rows.concat().into(), None);
        }
        let gathered = |measure| Self::gathered_of(parts, measures, measure);
        Self::of(number, Box::default(), Some((0..measures).map(gathered).collect()))
    }

    /// Add one measure's values to a merge, copying no more of them than the rows.
    ///
    /// Rows that wait beside a histogram are merged as they are, finer than it would
    /// hold them: the open edge may be answered a little better than what is sealed.
    pub(super) fn fold(&self, measures: usize, measure: usize, merger: &mut Merger) {
        let spread = self.store.digests().map(|digests| &digests[measure]);
        match spread.filter(|digest| !digest.is_exact()) {
            // Exact ones are small, and may leave that tier together with their rows.
            None => merger.push_open(&self.gathered(measures, measure)),
            Some(digest) => {
                merger.push_open(digest);
                let mut rows = OpenDigest::default();
                add_column(self.filled_rows(), measures, measure, &mut rows);
                merger.push_open(&rows);
            }
        }
    }

    /// Bytes taken from the allocator.
    pub(super) fn heap_bytes(&self) -> usize {
        let digests = self.store.digests().map_or(0, |digests| {
            let each = digests.iter().map(|digest| allocated(digest.heap_bytes()));
            allocated(size_of::<Busy>()) + allocated(size_of_val(digests)) + each.sum::<usize>()
        });
        allocated(size_of_val(self.store.rows())) + digests
    }
}

fn default_digests(measures: usize) -> Box<[OpenDigest]> {
    (0..measures).map(|_| OpenDigest::default()).collect()
}

fn add_column(rows: &[f64], measures: usize, measure: usize, digest: &mut OpenDigest) {
    let mut column = [0.0; ROWS_MAX];
    let mut length = 0;
    for row in rows.chunks_exact(measures) {
        let value = row[measure];
        if !value.is_nan() {
            column[length] = value;
            length += 1;
        }
    }
    digest.add_all(&column[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(events: usize, settle_at: &[usize]) -> OpenBucket {
        let mut bucket = OpenBucket::new(7);
        let mut grown = 0;
        for event in 0..events {
            if settle_at.contains(&event) {
                bucket.settle(2, &mut grown);
            }
            bucket.push([event as f64 + 1.0, f64::NAN].into_iter(), &mut grown);
        }
        assert_eq!(bucket.heap_bytes() as i64, grown, "{events} events");
        bucket
    }

    /// Giving back room at any moment changes nothing of what a bucket holds, and bytes add up.
    #[test]
    fn settling_leaves_no_trace() {
        for events in [1, 3, 200, 201, 256, 257, 3_000, 6_000] {
            let wanted = filled(events, &[]);
            let settled = filled(events, &[1, 2, 40, 201, 250, 256, 300, 2_999]);
            for measure in [0, 1] {
                let seal = |bucket: &OpenBucket| bucket.gathered(2, measure).seal();
                assert_eq!(seal(&wanted), seal(&settled), "{events} events");
            }
        }
    }

    /// An open bucket is three words, and rows take no more room than the next power of two.
    #[test]
    fn small_buckets_are_small() {
        assert_eq!(24, size_of::<OpenBucket>());
        for (events, rows) in [(1, 1), (2, 2), (3, 4), (16, 16), (17, 32)] {
            assert_eq!(rows * 2, filled(events, &[]).store.rows().len(), "{events} events");
        }
    }
}
