//! Objects that go because others have gone, as clients notice it.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::Server;
use super::tests::{ask, create, get};
use crate::store::MemoryStore;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEADLINE: Duration = Duration::from_secs(10);

async fn server() -> Arc<Server> {
    Server::open(Arc::new(MemoryStore::new())).await.unwrap()
}

fn map(name: &str, owners: &[&Value]) -> Value {
    let reference = |owner: &&Value| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true,
        })
    };
    let owners: Vec<Value> = owners.iter().map(reference).collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": owners}})
}

async fn made(server: &Arc<Server>, name: &str, owners: &[&Value]) -> Value {
    let (code, object) = create(server, MAPS, map(name, owners)).await;
    assert_eq!(code, 201, "{object}");
    object
}

async fn delete(server: &Arc<Server>, path: &str) -> (u16, Value) {
    ask(server, Method::DELETE, path, "", None).await
}

/// Reads until what is there is as wanted; what is there at the end of patience otherwise.
async fn until(server: &Arc<Server>, path: &str, is_wanted: impl Fn(u16, &Value) -> bool) {
    let ends = Instant::now() + DEADLINE;
    loop {
        let (code, object) = get(server, path).await;
        if is_wanted(code, &object) {
            return;
        }
        assert!(Instant::now() < ends, "{path}: {code} {object}");
        sleep(Duration::from_millis(2)).await;
    }
}

async fn until_gone(server: &Arc<Server>, name: &str) {
    until(server, &format!("{MAPS}/{name}"), |code, _| code == 404).await;
}

#[tokio::test]
async fn what_is_owned_goes_with_the_last_of_its_owners() {
    let server = server().await;
    let (first, second) = (made(&server, "first", &[]).await, made(&server, "second", &[]).await);
    let child = made(&server, "child", &[&first, &second]).await;
    made(&server, "grandchild", &[&child]).await;
    delete(&server, &format!("{MAPS}/first")).await;
    until(&server, &format!("{MAPS}/child"), |_, object| {
        object["metadata"]["ownerReferences"].as_array().is_some_and(|owners| owners.len() == 1)
    })
    .await;
    delete(&server, &format!("{MAPS}/second")).await;
    until_gone(&server, "child").await;
    until_gone(&server, "grandchild").await;
}

#[tokio::test]
async fn what_names_an_owner_that_never_was_goes() {
    let server = server().await;
    let there = made(&server, "there", &[]).await;
    let never = json!({"metadata": {"name": "there", "uid": "00000000-0000-0000-0000-000000000000"}});
    made(&server, "stray", &[&never]).await;
    made(&server, "kept", &[&there]).await;
    until_gone(&server, "stray").await;
    assert_eq!(get(&server, &format!("{MAPS}/kept")).await.0, 200);
}

#[tokio::test]
async fn an_owner_that_is_deleted_in_the_foreground_goes_last() {
    let server = server().await;
    let owner = made(&server, "owner", &[]).await;
    let mut child = map("child", &[&owner]);
    child["metadata"]["finalizers"] = json!(["example.com/held"]);
    create(&server, MAPS, child).await;
    let (code, going) = delete(&server, &format!("{MAPS}/owner?propagationPolicy=Foreground")).await;
    assert_eq!((code, &going["metadata"]["finalizers"]), (200, &json!(["foregroundDeletion"])), "{going}");
    until(&server, &format!("{MAPS}/child"), |_, object| object["metadata"]["deletionTimestamp"].is_string())
        .await;
    assert_eq!(get(&server, &format!("{MAPS}/owner")).await.0, 200);
    let patch = json!({"metadata": {"finalizers": null}});
    let media = "application/merge-patch+json";
    ask(&server, Method::PATCH, &format!("{MAPS}/child"), media, Some(patch)).await;
    until_gone(&server, "child").await;
    until_gone(&server, "owner").await;
}

#[tokio::test]
async fn orphans_forget_their_owner() {
    let server = server().await;
    let owner = made(&server, "owner", &[]).await;
    made(&server, "child", &[&owner]).await;
    delete(&server, &format!("{MAPS}/owner?propagationPolicy=Orphan")).await;
    until_gone(&server, "owner").await;
    let (code, child) = get(&server, &format!("{MAPS}/child")).await;
    assert_eq!((code, &child["metadata"]["ownerReferences"]), (200, &Value::Null), "{child}");
}

#[tokio::test]
async fn a_namespace_takes_along_what_it_holds_and_waits_for_what_is_held() {
    let server = server().await;
    create(&server, "/api/v1/namespaces", json!({"metadata": {"name": "n"}})).await;
    let maps = "/api/v1/namespaces/n/configmaps";
    for name in ["a", "b"] {
        create(&server, maps, map(name, &[])).await;
    }
    let mut held = map("held", &[]);
    held["metadata"]["finalizers"] = json!(["example.com/held"]);
    create(&server, maps, held).await;
    let (code, going) = delete(&server, "/api/v1/namespaces/n").await;
    assert_eq!((code, &going["status"]["phase"]), (200, &json!("Terminating")));
    until(&server, "/api/v1/namespaces/n", |_, namespace| {
        let message = namespace["status"]["conditions"][1]["message"].as_str().unwrap_or_default();
        message.ends_with("finalizers remaining: example.com/held in 1 resource instances")
    })
    .await;
    let (code, refused) = create(&server, maps, map("late", &[])).await;
    assert_eq!((code, &refused["details"]["causes"][0]["reason"]), (403, &json!("NamespaceTerminating")));
    let patch = json!({"metadata": {"finalizers": null}});
    ask(&server, Method::PATCH, &format!("{maps}/held"), "application/merge-patch+json", Some(patch)).await;
    until(&server, "/api/v1/namespaces/n", |code, _| code == 404).await;
    assert_eq!(get(&server, "/api/v1/configmaps").await.1["items"], json!([]));
}
