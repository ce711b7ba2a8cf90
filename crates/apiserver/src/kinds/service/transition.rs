//! What a client meant who changed a Service and left out, or left in, what belongs to its old type.
//! A field is kept or cleared for a client only if the client itself did not change it.

use super::model::{LOAD_BALANCER, Spec};
use std::collections::{HashMap, HashSet};

/// Fills in what was allocated before and was not sent again.
pub(super) fn keep_allocated(spec: &mut Spec, old: &Spec) {
    if spec.has_cluster_ip() && old.has_cluster_ip() {
        if spec.cluster_ip.is_empty() {
            spec.cluster_ip.clone_from(&old.cluster_ip);
        }
        if spec.cluster_ips.is_empty() {
            spec.cluster_ips.clone_from(&old.cluster_ips);
        }
    }
    if spec.allocates_node_ports() && old.allocates_node_ports() {
        keep_node_ports(spec, old);
    }
    if spec.has_health_check() && old.has_health_check() && spec.health_check_node_port == 0 {
        spec.health_check_node_port = old.health_check_node_port;
    }
}

/// Makes the list of addresses follow the single address, for clients that know only that one.
pub(super) fn align_cluster_ips(spec: &mut Spec, old: &Spec) {
    let is_same = spec.cluster_ip == old.cluster_ip;
    if is_same && spec.cluster_ips.is_empty() {
        spec.cluster_ips.clone_from(&old.cluster_ips);
    }
    if !is_same && spec.cluster_ips == old.cluster_ips {
        spec.cluster_ips = match spec.cluster_ip.as_str() {
            "" => Vec::new(),
            ip => vec![ip.to_owned()],
        };
    }
}

/// Clears what the new type has no use for.
pub(super) fn clear_inapplicable(spec: &mut Spec, old: &Spec) {
    if old.has_cluster_ip() && !spec.has_cluster_ip() {
        if spec.cluster_ip == old.cluster_ip && spec.cluster_ips == old.cluster_ips {
            spec.cluster_ip.clear();
            spec.cluster_ips.clear();
        }
        if spec.ip_families == old.ip_families {
            spec.ip_families.clear();
        }
        if spec.policy() == old.policy() {
            spec.ip_family_policy = None;
        }
    }
    if old.has_node_ports() && !spec.has_node_ports() && has_no_new_node_ports(spec, old) {
        for port in &mut spec.ports {
            port.node_port = 0;
        }
    }
    if old.has_health_check()
        && !spec.has_health_check()
        && spec.health_check_node_port == old.health_check_node_port
    {
        spec.health_check_node_port = 0;
    }
    if old.kind == LOAD_BALANCER && spec.kind != LOAD_BALANCER {
        if spec.allocate_load_balancer_node_ports == old.allocate_load_balancer_node_ports {
            spec.allocate_load_balancer_node_ports = None;
        }
        if spec.load_balancer_class == old.load_balancer_class {
            spec.load_balancer_class = None;
        }
    }
    if old.is_externally_accessible()
        && !spec.is_externally_accessible()
        && spec.external_traffic_policy == old.external_traffic_policy
    {
        spec.external_traffic_policy.clear();
    }
}

/// A port is known by its name, and keeps its node port unless another one took it.
fn keep_node_ports(spec: &mut Spec, old: &Spec) {
    let sent: HashSet<_> = spec.node_ports().collect();
    let still_used: HashSet<_> = old.node_ports().filter(|node_port| sent.contains(node_port)).collect();
    let known: HashMap<_, _> = old.ports.iter().map(|port| (port.name.as_str(), port.node_port)).collect();
    for port in spec.ports.iter_mut().filter(|port| port.node_port == 0) {
        let node_port = known.get(port.name.as_str()).copied().unwrap_or_default();
        if !still_used.contains(&node_port) {
            port.node_port = node_port;
        }
    }
}

fn has_no_new_node_ports(spec: &Spec, old: &Spec) -> bool {
    spec.node_ports().all(|node_port| old.node_ports().any(|held| held == node_port))
}
