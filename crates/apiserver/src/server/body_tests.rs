//! Bodies in and bodies out, through the router.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::Server;
use crate::store::MemoryStore;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

struct Answer {
    code: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    fn warnings(&self) -> Vec<&str> {
        self.headers.get_all(header::WARNING).iter().filter_map(|value| value.to_str().ok()).collect()
    }
}

async fn server() -> Arc<Server> {
    Server::open(Arc::new(MemoryStore::new())).await.unwrap()
}

/// Sends a body of a media type and asks for one.
async fn send(server: &Arc<Server>, path: &str, [content, accept]: [&str; 2], body: &[u8]) -> Answer {
    let method = if body.is_empty() { Method::GET } else { Method::POST };
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", content).header("accept", accept);
    answered(server, request.body(Body::from(body.to_vec())).unwrap()).await
}

async fn answered(server: &Arc<Server>, request: Request<Body>) -> Answer {
    let response = server.router().oneshot(request).await.unwrap();
    let (code, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap();
    Answer { code, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

/// A ConfigMap `name` with the data `k: v`, as clients of Go send it.
fn in_protobuf(name: &str) -> Vec<u8> {
    let field =
        |number: u8, bytes: &[u8]| [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let object =
        [field(1, &field(1, name.as_bytes())), field(2, &[field(1, b"k"), field(2, b"v")].concat())].concat();
    let kind = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
    [b"k8s\0", &field(1, &kind)[..], &field(2, &object)].concat()
}

#[tokio::test]
async fn a_body_is_json_or_yaml_or_protobuf() {
    let server = server().await;
    let json = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"json"},"data":{"k":"v"}}"#;
    let yaml = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  k: v\n";
    for (content, body) in [
        ("application/json; charset=utf-8", &json[..]),
        ("application/yaml", yaml),
        ("application/vnd.kubernetes.protobuf", &in_protobuf("protobuf")),
    ] {
        let accept = "application/vnd.kubernetes.protobuf,application/json";
        let answer = send(&server, CONFIG_MAPS, [content, accept], body).await;
        assert_eq!((answer.code, &answer.json()["data"]), (201, &json!({"k": "v"})), "{}", answer.text);
    }
    let answer = send(&server, CONFIG_MAPS, ["text/plain", ""], json).await;
    assert_eq!(answer.code, 415);
    assert_eq!(
        answer.json()["message"],
        "the body of the request was in an unknown format - accepted media types include: application/json, \
         application/yaml, application/vnd.kubernetes.protobuf"
    );
}

#[tokio::test]
async fn an_answer_is_what_is_accepted() {
    let server = server().await;
    send(&server, CONFIG_MAPS, ["application/vnd.kubernetes.protobuf", ""], &in_protobuf("a")).await;
    let path = format!("{CONFIG_MAPS}/a");
    let answer = send(&server, &path, ["", "application/yaml"], b"").await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/yaml");
    assert!(answer.text.contains("\ndata:\n  k: v\n"), "{}", answer.text);
    let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = send(&server, CONFIG_MAPS, ["", metadata], b"").await.json();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
    assert_eq!(list["items"][0].get("data"), None);
    let pretty = send(&server, &format!("{path}?pretty=true"), ["", ""], b"").await;
    assert!(pretty.text.contains("\n  \"kind\": \"ConfigMap\""), "{}", pretty.text);
    let answer = send(&server, &path, ["", "application/vnd.kubernetes.protobuf"], b"").await;
    assert_eq!((answer.code, &answer.json()["reason"]), (406, &json!("NotAcceptable")));
}

#[tokio::test]
async fn unknown_fields_are_refused_or_warned_of_or_neither() {
    let server = server().await;
    let body = br#"{"metadata":{"name":"a","nme":1},"data":{"k":"v","k":"w"}}"#;
    for (validation, code, warnings) in [
        ("Strict", 400, &[][..]),
        ("Ignore", 201, &[]),
        (
            "Warn",
            201,
            &[r#"299 - "unknown field \"metadata.nme\"""#, r#"299 - "duplicate field \"data.k\"""#],
        ),
    ] {
        let path = format!("{CONFIG_MAPS}?dryRun=All&fieldValidation={validation}");
        let answer = send(&server, &path, ["application/json", ""], body).await;
        assert_eq!((answer.code, &answer.warnings()[..]), (code, warnings), "{}", answer.text);
        if code == 400 {
            assert_eq!(
                answer.json()["message"],
                "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown \
                 field \"metadata.nme\", duplicate field \"data.k\""
            );
        }
    }
}

#[tokio::test]
async fn what_a_patch_makes_is_read_as_the_kind_it_is_of() {
    let server = server().await;
    send(&server, CONFIG_MAPS, ["application/vnd.kubernetes.protobuf", ""], &in_protobuf("a")).await;
    let path = format!("{CONFIG_MAPS}/a?fieldValidation=Strict");
    for (kind, body, code, message) in [
        ("merge", r#"{"data":{"k":"w"}}"#, 200, ""),
        ("merge", "{", 400, "error decoding patch: unexpected end of JSON input"),
        ("strategic-merge", "{", 400, "unexpected end of JSON input"),
        (
            "strategic-merge",
            r#"{"data":{"k":1}}"#,
            422,
            " \"\" is invalid: patch: Invalid value: \"map[data:map[k:1]]\": cannot convert int64 to string",
        ),
        (
            "strategic-merge",
            r#"{"x":[1,null],"y":1,"y":2}"#,
            422,
            " \"\" is invalid: patch: Invalid value: \"map[x:[1 <nil>] y:2]\": strict decoding error: duplicate field \
             \"y\", unknown field \"x\", unknown field \"y\"",
        ),
        (
            "merge",
            r#"{"metadata":{"name":"b"}}"#,
            400,
            "the name of the object (b) does not match the name on the URL (a)",
        ),
    ] {
        let media = format!("application/{kind}-patch+json");
        let answer = patch(&server, &path, &media, body).await;
        assert_eq!(answer.code, code, "{body}: {}", answer.text);
        if code != 200 {
            assert_eq!(answer.json()["message"], message, "{body}");
        }
    }
    let answer = patch(&server, &path, "application/merge-patch+json", r#"{"data":"x"}"#).await;
    let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
    let why = ": json: cannot unmarshal string into Go struct field ConfigMap.data of type map[string]string";
    assert!(answer.code == 422 && message.ends_with(why), "{message}");
}

async fn patch(server: &Arc<Server>, path: &str, media: &str, body: &str) -> Answer {
    let request = Request::builder().method(Method::PATCH).uri(path).header("content-type", media);
    answered(server, request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn too_long_a_body_is_refused() {
    let server = server().await;
    let body = vec![b' '; super::LIMITS.body_bytes + 1];
    let answer = send(&server, CONFIG_MAPS, ["application/json", ""], &body).await;
    assert_eq!((answer.code, &answer.json()["reason"]), (413, &json!("RequestEntityTooLarge")));
}
