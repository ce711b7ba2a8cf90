//! Which numbers of a pool are taken, with "the first that is not" as one lookup.
//!
//! A number is the ordinal of an address in its [`AddressSpace`](crate::range::AddressSpace). Nothing here
//! costs more for a large pool than for a small one.

use std::collections::{BTreeMap, HashMap};

use crate::range::low_bits;
use crate::snapshot::ServicePort;

/// A set of numbers as merged, inclusive intervals: start to end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Intervals {
    ends: BTreeMap<u128, u128>,
    count: usize,
}

impl Intervals {
    /// `number` must not be in the set.
    pub(super) fn insert(&mut self, number: u128) {
        let (mut start, mut end) = (number, number);
        if let Some((&before, &before_end)) = self.ends.range(..number).next_back()
            && before_end + 1 == number
        {
            start = before;
        }
        if let Some(after) = number.checked_add(1)
            && let Some(after_end) = self.ends.remove(&after)
        {
            end = after_end;
        }
        self.ends.insert(start, end);
        self.count += 1;
    }

    /// `number` must be in the set.
    pub(super) fn remove(&mut self, number: u128) {
        let Some((&start, &end)) = self.ends.range(..=number).next_back() else { return };
        if start == number {
            self.ends.remove(&start);
        } else {
            self.ends.insert(start, number - 1);
        }
        if number < end {
            self.ends.insert(number + 1, end);
        }
        self.count -= 1;
    }

    /// `None` only if every number there is has been taken.
    pub(super) fn first_absent(&self) -> Option<u128> {
        match self.ends.first_key_value() {
            Some((0, end)) => end.checked_add(1),
            _ => Some(0),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }
}

/// The addresses of one pool and family that carry one sharing key, and the ports taken on them.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedAddresses {
    addresses: CountedSet,
    taken: HashMap<ServicePort, CountedSet>,
}

impl SharedAddresses {
    pub(super) fn add_address(&mut self, number: u128) {
        self.addresses.insert(number);
    }

    pub(super) fn remove_address(&mut self, number: u128) {
        self.addresses.remove(number);
    }

    pub(super) fn take_port(&mut self, number: u128, port: &ServicePort) {
        match self.taken.get_mut(port) {
            Some(taken) => taken.insert(number),
            None => self.taken.entry(port.clone()).or_default().insert(number),
        }
    }

    pub(super) fn free_port(&mut self, number: u128, port: &ServicePort) {
        if let Some(taken) = self.taken.get_mut(port) {
            taken.remove(number);
            if taken.is_empty() {
                self.taken.remove(port);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// The lowest address on which none of `ports` is taken.
    ///
    /// Each port in turn skips, in O(log n), all addresses that it cannot use. So one port costs one such
    /// step however many Services carry it; with several ports the number of steps is the number of times
    /// that the reason for a "no" changes from one port to another on the way.
    pub(super) fn first_open(&self, ports: &[ServicePort]) -> Option<u128> {
        let untaken = CountedSet::default();
        let mut candidate = self.addresses.first_not_in(&untaken, 0)?;
        loop {
            let before = candidate;
            for port in ports {
                let taken = self.taken.get(port).unwrap_or(&untaken);
                candidate = self.addresses.first_not_in(taken, candidate)?;
            }
            if candidate == before {
                return Some(candidate);
            }
        }
    }
}

/// A set of numbers that knows how many it has in every aligned power-of-two block: a binary tree in a map.
///
/// Where a subset has fewer in a block than its superset, the block holds a number that only the superset
/// has. That finds the first such number by one walk down the tree, without looking at any other.
#[derive(Debug, Clone, Default)]
struct CountedSet {
    /// By level and number of the block: block `b` of level `l` is the numbers that shifted right by `l` give `b`.
    blocks: HashMap<(u32, u128), usize>,
    /// Levels below this one are in `blocks`; from here on, block 0 is the whole set.
    height: u32,
    count: usize,
}

impl CountedSet {
    /// `number` must not be in the set.
    fn insert(&mut self, number: u128) {
        let needed_height = u128::BITS - number.leading_zeros();
        if needed_height > self.height {
            if self.count > 0 {
                self.blocks.extend((self.height..needed_height).map(|level| ((level, 0), self.count)));
            }
            self.height = needed_height;
        }
        for level in 0..self.height {
            *self.blocks.entry((level, number >> level)).or_default() += 1;
        }
        self.count += 1;
    }

    /// `number` must be in the set.
    fn remove(&mut self, number: u128) {
        for level in 0..self.height {
            let block = (level, number >> level);
            if let Some(count) = self.blocks.get_mut(&block) {
                *count -= 1;
                if *count == 0 {
                    self.blocks.remove(&block);
                }
            }
        }
        self.count -= 1;
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The smallest number of this set from `from` on that is not in `subset`.
    fn first_not_in(&self, subset: &CountedSet, from: u128) -> Option<u128> {
        self.first_not_in_block(subset, from, (self.height, 0))
    }

    fn first_not_in_block(
        &self,
        subset: &CountedSet,
        from: u128,
        (level, block): (u32, u128),
    ) -> Option<u128> {
        let last_number = block.checked_shl(level).unwrap_or(0) | low_bits(level);
        if last_number < from || self.count_in(level, block) == subset.count_in(level, block) {
            return None;
        }
        if level == 0 {
            return Some(block);
        }
        let halves = [block * 2, block * 2 + 1];
        halves.into_iter().find_map(|half| self.first_not_in_block(subset, from, (level - 1, half)))
    }

    fn count_in(&self, level: u32, block: u128) -> usize {
        match (level >= self.height, block) {
            (true, 0) => self.count,
            (true, _) => 0,
            (false, _) => self.blocks.get(&(level, block)).copied().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const EDGES: [u128; 4] = [u128::MAX, u128::MAX - 1, 1 << 127, (1 << 64) - 1];

    /// Mostly neighbours, now and then a number at the far end.
    fn number() -> impl Strategy<Value = u128> {
        prop_oneof![6 => 0_u128..24, 1 => proptest::sample::select(&EDGES[..])]
    }

    proptest! {
        #[test]
        fn intervals_are_a_set(toggles in proptest::collection::vec(number(), 0..80)) {
            let (mut intervals, mut model) = (Intervals::default(), BTreeSet::new());
            for number in toggles {
                if model.insert(number) {
                    intervals.insert(number);
                } else {
                    model.remove(&number);
                    intervals.remove(number);
                }
                prop_assert_eq!(intervals.count(), model.len());
                prop_assert_eq!(intervals.first_absent(), (0..).find(|number| !model.contains(number)));
            }
        }

        #[test]
        fn the_first_open_address_is_the_one_that_a_walk_finds(
            toggles in proptest::collection::vec((number(), 0_i32..4), 0..80),
            wanted in proptest::collection::vec(0_i32..4, 0..3),
        ) {
            let port = |port| ServicePort { protocol: "TCP".to_owned(), port };
            let mut shared = SharedAddresses::default();
            let mut model: BTreeMap<u128, BTreeSet<i32>> = BTreeMap::new();
            for (number, toggled) in toggles {
                if !model.contains_key(&number) {
                    shared.add_address(number);
                }
                let taken = model.entry(number).or_default();
                if taken.insert(toggled) {
                    shared.take_port(number, &port(toggled));
                } else {
                    taken.remove(&toggled);
                    shared.free_port(number, &port(toggled));
                }
                if taken.is_empty() {
                    model.remove(&number);
                    shared.remove_address(number);
                }
                let ports: Vec<ServicePort> = wanted.iter().copied().map(port).collect();
                let expected = model.iter().find(|(_, taken)| wanted.iter().all(|port| !taken.contains(port)));
                prop_assert_eq!(shared.first_open(&ports), expected.map(|(&number, _)| number));
                prop_assert_eq!(shared.is_empty(), model.is_empty());
            }
        }
    }
}
