//! Keeping to a memory budget.

use super::TIERS;
use super::kept::{Held, Holdings, Kept};
use super::store::WindowStore;

/// Demotion goes this share of the budget below it: until the next pass more is sealed.
const HEADROOM: usize = 16;

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
    let over = (held + besides).saturating_sub(budget);
    if over == 0 {
        return Demotion::default();
    }
    let mut holdings = Holdings::default();
    stores.iter().for_each(|store| store.add_holdings(&mut holdings));
    let by_tier = kept.demote(&holdings, over + budget / HEADROOM);
    let demotion = Demotion { by_tier, falls_short: false };
    Demotion { falls_short: demotion.total().bytes < over, ..demotion }
}
