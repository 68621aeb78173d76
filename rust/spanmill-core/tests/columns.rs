//! `SpanBatch` through the façade: what was sent as columns counts as if it had come as spans.

mod rig;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use spanmill_core::Sender;
use spanmill_core::clock::Clock;
use spanmill_core::error::Error;

use crate::rig::columns::{Columns, Measure};
use crate::rig::{Rig, SECOND_NS, double, int, parse, request_of, span_with, text};

const NOW_S: i64 = 1_795_219_200;
const NOW_NS: i64 = NOW_S * SECOND_NS;

/// Numbers of measures in `ingest.proto`.
const DURATION: u64 = 1;
const TTFT: u64 = 2;
const INPUT_TOKENS: u64 = 8;
const OUTPUT_TOKENS: u64 = 9;
const COST: u64 = 12;

fn objective(name: &str, sli: Json, group_by: Json) -> Json {
    json!({"name": name, "description": "", "sli": sli, "where": [], "group_by": group_by,
        "objective": 0.99, "period_s": 2_592_000, "layer": "", "runbook": ""})
}

/// Two views, one with companions and a filter; objectives of both kinds.
fn rig() -> Rig {
    Rig::configured(NOW_S, |config| {
        config["views"] = json!([
            {"name": "requests", "where": [], "dimensions": ["service", "model", "tenant"],
                "measures": ["duration", "ttft", "tpot", "input_tokens", "output_tokens", "cost"],
                "distinct": ["user"], "top": ["prompt"]},
            {"name": "atlas", "where": [["model", ["atlas"]]], "dimensions": ["tenant"],
                "measures": ["ttft"], "distinct": [], "top": []},
        ]);
        config["objectives"] = json!([
            objective(
                "fast",
                json!({"kind": "latency", "measure": "ttft", "below": 1.2}),
                json!(["model"])
            ),
            objective("good", json!({"kind": "errors"}), json!(["tenant"])),
        ]);
    })
}

/// What the views, objectives and books say, without the names of senders' series.
fn shown(rig: &Rig) -> Vec<Json> {
    let mut slos = parse(&rig.engine.slos().expect("open"));
    // Groups stand in the order in which they were first met, of which nothing is promised.
    let list = slos.as_array_mut().expect("a list");
    list.sort_by_key(|slo| format!("{} {}", slo["name"], slo["group"]));
    let mut shown = vec![slos];
    for measure in ["duration", "ttft", "tpot", "input_tokens", "output_tokens", "cost"] {
        let ask = json!({"measure": measure, "q": [0.0, 0.5, 0.9, 0.99, 1.0],
            "by": ["service", "model", "tenant"], "window_s": 600, "where": [], "end_ns": null, "view": null});
        shown.push(parse(&rig.engine.query(&ask.to_string()).expect("answers")));
    }
    let ask = json!({"measure": "ttft", "q": [0.5], "by": ["tenant"], "view": "atlas",
        "window_s": 600, "where": [], "end_ns": null});
    shown.push(parse(&rig.engine.query(&ask.to_string()).expect("answers")));
    let ask = json!({"dimension": "user", "by": ["model"], "window_s": 600, "where": [], "end_ns": null, "view": null});
    shown.push(parse(&rig.engine.distinct(&ask.to_string()).expect("answers")));
    let ask = json!({"dimension": "prompt", "k": 5, "by": ["model"], "window_s": 600, "where": [], "end_ns": null, "view": null});
    shown.push(parse(&rig.engine.top(&ask.to_string()).expect("answers")));
    let mut ledger = parse(&rig.engine.ledger().expect("open"));
    strip(&mut ledger);
    shown.push(ledger);
    shown
}

/// Leave out what says how events came.
fn strip(ledger: &mut Json) {
    if let Some(object) = ledger.as_object_mut() {
        let _ = (object.remove("delivery"), object.remove("at_least_once"));
        object.values_mut().for_each(strip);
    }
}

/// One event of either kind.
#[derive(Debug, Clone)]
struct Event {
    series: u32,
    start_us: u32,
    duration_us: u32,
    failed: bool,
    ttft_us: Option<u32>,
    input_tokens: Option<u32>,
    output_tokens: Option<u32>,
    cost: Option<f64>,
    total_us: Option<u32>,
}

/// Service, tenant, model, user, prompt of each series.
const SERIES: [[&str; 5]; 6] = [
    ["gateway", "acme", "atlas", "ann", "greet"],
    ["gateway", "acme", "atlas", "ben", "greet"],
    ["gateway", "acme", "birch", "", "sum up"],
    ["batch", "blue", "atlas", "cem", ""],
    ["batch", "", "cedar", "cem", "greet"],
    ["", "", "", "", ""],
];

fn attributes(series: &[&'static str; 5]) -> Vec<(&'static str, &'static str)> {
    let keys = ["spanmill.tenant", "gen_ai.request.model", "user.id", "gen_ai.prompt.name"];
    keys.into_iter()
        .zip(series[1..].iter().copied())
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// As a request of OTLP.
fn as_spans(events: &[Event], base_ns: i64) -> Vec<u8> {
    let mut request = Vec::new();
    for event in events {
        let start_ns = base_ns + i64::from(event.start_us) * 1_000;
        let end_ns = start_ns + i64::from(event.duration_us) * 1_000;
        let series = &SERIES[event.series as usize];
        let mut all: Vec<(&str, Vec<u8>)> =
            attributes(series).into_iter().map(|(key, value)| (key, text(value))).collect();
        let seconds = |us: u32| double(f64::from(us) / 1e6);
        all.extend(event.ttft_us.map(|us| ("gen_ai.server.time_to_first_token", seconds(us))));
        let tokens = |n: u32| int(u64::from(n));
        all.extend(event.input_tokens.map(|n| ("gen_ai.usage.input_tokens", tokens(n))));
        all.extend(event.output_tokens.map(|n| ("gen_ai.usage.output_tokens", tokens(n))));
        all.extend(event.cost.map(|cost| ("spanmill.cost", double(cost))));
        all.extend(event.total_us.map(|us| ("ai.latency.total_ms", int(u64::from(us / 1_000)))));
        let mut span = span_with(start_ns, end_ns, &all);
        if event.failed {
            span.extend_from_slice(&[15 << 3 | 2, 2, 3 << 3, 2]);
        }
        let resource: &[(&str, &str)] =
            if series[0].is_empty() { &[] } else { &[("service.name", series[0])] };
        request.extend(request_of(resource, &[span]));
    }
    request
}

/// As columns.
fn as_columns(events: &[Event], base_ns: i64) -> Columns {
    let mut columns = Columns::new(1, base_ns);
    for series in &SERIES {
        let resource: &[(&str, &str)] =
            if series[0].is_empty() { &[] } else { &[("service.name", series[0])] };
        columns.define(resource, &attributes(series));
    }
    for event in events {
        columns.push(event.series, event.start_us, event.duration_us);
        columns.status.push(if event.failed { 2 } else { 0 });
    }
    let of = |number, value: &dyn Fn(&Event) -> Option<u32>| {
        Measure::of_some(number, &events.iter().map(value).collect::<Vec<_>>())
    };
    columns.measures = vec![
        of(TTFT, &|event| event.ttft_us),
        of(INPUT_TOKENS, &|event| event.input_tokens),
        of(OUTPUT_TOKENS, &|event| event.output_tokens),
        of(DURATION, &|event| event.total_us),
    ];
    let costs = events.iter().map(|event| event.cost);
    let present: Vec<bool> = costs.clone().map(|cost| cost.is_some()).collect();
    columns.measures.push(Measure {
        number: COST,
        present: rig::columns::bits(&present),
        fixed: Vec::new(),
        doubles: costs.flatten().collect(),
    });
    columns
}

fn event() -> impl Strategy<Value = Event> {
    let maybe = |range: std::ops::Range<u32>| prop::option::of(range);
    let cost = prop_oneof![
        9 => 0.0..2.0_f64,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, -1.0, 1e-300, 1e300, 0.0]),
    ];
    let measures = (maybe(0..3_000_000), maybe(0..5_000), maybe(0..900), prop::option::of(cost));
    // Up to 30 s ahead of the clock: some are rejected for it.
    let times = (0..150_000_000_u32, 0..4_000_000_u32, prop::option::of(0..9_000_u32));
    (0..SERIES.len() as u32, times, prop::bool::weighted(0.1), measures).prop_map(
        |(series, (start_us, duration_us, total_ms), failed, measures)| {
            let (ttft_us, input_tokens, output_tokens, cost) = measures;
            let total_us = total_ms.map(|ms| ms * 1_000);
            Event {
                series,
                start_us,
                duration_us,
                failed,
                ttft_us,
                input_tokens,
                output_tokens,
                cost,
                total_us,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same events, as spans and as columns, give the same answers, budgets and accounts.
    #[test]
    fn columns_count_as_spans_do(events in prop::collection::vec(event(), 1..400), cut in 0..400_usize) {
        let (spans, columns) = (rig(), rig());
        let base_ns = NOW_NS - 120 * SECOND_NS;
        let parts = events.split_at(cut.min(events.len()));
        for (seq, part) in (1..).zip([parts.0, parts.1]) {
            let sent = spans.engine.ingest_traces(&as_spans(part, base_ns), Sender::default());
            let mut batch = as_columns(part, base_ns);
            batch.seq = seq;
            if seq > 1 {
                (batch.dict_base, batch.new_series) = (SERIES.len() as u64, Vec::new());
            }
            let found = columns.engine.ingest_columns(&batch.encode());
            let told = |error: Error| error.to_string();
            let (sent, found) = (sent.map(drop).map_err(told), found.map(drop).map_err(told));
            prop_assert_eq!(&sent, &found);
            if sent.is_err() {
                // Most sources are ahead of the clock, which is the suspect: either way alike.
                return Ok(());
            }
        }
        for (expected, found) in shown(&spans).into_iter().zip(shown(&columns)) {
            prop_assert_eq!(expected, found);
        }
        let ledger = parse(&columns.engine.ledger().expect("open"));
        prop_assert_eq!(&json!("exactly_once"), &ledger["delivery"]);
    }

    /// A batch that was changed anywhere is refused, or taken as the batch that it then is:
    /// nothing panics, and the books balance.
    #[test]
    fn damage_is_safe(at: prop::sample::Index, byte: u8, seals: bool) {
        let rig = rig();
        let mut batch = three();
        batch.status = vec![0, 2, 0];
        let mut bytes = if seals { batch.body() } else { batch.encode() };
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if seals {
            bytes = spanmill_core::wire::with_checksum(&bytes).unwrap_or(bytes);
        }
        let _ = rig.engine.ingest_columns(&bytes);
        prop_assert_eq!(&json!(true), &parse(&rig.engine.ledger().expect("open"))["balanced"]);
    }

    /// Any bytes at all are refused or taken, never a panic.
    #[test]
    fn any_bytes_are_safe(bytes: Vec<u8>) {
        let rig = rig();
        let _ = rig.engine.ingest_columns(&bytes);
        let mut long = three().body();
        long.extend_from_slice(&bytes);
        if let Ok(sealed) = spanmill_core::wire::with_checksum(&long) {
            let _ = rig.engine.ingest_columns(&sealed);
        }
        prop_assert_eq!(&json!(true), &parse(&rig.engine.ledger().expect("open"))["balanced"]);
    }
}

/// Three events of one series, of 1.5 s each.
fn three() -> Columns {
    let mut batch = Columns::new(1, NOW_NS - 10 * SECOND_NS);
    batch.define(&[("service.name", "gateway")], &[("gen_ai.request.model", "atlas")]);
    (0..3).for_each(|event| batch.push(0, event * 1_000, 1_500_000));
    batch.measures.push(Measure::fixed(TTFT, &[200_000, 300_000, 400_000]));
    batch
}

fn counted(rig: &Rig) -> u64 {
    parse(&rig.engine.ledger().expect("open"))["counted"].as_u64().expect("a count")
}

/// Why a batch is refused, after a check that nothing of it was counted.
fn refused(rig: &Rig, batch: &Columns) -> String {
    let before = counted(rig);
    let error = rig.engine.ingest_columns(&batch.encode()).expect_err("refused");
    assert_eq!(before, counted(rig));
    error.to_string()
}

/// A batch that comes again is answered as before and counted once, also after a restart of the
/// sender's connection, and even where its dictionary came with it again.
#[test]
fn a_batch_counts_once() {
    let rig = rig();
    let mut batch = three();
    batch.measures.push(Measure::doubles(COST, &[1.0, -1.0, 2.0]));
    let first = rig.engine.ingest_columns(&batch.encode()).expect("taken");
    let again = rig.engine.ingest_columns(&batch.encode()).expect("taken");
    assert_eq!([&first[..], &[3 << 3, 1]].concat(), again);
    assert!(String::from_utf8_lossy(&first).contains("negative: 1"));
    let ledger = parse(&rig.engine.ledger().expect("open"));
    assert_eq!((2, 3), (counted(&rig), ledger["duplicate"].as_u64().expect("a count")));
}

/// Columns that do not fit together are refused with the numbers that tell why.
#[test]
fn what_does_not_fit_is_refused() {
    let rig = rig();
    let expect = |change: &dyn Fn(&mut Columns), wanted: &str| {
        let mut batch = three();
        change(&mut batch);
        let said = refused(&rig, &batch);
        assert!(said.contains(wanted), "{said}");
    };
    expect(&|it| it.schema_version = 2, "schema_version 2, this daemon reads 1");
    expect(&|it| it.producer = vec![1; 15], "15 B, 16 B are needed");
    expect(&|it| it.producer = vec![0; 16], "all zero");
    expect(&|it| it.n = 4, "series_idx has 12 B, its events need 16 B");
    expect(&|it| it.n = 1 << 20, "1048576 events");
    expect(&|it| it.series[2] = 1, "series_idx 1, the dictionary has 1 entries");
    expect(&|it| it.status = vec![0; 2], "status has 2 B");
    expect(&|it| it.trace_id = vec![1; 32], "trace_id has 32 B, its events need 48 B");
    expect(&|it| it.measures[0].present = vec![3], "ttft has 12 B, its events need 8 B");
    expect(&|it| it.measures[0].present = vec![15], "present past the last event");
    expect(&|it| it.measures.push(it.measures[0].clone()), "two columns of ttft");
    expect(&|it| it.measures[0].doubles = vec![1.0; 3], "as fixed and as doubles");
    let mut bytes = three().encode();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let error = rig.engine.ingest_columns(&bytes).expect_err("refused");
    assert!(error.to_string().contains("crc32c"), "{error}");
    // A measure that a later version has is passed over.
    let mut batch = three();
    batch.measures.push(Measure::fixed(99, &[1, 2]));
    assert!(rig.engine.ingest_columns(&batch.encode()).is_ok());
}

/// A dictionary that is not here is asked for; one that changes within an epoch is refused; a new
/// epoch begins an empty one, and batches of the old one come too late.
#[test]
fn dictionaries_are_kept_by_epoch() {
    let rig = rig();
    let mut batch = three();
    let _ = rig.engine.ingest_columns(&batch.encode()).expect("taken");
    let whole = std::mem::take(&mut batch.new_series);
    (batch.seq, batch.dict_base) = (2, 1);
    let _ = rig.engine.ingest_columns(&batch.encode()).expect("the entry is known");

    (batch.seq, batch.dict_base) = (3, 2);
    let said = refused(&rig, &batch);
    assert!(said.contains("builds on 2 entries") && said.contains("1 are known"), "{said}");

    batch.dict_base = 0;
    batch.define(&[], &[("gen_ai.request.model", "birch")]);
    let said = refused(&rig, &batch);
    assert!(said.contains("entry 0 of the dictionary is not what it was"), "{said}");

    (batch.epoch, batch.seq) = (2, 1);
    let _ = rig.engine.ingest_columns(&batch.encode()).expect("a dictionary of its own");
    (batch.epoch, batch.seq, batch.new_series) = (1, 4, whole);
    let error = rig.engine.ingest_columns(&batch.encode()).expect_err("too late");
    assert!(matches!(error, Error::Forgotten), "{error}");
    assert_eq!(9, counted(&rig));
}

/// After a restart the numbers are known and the dictionary is not: the batch that was counted is
/// known again once it comes with its dictionary, and counts once.
#[test]
fn a_restart_forgets_the_dictionary_only() {
    let mut rig = Rig::configured(NOW_S, |config| config["durability"] = json!("sync"));
    let mut batch = three();
    let _ = rig.engine.ingest_columns(&batch.encode()).expect("taken");
    rig.restart();
    let whole = std::mem::take(&mut batch.new_series);
    (batch.seq, batch.dict_base) = (2, 1);
    let error = rig.engine.ingest_columns(&batch.encode()).expect_err("no dictionary");
    assert!(matches!(error, Error::Dictionary { wanted: 1, known: 0 }), "{error}");
    (batch.dict_base, batch.new_series) = (0, whole);
    let _ = rig.engine.ingest_columns(&batch.encode()).expect("taken");
    batch.seq = 1;
    let ack = rig.engine.ingest_columns(&batch.encode()).expect("known");
    assert!(ack.ends_with(&[3 << 3, 1]), "a duplicate");
    assert_eq!(6, counted(&rig));
}

/// Let time pass.
fn pass(rig: &Rig, seconds: i64) {
    rig.clock.set(rig.clock.now_ns() + seconds * SECOND_NS);
}

/// Ids that were let go between two batches are looked up again: events never land in a series
/// that took another's id.
#[test]
fn retirement_is_no_matter() {
    let rig = rig();
    let batch = three();
    let _ = rig.engine.ingest_columns(&batch.encode()).expect("taken");
    for round in 0..3 {
        pass(&rig, 40 * 86_400);
        rig.engine.tick().expect("ticks");
        pass(&rig, 120);
        rig.engine.tick().expect("ticks");
        let span = span_with(
            rig.clock.now_ns(),
            rig.clock.now_ns(),
            &[("gen_ai.request.model", text(&format!("m{round}")))],
        );
        let _ =
            rig.engine.ingest_traces(&request_of(&[], &[span]), Sender::default()).expect("valid");
    }
    let mut later = batch.clone();
    later.base_ns = (rig.clock.now_ns() - 10 * SECOND_NS).cast_unsigned();
    (later.seq, later.dict_base, later.new_series) = (2, 1, Vec::new());
    let _ = rig.engine.ingest_columns(&later.encode()).expect("the dictionary is kept");
    let ask = json!({"measure": "ttft", "q": [1.0], "by": ["model"], "window_s": 600, "where": [], "end_ns": null, "view": null});
    let answer = parse(&rig.engine.query(&ask.to_string()).expect("answers"));
    let series = answer["series"].as_array().expect("a list");
    let atlas = series.iter().find(|it| it["dims"]["model"] == json!("atlas")).expect("its series");
    assert_eq!(json!(3), atlas["count"]);
}

/// A million batches with some bytes changed are refused or taken, with a right checksum or none.
#[test]
#[ignore = "takes a minute: `make test-peers`"]
fn a_million_damaged_batches() {
    let rig = rig();
    let mut state = 1_u64;
    let mut draw = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let good = three().body();
    for round in 0..1_000_000_u64 {
        let mut bytes = good.clone();
        for _ in 0..1 + draw(4) {
            let at = draw(bytes.len());
            bytes[at] = draw(256) as u8;
        }
        if draw(8) == 0 {
            bytes.truncate(draw(bytes.len()));
        }
        if !round.is_multiple_of(16) {
            bytes = spanmill_core::wire::with_checksum(&bytes).unwrap_or(bytes);
        }
        let _ = rig.engine.ingest_columns(&bytes);
    }
    assert_eq!(json!(true), parse(&rig.engine.ledger().expect("open"))["balanced"]);
}

/// The golden batch counts as what it was made of: senders of this version stay readable.
#[test]
fn the_golden_batch_holds() {
    let rig = rig();
    let golden = include_bytes!("golden/span-batch-1.bin");
    let ack = rig.engine.ingest_columns(golden).expect("taken");
    // One of its three events ends an hour and more after our clock.
    assert_eq!(b"\x0a\x0d\x08\x01\x12\x09future: 1\x10\xac\x02".to_vec(), ack);
    let ask = json!({"measure": "ttft", "q": [], "by": ["model"], "window_s": 600, "where": [],
        "end_ns": null, "view": null});
    let answer = parse(&rig.engine.query(&ask.to_string()).expect("answers"));
    assert_eq!(
        json!([{"model": "atlas"}, 2]),
        json!([answer["series"][0]["dims"], answer["series"][0]["count"]])
    );
}
