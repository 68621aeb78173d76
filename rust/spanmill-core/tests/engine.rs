//! The engine through its façade: bytes in, answers out, on a clock the test moves.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use serde_json::{Value as Json, json};
use spanmill_core::clock::ManualClock;
use spanmill_core::config::Config;
use spanmill_core::error::Error;
use spanmill_core::{Engine, Sender};

const NOW_S: u64 = 1_795_219_200;
const SECOND: u64 = 1_000_000_000;

/// An engine in a folder of its own, with the clock it runs on.
struct Bench {
    engine: Engine,
    clock: Arc<ManualClock>,
    folder: PathBuf,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.engine.close();
        // A folder that is already gone is what we want.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn config(folder: &std::path::Path, limits_series: usize, objectives: Json) -> Config {
    let config = json!({
        "data_dir": folder, "durability": "off",
        "window": {"lateness_s": 60.0, "future_skew_s": 5.0, "idle_s": 30.0},
        "views": [{"name": "requests", "where": [], "dimensions": ["service", "model", "tenant"],
            "measures": ["duration", "ttft", "tpot", "output_tokens"],
            "distinct": [], "top": []}],
        "objectives": objectives,
        "retention": {},
        "limits": {"series": limits_series, "tenant_series": limits_series, "groups": 100,
            "dimension_values": 10_000, "companion_bytes": 1 << 26, "dimension_bytes": 256,
            "sources": 100, "request_bytes": 1 << 24, "memory": 1_u64 << 31,
            "disk": 1_u64 << 34, "dedupe_horizon": 900.0, "dedupe_entries": 100_000, "producers": 1_000},
    });
    Config::from_json(&config.to_string()).expect("valid")
}

fn bench_with(limits_series: usize, objectives: Json) -> Bench {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("spanmill-engine-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let clock = Arc::new(ManualClock::new((NOW_S * SECOND) as i64));
    let engine = Engine::open(&config(&folder, limits_series, objectives), clock.clone());
    Bench { engine: engine.expect("opens"), clock, folder }
}

fn bench() -> Bench {
    bench_with(1_000, json!([]))
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field(number: u64, contents: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    varint(contents.len() as u64, out);
    out.extend_from_slice(contents);
}

enum Attribute {
    Text(&'static str, String),
    Double(&'static str, f64),
    Int(&'static str, u64),
}

fn attribute(attribute: &Attribute) -> Vec<u8> {
    let (key, value) = match attribute {
        Attribute::Text(key, text) => {
            let mut value = Vec::new();
            field(1, text.as_bytes(), &mut value);
            (key, value)
        }
        Attribute::Double(key, number) => {
            let mut value = vec![4 << 3 | 1];
            value.extend_from_slice(&number.to_le_bytes());
            (key, value)
        }
        Attribute::Int(key, number) => {
            let mut value = vec![3 << 3];
            varint(*number, &mut value);
            (key, value)
        }
    };
    let mut pair = Vec::new();
    field(1, key.as_bytes(), &mut pair);
    field(2, &value, &mut pair);
    pair
}

/// One span that ends `ends_s` seconds from `NOW_S` and lasted two seconds.
struct Span {
    ends_s: f64,
    model: &'static str,
    ttft: Option<f64>,
    failed: bool,
}

impl Default for Span {
    fn default() -> Self {
        Self { ends_s: 0.0, model: "m", ttft: Some(0.5), failed: false }
    }
}

impl Span {
    fn encode(&self) -> Vec<u8> {
        let end = (NOW_S * SECOND).wrapping_add_signed((self.ends_s * SECOND as f64) as i64);
        let mut span = Vec::new();
        field(1, &[7; 16], &mut span);
        // Two requests with the same ids would be one, sent again.
        static SPANS: AtomicU64 = AtomicU64::new(1);
        field(2, &SPANS.fetch_add(1, Ordering::Relaxed).to_le_bytes(), &mut span);
        for (tag, time) in [(7, end - 2 * SECOND), (8, end)] {
            span.push(tag << 3 | 1);
            span.extend_from_slice(&time.to_le_bytes());
        }
        let mut attributes = vec![
            Attribute::Text("gen_ai.request.model", self.model.to_owned()),
            Attribute::Int("gen_ai.usage.output_tokens", 4),
        ];
        attributes
            .extend(self.ttft.map(|s| Attribute::Double("gen_ai.response.time_to_first_chunk", s)));
        for pair in &attributes {
            field(9, &attribute(pair), &mut span);
        }
        if self.failed {
            field(15, &[3 << 3, 2], &mut span);
        }
        span
    }
}

fn request(spans: &[Vec<u8>]) -> Vec<u8> {
    let mut resource = Vec::new();
    let service = Attribute::Text("service.name", "gateway".to_owned());
    field(1, &attribute(&service), &mut resource);
    let tenant = Attribute::Text("spanmill.tenant", "acme".to_owned());
    field(1, &attribute(&tenant), &mut resource);
    let mut scope_spans = Vec::new();
    spans.iter().for_each(|span| field(2, span, &mut scope_spans));
    let mut resource_spans = Vec::new();
    field(1, &resource, &mut resource_spans);
    field(2, &scope_spans, &mut resource_spans);
    let mut request = Vec::new();
    field(1, &resource_spans, &mut request);
    request
}

fn send(bench: &Bench, spans: &[Span]) -> Vec<u8> {
    let encoded: Vec<Vec<u8>> = spans.iter().map(Span::encode).collect();
    bench.engine.ingest_traces(&request(&encoded), Sender::default()).expect("valid OTLP")
}

fn query(bench: &Bench, measure: &str, by: &[&str], window_s: u32) -> Json {
    let asked = json!({"measure": measure, "q": [0.5, 0.99], "by": by, "where": [],
        "window_s": window_s, "end_ns": null, "view": null});
    parse(&bench.engine.query(&asked.to_string()).expect("valid query"))
}

fn parse(bytes: &[u8]) -> Json {
    serde_json::from_slice(bytes).expect("the engine writes JSON")
}

fn ledger(bench: &Bench) -> Json {
    parse(&bench.engine.ledger().expect("open"))
}

/// An acknowledged event is in the very next answer, open bucket included, with every signal in our units.
#[test]
fn next_query_sees_every_event() {
    let bench = bench();
    assert!(
        send(&bench, &[Span::default(), Span { ttft: Some(0.7), ..Span::default() }]).is_empty()
    );
    let answer = query(&bench, "ttft", &["model"], 300);
    let series = &answer["series"][0];
    assert_eq!(json!({"model": "m"}), series["dims"]);
    assert_eq!((&json!(2), &json!(true)), (&series["count"], &series["exact"]));
    assert_eq!(json!({"0.5": 0.5, "0.99": 0.7}), series["quantiles"]);
    assert_eq!(json!("s"), answer["unit"]);
    assert_eq!(json!(true), answer["window"]["open"]);
    // (2.0 s - 0.5 s) over three gaps.
    let tpot = query(&bench, "tpot", &[], 300);
    assert_eq!(json!(0.5), tpot["series"][0]["max"]);
}

/// A missing measure is absent: the event counts for others and never as 0.
#[test]
fn missing_is_absent() {
    let bench = bench();
    let _ = send(&bench, &[Span { ttft: None, ..Span::default() }]);
    assert_eq!(json!([]), query(&bench, "ttft", &[], 300)["series"]);
    assert_eq!(json!([]), query(&bench, "tpot", &[], 300)["series"]);
    assert_eq!(json!(1), query(&bench, "duration", &[], 300)["series"][0]["count"]);
}

/// A span that no retry can save is counted under its reason, in the ledger and to the sender; the rest stands.
#[test]
fn bad_spans_are_counted_by_reason() {
    let bench = bench();
    let good = Span::default().encode();
    let mut no_id = good.clone();
    no_id[2..18].fill(0);
    let mut no_time = good.clone();
    no_time[29..37].fill(0);
    let cases = [
        ("bad_id", no_id),
        ("no_time", no_time),
        ("future", Span { ends_s: 9.0, ..Span::default() }.encode()),
        ("not_finite", Span { ttft: Some(f64::NAN), ..Span::default() }.encode()),
        ("negative", Span { ttft: Some(-1.0), ..Span::default() }.encode()),
        ("out_of_range", Span { ttft: Some(1e300), ..Span::default() }.encode()),
    ];
    for (reason, span) in &cases {
        let response =
            bench.engine.ingest_traces(&request(&[span.clone(), good.clone()]), Sender::default());
        let said = String::from_utf8_lossy(&response.expect("valid OTLP")).into_owned();
        assert!(said.contains(&format!("{reason}: 1")), "{reason}: {said}");
        assert_eq!(json!(1), ledger(&bench)["rejected"][reason], "{reason}");
    }
    let shown = ledger(&bench);
    assert_eq!((&json!(12), &json!(6)), (&shown["received"], &shown["counted"]));
    assert_eq!(json!(true), shown["balanced"]);
    assert_eq!(json!(6), query(&bench, "duration", &[], 300)["series"][0]["count"]);
}

/// A span without ids counts like any other.
#[test]
fn missing_ids_are_no_fault() {
    let bench = bench();
    let whole = Span::default().encode();
    let (no_trace_id, no_span_id) = (whole[18..].to_vec(), [&whole[..18], &whole[28..]].concat());
    let body = request(&[no_trace_id, no_span_id]);
    let answer = bench.engine.ingest_traces(&body, Sender::default()).expect("valid OTLP");
    assert!(answer.is_empty(), "refused some of them");
    assert_eq!(json!(2), ledger(&bench)["counted"]);
}

/// Bytes that are not OTLP fold nothing at all, not even the good spans before the fault.
#[test]
fn malformed_requests_change_nothing() {
    let bench = bench();
    let whole = request(&[Span::default().encode(), Span::default().encode()]);
    for cut in 1..whole.len() {
        // Some prefixes end between fields and are requests of their own.
        if let Err(error) = bench.engine.ingest_traces(&whole[..cut], Sender::default()) {
            assert!(matches!(error, Error::Wire { .. }), "{error}");
        }
    }
    assert_eq!(json!(0), ledger(&bench)["received"]);
    assert_eq!(json!([]), query(&bench, "duration", &[], 300)["series"]);
    let stats = parse(&bench.engine.stats().expect("open"));
    assert_eq!(json!(whole.len() - 1), stats["requests"]["refused"]["malformed"]);
}

/// Behind the watermark an event still counts for budgets and the ledger; the digest says it is late.
#[test]
fn late_events_count_but_leave_the_digest() {
    let objectives = json!([{"name": "fast", "description": "", "where": [], "group_by": [],
        "sli": {"kind": "latency", "measure": "ttft", "below": 1.0}, "objective": 0.9,
        "period_s": 3600, "layer": "", "runbook": ""}]);
    let bench = bench_with(1_000, objectives);
    let _ = send(&bench, &[Span::default()]);
    bench.engine.tick().expect("open");
    let before = query(&bench, "ttft", &[], 600);
    let _ = send(&bench, &[Span { ends_s: -100.0, ttft: Some(5.0), ..Span::default() }]);
    let after = query(&bench, "ttft", &[], 600);
    assert_eq!(before["series"][0]["quantiles"], after["series"][0]["quantiles"]);
    assert_eq!((&json!(1), &json!(1)), (&after["series"][0]["count"], &after["series"][0]["late"]));
    let slo = &parse(&bench.engine.slos().expect("open"))[0];
    assert_eq!((&json!(1), &json!(1)), (&slo["good"], &slo["bad"]));
    assert_eq!((&json!(2), &json!(0)), (&ledger(&bench)["counted"], &ledger(&bench)["late"]));
}

/// What no counter can hold is late, told to the sender, and still on the ledger.
#[test]
fn older_than_any_counter_is_late() {
    let bench = bench();
    let _ = send(&bench, &[Span::default()]);
    let response = send(&bench, &[Span { ends_s: -91.0 * 86_400.0, ..Span::default() }]);
    assert!(String::from_utf8_lossy(&response).contains("late: 1"));
    let shown = ledger(&bench);
    assert_eq!((&json!(1), &json!(1)), (&shown["counted"], &shown["late"]));
    assert_eq!(json!(true), shown["balanced"]);
}

/// Sealed buckets and every answer from them are the same for any batch split and arrival order.
#[test]
fn splits_and_order_leave_no_trace() {
    let spans: Vec<Span> = (0..600)
        .map(|i| Span {
            ends_s: -f64::from(i % 50),
            model: ["a", "b", "c"][i as usize % 3],
            ttft: Some(0.1 + f64::from(i * 7919 % 600) / 100.0),
            failed: i % 10 == 0,
        })
        .collect();
    let answer = |order: &mut dyn Iterator<Item = &Span>, batch: usize| {
        let bench = bench();
        let encoded: Vec<Vec<u8>> = order.map(Span::encode).collect();
        for chunk in encoded.chunks(batch) {
            let _ =
                bench.engine.ingest_traces(&request(chunk), Sender::default()).expect("valid OTLP");
        }
        bench.clock.set(((NOW_S + 600) * SECOND) as i64);
        bench.engine.tick().expect("open");
        let mut answer = query(&bench, "ttft", &["model"], 1_200);
        answer["window"] = Json::Null;
        answer
    };
    let wanted = answer(&mut spans.iter(), 600);
    assert_eq!(json!(200), wanted["series"][0]["count"]);
    assert_eq!(wanted, answer(&mut spans.iter().rev(), 7));
    assert_eq!(wanted, answer(&mut spans.iter().rev(), 1));
}

/// The sealed minutes of the rollup hold every event once, and their sum is the query's.
#[test]
fn rollup_conserves_events() {
    let bench = bench();
    let spans: Vec<Span> =
        (0..300).map(|i| Span { ends_s: -f64::from(i) / 5.0, ..Span::default() }).collect();
    let _ = send(&bench, &spans);
    bench.clock.set(((NOW_S + 40) * SECOND) as i64);
    let _ = send(&bench, &[Span { ends_s: 40.0, ..Span::default() }]);
    bench.clock.set(((NOW_S + 240) * SECOND) as i64);
    let _ = send(&bench, &[Span { ends_s: 240.0, ..Span::default() }]);
    bench.engine.tick().expect("open");
    let (first, last) = bench.engine.sealed_range().expect("has sealed minutes");
    let batch = bench.engine.rollup(first, last).expect("open");
    let counts = batch.column_by_name("count").expect("has counts");
    let counts: &arrow_array::Int64Array = counts.as_any().downcast_ref().expect("int64");
    let measures = batch.column_by_name("measure").expect("has measures");
    let measures: &arrow_array::StringArray = measures.as_any().downcast_ref().expect("strings");
    let total: i64 = (0..batch.num_rows())
        .filter(|row| measures.value(*row) == "ttft")
        .map(|row| counts.value(row))
        .sum();
    assert_eq!(301, total);
}

/// A flood of model names collapses into `__other__`; known series stay, and the sum is exact.
#[test]
fn floods_collapse_one_dimension() {
    let bench = bench_with(10, json!([]));
    let names: Vec<&'static str> =
        (0..50).map(|i| &*Box::leak(format!("model-{i}").into_boxed_str())).collect();
    for model in names {
        let _ = send(&bench, &[Span { model, ..Span::default() }]);
    }
    let answer = query(&bench, "duration", &["model", "tenant"], 300);
    let series = answer["series"].as_array().expect("a list");
    let counts = series.iter().map(|s| s["count"].as_u64().expect("a count"));
    assert_eq!(50, counts.sum::<u64>());
    let other = series.iter().find(|s| s["dims"]["model"] == "__other__").expect("collapsed");
    assert_eq!((&json!(40), &json!("acme")), (&other["count"], &other["dims"]["tenant"]));
    let stats = parse(&bench.engine.stats().expect("open"));
    assert_eq!(json!({"model": 40}), stats["overflow"]["requests"]);
}

/// Good and bad are counted per event against the threshold itself, by group, with failures apart.
#[test]
fn objectives_count_exactly() {
    let objective = |name: &str, sli: Json, group_by: Json| {
        json!({"name": name, "description": "", "where": [["tenant", ["acme"]]], "sli": sli,
            "group_by": group_by, "objective": 0.9, "period_s": 2_592_000, "layer": "", "runbook": ""})
    };
    let bench = bench_with(
        1_000,
        json!([
            objective(
                "fast",
                json!({"kind": "latency", "measure": "ttft", "below": 1.2}),
                json!(["model"])
            ),
            objective("works", json!({"kind": "errors"}), json!([])),
        ]),
    );
    let ttfts = [Some(1.199), Some(1.2), Some(1.201), None];
    let spans: Vec<Span> = ttfts
        .into_iter()
        .map(|ttft| Span { ttft, failed: ttft.is_none(), ends_s: -5.0, ..Span::default() })
        .chain([Span { model: "other", ..Span::default() }])
        .collect();
    let _ = send(&bench, &spans);
    let slos = parse(&bench.engine.slos().expect("open"));
    let row = |name: &str, group: Json| {
        let list = slos.as_array().expect("a list");
        list.iter().find(|s| s["name"] == name && s["group"] == group).expect("exists").clone()
    };
    let fast = row("fast", json!({"model": "m"}));
    assert_eq!((&json!(1), &json!(2)), (&fast["good"], &fast["bad"]));
    let burn = fast["burn"]["1h"].as_f64().expect("has events");
    assert!((burn - 2.0 / 3.0 / 0.1).abs() < 1e-9, "{burn}");
    assert_eq!(json!("exhausted"), fast["budget"]);
    let other = row("fast", json!({"model": "other"}));
    assert_eq!((&json!(1), &json!(0)), (&other["good"], &other["bad"]));
    let works = row("works", json!({}));
    assert_eq!((&json!(4), &json!(1)), (&works["good"], &works["bad"]));
}

/// Unknown names and impossible windows are refused with what there is.
#[test]
fn wrong_questions_get_the_choices() {
    let bench = bench();
    let ask = |change: fn(&mut Json)| {
        let mut asked = json!({"measure": "ttft", "q": [0.5], "by": [], "where": [],
            "window_s": 300, "end_ns": null, "view": null});
        change(&mut asked);
        bench.engine.query(&asked.to_string()).expect_err("refused").to_string()
    };
    assert!(ask(|q| q["measure"] = json!("tftt")).contains("duration, ttft, tpot"));
    assert!(ask(|q| q["by"] = json!(["modle"])).contains("model"));
    assert!(ask(|q| q["by"] = json!(["region"])).contains("requests with"));
    assert!(ask(|q| q["window_s"] = json!(14)).contains("nearest is 10"));
    assert!(ask(|q| q["q"] = json!([1.5])).contains("between 0 and 1"));
    assert!(ask(|q| q["view"] = json!("nope")).contains("requests"));
}

/// A closed engine refuses every call and frees its folder.
#[test]
fn closed_means_closed() {
    let bench = bench();
    let taken = Engine::open(&config(&bench.folder, 10, json!([])), bench.clock.clone());
    assert!(matches!(taken.map(|_| ()), Err(Error::FolderInUse(_))));
    bench.engine.close();
    assert!(matches!(bench.engine.ingest_traces(b"", Sender::default()), Err(Error::Closed)));
    assert!(matches!(bench.engine.tick(), Err(Error::Closed)));
    let next = Engine::open(&config(&bench.folder, 10, json!([])), bench.clock.clone());
    next.expect("the folder is free").close();
}

/// Many threads sending at once, each request by all of them, lose and double nothing, while the
/// clock ticks.
#[test]
fn threads_lose_nothing() {
    let bench = bench();
    let body = |_| {
        let span = |i| Span { ends_s: -f64::from(i) / 20.0, ..Span::default() }.encode();
        request(&(0..100).map(span).collect::<Vec<_>>())
    };
    let bodies: Vec<Vec<u8>> = (0..50).map(body).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let _ = scope.spawn(|| {
                for body in &bodies {
                    let answer = bench.engine.ingest_traces(body, Sender::default());
                    assert!(answer.expect("valid OTLP").is_empty());
                }
            });
        }
        for _ in 0..50 {
            bench.engine.tick().expect("open");
        }
    });
    let shown = ledger(&bench);
    assert_eq!((&json!(5_000), &json!(15_000)), (&shown["counted"], &shown["duplicate"]));
    assert_eq!(json!(true), shown["balanced"]);
    assert_eq!(json!(5_000), query(&bench, "ttft", &[], 300)["series"][0]["count"]);
}

/// A scope after its spans is valid protobuf and changes nothing.
#[test]
fn scope_may_follow_its_spans() {
    let bench = bench();
    let mut scope_spans = Vec::new();
    field(2, &Span::default().encode(), &mut scope_spans);
    field(1, b"\x0a\x04late", &mut scope_spans);
    field(2, &Span::default().encode(), &mut scope_spans);
    let mut resource_spans = Vec::new();
    field(2, &scope_spans, &mut resource_spans);
    let mut body = Vec::new();
    field(1, &resource_spans, &mut body);
    assert!(bench.engine.ingest_traces(&body, Sender::default()).expect("valid OTLP").is_empty());
    assert_eq!(json!(2), ledger(&bench)["counted"]);
}
