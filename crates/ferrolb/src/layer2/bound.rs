//! Addresses that this host has itself while it owns them, on its loopback interface: for hosts without anything that
//! takes packets to other addresses in.
//!
//! What we put there is marked, so that what a killed process left behind is found and removed by the next.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use crate::netlink::{Address, Link, Listing, Route, flags};

/// Who put an address there (IFA_PROTO). Every number from 4 on is free for programs; `ip address` shows it as `proto`.
/// Kernels before 5.18 do not keep it: what is left behind there stays until it is owned again.
const OURS: u8 = 0x6c;

/// The addresses that are there because of us. They go with it.
#[derive(Debug)]
pub struct Bound {
    route: Route,
    loopback: u32,
    ours: BTreeSet<IpAddr>,
}

/// An address that could not be put there or taken away. What could be done for others was done.
#[derive(Debug, thiserror::Error)]
#[error("address {address} on the loopback interface: {error}")]
pub struct BindError {
    pub address: IpAddr,
    pub error: io::Error,
}

impl Bound {
    /// What an earlier process left behind counts as bound, until [`Bound::set`] says otherwise.
    pub fn open() -> io::Result<Bound> {
        let mut route = Route::open()?;
        let mut loopback = None;
        route.list(Listing::Links, &mut |message| {
            let link = Link::read(message).map(|(link, _)| link).filter(|link| link.has(flags::LOOPBACK));
            loopback = loopback.or(link.map(|link| link.index));
        })?;
        let loopback = loopback.ok_or_else(|| io::Error::other("there is no loopback interface"))?;
        let mut ours = BTreeSet::new();
        route.list(Listing::Addresses, &mut |message| {
            let address = Address::read(message).map(|(address, _)| address);
            let address = address.filter(|it| it.interface == loopback && it.protocol == OURS);
            ours.extend(address.map(|it| it.address));
        })?;
        Ok(Bound { route, loopback, ours })
    }

    pub fn addresses(&self) -> &BTreeSet<IpAddr> {
        &self.ours
    }

    /// From now on exactly these. An address that is there for another reason is left alone, now and later.
    pub fn set(&mut self, wanted: &BTreeSet<IpAddr>) -> Vec<BindError> {
        let mut errors = Vec::new();
        for address in self.ours.difference(wanted).copied().collect::<Vec<_>>() {
            match self.route.order(self.marked(address).remove()) {
                Err(error) if !is(&error, libc::EADDRNOTAVAIL) => errors.push(BindError { address, error }),
                _ => drop(self.ours.remove(&address)),
            }
        }
        for address in wanted.difference(&self.ours).copied().collect::<Vec<_>>() {
            match self.route.order(self.marked(address).add()) {
                Ok(()) => drop(self.ours.insert(address)),
                Err(error) if is(&error, libc::EEXIST) => {}
                Err(error) => errors.push(BindError { address, error }),
            }
        }
        errors
    }

    fn marked(&self, address: IpAddr) -> Address {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Address { interface: self.loopback, address, prefix, is_usable: true, protocol: OURS }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        for error in self.set(&BTreeSet::new()) {
            tracing::warn!(%error, "left behind");
        }
    }
}

fn is(error: &io::Error, code: i32) -> bool {
    error.raw_os_error() == Some(code)
}
