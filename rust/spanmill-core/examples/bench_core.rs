//! The `core` bench: OTLP bytes to six digests in one view, on one thread.
//!
//! `bench_core [--trials N] [--seconds S] FILE...` reads files that each hold one
//! `ExportTraceServiceRequest`, folds them in turn, and prints one JSON line a
//! trial: spans, bytes and seconds. Seal time is part of it: a tick runs every
//! hundredth request.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanmill_core::clock::SystemClock;
use spanmill_core::config::Config;
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
    let (mut trials, mut seconds, mut requests) = (5u32, 2.0, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--trials" => trials = arguments.next().ok_or("--trials needs a number")?.parse()?,
            "--seconds" => seconds = arguments.next().ok_or("--seconds needs a number")?.parse()?,
            file => requests.push(std::fs::read(file)?),
        }
    }
    if requests.is_empty() {
        return Err("name at least one file that holds an ExportTraceServiceRequest".into());
    }
    for _ in 0..trials {
        trial(&requests, Duration::from_secs_f64(seconds))?;
    }
    Ok(())
}

fn trial(requests: &[Vec<u8>], length: Duration) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("spanmill-bench-{}", std::process::id()));
    let config = Config::from_json(&CONFIG.replace("DIR", &folder.display().to_string()))?;
    let engine = Engine::open(&config, Arc::new(SystemClock))?;
    let mut bytes = 0;
    let start = Instant::now();
    let mut turn = 0;
    while start.elapsed() < length {
        for request in requests {
            // The same bytes under another name each time: they would be known again otherwise.
            let name = turn.to_string();
            let sender = Sender { batch_id: Some(&name), ..Sender::default() };
            let response = engine.ingest_traces(request, sender)?;
            if !response.is_empty() {
                return Err("the engine refused some of the spans".into());
            }
            bytes += request.len();
            turn += 1;
            if turn % 100 == 0 {
                engine.tick()?;
            }
        }
    }
    let took = start.elapsed().as_secs_f64();
    let ledger: serde_json::Value = serde_json::from_slice(&engine.ledger()?)?;
    let spans = &ledger["counted"];
    writeln!(std::io::stdout(), "{{\"spans\": {spans}, \"bytes\": {bytes}, \"seconds\": {took}}}")?;
    engine.close();
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
