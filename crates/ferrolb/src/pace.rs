//! How fast writes go out: so many at once, none while the server is in trouble, each Service by itself.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use plan::snapshot::ServiceKey;

use crate::backoff::delay;
use crate::call::Failure;

const DELAY_MIN: Duration = Duration::from_millis(100);
/// One Service that cannot be written is tried again after this at the latest.
const SERVICE_DELAY_MAX: Duration = Duration::from_secs(30);
/// A server that does not answer is asked again after this at the latest.
const SERVER_DELAY_MAX: Duration = Duration::from_secs(5);

/// What a write tells about the server and the Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Fine,
    /// The server said no to this Service.
    ServiceTrouble,
    /// The server did not answer, or asks to be left alone for a while.
    ServerTrouble {
        retry_after: Option<Duration>,
    },
}

impl From<&Failure> for Outcome {
    fn from(failure: &Failure) -> Outcome {
        if failure.is_of_server() {
            Outcome::ServerTrouble { retry_after: failure.retry_after }
        } else {
            Outcome::ServiceTrouble
        }
    }
}

#[derive(Debug)]
pub(crate) struct Pace {
    at_once: usize,
    in_flight: usize,
    /// In a row. While there are any, one write at a time finds out whether the server is back.
    server_failures: u32,
    paused_until: Option<Instant>,
    service_failures: HashMap<ServiceKey, u32>,
    held_back: BinaryHeap<Reverse<(Instant, ServiceKey)>>,
}

impl Pace {
    /// With so many writes on the way at once.
    pub(crate) fn new(at_once: usize) -> Pace {
        Pace {
            at_once,
            in_flight: 0,
            server_failures: 0,
            paused_until: None,
            service_failures: HashMap::new(),
            held_back: BinaryHeap::new(),
        }
    }

    pub(crate) fn may_begin(&self, now: Instant) -> bool {
        let at_once = if self.server_failures > 0 { 1 } else { self.at_once };
        self.in_flight < at_once && self.paused_until.is_none_or(|until| until <= now)
    }

    pub(crate) fn begun(&mut self) {
        // It is over, and nobody is to be woken up for it any more.
        self.paused_until = None;
        self.in_flight += 1;
    }

    /// Whether the Service is held back, and comes again from [`due`](Pace::due).
    pub(crate) fn ended(&mut self, key: &ServiceKey, outcome: Outcome, now: Instant) -> bool {
        self.in_flight -= 1;
        let until = match outcome {
            Outcome::Fine => {
                self.server_failures = 0;
                self.service_failures.remove(key);
                return false;
            }
            Outcome::ServiceTrouble => {
                self.server_failures = 0;
                let failures = self.service_failures.entry(key.clone()).or_default();
                *failures += 1;
                now + delay(*failures, DELAY_MIN, SERVICE_DELAY_MAX)
            }
            Outcome::ServerTrouble { retry_after } => {
                self.server_failures += 1;
                let wait = delay(self.server_failures, DELAY_MIN, SERVER_DELAY_MAX);
                let wait = wait.max(retry_after.unwrap_or_default());
                let until = now + wait;
                self.paused_until = self.paused_until.max(Some(until));
                until
            }
        };
        self.held_back.push(Reverse((until, key.clone())));
        true
    }

    /// Not before this time.
    pub(crate) fn hold_back(&mut self, key: ServiceKey, until: Instant) {
        self.held_back.push(Reverse((until, key)));
    }

    /// Those that may be written again.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<ServiceKey> {
        let mut due = Vec::new();
        while let Some(Reverse((until, _))) = self.held_back.peek()
            && *until <= now
        {
            due.extend(self.held_back.pop().map(|Reverse((_, key))| key));
        }
        due
    }

    /// When to look again, if nothing happens before.
    pub(crate) fn deadline(&self, has_ready: bool) -> Option<Instant> {
        let held_back = self.held_back.peek().map(|Reverse((until, _))| *until);
        let paused = self.paused_until.filter(|_| has_ready);
        [held_back, paused].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: usize = 48;

    fn key(name: &str) -> ServiceKey {
        ServiceKey::new("default", name)
    }

    #[test]
    fn so_many_at_once_and_no_more() {
        let (mut pace, now) = (Pace::new(AT_ONCE), Instant::now());
        let begun = std::iter::from_fn(|| pace.may_begin(now).then(|| pace.begun())).take(1000).count();
        assert_eq!(begun, AT_ONCE);
        assert!(!pace.ended(&key("a"), Outcome::Fine, now));
        assert!(pace.may_begin(now));
    }

    #[test]
    fn a_service_in_trouble_holds_up_nobody_else() {
        let (mut pace, now) = (Pace::new(AT_ONCE), Instant::now());
        let mut last = Duration::ZERO;
        for failures in 1..=20 {
            pace.begun();
            assert!(pace.ended(&key("a"), Outcome::ServiceTrouble, now));
            assert!(pace.may_begin(now));
            let until = pace.deadline(false).unwrap();
            assert!(failures < 3 || until - now > last / 3, "it waits longer and longer");
            last = until - now;
            assert!(last <= SERVICE_DELAY_MAX);
            assert_eq!(pace.due(now), []);
            assert_eq!(pace.due(until), [key("a")]);
        }
        assert!(last >= SERVICE_DELAY_MAX / 2);
    }

    #[test]
    fn a_server_in_trouble_is_left_alone_and_then_asked_by_one() {
        let (mut pace, now) = (Pace::new(AT_ONCE), Instant::now());
        pace.begun();
        pace.begun();
        let retry_after = Some(Duration::from_secs(7));
        assert!(pace.ended(&key("a"), Outcome::ServerTrouble { retry_after }, now));
        assert!(pace.ended(&key("b"), Outcome::ServerTrouble { retry_after: None }, now));
        assert!(!pace.may_begin(now + Duration::from_millis(6999)), "it asked for seven seconds");
        let later = now + Duration::from_secs(7);
        assert_eq!(pace.due(later), [key("b"), key("a")]);
        assert_eq!(pace.deadline(true), Some(later));
        assert_eq!(pace.deadline(false), None);
        assert!(pace.may_begin(later));
        pace.begun();
        assert!(!pace.may_begin(later), "one finds out");
        pace.ended(&key("a"), Outcome::Fine, later);
        pace.begun();
        assert!(pace.may_begin(later));
    }
}
