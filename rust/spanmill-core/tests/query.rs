//! Questions through the façade: in steps, as a picture, compared.

mod rig;

use rig::{Rig, SECOND_NS, Span, parse};
use serde_json::{Value as Json, json};
use spanmill_core::error::Error;

/// A multiple of an hour.
const NOW_S: i64 = 1_795_219_200;
const MODELS: [&str; 2] = ["large", "small"];

/// Two models over `seconds` up to now: one request a second each, the larger twice as slow.
///
/// From `slow_s` before now on, `large` takes half as long again.
fn filled(seconds: i64, slow_s: i64) -> Rig {
    let rig = Rig::new(NOW_S - seconds);
    for minute in 0..seconds / 60 {
        let spans: Vec<Span<'_>> = (0..60)
            .flat_map(|second| MODELS.map(|model| (minute * 60 + second, model)))
            .map(|(at, model)| span(at, at >= seconds - slow_s, NOW_S - seconds + at, model))
            .collect();
        rig.clock.set((NOW_S - seconds + minute * 60 + 60) * SECOND_NS);
        rig.send("acme", &spans);
        rig.engine.tick().expect("open");
    }
    rig.clock.set(NOW_S * SECOND_NS - 1);
    rig
}

fn span(number: i64, slow: bool, at_s: i64, model: &str) -> Span<'_> {
    let base = if model == "large" { 0.4 } else { 0.2 };
    let factor = if slow && model == "large" { 1.5 } else { 1.0 };
    // Spread over [0.5, 1.5) of it, in an order without a period of its own.
    let spread = 0.5 + (number * 7_919 % 1_000) as f64 / 1_000.0;
    Span {
        end_ns: at_s * SECOND_NS,
        model,
        ttft_s: base * factor * spread,
        output_tokens: (number % 3) as u64,
    }
}

fn merged(mut base: Json, with: Json) -> String {
    let with = with.as_object().expect("an object").clone();
    base.as_object_mut().expect("an object").extend(with);
    base.to_string()
}

fn query(rig: &Rig, with: Json) -> Result<Json, Error> {
    let base = json!({"measure": "ttft", "q": [0.5, 0.99], "by": [], "where": [],
        "window_s": 600, "end_ns": null, "view": null});
    rig.engine.query(&merged(base, with)).map(|bytes| parse(&bytes))
}

fn range(rig: &Rig, with: Json) -> Result<Json, Error> {
    let base = json!({"measure": "ttft", "q": [0.5, 0.99], "by": [], "where": [], "start_ns": null,
        "window_s": 600, "end_ns": null, "step_s": 60, "view": null});
    rig.engine.query_range(&merged(base, with)).map(|bytes| parse(&bytes))
}

fn heatmap(rig: &Rig, with: Json) -> Result<Json, Error> {
    let base = json!({"measure": "ttft", "by": [], "where": [], "window_s": 600, "end_ns": null,
        "columns": 10, "rows": 12, "view": null});
    rig.engine.heatmap(&merged(base, with)).map(|bytes| parse(&bytes))
}

fn compare(rig: &Rig, with: Json) -> Result<Json, Error> {
    let base = json!({"measure": "ttft", "q": [0.5, 0.9], "by": [], "where": [], "window_s": 600,
        "end_ns": null, "view": null, "against": "before"});
    rig.engine.compare(&merged(base, with)).map(|bytes| parse(&bytes))
}

fn list(value: &Json) -> &[Json] {
    value.as_array().expect("a list")
}

fn sum(list: &[Json], key: &str) -> u64 {
    list.iter().map(|one| one[key].as_u64().expect("a count")).sum()
}

fn numbers(list: &Json) -> Vec<f64> {
    self::list(list).iter().map(|one| one.as_f64().expect("a number")).collect()
}

/// Each slice of a range is what a query over it answers, and together they hold every event once.
#[test]
fn slices_are_queries() {
    let rig = filled(3_600, 0);
    for (window, step) in [(600, 60), (300, 10), (3_600, 300), (3_600, 60)] {
        let answer = range(&rig, json!({"window_s": window, "step_s": step, "by": ["model"]}));
        let answer = answer.expect("valid");
        assert_eq!((&json!(step), &json!("s")), (&answer["step"], &answer["unit"]));
        assert_eq!(2, list(&answer["series"]).len());
        for series in list(&answer["series"]) {
            let points = list(&series["points"]);
            assert_eq!((window / step) as usize, points.len(), "{window} in {step}");
            assert_eq!(window as u64, sum(points, "count"));
            let last = &points[points.len() - 1];
            let whole = query(
                &rig,
                json!({"window_s": step, "where": [["model", [series["dims"]["model"]]]]}),
            );
            let whole = &whole.expect("valid")["series"][0];
            for key in ["count", "sum", "quantiles", "exact", "rank_error", "late"] {
                assert_eq!(whole[key], last[key], "{key} of {window} in {step}");
            }
        }
    }
}

/// Slices have their true edges: a range is widened to whole steps, a look-back keeps its length.
#[test]
fn slices_have_true_edges() {
    let rig = filled(900, 0);
    let start_ns = (NOW_S - 250) * SECOND_NS;
    let answer = range(&rig, json!({"start_ns": start_ns})).expect("valid");
    assert_eq!(json!("2026-11-20T23:55:00Z"), answer["window"]["start"]);
    assert_eq!(json!("2026-11-21T00:00:00Z"), answer["window"]["end"]);
    let points = list(&answer["series"][0]["points"]);
    assert_eq!(json!("2026-11-20T23:55:00Z"), points[0]["start"]);
    assert_eq!(json!("2026-11-20T23:56:00Z"), points[0]["end"]);
    assert_eq!(300 * 2, sum(points, "count"));
    let end_ns = (NOW_S - 30) * SECOND_NS;
    let answer = range(&rig, json!({"window_s": 300, "end_ns": end_ns})).expect("valid");
    assert_eq!(5, list(&answer["series"][0]["points"]).len());
}

/// A slice without an event is absent, and so is a series without one in the range.
#[test]
fn silence_is_absent() {
    let rig = filled(120, 0);
    let answer = range(&rig, json!({"window_s": 600})).expect("valid");
    let points = list(&answer["series"][0]["points"]);
    assert_eq!(2, points.len());
    assert_eq!(json!("2026-11-20T23:58:00Z"), points[0]["start"]);
    let end_ns = (NOW_S - 300) * SECOND_NS;
    let answer = range(&rig, json!({"window_s": 60, "end_ns": end_ns})).expect("valid");
    assert_eq!(json!([]), answer["series"]);
}

/// Without a step an answer takes one that a person would, of at most 60 slices.
#[test]
fn a_step_is_chosen() {
    let rig = filled(600, 0);
    let answer = range(&rig, json!({"step_s": null, "window_s": 300})).expect("valid");
    assert_eq!(json!(10), answer["step"]);
    let answer = range(&rig, json!({"step_s": null, "window_s": 3_600})).expect("valid");
    assert_eq!(json!(60), answer["step"]);
}

/// Fine steps over times of which only coarse buckets are left say which step would do.
#[test]
fn steps_too_fine_are_refused() {
    let rig = filled(3_600, 0);
    let error = range(&rig, json!({"window_s": 3_000, "step_s": 10})).expect_err("too fine");
    assert!(error.to_string().contains("the nearest step is 60 s"), "{error}");
    let error = range(&rig, json!({"step_s": 15})).expect_err("between buckets");
    assert!(error.to_string().contains("not a multiple of 10 s"), "{error}");
    let error = range(&rig, json!({"start_ns": (NOW_S + 60) * SECOND_NS})).expect_err("no range");
    assert!(error.to_string().contains("starts at"), "{error}");
}

/// Groups by any of the dimensions add up to the whole, and conditions narrow them down.
#[test]
fn groups_add_up() {
    let rig = filled(600, 0);
    rig.send("birch", &[span(0, false, NOW_S - 1, "small")]);
    let count = |with: Json| sum(list(&query(&rig, with).expect("valid")["series"]), "count");
    for by in [json!([]), json!(["model"]), json!(["tenant"]), json!(["tenant", "model"])] {
        assert_eq!(1_201, count(json!({"by": by})), "{by}");
        assert_eq!(601, count(json!({"by": by, "where": [["model", ["small"]]]})), "{by}");
        let both = json!([["model", ["small", "large"]], ["tenant", ["birch"]]]);
        assert_eq!(1, count(json!({"by": by, "where": both})), "{by}");
    }
}

/// Rows of a picture add up to their column, columns to the query, and series to the whole.
#[test]
fn pictures_add_up() {
    let rig = filled(3_600, 600);
    for (window, columns) in [(300, 30), (600, 10), (3_600, 60), (3_600, 12)] {
        let asked = json!({"window_s": window, "columns": columns, "by": ["model"]});
        let picture = heatmap(&rig, asked).expect("valid");
        let edges = numbers(&picture["edges"]);
        assert!(edges.windows(2).all(|pair| pair[0] < pair[1]), "{edges:?}");
        assert!(edges[0] <= 0.1 && edges[edges.len() - 1] > 0.89, "{edges:?}");
        let total = list(&picture["columns"]);
        assert!(total.len() <= columns);
        assert_eq!(2 * window, sum(total, "count") as i64, "{window} in {columns}");
        for (at, column) in total.iter().enumerate() {
            assert_eq!(edges.len() - 1, list(&column["counts"]).len());
            assert_eq!(
                column["count"],
                json!(numbers(&column["counts"]).iter().sum::<f64>() as u64)
            );
            let parts = list(&picture["series"]).iter().map(|one| one["columns"][at].clone());
            assert_eq!(column["count"], json!(sum(&parts.collect::<Vec<_>>(), "count")));
        }
    }
}

/// Few values are counted exactly, in the row that holds each; zeros have their own.
#[test]
fn few_values_are_drawn_exactly() {
    let rig = filled(60, 0);
    let asked = json!({"measure": "output_tokens", "window_s": 60, "columns": 1, "rows": 4});
    let picture = heatmap(&rig, asked).expect("valid");
    assert_eq!(json!(false), picture["approximate"]);
    let root = std::f64::consts::SQRT_2;
    assert_eq!(json!([0.0, 1.0, root, 2.0, 2.0 * root]), picture["edges"]);
    assert_eq!(json!([40, 40, 0, 40]), picture["columns"][0]["counts"]);
    assert_eq!(json!([]), picture["series"]);
    let error = heatmap(&rig, json!({"rows": 2})).expect_err("too few rows");
    assert!(error.to_string().contains("2 rows of cells are not between 4 and 200"), "{error}");
}

/// A picture of nothing has no edges, no columns and no series.
#[test]
fn nothing_is_drawn_of_nothing() {
    let rig = Rig::new(NOW_S);
    let picture = heatmap(&rig, json!({"by": ["model"]})).expect("valid");
    for key in ["edges", "columns", "series"] {
        assert_eq!(json!([]), picture[key], "{key}");
    }
}

/// What became slower is clear and by how much lies in the interval; what did not is unclear.
#[test]
fn shifts_between_windows() {
    let rig = filled(1_200, 600);
    let answer = compare(&rig, json!({"by": ["model"]})).expect("valid");
    assert_eq!(json!(0.95), answer["confidence"]);
    assert_eq!(json!("2026-11-20T23:50:00Z"), answer["a"]["window"]["end"]);
    assert_eq!(json!("2026-11-20T23:50:00Z"), answer["b"]["window"]["start"]);
    let rows = list(&answer["series"]);
    let clear = |row: &Json, q: &str| row["quantiles"][q]["clear"].clone();
    for q in ["0.5", "0.9"] {
        assert_eq!((json!(true), json!(false)), (clear(&rows[0], q), clear(&rows[1], q)), "{q}");
        let relative = numbers(&rows[0]["quantiles"][q]["relative"]["interval"]);
        assert!(relative[0] < 0.5 && 0.5 < relative[1], "{relative:?}");
    }
    assert_eq!(
        (json!(600), json!(600)),
        (rows[0]["a"]["count"].clone(), rows[0]["b"]["count"].clone())
    );
    let query = query(&rig, json!({"q": [0.5], "where": [["model", ["large"]]]})).expect("valid");
    assert_eq!(query["series"][0]["quantiles"]["0.5"], rows[0]["quantiles"]["0.5"]["b"]["value"]);
}

/// An earlier window may be named by its distance or its end, and never overlaps the newer one.
#[test]
fn earlier_windows_are_named() {
    let rig = filled(3_600, 0);
    for against in [json!({"offset": 1_800}), json!({"end": (NOW_S - 1_800) * SECOND_NS})] {
        let answer = compare(&rig, json!({"against": against})).expect("valid");
        assert_eq!(json!("2026-11-20T23:30:00Z"), answer["a"]["window"]["end"], "{against}");
    }
    let error = compare(&rig, json!({"against": {"offset": 300}})).expect_err("they overlap");
    assert!(error.to_string().contains("300 s after the newer one starts"), "{error}");
    let error = compare(&rig, json!({"against": {"offset": 15}})).expect_err("between buckets");
    assert!(error.to_string().contains("offset of 15 s"), "{error}");
}

/// Two values of a dimension are compared in one window; rows are told apart by the others.
#[test]
fn shifts_between_values() {
    let rig = filled(600, 0);
    let value = |a: &str, b: &str| json!({"value": {"dimension": "model", "a": a, "b": b}});
    let against = value("small", "large");
    let answer = compare(&rig, json!({"against": against, "by": ["tenant"]})).expect("valid");
    assert_eq!(json!({"model": "small"}), answer["a"]["dims"]);
    assert_eq!(answer["a"]["window"], answer["b"]["window"]);
    let row = &answer["series"][0];
    assert_eq!(json!({"tenant": "acme"}), row["dims"]);
    let median = &row["quantiles"]["0.5"];
    let relative = numbers(&median["relative"]["interval"]);
    assert!(relative[0] < 1.0 && 1.0 < relative[1], "{relative:?}");
    assert_eq!(json!(true), median["clear"]);
    let missing = compare(&rig, json!({"against": value("small", "tiny")})).expect("valid");
    let row = &missing["series"][0];
    assert_eq!((&Json::Null, &Json::Null), (&row["b"], &row["quantiles"]["0.5"]["shift"]));
    assert_eq!(json!(false), row["quantiles"]["0.5"]["clear"]);
}

/// A comparison that cannot be meant is refused with what to change.
#[test]
fn wrong_comparisons_are_refused() {
    let rig = filled(60, 0);
    let value = |a: &str, b: &str| json!({"value": {"dimension": "model", "a": a, "b": b}});
    let refused = |with: Json| compare(&rig, with).expect_err("refused").to_string();
    assert!(refused(json!({"against": value("x", "x")})).contains("name two values"));
    let by = json!({"against": value("x", "y"), "by": ["model"]});
    assert!(refused(by).contains("model is in by"));
    let filtered = json!({"against": value("x", "y"), "where": [["model", ["x"]]]});
    assert!(refused(filtered).contains("model is in where"));
}

/// Times at the very ends of what can be asked are answered or refused, never a panic.
#[test]
fn no_time_is_too_strange() {
    let rig = filled(120, 0);
    let times = [json!(i64::MIN), json!(i64::MAX), json!(0), json!(-1), Json::Null];
    let lengths = [json!(10), json!(1e300), json!(1e18), json!(86_400), json!(0), json!(-10)];
    for end in &times {
        for length in &lengths {
            let asked = json!({"end_ns": end, "window_s": length});
            let _ = query(&rig, asked.clone());
            let _ = heatmap(&rig, asked.clone());
            for against in [json!("before"), json!({"offset": length}), json!({"end": i64::MIN})] {
                let _ = compare(&rig, merge(&asked, json!({"against": against})));
            }
            for start in &times {
                for step in [json!(10), json!(1e300), Json::Null] {
                    let with = merge(&asked, json!({"start_ns": start, "step_s": step}));
                    let _ = range(&rig, with);
                }
            }
        }
    }
}

fn merge(base: &Json, with: Json) -> Json {
    parse(merged(base.clone(), with).as_bytes())
}
