//! What the journal promises, on a disk that forgets and fails.

pub(crate) mod memory;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use self::memory::MemoryDisk;
use super::read::{Replayed, Torn};
use super::segment::log_path;
use super::{Journal, Lsn, Options, Slot, Weakened, examine, repair, replay};
use crate::clock::ManualClock;
use crate::config::Durability;
use crate::error::{Error, Result};

const FOLDER: &str = "/journal";

fn options() -> Options {
    Options {
        durability: Durability::Sync,
        segment_bytes: 16 << 10,
        first_segment_bytes: 4 << 10,
        reserve_bytes: 16 << 10,
        weakened: Weakened::default(),
    }
}

fn open_with(disk: &MemoryDisk, next: u64, options: Options) -> Journal {
    let clock = Arc::new(ManualClock::new(0));
    Journal::open(Arc::new(disk.clone()), clock, Path::new(FOLDER), options, Lsn(next))
        .expect("opens")
}

fn open(disk: &MemoryDisk, next: u64) -> Journal {
    open_with(disk, next, options())
}

/// What a record of the tests says: told apart by number and by `salt`.
fn payload(lsn: Lsn, salt: u64, length: usize) -> Vec<u8> {
    let mut bytes = xxhash_rust::xxh3::xxh3_64_with_seed(&lsn.0.to_le_bytes(), salt)
        .to_le_bytes()
        .repeat(length.div_ceil(8));
    bytes.truncate(length);
    bytes
}

fn append(journal: &Journal, length: usize) -> Lsn {
    let slot = journal.reserve(length).expect("has room");
    let lsn = slot.lsn();
    slot.fill(1, payload(lsn, 0, length));
    lsn
}

/// Groups of records of these lengths, each synced before the next is written.
fn write(journal: &Journal, groups: &[&[usize]]) {
    for group in groups {
        journal.prepare().expect("has room");
        for &length in *group {
            let _ = append(journal, length);
        }
        while journal.commit().expect("writes") {}
    }
}

type Records = BTreeMap<Lsn, Vec<u8>>;

fn read_after(disk: &MemoryDisk, after: u64) -> Result<(Records, Replayed)> {
    let mut records = Records::new();
    let replayed = replay(
        disk,
        Path::new(FOLDER),
        Lsn(after),
        Weakened::default(),
        &mut |lsn, kind, payload| {
            assert_eq!(1, kind);
            assert_eq!(None, records.insert(lsn, payload.to_vec()));
            Ok(())
        },
    )?;
    Ok((records, replayed))
}

fn read(disk: &MemoryDisk) -> (Records, Replayed) {
    read_after(disk, 0).expect("undamaged")
}

fn log(first: u64) -> PathBuf {
    log_path(Path::new(FOLDER), Lsn(first))
}

/// A generator that a seed repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 += 1;
        xxhash_rust::xxh3::xxh3_64(&self.0.to_le_bytes()) % below
    }
}

/// Records come back in order, across segments and restarts, with nothing torn.
#[test]
fn records_come_back() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    write(&journal, &[&[100, 0, 3_000], &[1_000], &[9_000, 2_000], &[12_000]]);
    assert_eq!(Lsn(7), journal.durable());
    drop(journal);
    let (records, replayed) = read(&disk);
    assert_eq!((Lsn(8), 7, None), (replayed.next, replayed.records, replayed.torn));
    assert!(records.iter().all(|(&lsn, bytes)| *bytes == payload(lsn, 0, bytes.len())));
    assert_eq!(
        vec![100, 0, 3_000, 1_000, 9_000, 2_000, 12_000],
        records.values().map(Vec::len).collect::<Vec<_>>()
    );

    write(&open(&disk, 8), &[&[10], &[20]]);
    assert_eq!((Lsn(10), 9), (read(&disk).1.next, read(&disk).1.records));
    assert_eq!(
        vec![Lsn(9)],
        read_after(&disk, 8).expect("whole").0.into_keys().collect::<Vec<_>>()
    );
}

/// An empty folder has no records, and the first is number 1.
#[test]
fn an_empty_folder_is_a_journal() {
    let disk = MemoryDisk::default();
    assert_eq!(Lsn(1), read(&disk).1.next);
    assert_eq!(Lsn(1), append(&open(&disk, 1), 5));
}

/// Room that a record was promised and did not need is given to later ones.
#[test]
fn unused_room_is_given_back() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    for _ in 0..4 {
        let slot = journal.reserve(2_900).expect("is free again");
        slot.fill(1, vec![7; 10]);
    }
    let none = journal.reserve(2_900).and_then(|_| journal.reserve(2_900)).map(|_| ());
    assert!(matches!(none, Err(Error::Preparing { wanted: 2_900 })));
}

/// A record is written once all before it are filled, whoever comes first.
#[test]
fn order_is_that_of_the_numbers() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    let (one, two) = (journal.reserve(8).expect("room"), journal.reserve(8).expect("room"));
    two.fill(1, b"two".to_vec());
    assert!(!journal.commit().expect("nothing to do"));
    assert_eq!(Lsn(0), journal.durable());
    one.fill(1, b"one".to_vec());
    assert!(journal.commit().expect("writes"));
    assert_eq!(
        vec![b"one".to_vec(), b"two".to_vec()],
        read(&disk).0.into_values().collect::<Vec<_>>()
    );
}

/// One life of a journal in [`crashes_lose_nothing`].
struct Lives {
    disk: MemoryDisk,
    dice: Dice,
    /// Records that an acknowledgement was given for.
    acked: Records,
    /// Those of the life before that none was given for: they may be there or not.
    unacked: Records,
    released: Lsn,
}

impl Lives {
    fn new(seed: u64) -> Self {
        Self {
            disk: MemoryDisk::default(),
            dice: Dice(seed << 32),
            acked: Records::new(),
            unacked: Records::new(),
            released: Lsn(0),
        }
    }
}

impl Lives {
    /// Write, maybe release, and lose power at some point of it.
    fn live(&mut self, life: u64, options: &Options) {
        let (survived, replayed) = read_after(&self.disk, self.released.0).expect("undamaged");
        for (lsn, bytes) in self.acked.range(self.released.next()..) {
            assert_eq!(Some(bytes), survived.get(lsn), "{lsn} was acknowledged");
        }
        for (lsn, bytes) in &survived {
            let told = self.acked.get(lsn).or_else(|| self.unacked.get(lsn));
            assert_eq!(told, Some(bytes), "{lsn} is of an earlier life");
        }
        self.acked = survived;
        let journal = open_with(&self.disk, replayed.next.0, options.clone());
        let mut filled = Records::new();
        self.disk.die_after(self.dice.roll(60));
        for _ in 0..self.dice.roll(12) {
            if self.step(life, &journal, &mut filled).is_err() {
                break;
            }
        }
        let durable = journal.durable();
        self.unacked = filled.split_off(&durable.next());
        self.acked.extend(filled);
        let dice = &mut self.dice;
        if dice.roll(4) == 0 {
            return self.disk.outlive();
        }
        // All of it, none of it, or some.
        let odds = dice.roll(3);
        self.disk = self.disk.crash(&mut || odds == 0 || odds == 1 && dice.roll(2) == 0);
    }
}

impl Lives {
    /// Some of what happens in a second; fails once there is no power.
    fn step(&mut self, life: u64, journal: &Journal, filled: &mut Records) -> Result<()> {
        // Few lengths, so that what an earlier life left lies where a new record may begin;
        // 491 B make a frame of one sector.
        let lengths = [40, 491, 491, 491, 979, 1_400];
        if self.dice.roll(2) == 0 {
            journal.prepare()?;
        }
        for _ in 0..self.dice.roll(5) {
            let length = lengths[self.dice.roll(6) as usize];
            if let Ok(slot) = journal.reserve(length) {
                let (lsn, bytes) = (slot.lsn(), payload(slot.lsn(), life, length));
                slot.fill(1, bytes.clone());
                let _ = filled.insert(lsn, bytes);
            }
        }
        if self.dice.roll(3) > 0 {
            let _ = journal.commit()?;
        }
        if self.dice.roll(6) == 0 {
            self.released = self.released.max(Lsn(journal.durable().0.saturating_sub(4)));
            journal.release_before(self.released.next())?;
        }
        Ok(())
    }
}

/// Whatever a power cut leaves of what was not synced: what was acknowledged is there, the
/// rest is there in order or not at all, never what an earlier life wrote, and it goes on.
#[test]
fn crashes_lose_nothing() {
    for seed in 0..400 {
        let durability = if seed % 4 == 0 { Durability::Relaxed } else { Durability::Sync };
        let options = Options { durability, ..options() };
        let mut lives = Lives::new(seed);
        for life in 0..12 {
            lives.live(life, &options);
        }
    }
}

/// Without the sync before the acknowledgement, the same crashes do lose something.
#[test]
fn the_test_sees_a_missing_sync() {
    let weakened = Weakened { skip_sync: true, ..Weakened::default() };
    let options = Options { weakened, ..options() };
    let lost = (0..20).any(|seed| {
        let mut lives = Lives::new(seed);
        let run = std::panic::AssertUnwindSafe(|| {
            (0..12).for_each(|life| lives.live(life, &options));
        });
        std::panic::catch_unwind(run).is_err()
    });
    assert!(lost);
}

/// A flipped bit anywhere in the log is reported with the records it took, or had no
/// effect; only in the last group, which no later one vouches for, it reads as torn.
#[test]
fn every_flipped_bit_is_seen() {
    let disk = MemoryDisk::default();
    write(&open(&disk, 1), &[&[30, 40], &[50], &[60, 20]]);
    let (whole, _) = read(&disk);
    let used = disk.bytes(&log(1)).iter().rposition(|&byte| byte != 0).expect("written") + 1;
    let last_group = used - (60 + 20 + 2 * 21);
    for bit in 0..(used + 40) * 8 {
        let rotten = disk.copy();
        rotten.change(&log(1), bit / 8, |byte| byte ^ 1 << (bit % 8));
        match read_after(&rotten, 0) {
            Ok((records, _)) if bit / 8 >= last_group => {
                assert!(records.len() >= 3, "bit {bit}");
                assert!(records.iter().all(|(lsn, bytes)| whole.get(lsn) == Some(bytes)));
            }
            // Behind the fields of the head there is nothing.
            Ok((records, _)) => {
                assert!((42 * 8..512 * 8).contains(&bit), "bit {bit}");
                assert_eq!(whole, records);
            }
            Err(Error::JournalDamaged { first, last, .. }) => {
                assert!(first <= last && last <= 5, "bit {bit}");
                let repaired = repair(&rotten, Path::new(FOLDER), Lsn(0)).expect("repairs");
                assert_eq!(Some((Lsn(first), Lsn(5))), repaired.given_up);
                let (records, replayed) = read(&rotten);
                assert_eq!(Lsn(first), replayed.next);
                assert_eq!(first as usize - 1, records.len());
            }
            Err(Error::Layout { .. }) => panic!("bit {bit} reads as another version"),
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Wherever the file is cut off, the log reads up to the last whole record before, or
    /// is refused because its head is gone.
    #[test]
    fn cut_off_anywhere(lengths in prop::collection::vec(0_usize..400, 1..12), share in 0.0..1.0) {
        let disk = MemoryDisk::default();
        let journal = open_with(&disk, 1, Options { first_segment_bytes: 8 << 10, ..options() });
        for &length in &lengths {
            let _ = append(&journal, length);
        }
        prop_assert!(journal.commit().expect("writes"));
        let length = disk.bytes(&log(1)).len();
        let cut = (length as f64 * share) as usize;
        for at in cut..length {
            disk.change(&log(1), at, |_| 0);
        }
        let ends = lengths.iter().scan(512, |end, length| { *end += 21 + length; Some(*end) });
        // A record whose last bytes were zeros anyway is whole.
        let whole = ends.take_while(|&end| end <= cut).count();
        if cut < 42 {
            let refused = matches!(read_after(&disk, 0), Err(Error::JournalDamaged { .. }));
            prop_assert!(refused);
        } else {
            let records = read(&disk).0;
            prop_assert!(records.len() == whole || records.len() == whole + 1);
        }
    }
}

/// Damage says the file, the place and exactly the records that are gone, in the middle of
/// a log of several segments as well, and a checkpoint behind it makes it harmless.
#[test]
fn damage_names_its_range() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    write(&journal, &[&[1_000, 1_000], &[1_000], &[3_000, 3_000], &[9_000], &[3_000], &[500]]);
    // The second record's payload.
    disk.change(&log(1), 512 + 21 + 1_000 + 21 + 500, |byte| !byte);
    let Err(Error::JournalDamaged { path, offset, first, last }) = read_after(&disk, 0) else {
        panic!("damaged");
    };
    assert_eq!((log(1), 512 + 21 + 1_000, 2, 2), (path, offset, first, last));
    assert_eq!(6, read_after(&disk, 2).expect("needs none of it").0.len());
    let examined = examine(&disk, Path::new(FOLDER), Lsn(2)).expect("reads");
    assert_eq!((1, None), (examined.damage.len(), examined.harm(Lsn(2))));
}

/// A missing segment is damage: its records are named.
#[test]
fn a_missing_segment_is_damage() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    write(&journal, &[&[3_000], &[3_000, 9_000], &[9_000], &[5_000]]);
    let examined = examine(&disk, Path::new(FOLDER), Lsn(0)).expect("reads");
    let firsts: Vec<u64> = examined.segments.iter().map(|it| it.first.0).collect();
    assert_eq!(vec![1, 2, 4], firsts);
    crate::disk::Disk::remove(&disk, &log(2)).expect("is there");
    let Err(Error::JournalDamaged { first, last, .. }) = read_after(&disk, 0) else {
        panic!("damaged");
    };
    assert_eq!((2, 3), (first, last));
}

/// Repair gives up everything from the damage on, says exactly what, and keeps copies.
#[test]
fn repair_cuts_at_the_damage() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    write(&journal, &[&[3_000], &[3_000, 9_000], &[9_000], &[5_000]]);
    let before = disk.bytes(&log(2));
    disk.change(&log(2), 512 + 21 + 3_000 + 30, |byte| !byte);
    let repaired = repair(&disk, Path::new(FOLDER), Lsn(0)).expect("repairs");
    assert_eq!(Some((Lsn(3), Lsn(5))), repaired.given_up);
    assert_eq!(2, repaired.kept.len());
    assert_eq!(before.len(), disk.bytes(&repaired.kept[0]).len());
    let (records, replayed) = read(&disk);
    assert_eq!((2, Lsn(3), None), (records.len(), replayed.next, replayed.torn));
    let again = repair(&disk, Path::new(FOLDER), Lsn(0)).expect("nothing to do");
    assert_eq!((None, 0), (again.given_up, again.kept.len()));
    write(&open(&disk, 3), &[&[10]]);
    assert_eq!(3, read(&disk).0.len());
}

/// Another version's segment is refused as such.
#[test]
fn another_layout_is_refused() {
    let disk = MemoryDisk::default();
    write(&open(&disk, 1), &[&[10]]);
    disk.change(&log(1), 10, |layout| layout + 1);
    let sum = crc32c::crc32c(&disk.bytes(&log(1))[..38]).to_le_bytes();
    for (at, byte) in sum.into_iter().enumerate() {
        disk.change(&log(1), 38 + at, |_| byte);
    }
    assert!(matches!(read_after(&disk, 0), Err(Error::Layout { .. })));
}

/// A full disk refuses records before they have a number, keeps what was promised, lets
/// short ones of our own through, and takes everything again once there is room.
#[test]
fn a_full_disk_recovers() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    disk.set_space(Some(10 << 10));
    journal.prepare().expect("full is no error");
    assert!(journal.stats().full);
    let promised = journal.reserve(1_000).expect("has room");
    let mut taken = 1;
    while journal.reserve(500).map(|slot| slot.fill(1, vec![1; 500])).is_ok() {
        taken += 1;
    }
    journal.reserve_own(300).expect("kept for these").fill(1, vec![2; 300]);
    promised.fill(1, vec![3; 1_000]);
    while journal.commit().expect("has room") {}
    assert_eq!(Lsn(taken + 1), journal.durable());

    disk.set_space(None);
    journal.prepare().expect("writes");
    assert!(!journal.stats().full);
    assert_eq!(Lsn(taken + 2), append(&journal, 12_000));
    assert!(journal.commit().expect("writes"));
    assert_eq!(taken as usize + 2, read(&disk).0.len());
}

/// A journal opens on a disk without any room, and works once there is some.
#[test]
fn opens_on_a_full_disk() {
    let disk = MemoryDisk::default();
    disk.set_space(Some(0));
    let journal = open(&disk, 1);
    assert!(matches!(journal.reserve(1).map(|_| ()), Err(Error::Full { .. })));
    disk.set_space(None);
    journal.prepare().expect("writes");
    write(&journal, &[&[10]]);
    assert_eq!(1, read(&disk).0.len());
}

/// After a sync that failed nothing is acknowledged, numbered or synced again.
#[test]
fn a_failed_sync_is_final() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    write(&journal, &[&[10]]);
    disk.fail_syncs();
    let lsn = append(&journal, 10);
    assert!(matches!(journal.commit(), Err(Error::Journal { path, .. }) if path == log(1)));
    assert!(matches!(journal.commit(), Err(Error::Journal { .. })));
    assert!(matches!(journal.wait(lsn), Err(Error::Journal { .. })));
    assert!(matches!(journal.reserve(1).map(|_| ()), Err(Error::Journal { .. })));
    assert_eq!(Ok(()), journal.wait(Lsn(1)).map_err(|error| error.to_string()));
    assert_eq!(Lsn(1), journal.durable());
    assert!(journal.stats().failed.is_some_and(|text| text.contains("lost in the cable")));
}

/// A write that failed is as final.
#[test]
fn a_failed_write_is_final() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    let _ = append(&journal, 10);
    disk.fail_writes();
    assert!(matches!(journal.commit(), Err(Error::Journal { .. })));
    assert_eq!(Lsn(0), journal.durable());
}

/// A record that was numbered and never said anything ends the journal: nothing may be
/// written over the hole.
#[test]
fn a_hole_is_final() {
    let journal = open(&MemoryDisk::default(), 1);
    drop(journal.reserve(10).expect("has room"));
    assert!(matches!(journal.reserve(10).map(|_| ()), Err(Error::Journal { .. })));
}

/// Segments that a checkpoint made superfluous are used again without new zeros, what they
/// held before is not read, and what is too much of them is removed.
#[test]
fn segments_are_used_again() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    for round in 0..10 {
        write(&journal, &[&[7_000], &[7_000], &[7_000], &[7_000]]);
        let durable = journal.durable();
        journal.release_before(Lsn(durable.0 - 1)).expect("removes");
        assert!(journal.stats().segments <= 3, "round {round}");
        let (records, replayed) = read_after(&disk, durable.0 - 2).expect("undamaged");
        assert_eq!((2, None), (records.len(), replayed.torn));
    }
    // 40 records, two to a segment.
    let names = crate::disk::Disk::list(&disk, Path::new(FOLDER)).expect("readable");
    let newest = names.iter().filter_map(|it| it.strip_suffix(".spare")?.parse::<u64>().ok()).max();
    assert!(newest.is_some() && names.len() <= 6, "{names:?}");
    journal.release_before(journal.durable().next()).expect("removes");
    journal.release_before(journal.durable().next()).expect("removes");
    assert!(journal.stats().spares <= 2, "{:?}", journal.stats());
}

/// Relaxed acknowledges what is written, syncs on its own within a tenth of a second, and
/// all of it when asked.
#[test]
fn relaxed_syncs_later() {
    let disk = MemoryDisk::default();
    let clock = Arc::new(ManualClock::new(0));
    let relaxed = Options { durability: Durability::Relaxed, ..options() };
    let journal =
        Journal::open(Arc::new(disk.clone()), clock.clone(), Path::new(FOLDER), relaxed, Lsn(1))
            .expect("opens");
    write(&journal, &[&[10]]);
    assert_eq!(Lsn(1), journal.durable(), "the segment's first group is synced with its name");
    write(&journal, &[&[10]]);
    assert_eq!(Ok(()), journal.wait(Lsn(2)).map_err(|error| error.to_string()));
    assert_eq!(Lsn(1), journal.durable());
    clock.set(100_000_000);
    assert!(journal.commit().expect("syncs"));
    assert_eq!(Lsn(2), journal.durable());
    write(&journal, &[&[10]]);
    assert_eq!(Lsn(2), journal.durable());
    journal.flush().expect("syncs");
    assert_eq!(Lsn(3), journal.durable());
}

/// Threads that append and wait together get every record durable, in the order of its
/// number, while another releases what is behind.
#[test]
fn threads_share_a_journal() {
    const THREADS: u64 = 8;
    const EACH: u64 = 300;
    let disk = MemoryDisk::default();
    let options = Options { reserve_bytes: 256 << 10, ..options() };
    let journal = open_with(&disk, 1, options);
    journal.prepare().expect("has room");
    let running = AtomicU64::new(THREADS);
    std::thread::scope(|scope| {
        let _ = scope.spawn(|| journal.run());
        let _ = scope.spawn(|| journal.tend());
        for thread in 0..THREADS {
            let (journal, running) = (&journal, &running);
            let _ = scope.spawn(move || {
                for round in 0..EACH {
                    let length = ((thread + round) % 90) as usize;
                    let slot: Slot<'_> = loop {
                        if let Ok(slot) = journal.reserve(100) {
                            break slot;
                        }
                        std::thread::yield_now();
                    };
                    let lsn = slot.lsn();
                    let mut buffer = journal.recycle();
                    buffer.extend(payload(lsn, 0, length));
                    slot.fill(1, buffer);
                    journal.wait(lsn).expect("is written");
                    assert!(lsn <= journal.durable());
                }
                if running.fetch_sub(1, Ordering::SeqCst) == 1 {
                    journal.stop();
                }
            });
        }
    });
    let (records, replayed) = read(&disk);
    assert_eq!((THREADS * EACH, Lsn(THREADS * EACH + 1)), (replayed.records, replayed.next));
    assert!(records.iter().all(|(&lsn, bytes)| *bytes == payload(lsn, 0, bytes.len())));
}

/// A journal that stops still writes what has a number, and gives out no more.
#[test]
fn stopping_leaves_nobody_waiting() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    let slot = journal.reserve(8).expect("has room");
    journal.stop();
    assert!(matches!(journal.reserve(8).map(|_| ()), Err(Error::Closed)));
    std::thread::scope(|scope| {
        let _ = scope.spawn(|| journal.run());
        let lsn = slot.lsn();
        slot.fill(1, vec![0; 8]);
        assert_eq!(Ok(()), journal.wait(lsn).map_err(|error| error.to_string()));
    });
    assert_eq!(Lsn(2), read(&disk).1.next);
}

/// Threads that wait when the sync fails are all told.
#[test]
fn waiters_hear_of_a_failure() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    disk.fail_syncs();
    std::thread::scope(|scope| {
        let _ = scope.spawn(|| journal.run());
        let waits: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    journal.reserve(8).and_then(|slot| {
                        let lsn = slot.lsn();
                        slot.fill(1, vec![0; 8]);
                        journal.wait(lsn)
                    })
                })
            })
            .collect();
        for wait in waits {
            assert!(matches!(wait.join().expect("ends"), Err(Error::Journal { .. })));
        }
    });
}

/// A segment that is used again and filled less ends cleanly all the same.
#[test]
fn a_segment_used_again_ends_cleanly() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    write(&journal, &[&[3_000], &[5_000, 5_000, 5_000], &[5_000, 5_000, 5_000]]);
    journal.release_before(Lsn(6)).expect("removes");
    for lsn in 8..30 {
        write(&journal, &[&[700]]);
        let replayed = read_after(&disk, 6).expect("undamaged").1;
        assert_eq!((Lsn(lsn + 1), None), (replayed.next, replayed.torn));
    }
}

/// A segment that lost power just before it got its name is used again: none of what it
/// held then is read, not even where number, length and place are those of a new record.
#[test]
fn a_life_before_is_not_read() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    let fill = |journal: &Journal, salt| {
        let slot = journal.reserve(491).expect("has room");
        let bytes = payload(slot.lsn(), salt, 491);
        slot.fill(1, bytes);
    };
    (0..3).for_each(|_| fill(&journal, 1));
    // The write and the sync.
    disk.die_after(2);
    assert!(journal.commit().is_err());

    let disk = disk.crash(&mut || false);
    assert_eq!(Lsn(1), read(&disk).1.next);
    let journal = open(&disk, 1);
    fill(&journal, 2);
    assert!(journal.commit().expect("writes"));
    (0..2).for_each(|_| fill(&journal, 2));
    disk.die_after(1);
    assert!(journal.commit().is_err());

    // Of the two records, each a sector long, the first reached the disk.
    let mut asked = 0;
    let disk = disk.crash(&mut || {
        asked += 1;
        asked <= 2
    });
    let expected = [1, 2].map(|lsn| (Lsn(lsn), payload(Lsn(lsn), 2, 491)));
    assert_eq!(Records::from(expected), read(&disk).0);
}

/// What a crash tore is said with its place, and is no damage.
#[test]
fn a_torn_tail_is_told() {
    let disk = MemoryDisk::default();
    let journal = open(&disk, 1);
    write(&journal, &[&[100], &[200, 300]]);
    disk.change(&log(1), 512 + 21 + 100 + 21, |byte| !byte);
    let torn = Torn { path: log(1), offset: 512 + 21 + 100, bytes: 21 + 200 + 21 + 300 };
    assert_eq!((Lsn(2), Some(torn)), (read(&disk).1.next, read(&disk).1.torn));
}
