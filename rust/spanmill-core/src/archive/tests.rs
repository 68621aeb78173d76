//! Windows and an archive on a clock that the test moves.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::*;
use crate::clock::SECOND_NS;
use crate::codec::Reader;
use crate::digest::Digest;
use crate::disk::{DiskFile, Mode};
use crate::window::{BUCKET_S, ByShard, Gathered, Leaf, Piece, Rings, Rows, Steps};

/// A multiple of six hours.
const START_S: i64 = 1_795_219_200;
const START: i64 = START_S / BUCKET_S;
const MEASURES: usize = 3;
const FOLDER_OF_ALL: &str = "/data";

/// A file's bytes, shared by all who have it open.
#[derive(Debug, Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl DiskFile for Bytes {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.lock();
        let from = bytes.get(offset as usize..).and_then(|rest| rest.get(..into.len()));
        from.map(|from| into.copy_from_slice(from)).ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    fn write_at(&self, offset: u64, from: &[u8]) -> io::Result<()> {
        let mut bytes = self.0.lock();
        assert_eq!(offset, bytes.len() as u64, "files of blocks are appended to");
        bytes.extend_from_slice(from);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A disk that can be full.
#[derive(Debug, Default)]
struct Memory {
    files: Mutex<BTreeMap<PathBuf, Bytes>>,
    full: AtomicBool,
}

impl Disk for Memory {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let files = self.files.lock();
        let inside = files.keys().filter(|path| path.parent() == Some(folder));
        let name = |path: &PathBuf| Some(path.file_name()?.to_str()?.to_owned());
        Ok(inside.filter_map(name).collect())
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        let mut files = self.files.lock();
        if mode == Mode::Create {
            if self.full.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let _ = files.insert(path.to_path_buf(), Bytes::default());
        }
        let file = files.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        let _ = files.insert(to.to_path_buf(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let gone = self.files.lock().remove(path);
        gone.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Any + Send>> {
        Ok(Box::new(()))
    }
}

/// One event: seconds after the start, series, value.
type Event = (i64, u32, f64);

/// One view with an archive, in a folder of its own.
struct Rig {
    disk: Arc<Memory>,
    archive: Archive,
    store: WindowStore,
    kept: Kept,
    /// Ids of series by the name that an event gives; its own inverse.
    ids: fn(u32) -> u32,
    lsn: u64,
}

fn own_slots() -> [i64; TIERS.len()] {
    std::array::from_fn(|tier| TIERS[tier].slots)
}

/// Every second series is an objective's.
fn used(name: u32) -> Use {
    if name.is_multiple_of(2) { Use::Objective } else { Use::Recent }
}

/// Two and two series share a stable id.
fn named(name: u32) -> Named {
    let texts =
        [Some(format!("model-{name}").into()), (!name.is_multiple_of(3)).then(|| "eu".into())];
    Named { stable: i64::from(name / 2).wrapping_mul(-0x61c8_8646_80b5_83eb), texts: texts.into() }
}

fn shape() -> Shape {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Shape {
        name: "requests".to_owned(),
        conditions: names(&["service:gateway"]),
        dimensions: names(&["model", "region"]),
        measures: names(&["ttft", "duration", "output_tokens"]),
    }
}

impl Rig {
    fn new() -> Self {
        Self::keeping(own_slots(), u64::MAX)
    }

    fn keeping(slots: [i64; TIERS.len()], bytes_max: u64) -> Self {
        let disk = Arc::new(Memory::default());
        let keep = Keep { slots, bytes_max };
        let archive = Archive::new(disk.clone(), Path::new(FOLDER_OF_ALL), keep).expect("writable");
        Self { disk, archive, store: store(), kept: Kept::default(), ids: |it| it, lsn: 0 }
    }

    fn push(&self, events: &[Event]) {
        let ends_ns: Vec<i64> = events.iter().map(|it| (START_S + it.0) * SECOND_NS).collect();
        let measures: Vec<f64> = events.iter().flat_map(|it| row(*it)).collect();
        let series: Vec<u32> = events.iter().map(|it| (self.ids)(it.1)).collect();
        let rows = Rows {
            ends_ns: &ends_ns,
            measures: &measures,
            stride: MEASURES,
            series: &series,
            horizon_ns: i64::MIN,
            cut: 0,
        };
        let sealed = self.kept.sealed().unwrap_or(i64::MIN);
        assert_eq!(0, self.store.apply(&rows, sealed, &mut ByShard::default()));
    }

    /// Seal, and hand over to the archive; nothing is written yet.
    fn seal(&mut self, second: i64) {
        let through = START + second / BUCKET_S;
        let mut leaves = Vec::new();
        let ids = self.ids;
        let used = |series| used(ids(series));
        self.store.seal_into(&self.kept, through, &used, Some(&mut leaves));
        self.lsn += 1;
        let mut series: Vec<u32> = leaves.iter().map(|leaf| leaf.series).collect();
        series.sort_unstable();
        series.dedup();
        let filed = |Leaf { tier, series: of, bucket }| {
            let place = series.binary_search(&of).expect("listed") as u32;
            Filed { tier, place, bucket }
        };
        let buckets = leaves.into_iter().map(filed).collect();
        let names = series.iter().map(|series| named((self.ids)(*series))).collect();
        let views = vec![SealedView { shape: shape(), series: names, buckets }];
        let due = self.kept.completed(through);
        self.archive.take(Pass { lsn: Lsn(self.lsn), through, due, views });
        self.kept = self.kept.advanced(through);
    }

    /// Push and seal by the minute, a minute behind.
    fn play(&mut self, events: &[Event], until: i64) {
        for from in (0..until).step_by(60) {
            let due = events.iter().filter(|event| (from..from + 60).contains(&event.0));
            self.push(&due.copied().collect::<Vec<_>>());
            self.seal(from);
            self.archive.flush().expect("written");
        }
    }

    /// Keep no more in memory than the open edge and what the export reads.
    fn demote(&mut self) {
        let _ = crate::window::demote(&mut self.kept, &[&self.store], 0, 1);
        self.store.retire(&self.kept);
    }

    fn wanted(&self, names: impl Iterator<Item = u32>, place: impl Fn(u32) -> u32) -> Wanted {
        Wanted::new(shape(), names.map(|name| (named(name), place(name))).collect())
    }

    /// What a series held, by slice, with memory and the disk together; `None` where it holds
    /// less than was asked.
    fn answer(&self, name: u32, steps: &Steps) -> Option<Vec<Digest>> {
        let all = self.archive.reach(&self.kept);
        if all.reach(used(name), steps.whole()) != steps.whole() {
            return None;
        }
        let slices = (0..steps.count).map(|at| steps.slice(at));
        let stretches = all.beyond(&self.kept, used(name), slices);
        let mut disk: Option<Rings> = None;
        let wanted = self.wanted([name].into_iter(), |_| 0);
        let found = |_, tier, bucket| disk.get_or_insert_default().push(tier, bucket);
        self.archive.fetch(&wanted, &stretches, found).expect("reads");
        let cells = || (0..steps.count).map(|_| Gathered::new(0, MEASURES));
        let mut cells: Vec<Gathered> = cells().collect();
        self.store.visit(steps, &[(self.ids)(name)], &[disk], |_, at, piece| {
            if let Piece::Events(slice) = piece {
                cells[at].take(slice);
            }
        });
        Some(cells.into_iter().map(Gathered::merge).collect())
    }

    /// Another process on the same folder and checkpoint.
    fn restarted(&self) -> (WindowStore, Archive, usize) {
        let keep = self.archive.keep.clone();
        let archive =
            Archive::new(self.disk.clone(), Path::new(FOLDER_OF_ALL), keep).expect("writable");
        let mut saved = Writer::default();
        self.archive.save(&mut saved);
        archive.adopt(Catalog::load(&mut Reader(&saved.0)).expect("reads")).expect("listed");
        let store = store();
        let ids = self.ids;
        let used = |series| used(ids(series));
        let wanted = self.wanted(0..64, ids);
        let targets = [Target { wanted, windows: &store, used: &used }];
        let loaded = archive.load_into(&targets, &self.kept).expect("reads");
        (store, archive, loaded)
    }

    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let read = |file: File| {
            let path = file.path();
            let bytes =
                self.disk.files.lock()[&Path::new(FOLDER_OF_ALL).join(&path)].0.lock().clone();
            assert_eq!(bytes.len() as u64, file.bytes);
            (path, bytes)
        };
        self.archive.files().into_iter().map(read).collect()
    }
}

fn store() -> WindowStore {
    WindowStore::new((0..MEASURES).collect(), MEASURES)
}

/// A float without pattern, a time to the microsecond, a count that half of the events have.
fn row((second, series, value): Event) -> [f64; MEASURES] {
    let tokens =
        if (second + i64::from(series)) % 2 == 0 { (value * 900.0).floor() } else { f64::NAN };
    [value * 1.3, (value * 1e6).round() / 1e6, tokens]
}

/// Quiet series, and one so busy that its buckets hold digests.
fn traffic(until: i64, seed: u64) -> Vec<Event> {
    let mut state = seed;
    let mut roll = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut events = Vec::new();
    for second in 0..until {
        let busy = if second % 40 < 10 { 60 } else { 1 };
        for event in 0..busy + roll(2) {
            let series = if event < busy { 4 } else { roll(8) as u32 };
            events.push((second, series, 0.001 + roll(1 << 40) as f64 / (1u64 << 39) as f64));
        }
    }
    events
}

fn whole(from: i64, to: i64) -> Steps {
    Steps { start: START_S + from, step: to - from, count: 1 }
}

/// What is put back answers as what was sealed, in every tier and form, to the bit.
#[test]
fn what_is_put_back_is_what_was_sealed() {
    let (until, mut rig) = (9 * 3_600, Rig::new());
    rig.play(&traffic(until, 1), until);
    rig.store.retire(&rig.kept);
    let (store, archive, loaded) = rig.restarted();
    assert_eq!(rig.store.footprint().sealed, store.footprint().sealed);
    assert_eq!(rig.store.footprint().sealed.buckets, loaded);
    assert_eq!(rig.archive.files(), archive.files());
    let first = rig.kept.start_s(Use::Recent) - START_S;
    let sealed = rig.kept.sealed().expect("sealed") * BUCKET_S - START_S;
    for name in 0..8 {
        for from in [first, sealed - 3_600, sealed - 330, sealed - 60] {
            let steps = whole(from, sealed);
            let wanted = rig.answer(name, &steps).expect("held");
            let mut gathered = Gathered::new(0, MEASURES);
            store.visit(&steps, &[name], &[], |_, _, piece| {
                if let Piece::Events(slice) = piece {
                    gathered.take(slice);
                }
            });
            assert_eq!(wanted, [gathered.merge()], "{name} from {from}");
        }
    }
}

/// The same events give the same files, byte for byte, whatever their order and their series' ids.
#[test]
fn files_do_not_tell_the_order() {
    let until = 1_200;
    let mut events = traffic(until, 7);
    let mut rig = Rig::new();
    rig.play(&events, until);
    events.reverse();
    let mut other = Rig::new();
    other.ids = |name| name ^ 0x3f;
    other.play(&events, until);
    assert!(rig.files().len() > 20);
    assert!(rig.files() == other.files());
}

/// Two series that share a stable id are told apart by their texts, and one that is not wanted is not read.
#[test]
fn series_that_share_an_id_are_two() {
    let mut rig = Rig::new();
    rig.play(&[(5, 2, 1.0), (5, 3, 2.0), (7, 3, 3.0)], 300);
    for (name, events) in [(2, 1), (3, 2), (1, 0)] {
        let mut found = 0;
        let stretch = Stretch { tier: 0, from: START, to: START + 6 };
        let wanted = rig.wanted([name].into_iter(), |_| 0);
        let count = |_, _, bucket: Sealed| found += bucket.values(0).count();
        rig.archive.fetch(&wanted, &[stretch], count).expect("reads");
        assert_eq!(events, found, "{name}");
    }
    assert_eq!(named(2).stable, named(3).stable);
}

/// A value, and a centroid, takes four bytes or less where it is a time or a count.
#[test]
fn files_are_compact() {
    let until = 3_600;
    let events: Vec<Event> = (0..until)
        .flat_map(|second| {
            (0..40).map(move |name| (second, name, (second * 7 + 13) as f64 / 1_000.0))
        })
        .collect();
    let mut rig = Rig::new();
    rig.play(&events, until);
    let bytes = rig.archive.figures().bytes[1] as f64;
    let minutes = (until - 60) / 60;
    let values = minutes * 60 * 40 * MEASURES as i64 * 5 / 6;
    let each = bytes / values as f64;
    assert!(each <= 4.0, "{each} B a value");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What memory gave up is answered from the disk, with the bits that memory would have given.
    #[test]
    fn demoted_time_is_answered_the_same(
        seed: u64, hours in 1i64..4, name in 0u32..8,
        questions in prop::collection::vec((0i64..1_440, 1i64..200, 1usize..4), 12),
    ) {
        let until = hours * 3_600;
        let events = traffic(until, seed);
        let (mut rig, mut twin) = (Rig::new(), Rig::new());
        rig.play(&events, until);
        twin.play(&events, until);
        rig.demote();
        // The last of them is surely about time that memory gave up.
        let last = (until / 10 - 180, 30, 3);
        for (from, length, count) in questions.into_iter().chain([last]) {
            let step = length * 10;
            let steps = Steps { start: START_S + from * 10, step, count };
            let (Some(wanted), Some(found)) = (twin.answer(name, &steps), rig.answer(name, &steps)) else {
                prop_assert!((from, length, count) != last);
                continue;
            };
            let beyond = rig.kept.reach(used(name), steps.whole()) != steps.whole();
            // An objective keeps the parts of its wide buckets.
            prop_assert!(beyond || used(name) == Use::Objective || (from, length, count) != last);
            if beyond {
                prop_assert_eq!(wanted, found, "{:?}", steps);
            }
        }
    }

    /// Whatever the bytes, reading a block ends in buckets or an error.
    #[test]
    fn any_block_is_safe(bytes: Vec<u8>, flips in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let mut block = block::Block::default();
        let mut visit = |bytes: &[u8]| {
            let read = block.read(bytes, 2, MEASURES);
            read.and_then(|()| block.visit((START, START + 9), |_, _| Some(0), |_, _| ()))
        };
        let _ = visit(&bytes);
        let _ = Catalog::load(&mut Reader(&bytes)).map(|catalog| catalog.coverage());
        let mut builder = block::BlockBuilder::new(2, MEASURES);
        let rig = Rig::new();
        rig.push(&traffic(90, 3));
        let mut leaves = Vec::new();
        rig.store.seal_into(&rig.kept, START + 9, &|_| Use::Recent, Some(&mut leaves));
        for leaf in leaves.iter().filter(|leaf| leaf.tier == 0) {
            builder.series(i64::from(leaf.series), [1, 2].into_iter());
            builder.bucket(&leaf.bucket, START);
        }
        let mut bytes = builder.finish();
        prop_assert_eq!(Ok(()), visit(&bytes));
        for (at, flip) in flips {
            let at = at % bytes.len();
            bytes[at] ^= flip;
        }
        let _ = visit(&bytes);
    }
}

/// A file that lost a bit says so, by its name, and the others still answer.
#[test]
fn damage_is_told() {
    let mut rig = Rig::new();
    rig.play(&traffic(600, 5), 600);
    rig.demote();
    let file = rig.archive.files().into_iter().find(|file| file.extent.tier == 1).expect("one");
    let path = Path::new(FOLDER_OF_ALL).join(file.path());
    let bytes = rig.disk.files.lock()[&path].clone();
    bytes.0.lock()[file.bytes as usize / 2] ^= 4;
    let wanted = rig.wanted(0..8, |name| name);
    let fetch = |number| {
        let stretch = Stretch { tier: 1, from: number, to: number + 1 };
        rig.archive.fetch(&wanted, &[stretch], |_, _, _| ())
    };
    let error = fetch(file.extent.from).expect_err("damaged").to_string();
    assert!(error.contains(&*path.to_string_lossy()) && error.contains("doctor"), "{error}");
    assert!(fetch(file.extent.to).is_ok());
}

/// What the disk does not take waits, holds checkpoints back, and is written once there is room.
#[test]
fn a_full_disk_loses_nothing() {
    let (mut rig, mut twin) = (Rig::new(), Rig::new());
    let events = traffic(900, 9);
    twin.play(&events, 900);
    for from in (0..900).step_by(60) {
        let due = events.iter().filter(|event| (from..from + 60).contains(&event.0));
        rig.push(&due.copied().collect::<Vec<_>>());
        rig.seal(from);
        rig.disk.full.store((300..600).contains(&from), Ordering::Relaxed);
        assert_eq!((300..600).contains(&from), rig.archive.flush().is_err());
        let since = rig.archive.unwritten_since();
        assert_eq!((300..600).contains(&from).then_some(Lsn(6)), since, "{from}");
        assert_eq!(since.is_some(), rig.archive.figures().backlog_bytes > 0);
        assert!(rig.archive.check_room().is_ok());
    }
    assert!(twin.files() == rig.files());
}

/// Files go with the last slot of their tier, oldest and finest first where there is too much,
/// and never what wider buckets are still built from; what is left has no hole.
#[test]
fn files_go_when_they_must() {
    let until = 4 * 3_600 + 180;
    let events = traffic(until, 11);
    let mut rig = Rig::new();
    rig.play(&events, until);
    let count = |rig: &Rig, tier| {
        rig.archive.files().iter().filter(|file| file.extent.tier == tier).count()
    };
    assert_eq!([36 / 6, 66, 48, 4, 0], std::array::from_fn(|tier| count(&rig, tier)));
    let there = |rig: &Rig| rig.disk.files.lock().len();
    let (before, named) = (there(&rig), rig.archive.files().len());
    rig.archive.sweep(|_| true).expect("removed");
    assert_eq!(before, there(&rig));
    assert!(before > named + 100, "{before} files");
    rig.archive
        .sweep(|path| path.ends_with(format!("{START}-{}.seg", START + 6)))
        .expect("removed");
    assert_eq!(named + 1, there(&rig));
    let all: u64 = rig.archive.figures().bytes.iter().sum();
    let mut small = Rig::keeping(own_slots(), all / 2);
    small.play(&events, until);
    let figures = small.archive.figures();
    assert!(figures.bytes.iter().sum::<u64>() <= all / 2 && figures.shed > 0, "{figures:?}");
    // Two minutes of the five that are not over.
    assert_eq!(2, count(&small, 0), "{figures:?}");
    assert!(count(&small, 1) < 66 && count(&small, 2) == 48, "{figures:?}");
    let mut kept = small.kept.clone();
    small.archive.limit(&mut kept);
    let (_, _, loaded) = small.restarted();
    assert!(loaded > 0);
    assert!(kept.start_s(Use::Recent) >= small.kept.start_s(Use::Recent));
}

/// Files from after a checkpoint are no one's, unless they are written again.
#[test]
fn strays_go() {
    let mut rig = Rig::new();
    rig.play(&traffic(300, 2), 300);
    let mut saved = Writer::default();
    rig.archive.save(&mut saved);
    let before = rig.archive.files();
    rig.push(&[(301, 1, 1.0), (371, 1, 1.0)]);
    rig.seal(310);
    rig.archive.flush().expect("written");
    let after: Vec<File> =
        rig.archive.files().into_iter().filter(|file| !before.contains(file)).collect();
    assert!(!after.is_empty());
    rig.archive.adopt(Catalog::load(&mut Reader(&saved.0)).expect("reads")).expect("listed");
    assert_eq!(before, rig.archive.files());
    let there = |file: &File| {
        rig.disk.files.lock().contains_key(&Path::new(FOLDER_OF_ALL).join(file.path()))
    };
    assert!(after.iter().all(there));
    rig.archive.sweep(|_| false).expect("removed");
    assert!(!after.iter().any(there) && before.iter().all(there));
}
