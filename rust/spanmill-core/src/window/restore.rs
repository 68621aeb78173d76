//! Sealed buckets put back after a restart.

use super::kept::{Held, Kept, Use};
use super::sealed::Sealed;
use super::store::{WindowStore, slot_of};

impl WindowStore {
    /// Put back buckets of `tier`, of each series from the oldest on; those that `kept` does
    /// not hold are left out. `used` says what a series is kept for. How many were put back.
    pub(crate) fn restore(
        &self,
        kept: &Kept,
        tier: usize,
        used: &dyn Fn(u32) -> Use,
        buckets: &mut Vec<(u32, Sealed)>,
    ) -> usize {
        let mut restored = 0;
        let mut holdings = self.holdings.lock();
        // Of one block most are of one time: told apart only where they are not.
        let mut same = (Use::Recent, 0, Held::default());
        for (series, bucket) in buckets.drain(..) {
            let used = used(series);
            if !kept.holds(used, tier, bucket.number()) {
                continue;
            }
            if (used, bucket.number()) != (same.0, same.1) {
                if same.2.buckets > 0 {
                    holdings.add(same.0, tier, same.1, same.2);
                }
                same = (used, bucket.number(), Held::default());
            }
            same.2.add(Held { buckets: 1, bytes: bucket.bytes() });
            let mut shard = self.shard(series).lock();
            if slot_of(series) >= shard.series.len() {
                shard.make_room(slot_of(series));
            }
            let rings = shard.rings(series);
            let _ = rings.used.get_or_insert(used);
            rings.push(tier, bucket);
            restored += 1;
        }
        if same.2.buckets > 0 {
            holdings.add(same.0, tier, same.1, same.2);
        }
        restored
    }
}
