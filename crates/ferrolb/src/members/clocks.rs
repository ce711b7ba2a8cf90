//! Whether the machine slept: one of its clocks stands still meanwhile.

use std::time::{Duration, Instant};

use crate::layer2::time_since_boot;

/// Both clocks are read within this, or what lies between them says nothing.
const AT_ONCE: Duration = Duration::from_micros(200);
const TRIES: usize = 3;
/// Less is no sleep.
const LEAST: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub(super) struct Clocks {
    /// How far apart they were, relative to the first look.
    first: Option<(Duration, Instant)>,
    apart: Duration,
}

impl Clocks {
    /// For how long, since it was last asked.
    pub(super) fn slept(&mut self) -> Option<Duration> {
        let (boot, now) = both()?;
        let (first_boot, first) = *self.first.get_or_insert((boot, now));
        self.part(boot.saturating_sub(first_boot), now.saturating_duration_since(first))
    }

    fn part(&mut self, with_sleep: Duration, without: Duration) -> Option<Duration> {
        let apart = with_sleep.saturating_sub(without);
        let slept = apart.saturating_sub(self.apart);
        if slept < LEAST {
            return None;
        }
        self.apart = apart;
        Some(slept)
    }
}

fn both() -> Option<(Duration, Instant)> {
    (0..TRIES).find_map(|_| {
        let before = Instant::now();
        let boot = time_since_boot();
        let after = Instant::now();
        (after - before <= AT_ONCE).then_some((boot, after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_told_once() {
        let mut clocks = Clocks::default();
        let ms = Duration::from_millis;
        for (with_sleep, without, slept) in [
            (0, 0, None),
            (1000, 999, None),
            (5000, 2000, Some(3000)),
            (6000, 3000, None),
            (7005, 4000, None),
            (9000, 5500, Some(500)),
        ] {
            assert_eq!(clocks.part(ms(with_sleep), ms(without)), slept.map(ms), "{with_sleep} {without}");
        }
    }

    #[test]
    fn clocks_of_a_machine_that_is_awake_go_alike() {
        let mut clocks = Clocks::default();
        assert_eq!((clocks.slept(), clocks.slept()), (None, None));
    }
}
