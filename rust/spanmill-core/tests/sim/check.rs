//! What must hold of an engine, whatever happened to it.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use spanmill_core::{Engine, Lsn};

use super::client::{Client, Counts};

fn parse(bytes: &[u8]) -> Json {
    serde_json::from_slice(bytes).expect("the engine writes JSON")
}

fn number(of: &Json, name: &str) -> u64 {
    of[name].as_u64().unwrap_or(0)
}

/// What it counted of each source, copies aside.
pub fn sources(engine: &Engine) -> Result<BTreeMap<String, Counts>, String> {
    let ledger = parse(&engine.ledger().expect("open"));
    let mut rows = vec![("all".to_owned(), &ledger)];
    let by_source = ledger["by"]["source"].as_object().expect("by source");
    rows.extend(by_source.iter().map(|(name, row)| (name.clone(), row)));
    let by_tenant = ledger["by"]["tenant"].as_object().expect("by tenant");
    let balance = rows.iter().map(|(_, row)| *row).chain(by_tenant.values());
    if let Some(row) = balance.into_iter().find(|row| row["balanced"] != json!(true)) {
        return Err(format!("the ledger is out of balance: {row}"));
    }
    let slos = parse(&engine.slos().expect("open"));
    let verdicts = |name: &str| {
        let mut rows = slos.as_array().into_iter().flatten();
        let row = rows.find(|row| row["name"] == "fast" && row["group"]["service"] == name);
        row.map_or((0, 0), |row| (number(row, "good"), number(row, "bad")))
    };
    let counts = rows.into_iter().skip(1).map(|(name, row)| {
        let rejected = row["rejected"].as_object().expect("reasons").values();
        let (good, bad) = verdicts(&name);
        let counts = Counts {
            received: number(row, "received") - number(row, "duplicate"),
            counted: number(row, "counted"),
            late: number(row, "late"),
            rejected: rejected.filter_map(Json::as_u64).sum(),
            good,
            bad,
        };
        (name, counts)
    });
    Ok(counts.collect())
}

/// Each client's events are counted as often as they should be, and judged as they should be.
pub fn counts(engine: &Engine, clients: &[Client]) -> Result<(), String> {
    let found = sources(engine)?;
    for client in clients {
        let expected = client.expected();
        let counted = found.get(&client.name).copied().unwrap_or_default();
        if expected != counted {
            return Err(format!("{}: expected {expected:?}, found {counted:?}", client.name));
        }
    }
    Ok(())
}

/// What can be asked of percentiles, budgets and totals.
pub fn answers(engine: &Engine) -> Json {
    let mut answers = Vec::new();
    for (measure, by) in [
        ("duration", "service"),
        ("ttft", "model"),
        ("output_tokens", "service"),
        ("ttft", "tenant"),
    ] {
        // As far back as the finest buckets reach in memory: what older ones hold of a window
        // depends on when they were sealed.
        for window_s in [60, 120, 300] {
            let asked = json!({"measure": measure, "q": [0.0, 0.5, 0.9, 0.99, 1.0], "by": [by],
                "where": [], "window_s": window_s, "end_ns": null, "view": null});
            let answer = parse(&engine.query(&asked.to_string()).expect("a good question"));
            answers.push(json!({
                "asked": [measure, by, window_s], "series": answer["series"],
                "window": answer["window"],
            }));
        }
    }
    let mut slos = parse(&engine.slos().expect("open"));
    let rows = slos.as_array_mut().expect("rows");
    rows.sort_by_key(|row| format!("{}{}", row["name"], row["group"]));
    let mut events = parse(&engine.series().expect("open"));
    for view in events["views"].as_array_mut().expect("views") {
        for row in view["series"].as_array_mut().expect("series") {
            // Of its own making.
            row["id"] = Json::Null;
        }
        let rows = view["series"].as_array_mut().expect("series");
        // One that holds nothing is let go of at some time.
        rows.retain(|row| row["count"] != json!(0));
        rows.sort_by_key(|row| row["dims"].to_string());
    }
    json!({ "answers": answers, "slos": slos, "events": events })
}

/// The last record that was decided, durable or not.
pub fn last_record(engine: &Engine) -> Lsn {
    Lsn(number(&parse(&engine.stats().expect("open")), "batches"))
}

/// Where two fingerprints part.
pub fn difference(one: &[u8], other: &[u8]) -> String {
    let at = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let near = |bytes: &[u8]| {
        let from = at.saturating_sub(120);
        String::from_utf8_lossy(&bytes[from.min(bytes.len())..(at + 120).min(bytes.len())])
            .into_owned()
    };
    format!(
        "they part at byte {at} of {} and {}:\n  {}\n  {}",
        one.len(),
        other.len(),
        near(one),
        near(other)
    )
}
