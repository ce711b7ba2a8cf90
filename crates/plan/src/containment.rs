//! Which pools an address is in, found in a few probes however many pools there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::Pool;
use crate::range::is_usable;
use crate::snapshot::IpFamily;

/// Position of a pool among those that the index was made of.
pub(crate) type PoolId = usize;

#[derive(Debug, Clone, Default)]
pub(crate) struct Containment {
    by_prefix: HashMap<IpNet, Vec<PoolId>>,
    /// The lengths that occur in `by_prefix`: at most 33 and 129 probes find every pool around an address.
    lengths: BTreeMap<IpFamily, BTreeSet<u8>>,
    /// By position: whether the pool leaves addresses out.
    avoids_buggy_ips: Vec<bool>,
}

impl Containment {
    pub(crate) fn new<'a>(pools: impl IntoIterator<Item = &'a Pool>) -> Containment {
        let mut index = Containment::default();
        for (id, pool) in pools.into_iter().enumerate() {
            for prefix in pool.prefixes() {
                let prefix = prefix.trunc();
                index.lengths.entry(IpFamily::of(prefix.addr())).or_default().insert(prefix.prefix_len());
                index.by_prefix.entry(prefix).or_default().push(id);
            }
            index.avoids_buggy_ips.push(pool.avoid_buggy_ips);
        }
        index
    }

    /// Every pool in which this address is usable, ascending. More than one only if pools overlap.
    pub(crate) fn around(&self, address: IpAddr) -> Vec<PoolId> {
        let mut found = Vec::new();
        for &length in self.lengths.get(&IpFamily::of(address)).into_iter().flatten() {
            let Ok(prefix) = IpNet::new(address, length) else { continue };
            found.extend(self.by_prefix.get(&prefix.trunc()).into_iter().flatten());
        }
        found.sort_unstable();
        found.dedup();
        found.retain(|&id: &PoolId| is_usable(address, self.avoids_buggy_ips[id]));
        found
    }

    /// Every pool that holds all of these addresses, ascending.
    pub(crate) fn around_all(&self, addresses: &[IpAddr]) -> Vec<PoolId> {
        let Some((first, others)) = addresses.split_first() else { return Vec::new() };
        let mut found = self.around(*first);
        for &other in others {
            let around = self.around(other);
            found.retain(|id| around.contains(id));
        }
        found
    }
}
