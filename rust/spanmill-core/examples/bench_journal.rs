//! The `journal` bench: records of the journal by themselves, and a replay of many, on one thread.
//!
//! `bench_journal [--trials N] [--seconds S] [--events E] FILE...` reads files that each hold
//! one `ExportTraceServiceRequest`, and prints one JSON line a trial. An engine writes a journal of
//! E events or more, which another recovers: `spans`, the `bytes` of their records, and the `seconds`
//! of the recovery. Beside it the nanoseconds that writing and reading a record takes, by event:
//! the least of many turns.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use spanmill_core::clock::SystemClock;
use spanmill_core::config::Config;
use spanmill_core::{Engine, RecordTrial, Sender};

const CONFIG: &str = r#"{
    "data_dir": "DIR", "durability": "relaxed",
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
    "retention": {},
    "limits": {"series": 100000, "tenant_series": 25000, "groups": 1000,
        "dimension_values": 100000, "companion_bytes": 268435456, "memory": 2147483648,
        "dedupe_horizon": 900, "disk": 17179869184, "dedupe_entries": 8000000, "producers": 100000,
        "dimension_bytes": 256, "sources": 1000, "request_bytes": 67108864}
}"#;

/// Until a journal without room in hand is asked again.
const PAUSE: Duration = Duration::from_millis(5);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        return Err("a debug build says nothing about speed: use --release".into());
    }
    let (mut trials, mut seconds, mut events) = (5u32, 2.0, 4_000_000);
    let mut requests = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = |name: &str| arguments.next().ok_or(format!("{name} needs a number"));
        match argument.as_str() {
            name @ "--trials" => trials = number(name)?.parse()?,
            name @ "--seconds" => seconds = number(name)?.parse()?,
            name @ "--events" => events = number(name)?.parse()?,
            file => requests.push(std::fs::read(file)?),
        }
    }
    if requests.is_empty() {
        return Err("name at least one file that holds an ExportTraceServiceRequest".into());
    }
    for _ in 0..trials {
        let mut line = records(&requests, seconds)?;
        let per_event = line["bytes_per_event"].as_f64().ok_or("no bytes")?;
        let (spans, took) = replay(&requests, events)?;
        line["spans"] = spans.into();
        line["bytes"] = (per_event * spans as f64).into();
        line["seconds"] = took.into();
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(())
}

fn config(folder: &Path) -> Result<Config, Failure> {
    Ok(Config::from_json(&CONFIG.replace("DIR", &folder.display().to_string()))?)
}

/// Write and read each request's record for its share of the time.
fn records(requests: &[Vec<u8>], seconds: f64) -> Result<serde_json::Value, Failure> {
    let mut records = RecordTrial::new(&config(Path::new("unused"))?)?;
    let share = Duration::from_secs_f64(seconds / requests.len() as f64);
    let (mut events, mut bytes) = (0, 0);
    let (mut writing, mut reading) = (Duration::ZERO, Duration::ZERO);
    for request in requests {
        let in_request = records.take(request)?;
        let (mut written_in, mut read_in, mut written) = (Duration::MAX, Duration::MAX, 0);
        let start = Instant::now();
        while start.elapsed() < share {
            let begin = Instant::now();
            written = records.encode();
            let middle = Instant::now();
            if records.decode()? != in_request {
                return Err("a record lost events".into());
            }
            written_in = written_in.min(middle - begin);
            read_in = read_in.min(middle.elapsed());
        }
        events += in_request;
        bytes += written;
        writing += written_in;
        reading += read_in;
    }
    let each = |whole: f64| whole / events as f64;
    Ok(serde_json::json!({
        "bytes_per_event": each(bytes as f64),
        "write_ns_per_event": each(writing.as_nanos() as f64),
        "read_ns_per_event": each(reading.as_nanos() as f64),
    }))
}

/// Have an engine write a journal, and another recover from it; events and seconds.
fn replay(requests: &[Vec<u8>], events: u64) -> Result<(u64, f64), Failure> {
    let folder = |name: &str| {
        let name = format!("spanmill-bench-{}-{name}", std::process::id());
        std::env::temp_dir().join(name)
    };
    let [wrote, recovers] = [folder("wrote"), folder("recovers")];
    let engine = Engine::open(&config(&wrote)?, Arc::new(SystemClock))?;
    let mut turn = 0;
    while counted(&engine)? < events {
        for request in requests {
            send(&engine, request, &turn.to_string())?;
            turn += 1;
            if turn % 100 == 0 {
                engine.tick()?;
            }
        }
    }
    // A copy: an engine that stops well leaves nothing to replay.
    copy(&wrote.join("journal"), &recovers.join("journal"))?;
    let events = counted(&engine)?;
    engine.close();
    let start = Instant::now();
    let recovered = Engine::open(&config(&recovers)?, Arc::new(SystemClock))?;
    let took = start.elapsed().as_secs_f64();
    if counted(&recovered)? != events {
        return Err("the replay lost events".into());
    }
    recovered.close();
    std::fs::remove_dir_all(wrote)?;
    std::fs::remove_dir_all(recovers)?;
    Ok((events, took))
}

/// The same bytes under another name each time: they would be known again otherwise.
fn send(engine: &Engine, request: &[u8], name: &str) -> Result<(), Failure> {
    let sender = Sender { batch_id: Some(name), ..Sender::default() };
    loop {
        match engine.ingest_traces(request, sender) {
            Ok(_) => return Ok(()),
            // Without a network before it we outrun the thread that keeps room in hand.
            Err(error) if error.retry_after_s().is_some() => std::thread::sleep(PAUSE),
            Err(error) => return Err(error.into()),
        }
    }
}

fn counted(engine: &Engine) -> Result<u64, Failure> {
    let ledger: serde_json::Value = serde_json::from_slice(&engine.ledger()?)?;
    ledger["counted"].as_u64().ok_or_else(|| "the ledger counts nothing".into())
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to)?;
    for file in std::fs::read_dir(from)? {
        let path: PathBuf = file?.path();
        let _ = std::fs::copy(&path, to.join(path.file_name().ok_or("a file without a name")?))?;
    }
    Ok(())
}
