//! Arithmetic on the addresses of a pool: ranges to prefixes, counting, and numbering.
//!
//! Nothing here ever walks over addresses: a pool of `::/0` costs what a pool of one address costs.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::snapshot::IpFamily;

/// An address without prefix length or zone. An IPv4 address in IPv6 clothes is an IPv4 address.
pub fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// Whether an address of a pool can be handed out.
pub fn is_usable(address: IpAddr, avoid_buggy_ips: bool) -> bool {
    !(avoid_buggy_ips && address.is_ipv4() && is_buggy(number(address)))
}

/// The fewest aligned prefixes that cover `start..=end` exactly, ascending.
/// Empty when the ends are of different families, or in the wrong order.
pub fn prefixes_between(start: IpAddr, end: IpAddr) -> Vec<IpNet> {
    let family = IpFamily::of(start);
    let (mut low, high) = (number(start), number(end));
    if family != IpFamily::of(end) || low > high {
        return Vec::new();
    }
    let mut prefixes = Vec::new();
    loop {
        // The largest block that starts here is limited by the alignment of its start and by what is left.
        let aligned = if low == 0 { width(family) } else { low.trailing_zeros() };
        let left = (high - low).checked_add(1).map_or(u128::BITS, u128::ilog2);
        let host_bits = aligned.min(left).min(width(family));
        prefixes.extend(prefix(low, host_bits, family));
        let last = low + low_bits(host_bits);
        if last >= high {
            return prefixes;
        }
        low = last + 1;
    }
}

/// How many addresses can be handed out, as they are reported: a count that does not fit stays at `i64::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capacity {
    pub total: i64,
    pub v4: i64,
    pub v6: i64,
}

impl Capacity {
    pub fn of<'a>(prefixes: impl IntoIterator<Item = &'a IpNet>, avoid_buggy_ips: bool) -> Capacity {
        let mut capacity = Capacity::default();
        for prefix in prefixes {
            let usable = reported_size(prefix, avoid_buggy_ips);
            let of_family = match prefix {
                IpNet::V4(_) => &mut capacity.v4,
                IpNet::V6(_) => &mut capacity.v6,
            };
            *of_family = of_family.saturating_add(usable);
            capacity.total = capacity.total.saturating_add(usable);
        }
        capacity
    }
}

/// From 62 host bits on a prefix counts as endless, which is what existing dashboards and alerts expect.
fn reported_size(prefix: &IpNet, avoid_buggy_ips: bool) -> i64 {
    const ENDLESS_HOST_BITS: u32 = 62;
    if host_bits(prefix) >= ENDLESS_HOST_BITS {
        return i64::MAX;
    }
    let Some(block) = Block::new(prefix, avoid_buggy_ips, 0) else { return 0 };
    i64::try_from(block.last_ordinal).map_or(i64::MAX, |last| last.saturating_add(1))
}

/// The usable addresses of one family of a pool, numbered from zero in the order of allocation.
///
/// With `avoid_buggy_ips` the IPv4 addresses that end in 0 or 255 are not usable: they have no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressSpace {
    family: IpFamily,
    /// In the order of the pool, so ascending by ordinal.
    blocks: Vec<Block>,
    /// Positions in `blocks`, ascending by address.
    by_address: Vec<usize>,
}

impl AddressSpace {
    /// Prefixes of the other family are left out, and so are those that another prefix covers.
    pub fn new<'a>(
        prefixes: impl IntoIterator<Item = &'a IpNet>,
        family: IpFamily,
        avoid_buggy_ips: bool,
    ) -> AddressSpace {
        let of_family = prefixes.into_iter().filter(|prefix| IpFamily::of(prefix.addr()) == family);
        let mut blocks = Vec::new();
        let mut next_ordinal = Some(0);
        for prefix in outermost(of_family) {
            // Disjoint prefixes hold 2^128 addresses at most, so after the ordinal u128::MAX nothing can follow.
            let Some(first_ordinal) = next_ordinal else { break };
            if let Some(block) = Block::new(prefix, avoid_buggy_ips, first_ordinal) {
                next_ordinal = block.last_ordinal.checked_add(1);
                blocks.push(block);
            }
        }
        let mut by_address: Vec<usize> = (0..blocks.len()).collect();
        by_address.sort_by_key(|&index| blocks[index].first_address);
        AddressSpace { family, blocks, by_address }
    }

    /// The number of the last usable address; `None` when there is none at all.
    pub fn last_ordinal(&self) -> Option<u128> {
        self.blocks.last().map(|block| block.last_ordinal)
    }

    pub fn address(&self, ordinal: u128) -> Option<IpAddr> {
        let index = self.blocks.partition_point(|block| block.last_ordinal < ordinal);
        let block = self.blocks.get(index)?;
        Some(address(block.address(ordinal), self.family))
    }

    /// `None` for an address that is outside, or inside and not usable.
    pub fn ordinal(&self, address: IpAddr) -> Option<u128> {
        if IpFamily::of(address) != self.family {
            return None;
        }
        let address = number(address);
        let after = self.by_address.partition_point(|&index| self.blocks[index].first_address <= address);
        let block = &self.blocks[*self.by_address.get(after.checked_sub(1)?)?];
        block.ordinal(address)
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        self.ordinal(address).is_some()
    }
}

/// Prefixes are nested or disjoint, so leaving out the nested ones leaves no overlap. The order stays.
fn outermost<'a>(prefixes: impl Iterator<Item = &'a IpNet>) -> Vec<&'a IpNet> {
    let prefixes: Vec<&IpNet> = prefixes.collect();
    let mut ascending: Vec<usize> = (0..prefixes.len()).collect();
    ascending.sort_by_key(|&index| (number(prefixes[index].network()), prefixes[index].prefix_len(), index));
    let mut kept: Vec<usize> = Vec::new();
    for index in ascending {
        // Ascending by start and then by size, only the last one kept can cover the next one.
        if kept.last().is_none_or(|&last| !prefixes[last].contains(prefixes[index])) {
            kept.push(index);
        }
    }
    kept.sort_unstable();
    kept.into_iter().map(|index| prefixes[index]).collect()
}

/// The usable addresses of one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    first_address: u128,
    last_address: u128,
    first_ordinal: u128,
    last_ordinal: u128,
    numbering: Numbering,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbering {
    /// Every address between first and last.
    Dense,
    /// Whole /24s, each without its first and its last address.
    Inner254,
}

/// Addresses in a /24, and how many of them end neither in 0 nor in 255.
const IN_24: u128 = 256;
const USABLE_IN_24: u128 = 254;

impl Block {
    /// `None` if no address of it is usable.
    fn new(prefix: &IpNet, avoid_buggy_ips: bool, first_ordinal: u128) -> Option<Block> {
        let mut first_address = number(prefix.network());
        let mut last_address = first_address + low_bits(host_bits(prefix));
        let mut numbering = Numbering::Dense;
        let mut last_index = last_address - first_address;
        if avoid_buggy_ips && matches!(prefix, IpNet::V4(_)) {
            if prefix.prefix_len() <= 24 {
                numbering = Numbering::Inner254;
                last_index = (last_index + 1) / IN_24 * USABLE_IN_24 - 1;
            } else {
                // Inside one /24 only the ends can be buggy, so the block shrinks instead.
                first_address += u128::from(is_buggy(first_address));
                last_address = last_address.checked_sub(u128::from(is_buggy(last_address)))?;
                last_index = last_address.checked_sub(first_address)?;
            }
        }
        let last_ordinal = first_ordinal.checked_add(last_index)?;
        Some(Block { first_address, last_address, first_ordinal, last_ordinal, numbering })
    }

    fn address(&self, ordinal: u128) -> u128 {
        let index = ordinal - self.first_ordinal;
        self.first_address
            + match self.numbering {
                Numbering::Dense => index,
                Numbering::Inner254 => index / USABLE_IN_24 * IN_24 + index % USABLE_IN_24 + 1,
            }
    }

    fn ordinal(&self, address: u128) -> Option<u128> {
        if !(self.first_address..=self.last_address).contains(&address) {
            return None;
        }
        let offset = address - self.first_address;
        let index = match self.numbering {
            Numbering::Dense => offset,
            Numbering::Inner254 if is_buggy(address) => return None,
            Numbering::Inner254 => offset / IN_24 * USABLE_IN_24 + offset % IN_24 - 1,
        };
        Some(self.first_ordinal + index)
    }
}

/// Some old equipment drops traffic of IPv4 addresses that end in 0 or 255.
fn is_buggy(address: u128) -> bool {
    matches!(address % IN_24, 0 | 255)
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(number: u128, family: IpFamily) -> IpAddr {
    match family {
        // Numbers of this family come from IPv4 addresses, so the upper bits are zero.
        IpFamily::V4 => IpAddr::V4(Ipv4Addr::from_bits(number as u32)),
        IpFamily::V6 => IpAddr::V6(Ipv6Addr::from_bits(number)),
    }
}

fn prefix(first: u128, host_bits: u32, family: IpFamily) -> Option<IpNet> {
    let length = u8::try_from(width(family) - host_bits).ok()?;
    IpNet::new(address(first, family), length).ok()
}

fn width(family: IpFamily) -> u32 {
    match family {
        IpFamily::V4 => Ipv4Addr::BITS,
        IpFamily::V6 => Ipv6Addr::BITS,
    }
}

fn host_bits(prefix: &IpNet) -> u32 {
    u32::from(prefix.max_prefix_len() - prefix.prefix_len())
}

/// A number whose lowest `count` bits are set.
pub(crate) fn low_bits(count: u32) -> u128 {
    1_u128.checked_shl(count).map_or(u128::MAX, |bit| bit - 1)
}
