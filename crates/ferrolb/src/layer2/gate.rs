//! Whether this node may speak for addresses right now: written by whoever knows if others could have taken them over, and
//! looked at before each frame, so that a process that was stopped says nothing old when it goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the clock that goes on while the machine sleeps.
const FOR_EVER: u64 = u64::MAX;

#[derive(Debug)]
pub struct Gate {
    /// Open until then.
    until: AtomicU64,
    /// And only if what was decided is at least as new as this.
    needed: AtomicU64,
    decided: AtomicU64,
}

impl Default for Gate {
    /// Open for ever.
    fn default() -> Gate {
        Gate { until: AtomicU64::new(FOR_EVER), needed: AtomicU64::new(0), decided: AtomicU64::new(0) }
    }
}

impl Gate {
    /// Open until this moment, as far as it depends on time; `None` is not at all.
    pub fn set(&self, until: Option<Instant>) {
        // First, so that a pause in between makes it end earlier, not later.
        let now = time_since_boot();
        let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        self.until.store(nanos(now.saturating_add(left)), Ordering::Release);
    }

    /// Closed until layer 2 was told that this is decided, see [`Change::Decided`](super::Change::Decided).
    pub fn need(&self, decision: u64) {
        self.needed.store(decision, Ordering::Release);
    }

    pub(crate) fn is_decided(&self, decision: u64) {
        self.decided.store(decision, Ordering::Release);
    }

    pub fn is_open(&self) -> bool {
        let until = self.until.load(Ordering::Acquire);
        let has_time = until == FOR_EVER || nanos(time_since_boot()) < until;
        has_time && self.decided.load(Ordering::Acquire) >= self.needed.load(Ordering::Acquire)
    }
}

/// Goes on while the machine sleeps, other than [`Instant`].
pub(crate) fn time_since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(FOR_EVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_open_while_there_is_time_and_what_is_needed_is_decided() {
        let gate = Gate::default();
        assert!(gate.is_open(), "for ever");
        gate.set(None);
        assert!(!gate.is_open(), "not at all");
        gate.set(Some(Instant::now() + Duration::from_secs(60)));
        assert!(gate.is_open());
        gate.need(2);
        gate.is_decided(1);
        assert!(!gate.is_open(), "what was decided is too old");
        gate.is_decided(2);
        assert!(gate.is_open());
        gate.set(Instant::now().checked_sub(Duration::from_millis(1)));
        assert!(!gate.is_open(), "over");
    }
}
