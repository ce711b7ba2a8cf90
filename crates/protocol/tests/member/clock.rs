//! The clock of one node, which goes a little faster or slower than the time of the simulation, and may stand still.

use std::time::{Duration, Instant};

/// Since the start of the run.
pub(crate) type Time = Duration;

pub(crate) const NEVER: Time = Time::MAX;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    since: Time,
    then: Instant,
    /// By how many millionths it is fast.
    fast: i64,
}

impl Clock {
    pub(crate) fn new(then: Instant, fast: i64) -> Clock {
        Clock { since: Time::ZERO, then, fast }
    }

    pub(crate) fn read(&self, at: Time) -> Instant {
        self.then + scaled(at.saturating_sub(self.since), 1_000_000 + self.fast, 1_000_000)
    }

    /// The first moment at which the clock shows `instant`.
    pub(crate) fn when(&self, instant: Instant) -> Time {
        let shown = instant.saturating_duration_since(self.then);
        self.since
            + scaled(shown, 1_000_000, 1_000_000 + self.fast)
            + Duration::from_nanos(u64::from(!shown.is_zero()))
    }

    /// If it stands still it goes on from now.
    pub(crate) fn go_on(&mut self, now: Time) {
        self.since = self.since.min(now);
    }

    /// From `from` until `to` it stood still.
    pub(crate) fn stood_still(&mut self, from: Time, to: Time) {
        *self = Clock { since: to, then: self.read(from), fast: self.fast };
    }
}

fn scaled(duration: Duration, by: i64, of: i64) -> Duration {
    let nanos =
        duration.as_nanos() * u128::try_from(by).expect("positive") / u128::try_from(of).expect("positive");
    Duration::from_nanos(u64::try_from(nanos).expect("less than centuries"))
}

#[test]
fn a_clock_that_is_fast_shows_a_moment_earlier_and_never_too_early() {
    let start = Instant::now();
    for fast in [-500, 0, 3, 500] {
        let clock = Clock::new(start, fast);
        for micros in [0, 1, 77, 50_000, 123_456_789] {
            let shown = start + Duration::from_micros(micros);
            assert!(clock.read(clock.when(shown)) >= shown, "{fast} {micros}");
        }
    }
    let mut clock = Clock::new(start, 0);
    clock.stood_still(Duration::from_secs(1), Duration::from_secs(5));
    assert_eq!(clock.read(Duration::from_secs(6)), start + Duration::from_secs(2));
}
