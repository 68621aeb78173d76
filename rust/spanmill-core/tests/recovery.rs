//! What was acknowledged is there after a restart, once and bit for bit.

mod rig;

use rig::{Rig, SECOND_NS, Span, parse};
use serde_json::json;

const NOW_S: i64 = 1_795_219_200;

fn spans(from_s: i64, count: i64) -> Vec<Span<'static>> {
    (0..count)
        .map(|at| Span {
            end_ns: (from_s + at % 30) * SECOND_NS + at,
            model: ["a", "b", "c"][at as usize % 3],
            ttft_s: 0.1 + at as f64 / 1_000.0,
            output_tokens: 10 + at as u64,
        })
        .collect()
}

/// A restart without any clean stop answers as if nothing had happened.
#[test]
fn a_restart_changes_nothing() {
    let mut rig = Rig::configured(NOW_S, |config| config["durability"] = json!("sync"));
    for minute in 0..10 {
        rig.clock.set((NOW_S + minute * 60) * SECOND_NS);
        rig.send("acme", &spans(NOW_S + minute * 60 - 30, 300));
        rig.engine.tick().expect("open");
    }
    let asked = json!({"measure": "ttft", "q": [0.5, 0.99], "by": ["model"], "where": [],
        "window_s": 600, "end_ns": null, "view": null});
    let before = rig.engine.query(&asked.to_string()).expect("answered");
    let ledger = parse(&rig.engine.ledger().expect("open"));
    rig.restart();
    assert_eq!(before, rig.engine.query(&asked.to_string()).expect("answered"));
    assert_eq!(ledger, parse(&rig.engine.ledger().expect("open")));
    assert_eq!(json!(3_000), ledger["counted"]);
}
