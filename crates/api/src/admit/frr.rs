//! FRRConfiguration: whom it is for, and what its author should hear.
//!
//! Whether the pieces for one node go together is for whoever merges them to say; it is not checked here yet.

use serde_json::Value;

use super::decode;
use super::{Kind, List, Question, Verdict, World};
use crate::frrk8s::{FRRConfiguration, Neighbor, Router};
use crate::ingest;
use crate::parse::selectors::compile;

const DISABLE_MP: &str = "disableMP is deprecated, is ignored and will be removed in a future release";
const GRACEFUL_RESTART: &str =
    "Graceful restart configuration changed, it will be available on the next restart";

pub(super) fn judge(question: &Question, world: &World) -> Verdict {
    let wanted: FRRConfiguration = match decode::read(Kind::FRRConfiguration, &question.object) {
        Ok(wanted) => wanted,
        Err(unreadable) => return Verdict::unreadable(unreadable.to_string()),
    };
    let selector = match compile(&wanted.spec.node_selector.clone().unwrap_or_default()) {
        Ok(selector) => selector,
        Err(error) => {
            // frr-k8s prints an absent list as its language writes it.
            let error = error.to_string().replace("Invalid value: null:", "Invalid value: []string(nil):");
            return Verdict::denied(format!("{error}\nresource contains an invalid NodeSelector"));
        }
    };
    let mut verdict = Verdict::allowed();
    if routers(&wanted).iter().flat_map(|router| &router.neighbors).any(|it| it.disable_mp == Some(true)) {
        verdict.warnings.push(DISABLE_MP.to_owned());
    }
    let nodes = world.list(List::Node).iter().filter_map(|node| decode::plain(node).ok());
    let has_node = nodes.map(|node| ingest::node(&node)).any(|node| selector.matches(&node.labels));
    if has_node && earlier_selves(&wanted, world).any(|earlier| changes_graceful_restart(&earlier, &wanted)) {
        verdict.warnings.push(GRACEFUL_RESTART.to_owned());
    }
    verdict
}

/// Stored objects of the same name, in whichever namespace.
fn earlier_selves(wanted: &FRRConfiguration, world: &World) -> impl Iterator<Item = FRRConfiguration> {
    let name = wanted.metadata.name.clone().unwrap_or_default();
    let is_namesake = move |stored: &&Value| stored["metadata"]["name"] == name.as_str();
    world
        .list(List::FRRConfiguration)
        .iter()
        .filter(is_namesake)
        .filter_map(|stored| decode::plain(stored).ok())
}

fn changes_graceful_restart(earlier: &FRRConfiguration, wanted: &FRRConfiguration) -> bool {
    let neighbors = |router: &Router| -> Vec<(Option<String>, Neighbor)> {
        router
            .neighbors
            .iter()
            .map(|it| (router.vrf.clone().filter(|vrf| !vrf.is_empty()), it.clone()))
            .collect()
    };
    let earlier: Vec<_> = routers(earlier).iter().flat_map(neighbors).collect();
    let is_changed = |(vrf, new): &(Option<String>, Neighbor)| {
        earlier.iter().any(|(old_vrf, old)| {
            let is_same = vrf == old_vrf && old.asn == new.asn && old.address == new.address;
            is_same
                && old.enable_graceful_restart.unwrap_or_default()
                    != new.enable_graceful_restart.unwrap_or_default()
        })
    };
    routers(wanted).iter().flat_map(neighbors).any(|neighbor| is_changed(&neighbor))
}

fn routers(configuration: &FRRConfiguration) -> &[Router] {
    configuration.spec.bgp.as_ref().map(|bgp| bgp.routers.as_slice()).unwrap_or_default()
}
