//! One event, read and written through both of its groups.

use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};

use super::Server;
use super::tests::ask;
use crate::store::MemoryStore;

const OLD: &str = "/api/v1/namespaces/default/events";
const NEW: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

async fn names(server: &Arc<Server>, path: &str) -> Value {
    let (code, list) = ask(server, Method::GET, path, "", None).await;
    assert_eq!(code, 200, "{list}");
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].clone()).collect()
}

#[tokio::test]
async fn what_one_group_writes_the_other_reads() {
    let server = Server::open(Arc::new(MemoryStore::new())).await.unwrap();
    let event = json!({
        "metadata": {"name": "a"}, "regarding": {"kind": "Service", "namespace": "default", "name": "s"},
        "note": "text", "type": "Normal", "reason": "Because", "action": "Act",
        "reportingController": "example.com/c", "reportingInstance": "i", "eventTime": "2026-01-01T00:00:00.000000Z",
    });
    let (code, event) = ask(&server, Method::POST, NEW, "application/json", Some(event)).await;
    assert_eq!((code, &event["note"]), (201, &json!("text")), "{event}");

    let one = format!("{OLD}/a");
    let patch = json!({"message": "other", "count": 2});
    let (code, event) = ask(&server, Method::PATCH, &one, "application/merge-patch+json", Some(patch)).await;
    assert_eq!((code, &event["involvedObject"]["name"]), (200, &json!("s")), "{event}");
    let (_, event) = ask(&server, Method::GET, &format!("{NEW}/a"), "", None).await;
    assert_eq!((&event["note"], &event["deprecatedCount"]), (&json!("other"), &json!(2)), "{event}");
    assert_eq!((&event["apiVersion"], event.get("message")), (&json!("events.k8s.io/v1"), None), "{event}");

    for (path, expected) in [
        (format!("{OLD}?fieldSelector=involvedObject.name%3Ds,reason%3DBecause"), json!(["a"])),
        (format!("{OLD}?fieldSelector=source%3Dexample.com/c"), json!(["a"])),
        (format!("{OLD}?fieldSelector=reportingComponent%3Dother"), json!([])),
        (format!("{NEW}?fieldSelector=regarding.name%3Ds,type%3DNormal"), json!(["a"])),
        (format!("{NEW}?fieldSelector=regarding.kind!%3DService"), json!([])),
    ] {
        assert_eq!(names(&server, &path).await, expected, "{path}");
    }
    let path = format!("{NEW}?fieldSelector=involvedObject.name%3Ds");
    let (code, refusal) = ask(&server, Method::GET, &path, "", None).await;
    assert_eq!((code, &refusal["reason"]), (400, &json!("BadRequest")), "{refusal}");
}
