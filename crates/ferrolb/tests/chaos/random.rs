//! Choices that can be made again from their seed.

use std::hash::{BuildHasher, RandomState};

pub(crate) struct Random(protocol::random::Random);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(protocol::random::Random::new(seed))
    }

    pub(crate) fn seed() -> u64 {
        RandomState::new().hash_one(0)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.draw() % bound
    }
}
