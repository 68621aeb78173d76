//! An engine on a clock that the caller moves, and OTLP bytes to feed it.
// Every test file compiles its own copy and uses a part of it.
#![allow(dead_code)]

pub mod columns;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use serde_json::{Value as Json, json};
use spanmill_core::clock::ManualClock;
use spanmill_core::config::Config;
use spanmill_core::error::Error;
use spanmill_core::window::SealSink;
use spanmill_core::{Engine, Sender};

pub const SECOND_NS: i64 = 1_000_000_000;

/// An engine in a folder of its own, removed with it.
pub struct Rig {
    pub engine: Engine,
    pub clock: Arc<ManualClock>,
    folder: PathBuf,
    config: Config,
}

impl Rig {
    /// With one view, `requests`, by service, model and tenant; the clock stands at `now_s`.
    pub fn new(now_s: i64) -> Self {
        Self::configured(now_s, |_| ())
    }

    /// The same, with a configuration that the caller changes.
    pub fn configured(now_s: i64, change: impl FnOnce(&mut Json)) -> Self {
        Self::with_sink(now_s, change, None)
    }

    /// And with somewhere for sealed buckets to go.
    pub fn with_sink(
        now_s: i64,
        change: impl FnOnce(&mut Json),
        sink: Option<Box<dyn SealSink>>,
    ) -> Self {
        Self::open(now_s, change, sink).expect("a good config and a folder of its own")
    }

    /// Why a configuration that the caller changes is refused.
    pub fn refused(now_s: i64, change: impl FnOnce(&mut Json)) -> Error {
        Self::open(now_s, change, None).map(|_| ()).expect_err("a bad config")
    }

    /// Its data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it was built from.
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    fn open(
        now_s: i64,
        change: impl FnOnce(&mut Json),
        sink: Option<Box<dyn SealSink>>,
    ) -> Result<Self, Error> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("spanmill-rig-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let clock = Arc::new(ManualClock::new(now_s * SECOND_NS));
        let mut config = json!({
            "data_dir": folder, "durability": "off",
            "window": {"lateness_s": 60.0, "future_skew_s": 5.0, "idle_s": 30.0},
            "views": [{"name": "requests", "where": [],
                "dimensions": ["service", "model", "tenant"],
                "measures": ["duration", "ttft", "output_tokens"],
                "distinct": [], "top": []}],
            "objectives": [],
            "retention": {},
            "limits": {"series": 100_000, "tenant_series": 100_000, "groups": 100,
                "dimension_values": 100_000, "companion_bytes": 1 << 26, "dimension_bytes": 256,
                "sources": 100, "request_bytes": 1 << 26, "memory": 1_u64 << 33, "disk": 1_u64 << 40,
                "dedupe_horizon": 900.0, "dedupe_entries": 100_000, "producers": 1_000},
        });
        change(&mut config);
        let config = Config::from_json(&config.to_string()).expect("a valid config");
        let engine = Engine::open_with_sink(&config, clock.clone(), sink)?;
        Ok(Self { engine, clock, folder, config })
    }

    /// Stop, and start again on what is in the folder.
    pub fn restart(&mut self) {
        self.engine.close();
        self.engine = Engine::open(&self.config, self.clock.clone()).expect("recovers");
    }

    /// Ingest spans of one tenant; all of them must be taken.
    pub fn send(&self, tenant: &str, spans: &[Span<'_>]) {
        let answer = self
            .engine
            .ingest_traces(&request(tenant, spans), Sender::default())
            .expect("valid OTLP");
        assert!(answer.is_empty(), "refused some of the spans");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.engine.close();
        // A folder that is already gone is what we want.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What the engine wrote.
pub fn parse(bytes: &[u8]) -> Json {
    serde_json::from_slice(bytes).expect("the engine writes JSON")
}

/// One request to a model, that lasted twice as long as its first token took.
#[derive(Clone, Copy)]
pub struct Span<'a> {
    pub end_ns: i64,
    pub model: &'a str,
    pub ttft_s: f64,
    pub output_tokens: u64,
}

impl Span<'_> {
    fn encode(&self) -> Vec<u8> {
        let start_ns = self.end_ns - (self.ttft_s * 2.0 * SECOND_NS as f64) as i64;
        let attributes = [
            ("gen_ai.request.model", text(self.model)),
            ("gen_ai.response.time_to_first_chunk", double(self.ttft_s)),
            ("gen_ai.usage.output_tokens", int(self.output_tokens)),
        ];
        span_with(start_ns, self.end_ns, &attributes)
    }
}

/// An `ExportTraceServiceRequest` of one tenant's spans.
pub fn request(tenant: &str, spans: &[Span<'_>]) -> Vec<u8> {
    let encoded: Vec<Vec<u8>> = spans.iter().map(Span::encode).collect();
    request_of(&[("service.name", "gateway"), ("spanmill.tenant", tenant)], &encoded)
}

/// A span with these attributes, of text, that lasted a second.
pub fn span_of(end_ns: i64, attributes: &[(&str, &str)]) -> Vec<u8> {
    let encoded: Vec<(&str, Vec<u8>)> =
        attributes.iter().map(|(key, value)| (*key, text(value))).collect();
    span_with(end_ns - SECOND_NS, end_ns, &encoded)
}

/// A span with these encoded attributes.
pub fn span_with(start_ns: i64, end_ns: i64, attributes: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut span = Vec::with_capacity(200);
    field(1, &[7; 16], &mut span);
    // Two requests with the same ids would be one, sent again.
    static SPANS: AtomicU64 = AtomicU64::new(1);
    field(2, &SPANS.fetch_add(1, Ordering::Relaxed).to_le_bytes(), &mut span);
    for (tag, time) in [(7, start_ns), (8, end_ns)] {
        span.push(tag << 3 | 1);
        span.extend_from_slice(&time.to_le_bytes());
    }
    attributes.iter().for_each(|(key, any)| attribute(key, any, 9, &mut span));
    span
}

/// An `ExportTraceServiceRequest` of one resource with these attributes.
pub fn request_of(resource_attributes: &[(&str, &str)], spans: &[Vec<u8>]) -> Vec<u8> {
    let mut resource = Vec::new();
    for (key, value) in resource_attributes {
        attribute(key, &text(value), 1, &mut resource);
    }
    let mut scope_spans = Vec::with_capacity(spans.len() * 200);
    spans.iter().for_each(|span| field(2, span, &mut scope_spans));
    let mut resource_spans = Vec::new();
    field(1, &resource, &mut resource_spans);
    field(2, &scope_spans, &mut resource_spans);
    let mut request = Vec::new();
    field(1, &resource_spans, &mut request);
    request
}

pub fn text(value: &str) -> Vec<u8> {
    let mut any = Vec::new();
    field(1, value.as_bytes(), &mut any);
    any
}

pub fn double(value: f64) -> Vec<u8> {
    let mut any = vec![4 << 3 | 1];
    any.extend_from_slice(&value.to_le_bytes());
    any
}

pub fn int(value: u64) -> Vec<u8> {
    let mut any = vec![3 << 3];
    varint(value, &mut any);
    any
}

pub fn attribute(key: &str, any: &[u8], number: u64, out: &mut Vec<u8>) {
    let mut pair = Vec::new();
    field(1, key.as_bytes(), &mut pair);
    field(2, any, &mut pair);
    field(number, &pair, out);
}

fn field(number: u64, contents: &[u8], out: &mut Vec<u8>) {
    varint(number << 3 | 2, out);
    varint(contents.len() as u64, out);
    out.extend_from_slice(contents);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
