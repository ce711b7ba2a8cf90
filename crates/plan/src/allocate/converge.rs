//! One Service from what it is to what it should be.
//!
//! The status is the only memory: what it says is kept if the rules still allow it, given back if not.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::allocator::{Allocator, Holding};
use super::decision::{Decision, Event, Write, deprecation_events};
use super::error::{AllocationError, Refusal};
use super::request::{Families, Tenant, recorded, requested, texts};
use crate::quote::{quoted, quoted_list};
use crate::snapshot::{IpFamilyPolicy, Service, ServiceKey, ServiceType};

/// The reason of the events that name what was given.
const ALLOCATED: &str = "IPAllocated";

impl Allocator {
    /// Decides what this Service has from now on, and remembers it.
    pub fn converge(&mut self, service: &Service) -> Decision {
        let before = self.holding(&service.key).cloned();
        let mut pass = Pass {
            allocator: self,
            service,
            tenant: Tenant::of(service),
            events: Vec::new(),
            status: Status::AsRead,
            waits: false,
        };
        let refusal = pass.run().err();
        let Pass { status, mut events, waits, .. } = pass;
        if let Some(refusal) = &refusal
            && let Some(reason) = refusal.event_reason()
        {
            events.push(Event::warning(reason, refusal.to_string()));
        }

        let (addresses, pool) = self.held(&service.key).unwrap_or_default();
        let (addresses, pool) = (addresses.to_vec(), Some(pool.to_owned()).filter(|_| !addresses.is_empty()));
        let write = (status == Status::FollowsHolding)
            .then(|| Write { ingress: addresses.clone(), pool_annotation: pool.clone() })
            .filter(|write| write.changes(service));
        if write.is_some() {
            events.extend(deprecation_events(service));
        }
        let world_changed = self.helps_others(&service.key, before.as_ref());
        Decision {
            service: service.key.clone(),
            pool,
            addresses,
            events,
            refusal,
            write,
            world_changed,
            waits,
        }
    }

    /// Decides again about a Service for which the earlier decision is not written yet. The result is to be
    /// written in place of both; nothing is said of addresses that were decided and never written.
    pub fn converge_after(&mut self, mut earlier: Decision, service: &Service) -> Decision {
        let mut decision = self.converge(&earlier.applied_to(service));
        // What it changed has been seen to already.
        earlier.world_changed = false;
        if !earlier.addresses.iter().all(|address| decision.addresses.contains(address)) {
            earlier.events.retain(|event| event.reason != ALLOCATED);
        }
        decision.follow(earlier, service);
        decision
    }

    /// Whether the Service can have an address at all.
    pub(super) fn eligibility(&self, service: &Service) -> Result<(), Refusal> {
        if let ServiceType::Other(other) = &service.service_type {
            return Err(Refusal::NotLoadBalancer(other.clone()));
        }
        if self.pools().is_empty() {
            return Err(Refusal::NoPools);
        }
        if service.cluster_ips.is_empty() && service.cluster_ip.is_empty() {
            return Err(Refusal::NoClusterIps);
        }
        if service.ip_family_policy == IpFamilyPolicy::RequireDualStack && service.cluster_ips.len() < 2 {
            return Err(Refusal::NotEnoughClusterIps { cluster_ips: service.cluster_ips.clone() });
        }
        Ok(())
    }

    /// Whether the way from `before` to what is held now may let another Service have what it waits for.
    fn helps_others(&self, service: &ServiceKey, before: Option<&Holding>) -> bool {
        let now = self.holding(service);
        let sharing =
            |holding: Option<&Holding>| holding.map(|holding| holding.sharing.clone()).unwrap_or_default();
        if sharing(before) != sharing(now) {
            return true;
        }
        let Some(before) = before else { return false };
        let is_freed = |address: &IpAddr| {
            now.is_none_or(|now| !now.addresses.contains(address)) && self.pools().contain(*address)
        };
        let frees_port = || {
            let kept: BTreeSet<_> = now.into_iter().flat_map(|now| &now.ports).collect();
            before.sharing.is_shareable() && before.ports.iter().any(|port| !kept.contains(port))
        };
        before.addresses.iter().any(is_freed) || frees_port()
    }
}

/// One pass over one Service. `Err` is why it ends without an address, or without what it asks for.
struct Pass<'a> {
    allocator: &'a mut Allocator,
    service: &'a Service,
    tenant: Tenant<'a>,
    events: Vec<Event>,
    status: Status,
    waits: bool,
}

/// What becomes of the status that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    AsRead,
    FollowsHolding,
}

impl Pass<'_> {
    fn run(&mut self) -> Result<(), Refusal> {
        let service = self.service;
        if self.allocator.pools.is_none() {
            return Err(Refusal::PoolsNotLoaded);
        }
        if !self.allocator.options.handles(service) {
            // It may have been ours before: a Service loses its class when it changes its type.
            self.allocator.remove(&service.key);
            let (wanted, ours) = (&service.load_balancer_class, &self.allocator.options.load_balancer_class);
            return Err(Refusal::OtherClass { wanted: wanted.clone(), ours: ours.clone() });
        }
        self.allocator.eligibility(service).inspect_err(|_| self.clear())?;
        if recorded(service).is_empty() {
            self.clear();
        } else {
            self.keep_or_clear()?;
        }
        if self.held().is_empty() {
            self.allocate()?;
        }
        self.status = Status::FollowsHolding;
        Ok(())
    }

    /// Keeps the addresses of the status if they are still right, and completes them to both families.
    fn keep_or_clear(&mut self) -> Result<(), Refusal> {
        let families = self.families_of_service()?;
        let recorded = recorded(self.service);
        if !families_fit(self.service, &recorded, families) {
            self.clear();
            return Ok(());
        }
        let addresses: Vec<IpAddr> = recorded.into_iter().flatten().collect();
        if let Err(error) = self.allocator.assign(self.service, &addresses) {
            let key = quoted(&self.service.key.to_string());
            self.events.push(Event::normal(
                "ClearAssignment",
                format!(
                    "current IP for {key} not allowed by config, will attempt for new IP assignment: {error}"
                ),
            ));
            self.clear();
        }
        if self.is_in_unwanted_pool() {
            self.clear();
        }
        // A request that cannot be read changes nothing, so that a slip of the pen takes no address away.
        match requested(self.service).map_err(Refusal::Request)? {
            Some((wanted, _)) if !is_same_set(&wanted, &addresses) => self.clear(),
            // Who names the addresses has them all: one more would be one too many on the next pass.
            Some(_) => {}
            None => self.complete(families),
        }
        Ok(())
    }

    /// With cluster IPs that say no family, nothing is decided: the address stays, and stays held unless the
    /// rules of sharing give it to others.
    fn families_of_service(&mut self) -> Result<Families, Refusal> {
        let service = self.service;
        if let Err(error) = Families::of(&recorded(service)) {
            let addresses = quoted_list(texts(&recorded(service)));
            let message = format!("Failed to retrieve LBIPs IPFamily for {addresses}: {error}");
            self.events.push(Event::warning("nolbIPsIPFamily", message));
        }
        Families::of_service(service).map_err(|source| {
            if !self.allocator.hold_recorded(&self.tenant, service) {
                self.allocator.remove(&service.key);
            }
            let (cluster_ips, cluster_ip) = (service.cluster_ips.clone(), service.cluster_ip.clone());
            Refusal::ClusterFamily { cluster_ips, cluster_ip, source }
        })
    }

    fn is_in_unwanted_pool(&self) -> bool {
        let held = self.allocator.held(&self.service.key);
        held.is_some_and(|(_, pool)| !self.tenant.accepts_pool(pool))
    }

    /// The second address of a Service that prefers two families, has two, and got one so far.
    fn complete(&mut self, families: Families) {
        let prefers_dual = self.service.ip_family_policy == IpFamilyPolicy::PreferDualStack;
        if self.held().len() != 1 || !prefers_dual || families != Families::Dual {
            return;
        }
        match self.allocator.add_missing_family(self.service) {
            Ok(None) => {}
            Ok(Some(additional)) => {
                let address = quoted(&additional.to_string());
                self.events.push(Event::normal(ALLOCATED, format!("Assigned additional IP {address}")));
            }
            Err(error) => {
                self.waits = true;
                let message = format!("cannot assign additional IP in PreferDualStack: {error}");
                self.events.push(Event::normal("AdditionalAssignFailed", message));
            }
        }
    }

    fn allocate(&mut self) -> Result<(), Refusal> {
        match self.choose() {
            Ok((addresses, families)) => {
                self.events.push(assigned(&addresses));
                self.waits = families == Families::Dual && addresses.len() == 1;
                Ok(())
            }
            Err(source) => {
                self.clear();
                self.waits = true;
                let service = self.service.key.clone();
                Err(Refusal::Allocation { service, source: Box::new(source) })
            }
        }
    }

    fn choose(&mut self) -> Result<(Vec<IpAddr>, Families), AllocationError> {
        let families = Families::of_service(self.service)?;
        let addresses = match requested(self.service)? {
            Some((addresses, wanted_families)) => {
                self.take_requested(addresses, wanted_families, families)?
            }
            None if self.tenant.wanted_pool.is_empty() => {
                self.allocator.allocate_automatically(self.service, families)?
            }
            None => self.allocator.allocate_from_pool(self.service, families, self.tenant.wanted_pool)?,
        };
        Ok((addresses, families))
    }

    fn take_requested(
        &mut self,
        addresses: Vec<IpAddr>,
        wanted: Families,
        families: Families,
    ) -> Result<Vec<IpAddr>, AllocationError> {
        if wanted != families {
            return Err(AllocationError::RequestOfOtherFamily { addresses });
        }
        self.allocator.assign(self.service, &addresses)?;
        if self.is_in_unwanted_pool() {
            self.allocator.remove(&self.service.key);
            let pool = self.tenant.wanted_pool.to_owned();
            return Err(AllocationError::RequestOutsidePool { addresses, pool });
        }
        Ok(addresses)
    }

    fn held(&self) -> &[IpAddr] {
        self.allocator.held(&self.service.key).map_or(&[], |(addresses, _)| addresses)
    }

    fn clear(&mut self) {
        self.allocator.remove(&self.service.key);
        self.status = Status::FollowsHolding;
    }
}

pub(super) fn assigned(addresses: &[IpAddr]) -> Event {
    let list = quoted_list(addresses.iter().map(IpAddr::to_string));
    Event::normal(ALLOCATED, format!("Assigned IP {list}"))
}

pub(super) fn families_fit(service: &Service, recorded: &[Option<IpAddr>], families: Families) -> bool {
    let prefers_dual = service.ip_family_policy == IpFamilyPolicy::PreferDualStack;
    Families::of(recorded).is_ok_and(|held| held == families || (families == Families::Dual && prefers_dual))
}

pub(super) fn is_same_set(a: &[IpAddr], b: &[IpAddr]) -> bool {
    a.iter().collect::<BTreeSet<_>>() == b.iter().collect::<BTreeSet<_>>()
}
