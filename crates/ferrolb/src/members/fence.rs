//! A fence between two owners: a node answers only while its Lease is good, and nobody takes over from a node whose Lease was not
//! taken away first. For networks on which a partition must not have two owners, and where some seconds are no matter.
//!
//! The holder believes in its Lease for less time than others wait before they take it, and counts from before it asked; others count
//! from when they have seen a renewal. So no clocks are compared. Taking it away is one write that fails if the holder renewed
//! meanwhile. One whose Lease was taken away takes it back only when it hears the node that did, or has fenced that one off
//! in turn.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use protocol::member::Name;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::thread::{Command, Teller};
use super::view::View;
use crate::call::{self, Failure};

/// The holder believes in it for this part of the time that others wait: percents.
const BELIEF: u32 = 66;
/// Renewals in that time.
const RENEWALS: u32 = 3;
/// How soon it is tried again after a failure, and looked again whether a Lease may be taken.
const RETRY: Duration = Duration::from_millis(500);
/// Who has taken a Lease away says so as its holder.
const FENCED_BY: &str = "fenced by ";

/// Where Leases are, and which is this node's.
#[derive(Clone)]
pub(super) struct Fence {
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) node: Name,
    /// Others wait so long for a renewal.
    pub(super) duration: Duration,
    pub(super) view: watch::Receiver<Arc<View>>,
}

/// What a Lease says of its node.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    /// It may answer for addresses.
    Node,
    /// It may not, since this one has said so.
    FencedBy(String),
}

/// Holds this node's Lease, and takes away those of `needed`, of which the thread is told one by one.
pub(super) async fn run(fence: Fence, teller: Teller, mut needed: watch::Receiver<BTreeSet<Name>>) {
    let mut tasks = JoinSet::new();
    let (own, told) = (fence.clone(), teller.clone());
    tasks.spawn(async move { own.hold(&told).await });
    let mut going_on: HashMap<Name, AbortHandle> = HashMap::new();
    loop {
        let wanted = needed.borrow_and_update().clone();
        going_on.retain(|name, task| {
            let stays = wanted.contains(name) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for name in wanted {
            let (of_name, told) = (fence.clone(), teller.clone());
            going_on.entry(name.clone()).or_insert_with(|| {
                tasks.spawn(async move {
                    of_name.fence_off(&name).await;
                    told.tell(Command::Fenced(name));
                })
            });
        }
        tokio::select! {
            changed = needed.changed() => if changed.is_err() { return },
            _ = tasks.join_next() => {}
        }
    }
}

impl Fence {
    /// Renews this node's Lease for ever.
    async fn hold(&self, teller: &Teller) {
        let mut known = None;
        loop {
            let asked = Instant::now();
            let wait = match self.renew(&mut known).await {
                Ok(true) => {
                    let belief = self.duration * BELIEF / 100;
                    teller.tell(Command::Lease(asked + belief));
                    belief / RENEWALS
                }
                Ok(false) => RETRY,
                Err(failure) => {
                    tracing::warn!(error = %failure, "this node's Lease is not renewed yet");
                    known = None;
                    RETRY
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// `known` is the Lease as it was written last. `false`: others have taken it away.
    async fn renew(&self, known: &mut Option<Value>) -> Result<bool, Failure> {
        let lease = match known.take() {
            Some(lease) => lease,
            None => match self.read(&self.node).await? {
                None => {
                    *known = Some(self.create().await?);
                    return Ok(true);
                }
                Some(lease) => {
                    if let Holder::FencedBy(by) = holder(&lease) {
                        tracing::warn!(by, "this node's Lease was taken away");
                        self.wait_for(&by.as_str().into()).await;
                    }
                    lease
                }
            },
        };
        match self.put(&self.node, lease, &self.node).await {
            Ok(lease) => *known = Some(lease),
            Err(failure) if failure.is(StatusCode::CONFLICT) || failure.is(StatusCode::NOT_FOUND) => {
                return Ok(false);
            }
            Err(failure) => return Err(failure),
        }
        Ok(true)
    }

    /// Whoever took the Lease away may own what was this node's: until it is heard, which need not be so yet where this node
    /// has just begun, or until it cannot answer any more.
    async fn wait_for(&self, name: &Name) {
        let mut view = self.view.clone();
        tokio::select! {
            Ok(_) = view.wait_for(|view| hears(view, name)) => {}
            () = self.fence_off(name) => {}
        }
    }

    /// Waits until the node does not renew its Lease any more, and takes it away.
    async fn fence_off(&self, name: &Name) {
        // As it was when it last changed, and when that was seen.
        let mut seen: Option<(Value, Instant)> = None;
        loop {
            match self.take_away(name, &mut seen).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(failure) => {
                    tracing::warn!(node = %name, error = %failure, "the Lease of a node that is down cannot be taken away yet");
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn take_away(&self, name: &Name, seen: &mut Option<(Value, Instant)>) -> Result<bool, Failure> {
        let Some(lease) = self.read(name).await? else {
            // Without one it does not answer.
            return Ok(true);
        };
        if let Holder::FencedBy(_) = holder(&lease) {
            return Ok(true);
        }
        let now = Instant::now();
        let since = match seen {
            Some((known, at)) if *known == lease["spec"] => *at,
            _ => {
                *seen = Some((lease["spec"].clone(), now));
                now
            }
        };
        let duration =
            lease["spec"]["leaseDurationSeconds"].as_u64().map_or(self.duration, Duration::from_secs);
        if now.duration_since(since) < duration {
            return Ok(false);
        }
        match self.put(name, lease, &format!("{FENCED_BY}{}", self.node)).await {
            Ok(_) => {
                tracing::warn!(node = %name, "its Lease was not renewed, and is taken away: it may not answer any more");
                Ok(true)
            }
            Err(failure) if failure.is(StatusCode::CONFLICT) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn read(&self, node: &str) -> Result<Option<Value>, Failure> {
        match call::get::<Value>(&self.client, &self.path(node)).await {
            Ok(lease) => Ok(Some(lease)),
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn create(&self) -> Result<Value, Failure> {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": lease_name(&self.node), "namespace": self.namespace},
            "spec": self.spec(&self.node),
        });
        call::post(&self.client, &self.leases(), &lease).await
    }

    /// Fails if it was changed since it was read.
    async fn put(&self, node: &str, mut lease: Value, holder: &str) -> Result<Value, Failure> {
        // Whoever takes it away leaves the rest as it is.
        let spec = self.spec(holder);
        let duration = lease["spec"]["leaseDurationSeconds"].take();
        lease["spec"] = spec;
        if holder.starts_with(FENCED_BY) && !duration.is_null() {
            lease["spec"]["leaseDurationSeconds"] = duration;
        }
        call::put(&self.client, &self.path(node), &lease).await
    }

    fn spec(&self, holder: &str) -> Value {
        json!({
            "holderIdentity": holder,
            "leaseDurationSeconds": self.duration.as_secs(),
            "renewTime": format!("{:.6}", Timestamp::now()),
        })
    }

    fn leases(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace)
    }

    fn path(&self, node: &str) -> String {
        format!("{}/{}", self.leases(), lease_name(node))
    }
}

fn hears(view: &View, name: &str) -> bool {
    view.state.members.get(name).is_some_and(protocol::member::Member::is_up)
}

fn lease_name(node: &str) -> String {
    format!("ferrolb-speaker-{node}")
}

fn holder(lease: &Value) -> Holder {
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    match holder.strip_prefix(FENCED_BY) {
        Some(by) => Holder::FencedBy(by.to_owned()),
        None => Holder::Node,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use protocol::Machine;
    use protocol::member::{Detection, Input, Isolated, Key, Members, Options, Output};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);
    const NODES: [&str; 2] = ["node-a", "node-b"];

    #[test]
    fn a_lease_tells_whether_its_node_may_answer() {
        for (identity, expected) in [
            (json!("node-a"), Holder::Node),
            (json!("fenced by node-b"), Holder::FencedBy("node-b".to_owned())),
            (Value::Null, Holder::Node),
        ] {
            assert_eq!(holder(&json!({"spec": {"holderIdentity": identity}})), expected);
        }
    }

    fn address(place: usize) -> SocketAddr {
        ([10, 0, 0, 1 + place as u8], 7946).into()
    }

    /// What node-a knows at its start, and when it has heard node-b.
    fn views() -> [Arc<View>; 2] {
        let now = Instant::now();
        let mut nodes = [0, 1].map(|place| {
            let options = Options {
                name: NODES[place].into(),
                address: address(place),
                generation: 1,
                detection: Detection::default(),
                isolated: Isolated::Keep,
                key: Key::new([7; 32]),
                seed: place as u64,
            };
            Members::new(options, now)
        });
        let view = |nodes: &[Members; 2]| {
            let state = nodes[0].state().clone();
            let detection = Detection::default();
            Arc::new(View { at: now, state, may_answer: false, foreign: Vec::new(), key: [0; 4], detection })
        };
        let before = view(&nodes);
        nodes[0].handle(Input::Peers([address(1)].into()), now);
        nodes[0].handle_timeout(now);
        let mut turns = 0;
        while !hears(&view(&nodes), NODES[1]) {
            turns += 1;
            assert!(turns < 100, "they find each other");
            for place in [0, 1] {
                while let Some(output) = nodes[place].poll() {
                    let Output::Send { bytes, .. } = output else { continue };
                    nodes[1 - place].handle(Input::Datagram { from: address(place), bytes }, now);
                }
            }
        }
        [before, view(&nodes)]
    }

    #[tokio::test]
    async fn a_lease_that_was_taken_away_is_taken_back_as_soon_as_the_other_is_heard() {
        let [before, after] = views();
        let store = Arc::new(apiserver::store::MemoryStore::new());
        let server = apiserver::server::Server::open(store).await.unwrap();
        let client = Client::new(server.router(), "default");
        let (seen, view) = watch::channel(before);
        let duration = Duration::from_secs(3600);
        let of = |node: &str| Fence {
            client: client.clone(),
            namespace: "default".to_owned(),
            node: node.into(),
            duration,
            view: view.clone(),
        };
        let [a, b] = NODES.map(of);
        assert!(b.renew(&mut None).await.unwrap());
        let lease = a.create().await.unwrap();
        a.put(NODES[0], lease, "fenced by node-b").await.unwrap();
        let taken_back = async {
            // It is one that has begun while the other goes on renewing its own.
            assert!(a.renew(&mut None).await.unwrap());
            a.read(&a.node).await.unwrap().unwrap()
        };
        let mut taken_back = std::pin::pin!(taken_back);
        let early = tokio::time::timeout(RETRY, &mut taken_back).await;
        assert!(early.is_err(), "not before it is heard");
        seen.send_replace(after);
        let lease = tokio::time::timeout(DEADLINE, taken_back).await.expect("it is heard");
        assert_eq!(holder(&lease), Holder::Node);
    }
}
