//! Definitions as clients see them: what the answers say, and what is served afterwards.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::Server;
use super::tests::{PEERS, ask, create, definition, get, peer, server};
use crate::store::MemoryStore;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const PEERS_DEFINITION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/peers.example.com";
const MERGE: &str = "application/merge-patch+json";

async fn patch(server: &Arc<Server>, path: &str, body: Value) -> (u16, Value) {
    ask(server, Method::PATCH, path, MERGE, Some(body)).await
}

async fn delete(server: &Arc<Server>, path: &str) -> (u16, Value) {
    ask(server, Method::DELETE, path, "", None).await
}

fn condition<'a>(definition: &'a Value, kind: &str) -> &'a Value {
    crate::definition::condition(definition, kind).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn a_definition_is_answered_before_its_names_are_looked_at_and_established_right_after() {
    let server = Server::open(Arc::new(MemoryStore::new())).await.unwrap();
    let (code, created) = create(&server, DEFINITIONS, definition()).await;
    assert_eq!(code, 201, "{created}");
    assert_eq!(
        created["status"],
        json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": null, "storedVersions": ["v1"]})
    );
    let (_, read) = get(&server, PEERS_DEFINITION).await;
    for kind in ["NamesAccepted", "Established"] {
        assert_eq!(condition(&read, kind)["status"], "True", "{read}");
    }
    let mut managers = read["metadata"]["managedFields"].as_array().unwrap().iter();
    assert!(managers.any(|it| it["manager"] == "kube-apiserver" && it["subresource"] == "status"), "{read}");
    assert_eq!(get(&server, PEERS).await.0, 200);

    let mut broken = definition();
    broken["metadata"]["name"] = "a.example.com".into();
    broken["spec"]["scope"] = "Foo".into();
    let (code, refused) = create(&server, DEFINITIONS, broken).await;
    let causes: Vec<&Value> =
        refused["details"]["causes"].as_array().unwrap().iter().map(|cause| &cause["field"]).collect();
    assert_eq!((code, causes), (422, vec![&json!("metadata.name"), &json!("spec.scope")]));
}

#[tokio::test]
async fn a_change_is_served_at_once_and_ends_watches_of_what_was_served() {
    let server = server().await;
    let path = format!("{PEERS}?watch=1&resourceVersion=1");
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let watch = server.router().oneshot(request).await.unwrap().into_body().into_data_stream();
    create(&server, PEERS, peer("a", &json!({"asn": 1}))).await;
    let change = json!([
        {"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/port/default", "value": 1790},
    ]);
    let (code, changed) =
        ask(&server, Method::PATCH, PEERS_DEFINITION, "application/json-patch+json", Some(change)).await;
    assert_eq!((code, &changed["metadata"]["generation"]), (200, &json!(2)), "{changed}");
    let (_, created) = create(&server, PEERS, peer("b", &json!({"asn": 1}))).await;
    assert_eq!(created["spec"]["port"], 1790);
    let lines: Vec<String> =
        watch.map(|line| String::from_utf8(line.unwrap().to_vec()).unwrap()).collect().await;
    let all = lines.concat();
    assert!(all.contains(r#""type":"ADDED""#) && all.contains(r#""name":"a""#), "{all}");
}

#[tokio::test]
async fn a_name_that_is_taken_is_given_when_its_owner_goes() {
    let server = server().await;
    let mut other = definition();
    other["metadata"]["name"] = "others.example.com".into();
    other["spec"]["names"] =
        json!({"plural": "others", "kind": "Peer", "listKind": "OtherList", "singular": "other"});
    assert_eq!(create(&server, DEFINITIONS, other).await.0, 201);
    let path = format!("{DEFINITIONS}/others.example.com");
    let (_, lost) = get(&server, &path).await;
    assert_eq!(condition(&lost, "NamesAccepted")["reason"], "KindConflict");
    assert_eq!(condition(&lost, "Established")["reason"], "NotAccepted");
    let others = PEERS.replace("peers", "others");
    assert_eq!(get(&server, &others).await.0, 404);
    delete(&server, PEERS_DEFINITION).await;
    let (_, won) = get(&server, &path).await;
    assert_eq!(condition(&won, "Established")["status"], "True", "{won}");
    assert_eq!(get(&server, &others).await.0, 200);
}

#[tokio::test]
async fn a_definition_goes_when_the_last_of_its_objects_has_gone() {
    let server = server().await;
    create(&server, PEERS, peer("a", &json!({"asn": 1}))).await;
    let mut held = peer("held", &json!({"asn": 1}));
    held["metadata"]["finalizers"] = json!(["example.com/wait"]);
    create(&server, PEERS, held).await;
    let (code, deleted) = delete(&server, PEERS_DEFINITION).await;
    assert_eq!(
        (code, &deleted["metadata"]["finalizers"][0]),
        (200, &json!(crate::definition::CLEANUP_FINALIZER))
    );
    let (_, going) = get(&server, PEERS_DEFINITION).await;
    assert_eq!(condition(&going, "Terminating")["reason"], "InstanceDeletionInProgress");
    assert_eq!(get(&server, &format!("{PEERS}/a")).await.0, 404);
    let (_, waiting) = get(&server, &format!("{PEERS}/held")).await;
    assert!(waiting["metadata"]["deletionTimestamp"].is_string());

    let (code, refused) = create(&server, PEERS, peer("b", &json!({"asn": 1}))).await;
    let forbidden = "peers.example.com \"b\" is forbidden: create not allowed while custom resource definition is terminating";
    assert_eq!((code, &refused["message"]), (403, &json!(forbidden)));

    let released = json!({"metadata": {"finalizers": null}});
    assert_eq!(patch(&server, &format!("{PEERS}/held"), released).await.0, 200);
    assert_eq!(get(&server, PEERS_DEFINITION).await.0, 404);
    assert_eq!(get(&server, PEERS).await.0, 404);
}

#[tokio::test]
async fn what_a_server_was_doing_is_finished_by_the_next_one() {
    let store = Arc::new(MemoryStore::new());
    let server = Server::open(store.clone()).await.unwrap();
    create(&server, DEFINITIONS, definition()).await;
    create(&server, PEERS, peer("a", &json!({"asn": 1}))).await;
    let (_, mut unsettled) = get(&server, PEERS_DEFINITION).await;
    unsettled["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    unsettled["metadata"]["finalizers"] = json!([crate::definition::CLEANUP_FINALIZER]);
    crate::definition::set_condition(
        &mut unsettled,
        "Terminating",
        "True",
        "InstanceDeletionPending",
        "",
        "",
    );
    let key = "/objects/apiextensions.k8s.io/customresourcedefinitions//peers.example.com";
    let commit = crate::store::Commit::put(key, crate::store::Require::Nothing, unsettled.to_string());
    crate::store::Store::commit(&*store, commit).await.unwrap();
    let next = Server::open(store).await.unwrap();
    assert_eq!(get(&next, PEERS_DEFINITION).await.0, 404);
    assert_eq!(create(&next, DEFINITIONS, definition()).await.0, 201);
    assert_eq!(get(&next, PEERS).await.1["items"], json!([]));
}

#[tokio::test]
async fn stored_versions_are_kept_until_somebody_says_that_nothing_is_stored_in_them() {
    let server = server().await;
    let (_, mut two) = get(&server, PEERS_DEFINITION).await;
    let mut second = two["spec"]["versions"][0].clone();
    second["name"] = "v2".into();
    two["spec"]["versions"][0]["storage"] = false.into();
    let first = two["spec"]["versions"][0].clone();
    two["spec"]["versions"] = json!([first, second]);
    let (code, changed) = ask(&server, Method::PUT, PEERS_DEFINITION, "application/json", Some(two)).await;
    assert_eq!((code, &changed["status"]["storedVersions"]), (200, &json!(["v1", "v2"])), "{changed}");
    let only_second = json!({"spec": {"versions": [second]}});
    let (code, refused) = patch(&server, PEERS_DEFINITION, only_second.clone()).await;
    assert_eq!((code, &refused["details"]["causes"][0]["field"]), (422, &json!("status.storedVersions[0]")));
    let status = json!({"status": {"storedVersions": ["v2"]}});
    let (code, changed) = patch(&server, &format!("{PEERS_DEFINITION}/status"), status).await;
    assert_eq!((code, &changed["status"]["storedVersions"]), (200, &json!(["v2"])));
    assert_eq!(patch(&server, PEERS_DEFINITION, only_second).await.0, 200);
    assert_eq!(get(&server, PEERS).await.0, 404);
    assert_eq!(get(&server, &PEERS.replace("v1", "v2")).await.0, 200);
}

#[tokio::test]
async fn a_scale_is_a_view_of_the_object_that_is_scaled() {
    let server = Server::open(Arc::new(MemoryStore::new())).await.unwrap();
    let mut scaled = definition();
    let version = &mut scaled["spec"]["versions"][0];
    version["subresources"] = json!({"status": {}, "scale": {
        "specReplicasPath": ".spec.asn", "statusReplicasPath": ".status.count", "labelSelectorPath": ".status.state",
    }});
    version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["count"] =
        json!({"type": "integer"});
    assert_eq!(create(&server, DEFINITIONS, scaled).await.0, 201);
    create(&server, PEERS, peer("a", &json!({"asn": 3}))).await;
    let status = json!({"status": {"count": 2, "state": "app=a"}});
    assert_eq!(patch(&server, &format!("{PEERS}/a/status"), status).await.0, 200);
    let path = format!("{PEERS}/a/scale");
    let (code, mut scale) = get(&server, &path).await;
    assert_eq!(
        (code, &scale["kind"], &scale["spec"]),
        (200, &json!("Scale"), &json!({"replicas": 3})),
        "{scale}"
    );
    assert_eq!(scale["status"], json!({"replicas": 2, "selector": "app=a"}));

    let (code, patched) = patch(&server, &path, json!({"spec": {"replicas": 5}})).await;
    assert_eq!((code, &patched["spec"]["replicas"]), (200, &json!(5)), "{patched}");
    let (_, object) = get(&server, &format!("{PEERS}/a")).await;
    assert_eq!((&object["spec"]["asn"], &object["metadata"]["generation"]), (&json!(5), &json!(2)));
    let mut managers = object["metadata"]["managedFields"].as_array().unwrap().iter();
    assert!(managers.any(|it| it["subresource"] == "scale" && it["fieldsV1"]["f:spec"]["f:asn"].is_object()));

    scale["spec"]["replicas"] = 7.into();
    let (code, refused) = ask(&server, Method::PUT, &path, "application/json", Some(scale.clone())).await;
    assert_eq!((code, &refused["reason"]), (409, &json!("Conflict")), "the version is an old one: {refused}");
    scale["metadata"]["resourceVersion"].take();
    assert_eq!(ask(&server, Method::PUT, &path, "application/json", Some(scale.clone())).await.0, 200);
    scale["spec"]["replicas"] = (-1).into();
    let (code, refused) = ask(&server, Method::PUT, &path, "application/json", Some(scale)).await;
    assert_eq!(code, 422, "{refused}");
}

#[tokio::test]
async fn built_in_kinds_are_scaled_alike() {
    let server = Server::open(Arc::new(MemoryStore::new())).await.unwrap();
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {
            "replicas": 2, "selector": {
                "matchLabels": {"b": "1"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["y", "x"]}],
            },
            "template": {"metadata": {"labels": {"b": "1", "a": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    });
    assert_eq!(create(&server, deployments, deployment).await.0, 201);
    let path = format!("{deployments}/a/scale");
    let (_, scale) = get(&server, &path).await;
    assert_eq!(
        (&scale["spec"]["replicas"], &scale["status"]["selector"]),
        (&json!(2), &json!("a in (x,y),b=1")),
        "{scale}"
    );
    let (code, refused) = patch(&server, &path, json!({"spec": {"replicas": -1}})).await;
    let message = "Scale.autoscaling \"a\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0";
    assert_eq!((code, &refused["message"]), (422, &json!(message)));
    let apply = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}, "spec": {"replicas": 4}});
    let path = format!("{path}?fieldManager=x&force=true");
    let (code, applied) =
        ask(&server, Method::PATCH, &path, "application/apply-patch+yaml", Some(apply)).await;
    assert_eq!((code, &applied["spec"]["replicas"]), (200, &json!(4)), "{applied}");
}

#[tokio::test]
async fn objects_are_selected_by_the_fields_that_their_definition_names() {
    let server = Server::open(Arc::new(MemoryStore::new())).await.unwrap();
    let mut selectable = definition();
    selectable["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": ".spec.asn"}]);
    assert_eq!(create(&server, DEFINITIONS, selectable).await.0, 201);
    for (name, asn) in [("a", 1), ("b", 2)] {
        create(&server, PEERS, peer(name, &json!({"asn": asn}))).await;
    }
    let (_, list) = get(&server, &format!("{PEERS}?fieldSelector=spec.asn%3D2")).await;
    let names: Vec<&Value> =
        list["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, [&json!("b")]);
    assert_eq!(get(&server, &format!("{PEERS}?fieldSelector=spec.port%3D2")).await.0, 400);
}

#[tokio::test]
async fn formats_that_nobody_knows_are_warned_of() {
    let server = Server::open(Arc::new(MemoryStore::new())).await.unwrap();
    let mut definition = definition();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["state"]
        ["format"] = "ninth".into();
    let request = Request::post(DEFINITIONS).header("content-type", "application/json");
    let request = request.body(Body::from(definition.to_string())).unwrap();
    let response = server.router().oneshot(request).await.unwrap();
    let warnings: Vec<&str> =
        response.headers().get_all("warning").iter().filter_map(|it| it.to_str().ok()).collect();
    assert_eq!(
        (response.status().as_u16(), warnings),
        (201, vec![r#"299 - "unrecognized format \"ninth\"""#])
    );
}

#[tokio::test]
async fn a_document_stays_the_same_until_something_else_is_served() {
    let server = Server::open(Arc::new(MemoryStore::new())).await.unwrap();
    let read = |tag: Option<String>, path: &'static str| {
        let server = Arc::clone(&server);
        async move {
            let request = Request::get(path).header("if-none-match", tag.unwrap_or_default());
            let response = server.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let tag = response.headers()["etag"].to_str().unwrap().to_owned();
            (response.status().as_u16(), tag)
        }
    };
    let path = "/openapi/v2";
    let (code, tag) = read(None, path).await;
    assert_eq!((code, read(Some(tag.clone()), path).await), (200, (304, tag.clone())));
    create(&server, DEFINITIONS, definition()).await;
    let (code, other) = read(Some(tag.clone()), path).await;
    assert_eq!(code, 200);
    assert_ne!(other, tag);
    let (code, _) = read(None, "/openapi/v3/api/v1?hash=other").await;
    assert_eq!(code, 301);
}
