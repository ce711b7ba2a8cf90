//! Taking back what the statuses say, before anybody is given anything.
//!
//! A claim never changes a status, and never says a word: whether it was right, converging will tell.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::allocator::Allocator;
use super::converge::{families_fit, is_same_set};
use super::request::{Families, Tenant, recorded, requested};
use crate::snapshot::{Service, ServiceType};

/// What the next pass over a Service will do with the addresses of its status, as far as the Service and
/// the pools decide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Kept,
    /// It stays in the status, although nothing can be decided.
    Undecided,
    Lost,
}

impl Allocator {
    /// Takes back what the statuses say, before any Service is converged: at a start, and before every pass over
    /// all Services. Where two statuses say the same, whoever will keep it comes before whoever will not.
    pub fn claim_all<'a>(&mut self, services: impl IntoIterator<Item = &'a Service>) {
        let holders = services.into_iter().filter(|service| !service.ingress.is_empty());
        let mut holders: Vec<_> = holders.map(|service| (self.standing(service), service)).collect();
        holders.sort_by_key(|(standing, service)| (*standing, Reverse(service.ingress.len())));
        for (_, service) in holders {
            self.claim(service);
        }
    }

    /// Takes back what the status says, if the Service holds nothing and the rules allow it. Who may use a pool
    /// is no question here: an address stays with its holder until the holder is converged.
    pub fn claim(&mut self, service: &Service) -> bool {
        let is_ours = self.options.handles(service) && service.service_type == ServiceType::LoadBalancer;
        let holds_nothing = self.holding(&service.key).is_none();
        is_ours && holds_nothing && self.hold_recorded(&Tenant::of(service), service)
    }

    pub(super) fn hold_recorded(&mut self, tenant: &Tenant<'_>, service: &Service) -> bool {
        let Some(addresses) = recorded(service).into_iter().collect::<Option<Vec<_>>>() else { return false };
        let preferred = self.pools().find(tenant.wanted_pool);
        let Some(pool) = self.pools().around_all(&addresses, preferred) else { return false };
        let is_free = self.can_have(tenant, &addresses).is_ok();
        if is_free {
            self.hold(tenant, pool, &addresses);
        }
        is_free
    }

    fn standing(&self, service: &Service) -> Standing {
        if self.eligibility(service).is_err() {
            return Standing::Lost;
        }
        let Ok(families) = Families::of_service(service) else { return Standing::Undecided };
        let tenant = Tenant::of(service);
        let recorded = recorded(service);
        let addresses: Vec<IpAddr> = recorded.iter().copied().flatten().collect();
        let pool = self.pools().around_all(&addresses, self.pools().find(tenant.wanted_pool));
        let is_kept = families_fit(service, &recorded, families)
            && pool.is_some_and(|pool| {
                self.pools().get(pool).config.admits(&service.key.namespace, tenant.labels)
            })
            && pool.is_some_and(|pool| tenant.accepts_pool(self.pools().name(pool)))
            && !matches!(requested(service), Ok(Some((wanted, _))) if !is_same_set(&wanted, &addresses));
        if is_kept { Standing::Kept } else { Standing::Lost }
    }
}
