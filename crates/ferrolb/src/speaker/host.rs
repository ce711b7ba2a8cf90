//! What this host does with addresses while they are its own, if it is asked to: it has them on its loopback interface,
//! and forwards what comes to them.
//!
//! A host is ready for an address before anybody is told that it has it, and has it until nobody is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::Context;
use k8s_openapi::api::core::v1;
use k8s_openapi::api::discovery::v1 as discovery;
use plan::snapshot::ServiceKey;
use prometheus::Registry;

use super::announcer::Announcer;
use super::forward::{Endpoints, Forwarder, ServicePorts};
use super::options::OnHost;
use crate::layer2::{BindError, Bound, KernelArp};
use crate::proxy::{Metrics, Proxy};
use crate::watch::Key;

#[derive(Debug)]
pub(super) struct Host {
    bound: Option<(Bound, KernelArp)>,
    forwarding: Option<(Forwarder, Proxy)>,
    failed: BTreeSet<IpAddr>,
    /// Not before it is known what this node announces: what was left behind stays until then.
    has_begun: bool,
}

/// What only a host that forwards keeps of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reads {
    ports: bool,
}

/// To be followed by [`Host::give_up`].
#[derive(Debug)]
#[must_use]
pub(super) struct Taken {
    is_other: bool,
}

impl Reads {
    pub(super) fn of_service(self, service: &v1::Service) -> Option<Box<ServicePorts>> {
        self.ports.then(|| Box::new(ServicePorts::read(service)))
    }

    pub(super) fn of_slice(self, slice: &discovery::EndpointSlice) -> Option<Box<Endpoints>> {
        self.ports.then(|| Box::new(Endpoints::read(slice)))
    }
}

impl Host {
    pub(super) fn start(options: &OnHost, node: &str, registry: &Registry) -> anyhow::Result<Host> {
        let bound = match options.binds_addresses {
            true => Some((Bound::open().context("the loopback interface")?, KernelArp::default())),
            false => None,
        };
        let forwarding = match options.proxy.clone() {
            Some(options) => {
                Some((Forwarder::new(node), Proxy::start(options).context("starting the proxy")?))
            }
            None => None,
        };
        if let Some((_, proxy)) = &forwarding {
            registry.register(Box::new(Metrics::new(proxy.counters())))?;
        }
        Ok(Host { bound, forwarding, failed: BTreeSet::new(), has_begun: false })
    }

    pub(super) fn reads(&self) -> Reads {
        Reads { ports: self.forwarding.is_some() }
    }

    pub(super) fn observe(&mut self, key: &ServiceKey, ports: Option<Box<ServicePorts>>) {
        if let (Some((forwarder, _)), Some(ports)) = (&mut self.forwarding, ports) {
            forwarder.observe(key.clone(), *ports);
        }
    }

    pub(super) fn forget(&mut self, key: &ServiceKey) {
        if let Some((forwarder, _)) = &mut self.forwarding {
            forwarder.forget(key);
        }
    }

    pub(super) fn observe_slice(
        &mut self,
        key: &Key,
        service: &ServiceKey,
        endpoints: Option<Box<Endpoints>>,
    ) {
        if let (Some((forwarder, _)), Some(endpoints)) = (&mut self.forwarding, endpoints) {
            forwarder.observe_slice(key.clone(), service.clone(), *endpoints);
        }
    }

    pub(super) fn forget_slice(&mut self, key: &Key) {
        if let Some((forwarder, _)) = &mut self.forwarding {
            forwarder.forget_slice(key);
        }
    }

    /// There may be interfaces that there were not before.
    pub(super) fn look_at_links(&mut self) {
        if let Some((_, arp)) = &mut self.bound {
            arp.keep_quiet();
        }
    }

    /// Has what is new, before it is announced. What is not announced any more stays until [`Host::give_up`]. `is_other`
    /// is whether this node announces something else than before.
    pub(super) fn take_up(&mut self, announcer: &Announcer, is_other: bool) -> Taken {
        if !announcer.is_ready() {
            return Taken { is_other: false };
        }
        let is_other = is_other | !std::mem::replace(&mut self.has_begun, true);
        if is_other && let Some((bound, arp)) = &mut self.bound {
            let mut both = owned(announcer);
            both.extend(bound.addresses());
            if both != *bound.addresses() {
                arp.keep_quiet();
                let errors = bound.set(&both);
                self.failed.retain(|address| !bound.addresses().contains(address));
                self.tell(errors);
            }
        }
        if let Some((forwarder, proxy)) = &mut self.forwarding
            && (forwarder.has_changed() | is_other)
        {
            proxy.set(&forwarder.desired(announcer.owned()));
        }
        Taken { is_other }
    }

    /// Has no longer what is not announced any more. Clients hear of it before the address is gone.
    pub(super) async fn give_up(&mut self, announcer: &Announcer, taken: Taken) {
        if let Some((_, proxy)) = &mut self.forwarding {
            proxy.ended().await;
        }
        if taken.is_other
            && let Some((bound, _)) = &mut self.bound
        {
            let owned = owned(announcer);
            if !bound.addresses().is_subset(&owned) {
                let kept = bound.addresses().intersection(&owned).copied().collect();
                let errors = bound.set(&kept);
                self.tell(errors);
            }
        }
    }

    /// Nothing is announced any more.
    pub(super) async fn end(mut self) {
        if let Some((_, proxy)) = &mut self.forwarding {
            proxy.set(&Default::default());
            proxy.ended().await;
        }
        // The addresses go with the value.
        drop(self);
    }

    fn tell(&mut self, errors: Vec<BindError>) {
        // It is tried again with every change, and said once.
        for error in errors {
            if self.failed.insert(error.address) {
                tracing::warn!("{error}");
            }
        }
    }
}

fn owned(announcer: &Announcer) -> BTreeSet<IpAddr> {
    announcer.owned().map(|(address, _)| address).collect()
}
