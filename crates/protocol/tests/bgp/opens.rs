//! What is said of capabilities is read alike.

use bytes::Bytes;
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::capabilities::{self as theirs, BgpCapability};
use netgauze_bgp_pkt::iana::BgpRoleValue;
use netgauze_bgp_pkt::open::{BgpOpenMessage, BgpOpenMessageParameter};
use netgauze_iana::address_family::AddressFamily;
use proptest::prelude::*;
use protocol::bgp::capability::{AddPath, GracefulRestart, LongLived, Role};
use protocol::bgp::update::Form;
use protocol::bgp::{Capability, Family, Message, Open, frame, write};
use rustbgpd_wire as wire;

use crate::{netgauze, rustbgpd};

fn role() -> impl Strategy<Value = Role> {
    let all = [Role::Provider, Role::RouteServer, Role::RouteServerClient, Role::Customer, Role::Peer];
    prop::sample::select(all.to_vec())
}

/// All that this crate sends, and what it reads besides.
fn capability() -> impl Strategy<Value = Capability> {
    let family = || prop::sample::select(vec![Family::IPV4_UNICAST, Family::IPV6_UNICAST]);
    let few = 1..3usize;
    let mode = prop::sample::select(vec![(true, false), (false, true), (true, true)]);
    let restart = (
        any::<bool>(),
        any::<bool>(),
        0..4096u16,
        prop::collection::vec((family(), any::<bool>()), few.clone()),
    );
    let long_lived = prop::collection::vec((family(), any::<bool>(), 0..1u32 << 24), few.clone());
    prop_oneof![
        family().prop_map(Capability::Multiprotocol),
        Just(Capability::RouteRefresh),
        Just(Capability::ExtendedMessage),
        Just(Capability::EnhancedRouteRefresh),
        Just(Capability::ExtendedNextHop(vec![(Family::IPV4_UNICAST, 2)])),
        role().prop_map(Capability::Role),
        restart.prop_map(|(has_restarted, after_notification, seconds, families)| {
            Capability::GracefulRestart(GracefulRestart {
                has_restarted,
                after_notification,
                seconds,
                families,
            })
        }),
        prop::collection::vec((family(), mode), few).prop_map(|all| {
            let with = |(family, (receives, sends))| (family, AddPath { receives, sends });
            Capability::AddPath(all.into_iter().map(with).collect())
        }),
        long_lived.prop_map(|all| {
            let with = |(family, forwards, seconds)| LongLived { family, forwards, seconds };
            Capability::LongLivedGracefulRestart(all.into_iter().map(with).collect())
        }),
        ("[a-z]{1,63}", "[a-z.]{0,63}").prop_map(|(host, domain)| Capability::HostName { host, domain }),
    ]
}

fn open() -> impl Strategy<Value = Open> {
    let hold = prop_oneof![Just(0u16), 3..=u16::MAX];
    let number = prop_oneof![1..65536u32, 1..=u32::MAX];
    (number, hold, 1..=0xdfff_ffffu32, prop::collection::vec(capability(), 0..12)).prop_map(
        |(autonomous_system, hold_secs, id, mut capabilities)| {
            capabilities.push(Capability::FourOctetAs(autonomous_system));
            Open { autonomous_system, hold_secs, router_id: id.into(), capabilities }
        },
    )
}

proptest! {
    #[test]
    fn an_open_is_read_alike(open in open()) {
        let bytes = write::open(&open);
        let wire::Message::Open(theirs) = rustbgpd::message(&bytes, &Form::default()) else { panic!("it is no OPEN") };
        prop_assert_eq!((theirs.four_byte_as(), theirs.hold_time, theirs.bgp_identifier), (open.autonomous_system, open.hold_secs, open.router_id));
        prop_assert_eq!(&theirs.capabilities, &open.capabilities.iter().map(to_rustbgpd).collect::<Vec<_>>());
        // It does not know lengths of two octets (RFC 9072).
        let is_known = bytes.len() < 19 + 10 + 255 && !has_odd_role(&open);
        if is_known {
            let BgpMessage::Open(theirs) = netgauze::message(&bytes, &Form::default()) else { panic!("it is no OPEN") };
            prop_assert_eq!((theirs.my_asn4(), theirs.hold_time(), theirs.bgp_id()), (open.autonomous_system, open.hold_secs, open.router_id));
            let found: Vec<BgpCapability> = theirs.capabilities().into_iter().cloned().collect();
            prop_assert_eq!(found, open.capabilities.iter().map(to_netgauze).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_open_that_others_write_is_read_as_they_mean_it(open in open()) {
        let my_as = u16::try_from(open.autonomous_system).unwrap_or(23456);
        let theirs = wire::OpenMessage {
            version: 4,
            my_as,
            hold_time: open.hold_secs,
            bgp_identifier: open.router_id,
            capabilities: open.capabilities.iter().map(to_rustbgpd).collect(),
        };
        let bytes = wire::encode_message(&wire::Message::Open(theirs)).unwrap();
        prop_assert_eq!(&read(&bytes), &open);

        if !has_odd_role(&open) {
            // One parameter for each, as old speakers do it.
            let one = |it: &Capability| BgpOpenMessageParameter::new_capabilities(vec![to_netgauze(it)]);
            let parameters: Vec<_> = open.capabilities.iter().map(one).collect();
            let theirs = BgpOpenMessage::new(my_as, open.hold_secs, open.router_id, parameters);
            let bytes = netgauze::bytes(&BgpMessage::Open(theirs));
            if bytes.len() < 19 + 10 + 255 {
                prop_assert_eq!(&read(&bytes), &open);
            }
        }
    }
}

fn read(bytes: &[u8]) -> Open {
    match Message::read(frame(bytes, 4096).unwrap().unwrap(), &Form::default()).unwrap() {
        Message::Open(open) => open,
        other => panic!("{other:?}"),
    }
}

/// RFC 9234, 4.1 counts provider, route server, its client, customer, peer; netgauze has the customer second.
fn has_odd_role(open: &Open) -> bool {
    let is_odd = |it: &Capability| {
        matches!(it, Capability::Role(Role::RouteServer | Role::RouteServerClient | Role::Customer))
    };
    open.capabilities.iter().any(is_odd)
}

fn to_rustbgpd(capability: &Capability) -> wire::Capability {
    let of = rustbgpd::family_of;
    match capability {
        Capability::Multiprotocol(family) => {
            let (afi, safi) = of(*family);
            wire::Capability::MultiProtocol { afi, safi }
        }
        Capability::RouteRefresh => wire::Capability::RouteRefresh,
        Capability::EnhancedRouteRefresh => wire::Capability::EnhancedRouteRefresh,
        Capability::ExtendedMessage => wire::Capability::ExtendedMessage,
        Capability::FourOctetAs(asn) => wire::Capability::FourOctetAs { asn: *asn },
        Capability::Role(role) => wire::Capability::Role {
            role: match role {
                Role::Provider => wire::BgpRole::Provider,
                Role::RouteServer => wire::BgpRole::RouteServer,
                Role::RouteServerClient => wire::BgpRole::RouteServerClient,
                Role::Customer => wire::BgpRole::Customer,
                Role::Peer => wire::BgpRole::Peer,
            },
        },
        Capability::ExtendedNextHop(all) => {
            let with = |(family, afi): &(Family, u16)| {
                let (nlri_afi, nlri_safi) = of(*family);
                let next_hop_afi = wire::Afi::from_u16(*afi).unwrap();
                wire::ExtendedNextHopFamily { nlri_afi, nlri_safi, next_hop_afi }
            };
            wire::Capability::ExtendedNextHop(all.iter().map(with).collect())
        }
        Capability::GracefulRestart(restart) => wire::Capability::GracefulRestart {
            restart_state: restart.has_restarted,
            notification: restart.after_notification,
            restart_time: restart.seconds,
            families: restart
                .families
                .iter()
                .map(|(family, forwarding_preserved)| {
                    let (afi, safi) = of(*family);
                    wire::GracefulRestartFamily { afi, safi, forwarding_preserved: *forwarding_preserved }
                })
                .collect(),
        },
        Capability::AddPath(all) => {
            let with = |(family, mode): &(Family, AddPath)| {
                let (afi, safi) = of(*family);
                let mode = u8::from(mode.receives) | u8::from(mode.sends) << 1;
                wire::AddPathFamily { afi, safi, send_receive: wire::AddPathMode::from_u8(mode).unwrap() }
            };
            wire::Capability::AddPath(all.iter().map(with).collect())
        }
        Capability::LongLivedGracefulRestart(all) => {
            let with = |it: &LongLived| {
                let (afi, safi) = of(it.family);
                wire::LlgrFamily { afi, safi, forwarding_preserved: it.forwards, stale_time: it.seconds }
            };
            wire::Capability::LongLivedGracefulRestart(all.iter().map(with).collect())
        }
        // It does not know this one.
        Capability::HostName { host, domain } => {
            let mut data = vec![host.len() as u8];
            data.extend_from_slice(host.as_bytes());
            data.push(domain.len() as u8);
            data.extend_from_slice(domain.as_bytes());
            wire::Capability::Unknown { code: 73, data: data.into() }
        }
        Capability::Other { code, value } => {
            wire::Capability::Unknown { code: *code, data: Bytes::copy_from_slice(value) }
        }
    }
}

fn to_netgauze(capability: &Capability) -> BgpCapability {
    let of = netgauze::type_of;
    match capability {
        Capability::Multiprotocol(family) => BgpCapability::MultiProtocolExtensions(
            theirs::MultiProtocolExtensionsCapability::new(of(*family)),
        ),
        Capability::RouteRefresh => BgpCapability::RouteRefresh,
        Capability::EnhancedRouteRefresh => BgpCapability::EnhancedRouteRefresh,
        Capability::ExtendedMessage => BgpCapability::ExtendedMessage,
        Capability::FourOctetAs(number) => {
            BgpCapability::FourOctetAs(theirs::FourOctetAsCapability::new(*number))
        }
        Capability::Role(role) => BgpCapability::BgpRole(theirs::BgpRoleCapability::new(match role {
            Role::Provider => BgpRoleValue::Provider,
            Role::RouteServer => BgpRoleValue::RS,
            Role::RouteServerClient => BgpRoleValue::RsClient,
            Role::Customer => BgpRoleValue::Customer,
            Role::Peer => BgpRoleValue::Peer,
        })),
        Capability::ExtendedNextHop(all) => {
            let with = |(family, afi): &(Family, u16)| {
                theirs::ExtendedNextHopEncoding::new(of(*family), AddressFamily::try_from(*afi).unwrap())
            };
            let all: Vec<_> = all.iter().map(with).collect();
            BgpCapability::ExtendedNextHopEncoding(theirs::ExtendedNextHopEncodingCapability::new(all))
        }
        Capability::GracefulRestart(restart) => {
            let with = |(family, forwards): &(Family, bool)| {
                theirs::GracefulRestartAddressFamily::new(*forwards, of(*family))
            };
            let families: Vec<_> = restart.families.iter().map(with).collect();
            BgpCapability::GracefulRestartCapability(theirs::GracefulRestartCapability::new(
                restart.has_restarted,
                restart.after_notification,
                restart.seconds,
                families,
            ))
        }
        Capability::AddPath(all) => {
            let with = |(family, mode): &(Family, AddPath)| {
                theirs::AddPathAddressFamily::new(of(*family), mode.sends, mode.receives)
            };
            BgpCapability::AddPath(theirs::AddPathCapability::new(all.iter().map(with).collect::<Vec<_>>()))
        }
        Capability::LongLivedGracefulRestart(all) => {
            let with = |it: &LongLived| {
                theirs::LongLivedGracefulRestartAddressFamily::new(it.forwards, of(it.family), it.seconds)
            };
            let all: Vec<_> = all.iter().map(with).collect();
            BgpCapability::LongLivedGracefulRestart(theirs::LongLivedGracefulRestartCapability::new(all))
        }
        Capability::HostName { host, domain } => {
            BgpCapability::Fqdn(theirs::FqdnCapability::new(host.as_str().into(), domain.as_str().into()))
        }
        Capability::Other { code, value } => {
            BgpCapability::Unrecognized(theirs::UnrecognizedCapability::new(*code, value.clone()))
        }
    }
}
