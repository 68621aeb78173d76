//! One engine, the disk under it, the clock over it, and clients that want to be counted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use spanmill_core::clock::{Clock, ManualClock};
use spanmill_core::config::Config;
use spanmill_core::error::Error;
use spanmill_core::{Engine, Lsn, Outside, Weakened};

use super::check;
use super::client::{Client, Known, SLOW_S, Times};
use super::disk::{Faults, SimDisk};
use super::random::Random;
use super::{Report, Violation, twin};

const SECOND_NS: i64 = 1_000_000_000;
const START_S: i64 = 1_795_219_200;
const FOLDER: &str = "/data";

/// Silence as long as this never comes.
const NEVER_IDLE_S: f64 = 86_000.0;

/// A batch is sent again within this time: what is remembered of it goes after 15 min.
const RETRIED_WITHIN_NS: i64 = 600 * SECOND_NS;

/// How this seed's world is made.
#[derive(Debug, Clone, Copy)]
struct Kind {
    segment_bytes: u64,
    first_segment_bytes: u64,
    reserve_bytes: u64,
    lateness_s: f64,
    idle_s: f64,
    /// The wall clock is put back now and then.
    steps_back: bool,
    times: Times,
    companions: bool,
}

impl Kind {
    fn draw(random: &mut Random) -> Self {
        let steps_back = random.once_in(3);
        // What is shipped, now and then: no bug may hide behind small numbers.
        let real = random.once_in(150);
        let segment_bytes =
            if real { 64 << 20 } else { *random.pick(&[8 << 10, 16 << 10, 64 << 10]) };
        Self {
            segment_bytes,
            first_segment_bytes: if real {
                4 << 20
            } else {
                *random.pick(&[8 << 10, segment_bytes])
            },
            reserve_bytes: if real { 32 << 20 } else { segment_bytes },
            lateness_s: *random.pick(&[5.0, 20.0, 60.0]),
            idle_s: *random.pick(&[10.0, 30.0, 86_400.0]),
            steps_back,
            times: match (steps_back, random.below(3)) {
                // Never in the future after a step back either: a retry gets the same answer.
                (true, _) => Times { oldest_s: -400, newest_s: -60 },
                (false, 0) => Times { oldest_s: -900, newest_s: 1 },
                (false, _) => Times { oldest_s: -40, newest_s: 1 },
            },
            companions: random.once_in(3),
        }
    }

    fn config(&self) -> Config {
        let (distinct, top): (&[&str], &[&str]) =
            if self.companions { (&["model"], &["model"]) } else { (&[], &[]) };
        let config = json!({
            "data_dir": FOLDER, "durability": "sync", "retention": {},
            "window": {"lateness_s": self.lateness_s, "future_skew_s": 5.0, "idle_s": self.idle_s},
            "views": [
                {"name": "requests", "where": [], "dimensions": ["service", "model"],
                    "measures": ["duration", "ttft", "output_tokens"], "distinct": [], "top": []},
                {"name": "tenants", "where": [["model", ["small", "large"]]],
                    "dimensions": ["tenant"], "measures": ["ttft"],
                    "distinct": distinct, "top": top},
            ],
            "objectives": [
                {"name": "fast", "description": "", "where": [], "group_by": ["service"],
                    "sli": {"kind": "latency", "measure": "ttft", "below": SLOW_S},
                    "objective": 0.9, "period_s": 2_592_000, "layer": "", "runbook": ""},
                {"name": "sound", "description": "", "where": [["model", ["large"]]],
                    "group_by": [], "sli": {"kind": "errors"}, "objective": 0.99,
                    "period_s": 86_400, "layer": "", "runbook": ""},
            ],
            "limits": {"series": 1_000, "tenant_series": 1_000, "groups": 100,
                "dimension_values": 1_000, "companion_bytes": 1 << 26, "dimension_bytes": 256,
                "sources": 100, "request_bytes": 1 << 20, "memory": 1_u64 << 30, "disk": 1_u64 << 30,
                "dedupe_horizon": 900.0, "dedupe_entries": 100_000, "producers": 1_000},
        });
        Config::from_json(&config.to_string()).expect("a valid config")
    }
}

/// A request that was taken and waits for its record.
struct Waiting {
    client: usize,
    bytes: Vec<u8>,
    lsn: Lsn,
}

/// Everything that a seed makes.
pub struct World {
    random: Random,
    kind: Kind,
    config: Config,
    weakened: Weakened,
    clock: Arc<ManualClock>,
    disk: SimDisk,
    engine: Option<Engine>,
    clients: Vec<Client>,
    waiting: Vec<Waiting>,
    /// How far the wall clock was put back.
    behind_s: i64,
    /// The disk may be full, or have failed, without the engine's fault.
    in_trouble: bool,
    /// Nothing goes wrong any more.
    is_calm: bool,
    report: Report,
}

impl World {
    pub fn new(seed: u64, weakened: Weakened) -> Self {
        let mut random = Random::new(seed);
        let kind = Kind::draw(&mut random);
        let mut kinds = vec![Known::ByContent, Known::ById, Known::ByNumber, Known::Not];
        kinds.rotate_left(random.below(4) as usize);
        let count = 2 + random.below(3) as usize;
        let clients = (0..).zip(kinds).take(count).map(|(n, known)| Client::new(n, known));
        Self {
            clients: clients.collect(),
            config: kind.config(),
            kind,
            weakened,
            clock: Arc::new(ManualClock::new(START_S * SECOND_NS)),
            disk: SimDisk::new(random.split()),
            engine: None,
            waiting: Vec::new(),
            behind_s: 0,
            in_trouble: false,
            is_calm: false,
            report: Report::default(),
            random,
        }
    }

    /// The disk's last operations.
    pub fn trace(&self) -> Vec<String> {
        self.disk.trace()
    }

    /// Live through it.
    ///
    /// # Errors
    ///
    /// The first thing that must not be.
    pub fn run(&mut self) -> Result<Report, Violation> {
        let faults = self.next_faults();
        self.disk.power_up(faults);
        self.recover(None)?;
        for _ in 0..40 + self.random.below(160) {
            self.step()?;
        }
        self.finish()?;
        Ok(self.report)
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("runs between crashes")
    }

    fn now_ns(&self) -> i64 {
        self.clock.now_ns()
    }

    fn outside(&self, disk: SimDisk) -> Outside {
        Outside {
            clock: self.clock.clone(),
            disk: Arc::new(disk),
            by_hand: true,
            segment_bytes: self.kind.segment_bytes,
            first_segment_bytes: self.kind.first_segment_bytes,
            reserve_bytes: self.kind.reserve_bytes,
            weakened: self.weakened,
        }
    }

    /// When the power goes next: often while still recovering.
    fn next_faults(&mut self) -> Faults {
        if self.is_calm {
            return Faults::default();
        }
        let power_cut_at = match self.random.below(4) {
            0 => Some(1 + self.random.below(30)),
            1 => Some(1 + self.random.below(200)),
            2 => Some(1 + self.random.below(1_000)),
            _ => None,
        };
        Faults { power_cut_at, ..Faults::default() }
    }

    fn step(&mut self) -> Result<(), Violation> {
        match self.random.below(100) {
            0..=44 => self.send()?,
            45..=64 => self.commit()?,
            65..=73 => self.advance(),
            74..=81 => self.tick()?,
            82..=87 => self.checkpoint()?,
            88..=89 => self.stop()?,
            90..=92 => self.crash_here()?,
            93..=94 => self.kill()?,
            95..=97 => self.trouble(),
            _ => check::counts(self.engine(), &self.clients).map_err(Violation)?,
        }
        if self.disk.is_off() {
            self.crash(None)?;
        }
        Ok(())
    }

    fn advance(&mut self) {
        let oldest = self
            .clients
            .iter()
            .flat_map(|client| client.open.iter().filter_map(|batch| batch.first_sent_ns))
            .min();
        let step_ns = match self.random.below(10) {
            0 => self.random.between(10, 120) * SECOND_NS,
            _ => self.random.between(0, 4_000) * 1_000_000,
        };
        let now_ns = self.now_ns();
        if oldest.is_some_and(|sent_ns| now_ns + step_ns - sent_ns > RETRIED_WITHIN_NS) {
            return;
        }
        if self.kind.steps_back && self.random.once_in(6) {
            // Between 0 and 50 s behind: so far events stay in the past.
            let to_s = self.random.between(0, 50);
            self.clock.adjust(now_ns + (self.behind_s - to_s) * SECOND_NS);
            self.behind_s = to_s;
            return;
        }
        self.clock.set(now_ns + step_ns);
    }

    fn send(&mut self) -> Result<(), Violation> {
        let who = self.random.below(self.clients.len() as u64) as usize;
        let client = &self.clients[who];
        let again = !client.open.is_empty() && (!client.has_room() || self.random.once_in(2));
        let which = if again {
            self.random.below(client.open.len() as u64) as usize
        } else {
            let now_ns = self.clock.now_ns();
            self.clients[who].begin(now_ns, self.kind.times, &mut self.random)
        };
        self.send_batch(who, which, true)
    }

    fn send_batch(&mut self, who: usize, which: usize, may_wait: bool) -> Result<(), Violation> {
        let now_ns = self.clock.now_ns();
        let engine = self.engine.as_ref().expect("runs between crashes");
        let client = &self.clients[who];
        let batch = &client.open[which];
        let outcome = client.send(batch, engine);
        let known = client.known;
        let name = client.name.clone();
        self.disk.say(&format!(
            "{name} sends {}: {:?}",
            batch.counts.received,
            outcome.as_ref().map(|it| it.lsn)
        ));
        let batch = &mut self.clients[who].open[which];
        let _ = batch.first_sent_ns.get_or_insert(now_ns);
        match outcome {
            Ok(receipt) => {
                self.report.requests += 1;
                match (known, batch.counted.is_empty()) {
                    (Known::Not, _) | (_, true) => batch.counted.push((receipt.lsn, now_ns)),
                    _ => self.report.duplicates += 1,
                }
                let first = batch.response.get_or_insert_with(|| receipt.response.clone());
                if *first != receipt.response {
                    let told = format!("{name}: answered {first:?}, then {:?}", receipt.response);
                    return Err(Violation(told));
                }
                let bytes = batch.bytes.clone();
                self.waiting.push(Waiting { client: who, bytes, lsn: receipt.lsn });
                self.collect();
                Ok(())
            }
            Err(_) if self.disk.is_off() => Ok(()),
            Err(Error::Full { .. } | Error::Preparing { .. }) if self.in_trouble => {
                self.report.full += 1;
                Ok(())
            }
            // Room is made by the tick, here where no thread of the engine's own makes it.
            Err(Error::Full { .. } | Error::Preparing { .. }) if may_wait => {
                self.tick()?;
                if self.disk.is_off() { Ok(()) } else { self.send_batch(who, which, false) }
            }
            Err(Error::Journal { .. }) if self.in_trouble => self.exit(),
            Err(error) => Err(Violation(format!("{name}: refused: {error}"))),
        }
    }

    fn commit(&mut self) -> Result<(), Violation> {
        let outcome = self.engine().commit();
        self.collect();
        self.judge("commit", outcome.map(drop))
    }

    /// Answer who can be answered. Some answers are lost, but what was promised was promised.
    fn collect(&mut self) {
        if self.disk.is_off() {
            return;
        }
        let durable = self.engine().durable();
        let (done, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|it| it.lsn <= durable);
        self.waiting = waiting;
        for Waiting { client, bytes, lsn } in done {
            let client = &mut self.clients[client];
            let Some(batch) = client.open.iter_mut().find(|batch| batch.bytes == bytes) else {
                continue;
            };
            let durable = batch.counted.iter().filter(|(of, _)| *of <= lsn).count() as u64;
            batch.safe = batch.safe.max(durable);
            if !self.random.once_in(4) {
                self.report.acknowledged += 1;
                client.acknowledge(&bytes);
            }
        }
    }

    fn tick(&mut self) -> Result<(), Violation> {
        let outcome = self.engine().tick();
        self.judge("tick", outcome)
    }

    fn checkpoint(&mut self) -> Result<(), Violation> {
        let outcome = self.engine().checkpoint();
        self.report.checkpoints += u64::from(outcome.is_ok());
        self.judge("checkpoint", outcome.map(drop))
    }

    /// What a call of our own may say.
    fn judge(&mut self, what: &str, outcome: Result<(), Error>) -> Result<(), Violation> {
        match outcome {
            Ok(()) => Ok(()),
            Err(_) if self.disk.is_off() => Ok(()),
            Err(Error::Journal { .. }) if self.in_trouble => self.exit(),
            Err(_) if self.in_trouble => Ok(()),
            Err(error) => Err(Violation(format!("{what}: {error}"))),
        }
    }

    /// Fill the disk, give room back, or let a sync fail soon.
    fn trouble(&mut self) {
        let used = self.disk.used();
        let space = match self.random.below(3) {
            0 => Some(used + self.random.below(40_000) as usize),
            _ => None,
        };
        let sync_error_in = self.random.once_in(3).then(|| self.random.below(12));
        self.in_trouble |= space.is_some() || sync_error_in.is_some();
        self.disk.say(&format!("space {space:?}, sync error in {sync_error_in:?}"));
        self.disk.set_faults(|faults| {
            faults.space = space;
            faults.sync_error_in = sync_error_in;
        });
    }

    /// Stop as an operator does.
    fn stop(&mut self) -> Result<(), Violation> {
        self.disk.say("a clean stop");
        while self.engine().commit().unwrap_or(false) {}
        self.collect();
        let _ = self.engine().checkpoint();
        if self.disk.is_off() {
            return Ok(());
        }
        let before = self.snapshot();
        self.engine().close();
        self.start_again(before)
    }

    /// The process ends by itself because the journal failed.
    fn exit(&mut self) -> Result<(), Violation> {
        self.report.failed_syncs += 1;
        self.kill()
    }

    /// `kill -9`: what was written is still in memory of the machine.
    fn kill(&mut self) -> Result<(), Violation> {
        if self.disk.is_off() {
            return Ok(());
        }
        self.report.kills += 1;
        self.disk.say("kill -9");
        let before = self.snapshot();
        self.start_again(before)
    }

    fn start_again(&mut self, before: Option<(Lsn, Vec<u8>)>) -> Result<(), Violation> {
        self.drop_engine();
        self.disk.end_process();
        self.recover(before)
    }

    /// The power goes between two operations.
    fn crash_here(&mut self) -> Result<(), Violation> {
        let before = self.snapshot();
        self.crash(before)
    }

    /// What it looks like now, to be compared with what is there later, if all of it stays.
    fn snapshot(&mut self) -> Option<(Lsn, Vec<u8>)> {
        if self.random.once_in(2) {
            while self.engine().commit().ok()? {}
            self.collect();
        }
        if self.disk.is_off() {
            return None;
        }
        let engine = self.engine();
        let fingerprint = engine.fingerprint().expect("open");
        Some((check::last_record(engine), fingerprint))
    }

    fn drop_engine(&mut self) {
        self.engine = None;
        self.waiting.clear();
    }

    fn crash(&mut self, before: Option<(Lsn, Vec<u8>)>) -> Result<(), Violation> {
        self.report.crashes += 1;
        self.disk.cut_power();
        self.drop_engine();
        let faults = self.next_faults();
        self.disk.power_up(faults);
        self.in_trouble = false;
        self.recover(before)
    }

    /// Start until it stays, and look at what is there.
    fn recover(&mut self, before: Option<(Lsn, Vec<u8>)>) -> Result<(), Violation> {
        loop {
            let outside = self.outside(self.disk.clone());
            match Engine::open_outside(&self.config, &outside) {
                Ok(engine) if !self.disk.is_off() => {
                    self.engine = Some(engine);
                    break;
                }
                // Some of what fails at a start is only warned of.
                _ if self.disk.is_off() => {
                    self.report.crashes += 1;
                    let faults = self.next_faults();
                    self.disk.power_up(faults);
                    self.in_trouble = false;
                }
                // It says so and ends; somebody makes room or replaces the disk.
                Err(Error::Folder { .. } | Error::Journal { .. }) if self.in_trouble => {
                    self.disk
                        .set_faults(|faults| (faults.space, faults.sync_error_in) = (None, None));
                    self.disk.end_process();
                }
                Err(error) => return Err(Violation(format!("does not start: {error}"))),
                Ok(_) => unreachable!("the power is on or off"),
            }
        }
        self.report.restarts += 1;
        self.check_recovered(before)
    }

    fn check_recovered(&mut self, before: Option<(Lsn, Vec<u8>)>) -> Result<(), Violation> {
        let engine = self.engine.as_ref().expect("just started");
        let found = check::sources(engine).map_err(Violation)?;
        for client in &mut self.clients {
            let received = found.get(&client.name).map_or(0, |counts| counts.received);
            client.settle(engine.durable(), received).map_err(Violation)?;
        }
        check::counts(engine, &self.clients).map_err(Violation)?;
        let fingerprint = engine.fingerprint().expect("open");
        if let Some((lsn, before)) = before
            && lsn == engine.durable()
            && before != fingerprint
        {
            let told = check::difference(&before, &fingerprint);
            return Err(Violation(format!(
                "not what was there before the crash, at record {lsn}: {told}"
            )));
        }
        self.check_prefix(&fingerprint)
    }

    /// It is bit for bit what its whole log says from the first record on.
    fn check_prefix(&self, fingerprint: &[u8]) -> Result<(), Violation> {
        let engine = self.engine.as_ref().expect("just started");
        let is_log = |path: &Path| {
            path == Path::new(FOLDER).join("key") || path.extension().is_some_and(|it| it == "log")
        };
        let disk = self.disk.copy_whole_log(is_log);
        let replayed = Engine::open_outside(&self.config, &self.outside(disk))
            .map_err(|error| Violation(format!("its whole log does not replay: {error}")))?;
        if replayed.durable() != engine.durable() {
            let (whole, found) = (replayed.durable(), engine.durable());
            return Err(Violation(format!(
                "the log ends at {whole}, and it goes on after {found}"
            )));
        }
        let whole = replayed.fingerprint().expect("open");
        if whole != fingerprint {
            let told = check::difference(&whole, fingerprint);
            return Err(Violation(format!("not what its whole log says: {told}")));
        }
        Ok(())
    }

    /// A bit that changes in what was synced is seen, or was of no use.
    fn rot(&mut self) -> Result<(), Violation> {
        while self.engine().commit().map_err(|error| Violation(error.to_string()))? {}
        self.checkpoint()?;
        let fingerprint = self.engine().fingerprint().expect("open");
        self.drop_engine();
        let disk = self.disk.copy(|_| true);
        let files = disk.files();
        let (path, length) = self.random.pick(&files);
        if *length == 0 {
            return Ok(());
        }
        let at = self.random.below(*length as u64) as usize;
        disk.rot(path, at, 1 << self.random.below(8));
        match Engine::open_outside(&self.config, &self.outside(disk)) {
            Err(
                Error::Damaged { .. }
                | Error::JournalDamaged { .. }
                | Error::Layout { .. }
                | Error::Record { .. }
                | Error::NoCheckpoint { .. },
            ) => self.report.rot_refused += 1,
            Err(error) => {
                return Err(Violation(format!("rot at {at} of {}: {error}", path.display())));
            }
            Ok(engine) => {
                let found = engine.fingerprint().expect("open");
                if fingerprint != found {
                    let told = check::difference(&fingerprint, &found);
                    return Err(Violation(format!(
                        "rot at {at} of {}: misread: {told}",
                        path.display()
                    )));
                }
                self.report.rot_harmless += 1;
            }
        }
        Ok(())
    }

    /// Everything calms down, every client gets its answers, and all of it is looked at.
    fn finish(&mut self) -> Result<(), Violation> {
        self.disk.say("the end");
        self.is_calm = true;
        self.disk.set_faults(|faults| *faults = Faults::default());
        self.tick()?;
        for _ in 0..100 {
            for who in 0..self.clients.len() {
                let mut which = 0;
                // An answer may take any of them away.
                while which < self.clients[who].open.len() {
                    self.send_batch(who, which, true)?;
                    which += 1;
                }
            }
            self.tick()?;
            self.commit()?;
            if self.clients.iter().all(|client| client.open.is_empty()) {
                break;
            }
        }
        self.in_trouble = false;
        if let Some(client) = self.clients.iter().find(|client| !client.open.is_empty()) {
            return Err(Violation(format!("{} never gets an answer", client.name)));
        }
        check::counts(self.engine(), &self.clients).map_err(Violation)?;
        self.crash_here()?;
        self.tick()?;
        if self.kind.idle_s > NEVER_IDLE_S {
            twin::compare(self.engine(), &self.config, &self.clients, self.now_ns())?;
            self.report.twins += 1;
        }
        self.rot()?;
        let (syncs, full) = self.disk.troubles();
        self.report.sync_errors = syncs;
        self.report.no_room = full;
        Ok(())
    }
}

/// Where the data is.
pub fn folder() -> PathBuf {
    PathBuf::from(FOLDER)
}
