//! Keeping to a memory budget.

use super::TIERS;
use super::kept::{Held, Holdings, Kept};
use super::store::WindowStore;

/// Shares of the budget: demotion starts so far below it, for by the time that it has freed
/// anything more is sealed; frees so much more than it must; and holds back nothing any more
/// once so much is free.
const EARLY: usize = 32;
const EXTRA: usize = 16;
const AMPLE: usize = 8;

/// What was given up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Demotion {
    /// By tier, finest first.
    pub by_tier: [Held; TIERS.len()],
    /// All that may go is gone, and it is not enough: the open edge itself is over the budget.
    pub falls_short: bool,
}

impl Demotion {
    /// Over all tiers.
    #[must_use]
    pub fn total(&self) -> Held {
        let mut total = Held::default();
        self.by_tier.iter().for_each(|held| total.add(*held));
        total
    }
}

/// Give up the oldest sealed buckets of `stores` where they and `besides` take more than `budget` bytes.
///
/// `kept` no longer holds them from now on; [`WindowStore::retire`] frees them.
pub fn demote(kept: &mut Kept, stores: &[&WindowStore], besides: usize, budget: usize) -> Demotion {
    let held: usize = stores.iter().map(|store| store.footprint().bytes()).sum();
    let held = held + besides;
    let over = held.saturating_sub(budget - budget / EARLY);
    if over == 0 {
        if held < budget - budget / AMPLE {
            kept.resume();
        }
        return Demotion::default();
    }
    let mut holdings = Holdings::default();
    stores.iter().for_each(|store| store.add_holdings(&mut holdings));
    let by_tier = kept.demote(&holdings, over + budget / EXTRA);
    let demotion = Demotion { by_tier, falls_short: false };
    Demotion { falls_short: demotion.total().bytes + budget < held, ..demotion }
}
