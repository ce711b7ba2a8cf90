//! Any resources that can be read are a configuration or a list of problems, and any Services can be decided.
#![no_main]

use api::parse::{Objects, View, parse};
use ferrolb::cli::documents::read;
use libfuzzer_sys::fuzz_target;
use plan::allocate::{Options, allocate};
use serde_json::from_value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(documents) = read(bytes) else { return };
    let mut objects = Objects::default();
    let mut services = Vec::new();
    for value in documents.into_iter().map(|document| document.value) {
        let kind = value["kind"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            "IPAddressPool" => objects.pools.extend(from_value(value)),
            "L2Advertisement" => objects.l2_advertisements.extend(from_value(value)),
            "BGPAdvertisement" => objects.bgp_advertisements.extend(from_value(value)),
            "BGPPeer" => objects.peers.extend(from_value(value)),
            "BFDProfile" => objects.bfd_profiles.extend(from_value(value)),
            "Community" => objects.communities.extend(from_value(value)),
            "Secret" => objects.secrets.extend(from_value(value)),
            "Node" => objects.nodes.extend(from_value(value).map(|it| api::ingest::node(&it))),
            "Namespace" => objects.namespaces.extend(from_value(value).map(|it| api::ingest::namespace(&it))),
            "Service" => services.extend(from_value(value).map(|it| api::ingest::service(&it))),
            _ => {}
        }
    }
    let parsed = parse(objects, &View::everything("metallb-system"));
    for problem in &parsed.problems {
        assert!(!problem.to_string().is_empty());
    }
    let decisions = allocate(&Options::default(), &parsed.config.pools, &services);
    assert_eq!(decisions.len(), services.len());
});
