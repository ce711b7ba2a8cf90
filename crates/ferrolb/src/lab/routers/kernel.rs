//! What the kernel of a namespace does with packets, as `ip route` tells.

use std::collections::BTreeMap;

use serde_json::Value;

use super::answers::{KernelRoute, Way};
use super::text;
use crate::lab::namespace::Namespace;
use crate::lab::{Error, programs};

/// Of those that were made by `ip` itself or come with addresses.
const NOT_ROUTED: [&str; 4] = ["kernel", "boot", "static", "ra"];

pub(super) fn route(namespace: &Namespace, prefix: &str) -> Result<Option<KernelRoute>, Error> {
    Ok(routes(namespace)?.remove(&normal(prefix)))
}

pub(super) fn routes(namespace: &Namespace) -> Result<BTreeMap<String, KernelRoute>, Error> {
    let mut all = BTreeMap::new();
    for family in ["-4", "-6"] {
        let said = programs::IP.run(Some(namespace), &[family, "-j", "route", "show"], "")?.stdout;
        let entries: Value = match serde_json::from_slice(&said) {
            Ok(entries) => entries,
            // `ip` says nothing at all where there is no route.
            Err(_) if said.trim_ascii().is_empty() => continue,
            Err(error) => {
                let reason = format!("its answer is not JSON: {error}");
                return Err(Error::Program { program: "ip", place: namespace.name().to_owned(), reason });
            }
        };
        merge(text::list(&entries), &mut all);
    }
    Ok(all)
}

fn merge(entries: &[Value], all: &mut BTreeMap<String, KernelRoute>) {
    for entry in entries {
        let protocol = entry["protocol"].as_str().unwrap_or("boot");
        if NOT_ROUTED.contains(&protocol) {
            continue;
        }
        let route = all.entry(normal(entry["dst"].as_str().unwrap_or_default())).or_default();
        protocol.clone_into(&mut route.protocol);
        let nexthops = text::list(&entry["nexthops"]);
        let ways = if nexthops.is_empty() { std::slice::from_ref(entry) } else { nexthops };
        route.ways.extend(ways.iter().map(way));
    }
}

fn way(entry: &Value) -> Way {
    Way {
        gateway: text::parse(&entry["gateway"]).or_else(|| text::parse(&entry["via"]["host"])),
        interface: entry["dev"].as_str().unwrap_or_default().to_owned(),
        weight: entry["weight"].as_u64().unwrap_or(1),
    }
}

/// With its length: `ip` leaves out that of a host.
fn normal(prefix: &str) -> String {
    match prefix {
        "default" => "0.0.0.0/0".to_owned(),
        prefix if prefix.contains('/') => prefix.to_owned(),
        prefix if prefix.contains(':') => format!("{prefix}/128"),
        prefix => format!("{prefix}/32"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_of_either_family_are_found_however_ip_writes_them() {
        let entries = serde_json::json!([
            {"dst": "10.0.0.0/24", "dev": "eth0", "protocol": "kernel"},
            {"dst": "198.51.100.1", "nhid": 9, "protocol": "bgp", "metric": 20, "nexthops": [
                {"gateway": "10.0.0.2", "dev": "eth0", "weight": 1},
                {"via": {"family": "inet6", "host": "fe80::1"}, "dev": "u0", "weight": 2},
            ]},
            {"dst": "198.51.100.0/24", "gateway": "10.0.0.3", "dev": "eth0", "protocol": "bird"},
            {"dst": "fd00::1", "gateway": "fd00::3", "dev": "eth0", "protocol": "bird"},
            {"dst": "fd00::1", "gateway": "fd00::2", "dev": "eth0", "protocol": "bird"},
        ]);
        let mut all = BTreeMap::new();
        merge(text::list(&entries), &mut all);
        let shown: Vec<_> = all.iter().map(|(prefix, it)| (prefix.as_str(), it.gateways())).collect();
        let addresses = |texts: &[&str]| texts.iter().map(|it| it.parse().unwrap()).collect::<Vec<_>>();
        assert_eq!(
            shown,
            [
                ("198.51.100.0/24", addresses(&["10.0.0.3"])),
                ("198.51.100.1/32", addresses(&["10.0.0.2", "fe80::1"])),
                ("fd00::1/128", addresses(&["fd00::2", "fd00::3"])),
            ]
        );
        assert_eq!(all["198.51.100.1/32"].ways.last().map(|way| way.weight), Some(2));
    }
}
