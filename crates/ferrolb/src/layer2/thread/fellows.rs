//! Who the other speakers are on the wire: their stations are told, or found in the kernel's neighbour table.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use protocol::Machine;
use protocol::l2::{Input, MacAddress};

use super::Thread;
use crate::netlink::{Listing, Neighbour, Route};

/// A stranger may turn out to be a fellow; with many of them it is not looked up each time.
const PAUSE: Duration = Duration::from_secs(1);

/// Whoever had more than so many stations is looked at anew.
const STATIONS_EACH: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Fellows {
    stations: BTreeSet<MacAddress>,
    addresses: BTreeSet<IpAddr>,
    found: BTreeSet<MacAddress>,
    looked_up: Option<Instant>,
}

impl Fellows {
    /// All of their stations.
    pub(super) fn set(
        &mut self,
        stations: BTreeSet<MacAddress>,
        addresses: BTreeSet<IpAddr>,
        route: &mut Route,
    ) -> BTreeSet<MacAddress> {
        *self = Fellows { stations, addresses, found: BTreeSet::new(), looked_up: None };
        self.look_up(route);
        self.all()
    }

    /// All of their stations, if there are others than before.
    pub(super) fn look_up(&mut self, route: &mut Route) -> Option<BTreeSet<MacAddress>> {
        if self.addresses.is_empty() {
            return None;
        }
        let mut found = BTreeSet::new();
        let listed = route.list(Listing::Neighbours, &mut |message| {
            let neighbour = Neighbour::read(message).filter(|it| self.addresses.contains(&it.address));
            found.extend(neighbour.map(|it| it.station).filter(|station| station.is_station()));
        });
        if let Err(error) = listed {
            tracing::debug!(%error, "the neighbours cannot be listed");
            return None;
        }
        // A neighbour that nobody talked to for a while is forgotten by the kernel, but is still what it was.
        let is_news = !found.is_subset(&self.found);
        if self.found.len() > self.addresses.len() * STATIONS_EACH {
            self.found.clear();
        }
        self.found.extend(found);
        is_news.then(|| self.all())
    }

    fn all(&self) -> BTreeSet<MacAddress> {
        self.stations.union(&self.found).copied().collect()
    }
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
