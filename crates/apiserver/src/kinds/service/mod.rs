//! Services: what is filled in, which addresses and ports they get, what they may change, and what is refused.
//!
//! A write is prepared with one of the `prepare_…` functions, stored, and undone with [`Reservation::undo`] if it was
//! not stored after all. [`occupy`] takes what Services hold that are already stored, [`release`] returns what a
//! deleted one held. Services have no generation.
//!
//! A real API server takes addresses and ports at random; here the next free one follows the latest one taken.

mod address;
mod allocate;
mod allocations;
mod cluster_ips;
mod families;
mod model;
mod transition;
mod validate;
mod warnings;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub use allocations::{Allocations, Network, Ranges, Reservation};

pub(super) use address::{address_errors, is_ipv6, network_errors, special_address_errors};

use super::{Refusal, accept};
use crate::schema::{FieldError, metadata};
use allocations::Counter;
use model::{EXTERNAL_NAME, LOAD_BALANCER, Spec, Status};
use serde_json::Value;

/// Fills in what depends on nothing but the Service itself.
pub fn default(object: &mut Value) -> Result<(), Refusal> {
    let spec = Spec::read_defaulted(object)?;
    spec.write(object);
    Ok(())
}

/// Completes a Service that is to be created: defaults, cluster IPs, node ports, an empty status.
pub fn prepare_create(
    object: &mut Value,
    allocations: &mut Allocations,
    ranges: &Ranges,
) -> Result<Reservation, Refusal> {
    let mut spec = Spec::read_defaulted(object)?;
    let mut counter = Counter::new(allocations, ranges);
    let outcome = create(object, &mut spec, &mut counter);
    let reservation = counter.close(outcome)?;
    store_spec(object, spec);
    Status::default().write(object);
    Ok(reservation)
}

/// Completes a Service that is to replace `old`: as [`prepare_create`], but what was allocated is kept, what no longer
/// applies is cleared and returned, and the status is the old one's.
pub fn prepare_update(
    object: &mut Value,
    old: &Value,
    allocations: &mut Allocations,
    ranges: &Ranges,
) -> Result<Reservation, Refusal> {
    let mut spec = Spec::read_defaulted(object)?;
    let old_spec = Spec::read_defaulted(old)?;
    let mut status = stored_status(old, &old_spec)?;
    let mut counter = Counter::new(allocations, ranges);
    let outcome = update(object, &mut spec, old, &old_spec, &mut counter);
    let reservation = counter.close(outcome)?;
    if spec.kind != LOAD_BALANCER {
        status.load_balancer = model::LoadBalancer::default();
    }
    store_spec(object, spec);
    status.write(object);
    Ok(reservation)
}

/// Completes a Service whose status is to replace that of `old`; its spec is the old one's, whatever was sent.
///
/// An address that was sent in the status of a Service that, as sent, is no LoadBalancer gets no ipMode, and is
/// refused for that: whoever replaces a status has to send the spec too.
pub fn prepare_status_update(object: &mut Value, old: &Value) -> Result<(), Refusal> {
    let sent = Spec::read_defaulted(object)?;
    let old_spec = Spec::read_defaulted(old)?;
    let status = stored_status(object, &sent)?;
    let mut errors = metadata::validate_update(object, old);
    errors.extend(validate::status_errors(&status, &stored_status(old, &old_spec)?, &old_spec));
    accept(errors)?;
    store_spec(object, old_spec);
    status.write(object);
    Ok(())
}

/// What is wrong with a Service as it would be stored, and with how it differs from `old` if it is to replace it.
pub fn validate(object: &Value, old: Option<&Value>) -> Result<(), Refusal> {
    let spec = Spec::read(object)?;
    let old = match old {
        Some(old) => Some((old, Spec::read(old)?)),
        None => None,
    };
    accept(all_errors(object, &spec, old.as_ref().map(|(old, spec)| (*old, spec))))
}

/// What to warn about in a Service that is stored, or in the status of one.
pub fn warnings(object: &Value, of_status: bool) -> Vec<String> {
    if of_status { warnings::of_status(object) } else { warnings::of_spec(object) }
}

/// Takes what a Service holds that is stored already.
pub fn occupy(object: &Value, allocations: &mut Allocations) {
    for item in Spec::read(object).iter().flat_map(allocate::items) {
        allocations.insert(item);
    }
}

/// Returns what a Service held that is gone.
pub fn release(object: &Value, allocations: &mut Allocations) {
    for item in Spec::read(object).iter().flat_map(allocate::items) {
        allocations.remove(item);
    }
}

fn create(object: &Value, spec: &mut Spec, counter: &mut Counter<'_>) -> Result<(), Refusal> {
    if spec.cluster_ips.is_empty() && !spec.cluster_ip.is_empty() {
        spec.cluster_ips.push(spec.cluster_ip.clone());
    }
    families::complete(spec, None, counter.ranges)?;
    allocate::cluster_ips(spec, counter)?;
    allocate::node_ports(spec, counter)?;
    accept(all_errors(object, spec, None))
}

fn update(
    object: &Value,
    spec: &mut Spec,
    old: &Value,
    old_spec: &Spec,
    counter: &mut Counter<'_>,
) -> Result<(), Refusal> {
    transition::keep_allocated(spec, old_spec);
    transition::align_cluster_ips(spec, old_spec);
    families::complete(spec, Some(old_spec), counter.ranges)?;
    allocate::change_cluster_ips(spec, old_spec, counter)?;
    allocate::change_node_ports(spec, old_spec, counter)?;
    transition::clear_inapplicable(spec, old_spec);
    accept(all_errors(object, spec, Some((old, old_spec))))
}

fn all_errors(object: &Value, spec: &Spec, old: Option<(&Value, &Spec)>) -> Vec<FieldError> {
    let mut errors = match old {
        None => metadata::validate_named_by_label(object, true),
        Some((old, old_spec)) => {
            let mut errors = metadata::validate_update(object, old);
            errors.extend(cluster_ips::change_errors(spec, old_spec));
            errors.extend(cluster_ips::family_change_errors(spec, old_spec));
            errors.extend(validate::change_errors(spec, old_spec));
            errors
        }
    };
    errors.extend(validate::errors(object, spec, old));
    errors
}

fn stored_status(object: &Value, spec: &Spec) -> Result<Status, Refusal> {
    let mut status = Status::read(object)?;
    if spec.kind == LOAD_BALANCER {
        status.fill_in();
    }
    Ok(status)
}

fn store_spec(object: &mut Value, mut spec: Spec) {
    if spec.kind == EXTERNAL_NAME {
        spec.internal_traffic_policy = None;
    }
    if spec.cluster_ips.is_empty() && !spec.cluster_ip.is_empty() {
        spec.cluster_ips.push(spec.cluster_ip.clone());
    }
    spec.write(object);
}
