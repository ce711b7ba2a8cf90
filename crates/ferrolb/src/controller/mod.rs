//! The controller: it gives Services their addresses, and says what it did.
//!
//! One loop owns everything. What watches tell goes into the [`Ledger`], which decides; what it decided goes out as
//! writes at the [`Pace`] that the API server bears, and comes back as facts. Nothing is decided before all there is
//! was seen, and nothing is written by a controller that may not be the only one.
//!
//! * `session` is that loop, `ledger` and the crate's `pace` its two machines without a clock or network.
//! * `configuration` reads pools, `service` is a Service as it is read and written back, `write` one PUT.
//! * `leader` says who of several controllers decides.
//! * `reservations` keeps addresses for Services that are gone.
//! * `pool_status` and the crate's `configuration_state` and `events` tell what came of it.

mod configuration;
mod leader;
mod ledger;
mod memberlist;
mod metrics;
mod options;
mod pool_status;
mod reservations;
mod service;
mod session;
mod write;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kube::Client;
use plan::allocate;
use plan::config::Pool;
use tokio::sync::watch;

pub use metrics::Metrics;
pub use options::Options;

use crate::configuration_state::{self, Component};
use crate::events::Recorder;
use crate::pod;
use leader::{Election, Leadership};
use session::Session;

const EVENT_WRITERS: usize = 16;

/// What others want to know of a controller.
#[derive(Debug, Clone)]
pub struct Progress {
    /// It can act, or stands by to.
    pub is_ready: watch::Receiver<bool>,
    pub metrics: Arc<Metrics>,
}

/// A controller that does not run yet.
pub struct Controller {
    client: Client,
    options: Options,
    is_ready: watch::Sender<bool>,
    metrics: Arc<Metrics>,
    /// The last good pools. They outlive a time in which another controller decides, or nobody knows who does.
    pools: Mutex<Option<BTreeMap<String, Pool>>>,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Controller {
    pub fn new(client: Client, options: Options) -> Controller {
        let (is_ready, _) = watch::channel(false);
        Controller { client, options, is_ready, metrics: Arc::new(Metrics::new()), pools: Mutex::default() }
    }

    pub fn progress(&self) -> Progress {
        Progress { is_ready: self.is_ready.subscribe(), metrics: Arc::clone(&self.metrics) }
    }

    /// Runs until told to stop. An error means that it could not begin.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let owner = match &self.options.pod_name {
            Some(name) => Some(pod::owner(&self.client, &self.options.namespace, name).await?),
            None => None,
        };
        let pod_uid = owner.as_ref().map(|owner| owner.uid.clone());
        let (verdict, verdicts) = watch::channel(None);
        let component = Component {
            namespace: self.options.namespace.clone(),
            name: "controller".to_owned(),
            labels: [("metallb.io/component-type".to_owned(), "controller".to_owned())].into(),
            owner,
            condition: "poolReconcilerValid",
            field_manager: "poolReconciler",
        };
        let state = tokio::spawn(configuration_state::run(self.client.clone(), component, verdicts));
        let ended = if self.options.decides {
            self.decide(verdict, pod_uid, stop).await
        } else {
            self.stand_by(stop).await
        };
        state.abort();
        ended
    }

    /// Webhooks alone: nothing is decided here.
    async fn stand_by(&self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        self.is_ready.send_replace(true);
        stop.await;
        Ok(())
    }

    async fn decide(
        &self,
        verdict: watch::Sender<Option<configuration_state::Verdict>>,
        pod_uid: Option<String>,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let options = &self.options;
        if let Some(secret) = &options.memberlist_secret {
            let deployment = options.deployment.as_deref();
            memberlist::make(&self.client, &options.namespace, secret, deployment).await?;
        }
        let election = self.election(pod_uid)?;
        let recorder = Recorder::new(&self.client, "metallb-controller", EVENT_WRITERS);
        let mut stop = std::pin::pin!(stop);
        loop {
            // Whoever waits for its turn is ready: a rollout ends the old one only when the new one is.
            let waits = async {
                if self.options.is_alone {
                    return Leadership::unopposed();
                }
                self.is_ready.send_replace(true);
                election.win().await
            };
            let leadership = tokio::select! {
                leadership = waits => leadership,
                () = &mut stop => return Ok(()),
            };
            self.is_ready.send_replace(false);
            let session = Session::new(self, &recorder, &verdict, &leadership);
            let is_over = tokio::select! {
                () = session.run() => false,
                () = election.keep(&leadership) => false,
                () = &mut stop => true,
            };
            if is_over {
                election.release(&leadership).await;
                recorder.finish().await;
                return Ok(());
            }
        }
    }

    fn election(&self, pod_uid: Option<String>) -> anyhow::Result<Election> {
        let random = getrandom::u64()?;
        let name = self.options.pod_name.as_deref().unwrap_or("controller");
        let pod = pod_uid.map(|uid| format!("{name}_{uid}_"));
        Ok(Election {
            client: self.client.clone(),
            namespace: self.options.namespace.clone(),
            name: "ferrolb-controller".to_owned(),
            identity: format!("{}{random:016x}", pod.as_deref().unwrap_or("controller_")),
            pod,
        })
    }

    fn allocation(&self) -> allocate::Options {
        allocate::Options { load_balancer_class: self.options.load_balancer_class.clone() }
    }
}
