//! Which address families a Service is for, from what was asked for and what the cluster has.

use super::address;
use super::allocations::Ranges;
use super::cluster_ips;
use super::model::{
    CLUSTER_IP, IPV4, IPV6, LOAD_BALANCER, NODE_PORT, NONE, PREFER_DUAL_STACK, REQUIRE_DUAL_STACK,
    SINGLE_STACK, Spec,
};
use crate::kinds::{Refusal, accept};
use crate::schema::FieldError;

/// Completes ipFamilyPolicy and ipFamilies, and refuses what the cluster cannot do.
pub(super) fn complete(spec: &mut Spec, old: Option<&Spec>, ranges: &Ranges) -> Result<(), Refusal> {
    if !spec.has_cluster_ip() || old.is_some_and(|old| keeps_preferred_families(spec, old)) {
        return Ok(());
    }
    complete_policy(spec, old);
    accept(cluster_ips::errors(spec, old))?;

    let mut errors = old.map(|old| apply_downgrade(spec, old)).unwrap_or_default();
    errors.extend(single_stack_errors(spec));
    errors.extend(add_families_of_addresses(spec, ranges));
    accept(errors)?;

    if spec.is_headless_without_selector() {
        add_missing_families(spec, ranges, true);
        return Ok(());
    }
    accept(errors_of_cluster(spec, ranges))?;
    add_missing_families(spec, ranges, ranges.is_dual_stack());
    Ok(())
}

/// Whoever prefers two families keeps what they got until they ask for something else, so that a change of the
/// cluster's ranges changes no Service.
pub(super) fn keeps_preferred_families(spec: &Spec, old: &Spec) -> bool {
    spec.kind == old.kind
        && matches!(spec.kind.as_str(), CLUSTER_IP | NODE_PORT | LOAD_BALANCER)
        && spec.policy() == PREFER_DUAL_STACK
        && old.ip_family_policy.as_deref().is_none_or(|policy| policy == PREFER_DUAL_STACK)
        && spec.cluster_ips == old.cluster_ips
        && spec.ip_families == old.ip_families
}

fn complete_policy(spec: &mut Spec, old: Option<&Spec>) {
    if spec.ip_family_policy.is_some() {
        return;
    }
    let inherited = old.and_then(|old| old.ip_family_policy.clone());
    let default = if spec.is_headless_without_selector() { REQUIRE_DUAL_STACK } else { SINGLE_STACK };
    spec.ip_family_policy = inherited.or_else(|| Some(default.to_owned()));
}

/// Asking for a single family is enough to lose the second one; losing it takes asking for a single one.
fn apply_downgrade(spec: &mut Spec, old: &Spec) -> Vec<FieldError> {
    if spec.policy() == SINGLE_STACK {
        if spec.cluster_ips == old.cluster_ips {
            spec.cluster_ips.truncate(1);
        }
        if spec.ip_families == old.ip_families {
            spec.ip_families.truncate(1);
        }
        return Vec::new();
    }
    let is_reduced = |new: &[String], old: &[String]| !new.is_empty() && new.len() < old.len();
    let mut errors = Vec::new();
    if is_reduced(&spec.cluster_ips, &old.cluster_ips) {
        errors.push(policy_error(spec, "must be 'SingleStack' to release the secondary cluster IP"));
    }
    if is_reduced(&spec.ip_families, &old.ip_families) {
        errors.push(policy_error(spec, "must be 'SingleStack' to release the secondary IP family"));
    }
    errors
}

fn single_stack_errors(spec: &Spec) -> Vec<FieldError> {
    if spec.policy() != SINGLE_STACK {
        return Vec::new();
    }
    let mut errors = Vec::new();
    for (count, what) in [(spec.cluster_ips.len(), "cluster IPs"), (spec.ip_families.len(), "IP families")] {
        if count == 2 {
            let detail =
                format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
            errors.push(policy_error(spec, &detail));
        }
    }
    errors
}

fn add_families_of_addresses(spec: &mut Spec, ranges: &Ranges) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, ip) in spec.cluster_ips.iter().enumerate() {
        if ip == NONE {
            break;
        }
        if index < spec.ip_families.len() {
            continue;
        }
        let family = if address::is_ipv6(ip) { IPV6 } else { IPV4 };
        if ranges.has(family) {
            spec.ip_families.push(family.to_owned());
        } else {
            let field = format!("spec.clusterIPs[{index}]");
            let detail = format!("{family} is not configured on this cluster");
            errors.push(cluster_ips::invalid_list(field, &spec.cluster_ips, &detail));
        }
    }
    errors
}

fn errors_of_cluster(spec: &Spec, ranges: &Ranges) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if spec.policy() == REQUIRE_DUAL_STACK && !ranges.is_dual_stack() {
        errors.push(policy_error(spec, "this cluster is not configured for dual-stack services"));
    }
    for (index, family) in spec.ip_families.iter().enumerate() {
        if !ranges.has(family) {
            let field = format!("spec.ipFamilies[{index}]");
            errors.push(FieldError::invalid_text(field, family, "not configured on this cluster"));
        }
    }
    errors
}

fn add_missing_families(spec: &mut Spec, ranges: &Ranges, second_is_possible: bool) {
    if spec.ip_families.is_empty() {
        spec.ip_families.push(ranges.primary_family().to_owned());
    }
    if spec.policy() != SINGLE_STACK && spec.ip_families.len() == 1 && second_is_possible {
        let other = if spec.ip_families[0] == IPV4 { IPV6 } else { IPV4 };
        spec.ip_families.push(other.to_owned());
    }
}

fn policy_error(spec: &Spec, detail: &str) -> FieldError {
    FieldError::invalid_text("spec.ipFamilyPolicy", spec.policy(), detail)
}
