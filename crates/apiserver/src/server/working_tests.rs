//! What becomes of requests whose client is gone, and of those that end in a panic.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::tests::{PEERS, create, definition, get, peer};
use super::{Options, Server, working};
use crate::conversion::Convert;
use crate::store::{
    Answer, Commit, Committed, Entry, MemoryStore, Range, RangeRequest, Store, StoreError, Watch,
};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A store whose disk waits to be let, and may then be full.
#[derive(Debug)]
struct Slow {
    memory: MemoryStore,
    /// Commits that have come.
    begun: Semaphore,
    /// Commits that may go on.
    allowed: Semaphore,
    is_full: bool,
}

impl Slow {
    async fn hold(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.begun.add_permits(1);
        self.allowed.acquire().await.expect("it is never closed").forget();
        let is_service = commit.changes.iter().any(|change| change.key.contains("services"));
        if self.is_full && is_service {
            return Err(StoreError::NoSpace { reason: "no space left on device".into() });
        }
        self.memory.commit(commit).await
    }
}

impl Store for Slow {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        self.memory.get(key)
    }

    fn range<'a>(&'a self, request: RangeRequest<'a>) -> Answer<'a, Range> {
        self.memory.range(request)
    }

    fn commit(&self, commit: Commit) -> Answer<'_, Committed> {
        Box::pin(self.hold(commit))
    }

    fn watch<'a>(&'a self, prefix: &'a str, since: u64) -> Answer<'a, Watch> {
        self.memory.watch(prefix, since)
    }
}

fn service(name: &str, cluster_ip: Option<&Value>) -> Value {
    let mut service = json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
    if let Some(address) = cluster_ip {
        service["spec"]["clusterIP"] = address.clone();
    }
    service
}

fn post(path: &str, object: &Value) -> Request<Body> {
    let request = Request::builder().method(Method::POST).uri(path);
    request.header("content-type", "application/json").body(Body::from(object.to_string())).unwrap()
}

/// A server with as many commits let through as it needs to begin, and the store behind it.
async fn slow_server(is_full: bool) -> (Arc<Server>, Arc<Slow>) {
    let allowed = Semaphore::new(Semaphore::MAX_PERMITS);
    let store = Arc::new(Slow { memory: MemoryStore::new(), begun: Semaphore::new(0), allowed, is_full });
    let server = Server::open(Arc::clone(&store) as Arc<dyn Store>).await.unwrap();
    store.allowed.forget_permits(Semaphore::MAX_PERMITS);
    store.begun.forget_permits(Semaphore::MAX_PERMITS);
    (server, store)
}

/// Begins to create an object and is gone when the store has been asked to keep it.
async fn create_and_leave(server: &Arc<Server>, store: &Slow, object: &Value) {
    let mut answer = pin!(server.router().oneshot(post(SERVICES, object)));
    assert!(answer.as_mut().now_or_never().is_none());
    store.begun.acquire().await.unwrap().forget();
}

#[tokio::test]
async fn a_client_that_leaves_during_its_write_takes_no_address_with_it() {
    let (server, store) = slow_server(false).await;
    create_and_leave(&server, &store, &service("a", None)).await;
    store.allowed.add_permits(Semaphore::MAX_PERMITS / 2);
    let path = format!("{SERVICES}/a");
    let kept = async {
        loop {
            if let (200, service) = get(&server, &path).await {
                return service;
            }
            tokio::task::yield_now().await;
        }
    };
    let kept =
        tokio::time::timeout(Duration::from_secs(10), kept).await.expect("the write is made to its end");
    let address = &kept["spec"]["clusterIP"];
    let (code, refused) = create(&server, SERVICES, service("b", Some(address))).await;
    assert_eq!(code, 422, "{refused}");
    assert!(refused["message"].as_str().unwrap().ends_with("provided IP is already allocated"), "{refused}");
}

#[tokio::test]
async fn a_write_that_fails_after_its_client_left_gives_its_address_back() {
    let (server, store) = slow_server(true).await;
    let wanted = json!("10.96.7.7");
    create_and_leave(&server, &store, &service("a", Some(&wanted))).await;
    store.allowed.add_permits(Semaphore::MAX_PERMITS / 2);
    let answered = async {
        loop {
            let (code, answer) = create(&server, SERVICES, service("b", Some(&wanted))).await;
            if code != 422 {
                return (code, answer);
            }
            tokio::task::yield_now().await;
        }
    };
    let (code, answer) =
        tokio::time::timeout(Duration::from_secs(10), answered).await.expect("the address is free again");
    assert_eq!(code, 507, "{answer}");
}

/// A conversion of the embedding program that has a fault.
#[derive(Debug)]
struct Faulty;

impl Convert for Faulty {
    fn convert(&self, object: &Value, _: &str) -> Result<Value, String> {
        assert_ne!(object["spec"]["asn"], 13, "a fault");
        Ok(object.clone())
    }
}

#[tokio::test]
async fn a_panic_is_answered_counted_and_harms_nobody_else() {
    let kind = ("example.com".to_owned(), "Peer".to_owned());
    let conversions = BTreeMap::from([(kind, Arc::new(Faulty) as Arc<dyn Convert>)]);
    let options = Options { conversions, ..Options::default() };
    let server = Server::open_with(Arc::new(MemoryStore::new()), options).await.unwrap();
    let mut definition = definition();
    let mut second = definition["spec"]["versions"][0].clone();
    (second["name"], second["storage"]) = ("v2".into(), false.into());
    definition["spec"]["versions"].as_array_mut().unwrap().push(second);
    assert_eq!(create(&server, DEFINITIONS, definition).await.0, 201);

    let before = working::panics();
    let new = |name: &str, asn: u32| {
        let mut peer = peer(name, &json!({"asn": asn}));
        peer["apiVersion"] = "example.com/v2".into();
        peer
    };
    let (code, refused) = create(&server, &PEERS.replace("v1", "v2"), new("a", 13)).await;
    let message = "This request caused apiserver to panic. Look in the logs for details.";
    assert_eq!((code, &refused["reason"]), (500, &json!("InternalError")), "{refused}");
    assert_eq!(refused["message"], message);
    assert_eq!(working::panics(), before + 1);
    assert_eq!(get(&server, &format!("{PEERS}/a")).await.0, 404);

    // Kept as it is, and then not to be read in the other version.
    assert_eq!(create(&server, PEERS, peer("b", &json!({"asn": 13}))).await.0, 201);
    let (code, refused) = get(&server, &format!("{}/b", PEERS.replace("v1", "v2"))).await;
    assert_eq!((code, &refused["message"]), (500, &json!(message)));
    assert_eq!(working::panics(), before + 2);
    assert_eq!(create(&server, PEERS, peer("c", &json!({"asn": 14}))).await.0, 201);
}
