//! How far back answers reach: for series that objectives use, for others, and when memory is short.

mod rig;

use serde_json::{Value as Json, json};

use crate::rig::{Rig, SECOND_NS, Span, parse};

/// A multiple of six hours.
const START_S: i64 = 1_795_219_200;
const HOUR_S: i64 = 3_600;

/// One request to each model every minute, over some hours, ticking as the daemon does.
fn play(rig: &Rig, models: &[&str], hours: i64) {
    for minute in 0..hours * 60 {
        let now_s = START_S + minute * 60;
        rig.clock.set(now_s * SECOND_NS);
        let span = |model| Span {
            end_ns: now_s * SECOND_NS,
            model,
            ttft_s: 0.25 + minute as f64 / 1_024.0,
            output_tokens: 100,
        };
        let spans: Vec<Span<'_>> = models.iter().copied().map(span).collect();
        rig.send("acme", &spans);
        rig.engine.tick().expect("open");
    }
}

fn ask(rig: &Rig, model: &str, window_s: i64) -> Json {
    let asked = json!({"measure": "ttft", "q": [0.5], "by": [], "where": [["model", [model]]],
        "window_s": window_s, "end_ns": null, "view": null});
    parse(&rig.engine.query(&asked.to_string()).expect("valid query"))
}

/// Length of the window that an answer covers, hours, and the events in it.
fn covered(answer: &Json) -> (f64, u64) {
    let time = |edge: &str| -> jiff::Timestamp {
        let text = answer["window"][edge].as_str().expect("has a window");
        text.parse().expect("RFC 3339")
    };
    let length = time("end").duration_since(time("start")).as_secs_f64();
    (length / HOUR_S as f64, answer["series"][0]["count"].as_u64().expect("has events"))
}

fn objective(model: &str) -> Json {
    json!({"name": "first-token", "description": "", "where": [["model", [model]]],
        "group_by": [], "sli": {"kind": "latency", "measure": "ttft", "below": 1.0},
        "objective": 0.9, "period_s": 2_592_000, "layer": "", "runbook": ""})
}

/// Three days of percentiles are held for the series that an objective uses; of others, six
/// and a half hours, and the answer says that it covers no more. Every event counts once in both.
#[test]
fn objectives_reach_further() {
    let rig = Rig::configured(START_S, |config| config["objectives"] = json!([objective("gold")]));
    play(&rig, &["gold", "plain"], 30);
    let (hours, events) = covered(&ask(&rig, "gold", 24 * HOUR_S));
    assert!((24.0..25.0).contains(&hours), "{hours} h");
    assert!((hours * 60.0 - events as f64).abs() <= 1.0, "{events} events in {hours} h");
    let (hours, events) = covered(&ask(&rig, "plain", 24 * HOUR_S));
    assert!((6.4..6.7).contains(&hours), "{hours} h");
    assert!((hours * 60.0 - events as f64).abs() <= 1.0, "{events} events in {hours} h");
}

/// Past the memory budget the oldest buckets go, those of an objective last; counters stay, every
/// answer says what it covers, and what was given up can be seen.
#[test]
fn memory_is_bounded_and_said() {
    const LIMIT: u64 = 400_000;
    let rig = Rig::configured(START_S, |config| {
        config["objectives"] = json!([objective("gold")]);
        config["limits"]["memory"] = json!(LIMIT);
    });
    let names: Vec<String> = (0..60).map(|n| format!("plain-{n}")).collect();
    let mut models: Vec<&str> = names.iter().map(String::as_str).collect();
    models.push("gold");
    play(&rig, &models, 8);
    let stats = parse(&rig.engine.stats().expect("open"));
    let parts = &stats["memory_parts"];
    let held: u64 = ["open", "sealed", "series"].iter().filter_map(|p| parts[p].as_u64()).sum();
    assert!(held <= LIMIT, "{held} B held");
    assert!(held >= LIMIT / 2, "{held} B held: more than needed went");
    assert_eq!(json!(0), stats["demoted"]["6h"]["buckets"]);
    let demoted = |tier: &str| stats["demoted"][tier]["buckets"].as_u64();
    assert!(demoted("5m") > Some(100) && demoted("1m") > Some(1_000), "{}", stats["demoted"]);
    let (hours, events) = covered(&ask(&rig, "plain-7", 6 * HOUR_S));
    assert!(hours < 3.0, "{hours} h");
    assert!((hours * 60.0 - events as f64).abs() <= 1.0, "{events} events in {hours} h");
    let (hours, events) = covered(&ask(&rig, "gold", 6 * HOUR_S));
    assert!((6.0..=6.5).contains(&hours), "{hours} h");
    assert!((hours * 60.0 - events as f64).abs() <= 1.0, "{events} events in {hours} h");
    let slo = &parse(&rig.engine.slos().expect("open"))[0];
    assert_eq!(json!(8 * 60), slo["total"]);
}

/// A window that ends before anything held is refused with where what is held begins.
#[test]
fn windows_of_long_ago_are_refused() {
    let rig = Rig::new(START_S);
    play(&rig, &["plain"], 8);
    let asked = json!({"measure": "ttft", "q": [0.5], "by": [], "where": [],
        "window_s": 60, "end_ns": (START_S + 60) * SECOND_NS, "view": null});
    let error = rig.engine.query(&asked.to_string()).expect_err("refused").to_string();
    assert!(error.contains("distributions are held from 2026-11-21T01:2"), "{error}");
}
