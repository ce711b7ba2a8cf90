//! Numbers that look random and are the same for the same seed, so that every run can be repeated (SplitMix64). Not for secrets.

use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Less than `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound.max(1) as u64) as usize
    }

    /// Between these percents of a time.
    pub fn part_of(&mut self, time: Duration, from_percent: u32, to_percent: u32) -> Duration {
        let permille = from_percent * 10 + self.below(((to_percent - from_percent) * 10 + 1) as usize) as u32;
        time / 1000 * permille
    }
}

/// Spreads what is alike apart.
pub fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// As good as a random number, and always the same for the same bytes.
pub fn mix_bytes(seed: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(seed, |hash, byte| mix(hash ^ u64::from(byte)))
}
