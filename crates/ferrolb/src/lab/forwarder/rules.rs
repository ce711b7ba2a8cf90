//! The rules of a node as text for `nft`: a pure function of Services and EndpointSlices.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::watch::Key;

/// All that is known of Services and where they end.
#[derive(Debug, Clone, Default)]
pub(in crate::lab) struct Rules {
    pub(super) frontends: BTreeMap<Key, Frontend>,
    pub(super) slices: BTreeMap<Key, Slice>,
}

/// What is read of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frontend {
    addresses: Vec<IpAddr>,
    ports: Vec<Port>,
    /// Only endpoints of the node itself are used, which see who asks.
    is_local: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Port {
    /// As the port of the slice is called.
    name: String,
    protocol: Protocol,
    number: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Tcp,
    Udp,
}

/// What is read of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    service: Key,
    ports: Vec<Port>,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Endpoint {
    address: IpAddr,
    node: Option<String>,
    is_ready: bool,
    is_serving: bool,
}

impl Protocol {
    fn read(text: Option<&str>) -> Option<Protocol> {
        match text {
            None | Some("TCP") => Some(Protocol::Tcp),
            Some("UDP") => Some(Protocol::Udp),
            Some(_) => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

impl Frontend {
    /// Nothing if it has no address that traffic could come to.
    pub(super) fn read(service: &Service) -> Option<Frontend> {
        let spec = service.spec.as_ref()?;
        let ingress = service.status.as_ref()?.load_balancer.as_ref()?.ingress.as_deref()?;
        let addresses: Vec<IpAddr> =
            ingress.iter().filter_map(|ingress| ingress.ip.as_ref()?.parse().ok()).collect();
        let ports = spec.ports.iter().flatten().filter_map(|port| {
            Some(Port {
                name: port.name.clone().unwrap_or_default(),
                protocol: Protocol::read(port.protocol.as_deref())?,
                number: u16::try_from(port.port).ok()?,
            })
        });
        let is_local = spec.external_traffic_policy.as_deref() == Some("Local");
        (!addresses.is_empty()).then(|| Frontend { addresses, ports: ports.collect(), is_local })
    }
}

impl Slice {
    pub(super) fn read(slice: &EndpointSlice) -> Option<Slice> {
        let service = api::ingest::service_name(slice)?.to_owned();
        let ports = slice.ports.iter().flatten().filter_map(|port| {
            Some(Port {
                name: port.name.clone().unwrap_or_default(),
                protocol: Protocol::read(port.protocol.as_deref())?,
                number: u16::try_from(port.port?).ok()?,
            })
        });
        let endpoints = slice.endpoints.iter().flatten().filter_map(|endpoint| {
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            Some(Endpoint {
                address: endpoint.addresses.first()?.parse().ok()?,
                node: endpoint.node_name.clone(),
                is_ready: conditions.ready.unwrap_or(true),
                is_serving: conditions.serving.unwrap_or(true),
            })
        });
        Some(Slice {
            service: (slice.metadata.namespace.as_deref().unwrap_or_default().into(), service.into()),
            ports: ports.collect(),
            endpoints: endpoints.collect(),
        })
    }
}

impl Rules {
    /// Replaces all rules of this kind by those of today, or leaves all as they were.
    pub(in crate::lab) fn script(&self, node: &str) -> String {
        let mut chains = String::new();
        let mut maps = [Maps::default(), Maps::default()];
        let mut taken = BTreeSet::new();
        for (key, frontend) in &self.frontends {
            let pairs =
                frontend.ports.iter().flat_map(|port| frontend.addresses.iter().map(move |ip| (port, ip)));
            for (port, address) in pairs {
                let protocol = port.protocol.name();
                let matched = format!("{address} . {protocol} . {}", port.number);
                // Of two Services that claim the same, which no allocator allows, the first has it.
                if !taken.insert(matched.clone()) {
                    continue;
                }
                let maps = &mut maps[usize::from(address.is_ipv6())];
                let node = frontend.is_local.then_some(node);
                let endpoints = self.endpoints(key, port, address.is_ipv4(), node);
                if endpoints.is_empty() {
                    maps.nowhere.push(format!("{matched} : drop"));
                    continue;
                }
                let chain = format!("s{}", taken.len());
                let mark = if frontend.is_local { "" } else { MARK_IT };
                let to = destination(&endpoints);
                let _ = writeln!(chains, "chain {chain} {{\nmeta l4proto {protocol}{mark} dnat {to}\n}}");
                maps.services.push(format!("{matched} : goto {chain}"));
            }
        }
        let maps = maps[0].text(4) + &maps[1].text(6);
        format!(
            "add table inet ferrolb-lab\ndelete table inet ferrolb-lab\ntable inet ferrolb-lab {{\n{chains}{maps}\
             {BASE_CHAINS}}}\n"
        )
    }

    /// Those that are ready, or where none is those that still serve; of one node only, if it is named.
    fn endpoints(&self, service: &Key, port: &Port, is_ipv4: bool, node: Option<&str>) -> Vec<SocketAddr> {
        let slices = self.slices.values().filter(|slice| slice.service == *service);
        let candidates = slices.flat_map(|slice| {
            let target = slice.ports.iter().find(|it| it.name == port.name && it.protocol == port.protocol);
            let target = target.map(|port| port.number);
            slice.endpoints.iter().filter_map(move |endpoint| Some((endpoint, target?)))
        });
        let candidates: Vec<_> = candidates
            .filter(|(endpoint, _)| endpoint.address.is_ipv4() == is_ipv4)
            .filter(|(endpoint, _)| node.is_none_or(|node| endpoint.node.as_deref() == Some(node)))
            .collect();
        let some = |is_wanted: fn(&Endpoint) -> bool| -> Vec<SocketAddr> {
            let wanted = candidates.iter().filter(|(endpoint, _)| is_wanted(endpoint));
            wanted.map(|(endpoint, port)| SocketAddr::new(endpoint.address, *port)).collect()
        };
        let ready = some(|endpoint| endpoint.is_ready);
        if ready.is_empty() { some(|endpoint| endpoint.is_serving) } else { ready }
    }
}

/// Packets that must come back through this node carry it until they leave.
const MARK_IT: &str = " meta mark set 0x4000";

fn destination(endpoints: &[SocketAddr]) -> String {
    let family = if endpoints[0].is_ipv4() { "ip" } else { "ip6" };
    if let [only] = endpoints {
        return format!("{family} to {only}");
    }
    let each = |(index, it): (usize, &SocketAddr)| format!("{index} : {} . {}", it.ip(), it.port());
    let all: Vec<_> = endpoints.iter().enumerate().map(each).collect();
    format!("{family} to numgen random mod {} map {{ {} }}", endpoints.len(), all.join(", "))
}

/// Addresses and ports of one family, and where packets to them go.
#[derive(Default)]
struct Maps {
    services: Vec<String>,
    nowhere: Vec<String>,
}

impl Maps {
    fn text(&self, family: u8) -> String {
        let map = |name: &str, elements: &[String]| {
            let elements = match elements {
                [] => String::new(),
                some => format!("elements = {{ {} }}\n", some.join(", ")),
            };
            format!(
                "map {name}{family} {{\ntype ipv{family}_addr . inet_proto . inet_service : verdict\n{elements}}}\n"
            )
        };
        map("services", &self.services) + &map("nowhere", &self.nowhere)
    }
}

/// What comes from elsewhere and what the node itself sends, on their way to an endpoint; and back the way they came.
const BASE_CHAINS: &str = "\
chain unserved {
type filter hook prerouting priority mangle
ip daddr . meta l4proto . th dport vmap @nowhere4
ip6 daddr . meta l4proto . th dport vmap @nowhere6
}
chain arriving {
type nat hook prerouting priority dstnat
ip daddr . meta l4proto . th dport vmap @services4
ip6 daddr . meta l4proto . th dport vmap @services6
}
chain own {
type nat hook output priority -100
ip daddr . meta l4proto . th dport vmap @services4
ip6 daddr . meta l4proto . th dport vmap @services6
}
chain leaving {
type nat hook postrouting priority srcnat
meta mark & 0x4000 == 0x4000 masquerade
}
";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rules(policy: &str, ready: [bool; 3]) -> Rules {
        let service: Service = serde_json::from_value(json!({
            "spec": {
                "externalTrafficPolicy": policy,
                "ports": [{"name": "http", "port": 80}, {"name": "echo", "port": 7, "protocol": "UDP"}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "10.10.100.1"}, {"ip": "fd00::100"}, {"hostname": "h"}]}},
        }))
        .unwrap();
        let slice = |addresses: [&str; 3]| -> EndpointSlice {
            let endpoints: Vec<Value> = (0..3)
                .map(|it| {
                    json!({
                        "addresses": [addresses[it]],
                        "nodeName": format!("node-{}", it + 1),
                        "conditions": {"ready": ready[it], "serving": ready[it]},
                    })
                })
                .collect();
            serde_json::from_value(json!({
                "metadata": {"namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": 8080}, {"name": "echo", "port": 7000, "protocol": "UDP"}],
                "endpoints": endpoints,
            }))
            .unwrap()
        };
        let key = |name: &str| -> Key { ("default".into(), name.into()) };
        Rules {
            frontends: BTreeMap::from([(key("web"), Frontend::read(&service).unwrap())]),
            slices: BTreeMap::from([
                (key("web-4"), Slice::read(&slice(["10.10.0.11", "10.10.0.12", "10.10.0.13"])).unwrap()),
                (key("web-6"), Slice::read(&slice(["fd00::11", "fd00::12", "fd00::13"])).unwrap()),
            ]),
        }
    }

    fn lines_with(script: &str, text: &str) -> Vec<String> {
        script.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    #[test]
    fn traffic_of_a_cluster_goes_to_any_endpoint_that_is_ready_and_comes_back_the_same_way() {
        let script = rules("Cluster", [true, false, true]).script("node-2");
        assert_eq!(
            lines_with(&script, " dnat "),
            [
                "meta l4proto tcp meta mark set 0x4000 dnat ip to numgen random mod 2 map { 0 : 10.10.0.11 . 8080, 1 : 10.10.0.13 . 8080 }",
                "meta l4proto tcp meta mark set 0x4000 dnat ip6 to numgen random mod 2 map { 0 : fd00::11 . 8080, 1 : fd00::13 . 8080 }",
                "meta l4proto udp meta mark set 0x4000 dnat ip to numgen random mod 2 map { 0 : 10.10.0.11 . 7000, 1 : 10.10.0.13 . 7000 }",
                "meta l4proto udp meta mark set 0x4000 dnat ip6 to numgen random mod 2 map { 0 : fd00::11 . 7000, 1 : fd00::13 . 7000 }",
            ]
        );
        assert!(
            script
                .contains("elements = { 10.10.100.1 . tcp . 80 : goto s1, 10.10.100.1 . udp . 7 : goto s3 }")
        );
    }

    #[test]
    fn local_traffic_stays_on_the_node_as_it_is_or_goes_nowhere() {
        let rules = rules("Local", [true, false, true]);
        let here = rules.script("node-3");
        assert_eq!(
            lines_with(&here, "dnat ip to"),
            ["meta l4proto tcp dnat ip to 10.10.0.13:8080", "meta l4proto udp dnat ip to 10.10.0.13:7000"]
        );
        assert_eq!(lines_with(&here, "dnat ip6")[0], "meta l4proto tcp dnat ip6 to [fd00::13]:8080");
        let nowhere = rules.script("node-2");
        assert!(lines_with(&nowhere, " dnat ").is_empty());
        assert!(
            nowhere.contains("elements = { 10.10.100.1 . tcp . 80 : drop, 10.10.100.1 . udp . 7 : drop }")
        );
    }
}
