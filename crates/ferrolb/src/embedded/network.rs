//! Ranges as they are written on a command line.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use apiserver::kinds::service::Network;

/// One network, or one of each family.
#[derive(Debug, Clone)]
pub struct Networks {
    pub(super) networks: Vec<Network>,
    /// The first address for a Service of each: that of the server itself.
    pub(super) first_addresses: Vec<IpAddr>,
}

/// Ports on nodes.
#[derive(Debug, Clone)]
pub struct Ports(pub(super) RangeInclusive<u16>);

impl Default for Networks {
    fn default() -> Networks {
        let network = Network::new(Ipv4Addr::new(10, 96, 0, 0).into(), 16);
        let first_addresses = vec![Ipv4Addr::new(10, 96, 0, 1).into()];
        Networks { networks: network.into_iter().collect(), first_addresses }
    }
}

impl Default for Ports {
    fn default() -> Ports {
        Ports(30_000..=32_767)
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Networks, String> {
        let mut found = Networks { networks: Vec::new(), first_addresses: Vec::new() };
        for part in text.split(',') {
            let wrong = || format!("{part:?} is no network like 10.96.0.0/16");
            let (address, prefix) = part.trim().split_once('/').ok_or_else(wrong)?;
            let address: IpAddr = address.parse().map_err(|_| wrong())?;
            let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
            let network = Network::new(address, prefix);
            found.networks.push(network.ok_or_else(|| format!("{part} has no room for Services"))?);
            found.first_addresses.push(first_address(address, prefix));
        }
        match &found.first_addresses[..] {
            [_] => Ok(found),
            [first, second] if first.is_ipv4() != second.is_ipv4() => Ok(found),
            _ => Err("it takes one network, or one of each family".to_owned()),
        }
    }
}

fn first_address(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4(((u32::from(address) & mask) | 1).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6(((u128::from(address) & mask) | 1).into())
        }
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Ports, String> {
        let range = text.split_once('-').and_then(|(first, last)| {
            Some(first.trim().parse::<u16>().ok()?..=last.trim().parse::<u16>().ok()?)
        });
        let range = range.filter(|range| !range.is_empty() && *range.start() > 0);
        range.map(Ports).ok_or_else(|| format!("{text:?} is no range of ports like 30000-32767"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_one_or_one_of_each_family() {
        let first = |text: &str| text.parse::<Networks>().map(|it| it.first_addresses);
        assert_eq!(first("10.96.0.0/16").unwrap(), ["10.96.0.1".parse::<IpAddr>().unwrap()]);
        let both = first("fd00:1::/112, 10.1.2.3/24").unwrap();
        assert_eq!(both.iter().map(ToString::to_string).collect::<Vec<_>>(), ["fd00:1::1", "10.1.2.1"]);
        for wrong in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/32", "10.0.0.0/8,11.0.0.0/8", "a/8"] {
            assert!(first(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_are_a_range_that_holds_one() {
        assert_eq!("30000-32767".parse::<Ports>().unwrap().0, 30_000..=32_767);
        for wrong in ["", "1", "2-1", "0-5", "1-70000"] {
            assert!(wrong.parse::<Ports>().is_err(), "{wrong}");
        }
    }
}
