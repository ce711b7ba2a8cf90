//! Nodes with speakers in this process, and wires that remember what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use ferrolb::bgp::{self, Neighbour};
use ferrolb::layer2::{Change, Counters, Gate, Interfaces, Link, Links, News};
use ferrolb::members::{self, Members, Peers, Seen};
use ferrolb::speaker::{Metrics, Options, Routers, Speaker, Wire};
use kube::Client;
use protocol::bgp::session::Stop;
use protocol::member::{Detection, Isolated};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, NAMESPACE, SERVICES, wait};

/// What the wire of a node was told, and what there is on it.
pub(crate) struct FakeWire {
    answered: Mutex<BTreeMap<IpAddr, Interfaces>>,
    links: watch::Sender<Arc<Links>>,
    links_seen: watch::Receiver<Arc<Links>>,
    news: Mutex<Option<mpsc::Sender<News>>>,
    counters: Arc<Counters>,
    gate: Arc<Gate>,
}

impl FakeWire {
    pub(crate) fn new(interfaces: &[&str]) -> Arc<FakeWire> {
        let (links, links_seen) = watch::channel(Arc::new(Links::default()));
        let (answered, news, counters) = (Mutex::default(), Mutex::default(), Arc::default());
        let wire = FakeWire { answered, links, links_seen, news, counters, gate: Arc::default() };
        wire.set_interfaces(interfaces);
        Arc::new(wire)
    }

    pub(crate) fn set_interfaces(&self, names: &[&str]) {
        let link =
            |index| Link { index, station: None, link_local: None, up: true, arp: Ok(()), ndp: Ok(()) };
        let by_name = names.iter().zip(2..).map(|(&name, index)| (name.to_owned(), link(index))).collect();
        self.links.send_replace(Arc::new(Links { by_name }));
    }

    pub(crate) fn answered(&self) -> BTreeSet<String> {
        self.answered.lock().unwrap().keys().map(ToString::to_string).collect()
    }

    pub(crate) fn interfaces(&self, address: &str) -> Option<Interfaces> {
        self.answered.lock().unwrap().get(&address.parse().unwrap()).cloned()
    }

    pub(crate) async fn happens(&self, news: News) {
        let sender = self.news.lock().unwrap().clone().unwrap();
        sender.send(news).await.unwrap();
    }
}

struct Handle(Arc<FakeWire>);

impl Wire for Handle {
    fn apply(&self, changes: Vec<Change>) {
        let mut answered = self.0.answered.lock().unwrap();
        for change in changes {
            match change {
                Change::Announce { address, interfaces, .. } => {
                    answered.insert(address, interfaces);
                }
                Change::Withdraw { address } | Change::Yield { address, .. } => {
                    assert!(answered.remove(&address).is_some(), "{address} was not announced");
                }
                Change::Fellows { .. }
                | Change::Again
                | Change::AnnounceAgain { .. }
                | Change::GiveWay { .. }
                | Change::Decided(_) => {}
            }
        }
    }

    fn links(&self) -> watch::Receiver<Arc<Links>> {
        self.0.links_seen.clone()
    }

    fn news(&self) -> mpsc::Receiver<News> {
        let (sender, receiver) = mpsc::channel(16);
        *self.0.news.lock().unwrap() = Some(sender);
        receiver
    }

    fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.0.counters)
    }

    fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.0.gate)
    }
}

/// Has no sessions, and remembers which it should have.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeRouters(Arc<Mutex<Vec<Neighbour>>>);

impl FakeRouters {
    pub(crate) fn neighbours(&self) -> Vec<Neighbour> {
        self.0.lock().unwrap().clone()
    }
}

impl Routers for FakeRouters {
    fn set(&self, neighbours: Vec<Neighbour>) {
        *self.0.lock().unwrap() = neighbours;
    }

    fn seen(&self) -> bgp::Seen {
        bgp::Seen::nobody()
    }

    fn end(self: Box<Self>, _how: Stop) {}
}

/// A speaker that ends when the test does.
pub(crate) struct Running {
    pub(crate) wire: Arc<FakeWire>,
    pub(crate) routers: FakeRouters,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) members: watch::Receiver<Seen>,
    _stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cluster {
    pub(crate) async fn node(&self, name: &str) {
        let labels = json!({"kubernetes.io/hostname": name});
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
        });
        self.post("/api/v1/nodes", node).await;
    }

    /// A speaker on this node, which has the interfaces eth0 and eth1.
    pub(crate) fn speaker(&self, node: &str) -> Running {
        self.speaker_with(&self.client, Options::new(NAMESPACE, node))
    }

    pub(crate) fn speaker_with(&self, client: &Client, options: Options) -> Running {
        let wire = FakeWire::new(&["eth0", "eth1"]);
        let routers = FakeRouters::default();
        let handle = Box::new(Handle(Arc::clone(&wire)));
        let speaker = Speaker::new(client.clone(), options, handle, Box::new(routers.clone()));
        let (metrics, members) = (speaker.metrics(), speaker.members());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            speaker.run(stopped).await.unwrap();
        });
        Running { wire, routers, metrics, members, _stop: stop, task }
    }

    pub(crate) async fn l2_advertisement(&self, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement", "metadata": {"name": name}, "spec": spec,
        });
        self.post(&of_metallb("l2advertisements"), object).await;
    }

    /// A Service that has these addresses, and an endpoint on this node.
    pub(crate) async fn served(&self, name: &str, addresses: &[&str], node: &str) {
        self.service(name).await;
        self.hold(name, addresses).await;
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": format!("{name}-1"), "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": node, "conditions": {"ready": true}}],
            "ports": [{"port": 80}],
        });
        self.post(SLICES, slice).await;
    }

    /// What the controller would write.
    pub(crate) async fn hold(&self, name: &str, addresses: &[&str]) {
        let ingress: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        let status = json!({"status": {"loadBalancer": {"ingress": ingress}}});
        self.patch(&format!("{SERVICES}/{name}/status"), status).await;
    }

    /// Waits until these are exactly the addresses that the node answers for.
    pub(crate) async fn answers(&self, speaker: &Running, addresses: &[&str]) {
        let wanted: BTreeSet<String> = addresses.iter().map(|&address| address.to_owned()).collect();
        wait(&format!("it answers for {addresses:?}"), async || {
            let is = speaker.wire.answered();
            if is == wanted { Ok(()) } else { Err(format!("{is:?}")) }
        })
        .await;
    }

    /// Waits until one object tells who announces the Service, and it is this node.
    pub(crate) async fn is_said_to_announce(&self, node: &str, service: &str) {
        let path =
            format!("{}?labelSelector=metallb.io/service-name%3D{service}", of_metallb("servicel2statuses"));
        wait(&format!("{service} is announced by {node}"), async || {
            let list = self.get(&path).await;
            let statuses: Vec<_> = list["items"].as_array().unwrap().iter().map(|it| &it["status"]).collect();
            let is_so = matches!(statuses.as_slice(), [status] if status["node"] == node);
            if is_so { Ok(()) } else { Err(format!("{statuses:?}")) }
        })
        .await;
    }

    /// Waits until a speaker says this of its configuration.
    pub(crate) async fn is_judged(&self, node: &str, result: &str, summary: &str) {
        let path = format!("{}/speaker-{node}", of_metallb("configurationstates"));
        wait(&format!("the configuration of {node} is {result}"), async || {
            let state = self.get(&path).await;
            let said = state["status"]["errorSummary"].as_str().unwrap_or_default();
            let is_so = state["status"]["result"] == result && said == summary;
            if is_so { Ok(()) } else { Err(state["status"].to_string()) }
        })
        .await;
    }

    /// The node that the newest event of the Service names.
    pub(crate) async fn newest_announcer(&self, service: &str) -> String {
        let path = format!(
            "/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3D{service},reason%3DnodeAssigned"
        );
        let list = self.get(&path).await;
        let events = list["items"].as_array().unwrap();
        let newest = events.iter().max_by_key(|it| it["lastTimestamp"].as_str().unwrap().to_owned());
        let message = newest.map(|it| it["message"].as_str().unwrap().to_owned()).unwrap_or_default();
        message.split('"').nth(1).unwrap_or_default().to_owned()
    }
}

pub(crate) const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

pub(crate) fn of_metallb(plural: &str) -> String {
    format!("/apis/metallb.io/v1beta1/namespaces/{NAMESPACE}/{plural}")
}

/// A port of UDP on which nobody is heard yet.
pub(crate) fn free_port() -> u16 {
    UdpSocket::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Finds others by their Pods.
pub(crate) fn watched(address: &str, port: u16, labels: &str) -> Members {
    Members::Watched(Box::new(members::Options {
        address: SocketAddr::new(address.parse().unwrap(), port),
        peers: Peers { labels: Some(labels.to_owned()), hosts: Vec::new() },
        secret: None,
        detection: Detection::default(),
        isolated: Isolated::default(),
        fence: None,
    }))
}
