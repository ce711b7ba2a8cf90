//! A cluster in this process: the API server with the CRDs, and what tests do to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apiserver::server::{Options, Server};
use apiserver::store::MemoryStore;
use axum::Router;
use ferrolb::controller::{self, Controller};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const NAMESPACE: &str = "metallb-system";
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) router: Router,
}

/// A controller that ends when the test does.
pub(crate) struct Running {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        (&mut self.task).await.unwrap();
    }

    /// As it ends when its machine does.
    pub(crate) fn kill(self) {
        self.task.abort();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cluster {
    pub(crate) async fn empty() -> Cluster {
        let options = Options { has_cluster_objects: true, ..Options::default() };
        let server = Server::open_with(Arc::new(MemoryStore::new()), options).await.unwrap();
        let router = server.router();
        let cluster = Cluster { client: Client::new(router.clone(), "default"), router };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        cluster.post("/api/v1/namespaces", namespace).await;
        cluster
    }

    pub(crate) async fn new() -> Cluster {
        let cluster = Cluster::empty().await;
        cluster.install().await;
        cluster
    }

    pub(crate) async fn install(&self) {
        for definition in api::crds::all() {
            self.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).await;
        }
    }

    pub(crate) fn start(&self) -> Running {
        self.start_with(&self.client)
    }

    pub(crate) fn start_with(&self, client: &Client) -> Running {
        self.start_as(client, controller::Options::default())
    }

    pub(crate) fn start_as(&self, client: &Client, options: controller::Options) -> Running {
        let options = controller::Options { namespace: NAMESPACE.to_owned(), decides: true, ..options };
        let controller = Controller::new(client.clone(), options);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            controller.run(stopped).await.unwrap();
        });
        Running { stop: Some(stop), task }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let content_type =
            if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder().method(method).uri(path).header("content-type", content_type);
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let response = self.client.send(request.body(Body::from(bytes)).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (code, answer) = self.call(Method::POST, path, &body).await;
        assert_eq!(code, 201, "{answer}");
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, &Value::Null).await.1
    }

    pub(crate) async fn delete(&self, path: &str) {
        let (code, answer) = self.call(Method::DELETE, path, &Value::Null).await;
        assert_eq!(code, 200, "{answer}");
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Value {
        let (code, answer) = self.call(Method::PATCH, path, &body).await;
        assert_eq!(code, 200, "{answer}");
        answer
    }

    pub(crate) async fn pool(&self, name: &str, addresses: &[&str]) {
        let pool = json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "IPAddressPool",
            "metadata": {"name": name},
            "spec": {"addresses": addresses},
        });
        self.post(&pools(), pool).await;
    }

    pub(crate) async fn service(&self, name: &str) {
        self.service_with(name, json!({})).await;
    }

    /// A Service of type LoadBalancer with one port, and these annotations.
    pub(crate) async fn service_with(&self, name: &str, annotations: Value) {
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": name}},
        });
        self.post(SERVICES, service).await;
    }

    pub(crate) async fn read(&self, name: &str) -> Value {
        self.get(&format!("{SERVICES}/{name}")).await
    }

    /// Waits until every Service has an address, and says who has which.
    pub(crate) async fn all_have_one(&self) -> BTreeMap<String, String> {
        let held = async || {
            let list = self.get(SERVICES).await;
            let name = |it: &Value| it["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let entry = |it: &Value| (name(it), addresses_of(it).join(","));
            let services = list["items"].as_array().cloned().unwrap_or_default();
            services
                .iter()
                .filter(|it| it["spec"]["type"] == "LoadBalancer")
                .map(entry)
                .collect::<BTreeMap<_, _>>()
        };
        wait("every Service has an address", async || {
            let without: Vec<_> = held().await.into_iter().filter(|(_, held)| held.is_empty()).collect();
            if without.is_empty() { Ok(()) } else { Err(format!("{without:?} have none")) }
        })
        .await;
        held().await
    }

    /// Waits until the Service has exactly these addresses.
    pub(crate) async fn has(&self, name: &str, addresses: &[&str]) {
        let is = async || addresses_of(&self.read(name).await);
        wait(&format!("{name} has {addresses:?}"), async || {
            let is = is().await;
            if is == addresses { Ok(()) } else { Err(format!("{is:?}")) }
        })
        .await;
    }

    /// Type, reason, message and count of the events about a Service.
    pub(crate) async fn events(&self, name: &str) -> Vec<(String, String, String, u64)> {
        let path = format!("/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3D{name}");
        let list = self.get(&path).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let event = |it: &Value| {
            (text(&it["type"]), text(&it["reason"]), text(&it["message"]), it["count"].as_u64().unwrap_or(1))
        };
        list["items"].as_array().unwrap().iter().map(event).collect()
    }

    pub(crate) async fn has_event(&self, name: &str, reason: &str, message: &str) {
        wait(&format!("{name} has the event {reason} {message}"), async || {
            let events = self.events(name).await;
            let is_there = events.iter().any(|event| event.1 == reason && event.2 == message);
            if is_there { Ok(()) } else { Err(format!("{events:?}")) }
        })
        .await;
    }
}

pub(crate) const SERVICES: &str = "/api/v1/namespaces/default/services";

pub(crate) fn pools() -> String {
    format!("/apis/metallb.io/v1beta1/namespaces/{NAMESPACE}/ipaddresspools")
}

pub(crate) fn addresses_of(service: &Value) -> Vec<String> {
    let ingress = service["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
    ingress.iter().map(|entry| entry["ip"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Waits until `is_so`, or says what was instead.
pub(crate) async fn wait(what: &str, is_so: impl AsyncFn() -> Result<(), String>) {
    let until = Instant::now() + DEADLINE;
    loop {
        match is_so().await {
            Ok(()) => return,
            Err(is) => assert!(Instant::now() < until, "{what}: {is}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
