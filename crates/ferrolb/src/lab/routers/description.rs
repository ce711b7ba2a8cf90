//! What a router of a lab is told, whichever program it is.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::Kind;

/// A router and its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    pub asn: u32,
    pub router_id: Ipv4Addr,
    pub neighbours: Vec<Neighbour>,
    /// How many equally good ways it uses at once, if it has a kernel: GoBGP and ExaBGP have none.
    pub maximum_paths: u8,
    /// Prefixes that it tells of by itself.
    pub own: Vec<Own>,
    /// In its own language, at the end: of the router (FRR), the file (BIRD, GoBGP, ExaBGP).
    pub further: Vec<String>,
}

/// One session, as the router is to have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    pub at: At,
    pub asn: RemoteAsn,
    /// In place of the router's, for this neighbour alone.
    pub local_asn: Option<u32>,
    pub password: Option<String>,
    pub hold: Duration,
    /// ExaBGP always takes a third of what was agreed.
    pub keepalive: Duration,
    /// How long after an attempt the next one is made; ExaBGP has its own mind.
    pub connect_retry: Duration,
    /// Up to so many hops. Without it an external one is on the same segment; an internal one is anywhere in any case.
    pub multihop: Option<u8>,
    /// Packets must come from a neighbour on the same segment (RFC 5082).
    pub has_ttl_security: bool,
    /// It never connects by itself.
    pub is_passive: bool,
    pub families: Families,
    /// IPv4 prefixes with IPv6 next hops (RFC 8950). GoBGP always offers it, ExaBGP cannot.
    pub has_extended_next_hop: bool,
    /// Whether routes are kept while a neighbour that asked for it restarts.
    pub has_graceful_restart: bool,
    /// Its own address of the session.
    pub source: Option<IpAddr>,
    /// In its own language, about this neighbour.
    pub further: Vec<String>,
}

/// Where a neighbour is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    Address(IpAddr),
    /// The one other router on that interface, as its advertisements tell (BIRD needs to know its link-local address).
    Interface {
        name: String,
        link_local: Option<IpAddr>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteAsn {
    Is(u32),
    /// The same as this side's.
    Internal,
    /// Any other.
    External,
}

/// Whose prefixes are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Families {
    pub ipv4: bool,
    pub ipv6: bool,
}

/// A prefix of the router itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    pub prefix: String,
    pub attributes: Attributes,
}

/// What is told of a prefix, besides what follows from the session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    pub med: Option<u32>,
    /// Only internal neighbours hear of it.
    pub local_preference: Option<u32>,
    pub communities: Vec<(u16, u16)>,
    pub large_communities: Vec<[u32; 3]>,
}

impl Families {
    pub const IPV4: Families = Families { ipv4: true, ipv6: false };
    pub const IPV6: Families = Families { ipv4: false, ipv6: true };
    pub const BOTH: Families = Families { ipv4: true, ipv6: true };
}

impl Configuration {
    pub fn new(asn: u32, router_id: Ipv4Addr, neighbours: Vec<Neighbour>) -> Configuration {
        Configuration { asn, router_id, neighbours, maximum_paths: 64, own: Vec::new(), further: Vec::new() }
    }

    pub(super) fn checked(&self, kind: Kind) -> Result<(), String> {
        for neighbour in &self.neighbours {
            if !neighbour.families.ipv4 && !neighbour.families.ipv6 {
                return Err(format!("no family is exchanged with {}", neighbour.name()));
            }
            if kind == Kind::Bird && matches!(neighbour.at, At::Interface { link_local: None, .. }) {
                return Err(format!("BIRD must be told the address behind {}", neighbour.name()));
            }
        }
        Ok(())
    }
}

impl Neighbour {
    /// A neighbour on the same segment, with the prefixes of its address's family.
    pub fn new(address: IpAddr, asn: RemoteAsn) -> Neighbour {
        let families = if address.is_ipv4() { Families::IPV4 } else { Families::IPV6 };
        Neighbour::at(At::Address(address), asn, families)
    }

    /// A neighbour at the other end of a cable, with all prefixes.
    pub fn on(interface: &str, link_local: Option<IpAddr>, asn: RemoteAsn) -> Neighbour {
        let at = At::Interface { name: interface.to_owned(), link_local };
        Neighbour { has_extended_next_hop: true, ..Neighbour::at(at, asn, Families::BOTH) }
    }

    fn at(at: At, asn: RemoteAsn, families: Families) -> Neighbour {
        Neighbour {
            at,
            asn,
            local_asn: None,
            password: None,
            hold: Duration::from_secs(9),
            keepalive: Duration::from_secs(3),
            connect_retry: Duration::from_secs(1),
            multihop: None,
            has_ttl_security: false,
            is_passive: false,
            families,
            has_extended_next_hop: false,
            has_graceful_restart: false,
            source: None,
            further: Vec::new(),
        }
    }

    /// Whether it is in the same AS as a router of this one.
    pub(super) fn is_internal(&self, asn: u32) -> bool {
        let own = self.local_asn.unwrap_or(asn);
        match self.asn {
            RemoteAsn::Is(asn) => asn == own,
            RemoteAsn::Internal => true,
            RemoteAsn::External => false,
        }
    }

    /// As it is called in questions and answers.
    pub fn name(&self) -> String {
        match &self.at {
            At::Address(address) => address.to_string(),
            At::Interface { name, .. } => name.clone(),
        }
    }
}
