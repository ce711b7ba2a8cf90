//! The rules for clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy, which are only right together.

use super::address::{address_errors, is_ipv6};
use super::model::{
    EXTERNAL_NAME, IPV4, IPV6, NONE, PREFER_DUAL_STACK, REQUIRE_DUAL_STACK, SINGLE_STACK, Spec,
};
use super::validate::not_supported;
use crate::schema::FieldError;
use serde_json::json;

const IPS: &str = "spec.clusterIPs";
const MAY_NOT_CHANGE: &str = "may not change once set";

/// What is wrong with the addresses and families of a Service that is to replace `old`.
pub(super) fn errors(spec: &Spec, old: Option<&Spec>) -> Vec<FieldError> {
    if spec.kind == EXTERNAL_NAME {
        return Vec::new();
    }
    let mut errors: Vec<_> = singular_errors(spec).into_iter().collect();
    errors.extend(family_errors(spec));
    let known = old.map(|old| old.cluster_ips.as_slice()).unwrap_or_default();
    let (address_errors, are_addresses) = each_address(spec, known);
    errors.extend(address_errors);
    if spec.cluster_ips.len() > 2 {
        errors.push(invalid_list(IPS, &spec.cluster_ips, "may only hold up to 2 values"));
    }
    if !are_addresses {
        return errors;
    }
    let second_families = spec.cluster_ips.iter().filter(|ip| is_ipv6(ip)).count();
    if spec.cluster_ips.len() > 1 && (second_families == 0 || second_families == spec.cluster_ips.len()) {
        errors.push(invalid_list(
            IPS,
            &spec.cluster_ips,
            "may specify no more than one IP for each IP family",
        ));
    }
    if !spec.is_headless() {
        errors.extend(mismatch_errors(spec));
    }
    errors
}

/// What is wrong with how the addresses changed.
pub(super) fn change_errors(spec: &Spec, old: &Spec) -> Vec<FieldError> {
    if !spec.has_cluster_ip() || !old.has_cluster_ip() || (spec.is_headless() && old.is_headless()) {
        return Vec::new();
    }
    let (new, old) = (&spec.cluster_ips, &old.cluster_ips);
    let changed = |index: usize| invalid_list(format!("{IPS}[{index}]"), new, MAY_NOT_CHANGE);
    if new.len() == old.len() {
        return (0..new.len()).filter(|index| new[*index] != old[*index]).map(changed).collect();
    }
    let mut errors = Vec::new();
    if new.is_empty() {
        errors.push(invalid_list(format!("{IPS}[0]"), new, "primary clusterIP can not be unset"));
    }
    if matches!((new.first(), old.first()), (Some(new), Some(old)) if new != old) {
        errors.push(changed(0));
    }
    if new.len() == 1 && old.len() > 1 {
        errors.extend(release_error(spec, "clusterIP"));
    }
    errors
}

/// What is wrong with how the families changed.
pub(super) fn family_change_errors(spec: &Spec, old: &Spec) -> Vec<FieldError> {
    let headless = (spec.is_headless(), old.is_headless());
    if !spec.has_cluster_ip() || !old.has_cluster_ip() || headless != (false, false) {
        return Vec::new();
    }
    let (new, old) = (&spec.ip_families, &old.ip_families);
    let invalid = |values: &[String], detail| invalid_list("spec.ipFamilies[0]", values, detail);
    if new.len() == old.len() {
        let changed = new.iter().zip(old).filter(|(new, old)| new != old);
        return changed.map(|_| invalid(new, MAY_NOT_CHANGE)).collect();
    }
    let mut errors = Vec::new();
    if old.len() > new.len() && spec.cluster_ips.is_empty() {
        errors.push(invalid(new, "primary ipFamily can not be unset"));
    }
    if matches!((new.first(), old.first()), (Some(new), Some(old)) if new != old) {
        errors.push(invalid(&spec.cluster_ips, MAY_NOT_CHANGE)); // the addresses, where one expects the families
    }
    if new.len() == 1 && old.len() > 1 {
        errors.extend(release_error(spec, "ipFamily"));
    }
    errors
}

/// An error about a list as a whole; an empty one reads `null`.
pub(super) fn invalid_list(field: impl Into<String>, values: &[String], detail: &str) -> FieldError {
    let value = if values.is_empty() { json!(null) } else { json!(values) };
    FieldError::invalid(field, &value, detail)
}

fn release_error(spec: &Spec, what: &str) -> Option<FieldError> {
    let detail = format!("must be set to 'SingleStack' when releasing the secondary {what}");
    let is_wrong = spec.policy() != SINGLE_STACK;
    let policy = json!(spec.ip_family_policy);
    is_wrong.then(|| FieldError::invalid("spec.ipFamilyPolicy", &policy, &detail))
}

fn singular_errors(spec: &Spec) -> Option<FieldError> {
    match (spec.cluster_ip.as_str(), spec.cluster_ips.first()) {
        ("", Some(_)) => {
            Some(invalid_list(IPS, &spec.cluster_ips, "must be empty when `clusterIP` is not specified"))
        }
        ("", None) => None,
        (_, None) => Some(FieldError::required(IPS, "")),
        (singular, Some(first)) if singular != first => {
            Some(invalid_list(IPS, &spec.cluster_ips, "first value must match `clusterIP`"))
        }
        _ => None,
    }
}

fn family_errors(spec: &Spec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, family) in spec.ip_families.iter().enumerate() {
        let field = format!("spec.ipFamilies[{index}]");
        if ![IPV4, IPV6].contains(&family.as_str()) {
            errors.push(not_supported(&field, family, &[IPV4, IPV6]));
        }
        if spec.ip_families[..index].contains(family) {
            errors.push(FieldError::duplicate(field, &json!(family)));
        }
    }
    let policies = [PREFER_DUAL_STACK, REQUIRE_DUAL_STACK, SINGLE_STACK];
    if let Some(policy) = spec.ip_family_policy.as_deref().filter(|policy| !policies.contains(policy)) {
        errors.push(not_supported("spec.ipFamilyPolicy", policy, &policies));
    }
    errors
}

/// The errors of each single value, and whether the values can be compared with each other at all.
fn each_address(spec: &Spec, known: &[String]) -> (Vec<FieldError>, bool) {
    let mut errors = Vec::new();
    for (index, ip) in spec.cluster_ips.iter().enumerate() {
        if index == 0 && ip == NONE {
            if spec.cluster_ips.len() > 1 {
                errors.push(invalid_list(IPS, &spec.cluster_ips, "'None' must be the first and only value"));
            }
            continue;
        }
        errors.extend(address_errors(&format!("{IPS}[{index}]"), ip, known));
    }
    let are_addresses = errors.is_empty();
    (errors, are_addresses)
}

fn mismatch_errors(spec: &Spec) -> Vec<FieldError> {
    let pairs = spec.cluster_ips.iter().zip(&spec.ip_families).enumerate();
    let mismatch = |(index, (ip, family)): (usize, (&String, &String))| {
        let is_wrong = (family == IPV4 && is_ipv6(ip)) || (family == IPV6 && !is_ipv6(ip));
        let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
        is_wrong.then(|| FieldError::invalid_text(format!("{IPS}[{index}]"), ip, &detail))
    };
    pairs.filter_map(mismatch).collect()
}
