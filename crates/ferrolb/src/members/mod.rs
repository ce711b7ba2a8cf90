//! Which nodes have a speaker that can answer: speakers find each other, watch over each other, and take over from each
//! other, without an API server in the way.
//!
//! What is said to whom, and who is down, is decided by [`protocol::member`]. Here is the thread that drives it, which must not
//! be held up by anything, and what it is told: where others may be, and the secret.
//!
//! * `thread` is that loop, `port` its socket; `clocks` notices that the machine slept.
//! * `door` says when layer 2 may speak, `herald` takes addresses over by a plan that was made before; `fence` and `waits` see
//!   to it that nobody else can answer by then, where that is asked for.
//! * `peers` and `secret` follow Pods, names and a file; `view` and `metrics` show what is known.

mod clocks;
mod door;
mod fence;
mod herald;
mod metrics;
mod peers;
mod port;
mod secret;
mod thread;
mod view;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use kube::Client;
use plan::announce::Alive;
use prometheus::Registry;
use protocol::Machine;
use protocol::l2::Interfaces;
use protocol::member::{Detection, Input, Isolated, Name, Verdict};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub use herald::Plan;
pub use peers::{Host, NoHost, Peers};
pub(crate) use secret::FILE as SECRET_FILE;
pub use view::{Seen, router};

use crate::speaker::Wire;
use thread::{Command, Parts, Running, Teller};
use view::{Shown, View};

/// As upstream's speakers use it.
pub const PORT: u16 = 7946;

/// What could grow here, and how far.
const LIMITS: Limits = Limits { news: 4096, shown_foreign: 64 };

#[derive(Debug, Clone, Copy)]
struct Limits {
    /// That wait to be read.
    news: usize,
    /// Sources of what nobody here can read, in what is shown.
    shown_foreign: usize,
}

/// How the speakers that are alive are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Members {
    /// There is one on every node.
    #[default]
    Everyone,
    /// On these nodes, always.
    These(BTreeSet<String>),
    /// They find out among themselves.
    Watched(Box<Options>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where others reach this speaker.
    pub address: SocketAddr,
    pub peers: Peers,
    /// The folder with the secret. Without one everybody on the network is believed.
    pub secret: Option<PathBuf>,
    pub detection: Detection,
    pub isolated: Isolated,
    /// Nobody is taken over from before its Lease is over, which lasts so long.
    pub fence: Option<Duration>,
}

/// What has become of members, in the order in which it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    Candidates(Candidates),
    /// After it come candidates without it.
    Gone(Gone),
    /// What this node answers for may have been answered for by others meanwhile.
    Reunited {
        with: Name,
    },
    /// Who had which address last, as far as anybody was told.
    Owners(BTreeMap<IpAddr, Name>),
    /// This node hears nobody any more, or does again.
    Isolated(bool),
    /// Somebody else says that it is on this node, or on another one that has a speaker.
    Duplicate {
        name: Name,
        address: SocketAddr,
    },
}

/// Who can answer for addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    pub alive: Alive,
    /// Counts up. Layer 2 is told by [`Change::Decided`](crate::layer2::Change::Decided) that everything that follows from it was
    /// told, and a [`Plan`] says that it was made of it.
    pub turn: u64,
    /// Until now this node was not there, or not awake: what is not its own any more is answered for by others already. It says
    /// nothing before layer 2 is told that this turn is decided, and then announces again what is still its own.
    pub was_away: bool,
}

/// A node that was a candidate is none any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    pub name: Name,
    /// That it is down. Nothing if it leaves by itself, and answers until others do.
    pub verdict: Option<Verdict>,
    /// What was taken over by this node as planned. Layer 2 was told to announce it.
    pub addresses: Vec<(IpAddr, Interfaces)>,
    /// From when that was known. Nothing if no frame left from here.
    pub first_frame_after: Option<Duration>,
}

/// Members as they are known while a speaker runs. It ends with this.
pub struct Membership {
    teller: Option<Teller>,
    tasks: JoinSet<()>,
    running: Option<Running>,
    /// Kept, so that nobody takes its end for one of members.
    _news: Option<mpsc::Sender<News>>,
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Membership").field("running", &self.running).finish_non_exhaustive()
    }
}

/// Where everything is that membership needs of a speaker.
pub(crate) struct Surroundings<'a> {
    pub(crate) client: &'a Client,
    pub(crate) namespace: &'a str,
    pub(crate) node: &'a str,
    pub(crate) wire: Arc<dyn Wire>,
    pub(crate) registry: &'a Registry,
    pub(crate) seen: &'a watch::Sender<Seen>,
}

/// Nobody is known yet.
pub(crate) fn unseen() -> watch::Sender<Seen> {
    watch::Sender::new(Seen(Shown::NotYet))
}

pub(crate) fn start(
    members: &Members,
    around: Surroundings<'_>,
) -> anyhow::Result<(Membership, mpsc::Receiver<News>)> {
    let (news, receiver) = mpsc::channel(LIMITS.news);
    let alive = match members {
        Members::Everyone => Alive::Everyone,
        Members::These(nodes) => Alive::These(nodes.clone()),
        Members::Watched(options) => return Ok((watch_over(options, around, news)?, receiver)),
    };
    around.seen.send_replace(Seen(Shown::Fixed(alive.clone())));
    // There is room for one.
    let _ = news.try_send(News::Candidates(Candidates { alive, turn: 0, was_away: false }));
    Ok((Membership { teller: None, tasks: JoinSet::new(), running: None, _news: Some(news) }, receiver))
}

fn watch_over(
    options: &Options,
    around: Surroundings<'_>,
    news: mpsc::Sender<News>,
) -> anyhow::Result<Membership> {
    let secret = secret::read(options.secret.as_deref()).context("the secret of members")?;
    if secret.is_empty() {
        tracing::warn!("there is no secret of members: whoever reaches {} is believed", options.address);
    }
    let key = secret::key(&secret);
    let members = machine(options, around.node, key.clone())?;
    let figures = Arc::new(metrics::Figures::register(around.registry));
    let (view, seen) = watch::channel(Arc::new(View {
        at: Instant::now(),
        state: members.state().clone(),
        may_answer: false,
        foreign: Vec::new(),
        key: key.id(),
        detection: options.detection,
    }));
    around.registry.register(Box::new(metrics::Membership::new(seen.clone())))?;
    let viewed = seen.clone();
    around.seen.send_replace(Seen(Shown::Watched(seen)));
    let (asked, needed) = options.fence.map(|_| watch::channel(BTreeSet::new())).unzip();
    let parts = Parts {
        members,
        address: options.address,
        key,
        detection: options.detection,
        wire: around.wire,
        news,
        view,
        figures,
        fence: asked,
    };
    let running = thread::start(parts).with_context(|| format!("hearing members at {}", options.address))?;
    let teller = running.teller();
    let mut tasks = JoinSet::new();
    let (peers, client) = (options.peers.clone(), around.client.clone());
    let of_peers = teller.clone();
    let tell = move |peers| of_peers.tell(Command::Tell(Input::Peers(peers)));
    let from = peers::From { own: options.address };
    tasks.spawn(peers::run(peers, client, around.namespace.to_owned(), from, tell));
    if let Some((duration, needed)) = options.fence.zip(needed) {
        let fence = fence::Fence {
            client: around.client.clone(),
            namespace: around.namespace.to_owned(),
            node: around.node.into(),
            duration,
            view: viewed,
        };
        tasks.spawn(fence::run(fence, teller.clone(), needed));
    }
    if let Some(folder) = options.secret.clone() {
        let teller = teller.clone();
        let tell = move |key| teller.tell(Command::Tell(Input::Key(key)));
        tasks.spawn(secret::follow(folder, secret, tell));
    }
    Ok(Membership { teller: Some(teller), tasks, running: Some(running), _news: None })
}

fn machine(
    options: &Options,
    node: &str,
    key: protocol::member::Key,
) -> anyhow::Result<protocol::member::Members> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).context("random numbers")?;
    let options = protocol::member::Options {
        name: node.into(),
        address: options.address,
        generation: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        detection: options.detection,
        isolated: options.isolated,
        key,
        seed: u64::from_ne_bytes(seed),
    };
    Ok(protocol::member::Members::new(options, Instant::now()))
}

impl Membership {
    /// Whether this node could answer for addresses. At first it could not.
    pub(crate) fn is_ready(&self, is_ready: bool) {
        self.tell(Command::Tell(Input::Ready(is_ready)));
    }

    /// Who would take over most of this node's addresses, the heir of most first.
    pub fn heirs(&self, heirs: Vec<Name>) {
        self.tell(Command::Tell(Input::Heirs(heirs)));
    }

    /// Who has an address that stays with its owner, as its owner tells.
    pub(crate) fn note(&self, address: IpAddr, owner: Option<Name>) {
        self.tell(Command::Tell(Input::Note { address, owner }));
    }

    pub fn plan(&self, plan: Plan) {
        self.tell(Command::Plan(plan));
    }

    /// To be no candidate any more, while what this node answers for goes to others; `false` takes it back.
    pub fn leave(&self, leaves: bool) {
        self.tell(Command::Tell(Input::Leave(leaves)));
    }

    /// Others are told that this node ends, and nothing more.
    pub(crate) fn end(mut self) {
        self.tasks.abort_all();
        self.tell(Command::Tell(Input::Left));
    }

    /// Whether there is anybody who could take over.
    pub fn is_watched(&self) -> bool {
        self.running.is_some()
    }

    fn tell(&self, command: Command) {
        if let Some(teller) = &self.teller {
            teller.tell(command);
        }
    }
}
