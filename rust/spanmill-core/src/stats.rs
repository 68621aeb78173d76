//! The core's own counters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::{Value as Json, json};

/// Requests by outcome, and bytes taken.
#[derive(Default)]
pub(crate) struct Stats {
    accepted: AtomicU64,
    ingest_bytes: AtomicU64,
    digest_late: AtomicU64,
    refused: Mutex<BTreeMap<String, u64>>,
}

impl Stats {
    pub(crate) fn accept(&self, bytes: usize) {
        let _ = self.accepted.fetch_add(1, Ordering::Relaxed);
        let _ = self.ingest_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self, reason: &str) {
        *self.refused.lock().entry(reason.to_owned()).or_default() += 1;
    }

    pub(crate) fn add_digest_late(&self, events: u64) {
        if events > 0 {
            let _ = self.digest_late.fetch_add(events, Ordering::Relaxed);
        }
    }

    pub(crate) fn to_json(&self) -> Json {
        json!({
            "requests": {
                "accepted": self.accepted.load(Ordering::Relaxed),
                "refused": *self.refused.lock(),
            },
            "ingest_bytes": self.ingest_bytes.load(Ordering::Relaxed),
            "digest_late": self.digest_late.load(Ordering::Relaxed),
        })
    }
}
