//! A daemon's state through checkpoints, crashes and restarts, beside one that never stopped.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{Outside, Restart, recover};
use crate::checkpoint::{Checkpointer, Parts, Progress, Report, Sealed, examine, load};
use crate::clock::{ManualClock, SECOND_NS};
use crate::config::Config;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::ingest::{Sender, ingest};
use crate::journal::tests::memory::MemoryDisk;
use crate::journal::{Journal, Lsn, Weakened};
use crate::query;
use crate::retirement::retire;
use crate::state::State;

const NOW_S: i64 = 1_795_219_200;
const FOLDER: &str = "/data";

/// Two views and two objectives, with limits that a few batches reach; but none on series: how
/// one past it gives way, batches remember, and a restart forgets.
fn config() -> Config {
    let view = |name: &str, dimensions: &[&str]| {
        json!({
            "name": name, "where": [], "dimensions": dimensions,
            "measures": ["duration", "ttft"], "distinct": ["tenant"], "top": ["model"],
        })
    };
    let objective = |name: &str, sli: Json, group_by: &[&str]| {
        json!({
            "name": name, "description": "", "sli": sli, "where": [], "group_by": group_by,
            "objective": 0.99, "period_s": 86_400, "layer": "", "runbook": "",
        })
    };
    let latency = json!({"kind": "latency", "measure": "ttft", "below": 1.2});
    let config = json!({
        "data_dir": FOLDER, "durability": "sync",
        "window": {"lateness_s": 60.0, "future_skew_s": 5.0, "idle_s": 30.0},
        "views": [view("requests", &["model", "tenant"]), view("models", &["model"])],
        "objectives": [
            objective("fast", latency, &["model"]),
            objective("answers", json!({"kind": "errors"}), &[]),
        ],
        "retention": {},
        "limits": {
            "series": 1_000, "tenant_series": 1_000, "groups": 3, "dimension_values": 6,
            "dimension_bytes": 64, "sources": 3, "request_bytes": 1 << 20,
            "companion_bytes": 1 << 20, "memory": 1_u64 << 30, "dedupe_horizon": 900.0,
            "disk": 1_u64 << 34, "dedupe_entries": 10_000, "producers": 10,
        },
    });
    Config::from_json(&config.to_string()).expect("a valid configuration")
}

fn field(number: u8, contents: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    assert!(contents.len() < 1 << 14, "two bytes of length");
    out.extend([contents.len() as u8 | 0x80, (contents.len() >> 7) as u8]);
    out.extend_from_slice(contents);
}

fn attribute(key: &str, (kind, value): (u8, &[u8]), number: u8, out: &mut Vec<u8>) {
    let (mut any, mut pair) = (Vec::new(), Vec::new());
    match kind {
        1 => field(1, value, &mut any),
        _ => any.extend([&[4 << 3 | 1], value].concat()),
    }
    field(1, key.as_bytes(), &mut pair);
    field(2, &any, &mut pair);
    field(number, &pair, out);
}

/// One request of one span or several.
#[derive(Debug, Clone, PartialEq)]
struct Batch {
    tenant: u8,
    /// Seconds before now, model, seconds to the first token.
    spans: Vec<(i64, u8, f64)>,
}

impl Batch {
    /// As OTLP, sent at `now_s`; `id` tells its spans from all others.
    fn encode(&self, id: u64, now_s: i64) -> Vec<u8> {
        let [mut resource, mut scope, mut spans, mut request] = [const { Vec::new() }; 4];
        attribute("service.name", (1, b"gateway"), 1, &mut resource);
        let tenant = format!("tenant-{}", self.tenant);
        attribute("spanmill.tenant", (1, tenant.as_bytes()), 1, &mut resource);
        for (number, (age_s, model, ttft_s)) in self.spans.iter().enumerate() {
            let mut span = Vec::new();
            field(1, &[7; 16], &mut span);
            field(2, &(1 + number as u64 + (id << 16)).to_le_bytes(), &mut span);
            let end_ns = (now_s - age_s) * SECOND_NS;
            for (number, time) in [(7, end_ns - 2 * SECOND_NS), (8, end_ns)] {
                span.push(number << 3 | 1);
                span.extend(time.to_le_bytes());
            }
            let (model, ttft) = (format!("model-{model}"), ttft_s.to_le_bytes());
            attribute("gen_ai.request.model", (1, model.as_bytes()), 9, &mut span);
            attribute("gen_ai.response.time_to_first_chunk", (4, &ttft), 9, &mut span);
            field(2, &span, &mut scope);
        }
        field(1, &resource, &mut spans);
        field(2, &scope, &mut spans);
        field(1, &spans, &mut request);
        request
    }
}

/// A daemon without threads, on a disk that forgets.
struct Daemon {
    config: Config,
    outside: Outside,
    clock: Arc<ManualClock>,
    disk: MemoryDisk,
    state: State,
    checkpointer: Checkpointer,
    /// The journal before this is let go of.
    released: Mutex<Lsn>,
}

fn open(config: &Config, outside: &Outside) -> Result<(State, Checkpointer, Vec<String>)> {
    let Restart { state, checkpointer, recovered } = recover(config, outside)?;
    Ok((state, checkpointer.expect("durability is on"), recovered.warnings))
}

impl Daemon {
    fn new(weakened: Weakened) -> Self {
        let (config, clock) = (config(), Arc::new(ManualClock::new(NOW_S * SECOND_NS)));
        let disk = MemoryDisk::default();
        disk.create_dir(Path::new(FOLDER)).expect("there is room");
        let outside = Outside {
            disk: Arc::new(disk.clone()),
            by_hand: true,
            segment_bytes: 16 << 10,
            first_segment_bytes: 4 << 10,
            reserve_bytes: 16 << 10,
            weakened,
            ..Outside::real(clock.clone())
        };
        let (state, checkpointer, _) = open(&config, &outside).expect("an empty folder");
        Self { config, outside, clock, disk, state, checkpointer, released: Mutex::default() }
    }

    fn journal(&self) -> &Journal {
        self.state.journal().expect("durability is on")
    }

    /// Take a request and make it durable.
    fn send(&self, now_s: i64, request: &[u8]) {
        self.clock.set(now_s * SECOND_NS);
        self.journal().prepare().expect("there is room");
        let receipt = ingest(&self.state, request, Sender::default()).expect("valid OTLP");
        self.journal().flush().expect("there is power");
        assert!(self.journal().durable() >= receipt.lsn);
    }

    /// What happens once a second.
    fn tick(&self, now_s: i64) {
        self.clock.set(now_s * SECOND_NS);
        // Each time: when a round of letting go comes, a restart begins to count anew.
        for last_ns in [&self.state.retired_at_ns, &self.state.values_looked_through_ns] {
            last_ns.store(i64::MIN / 2, Ordering::Relaxed);
        }
        let upkeep = self.state.upkeep.lock();
        self.state.seal().expect("there is room");
        retire(&self.state).expect("there is room");
        drop(upkeep);
        self.state.flush_archive().expect("there is room");
        self.journal().prepare().expect("there is room");
        self.journal().flush().expect("there is power");
    }

    /// A checkpoint; `during` comes while it is written.
    fn checkpoint(&self, during: Option<(i64, &[u8])>) -> Result<Report> {
        self.state.flush_archive()?;
        let upkeep = self.state.upkeep.lock();
        let parts = Parts {
            config: &self.config,
            sealed: Sealed::of(&self.state),
            durable: &|_| {
                if let Some((now_s, request)) = during {
                    self.send(now_s, request);
                }
                self.journal().flush()
            },
            release_before: &|lsn| {
                *self.released.lock() = lsn;
                self.journal().release_before(lsn)
            },
        };
        self.checkpointer.write(&self.state, upkeep, &parts, Progress::default())
    }

    /// Lose the power, and start on what is on the disk; what the start has to say.
    fn restart(&mut self, survives: &mut dyn FnMut() -> bool) -> Result<Vec<String>> {
        self.disk = self.disk.crash(survives);
        self.outside.disk = Arc::new(self.disk.clone());
        self.resume(&self.config.clone())
    }

    fn resume(&mut self, config: &Config) -> Result<Vec<String>> {
        let (state, checkpointer, told) = open(config, &self.outside)?;
        (self.config, self.state, self.checkpointer) = (config.clone(), state, checkpointer);
        Ok(told)
    }
}

/// Everything that anyone can see, and ids.
fn shown(state: &State) -> Json {
    let mut answers = Vec::new();
    for (view, by) in [("requests", &["model", "tenant"][..]), ("models", &["model"])] {
        for measure in ["duration", "ttft"] {
            let question = json!({
                "measure": measure, "q": [0.0, 0.5, 0.99], "by": by, "where": [],
                "window_s": 7_200.0, "end_ns": null, "view": view,
            });
            let answer = query::query(state, &question.to_string()).expect("a good question");
            answers.push(serde_json::from_slice::<Json>(&answer).expect("JSON"));
        }
    }
    for (dimension, ask) in
        [("tenant", query::distinct as fn(&State, &str) -> _), ("model", query::top)]
    {
        let question = json!({
            "dimension": dimension, "by": ["model"], "where": [], "window_s": 3_600.0,
            "end_ns": null, "view": null, "k": 10,
        });
        let answer: Vec<u8> = ask(state, &question.to_string()).expect("a good question");
        answers.push(serde_json::from_slice::<Json>(&answer).expect("JSON"));
    }
    let stats = query::stats(state);
    let time = state.sequence.event_time();
    let dedupe = state.sequence.dedupe_stats(NOW_S * SECOND_NS);
    let ids: Vec<Vec<(u32, u64, Vec<u32>)>> = state
        .plan
        .groupings()
        .map(|grouping| {
            let identities = grouping.identities.read();
            let live = identities.live();
            live.map(|(id, tuple)| (id, identities.serial(id), tuple.to_vec())).collect()
        })
        .collect();
    json!({
        "answers": answers, "slos": query::slos(state), "series": query::series(state),
        "measures": query::measures(state), "ledger": state.ledger.to_json(&state.values),
        "overflow": [
            &stats["overflow"], &stats["overflow_tenants"], &stats["slo_overflow"], &stats["series"],
        ],
        "time": format!("{time:?}"), "seen": [dedupe.entries, dedupe.producers], "ids": ids,
    })
}

/// Where two of them first differ, and what each says there.
fn difference(a: &Json, b: &Json) -> Option<String> {
    let within = |key: &str, found: Option<String>| found.map(|found| format!("{key}/{found}"));
    match (a, b) {
        (Json::Object(a), Json::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(key, value)| within(key, difference(value, &b[key])))
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs.into_iter().find_map(|(at, (a, b))| within(&at.to_string(), difference(a, b)))
        }
        _ => (a != b).then(|| format!(": {a} and {b}")),
    }
}

/// What happens to a daemon.
#[derive(Debug, Clone)]
enum Step {
    Send(Batch),
    /// The last but so many is sent again.
    Again(usize),
    Checkpoint(Option<Batch>),
    /// So many seconds pass, and what is due is sealed.
    Tick(i64),
    /// A checkpoint while the disk has room for so much more only.
    Full(usize),
    /// The power goes after so many changes to the disk by a checkpoint.
    Crash(u64),
    Restart,
}

fn batches() -> impl Strategy<Value = Batch> {
    let age = prop_oneof![8 => 0i64..40, 1 => 100i64..7_000, 1 => 700_000i64..800_000];
    let span = (age, 0u8..9, prop_oneof![Just(0.5), 0.01f64..3.0]);
    (0u8..5, prop::collection::vec(span, 1..12)).prop_map(|(tenant, spans)| Batch { tenant, spans })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => batches().prop_map(Step::Send),
        1 => (0usize..8).prop_map(Step::Again),
        3 => prop::option::of(batches()).prop_map(Step::Checkpoint),
        3 => prop_oneof![5i64..100, 3_000i64..9_000].prop_map(Step::Tick),
        1 => (0usize..20_000).prop_map(Step::Full),
        2 => (0u64..60).prop_map(Step::Crash),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..30)
}

/// Two daemons that see the same, of which one is never stopped.
struct Pair {
    plain: Daemon,
    tried: Daemon,
    sent: Vec<(i64, Vec<u8>)>,
    now_s: i64,
    seed: u64,
}

impl Pair {
    fn new() -> Self {
        let [plain, tried] = [Weakened::default(); 2].map(Daemon::new);
        Self { plain, tried, sent: Vec::new(), now_s: NOW_S, seed: 1 }
    }

    fn encode(&mut self, batch: &Batch) -> Vec<u8> {
        self.now_s += 3;
        let request = batch.encode(self.sent.len() as u64, self.now_s);
        self.sent.push((self.now_s, request.clone()));
        request
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send(batch) => {
                let request = self.encode(&batch);
                self.plain.send(self.now_s, &request);
                self.tried.send(self.now_s, &request);
            }
            Step::Again(back) => {
                let again = self.sent.len().checked_sub(back + 1);
                if let Some((_, request)) = again.map(|at| &self.sent[at]) {
                    self.plain.send(self.now_s, request);
                    self.tried.send(self.now_s, request);
                }
            }
            Step::Checkpoint(during) => {
                let during = during.map(|batch| self.encode(&batch));
                if let Some(request) = &during {
                    self.plain.send(self.now_s, request);
                }
                let during = during.as_deref().map(|request| (self.now_s, request));
                let report = self.tried.checkpoint(during).expect("there is room");
                if let Some((now_s, request)) = during.filter(|_| report.bytes == 0) {
                    // There was nothing to write.
                    self.tried.send(now_s, request);
                }
            }
            Step::Tick(seconds) => {
                self.now_s += seconds;
                self.plain.tick(self.now_s);
                self.tried.tick(self.now_s);
            }
            Step::Full(bytes) => {
                self.tried.disk.set_space(Some(self.tried.disk.used() + bytes));
                let _ = self.tried.checkpoint(None);
                self.tried.disk.set_space(None);
            }
            Step::Crash(changes) => {
                self.tried.disk.die_after(changes);
                let _ = self.tried.checkpoint(None);
                self.restart();
            }
            Step::Restart => self.restart(),
        }
    }

    fn restart(&mut self) {
        let seed = &mut self.seed;
        let mut survives = || {
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *seed >> 40 & 1 == 1
        };
        let told = self.tried.restart(&mut survives).expect("recovers");
        assert_eq!(Vec::<String>::new(), told);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Through checkpoints, full disks, crashes anywhere in them and restarts, nobody sees a
    /// difference: answers, budgets, the ledger, what was seen before, ids.
    #[test]
    fn a_restart_is_not_seen(steps in steps()) {
        let mut pair = Pair::new();
        for step in steps.into_iter().chain([Step::Restart]) {
            pair.step(step);
            let [plain, tried] = [&pair.plain, &pair.tried].map(|daemon| shown(&daemon.state));
            prop_assert_eq!(None, difference(&plain, &tried));
        }
    }
}

fn batch(seed: u8) -> Batch {
    let spans = (0..8).map(|at| (i64::from(at) * 7, (seed + at) % 7, 0.3 * f64::from(at)));
    Batch { tenant: seed % 5, spans: spans.collect() }
}

/// A daemon with some events, two checkpoints, and events since.
fn filled(weakened: Weakened) -> Daemon {
    filled_with(3, weakened)
}

/// The same, with so many requests before the first checkpoint, the second, and after.
fn filled_with(requests: u64, weakened: Weakened) -> Daemon {
    let daemon = Daemon::new(weakened);
    for id in 0..3 * requests {
        let now_s = NOW_S + id as i64;
        daemon.send(now_s, &batch(id as u8).encode(id, now_s));
        if id % requests == requests - 1 && id < 2 * requests {
            let _ = daemon.checkpoint(None).expect("there is room");
        }
    }
    daemon
}

/// A damaged newest checkpoint, whichever of its files it is, is told and costs nothing.
#[test]
fn an_older_checkpoint_stands_in() {
    let daemon = filled(Weakened::default());
    let wanted = shown(&daemon.state);
    let examined = examine(&daemon.disk, Path::new(FOLDER)).expect("readable");
    assert_eq!((2, 0), (examined.checkpoints.len(), examined.unneeded.len()));
    let newest = &examined.checkpoints[1];
    for name in ["checkpoint", "edge", "counters", "dedupe"] {
        let mut damaged = filled(Weakened::default());
        let file = format!("{FOLDER}/{name}/{:020}.", newest.lsn.0);
        let path = damaged.disk.paths().into_iter().find(|path| path.starts_with(&file));
        let path = path.expect("one of the newest checkpoint");
        damaged.disk.change(Path::new(&path), 30, |byte| byte ^ 4);
        let told = damaged.restart(&mut || true).expect("recovers");
        assert_eq!(1, told.len(), "{told:?}");
        assert!(told[0].contains(name) && told[0].contains("older"), "{}", told[0]);
        assert_eq!(None, difference(&wanted, &shown(&damaged.state)), "{name}");
        let _ = damaged.checkpoint(None).expect("there is room");
        assert_eq!(Vec::<String>::new(), damaged.restart(&mut || true).expect("recovers"));
        assert_eq!(None, difference(&wanted, &shown(&damaged.state)), "{name}, after another");
    }
}

/// A checkpoint that fails, wherever it does, takes nothing that the next one builds on.
#[test]
fn a_failed_checkpoint_costs_nothing() {
    let mut failed = 0;
    for bytes in (0..16_000).step_by(400) {
        let mut daemon = filled(Weakened::default());
        daemon.disk.set_space(Some(daemon.disk.used() + bytes));
        failed += usize::from(daemon.checkpoint(None).is_err());
        daemon.disk.set_space(None);
        daemon.send(NOW_S + 60, &batch(3).encode(60, NOW_S + 60));
        let _ = daemon.checkpoint(None).expect("there is room");
        let wanted = shown(&daemon.state);
        assert_eq!(Vec::<String>::new(), daemon.restart(&mut || true).expect("recovers"));
        assert_eq!(None, difference(&wanted, &shown(&daemon.state)), "{bytes} B");
    }
    assert!((5..40).contains(&failed), "{failed} of 40 failed");
}

/// Where no checkpoint reads the start is refused, with each of them and what to do.
#[test]
fn damage_beyond_repair_is_refused() {
    let mut daemon = filled(Weakened::default());
    for path in daemon.disk.paths() {
        if path.contains("/checkpoint/") {
            daemon.disk.change(Path::new(&path), 30, |byte| byte ^ 4);
        }
    }
    let examined = examine(&daemon.disk, Path::new(FOLDER)).expect("readable");
    assert!(examined.is_lost());
    let error = daemon.restart(&mut || true).expect_err("nothing reads");
    assert!(matches!(error, Error::NoCheckpoint { .. }), "{error}");
    let text = error.to_string();
    assert_eq!(2, text.matches(".ckpt").count(), "{text}");
    assert!(text.contains("spanmill doctor"), "{text}");
}

/// A folder of another layout is refused with the way forward, not replaced by an older checkpoint.
#[test]
fn another_layout_is_refused() {
    let mut daemon = filled(Weakened::default());
    let paths = daemon.disk.paths();
    let newest = paths.iter().rfind(|path| path.contains("/checkpoint/")).expect("there");
    let head = daemon.disk.bytes(Path::new(newest));
    let mut other = head[..16].to_vec();
    other[12] += 1;
    let checksum = crc32c::crc32c(&other).to_le_bytes();
    for (at, byte) in other.into_iter().chain(checksum).enumerate() {
        daemon.disk.change(Path::new(newest), at, |_| byte);
    }
    let error = daemon.restart(&mut || true).expect_err("another layout");
    assert!(matches!(error, Error::Layout { .. }), "{error}");
}

/// Only what two checkpoints need is kept, and the journal since the older one.
#[test]
fn two_checkpoints_are_kept() {
    let daemon = filled(Weakened::default());
    for id in 20..40 {
        daemon.send(NOW_S + id, &batch(id as u8).encode(id as u64, NOW_S + id));
        let report = daemon.checkpoint(None).expect("there is room");
        let examined = examine(&daemon.disk, Path::new(FOLDER)).expect("readable");
        let [older, newest] = &examined.checkpoints[..] else { panic!("{examined:?}") };
        assert_eq!((report.lsn, report.files), (newest.lsn, newest.files + 1));
        assert_eq!((Vec::<String>::new(), &None), (examined.unneeded, &older.damage));
        assert_eq!(older.lsn.next(), *daemon.released.lock());
    }
    let files = daemon.disk.paths().len();
    assert!(files <= 40, "{files} files");
}

/// Whatever happens in between, letting go of files before the new checkpoint is durable loses
/// everything in some crash; and in none as it should be done.
#[test]
fn unlinking_first_is_seen() {
    let lost = |unlink_first: bool| {
        let weakened = Weakened { unlink_first, ..Weakened::default() };
        (0..80).filter(move |changes| {
            // Enough that segments of the journal are let go of.
            let mut daemon = filled_with(30, weakened);
            let wanted = shown(&daemon.state);
            daemon.disk.die_after(*changes);
            let _ = daemon.checkpoint(None);
            let recovered = daemon.restart(&mut || true);
            recovered.is_err() || wanted != shown(&daemon.state)
        })
    };
    assert_eq!(0, lost(false).count());
    assert!(lost(true).next().is_some());
}

/// Leaving out what was seen before counts a copy twice after a restart.
#[test]
fn forgetting_copies_is_seen() {
    for forget_dedupe in [false, true] {
        let mut daemon = filled(Weakened { forget_dedupe, ..Weakened::default() });
        let _ = daemon.checkpoint(None).expect("there is room");
        let told = daemon.restart(&mut || true).expect("recovers");
        assert_eq!(Vec::<String>::new(), told);
        let before = daemon.state.ledger.to_json(&daemon.state.values);
        daemon.send(NOW_S + 9, &batch(0).encode(0, NOW_S));
        let after = daemon.state.ledger.to_json(&daemon.state.values);
        assert_eq!(forget_dedupe, before["counted"] != after["counted"], "{after}");
    }
}

/// Under another configuration what is the same goes on, what is not begins empty and is told;
/// and the checkpoint after that holds for the new one.
#[test]
fn another_configuration_goes_on() {
    let mut daemon = filled(Weakened::default());
    let _ = daemon.checkpoint(None).expect("there is room");
    let before = shown(&daemon.state);
    let mut other = config();
    other.views.reverse();
    other.views[1].measures.truncate(1);
    other.objectives.reverse();
    other.objectives[0].objective = 0.5;
    let disk: Arc<dyn Disk> = Arc::new(daemon.disk.clone());
    let found = load(&disk, Path::new(FOLDER)).expect("reads").expect("is there");
    assert_eq!([true, false], [&config(), &other].map(|of| found.is_of(of).expect("reads")));
    let json = |of: &Config| of.to_json().expect("Unicode");
    assert_eq!(json(&config()), json(&found.config(&other).expect("reads")));
    for round in 0..3 {
        let told = daemon.resume(&other).expect("recovers");
        assert_eq!(usize::from(round == 0), told.len(), "{told:?}");
        let after = shown_of(&daemon.state, "models", "duration");
        assert_eq!(shown_of_json(&before, 2), after, "{round}");
        let slo = |of: &Json, name: &str| -> Vec<Json> {
            let rows = of["slos"].as_array().cloned().unwrap_or_default();
            let named = rows.into_iter().filter(|row| row["name"] == name);
            named.map(|row| json!([row["group"], row["good"], row["bad"]])).collect()
        };
        let now = json!({ "slos": query::slos(&daemon.state) });
        for name in ["fast", "answers"] {
            assert_eq!(slo(&before, name), slo(&now, name), "{name}, {round}");
        }
        let _ = daemon.checkpoint(None).expect("there is room");
    }
}

fn shown_of(state: &State, view: &str, measure: &str) -> Json {
    let question = json!({
        "measure": measure, "q": [0.0, 0.5, 0.99], "by": ["model"], "where": [],
        "window_s": 7_200.0, "end_ns": null, "view": view,
    });
    let answer = query::query(state, &question.to_string()).expect("a good question");
    serde_json::from_slice::<Json>(&answer).expect("JSON")["series"].clone()
}

fn shown_of_json(shown: &Json, answer: usize) -> Json {
    shown["answers"][answer]["series"].clone()
}

/// A checkpoint is due after much, or after a while with something, and never with nothing new.
#[test]
fn checkpoints_are_due() {
    let daemon = filled(Weakened::default());
    let at = |lsn: u64, journal_bytes: u64, seconds: i64| {
        let progress = Progress { lsn: Lsn(lsn), journal_bytes, steady_ns: seconds * SECOND_NS };
        daemon.checkpointer.due(&progress)
    };
    assert!(!at(6, 1 << 40, 1 << 20), "nothing new");
    assert!(!at(7, 1 << 20, 29) && at(7, 1 << 20, 30));
    assert!(!at(7, 10, 1 << 20), "much less than a checkpoint");
    assert!(at(7, 64 << 20, 0));
}
