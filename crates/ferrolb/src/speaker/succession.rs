//! Who follows whom, worked out before anybody fails: what this node takes over from whom, and who takes over from it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use plan::announce::{Announcement, Name};
use plan::snapshot::ServiceKey;
use protocol::l2::Interfaces;

/// Kept up to date Service by Service.
#[derive(Debug, Default)]
pub(super) struct Succession {
    /// What each Service adds to the rest.
    of_service: HashMap<ServiceKey, Share>,
    /// How many Services of this node each would take over, counted double if it is the first to.
    heirs: BTreeMap<Name, usize>,
    after: BTreeMap<Name, BTreeMap<IpAddr, Vec<(ServiceKey, Interfaces)>>>,
    has_changed: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Share {
    /// It is this node's, and these are next.
    Ours(Vec<Name>),
    /// This node is the next.
    After { owner: Name, addresses: Vec<IpAddr>, interfaces: Interfaces },
}

/// What is prepared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Prepared {
    /// What this node is to answer for at once when that node is gone.
    pub(super) after: HashMap<Name, Vec<(IpAddr, Interfaces)>>,
    /// Who takes over from this node, the heir of most first.
    pub(super) heirs: Vec<Name>,
}

impl Succession {
    /// What is known of a Service now; `None` if it is gone.
    pub(super) fn observe(&mut self, service: &ServiceKey, announcement: Option<&Announcement>, node: &str) {
        let share = announcement.and_then(|announcement| Share::of(announcement, node));
        if self.of_service.get(service) == share.as_ref() {
            return;
        }
        self.has_changed = true;
        match self.of_service.remove(service) {
            Some(Share::Ours(next)) => {
                for (weight, name) in weighted(&next) {
                    if let Some(count) = self.heirs.get_mut(name) {
                        *count -= weight;
                    }
                }
                self.heirs.retain(|_, count| *count > 0);
            }
            Some(Share::After { owner, addresses, .. }) => self.give_up(service, &owner, &addresses),
            None => {}
        }
        match &share {
            Some(Share::Ours(next)) => {
                for (weight, name) in weighted(next) {
                    *self.heirs.entry(name.clone()).or_default() += weight;
                }
            }
            Some(Share::After { owner, addresses, interfaces }) => {
                let of_owner = self.after.entry(owner.clone()).or_default();
                for address in addresses {
                    of_owner.entry(*address).or_default().push((service.clone(), interfaces.clone()));
                }
            }
            None => {}
        }
        if let Some(share) = share {
            self.of_service.insert(service.clone(), share);
        }
    }

    fn give_up(&mut self, service: &ServiceKey, owner: &Name, addresses: &[IpAddr]) {
        let Some(of_owner) = self.after.get_mut(owner) else { return };
        for address in addresses {
            if let Some(services) = of_owner.get_mut(address) {
                services.retain(|(key, _)| key != service);
                if services.is_empty() {
                    of_owner.remove(address);
                }
            }
        }
        if of_owner.is_empty() {
            self.after.remove(owner);
        }
    }

    /// Though nothing of it has changed.
    pub(super) fn plan_again(&mut self) {
        self.has_changed = true;
    }

    /// If it is another one than last time.
    pub(super) fn prepared(&mut self) -> Option<Prepared> {
        std::mem::take(&mut self.has_changed).then(|| {
            let of_owner = |addresses: &BTreeMap<IpAddr, Vec<(ServiceKey, Interfaces)>>| {
                let union = |services: &[(ServiceKey, Interfaces)]| {
                    services.iter().map(|(_, interfaces)| interfaces.clone()).reduce(Interfaces::union)
                };
                let all = addresses.iter();
                all.filter_map(|(address, services)| Some((*address, union(services)?))).collect()
            };
            let mut heirs: Vec<(&Name, &usize)> = self.heirs.iter().collect();
            heirs.sort_by(|(one, weight), (other, heavier)| heavier.cmp(weight).then(one.cmp(other)));
            Prepared {
                after: self.after.iter().map(|(owner, all)| (owner.clone(), of_owner(all))).collect(),
                heirs: heirs.into_iter().map(|(name, _)| name.clone()).collect(),
            }
        })
    }
}

impl Share {
    fn of(announcement: &Announcement, node: &str) -> Option<Share> {
        match announcement.first.as_slice() {
            [owner, next @ ..] if **owner == *node => Some(Share::Ours(next.to_vec())),
            [owner, next, ..] if **next == *node => Some(Share::After {
                owner: owner.clone(),
                addresses: announcement.addresses.clone(),
                interfaces: announcement.interfaces.clone()?,
            }),
            _ => None,
        }
    }
}

/// The first to take over counts most.
fn weighted(next: &[Name]) -> impl Iterator<Item = (usize, &Name)> {
    next.iter().enumerate().map(|(at, name)| (if at == 0 { 2 } else { 1 }, name))
}

#[cfg(test)]
mod tests {
    use plan::announce::{Layer2, Refusal};

    use super::*;

    fn announcement(last: u8, first: &[&str]) -> Announcement {
        Announcement {
            addresses: vec![[192, 0, 2, last].into()],
            layer2: Err::<Layer2, _>(Refusal::NoAddress),
            first: first.iter().map(|&name| name.into()).collect(),
            interfaces: Some(Interfaces::All),
        }
    }

    fn key(name: &str) -> ServiceKey {
        ServiceKey { namespace: "default".into(), name: name.into() }
    }

    #[test]
    fn what_is_prepared_follows_each_service() {
        let mut succession = Succession::default();
        let mut see = |name: &str, announcement: Option<Announcement>| {
            succession.observe(&key(name), announcement.as_ref(), "me");
            succession.prepared()
        };
        let plan = see("one", Some(announcement(1, &["me", "b", "c"]))).unwrap();
        assert_eq!(plan.heirs, ["b".into(), "c".into()]);
        let plan = see("two", Some(announcement(2, &["me", "c", "d"]))).unwrap();
        assert_eq!(plan.heirs, ["c".into(), "b".into(), "d".into()]);
        assert_eq!(see("two", Some(announcement(2, &["me", "c", "d"]))), None);
        let plan = see("three", Some(announcement(3, &["b", "me", "c"]))).unwrap();
        assert_eq!(plan.after, [("b".into(), vec![([192, 0, 2, 3].into(), Interfaces::All)])].into());
        // One that shares its address.
        see("four", Some(announcement(3, &["b", "me", "c"])));
        let plan = see("three", None).unwrap();
        assert_eq!(plan.after.len(), 1);
        let plan = see("four", Some(announcement(3, &["b", "c", "me"]))).unwrap();
        assert_eq!(plan.after.len(), 0);
        see("one", None);
        let plan = see("two", None).unwrap();
        assert_eq!(plan, Prepared::default());
    }
}
