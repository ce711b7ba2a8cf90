//! The controller's metrics, under the names that dashboards and alerts know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use plan::allocate::Counters;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts, Registry};
use tokio::sync::watch;

use crate::component_metrics::{ComponentMetrics, register};

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub(super) of_component: ComponentMetrics,
    pools: Pools,
}

/// The gauges of pools are made when they are asked for, so that none outlives its pool.
#[derive(Debug, Clone, Default)]
struct Pools(Arc<Mutex<Option<CountersReceiver>>>);

pub(super) type CountersReceiver = watch::Receiver<BTreeMap<String, Counters>>;
type Value = fn(&Counters) -> i64;

const POOL_GAUGES: [(&str, &str, Value); 6] = [
    ("addresses_total", "Number of usable IP addresses, per pool", |it| it.capacity),
    ("ipv4_addresses_total", "Number of usable IPV4 addresses, per pool", |it| it.capacity_v4),
    ("ipv6_addresses_total", "Number of usable IPV6 addresses, per pool", |it| it.capacity_v6),
    ("addresses_in_use_total", "Number of IP addresses in use, per pool", |it| {
        it.assigned_v4.saturating_add(it.assigned_v6)
    }),
    ("ipv4_addresses_in_use_total", "Number of IPV4 addresses in use, per pool", |it| it.assigned_v4),
    ("ipv6_addresses_in_use_total", "Number of IPV6 addresses in use, per pool", |it| it.assigned_v6),
];

impl Metrics {
    pub(super) fn new() -> Metrics {
        let registry = Registry::new();
        let pools = Pools::default();
        register(&registry, Ok(pools.clone()));
        Metrics { of_component: ComponentMetrics::new(&registry), pools, registry }
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) fn show(&self, counters: CountersReceiver) {
        *self.pools.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(counters);
    }
}

fn gauges() -> [(IntGaugeVec, Value); 6] {
    POOL_GAUGES.map(|(name, help, value)| {
        let options = Opts::new(format!("metallb_allocator_{name}"), help);
        (IntGaugeVec::new(options, &["pool"]).expect("the name of a metric is well-formed"), value)
    })
}

impl Collector for Pools {
    fn desc(&self) -> Vec<&Desc> {
        // Described by what it collects.
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(counters) = receiver.as_ref().map(|receiver| receiver.borrow().clone()) else {
            return Vec::new();
        };
        let families = gauges().into_iter().flat_map(|(gauge, value)| {
            for (pool, counters) in &counters {
                gauge.with_label_values(&[pool.as_str()]).set(value(counters));
            }
            gauge.collect()
        });
        families.filter(|family| !family.get_metric().is_empty()).collect()
    }
}
