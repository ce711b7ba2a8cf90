//! The pools as the allocator sees them: found by address, by name, or by who may use them.
//!
//! What is taken is kept per pool and family. Who took it is not known here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::occupancy::{Intervals, SharedAddresses};
use super::request::{SharingKey, Tenant};
use crate::config::Pool;
use crate::containment::Containment;
use crate::range::{AddressSpace, Capacity};
use crate::snapshot::{IpFamily, ServicePort};

/// Positions are in name order, and valid until the pools are replaced.
pub(super) use crate::containment::PoolId;

#[derive(Debug, Clone, Default)]
pub(super) struct Pools {
    /// In name order.
    states: Vec<PoolState>,
    containment: Containment,
    /// Pools that serve everyone for whom no other pool is meant, in name order.
    open: Vec<PoolId>,
    /// Pools meant for Services of one namespace, or chosen by label only; both in order of preference.
    pinned_to_namespace: HashMap<String, Vec<PoolId>>,
    pinned_anywhere: Vec<PoolId>,
    /// Pools whose counters may differ from what was last asked for.
    changed: BTreeSet<PoolId>,
}

#[derive(Debug, Clone)]
pub(super) struct PoolState {
    pub(super) config: Pool,
    pub(super) capacity: Capacity,
    v4: FamilyState,
    v6: FamilyState,
}

/// The addresses of one family of a pool, and which of them are taken.
#[derive(Debug, Clone)]
struct FamilyState {
    space: AddressSpace,
    taken: Intervals,
    shared: HashMap<SharingKey, SharedAddresses>,
    /// The first address that nobody has: known at all times, so that passing by a full pool costs nothing.
    first_free: Option<u128>,
}

impl Pools {
    pub(super) fn new(configs: BTreeMap<String, Pool>) -> Pools {
        let mut pools =
            Pools { states: configs.into_values().map(PoolState::new).collect(), ..Pools::default() };
        pools.states.sort_by(|a, b| a.config.name.cmp(&b.config.name));
        pools.containment = Containment::new(pools.states.iter().map(|state| &state.config));
        pools.index_preferences();
        pools.changed = (0..pools.states.len()).collect();
        pools
    }

    fn index_preferences(&mut self) {
        let mut ids: Vec<PoolId> = (0..self.states.len()).filter(|&id| self.config(id).auto_assign).collect();
        ids.sort_by_key(|&id| self.preference(id));
        for id in ids {
            match &self.states[id].config.scope {
                None => self.open.push(id),
                Some(scope) => match &scope.namespaces {
                    None => self.pinned_anywhere.push(id),
                    Some(namespaces) => {
                        for namespace in namespaces {
                            self.pinned_to_namespace.entry(namespace.clone()).or_default().push(id);
                        }
                    }
                },
            }
        }
    }

    /// Positive priorities ascending, then all others, which say nothing; in name order among equals.
    fn preference(&self, id: PoolId) -> (bool, i64, PoolId) {
        let priority = self.config(id).scope.as_ref().map_or(0, |scope| scope.priority.max(0));
        (priority == 0, priority, id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PoolState> {
        self.states.iter()
    }

    pub(super) fn get(&self, id: PoolId) -> &PoolState {
        &self.states[id]
    }

    fn config(&self, id: PoolId) -> &Pool {
        &self.states[id].config
    }

    pub(super) fn name(&self, id: PoolId) -> &str {
        &self.states[id].config.name
    }

    pub(super) fn find(&self, name: &str) -> Option<PoolId> {
        self.states.binary_search_by(|state| state.config.name.as_str().cmp(name)).ok()
    }

    pub(super) fn contain(&self, address: IpAddr) -> bool {
        !self.containment.around(address).is_empty()
    }

    /// The pool that holds all of these addresses: `preferred` if it does, else the first by name.
    pub(super) fn around_all(&self, addresses: &[IpAddr], preferred: Option<PoolId>) -> Option<PoolId> {
        let candidates = self.containment.around_all(addresses);
        preferred.filter(|preferred| candidates.contains(preferred)).or_else(|| candidates.first().copied())
    }

    /// The pools meant for this Service, the preferred ones first.
    pub(super) fn pinned_to(&self, tenant: &Tenant<'_>) -> impl Iterator<Item = PoolId> {
        let mut here =
            self.pinned_to_namespace.get(&*tenant.key.namespace).into_iter().flatten().copied().peekable();
        let mut anywhere = self.pinned_anywhere.iter().copied().peekable();
        std::iter::from_fn(move || match (here.peek(), anywhere.peek()) {
            (Some(&a), Some(&b)) if self.preference(b) < self.preference(a) => anywhere.next(),
            (Some(_), _) => here.next(),
            (None, _) => anywhere.next(),
        })
    }

    pub(super) fn open(&self) -> impl Iterator<Item = PoolId> {
        self.open.iter().copied()
    }

    /// The first address of the pool, in its order, that a Service with this key and these ports can take.
    pub(super) fn first_open(&self, id: PoolId, family: IpFamily, tenant: &Tenant<'_>) -> Option<IpAddr> {
        let state = self.states[id].family(family);
        let mut ordinal = state.first_free;
        if tenant.sharing.is_shareable()
            && let Some(shared) = state.shared.get(&tenant.sharing)
        {
            ordinal = ordinal.into_iter().chain(shared.first_open(tenant.ports)).min();
        }
        state.space.address(ordinal?)
    }

    /// Records the change in every pool around the address.
    pub(super) fn record(&mut self, address: IpAddr, change: &Change<'_>) {
        for id in self.containment.around(address) {
            let family = self.states[id].family_mut(IpFamily::of(address));
            if let Some(ordinal) = family.space.ordinal(address) {
                family.record(ordinal, change);
                self.changed.insert(id);
            }
        }
    }

    pub(super) fn take_changed(&mut self) -> BTreeSet<PoolId> {
        std::mem::take(&mut self.changed)
    }
}

/// What one Service's coming or going means for one address.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) direction: Direction,
    pub(super) key: &'a SharingKey,
    /// The ports that the Service takes or frees.
    pub(super) ports: &'a [ServicePort],
    /// Whether the Service is the first to come, or the last to go.
    pub(super) alone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Taken,
    Freed,
}

impl PoolState {
    fn new(config: Pool) -> PoolState {
        let family =
            |family| FamilyState::new(AddressSpace::new(config.prefixes(), family, config.avoid_buggy_ips));
        let capacity = Capacity::of(config.prefixes(), config.avoid_buggy_ips);
        PoolState { capacity, v4: family(IpFamily::V4), v6: family(IpFamily::V6), config }
    }

    /// How many addresses are taken. An address that Services share counts once.
    pub(super) fn taken(&self, family: IpFamily) -> usize {
        self.family(family).taken.count()
    }

    fn family(&self, family: IpFamily) -> &FamilyState {
        match family {
            IpFamily::V4 => &self.v4,
            IpFamily::V6 => &self.v6,
        }
    }

    fn family_mut(&mut self, family: IpFamily) -> &mut FamilyState {
        match family {
            IpFamily::V4 => &mut self.v4,
            IpFamily::V6 => &mut self.v6,
        }
    }
}

impl FamilyState {
    fn new(space: AddressSpace) -> FamilyState {
        let mut state =
            FamilyState { space, taken: Intervals::default(), shared: HashMap::new(), first_free: None };
        state.find_first_free();
        state
    }

    fn find_first_free(&mut self) {
        let last = self.space.last_ordinal();
        self.first_free = self.taken.first_absent().filter(|&first| last.is_some_and(|last| first <= last));
    }

    fn record(&mut self, ordinal: u128, change: &Change<'_>) {
        if change.alone {
            match change.direction {
                Direction::Taken => self.taken.insert(ordinal),
                Direction::Freed => self.taken.remove(ordinal),
            }
            self.find_first_free();
        }
        if change.key.is_shareable() {
            self.record_shared(ordinal, change);
        }
    }

    fn record_shared(&mut self, ordinal: u128, change: &Change<'_>) {
        let shared = match self.shared.get_mut(change.key) {
            Some(shared) => shared,
            None => self.shared.entry(change.key.clone()).or_default(),
        };
        match change.direction {
            Direction::Taken => {
                if change.alone {
                    shared.add_address(ordinal);
                }
                change.ports.iter().for_each(|port| shared.take_port(ordinal, port));
            }
            Direction::Freed => {
                change.ports.iter().for_each(|port| shared.free_port(ordinal, port));
                if change.alone {
                    shared.remove_address(ordinal);
                }
            }
        }
        if shared.is_empty() {
            self.shared.remove(change.key);
        }
    }
}
