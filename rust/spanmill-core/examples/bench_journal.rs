//! The `journal` bench: records of the journal, written and read back, on one thread.
//!
//! `bench_journal [--trials N] [--seconds S] FILE...` reads files that each hold one
//! `ExportTraceServiceRequest`, and prints one JSON line a trial: bytes an event, and the
//! nanoseconds that writing and reading one takes.

use std::io::Write;
use std::time::{Duration, Instant};

use spanmill_core::RecordTrial;
use spanmill_core::config::Config;

const CONFIG: &str = r#"{
    "data_dir": "unused", "durability": "off",
    "window": {"lateness_s": 60, "future_skew_s": 86400, "idle_s": 30},
    "views": [{"name": "requests", "where": [],
        "dimensions": ["service", "model", "region", "tenant"],
        "measures": ["duration", "ttft", "tpot", "queue_time", "input_tokens", "output_tokens"],
        "distinct": [], "top": []}],
    "objectives": [
        {"name": "fast", "description": "", "sli": {"kind": "latency", "measure": "ttft", "below": 1.2},
            "where": [], "group_by": ["model"], "objective": 0.99, "period_s": 2592000,
            "layer": "", "runbook": ""},
        {"name": "good", "description": "", "sli": {"kind": "errors"}, "where": [],
            "group_by": ["tenant"], "objective": 0.999, "period_s": 2592000,
            "layer": "", "runbook": ""}],
    "limits": {"series": 100000, "tenant_series": 25000, "groups": 1000,
        "dimension_values": 100000, "companion_bytes": 268435456, "memory": 2147483648,
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

/// Each request's record is written and read until its share of the time is over.
fn trial(requests: &[Vec<u8>], length: Duration) -> Result<(), Failure> {
    let mut records = RecordTrial::new(&Config::from_json(CONFIG)?)?;
    let share = length / requests.len() as u32;
    let (mut events, mut bytes) = (0, 0);
    let (mut writing, mut reading) = (Duration::ZERO, Duration::ZERO);
    for request in requests {
        let in_request = records.take(request)?;
        let start = Instant::now();
        while start.elapsed() < share {
            let begin = Instant::now();
            bytes += records.encode();
            let written = Instant::now();
            let read = records.decode()?;
            writing += written - begin;
            reading += written.elapsed();
            events += read;
            if read != in_request {
                return Err("a record lost events".into());
            }
        }
    }
    let each = |whole: f64| whole / events as f64;
    let line = serde_json::json!({
        "events": events,
        "bytes_per_event": each(bytes as f64),
        "write_ns_per_event": each(writing.as_nanos() as f64),
        "read_ns_per_event": each(reading.as_nanos() as f64),
    });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
