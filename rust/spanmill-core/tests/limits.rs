//! Past every limit: known series and promises stay intact, and sums stay exact.

mod rig;

use std::sync::atomic::{AtomicU64, Ordering};

use rig::{Rig, SECOND_NS, parse, request_of, span_of};
use serde_json::{Value as Json, json};
use spanmill_core::Sender;
use spanmill_core::error::Error;

const NOW_S: i64 = 1_795_219_200;
const NOW_NS: i64 = NOW_S * SECOND_NS;

/// One event of a tenant and model, now.
fn event(model: &str) -> Vec<u8> {
    span_of(NOW_NS, &[("gen_ai.request.model", model)])
}

fn send(rig: &Rig, tenant: &str, spans: &[Vec<u8>]) {
    let request = request_of(&[("service.name", "gateway"), ("spanmill.tenant", tenant)], spans);
    assert!(rig.engine.ingest_traces(&request, Sender::default()).expect("valid OTLP").is_empty());
}

fn objective(name: &str, conditions: Json, group_by: Json) -> Json {
    json!({"name": name, "description": "", "sli": {"kind": "errors"}, "where": conditions,
        "group_by": group_by, "objective": 0.9, "period_s": 3600, "layer": "", "runbook": ""})
}

fn stats(rig: &Rig) -> Json {
    parse(&rig.engine.stats().expect("open"))
}

/// Events by the values of some dimensions, from the series themselves.
fn counts(rig: &Rig, by: &[&str]) -> Vec<(Vec<String>, u64)> {
    let asked = json!({"measure": "duration", "q": [0.5], "by": by, "where": [], "window_s": 600,
        "end_ns": null, "view": null});
    let answer = parse(&rig.engine.query(&asked.to_string()).expect("a valid query"));
    let row = |row: &Json| {
        let value = |name: &&str| row["dims"][*name].as_str().unwrap_or_default().to_owned();
        (by.iter().map(value).collect(), row["count"].as_u64().expect("a count"))
    };
    answer["series"].as_array().expect("a list").iter().map(row).collect()
}

fn slo(rig: &Rig, name: &str, group: &Json) -> Option<u64> {
    let slos = parse(&rig.engine.slos().expect("open"));
    let found = |row: &&Json| row["name"] == name && row["group"] == *group;
    slos.as_array().expect("a list").iter().find(found).and_then(|row| row["total"].as_u64())
}

/// A flood of junk model names, past the limits of series, tenant and values, keeps every promised
/// group and known series intact; `__other__` and known series sum to the exact total.
#[test]
fn a_flood_leaves_promises_intact() {
    let rig = Rig::configured(NOW_S, |config| {
        config["limits"]["series"] = json!(200);
        config["limits"]["tenant_series"] = json!(50);
        config["limits"]["dimension_values"] = json!(300);
        config["objectives"] = json!([
            objective("by-tenant", json!([]), json!(["tenant"])),
            objective("promised", json!([["model", ["promised-model"]]]), json!(["tenant"])),
        ]);
    });
    let tenants: Vec<String> = (0..10).map(|n| format!("tenant-{n}")).collect();
    let known = ["known-a", "known-b"];
    for tenant in &tenants[..5] {
        known.iter().for_each(|model| send(&rig, tenant, &vec![event(model); 3]));
    }
    for start in (0..5_000).step_by(500) {
        let junk: Vec<Vec<u8>> =
            (start..start + 500).map(|n| event(&format!("junk-{n}"))).collect();
        send(&rig, "tenant-0", &junk);
    }
    // Neighbours and newcomers after the flood, and a model that nobody sent before but a promise names.
    for tenant in &tenants {
        send(&rig, tenant, &[event("known-a"), event("promised-model")]);
    }
    let total = 5 * 2 * 3 + 5_000 + 10 * 2;
    assert_eq!(total, counts(&rig, &[]).iter().map(|(_, n)| n).sum::<u64>());
    let by_both = counts(&rig, &["tenant", "model"]);
    assert_eq!(total, by_both.iter().map(|(_, n)| n).sum::<u64>());
    let of = |tenant: &str, model: &str| {
        let named = [tenant.to_owned(), model.to_owned()];
        by_both.iter().find(|(dims, _)| **dims == named).map(|(_, n)| *n)
    };
    for (place, tenant) in tenants.iter().enumerate() {
        let sent_before = if place < 5 { 3 } else { 0 };
        assert_eq!(Some(sent_before + 1), of(tenant, "known-a"), "{tenant}");
        assert_eq!(Some(1), of(tenant, "promised-model"), "{tenant}");
        let sent = sent_before * 2 + 2 + if place == 0 { 5_000 } else { 0 };
        assert_eq!(Some(sent), slo(&rig, "by-tenant", &json!({"tenant": tenant})), "{tenant}");
        assert_eq!(Some(1), slo(&rig, "promised", &json!({"tenant": tenant})), "{tenant}");
    }
    let collapsed = of("tenant-0", "__other__").expect("collapsed");
    let stats = stats(&rig);
    // The flooded tenant is full: its promised model came last, and gave up its service instead.
    assert_eq!(json!({"model": collapsed, "service": 1}), stats["overflow"]["requests"]);
    assert_eq!(json!({"tenant-0": collapsed + 1}), stats["overflow_tenants"]["requests"]);
    assert_eq!(json!({"by-tenant": 0, "promised": 0}), stats["slo_overflow"]);
    assert_eq!(Some(total), slo(&rig, "by-tenant", &json!({})));
}

/// Groups past their limit share one that is counted; known groups and the total stay exact.
#[test]
fn groups_past_their_limit_share_one() {
    let rig = Rig::configured(NOW_S, |config| {
        config["limits"]["groups"] = json!(3);
        config["objectives"] =
            json!([objective("by-model", json!([]), json!(["model", "tenant"]))]);
    });
    for round in 0..2 {
        let models: Vec<Vec<u8>> = (0..10).map(|n| event(&format!("model-{n}"))).collect();
        send(&rig, "acme", &models);
        assert_eq!(
            Some(round + 1),
            slo(&rig, "by-model", &json!({"model": "model-2", "tenant": "acme"}))
        );
    }
    assert_eq!(
        Some(14),
        slo(&rig, "by-model", &json!({"model": "__other__", "tenant": "__other__"}))
    );
    assert_eq!(Some(20), slo(&rig, "by-model", &json!({})));
    assert_eq!(json!({"by-model": 14}), stats(&rig)["slo_overflow"]);
}

/// Move the clock and event time on by `seconds` with one event of another series, and tick.
fn pass(rig: &Rig, at_s: i64) {
    rig.clock.set(at_s * SECOND_NS);
    let span = span_of(at_s * SECOND_NS, &[("gen_ai.request.model", "clock")]);
    let request = request_of(&[("service.name", "clock"), ("spanmill.tenant", "clock")], &[span]);
    let _ = rig.engine.ingest_traces(&request, Sender::default()).expect("valid OTLP");
    rig.engine.tick().expect("open");
}

/// Series that fell silent make room, ids are never shown twice, and no count forgets them.
#[test]
fn silent_series_make_room() {
    let rig = Rig::configured(NOW_S, |config| {
        config["limits"]["series"] = json!(21);
        config["objectives"] = json!([objective("by-tenant", json!([]), json!(["tenant"]))]);
    });
    let models = |from: u32| -> Vec<Vec<u8>> {
        (from..from + 30).map(|n| event(&format!("model-{n}"))).collect()
    };
    pass(&rig, NOW_S);
    send(&rig, "acme", &models(0));
    let shown = |rig: &Rig| {
        let listed = parse(&rig.engine.series().expect("open"));
        let list = listed["views"][0]["series"].as_array().expect("a list").clone();
        let ids: Vec<u64> = list.iter().map(|s| s["id"].as_u64().expect("an id")).collect();
        ids
    };
    let before = shown(&rig);
    assert_eq!(json!({"model": 10}), stats(&rig)["overflow"]["requests"]);
    // A day later everything but the clock's own series has fallen silent.
    (1..=24 * 40).for_each(|hour| pass(&rig, NOW_S + hour * 3_600));
    assert_eq!(1, shown(&rig).len(), "{:?}", shown(&rig));
    let retired = stats(&rig);
    assert_eq!(json!({"requests": before.len() - 1}), retired["series_retired"]);
    assert_eq!(json!({"model": 10}), retired["overflow"]["requests"]);
    assert_eq!(json!({"acme": 10}), retired["overflow_tenants"]["requests"]);
    // Counters have rings of their own, but these are of the last hour.
    assert_eq!(Some(0), slo(&rig, "by-tenant", &json!({"tenant": "acme"})));
    let at_ns = (NOW_S + 24 * 40 * 3_600) * SECOND_NS;
    let fresh: Vec<Vec<u8>> = (100..120)
        .map(|n| span_of(at_ns, &[("gen_ai.request.model", &format!("model-{n}"))]))
        .collect();
    send(&rig, "acme", &fresh);
    let after = shown(&rig);
    assert_eq!(21, after.len());
    assert!(after.iter().filter(|id| before.contains(id)).count() <= 1, "{before:?} {after:?}");
    assert_eq!(json!({"model": 10}), stats(&rig)["overflow"]["requests"]);
}

/// While threads send, series fall silent and are retired and come again: no event is lost,
/// doubled or told under another series' name.
#[test]
fn retirement_races_with_ingest() {
    let rig = Rig::configured(NOW_S, |config| {
        config["limits"]["series"] = json!(5_000);
        config["limits"]["dimension_values"] = json!(400);
    });
    let now_s = std::sync::atomic::AtomicI64::new(NOW_S);
    let sent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (rig, now_s, sent) = (&rig, &now_s, &sent);
            let _ = scope.spawn(move || {
                let tenant = format!("tenant-{thread}");
                for turn in 0..400u64 {
                    // At most three steps ahead of the clock, so that both go on at once.
                    let ahead = |at_s: i64| {
                        sent.load(Ordering::SeqCst) > (at_s - NOW_S).cast_unsigned() / 144 + 600
                    };
                    while ahead(now_s.load(Ordering::SeqCst)) {
                        std::thread::yield_now();
                    }
                    let at_ns = now_s.load(Ordering::SeqCst) * SECOND_NS;
                    let spans: Vec<Vec<u8>> = (0..20)
                        .map(|n| turn / 3 % 6 * 20 + n)
                        .map(|n| {
                            span_of(at_ns, &[("gen_ai.request.model", &format!("{tenant}-{n}"))])
                        })
                        .collect();
                    send(rig, &tenant, &spans);
                    let _ = sent.fetch_add(20, Ordering::SeqCst);
                }
            });
        }
        // Eight hours a step: whatever is not being sent any more falls silent.
        for step in 1..160 {
            while sent.load(Ordering::SeqCst) < step * 200 {
                std::thread::yield_now();
            }
            let at_s = NOW_S + step.cast_signed() * 8 * 3_600;
            rig.clock.set(at_s * SECOND_NS);
            now_s.store(at_s, Ordering::SeqCst);
            rig.engine.tick().expect("open");
        }
    });
    let ledger = parse(&rig.engine.ledger().expect("open"));
    assert_eq!(json!(32_000), ledger["received"]);
    assert_eq!(json!(true), ledger["balanced"]);
    let late = ledger["late"].as_u64().expect("a count");
    for thread in 0..4 {
        let row = &ledger["by"]["tenant"][format!("tenant-{thread}")];
        assert_eq!(json!(8_000), row["received"]);
    }
    // Each event is in a series that is there, or was in one that was retired.
    let stats = stats(&rig);
    let retired = stats["series_retired_events"]["requests"].as_u64().expect("a count");
    let listed = parse(&rig.engine.series().expect("open"));
    let list = listed["views"][0]["series"].as_array().expect("a list");
    let held: u64 = list.iter().map(|series| series["count"].as_u64().expect("a count")).sum();
    assert_eq!(32_000, held + retired + late);
    // Every series that is left has its own tenant's models only.
    for series in list {
        let (model, tenant) = (&series["dims"]["model"], &series["dims"]["tenant"]);
        let (model, tenant) = (model.as_str().expect("has one"), tenant.as_str().expect("has one"));
        assert!(model == "__other__" || model.starts_with(tenant), "{model} of {tenant}");
    }
    let rounds = stats["series_retired"]["requests"].as_u64().expect("a count");
    assert!(rounds > 100, "{rounds} retired: too few to race with anything");
}

/// Values that no series uses any more make room in a full dimension.
#[test]
fn unused_values_make_room() {
    let rig = Rig::configured(NOW_S, |config| {
        config["limits"]["dimension_values"] = json!(20);
        config["limits"]["sources"] = json!(1);
    });
    pass(&rig, NOW_S);
    let junk: Vec<Vec<u8>> = (0..40).map(|n| event(&format!("junk-{n}"))).collect();
    send(&rig, "acme", &junk);
    assert!(counts(&rig, &["model"]).iter().any(|(dims, n)| dims[0] == "__other__" && *n > 20));
    (1..=48).for_each(|hour| pass(&rig, NOW_S + hour * 3_600));
    let at_ns = (NOW_S + 48 * 3_600) * SECOND_NS;
    send(&rig, "acme", &[span_of(at_ns, &[("gen_ai.request.model", "fresh")])]);
    assert!(counts(&rig, &["model"]).iter().any(|(dims, _)| dims[0] == "fresh"));
}

fn skewed(rig: &Rig, source: &str, ahead_s: i64, at_s: i64) -> Result<Vec<u8>, Error> {
    let span = span_of((at_s + ahead_s) * SECOND_NS, &[]);
    rig.engine.ingest_traces(&request_of(&[("service.name", source)], &[span]), Sender::default())
}

/// One source ahead is its own fault; most of them make our clock the suspect: requests wait at
/// their senders, nothing is folded, and all is well again once the clock is set.
#[test]
fn our_own_clock_is_suspected() {
    let rig = Rig::new(NOW_S);
    let told = skewed(&rig, "a", 3_600, NOW_S).expect("taken");
    assert!(String::from_utf8_lossy(&told).contains("future: 1"));
    assert!(skewed(&rig, "b", 0, NOW_S).expect("taken").is_empty());
    assert!(skewed(&rig, "c", 0, NOW_S).expect("taken").is_empty());
    assert_eq!(None, rig.engine.unready().expect("open"));
    // Our clock is put back an hour: every source is ahead of it.
    rig.clock.adjust(NOW_NS - 3_600 * SECOND_NS);
    let _ = skewed(&rig, "b", 0, NOW_S).expect_err("b and a of three");
    let refused = skewed(&rig, "c", 0, NOW_S).expect_err("all three");
    assert!(matches!(refused, Error::ClockSuspect { ahead: 3, of: 3 }), "{refused}");
    assert_eq!(Some(5.0), refused.retry_after_s());
    let reason = rig.engine.unready().expect("open").expect("a reason");
    assert!(reason.contains("3 of 3 sources") && reason.contains("set the clock"), "{reason}");
    let shown = stats(&rig);
    assert_eq!(json!({"clock_suspect": 2}), shown["requests"]["refused"]);
    assert_eq!(json!(true), shown["clock_suspect"]);
    let ledger = parse(&rig.engine.ledger().expect("open"));
    assert_eq!((&json!(3), &json!(1)), (&ledger["received"], &ledger["rejected"]["future"]));
    // Set right, the very next requests say so.
    rig.clock.adjust(NOW_NS);
    let _ = skewed(&rig, "b", 0, NOW_S);
    assert!(skewed(&rig, "c", 0, NOW_S).expect("taken").is_empty());
    assert_eq!(None, rig.engine.unready().expect("open"));
}

/// Without a word from any source for a minute, nothing speaks against our clock any more.
#[test]
fn suspicion_ends_by_itself() {
    let rig = Rig::new(NOW_S);
    for source in ["a", "b", "c"] {
        let _ = skewed(&rig, source, 3_600, NOW_S);
    }
    assert!(rig.engine.unready().expect("open").is_some());
    rig.clock.set(NOW_NS + 61 * SECOND_NS);
    assert_eq!(None, rig.engine.unready().expect("open"));
}
