//! Where time comes from. Tests drive a [`ManualClock`]; nothing in the core sleeps.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds in a second.
pub const SECOND_NS: i64 = 1_000_000_000;

/// A source of wall-clock time.
pub trait Clock: Send + Sync {
    /// Unix time, nanoseconds.
    fn now_ns(&self) -> i64;

    /// Time since some start, nanoseconds: it only ever moves forward, at its own pace.
    fn steady_ns(&self) -> i64;
}

/// The machine's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

/// When this process first asked for steady time.
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for SystemClock {
    fn now_ns(&self) -> i64 {
        // Before 1970 or after 2262 the machine's clock is wrong, and 0 makes
        // every event future-dated: refused and counted, never misfiled.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_nanos()).ok())
            .unwrap_or(0)
    }

    fn steady_ns(&self) -> i64 {
        // 292 years fit.
        i64::try_from(STARTED.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }
}

/// A clock that moves only when told, for tests and replays.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_ns: AtomicI64,
    steady_ns: AtomicI64,
}

impl ManualClock {
    /// Start at `now_ns`, Unix nanoseconds.
    #[must_use]
    pub fn new(now_ns: i64) -> Self {
        Self { now_ns: AtomicI64::new(now_ns), steady_ns: AtomicI64::new(0) }
    }

    /// Move to `now_ns`, Unix nanoseconds; steady time moves along, but never back.
    pub fn set(&self, now_ns: i64) {
        let before_ns = self.now_ns.swap(now_ns, Ordering::SeqCst);
        let passed_ns = now_ns.saturating_sub(before_ns).max(0);
        let _ = self.steady_ns.fetch_add(passed_ns, Ordering::SeqCst);
    }

    /// Put the wall clock to `now_ns`, Unix nanoseconds, as an operator does: no time passes.
    pub fn adjust(&self, now_ns: i64) {
        self.now_ns.store(now_ns, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ns(&self) -> i64 {
        self.now_ns.load(Ordering::SeqCst)
    }

    fn steady_ns(&self) -> i64 {
        self.steady_ns.load(Ordering::SeqCst)
    }
}

/// RFC 3339 in UTC, or `None` outside the years 1..=9999.
#[must_use]
pub fn rfc3339(unix_ns: i64) -> Option<String> {
    jiff::Timestamp::from_nanosecond(i128::from(unix_ns)).ok().map(|t| t.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times print as RFC 3339 in UTC with only the digits they have.
    #[test]
    fn prints_utc() {
        assert_eq!(Some("1970-01-01T00:00:00Z".into()), rfc3339(0));
        assert_eq!(Some("2026-11-21T00:00:00.5Z".into()), rfc3339(1_795_219_200_500_000_000));
    }
}
