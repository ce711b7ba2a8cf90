//! Addresses that are kept for the name of a Service which is not there.

use std::net::IpAddr;

use super::converge::assigned;
use super::decision::{Decision, Write};
use super::request::{POOL_ANNOTATION, SHARING_ANNOTATION, recorded, sharing_of};
use crate::snapshot::{Ingress, IpFamilyPolicy, Service, ServiceKey, ServicePort, ServiceType};

/// What a Service had, and has again when it comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    pub service: ServiceKey,
    pub addresses: Vec<IpAddr>,
    pub pool: String,
    /// The key under which the addresses are shared; empty if they are not.
    pub sharing: String,
    /// What nobody may have who shares the addresses.
    pub ports: Vec<ServicePort>,
}

impl Reservation {
    /// What the status of a Service says that it has.
    pub fn of_status(service: &Service) -> Option<Reservation> {
        let addresses: Option<Vec<IpAddr>> = recorded(service).into_iter().collect();
        Some(Reservation {
            service: service.key.clone(),
            addresses: addresses.filter(|addresses| !addresses.is_empty())?,
            pool: service.annotations.get(POOL_ANNOTATION)?.clone(),
            sharing: sharing_of(service).to_owned(),
            ports: service.ports.clone(),
        })
    }

    /// A Service to [claim](super::Allocator::claim) the addresses with. It is never decided about.
    pub fn placeholder(&self, load_balancer_class: Option<&str>) -> Service {
        let mut annotations = [(POOL_ANNOTATION.to_owned(), self.pool.clone())].into();
        if !self.sharing.is_empty() {
            let annotations: &mut std::collections::BTreeMap<_, _> = &mut annotations;
            annotations.insert(SHARING_ANNOTATION.to_owned(), self.sharing.clone());
        }
        let entry = |address: &IpAddr| Ingress { ip: Some(address.to_string()), hostname: None };
        Service {
            key: self.service.clone(),
            labels: Default::default(),
            annotations,
            service_type: ServiceType::LoadBalancer,
            load_balancer_class: load_balancer_class.map(str::to_owned),
            load_balancer_ip: String::new(),
            cluster_ips: Vec::new(),
            cluster_ip: String::new(),
            ip_family_policy: IpFamilyPolicy::SingleStack,
            primary_family: None,
            ports: self.ports.clone(),
            local_traffic_only: false,
            selector: Default::default(),
            ingress: self.addresses.iter().map(entry).collect(),
        }
    }

    /// As if it had been decided to give the addresses to the Service, and not been written yet.
    pub fn decision(&self) -> Decision {
        Decision {
            service: self.service.clone(),
            pool: Some(self.pool.clone()),
            addresses: self.addresses.clone(),
            events: vec![assigned(&self.addresses)],
            refusal: None,
            write: Some(Write { ingress: self.addresses.clone(), pool_annotation: Some(self.pool.clone()) }),
            world_changed: false,
            waits: false,
        }
    }
}
