//! The figures of all addresses. The thread counts on handles to single ones, so the lock in here is not its concern.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::l2::{self, AddressCounters, DropReason};

use super::LIMITS;

#[derive(Debug, Default)]
pub struct Counters {
    addresses: Mutex<BTreeMap<IpAddr, Arc<AddressCounters>>>,
    totals: Arc<l2::Counters>,
}

impl Counters {
    /// Every address that was ever announced. A series of a metric begins when its figure is no longer zero.
    pub fn addresses(&self) -> Vec<(IpAddr, Arc<AddressCounters>)> {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.iter().map(|(&address, counters)| (address, Arc::clone(counters))).collect()
    }

    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.totals.dropped(reason)
    }

    pub(super) fn totals(&self) -> Arc<l2::Counters> {
        Arc::clone(&self.totals)
    }

    /// Those of one address, from its first announcement on.
    pub(crate) fn of(&self, address: IpAddr) -> Arc<AddressCounters> {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= LIMITS.counted_addresses && !addresses.contains_key(&address) {
            // Whom nobody else holds is not announced any more.
            addresses.retain(|_, counters| Arc::strong_count(counters) > 1);
        }
        Arc::clone(addresses.entry(address).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn figures_of_addresses_that_are_gone_make_room() {
        let counters = Counters::default();
        let address = |number| IpAddr::V4(Ipv4Addr::from_bits(number));
        let kept = counters.of(address(7));
        for number in 0..LIMITS.counted_addresses as u32 {
            counters.of(address(number));
        }
        assert_eq!(counters.addresses().len(), LIMITS.counted_addresses);
        counters.of(address(u32::MAX));
        assert_eq!(counters.addresses().len(), 2);
        assert!(Arc::ptr_eq(&kept, &counters.of(address(7))));
    }
}
