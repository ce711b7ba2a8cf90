//! Whatever frames come: nothing is sent for what is not ours, and nothing grows.
#![no_main]

use std::sync::Arc;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use protocol::Machine;
use protocol::l2::{Counters, Input, Interface, Interfaces, MacAddress, Options, Output, Responder};

const OURS: [&str; 2] = ["192.0.2.7", "2001:db8::7"];
const STATION: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xa0]);

fuzz_target!(|frames: Vec<(u16, Vec<u8>)>| {
    let mut now = Instant::now();
    let options = Options { refresh: Some(Duration::from_secs(60)), seed: 7 };
    let mut responder = Responder::new(options, Arc::new(Counters::default()), now);
    let link_local = Some("fe80::a0".parse().expect("an address"));
    let name = "eth0".to_owned();
    let eth0 = Interface { index: 2, name, station: STATION, link_local, running: true, arp: true, ndp: true };
    responder.handle(Input::Interface(eth0), now);
    for address in OURS {
        let address = address.parse().expect("an address");
        let announce = Input::Announce { address, interfaces: Interfaces::All, probe: false, counters: Arc::default() };
        responder.handle(announce, now);
    }
    while responder.poll().is_some() {}
    for (pause_millis, frame) in frames {
        now += Duration::from_millis(pause_millis.into());
        responder.handle_timeout(now);
        responder.receive(2, &frame, now);
        let outputs: Vec<Output> = std::iter::from_fn(|| responder.poll()).collect();
        assert!(outputs.len() <= 16);
        for output in outputs {
            if let Output::Send { interface, frame } = output {
                assert_eq!(interface, 2);
                let bytes = frame.bytes();
                assert_eq!(bytes[6..12], STATION.0);
                let is_ours = bytes[28..32] == [192, 0, 2, 7] || bytes[62..78] == "2001:db8::7".parse::<std::net::Ipv6Addr>().expect("an address").octets();
                assert!(is_ours, "{frame:?}");
            }
        }
    }
});
