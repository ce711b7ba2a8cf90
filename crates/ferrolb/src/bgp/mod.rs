//! BGP: sessions with routers, on one thread of its own that neither reconciling nor a slow neighbour holds up.
//!
//! What is said is decided by [`protocol::bgp`], one [`Session`](protocol::bgp::session::Session) for each neighbour; here are
//! the thread and its sockets. Whoever uses it tells all [neighbours](Neighbour) there are to be, each time, and the difference
//! is done.
//!
//! * `thread` is the loop, `peer` one neighbour with its connections, `connection` one of those.
//! * `socket` is what TCP is asked for; `listener` hears neighbours that connect; `lighthouse` finds those that have no address.
//! * `interfaces` are this node's addresses; `configured` is what a BGPPeer comes to.
//! * `view` is what can be asked, `report` how it is written, `metrics` what is counted.

mod configured;
mod connection;
mod interfaces;
mod lighthouse;
mod listener;
mod metrics;
mod peer;
mod report;
mod socket;
#[cfg(test)]
mod tests;
mod thread;
mod view;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use ipnet::IpNet;
use protocol::bgp::route::Routes;
use protocol::bgp::session::{Settings, Stop};

pub use configured::neighbour;
pub use metrics::Metrics;
pub use socket::{Distance, Password, Security};
pub use view::{PeerView, RouteView, Seen, router};

use thread::Command;

/// What could grow here, and how far.
pub const LIMITS: Limits = Limits { neighbours: 4096, of_range: 1024 };

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub neighbours: usize,
    /// That connect from the addresses of one range.
    pub of_range: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The name of this node, from which a router id comes if it has no IPv4 address.
    pub node: String,
    /// Where neighbours can connect to. Nowhere: this side connects, always.
    pub listen: Vec<SocketAddr>,
}

/// Somebody to have a session with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Of the resource that it comes from.
    pub name: Arc<str>,
    pub endpoint: Endpoint,
    pub port: u16,
    pub source: Option<IpAddr>,
    /// Empty: none.
    pub vrf: String,
    pub distance: Distance,
    pub security: Security,
    /// Of the packets of its sessions.
    pub dscp: u8,
    /// `None`: that of the connection's own address, or its interface's.
    pub router_id: Option<Ipv4Addr>,
    /// The router id in it is not looked at.
    pub settings: Settings,
    /// Why there can be no session, as far as is known here already.
    pub obstacle: Option<String>,
    /// `None`: not known yet. What was told before stays, and of what is told first this is not the end.
    pub routes: Option<Arc<Routes>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Address(IpAddr),
    /// Whoever is found there.
    Interface(String),
    /// Whoever connects from there.
    Range(IpNet),
}

/// Starts the thread. It ends with the handle.
pub fn start(options: Options) -> anyhow::Result<Bgp> {
    Ok(Bgp { running: thread::start(options).context("starting BGP")? })
}

/// The running thread.
#[derive(Debug)]
pub struct Bgp {
    running: thread::Running,
}

impl Bgp {
    /// All there are to be.
    pub fn set(&self, neighbours: Vec<Neighbour>) {
        self.running.tell(Command::Set(neighbours));
    }

    /// What can be asked about it.
    pub fn seen(&self) -> Seen {
        Seen::of(self.running.teller())
    }

    /// Ends all sessions in this way, and waits until the neighbours have been told, or will not listen.
    pub fn end(self, how: Stop) {
        self.running.tell(Command::End(how));
    }
}

/// For a node without any IPv4 address: CRC-32 of its name, the least octet first.
fn fallback_router_id(node: &str) -> Ipv4Addr {
    let mut crc = u32::MAX;
    for byte in node.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc = (crc >> 1) ^ (0xedb8_8320 * carry);
        }
    }
    // Zero means nothing to anybody.
    Ipv4Addr::from(match !crc {
        0 => 1_u32.to_le_bytes(),
        crc => crc.to_le_bytes(),
    })
}
