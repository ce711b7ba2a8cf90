//! What a BGPPeer comes to on this node.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use plan::config::{self, Peer, PeerEndpoint, RemoteAsn};
use protocol::bgp::capability::Family;
use protocol::bgp::route::Routes;
use protocol::bgp::session::{LocalRole, RemoteAs, Restart, Settings};

use super::socket::CS6;
use super::{Distance, Endpoint, Neighbour, Password, Security};

/// RFC 4271, 10.
const HOLD_SECS: u16 = 90;
/// As FRR's, which users of graceful restart have had so far.
const RESTART_SECS: u16 = 120;

/// `routes` are not known yet, or all there are.
pub fn neighbour(peer: &Peer, node: &str, routes: Option<Arc<Routes>>) -> Neighbour {
    let range = |address| IpNet::new(address, peer.extras.prefix_length?).ok();
    let endpoint = match &peer.endpoint {
        PeerEndpoint::Address(address) => {
            range(*address).map_or(Endpoint::Address(*address), |range| Endpoint::Range(range.trunc()))
        }
        PeerEndpoint::Interface(name) => Endpoint::Interface(name.clone()),
    };
    Neighbour {
        name: peer.name.as_str().into(),
        port: peer.port,
        source: peer.source_address,
        vrf: peer.vrf.clone(),
        distance: distance(peer),
        security: match &peer.extras.tcp_ao {
            Some(ao) => Security::Ao { key: password(&ao.key), id: ao.key_id, algorithm: ao.algorithm },
            None => Security::Md5(password(&peer.password)),
        },
        dscp: peer.extras.dscp.unwrap_or(CS6),
        router_id: peer.router_id.and_then(|id| match id {
            IpAddr::V4(id) => Some(id),
            // It parses, and means nothing.
            IpAddr::V6(_) => None,
        }),
        settings: settings(peer, &endpoint, node),
        obstacle: unread(peer.extras.tcp_ao.as_ref().map_or(&peer.password, |ao| &ao.key)),
        endpoint,
        routes,
    }
}

fn settings(peer: &Peer, endpoint: &Endpoint, node: &str) -> Settings {
    let secs = |time: Duration| u16::try_from(time.as_secs()).unwrap_or(u16::MAX);
    let is_unnumbered = matches!(endpoint, Endpoint::Interface(_));
    let both = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];
    let families = match endpoint {
        _ if peer.dual_stack || is_unnumbered => both.into(),
        Endpoint::Address(IpAddr::V6(_)) | Endpoint::Range(IpNet::V6(_)) => {
            BTreeSet::from([Family::IPV6_UNICAST])
        }
        _ => BTreeSet::from([Family::IPV4_UNICAST]),
    };
    let has_ipv6 = matches!(endpoint, Endpoint::Address(IpAddr::V6(_)) | Endpoint::Range(IpNet::V6(_)));
    let is_over_ipv6 = is_unnumbered || has_ipv6;
    Settings {
        local_as: peer.local_asn.unwrap_or(peer.my_asn),
        router_as: peer.my_asn,
        remote_as: match peer.remote_asn {
            RemoteAsn::Number(number) => RemoteAs::Number(number),
            RemoteAsn::Internal => RemoteAs::Internal,
            RemoteAsn::External => RemoteAs::External,
        },
        // Of the connection, if none is configured.
        router_id: std::net::Ipv4Addr::UNSPECIFIED,
        hold_secs: peer.timers.map_or(HOLD_SECS, |timers| secs(timers.hold)),
        keepalive_secs: peer.timers.map_or(HOLD_SECS / 3, |timers| secs(timers.keepalive)),
        connect_retry: peer.connect_time,
        offers_extended_next_hop: is_over_ipv6 && families.contains(&Family::IPV4_UNICAST),
        families,
        graceful_restart: peer.graceful_restart.then_some(Restart { secs: RESTART_SECS }),
        has_restarted: false,
        role: peer.extras.role.map(|role| LocalRole { role, is_strict: false }),
        is_passive: peer.extras.is_passive || matches!(endpoint, Endpoint::Range(_)),
        max_prefixes: peer.extras.max_prefixes,
        hostname: node.to_owned(),
    }
}

fn distance(peer: &Peer) -> Distance {
    if let Some(hops) = peer.extras.ttl_security_hops {
        return Distance::AtMost(hops);
    }
    let is_internal = match peer.remote_asn {
        RemoteAsn::Number(number) => number == peer.my_asn,
        RemoteAsn::Internal => true,
        RemoteAsn::External => false,
    };
    if is_internal || peer.ebgp_multi_hop { Distance::Any } else { Distance::Link }
}

/// A Secret that this speaker is not to read.
fn unread(password: &config::Password) -> Option<String> {
    match password {
        config::Password::Secret { reference, value: None } => Some(format!(
            "its password is in Secret {}/{}, which --frrk8s-secret-passthrough keeps from being read",
            reference.namespace, reference.name
        )),
        _ => None,
    }
}

fn password(password: &config::Password) -> Password {
    Password(match password {
        config::Password::None => String::new(),
        config::Password::Literal(text) => text.clone(),
        config::Password::Secret { value, .. } => value.clone().unwrap_or_default(),
    })
}
