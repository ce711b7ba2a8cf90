//! Sessions of BGP with real routers, asserted on the routers' side. The numbers are those of the list of upstream's
//! acceptance tests.
//!
//! Not here: 51 and 66 to 68 (FRR in a container of the speaker, its configuration and its reloads), 59, 93 and the halves
//! of 95 with BFD, which nobody speaks yet, 91, 92 and 94 (metrics), 58 (ServiceBGPStatus) and whatever needs VRFs.

mod annotations;
mod restarts;
mod routers;
mod routes;
mod sessions;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};

use ferrolb::lab::Options;
use ferrolb::lab::routers::{Configuration, Kind, Neighbour, RemoteAsn, Router};
use http::Method;
use serde_json::{Value, json};

use crate::site::{NODES, Site, eventually};

/// Of the speakers, if nothing else is said.
const OWN: u32 = 64_500;
/// Of routers that are in another AS.
const OTHER: u32 = 64_501;

/// Options of a lab for these routers. Nothing where one of them is not installed, which is said.
fn options_with(kinds: &[Kind]) -> Option<Options> {
    let options = crate::site::options()?;
    if let Err(reason) = kinds.iter().try_for_each(|kind| kind.can_run()) {
        let _ = writeln!(std::io::stderr(), "skipped: {reason}");
        assert!(std::env::var_os("CI").is_none(), "CI skips nothing: {reason}");
        return None;
    }
    Some(options)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Of a node, by its number.
fn address(node: usize, is_ipv4: bool) -> IpAddr {
    if is_ipv4 { ip(&format!("10.10.0.{}", 10 + node)) } else { ip(&format!("fd00:10:10::{}", 10 + node)) }
}

/// Of all nodes, in their order.
fn addresses(is_ipv4: bool) -> Vec<IpAddr> {
    (1..=NODES.len()).map(|node| address(node, is_ipv4)).collect()
}

/// A router that expects a session from each of these.
fn configuration(asn: u32, last: u8, neighbours: &[IpAddr], remote: RemoteAsn) -> Configuration {
    let neighbours = neighbours.iter().map(|address| Neighbour::new(*address, remote)).collect();
    Configuration::new(asn, Ipv4Addr::new(192, 0, 2, last), neighbours)
}

/// A BGPPeer, made or replaced, for nodes with these names or all.
fn peer(site: &Site, name: &str, nodes: &[&str], spec: &Value) {
    annotated_peer(site, name, nodes, &json!({}), spec);
}

fn annotated_peer(site: &Site, name: &str, nodes: &[&str], annotations: &Value, spec: &Value) {
    let mut spec = spec.clone();
    let fields = spec.as_object_mut().unwrap();
    fields.entry("myASN").or_insert(OWN.into());
    if !nodes.is_empty() {
        let values = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": nodes});
        fields.insert("nodeSelectors".to_owned(), json!([{"matchExpressions": [values]}]));
    }
    let collection = "/apis/metallb.io/v1beta2/namespaces/metallb-system/bgppeers";
    let path = format!("{collection}/{name}");
    let mut object = json!({
        "apiVersion": "metallb.io/v1beta2",
        "kind": "BGPPeer",
        "metadata": {"name": name, "namespace": "metallb-system", "annotations": annotations},
        "spec": spec,
    });
    let (code, known) = site.call(Method::GET, &path, &Value::Null);
    let (code, answer) = if code == 200 {
        object["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"].clone();
        site.call(Method::PUT, &path, &object)
    } else {
        site.call(Method::POST, collection, &object)
    };
    assert!(code.is_success(), "{answer}");
}

/// A BGPAdvertisement, made or replaced.
fn advertisement(site: &Site, name: &str, spec: &Value) {
    site.resource("BGPAdvertisement", name, &json!({}), spec);
}

/// Waits until the kernel of a router has exactly these ways to a prefix.
fn has_ways(router: &Router, prefix: &str, gateways: &[IpAddr]) {
    let wanted: BTreeSet<_> = gateways.iter().copied().collect();
    let mut found = BTreeSet::new();
    let what = format!("{prefix} on {} by {wanted:?}", router.member());
    eventually(&what, || {
        let route = router.kernel_route(prefix).unwrap();
        found = route.iter().flat_map(ferrolb::lab::routers::KernelRoute::gateways).collect();
        found == wanted
    });
}

/// Waits until a router has sessions with all of these.
fn has_sessions(router: &Router, neighbours: &[IpAddr]) {
    for neighbour in neighbours {
        let what = format!("a session of {} with {neighbour}", router.member());
        eventually(&what, || router.neighbour(&neighbour.to_string()).unwrap().is_established);
    }
}

/// How often sessions have come to be, which does not change where none is disturbed.
fn times_established(router: &Router) -> u64 {
    router.neighbours().unwrap().values().filter_map(|it| it.times_established).sum()
}

/// A host's address as a prefix.
fn host(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}
