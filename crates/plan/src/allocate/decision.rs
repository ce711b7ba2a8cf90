//! What is decided about one Service, as a value: the controller writes it, everything else prints it.

use std::net::IpAddr;

use super::error::Refusal;
use super::request::{POOL_ANNOTATION, deprecated_annotations, recorded};
use crate::snapshot::{Service, ServiceKey};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub service: ServiceKey,
    /// The pool of `addresses`.
    pub pool: Option<String>,
    /// What the Service holds now, in the order of its status.
    pub addresses: Vec<IpAddr>,
    pub events: Vec<Event>,
    /// Why there is no address, or why a request could not be followed although an address is kept.
    pub refusal: Option<Refusal>,
    /// What must be written to the Service; `None` if it says so already.
    pub write: Option<Write>,
    /// Something was freed, or shared differently, that may help Services that wait.
    pub world_changed: bool,
    /// The Service could use more than it holds, as soon as somebody frees it.
    pub waits: bool,
}

/// The new `status.loadBalancer.ingress` and the new value of [`POOL_ANNOTATION`]; `None` removes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub ingress: Vec<IpAddr>,
    pub pool_annotation: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub event_type: EventType,
    pub reason: &'static str,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    Normal,
    Warning,
}

impl Event {
    pub(super) fn normal(reason: &'static str, message: String) -> Event {
        Event { event_type: EventType::Normal, reason, message }
    }

    pub(super) fn warning(reason: &'static str, message: String) -> Event {
        Event { event_type: EventType::Warning, reason, message }
    }
}

const DEPRECATED: &str = "deprecatedAnnotation";

impl Decision {
    /// One sentence for people: the addresses, or why there are none.
    pub fn message(&self) -> String {
        match (&self.refusal, &self.pool) {
            (Some(refusal), _) => refusal.to_string(),
            (None, Some(pool)) => {
                let addresses: Vec<String> = self.addresses.iter().map(IpAddr::to_string).collect();
                format!("{} from pool {pool}", addresses.join(", "))
            }
            (None, None) => "the Service has no address".to_owned(),
        }
    }

    /// Makes this, the later of two decisions about one Service, the decision from `before` both of them.
    pub(super) fn follow(&mut self, earlier: Decision, before: &Service) {
        let later_events = std::mem::replace(&mut self.events, earlier.events);
        for event in later_events {
            if !self.events.contains(&event) {
                self.events.push(event);
            }
        }
        self.write = self.write.take().or(earlier.write).filter(|write| write.changes(before));
        if self.write.is_none() {
            self.events.retain(|event| event.reason != DEPRECATED);
        }
        self.world_changed |= earlier.world_changed;
    }

    /// The Service as it reads once this decision is written.
    pub fn applied_to(&self, service: &Service) -> Service {
        let mut service = service.clone();
        if let Some(write) = &self.write {
            write.apply(&mut service);
        }
        service
    }
}

impl Write {
    /// The same addresses in another order are no change, and neither is what other tools add to an entry.
    /// An entry without an address, or one with a host name beside it, does not stay.
    pub(super) fn changes(&self, service: &Service) -> bool {
        let recorded = recorded(service);
        let is_plain = service.ingress.iter().all(|entry| entry.ip.is_some() && entry.hostname.is_none());
        let is_same = recorded.len() == self.ingress.len()
            && self.ingress.iter().all(|&address| recorded.contains(&Some(address)));
        !is_plain || !is_same || service.annotations.get(POOL_ANNOTATION) != self.pool_annotation.as_ref()
    }

    /// Brings a Service to what it reads once this is written.
    pub fn apply(&self, service: &mut Service) {
        let entry =
            |address: &IpAddr| crate::snapshot::Ingress { ip: Some(address.to_string()), hostname: None };
        service.ingress = self.ingress.iter().map(entry).collect();
        match &self.pool_annotation {
            Some(pool) => drop(service.annotations.insert(POOL_ANNOTATION.to_owned(), pool.clone())),
            None => drop(service.annotations.remove(POOL_ANNOTATION)),
        }
    }
}

/// Said only to those whose Service is written anyway, so that it is not said again and again.
pub(super) fn deprecation_events(service: &Service) -> impl Iterator<Item = Event> {
    deprecated_annotations(service)
        .map(|key| Event::warning(DEPRECATED, format!("Service uses deprecated annotation {key}")))
}
