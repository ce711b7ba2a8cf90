//! Links, addresses and neighbours, read from messages and written to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use protocol::l2::MacAddress;

use super::message::{FLAG_CREATE, FLAG_EXCLUSIVE, Message, Request, attributes, number_at, short_at};

/// Of a link.
pub(crate) mod flags {
    pub(crate) const UP: u32 = 0x1;
    pub(crate) const BROADCAST: u32 = 0x2;
    pub(crate) const LOOPBACK: u32 = 0x8;
    pub(crate) const NO_ARP: u32 = 0x80;
    /// Up, and there is a carrier.
    pub(crate) const LOWER_UP: u32 = 0x10000;
}

const ETHERNET: u16 = 1;
const LINK_FIXED: usize = 16;
const LINK_ADDRESS: u16 = 1;
const LINK_NAME: u16 = 3;
const LINK_MASTER: u16 = 10;

const ADDRESS_FIXED: usize = 8;
const ADDRESS_ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;
const ADDRESS_LIFETIME: u16 = 6;
const ADDRESS_FLAGS: u16 = 8;
const ADDRESS_PROTOCOL: u16 = 11;
/// Not used before it is known that nobody else has it, and not even then.
const ADDRESS_TENTATIVE: u32 = 0x40;
const ADDRESS_FAILED: u32 = 0x08;
const ADDRESS_UNASKED: u32 = 0x02;
/// For this host alone. There is none of IPv6.
const SCOPE_HOST: u8 = 254;
const FOR_EVER: u32 = u32::MAX;

const NEIGHBOUR_FIXED: usize = 12;
const NEIGHBOUR_ADDRESS: u16 = 1;
const NEIGHBOUR_STATION: u16 = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) flags: u32,
    pub(crate) is_ethernet: bool,
    pub(crate) station: Option<MacAddress>,
    pub(crate) has_master: bool,
}

impl Link {
    /// The link, and whether it is there or gone. `None` for messages about other things.
    pub(crate) fn read(message: &Message) -> Option<(Link, bool)> {
        let is_there = match message.kind {
            libc::RTM_NEWLINK => true,
            libc::RTM_DELLINK => false,
            _ => return None,
        };
        // Of bridges there are messages about their ports, too, which look like links.
        if *message.payload.first()? != 0 {
            return None;
        }
        let mut link = Link {
            index: number_at(message.payload, 4)?,
            name: String::new(),
            flags: number_at(message.payload, 8)?,
            is_ethernet: short_at(message.payload, 2)? == ETHERNET,
            station: None,
            has_master: false,
        };
        for (number, value) in attributes(message.payload.get(LINK_FIXED..)?) {
            match number {
                LINK_NAME => link.name = text(value),
                LINK_ADDRESS => link.station = value.try_into().ok().map(MacAddress),
                LINK_MASTER => link.has_master = number_at(value, 0).is_some_and(|master| master != 0),
                _ => {}
            }
        }
        Some((link, is_there))
    }

    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) interface: u32,
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
    /// Whether it may be used: nobody else has it.
    pub(crate) is_usable: bool,
    /// Who put it there, as a number.
    pub(crate) protocol: u8,
}

impl Address {
    /// The address, and whether it is there or gone.
    pub(crate) fn read(message: &Message) -> Option<(Address, bool)> {
        let is_there = match message.kind {
            libc::RTM_NEWADDR => true,
            libc::RTM_DELADDR => false,
            _ => return None,
        };
        let &[_, prefix, short_flags, ..] = message.payload else { return None };
        let mut flags = u32::from(short_flags);
        let mut protocol = 0;
        let (mut local, mut address) = (None, None);
        for (number, value) in attributes(message.payload.get(ADDRESS_FIXED..)?) {
            match number {
                ADDRESS_LOCAL => local = ip(value),
                ADDRESS_ADDRESS => address = ip(value),
                ADDRESS_FLAGS => flags = number_at(value, 0)?,
                ADDRESS_PROTOCOL => protocol = *value.first()?,
                _ => {}
            }
        }
        let interface = number_at(message.payload, 4)?;
        // On a link between two there is the other end's address as well.
        let address = local.or(address)?;
        let is_usable = flags & (ADDRESS_TENTATIVE | ADDRESS_FAILED) == 0;
        Some((Address { interface, address, prefix, is_usable, protocol }, is_there))
    }

    /// Puts it there, as one that this host does not choose to speak from by itself. It fails if it is there already.
    pub(crate) fn add(&self) -> Request {
        let request = self.request(libc::RTM_NEWADDR, FLAG_CREATE | FLAG_EXCLUSIVE);
        let request = request
            .with(ADDRESS_FLAGS, &ADDRESS_UNASKED.to_ne_bytes())
            .with(ADDRESS_PROTOCOL, &[self.protocol]);
        if self.address.is_ipv4() {
            return request;
        }
        // What is not preferred from the beginning is used where nothing else is there.
        let [preferred, valid, made, changed] = [0, FOR_EVER, 0, 0].map(u32::to_ne_bytes);
        request.with(ADDRESS_LIFETIME, &[preferred, valid, made, changed].concat())
    }

    pub(crate) fn remove(&self) -> Request {
        self.request(libc::RTM_DELADDR, 0)
    }

    fn request(&self, kind: u16, flags: u16) -> Request {
        let family = if self.address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let scope = if self.address.is_ipv4() { SCOPE_HOST } else { 0 };
        let mut fixed = vec![family as u8, self.prefix, 0, scope];
        fixed.extend(self.interface.to_ne_bytes());
        let request = Request::order(kind, flags, &fixed);
        match self.address {
            IpAddr::V4(it) => request.with(ADDRESS_LOCAL, &it.octets()).with(ADDRESS_ADDRESS, &it.octets()),
            IpAddr::V6(it) => request.with(ADDRESS_LOCAL, &it.octets()).with(ADDRESS_ADDRESS, &it.octets()),
        }
    }
}

/// Whose station is known for an address of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub(crate) address: IpAddr,
    pub(crate) station: MacAddress,
}

impl Neighbour {
    pub(crate) fn read(message: &Message) -> Option<Neighbour> {
        if message.kind != libc::RTM_NEWNEIGH {
            return None;
        }
        let (mut address, mut station) = (None, None);
        for (number, value) in attributes(message.payload.get(NEIGHBOUR_FIXED..)?) {
            match number {
                NEIGHBOUR_ADDRESS => address = ip(value),
                NEIGHBOUR_STATION => station = value.try_into().ok().map(MacAddress),
                _ => {}
            }
        }
        Some(Neighbour { address: address?, station: station? })
    }
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => value.first_chunk().map(|&octets| IpAddr::V4(Ipv4Addr::from_octets(octets))),
        16 => value.first_chunk().map(|&octets| IpAddr::V6(Ipv6Addr::from_octets(octets))),
        _ => None,
    }
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}
