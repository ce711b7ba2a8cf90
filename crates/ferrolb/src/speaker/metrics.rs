//! The speaker's metrics. What stands for a state is made when it is asked for, so that no series outlives it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use plan::snapshot::ServiceKey;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::announcer::{Doing, LAYER2};
use crate::bgp;
use crate::component_metrics::{ComponentMetrics, register};
use crate::layer2::{Counters, DropReason, Links, News};

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub(super) of_component: ComponentMetrics,
    wire: OnTheWire,
}

/// What is counted on the wire, and on which interfaces. One collector, because a registry tells them apart by what
/// they describe in advance.
#[derive(Debug, Clone)]
struct OnTheWire {
    announced: Arc<Mutex<Announced>>,
    links: Arc<Mutex<Links>>,
    counters: Arc<Counters>,
}

/// Kept as addresses, because a series is ten times as large and is looked at seldom.
#[derive(Debug, Default)]
struct Announced {
    node: String,
    addresses: HashMap<ServiceKey, Arc<[IpAddr]>>,
}

impl Metrics {
    pub(super) fn new(counters: Arc<Counters>, sessions: bgp::Seen) -> Metrics {
        let registry = Registry::new();
        registry.register(Box::new(bgp::Metrics::new(sessions))).expect("nothing has its name yet");
        let wire =
            register(&registry, Ok(OnTheWire { announced: Arc::default(), links: Arc::default(), counters }));
        Metrics { of_component: ComponentMetrics::new(&registry), wire, registry }
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What this node announces of a Service now.
    pub(super) fn announces(&self, node: &str, service: &ServiceKey, doing: Option<&Doing>) {
        let mut announced = self.wire.announced.lock().unwrap_or_else(PoisonError::into_inner);
        if announced.node != node {
            node.clone_into(&mut announced.node);
        }
        match doing {
            Some(doing) => announced.addresses.insert(service.clone(), Arc::clone(&doing.addresses)),
            None => announced.addresses.remove(service),
        };
    }

    pub(super) fn show_links(&self, links: &Links) {
        *self.wire.links.lock().unwrap_or_else(PoisonError::into_inner) = links.clone();
    }
}

impl Collector for OnTheWire {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.of_services();
        families.extend(self.of_links());
        families.extend(self.of_frames());
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

impl OnTheWire {
    fn of_services(&self) -> Vec<MetricFamily> {
        let help = "Services being announced from this node. This is desired state, it does not guarantee that the \
                    routing protocols have converged.";
        let options = Opts::new("metallb_speaker_announced", help);
        let gauge = IntGaugeVec::new(options, &["service", "protocol", "node", "ip"]);
        let gauge = gauge.expect("the name of a metric is well-formed");
        let announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        for (service, addresses) in &announced.addresses {
            for ip in &**addresses {
                let (service, ip) = (service.to_string(), ip.to_string());
                gauge
                    .with_label_values(&[service.as_str(), LAYER2, announced.node.as_str(), ip.as_str()])
                    .set(1);
            }
        }
        gauge.collect()
    }

    fn of_links(&self) -> Vec<MetricFamily> {
        let help = "1 if addresses of this protocol are answered for on the interface.";
        let options = Opts::new("ferrolb_layer2_interface_answers", help);
        let gauge = IntGaugeVec::new(options, &["interface", "protocol"]);
        let gauge = gauge.expect("the name of a metric is well-formed");
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, link) in &links.by_name {
            for (protocol, answers) in [("arp", link.arp.is_ok()), ("ndp", link.ndp.is_ok())] {
                gauge.with_label_values(&[name.as_str(), protocol]).set(answers.into());
            }
        }
        gauge.collect()
    }

    fn of_frames(&self) -> Vec<MetricFamily> {
        let counter = |name: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(name, help), &[label]).expect("the name of a metric is well-formed")
        };
        let received = counter(
            "metallb_layer2_requests_received",
            "Number of layer2 requests received for owned IPs",
            "ip",
        );
        let sent = counter(
            "metallb_layer2_responses_sent",
            "Number of layer2 responses sent for owned IPs in response to requests",
            "ip",
        );
        let gratuitous = counter(
            "metallb_layer2_gratuitous_sent",
            "Number of gratuitous layer2 packets sent for owned IPs as a result of failovers",
            "ip",
        );
        let conflicts = counter(
            "ferrolb_layer2_conflicts_total",
            "Frames with which another station claimed an address of this node.",
            "ip",
        );
        for (address, counters) in self.counters.addresses() {
            let ip = address.to_string();
            for (family, count) in [
                (&received, counters.requests_received()),
                (&sent, counters.responses_sent()),
                (&gratuitous, counters.gratuitous_sent()),
                (&conflicts, counters.conflicts()),
            ] {
                if count > 0 {
                    family.with_label_values(&[ip.as_str()]).inc_by(count);
                }
            }
        }
        let dropped = counter(
            "ferrolb_layer2_dropped_total",
            "Frames and news that were dropped, by reason.",
            "reason",
        );
        for reason in DropReason::ALL {
            dropped.with_label_values(&[reason.name()]).inc_by(self.counters.dropped(reason));
        }
        let all = [received, sent, gratuitous, conflicts, dropped];
        all.iter().flat_map(Collector::collect).collect()
    }
}

/// What is said to the owners of Services about something that happened on the wire: the address, a reason, a message.
/// `fellow`: the other node, if it is one and is known.
pub(super) fn told_of(
    news: &News,
    node: &str,
    fellow: Option<&str>,
) -> Option<(IpAddr, &'static str, String)> {
    let speaker = || fellow.map_or("another node".to_owned(), |fellow| format!("node {fellow:?}"));
    Some(match news {
        News::Conflict { address, interface, station, fellow, .. } => {
            let who = match fellow {
                true => format!("the speaker of {}", speaker()),
                false => "a station that is no speaker".to_owned(),
            };
            let message = format!(
                "{who} with MAC address {station} also answers for {address} on interface {interface:?} of node {node:?}"
            );
            (*address, "addressConflict", message)
        }
        News::ClaimRefused { address, interface, station, fellow: true, .. } => {
            let message = format!(
                "{address} is left to the speaker of {} with MAC address {station} on interface {interface:?} of node \
                 {node:?}: both answered for it, and that one comes first",
                speaker()
            );
            (*address, "addressConflict", message)
        }
        News::ClaimRefused { address, interface, station, fellow: false, .. } => {
            let message = format!(
                "{address} is not announced from node {node:?}: the station with MAC address {station} on interface \
                 {interface:?} has it"
            );
            (*address, "addressInUse", message)
        }
        News::TooMany { address } => {
            let message = format!("{address} is not announced from node {node:?}, which announces too many");
            (*address, "announceFailed", message)
        }
        News::Wanted { .. } | News::Claimed { .. } | News::Yielded { .. } => return None,
    })
}
