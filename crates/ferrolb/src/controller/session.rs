//! The loop: changes in, decisions made, writes out, facts back. It lasts as long as this controller is the one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::reservation::CONFIG_MAP;
use k8s_openapi::api::core::v1;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client};
use plan::allocate::{Counters, EventType};
use plan::config::Pool;
use plan::snapshot::{Namespace, ServiceKey};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};

use api::metallb::{Community, IPAddressPool};

use super::configuration::{Configuration, Read};
use super::leader::Leadership;
use super::ledger::{Ledger, Said, Task, Written};
use super::metrics::Metrics;
use super::pool_status::{self, PoolNews};
use super::reservations::{self, Reservations};
use super::service::{Seen, Whole};
use super::{Controller, write};
use crate::backoff::sleep_until;
use crate::configuration_state::{self, Verdict};
use crate::events::{About, News, Recorder};
use crate::pace::{Outcome, Pace};
use crate::watch::{Change, Only, follow};

/// Writes of Services on the way at once.
const WRITES: usize = 48;
/// Changes that wait to be looked at, and how many are looked at together.
const CHANGES: usize = 1024;

/// What watches tell.
enum Told {
    Service(Change<Seen>),
    Pool(Change<IPAddressPool>),
    Community(Change<Community>),
    Namespace(Change<Namespace>),
    Reservations(Change<Reservations>),
}

pub(super) struct Session<'a> {
    client: Client,
    leadership: &'a Leadership,
    recorder: &'a Recorder,
    verdict: &'a watch::Sender<Option<Verdict>>,
    is_ready: &'a watch::Sender<bool>,
    last_good: &'a Mutex<Option<BTreeMap<String, Pool>>>,
    metrics: Arc<Metrics>,
    namespace: String,
    ledger: Ledger,
    pace: Pace,
    configuration: Configuration,
    has_all_services: bool,
    writes: JoinSet<(Written, Outcome)>,
    /// What each of them writes.
    tasks: HashMap<Id, Task>,
    /// Watches and what else ends with the session.
    others: JoinSet<()>,
    pool_news: Option<mpsc::UnboundedSender<PoolNews>>,
    counters: watch::Sender<BTreeMap<String, Counters>>,
    reservations: watch::Sender<Option<Reservations>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        controller: &'a Controller,
        recorder: &'a Recorder,
        verdict: &'a watch::Sender<Option<Verdict>>,
        leadership: &'a Leadership,
    ) -> Session<'a> {
        let (counters, _) = watch::channel(BTreeMap::new());
        controller.metrics.show(counters.subscribe());
        let (reservations, _) = watch::channel(None);
        Session {
            client: controller.client.clone(),
            leadership,
            recorder,
            verdict,
            is_ready: &controller.is_ready,
            last_good: &controller.pools,
            metrics: Arc::clone(&controller.metrics),
            namespace: controller.options.namespace.clone(),
            ledger: Ledger::new(controller.allocation()),
            pace: Pace::new(WRITES),
            configuration: Configuration::new(&controller.options.namespace),
            has_all_services: false,
            writes: JoinSet::new(),
            tasks: HashMap::new(),
            others: JoinSet::new(),
            pool_news: None,
            counters,
            reservations,
        }
    }

    pub(super) async fn run(mut self) {
        self.ledger.set_reserved(reservations::first(&self.client, &self.namespace).await);
        let mut told = self.watch();
        loop {
            let deadline = self.deadline();
            tokio::select! {
                change = told.recv() => match change {
                    Some(change) => self.take(change),
                    None => return,
                },
                Some(ended) = self.writes.join_next_with_id() => self.ended(ended),
                () = sleep_until(deadline), if deadline.is_some() => {}
            }
            for _ in 0..CHANGES {
                let Ok(change) = told.try_recv() else { break };
                self.take(change);
            }
            while let Some(ended) = self.writes.try_join_next_with_id() {
                self.ended(ended);
            }
            self.turn();
        }
    }

    /// Begins to watch all that is read.
    fn watch(&mut self) -> mpsc::Receiver<Told> {
        let (sender, told) = mpsc::channel(CHANGES);
        let (client, namespace) = (&self.client, &self.namespace);
        let any = Only::default;
        let services = Api::<Whole>::all(client.clone());
        self.others.spawn(follow(services, any(), Seen::of, sender.clone(), Told::Service));
        let pools = Api::<IPAddressPool>::namespaced(client.clone(), namespace);
        self.others.spawn(follow(pools, any(), Some, sender.clone(), Told::Pool));
        let communities = Api::<Community>::namespaced(client.clone(), namespace);
        self.others.spawn(follow(communities, any(), Some, sender.clone(), Told::Community));
        let namespaces = Api::<v1::Namespace>::all(client.clone());
        let read = |namespace: v1::Namespace| Some(api::ingest::namespace(&namespace));
        self.others.spawn(follow(namespaces, any(), read, sender.clone(), Told::Namespace));
        let kept = Api::<v1::ConfigMap>::namespaced(client.clone(), namespace);
        let read = |config_map: v1::ConfigMap| Some(reservations::read(&config_map));
        self.others.spawn(follow(kept, Only::named(CONFIG_MAP), read, sender, Told::Reservations));
        let wanted = self.reservations.subscribe();
        self.others.spawn(reservations::run(client.clone(), namespace.clone(), wanted));

        let (sender, news) = mpsc::unbounded_channel();
        let status = pool_status::run(client.clone(), namespace.clone(), news, self.counters.subscribe());
        self.others.spawn(status);
        self.pool_news = Some(sender);
        told
    }

    /// When to go on, if nothing happens before.
    fn deadline(&self) -> Option<Instant> {
        let wait = self.ledger.next_end().map(|end| end.duration_since(Timestamp::now()));
        // An end that is long past is seen to at once.
        let end = wait.map(|wait| Instant::now() + Duration::try_from(wait).unwrap_or_default());
        [self.pace.deadline(self.ledger.has_ready()), end].into_iter().flatten().min()
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Service(change) => self.take_service(change),
            Told::Pool(change) => {
                match &change {
                    Change::Is { value, .. } => self.tell_pool(PoolNews::Is(Box::new(value.clone()))),
                    Change::Gone((_, name)) => self.tell_pool(PoolNews::Gone(name.to_string())),
                    Change::Complete => {}
                }
                // Its status is our own doing.
                let has_changed = self.configuration.pools.take(change, |pool| pool.spec.clone());
                self.configuration.note(has_changed);
            }
            Told::Community(change) => {
                let has_changed = self.configuration.communities.take(change, |it| it.spec.clone());
                self.configuration.note(has_changed);
            }
            Told::Reservations(Change::Is { value, .. }) => self.ledger.set_reserved(value),
            Told::Reservations(Change::Gone(_)) => self.ledger.set_reserved(Reservations::new()),
            Told::Reservations(Change::Complete) => {}
            Told::Namespace(change) => {
                let has_changed = self.configuration.namespaces.take(change, Clone::clone);
                self.configuration.note(has_changed);
            }
        }
    }

    fn take_service(&mut self, change: Change<Seen>) {
        self.metrics.of_component.updated();
        match change {
            Change::Is { value, is_listed, .. } => {
                let key = value.service.key.clone();
                self.ledger.observe(&key, value, is_listed);
            }
            Change::Gone((namespace, name)) => self.ledger.forget(&ServiceKey { namespace, name }),
            Change::Complete => {
                self.has_all_services = true;
                self.ledger.listed();
            }
        }
    }

    fn tell_pool(&self, news: PoolNews) {
        if let Some(sender) = &self.pool_news {
            let _ = sender.send(news);
        }
    }

    /// Looks at everything once: decides, says, and begins to write.
    fn turn(&mut self) {
        let now = Instant::now();
        if self.has_all_services
            && let Some(read) = self.configuration.read()
        {
            self.configure(read);
        }
        for key in self.pace.due(now) {
            self.ledger.resume(&key);
        }
        for said in self.ledger.decide() {
            self.say(said);
        }
        if self.has_decided()
            && let Some(reservations) = self.ledger.reservations(Timestamp::now())
        {
            self.reservations.send_if_modified(|wanted| {
                let is_new = wanted.as_ref() != Some(&reservations);
                *wanted = Some(reservations);
                is_new
            });
        }
        while self.pace.may_begin(now) && self.leadership.holds() {
            let Some(task) = self.ledger.next() else { break };
            self.pace.begun();
            let write = write::write(self.client.clone(), task.clone(), self.leadership.clone());
            self.tasks.insert(self.writes.spawn(write).id(), task);
        }
        if !self.ledger.take_changed_pools().is_empty() {
            self.counters.send_replace(self.ledger.counters());
        }
    }

    /// Before that, nobody knows which Services are there.
    fn has_decided(&self) -> bool {
        self.has_all_services && self.configuration.is_in_use()
    }

    fn configure(&mut self, read: Read) {
        self.metrics.of_component.updated();
        match read {
            Read::Refused(problems) => {
                for problem in &problems {
                    tracing::error!("the configuration is not used: {problem}");
                }
                let first = problems.first().map(ToString::to_string).unwrap_or_default();
                self.metrics.of_component.configuration_is_stale(true);
                configuration_state::tell(self.verdict, Verdict::Refused(first));
                let last_good = self.last_good.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(pools) = last_good.filter(|_| !self.configuration.is_in_use()) {
                    self.configuration.go_on_with(pools.clone());
                    self.ledger.set_pools(pools);
                }
            }
            Read::Same => {
                self.metrics.of_component.configuration_is_stale(false);
                configuration_state::tell(self.verdict, Verdict::Reconciled);
            }
            Read::New(pools) => {
                tracing::info!(pools = pools.len(), "the configuration is in use");
                *self.last_good.lock().unwrap_or_else(PoisonError::into_inner) = Some(pools.clone());
                self.ledger.set_pools(pools);
                self.metrics.of_component.configuration_is_loaded();
                self.metrics.of_component.configuration_is_stale(false);
                configuration_state::tell(self.verdict, Verdict::Reconciled);
            }
        }
        // Also with a configuration that is refused: the webhooks of this process let the better one in.
        self.is_ready.send_replace(true);
    }

    fn ended(&mut self, ended: Result<(Id, (Written, Outcome)), JoinError>) {
        let (id, (written, outcome)) = ended.unwrap_or_else(|error| {
            tracing::error!("a write ended by itself: {error}");
            (error.id(), (Written::Failed, Outcome::ServiceTrouble))
        });
        let Some(task) = self.tasks.remove(&id) else { return };
        if let Written::Done(_) = &written {
            let addresses: Vec<String> = task.write.ingress.iter().map(ToString::to_string).collect();
            let pool = task.write.pool_annotation.as_deref().unwrap_or_default();
            tracing::info!(service = %task.key, pool, addresses = addresses.join(","), "the status is written");
        }
        if outcome != Outcome::Fine {
            self.metrics.of_component.failed();
        }
        self.pace.ended(&task.key, outcome, Instant::now());
        if let Some(said) = self.ledger.written(&task, written) {
            self.say(said);
        }
    }

    fn say(&self, Said { seen, events }: Said) {
        for event in events {
            let service = &seen.service.key;
            tracing::debug!(service = %service, reason = event.reason, "{}", event.message);
            let about = About {
                api_version: "v1",
                kind: "Service",
                namespace: service.namespace.to_string(),
                name: service.name.to_string(),
                uid: seen.uid.clone(),
                resource_version: seen.version.map(|version| version.to_string()).unwrap_or_default(),
            };
            let is_warning = event.event_type == EventType::Warning;
            let reason = event.reason.to_owned();
            self.recorder.record(News { about, is_warning, reason, message: event.message });
        }
    }
}
