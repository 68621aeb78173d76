//! What a series holds, as bytes that are alike where the content is.

use std::collections::BTreeMap;

use super::TIERS;
use super::kept::{Kept, Use};
use super::open::OpenBucket;
use super::sealed::Sealed;
use super::store::{WindowStore, slot_of};
use crate::codec::Writer;

impl WindowStore {
    /// Write down everything of one series that `kept` promises of this use: the same bytes
    /// however it got there, and in however many parts it is.
    pub(crate) fn describe(&self, series: u32, (kept, used): (&Kept, Use), out: &mut Writer) {
        let shard = self.shard(series).lock();
        let Some(windows) = shard.series.get(slot_of(series)) else {
            // As one that never held anything: a restart makes no room for those.
            out.varint(0);
            return out.varint(0);
        };
        out.varint(windows.events);
        if let Some(rings) = windows.rings.as_deref() {
            for (tier, info) in TIERS.iter().enumerate() {
                let first = kept.first_s(used, tier);
                let held = rings.ring(tier).iter();
                let held = held.filter(|bucket| bucket.number() * info.width_s >= first);
                held.for_each(|bucket| self.describe_bucket(tier, bucket, out));
            }
        }
        let mut open: BTreeMap<i32, Vec<&OpenBucket>> = BTreeMap::new();
        let from = shard.passed.live_from(slot_of(series));
        for frozen in &shard.frozen {
            let part = frozen.place(series).map(|place| &frozen.parts()[place]);
            let buckets = part.into_iter().flat_map(|part| part.buckets(from));
            buckets.for_each(|bucket| open.entry(bucket.number).or_default().push(bucket));
        }
        let live = windows.open_in(i64::MIN, i64::MAX);
        live.for_each(|bucket| open.entry(bucket.number).or_default().push(bucket));
        for parts in open.values() {
            self.describe_bucket(TIERS.len(), &Sealed::from_open(parts, self.measures()), out);
        }
        out.varint(windows.late_in(kept.late_from_s(used), i64::MAX));
    }

    fn describe_bucket(&self, tier: usize, bucket: &Sealed, out: &mut Writer) {
        out.u8(tier as u8);
        out.zigzag(bucket.number());
        (0..self.measures()).for_each(|measure| out.bytes(&bucket.digest(measure).to_bytes()));
    }
}
