//! What is wanted of a neighbour. What of it can change under an established session is decided where it is agreed on.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::bgp::capability::{Family, Role};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What the neighbour sees: in OPEN, and in the path of every route.
    pub local_as: u32,
    /// This node's own number: by it a neighbour that is merely to be internal or external is judged.
    pub router_as: u32,
    pub remote_as: RemoteAs,
    pub router_id: Ipv4Addr,
    /// Zero: sessions are not kept alive, and never expire.
    pub hold_secs: u16,
    /// At most: a third of the negotiated hold time if that is less, or if this is zero.
    pub keepalive_secs: u16,
    /// Between attempts to connect. Without it they are made ever more seldom.
    pub connect_retry: Option<Duration>,
    /// What is offered: exactly these.
    pub families: BTreeSet<Family>,
    /// That IPv4 routes may have a next hop of IPv6 (RFC 8950): over link-local addresses they must.
    pub offers_extended_next_hop: bool,
    pub graceful_restart: Option<Restart>,
    /// The process has just started, and the neighbour may have kept what the one before it said.
    pub has_restarted: bool,
    /// Towards an external neighbour (RFC 9234).
    pub role: Option<LocalRole>,
    /// Waits for the neighbour to connect.
    pub is_passive: bool,
    /// How many prefixes of one family the neighbour may tell before the session ends.
    pub max_prefixes: Option<u32>,
    /// For people on the other side; nothing is said if it is empty.
    pub hostname: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteAs {
    Number(u32),
    /// The same as this node's.
    Internal,
    /// Any other.
    External,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// How long the neighbour may keep routes of a session that is gone.
    pub secs: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalRole {
    pub role: Role,
    /// A neighbour that says nothing of its own is refused.
    pub is_strict: bool,
}

impl Settings {
    /// How often to say that this side is there, after both have agreed on a hold time.
    pub(super) fn keepalive(&self, hold_secs: u16) -> Option<Duration> {
        let third = Duration::from_secs(hold_secs.into()) / 3;
        let wanted = match self.keepalive_secs {
            0 => third,
            secs => Duration::from_secs(secs.into()),
        };
        (hold_secs > 0).then(|| wanted.min(third))
    }
}
