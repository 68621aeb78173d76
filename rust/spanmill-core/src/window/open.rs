//! A bucket that still takes events.

use crate::digest::OpenDigest;

/// Rows that wait before they are spread over the measures' digests.
///
/// One row is one cache line or two; spreading at once touches as many lines as
/// there are measures, for every event.
const ROWS_MAX: usize = 256;

/// Events of one series and bucket: a short buffer of rows, then a digest per measure.
pub(super) struct OpenBucket {
    /// Bucket number: its start in seconds over the bucket width.
    pub number: i64,
    /// Row-major, NaN where a measure is absent.
    rows: Vec<f64>,
    /// Empty until the first spread.
    digests: Box<[OpenDigest]>,
}

impl OpenBucket {
    pub(super) fn new(number: i64) -> Self {
        Self { number, rows: Vec::new(), digests: Box::default() }
    }

    /// Add one event's measures.
    #[inline]
    pub(super) fn push(&mut self, row: impl ExactSizeIterator<Item = f64>) {
        let measures = row.len();
        self.rows.extend(row);
        if self.rows.len() >= ROWS_MAX * measures {
            self.spread(measures);
        }
    }

    fn spread(&mut self, measures: usize) {
        if self.digests.is_empty() {
            self.digests = (0..measures).map(|_| OpenDigest::default()).collect();
        }
        for (measure, digest) in self.digests.iter_mut().enumerate() {
            add_column(&self.rows, measures, measure, digest);
        }
        self.rows.clear();
    }

    /// A copy of what one measure has gathered.
    pub(super) fn gathered(&self, measures: usize, measure: usize) -> OpenDigest {
        let mut open = self.digests.get(measure).cloned().unwrap_or_default();
        add_column(&self.rows, measures, measure, &mut open);
        open
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let digests: usize =
            self.digests.iter().map(|d| size_of::<OpenDigest>() + d.heap_bytes()).sum();
        self.rows.capacity() * 8 + digests
    }
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
