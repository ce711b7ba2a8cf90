//! Which addresses a Service gets when it does not name them.
//!
//! The search is over pools and never over addresses: each pool knows the first one that would do.

use std::net::IpAddr;

use super::allocator::Allocator;
use super::error::AllocationError;
use super::pools::PoolId;
use super::request::{Families, Tenant};
use crate::snapshot::{IpFamily, IpFamilyPolicy, Service};

/// What one pool has to offer to one Service.
#[derive(Debug, Clone, Copy)]
struct Offer {
    pool: PoolId,
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
}

impl Allocator {
    /// From the pools meant for this Service, else from those open to all. What it holds already, it keeps.
    pub fn allocate_automatically(
        &mut self,
        service: &Service,
        families: Families,
    ) -> Result<Vec<IpAddr>, AllocationError> {
        let tenant = Tenant::of(service);
        if let Some(holding) = self.holding(&service.key) {
            let (addresses, pool) = (holding.addresses.clone(), holding.pool);
            self.assign_preferring(&tenant, &addresses, Some(pool))?;
            return Ok(addresses);
        }
        for offer in
            [self.pinned_offer(service, &tenant, families), self.open_offer(service, &tenant, families)]
        {
            if let Some(offer) = offer
                && let Ok(addresses) = self.accept(service, &tenant, families, offer)
            {
                return Ok(addresses);
            }
        }
        Err(AllocationError::NothingAvailable)
    }

    /// From this pool and no other, also if it is not for automatic allocation.
    pub fn allocate_from_pool(
        &mut self,
        service: &Service,
        families: Families,
        pool: &str,
    ) -> Result<Vec<IpAddr>, AllocationError> {
        let tenant = Tenant::of(service);
        if let Some(holding) = self.holding(&service.key) {
            let addresses: Vec<Option<IpAddr>> = holding.addresses.iter().copied().map(Some).collect();
            let held = Families::of(&addresses)?;
            if held != families && service.ip_family_policy != IpFamilyPolicy::PreferDualStack {
                return Err(AllocationError::HoldsOtherFamily { held, wanted: families });
            }
            return Ok(addresses.into_iter().flatten().collect());
        }
        let id =
            self.pools().find(pool).ok_or_else(|| AllocationError::UnknownPool { pool: pool.to_owned() })?;
        let offer = self.offer(id, &tenant, Families::Dual);
        if offer.is_empty() {
            return Err(AllocationError::PoolExhausted { pool: pool.to_owned() });
        }
        self.accept(service, &tenant, families, offer)
    }

    /// Adds the family that is missing, from the same pool, to the one address that is held.
    pub(super) fn add_missing_family(
        &mut self,
        service: &Service,
    ) -> Result<Option<IpAddr>, AllocationError> {
        let tenant = Tenant::of(service);
        let Some(holding) = self.holding(&service.key) else { return Ok(None) };
        let (pool, &[existing]) = (holding.pool, &holding.addresses[..]) else { return Ok(None) };
        let missing = match IpFamily::of(existing) {
            IpFamily::V4 => IpFamily::V6,
            IpFamily::V6 => IpFamily::V4,
        };
        let additional = self.pools().first_open(pool, missing, &tenant);
        self.assign_offered(&tenant, pool, &[Some(existing), additional])?;
        Ok(additional)
    }

    fn pinned_offer(&self, service: &Service, tenant: &Tenant<'_>, families: Families) -> Option<Offer> {
        self.best_offer(service, tenant, families, self.pools().pinned_to(tenant))
    }

    fn open_offer(&self, service: &Service, tenant: &Tenant<'_>, families: Families) -> Option<Offer> {
        self.best_offer(service, tenant, families, self.pools().open())
    }

    /// The first pool that has all that is needed. If a Service prefers two families and no pool has both,
    /// the first that has its primary family, else the first that has the other one.
    fn best_offer(
        &self,
        service: &Service,
        tenant: &Tenant<'_>,
        families: Families,
        pools: impl Iterator<Item = PoolId>,
    ) -> Option<Offer> {
        let prefers_dual = service.ip_family_policy == IpFamilyPolicy::PreferDualStack;
        let primary = service.primary_family.unwrap_or(IpFamily::V4);
        let (mut with_primary, mut with_secondary) = (None, None);
        for pool in pools {
            let offer = self.offer(pool, tenant, families);
            // That a pool is exhausted is known at once, so it is asked before who may use it.
            if offer.is_empty() || !self.pools().get(pool).config.admits(&tenant.key.namespace, tenant.labels)
            {
                continue;
            }
            match (families, offer.v4, offer.v6) {
                (Families::V4 | Families::V6, ..) | (_, Some(_), Some(_)) => return Some(offer),
                _ if !prefers_dual => {}
                _ if offer.has(primary) => with_primary = with_primary.or(Some(offer)),
                _ => with_secondary = with_secondary.or(Some(offer)),
            }
        }
        with_primary.or(with_secondary)
    }

    fn offer(&self, pool: PoolId, tenant: &Tenant<'_>, families: Families) -> Offer {
        let first = |family| self.pools().first_open(pool, family, tenant);
        let v4 = (families != Families::V6).then(|| first(IpFamily::V4)).flatten();
        let v6 = (families != Families::V4).then(|| first(IpFamily::V6)).flatten();
        Offer { pool, v4, v6 }
    }

    fn accept(
        &mut self,
        service: &Service,
        tenant: &Tenant<'_>,
        families: Families,
        offer: Offer,
    ) -> Result<Vec<IpAddr>, AllocationError> {
        let Some(chosen) = offer.choose(families, service.ip_family_policy) else {
            let pool = self.pools().name(offer.pool).to_owned();
            return Err(AllocationError::FamiliesUnavailable { pool, families });
        };
        self.assign_offered(tenant, offer.pool, &chosen)
    }

    /// An address that is missing is an address that no pool contains, and the message says so.
    fn assign_offered(
        &mut self,
        tenant: &Tenant<'_>,
        pool: PoolId,
        offered: &[Option<IpAddr>],
    ) -> Result<Vec<IpAddr>, AllocationError> {
        let addresses: Option<Vec<IpAddr>> = offered.iter().copied().collect();
        let addresses =
            addresses.ok_or_else(|| AllocationError::NotAllowed { addresses: offered.to_vec() })?;
        self.assign_preferring(tenant, &addresses, Some(pool))?;
        Ok(addresses)
    }
}

impl Offer {
    fn is_empty(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }

    fn has(&self, family: IpFamily) -> bool {
        match family {
            IpFamily::V4 => self.v4.is_some(),
            IpFamily::V6 => self.v6.is_some(),
        }
    }

    /// `None` when what is offered does not fit the policy.
    fn choose(&self, families: Families, policy: IpFamilyPolicy) -> Option<Vec<Option<IpAddr>>> {
        match (families, policy, self.v4, self.v6) {
            (Families::V4, ..) => Some(vec![self.v4]),
            (Families::V6, ..) => Some(vec![self.v6]),
            // A Service of a single family that has two cluster IPs contradicts itself.
            (Families::Dual, IpFamilyPolicy::SingleStack, ..) => None,
            (Families::Dual, _, Some(_), Some(_)) => Some(vec![self.v4, self.v6]),
            (Families::Dual, IpFamilyPolicy::PreferDualStack, Some(_), None) => Some(vec![self.v4]),
            (Families::Dual, IpFamilyPolicy::PreferDualStack, None, Some(_)) => Some(vec![self.v6]),
            (Families::Dual, ..) => None,
        }
    }
}
