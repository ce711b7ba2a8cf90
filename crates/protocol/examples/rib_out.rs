//! How long it takes to find and write what a neighbour is to be told: `cargo run --release -p protocol --example rib_out`.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use protocol::bgp::attribute::NextHop;
use protocol::bgp::prefix::Prefix;
use protocol::bgp::rib_out::{NextHops, Speaking};
use protocol::bgp::route::{Policy, Routes};
use protocol::bgp::update::Form;
use protocol::bgp::{Family, RibOut};

fn main() {
    for (count, policies) in [(10_000, 1), (10_000, 10_000), (100_000, 1), (100_000, 1_000)] {
        println!("{count} routes with {policies} policies");
        measure(count, policies);
    }
}

fn measure(count: u32, policies: u32) {
    let policies: Vec<_> =
        (0..policies).map(|med| Arc::new(Policy { med: Some(med), ..Policy::default() })).collect();
    let route = |number: u32| {
        let prefix = Prefix::new(Ipv4Addr::from_bits(0x0a00_0000 + number).into(), 32);
        (prefix.expect("a length of IPv4"), Arc::clone(&policies[number as usize % policies.len()]))
    };
    let all: Vec<_> = (0..count).map(route).collect();
    let first = Arc::new(Routes::new(all.clone()));
    let mut rib = RibOut::new(speaking());
    timed("first table, found", || rib.want(Arc::clone(&first)));
    timed("first table, written", || drain(&mut rib));
    let mut changed = all;
    changed[count as usize / 2].1 = Arc::new(Policy { med: Some(1_000_000), ..Policy::default() });
    let changed = Arc::new(Routes::new(changed));
    timed("one change, found", || rib.want(Arc::clone(&changed)));
    timed("one change, written", || drain(&mut rib));
    timed("refresh", || {
        rib.refresh(Family::IPV4_UNICAST);
        drain(&mut rib);
    });
    let next_hops = NextHops { ipv4: Some(NextHop::V4(Ipv4Addr::new(192, 0, 2, 2))), ipv6: None };
    timed("another next hop", || {
        rib.set_next_hops(next_hops);
        drain(&mut rib);
    });
    timed("all withdrawn", || {
        rib.want(Arc::default());
        drain(&mut rib);
    });
}

fn speaking() -> Speaking {
    Speaking {
        form: Form {
            is_external: true,
            has_four_octets: true,
            families: [Family::IPV4_UNICAST].into(),
            ..Form::default()
        },
        local_as: 64512,
        next_hops: NextHops { ipv4: Some(NextHop::V4(Ipv4Addr::new(192, 0, 2, 1))), ipv6: None },
        role: None,
        has_enhanced_refresh: true,
    }
}

fn drain(rib: &mut RibOut) {
    let (mut messages, mut bytes) = (0, 0);
    while let Some(message) = rib.poll() {
        messages += 1;
        bytes += message.len();
    }
    print!("{messages:>6} messages {bytes:>8} bytes ");
}

fn timed(what: &str, action: impl FnOnce()) {
    let started = Instant::now();
    action();
    println!("{what:>22}: {:>9.3} ms", started.elapsed().as_secs_f64() * 1e3);
}
