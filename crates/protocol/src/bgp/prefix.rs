//! Prefixes as they are written in UPDATE messages (RFC 4271, 4.3; RFC 4760, 5; RFC 7911, 3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::capability::Family;
use crate::reader::Reader;

/// What a path is written in at most: its number, a length and an address of IPv6.
pub(super) const LONGEST_PATH_BYTES: usize = 4 + 1 + 16;

/// An address and how much of it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// A prefix and, where several paths of one are told, which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    pub id: Option<u32>,
    pub prefix: Prefix,
}

impl Prefix {
    /// What does not count of the address is cut off. `None` if the length is more than it has.
    pub fn new(address: IpAddr, length: u8) -> Option<Prefix> {
        let address = match address {
            IpAddr::V4(address) if length <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) if length <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
            _ => return None,
        };
        Some(Prefix { address, length })
    }

    pub fn address(self) -> IpAddr {
        self.address
    }

    pub fn length(self) -> u8 {
        self.length
    }

    pub fn family(self) -> Family {
        match self.address {
            IpAddr::V4(_) => Family::IPV4_UNICAST,
            IpAddr::V6(_) => Family::IPV6_UNICAST,
        }
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl Path {
    /// How many bytes it is written in.
    pub(super) fn bytes(self) -> usize {
        let id = if self.id.is_some() { 4 } else { 0 };
        id + 1 + usize::from(self.prefix.length.div_ceil(8))
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        if let Some(id) = self.id {
            out.extend_from_slice(&id.to_be_bytes());
        }
        out.push(self.prefix.length);
        let bytes = usize::from(self.prefix.length.div_ceil(8));
        match self.prefix.address {
            IpAddr::V4(address) => out.extend_from_slice(&address.octets()[..bytes]),
            IpAddr::V6(address) => out.extend_from_slice(&address.octets()[..bytes]),
        }
    }
}

/// Prefixes of one family in a message. All of it was looked at before, so there is nothing wrong in them.
#[derive(Debug, Clone, Copy)]
pub struct Paths<'a> {
    bytes: &'a [u8],
    is_ipv4: bool,
    has_ids: bool,
}

impl<'a> Paths<'a> {
    /// `None` if they are not whole, or longer than an address.
    pub(super) fn read(bytes: &'a [u8], is_ipv4: bool, has_ids: bool) -> Option<Paths<'a>> {
        let paths = Paths { bytes, is_ipv4, has_ids };
        let mut from = Reader(bytes);
        while !from.is_empty() {
            paths.one(&mut from)?;
        }
        Some(paths)
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Path> + use<'a> {
        let paths = *self;
        let mut from = Reader(self.bytes);
        std::iter::from_fn(move || paths.one(&mut from))
    }

    fn one(&self, from: &mut Reader<'a>) -> Option<Path> {
        if from.is_empty() {
            return None;
        }
        let id = if self.has_ids { Some(from.u32()?) } else { None };
        let length = from.u8()?;
        let bytes = from.take(length.div_ceil(8).into())?;
        let address = if self.is_ipv4 {
            let mut octets = [0; 4];
            octets.get_mut(..bytes.len())?.copy_from_slice(bytes);
            IpAddr::from(octets)
        } else {
            let mut octets = [0; 16];
            octets.get_mut(..bytes.len())?.copy_from_slice(bytes);
            IpAddr::from(octets)
        };
        // Bits beyond the length mean nothing (RFC 4271, 4.3).
        Some(Path { id, prefix: Prefix::new(address, length)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_as_long_as_they_say() {
        for (bytes, is_ipv4, texts) in [
            (&[24, 192, 0, 2, 32, 192, 0, 2, 1, 0][..], true, Some("192.0.2.0/24 192.0.2.1/32 0.0.0.0/0")),
            (&[20, 10, 1, 0xff], true, Some("10.1.240.0/20")),
            (&[33, 1, 2, 3, 4, 5], true, None),
            (&[24, 192, 0], true, None),
            (&[48, 0x20, 1, 0xd, 0xb8, 0, 1], false, Some("2001:db8:1::/48")),
            (&[129, 1], false, None),
        ] {
            let paths = Paths::read(bytes, is_ipv4, false);
            let found = paths
                .map(|paths| paths.iter().map(|path| path.prefix.to_string()).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), texts, "{bytes:?}");
        }
    }

    #[test]
    fn one_of_several_paths_has_a_number() {
        let bytes = [0, 0, 0, 7, 8, 10];
        let paths: Vec<Path> = Paths::read(&bytes, true, true).unwrap().iter().collect();
        assert_eq!(paths, [Path { id: Some(7), prefix: Prefix::new([10, 0, 0, 0].into(), 8).unwrap() }]);
        let mut written = Vec::new();
        paths[0].write(&mut written);
        assert_eq!((written.as_slice(), paths[0].bytes()), (&bytes[..], bytes.len()));
    }
}
