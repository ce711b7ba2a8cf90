//! The local interfaces, and on which of them what can be answered.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use protocol::l2::MacAddress;

use super::Excluded;
use crate::netlink::{self, Address, Listing, Message, Route, flags};

/// Every interface of this node that is not excluded, by name, up or down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    pub by_name: BTreeMap<String, Link>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub station: Option<MacAddress>,
    /// Where advertisements to all come from.
    pub link_local: Option<Ipv6Addr>,
    pub up: bool,
    /// Whether IPv4 addresses are answered for here, or why not.
    pub arp: Result<(), Silence>,
    /// Whether IPv6 addresses are.
    pub ndp: Result<(), Silence>,
}

/// Why nothing is answered on an interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    #[error("is not up")]
    Down,
    #[error("belongs to another interface, as a port of a bridge does")]
    Enslaved,
    #[error("does no ARP")]
    NoArp,
    #[error("has no broadcast")]
    NoBroadcast,
    #[error("is not an Ethernet")]
    NotEthernet,
    #[error("is one of too many interfaces")]
    TooMany,
    #[error("cannot be listened to: {0}")]
    Failed(String),
}

/// What the kernel says of links, kept up to date from what it says of changes.
#[derive(Debug, Default)]
pub(super) struct Known {
    links: BTreeMap<u32, netlink::Link>,
    /// Those that may be used, of each interface.
    link_locals: BTreeMap<u32, BTreeSet<Ipv6Addr>>,
}

impl Known {
    pub(super) fn list(route: &mut Route) -> io::Result<Known> {
        let mut known = Known::default();
        route.list(Listing::Links, &mut |message| {
            known.learn(message);
        })?;
        route.list(Listing::Addresses, &mut |message| {
            known.learn(message);
        })?;
        Ok(known)
    }

    /// The index of an interface that is gone by this message. Another one may get its number at once.
    pub(super) fn learn(&mut self, message: &Message) -> Option<u32> {
        if let Some((link, is_there)) = netlink::Link::read(message) {
            let index = link.index;
            if is_there {
                self.links.insert(index, link);
                return None;
            }
            self.links.remove(&index);
            self.link_locals.remove(&index);
            return Some(index);
        }
        if let Some((address, is_there)) = Address::read(message) {
            self.learn_address(&address, is_there);
        }
        None
    }

    fn learn_address(&mut self, address: &Address, is_there: bool) {
        let IpAddr::V6(of_link) = address.address else { return };
        if !of_link.is_unicast_link_local() {
            return;
        }
        let of_interface = self.link_locals.entry(address.interface).or_default();
        if is_there && address.is_usable {
            of_interface.insert(of_link);
        } else {
            of_interface.remove(&of_link);
        }
    }

    /// Every station that this node is.
    pub(super) fn stations(&self) -> BTreeSet<MacAddress> {
        self.links.values().filter_map(|link| link.station).filter(|station| station.is_station()).collect()
    }

    pub(super) fn link_local(&self, index: u32) -> Option<Ipv6Addr> {
        self.link_locals.get(&index)?.first().copied()
    }

    pub(super) fn has_carrier(&self, index: u32) -> bool {
        self.links.get(&index).is_some_and(|link| link.has(flags::LOWER_UP))
    }

    /// Which there are, and on which of them could be answered.
    pub(super) fn judge(&self, excluded: &Excluded) -> Links {
        let links = self.links.values().filter(|link| !excluded.contains(&link.name));
        let judged = |link: &netlink::Link| Link { link_local: self.link_local(link.index), ..judge(link) };
        Links { by_name: links.map(|link| (link.name.clone(), judged(link))).collect() }
    }
}

fn judge(link: &netlink::Link) -> Link {
    let station = link.station.filter(|station| station.is_station());
    let silence = if !link.has(flags::UP) {
        Err(Silence::Down)
    } else if link.has_master {
        Err(Silence::Enslaved)
    } else if link.has(flags::NO_ARP) {
        Err(Silence::NoArp)
    } else if !link.is_ethernet || station.is_none() {
        Err(Silence::NotEthernet)
    } else {
        Ok(())
    };
    let arp = if link.has(flags::BROADCAST) {
        silence.clone()
    } else {
        silence.clone().and(Err(Silence::NoBroadcast))
    };
    Link { index: link.index, station, link_local: None, up: link.has(flags::UP), arp, ndp: silence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_answered_on_or_there_is_a_reason() {
        let station = Some(MacAddress([2, 0, 0, 0, 0, 1]));
        let eth0 = netlink::Link {
            index: 2,
            name: "eth0".into(),
            flags: flags::UP | flags::BROADCAST,
            is_ethernet: true,
            station,
            has_master: false,
        };
        let with = |flags: u32| netlink::Link { flags, ..eth0.clone() };
        for (case, link, arp, ndp) in [
            ("Ethernet", eth0.clone(), Ok(()), Ok(())),
            ("down", with(flags::BROADCAST), Err(Silence::Down), Err(Silence::Down)),
            (
                "no ARP",
                with(flags::UP | flags::BROADCAST | flags::NO_ARP),
                Err(Silence::NoArp),
                Err(Silence::NoArp),
            ),
            ("no broadcast", with(flags::UP), Err(Silence::NoBroadcast), Ok(())),
            (
                "a port of a bridge",
                netlink::Link { has_master: true, ..eth0.clone() },
                Err(Silence::Enslaved),
                Err(Silence::Enslaved),
            ),
            (
                "a tunnel",
                netlink::Link { is_ethernet: false, ..eth0.clone() },
                Err(Silence::NotEthernet),
                Err(Silence::NotEthernet),
            ),
            (
                "no station",
                netlink::Link { station: Some(MacAddress::ZERO), ..eth0.clone() },
                Err(Silence::NotEthernet),
                Err(Silence::NotEthernet),
            ),
        ] {
            let judged = judge(&link);
            assert_eq!((judged.arp, judged.ndp), (arp, ndp), "{case}");
        }
    }

    #[test]
    fn excluded_interfaces_are_not_there_and_those_that_are_down_are() {
        let link = |index, name: &str| netlink::Link {
            index,
            name: name.into(),
            flags: 0,
            is_ethernet: true,
            station: None,
            has_master: false,
        };
        let links = [link(1, "lo"), link(2, "eth0"), link(3, "veth7")];
        let known =
            Known { links: links.into_iter().map(|link| (link.index, link)).collect(), ..Known::default() };
        let excluded = Excluded::parse(&["^lo$".to_owned(), "^veth.*".to_owned()]).unwrap();
        assert!(known.judge(&excluded).by_name.keys().eq(["eth0"]));
    }
}
