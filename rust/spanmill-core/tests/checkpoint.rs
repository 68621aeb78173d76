//! Checkpoints of a whole engine on a real disk.

mod rig;

use std::collections::BTreeMap;
use std::fs::read_dir;
use std::path::Path;

use rig::{Rig, SECOND_NS, Span, parse};
use serde_json::{Value as Json, json};

const NOW_S: i64 = 1_795_219_200;
const HOUR_S: i64 = 3_600;

/// Files of checkpoints with their bytes, but for what was seen before: that goes by the time
/// that passes here, not by the clock's.
fn files(folder: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for name in ["checkpoint", "edge", "counters", "companions"] {
        for entry in read_dir(folder.join(name)).expect("made at the start") {
            let entry = entry.expect("readable");
            let path = format!("{name}/{}", entry.file_name().to_string_lossy());
            let _ = found.insert(path, entry.metadata().expect("readable").len());
        }
    }
    found
}

fn objective(config: &mut Json) {
    config["durability"] = json!("sync");
    config["objectives"] = json!([{
        "name": "fast", "description": "", "where": [], "group_by": ["model"], "objective": 0.99,
        "sli": {"kind": "latency", "measure": "ttft", "below": 1.2}, "period_s": 2_592_000,
        "layer": "", "runbook": "",
    }]);
}

fn hour(rig: &Rig, number: i64) {
    let now_s = NOW_S + number * HOUR_S;
    rig.clock.set(now_s * SECOND_NS);
    let models: Vec<String> = (0..20).map(|model| format!("model-{model}")).collect();
    let spans = models.iter().enumerate().map(|(at, model)| Span {
        end_ns: (now_s - at as i64) * SECOND_NS,
        model,
        ttft_s: 0.5 + at as f64 / 10.0,
        output_tokens: 10,
    });
    rig.send("acme", &spans.collect::<Vec<_>>());
    rig.engine.tick().expect("open");
}

/// A checkpoint costs what is new since the last, however much came before: over weeks of
/// counters and sealed hours the later ones write no more than the earlier ones.
#[test]
fn cost_does_not_grow_with_history() {
    let rig = Rig::configured(NOW_S, objective);
    let mut written = Vec::new();
    let mut before = files(rig.folder());
    for number in 0..160 {
        hour(&rig, number);
        rig.engine.checkpoint().expect("there is room");
        let after = files(rig.folder());
        let new = after.iter().filter(|(name, _)| !before.contains_key(*name));
        written.push(new.map(|(_, bytes)| bytes).sum::<u64>());
        before = after;
    }
    let sum = |hours: &[u64]| hours.iter().sum::<u64>();
    let (early, late) = (sum(&written[30..80]), sum(&written[110..160]));
    assert!(late < early + early / 2, "{early} B, then {late} B");
    assert!(before.len() < 20, "{before:?}");
}

/// What objectives counted is the same after a restart, group by group, from weeks ago to now.
#[test]
fn budgets_come_back() {
    let mut rig = Rig::configured(NOW_S, objective);
    for number in 0..100 {
        hour(&rig, number);
        if number % 7 == 0 {
            rig.engine.checkpoint().expect("there is room");
        }
    }
    let before = parse(&rig.engine.slos().expect("open"));
    rig.restart();
    let after = parse(&rig.engine.slos().expect("open"));
    assert_eq!(before, after);
    assert_eq!(json!(2_000), after[0]["total"]);
    assert_eq!(21, after.as_array().map_or(0, Vec::len));
}

/// A view that is cut otherwise begins empty, an objective that is judged alike goes on, and the
/// start says so; what was known by another name is not mistaken for it.
#[test]
fn another_configuration_says_what_it_drops() {
    let rig = Rig::configured(NOW_S, objective);
    hour(&rig, 0);
    let mut config = rig.config();
    rig.engine.close();
    config.views[0].dimensions.truncate(2);
    config.objectives[0].objective = 0.9;
    let engine = spanmill_core::Engine::open(&config, rig.clock.clone()).expect("recovers");
    let recovered = parse(&engine.recovered().expect("open"));
    let warnings = recovered["warnings"].as_array().cloned().unwrap_or_default();
    assert_eq!(1, warnings.len(), "{recovered}");
    let text = warnings[0].as_str().unwrap_or_default();
    assert!(text.contains("view \"requests\" has other dimensions"), "{text}");
    let slos = parse(&engine.slos().expect("open"));
    assert_eq!((json!(20), json!(0.9)), (slos[0]["total"].clone(), slos[0]["objective"].clone()));
    let series = parse(&engine.series().expect("open"));
    assert_eq!(json!([]), series["views"][0]["series"]);
    engine.close();
}
