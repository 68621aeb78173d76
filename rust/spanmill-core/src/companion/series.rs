//! One series' companions: a bucket a minute while it is recent, one every five beyond.

use std::collections::VecDeque;
use std::sync::Arc;

use super::distinct::Distinct;
use super::top::Top;
use crate::window::BUCKET_S;

const MINUTE_S: i64 = 60;
const FIVE_S: i64 = 300;

/// Sealed buckets kept: 66 minutes, then 6.5 hours.
const MINUTES: i64 = 66;
const FIVES: i64 = 78;

/// Finest windows' buckets in a minute, and minutes in five.
const TENS: i64 = MINUTE_S / BUCKET_S;
const RATIO: i64 = FIVE_S / MINUTE_S;

/// Minutes that a watermark, a number of the windows' buckets, has passed.
pub(super) fn minute_of(watermark: i64) -> i64 {
    watermark.div_euclid(TENS)
}

/// Move [start, end), seconds, outward to edges of buckets that are still held.
pub(crate) fn snap(start: i64, end: i64, sealed: i64) -> (i64, i64) {
    let through_s = minute_of(sealed) * MINUTE_S;
    let width = |at: i64| if at >= through_s - MINUTES * MINUTE_S { MINUTE_S } else { FIVE_S };
    let (down, up) = (width(start), width(end - 1));
    let start = (start.div_euclid(down) * down).max((through_s / FIVE_S - FIVES) * FIVE_S);
    (start, (end + up - 1).div_euclid(up) * up)
}

/// One stretch of event time, with what each column of the view holds of it.
#[derive(Clone, Default)]
pub(super) struct Bucket {
    pub distinct: Box<[Distinct]>,
    pub top: Box<[Top]>,
}

impl Bucket {
    pub(super) fn new(distinct: usize, top: usize) -> Self {
        Self {
            distinct: (0..distinct).map(|_| Distinct::default()).collect(),
            top: (0..top).map(|_| Top::default()).collect(),
        }
    }

    fn merge(parts: &[&Arc<Self>]) -> Self {
        let columns = |of: &[Distinct]| 0..of.len();
        let distinct = |at: usize| Distinct::merge(parts.iter().map(|part| &part.distinct[at]));
        let top = |at: usize| Top::merge(parts.iter().map(|part| &part.top[at]));
        Self {
            distinct: columns(&parts[0].distinct).map(distinct).collect(),
            top: (0..parts[0].top.len()).map(top).collect(),
        }
    }

    fn seal(&mut self) {
        self.distinct.iter_mut().for_each(Distinct::seal);
        self.top.iter_mut().for_each(Top::seal);
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let distinct: usize = self.distinct.iter().map(Distinct::heap_bytes).sum();
        let top: usize = self.top.iter().map(Top::heap_bytes).sum();
        let columns =
            self.distinct.len() * size_of::<Distinct>() + self.top.len() * size_of::<Top>();
        size_of::<(i64, Self)>() + columns + distinct + top
    }
}

/// Buckets by number, oldest first.
type Ring = VecDeque<(i64, Arc<Bucket>)>;

/// What a bucket is to its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A minute that still takes events.
    Open,
    Minute,
    Five,
}

/// A bucket of one series, shared with it.
#[derive(Clone)]
pub(super) struct Held {
    pub place: Place,
    pub number: i64,
    pub bucket: Arc<Bucket>,
}

impl Held {
    /// Whether it is still held where minutes before `through` are sealed, and time before
    /// `kept_from_s`, seconds, was let go.
    pub(super) fn is_kept(&self, through: i64, kept_from_s: i64) -> bool {
        let (minute, five) = oldest(through);
        let is_young = match self.place {
            Place::Open => return true,
            Place::Minute => self.number >= minute,
            Place::Five => self.number >= five,
        };
        is_young && self.start_s() >= kept_from_s
    }

    /// Where it starts, seconds.
    pub(super) fn start_s(&self) -> i64 {
        match self.place {
            Place::Five => self.number * FIVE_S,
            Place::Open | Place::Minute => self.number * MINUTE_S,
        }
    }
}

/// Everything the companions of one series keep.
#[derive(Default)]
pub(super) struct SeriesCompanions {
    /// Minutes that still take events, by number. What a checkpoint still shares is copied
    /// before it changes.
    open: Vec<(i64, Arc<Bucket>)>,
    minutes: Ring,
    fives: Ring,
}

impl SeriesCompanions {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.minutes.is_empty() && self.fives.is_empty()
    }

    /// The open bucket of a minute, if there is one.
    pub(super) fn open(&mut self, minute: i64) -> Option<&mut Bucket> {
        // Newest last: nearly every event finds its minute at once.
        let found = self.open.iter_mut().rev().find(|(number, _)| *number == minute);
        found.map(|(_, bucket)| Arc::make_mut(bucket))
    }

    pub(super) fn is_open(&self, minute: i64) -> bool {
        self.open.iter().rev().any(|(number, _)| *number == minute)
    }

    pub(super) fn open_new(&mut self, minute: i64, bucket: Bucket) {
        let place = self.open.partition_point(|(number, _)| *number < minute);
        self.open.insert(place, (minute, Arc::new(bucket)));
    }

    /// Minutes that still take events.
    pub(super) fn open_now(&self) -> impl Iterator<Item = Held> {
        self.open.iter().map(|(number, bucket)| Held {
            place: Place::Open,
            number: *number,
            bucket: Arc::clone(bucket),
        })
    }

    /// Everything sealed.
    pub(super) fn sealed_now(&self) -> impl Iterator<Item = Held> {
        let of = |place| {
            move |(number, bucket): &(i64, Arc<Bucket>)| Held {
                place,
                number: *number,
                bucket: Arc::clone(bucket),
            }
        };
        let minutes = self.minutes.iter().map(of(Place::Minute));
        minutes.chain(self.fives.iter().map(of(Place::Five)))
    }

    /// Put back a bucket as a file has it; says whether it was missing.
    pub(super) fn put_back(&mut self, held: Held) -> bool {
        let Held { place, number, bucket } = held;
        let ring = match place {
            Place::Open => {
                let at = self.open.partition_point(|(known, _)| *known < number);
                let missing = self.open.get(at).is_none_or(|(known, _)| *known != number);
                if missing {
                    self.open.insert(at, (number, bucket));
                }
                return missing;
            }
            Place::Minute => &mut self.minutes,
            Place::Five => &mut self.fives,
        };
        let at = ring.partition_point(|(known, _)| *known < number);
        let missing = ring.get(at).is_none_or(|(known, _)| *known != number);
        if missing {
            ring.insert(at, (number, bucket));
        }
        missing
    }

    /// Seal minutes before `through`; `sealed` is where the last call stopped. What that
    /// makes is told to `fresh`.
    pub(super) fn seal(&mut self, sealed: i64, through: i64, mut fresh: impl FnMut(Held)) {
        let due = self.open.partition_point(|(number, _)| *number < through);
        for (number, mut bucket) in self.open.drain(..due) {
            Arc::make_mut(&mut bucket).seal();
            fresh(Held { place: Place::Minute, number, bucket: Arc::clone(&bucket) });
            self.minutes.push_back((number, bucket));
        }
        let fives = sealed.div_euclid(RATIO)..through.div_euclid(RATIO);
        let five = |minute: &(i64, Arc<Bucket>)| minute.0.div_euclid(RATIO);
        let whole: Vec<&(i64, Arc<Bucket>)> =
            self.minutes.iter().filter(|minute| fives.contains(&five(minute))).collect();
        let built: Vec<(i64, Arc<Bucket>)> = whole
            .chunk_by(|a, b| five(a) == five(b))
            .map(|parts| {
                let buckets: Vec<&Arc<Bucket>> = parts.iter().map(|(_, bucket)| bucket).collect();
                (five(parts[0]), Arc::new(Bucket::merge(&buckets)))
            })
            .collect();
        for (number, bucket) in &built {
            fresh(Held { place: Place::Five, number: *number, bucket: Arc::clone(bucket) });
        }
        self.fives.extend(built);
        let (minute, five) = oldest(through);
        drop_before(&mut self.minutes, minute);
        drop_before(&mut self.fives, five);
    }

    /// Let go of sealed buckets that start before `kept_s`, seconds.
    pub(super) fn shed(&mut self, kept_s: i64) {
        drop_before(&mut self.minutes, kept_s.div_euclid(MINUTE_S));
        drop_before(&mut self.fives, kept_s.div_euclid(FIVE_S));
    }

    /// Bytes of each sealed bucket, by the five minutes it lies in.
    pub(super) fn sealed_bytes(&self) -> impl Iterator<Item = (i64, usize)> {
        let minutes = self.minutes.iter().map(|(at, bucket)| (at.div_euclid(RATIO), bucket));
        let fives = self.fives.iter().map(|(at, bucket)| (*at, bucket));
        minutes.chain(fives).map(|(at, bucket)| (at * FIVE_S, bucket.heap_bytes()))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let open: usize = self.open.iter().map(|(_, bucket)| bucket.heap_bytes()).sum();
        open + self.sealed_bytes().map(|(_, bytes)| bytes).sum::<usize>()
    }

    /// Meet what lies in [start, end), seconds, snapped: the widest buckets that fit.
    pub(super) fn meet<'a>(
        &'a self,
        (start, end): (i64, i64),
        shared: &mut Vec<Arc<Bucket>>,
        mut open: impl FnMut(&'a Bucket),
    ) {
        let inside = |at: i64, width: i64| at * width >= start && (at + 1) * width <= end;
        let fives = self.fives.iter().filter(|(at, _)| inside(*at, FIVE_S));
        let met: Vec<i64> = fives
            .map(|(at, bucket)| {
                shared.push(Arc::clone(bucket));
                *at
            })
            .collect();
        let alone = |at: i64| met.binary_search(&at.div_euclid(RATIO)).is_err();
        for (at, bucket) in &self.minutes {
            if inside(*at, MINUTE_S) && alone(*at) {
                shared.push(Arc::clone(bucket));
            }
        }
        let minutes = self.open.iter().filter(|(at, _)| inside(*at, MINUTE_S));
        minutes.for_each(|(_, bucket)| open(bucket));
    }
}

/// Oldest minute and five minutes that are held once minutes before `through` are sealed.
///
/// One more than is promised: a question understood just before finds it whole.
fn oldest(through: i64) -> (i64, i64) {
    let minute = through.saturating_sub(MINUTES + 1);
    (minute, through.div_euclid(RATIO).saturating_sub(FIVES + 1))
}

fn drop_before(ring: &mut Ring, number: i64) {
    let gone = ring.partition_point(|(at, _)| *at < number);
    drop(ring.drain(..gone));
}

#[cfg(test)]
mod tests {
    use super::super::distinct::DistinctUnion;
    use super::*;

    /// A series with one value of its own in each of so many minutes, sealed through some of them.
    fn filled(minutes: i64, through: i64) -> SeriesCompanions {
        let mut series = SeriesCompanions::default();
        for minute in 0..minutes {
            series.open_new(minute, Bucket::new(1, 0));
            let bucket = series.open(minute).expect("just opened");
            bucket.distinct[0].add(minute.cast_unsigned() + 1);
        }
        for step in 0..through {
            series.seal(step, step + 1, |_| ());
        }
        series
    }

    fn count(series: &SeriesCompanions, start: i64, end: i64) -> u64 {
        let mut union = DistinctUnion::default();
        let mut shared = Vec::new();
        series.meet((start, end), &mut shared, |bucket| union.add(&bucket.distinct[0]));
        shared.iter().for_each(|bucket| union.add(&bucket.distinct[0]));
        union.count().values
    }

    /// A window holds every minute once, however much of it is open, sealed or merged.
    #[test]
    fn windows_count_once() {
        for through in [0, 1, 5, 7, 29, 60] {
            let series = filled(60, through);
            for (start, end) in [(0, 60), (0, 10), (5, 15), (3, 58), (59, 60)] {
                let got = count(&series, start * MINUTE_S, end * MINUTE_S);
                assert_eq!(end - start, got as i64, "sealed {through}, [{start}, {end})");
            }
        }
    }

    /// Minutes go after 66, five-minute buckets after six and a half hours, and then nothing is left.
    #[test]
    fn old_time_is_let_go() {
        let mut series = filled(500, 500);
        assert_eq!((67, 79), (series.minutes.len(), series.fives.len()));
        let (start, end) = snap(0, 500 * MINUTE_S, 500 * TENS);
        assert_eq!((110 * MINUTE_S, 500 * MINUTE_S), (start, end));
        assert_eq!(390, count(&series, start, end));
        let whole = series.heap_bytes();
        series.shed(400 * MINUTE_S);
        assert_eq!(100, count(&series, 400 * MINUTE_S, end));
        assert!(series.heap_bytes() < whole);
        series.seal(500, 5_000, |_| ());
        assert!(series.is_empty());
    }
}
