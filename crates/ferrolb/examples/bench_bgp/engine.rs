//! Our engine alone, without a cluster.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ferrolb::bgp::{Bgp, Distance, Endpoint, Neighbour, Options, Password, Security};
use protocol::bgp::capability::Family;
use protocol::bgp::prefix::Prefix;
use protocol::bgp::route::{Policy, Routes};
use protocol::bgp::session::{RemoteAs, Settings};

use super::ear::{ASN, PORT};

pub(crate) const OWN_ASN: u32 = 64_500;
const FIRST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
/// What its thread is called.
const THREAD: &str = "bgp";

/// In the namespace of this thread.
pub(crate) fn start(listen: Vec<std::net::SocketAddr>) -> std::io::Result<Bgp> {
    ferrolb::bgp::start(Options { node: "bench".to_owned(), listen }).map_err(std::io::Error::other)
}

pub(crate) fn prefix(number: usize) -> Prefix {
    let address = Ipv4Addr::from_bits(FIRST.to_bits() + number as u32);
    Prefix::new(address.into(), 32).expect("no more bits than an address has")
}

/// So many, which all say the same.
pub(crate) fn routes(count: usize) -> Arc<Routes> {
    let policy = Arc::new(Policy::default());
    Arc::new(Routes::new((0..count).map(|number| (prefix(number), Arc::clone(&policy))).collect()))
}

/// One that is connected to.
pub(crate) fn neighbour(at: Ipv4Addr, asn: u32, routes: &Arc<Routes>) -> Neighbour {
    Neighbour {
        name: at.to_string().into(),
        endpoint: Endpoint::Address(at.into()),
        port: PORT,
        source: None,
        vrf: String::new(),
        distance: Distance::Any,
        security: Security::Md5(Password::default()),
        dscp: 48,
        obstacle: None,
        router_id: None,
        settings: Settings {
            local_as: OWN_ASN,
            router_as: OWN_ASN,
            remote_as: RemoteAs::Number(asn),
            router_id: Ipv4Addr::UNSPECIFIED,
            hold_secs: 90,
            keepalive_secs: 30,
            connect_retry: Some(Duration::from_secs(1)),
            families: [Family::IPV4_UNICAST].into(),
            offers_extended_next_hop: false,
            graceful_restart: None,
            has_restarted: false,
            role: None,
            is_passive: false,
            max_prefixes: None,
            hostname: String::new(),
        },
        routes: Some(Arc::clone(routes)),
    }
}

pub(crate) fn neighbours(addresses: &[Ipv4Addr], routes: &Arc<Routes>) -> Vec<Neighbour> {
    addresses.iter().map(|at| neighbour(*at, ASN, routes)).collect()
}

/// What its thread has computed so far.
pub(crate) fn processor_seconds() -> anyhow::Result<f64> {
    let mut nanos = 0.0;
    for task in std::fs::read_dir("/proc/self/task")?.flatten() {
        let read = |file| std::fs::read_to_string(task.path().join(file));
        // A thread may end meanwhile.
        let Ok(name) = read("comm") else { continue };
        if name.trim() == THREAD {
            let spent = read("schedstat")?;
            nanos += spent.split(' ').next().context("schedstat")?.parse::<f64>()?;
        }
    }
    Ok(nanos / 1e9)
}
