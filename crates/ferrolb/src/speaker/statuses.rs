//! ServiceL2Status: what is there, what there should be, and the next single step from the one to the other.
//!
//! It knows no clock and no network. Steps are taken elsewhere, and what came of them is told here as if it was watched.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use api::metallb::{InterfaceInfo, ServiceL2Status, ServiceL2StatusStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use plan::snapshot::ServiceKey;
use protocol::l2::Interfaces;
use sha2::{Digest, Sha256};

use super::announcer::{Doing, Told};
use super::options::StatusLayout;
use crate::watch::Key;

const NODE: &str = "metallb.io/node";
const SERVICE_NAME: &str = "metallb.io/service-name";
const SERVICE_NAMESPACE: &str = "metallb.io/service-namespace";
/// Of the one object of a Service in the layout beside it.
const SUFFIX: &str = "-l2-status";

/// One object, as far as it is read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object {
    pub(super) key: Key,
    pub(super) service: ServiceKey,
    /// By its label.
    node: Arc<str>,
    /// The node that its status names, if it is another one.
    announcer: Option<Box<str>>,
    status: Said,
    has_right_labels: bool,
    version: Option<u64>,
}

/// A status, as text: a quarter of the room, and there may be very many.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said(Arc<str>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Create {
        key: Key,
        labels: BTreeMap<String, String>,
    },
    SetStatus {
        key: Key,
        status: ServiceL2StatusStatus,
    },
    /// Who announced does not any more. It is a step of its own because a node that is set cannot be set to another.
    Clear {
        key: Key,
    },
    Label {
        key: Key,
        labels: BTreeMap<String, String>,
    },
    Delete {
        key: Key,
    },
}

#[derive(Debug)]
pub(super) struct Statuses {
    layout: StatusLayout,
    namespace: String,
    node: Arc<str>,
    services: BTreeMap<ServiceKey, OfService>,
    /// Which Service an object is about.
    service_of: BTreeMap<Key, ServiceKey>,
    /// What is wrong with addresses.
    conflicts: BTreeMap<IpAddr, Condition>,
    /// Addresses that this node leaves to another one for the time being, though it would announce them,
    left: BTreeSet<IpAddr>,
    /// and Services that have only such ones here.
    left_services: BTreeSet<ServiceKey>,
    /// To be looked at.
    ready: BTreeSet<ServiceKey>,
    in_flight: HashSet<ServiceKey>,
    /// Of those, the ones an object of which went meanwhile.
    gone_in_flight: HashSet<ServiceKey>,
    is_complete: bool,
}

#[derive(Debug, Default)]
struct OfService {
    /// Nearly always one, so a list.
    objects: Vec<Object>,
    wanted: Option<Said>,
}

impl Object {
    /// Nothing if it is not about a Service.
    pub(super) fn read(object: ServiceL2Status, layout: StatusLayout) -> Option<Object> {
        let metadata = object.metadata;
        let key: Key =
            (metadata.namespace.unwrap_or_default().into(), metadata.name.unwrap_or_default().into());
        let mut labels = metadata.labels.unwrap_or_default();
        let (name, namespace) = (labels.remove(SERVICE_NAME), labels.remove(SERVICE_NAMESPACE));
        let node = labels.remove(NODE).unwrap_or_default();
        let labelled = name.zip(namespace).map(|(name, namespace)| ServiceKey::new(&namespace, &name));
        let status = object.status.unwrap_or_default();
        let (service, has_right_labels) = match layout {
            StatusLayout::Metallb => (labelled.filter(|_| !node.is_empty())?, true),
            StatusLayout::Service => {
                let service = ServiceKey::new(&key.0, key.1.strip_suffix(SUFFIX)?);
                let is_right =
                    labelled.as_ref() == Some(&service) && node == status.node.clone().unwrap_or_default();
                (service, is_right)
            }
        };
        let version = metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
        let announcer = status.node.as_deref().filter(|announcer| *announcer != node).map(Into::into);
        let status = Said::of(&status);
        Some(Object { key, service, node: node.into(), announcer, status, has_right_labels, version })
    }

    /// The node that it says announces.
    pub(super) fn announcer(&self) -> &str {
        self.announcer.as_deref().unwrap_or(&self.node)
    }
}

impl Said {
    fn of(status: &ServiceL2StatusStatus) -> Said {
        Said(serde_json::to_string(status).unwrap_or_default().into())
    }

    fn read(&self) -> ServiceL2StatusStatus {
        api::decode::from_text(&self.0).unwrap_or_default()
    }

    /// Three fields cannot be changed once they are set.
    fn can_become(&self, wanted: &Said) -> bool {
        let (is, wanted) = (self.read(), wanted.read());
        let can = |is: &Option<String>, wanted: &Option<String>| is.is_none() || is == wanted;
        can(&is.node, &wanted.node)
            && can(&is.service_name, &wanted.service_name)
            && can(&is.service_namespace, &wanted.service_namespace)
    }
}

impl Statuses {
    pub(super) fn new(layout: StatusLayout, namespace: &str, node: &str) -> Statuses {
        Statuses {
            layout,
            namespace: namespace.to_owned(),
            node: node.into(),
            services: BTreeMap::new(),
            service_of: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            left: BTreeSet::new(),
            left_services: BTreeSet::new(),
            ready: BTreeSet::new(),
            in_flight: HashSet::new(),
            gone_in_flight: HashSet::new(),
            is_complete: false,
        }
    }

    pub(super) fn observe(&mut self, mut object: Object) {
        self.share(&mut object);
        let of_service = &mut self.services.entry(object.service.clone()).or_default().objects;
        let known = of_service.iter().position(|known| known.key == object.key);
        if known.is_some_and(|at| of_service[at].version > object.version) {
            // Told by the watch later than by the answer to a write.
            return;
        }
        self.ready.insert(object.service.clone());
        self.service_of.insert(object.key.clone(), object.service.clone());
        match known {
            Some(at) => of_service[at] = object,
            None => {
                of_service.reserve_exact(1);
                of_service.push(object);
                of_service.sort_by(|a, b| a.key.cmp(&b.key));
            }
        }
    }

    /// What is known already is not kept again.
    fn share(&self, object: &mut Object) {
        if object.node == self.node {
            object.node = Arc::clone(&self.node);
        }
        if let Some((service, known)) = self.services.get_key_value(&object.service) {
            object.service = service.clone();
            if let Some(wanted) = known.wanted.as_ref().filter(|wanted| **wanted == object.status) {
                object.status = wanted.clone();
            }
        }
    }

    pub(super) fn forget(&mut self, key: &Key) {
        let Some(service) = self.service_of.remove(key) else { return };
        if let Some(known) = self.services.get_mut(&service) {
            known.objects.retain(|object| object.key != *key);
            if known.objects.is_empty() && known.wanted.is_none() {
                self.services.remove(&service);
            }
        }
        if self.in_flight.contains(&service) {
            self.gone_in_flight.insert(service.clone());
        }
        self.ready.insert(service);
    }

    pub(super) fn has_all(&mut self) {
        self.is_complete = true;
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether it is told already that this node announces the Service.
    pub(super) fn tells_of_us(&self, service: &ServiceKey) -> bool {
        self.of(service).map(Object::announcer).any(|node| *node == *self.node)
    }

    pub(super) fn want(&mut self, service: ServiceKey, doing: Option<&Doing>) {
        self.left_services.remove(&service);
        match doing.filter(|doing| !doing.answered.is_empty()) {
            Some(doing) => {
                if doing.answered.iter().all(|(address, _)| self.left.contains(address)) {
                    self.left_services.insert(service.clone());
                }
                let mut status = Said::of(&self.status(&service, doing));
                // What is said already is not kept again.
                if let Some(same) = self.of(&service).find(|object| object.status == status) {
                    status = same.status.clone();
                }
                self.services.entry(service.clone()).or_default().wanted = Some(status);
            }
            None => {
                if let Some(known) = self.services.get_mut(&service) {
                    known.wanted = None;
                    if known.objects.is_empty() {
                        self.services.remove(&service);
                    }
                }
            }
        }
        self.ready.insert(service);
    }

    /// Whoever is announced with this address is to be [wanted](Statuses::want) again.
    pub(super) fn set_conflict(&mut self, address: IpAddr, condition: Option<Condition>) {
        match condition {
            Some(condition) => self.conflicts.insert(address, condition),
            None => self.conflicts.remove(&address),
        };
    }

    /// As long as another node says that it announces, this one does not, of what it leaves to it. Whoever has the
    /// address is to be [wanted](Statuses::want) again.
    pub(super) fn set_left(&mut self, address: IpAddr, is_left: bool) {
        match is_left {
            true => self.left.insert(address),
            false => self.left.remove(&address),
        };
    }

    /// Who is said to announce a Service, by whoever said so last.
    pub(super) fn told(&self, service: &ServiceKey) -> Told {
        if !self.is_complete {
            return Told::NotYet;
        }
        let named = self.of(service).filter(|object| !object.announcer().is_empty());
        match named.max_by_key(|object| object.version) {
            Some(object) => Told::Node(object.announcer().into()),
            None => Told::Nobody,
        }
    }

    /// What others say of Services.
    pub(super) fn of_others(&self) -> impl Iterator<Item = &Object> {
        self.services
            .values()
            .flat_map(|known| &known.objects)
            .filter(|object| *object.announcer() != *self.node)
    }

    /// Whether another node is said to announce the Service.
    pub(super) fn another_announces(&self, service: &ServiceKey) -> bool {
        self.of(service).map(Object::announcer).any(|node| !node.is_empty() && *node != *self.node)
    }

    /// Looks again, for instance because a step has failed.
    pub(super) fn look_at(&mut self, service: &ServiceKey) {
        self.ready.insert(service.clone());
    }

    /// Not before it is looked at again.
    pub(super) fn put_off(&mut self, service: &ServiceKey) {
        self.ready.remove(service);
    }

    /// Whether nothing was told meanwhile that the answer does not know of.
    pub(super) fn ended(&mut self, service: &ServiceKey) -> bool {
        self.in_flight.remove(service);
        !self.gone_in_flight.remove(service)
    }

    /// Whether this step takes away what another node says while this one says otherwise.
    pub(super) fn is_contest(&self, service: &ServiceKey, step: &Step) -> bool {
        let of_another =
            |key: &Key| self.of(service).any(|it| it.key == *key && *it.announcer() != *self.node);
        match step {
            Step::Delete { key } | Step::Clear { key } => self.wanted(service).is_some() && of_another(key),
            _ => false,
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        self.ready.iter().any(|service| !self.in_flight.contains(service))
    }

    /// The next step for some Service. `is_left_behind` tells whether nobody is there to see to an object of another
    /// node.
    pub(super) fn next(&mut self, is_left_behind: impl Fn(&Object) -> bool) -> Option<(ServiceKey, Step)> {
        if !self.is_complete {
            return None;
        }
        loop {
            let service = self.ready.iter().find(|service| !self.in_flight.contains(*service))?.clone();
            self.ready.remove(&service);
            let step = match self.layout {
                StatusLayout::Metallb => self.step(&service, &is_left_behind),
                StatusLayout::Service => self.step_beside(&service, &is_left_behind),
            };
            if let Some(step) = step {
                self.in_flight.insert(service.clone());
                // There may be more to do after it.
                self.ready.insert(service.clone());
                return Some((service, step));
            }
        }
    }

    /// Of the objects of a Service only one is right: ours if we announce, and none of ours if not.
    fn step(&self, service: &ServiceKey, is_left_behind: impl Fn(&Object) -> bool) -> Option<Step> {
        let (ours, others): (Vec<&Object>, Vec<&Object>) =
            self.of(service).partition(|object| object.node == self.node);
        let delete = |object: &Object| Some(Step::Delete { key: object.key.clone() });
        let is_told_by_another = self.left_services.contains(service) && !others.is_empty();
        let Some(status) = self.wanted(service).filter(|_| !is_told_by_another) else {
            let superfluous = ours.first().or(others.iter().find(|object| is_left_behind(object)));
            return superfluous.and_then(|object| delete(object));
        };
        if let Some(other) = others.first() {
            return delete(other);
        }
        match ours.as_slice() {
            [] => Some(Step::Create { key: self.key(service), labels: self.labels(service) }),
            [ours] if ours.status == *status => None,
            [ours] if !ours.status.can_become(status) => delete(ours),
            [ours] => Some(Step::SetStatus { key: ours.key.clone(), status: status.read() }),
            [.., last] => delete(last),
        }
    }

    /// The one object of a Service names who announces, or nobody.
    fn step_beside(&self, service: &ServiceKey, is_left_behind: impl Fn(&Object) -> bool) -> Option<Step> {
        let key = self.key(service);
        let object = self.of(service).find(|object| object.key == key);
        let wanted = self.wanted(service);
        let Some(object) = object else {
            return wanted.map(|_| Step::Create { key, labels: self.labels(service) });
        };
        let is_told_by_another = self.left_services.contains(service) && self.is_of_another(object);
        match wanted.filter(|_| !is_told_by_another) {
            Some(status) if object.status == *status => {
                (!object.has_right_labels).then(|| Step::Label { key, labels: self.labels(service) })
            }
            Some(status) if object.status.can_become(status) => {
                Some(Step::SetStatus { key, status: status.read() })
            }
            Some(_) => Some(Step::Clear { key }),
            None => {
                let announcer = object.status.read().node.unwrap_or_default();
                let is_wrong = *announcer == *self.node || is_left_behind(object);
                (!announcer.is_empty() && is_wrong).then_some(Step::Clear { key })
            }
        }
    }

    fn is_of_another(&self, object: &Object) -> bool {
        object.status.read().node.is_some_and(|node| !node.is_empty() && *node != *self.node)
    }

    fn of(&self, service: &ServiceKey) -> impl Iterator<Item = &Object> {
        self.services.get(service).into_iter().flat_map(|known| &known.objects)
    }

    fn wanted(&self, service: &ServiceKey) -> Option<&Said> {
        self.services.get(service)?.wanted.as_ref()
    }

    fn status(&self, service: &ServiceKey, doing: &Doing) -> ServiceL2StatusStatus {
        let interfaces = match doing.answered.first() {
            Some((_, Interfaces::These(names))) => names.iter().cloned().map(Some).collect(),
            _ => Vec::new(),
        };
        ServiceL2StatusStatus {
            node: Some(self.node.to_string()),
            service_name: Some(service.name.to_string()),
            service_namespace: Some(service.namespace.to_string()),
            interfaces: interfaces.into_iter().map(|name| InterfaceInfo { name }).collect(),
            ips: doing.answered.iter().map(|(address, _)| address.to_string()).collect(),
            // One for a type, so that of the first address stands for all.
            conditions: doing
                .answered
                .iter()
                .find_map(|(address, _)| self.conflicts.get(address).cloned())
                .into_iter()
                .collect(),
        }
    }

    fn labels(&self, service: &ServiceKey) -> BTreeMap<String, String> {
        [(NODE, &self.node), (SERVICE_NAME, &service.name), (SERVICE_NAMESPACE, &service.namespace)]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_string()))
            .collect()
    }

    /// The same each time, so that a create of which nobody knows whether it was done can be tried again.
    fn key(&self, service: &ServiceKey) -> Key {
        match self.layout {
            StatusLayout::Metallb => {
                let digest = Sha256::digest(format!("{}/{}/{}", self.node, service.namespace, service.name));
                let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                (self.namespace.as_str().into(), format!("l2-{name}").into())
            }
            StatusLayout::Service => (service.namespace.clone(), format!("{}{SUFFIX}", service.name).into()),
        }
    }
}

#[cfg(test)]
#[path = "statuses_tests.rs"]
mod tests;
