//! Address pools: their addresses, that no two overlap, and who may use them.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use plan::config::{AddressEntry, Pool, Scope};
use plan::snapshot::Namespace;

use super::selectors::{
    Duplicate, compile_list, duplicate_selectors, plain_selector, repeated, spelled_out_selector,
};
use super::{Findings, PoolError, Rule, Subject, Warning, addresses};
use crate::metallb::{IPAddressPool, ServiceAllocation};

pub(super) fn parse(
    resources: &[IPAddressPool],
    namespaces: &[Namespace],
    findings: &mut Findings,
) -> BTreeMap<String, Pool> {
    let mut pools = BTreeMap::new();
    let mut taken = TakenPrefixes::default();
    for resource in resources {
        let subject = Subject::of("IPAddressPool", &resource.metadata);
        let problems_before = findings.problems.len();
        let pool = PoolReader { subject: &subject, findings }.read(resource, namespaces);
        let is_sound = findings.problems.len() == problems_before;
        if is_sound && pools.contains_key(&pool.name) {
            findings.refuse(&subject, "metadata.name", Rule::DuplicatePool(pool.name));
            continue;
        }
        // Of a pool that is refused the other addresses are compared all the same.
        if taken.take(&pool, &subject, findings) && is_sound {
            pools.insert(pool.name.clone(), pool);
        }
    }
    pools
}

struct PoolReader<'a> {
    subject: &'a Subject,
    findings: &'a mut Findings,
}

impl PoolReader<'_> {
    /// The pool as far as it can be read.
    fn read(mut self, resource: &IPAddressPool, namespaces: &[Namespace]) -> Pool {
        let spec = &resource.spec;
        if self.subject.name.is_empty() {
            self.refuse("metadata.name", PoolError::MissingName);
        }
        if spec.addresses.is_empty() {
            self.refuse("spec.addresses", PoolError::NoAddresses);
        }
        let addresses = self.addresses(&spec.addresses);
        let scope = spec.service_allocation.as_ref().map(|allocation| self.scope(allocation, namespaces));
        Pool {
            name: self.subject.name.clone(),
            addresses,
            auto_assign: spec.auto_assign.unwrap_or(true),
            avoid_buggy_ips: spec.avoid_buggy_ips.unwrap_or(false),
            scope,
            l2_advertisements: Vec::new(),
            bgp_advertisements: Vec::new(),
        }
    }

    fn refuse(&mut self, field: impl Into<String>, error: impl Into<PoolError>) {
        let rule = Rule::Pool { pool: self.subject.name.clone(), error: error.into() };
        self.findings.refuse(self.subject, field, rule);
    }

    /// An entry for each text, so that positions stay; one that cannot be read has no prefixes.
    fn addresses(&mut self, texts: &[String]) -> Vec<AddressEntry> {
        let mut entries = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let prefixes = addresses::prefixes(text).unwrap_or_else(|error| {
                let (text, pool) = (text.clone(), self.subject.name.clone());
                self.refuse(format!("spec.addresses[{index}]"), PoolError::Address { text, pool, error });
                Vec::new()
            });
            entries.push(AddressEntry { text: text.clone(), prefixes });
        }
        entries
    }

    fn scope(&mut self, allocation: &ServiceAllocation, known: &[Namespace]) -> Scope {
        const NAMESPACES: &str = "spec.serviceAllocation.namespaces";
        const NAMESPACE_SELECTORS: &str = "spec.serviceAllocation.namespaceSelectors";
        const SERVICE_SELECTORS: &str = "spec.serviceAllocation.serviceSelectors";
        if !repeated(&allocation.namespaces, Clone::clone).is_empty() {
            self.refuse(NAMESPACES, Duplicate::Namespaces);
        }
        for twice in duplicate_selectors("namespaceSelectors", &allocation.namespace_selectors) {
            self.refuse(NAMESPACE_SELECTORS, twice);
        }
        for twice in duplicate_selectors("serviceSelectors", &allocation.service_selectors) {
            self.refuse(SERVICE_SELECTORS, twice);
        }
        let pool = self.subject.name.clone();
        let namespace_selectors =
            compile_list(&allocation.namespace_selectors, NAMESPACE_SELECTORS, |field, error, selector| {
                let (pool, selector) = (pool.clone(), spelled_out_selector(selector));
                self.refuse(field, PoolError::NamespaceSelector { error, selector, pool });
            });
        let service_selectors =
            compile_list(&allocation.service_selectors, SERVICE_SELECTORS, |field, error, selector| {
                let (pool, selector) = (pool.clone(), plain_selector(selector));
                self.refuse(field, PoolError::ServiceSelector { error, selector, pool });
            });

        let mut namespaces: BTreeSet<String> = allocation.namespaces.iter().cloned().collect();
        for selector in namespace_selectors.unwrap_or_default() {
            let matching = known.iter().filter(|namespace| selector.matches(&namespace.labels));
            namespaces.extend(matching.map(|namespace| namespace.name.clone()));
        }
        let is_restricted = !(allocation.namespaces.is_empty() && allocation.namespace_selectors.is_empty());
        if is_restricted && namespaces.is_empty() {
            self.findings.remark(self.subject, NAMESPACE_SELECTORS, Warning::PoolAdmitsNobody(pool));
        }
        let priority = allocation.priority.unwrap_or(0);
        if priority < 0 {
            let warning = Warning::NegativePriority(priority);
            self.findings.remark(self.subject, "spec.serviceAllocation.priority", warning);
        }
        Scope {
            priority,
            namespaces: is_restricted.then_some(namespaces),
            service_selectors: service_selectors.unwrap_or_default(),
        }
    }
}

/// Every prefix of the pools read so far. Two prefixes are nested or disjoint, so among prefixes that are
/// known to be disjoint the one that contains an address is the last that starts at or before it.
#[derive(Default)]
struct TakenPrefixes {
    /// By family, first and last address; the value counts in order of declaration.
    order: BTreeMap<IpNet, usize>,
}

impl TakenPrefixes {
    /// Whether none of the pool's prefixes was taken. Those that were not are now.
    fn take(&mut self, pool: &Pool, subject: &Subject, findings: &mut Findings) -> bool {
        let mut is_free = true;
        for (index, entry) in pool.addresses.iter().enumerate() {
            for prefix in &entry.prefixes {
                if let Some(earlier) = self.first_overlap(prefix) {
                    let (cidr, earlier) = (prefix.to_string(), earlier.to_string());
                    let rule = Rule::Overlap { cidr, pool: pool.name.clone(), earlier };
                    findings.refuse(subject, format!("spec.addresses[{index}]"), rule);
                    is_free = false;
                    continue;
                }
                self.order.insert(*prefix, self.order.len());
            }
        }
        is_free
    }

    /// Of all that overlap, the prefix that was declared first.
    fn first_overlap(&self, prefix: &IpNet) -> Option<IpNet> {
        // `IpNet` sorts by family, then by address, then by length.
        let container = self.order.range(..=*prefix).next_back().filter(|(it, _)| it.contains(prefix));
        let inside = self.order.range(*prefix..).take_while(|(it, _)| prefix.contains(*it));
        inside.chain(container).min_by_key(|&(_, order)| *order).map(|(it, _)| *it)
    }
}
