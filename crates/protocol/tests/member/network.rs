//! Who hears whom, and what becomes of a datagram on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::random::Random;

/// What happens to every datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) lost_per_mille: u32,
    pub(crate) doubled_per_mille: u32,
    /// Comes up to `late_by` later, and so after others that were sent after it.
    pub(crate) late_per_mille: u32,
    pub(crate) late_by: Duration,
}

pub(crate) const CALM: Weather =
    Weather { lost_per_mille: 0, doubled_per_mille: 0, late_per_mille: 0, late_by: Duration::ZERO };
pub(crate) const ROUGH: Weather = Weather {
    lost_per_mille: 30,
    doubled_per_mille: 50,
    late_per_mille: 50,
    late_by: Duration::from_millis(40),
};
/// Nothing is lost, and little comes in order.
pub(crate) const LATE: Weather = Weather {
    lost_per_mille: 0,
    doubled_per_mille: 20,
    late_per_mille: 300,
    late_by: Duration::from_millis(60),
};
pub(crate) const STORM: Weather = Weather {
    lost_per_mille: 200,
    doubled_per_mille: 20,
    late_per_mille: 20,
    late_by: Duration::from_millis(20),
};

const DELAY: [Duration; 2] = [Duration::from_micros(50), Duration::from_micros(800)];

#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) weather: Weather,
    /// On which side of a partition each node is.
    sides: Vec<usize>,
    /// From the first, nothing arrives at the second.
    cuts: BTreeSet<(usize, usize)>,
    /// The same, but nothing should come of it.
    broken: BTreeSet<(usize, usize)>,
}

impl Network {
    pub(crate) fn new(nodes: usize, weather: Weather) -> Network {
        Network { weather, sides: vec![0; nodes], cuts: BTreeSet::new(), broken: BTreeSet::new() }
    }

    pub(crate) fn hears(&self, from: usize, to: usize) -> bool {
        self.sides[from] == self.sides[to]
            && !self.cuts.contains(&(from, to))
            && !self.broken.contains(&(from, to))
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.cuts.is_empty() && self.sides.iter().all(|side| *side == self.sides[0])
    }

    pub(crate) fn partition(&mut self, sides: &[usize]) {
        for (side, new) in self.sides.iter_mut().zip(sides) {
            *side = *new;
        }
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.cuts.insert((from, to));
    }

    pub(crate) fn break_link(&mut self, from: usize, to: usize) {
        self.broken.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.broken.clear();
        self.cuts.clear();
        self.sides.fill(0);
    }

    /// How long a datagram is on its way, for each time that it arrives.
    pub(crate) fn deliveries(&self, from: usize, to: usize, random: &mut Random) -> [Option<Duration>; 2] {
        if !self.hears(from, to) || random.chance(self.weather.lost_per_mille) {
            return [None, None];
        }
        let again = random.chance(self.weather.doubled_per_mille).then(|| self.delay(random));
        [Some(self.delay(random)), again]
    }

    pub(crate) fn delay(&self, random: &mut Random) -> Duration {
        let usual = random.between(DELAY[0], DELAY[1]);
        if random.chance(self.weather.late_per_mille) {
            return usual + random.between(Duration::ZERO, self.weather.late_by);
        }
        usual
    }

    /// Nodes that hear each other directly or over others, of those that have a key. `None` for the rest.
    pub(crate) fn groups(&self, keys: &[Option<u32>]) -> Vec<Option<usize>> {
        if self.cuts.is_empty() {
            let mut first = BTreeMap::new();
            let group = |(who, key): (usize, &Option<u32>)| {
                key.map(|key| *first.entry((self.sides[who], key)).or_insert(who))
            };
            return keys.iter().enumerate().map(group).collect();
        }
        let mut groups: Vec<Option<usize>> = vec![None; keys.len()];
        for first in 0..keys.len() {
            if keys[first].is_none() || groups[first].is_some() {
                continue;
            }
            groups[first] = Some(first);
            let mut reached = vec![first];
            while let Some(from) = reached.pop() {
                for to in 0..keys.len() {
                    if groups[to].is_none() && keys[to] == keys[from] && self.is_mutual(from, to) {
                        groups[to] = Some(first);
                        reached.push(to);
                    }
                }
            }
        }
        groups
    }

    pub(crate) fn is_mutual(&self, one: usize, other: usize) -> bool {
        self.hears(one, other) && self.hears(other, one)
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.contains(&(from, to))
    }

    /// Whether some within one side do not hear each other.
    pub(crate) fn has_cuts(&self) -> bool {
        !self.cuts.is_empty()
    }
}
