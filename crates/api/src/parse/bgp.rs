//! BGP advertisements, and which pools they are for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use plan::Community;
use plan::config::{BgpAdvertisement, Pool, RouteExtras};
use plan::snapshot::Node;

use super::advertisements::{AdvertisementReader, KnownPools};
use super::communities::Aliases;
use super::{AggregationError, Findings, Objects, Rule, Subject, Warning};
use crate::bgp_extras;
use crate::metallb::BGPAdvertisementSpec;

const WHOLE_ADDRESS: i32 = 32;
const WHOLE_ADDRESS_V6: i32 = 128;

pub(super) fn attach(
    objects: &Objects,
    aliases: &Aliases,
    pools: &mut BTreeMap<String, Pool>,
    findings: &mut Findings,
) {
    let known_pools = KnownPools::of(objects);
    for resource in &objects.bgp_advertisements {
        let subject = Subject::of("BGPAdvertisement", &resource.metadata);
        let problems_before = findings.problems.len();
        let mut reader = AdvertisementReader { subject: &subject, findings };
        let spec = &resource.spec;
        let extras = extras(&mut reader, resource.metadata.annotations.as_ref());
        let advertisement = read(&mut reader, spec, aliases, extras, &objects.nodes);
        let names = reader.pools(&spec.ip_address_pools, &spec.ip_address_pool_selectors, &known_pools);
        let (Some(advertisement), Some(names)) = (advertisement, names) else { continue };
        if reader.findings.problems.len() > problems_before {
            continue;
        }
        let lengths = Lengths::of(spec);
        let advertisement = Arc::new(advertisement);
        for name in names {
            let Some(pool) = pools.get_mut(&name) else { continue };
            match objection(&advertisement, lengths, pool) {
                None => pool.bgp_advertisements.push(Arc::clone(&advertisement)),
                Some((field, rule)) => reader.refuse(field, rule),
            }
        }
    }
}

/// To how many bits addresses are aggregated, as written.
#[derive(Clone, Copy)]
struct Lengths {
    v4: i32,
    v6: i32,
}

impl Lengths {
    fn of(spec: &BGPAdvertisementSpec) -> Lengths {
        Lengths {
            v4: spec.aggregation_length.unwrap_or(WHOLE_ADDRESS),
            v6: spec.aggregation_length_v6.unwrap_or(WHOLE_ADDRESS_V6),
        }
    }

    fn for_family_of(self, prefix: &IpNet) -> i32 {
        match prefix {
            IpNet::V4(_) => self.v4,
            IpNet::V6(_) => self.v6,
        }
    }
}

fn read(
    reader: &mut AdvertisementReader<'_>,
    spec: &BGPAdvertisementSpec,
    aliases: &Aliases,
    extras: RouteExtras,
    nodes: &[Node],
) -> Option<BgpAdvertisement> {
    reader.refuse_repeated_texts("spec.ipAddressPools", "ipAddressPools", &spec.ip_address_pools);
    reader.refuse_repeated_texts("spec.communities", "community", &spec.communities);
    reader.refuse_repeated_texts("spec.peers", "peers", &spec.peers);
    reader.refuse_repeated_selectors("ipAddressPoolSelectors", &spec.ip_address_pool_selectors);
    reader.refuse_repeated_selectors("nodeSelectors", &spec.node_selectors);
    reader.refuse_repeated_selectors("serviceSelectors", &spec.service_selectors);
    let lengths = Lengths::of(spec);
    check_lengths(reader, lengths, !spec.service_selectors.is_empty());
    let communities = communities(reader, &spec.communities, aliases);
    let nodes = reader.nodes(&spec.node_selectors, nodes);
    let service_selectors = reader.service_selectors(&spec.service_selectors);
    // A length that is out of range fits no pool of its family, so what is stored for it is never used.
    let stored = |length| u8::try_from(length).unwrap_or(0);
    Some(BgpAdvertisement {
        name: reader.subject.name.clone(),
        aggregation_length: stored(lengths.v4),
        aggregation_length_v6: stored(lengths.v6),
        local_pref: spec.local_pref.unwrap_or(0),
        communities,
        nodes: nodes?,
        peers: spec.peers.iter().cloned().collect(),
        service_selectors: service_selectors?,
        extras,
    })
}

fn extras(
    reader: &mut AdvertisementReader<'_>,
    annotations: Option<&BTreeMap<String, String>>,
) -> RouteExtras {
    let Some(annotations) = annotations else { return RouteExtras::default() };
    let (extras, errors) = bgp_extras::of_advertisement(annotations);
    for error in errors {
        reader.refuse("metadata.annotations", Rule::Annotation(error));
    }
    for unknown in bgp_extras::unknown(annotations, &bgp_extras::OF_ADVERTISEMENTS) {
        let warning = Warning::UnknownAnnotation(unknown.clone());
        reader.findings.remark(reader.subject, "metadata.annotations", warning);
    }
    extras
}

fn check_lengths(reader: &mut AdvertisementReader<'_>, Lengths { v4, v6 }: Lengths, selects_services: bool) {
    const LENGTH: &str = "spec.aggregationLength";
    const LENGTH_V6: &str = "spec.aggregationLengthV6";
    let name = reader.subject.name.clone();
    if selects_services && v4 != WHOLE_ADDRESS {
        reader.refuse(LENGTH, AggregationError::WithServiceSelectors(name.clone()));
    }
    if selects_services && v6 != WHOLE_ADDRESS_V6 {
        reader.refuse(LENGTH_V6, AggregationError::WithServiceSelectorsV6(name));
    }
    if v4 > WHOLE_ADDRESS {
        reader.refuse(LENGTH, AggregationError::TooLong(v4));
    }
    if v6 > WHOLE_ADDRESS_V6 {
        reader.refuse(LENGTH_V6, AggregationError::TooLongV6(v6));
    }
}

fn communities(
    reader: &mut AdvertisementReader<'_>,
    texts: &[String],
    aliases: &Aliases,
) -> BTreeSet<Community> {
    let mut communities = BTreeSet::new();
    for (index, text) in texts.iter().enumerate() {
        match aliases.get(text).copied().map_or_else(|| text.parse(), Ok) {
            Ok(community) => drop(communities.insert(community)),
            Err(error) => {
                let rule = Rule::AdvertisedCommunity { error, community: text.clone() };
                reader.refuse(format!("spec.communities[{index}]"), rule);
            }
        }
    }
    communities
}

/// Why the advertisement cannot be used for this pool beside those that are, and the field to blame.
fn objection(
    advertisement: &BgpAdvertisement,
    lengths: Lengths,
    pool: &Pool,
) -> Option<(&'static str, Rule)> {
    for entry in &pool.addresses {
        let widest = entry.prefixes.iter().min_by_key(|prefix| prefix.prefix_len());
        if let Some(widest) = widest
            && i32::from(widest.prefix_len()) > lengths.for_family_of(widest)
        {
            let field =
                if widest.addr().is_ipv4() { "spec.aggregationLength" } else { "spec.aggregationLengthV6" };
            let error = AggregationError::PoolMoreSpecific {
                length: lengths.v4,
                prefix: widest.prefix_len(),
                addresses: entry.text.clone(),
            };
            return Some((field, error.into()));
        }
    }
    if advertisement.service_selectors.is_empty() {
        let families = pool.families();
        let clashing = pool.bgp_advertisements.iter().find(|earlier| {
            earlier.service_selectors.is_empty()
                && !advertisement.local_preference_goes_with(earlier, families)
        });
        if let Some(earlier) = clashing {
            let (new, earlier) = (advertisement.local_pref, earlier.local_pref);
            return Some(("spec.localPref", Rule::LocalPreference { new, earlier }));
        }
    }
    None
}
