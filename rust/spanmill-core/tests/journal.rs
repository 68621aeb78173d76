//! What `spanmill doctor` sees in a data folder, and what a repair does to it.

mod rig;

use std::path::PathBuf;

use rig::{Rig, SECOND_NS, Span, parse};
use serde_json::{Value as Json, json};
use spanmill_core::disk::RealDisk;
use spanmill_core::error::Error;
use spanmill_core::{Engine, examine_folder, repair_folder};

const NOW_S: i64 = 1_795_219_200;

/// An engine that died after three requests of ten spans each: all of it is in the journal.
fn stopped() -> Rig {
    let rig = Rig::configured(NOW_S, |config| config["durability"] = json!("sync"));
    for batch in 0..3 {
        let span =
            Span { end_ns: NOW_S * SECOND_NS - batch, model: "m", ttft_s: 0.5, output_tokens: 10 };
        rig.send("acme", &[span; 10]);
    }
    let journal = std::fs::read(segment(&rig)).expect("is there");
    rig.engine.close();
    // As it was before a clean stop, whose checkpoint would need nothing of the journal.
    for name in ["checkpoint", "journal"] {
        std::fs::remove_dir_all(rig.folder().join(name)).expect("is there");
    }
    std::fs::create_dir(rig.folder().join("journal")).expect("writable");
    std::fs::write(segment(&rig), journal).expect("writable");
    rig
}

fn segment(rig: &Rig) -> PathBuf {
    rig.folder().join("journal").join(format!("{:020}.log", 1))
}

/// Change one byte.
fn damage(path: &PathBuf, at: usize) {
    let mut bytes = std::fs::read(path).expect("is there");
    bytes[at] ^= 1;
    std::fs::write(path, bytes).expect("writable");
}

fn examine(rig: &Rig) -> Json {
    parse(&examine_folder(&RealDisk, rig.folder()).expect("reads"))
}

/// A folder that nothing happened to is whole, and its records are told.
#[test]
fn a_whole_folder_is_said_to_be() {
    let rig = stopped();
    let examined = examine(&rig);
    assert_eq!(json!("whole"), examined["verdict"]);
    assert_eq!(json!(null), examined["journal"]["torn"]);
    assert_eq!(json!(1), examined["journal"]["segments"][0]["first"]);
    assert_eq!(json!(3), examined["journal"]["segments"][0]["records"]);
    assert_eq!(json!(4), examined["journal"]["next"]);
}

/// A record that does not read keeps the engine from starting, with its place and number; a
/// repair gives it and the later ones up, names them and keeps a copy; then it starts.
#[test]
fn damage_is_refused_explained_and_repaired() {
    let rig = stopped();
    let bytes = std::fs::read(segment(&rig)).expect("is there");
    let length = u32::from_le_bytes(bytes[512..516].try_into().expect("four"));
    let second = 512 + 21 + length as usize;
    damage(&segment(&rig), second + 21 + 10);

    let opened = Engine::open(&rig.config(), rig.clock.clone()).map(|_| ());
    let Err(Error::JournalDamaged { path, offset, first: 2, last: 2 }) = opened else {
        panic!("{opened:?}");
    };
    assert_eq!((segment(&rig), second as u64), (path, offset));

    let examined = examine(&rig);
    assert_eq!(json!("damaged"), examined["verdict"]);
    assert_eq!(json!([2, 2]), json!([examined["harm"]["first"], examined["harm"]["last"]]));
    let repaired = parse(&repair_folder(&RealDisk, rig.folder()).expect("repairs"));
    assert_eq!(json!([2, 3]), repaired["given_up"]);
    assert_eq!(json!("whole"), repaired["examined"]["verdict"]);
    let kept = repaired["kept"][0].as_str().expect("a path");
    assert_eq!(bytes.len(), std::fs::read(kept).expect("is there").len());

    let engine = Engine::open(&rig.config(), rig.clock.clone()).expect("whole again");
    assert_eq!(json!(10), parse(&engine.ledger().expect("open"))["counted"]);
}

/// Where nothing is damaged a repair changes nothing.
#[test]
fn a_repair_of_the_whole_does_nothing() {
    let rig = stopped();
    let before = std::fs::read(segment(&rig)).expect("is there");
    let repaired = parse(&repair_folder(&RealDisk, rig.folder()).expect("reads"));
    assert_eq!(json!([null, []]), json!([repaired["given_up"], repaired["kept"]]));
    assert!(before == std::fs::read(segment(&rig)).expect("is there"), "the journal changed");
}

/// A folder that a daemon holds is neither examined nor repaired.
#[test]
fn a_held_folder_is_left_alone() {
    let rig = Rig::configured(NOW_S, |config| config["durability"] = json!("sync"));
    let examined = examine_folder(&RealDisk, rig.folder());
    assert!(matches!(examined, Err(Error::FolderInUse(_))));
    assert!(matches!(repair_folder(&RealDisk, rig.folder()), Err(Error::FolderInUse(_))));
}
