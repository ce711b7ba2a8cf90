//! Numbers that only look random: the same seed gives the same run, on every machine.

use std::time::Duration;

pub(crate) use protocol::random::mix;

#[derive(Debug, Clone)]
pub(crate) struct Random(protocol::random::Random);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(protocol::random::Random::new(seed))
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0.draw()
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0.below(end)
    }

    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.draw() % 1000 < u64::from(per_mille)
    }

    pub(crate) fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let width = u64::try_from(to.saturating_sub(from).as_nanos()).expect("less than centuries");
        from + Duration::from_nanos(self.draw() % width.max(1))
    }

    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        self.between(Duration::from_millis(from), Duration::from_millis(to))
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.below(end + 1));
        }
    }
}
