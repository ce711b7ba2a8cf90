//! EndpointSlices that are true: for each Service that selects an `app`, the backends of the lab, one on each node.
//!
//! A selector `app: anything` means every backend, and `node: node-1` beside it the one of that node. A backend that was
//! stopped is an endpoint that is not ready. Nothing else makes one so: there is no detection of failures here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::backend::{HTTP_PORTS, TCP_ECHO_PORT};
use crate::call;
use crate::watch::{Change, Key, Only, follow};

const MANAGER: &str = "ferrolb-lab";
const QUEUE: usize = 64;

/// What an endpoint is made of, by the name of the node.
pub(super) type Backends = BTreeMap<String, Node>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) is_running: bool,
}

/// What is read of a Service.
#[derive(Debug, Clone, PartialEq)]
struct Selecting {
    uid: String,
    /// Everywhere if nothing is said.
    node: Option<String>,
    families: Vec<String>,
    ports: Vec<ServicePort>,
}

/// Goes on until it is dropped. Services that are gone take their slices along.
pub(super) async fn keep(client: Client, mut backends: watch::Receiver<Backends>) {
    let (told, mut changes) = mpsc::channel(QUEUE);
    let services = Api::<Service>::all(client.clone());
    let watching = follow(services, Only::default(), |it| Selecting::read(&it), told, |it| it);
    let mut watching = std::pin::pin!(watching);
    let mut known = BTreeMap::<Key, Selecting>::new();
    let mut dirty = BTreeSet::<Key>::new();
    loop {
        tokio::select! {
            () = &mut watching => return,
            change = changes.recv() => match change {
                Some(Change::Is { key, value, .. }) => {
                    if known.get(&key) != Some(&value) {
                        dirty.insert(key.clone());
                        known.insert(key, value);
                    }
                }
                Some(Change::Gone(key)) => {
                    known.remove(&key);
                }
                Some(Change::Complete) => {}
                None => return,
            },
            changed = backends.changed() => {
                if changed.is_err() {
                    return;
                }
                dirty.extend(known.keys().cloned());
            }
        }
        let now = backends.borrow_and_update().clone();
        for key in std::mem::take(&mut dirty) {
            let Some(service) = known.get(&key) else { continue };
            for slice in service.slices(&key, &now) {
                write(&client, &key, &slice).await;
            }
        }
    }
}

async fn write(client: &Client, (namespace, service): &Key, slice: &Value) {
    let name = slice["metadata"]["name"].as_str().unwrap_or_default();
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}?fieldManager={MANAGER}&force=true"
    );
    if let Err(failure) = call::patch::<Value>(client, &path, call::APPLY, slice).await {
        tracing::warn!("the endpoints of {namespace}/{service} could not be written: {failure}");
    }
}

impl Selecting {
    fn read(service: &Service) -> Option<Selecting> {
        let spec = service.spec.as_ref()?;
        let selector = spec.selector.as_ref().filter(|selector| selector.contains_key("app"))?;
        Some(Selecting {
            uid: service.metadata.uid.clone()?,
            node: selector.get("node").cloned(),
            families: spec.ip_families.clone().unwrap_or_default(),
            ports: spec.ports.clone().unwrap_or_default(),
        })
    }

    fn slices(&self, (namespace, name): &Key, backends: &Backends) -> Vec<Value> {
        let ports: Vec<_> = self.ports.iter().map(port).collect();
        let of = |family: &String| {
            let is_chosen = |node: &str| self.node.as_deref().is_none_or(|chosen| chosen == node);
            let endpoints: Vec<_> = backends
                .iter()
                .filter(|(node, _)| is_chosen(node))
                .filter_map(|(name, node)| endpoint(name, node, family == "IPv4"))
                .collect();
            json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "namespace": namespace,
                    "name": format!("{name}-{}", family.to_lowercase()),
                    "labels": {
                        (api::ingest::SERVICE_NAME_LABEL): name,
                        "endpointslice.kubernetes.io/managed-by": MANAGER,
                    },
                    "ownerReferences": [
                        {"apiVersion": "v1", "kind": "Service", "name": name, "uid": self.uid, "controller": true},
                    ],
                },
                "addressType": family,
                "endpoints": endpoints,
                "ports": ports,
            })
        };
        self.families.iter().map(of).collect()
    }
}

fn endpoint(name: &str, node: &Node, is_ipv4: bool) -> Option<Value> {
    let address = node.addresses.iter().find(|address| address.is_ipv4() == is_ipv4)?;
    let is_running = node.is_running;
    Some(json!({
        "addresses": [address.to_string()],
        "nodeName": name,
        "conditions": {"ready": is_running, "serving": is_running, "terminating": false},
    }))
}

fn port(port: &ServicePort) -> Value {
    let target = match &port.target_port {
        Some(IntOrString::Int(number)) if *number > 0 => *number,
        Some(IntOrString::String(name)) if name == "echo" => i32::from(TCP_ECHO_PORT),
        Some(IntOrString::String(_)) => i32::from(HTTP_PORTS[1]),
        _ => port.port,
    };
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    json!({"name": port.name.as_deref().unwrap_or_default(), "protocol": protocol, "port": target})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backends() -> Backends {
        let node = |host: u8, is_running| Node {
            addresses: vec![[10, 10, 0, host].into(), format!("fd00:10:10::{host}").parse().unwrap()],
            is_running,
        };
        BTreeMap::from([("node-1".to_owned(), node(11, true)), ("node-2".to_owned(), node(12, false))])
    }

    fn slices(spec: &Value) -> Vec<Value> {
        let service = json!({"metadata": {"name": "web", "uid": "u"}, "spec": spec});
        let service: Service = serde_json::from_value(service).unwrap();
        let key = ("default".into(), "web".into());
        Selecting::read(&service).map(|it| it.slices(&key, &backends())).unwrap_or_default()
    }

    #[test]
    fn a_service_gets_a_slice_of_each_family_with_what_runs_and_what_does_not() {
        let made = slices(&json!({
            "selector": {"app": "web"},
            "ipFamilies": ["IPv6", "IPv4"],
            "ports": [{"port": 80, "name": "http", "targetPort": "http"}, {"port": 7, "protocol": "UDP", "targetPort": 7000}],
        }));
        let names: Vec<_> = made.iter().map(|slice| slice["metadata"]["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["web-ipv6", "web-ipv4"]);
        let endpoints = made[1]["endpoints"].as_array().unwrap();
        let seen: Vec<_> = endpoints
            .iter()
            .map(|it| (it["addresses"][0].as_str().unwrap(), it["conditions"]["ready"].as_bool().unwrap()))
            .collect();
        assert_eq!(seen, [("10.10.0.11", true), ("10.10.0.12", false)]);
        assert_eq!(
            made[0]["ports"],
            json!([
                {"name": "http", "protocol": "TCP", "port": 8080},
                {"name": "", "protocol": "UDP", "port": 7000},
            ])
        );
    }

    #[test]
    fn a_selector_may_name_a_node_and_must_name_an_app() {
        let spec =
            |selector: Value| json!({"selector": selector, "ipFamilies": ["IPv4"], "ports": [{"port": 80}]});
        let one = slices(&spec(json!({"app": "web", "node": "node-2"})));
        assert_eq!(one[0]["endpoints"].as_array().unwrap().len(), 1);
        assert_eq!(one[0]["endpoints"][0]["nodeName"], "node-2");
        assert!(slices(&spec(json!({"role": "web"}))).is_empty());
        assert!(slices(&json!({"ipFamilies": ["IPv4"], "ports": [{"port": 80}]})).is_empty());
    }
}
