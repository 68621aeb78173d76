//! One series: its open buckets, and what is sealed of it.

use super::open::OpenBucket;
use super::rings::Rings;
use super::{BUCKET_S, allocated};

/// Older open buckets, by number: the lateness over the bucket width, so few.
#[derive(Default)]
struct Older(Vec<OpenBucket>);

/// The open buckets of one series. Nearly every event goes to the newest.
pub(super) struct Open {
    newest: OpenBucket,
    older: Option<Box<Older>>,
}

/// Everything one series keeps. Three words, because most series of a large fleet are idle.
#[derive(Default)]
pub(crate) struct SeriesWindows {
    /// Events taken since the start.
    pub events: u64,
    open: Option<Box<Open>>,
    pub(super) rings: Option<Box<Rings>>,
}

/// Open buckets of a shard's series and the bytes they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OpenHeld {
    pub buckets: i64,
    pub bytes: i64,
}

impl Open {
    fn own_bytes() -> i64 {
        allocated(size_of::<Self>()) as i64
    }

    /// Of buckets in the order of their numbers; `None` of none.
    pub(super) fn of(mut buckets: Vec<OpenBucket>) -> Option<Box<Self>> {
        let newest = buckets.pop()?;
        let older = (!buckets.is_empty()).then(|| Box::new(Older(buckets)));
        Some(Box::new(Self { newest, older }))
    }

    /// Number of the newest bucket.
    pub(super) fn newest(&self) -> i32 {
        self.newest.number
    }

    /// All buckets, oldest first.
    pub(super) fn buckets(&self) -> impl Iterator<Item = &OpenBucket> {
        let older = self.older.as_deref().map_or(&[][..], |older| &older.0);
        older.iter().chain(std::iter::once(&self.newest))
    }

    /// What all of it takes from the allocator.
    pub(super) fn held(&self) -> OpenHeld {
        let older = self.older.as_deref().map_or(0, Older::bytes);
        let content: i64 = self.buckets().map(|bucket| bucket.heap_bytes() as i64).sum();
        let bytes = Self::own_bytes() + older + content;
        OpenHeld { buckets: self.buckets().count() as i64, bytes }
    }

    /// Take out the older buckets before number `through`.
    pub(super) fn close_older(
        &mut self,
        through: i64,
        held: &mut OpenHeld,
        out: &mut Vec<OpenBucket>,
    ) {
        let from = out.len();
        if let Some(older) = &mut self.older {
            let due = older.0.partition_point(|bucket| i64::from(bucket.number) < through);
            out.extend(older.0.drain(..due));
            if older.0.is_empty() {
                held.bytes -= older.bytes();
                self.older = None;
            }
        }
        held.take_out(&out[from..]);
    }

    /// The bucket `number`, made where there is none.
    #[cold]
    fn other(&mut self, number: i32, measures: usize, held: &mut OpenHeld) -> &mut OpenBucket {
        if number > self.newest.number {
            let mut last = std::mem::replace(&mut self.newest, OpenBucket::new(number));
            last.settle(measures, &mut held.bytes);
            self.older.get_or_insert_default().insert(last, held);
            held.buckets += 1;
            return &mut self.newest;
        }
        let older = self.older.get_or_insert_default();
        let place = older.0.partition_point(|bucket| bucket.number < number);
        if older.0.get(place).is_none_or(|bucket| bucket.number != number) {
            older.insert(OpenBucket::new(number), held);
            held.buckets += 1;
        }
        &mut older.0[place]
    }
}

impl Older {
    /// Taken from the allocator, without what the buckets hold.
    fn bytes(&self) -> i64 {
        (allocated(self.0.capacity() * size_of::<OpenBucket>()) + allocated(size_of::<Self>()))
            as i64
    }

    fn insert(&mut self, bucket: OpenBucket, held: &mut OpenHeld) {
        let before = if self.0.capacity() == 0 { 0 } else { self.bytes() };
        let place = self.0.partition_point(|known| known.number < bucket.number);
        self.0.insert(place, bucket);
        held.bytes += self.bytes() - before;
    }
}

impl OpenHeld {
    /// Count in more.
    pub(super) fn add(&mut self, more: Self) {
        self.buckets += more.buckets;
        self.bytes += more.bytes;
    }

    pub(super) fn subtract(&mut self, less: Self) {
        self.buckets -= less.buckets;
        self.bytes -= less.bytes;
    }

    fn take_out(&mut self, buckets: &[OpenBucket]) {
        self.buckets -= buckets.len() as i64;
        self.bytes -= buckets.iter().map(|bucket| bucket.heap_bytes() as i64).sum::<i64>();
    }
}

impl SeriesWindows {
    /// Add one event to the bucket `number`.
    #[inline]
    pub(super) fn push(
        &mut self,
        number: i64,
        row: impl ExactSizeIterator<Item = f64>,
        held: &mut OpenHeld,
    ) {
        self.events += 1;
        let number = number as i32;
        let open = match &mut self.open {
            Some(open) => open,
            closed => first(closed, number, held),
        };
        let bucket = if open.newest.number == number {
            &mut open.newest
        } else {
            open.other(number, row.len(), held)
        };
        bucket.push(row, &mut held.bytes);
    }

    /// Values in the newest bucket's rows; asked for to have the bucket at hand.
    #[inline]
    pub(super) fn filled(&self) -> u32 {
        self.open.as_ref().map_or(0, |open| open.newest.filled)
    }

    /// What the newest bucket's next row will overwrite; asked for to have that at hand.
    #[inline]
    pub(super) fn row_bits(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.newest.next_bits())
    }

    /// Count an event that came too late for its bucket, while everything before `sealed` is sealed.
    /// Says whether it is the first that the series has.
    pub(super) fn push_late(&mut self, number: i64, sealed: i64) -> bool {
        self.events += 1;
        self.rings.get_or_insert_default().add_late(number, sealed)
    }

    /// Take out the buckets before number `through`, oldest first. Nothing will be added to them.
    pub(super) fn close(&mut self, through: i64, held: &mut OpenHeld, out: &mut Vec<OpenBucket>) {
        let Some(open) = &mut self.open else { return };
        open.close_older(through, held, out);
        if i64::from(open.newest.number) < through {
            out.push(std::mem::take(&mut open.newest));
            self.open = None;
            held.take_out(&out[out.len() - 1..]);
            held.bytes -= Open::own_bytes();
        }
    }

    /// Take out everything that is open: fresh buckets begin with the next event.
    pub(super) fn take_open(&mut self) -> Option<Box<Open>> {
        self.open.take()
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Open buckets that lie in [start, end), seconds.
    pub(super) fn open_in(&self, start: i64, end: i64) -> impl Iterator<Item = &OpenBucket> {
        let buckets = self.open.as_deref().into_iter().flat_map(Open::buckets);
        buckets.filter(move |bucket| (start..end).contains(&(i64::from(bucket.number) * BUCKET_S)))
    }

    /// Events in [start, end), seconds, that came too late for the digests.
    pub(super) fn late_in(&self, start: i64, end: i64) -> u64 {
        self.rings.as_ref().map_or(0, |rings| rings.late_in(start, end))
    }

    /// Whether nothing but the count of its events is left of it.
    pub(super) fn is_silent(&self) -> bool {
        self.open.is_none() && self.rings.is_none()
    }
}

#[cold]
fn first<'a>(
    open: &'a mut Option<Box<Open>>,
    number: i32,
    held: &mut OpenHeld,
) -> &'a mut Box<Open> {
    held.buckets += 1;
    held.bytes += Open::own_bytes();
    open.insert(Box::new(Open { newest: OpenBucket::new(number), older: None }))
}
