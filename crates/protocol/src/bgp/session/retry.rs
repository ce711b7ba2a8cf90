//! When to connect again: at once after the first loss, more and more seldom while it does not help.

use std::time::{Duration, Instant};

use crate::random::Random;

/// After a loss, so that not all neighbours of a router that has restarted come at the same moment.
const AT_ONCE: Duration = Duration::from_millis(100);
const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(60);
/// Who falls as soon after coming up would do so again.
const SHORT: Duration = Duration::from_secs(10);
/// After this all is forgiven.
const STABLE: Duration = Duration::from_secs(60);
/// Who tells too many prefixes does not change at once.
const TOO_MANY_PREFIXES: Duration = Duration::from_secs(60);
/// An attempt that has not come about by then does not any more.
const ATTEMPT: Duration = Duration::from_secs(10);
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Retry {
    random: Random,
    /// Of the settings.
    pub(super) interval: Option<Duration>,
    pub(super) at: Option<Instant>,
    /// Nobody is talked to before (RFC 4271, 8.1.1: the damping of peers that oscillate).
    pub(super) held_until: Option<Instant>,
    /// Attempts that came to nothing since the last session.
    failures: u32,
    /// Sessions that ended as they should not, one after the other.
    strikes: u32,
}

impl Retry {
    pub(super) fn new(seed: u64, interval: Option<Duration>, now: Instant) -> Retry {
        let random = Random::new(seed);
        Retry { random, interval, at: Some(now), held_until: None, failures: 0, strikes: 0 }
    }

    /// How long an attempt may take.
    pub(super) fn bound(&self) -> Duration {
        self.interval.map_or(ATTEMPT, |interval| interval.clamp(SHORTEST_ATTEMPT, ATTEMPT))
    }

    /// Somebody who knows better wants it.
    pub(super) fn at_once(&mut self, now: Instant) {
        *self = Retry::new(self.random.draw(), self.interval, now);
    }

    pub(super) fn never(&mut self) {
        (self.at, self.held_until) = (None, None);
    }

    /// Nothing came of an attempt that began `since` then.
    pub(super) fn after_failure(&mut self, since: Instant, now: Instant) {
        let growing = FIRST.saturating_mul(1 << self.failures.min(16)).min(LAST);
        self.failures += 1;
        let pause = self.jittered(self.interval.unwrap_or(growing));
        self.at = Some((since + pause).max(now));
    }

    /// A session is gone that had lived for so long.
    pub(super) fn after_loss(&mut self, lived: Duration, is_error: bool, now: Instant) {
        self.failures = 0;
        if lived >= STABLE {
            self.strikes = 0;
        }
        if is_error || lived < SHORT {
            self.strikes += 1;
        }
        if self.strikes <= 1 {
            let pause = AT_ONCE / 100 * self.random.below(101) as u32;
            self.at = Some(now + pause);
            return;
        }
        let growing = FIRST.saturating_mul(1 << (self.strikes - 2).min(16));
        let pause = self.jittered(growing.min(self.interval.unwrap_or(LAST)));
        self.hold(pause, now);
    }

    pub(super) fn after_too_many_prefixes(&mut self, now: Instant) {
        let pause = self.jittered(TOO_MANY_PREFIXES.max(self.interval.unwrap_or_default()));
        self.hold(pause, now);
    }

    /// The time between attempts is another one.
    pub(super) fn set_interval(&mut self, interval: Option<Duration>, now: Instant) {
        self.interval = interval;
        let longest = self.jittered(interval.unwrap_or(LAST));
        if !self.is_held(now) {
            self.at = self.at.map(|at| at.min(now + longest));
        }
    }

    pub(super) fn is_held(&self, now: Instant) -> bool {
        self.held_until.is_some_and(|until| until > now)
    }

    /// RFC 4271, 10.
    pub(super) fn jittered(&mut self, time: Duration) -> Duration {
        self.random.part_of(time, 75, 100)
    }

    fn hold(&mut self, pause: Duration, now: Instant) {
        (self.at, self.held_until) = (Some(now + pause), Some(now + pause));
    }
}
