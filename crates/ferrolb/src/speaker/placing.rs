//! Addresses that somebody wants at a certain node, or to stay where they are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use plan::announce::{self, Alive, Announcement, Leaders, Name};
use plan::placement::{Keep, Placement, Spreadable, leaders};
use plan::range::parse_address;
use plan::snapshot::ServiceKey;

use super::{Announcer, Known, News, merged};
use crate::speaker::read::Seen;

/// Who is said to announce a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::speaker) enum Told {
    /// Not all that is said has been seen yet.
    NotYet,
    Nobody,
    Node(Name),
}

/// What was asked for, and who had what.
#[derive(Debug, Default)]
pub(super) struct Placements {
    /// Services for which anything is asked.
    of_services: BTreeMap<ServiceKey, (IpAddr, Placement)>,
    by_address: BTreeMap<IpAddr, Placement>,
    /// Where those could be that are balanced.
    spreadable: BTreeMap<ServiceKey, Spreadable>,
    /// As speakers have told each other.
    owners: BTreeMap<IpAddr, Name>,
    has_changed: bool,
    /// Nothing is decided about these before it is known who had them, and after a start before that node had time to start
    /// as well.
    waiting: BTreeSet<IpAddr>,
    has_settled: bool,
    /// A node that comes before this one waits for an address that this node has.
    wanted_back: BTreeMap<IpAddr, (Name, Duration)>,
    /// Annotations that mean nothing, which nobody was told of.
    unsaid: BTreeSet<ServiceKey>,
}

impl Announcer {
    /// Who had which address last, as speakers have told each other.
    pub(in crate::speaker) fn set_owners(&mut self, owners: BTreeMap<IpAddr, Name>) {
        self.placements.has_changed |= self.placements.owners != owners;
        self.placements.owners = owners;
    }

    /// Something else is said of who announces a Service.
    pub(in crate::speaker) fn look_at_owner(&mut self, service: &ServiceKey) {
        self.placements.has_changed |= self.placements.of_services.contains_key(service);
    }

    /// All that is said was seen.
    pub(in crate::speaker) fn look_at_owners(&mut self) {
        self.placements.has_changed |= !self.placements.of_services.is_empty();
    }

    /// All speakers have had time to start, if they were to start together.
    pub(in crate::speaker) fn has_settled(&mut self) {
        self.placements.has_settled = true;
        self.look_at_owners();
    }

    /// Others are alive now.
    pub(super) fn look_at_absent(&mut self) {
        self.placements.has_changed |= !self.placements.waiting.is_empty();
    }

    /// Addresses of this node that another one waits for, and for how long it has to.
    pub(in crate::speaker) fn wanted_back(&self) -> &BTreeMap<IpAddr, (Name, Duration)> {
        &self.placements.wanted_back
    }

    /// What others should know of who has what: addresses that stay where they are, and those that do not any more.
    pub(in crate::speaker) fn notes(&self) -> Vec<(IpAddr, Option<Name>)> {
        let placements = &self.placements;
        let stays = |address: &IpAddr| placements.by_address.get(address).is_some_and(Placement::keeps);
        let ours = |name: &Name| **name == *self.node;
        let over = placements.owners.iter().filter(|(address, owner)| ours(owner) && !stays(address));
        let mut notes: Vec<_> = over.map(|(address, _)| (*address, None)).collect();
        let has = |address: &&IpAddr| {
            stays(address)
                && self.wanted.contains_key(*address)
                && !placements.owners.get(*address).is_some_and(ours)
        };
        notes.extend(placements.by_address.keys().filter(has).map(|it| (*it, Some((*self.node).into()))));
        notes
    }

    pub(super) fn observe_wishes(&mut self, key: &ServiceKey, seen: Option<&Seen>) {
        match seen.and_then(|seen| seen.asked.as_ref()).filter(|asked| !asked.unread.is_empty()) {
            Some(_) => self.placements.unsaid.insert(key.clone()),
            None => self.placements.unsaid.remove(key),
        };
    }

    /// Before anything is decided: who comes first. What is to be decided anew because of it is dirty then.
    pub(super) fn place(&mut self, told: &dyn Fn(&ServiceKey) -> Told) {
        for key in &self.dirty {
            let known = self.services.get(key);
            let seen = known.and_then(|known| known.seen.as_ref());
            let placement = seen.and_then(|seen| {
                let wishes = seen.asked.as_ref().map(|asked| &asked.wishes);
                announce::placement(&self.cluster, &seen.service, wishes.unwrap_or(&Default::default()))
            });
            let is_balanced = placement.as_ref().is_some_and(|(_, placement)| placement.balanced);
            let spreadable = known.zip(seen).filter(|_| is_balanced).and_then(|(known, seen)| {
                announce::spreadable(&self.cluster, &seen.service, &merged(&known.slices))
            });
            self.placements.set(key, placement);
            self.placements.set_spreadable(key, spreadable);
        }
        let cluster = &self.cluster;
        let is_here = |node: &str| match cluster.alive() {
            Alive::Everyone => true,
            Alive::These(nodes) => nodes.contains(node),
        };
        let Some(leaders) = self.placements.leaders(told, &is_here) else { return };
        let before = self.cluster.leaders();
        let differs = |address: &&IpAddr| leaders.get(*address) != before.get(*address);
        let changed: BTreeSet<IpAddr> =
            leaders.keys().chain(before.keys()).filter(differs).copied().collect();
        if changed.is_empty() {
            return;
        }
        let concerns = |known: &Known| {
            let seen = known.seen.as_ref();
            let first = seen.and_then(|seen| parse_address(seen.service.ingress.first()?.ip.as_deref()?));
            first.is_some_and(|address| changed.contains(&address))
        };
        let concerned = self.services.iter().filter(|(_, known)| concerns(known));
        self.dirty.extend(concerned.map(|(key, _)| key.clone()));
        self.cluster = self.cluster.with_leaders(Arc::new(leaders));
    }

    /// Whether it is not known yet who had the address of a Service, which stays where it is.
    pub(super) fn must_wait(&self, key: &ServiceKey) -> bool {
        let address = self.placements.of_services.get(key).map(|(address, _)| address);
        address.is_some_and(|address| self.placements.waiting.contains(address))
    }

    /// What follows for the owner: whether a better node waits for the address, and what is said of annotations.
    pub(super) fn placed(&mut self, key: &ServiceKey, announcement: Option<&Announcement>) -> Option<News> {
        let first = announcement.and_then(|announcement| announcement.first.first());
        let is_ours = first.is_some_and(|first| **first == *self.node);
        if let Some((address, _)) = self.placements.of_services.get(key) {
            let address = *address;
            let back = is_ours.then(|| self.natural(key, address)).flatten();
            match back {
                Some(back) => self.placements.wanted_back.insert(address, back),
                None => self.placements.wanted_back.remove(&address),
            };
        }
        if first.is_none() || !self.placements.unsaid.remove(key) || !is_ours {
            return None;
        }
        let seen = self.services.get(key)?.seen.clone()?;
        let unread = &seen.asked.as_ref()?.unread;
        let message = unread.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        Some(News { seen, is_warning: true, reason: "placementIgnored", message })
    }

    fn natural(&self, key: &ServiceKey, address: IpAddr) -> Option<(Name, Duration)> {
        let placement = self.placements.by_address.get(&address)?;
        let (Keep::For(delay), None) = (placement.keep, &placement.move_to) else { return None };
        let known = self.services.get(key)?;
        let serving = merged(&known.slices);
        let natural = announce::natural_owner(&self.cluster, &known.seen.as_ref()?.service, &serving)?;
        (*natural != *self.node).then_some((natural, delay))
    }
}

impl Placements {
    fn set(&mut self, key: &ServiceKey, placement: Option<(IpAddr, Placement)>) {
        let before = self.of_services.get(key);
        if before == placement.as_ref() {
            return;
        }
        self.has_changed = true;
        if let Some((address, _)) = before {
            self.wanted_back.remove(address);
        }
        match placement {
            Some(placement) => self.of_services.insert(key.clone(), placement),
            None => self.of_services.remove(key),
        };
    }

    fn set_spreadable(&mut self, key: &ServiceKey, spreadable: Option<Spreadable>) {
        if self.spreadable.get(key) != spreadable.as_ref() {
            self.has_changed = true;
            match spreadable {
                Some(spreadable) => self.spreadable.insert(key.clone(), spreadable),
                None => self.spreadable.remove(key),
            };
        }
    }

    /// If anything is different.
    fn leaders(
        &mut self,
        told: &dyn Fn(&ServiceKey) -> Told,
        is_here: &dyn Fn(&str) -> bool,
    ) -> Option<Leaders> {
        if !std::mem::take(&mut self.has_changed) {
            return None;
        }
        self.by_address.clear();
        self.waiting.clear();
        let mut said: BTreeMap<IpAddr, Name> = BTreeMap::new();
        for (key, (address, placement)) in &self.of_services {
            let of_address = self.by_address.entry(*address).or_default();
            *of_address = std::mem::take(of_address).and(placement.clone());
            if !placement.keeps() || self.owners.contains_key(address) {
                continue;
            }
            match told(key) {
                Told::NotYet => {
                    self.waiting.insert(*address);
                }
                Told::Nobody => {}
                Told::Node(name) => {
                    if !self.has_settled && !is_here(&name) {
                        self.waiting.insert(*address);
                    }
                    said.entry(*address).or_insert(name);
                }
            }
        }
        let owner_of = |address| self.owners.get(&address).or_else(|| said.get(&address)).cloned();
        // Of Services that share an address the first by name stands for all.
        let mut spreadable = BTreeMap::new();
        for (key, of_service) in &self.spreadable {
            if let Some((address, _)) = self.of_services.get(key) {
                spreadable.entry(*address).or_insert_with(|| of_service.clone());
            }
        }
        Some(leaders(&self.by_address, &spreadable, owner_of))
    }
}
