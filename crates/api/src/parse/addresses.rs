//! The address grammar of a pool: a CIDR, or `start-end`.
//!
//! An IPv4-mapped IPv6 address is IPv4 throughout. Zones are refused.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use plan::quote::quoted;
use plan::range::{parse_address, prefixes_between};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("invalid CIDR {}", quoted(.0))]
    Cidr(String),
    #[error("invalid IP range {}: invalid start IP {}", quoted(.range), quoted(.start))]
    RangeStart { range: String, start: String },
    #[error("invalid IP range {}: invalid end IP {}", quoted(.range), quoted(.end))]
    RangeEnd { range: String, end: String },
    #[error("invalid IP range {}: start IP {} is after the end IP {}",
        quoted(.range), quoted(&.start.to_string()), quoted(&.end.to_string()))]
    RangeReversed { range: String, start: IpAddr, end: IpAddr },
    #[error("invalid IP range {}: start and end IPs must be the same family", quoted(.0))]
    RangeOfTwoFamilies(String),
}

/// The fewest aligned prefixes, ascending, that cover what `text` says.
pub(super) fn prefixes(text: &str) -> Result<Vec<IpNet>, AddressError> {
    match text.split_once('-') {
        None => Ok(vec![cidr(text).ok_or_else(|| AddressError::Cidr(text.to_owned()))?]),
        Some((start, end)) => range(text, start, end),
    }
}

fn range(text: &str, start_text: &str, end_text: &str) -> Result<Vec<IpNet>, AddressError> {
    let range = text.to_owned();
    let Some(start) = parse_address(start_text.trim()) else {
        return Err(AddressError::RangeStart { range, start: start_text.to_owned() });
    };
    let Some(end) = parse_address(end_text.trim()) else {
        return Err(AddressError::RangeEnd { range, end: end_text.to_owned() });
    };
    if start.is_ipv4() != end.is_ipv4() {
        return Err(AddressError::RangeOfTwoFamilies(range));
    }
    if start > end {
        return Err(AddressError::RangeReversed { range, start, end });
    }
    Ok(prefixes_between(start, end))
}

/// The prefix with its host bits zeroed. The length is decimal digits only; leading zeros do no harm.
pub(super) fn cidr(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = length.trim_start_matches('0');
    let length: u8 = if significant.is_empty() { 0 } else { significant.parse().ok()? };
    match address.parse().ok()? {
        IpAddr::V4(address) => Some(IpNet::V4(Ipv4Net::new(address, length).ok()?.trunc())),
        IpAddr::V6(address) => {
            let prefix = Ipv6Net::new(address, length).ok()?.trunc();
            let mapped = prefix.addr().to_ipv4_mapped().filter(|_| length >= 96);
            match mapped {
                Some(address) => Ipv4Net::new(address, length - 96).ok().map(IpNet::V4),
                None => Some(IpNet::V6(prefix)),
            }
        }
    }
}
