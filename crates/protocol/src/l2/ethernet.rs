//! Ethernet: the addresses of its stations, and its frames.

use std::fmt;
use std::net::Ipv6Addr;

pub const HEADER_LENGTH: usize = 14;
pub const TYPE_ARP: u16 = 0x0806;
pub const TYPE_IPV6: u16 = 0x86dd;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    pub const BROADCAST: MacAddress = MacAddress([0xff; 6]);
    pub const ZERO: MacAddress = MacAddress([0; 6]);

    /// Where frames to a multicast group go (RFC 2464 7).
    pub fn of_group(group: Ipv6Addr) -> MacAddress {
        let [.., a, b, c, d] = group.octets();
        MacAddress([0x33, 0x33, a, b, c, d])
    }

    /// Broadcast is one of them.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether a single station can have it.
    pub fn is_station(self) -> bool {
        !self.is_group() && self != MacAddress::ZERO
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub destination: MacAddress,
    pub source: MacAddress,
    pub ether_type: u16,
}

impl Header {
    /// And what follows it.
    pub fn parse(frame: &[u8]) -> Option<(Header, &[u8])> {
        let (header, payload) = frame.split_first_chunk::<HEADER_LENGTH>()?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
        let header = Header {
            destination: MacAddress([d0, d1, d2, d3, d4, d5]),
            source: MacAddress([s0, s1, s2, s3, s4, s5]),
            ether_type: u16::from_be_bytes([t0, t1]),
        };
        Some((header, payload))
    }
}

/// A frame to send. It is a plain value, so that answering allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    bytes: [u8; Frame::LONGEST],
    length: usize,
}

impl Frame {
    /// A neighbour advertisement with its option.
    pub const LONGEST: usize = HEADER_LENGTH + 40 + 32;

    pub(super) fn new(header: Header) -> Frame {
        let mut frame = Frame { bytes: [0; Frame::LONGEST], length: 0 };
        frame.push(&header.destination.0);
        frame.push(&header.source.0);
        frame.push(&header.ether_type.to_be_bytes());
        frame
    }

    /// What goes beyond the longest frame is cut off; every frame is built in this module's neighbours and fits.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
            self.length += 1;
        }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
