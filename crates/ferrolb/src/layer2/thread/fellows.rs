//! Who the other speakers are on the wire: their stations are told, or found in the kernel's neighbour table.
//!
//! The kernel knows whom this node talked to. Fellows that it does not know and that are on a network of this node get an
//! empty datagram, once in a while until they are known, so that it asks for them.

use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use protocol::Machine;
use protocol::l2::{self, Input, MacAddress};

use super::Thread;
use crate::netlink::{Address, Listing, Neighbour, Route};

/// A stranger may turn out to be a fellow; with many of them it is not looked up each time.
const PAUSE: Duration = Duration::from_secs(1);
const BETWEEN_DATAGRAMS: Duration = Duration::from_secs(60);
/// In one go.
const DATAGRAMS: usize = 256;
/// Where nobody takes it amiss (RFC 863).
const DISCARD: u16 = 9;

#[derive(Debug, Default)]
pub(super) struct Fellows {
    stations: BTreeSet<MacAddress>,
    addresses: BTreeSet<IpAddr>,
    /// Kept when the kernel forgets a neighbour that nobody talks to: it still is what it was. A fellow may have several
    /// stations, and a station several addresses.
    found: BTreeSet<(IpAddr, MacAddress)>,
    looked_up: Option<Instant>,
    asked: Option<Instant>,
}

impl Fellows {
    /// All of their stations.
    pub(super) fn set(
        &mut self,
        stations: BTreeSet<MacAddress>,
        addresses: BTreeSet<IpAddr>,
        route: &mut Route,
    ) -> BTreeSet<MacAddress> {
        self.found.retain(|(address, _)| addresses.contains(address));
        let has_more = !addresses.is_subset(&self.addresses);
        self.stations = stations;
        self.addresses = addresses;
        if has_more {
            self.asked = None;
        }
        self.look_up(route);
        self.all()
    }

    /// All of their stations, if there are others than before.
    pub(super) fn look_up(&mut self, route: &mut Route) -> Option<BTreeSet<MacAddress>> {
        if self.addresses.is_empty() {
            return None;
        }
        let mut listed = BTreeSet::new();
        let outcome = route.list(Listing::Neighbours, &mut |message| {
            let Some(Neighbour { address, station }) = Neighbour::read(message) else { return };
            if self.addresses.contains(&address) && station.is_station() {
                listed.insert((address, station));
            }
        });
        if let Err(error) = outcome {
            tracing::debug!(%error, "the neighbours cannot be listed");
        }
        let is_news = self.learn(listed);
        let now = Instant::now();
        if self.addresses.iter().any(|address| !self.is_found(*address))
            && self.asked.is_none_or(|last| last + BETWEEN_DATAGRAMS <= now)
        {
            self.asked = Some(now);
            self.have_them_found(route);
        }
        is_news.then(|| self.all())
    }

    /// The address of the node that a station was found to be of.
    pub(super) fn address_of(&self, station: MacAddress) -> Option<IpAddr> {
        self.found.iter().find(|(_, found)| *found == station).map(|(address, _)| *address)
    }

    /// Whether a station is new by this. What the kernel says of a station now is in place of what it said before.
    fn learn(&mut self, listed: BTreeSet<(IpAddr, MacAddress)>) -> bool {
        let before: BTreeSet<MacAddress> = self.found.iter().map(|(_, station)| *station).collect();
        let stations: BTreeSet<MacAddress> = listed.iter().map(|(_, station)| *station).collect();
        self.found.retain(|(_, station)| !stations.contains(station));
        self.found.extend(listed);
        while self.found.len() > l2::LIMITS.stations {
            self.found.pop_last();
        }
        !stations.is_subset(&before)
    }

    fn is_found(&self, address: IpAddr) -> bool {
        self.found.range((address, MacAddress::ZERO)..).next().is_some_and(|(found, _)| *found == address)
    }

    fn all(&self) -> BTreeSet<MacAddress> {
        self.stations.iter().copied().chain(self.found.iter().map(|(_, station)| *station)).collect()
    }

    fn have_them_found(&self, route: &mut Route) {
        let mut networks = Vec::new();
        let listed = route.list(Listing::Addresses, &mut |message| {
            networks.extend(Address::read(message).map(|(address, _)| (address.address, address.prefix)));
        });
        if let Err(error) = listed {
            return tracing::debug!(%error, "the addresses cannot be listed");
        }
        let unknown = self.addresses.iter().filter(|address| !self.is_found(**address));
        let near =
            unknown.filter(|address| networks.iter().any(|&(own, prefix)| is_near(**address, own, prefix)));
        for &address in near.take(DATAGRAMS) {
            let from: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
            let sent = UdpSocket::bind((from, 0)).and_then(|socket| socket.send_to(&[], (address, DISCARD)));
            if let Err(error) = sent {
                tracing::debug!(%address, %error, "a fellow cannot be asked for");
            }
        }
    }
}

/// Whether it is in the network of one of our addresses.
fn is_near(address: IpAddr, own: IpAddr, prefix: u8) -> bool {
    let differs = match (address, own) {
        (IpAddr::V4(address), IpAddr::V4(own)) => (address.to_bits() ^ own.to_bits()).leading_zeros(),
        (IpAddr::V6(address), IpAddr::V6(own)) => (address.to_bits() ^ own.to_bits()).leading_zeros(),
        _ => return false,
    };
    differs >= prefix.into() && address != own
}

impl Thread {
    /// Of a station that the machine did not know as one.
    pub(super) fn is_fellow_after_all(&mut self, station: MacAddress) -> bool {
        let now = Instant::now();
        if self.fellows.looked_up.is_some_and(|last| now < last + PAUSE) {
            return false;
        }
        self.fellows.looked_up = Some(now);
        let Some(stations) = self.fellows.look_up(&mut self.route) else { return false };
        let is_fellow = stations.contains(&station);
        self.responder.handle(Input::Fellows(stations), now);
        is_fellow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_station_is_whose_it_was_last_seen_to_be() {
        let station = |last| MacAddress([2, 0, 0, 0, 0, last]);
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let mut fellows = Fellows::default();
        assert!(fellows.learn([(address(1), station(1)), (address(2), station(2))].into()));
        assert!(!fellows.learn([(address(1), station(1))].into()));
        assert_eq!(fellows.address_of(station(2)), Some(address(2)), "it is kept");
        assert!(fellows.learn([(address(1), station(3))].into()), "another interface");
        assert_eq!([1, 3].map(|last| fellows.address_of(station(last))), [Some(address(1)); 2]);
        assert!(!fellows.learn([(address(3), station(1))].into()));
        assert_eq!(fellows.address_of(station(1)), Some(address(3)), "another node has its station now");
        assert_eq!([1, 2, 3, 4].map(|last| fellows.is_found(address(last))), [true, true, true, false]);
        assert_eq!(fellows.address_of(station(9)), None);
    }

    #[test]
    fn near_is_what_is_in_the_network_and_not_this_node_itself() {
        for (address, own, prefix, expected) in [
            ("192.0.2.7", "192.0.2.1", 24, true),
            ("192.0.3.7", "192.0.2.1", 24, false),
            ("192.0.3.7", "192.0.2.1", 23, true),
            ("192.0.2.1", "192.0.2.1", 24, false),
            ("192.0.2.7", "192.0.2.1", 32, false),
            ("2001:db8::7", "2001:db8::1", 64, true),
            ("2001:db8:1::7", "2001:db8::1", 64, false),
            ("192.0.2.7", "2001:db8::1", 0, false),
        ] {
            assert_eq!(
                is_near(address.parse().unwrap(), own.parse().unwrap(), prefix),
                expected,
                "{address} {own}"
            );
        }
    }
}
