//! A bucket that still takes events.

use super::allocated;
use crate::digest::{EXACT_MAX, Merger, OpenDigest};

/// Rows that wait before they are spread over the measures' digests.
///
/// One row is one cache line or two; spreading at once touches as many lines as
/// there are measures, for every event.
pub(super) const ROWS_MAX: usize = 256;

/// Digests of a bucket with more events than its rows hold, one a measure.
struct Digests(Box<[OpenDigest]>);

/// Events of one series and bucket: a buffer of rows, then a digest per measure.
///
/// Built to be small: most series of a large fleet see a handful of events a bucket.
#[derive(Default)]
pub(crate) struct OpenBucket {
    /// Its start in seconds over the bucket width; i32 holds that of every i64 of nanoseconds.
    pub number: i32,
    /// Values in `rows`; the rest of it is room.
    pub(super) filled: u32,
    /// Row-major, NaN where a measure is absent.
    rows: Box<[f64]>,
    /// None until the first spread.
    digests: Option<Box<Digests>>,
}

impl OpenBucket {
    pub(super) fn new(number: i32) -> Self {
        Self { number, ..Self::default() }
    }

    /// Add one event's measures; `grown` by what that took from the allocator.
    #[inline]
    pub(super) fn push(&mut self, row: impl ExactSizeIterator<Item = f64>, grown: &mut i64) {
        let (from, to) = (self.filled as usize, self.filled as usize + row.len());
        if to > self.rows.len() {
            return self.push_after_growing(row, grown);
        }
        for (place, value) in self.rows[from..to].iter_mut().zip(row) {
            *place = value;
        }
        self.filled = to as u32;
    }

    /// What the next row will overwrite, as bits.
    #[inline]
    pub(super) fn next_bits(&self) -> u64 {
        self.rows.get(self.filled as usize).map_or(0, |value| value.to_bits())
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
        let mut rows = Vec::with_capacity(length);
        rows.extend_from_slice(&self.rows[..self.filled as usize]);
        rows.resize(length, f64::NAN);
        self.rows = rows.into();
    }

    fn spread(&mut self, measures: usize) {
        let digests =
            self.digests.get_or_insert_with(|| Box::new(Digests(default_digests(measures))));
        for (measure, digest) in digests.0.iter_mut().enumerate() {
            add_column(&self.rows[..self.filled as usize], measures, measure, digest);
        }
        self.filled = 0;
    }

    /// Give back room: newer events go to a newer bucket, and few follow here.
    ///
    /// What the bucket holds does not change, only how.
    pub(super) fn settle(&mut self, measures: usize, grown: &mut i64) {
        let before = self.heap_bytes() as i64;
        // Keys are half the size of values, from where digests keep keys.
        if self.digests.is_some() || self.filled as usize > EXACT_MAX * measures {
            self.spread(measures);
        }
        if (self.filled as usize) < self.rows.len() {
            self.resize_rows(self.filled as usize);
        }
        *grown += self.heap_bytes() as i64 - before;
    }

    /// One measure's values, where they are still rows.
    pub(super) fn rows(&self, measures: usize, measure: usize) -> impl Iterator<Item = f64> {
        self.row_values(measures, measure).filter(|value| !value.is_nan())
    }

    /// One of rows and, where there are any, a digest for each measure.
    pub(super) fn of(number: i32, rows: Box<[f64]>, digests: Option<Box<[OpenDigest]>>) -> Self {
        let digests = digests.map(|digests| Box::new(Digests(digests)));
        Self { number, filled: rows.len() as u32, rows, digests }
    }

    /// Values in rows, of all measures together.
    pub(super) fn rows_filled(&self) -> usize {
        self.filled as usize
    }

    /// One measure's place in each row, NaN where absent.
    pub(super) fn row_values(&self, measures: usize, measure: usize) -> impl Iterator<Item = f64> {
        self.rows[..self.filled as usize].chunks_exact(measures).map(move |row| row[measure])
    }

    /// One digest a measure, or none while all values are rows.
    pub(super) fn digests(&self) -> &[OpenDigest] {
        self.digests.as_ref().map_or(&[], |digests| &digests.0)
    }

    /// Whether all values are still rows.
    pub(super) fn is_rows(&self) -> bool {
        self.digests.is_none()
    }

    /// A copy of what one measure has gathered.
    pub(super) fn gathered(&self, measures: usize, measure: usize) -> OpenDigest {
        let digest = self.digests.as_ref().map(|digests| digests.0[measure].clone());
        let mut open = digest.unwrap_or_default();
        add_column(&self.rows[..self.filled as usize], measures, measure, &mut open);
        open
    }

    /// A copy of what one measure has gathered in all of `parts`, as if they had been one bucket.
    pub(super) fn gathered_of(parts: &[&Self], measures: usize, measure: usize) -> OpenDigest {
        let Some((first, rest)) = parts.split_first() else { return OpenDigest::default() };
        let mut gathered = first.gathered(measures, measure);
        for part in rest {
            if let Some(digests) = &part.digests {
                gathered.absorb(&digests.0[measure]);
            }
            add_column(&part.rows[..part.filled as usize], measures, measure, &mut gathered);
        }
        gathered
    }

    /// One bucket that holds what all of `parts` hold; not empty, of one number.
    pub(super) fn merged(parts: &[&Self], measures: usize) -> Self {
        let mut merged = Self::new(parts[0].number);
        let rows = parts.iter().map(|part| part.filled as usize).sum::<usize>() / measures;
        if rows <= ROWS_MAX && parts.iter().all(|part| part.is_rows()) {
            let rows: Vec<&[f64]> =
                parts.iter().map(|part| &part.rows[..part.filled as usize]).collect();
            merged.rows = rows.concat().into();
            merged.filled = merged.rows.len() as u32;
            return merged;
        }
        let gathered = |measure| Self::gathered_of(parts, measures, measure);
        merged.digests = Some(Box::new(Digests((0..measures).map(gathered).collect())));
        merged
    }

    /// Add one measure's values to a merge, copying no more of them than the rows.
    ///
    /// Rows that wait beside a histogram are merged as they are, finer than it would
    /// hold them: the open edge may be answered a little better than what is sealed.
    pub(super) fn fold(&self, measures: usize, measure: usize, merger: &mut Merger) {
        let spread = self.digests.as_ref().map(|digests| &digests.0[measure]);
        match spread.filter(|digest| !digest.is_exact()) {
            // Exact ones are small, and may leave that tier together with their rows.
            None => merger.push_open(&self.gathered(measures, measure)),
            Some(digest) => {
                merger.push_open(digest);
                let mut rows = OpenDigest::default();
                let filled = &self.rows[..self.filled as usize];
                add_column(filled, measures, measure, &mut rows);
                merger.push_open(&rows);
            }
        }
    }

    /// Bytes taken from the allocator.
    pub(super) fn heap_bytes(&self) -> usize {
        let digests = self.digests.as_ref().map_or(0, |digests| {
            let each = digests.0.iter().map(|digest| allocated(digest.heap_bytes()));
            allocated(size_of::<Digests>())
                + allocated(size_of_val(&*digests.0))
                + each.sum::<usize>()
        });
        allocated(size_of_val(&*self.rows)) + digests
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

    /// An open bucket is half a cache line, and rows take no more room than the next power of two.
    #[test]
    fn small_buckets_are_small() {
        assert_eq!(32, size_of::<OpenBucket>());
        for (events, rows) in [(1, 1), (2, 2), (3, 4), (16, 16), (17, 32)] {
            assert_eq!(rows * 2, filled(events, &[]).rows.len(), "{events} events");
        }
    }
}
