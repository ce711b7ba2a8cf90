//! What is sent, put into a capture, is read by tshark without a complaint. Skipped, and said so, where there is no tshark.

use std::io::Write;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::process::Command;

use protocol::bgp::attribute::{NextHop, Outgoing};
use protocol::bgp::capability::{AddPath, GracefulRestart, Role};
use protocol::bgp::notification::{Notification, cease};
use protocol::bgp::prefix::{Path, Prefix};
use protocol::bgp::update::{Form, write as update};
use protocol::bgp::{Capability, Family, Open, RouteRefresh, write};

use crate::neighbour::plain;

const FAMILIES: [Family; 2] = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];

#[test]
fn tshark_has_nothing_to_complain_of() {
    if Command::new("tshark").arg("--version").output().is_err() {
        // Past the harness, which swallows what a test that passes prints.
        let _ = writeln!(std::io::stderr(), "skipped: there is no tshark");
        return;
    }
    let file = Capture::write(&messages());
    let fields = ["_ws.malformed", "_ws.expert.message", "_ws.expert.severity", "bgp.type"];
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(&file.0).args(["-T", "fields", "-E", "separator=|"]);
    for field in fields {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().expect("tshark runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), messages().len());
    for (line, (what, _)) in lines.iter().zip(messages()) {
        let parts: Vec<&str> = line.split('|').collect();
        assert_eq!(parts[0], "", "{what}: {line}");
        // That a NOTIFICATION ends a session is worth a remark to it; nothing is worth a warning but that.
        assert!(parts[1].is_empty() || what.contains("NOTIFICATION"), "{what}: {line}");
        assert!(!parts[3].is_empty(), "{what} is not seen: {line}");
    }
}

fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let open = Open {
        autonomous_system: 4_200_000_001,
        hold_secs: 90,
        router_id: [192, 0, 2, 1].into(),
        capabilities: vec![
            Capability::Multiprotocol(Family::IPV4_UNICAST),
            Capability::Multiprotocol(Family::IPV6_UNICAST),
            Capability::RouteRefresh,
            Capability::EnhancedRouteRefresh,
            Capability::ExtendedMessage,
            Capability::FourOctetAs(4_200_000_001),
            Capability::ExtendedNextHop(vec![(Family::IPV4_UNICAST, 2)]),
            Capability::Role(Role::Customer),
            Capability::GracefulRestart(GracefulRestart {
                has_restarted: true,
                after_notification: true,
                seconds: 120,
                families: FAMILIES.map(|family| (family, true)).to_vec(),
            }),
            Capability::AddPath(vec![(Family::IPV4_UNICAST, AddPath { receives: true, sends: true })]),
            Capability::HostName { host: "node-a".into(), domain: String::new() },
        ],
    };
    let mut all = vec![("OPEN", write::open(&open)), ("KEEPALIVE", write::keep_alive())];
    for family in FAMILIES {
        all.push(("ROUTE-REFRESH", write::route_refresh(RouteRefresh::Request(family))));
        all.push(("End-of-RIB", update::end_of_rib(family)));
    }
    let shutdown = Notification::cease(cease::ADMINISTRATIVE_SHUTDOWN, "moving to node-b");
    all.push(("NOTIFICATION with text", write::notification(&shutdown)));
    all.push(("NOTIFICATION for good", write::notification(&Notification::hard_reset(&shutdown))));
    let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let link_local = Some(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
    for (what, family, next_hop) in [
        ("UPDATE of IPv4", Family::IPV4_UNICAST, NextHop::V4([192, 0, 2, 1].into())),
        ("UPDATE of IPv6", Family::IPV6_UNICAST, NextHop::V6 { global, link_local: None }),
        ("UPDATE with two next hops", Family::IPV6_UNICAST, NextHop::V6 { global, link_local }),
        ("UPDATE of IPv4 over IPv6", Family::IPV4_UNICAST, NextHop::V6 { global, link_local: None }),
    ] {
        let form = Form { has_four_octets: true, families: FAMILIES.into(), ..Form::default() };
        let paths = paths(family, 700);
        all.extend(update::announce(family, &rich(next_hop), &paths, &form).into_iter().map(|it| (what, it)));
        all.extend(
            update::withdraw(family, &paths, &form).into_iter().map(|it| ("UPDATE that withdraws", it)),
        );
    }
    all
}

fn rich(next_hop: NextHop) -> Outgoing {
    Outgoing {
        as_path: vec![4_200_000_001, 64512],
        med: Some(7),
        local_preference: Some(100),
        communities: vec![0xffff_0000, 64512 << 16 | 1],
        extended_communities: vec![[0x40, 4, 0xfc, 0, 0x4b, 0x3e, 0xbc, 0x20]],
        large_communities: vec![[64512, 1, 2]],
        only_to_customer: Some(64512),
        ..plain(next_hop)
    }
}

fn paths(family: Family, count: u16) -> Vec<Path> {
    let prefix = |number: u16| {
        let [high, low] = number.to_be_bytes();
        match family {
            Family::IPV4_UNICAST => Prefix::new([203, 0, high, low].into(), 32),
            _ => Prefix::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number).into(), 128),
        }
    };
    (0..count).map(|number| Path { id: None, prefix: prefix(number).unwrap() }).collect()
}

/// A file that is gone afterwards.
struct Capture(PathBuf);

impl Capture {
    /// Each message as a packet of one TCP connection to port 179.
    fn write(messages: &[(&str, Vec<u8>)]) -> Capture {
        let file = Capture(std::env::temp_dir().join(format!("ferrolb-bgp-{}.pcap", std::process::id())));
        // Version 2.4, whole packets, of IP without any link.
        let mut pcap = 0xa1b2_c3d4u32.to_le_bytes().to_vec();
        pcap.extend_from_slice(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        pcap.extend_from_slice(&u32::from(u16::MAX).to_le_bytes());
        pcap.extend_from_slice(&101u32.to_le_bytes());
        let mut sequence = 1;
        for (at, (_, message)) in messages.iter().enumerate() {
            let builder = etherparse::PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
                .tcp(40_000, 179, sequence, 65_000)
                .ack(1)
                .psh();
            let mut packet = Vec::new();
            builder.write(&mut packet, message).expect("it fits");
            sequence += message.len() as u32;
            for number in [at as u32, 0, packet.len() as u32, packet.len() as u32] {
                pcap.extend_from_slice(&number.to_le_bytes());
            }
            pcap.extend_from_slice(&packet);
        }
        std::fs::write(&file.0, pcap).expect("a temporary file");
        file
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
