//! The speaker: it answers for the addresses that this node is elected for, and says what it does.
//!
//! One loop owns everything. What watches tell goes into the `Announcer`, which decides by `plan::announce`; what has
//! changed goes out to the wire, to statuses and to events. Nothing is announced before all there is was seen.
//!
//! * `session` is that loop; `announcer` and `statuses` are its two machines without a clock or network.
//! * `configuration` reads resources, `read` is what is kept of an object, `write` one step towards a right status.
//! * `host` is what this host does with its addresses if it is asked to, `forward` what is forwarded where.
//! * `membership` is what follows from what other speakers do; [`crate::members`] watches over them.

mod announcer;
mod configuration;
mod forward;
mod host;
mod metrics;
mod options;
mod read;
mod session;
mod statuses;
mod succession;
mod write;

use std::sync::Arc;

use anyhow::Context;
use http::StatusCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use protocol::bgp::session::Stop;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

pub use crate::members::Members;
pub use metrics::Metrics;
pub use options::{OnHost, Options, StatusLayout};

use crate::bgp::{self, Bgp, Neighbour};
use crate::configuration_state::{self, Component};
use crate::events::Recorder;
use crate::layer2::{Change, Counters, Gate, Layer2, Links, News};
use crate::{call, members, pod};
use host::Host;
use session::Session;

/// Each needs a connection, and there are many speakers.
const EVENT_WRITERS: usize = 2;

/// What answers for addresses: [`Layer2`], or in a test something that remembers what it was told.
pub trait Wire: Send + Sync {
    fn apply(&self, changes: Vec<Change>);
    fn links(&self) -> watch::Receiver<Arc<Links>>;
    fn news(&self) -> mpsc::Receiver<News>;
    fn counters(&self) -> Arc<Counters>;
    fn gate(&self) -> Arc<Gate>;
}

impl Wire for Layer2 {
    fn apply(&self, changes: Vec<Change>) {
        Layer2::apply(self, changes);
    }

    fn links(&self) -> watch::Receiver<Arc<Links>> {
        Layer2::links(self)
    }

    fn news(&self) -> mpsc::Receiver<News> {
        Layer2::news(self)
    }

    fn counters(&self) -> Arc<Counters> {
        Layer2::counters(self)
    }

    fn gate(&self) -> Arc<Gate> {
        Layer2::gate(self)
    }
}

/// What has sessions with routers: [`Bgp`], or in a test something that remembers what it was told.
pub trait Routers: Send + Sync {
    /// All neighbours there are to be.
    fn set(&self, neighbours: Vec<Neighbour>);
    fn seen(&self) -> bgp::Seen;
    /// Neighbours are told, and then there is nothing more to do.
    fn end(self: Box<Self>, how: Stop);
}

impl Routers for Bgp {
    fn set(&self, neighbours: Vec<Neighbour>) {
        Bgp::set(self, neighbours);
    }

    fn seen(&self) -> bgp::Seen {
        Bgp::seen(self)
    }

    fn end(self: Box<Self>, how: Stop) {
        Bgp::end(*self, how);
    }
}

/// A speaker that does not run yet.
pub struct Speaker {
    client: Client,
    options: Options,
    wire: Arc<dyn Wire>,
    routers: Box<dyn Routers>,
    metrics: Arc<Metrics>,
    seen: watch::Sender<members::Seen>,
}

impl std::fmt::Debug for Speaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Speaker").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Speaker {
    pub fn new(client: Client, options: Options, wire: Box<dyn Wire>, routers: Box<dyn Routers>) -> Speaker {
        let metrics = Arc::new(Metrics::new(wire.counters(), routers.seen()));
        Speaker { client, options, wire: wire.into(), routers, metrics, seen: members::unseen() }
    }

    /// What there is to know of BGP sessions.
    pub fn sessions(&self) -> bgp::Seen {
        self.routers.seen()
    }

    /// What is known of other speakers.
    pub fn members(&self) -> watch::Receiver<members::Seen> {
        self.seen.subscribe()
    }

    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Runs until told to stop. An error means that it could not begin.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let options = &self.options;
        let owner = match &options.pod_name {
            Some(name) => Some(pod::owner(&self.client, &options.namespace, name).await?),
            None => None,
        };
        if options.registers_node {
            register(&self.client, &options.node).await?;
        }
        let host = Host::start(&options.on_host, &options.node, self.metrics.registry())?;
        let (verdict, verdicts) = watch::channel(None);
        let component = component(options, owner.clone());
        let state = tokio::spawn(configuration_state::run(self.client.clone(), component, verdicts));
        let recorder = Recorder::new(&self.client, "metallb-speaker", EVENT_WRITERS);
        let around = members::Surroundings {
            client: &self.client,
            namespace: &options.namespace,
            node: &options.node,
            wire: Arc::clone(&self.wire),
            registry: self.metrics.registry(),
            seen: &self.seen,
        };
        let (membership, news) = members::start(&options.members, around)?;
        let mut session = Session::new(&self, &recorder, &verdict, owner, host, membership);
        session.run(news, stop).await;
        let how = session.how_it_ends();
        let (host, membership) = session.into_parts();
        // Neighbours hear of it while others have taken over everything else.
        self.routers.end(how);
        membership.end();
        state.abort();
        recorder.finish().await;
        // Last, because what is answered for until the end is to work until the end.
        host.end().await;
        Ok(())
    }
}

fn component(options: &Options, owner: Option<OwnerReference>) -> Component {
    let labels = [("metallb.io/component-type", "speaker"), ("metallb.io/node-name", &options.node)];
    Component {
        namespace: options.namespace.clone(),
        name: format!("speaker-{}", options.node),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        owner,
        condition: "configReconcilerValid",
        field_manager: "configReconciler",
    }
}

/// Makes the Node if there is none. One that is there is left as it is.
async fn register(client: &Client, node: &str) -> anyhow::Result<()> {
    let object = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node,
            "labels": {"kubernetes.io/hostname": node, "kubernetes.io/os": "linux"},
        },
    });
    match call::post::<Value>(client, "/api/v1/nodes", &object).await {
        Err(failure) if !failure.is(StatusCode::CONFLICT) => {
            Err(failure).with_context(|| format!("making the Node {node}"))
        }
        _ => Ok(()),
    }
}
