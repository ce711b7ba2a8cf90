//! Neighbour solicitations and advertisements (RFC 4861 4.3, 4.4), from the IPv6 header on.

use std::net::Ipv6Addr;

use super::ethernet::{Frame, HEADER_LENGTH, Header, MacAddress, TYPE_IPV6};

pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const IPV6_LENGTH: usize = 40;
/// Type, code, checksum, flags and the target.
const MESSAGE_LENGTH: usize = 24;
/// Whoever is further away than the link cannot send it (RFC 4861 11.2).
const HOP_LIMIT: u8 = 255;
const SOURCE_STATION: u8 = 1;
const TARGET_STATION: u8 = 2;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
    pub kind: Kind,
    pub target: Ipv6Addr,
    /// Of the source in a solicitation, of the target in an advertisement.
    pub station: Option<MacAddress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Solicitation,
    Advertisement { solicited: bool, overrides: bool },
}

/// The group that hears solicitations for an address (RFC 4291 2.7.1). Many addresses share it.
pub fn solicited_node_group(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

impl Message {
    /// From what follows the Ethernet header, if it is valid by RFC 4861 7.1.1 or 7.1.2.
    pub fn parse(payload: &[u8]) -> Option<Message> {
        let (header, rest) = payload.split_first_chunk::<IPV6_LENGTH>()?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let message = rest.get(..length)?;
        if header[0] >> 4 != 6 || header[6] != ICMPV6 || header[7] != HOP_LIMIT {
            return None;
        }
        let source = address_at(header, 8)?;
        let destination = address_at(header, 24)?;
        let (fixed, options) = message.split_first_chunk::<MESSAGE_LENGTH>()?;
        let target = address_at(fixed, 8)?;
        if fixed[1] != 0 || target.is_multicast() || source.is_multicast() {
            return None;
        }
        if checksum(source, destination, message) != 0 {
            return None;
        }
        let (kind, option) = match fixed[0] {
            SOLICITATION => (Kind::Solicitation, SOURCE_STATION),
            ADVERTISEMENT => {
                let [solicited, overrides] = [SOLICITED, OVERRIDE].map(|flag| fixed[4] & flag != 0);
                (Kind::Advertisement { solicited, overrides }, TARGET_STATION)
            }
            _ => return None,
        };
        let message = Message { source, destination, kind, target, station: station(options, option)? };
        message.is_consistent().then_some(message)
    }

    /// To send. The checksum is made here.
    pub fn frame(&self, from: MacAddress, to: MacAddress) -> Frame {
        let mut frame = Frame::new(Header { destination: to, source: from, ether_type: TYPE_IPV6 });
        let option_length = if self.station.is_some() { 8 } else { 0 };
        frame.push(&[0x60, 0, 0, 0, 0, MESSAGE_LENGTH as u8 + option_length, ICMPV6, HOP_LIMIT]);
        frame.push(&self.source.octets());
        frame.push(&self.destination.octets());
        let (number, flags, option) = match self.kind {
            Kind::Solicitation => (SOLICITATION, 0, SOURCE_STATION),
            Kind::Advertisement { solicited, overrides } => {
                let flags = if solicited { SOLICITED } else { 0 } | if overrides { OVERRIDE } else { 0 };
                (ADVERTISEMENT, flags, TARGET_STATION)
            }
        };
        frame.push(&[number, 0, 0, 0, flags, 0, 0, 0]);
        frame.push(&self.target.octets());
        if let Some(station) = self.station {
            frame.push(&[option, 1]);
            frame.push(&station.0);
        }
        let start = HEADER_LENGTH + IPV6_LENGTH;
        let sum = checksum(self.source, self.destination, &frame.bytes()[start..]);
        frame.bytes_mut()[start + 2..start + 4].copy_from_slice(&sum.to_be_bytes());
        frame
    }

    fn is_consistent(&self) -> bool {
        match self.kind {
            // Whoever has no address yet asks the group, and has no station to answer to.
            Kind::Solicitation if self.source.is_unspecified() => {
                self.destination == solicited_node_group(self.target) && self.station.is_none()
            }
            Kind::Solicitation => true,
            Kind::Advertisement { solicited, .. } => !(solicited && self.destination.is_multicast()),
        }
    }
}

fn address_at(bytes: &[u8], offset: usize) -> Option<Ipv6Addr> {
    bytes.get(offset..)?.first_chunk::<16>().map(|octets| Ipv6Addr::from_octets(*octets))
}

/// The station of the wanted option, if there is one. `None` if the options are no options.
fn station(mut options: &[u8], wanted: u8) -> Option<Option<MacAddress>> {
    let mut found = None;
    while !options.is_empty() {
        let [kind, units, ..] = *options else { return None };
        let length = usize::from(units) * 8;
        if length == 0 || length > options.len() {
            return None;
        }
        let (option, rest) = options.split_at(length);
        if kind == wanted && length == 8 && found.is_none() {
            found = option[2..].first_chunk::<6>().map(|octets| MacAddress(*octets));
        }
        options = rest;
    }
    Some(found)
}

/// Of an ICMPv6 message with its pseudo header (RFC 4443 2.3). Zero if the message holds the right one.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let addresses = [source.segments(), destination.segments()];
    let mut sum: u32 = addresses.as_flattened().iter().map(|&segment| u32::from(segment)).sum();
    sum += message.len() as u32 + u32::from(ICMPV6);
    let (pairs, last) = message.as_chunks::<2>();
    sum += pairs.iter().map(|&pair| u32::from(u16::from_be_bytes(pair))).sum::<u32>();
    sum += last.first().map_or(0, |&byte| u32::from(byte) << 8);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use etherparse::{Icmpv6Slice, Icmpv6Type, NetSlice, SlicedPacket, TransportSlice};
    use proptest::prelude::*;

    use super::*;

    const STATION: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xaa]);
    const OURS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x12, 0x3456);
    const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);

    fn advertisement() -> Message {
        Message {
            source: LOCAL,
            destination: ALL_NODES,
            kind: Kind::Advertisement { solicited: false, overrides: true },
            target: OURS,
            station: Some(STATION),
        }
    }

    fn icmpv6(frame: &Frame) -> Icmpv6Slice<'_> {
        let sliced = SlicedPacket::from_ethernet(frame.bytes()).unwrap();
        let Some(NetSlice::Ipv6(ip)) = sliced.net else { panic!("{frame:?}") };
        assert_eq!(ip.header().hop_limit(), 255);
        let Some(TransportSlice::Icmpv6(message)) = sliced.transport else { panic!("{frame:?}") };
        assert!(message.is_checksum_valid(ip.header().source(), ip.header().destination()));
        message
    }

    #[test]
    fn an_advertisement_looks_as_the_original_sends_it() {
        let frame = advertisement().frame(STATION, MacAddress::of_group(ALL_NODES));
        let text = format!("{frame:?}");
        assert!(text.starts_with(
            "3333000000010200000000aa86dd6000000000203afffe800000000000000000000000000009ff020000000000000000000000000001"
        ));
        assert!(text.ends_with("2000000020010db800000000000000000012345602010200000000aa"));
        let Icmpv6Type::NeighborAdvertisement(header) = icmpv6(&frame).icmp_type() else { panic!("{text}") };
        assert_eq!((header.router, header.solicited, header.r#override), (false, false, true));
    }

    #[test]
    fn the_group_of_an_address_has_its_last_24_bits() {
        assert_eq!(solicited_node_group(OURS), "ff02::1:ff12:3456".parse::<Ipv6Addr>().unwrap());
        assert_eq!(MacAddress::of_group(solicited_node_group(OURS)).to_string(), "33:33:ff:12:34:56");
    }

    /// `frame` with the byte at `offset` set, and the checksum made right again unless that is what was set.
    fn with(frame: &Frame, offset: usize, byte: u8) -> Option<Message> {
        let mut bytes = frame.bytes()[HEADER_LENGTH..].to_vec();
        bytes[offset] = byte;
        if !(42..44).contains(&offset) {
            let at = |start| address_at(&bytes, start).unwrap();
            let (source, destination) = (at(8), at(24));
            bytes[42..44].fill(0);
            let sum = checksum(source, destination, &bytes[40..]);
            bytes[42..44].copy_from_slice(&sum.to_be_bytes());
        }
        Message::parse(&bytes)
    }

    #[test]
    fn what_is_not_valid_is_nothing() {
        let to_all = advertisement().frame(STATION, STATION);
        assert_eq!(with(&to_all, 7, 255), Some(advertisement()));
        let asking = Message {
            source: Ipv6Addr::UNSPECIFIED,
            kind: Kind::Solicitation,
            station: None,
            ..advertisement()
        };
        let probe = Message { destination: solicited_node_group(OURS), ..asking }.frame(STATION, STATION);
        assert!(with(&probe, 7, 255).is_some());
        for (case, message) in [
            ("version", with(&to_all, 0, 0x40)),
            ("next header", with(&to_all, 6, 17)),
            ("hop limit", with(&to_all, 7, 254)),
            ("source", with(&to_all, 8, 0xff)),
            ("type", with(&to_all, 40, 134)),
            ("code", with(&to_all, 41, 1)),
            ("checksum", with(&to_all, 42, 1)),
            ("solicited to all", with(&to_all, 44, 0x60)),
            ("target", with(&to_all, 48, 0xff)),
            ("option of length zero", with(&to_all, 65, 0)),
            ("option too long", with(&to_all, 65, 2)),
            ("longer than it is", with(&to_all, 5, 40)),
            ("shorter than a message", with(&to_all, 5, 16)),
            ("probe to another group", with(&probe, 39, 0)),
            ("probe to all", Message::parse(&asking.frame(STATION, STATION).bytes()[HEADER_LENGTH..])),
        ] {
            assert_eq!(message, None, "{case}");
        }
    }

    proptest! {
        #[test]
        fn what_is_built_is_read(source: u128, target: u128, a: [u8; 6], has_station: bool, asks: bool, flags: (bool, bool)) {
            let target = Ipv6Addr::from(target >> 8);
            let kind = if asks {
                Kind::Solicitation
            } else {
                Kind::Advertisement { solicited: flags.0, overrides: flags.1 }
            };
            let source = Ipv6Addr::from((source >> 8) | 1);
            let message = Message { source, destination: LOCAL, kind, target, station: has_station.then_some(MacAddress(a)) };
            let frame = message.frame(STATION, STATION);
            icmpv6(&frame);
            prop_assert_eq!(Message::parse(&frame.bytes()[HEADER_LENGTH..]), Some(message));
        }

        #[test]
        fn any_bytes_are_read_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..120), place in 0..72_usize, byte: u8) {
            let _ = Message::parse(&bytes);
            let _ = station(&bytes, 1);
            let mut near = advertisement().frame(STATION, STATION).bytes()[HEADER_LENGTH..].to_vec();
            near.extend(bytes);
            near[place] = byte;
            let _ = Message::parse(&near);
        }
    }
}
