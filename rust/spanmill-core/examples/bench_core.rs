//! The `core` bench: OTLP bytes to six digests in one view, on one thread.
//!
//! `bench_core [--trials N] [--seconds S] [--columns] [--config FILE] FILE...` reads files that each hold one
//! `ExportTraceServiceRequest`, or one `SpanBatch` of a sender of its own, folds them in turn,
//! and prints one JSON line a trial: spans, bytes and seconds. Seal time is part of it: a tick
//! runs every hundredth request. Numbering a `SpanBatch` afresh is not.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanmill_core::clock::SystemClock;
use spanmill_core::config::Config;
use spanmill_core::wire::with_checksum;
use spanmill_core::{Engine, Sender};

const CONFIG: &str = r#"{
    "data_dir": "DIR", "durability": "off",
    "window": {"lateness_s": 60, "future_skew_s": 86400, "idle_s": 30},
    "views": [{"name": "requests", "where": [],
        "dimensions": ["service", "model", "region", "tenant"],
        "measures": ["duration", "ttft", "tpot", "queue_time", "input_tokens", "output_tokens"],
        "distinct": [], "top": []}],
    "objectives": [],
    "retention": {},
    "limits": {"series": 100000, "tenant_series": 25000, "groups": 1000,
        "dimension_values": 100000, "companion_bytes": 268435456, "memory": 2147483648,
        "dedupe_horizon": 900, "disk": 17179869184, "dedupe_entries": 8000000, "producers": 100000,
        "dimension_bytes": 256, "sources": 1000, "request_bytes": 67108864}
}"#;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        return Err("a debug build says nothing about speed: use --release".into());
    }
    let (mut trials, mut seconds, mut columns, mut requests) = (5u32, 2.0, false, Vec::new());
    // `DIR` in it stands for a folder of the trial's own.
    let mut config = CONFIG.to_owned();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--trials" => trials = arguments.next().ok_or("--trials needs a number")?.parse()?,
            "--columns" => columns = true,
            "--config" => {
                config = std::fs::read_to_string(arguments.next().ok_or("--config needs a file")?)?;
            }
            "--seconds" => seconds = arguments.next().ok_or("--seconds needs a number")?.parse()?,
            file => requests.push(std::fs::read(file)?),
        }
    }
    if requests.is_empty() {
        return Err("name at least one file that holds an ExportTraceServiceRequest".into());
    }
    for _ in 0..trials {
        trial(&requests, columns, &config, Duration::from_secs_f64(seconds))?;
    }
    Ok(())
}

/// Tag of the first field of either answer: what was rejected.
const REJECTED: u8 = 0x0a;

/// A `SpanBatch` with a number of its own; of a field that stands twice the last counts.
fn fresh(request: &[u8], number: u64) -> Result<Vec<u8>, Failure> {
    let mut numbered = request.to_vec();
    numbered.push(3 << 3);
    let mut rest = number;
    while rest >= 0x80 {
        numbered.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    numbered.push(rest as u8);
    Ok(with_checksum(&numbered)?)
}

fn trial(
    requests: &[Vec<u8>],
    columns: bool,
    config: &str,
    length: Duration,
) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("spanmill-bench-{}", std::process::id()));
    let config = Config::from_json(&config.replace("DIR", &folder.display().to_string()))?;
    let engine = Engine::open(&config, Arc::new(SystemClock))?;
    let mut bytes = 0;
    let mut turn = 0;
    let mut took = Duration::ZERO;
    while took < length {
        for request in requests {
            turn += 1;
            let numbered = if columns { fresh(request, turn)? } else { Vec::new() };
            let start = Instant::now();
            let response = if columns {
                engine.begin_columns(&numbered)?.response
            } else {
                // The same bytes under another name each time: they would be known again otherwise.
                let name = turn.to_string();
                let sender = Sender { batch_id: Some(&name), ..Sender::default() };
                engine.begin_traces(request, sender)?.response
            };
            if turn.is_multiple_of(100) {
                engine.tick()?;
            }
            took += start.elapsed();
            if response.first() == Some(&REJECTED) {
                return Err("the engine refused some of the spans".into());
            }
            bytes += request.len();
        }
    }
    let took = took.as_secs_f64();
    let ledger: serde_json::Value = serde_json::from_slice(&engine.ledger()?)?;
    let spans = &ledger["counted"];
    writeln!(std::io::stdout(), "{{\"spans\": {spans}, \"bytes\": {bytes}, \"seconds\": {took}}}")?;
    engine.close();
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
