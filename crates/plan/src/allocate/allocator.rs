//! Who holds what, and the rules of taking and giving back.
//!
//! Nothing here decides what a Service should have: that is for `choose` and `converge`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::error::AllocationError;
use super::pools::{Change, Direction, PoolId, PoolState, Pools};
use super::request::{SharingKey, Tenant};
use crate::config::Pool;
use crate::range::Capacity;
use crate::snapshot::{IpFamily, Service, ServiceKey, ServicePort};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Services of exactly this class are handled; `None`: Services without a class.
    pub load_balancer_class: Option<String>,
}

impl Options {
    pub fn handles(&self, service: &Service) -> bool {
        service.load_balancer_class == self.load_balancer_class
    }
}

/// The pools, and every address that a Service holds.
#[derive(Debug, Clone, Default)]
pub struct Allocator {
    pub(super) options: Options,
    /// `None` until the pools are known; an empty set of pools is something else.
    pub(super) pools: Option<Pools>,
    holdings: HashMap<Arc<ServiceKey>, Holding>,
    addresses: HashMap<IpAddr, Address>,
    /// Names of pools that were replaced.
    gone_pools: BTreeSet<String>,
}

/// What one Service holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) pool: PoolId,
    /// In the order of the status.
    pub(super) addresses: Vec<IpAddr>,
    /// The ports that another holder of the same address may not have.
    pub(super) ports: Vec<ServicePort>,
    pub(super) sharing: SharingKey,
}

/// One address that at least one Service holds. All its holders have the same key.
#[derive(Debug, Clone, Default)]
struct Address {
    key: SharingKey,
    holders: BTreeSet<Arc<ServiceKey>>,
    /// Empty unless the key can be shared: nobody else's ports meet those of a sole holder.
    ports: HashMap<ServicePort, Arc<ServiceKey>>,
}

/// What the status and the metrics of one pool say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    pub capacity: i64,
    pub capacity_v4: i64,
    pub capacity_v6: i64,
    pub assigned_v4: i64,
    pub assigned_v6: i64,
    pub available_v4: i64,
    pub available_v6: i64,
}

/// A message names no more Services than this; the rest are a number.
const HOLDERS_NAMED: usize = 16;

impl Allocator {
    pub fn new(options: Options) -> Allocator {
        Allocator { options, ..Allocator::default() }
    }

    /// Makes room for so many Services, each with an address.
    pub(super) fn reserve(&mut self, services: usize) {
        self.holdings.reserve(services);
        self.addresses.reserve(services);
    }

    /// Replaces the pools. A Service keeps its addresses if one pool still holds all of them, whatever
    /// its name is now; whether the Service may use that pool is asked when it is next converged.
    pub fn set_pools(&mut self, pools: BTreeMap<String, Pool>) {
        let old = self.pools.replace(Pools::new(pools)).unwrap_or_default();
        let holdings = std::mem::take(&mut self.holdings);
        self.addresses.clear();
        for (service, holding) in holdings {
            let same_name = self.pools().find(old.name(holding.pool));
            if let Some(pool) = self.pools().around_all(&holding.addresses, same_name) {
                self.take(service, Holding { pool, ..holding });
            }
        }
        self.gone_pools.extend(old.iter().map(|state| state.config.name.clone()));
    }

    /// Gives a Service exactly these addresses, in place of what it holds, or changes nothing.
    pub fn assign(&mut self, service: &Service, addresses: &[IpAddr]) -> Result<(), AllocationError> {
        let tenant = Tenant::of(service);
        let preferred = self.pools().find(tenant.wanted_pool);
        self.assign_preferring(&tenant, addresses, preferred)
    }

    pub(super) fn assign_preferring(
        &mut self,
        tenant: &Tenant<'_>,
        addresses: &[IpAddr],
        preferred: Option<PoolId>,
    ) -> Result<(), AllocationError> {
        let pool = self.pools().around_all(addresses, preferred).ok_or_else(|| not_allowed(addresses))?;
        let config = &self.pools().get(pool).config;
        if !config.admits(&tenant.key.namespace, tenant.labels) {
            return Err(AllocationError::OutOfScope { pool: config.name.clone() });
        }
        self.can_have(tenant, addresses)?;
        self.hold(tenant, pool, addresses);
        Ok(())
    }

    /// Takes everything from a Service. Whether there was anything.
    pub fn remove(&mut self, service: &ServiceKey) -> bool {
        let Some((service, holding)) = self.holdings.remove_entry(service) else { return false };
        for &address in &holding.addresses {
            self.free_address(address, &service, &holding);
        }
        true
    }

    /// The addresses of a Service in the order of its status, and the name of their pool.
    pub fn held(&self, service: &ServiceKey) -> Option<(&[IpAddr], &str)> {
        self.holdings.get(service).map(|holding| (&holding.addresses[..], self.pools().name(holding.pool)))
    }

    pub fn counters(&self, pool: &str) -> Option<Counters> {
        let pools = self.pools();
        pools.find(pool).map(|id| Counters::of(pools.get(id)))
    }

    pub fn all_counters(&self) -> BTreeMap<String, Counters> {
        self.pools().iter().map(|state| (state.config.name.clone(), Counters::of(state))).collect()
    }

    /// The pools whose counters may have changed, or that came or went, since this was last asked.
    pub fn take_changed_pools(&mut self) -> BTreeSet<String> {
        let mut names = std::mem::take(&mut self.gone_pools);
        if let Some(pools) = &mut self.pools {
            let changed = pools.take_changed();
            names.extend(changed.into_iter().map(|id| pools.name(id).to_owned()));
        }
        names
    }

    pub(super) fn holding(&self, service: &ServiceKey) -> Option<&Holding> {
        self.holdings.get(service)
    }

    pub(super) fn pools(&self) -> &Pools {
        static NONE: std::sync::LazyLock<Pools> = std::sync::LazyLock::new(Pools::default);
        self.pools.as_ref().unwrap_or(&NONE)
    }

    /// Whether these addresses are one, or one of each family, that nobody else needs for himself.
    pub(super) fn can_have(&self, tenant: &Tenant<'_>, addresses: &[IpAddr]) -> Result<(), AllocationError> {
        match *addresses {
            [first, second] if IpFamily::of(first) == IpFamily::of(second) => {
                return Err(AllocationError::SameFamily { first, second });
            }
            [_] | [_, _] => {}
            _ => return Err(AllocationError::MoreThanTwo { addresses: addresses.to_vec() }),
        }
        addresses.iter().try_for_each(|&address| self.can_use(tenant, address))
    }

    /// The rules of sharing. A sole holder may change its own key in place.
    pub(super) fn can_use(&self, tenant: &Tenant<'_>, address: IpAddr) -> Result<(), AllocationError> {
        let Some(state) = self.addresses.get(&address) else { return Ok(()) };
        let is_other = |holder: &&Arc<ServiceKey>| holder.as_ref() != tenant.key;
        if !state.key.is_compatible_with(&tenant.sharing)
            && state.holders.iter().any(|holder| is_other(&holder))
        {
            let is_holder = state.holders.contains(tenant.key);
            let others = state.holders.iter().filter(is_other).take(HOLDERS_NAMED);
            let others: Vec<ServiceKey> = others.map(|holder| holder.as_ref().clone()).collect();
            let more = state.holders.len() - usize::from(is_holder) - others.len();
            return Err(AllocationError::InUse { service: tenant.key.clone(), address, others, more });
        }
        let taken = |port: &&ServicePort| state.ports.get(port).is_some_and(|holder| is_other(&holder));
        match tenant.ports.iter().find(taken) {
            Some(port) => Err(AllocationError::PortInUse { address, port: port.clone() }),
            None => Ok(()),
        }
    }

    /// Puts these addresses, which must be free for the Service, in place of what it holds.
    pub(super) fn hold(&mut self, tenant: &Tenant<'_>, pool: PoolId, addresses: &[IpAddr]) {
        let holding = Holding {
            pool,
            addresses: addresses.to_vec(),
            // Where nothing is shared, ports meet nobody else's.
            ports: if tenant.sharing.is_shareable() { tenant.ports.to_vec() } else { Vec::new() },
            sharing: tenant.sharing.clone(),
        };
        if self.holding(tenant.key) != Some(&holding) {
            self.remove(tenant.key);
            self.take(Arc::new(tenant.key.clone()), holding);
        }
    }

    fn take(&mut self, service: Arc<ServiceKey>, holding: Holding) {
        for &address in &holding.addresses {
            let state = self.addresses.entry(address).or_default();
            let alone = state.holders.is_empty();
            if alone {
                state.key = holding.sharing.clone();
            }
            state.holders.insert(Arc::clone(&service));
            let mut ports = holding.ports.clone();
            ports.retain(|port| state.ports.insert(port.clone(), Arc::clone(&service)).is_none());
            let change = Change { direction: Direction::Taken, key: &holding.sharing, ports: &ports, alone };
            self.record(address, &change);
        }
        self.holdings.insert(service, holding);
    }

    fn free_address(&mut self, address: IpAddr, service: &Arc<ServiceKey>, holding: &Holding) {
        let Some(state) = self.addresses.get_mut(&address) else { return };
        state.holders.remove(service);
        let mut ports = holding.ports.clone();
        ports.retain(|port| state.ports.remove(port).is_some());
        let alone = state.holders.is_empty();
        if alone {
            self.addresses.remove(&address);
        }
        let change = Change { direction: Direction::Freed, key: &holding.sharing, ports: &ports, alone };
        self.record(address, &change);
    }

    fn record(&mut self, address: IpAddr, change: &Change<'_>) {
        if let Some(pools) = &mut self.pools {
            pools.record(address, change);
        }
    }
}

fn not_allowed(addresses: &[IpAddr]) -> AllocationError {
    AllocationError::NotAllowed { addresses: addresses.iter().copied().map(Some).collect() }
}

impl Counters {
    fn of(state: &PoolState) -> Counters {
        let assigned = |family| i64::try_from(state.taken(family)).unwrap_or(i64::MAX);
        let (assigned_v4, assigned_v6) = (assigned(IpFamily::V4), assigned(IpFamily::V6));
        let Capacity { total, v4, v6 } = state.capacity;
        Counters {
            capacity: total,
            capacity_v4: v4,
            capacity_v6: v6,
            assigned_v4,
            assigned_v6,
            available_v4: v4.saturating_sub(assigned_v4),
            available_v6: v6.saturating_sub(assigned_v6),
        }
    }
}
