use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::Server;
use crate::store::MemoryStore;

pub(super) const PEERS: &str = "/apis/example.com/v1/namespaces/default/peers";

pub(super) async fn server() -> Arc<Server> {
    let server = Server::open(Arc::new(MemoryStore::new())).await.unwrap();
    let (code, definition) = ask(
        &server,
        Method::POST,
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "",
        Some(definition()),
    )
    .await;
    assert_eq!((code, &definition["status"]["storedVersions"]), (201, &json!(["v1"])), "{definition}");
    server
}

pub(super) fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "peers.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "peers", "kind": "Peer", "shortNames": ["pr"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "ASN", "type": "integer", "jsonPath": ".spec.asn"}],
                "schema": {"openAPIV3Schema": {
                    "type": "object", "required": ["spec"],
                    "properties": {
                        "spec": {
                            "type": "object", "required": ["asn"],
                            "properties": {
                                "asn": {"type": "integer", "minimum": 1}, "port": {"type": "integer", "default": 179},
                                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                            },
                        },
                        "status": {"type": "object", "properties": {"state": {"type": "string"}}},
                    },
                }},
            }],
        },
    })
}

pub(super) fn peer(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Peer", "metadata": {"name": name}, "spec": spec})
}

pub(super) async fn ask(
    server: &Arc<Server>,
    method: Method,
    path: &str,
    media: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
    let request =
        Request::builder().method(method).uri(path).header("content-type", media).body(body).unwrap();
    let response = server.router().oneshot(request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap();
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

pub(super) async fn get(server: &Arc<Server>, path: &str) -> (u16, Value) {
    ask(server, Method::GET, path, "", None).await
}

pub(super) async fn create(server: &Arc<Server>, path: &str, object: Value) -> (u16, Value) {
    ask(server, Method::POST, path, "application/json", Some(object)).await
}

#[tokio::test]
async fn an_object_is_created_with_its_defaults_and_read_back() {
    let server = server().await;
    let (code, created) = create(&server, PEERS, peer("a", &json!({"asn": 64512}))).await;
    assert_eq!(code, 201, "{created}");
    assert_eq!(created["spec"], json!({"asn": 64512, "port": 179}));
    let metadata = &created["metadata"];
    assert_eq!((&metadata["namespace"], &metadata["generation"]), (&json!("default"), &json!(1)));
    assert!(metadata["uid"].as_str().unwrap().len() == 36 && metadata["creationTimestamp"].is_string());
    assert_eq!(metadata["managedFields"][0]["operation"], "Update");
    assert_eq!(get(&server, &format!("{PEERS}/a")).await, (200, created.clone()));

    let (code, refused) = create(&server, PEERS, peer("a", &json!({"asn": 1}))).await;
    assert_eq!((code, &refused["message"]), (409, &json!("peers.example.com \"a\" already exists")));
    let (code, refused) = create(&server, PEERS, peer("b", &json!({"asn": 0}))).await;
    assert_eq!(code, 422);
    assert_eq!(
        refused["message"],
        "Peer.example.com \"b\" is invalid: spec.asn: Invalid value: 0: spec.asn in body should be greater than or equal to 1"
    );
    let (code, missing) = get(&server, &format!("{PEERS}/b")).await;
    assert_eq!((code, &missing["message"]), (404, &json!("peers.example.com \"b\" not found")));
}

#[tokio::test]
async fn names_are_generated_and_unknown_fields_are_pruned_or_refused() {
    let server = server().await;
    let mut nameless = peer("", &json!({"asn": 1, "color": "red"}));
    nameless["metadata"] = json!({"generateName": "p-"});
    let (code, created) = create(&server, PEERS, nameless.clone()).await;
    assert_eq!((code, &created["spec"]["color"]), (201, &Value::Null));
    assert!(created["metadata"]["name"].as_str().unwrap().starts_with("p-"));
    let (code, refused) = create(&server, &format!("{PEERS}?fieldValidation=Strict"), nameless).await;
    assert_eq!(code, 400);
    let expected = "Peer in version \"v1\" cannot be handled as a Peer: strict decoding error: unknown field \"spec.color\"";
    assert_eq!(refused["message"], expected);
}

#[tokio::test]
async fn an_update_needs_the_latest_version_and_a_no_op_changes_nothing() {
    let server = server().await;
    let (_, created) = create(&server, PEERS, peer("a", &json!({"asn": 1}))).await;
    let path = format!("{PEERS}/a");
    let (code, same) = ask(&server, Method::PUT, &path, "", Some(created.clone())).await;
    assert_eq!((code, &same["metadata"]["resourceVersion"]), (200, &created["metadata"]["resourceVersion"]));

    let mut changed = created.clone();
    changed["spec"]["asn"] = 2.into();
    let (code, updated) = ask(&server, Method::PUT, &path, "", Some(changed.clone())).await;
    assert_eq!((code, &updated["metadata"]["generation"]), (200, &json!(2)));
    let (code, refused) = ask(&server, Method::PUT, &path, "", Some(changed)).await;
    assert_eq!(code, 409);
    assert_eq!(
        refused["message"],
        "Operation cannot be fulfilled on peers.example.com \"a\": the object has been modified; please apply your changes to \
         the latest version and try again"
    );
}

#[tokio::test]
async fn the_status_has_an_endpoint_of_its_own() {
    let server = server().await;
    let mut object = peer("a", &json!({"asn": 1}));
    object["status"] = json!({"state": "up"});
    let (_, created) = create(&server, PEERS, object).await;
    assert_eq!(created["status"], Value::Null, "a status is not for creating");
    let patch = json!({"spec": {"asn": 9}, "status": {"state": "up"}});
    let path = format!("{PEERS}/a/status");
    let (code, patched) =
        ask(&server, Method::PATCH, &path, "application/merge-patch+json", Some(patch)).await;
    assert_eq!(code, 200, "{patched}");
    assert_eq!((&patched["status"]["state"], &patched["spec"]["asn"]), (&json!("up"), &json!(1)));
    assert_eq!(patched["metadata"]["generation"], 1);
}

#[tokio::test]
async fn what_is_applied_is_owned_and_conflicts_are_named() {
    let server = server().await;
    let apply = |manager: &str, spec: Value| {
        let (server, path) = (Arc::clone(&server), format!("{PEERS}/a?fieldManager={manager}"));
        async move {
            ask(&server, Method::PATCH, &path, "application/apply-patch+yaml", Some(peer("a", &spec))).await
        }
    };
    let (code, created) = apply("one", json!({"asn": 1, "tags": ["x"]})).await;
    assert_eq!(
        (code, &created["metadata"]["managedFields"][0]["manager"]),
        (201, &json!("one")),
        "{created}"
    );
    let (code, shared) = apply("two", json!({"asn": 1, "tags": ["y"]})).await;
    assert_eq!((code, &shared["spec"]["tags"]), (200, &json!(["x", "y"])), "{shared}");
    let (code, refused) = apply("two", json!({"asn": 2})).await;
    assert_eq!(code, 409);
    assert_eq!(refused["message"], "Apply failed with 1 conflict: conflict with \"one\": .spec.asn");
    let (code, left) = apply("two", json!({"asn": 1})).await;
    assert_eq!((code, &left["spec"]["tags"]), (200, &json!(["x"])));

    let mut with_status = peer("a", &json!({"asn": 1}));
    with_status["status"] = json!({"state": "up"});
    let path = format!("{PEERS}/a/status?fieldManager=prober&force=true");
    let media = "application/apply-patch+yaml";
    let (code, reported) = ask(&server, Method::PATCH, &path, media, Some(with_status)).await;
    assert_eq!((code, &reported["status"]["state"]), (200, &json!("up")), "{reported}");
    let managers = reported["metadata"]["managedFields"].as_array().unwrap();
    let prober = managers.iter().find(|it| it["manager"] == "prober").unwrap();
    assert_eq!(
        (&prober["subresource"], &prober["fieldsV1"]),
        (&json!("status"), &json!({"f:status": {"f:state": {}}}))
    );
}

#[tokio::test]
async fn lists_are_filtered_and_paged_as_of_one_revision() {
    let server = server().await;
    for index in 0..5 {
        let mut object = peer(&format!("p{index}"), &json!({"asn": index + 1}));
        object["metadata"]["labels"] = json!({"parity": if index % 2 == 0 { "even" } else { "odd" }});
        assert_eq!(create(&server, PEERS, object).await.0, 201);
    }
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let (_, all) = get(&server, "/apis/example.com/v1/peers").await;
    assert_eq!((names(&all).len(), &all["kind"]), (5, &json!("PeerList")));
    let (_, odd) = get(&server, &format!("{PEERS}?labelSelector=parity%3Dodd")).await;
    assert_eq!(names(&odd), ["p1", "p3"]);
    let (_, one) = get(&server, &format!("{PEERS}?fieldSelector=metadata.name%3Dp2")).await;
    assert_eq!(names(&one), ["p2"]);

    let (_, first) = get(&server, &format!("{PEERS}?limit=2")).await;
    assert_eq!(
        (names(&first), &first["metadata"]["remainingItemCount"]),
        (vec!["p0".into(), "p1".into()], &json!(3))
    );
    assert_eq!(ask(&server, Method::DELETE, &format!("{PEERS}/p3"), "", None).await.0, 200);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = get(&server, &format!("{PEERS}?limit=9&continue={token}")).await;
    assert_eq!(names(&rest), ["p2", "p3", "p4"], "a page is as of the revision of the first");
    assert_eq!(rest["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let (code, refused) = get(&server, &format!("{PEERS}?labelSelector=a%20b")).await;
    assert_eq!((code, &refused["reason"]), (400, &json!("BadRequest")));
}

#[tokio::test]
async fn a_watcher_sees_objects_come_into_its_selection_and_leave_it() {
    let server = server().await;
    let (_, list) = get(&server, PEERS).await;
    let since = list["metadata"]["resourceVersion"].as_str().unwrap();
    let uri = format!("{PEERS}?watch=true&labelSelector=seen&resourceVersion={since}&timeoutSeconds=20");
    let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
    let mut lines = server.router().oneshot(request).await.unwrap().into_body().into_data_stream();
    assert_eq!(create(&server, PEERS, peer("a", &json!({"asn": 1}))).await.0, 201);
    for labels in [json!({"seen": "yes"}), json!({"seen": "still"}), json!({"seen": null})] {
        let patch = json!({"metadata": {"labels": labels}});
        let path = format!("{PEERS}/a");
        assert_eq!(
            ask(&server, Method::PATCH, &path, "application/merge-patch+json", Some(patch)).await.0,
            200
        );
    }
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let bytes = lines.next().await.unwrap().unwrap();
        let events = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        seen.extend(
            events.map(|line| {
                serde_json::from_slice::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned()
            }),
        );
    }
    assert_eq!(seen, ["ADDED", "MODIFIED", "DELETED"]);
}

#[tokio::test]
async fn a_finalizer_holds_an_object_until_it_is_taken_away() {
    let server = server().await;
    let mut object = peer("a", &json!({"asn": 1}));
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    assert_eq!(create(&server, PEERS, object).await.0, 201);
    let path = format!("{PEERS}/a");
    let (code, held) = ask(&server, Method::DELETE, &path, "", None).await;
    assert_eq!(code, 200);
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(get(&server, &path).await.0, 200);
    let release = json!({"metadata": {"finalizers": null}});
    assert_eq!(
        ask(&server, Method::PATCH, &path, "application/merge-patch+json", Some(release)).await.0,
        200
    );
    assert_eq!(get(&server, &path).await.0, 404);
}

#[tokio::test]
async fn what_is_defined_is_discovered_and_shown_as_a_table() {
    let server = server().await;
    let (_, groups) = get(&server, "/apis/example.com").await;
    assert_eq!(groups["preferredVersion"]["groupVersion"], "example.com/v1");
    let (_, resources) = get(&server, "/apis/example.com/v1").await;
    assert_eq!(resources["resources"][1]["name"], "peers/status");
    create(&server, PEERS, peer("a", &json!({"asn": 7}))).await;
    let request =
        Request::builder().uri(PEERS).header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let response = server.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let table: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(table["rows"][0]["cells"], json!(["a", 7]));
    assert_eq!(get(&server, "/apis/example.com/v2/peers").await.0, 404);

    let (_, index) = get(&server, "/openapi/v3").await;
    let url = index["paths"]["apis/example.com/v1"]["serverRelativeURL"].as_str().unwrap();
    let (code, document) = get(&server, url).await;
    assert_eq!(code, 200);
    let peer = &document["components"]["schemas"]["com.example.v1.Peer"]["properties"]["spec"];
    assert_eq!(peer["properties"]["asn"]["minimum"], 1);
    assert_eq!(get(&server, "/openapi/v3/apis/other/v1").await.0, 404);
}

#[tokio::test]
async fn a_server_over_the_same_store_serves_the_same() {
    let store = Arc::new(MemoryStore::new());
    let first = Server::open(store.clone()).await.unwrap();
    create(&first, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition()).await;
    create(&first, PEERS, peer("a", &json!({"asn": 7}))).await;
    let second = Server::open(store).await.unwrap();
    assert_eq!(get(&second, &format!("{PEERS}/a")).await.1["spec"]["asn"], 7);
}

#[tokio::test]
async fn a_collection_is_deleted_by_its_selectors() {
    let server = server().await;
    for (name, team) in [("a", "red"), ("b", "blue"), ("c", "red")] {
        let mut object = peer(name, &json!({"asn": 1}));
        object["metadata"]["labels"] = json!({"team": team});
        assert_eq!(create(&server, PEERS, object).await.0, 201);
    }
    let path = format!("{PEERS}?labelSelector=team%3Dred");
    let (code, list) = ask(&server, Method::DELETE, &path, "", None).await;
    assert_eq!((code, list["items"].as_array().unwrap().len()), (200, 2));
    let (_, left) = get(&server, PEERS).await;
    assert_eq!(left["items"][0]["metadata"]["name"], "b");
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn with_a_definition_go_the_objects_that_it_defined() {
    let server = server().await;
    create(&server, PEERS, peer("a", &json!({"asn": 1}))).await;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (code, status) = ask(&server, Method::DELETE, &format!("{path}/peers.example.com"), "", None).await;
    assert_eq!(
        (code, &status["status"]["conditions"][2]["reason"]),
        (200, &json!("InstanceDeletionPending"))
    );
    assert_eq!(get(&server, PEERS).await.0, 404);
    assert_eq!(create(&server, path, definition()).await.0, 201);
    assert_eq!(get(&server, PEERS).await.1["items"], json!([]));
}
