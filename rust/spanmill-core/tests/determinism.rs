//! The same events give the same bits: whatever the threads, the batches and the order of arrival.

mod rig;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use spanmill_core::error::Result;
use spanmill_core::window::{SealSink, SealedBucket};
use spanmill_core::{Engine, Sender};

use crate::rig::{Rig, SECOND_NS, double, int, request_of, span_with, text};

/// Hash of everything sealed from [`traffic`], and of what is answered from it.
///
/// Any build on any machine must find it. It changes with the traffic, and with what
/// digests keep of a bucket, which the changelog then says.
const GOLDEN: u64 = 0xb223_c7c7_1fa2_b946;

const START_S: i64 = 1_795_219_200;

/// Traffic comes in rounds of less than the lateness: within one, any order is in time.
const ROUND_S: i64 = 50;
const ROUNDS: i64 = 9;

/// FNV-1a, so that a hash is the same in every build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hash(u64);

impl Hash {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// Hashes each view's sealed buckets in the order in which they are handed over.
#[derive(Clone, Default)]
struct Hashing(Arc<Mutex<BTreeMap<String, (u64, Hash)>>>);

impl SealSink for Hashing {
    fn sealed(&mut self, bucket: SealedBucket<'_>) -> Result<()> {
        let mut views = self.0.lock().expect("no thread panicked");
        let (buckets, hash) = views.entry(bucket.view.to_owned()).or_insert((0, Hash::new()));
        *buckets += 1;
        hash.add(&bucket.series.to_le_bytes());
        hash.add(&bucket.start_s.to_le_bytes());
        bucket.digests.iter().for_each(|digest| hash.add(digest));
        Ok(())
    }
}

/// A small generator of its own: libraries may change theirs.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 16) % below
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.roll(last as u64 + 1) as usize);
        }
    }
}

/// One event, encoded, with what a test changes of it.
#[derive(Clone)]
struct Event {
    end_ns: i64,
    duration_ns: i64,
    model: String,
    tenant: &'static str,
    /// Seconds; none where absent.
    ttft_s: Option<f64>,
    output_tokens: u64,
}

impl Event {
    fn encode(&self) -> Vec<u8> {
        let mut attributes = vec![
            ("gen_ai.request.model", text(&self.model)),
            ("spanmill.tenant", text(self.tenant)),
            ("gen_ai.usage.output_tokens", int(self.output_tokens)),
        ];
        let ttft = self.ttft_s.map(|s| ("gen_ai.response.time_to_first_chunk", double(s)));
        attributes.extend(ttft);
        span_with(self.end_ns - self.duration_ns, self.end_ns, &attributes)
    }
}

/// One round of events: two busy series, some quiet ones, one that is nearly idle.
fn traffic(round: i64) -> Vec<Event> {
    let mut dice = Dice(round as u64 + 1);
    let mut events = Vec::new();
    let mut add = |dice: &mut Dice, model: String, count: u64| {
        for _ in 0..count {
            let before_ns = dice.roll(49 * SECOND_NS as u64) as i64;
            events.push(Event {
                end_ns: (START_S + round * ROUND_S) * SECOND_NS - before_ns,
                // Heavy-tailed by integers alone: no library rounds it differently.
                duration_ns: (1_000_000 + (1 << dice.roll(33)) + dice.roll(50_000_000)) as i64,
                model: model.clone(),
                tenant: ["acme", "globex", "initech"][dice.roll(3) as usize],
                ttft_s: (dice.roll(10) > 0).then(|| (1 + dice.roll(1 << 20)) as f64 / 262_144.0),
                output_tokens: dice.roll(400),
            });
        }
    };
    // Histograms, keys and raw values, all within ten-second buckets.
    add(&mut dice, "busy".to_owned(), if round == 3 { 40_000 } else { 900 });
    add(&mut dice, "brisk".to_owned(), 3_000);
    for model in 0..12 {
        add(&mut dice, format!("quiet-{model}"), 9);
    }
    if round % 4 == 0 {
        add(&mut dice, "idle".to_owned(), 1);
    }
    events
}

/// How the events are sent.
#[derive(Debug, Clone, Copy)]
struct Sending {
    threads: usize,
    batch: usize,
    /// Seed of the order; 0 sends as generated.
    order: u64,
}

fn two_views(config: &mut Json) {
    let view = |name: &str, dimensions: &[&str], measures: &[&str]| {
        json!({"name": name, "where": [], "dimensions": dimensions, "measures": measures,
            "distinct": [], "top": []})
    };
    config["views"] = json!([
        view(
            "requests",
            &["service", "model", "tenant"],
            &["duration", "ttft", "tpot", "output_tokens"]
        ),
        view("models", &["model"], &["ttft"]),
    ]);
}

/// Send everything, seal everything, and hash what was sealed and what is answered.
fn run(rounds: &[Vec<Event>], sending: Sending) -> (Vec<u64>, Hash) {
    let sink = Hashing::default();
    let rig = Rig::with_sink(START_S, two_views, Some(Box::new(sink.clone())));
    for (round, events) in rounds.iter().enumerate() {
        rig.clock.set((START_S + round as i64 * ROUND_S) * SECOND_NS);
        let mut spans: Vec<Vec<u8>> = events.iter().map(Event::encode).collect();
        if sending.order > 0 {
            Dice(sending.order + round as u64).shuffle(&mut spans);
        }
        send(&rig.engine, &spans, sending);
    }
    // Silence: the watermark moves up to the newest event, and a tick seals what it passed.
    rig.clock.set((START_S + ROUNDS * ROUND_S + 60) * SECOND_NS);
    rig.engine.tick().expect("open");
    let mut hash = Hash::new();
    let mut buckets = Vec::new();
    for (view, (count, sealed)) in sink.0.lock().expect("no thread panicked").iter() {
        hash.add(view.as_bytes());
        hash.add(&sealed.0.to_le_bytes());
        buckets.push(*count);
    }
    for answer in answers(&rig.engine) {
        hash.add(&answer);
    }
    (buckets, hash)
}

/// Send one round's batches from several threads while another seals.
fn send(engine: &Engine, spans: &[Vec<u8>], sending: Sending) {
    let batches: Vec<&[Vec<u8>]> = spans.chunks(sending.batch).collect();
    let next = AtomicUsize::new(0);
    let sent = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sealer = scope.spawn(|| {
            while !sent.load(Ordering::Acquire) {
                engine.tick().expect("open");
                std::thread::yield_now();
            }
        });
        let senders: Vec<_> = (0..sending.threads)
            .map(|_| {
                scope.spawn(|| {
                    while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let body = request_of(&[("service.name", "gateway")], batch);
                        let response =
                            engine.ingest_traces(&body, Sender::default()).expect("valid OTLP");
                        assert!(response.is_empty(), "every event is in time");
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.join().expect("sends");
        }
        sent.store(true, Ordering::Release);
        sealer.join().expect("seals");
    });
}

/// Answers over windows of every tier that this much traffic fills.
fn answers(engine: &Engine) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    for (measure, by) in [("ttft", json!(["model"])), ("duration", json!(["tenant"]))] {
        for window_s in [10, 60, 300, 1_800] {
            let asked = json!({"measure": measure, "q": [0.0, 0.5, 0.9, 0.99, 1.0], "by": by,
                "where": [], "window_s": window_s, "end_ns": null, "view": null});
            answers.push(engine.query(&asked.to_string()).expect("valid query"));
        }
    }
    answers
}

/// Sealed state and every answer from it have one hash over threads, batch splits and orders of
/// arrival, and that hash is the same in any build.
#[test]
fn one_hash_however_it_arrives() {
    let rounds: Vec<Vec<Event>> = (0..ROUNDS).map(traffic).collect();
    let sendings = [
        Sending { threads: 1, batch: 5_000, order: 0 },
        Sending { threads: 2, batch: 512, order: 1 },
        Sending { threads: 8, batch: 61, order: 2 },
        Sending { threads: 16, batch: 1_777, order: 3 },
        Sending { threads: 16, batch: 7, order: 4 },
    ];
    for sending in sendings {
        let (buckets, hash) = run(&rounds, sending);
        assert!(buckets.iter().all(|buckets| *buckets > 500), "{buckets:?}");
        assert_eq!(GOLDEN, hash.0, "{sending:?} gave {:#018x}", hash.0);
    }
}

/// The hash sees a change of one value in one event.
#[test]
fn the_hash_sees_every_value() {
    let mut rounds: Vec<Vec<Event>> = (0..ROUNDS).map(|_| Vec::new()).collect();
    rounds[0] = traffic(0).split_off(900);
    let sending = Sending { threads: 2, batch: 100, order: 0 };
    let (_, before) = run(&rounds, sending);
    rounds[0][5].output_tokens += 1;
    assert_ne!(before, run(&rounds, sending).1);
}
