//! The same events on an engine that nothing ever disturbed.

use std::sync::Arc;

use spanmill_core::clock::{Clock, ManualClock};
use spanmill_core::config::{Config, Durability};
use spanmill_core::{Engine, Lsn, Outside};

use super::Violation;
use super::check;
use super::client::{Batch, Client};
use super::disk::SimDisk;
use super::random::Random;

/// Move a clock there, whichever way that is.
fn put(clock: &ManualClock, now_ns: i64) {
    if now_ns >= clock.now_ns() { clock.set(now_ns) } else { clock.adjust(now_ns) }
}

/// Percentiles and budgets of `engine` are those of one that took every counted batch once, in
/// the same order at the same times, and was never stopped: a restart is not traffic.
///
/// Only where silence moves no watermark: when that is looked at is the engine's own affair.
///
/// # Errors
///
/// Where they are not.
pub fn compare(
    engine: &Engine,
    config: &Config,
    clients: &[Client],
    now_ns: i64,
) -> Result<(), Violation> {
    let mut order: Vec<(Lsn, i64, &Client, &Batch)> = Vec::new();
    for client in clients {
        for batch in client.batches() {
            order.extend(batch.counted.iter().map(|&(lsn, at_ns)| (lsn, at_ns, client, batch)));
        }
    }
    order.sort_by_key(|(lsn, ..)| *lsn);
    let first_ns = order.first().map_or(now_ns, |(_, at_ns, ..)| *at_ns);
    let clock = Arc::new(ManualClock::new(first_ns));
    let config = Config { durability: Durability::Off, ..config.clone() };
    let disk = Arc::new(SimDisk::new(Random::new(0)));
    let outside = Outside { disk, by_hand: true, ..Outside::real(clock.clone()) };
    let failed = |error| Violation(format!("undisturbed: {error}"));
    let twin = Engine::open_outside(&config, &outside).map_err(failed)?;
    for (_, at_ns, client, batch) in order {
        put(&clock, at_ns);
        let _ = client.send(batch, &twin).map_err(failed)?;
    }
    put(&clock, now_ns);
    twin.tick().map_err(failed)?;
    let (expected, found) = (check::answers(&twin), check::answers(engine));
    if expected != found {
        let told = check::difference(expected.to_string().as_bytes(), found.to_string().as_bytes());
        return Err(Violation(format!("not what an undisturbed engine says: {told}")));
    }
    Ok(())
}
