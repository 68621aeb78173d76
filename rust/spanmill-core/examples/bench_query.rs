//! The `query` bench: seven quantiles over many series while another thread ingests.
//!
//! `bench_query [--seconds S] [--series N] [--rate QUERIES_A_SECOND]` fills five
//! minutes of sealed buckets in simulated time, then asks for them at a steady rate,
//! narrowed to few, some and all series, beside a thread that ingests at full speed
//! in the newest minute. JSON lines: the ingest rate alone, then for each size the
//! centroids merged, p50 and p99 of the query, and the ingest rate beside it. Last, what a
//! question costs that meets nothing sealed: a thousand series by ten tenants, from seconds
//! after the start to a bucket of many values each.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rig::{Rig, SECOND_NS, Span, parse, request};
use serde_json::json;
use spanmill_core::Sender;
use spanmill_core::clock::Clock;
use spanmill_core::digest::OpenDigest;

#[path = "../tests/rig/mod.rs"]
mod rig;

type Failure = Box<dyn std::error::Error>;

const START_S: i64 = 1_795_219_200;
/// Sealed buckets of 10 s that a question reads, and the open ones behind the watermark.
const SEALED: i64 = 30;
const OPEN: i64 = 7;
/// Values of one series in one bucket: enough for as many centroids as a digest keeps.
const VALUES: u64 = 2_000;
const SPANS_A_REQUEST: usize = 4_096;
/// Spans after which simulated time moves on by a second.
const SPANS_A_SECOND: u64 = 1_000_000;
/// Series of the questions that meet open buckets alone, by so many tenants, and the values
/// of each: as they came, as keys, and as a histogram.
const EDGE_SERIES: u64 = 1_000;
const EDGE_TENANTS: u64 = 10;
const EDGE_VALUES: [u64; 4] = [150, 700, 2_000, 6_000];
const EDGE_QUERIES: f64 = 50.0;
const EDGE_QUERIES_A_SECOND: f64 = 50.0;
const RANKS: [f64; 7] = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999];

fn main() -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        return Err("a debug build says nothing about speed: use --release".into());
    }
    let (mut seconds, mut series, mut rate) = (5.0, 100, 20.0);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or(format!("{argument} needs a number"))?;
        match argument.as_str() {
            "--seconds" => seconds = value.parse()?,
            "--series" => series = value.parse()?,
            "--rate" => rate = value.parse()?,
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let models: Vec<String> = (0..series).map(|at| format!("model-{at}")).collect();
    let rig = filled(&models)?;
    let length = Duration::from_secs_f64(seconds);
    say(&json!({"ingest_alone_spans_a_second": beside(&rig, &models, || {
        std::thread::sleep(length);
        Ok(())
    })?.1}))?;
    for share in [60, 10, 1] {
        let asked = &models[..(models.len() / share).max(1)];
        let question = question(asked);
        let ((mut took, cpu), ingested) =
            beside(&rig, &models, || ask(&rig, &question, length, rate))?;
        took.sort_unstable();
        let at = |q: f64| took[((took.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3;
        say(&json!({
            "series": asked.len(), "centroids": asked.len() as u64 * SEALED as u64 * centroids(),
            "queries": took.len(), "p50_ms": at(0.5), "p99_ms": at(0.99),
            "mean_cpu_ms": cpu.map(|cpu| cpu.as_secs_f64() * 1e3 / took.len() as f64),
            "ingest_beside_spans_a_second": ingested,
        }))?;
    }
    EDGE_VALUES.into_iter().try_for_each(ask_edge)
}

/// What asking for nothing but open buckets costs, each of so many values.
fn ask_edge(values: u64) -> Result<(), Failure> {
    let rig = Rig::new(START_S + 10);
    let models: Vec<String> = (0..EDGE_SERIES / EDGE_TENANTS).map(|at| format!("m-{at}")).collect();
    for tenant in 0..EDGE_TENANTS {
        let span = |number: u64| Span {
            end_ns: START_S * SECOND_NS,
            model: &models[number as usize % models.len()],
            ttft_s: ttft_s(number * EDGE_TENANTS + tenant),
            output_tokens: 100,
        };
        let events = values * models.len() as u64;
        for first in (0..events).step_by(SPANS_A_REQUEST) {
            let spans: Vec<Span<'_>> =
                (first..(first + SPANS_A_REQUEST as u64).min(events)).map(span).collect();
            rig.send(&format!("tenant-{tenant}"), &spans);
        }
    }
    let question = json!({"measure": "ttft", "q": RANKS, "by": ["tenant"], "where": [],
        "window_s": 300, "end_ns": null, "view": null});
    let question = question.to_string();
    let length = Duration::from_secs_f64(EDGE_QUERIES / EDGE_QUERIES_A_SECOND);
    let (mut took, cpu) = std::thread::scope(|scope| {
        let work = || {
            ask(&rig, &question, length, EDGE_QUERIES_A_SECOND).map_err(|error| error.to_string())
        };
        let asker = named(&format!("edge-{values}")).spawn_scoped(scope, work)?;
        Ok::<_, Failure>(asker.join().map_err(|_| "the asking thread panicked")??)
    })?;
    took.sort_unstable();
    say(&json!({
        "open_series": EDGE_SERIES, "values_a_series": values, "queries": took.len(),
        "p50_ms": took[took.len() / 2].as_secs_f64() * 1e3,
        "mean_cpu_ms": cpu.map(|cpu| cpu.as_secs_f64() * 1e3 / took.len() as f64),
    }))
}

fn say(line: &serde_json::Value) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// A number in [0, 1) that has no pattern anybody would see.
fn spread(number: u64) -> f64 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1u64 << 53) as f64
}

fn ttft_s(number: u64) -> f64 {
    0.1 / (1.0 - spread(number)).sqrt()
}

/// Centroids of one sealed bucket of one series.
fn centroids() -> u64 {
    let values: Vec<f64> = (0..VALUES).map(ttft_s).collect();
    let mut open = OpenDigest::default();
    open.add_all(&values);
    open.seal().centroids().count() as u64
}

/// An engine with its buckets sealed, but for the newest.
fn filled(models: &[String]) -> Result<Rig, Failure> {
    let rig = Rig::new(START_S);
    for bucket in 0..SEALED + OPEN {
        let start_s = START_S + bucket * 10;
        rig.clock.set((start_s + 10) * SECOND_NS);
        let events = models.len() as u64 * VALUES;
        let span = |number: u64| Span {
            end_ns: start_s * SECOND_NS + (number * 10 * SECOND_NS as u64 / events) as i64,
            model: &models[number as usize % models.len()],
            ttft_s: ttft_s(number),
            output_tokens: 100,
        };
        for first in (0..events).step_by(SPANS_A_REQUEST) {
            let spans: Vec<Span<'_>> =
                (first..(first + SPANS_A_REQUEST as u64).min(events)).map(span).collect();
            rig.send("acme", &spans);
        }
        rig.engine.tick()?;
    }
    Ok(rig)
}

/// Seven quantiles of all series asked for, over the whole of what is filled.
fn question(models: &[String]) -> String {
    json!({"measure": "ttft", "q": RANKS, "by": [], "where": [["model", models]],
        "window_s": (SEALED + OPEN - 1) * 10, "end_ns": null, "view": null})
    .to_string()
}

/// CPU time of this thread so far, where the system tells: free of who else wants the cores.
fn cpu_time() -> Option<Duration> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(told.split(' ').next()?.parse().ok()?))
}

/// Ask at a steady rate: how long each answer took, and the CPU time of all.
fn ask(
    rig: &Rig,
    question: &str,
    length: Duration,
    rate: f64,
) -> Result<(Vec<Duration>, Option<Duration>), Failure> {
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut took = Vec::new();
    while start.elapsed() < length {
        let intended = Duration::from_secs_f64(took.len() as f64 / rate);
        std::thread::sleep(intended.saturating_sub(start.elapsed()));
        let asked = Instant::now();
        let answer = rig.engine.query(question)?;
        took.push(asked.elapsed());
        if parse(&answer)["series"] == json!([]) {
            return Err("an answer without a series: nothing was merged".into());
        }
    }
    Ok((took, cpu_time().zip(cpu).map(|(after, before)| after - before)))
}

/// A thread that a profiler tells apart.
fn named(name: &str) -> std::thread::Builder {
    std::thread::Builder::new().name(name.to_owned())
}

/// Run `work` beside a thread that ingests at full speed; its result, and spans a second.
fn beside<T: Send>(
    rig: &Rig,
    models: &[String],
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<(T, u64), Failure> {
    let (stop, ingested) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let feeder = named("feeder").spawn_scoped(scope, || feed(rig, models, &stop, &ingested))?;
        let start = Instant::now();
        let asker = named("asker").spawn_scoped(scope, || work().map_err(|it| it.to_string()))?;
        let done = asker.join().map_err(|_| "the asking thread panicked")?;
        let rate = ingested.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        feeder.join().map_err(|_| "the ingesting thread panicked")?;
        Ok((done?, rate as u64))
    })
}

fn feed(rig: &Rig, models: &[String], stop: &AtomicBool, ingested: &AtomicU64) {
    let mut now_ns = rig.clock.now_ns();
    // Written once: encoding would take as long as ingesting.
    let mut requests: Vec<Moving> =
        (0..16).map(|number| Moving::new(number, models, now_ns)).collect();
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let place = turn as usize % requests.len();
        requests[place].move_to(now_ns);
        let answer = rig
            .engine
            .ingest_traces(&requests[place].bytes, Sender::default())
            .expect("valid OTLP");
        assert!(answer.is_empty(), "refused some of the spans");
        let spans = ingested.fetch_add(SPANS_A_REQUEST as u64, Ordering::Relaxed);
        if spans / SPANS_A_SECOND != (spans + SPANS_A_REQUEST as u64) / SPANS_A_SECOND {
            now_ns += SECOND_NS;
            rig.clock.set(now_ns);
            rig.engine.tick().expect("open");
        }
    }
}

/// A request whose times can be moved without writing it again.
struct Moving {
    bytes: Vec<u8>,
    /// Where its times stand.
    times: Vec<usize>,
    end_ns: i64,
}

impl Moving {
    fn new(number: u64, models: &[String], end_ns: i64) -> Self {
        let span = |at: u64| Span {
            end_ns,
            model: &models[at as usize % models.len()],
            ttft_s: ttft_s(number * SPANS_A_REQUEST as u64 + at),
            output_tokens: 100,
        };
        let spans: Vec<Span<'_>> = (0..SPANS_A_REQUEST as u64).map(span).collect();
        let bytes = request("acme", &spans);
        // A start or end time: its tag, then eight bytes not far before the end.
        let is_time = |at: &usize| {
            let Some(field) = bytes[*at..].first_chunk::<9>() else { return false };
            let time = i64::from_le_bytes(*field.last_chunk().expect("eight of nine"));
            [7 << 3 | 1, 8 << 3 | 1].contains(&field[0])
                && (end_ns - 3_600 * SECOND_NS..=end_ns).contains(&time)
        };
        let times = (0..bytes.len()).filter(is_time).map(|at| at + 1).collect();
        Self { bytes, times, end_ns }
    }

    fn move_to(&mut self, end_ns: i64) {
        for at in &self.times {
            let time: &mut [u8; 8] =
                self.bytes[*at..].first_chunk_mut().expect("found with eight bytes");
            *time = (i64::from_le_bytes(*time) + end_ns - self.end_ns).to_le_bytes();
        }
        self.end_ns = end_ns;
    }
}
