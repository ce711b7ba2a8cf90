//! ARP (RFC 826) for IPv4 on Ethernet, the only kind there is here.

use std::net::Ipv4Addr;

use super::ethernet::{Frame, Header, MacAddress, TYPE_ARP};

/// Ethernet, IPv4, and how long their addresses are.
const KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];
const LENGTH: usize = 28;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    pub operation: Operation,
    pub sender_station: MacAddress,
    pub sender: Ipv4Addr,
    pub target_station: MacAddress,
    pub target: Ipv4Addr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Request,
    Reply,
    Other(u16),
}

impl Packet {
    /// Whoever has the address says so unasked. Both forms are needed: the request is what caches always believe; the
    /// reply is believed by those that take replies only, and by Linux if the target is the sender.
    pub fn gratuitous(operation: Operation, station: MacAddress, address: Ipv4Addr) -> Packet {
        let target_station = if operation == Operation::Reply { station } else { MacAddress::BROADCAST };
        Packet { operation, sender_station: station, sender: address, target_station, target: address }
    }

    /// Asks who has the address without a claim to it (RFC 5227 2.1.1).
    pub fn probe(station: MacAddress, address: Ipv4Addr) -> Packet {
        Packet {
            operation: Operation::Request,
            sender_station: station,
            sender: Ipv4Addr::UNSPECIFIED,
            target_station: MacAddress::ZERO,
            target: address,
        }
    }

    /// To a request: `station` has what was asked for.
    pub fn reply(&self, station: MacAddress) -> Packet {
        Packet {
            operation: Operation::Reply,
            sender_station: station,
            sender: self.target,
            target_station: self.sender_station,
            target: self.sender,
        }
    }

    /// From what follows the Ethernet header. Padding behind it is normal.
    pub fn parse(payload: &[u8]) -> Option<Packet> {
        let bytes = payload.first_chunk::<LENGTH>()?;
        let fields = bytes.strip_prefix(&KIND)?;
        let (operation, fields) = fields.split_first_chunk::<2>()?;
        let (sender_station, fields) = fields.split_first_chunk::<6>()?;
        let (sender, fields) = fields.split_first_chunk::<4>()?;
        let (target_station, fields) = fields.split_first_chunk::<6>()?;
        let target = fields.first_chunk::<4>()?;
        Some(Packet {
            operation: Operation::from_number(u16::from_be_bytes(*operation)),
            sender_station: MacAddress(*sender_station),
            sender: Ipv4Addr::from_octets(*sender),
            target_station: MacAddress(*target_station),
            target: Ipv4Addr::from_octets(*target),
        })
    }

    pub fn frame(&self, destination: MacAddress) -> Frame {
        let mut frame = Frame::new(Header { destination, source: self.sender_station, ether_type: TYPE_ARP });
        frame.push(&KIND);
        frame.push(&self.operation.number().to_be_bytes());
        frame.push(&self.sender_station.0);
        frame.push(&self.sender.octets());
        frame.push(&self.target_station.0);
        frame.push(&self.target.octets());
        frame
    }
}

impl Operation {
    fn from_number(number: u16) -> Operation {
        match number {
            1 => Operation::Request,
            2 => Operation::Reply,
            other => Operation::Other(other),
        }
    }

    fn number(self) -> u16 {
        match self {
            Operation::Request => 1,
            Operation::Reply => 2,
            Operation::Other(number) => number,
        }
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{ArpHardwareId, ArpOperation, EtherType, NetSlice, SlicedPacket};
    use proptest::prelude::*;

    use super::*;

    const STATION: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xaa]);
    const CLIENT: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xcc]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

    #[test]
    fn frames_look_as_the_original_sends_them() {
        let request = Packet::gratuitous(Operation::Request, STATION, ADDRESS).frame(MacAddress::BROADCAST);
        let reply = Packet::gratuitous(Operation::Reply, STATION, ADDRESS).frame(MacAddress::BROADCAST);
        let probe = Packet::probe(STATION, ADDRESS).frame(MacAddress::BROADCAST);
        for (frame, hex) in [
            (
                request,
                "ffffffffffff0200000000aa0806 0001080006040001 0200000000aac0000207 ffffffffffffc0000207",
            ),
            (
                reply,
                "ffffffffffff0200000000aa0806 0001080006040002 0200000000aac0000207 0200000000aac0000207",
            ),
            (
                probe,
                "ffffffffffff0200000000aa0806 0001080006040001 0200000000aa00000000 000000000000c0000207",
            ),
        ] {
            assert_eq!(format!("{frame:?}"), hex.replace(' ', ""));
        }
    }

    #[test]
    fn a_reply_turns_the_question_around() {
        let question = Packet {
            operation: Operation::Request,
            sender_station: CLIENT,
            sender: Ipv4Addr::new(192, 0, 2, 200),
            target_station: MacAddress::ZERO,
            target: ADDRESS,
        };
        let frame = question.reply(STATION).frame(CLIENT);
        let sliced = SlicedPacket::from_ethernet(frame.bytes()).unwrap();
        let Some(NetSlice::Arp(arp)) = sliced.net else { panic!("{frame:?}") };
        assert_eq!(arp.operation(), ArpOperation::REPLY);
        assert_eq!(arp.hw_addr_type(), ArpHardwareId::ETHERNET);
        assert_eq!(arp.proto_addr_type(), EtherType::IPV4);
        assert_eq!(
            (arp.sender_hw_addr(), arp.sender_protocol_addr()),
            (&STATION.0[..], &ADDRESS.octets()[..])
        );
        assert_eq!(
            (arp.target_hw_addr(), arp.target_protocol_addr()),
            (&CLIENT.0[..], &[192, 0, 2, 200][..])
        );
    }

    proptest! {
        #[test]
        fn what_is_built_is_read(operation: u16, sender: u32, target: u32, a: [u8; 6], b: [u8; 6]) {
            let packet = Packet {
                operation: Operation::from_number(operation),
                sender_station: MacAddress(a),
                sender: sender.into(),
                target_station: MacAddress(b),
                target: target.into(),
            };
            let frame = packet.frame(MacAddress::BROADCAST);
            let (header, payload) = Header::parse(frame.bytes()).unwrap();
            prop_assert_eq!(header.ether_type, TYPE_ARP);
            prop_assert_eq!(Packet::parse(payload), Some(packet));
        }

        #[test]
        fn any_bytes_are_read_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..64), kind: bool) {
            let mut bytes = bytes;
            if kind {
                bytes.splice(0..0, KIND);
            }
            let read = Packet::parse(&bytes);
            prop_assert_eq!(read.is_some(), bytes.len() >= LENGTH && bytes.starts_with(&KIND));
        }
    }
}
