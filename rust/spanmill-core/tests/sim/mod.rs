//! The simulator: one engine in one thread on a disk that forgets, under clients that insist.
//!
//! A seed decides everything: what is sent, lost, sent again; when the clock steps, the disk
//! fills, a sync fails, the power goes, and what of the unsynced is left then. After every
//! restart, and at the end, this must hold:
//!
//! - an acknowledged event is counted once, another one once or not at all;
//! - the ledger balances, and budgets count what the ledger counts;
//! - the state is bit for bit what the whole log says from its first record on, and what it
//!   was before the crash where nothing was lost;
//! - nothing but damage to synced bytes keeps it from starting.
// Every test file compiles its own copy and uses a part of it.
#![allow(dead_code)]

mod check;
mod client;
mod columns;
mod disk;
mod otlp;
mod random;
mod twin;
mod world;

use std::fmt;
use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};

use spanmill_core::Weakened;

use self::world::World;

/// Something that must not be.
#[derive(Debug, Clone)]
pub struct Violation(pub String);

/// What happened in a seed, or in many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    pub requests: u64,
    pub duplicates: u64,
    pub acknowledged: u64,
    pub checkpoints: u64,
    pub crashes: u64,
    pub kills: u64,
    pub restarts: u64,
    pub full: u64,
    pub failed_syncs: u64,
    pub sync_errors: u64,
    pub no_room: u64,
    pub twins: u64,
    pub rot_refused: u64,
    pub rot_harmless: u64,
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.duplicates += other.duplicates;
        self.acknowledged += other.acknowledged;
        self.checkpoints += other.checkpoints;
        self.crashes += other.crashes;
        self.kills += other.kills;
        self.restarts += other.restarts;
        self.full += other.full;
        self.failed_syncs += other.failed_syncs;
        self.sync_errors += other.sync_errors;
        self.no_room += other.no_room;
        self.twins += other.twins;
        self.rot_refused += other.rot_refused;
        self.rot_harmless += other.rot_harmless;
    }
}

/// A seed that shows a fault.
#[derive(Debug, Clone)]
pub struct Failure {
    pub seed: u64,
    pub what: String,
    /// The files, and the last operations on them.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, what, trace } = self;
        for line in trace {
            writeln!(out, "{line}")?;
        }
        write!(out, "seed {seed}: {what}\nrun it again with: make sim SEED={seed}")
    }
}

/// Live through one seed.
///
/// # Errors
///
/// What must not be, and what led to it.
pub fn run(seed: u64, weakened: Weakened) -> Result<Report, Failure> {
    let mut world = World::new(seed, weakened);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    let outcome = outcome.unwrap_or_else(|_| Err(Violation("it panicked".to_owned())));
    outcome.map_err(|Violation(what)| Failure { seed, what, trace: world.trace() })
}
