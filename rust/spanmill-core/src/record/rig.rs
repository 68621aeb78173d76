//! Batches for tests: every kind of column, drawn from a seed.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value as Json, json};

use crate::batch::{Batch, tpot};
use crate::budget::{Counts, Tally};
use crate::clock::SECOND_NS;
use crate::config::Config;
use crate::disk::RealDisk;
use crate::ledger::REJECTIONS;
use crate::value::{ABSENT, Values};
use crate::view::Plan;
use crate::wide::NO_VALUE;
use crate::window::NOT_TAKEN;

pub(super) const NOW_NS: i64 = 1_795_219_200 * SECOND_NS;

/// A plan with two views, two objectives and, where asked for, companions.
pub(super) fn plan(with_companions: bool) -> Plan {
    let (distinct, top) = match with_companions {
        true => (json!(["user"]), json!(["prompt"])),
        false => (json!([]), json!([])),
    };
    // Here the key of hashed values is made, and read once.
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("spanmill-record-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).expect("temporary folders can be made");
    let objective = |name: &str, sli: Json, group_by: Json| {
        json!({"name": name, "description": "", "sli": sli, "where": [], "group_by": group_by,
            "objective": 0.99, "period_s": 2_592_000, "layer": "", "runbook": ""})
    };
    let config = json!({
        "data_dir": folder, "durability": "off",
        "window": {"lateness_s": 60.0, "future_skew_s": 5.0, "idle_s": 30.0},
        "views": [
            {"name": "requests", "where": [], "dimensions": ["service", "model", "tenant"],
                "measures": ["duration", "ttft", "tpot", "queue_time", "input_tokens",
                    "output_tokens"], "distinct": distinct, "top": top},
            {"name": "models", "where": [["model", ["atlas"]]], "dimensions": ["model"],
                "measures": ["cost"], "distinct": [], "top": []},
        ],
        "objectives": [
            objective("fast", json!({"kind": "latency", "measure": "ttft", "below": 1.2}),
                json!(["model"])),
            objective("good", json!({"kind": "errors"}), json!([])),
        ],
        "retention": {},
        "limits": {"series": 100_000, "tenant_series": 100_000, "groups": 100,
            "dimension_values": 100_000, "companion_bytes": 1 << 26, "dimension_bytes": 256,
            "sources": 100, "request_bytes": 1 << 26, "memory": 1_u64 << 33, "disk": 1_u64 << 40,
            "dedupe_horizon": 900, "dedupe_entries": 1_000, "producers": 10},
    });
    let config = Config::from_json(&config.to_string()).expect("a valid config");
    let plan = Plan::new(&config, &Values::new(100, 256, 1), &RealDisk).expect("a plan");
    std::fs::remove_dir_all(folder).expect("ours");
    plan
}

/// A small generator of numbers that are the same everywhere.
pub(super) struct Draw(pub u64);

impl Draw {
    pub(super) fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ self.0 >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 32
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// In [0, 1).
    pub(super) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A value as one of several kinds of sender would give it.
fn value(draw: &mut Draw, kind: u64) -> f64 {
    match kind {
        0 => draw.below(5_000) as f64,
        1 => draw.below(100_000_000_000) as f64 / 1e9,
        2 => draw.share() * 4.0,
        3 => (draw.below(1 << 24) as f64) / (1 << 22) as f64,
        4 => f64::from_bits(draw.next()),
        5 => [-0.0, 0.0, f64::INFINITY, -f64::NAN, 5e-324][draw.below(5) as usize],
        6 => f64::NAN,
        _ if draw.below(3) == 0 => f64::NAN,
        _ => draw.below(20) as f64,
    }
}

/// Fill an empty batch with `events` events, resolved and settled.
pub(super) fn fill(batch: &mut Batch, plan: &Plan, events: usize, seed: u64) {
    let mut draw = Draw(seed);
    let kinds: Vec<u64> = plan.slots.measures.iter().map(|_| draw.below(8)).collect();
    let (step, follows) = (draw.below(3), draw.below(4) > 0);
    batch.clear();
    for event in 0..events {
        let ago = [event as u64 * 488_281, draw.below(2 << 30), draw.below(2_000) * 1_000_000];
        batch.ends_ns.push(NOW_NS - ago[step as usize].cast_signed());
        let start = batch.measures.len();
        batch.measures.extend(kinds.iter().map(|kind| value(&mut draw, *kind)));
        let row = &mut batch.measures[start..];
        if let (true, Some(slot)) = (follows, plan.derived.tpot) {
            let at = |slot: Option<usize>| slot.map_or(f64::NAN, |slot| row[slot]);
            let derived = plan.derived;
            let value = tpot(at(derived.duration), at(derived.ttft), at(derived.output_tokens));
            row[slot] = value.unwrap_or(f64::NAN);
        }
        for groups in &mut batch.groups[..plan.views.len()] {
            groups.series.push(if draw.below(5) == 0 {
                NOT_TAKEN
            } else {
                draw.below(3_000) as u32
            });
        }
        for column in 0..plan.wide.as_ref().map_or(0, |wide| wide.columns.len()) {
            let repeated = draw.below(9).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let hash = [NO_VALUE, draw.next(), repeated][(draw.below(2) as usize + column) % 3];
            batch.wide.hashes.push(hash);
            if column > 0 && hash != NO_VALUE {
                batch.wide.learn(hash, format!("text {}", hash % 100).as_bytes());
            }
        }
    }
    for groups in &mut batch.groups[plan.views.len()..] {
        for _ in 0..draw.below(400).min(events as u64) {
            groups.tallies.push(Tally {
                group: draw.below(50) as u32,
                second: NOW_NS / SECOND_NS - draw.below(9).cast_signed(),
                counts: Counts { good: draw.below(5), bad: draw.below(2) },
            });
        }
    }
    for source in 0..1 + draw.below(4) as u32 {
        let place = batch.accounts.place(source + 7, if source == 2 { ABSENT } else { 5 });
        let classes = batch.accounts.at(place);
        (classes.received, classes.counted) = (draw.below(9_000), draw.below(9_000));
        classes.rejected[draw.below(REJECTIONS.len() as u64) as usize] = draw.below(3);
    }
}

/// Everything of a batch that a record holds, in a form that compares.
pub(super) fn shown(batch: &Batch, plan: &Plan) -> Vec<String> {
    let (views, objectives) = batch.groups.split_at(plan.views.len());
    let mut texts: Vec<_> = batch.wide.texts().collect();
    texts.sort_unstable();
    let bits: Vec<u64> = batch.measures.iter().map(|value| value.to_bits()).collect();
    let series: Vec<_> = views.iter().map(|groups| &groups.series).collect();
    let tallies: Vec<_> = objectives.iter().map(|groups| &groups.tallies).collect();
    vec![
        format!("{:?}", batch.ends_ns),
        format!("{bits:?}"),
        format!("{series:?}"),
        format!("{tallies:?}"),
        format!("{:?}", batch.wide.hashes),
        format!("{texts:?}"),
        format!("{:?}", batch.accounts.list()),
    ]
}
