//! Whatever datagrams come from whomever: nobody without the key is answered or becomes a candidate, and nothing grows.
#![no_main]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use protocol::Machine;
use protocol::member::{Detection, Input, Isolated, Key, Members, Options, Output};

fuzz_target!(|datagrams: Vec<(u16, u8, Vec<u8>)>| {
    let mut now = Instant::now();
    let address = |last: u8| SocketAddr::from(([192, 0, 2, last], 7946));
    let options = Options {
        name: "one".into(),
        address: address(1),
        generation: 1,
        detection: Detection::default(),
        isolated: Isolated::Keep,
        key: Key::new([7; 32]),
        seed: 7,
    };
    let mut members = Members::new(options, now);
    members.handle(Input::Peers(BTreeSet::new()), now);
    members.handle(Input::Ready(true), now);
    for (pause_millis, from, mut bytes) in datagrams {
        now += Duration::from_millis(u64::from(pause_millis) % 5000);
        members.handle_timeout(now);
        while members.poll().is_some() {}
        // So that not every one of them is of another key.
        let id = Key::new([7; 32]).id();
        if bytes.len() > 5 && bytes[0] & 1 == 1 {
            bytes[0] = 1;
            bytes[1..5].copy_from_slice(&id);
        }
        members.receive(address(from), &bytes, now);
        let answered = std::iter::from_fn(|| members.poll()).any(|output| matches!(output, Output::Send { .. }));
        assert!(!answered);
        assert!(members.state().members.is_empty());
        assert!(members.state().candidates().iter().all(|name| &**name == "one"));
    }
});
