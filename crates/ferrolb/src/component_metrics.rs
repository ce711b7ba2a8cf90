//! The metrics that every component has, under the names that dashboards and alerts know.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge, Registry};

#[derive(Debug)]
pub(crate) struct ComponentMetrics {
    updates: IntCounter,
    update_errors: IntCounter,
    config_loaded: IntGauge,
    config_stale: IntGauge,
}

impl ComponentMetrics {
    pub(crate) fn new(registry: &Registry) -> ComponentMetrics {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(format!("metallb_k8s_client_{name}"), help);
            register(registry, counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(format!("metallb_k8s_client_{name}"), help);
            register(registry, gauge)
        };
        ComponentMetrics {
            updates: counter("updates_total", "Number of k8s object updates that have been processed."),
            update_errors: counter(
                "update_errors_total",
                "Number of k8s object updates that failed for some reason.",
            ),
            config_loaded: gauge(
                "config_loaded_bool",
                "1 if the MetalLB configuration was successfully loaded at least once.",
            ),
            config_stale: gauge(
                "config_stale_bool",
                "1 if running on a stale configuration, because the latest config failed to load.",
            ),
        }
    }

    pub(crate) fn updated(&self) {
        self.updates.inc();
    }

    pub(crate) fn failed(&self) {
        self.update_errors.inc();
    }

    pub(crate) fn configuration_is_loaded(&self) {
        self.config_loaded.set(1);
    }

    pub(crate) fn configuration_is_stale(&self, is_stale: bool) {
        self.config_stale.set(is_stale.into());
    }
}

/// Names and help are constants, so that neither making nor registering can fail.
pub(crate) fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> C {
    let collector = made.expect("the name of a metric is well-formed");
    registry.register(Box::new(collector.clone())).expect("each metric is registered once");
    collector
}
