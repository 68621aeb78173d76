//! What is counted of dimensions too wide to be series: users, prompts.

mod rig;

use rig::{Rig, SECOND_NS, parse, request_of, span_of};
use serde_json::{Value as Json, json};
use spanmill_core::clock::ManualClock;
use spanmill_core::error::Error;
use spanmill_core::{Engine, Sender};

const NOW_S: i64 = 1_795_219_200;

fn rig() -> Rig {
    Rig::configured(NOW_S, |config| {
        config["views"][0]["distinct"] = json!(["user", "prompt"]);
        config["views"][0]["top"] = json!(["prompt"]);
    })
}

/// One event of a user who used a prompt.
fn event(at_s: i64, model: &str, user: &str, prompt: &str) -> Vec<u8> {
    let attributes =
        [("gen_ai.request.model", model), ("enduser.id", user), ("gen_ai.prompt.name", prompt)];
    span_of(at_s * SECOND_NS, &attributes)
}

fn send(rig: &Rig, spans: &[Vec<u8>]) {
    let request = request_of(&[("service.name", "gateway"), ("spanmill.tenant", "acme")], spans);
    assert!(rig.engine.ingest_traces(&request, Sender::default()).expect("valid OTLP").is_empty());
}

fn request(dimension: &str, by: &[&str], window_s: i64) -> String {
    json!({"dimension": dimension, "by": by, "where": [], "window_s": window_s, "end_ns": null,
        "view": null, "k": null})
    .to_string()
}

fn distinct(rig: &Rig, dimension: &str, by: &[&str], window_s: i64) -> Json {
    parse(&rig.engine.distinct(&request(dimension, by, window_s)).expect("counted"))
}

/// Few users are counted exactly, each once however often seen; a window holds those seen in it,
/// open minutes included, and an answer says which stretch it covers.
#[test]
fn users_are_counted_once() {
    let rig = rig();
    for minute in 0..20 {
        let at_s = NOW_S + minute * 60;
        rig.clock.set(at_s * SECOND_NS);
        // Two new users a minute, and one who is always there.
        let user = |n: i64| format!("user-{}", minute * 2 + n);
        send(
            &rig,
            &[
                event(at_s, "large", &user(0), "chat"),
                event(at_s, "small", &user(1), "chat"),
                event(at_s, "large", "always", "chat"),
                event(at_s, "small", "", ""),
            ],
        );
        rig.engine.tick().expect("open");
    }
    // To the last moment of the last minute: windows that end there are whole minutes.
    rig.clock.set((NOW_S + 1_200) * SECOND_NS - 1);
    let whole = distinct(&rig, "user", &[], 1_200);
    assert_eq!(
        json!([{"dims": {}, "distinct": 41, "exact": true, "relative_error": 0.0}]),
        whole["series"]
    );
    assert_eq!(json!("2026-11-21T00:00:00Z"), whole["window"]["start"]);
    let by_model = distinct(&rig, "user", &["model"], 1_200);
    let counts: Vec<&Json> =
        by_model["series"].as_array().expect("a list").iter().map(|row| &row["distinct"]).collect();
    assert_eq!(vec![&json!(21), &json!(20)], counts);
    assert_eq!(json!(3), distinct(&rig, "user", &[], 60)["series"][0]["distinct"]);
    assert_eq!(json!(11), distinct(&rig, "user", &[], 300)["series"][0]["distinct"]);
    let bytes =
        parse(&rig.engine.stats().expect("open"))["companions"]["requests"]["bytes"].clone();
    assert!(bytes.as_u64().is_some_and(|bytes| bytes > 0), "{bytes}");
}

/// Many users are estimated within the error stated, the same whatever order and batch they come in.
#[test]
fn many_users_are_estimated() {
    let events: Vec<Vec<u8>> =
        (0..20_000).map(|n| event(NOW_S, "m", &format!("user-{}", n % 10_000), "chat")).collect();
    let (one, two) = (rig(), rig());
    events.chunks(5_000).for_each(|chunk| send(&one, chunk));
    let row = distinct(&one, "user", &[], 60)["series"][0].clone();
    let (count, error) = (row["distinct"].as_f64().expect("a count"), &row["relative_error"]);
    assert_eq!((&json!(false), &json!(0.023)), (&row["exact"], error));
    assert!((count / 10_000.0 - 1.0).abs() < 4.0 * 0.023, "{count}");
    // Another folder has another key, so users hash apart; order and batches are another matter.
    let _ = std::fs::copy(one.folder().join("key"), two.folder().join("key")).expect("both exist");
    two.engine.close();
    let clock = std::sync::Arc::new(ManualClock::new(NOW_S * SECOND_NS));
    let reopened = Engine::open(&two.config(), clock).expect("free");
    for chunk in events.iter().rev().cloned().collect::<Vec<_>>().chunks(777) {
        let body = request_of(&[("service.name", "gateway"), ("spanmill.tenant", "acme")], chunk);
        let _ = reopened.ingest_traces(&body, Sender::default()).expect("valid OTLP");
    }
    let again = parse(&reopened.distinct(&request("user", &[], 60)).expect("counted"));
    assert_eq!(row, again["series"][0]);
}

/// The values that come most are ranked with exact counts while they are few, and stay right under a flood.
#[test]
fn prompts_are_ranked() {
    let rig = rig();
    let spans = || {
        let prompts = [("support", 50), ("search", 30), ("summary", 30), ("rare", 1)];
        let events = |(prompt, times)| (0..times).map(move |_| event(NOW_S, "m", "u", prompt));
        prompts.into_iter().flat_map(events).collect::<Vec<_>>()
    };
    send(&rig, &spans());
    let top = |rig: &Rig, k: u32| {
        let mut asked: Json =
            serde_json::from_str(&request("prompt", &["model"], 60)).expect("JSON");
        asked["k"] = json!(k);
        parse(&rig.engine.top(&asked.to_string()).expect("ranked"))["series"][0].clone()
    };
    let row = top(&rig, 3);
    assert_eq!(
        (&json!(111), &json!(true), &json!(0)),
        (&row["count"], &row["exact"], &row["error"])
    );
    let value =
        |name: &str, n: u32| json!({"value": name, "count": n, "at_least": n, "at_most": n});
    assert_eq!(
        json!([value("support", 50), value("search", 30), value("summary", 30)]),
        row["top"]
    );
    let junk: Vec<Vec<u8>> =
        (0..3_000).map(|n| event(NOW_S, "m", "u", &format!("junk-{n}"))).collect();
    send(&rig, &junk);
    send(&rig, &spans());
    let row = top(&rig, 1);
    assert_eq!((&json!(3_222), &json!(false)), (&row["count"], &row["exact"]));
    let first = &row["top"][0];
    let at = |key: &str| first[key].as_u64().expect("a count");
    assert_eq!(json!("support"), first["value"]);
    assert!((at("at_least")..=at("at_most")).contains(&100), "{first}");
}

/// Past its bound of memory the oldest time goes, for all alike, and answers say where they begin.
#[test]
fn memory_is_bounded() {
    let bound = 1 << 20;
    let rig = Rig::configured(NOW_S, |config| {
        config["views"][0]["distinct"] = json!(["user"]);
        config["limits"]["companion_bytes"] = json!(bound);
    });
    for minute in 0..60 {
        let at_s = NOW_S + minute * 60;
        rig.clock.set(at_s * SECOND_NS);
        let spans: Vec<Vec<u8>> = (0..3_000)
            .map(|n| event(at_s, &format!("model-{}", n % 20), &format!("{minute}-{n}"), ""))
            .collect();
        send(&rig, &spans);
        rig.engine.tick().expect("open");
    }
    let held = parse(&rig.engine.stats().expect("open"))["companions"]["requests"].clone();
    let bytes = held["bytes"].as_u64().expect("a size");
    assert!(bytes <= bound + bound / 8, "{bytes}");
    assert!(held["shed"].as_u64().expect("a count") > 0);
    let answer = distinct(&rig, "user", &[], 3_600);
    assert!(answer["window"]["start"].as_str() > Some("2026-11-21T00:10:00Z"), "{answer}");
    assert!(answer["series"][0]["distinct"].as_u64() > Some(20_000), "{answer}");
}

/// The end user may be counted and nothing else: no dimension, no ranking, no condition, no group.
#[test]
fn users_are_never_shown() {
    let refused = |change: fn(&mut Json)| {
        let error = Rig::refused(NOW_S, change);
        assert!(matches!(error, Error::Config(_)), "{error}");
        assert!(error.to_string().contains("distinct of a view only"), "{error}");
    };
    refused(|config| config["views"][0]["dimensions"] = json!(["user"]));
    refused(|config| config["views"][0]["top"] = json!(["user"]));
    refused(|config| config["views"][0]["where"] = json!([["user", ["alice"]]]));
    refused(|config| {
        config["objectives"] = json!([{"name": "o", "description": "", "sli": {"kind": "errors"},
            "where": [], "group_by": ["user"], "objective": 0.9, "period_s": 3600, "layer": "",
            "runbook": ""}]);
    });
    let rig = rig();
    send(&rig, &[event(NOW_S, "m", "alice@example.org", "chat")]);
    let everything =
        [rig.engine.series(), rig.engine.stats(), rig.engine.measures(), rig.engine.ledger()];
    for answer in everything {
        let told = String::from_utf8(answer.expect("open")).expect("JSON");
        assert!(!told.contains("alice"), "{told}");
    }
}

/// What no view counts is refused with what each does.
#[test]
fn wrong_questions_get_the_choices() {
    let rig = rig();
    let asked = |request: String| rig.engine.distinct(&request).expect_err("refused").to_string();
    assert!(asked(request("tenant", &[], 60)).contains("requests with distinct (user, prompt)"));
    assert!(asked(request("user", &["region"], 60)).contains("by service, model, tenant"));
    assert!(asked(request("usr", &[], 60)).contains("unknown dimension"));
    assert!(asked(request("user", &[], 14)).contains("nearest is 10"));
    let top = rig.engine.top(&request("user", &[], 60)).expect_err("refused").to_string();
    assert!(top.contains("requests with top (prompt)"), "{top}");
    let none = Rig::new(NOW_S);
    let error = none.engine.distinct(&request("user", &[], 60)).expect_err("refused").to_string();
    assert!(error.contains("name it in distinct of a view"), "{error}");
}
