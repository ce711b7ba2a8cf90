//! The webhooks before an API server in the same process: over real TLS, with certificates that they made themselves.

mod bodies;
mod certificates;
mod requests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::admit::Kind;
use apiserver::server::{self, ResolveService, Server};
use apiserver::store::MemoryStore;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::Client;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Options, Webhook};
use crate::call::{self, Failure};
use crate::serving::test_client::ask;

const NAMESPACE: &str = "metallb-system";
const SECRET: &str = "/api/v1/namespaces/metallb-system/secrets/metallb-webhook-cert";
const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const SERVER_NAME: &str = "metallb-webhook-service.metallb-system.svc";
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the Service of the webhooks leads to.
#[derive(Debug, Default)]
struct Service(Mutex<Option<SocketAddr>>);

impl Service {
    fn leads_to(&self, address: SocketAddr) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }
}

impl ResolveService for Service {
    fn resolve(&self, namespace: &str, name: &str, port: u16) -> Option<SocketAddr> {
        assert_eq!((namespace, name, port), (NAMESPACE, "metallb-webhook-service", 443));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cluster as the manifests of MetalLB leave it, without anybody who answers for its webhooks.
#[derive(Clone)]
struct Cluster {
    server: Arc<Server>,
    service: Arc<Service>,
    client: Client,
}

impl Cluster {
    async fn new() -> Cluster {
        let cluster = Cluster::bare().await;
        for definition in api::crds::all() {
            cluster.post(DEFINITIONS, &definition).await;
        }
        cluster.post(CONFIGURATIONS, &configuration()).await;
        cluster
    }

    /// With nothing but the namespace and the empty Secret.
    async fn bare() -> Cluster {
        let service = Arc::new(Service::default());
        let services: Arc<dyn ResolveService> = Arc::<Service>::clone(&service);
        let options = server::Options { services: Some(services), ..server::Options::default() };
        let server = Server::open_with(Arc::new(MemoryStore::new()), options).await.unwrap();
        let client = Client::new(server.router(), "default");
        let cluster = Cluster { server, service, client };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        cluster.post("/api/v1/namespaces", &namespace).await;
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "metallb-webhook-cert"}});
        cluster.post(&format!("/api/v1/namespaces/{NAMESPACE}/secrets"), &secret).await;
        cluster
    }

    async fn post(&self, path: &str, object: &Value) -> Value {
        self.try_post(path, object).await.unwrap_or_else(|failure| panic!("{failure}: {object}"))
    }

    async fn try_post(&self, path: &str, object: &Value) -> Result<Value, Failure> {
        call::post(&self.client, path, object).await
    }

    async fn get(&self, path: &str) -> Value {
        call::get(&self.client, path).await.unwrap_or_else(|failure| panic!("{failure}: {path}"))
    }

    /// Changes an object whoever else does so too.
    async fn change(&self, path: &str, change: impl Fn(&mut Value)) {
        loop {
            let mut object = self.get(path).await;
            change(&mut object);
            match call::put::<Value>(&self.client, path, &object).await {
                Ok(_) => return,
                Err(failure) if failure.code == Some(http::StatusCode::CONFLICT) => {}
                Err(failure) => panic!("{failure}: {path}"),
            }
        }
    }

    /// The certificate of a key of the Secret.
    async fn secret(&self, key: &str) -> Option<Vec<u8>> {
        let secret = self.get(SECRET).await;
        STANDARD.decode(secret["data"][key].as_str()?).ok()
    }

    /// Whether everybody who has to know the Secret's authority does.
    async fn knows_the_authority(&self) -> bool {
        let Some(authority) = self.secret("ca.crt").await else { return false };
        let authority = STANDARD.encode(authority);
        let configuration = self.get(&format!("{CONFIGURATIONS}/metallb-webhook-configuration")).await;
        let definition = self.get(&format!("{DEFINITIONS}/bgppeers.metallb.io")).await;
        let webhooks = configuration["webhooks"].as_array().expect("it has webhooks");
        webhooks.iter().all(|webhook| webhook["clientConfig"]["caBundle"] == authority.as_str())
            && definition["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"] == authority.as_str()
    }

    async fn start(&self) -> Running {
        self.start_with(Options::new(NAMESPACE)).await
    }

    async fn start_with(&self, options: Options) -> Running {
        let options = Options { bind: SocketAddr::from(([127, 0, 0, 1], 0)), ..options };
        let webhook = Webhook::bind(self.client.clone(), options).await.unwrap();
        let address = webhook.address().unwrap();
        self.service.leads_to(address);
        let mut is_ready = webhook.is_ready();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            webhook.run(stopped).await.unwrap();
        });
        tokio::time::timeout(PATIENCE, is_ready.wait_for(|is_ready| *is_ready)).await.unwrap().unwrap();
        Running { address, stop, task }
    }
}

/// Webhooks that answer.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }

    async fn shows(&self) -> CertificateDer<'static> {
        ask(self.address, SERVER_NAME, "GET", "/healthz", &[], b"").await.certificate
    }
}

/// Asks until the answer is yes.
async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}: not in {} s", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn der(pem: &[u8]) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem).unwrap()
}

/// As MetalLB's manifests have it.
fn configuration() -> Value {
    let webhook = |kind: Kind, plural: &str, operations: &[&str]| {
        let (group, version) = (kind.group(), kind.version());
        let name = format!("{}validationwebhook.metallb.io", kind.name().to_lowercase());
        let service = json!({"name": "metallb-webhook-service", "namespace": NAMESPACE, "path": kind.path()});
        json!({
            "name": name, "clientConfig": {"service": service},
            "admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "sideEffects": "None",
            "rules": [{"apiGroups": [group], "apiVersions": [version], "operations": operations, "resources": [plural]}],
        })
    };
    let both = &["CREATE", "UPDATE"];
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "metallb-webhook-configuration"},
        "webhooks": [
            webhook(Kind::BFDProfile, "bfdprofiles", &["CREATE", "DELETE"]),
            webhook(Kind::BGPAdvertisement, "bgpadvertisements", both),
            webhook(Kind::BGPPeer, "bgppeers", both),
            webhook(Kind::Community, "communities", both),
            webhook(Kind::IPAddressPool, "ipaddresspools", both),
            webhook(Kind::L2Advertisement, "l2advertisements", both),
        ],
    })
}
