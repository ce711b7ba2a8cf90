//! Gives a Service its cluster IPs and node ports, and returns those it no longer needs.

use super::address::{is_ipv6, parse_lenient};
use super::allocations::{Counter, Item};
use super::cluster_ips::invalid_list;
use super::families;
use super::model::{CLUSTER_IP, EXTERNAL_NAME, IPV4, IPV6, NONE, Spec};
use crate::kinds::Refusal;
use crate::schema::FieldError;
use std::collections::HashMap;

const FULL: &str = "range is full";

/// Everything that a stored Service holds.
pub(super) fn items(spec: &Spec) -> Vec<Item> {
    let addresses = spec.cluster_ips.iter().filter_map(|ip| parse_lenient(ip)).map(Item::Address);
    let health_check = spec.has_health_check().then_some(spec.health_check_node_port);
    let ports = spec.node_ports().chain(health_check).filter_map(port_item);
    addresses.chain(ports).collect()
}

/// An address for each family, those asked for or free ones.
pub(super) fn cluster_ips(spec: &mut Spec, counter: &mut Counter<'_>) -> Result<(), Refusal> {
    if !spec.has_cluster_ip() || spec.cluster_ips.first().is_some_and(|ip| ip == NONE) {
        return Ok(());
    }
    let count = spec.ip_families.len().max(spec.cluster_ips.len());
    spec.cluster_ips.resize(count, String::new());
    for index in 0..spec.ip_families.len() {
        take_cluster_ip(spec, index, counter)?;
    }
    spec.cluster_ip = spec.cluster_ips.first().cloned().unwrap_or_default();
    Ok(())
}

/// The same for a Service that is to replace `old`.
pub(super) fn change_cluster_ips(
    spec: &mut Spec,
    old: &Spec,
    counter: &mut Counter<'_>,
) -> Result<(), Refusal> {
    if families::keeps_preferred_families(spec, old) {
        return Ok(());
    }
    if !old.has_cluster_ip() && spec.has_cluster_ip() {
        return cluster_ips(spec, counter);
    }
    if old.cluster_ips.first().is_some_and(|ip| ip == NONE) {
        return Ok(());
    }
    let mut give_back = |ips: &[String]| {
        for address in ips.iter().filter_map(|ip| parse_lenient(ip)) {
            counter.give_back(Item::Address(address));
        }
    };
    if old.has_cluster_ip() && !spec.has_cluster_ip() {
        give_back(&old.cluster_ips);
        return Ok(());
    }
    match (old.ip_families.len(), spec.ip_families.len()) {
        (1, 2) => {
            if spec.cluster_ips.len() < 2 {
                spec.cluster_ips.push(String::new());
            }
            take_cluster_ip(spec, 1, counter)
        }
        (2, 1) => {
            give_back(old.cluster_ips.get(1..).unwrap_or_default());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Node ports for all ports that need one, and one for health checks.
///
/// Ports of the same number, for different protocols, share a node port.
pub(super) fn node_ports(spec: &mut Spec, counter: &mut Counter<'_>) -> Result<(), Refusal> {
    let mut shared = HashMap::new();
    let candidates = if spec.has_node_ports() { spec.ports.len() } else { 0 };
    for index in 0..candidates {
        let (port, wanted) = (spec.ports[index].port, spec.ports[index].node_port);
        if wanted == 0 && !spec.allocates_node_ports() {
            continue;
        }
        match shared.get(&port).copied() {
            None => {
                let same = spec.ports.iter().filter(|other| other.port == port);
                let asked_for = same.map(|other| other.node_port).find(|node_port| *node_port != 0);
                let node_port = match asked_for {
                    Some(node_port) => take_node_port(index, node_port, counter)?,
                    None => next_node_port(counter)?,
                };
                spec.ports[index].node_port = node_port;
                shared.insert(port, node_port);
            }
            Some(node_port) if wanted == 0 => spec.ports[index].node_port = node_port,
            Some(node_port) if wanted != node_port => drop(take_node_port(index, wanted, counter)?),
            Some(_) => {}
        }
    }
    if spec.has_health_check() {
        take_health_check_port(spec, counter)?;
    }
    Ok(())
}

/// The same for a Service that is to replace `old`; here every port without one gets one of its own.
pub(super) fn change_node_ports(
    spec: &mut Spec,
    old: &Spec,
    counter: &mut Counter<'_>,
) -> Result<(), Refusal> {
    if old.has_node_ports() && matches!(spec.kind.as_str(), CLUSTER_IP | EXTERNAL_NAME) {
        old.node_ports().filter_map(port_item).for_each(|item| counter.give_back(item));
    }
    if spec.has_node_ports() {
        take_changed_node_ports(spec, old, counter)?;
        let gone = old.node_ports().filter(|node_port| !spec.node_ports().any(|kept| kept == *node_port));
        gone.filter_map(port_item).for_each(|item| counter.give_back(item));
    }
    match (old.has_health_check(), spec.has_health_check()) {
        (false, true) => take_health_check_port(spec, counter)?,
        (true, false) => {
            port_item(old.health_check_node_port).into_iter().for_each(|item| counter.give_back(item));
        }
        _ => {}
    }
    Ok(())
}

fn take_changed_node_ports(spec: &mut Spec, old: &Spec, counter: &mut Counter<'_>) -> Result<(), Refusal> {
    let mut taken = Vec::new();
    let mut seen: Vec<(String, i32)> = Vec::new();
    for index in 0..spec.ports.len() {
        let mut node_port = spec.ports[index].node_port;
        if node_port == 0 && !spec.allocates_node_ports() {
            continue;
        }
        if node_port == 0 {
            node_port = next_node_port(counter)?;
            spec.ports[index].node_port = node_port;
        } else if !old.node_ports().any(|held| held == node_port) && !taken.contains(&node_port) {
            taken.push(take_node_port(index, node_port, counter)?);
        }
        let pair = (spec.ports[index].protocol.clone(), node_port);
        if seen.contains(&pair) {
            return Err(Refusal::Unclassified(format!("duplicate nodePort: {{{} {}}}", pair.0, pair.1)));
        }
        seen.push(pair);
    }
    Ok(())
}

fn take_cluster_ip(spec: &mut Spec, index: usize, counter: &mut Counter<'_>) -> Result<(), Refusal> {
    let family = if spec.ip_families[index] == IPV6 { IPV6 } else { IPV4 };
    let wanted = &spec.cluster_ips[index];
    if wanted.is_empty() {
        let Some(address) = counter.next_address(family) else {
            return Err(Refusal::Internal(format!("failed to allocate a serviceIP: {FULL}")));
        };
        spec.cluster_ips[index] = address.to_string();
        return Ok(());
    }
    let Some(address) = parse_lenient(wanted) else {
        return Err(Refusal::Internal(format!("failed to parse service IP {wanted:?}")));
    };
    debug_assert_eq!(family == IPV6, is_ipv6(wanted));
    counter.take_address(family, address).map_err(|problem| {
        let detail = format!("failed to allocate IP {wanted}: {problem}");
        Refusal::Invalid(vec![invalid_list("spec.clusterIPs", &spec.cluster_ips, &detail)])
    })
}

fn take_node_port(index: usize, node_port: i32, counter: &mut Counter<'_>) -> Result<i32, Refusal> {
    counter.take_port(node_port).map(|()| node_port).map_err(|problem| {
        let field = format!("spec.ports[{index}].nodePort");
        Refusal::Invalid(vec![FieldError::invalid_printed(field, &node_port.to_string(), &problem)])
    })
}

fn next_node_port(counter: &mut Counter<'_>) -> Result<i32, Refusal> {
    let port = counter.next_port().map(i32::from);
    port.ok_or_else(|| Refusal::Internal(format!("failed to allocate a nodePort: {FULL}")))
}

fn take_health_check_port(spec: &mut Spec, counter: &mut Counter<'_>) -> Result<(), Refusal> {
    let wanted = spec.health_check_node_port;
    if wanted != 0 {
        return counter.take_port(wanted).map_err(|problem| {
            Refusal::Internal(format!(
                "failed to allocate requested HealthCheck NodePort {wanted}: {problem}"
            ))
        });
    }
    let Some(port) = counter.next_port() else {
        return Err(Refusal::Internal(format!("failed to allocate a HealthCheck NodePort 0: {FULL}")));
    };
    spec.health_check_node_port = port.into();
    Ok(())
}

fn port_item(port: i32) -> Option<Item> {
    u16::try_from(port).ok().filter(|port| *port != 0).map(Item::Port)
}
