//! The loop: changes in, decisions made, differences out to the wire, to statuses and to events. It lasts as long as the
//! speaker does.

#[path = "conflicts.rs"]
mod conflicts;
#[path = "failback.rs"]
mod failback;
#[path = "membership.rs"]
mod membership;
#[path = "routing.rs"]
mod routing;
#[path = "writing.rs"]
mod writing;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::metallb::{
    BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement, ServiceL2Status,
};
use k8s_openapi::api::core::v1;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, Client};
use plan::Config;
use plan::announce::{self, Alive};
use plan::snapshot::{Namespace, ServiceKey};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};

use super::announcer::{Announcer, News, Turned};
use super::configuration::Configuration;
use super::forward::{Endpoints, ServicePorts};
use super::host::{Host, Taken};
use super::metrics::Metrics;
use super::options::StatusLayout;
use super::read::{self, NodeSeen, Seen, Slice};
use super::statuses::{Object, Statuses};
use super::write::{Done, Writer};
use super::{Options, Routers, Speaker, Wire};
use crate::backoff::sleep_until;
use crate::configuration_state::{self, Verdict};
use crate::events::{self, About, Recorder};
use crate::layer2::{self, Change as WireChange, Claim, Links};
use crate::members::{self, Membership};
use crate::pace::{Outcome, Pace};
use crate::watch::{Change, Only, follow};
use conflicts::Conflicts;
use failback::Failbacks;
use membership::Turns;
use routing::Routes;

/// Writes of statuses on the way at once. Each needs a connection, and there are many speakers.
const WRITES: usize = 4;
/// Changes that wait to be looked at, and how many are looked at together.
const CHANGES: usize = 1024;
/// That a node announces is not said again sooner than this because another one said that it does.
const SAY_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Two nodes that do not agree take away what the other says no more often than this.
const CONTEST_AFTER: Duration = Duration::from_secs(5);
/// What waits to be said until it is known what was said before.
const UNSAID: usize = 50_000;
/// Upstream's words for a configuration that is sound and cannot be used yet.
const NOT_YET: &str = "general handler sync state error";

/// What watches tell.
enum Told {
    Service(Change<(Seen, Option<Box<ServicePorts>>)>),
    Slice(Change<(Slice, Option<Box<Endpoints>>)>),
    Node(Change<NodeSeen>),
    Namespace(Change<Namespace>),
    Pool(Change<IPAddressPool>),
    L2Advertisement(Change<L2Advertisement>),
    BgpAdvertisement(Change<BGPAdvertisement>),
    Peer(Change<BGPPeer>),
    BfdProfile(Change<BFDProfile>),
    Community(Change<Community>),
    Secret(Change<v1::Secret>),
    ConfigMap(Change<v1::ConfigMap>),
    Status(Change<Object>),
}

pub(super) struct Session<'a> {
    client: Client,
    options: &'a Options,
    wire: &'a dyn Wire,
    recorder: &'a Recorder,
    verdict: &'a watch::Sender<Option<Verdict>>,
    metrics: Arc<Metrics>,
    configuration: Configuration,
    /// Sound, and held back because a Service that is announced has no pool in it.
    held_back: Option<Arc<Config>>,
    /// It is, and the last turn may have made way for it.
    tries_again: bool,
    announcer: Announcer,
    host: Host,
    statuses: Statuses,
    writer: Writer,
    pace: Pace,
    writes: JoinSet<(Done, Outcome)>,
    /// Which Service each of them is about.
    about: HashMap<Id, ServiceKey>,
    /// Until it is known what others have been told before.
    unsaid: Vec<News>,
    /// What was announced before a restart was looked for.
    has_begun: bool,
    said_again: HashMap<ServiceKey, Instant>,
    conflicts: Conflicts,
    /// When something that another node says of a Service was last taken away, because it is wrong.
    contested: HashMap<ServiceKey, Instant>,
    /// Addresses of other nodes, whose speakers are fellows.
    fellows: BTreeSet<IpAddr>,
    node_addresses: BTreeMap<String, Vec<IpAddr>>,
    membership: Membership,
    turns: Turns,
    failbacks: Failbacks,
    routers: &'a dyn Routers,
    routes: Routes,
    /// Something is not answered for any more, as was decided before.
    has_yielded: bool,
    /// Watches, which end with the session.
    watches: JoinSet<()>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        speaker: &'a Speaker,
        recorder: &'a Recorder,
        verdict: &'a watch::Sender<Option<Verdict>>,
        pod: Option<OwnerReference>,
        host: Host,
        membership: Membership,
    ) -> Session<'a> {
        let (client, options) = (speaker.client.clone(), &speaker.options);
        let of_plan = announce::Options {
            ignore_exclude_label: options.ignore_exclude_label,
            load_balancer_class: options.load_balancer_class.clone(),
        };
        let layout = options.status_layout;
        Session {
            writer: Writer { client: client.clone(), layout, pod },
            client,
            options,
            wire: &*speaker.wire,
            recorder,
            verdict,
            metrics: Arc::clone(&speaker.metrics),
            configuration: Configuration::new(options),
            held_back: None,
            tries_again: false,
            announcer: Announcer::new(&options.node, of_plan),
            host,
            statuses: Statuses::new(layout, &options.namespace, &options.node),
            pace: Pace::new(WRITES),
            writes: JoinSet::new(),
            about: HashMap::new(),
            unsaid: Vec::new(),
            has_begun: false,
            said_again: HashMap::new(),
            conflicts: Conflicts::default(),
            contested: HashMap::new(),
            fellows: BTreeSet::new(),
            node_addresses: BTreeMap::new(),
            membership,
            turns: Turns::default(),
            failbacks: Failbacks::default(),
            routers: &*speaker.routers,
            routes: Routes::default(),
            has_yielded: false,
            watches: JoinSet::new(),
        }
    }

    /// Until told to stop, and then until others have taken over what is answered for here.
    pub(super) async fn run(
        &mut self,
        mut of_members: mpsc::Receiver<members::News>,
        stop: impl Future<Output = ()>,
    ) {
        let mut told = self.watch();
        let mut links = self.wire.links();
        let mut news = self.wire.news();
        // What there is now is known from the start.
        links.mark_changed();
        tokio::pin!(stop);
        loop {
            let calm = self.conflicts.deadline();
            let pace = self.pace.deadline(self.statuses.has_ready());
            let at_once = self.tries_again.then(Instant::now);
            let of_others = self.turns.deadline().into_iter().chain(self.failback_deadline());
            let deadline = [pace, calm, at_once].into_iter().flatten().chain(of_others).min();
            tokio::select! {
                change = told.recv() => match change {
                    Some(change) => self.take(change),
                    None => return,
                },
                changed = links.changed() => {
                    if changed.is_err() {
                        tracing::error!("layer 2 has ended by itself, and so does this");
                        return;
                    }
                    let now = Arc::clone(&links.borrow_and_update());
                    self.take_links(&now);
                }
                news = of_members.recv() => match news {
                    Some(news) => self.take_members(news),
                    None => {
                        tracing::error!("nobody watches over members any more, and so this ends");
                        return;
                    }
                },
                Some(news) = news.recv() => match news {
                    layer2::News::Yielded { address, .. } => {
                        self.has_yielded |= self.announcer.yielded(address);
                    }
                    news => self.heard(news),
                },
                Some(ended) = self.writes.join_next_with_id() => self.ended(ended),
                () = &mut stop, if !self.turns.is_leaving() => self.begin_to_leave(Instant::now()),
                () = sleep_until(deadline), if deadline.is_some() => {}
            }
            for _ in 0..CHANGES {
                let Ok(change) = told.try_recv() else { break };
                self.take(change);
            }
            while let Ok(news) = of_members.try_recv() {
                self.take_members(news);
            }
            while let Some(ended) = self.writes.try_join_next_with_id() {
                self.ended(ended);
            }
            let taken = self.turn();
            self.host.give_up(&self.announcer, taken).await;
            if self.has_left(Instant::now()) {
                return;
            }
        }
    }

    /// What is left to be ended. Watches end here.
    pub(super) fn into_parts(self) -> (Host, Membership) {
        (self.host, self.membership)
    }

    /// Begins to watch all that is read.
    fn watch(&mut self) -> mpsc::Receiver<Told> {
        let (told, receiver) = mpsc::channel(CHANGES);
        let client = &self.client;
        let namespace = &self.options.namespace;
        let watches = &mut self.watches;
        let any = Only::default;

        let services = Api::<v1::Service>::all(client.clone());
        let reads = self.host.reads();
        let read = move |it| read::service(&it).map(|seen| (seen, reads.of_service(&it)));
        watches.spawn(follow(services, any(), read, told.clone(), Told::Service));
        let slices = Api::<discovery::EndpointSlice>::all(client.clone());
        let read = move |it| read::slice(&it).map(|slice| (slice, reads.of_slice(&it)));
        watches.spawn(follow(slices, any(), read, told.clone(), Told::Slice));
        let nodes = Api::<v1::Node>::all(client.clone());
        watches.spawn(follow(nodes, any(), |it| Some(read::node(&it)), told.clone(), Told::Node));
        let namespaces = Api::<v1::Namespace>::all(client.clone());
        let of_namespace = |it: v1::Namespace| Some(api::ingest::namespace(&it));
        watches.spawn(follow(namespaces, any(), of_namespace, told.clone(), Told::Namespace));

        let pools = Api::<IPAddressPool>::namespaced(client.clone(), namespace);
        watches.spawn(follow(pools, any(), |it| Some(read::lean(it)), told.clone(), Told::Pool));
        let api = Api::<L2Advertisement>::namespaced(client.clone(), namespace);
        watches.spawn(follow(api, any(), |it| Some(read::lean(it)), told.clone(), Told::L2Advertisement));
        let api = Api::<BGPAdvertisement>::namespaced(client.clone(), namespace);
        watches.spawn(follow(api, any(), |it| Some(read::lean(it)), told.clone(), Told::BgpAdvertisement));
        let api = Api::<BGPPeer>::namespaced(client.clone(), namespace);
        watches.spawn(follow(api, any(), |it| Some(read::lean(it)), told.clone(), Told::Peer));
        let api = Api::<BFDProfile>::namespaced(client.clone(), namespace);
        watches.spawn(follow(api, any(), |it| Some(read::lean(it)), told.clone(), Told::BfdProfile));
        let api = Api::<Community>::namespaced(client.clone(), namespace);
        watches.spawn(follow(api, any(), |it| Some(read::lean(it)), told.clone(), Told::Community));
        let secrets = Api::<v1::Secret>::namespaced(client.clone(), namespace);
        watches.spawn(follow(secrets, any(), |it| Some(read::secret(it)), told.clone(), Told::Secret));
        let extras = Api::<v1::ConfigMap>::namespaced(client.clone(), namespace);
        watches.spawn(follow(
            extras,
            Only::named("bgpextras"),
            |it| Some(read::lean(it)),
            told.clone(),
            Told::ConfigMap,
        ));

        let layout = self.options.status_layout;
        let statuses: Api<ServiceL2Status> = match layout {
            StatusLayout::Metallb => Api::namespaced(client.clone(), namespace),
            StatusLayout::Service => Api::all(client.clone()),
        };
        watches.spawn(follow(statuses, any(), move |it| Object::read(it, layout), told, Told::Status));
        receiver
    }

    fn take(&mut self, told: Told) {
        let configuration = &mut self.configuration;
        let has_changed = match told {
            Told::Service(change) => return self.take_service(change),
            Told::Slice(change) => return self.take_slice(change),
            Told::Status(change) => return self.take_status(change),
            Told::Node(change) => return self.take_node(change),
            Told::Namespace(change) => configuration.namespaces.take(change, Clone::clone),
            Told::Pool(change) => configuration.pools.take(change, |it| (it.spec.clone(), labels(it))),
            Told::L2Advertisement(change) => {
                let read = |it: &L2Advertisement| (it.spec.clone(), it.metadata.annotations.clone());
                configuration.l2_advertisements.take(change, read)
            }
            Told::BgpAdvertisement(change) => {
                let read = |it: &BGPAdvertisement| (it.spec.clone(), it.metadata.annotations.clone());
                configuration.bgp_advertisements.take(change, read)
            }
            Told::Peer(change) => {
                let read = |it: &BGPPeer| (it.spec.clone(), it.metadata.annotations.clone());
                configuration.peers.take(change, read)
            }
            Told::BfdProfile(change) => configuration.bfd_profiles.take(change, |it| it.spec.clone()),
            Told::Community(change) => configuration.communities.take(change, |it| it.spec.clone()),
            Told::Secret(change) => {
                configuration.secrets.take(change, |it| (it.type_.clone(), it.data.clone()))
            }
            Told::ConfigMap(change) => configuration.config_maps.take(change, |it| it.data.clone()),
        };
        self.configuration.note(has_changed);
    }

    fn take_service(&mut self, change: Change<(Seen, Option<Box<ServicePorts>>)>) {
        self.metrics.of_component.updated();
        match change {
            Change::Is { key: (namespace, name), value: (mut seen, ports), .. } => {
                // The same, but kept once.
                seen.service.key = ServiceKey { namespace, name };
                self.host.observe(&seen.service.key, ports);
                self.announcer.observe(seen);
            }
            Change::Gone((namespace, name)) => {
                let key = ServiceKey { namespace, name };
                self.host.forget(&key);
                self.announcer.forget(&key);
                self.said_again.remove(&key);
                self.contested.remove(&key);
                self.statuses.look_at(&key);
            }
            Change::Complete => self.announcer.has_all_services(),
        }
    }

    fn take_slice(&mut self, change: Change<(Slice, Option<Box<Endpoints>>)>) {
        match change {
            Change::Is { key, value: (slice, endpoints), .. } => {
                self.host.observe_slice(&key, &slice.service, endpoints);
                self.announcer.observe_slice(key, slice);
            }
            Change::Gone(key) => {
                self.host.forget_slice(&key);
                self.announcer.forget_slice(&key);
            }
            Change::Complete => self.announcer.has_all_slices(),
        }
    }

    fn take_status(&mut self, change: Change<Object>) {
        match change {
            Change::Is { value, is_listed, .. } => {
                self.contradict(&value);
                self.announcer.look_at_owner(&value.service);
                if is_listed {
                    // Also if it is older than what is known: the history of a server may be set back.
                    self.statuses.forget(&value.key);
                }
                self.statuses.observe(value);
            }
            Change::Gone(key) => {
                self.statuses.forget(&key);
                self.announcer.look_at_owners();
            }
            Change::Complete => {
                self.statuses.has_all();
                self.announcer.look_at_owners();
            }
        }
    }

    /// The newest event tells who announces, so one that another node has written is answered.
    fn contradict(&mut self, object: &Object) {
        let other = object.announcer();
        if other.is_empty() || other == self.options.node {
            return;
        }
        let now = Instant::now();
        let is_recent = |at: &Instant| now.duration_since(*at) < SAY_AGAIN_AFTER;
        if self.said_again.get(&object.service).is_none_or(|at| !is_recent(at))
            && let Some(news) = self.announcer.say_again(&object.service)
        {
            self.said_again.insert(object.service.clone(), now);
            self.say(news);
        }
    }

    fn take_node(&mut self, change: Change<NodeSeen>) {
        match &change {
            Change::Is { key, value, .. } => {
                self.node_addresses.insert(key.1.to_string(), value.addresses.clone());
            }
            Change::Gone(key) => {
                self.node_addresses.remove(&*key.1);
            }
            Change::Complete => {}
        }
        let others = self.node_addresses.iter().filter(|(name, _)| **name != self.options.node);
        let fellows: BTreeSet<IpAddr> = others.flat_map(|(_, addresses)| addresses).copied().collect();
        if fellows != self.fellows {
            self.fellows.clone_from(&fellows);
            self.wire.apply(vec![WireChange::Fellows { stations: BTreeSet::new(), addresses: fellows }]);
        }
        let change = change.map(|seen| seen.node);
        let is_end = matches!(change, Change::Complete);
        if self.configuration.nodes.take(change, Clone::clone) {
            self.configuration.note(true);
            if self.configuration.nodes.is_complete() {
                self.announcer.set_nodes(self.configuration.nodes());
                self.look_at_peers();
                self.follow_drain();
                self.look_at_what_others_say();
            }
        }
        if is_end && !self.configuration.knows_own_node() {
            tracing::warn!(
                node = self.options.node,
                "there is no Node of this name yet, so nothing is announced"
            );
        }
    }

    fn take_alive(&mut self, alive: Alive) {
        self.announcer.set_alive(alive);
        self.look_at_what_others_say();
    }

    /// Nobody may be left to see to the objects of a node that is gone.
    fn look_at_what_others_say(&mut self) {
        let of_others: Vec<ServiceKey> =
            self.statuses.of_others().map(|object| object.service.clone()).collect();
        of_others.iter().for_each(|service| self.statuses.look_at(service));
    }

    fn take_links(&mut self, links: &Links) {
        self.announcer.set_interfaces(links.by_name.keys().cloned().collect());
        self.host.look_at_links();
        self.metrics.show_links(links);
    }

    /// Looks at everything once: decides, tells, and begins to write.
    fn turn(&mut self) -> Taken {
        self.see_to_conflicts(Instant::now());
        if let Some(read) = self.configuration.read() {
            self.configure(read);
        } else if let Some(config) = self.held_back.take() {
            self.use_or_hold_back(config);
        }
        self.route();
        self.settle_down(Instant::now());
        let mut effects = self.announcer.decide(&|service| self.statuses.told(service));
        self.see_to_owners(Instant::now());
        self.tell_of_failures(&effects.turned);
        for change in &mut effects.changes {
            if let WireChange::Announce { address, claim, .. } = change
                && self.announcer.services_of(*address).any(|key| self.statuses.another_announces(key))
            {
                *claim = Claim::Takeover;
            }
        }
        self.forget_conflicts(&effects.changes);
        self.tries_again = self.held_back.is_some() && !effects.turned.is_empty();
        let is_other = !effects.changes.is_empty()
            || !effects.turned.is_empty()
            || std::mem::take(&mut self.has_yielded);
        let taken = self.host.take_up(&self.announcer, is_other);
        self.wire.apply(effects.changes);
        self.close_turn(effects.prepared);
        self.unsaid.extend(effects.news);
        self.unsaid.truncate(UNSAID);
        if self.statuses.is_complete() {
            for news in std::mem::take(&mut self.unsaid) {
                // After a restart it is no news to anybody that this node announces.
                let is_known =
                    !self.has_begun && !news.is_warning && self.statuses.tells_of_us(&news.seen.service.key);
                if !is_known {
                    self.say(news);
                }
            }
            self.has_begun |= self.announcer.is_ready();
        }
        for Turned { service, now } in effects.turned {
            self.metrics.announces(&self.options.node, &service, now.as_ref());
            self.statuses.want(service, now.as_ref());
        }
        self.write(Instant::now());
        taken
    }

    fn configure(&mut self, read: Result<Config, Vec<api::parse::Problem>>) {
        self.metrics.of_component.updated();
        match read {
            Ok(config) => self.use_or_hold_back(Arc::new(config)),
            Err(problems) => {
                self.held_back = None;
                for problem in &problems {
                    tracing::error!("the configuration is not used: {problem}");
                }
                let first = problems.first().map(ToString::to_string).unwrap_or_default();
                self.metrics.of_component.failed();
                self.refuse(first);
            }
        }
    }

    /// Pools that are taken away stay in use until the controller has taken their addresses away from Services.
    fn use_or_hold_back(&mut self, config: Arc<Config>) {
        if let Some(service) = self.announcer.would_lose_its_pool(&config) {
            let is_news = self.verdict.borrow().as_ref() != Some(&Verdict::Refused(NOT_YET.to_owned()));
            if is_news {
                tracing::warn!(service = %service, "service has no configuration under new config");
                self.metrics.of_component.failed();
            }
            self.held_back = Some(config);
            self.refuse(NOT_YET.to_owned());
            return;
        }
        self.held_back = None;
        if self.announcer.config() != Some(&config) {
            tracing::info!(pools = config.pools.len(), "the configuration is in use");
        }
        self.announcer.set_config(config);
        self.look_at_peers();
        self.metrics.of_component.configuration_is_loaded();
        self.metrics.of_component.configuration_is_stale(false);
        configuration_state::tell(self.verdict, Verdict::Reconciled);
    }

    fn refuse(&self, error: String) {
        self.metrics.of_component.configuration_is_stale(true);
        configuration_state::tell(self.verdict, Verdict::Refused(error));
    }

    fn say(&self, news: News) {
        let service = &news.seen.service.key;
        tracing::debug!(service = %service, reason = news.reason, "{}", news.message);
        let about = About {
            api_version: "v1",
            kind: "Service",
            namespace: service.namespace.to_string(),
            name: service.name.to_string(),
            uid: news.seen.uid.to_string(),
            resource_version: news.seen.resource_version.to_string(),
        };
        let reason = news.reason.to_owned();
        self.recorder.record(events::News {
            about,
            is_warning: news.is_warning,
            reason,
            message: news.message,
        });
    }
}

fn labels<K: kube::Resource>(object: &K) -> Option<BTreeMap<String, String>> {
    object.meta().labels.clone()
}
