//! A cluster of one process: the embedded API server with everything that FerroLB needs in it, the controller, and if
//! asked for a speaker.

use std::time::Duration;

use anyhow::Context;
use http::StatusCode;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

use crate::bgp;
use crate::call;
use crate::controller::{self, Controller, Progress};
use crate::embedded::{self, Embedded};
use crate::layer2;
use crate::members;
use crate::speaker::{self, Speaker};

/// Who writes definitions, in the words of server-side apply.
const FIELD_MANAGER: &str = "ferrolb";
/// A start that takes longer is worth a line.
const SLOW_START: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct Options {
    pub server: embedded::Options,
    /// Where resources are read from. It is made if there is none.
    pub namespace: String,
    pub load_balancer_class: Option<String>,
    /// A speaker of this host, if it is to have one.
    pub speaker: Option<SpeakerOptions>,
}

#[derive(Debug, Clone)]
pub struct SpeakerOptions {
    pub speaker: speaker::Options,
    pub layer2: layer2::Options,
    pub bgp: bgp::Options,
}

impl Options {
    pub fn new(server: embedded::Options, namespace: impl Into<String>) -> Options {
        Options { server, namespace: namespace.into(), load_balancer_class: None, speaker: None }
    }
}

/// A server with everything in it, and a controller that does not run yet.
#[derive(Debug)]
pub struct Standalone {
    server: Embedded,
    controller: Controller,
    speaker: Option<Speaker>,
}

impl Standalone {
    pub async fn open(options: &Options) -> anyhow::Result<Standalone> {
        let server = Embedded::open(&options.server).await?;
        let client = server.client("controller");
        install(&client, &options.namespace).await?;
        let controller = Controller::new(client, of_controller(options));
        let speaker = match options.speaker.clone() {
            Some(SpeakerOptions { speaker, layer2, bgp }) => {
                let wire = Box::new(layer2::start(layer2)?);
                let routers = Box::new(bgp::start(bgp)?);
                Some(Speaker::new(server.client("speaker"), speaker, wire, routers))
            }
            None => None,
        };
        Ok(Standalone { server, controller, speaker })
    }

    /// Clients in this process, the address, the kubeconfig.
    pub fn server(&self) -> &Embedded {
        &self.server
    }

    /// What the speaker knows of others, if there is one.
    pub fn members(&self) -> Option<watch::Receiver<members::Seen>> {
        self.speaker.as_ref().map(Speaker::members)
    }

    /// What there is to know of BGP sessions, if there is a speaker.
    pub fn sessions(&self) -> Option<bgp::Seen> {
        self.speaker.as_ref().map(Speaker::sessions)
    }

    /// What is known of the controller.
    pub fn progress(&self) -> Progress {
        self.controller.progress()
    }

    /// Until told to stop: first the controller ends, then the server.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Standalone { server, controller, speaker } = self;
        let is_ready = controller.progress().is_ready;
        let telling = tokio::spawn(tell(is_ready, server.kubeconfig().display().to_string()));
        let (end_server, server_ends) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async {
            let _ = server_ends.await;
        }));
        let ended = match speaker {
            Some(speaker) => {
                let (end_speaker, speaker_ends) = oneshot::channel::<()>();
                let mut speaking = tokio::spawn(speaker.run(async {
                    let _ = speaker_ends.await;
                }));
                tokio::select! {
                    ended = controller.run(stop) => {
                        drop(end_speaker);
                        speaking.await.context("the speaker ended by itself")?.and(ended)
                    }
                    ended = &mut speaking => {
                        let by_itself = "the speaker ended by itself";
                        ended.context(by_itself)?.context(by_itself).and(Err(anyhow::anyhow!(by_itself)))
                    }
                }
            }
            None => controller.run(stop).await,
        };
        telling.abort();
        drop(end_server);
        serving.await.context("the server ended by itself")?;
        ended
    }
}

/// Tells whoever has started the program what can be done now.
async fn tell(mut is_ready: watch::Receiver<bool>, kubeconfig: String) {
    match tokio::time::timeout(SLOW_START, is_ready.wait_for(|is_ready| *is_ready)).await {
        Ok(Ok(_)) => {
            tracing::info!("Services get addresses now: kubectl --kubeconfig {kubeconfig} get services -A");
        }
        // It has ended, and says why itself.
        Ok(Err(_)) => {}
        Err(_) => {
            tracing::warn!("no addresses are given yet: the lines above or the ConfigurationState say why");
        }
    }
}

fn of_controller(options: &Options) -> controller::Options {
    controller::Options {
        namespace: options.namespace.clone(),
        load_balancer_class: options.load_balancer_class.clone(),
        decides: true,
        is_alone: true,
        ..controller::Options::default()
    }
}

/// Makes definitions what this version says they are, and the namespace if there is none. Objects are left alone.
async fn install(client: &Client, namespace: &str) -> anyhow::Result<()> {
    for definition in api::crds::all() {
        let definition = without_webhook(definition);
        let name = definition["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}?fieldManager={FIELD_MANAGER}&force=true"
        );
        call::patch::<Value>(client, &path, call::APPLY, &definition)
            .await
            .with_context(|| format!("installing {name}"))?;
    }
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    match call::post::<Value>(client, "/api/v1/namespaces", &object).await {
        Err(failure) if !failure.is(StatusCode::CONFLICT) => {
            Err(failure).with_context(|| format!("making the namespace {namespace}"))
        }
        _ => Ok(()),
    }
}

/// Objects are converted in this process, and there is no Service that a webhook could be behind.
fn without_webhook(mut definition: Value) -> Value {
    if let Some(spec) = definition["spec"].as_object_mut() {
        spec.shift_remove("conversion");
    }
    definition
}
