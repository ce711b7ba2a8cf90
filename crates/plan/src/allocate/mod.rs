//! Which Service holds which addresses: (pools, Services with their statuses) to decisions and refusals.
//!
//! [`allocate`](allocate()) decides a whole cluster. [`Allocator`] is the same one step at a time, for a controller:
//! [`converge`](Allocator::converge) the Service that changed, and all Services, or at least all that
//! [wait](Decision::waits), whenever a decision says that the [world changed](Decision::world_changed), a
//! Service that [held something](Allocator::remove) is deleted, or the pools are replaced. Before a pass over
//! all Services comes [`claim_all`](Allocator::claim_all). Both ways end in the same world, because the
//! statuses of the Services are all the memory there is.
//!
//! * `request` reads what a Service asks for, `error` is why it cannot be had, `decision` is the answer.
//! * `allocator` keeps who holds what, `pools` finds pools and their first address that would do, in
//!   O(log n) with the structures of `occupancy`.
//! * `claim` takes back what statuses say, `converge` brings one Service from what it is to what it should
//!   be, `reservation` is what is kept for a Service that is gone, and `choose` picks among pools when it needs a new address.

mod allocator;
mod choose;
mod claim;
mod converge;
mod decision;
mod error;
mod occupancy;
mod pools;
mod request;
mod reservation;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;

pub use allocator::{Allocator, Counters, Options};
pub use decision::{Decision, Event, EventType, Write};
pub use error::{AllocationError, FamilyError, Refusal, RequestError};
pub use request::{Families, POOL_ANNOTATION, sharing_of};
pub(crate) use request::{SHARING_ANNOTATIONS, declares_sharing};
pub use reservation::Reservation;

use crate::config::Pool;
use crate::snapshot::{Service, ServiceKey};

/// Decides every Service of a cluster; the decisions are in the order of the Services.
///
/// Whoever holds addresses takes them back before anybody gets new ones, so a held address is lost only by
/// what its own Service or its pool has become.
///
/// Services that wait are tried again while something happens that may help them. That ends: from the second
/// pass on, whoever holds addresses keeps them, because its last pass left it with what its own spec allows
/// and nobody can take them away. So all that happens then is that a waiting Service gets an address, and
/// each Service gets its first and its second at most once.
pub fn allocate(options: &Options, pools: &BTreeMap<String, Pool>, services: &[Service]) -> Vec<Decision> {
    allocate_beside(options, pools, services, &[]).0
}

/// The same with addresses that are kept for Services which may be gone, and with what is counted in the end.
pub fn allocate_beside(
    options: &Options,
    pools: &BTreeMap<String, Pool>,
    services: &[Service],
    reservations: &[Reservation],
) -> (Vec<Decision>, BTreeMap<String, Counters>) {
    let mut allocator = Allocator::new(options.clone());
    allocator.set_pools(pools.clone());
    allocator.reserve(services.len());
    allocator.claim_all(services);
    let class = options.load_balancer_class.as_deref();
    for reservation in reservations {
        allocator.claim(&reservation.placeholder(class));
    }
    let reserved: BTreeMap<&ServiceKey, &Reservation> =
        reservations.iter().map(|reservation| (&reservation.service, reservation)).collect();
    let before = |service: &Service| {
        let reservation = reserved.get(&service.key).filter(|_| service.ingress.is_empty());
        reservation.map(|reservation| reservation.decision())
    };

    let mut order: Vec<usize> = (0..services.len()).collect();
    order.sort_by_key(|&index| Reverse(services[index].ingress.len()));

    let mut decisions: Vec<Option<Decision>> = services.iter().map(before).collect();
    for pass in 1_usize.. {
        let mut world_changed = false;
        let held_before = count_held(&order, &decisions);
        for &index in &order {
            let decision =
                step(&mut allocator, &services[index], decisions[index].take(), &mut world_changed);
            decisions[index] = Some(decision);
        }
        // Without this a Service that is listed twice, each time with another spec, could go on for ever.
        let has_progressed = pass == 1 || count_held(&order, &decisions) > held_before;
        order.retain(|&index| decisions[index].as_ref().is_some_and(|decision| decision.waits));
        if !world_changed || !has_progressed || order.is_empty() {
            break;
        }
    }
    (decisions.into_iter().flatten().collect(), allocator.all_counters())
}

fn count_held(order: &[usize], decisions: &[Option<Decision>]) -> usize {
    let held = |&index: &usize| decisions[index].as_ref().map_or(0, |decision| decision.addresses.len());
    order.iter().map(held).sum()
}

/// One more look at a Service.
fn step(
    allocator: &mut Allocator,
    service: &Service,
    earlier: Option<Decision>,
    world_changed: &mut bool,
) -> Decision {
    let decision = match earlier {
        None => allocator.converge(service),
        Some(earlier) => allocator.converge_after(earlier, service),
    };
    *world_changed |= decision.world_changed;
    decision
}
