//! What is forwarded from the addresses that this node announces, and where to: Services' ports matched with their
//! endpoints. It is there only where `--proxy` asks for it, because endpoints are many.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use plan::snapshot::ServiceKey;

use crate::proxy::{Backends, Frontend, Protocol};
use crate::watch::Key;

/// What is read of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ServicePorts {
    ports: Vec<ServicePort>,
    is_local: bool,
    sticks_to_client: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ServicePort {
    /// That of the slice's port.
    name: Box<str>,
    protocol: Protocol,
    number: u16,
    /// For slices that name no ports.
    target: u16,
}

/// What is read of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Endpoints {
    /// Without any it is every port of the Service.
    ports: Vec<(Box<str>, Protocol, u16)>,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Endpoint {
    address: IpAddr,
    node: Option<Box<str>>,
    is_ready: bool,
}

#[derive(Debug)]
pub(super) struct Forwarder {
    node: String,
    services: HashMap<ServiceKey, ServicePorts>,
    slices: HashMap<ServiceKey, BTreeMap<String, Endpoints>>,
    /// Which Service a slice is of.
    service_of: HashMap<Key, ServiceKey>,
    has_changed: bool,
}

impl ServicePorts {
    pub(super) fn read(service: &v1::Service) -> ServicePorts {
        let Some(spec) = &service.spec else { return ServicePorts::default() };
        let ports = spec.ports.iter().flatten().filter_map(|port| {
            let number = u16::try_from(port.port).ok()?;
            let target = match &port.target_port {
                Some(IntOrString::Int(target)) => u16::try_from(*target).ok()?,
                // The name of a port of a container, which nobody knows here.
                _ => number,
            };
            let name = port.name.clone().unwrap_or_default().into();
            Some(ServicePort { name, protocol: protocol(port.protocol.as_deref())?, number, target })
        });
        ServicePorts {
            ports: ports.collect(),
            is_local: spec.external_traffic_policy.as_deref() == Some("Local"),
            sticks_to_client: spec.session_affinity.as_deref() == Some("ClientIP"),
        }
    }
}

impl Endpoints {
    pub(super) fn read(slice: &discovery::EndpointSlice) -> Endpoints {
        let ports = slice.ports.iter().flatten().filter_map(|port| {
            let number = u16::try_from(port.port?).ok()?;
            let name = port.name.clone().unwrap_or_default().into();
            Some((name, protocol(port.protocol.as_deref())?, number))
        });
        let endpoints = slice.endpoints.iter().flatten().filter_map(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            let is_ready = conditions.is_none_or(|it| it.ready != Some(false));
            let is_serving = conditions.is_some_and(|it| it.serving == Some(true));
            // All addresses of an endpoint are as good as the first. Names are not looked up.
            let address = endpoint.addresses.first()?.parse().ok()?;
            let node = endpoint.node_name.clone().map(String::into_boxed_str);
            (is_ready || is_serving).then_some(Endpoint { address, node, is_ready })
        });
        Endpoints { ports: ports.collect(), endpoints: endpoints.collect() }
    }

    /// Where one port of the Service ends, on endpoints that are ready or on those that still serve.
    fn of<'a>(
        &'a self,
        port: &'a ServicePort,
        ready: bool,
    ) -> impl Iterator<Item = (SocketAddr, &'a Endpoint)> {
        let is_it = |(name, protocol, _): &&(Box<str>, Protocol, u16)| {
            *name == port.name && *protocol == port.protocol
        };
        let number = match self.ports.is_empty() {
            true => Some(port.target),
            false => self.ports.iter().find(is_it).map(|(_, _, number)| *number),
        };
        let endpoints = self.endpoints.iter().filter(move |endpoint| endpoint.is_ready == ready);
        endpoints.filter_map(move |it| Some((SocketAddr::new(it.address, number?), it)))
    }
}

impl Forwarder {
    pub(super) fn new(node: &str) -> Forwarder {
        Forwarder {
            node: node.to_owned(),
            services: HashMap::new(),
            slices: HashMap::new(),
            service_of: HashMap::new(),
            has_changed: false,
        }
    }

    pub(super) fn observe(&mut self, key: ServiceKey, ports: ServicePorts) {
        self.has_changed |= self.services.get(&key) != Some(&ports);
        self.services.insert(key, ports);
    }

    pub(super) fn forget(&mut self, key: &ServiceKey) {
        self.has_changed |= self.services.remove(key).is_some();
    }

    pub(super) fn observe_slice(&mut self, key: Key, service: ServiceKey, endpoints: Endpoints) {
        if self.service_of.get(&key).is_some_and(|before| *before != service) {
            self.forget_slice(&key);
        }
        let slices = self.slices.entry(service.clone()).or_default();
        self.has_changed |= slices.get(&*key.1) != Some(&endpoints);
        slices.insert(key.1.to_string(), endpoints);
        self.service_of.insert(key, service);
    }

    pub(super) fn forget_slice(&mut self, key: &Key) {
        let Some(service) = self.service_of.remove(key) else { return };
        self.has_changed = true;
        if let Some(slices) = self.slices.get_mut(&service) {
            slices.remove(&*key.1);
            if slices.is_empty() {
                self.slices.remove(&service);
            }
        }
    }

    /// Whether something may be forwarded otherwise than when this was asked last.
    pub(super) fn has_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// What is to be forwarded if these addresses are this node's for these Services.
    pub(super) fn desired<'a>(
        &self,
        owned: impl Iterator<Item = (IpAddr, &'a ServiceKey)>,
    ) -> BTreeMap<Frontend, Backends> {
        let mut desired = BTreeMap::new();
        for (address, key) in owned {
            let Some(service) = self.services.get(key) else { continue };
            for port in &service.ports {
                let frontend = Frontend { address, protocol: port.protocol, port: port.number };
                // Of two Services that claim the same, which no allocator allows, the first has it.
                desired.entry(frontend).or_insert_with(|| Backends {
                    endpoints: self.endpoints(key, service, port, address),
                    sticks_to_client: service.sticks_to_client,
                });
            }
        }
        desired
    }

    /// Those that are ready; if there is none, those that still serve. Of these the family of the address; if there is
    /// none, the other one, which makes no difference here.
    fn endpoints(
        &self,
        key: &ServiceKey,
        service: &ServicePorts,
        port: &ServicePort,
        address: IpAddr,
    ) -> Vec<SocketAddr> {
        let here = |endpoint: &Endpoint| endpoint.node.as_deref() == Some(&*self.node);
        let all = |ready: bool| -> BTreeSet<SocketAddr> {
            let slices = self.slices.get(key).into_iter().flat_map(BTreeMap::values);
            let endpoints = slices.flat_map(|slice| slice.of(port, ready));
            let usable = endpoints.filter(|(socket, it)| {
                // It would come back to where it is forwarded.
                socket.ip() != address && (!service.is_local || here(it))
            });
            usable.map(|(socket, _)| socket).collect()
        };
        let mut found = all(true);
        if found.is_empty() {
            found = all(false);
        }
        let is_same_family = |it: &SocketAddr| it.is_ipv4() == address.is_ipv4();
        if found.iter().any(is_same_family) {
            found.retain(is_same_family);
        }
        found.into_iter().collect()
    }
}

fn protocol(text: Option<&str>) -> Option<Protocol> {
    match text {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some(_) => None,
    }
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;
