//! What membership costs a network and a processor when nothing is wrong.

use std::time::Duration;

use super::plans;
use super::running::nodes;
use super::world::{World, first_start};

const BEGUN: Duration = Duration::from_secs(10);
const MEASURED: Duration = Duration::from_secs(10);
/// Sent and received, with the headers of IP and UDP.
const KILOBITS: f64 = 100.0;
/// Of one core.
const BUSY: f64 = 0.01;

#[test]
#[ignore = "takes minutes"]
fn five_hundred_nodes_cost_little() {
    let mut setup = plans::setup(1, nodes().unwrap_or(500), 1000);
    setup.is_timed = true;
    let mut world = World::new(setup);
    first_start(&mut world);
    world.run(BEGUN);
    let before: Vec<_> = world.speakers.iter().map(|speaker| speaker.traffic).collect();
    world.run(BEGUN + MEASURED);
    assert!(world.violation.is_none(), "{:?}", world.violation);
    let spent = |of: fn(&super::speaker::Traffic) -> f64| {
        let each =
            world.speakers.iter().zip(&before).map(|(speaker, before)| of(&speaker.traffic) - of(before));
        let each: Vec<f64> = each.map(|amount| amount / MEASURED.as_secs_f64()).collect();
        (each.iter().sum::<f64>() / each.len() as f64, each.iter().copied().fold(0.0, f64::max))
    };
    let (mean, most) = spent(|traffic| traffic.bytes as f64 * 8.0 / 1000.0);
    let (busy, busiest) = spent(|traffic| traffic.busy.as_secs_f64());
    let (datagrams, _) = spent(|traffic| (traffic.datagrams_sent + traffic.datagrams_received) as f64);
    let longest = world.speakers.iter().map(|speaker| speaker.traffic.longest).max().unwrap_or(0);
    println!(
        "{} nodes: {mean:.1} kbit/s for each, at most {most:.1}; {datagrams:.1} datagrams/s, the longest has {longest} bytes; \
         {:.3} % of a core, at most {:.3} %",
        world.speakers.len(),
        busy * 100.0,
        busiest * 100.0
    );
    assert!(most <= KILOBITS, "{most:.1} kbit/s");
    // Without optimisation, and beside other tests, a processor's time says little.
    assert!(cfg!(debug_assertions) || busy <= BUSY, "{:.2} % of a core", busy * 100.0);
}
