//! The interfaces of this node and their addresses, for next hops and for neighbours that are named by an interface.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use protocol::bgp::session::Addresses;

use crate::netlink::{self, Listing, Message, Route, flags};

/// What the kernel says, kept up to date from what it says of changes.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    links: BTreeMap<u32, netlink::Link>,
    /// Those that may be used, in the order in which they were put there.
    addresses: BTreeMap<u32, Vec<IpAddr>>,
}

impl Interfaces {
    pub(super) fn list(route: &mut Route) -> io::Result<Interfaces> {
        let mut known = Interfaces::default();
        for listing in [Listing::Links, Listing::Addresses] {
            route.list(listing, &mut |message| {
                known.learn(message);
            })?;
        }
        Ok(known)
    }

    /// Whether anything has changed by this message.
    pub(super) fn learn(&mut self, message: &Message) -> bool {
        if let Some((link, is_there)) = netlink::Link::read(message) {
            let index = link.index;
            if !is_there {
                self.addresses.remove(&index);
                return self.links.remove(&index).is_some();
            }
            let was_up = self.links.get(&index).map(|link| link.has(flags::UP));
            let is_up = Some(link.has(flags::UP));
            let renamed = self.links.get(&index).is_some_and(|before| before.name != link.name);
            self.links.insert(index, link);
            return was_up != is_up || renamed;
        }
        let Some((address, is_there)) = netlink::Address::read(message) else { return false };
        let of_interface = self.addresses.entry(address.interface).or_default();
        let at = of_interface.iter().position(|known| *known == address.address);
        match (at, is_there && address.is_usable) {
            (None, true) => of_interface.push(address.address),
            (Some(at), false) => {
                of_interface.remove(at);
            }
            _ => return false,
        }
        true
    }

    /// The index of one that is up.
    pub(super) fn named(&self, name: &str) -> Option<u32> {
        self.links.values().find(|link| link.name == name && link.has(flags::UP)).map(|link| link.index)
    }

    /// Whether connections can be made from there.
    pub(super) fn have(&self, source: Option<IpAddr>, device: Option<&str>) -> bool {
        source.is_none_or(|source| self.with(source).is_some())
            && device.is_none_or(|device| self.named(device).is_some())
    }

    /// The station that frames from an interface come from.
    pub(super) fn station(&self, index: u32) -> Option<protocol::l2::MacAddress> {
        self.links.get(&index)?.station
    }

    /// The interface that has an address.
    pub(super) fn with(&self, address: IpAddr) -> Option<u32> {
        let has = |(_, addresses): &(&u32, &Vec<IpAddr>)| addresses.contains(&address);
        self.addresses.iter().find(has).map(|(index, _)| *index)
    }

    /// What stands for this node as a next hop on an interface. Whatever else is bound to the loopback interface may be the address
    /// of a Service, so what reaches that has a next hop on another one.
    pub(super) fn next_hops(&self, index: u32) -> Addresses {
        if !self.is_loopback(index) {
            return self.addresses(index);
        }
        let mut found = Addresses::default();
        for link in self.links.values().filter(|link| link.has(flags::UP) && !self.is_loopback(link.index)) {
            let other = self.addresses(link.index);
            found.ipv4 = found.ipv4.or(other.ipv4);
            found.ipv6 = found.ipv6.or(other.ipv6);
        }
        found
    }

    fn is_loopback(&self, index: u32) -> bool {
        self.links.get(&index).is_some_and(|link| link.has(flags::LOOPBACK))
    }

    fn addresses(&self, index: u32) -> Addresses {
        let mut found = Addresses::default();
        for address in self.addresses.get(&index).into_iter().flatten() {
            match address {
                IpAddr::V4(address) => set(&mut found.ipv4, *address, Ipv4Addr::is_link_local),
                IpAddr::V6(address) if address.is_unicast_link_local() => {
                    found.link_local.get_or_insert(*address);
                }
                IpAddr::V6(address) => set(&mut found.ipv6, *address, Ipv6Addr::is_unique_local),
            }
        }
        found
    }

    pub(super) fn link_local(&self, index: u32) -> Option<Ipv6Addr> {
        self.addresses(index).link_local
    }
}

/// The first, unless that is one that reaches less far than a later one.
fn set<A: Copy>(found: &mut Option<A>, address: A, reaches_less_far: impl Fn(&A) -> bool) {
    if found.is_none_or(|found| reaches_less_far(&found) && !reaches_less_far(&address)) {
        *found = Some(address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, flags: u32) -> netlink::Link {
        let name = format!("eth{index}");
        netlink::Link { index, name, flags, is_ethernet: true, station: None, has_master: false }
    }

    #[test]
    fn next_hops_are_this_node_and_reach_far() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let interfaces = Interfaces {
            links: [
                (1, link(1, flags::UP | flags::LOOPBACK)),
                (2, link(2, flags::UP)),
                (3, link(3, flags::UP)),
            ]
            .into(),
            addresses: [
                (1, addresses(&["127.0.0.1", "192.0.2.9", "::1"])),
                (2, addresses(&["10.0.0.2", "fe80::1", "fd00::1", "2001:db8::1"])),
                (3, addresses(&["169.254.3.1", "10.1.0.1", "fe80::3"])),
            ]
            .into(),
        };
        let found = interfaces.next_hops(2);
        assert_eq!(found.ipv4, Some(Ipv4Addr::new(10, 0, 0, 2)));
        assert_eq!(found.ipv6, Some("2001:db8::1".parse().unwrap()));
        assert_eq!(found.link_local, Some("fe80::1".parse().unwrap()));
        assert_eq!(interfaces.next_hops(1), Addresses { link_local: None, ..found }, "not one of a Service");
        let found = interfaces.next_hops(3);
        assert_eq!((found.ipv4, found.ipv6), (Some(Ipv4Addr::new(10, 1, 0, 1)), None));
        assert_eq!(interfaces.with("10.1.0.1".parse().unwrap()), Some(3));
    }
}
