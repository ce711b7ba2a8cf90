//! Which cluster IPs and node ports are taken, and what one write takes and gives back.
//! Which number is next follows from what was taken before, so that a test replays exactly.

use super::model::{IPV4, IPV6};
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// From where cluster IPs and node ports are taken.
#[derive(Debug, Clone)]
pub struct Ranges {
    /// One network, or one of each family; the first is the primary.
    pub networks: Vec<Network>,
    /// Ports on every node.
    pub node_ports: RangeInclusive<u16>,
}

/// A network of cluster IPs, such as `10.96.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: u128,
    prefix: u8,
    is_ipv6: bool,
}

/// What is taken at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allocations {
    addresses: BTreeSet<IpAddr>,
    ports: BTreeSet<u16>,
    latest_ipv4: Option<IpAddr>,
    latest_ipv6: Option<IpAddr>,
    latest_port: Option<u16>,
}

/// What a prepared write took, to be undone if the write fails, and what it gives back, which stays taken until then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Reservation {
    taken: Vec<Item>,
    returned: Vec<Item>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    Address(IpAddr),
    Port(u16),
}

impl Network {
    /// The network of an address and the length of its prefix, unless the length is impossible or leaves no host.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let is_ipv6 = address.is_ipv6();
        let bits = if is_ipv6 { 128 } else { 32 };
        let host_bits = u32::from(bits - prefix.min(bits));
        if prefix > bits || host_bits < 2 {
            return None;
        }
        let address = number(address);
        let first = if host_bits >= 128 { 0 } else { address >> host_bits << host_bits };
        Some(Self { first, prefix, is_ipv6 })
    }

    pub(super) fn family(self) -> &'static str {
        if self.is_ipv6 { IPV6 } else { IPV4 }
    }

    /// The addresses for Services: the network's own is none of them, and for IPv4 nor is the broadcast address.
    fn hosts(self) -> RangeInclusive<u128> {
        let bits: u32 = if self.is_ipv6 { 128 } else { 32 };
        let host_bits = bits - u32::from(self.prefix);
        let size_less_one = if host_bits >= 128 { u128::MAX } else { (1 << host_bits) - 1 };
        let last = self.first + size_less_one - u128::from(!self.is_ipv6);
        self.first + 1..=last
    }

    fn address(self, number: u128) -> IpAddr {
        if self.is_ipv6 {
            return Ipv6Addr::from(number).into();
        }
        Ipv4Addr::from(u32::try_from(number).unwrap_or_default()).into()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(self.first), self.prefix)
    }
}

impl Ranges {
    /// The first address that a Service can have. By custom it is the API server's own.
    pub fn first_address(&self) -> Option<IpAddr> {
        self.networks.first().map(|network| network.address(*network.hosts().start()))
    }

    pub(super) fn has(&self, family: &str) -> bool {
        self.network(family).is_some()
    }

    pub(super) fn primary_family(&self) -> &'static str {
        self.networks.first().map_or(IPV4, |network| network.family())
    }

    pub(super) fn is_dual_stack(&self) -> bool {
        self.has(IPV4) && self.has(IPV6)
    }

    fn network(&self, family: &str) -> Option<Network> {
        self.networks.iter().copied().find(|network| network.family() == family)
    }
}

impl Allocations {
    pub(super) fn insert(&mut self, item: Item) -> bool {
        match item {
            Item::Address(address) => self.addresses.insert(address.to_canonical()),
            Item::Port(port) => self.ports.insert(port),
        }
    }

    pub(super) fn remove(&mut self, item: Item) -> bool {
        match item {
            Item::Address(address) => self.addresses.remove(&address.to_canonical()),
            Item::Port(port) => self.ports.remove(&port),
        }
    }
}

impl Reservation {
    /// Makes free what the object no longer holds, because it is stored.
    pub fn complete(self, allocations: &mut Allocations) {
        for item in self.returned {
            allocations.remove(item);
        }
    }

    /// Makes free what the object would have held, because it was not stored after all.
    pub fn undo(self, allocations: &mut Allocations) {
        for item in self.taken {
            allocations.remove(item);
        }
    }
}

/// Where one write takes and returns things. What it returns stays taken until the write is complete.
#[derive(Debug)]
pub(super) struct Counter<'a> {
    pub(super) ranges: &'a Ranges,
    allocations: &'a mut Allocations,
    reservation: Reservation,
}

impl<'a> Counter<'a> {
    pub(super) fn new(allocations: &'a mut Allocations, ranges: &'a Ranges) -> Self {
        Self { ranges, allocations, reservation: Reservation::default() }
    }

    /// Ends the write, and keeps or undoes what it took.
    pub(super) fn close<E>(self, outcome: Result<(), E>) -> Result<Reservation, E> {
        match outcome {
            Ok(()) => Ok(self.reservation),
            Err(error) => {
                self.reservation.undo(self.allocations);
                Err(error)
            }
        }
    }

    pub(super) fn give_back(&mut self, item: Item) {
        self.reservation.returned.push(item);
    }

    pub(super) fn take_address(&mut self, family: &str, address: IpAddr) -> Result<(), String> {
        let Some(network) = self.ranges.network(family) else {
            return Err(format!("{family} is not configured on this cluster"));
        };
        if address.is_ipv6() != network.is_ipv6 || !network.hosts().contains(&number(address)) {
            return Err("the provided network does not match the current range".to_owned());
        }
        match self.take(Item::Address(address)) {
            true => Ok(()),
            false => Err("provided IP is already allocated".to_owned()),
        }
    }

    pub(super) fn next_address(&mut self, family: &str) -> Option<IpAddr> {
        let network = self.ranges.network(family)?;
        let hosts = network.hosts();
        let latest =
            if network.is_ipv6 { self.allocations.latest_ipv6 } else { self.allocations.latest_ipv4 };
        let size = hosts.end() - hosts.start();
        let for_requests = (size / 16).clamp(16, 256).min(size); // asked for by number more often than others
        let start = latest
            .map_or(hosts.start() + for_requests, |latest| number(latest).saturating_add(1))
            .clamp(*hosts.start(), *hosts.end());
        let found = (start..=*hosts.end()).chain(*hosts.start()..=start);
        let mut found = found.map(|number| network.address(number));
        let address = found.find(|address| !self.allocations.addresses.contains(address))?;
        self.take(Item::Address(address));
        match address {
            IpAddr::V4(_) => self.allocations.latest_ipv4 = Some(address),
            IpAddr::V6(_) => self.allocations.latest_ipv6 = Some(address),
        }
        Some(address)
    }

    pub(super) fn take_port(&mut self, port: i32) -> Result<(), String> {
        let range = &self.ranges.node_ports;
        let inside = u16::try_from(port).ok().filter(|port| range.contains(port));
        let Some(port) = inside else {
            return Err(format!(
                "provided port is not in the valid range. The range of valid ports is {}-{}",
                range.start(),
                range.end()
            ));
        };
        match self.take(Item::Port(port)) {
            true => Ok(()),
            false => Err("provided port is already allocated".to_owned()),
        }
    }

    pub(super) fn next_port(&mut self) -> Option<u16> {
        let (first, last) = (*self.ranges.node_ports.start(), *self.ranges.node_ports.end());
        let size = last.saturating_sub(first);
        let for_requests = (size / 32).clamp(16, 128).min(size); // asked for by number more often than others
        let latest = self.allocations.latest_port;
        let start = latest.map_or(first + for_requests, |latest| latest.saturating_add(1)).max(first);
        let mut candidates = (start..=last).chain(first..=last);
        let port = candidates.find(|port| !self.allocations.ports.contains(port))?;
        self.take(Item::Port(port));
        self.allocations.latest_port = Some(port);
        Some(port)
    }

    fn take(&mut self, item: Item) -> bool {
        let is_free = self.allocations.insert(item);
        if is_free {
            self.reservation.taken.push(item);
        }
        is_free
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}
