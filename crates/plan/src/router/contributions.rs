//! What Services want told, by prefix, and the routes that come of it, kept up with what changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use protocol::bgp::prefix::Prefix;
use protocol::bgp::route::{Policy, Routes};

use super::judge::{self, Refused};
use super::merge::{Listener, Policies};
use crate::announce::Name;
use crate::announce::bgp::{Advertised, Peers, Refusal};
use crate::snapshot::ServiceKey;

/// How many changes are remembered one by one. A peer that was not asked about for longer gets its routes anew.
const REMEMBERED_CHANGES: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Contributions {
    services: HashMap<ServiceKey, Arc<[Advertised]>>,
    prefixes: BTreeMap<Prefix, OfPrefix>,
    /// How many routes name these peers.
    named: BTreeMap<Arc<BTreeSet<String>>, usize>,
    /// Prefixes that were changed and not looked at since.
    unsettled: BTreeSet<Prefix>,
    /// Of Services that are refused, on which prefixes. Most often nobody is.
    refused: BTreeMap<ServiceKey, BTreeMap<Prefix, Refusal>>,
    refused_at: BTreeMap<Prefix, Refused>,
    /// Prefixes of which something else may be told, since the moment `forgotten`.
    changes: Vec<Prefix>,
    forgotten: u64,
    policies: Policies,
    /// What was found for a kind of peer at this moment.
    shared: HashMap<Kind, Arc<Routes>>,
    shared_at: u64,
}

/// Peers of a kind are told the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    hears_v4: bool,
    hears_v6: bool,
    asn: u32,
    /// For each set of names that there is: whether this peer is in it.
    named: Vec<bool>,
}

#[derive(Debug, Default)]
pub(super) struct OfPrefix {
    /// In their order, which is nobody's: it is there to be the same always.
    pub(super) groups: Vec<Group>,
    /// Who was told when it was last looked at.
    told: Box<[Peers]>,
}

/// Services that want the same said to the same peers.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) peers: Peers,
    pub(super) policy: Arc<Policy>,
    pub(super) advertisement: Name,
    pub(super) tells_bandwidth: bool,
    /// Nearly always there is only one, so it takes no map.
    first: (ServiceKey, u64),
    others: BTreeMap<ServiceKey, u64>,
}

impl Contributions {
    /// Whether anything has changed.
    pub(super) fn set(&mut self, service: &ServiceKey, advertised: &Arc<[Advertised]>) -> bool {
        if advertised.is_empty() {
            return self.remove(service);
        }
        let before = self.services.insert(service.clone(), Arc::clone(advertised));
        let before = before.as_deref().unwrap_or_default();
        if before == &**advertised {
            return false;
        }
        for gone in before.iter().filter(|it| !advertised.contains(it)) {
            self.withdraw(service, gone);
        }
        for new in advertised.iter().filter(|it| !before.contains(it)) {
            self.add(service, new);
        }
        true
    }

    pub(super) fn remove(&mut self, service: &ServiceKey) -> bool {
        let Some(before) = self.services.remove(service) else { return false };
        for gone in &*before {
            self.withdraw(service, gone);
        }
        true
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &ServiceKey> {
        self.services.keys()
    }

    pub(super) fn refusal(&self, service: &ServiceKey) -> Option<&Refusal> {
        self.refused.get(service)?.values().next()
    }

    /// For each prefix of a Service that is told, who is.
    pub(super) fn told_of(&self, service: &ServiceKey) -> Vec<(Prefix, &[Peers])> {
        if self.refused.contains_key(service) {
            return Vec::new();
        }
        let advertised = self.services.get(service).map(|it| &**it).unwrap_or_default();
        let told = |it: &Advertised| Some((it.prefix, &*self.prefixes.get(&it.prefix)?.told));
        advertised.iter().filter_map(told).collect()
    }

    /// Looks at everything that was changed, and says of which Services it may have changed who is told.
    pub(super) fn settle(&mut self) -> BTreeSet<ServiceKey> {
        let mut affected = BTreeSet::new();
        let mut touched = std::mem::take(&mut self.unsettled);
        let mut turned = BTreeSet::new();
        for &prefix in &touched {
            self.judge(prefix, &mut turned);
        }
        // Who is refused at one prefix is told of at none.
        for service in turned {
            let advertised = self.services.get(&service).map(|it| &**it).unwrap_or_default();
            touched.extend(advertised.iter().map(|it| it.prefix));
            affected.insert(service);
        }
        for prefix in touched {
            self.look_who_is_told(prefix, &mut affected);
            self.changes.push(prefix);
        }
        if self.changes.len() > REMEMBERED_CHANGES {
            self.forgotten += self.changes.len() as u64;
            self.changes.clear();
        }
        affected
    }

    /// Counts changes.
    pub(super) fn now(&self) -> u64 {
        self.forgotten + self.changes.len() as u64
    }

    pub(super) fn routes(&mut self, name: &str, listener: &Listener) -> Arc<Routes> {
        let now = self.now();
        if let Some((routes, at)) = &listener.told
            && *at == now
        {
            return Arc::clone(routes);
        }
        if self.shared_at != now {
            self.shared.clear();
            self.shared_at = now;
        }
        let kind = self.kind_of(name, listener);
        if let Some(routes) = self.shared.get(&kind) {
            return Arc::clone(routes);
        }
        let routes = match listener.told.as_ref().and_then(|told| self.changed_since(told)) {
            Some((before, changed)) => self.patched(name, listener, before, &changed),
            None => self.made_anew(name, listener),
        };
        self.shared.insert(kind, Arc::clone(&routes));
        routes
    }

    fn kind_of(&self, name: &str, listener: &Listener) -> Kind {
        let Listener { hears_v4, hears_v6, asn, .. } = *listener;
        Kind { hears_v4, hears_v6, asn, named: self.named.keys().map(|names| names.contains(name)).collect() }
    }

    /// Nothing if they are forgotten, or so many that it is less work to begin anew.
    fn changed_since<'a>(&self, told: &'a (Arc<Routes>, u64)) -> Option<(&'a Arc<Routes>, BTreeSet<Prefix>)> {
        let (routes, at) = told;
        let known = usize::try_from(at.checked_sub(self.forgotten)?).ok()?;
        let changes = self.changes.get(known..)?;
        (changes.len() <= 16 + self.prefixes.len() / 4).then(|| (routes, changes.iter().copied().collect()))
    }

    fn made_anew(&mut self, name: &str, listener: &Listener) -> Arc<Routes> {
        let mut routes = Vec::with_capacity(self.prefixes.len());
        let is_live = |service: &ServiceKey| !self.refused.contains_key(service);
        for (prefix, of_prefix) in self.prefixes.iter().filter(|(prefix, _)| listener.hears(**prefix)) {
            if let Some(policy) = self.policies.of_route(of_prefix, name, listener.asn, &is_live) {
                routes.push((*prefix, policy));
            }
        }
        let routes = Routes::new(routes);
        match &listener.told {
            Some((before, _)) if **before == routes => Arc::clone(before),
            _ => Arc::new(routes),
        }
    }

    fn patched(
        &mut self,
        name: &str,
        listener: &Listener,
        before: &Arc<Routes>,
        changed: &BTreeSet<Prefix>,
    ) -> Arc<Routes> {
        let is_live = |service: &ServiceKey| !self.refused.contains_key(service);
        let mut edits: Vec<(Prefix, Option<Arc<Policy>>)> = Vec::new();
        for &prefix in changed.iter().filter(|&&prefix| listener.hears(prefix)) {
            let of_prefix = self.prefixes.get(&prefix);
            let policy = of_prefix.and_then(|it| self.policies.of_route(it, name, listener.asn, &is_live));
            if policy.as_ref() != before.get(prefix) {
                edits.push((prefix, policy));
            }
        }
        if edits.is_empty() {
            return Arc::clone(before);
        }
        let mut routes = Vec::with_capacity(before.len() + edits.len());
        let mut edits = edits.into_iter().peekable();
        for (prefix, policy) in before.iter() {
            while let Some((new, edit)) = edits.next_if(|(edited, _)| edited < prefix) {
                routes.extend(edit.map(|policy| (new, policy)));
            }
            match edits.next_if(|(edited, _)| edited == prefix) {
                Some((_, edit)) => routes.extend(edit.map(|policy| (*prefix, policy))),
                None => routes.push((*prefix, Arc::clone(policy))),
            }
        }
        routes.extend(edits.filter_map(|(new, edit)| Some((new, edit?))));
        Arc::new(Routes::new(routes))
    }

    fn add(&mut self, service: &ServiceKey, new: &Advertised) {
        if let Peers::These(names) = &new.peers {
            *self.named.entry(Arc::clone(names)).or_default() += 1;
        }
        self.prefixes.entry(new.prefix).or_default().add(service, new);
        self.unsettled.insert(new.prefix);
    }

    fn withdraw(&mut self, service: &ServiceKey, gone: &Advertised) {
        if let Peers::These(names) = &gone.peers
            && let Some(count) = self.named.get_mut(names)
        {
            *count -= 1;
            if *count == 0 {
                self.named.remove(names);
            }
        }
        if let Some(of_prefix) = self.prefixes.get_mut(&gone.prefix) {
            of_prefix.withdraw(service, gone);
        }
        self.unsettled.insert(gone.prefix);
    }

    /// Brings up to date who is refused at a prefix. `turned`: who was not refused at all before, or is not any more.
    fn judge(&mut self, prefix: Prefix, turned: &mut BTreeSet<ServiceKey>) {
        let now = self.prefixes.get(&prefix).map(|it| judge::refused(prefix, it)).unwrap_or_default();
        let before = match now.is_empty() {
            true => self.refused_at.remove(&prefix),
            false => self.refused_at.insert(prefix, now.clone()),
        };
        let before = before.unwrap_or_default();
        if before == now {
            return;
        }
        turned.extend(before.keys().chain(now.keys()).cloned());
        for service in before.keys().filter(|service| !now.contains_key(*service)) {
            if let Some(of_service) = self.refused.get_mut(service) {
                of_service.remove(&prefix);
                if of_service.is_empty() {
                    self.refused.remove(service);
                }
            }
        }
        for (service, refusal) in now {
            self.refused.entry(service).or_default().insert(prefix, refusal);
        }
    }

    fn look_who_is_told(&mut self, prefix: Prefix, affected: &mut BTreeSet<ServiceKey>) {
        let Some(of_prefix) = self.prefixes.get_mut(&prefix) else { return };
        if of_prefix.groups.is_empty() {
            self.prefixes.remove(&prefix);
            return;
        }
        let is_live = |service: &ServiceKey| !self.refused.contains_key(service);
        let mut told: Vec<Peers> = of_prefix.live_groups(&is_live).map(|group| group.peers.clone()).collect();
        told.dedup();
        if *of_prefix.told != *told {
            of_prefix.told = told.into();
            for group in &of_prefix.groups {
                affected.extend(group.services().map(|(service, _)| service.clone()));
            }
        }
    }
}

impl OfPrefix {
    /// Those of which some Service counts.
    pub(super) fn live_groups<'a>(
        &'a self,
        is_live: &'a dyn Fn(&ServiceKey) -> bool,
    ) -> impl Iterator<Item = &'a Group> {
        self.groups.iter().filter(|group| group.services().any(|(service, _)| is_live(service)))
    }

    fn position(&self, of: &Advertised) -> Result<usize, usize> {
        self.groups.binary_search_by(|group| {
            let theirs = (&of.peers, &of.policy, &of.advertisement, of.bandwidth_mbps.is_some());
            (&group.peers, &group.policy, &group.advertisement, group.tells_bandwidth).cmp(&theirs)
        })
    }

    fn add(&mut self, service: &ServiceKey, new: &Advertised) {
        let mbps = new.bandwidth_mbps.unwrap_or(0);
        match self.position(new) {
            Ok(at) => self.groups[at].add(service, mbps),
            Err(at) => {
                let group = Group {
                    peers: new.peers.clone(),
                    policy: Arc::clone(&new.policy),
                    advertisement: new.advertisement.clone(),
                    tells_bandwidth: new.bandwidth_mbps.is_some(),
                    first: (service.clone(), mbps),
                    others: BTreeMap::new(),
                };
                self.groups.reserve_exact(1);
                self.groups.insert(at, group);
            }
        }
    }

    fn withdraw(&mut self, service: &ServiceKey, gone: &Advertised) {
        if let Ok(at) = self.position(gone)
            && self.groups[at].is_empty_without(service, gone.bandwidth_mbps.unwrap_or(0))
        {
            self.groups.remove(at);
        }
    }
}

impl Group {
    /// Each with its bandwidth.
    pub(super) fn services(&self) -> impl Iterator<Item = (&ServiceKey, u64)> {
        let (first, mbps) = &self.first;
        std::iter::once((first, *mbps)).chain(self.others.iter().map(|(service, mbps)| (service, *mbps)))
    }

    fn add(&mut self, service: &ServiceKey, mbps: u64) {
        if self.first.0 == *service {
            self.first.1 = mbps;
        } else {
            self.others.insert(service.clone(), mbps);
        }
    }

    /// Takes a Service out, if it is there with this bandwidth. Whether that leaves nobody.
    fn is_empty_without(&mut self, service: &ServiceKey, mbps: u64) -> bool {
        if self.first != (service.clone(), mbps) {
            if self.others.get(service) == Some(&mbps) {
                self.others.remove(service);
            }
            return false;
        }
        match self.others.pop_first() {
            Some(next) => {
                self.first = next;
                false
            }
            None => true,
        }
    }
}
