//! What series cost, counted by the allocator itself, and the budget that bounds it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use spanmill_core::window::{BUCKET_S, ByShard, Held, Kept, Rows, Use, WindowStore};

/// The system's allocator, counting the bytes asked of it.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// A global allocator is the one way to count what is allocated, and its trait is unsafe.
#[allow(unsafe_code)]
// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = HELD.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let _ = HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tests of this file run one at a time: they share the count.
static ALONE: Mutex<()> = Mutex::new(());

const SECOND_NS: i64 = 1_000_000_000;
/// A multiple of six hours.
const START_S: i64 = 1_795_219_200;
/// Enough that what a store costs by itself is lost in what its series cost.
const SERIES: usize = 64 * 200;

/// A view's windows on event time that the test moves, and what they took from the allocator.
struct Windows {
    store: WindowStore,
    kept: Kept,
    measures: usize,
    scratch: ByShard,
    before: usize,
    cut: u64,
}

impl Windows {
    fn new(measures: usize) -> Self {
        let before = HELD.load(Ordering::Relaxed);
        let store = WindowStore::new((0..measures).collect(), measures);
        let (kept, scratch) = (Kept::default(), ByShard::default());
        Self { store, kept, measures, scratch, before, cut: 0 }
    }

    /// One event of each series at a second.
    fn push(&mut self, second: i64, value: f64) {
        self.push_to(SERIES, second, value);
    }

    /// One event of each of the first series at a second.
    fn push_to(&mut self, events: usize, second: i64, value: f64) {
        let series: Vec<u32> = (0..events as u32).collect();
        let measures = vec![value; events * self.measures];
        let rows = Rows {
            ends_ns: &vec![(START_S + second) * SECOND_NS; events],
            measures: &measures,
            stride: self.measures,
            series: &series,
            horizon_ns: i64::MIN,
            cut: self.cut,
        };
        let sealed = self.kept.sealed().unwrap_or(i64::MIN);
        assert_eq!(0, self.store.apply(&rows, sealed, &mut self.scratch));
        self.scratch = ByShard::default();
    }

    fn seal(&mut self, second: i64) {
        let through = (START_S + second) / BUCKET_S;
        self.store.seal(&self.kept, through, &|_| Use::Recent);
        self.kept = self.kept.advanced(through);
    }

    /// Seal so far ahead that nothing is held any more.
    fn forget_all(&mut self) {
        self.seal(1_000_000);
        self.store.retire(&self.kept);
        // The engine asks once a minute.
        assert_eq!(SERIES, self.store.silent().len());
    }

    /// Bytes allocated for each series and measure.
    fn bytes_each(&self) -> f64 {
        let held = HELD.load(Ordering::Relaxed) - self.before;
        held as f64 / (SERIES * self.measures) as f64
    }
}

/// An idle series takes at most 64 B a measure, and one with 16 values in its open bucket 192 B.
#[test]
fn idle_and_small_series_are_small() {
    let _alone = ALONE.lock();
    for measures in [1, 3, 6] {
        let mut windows = Windows::new(measures);
        windows.push(0, 1.0);
        windows.forget_all();
        let idle = windows.bytes_each();
        for event in 0..16 {
            windows.push(1_000_000 + event % 10, event as f64);
        }
        let small = windows.bytes_each();
        assert!(idle <= 64.0, "{measures} measures: {idle} B a series and measure while idle");
        assert!(small <= 192.0, "{measures} measures: {small} B with 16 values");
    }
}

/// A sealed bucket of one event of three measures takes 68 B or less, its place in a ring included.
#[test]
fn small_sealed_buckets_are_small() {
    let _alone = ALONE.lock();
    let mut windows = Windows::new(3);
    windows.push(0, 1.0);
    windows.forget_all();
    let idle = windows.bytes_each();
    for minute in 0..60 {
        windows.push(1_000_000 + minute * 60, 1.0);
    }
    windows.seal(1_003_600);
    let footprint = windows.store.footprint();
    // Sixty of ten seconds, which the minutes share, and twelve of five minutes.
    assert_eq!(132 * SERIES, footprint.sealed.buckets);
    let each = (windows.bytes_each() - idle) * 3.0 / 132.0;
    assert!(each <= 68.0, "{each} B a bucket");
}

/// A cut moves what is open and copies none of it: a few words for each series, gone with the buckets.
#[test]
fn cuts_copy_nothing() {
    let _alone = ALONE.lock();
    let mut windows = Windows::new(3);
    for second in (0..70).step_by(2) {
        windows.push(second, 1.0);
    }
    let before = windows.bytes_each() * 3.0;
    windows.cut += 1;
    // One event in each shard finds the cut.
    windows.push_to(64, 69, 1.0);
    let after = windows.bytes_each() * 3.0;
    assert!(after - before <= 32.0, "{} B a series", after - before);
    windows.forget_all();
    let footprint = windows.store.footprint();
    assert_eq!((Held::default(), Held::default()), (footprint.open, footprint.sealed));
}

/// What metrics report is what was allocated, but for the allocator's own overhead.
#[test]
fn footprints_are_true() {
    let _alone = ALONE.lock();
    let mut windows = Windows::new(3);
    for second in (0..400).step_by(5) {
        windows.push(second, f64::from(second as u32));
    }
    let compare = |windows: &Windows, what: &str| {
        let held = (HELD.load(Ordering::Relaxed) - windows.before) as f64;
        let told = windows.store.footprint().bytes() as f64;
        assert!((0.97..1.25).contains(&(told / held)), "{what}: {told} told, {held} held");
    };
    compare(&windows, "open");
    windows.cut += 1;
    windows.push(399, 1.0);
    compare(&windows, "set aside");
    windows.seal(350);
    compare(&windows, "sealed");
}

/// Whatever came and went, nothing is left of it but the count of its events.
#[test]
fn nothing_is_left_behind() {
    let _alone = ALONE.lock();
    let mut windows = Windows::new(3);
    windows.push(0, 1.0);
    windows.forget_all();
    let idle = windows.bytes_each();
    for round in 0..3 {
        for second in (0..300).step_by(23) {
            windows.push(1_000_000 + round * 1_000_000 + second, 1.0);
        }
        windows.seal(1_000_000 + round * 1_000_000 + 200);
        windows.seal(2_000_000 + round * 1_000_000);
        windows.store.retire(&windows.kept);
        assert_eq!(SERIES, windows.store.silent().len());
        let footprint = windows.store.footprint();
        assert_eq!((Held::default(), Held::default()), (footprint.open, footprint.sealed));
        // A few pages of the tables that say what is held.
        assert!(windows.bytes_each() <= idle + 0.1, "{} B, {idle} B before", windows.bytes_each());
    }
}
