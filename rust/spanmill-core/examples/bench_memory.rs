//! What series cost in memory, as JSON lines: cardinality, load, and a soak; and what a cut costs.
//!
//! `bench_memory cardinality [--series N] [--minutes M] [--budget BYTES]`: N series of three
//! measures with one event a minute each, demoted to the budget as the engine does it.
//! `bench_memory load [--series N] [--rate N]`: 50 series of six measures, 100 events a second each,
//! until every ring of series without an objective is full.
//! `bench_memory soak [--events N]`: a few series, N events, and resident memory on the way.
//! `bench_memory cut [--series N]`: N series with seven open buckets each; how long the first event
//! after a cut finds a shard locked while what is open there is set aside.
//!
//! Event time is simulated; nothing waits. Resident memory is what Linux says of this process.

use std::io::Write;
use std::time::Instant;

use spanmill_core::clock::SECOND_NS;
use spanmill_core::window::{BUCKET_S, ByShard, Kept, Rows, Use, WindowStore, demote};

type Failure = Box<dyn std::error::Error>;

/// A multiple of six hours.
const START_S: i64 = 1_795_219_200;
const LATENESS_S: i64 = 60;
/// Longer than the rings of series that no objective uses.
const FULL_S: i64 = 24_000;

fn main() -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        return Err("a debug build says nothing about memory under load: use --release".into());
    }
    let mut arguments = std::env::args().skip(1);
    let scenario = arguments.next().unwrap_or_default();
    let (mut series, mut minutes, mut events) = (None, 90, 1_000_000_000);
    let (mut budget, mut rate) = (2 << 30, 100);
    while let Some(argument) = arguments.next() {
        let number = arguments.next().ok_or("an option needs a number")?.parse()?;
        match argument.as_str() {
            "--series" => series = Some(number),
            "--minutes" => minutes = number,
            "--budget" => budget = number,
            "--events" => events = number,
            "--rate" => rate = number,
            other => return Err(format!("no option {other}").into()),
        }
    }
    match scenario.as_str() {
        "cardinality" => cardinality(series.unwrap_or(1_000_000), minutes as i64, budget),
        "load" => load(series.unwrap_or(50), rate),
        "soak" => soak(events as u64),
        "cut" => cut(series.unwrap_or(100_000)),
        other => Err(format!("no scenario {other:?}: cardinality, load, soak or cut").into()),
    }
}

/// Windows whose event time moves as far as it is told.
struct Run {
    store: WindowStore,
    kept: Kept,
    measures: usize,
    budget: usize,
    demoted: usize,
    scratch: ByShard,
    second: i64,
    events: u64,
    dice: u64,
    cut: u64,
}

impl Run {
    fn new(measures: usize, budget: usize) -> Self {
        Self {
            store: WindowStore::new((0..measures).collect(), measures),
            kept: Kept::default(),
            measures,
            budget,
            demoted: 0,
            scratch: ByShard::default(),
            second: 0,
            events: 0,
            dice: 1,
            cut: 0,
        }
    }

    /// A heavy-tailed value: the same in every run.
    fn value(&mut self) -> f64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let uniform = (1 + (self.dice >> 40)) as f64 / (1u64 << 24) as f64;
        0.05 / uniform.sqrt()
    }

    /// One event of each of these series, now.
    fn push(&mut self, series: &[u32]) {
        let measures: Vec<f64> = (0..series.len() * self.measures).map(|_| self.value()).collect();
        let rows = Rows {
            ends_ns: &vec![(START_S + self.second) * SECOND_NS; series.len()],
            measures: &measures,
            stride: self.measures,
            series,
            horizon_ns: i64::MIN,
            cut: self.cut,
        };
        let sealed = self.kept.sealed().unwrap_or(i64::MIN);
        let _ = self.store.apply(&rows, sealed, &mut self.scratch);
        self.events += series.len() as u64;
    }

    /// A second passes: seal what is due and keep to the budget.
    fn tick(&mut self) {
        self.second += 1;
        if self.second % BUCKET_S != 0 {
            return;
        }
        let through = (START_S + self.second - LATENESS_S) / BUCKET_S;
        self.store.seal(&self.kept, through, &|_| Use::Recent);
        self.kept = self.kept.advanced(through);
        self.demoted += demote(&mut self.kept, &[&self.store], 0, self.budget).total().buckets;
    }

    fn report(&self, scenario: &str, series: usize, extra: &str) -> Result<(), Failure> {
        let held = self.store.footprint();
        let resident = resident_bytes()?;
        let each = resident as f64 / series as f64;
        writeln!(
            std::io::stdout(),
            "{{\"scenario\": \"{scenario}\", \"series\": {series}, \"measures\": {}, \
             \"events\": {}, \"event_minutes\": {}, \"resident_bytes\": {resident}, \
             \"resident_bytes_per_series\": {each:.0}, \"footprint_bytes\": {}, \
             \"open_bytes\": {}, \"open_buckets\": {}, \"sealed_bytes\": {}, \
             \"sealed_buckets\": {}, \"demoted_buckets\": {}{extra}}}",
            self.measures,
            self.events,
            self.second / 60,
            held.bytes(),
            held.open.bytes,
            held.open.buckets,
            held.sealed.bytes,
            held.sealed.buckets,
            self.demoted,
        )?;
        Ok(())
    }
}

/// Bytes of this process that are in memory.
fn resident_bytes() -> Result<usize, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    let kib: usize = line.split_whitespace().nth(1).ok_or("no VmRSS")?.parse()?;
    Ok(kib * 1024)
}

/// One event a minute of each series, spread evenly over the minute.
fn cardinality(series: usize, minutes: i64, budget: usize) -> Result<(), Failure> {
    let mut run = Run::new(3, budget);
    let by_second: Vec<Vec<u32>> = (0..60)
        .map(|second| (0..series as u32).filter(|series| series % 60 == second).collect())
        .collect();
    for minute in 1..=minutes {
        for series in &by_second {
            run.push(series);
            run.tick();
        }
        if minute % 10 == 0 || minute == minutes {
            let held_s = START_S + run.second - run.kept.start_s(Use::Recent);
            let extra = format!(", \"budget_bytes\": {budget}, \"reach_s\": {held_s}");
            run.report("cardinality", series, &extra)?;
        }
    }
    Ok(())
}

/// Series of six measures until their rings are full, at this many events a second each.
fn load(series: usize, events_per_s: usize) -> Result<(), Failure> {
    let mut run = Run::new(6, usize::MAX);
    let rounds: Vec<u32> = (0..events_per_s).flat_map(|_| 0..series as u32).collect();
    while run.second < FULL_S {
        // Batches of one size at any load: they are not what is measured.
        rounds.chunks(500).for_each(|batch| run.push(batch));
        run.tick();
    }
    let extra = format!(", \"events_per_s_per_series\": {events_per_s}");
    run.report("load", series, &extra)
}

/// A few busy series for as many events as asked, with resident memory on the way.
fn soak(events: u64) -> Result<(), Failure> {
    let mut run = Run::new(1, usize::MAX);
    let series: Vec<u32> = (0..10).flat_map(|_| 0..20_u32).collect();
    let marks = 20;
    for mark in 1..=marks {
        while run.events < events / marks * mark {
            run.push(&series);
            run.push(&series);
            run.tick();
        }
        run.report("soak", 20, "")?;
    }
    Ok(())
}

/// Shards of a store: ids that differ by this share one.
const SHARDS: u32 = 64;

/// Series with open buckets over the whole lateness, and cuts through them.
fn cut(series: usize) -> Result<(), Failure> {
    let mut run = Run::new(3, usize::MAX);
    let all: Vec<u32> = (0..series as u32).collect();
    for round in 1..=5 {
        for _ in 0..LATENESS_S / BUCKET_S + 1 {
            all.chunks(4_096).for_each(|batch| run.push(batch));
            run.push(&all);
            run.second += BUCKET_S;
        }
        let open = run.store.footprint().open.buckets;
        run.cut += 1;
        let mut locked_us: Vec<f64> = Vec::new();
        for shard in 0..SHARDS {
            let start = Instant::now();
            run.push(&[shard]);
            locked_us.push(start.elapsed().as_secs_f64() * 1e6);
        }
        locked_us.sort_unstable_by(f64::total_cmp);
        let total: f64 = locked_us.iter().sum();
        writeln!(
            std::io::stdout(),
            "{{\"scenario\": \"cut\", \"series\": {series}, \"round\": {round}, \
             \"open_buckets\": {open}, \"shards\": {SHARDS}, \"locked_us_total\": {total:.0}, \
             \"locked_us_median\": {:.1}, \"locked_us_max\": {:.1}}}",
            locked_us[locked_us.len() / 2],
            locked_us[locked_us.len() - 1],
        )?;
        // Everything is sealed before the next round.
        run.second += 10 * LATENESS_S - 1;
        run.tick();
    }
    Ok(())
}
