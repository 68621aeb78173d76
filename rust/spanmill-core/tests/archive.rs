//! Sealed buckets on disk: what a restart puts back, and windows that memory no longer holds.

mod rig;

use serde_json::{Value as Json, json};

use crate::rig::{Rig, SECOND_NS, Span, parse};

/// A multiple of six hours.
const START_S: i64 = 1_795_219_200;

/// A request to each model every ten seconds, over some blocks of five minutes, with a tick each.
fn play(rig: &Rig, models: &[String], blocks: std::ops::Range<i64>) {
    for block in blocks {
        let mut spans = Vec::new();
        for second in (block * 300..(block + 1) * 300).step_by(10) {
            for (number, model) in models.iter().enumerate() {
                let value = (second * 7 + number as i64 * 13) % 1_009;
                spans.push(Span {
                    end_ns: (START_S + second) * SECOND_NS,
                    model,
                    ttft_s: 0.001 + value as f64 / 1_024.0,
                    output_tokens: 100 + value as u64,
                });
            }
        }
        rig.clock.set((START_S + block * 300 + 295) * SECOND_NS);
        rig.send("acme", &spans);
        rig.engine.tick().expect("open");
    }
}

fn models(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("model-{number}")).collect()
}

fn durable(change: impl FnOnce(&mut Json)) -> Rig {
    Rig::configured(START_S, |config| {
        config["durability"] = json!("relaxed");
        change(config);
    })
}

fn ask(rig: &Rig, model: &str, window_s: i64, end_s: i64) -> Json {
    let asked = json!({"measure": "ttft", "q": [0.5, 0.9, 0.99], "by": [],
        "where": [["model", [model]]], "window_s": window_s,
        "end_ns": (START_S + end_s) * SECOND_NS, "view": null});
    parse(&rig.engine.query(&asked.to_string()).expect("valid query"))
}

fn windows() -> impl Iterator<Item = (i64, i64)> {
    [(600, 3_000), (1_800, 5_400), (3_600, 7_200), (300, 3_900), (7_200, 8_100)].into_iter()
}

/// A window over time that memory gave up has the very answer that it would have had, and it
/// covers what was asked.
#[test]
fn memory_given_up_is_answered_from_the_disk() {
    let models = models(40);
    let full = durable(|_| ());
    let small = durable(|config| config["limits"]["memory"] = json!(850_000));
    for rig in [&full, &small] {
        play(rig, &models, 0..30);
    }
    let stats = parse(&small.engine.stats().expect("open"));
    let demoted = |tier: &str| stats["demoted"][tier]["buckets"].as_u64();
    assert!(demoted("5m") > Some(100) && demoted("1m") > Some(100), "{}", stats["demoted"]);
    for (window_s, end_s) in windows() {
        for model in [&models[0], &models[39]] {
            let wanted = ask(&full, model, window_s, end_s);
            let mut found = ask(&small, model, window_s, end_s);
            assert_eq!(json!(window_s / 10), wanted["series"][0]["count"], "{window_s} to {end_s}");
            found["watermark"] = wanted["watermark"].clone();
            assert_eq!(wanted, found, "{window_s} to {end_s}");
        }
    }
}

/// What was sealed before a restart answers after it as before, whether or not a checkpoint came in between.
#[test]
fn a_restart_answers_the_same() {
    let models = models(5);
    let mut rig = durable(|_| ());
    play(&rig, &models, 0..18);
    rig.engine.checkpoint().expect("written");
    play(&rig, &models, 18..30);
    let questions = || windows().chain([(60, 8_940), (3_600, 9_000)]);
    let answers = |rig: &Rig| -> Vec<Json> {
        questions().map(|(window_s, end_s)| ask(rig, "model-3", window_s, end_s)).collect()
    };
    let before = answers(&rig);
    rig.restart();
    assert_eq!(before, answers(&rig));
    rig.restart();
    assert_eq!(before, answers(&rig));
}

/// Longer retention on disk lets a window start at ten seconds that memory has only in minutes.
#[test]
fn retention_keeps_what_is_fine() {
    let models = models(2);
    let rig = durable(|config| config["retention"]["10s"] = json!(7_200.0));
    play(&rig, &models, 0..18);
    let (start_s, end_s) = (1_230, 1_290);
    let answer = ask(&rig, "model-1", end_s - start_s, end_s);
    assert_eq!(json!(6), answer["series"][0]["count"]);
    assert_eq!("2026-11-21T00:20:30Z", answer["window"]["start"]);
}

/// A retention shorter than memory's, or of a width that there is not, is refused.
#[test]
fn retention_is_checked() {
    for (tier, seconds, wanted) in [("10s", 60.0, "less than the 360 s"), ("2m", 1e6, "\"2m\"")] {
        let error = Rig::refused(START_S, |config| {
            config["durability"] = json!("relaxed");
            config["retention"][tier] = json!(seconds);
        });
        let error = error.to_string();
        assert!(error.contains(wanted), "{error}");
    }
}
