//! The counters as metrics, made when they are asked for.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts};

use super::{Counters, DropReason};

/// For a registry.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    counters: Arc<Counters>,
    /// By which the registry tells it from others.
    described: Desc,
}

const FRONTEND: [&str; 3] = ["ip", "port", "protocol"];
const DROPPED: (&str, &str) = (
    "ferrolb_proxy_dropped_total",
    "Connections and datagrams that were not forwarded, or not to their end, by reason.",
);

impl Metrics {
    pub(crate) fn new(counters: Arc<Counters>) -> Metrics {
        let (name, help) = DROPPED;
        let described =
            Desc::new(name.to_owned(), help.to_owned(), vec!["reason".to_owned()], HashMap::new());
        Metrics { counters, described: described.expect("the name of a metric is well-formed") }
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.described]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels).expect("the name of a metric is well-formed")
        };
        let gauge = |name: &str, help: &str| {
            IntGaugeVec::new(Opts::new(name, help), &FRONTEND).expect("the name of a metric is well-formed")
        };
        let listening = gauge(
            "ferrolb_proxy_listening",
            "1 if the address and port is the proxy's, 0 if somebody else has it.",
        );
        let open = gauge("ferrolb_proxy_open", "Connections, or sessions of UDP, that are forwarded now.");
        let all = counter(
            "ferrolb_proxy_connections_total",
            "Connections, or sessions of UDP, that came.",
            &FRONTEND,
        );
        let [ip, port, protocol] = FRONTEND;
        let bytes = counter(
            "ferrolb_proxy_bytes_total",
            "Bytes that came from clients (received) and went to them (sent).",
            &[ip, port, protocol, "direction"],
        );
        for (frontend, counters) in self.counters.frontends() {
            let (ip, port) = (frontend.address.to_string(), frontend.port.to_string());
            let labels = [ip.as_str(), port.as_str(), frontend.protocol.name()];
            let (connections, open_now) = counters.connections();
            listening.with_label_values(&labels).set(counters.is_listening().into());
            open.with_label_values(&labels).set(open_now.cast_signed());
            all.with_label_values(&labels).inc_by(connections);
            let (received, sent) = counters.bytes();
            for (direction, count) in [("received", received), ("sent", sent)] {
                let [ip, port, protocol] = labels;
                bytes.with_label_values(&[ip, port, protocol, direction]).inc_by(count);
            }
        }
        let (name, help) = DROPPED;
        let dropped = counter(name, help, &["reason"]);
        for reason in DropReason::ALL {
            dropped.with_label_values(&[reason.name()]).inc_by(self.counters.drops(reason));
        }
        let mut families = listening.collect();
        families.extend(open.collect());
        families.extend([all, bytes, dropped].iter().flat_map(Collector::collect));
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}
