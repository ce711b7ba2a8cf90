//! Layer 2 advertisements, and which pools they are for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plan::config::{L2Advertisement, Pool};
use plan::placement::Wishes;
use plan::snapshot::Node;

use super::advertisements::{AdvertisementReader, KnownPools};
use super::selectors::{compile, plain_selector};
use super::{Findings, Objects, Rule, Subject};
use crate::metallb::{L2AdvertisementSpec, PreferredNodeSelector};
use crate::placement;

pub(super) fn attach(objects: &Objects, pools: &mut BTreeMap<String, Pool>, findings: &mut Findings) {
    let known_pools = KnownPools::of(objects);
    for resource in &objects.l2_advertisements {
        let subject = Subject::of("L2Advertisement", &resource.metadata);
        let problems_before = findings.problems.len();
        let mut reader = AdvertisementReader { subject: &subject, findings };
        let spec = &resource.spec;
        let (wishes, unread) = match &resource.metadata.annotations {
            Some(annotations) => placement::of_advertisement(annotations),
            None => Default::default(),
        };
        for error in unread {
            reader.refuse("metadata.annotations", Rule::Placement(error));
        }
        let advertisement = read(&mut reader, spec, wishes, &objects.nodes);
        let names = reader.pools(&spec.ip_address_pools, &spec.ip_address_pool_selectors, &known_pools);
        let (Some(advertisement), Some(names)) = (advertisement, names) else { continue };
        if findings.problems.len() > problems_before {
            continue;
        }
        let advertisement = Arc::new(advertisement);
        for name in names {
            if let Some(pool) = pools.get_mut(&name)
                && !pool.l2_advertisements.iter().any(|earlier| says_the_same(earlier, &advertisement))
            {
                pool.l2_advertisements.push(Arc::clone(&advertisement));
            }
        }
    }
}

fn read(
    reader: &mut AdvertisementReader<'_>,
    spec: &L2AdvertisementSpec,
    wishes: Wishes,
    nodes: &[Node],
) -> Option<L2Advertisement> {
    reader.refuse_repeated_texts("spec.ipAddressPools", "ipAddressPools", &spec.ip_address_pools);
    reader.refuse_repeated_selectors("ipAddressPoolSelectors", &spec.ip_address_pool_selectors);
    reader.refuse_repeated_selectors("nodeSelectors", &spec.node_selectors);
    reader.refuse_repeated_selectors("serviceSelectors", &spec.service_selectors);
    let eligible = reader.nodes(&spec.node_selectors, nodes);
    let service_selectors = reader.service_selectors(&spec.service_selectors);
    let preferred_nodes = preferences(reader, &spec.preferred_node_selectors, eligible.as_ref(), nodes);
    Some(L2Advertisement {
        name: reader.subject.name.clone(),
        nodes: eligible?,
        interfaces: spec.interfaces.iter().cloned().collect(),
        service_selectors: service_selectors?,
        preferred_nodes,
        wishes,
    })
}

/// For every node that may announce and is preferred at all, the sum of the weights that speak for it.
fn preferences(
    reader: &mut AdvertisementReader<'_>,
    preferences: &[PreferredNodeSelector],
    eligible: Option<&BTreeSet<String>>,
    nodes: &[Node],
) -> BTreeMap<String, i64> {
    let mut scores = BTreeMap::new();
    for (index, PreferredNodeSelector { weight, preference }) in preferences.iter().enumerate() {
        match compile(preference) {
            Ok(selector) => {
                let may_announce = |node: &&Node| eligible.is_some_and(|names| names.contains(&node.name));
                for node in nodes.iter().filter(may_announce).filter(|node| selector.matches(&node.labels)) {
                    *scores.entry(node.name.clone()).or_insert(0) += i64::from(*weight);
                }
            }
            Err(error) => {
                let (selector, advertisement) = (plain_selector(preference), reader.subject.name.clone());
                let field = format!("spec.preferredNodeSelectors[{index}].preference");
                reader.refuse(field, Rule::PreferredNodeSelector { error, selector, advertisement });
            }
        }
    }
    scores.retain(|_, score| *score > 0);
    scores
}

/// An advertisement that says the same as an earlier one adds nothing, unless it adds a preference.
fn says_the_same(a: &L2Advertisement, b: &L2Advertisement) -> bool {
    a.preferred_nodes.is_empty()
        && b.preferred_nodes.is_empty()
        && a.nodes == b.nodes
        && a.interfaces == b.interfaces
        && a.service_selectors == b.service_selectors
        && a.wishes == b.wishes
}
