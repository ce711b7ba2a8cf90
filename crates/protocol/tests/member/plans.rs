//! Scenarios drawn from a seed: how many nodes, what they are told, and what goes wrong when.

use std::time::Duration;

use protocol::member::{Detection, Isolated};

use super::attacks::{Attack, KINDS};
use super::clock::Time;
use super::network::{CALM, LATE, ROUGH, STORM};
use super::random::Random;
use super::scenario::{Fault, Restart};
use super::world::Setup;

/// When all have started and know each other.
const BEGUN: Duration = Duration::from_secs(5);
/// After the last fault, until everything has been looked at.
const REST: Duration = Duration::from_secs(4);

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) setup: Setup,
    pub(crate) faults: Vec<(Time, Fault)>,
    pub(crate) until: Time,
    /// An attacker listens from the beginning.
    pub(crate) is_overheard: bool,
}

pub(crate) fn setup(seed: u64, nodes: usize, addresses: usize) -> Setup {
    Setup {
        seed,
        nodes,
        addresses,
        detection: Detection::default(),
        isolated: Isolated::Keep,
        weather: CALM,
        knows_all: true,
        drift: 200,
        doubles: 0,
        strangers: 0,
        is_timed: false,
    }
}

/// Anything may happen, at any time, also at once.
pub(crate) fn anything(seed: u64, nodes: Option<usize>) -> Plan {
    let random = &mut Random::new(seed);
    let nodes = nodes.unwrap_or_else(|| random.pick(&[1, 2, 2, 3, 3, 3, 4, 5, 6, 8, 12]));
    let mut setup = setup(seed, nodes, 16);
    setup.knows_all = random.chance(700);
    setup.isolated = if random.chance(300) { Isolated::Yield } else { Isolated::Keep };
    setup.detection = random.pick(&[(50, 3), (50, 3), (50, 3), (10, 3), (200, 3), (100, 5)].map(detection));
    let mut faults = Vec::new();
    let mut at = BEGUN + random.millis(0, 500);
    for _ in 0..2 + random.below(8) {
        faults.push((at, fault(nodes, random)));
        at += if random.chance(500) { random.millis(0, 400) } else { random.millis(400, 3000) };
    }
    at += random.millis(0, 4000);
    faults.push((at, Fault::Heal));
    faults.push((at, Fault::Weather(CALM)));
    Plan { setup, faults, until: at + REST, is_overheard: false }
}

fn detection((interval, multiplier): (u64, u8)) -> Detection {
    Detection { interval: Duration::from_millis(interval), multiplier }
}

fn fault(nodes: usize, random: &mut Random) -> Fault {
    let who = random.below(nodes);
    let other = (who + 1 + random.below(nodes.max(2) - 1)) % nodes;
    let length = if random.chance(500) { random.millis(50, 600) } else { random.millis(600, 5000) };
    match random.below(20) {
        0..3 => Fault::Crash(who),
        3..6 => {
            let how = [
                Restart::Plain,
                Restart::Plain,
                Restart::Backwards,
                Restart::Elsewhere,
                Restart::InPlaceOf(other),
            ];
            Fault::Restart { who, how: random.pick(&how) }
        }
        6 | 7 => Fault::Freeze(who, length),
        8 | 9 => Fault::Starve(who, length),
        10 => Fault::Suspend(who, length),
        11 => Fault::Leave(who),
        12 => Fault::Drain(who, random.chance(500)),
        13 => Fault::Ready(who, random.chance(600)),
        14 | 15 => Fault::Partition((0..nodes).map(|_| random.below(3)).collect()),
        16 if other != who => Fault::Cut(who, other),
        17 => Fault::Weather(random.pick(&[CALM, ROUGH, STORM])),
        _ => Fault::Heal,
    }
}

/// One owner falls silent while nothing else is wrong, and comes back if it still runs.
pub(crate) fn one_failure(seed: u64, nodes: usize, detection: Detection) -> Plan {
    let random = &mut Random::new(seed);
    let mut setup = setup(seed, nodes, 4 * nodes);
    setup.detection = detection;
    let who = random.below(nodes);
    let length = random.millis(500, 4000);
    let fault = match random.below(4) {
        0 => Fault::Crash(who),
        1 => Fault::Freeze(who, length),
        2 => Fault::Starve(who, length),
        _ => Fault::Partition((0..nodes).map(|node| usize::from(node == who)).collect()),
    };
    let at = BEGUN + random.millis(0, 1000);
    let faults = vec![(at, fault), (at + length, Fault::Heal)];
    Plan { setup, faults, until: at + length + REST, is_overheard: false }
}

/// Every node is busy and datagrams are lost, for minutes. Nothing may move.
pub(crate) fn load(seed: u64, nodes: usize, lasts: Duration) -> Plan {
    let random = &mut Random::new(seed);
    let mut setup = setup(seed, nodes, 16);
    setup.drift = 500;
    let until = BEGUN + lasts;
    // A pause nearly as long as it takes to be missed, and lost beats before and after it, nobody could forgive.
    let (weather, longest) = random.pick(&[(CALM, 140), (LATE, 110), (ROUGH, 80), (STORM, 60), (STORM, 0)]);
    let mut faults = vec![(BEGUN, Fault::Weather(weather))];
    if longest > 0 {
        faults.push((BEGUN, Fault::Hiccups(Duration::from_millis(longest), until)));
    }
    Plan { setup, faults, until, is_overheard: false }
}

/// Somebody without a key sends what he has heard, and what he makes of it.
pub(crate) fn attacked(seed: u64) -> Plan {
    let random = &mut Random::new(seed);
    let setup = setup(seed, random.pick(&[2, 3, 5]), 16);
    let mut faults = Vec::new();
    let mut at = BEGUN;
    for _ in 0..40 {
        faults.push((
            at,
            Fault::Attack(Attack { kind: random.pick(&KINDS), datagrams: 1 + random.below(200) }),
        ));
        at += random.millis(0, 500);
    }
    Plan { setup, faults, until: at + REST, is_overheard: true }
}

/// As before, and nodes start anew meanwhile: what was said to their predecessors must not do.
pub(crate) fn attacked_while_restarting(seed: u64) -> Plan {
    let mut plan = attacked(seed);
    let random = &mut Random::new(seed ^ 1);
    for _ in 0..3 {
        let who = random.below(plan.setup.nodes);
        let how = random.pick(&[Restart::Plain, Restart::Backwards, Restart::Elsewhere]);
        plan.faults.push((BEGUN + random.millis(0, 8000), Fault::Restart { who, how }));
    }
    plan
}

/// Every node is given a new key, in any order, some of them twice.
pub(crate) fn rotation(seed: u64) -> Plan {
    let random = &mut Random::new(seed);
    let nodes = random.pick(&[2, 3, 5, 8]);
    let mut faults = Vec::new();
    let mut at = BEGUN;
    for key in 1..=2 {
        let mut order: Vec<usize> = (0..nodes).collect();
        random.shuffle(&mut order);
        for who in order {
            faults.push((at, Fault::Key(who, key)));
            at += random.millis(0, 1500);
        }
        at += Duration::from_secs(5);
    }
    Plan { setup: setup(seed, nodes, 16), faults, until: at + REST, is_overheard: false }
}

/// A second node has the name of a first one, and one has another key.
pub(crate) fn impostors(seed: u64) -> Plan {
    let random = &mut Random::new(seed);
    let mut setup = setup(seed, random.pick(&[2, 3, 5]), 16);
    setup.doubles = random.below(2);
    setup.strangers = 1 - setup.doubles;
    Plan { setup, faults: Vec::new(), until: BEGUN + Duration::from_secs(10), is_overheard: false }
}

/// Of many nodes one fails, then a tenth; then the network falls in three, and heals.
pub(crate) fn many(seed: u64, nodes: usize, addresses: usize) -> Plan {
    let random = &mut Random::new(seed);
    let mut setup = setup(seed, nodes, addresses);
    setup.isolated = Isolated::Keep;
    let mut order: Vec<usize> = (0..nodes).collect();
    random.shuffle(&mut order);
    let mut faults = vec![(BEGUN, Fault::Crash(order[0]))];
    let mut at = BEGUN + Duration::from_secs(2);
    for who in &order[1..nodes / 10] {
        faults.push((at + random.millis(0, 10), Fault::Crash(*who)));
    }
    at += Duration::from_secs(3);
    faults.push((at, Fault::Partition((0..nodes).map(|_| random.below(3)).collect())));
    at += Duration::from_secs(3);
    faults.push((at, Fault::Heal));
    Plan { setup, faults, until: at + REST, is_overheard: false }
}

/// Two nodes do not hear each other, or one not the other; all others do. Nothing may move.
pub(crate) fn one_broken_link(seed: u64) -> Plan {
    let random = &mut Random::new(seed);
    let nodes = random.pick(&[3, 4, 5, 8]);
    let one = random.below(nodes);
    let other = (one + 1 + random.below(nodes - 1)) % nodes;
    let mut faults = vec![(BEGUN, Fault::Break(one, other))];
    if random.chance(500) {
        faults.push((BEGUN, Fault::Break(other, one)));
    }
    let until = BEGUN + Duration::from_secs(20);
    Plan { setup: setup(seed, nodes, 16), faults, until, is_overheard: false }
}
