//! Seeds of the simulator, and proof that it sees what it is there to see.

mod sim;

use spanmill_core::Weakened;

/// Seeds that each run of the tests lives through; `make sim` takes 10,000.
const SEEDS: u64 = 200;

/// Seeds within which a broken promise is seen.
const SEEN_WITHIN: u64 = 1_000;

/// Through crashes, full disks, failed syncs and clocks that step, what was acknowledged is
/// counted once, and every recovery is bit for bit what its log says.
#[test]
fn nothing_acknowledged_is_lost_or_counted_twice() {
    let mut all = sim::Report::default();
    for seed in 0..SEEDS {
        match sim::run(seed, Weakened::default()) {
            Ok(report) => all += report,
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(all.crashes > SEEDS && all.kills > 0 && all.duplicates > 0 && all.checkpoints > SEEDS);
    assert!(all.full > 0 && all.failed_syncs > 0, "no disk was ever full, or failed: {all:?}");
}

/// The first seed that shows a fault.
fn first_failure(weakened: Weakened) -> Option<u64> {
    (0..SEEN_WITHIN).find(|&seed| sim::run(seed, weakened).is_err())
}

/// An acknowledgement before the sync is seen.
#[test]
fn a_skipped_sync_is_seen() {
    assert!(first_failure(Weakened { skip_sync: true, ..Weakened::default() }).is_some());
}

/// Frames that are believed without their checksum are seen.
#[test]
fn a_skipped_checksum_is_seen() {
    assert!(first_failure(Weakened { skip_crc: true, ..Weakened::default() }).is_some());
}

/// Checkpoints that forget which batches were here are seen.
#[test]
fn a_forgotten_batch_is_seen() {
    assert!(first_failure(Weakened { forget_dedupe: true, ..Weakened::default() }).is_some());
}

/// Files that go before the checkpoint that makes them needless is durable are seen.
#[test]
fn a_reversed_order_of_names_is_seen() {
    assert!(first_failure(Weakened { unlink_first: true, ..Weakened::default() }).is_some());
}
