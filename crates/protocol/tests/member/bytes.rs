//! Whatever bytes come from whomever: nothing breaks, nobody is answered, and who is a candidate stays.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use protocol::Machine;
use protocol::member::{Input, LIMITS, Name, Output};

use super::plans::setup;
use super::speaker::address_of;
use super::world::{World, first_start};

/// Three nodes that know each other, and what they have said.
fn three() -> World {
    let mut world = World::new(setup(1, 3, 4));
    world.is_overheard = true;
    first_start(&mut world);
    world.run(Duration::from_secs(5));
    assert!(world.violation.is_none() && world.overheard.len() > 100);
    world
}

/// Hands `bytes` to the first node. What it thinks of the others afterwards, and what it has to say.
fn told(world: &mut World, from: SocketAddr, bytes: &[u8]) -> (BTreeSet<Name>, Vec<Output>) {
    let speaker = &mut world.speakers[0];
    let members = speaker.members.as_mut().expect("it runs");
    members.handle(Input::Datagram { from, bytes: bytes.to_vec() }, speaker.clock.read(world.now));
    let outputs = std::iter::from_fn(|| members.poll()).collect();
    (members.state().candidates().clone(), outputs)
}

fn nothing_comes_of(bytes: &[&[u8]], world: &mut World) {
    let before = world.speakers[0].members.as_ref().expect("it runs").state().candidates().clone();
    assert_eq!(before.len(), 3);
    for from in [address_of(1), address_of(0), address_of(77)] {
        for bytes in bytes {
            let (after, outputs) = told(world, from, bytes);
            assert_eq!(after, before);
            assert!(
                !outputs.iter().any(|output| matches!(output, Output::Send { .. })),
                "answered: {outputs:?}"
            );
        }
    }
}

#[test]
fn no_datagram_is_longer_than_stated() {
    let world = three();
    assert!(world.overheard.iter().all(|(_, _, bytes)| bytes.len() <= LIMITS.datagram));
}

#[test]
fn every_truncation_and_every_flipped_bit_is_dropped() {
    let mut world = three();
    let heard: Vec<Rc<[u8]>> =
        world.overheard.iter().rev().take(30).map(|(.., bytes)| Rc::clone(bytes)).collect();
    for bytes in heard {
        for length in 0..bytes.len() {
            nothing_comes_of(&[&bytes[..length]], &mut world);
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            nothing_comes_of(&[&flipped], &mut world);
        }
    }
}

#[test]
fn everything_that_was_said_to_a_node_can_be_said_again() {
    let mut world = three();
    let to_it = world.overheard.iter().filter(|(_, to, _)| *to == address_of(0));
    let heard: Vec<Rc<[u8]>> = to_it.map(|(.., bytes)| Rc::clone(bytes)).collect();
    for bytes in &heard {
        nothing_comes_of(&[bytes], &mut world);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes(datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1600), 0..40)) {
        let mut world = three();
        let datagrams: Vec<&[u8]> = datagrams.iter().map(Vec::as_slice).collect();
        nothing_comes_of(&datagrams, &mut world);
    }

    #[test]
    fn parts_of_datagrams_put_together(places in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..60)) {
        let mut world = three();
        let heard: Vec<Rc<[u8]>> = world.overheard.iter().map(|(.., bytes)| Rc::clone(bytes)).collect();
        for pair in places.windows(2) {
            let (one, other) = (pair[0].0.get(&heard), pair[1].0.get(&heard));
            let both = [&one[..pair[0].1.index(one.len())], &other[pair[1].1.index(other.len())..]].concat();
            if heard.iter().all(|bytes| bytes[..] != both[..]) {
                nothing_comes_of(&[&both], &mut world);
            }
        }
    }
}
