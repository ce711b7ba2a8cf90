//! Webhooks as clients notice them, with a webhook in the same process on a socket of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::tests::{ask, create, definition, get};
use super::{Options, Server};
use crate::conversion::Convert;
use crate::store::MemoryStore;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// What a webhook answers to the request of a review, by the path that it is asked at.
type Behaviour = fn(&str, &Value) -> Value;

/// A webhook that listens on loopback until the test's runtime ends.
struct Hook {
    address: SocketAddr,
    bundle: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Hook {
    async fn start(behaviour: Behaviour) -> Hook {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = names.signed_by(&key, &authority).unwrap();
        let tls =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![certificate.der().clone()],
                    PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
                )
                .unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        let router = Router::new().fallback(move |uri: axum::http::Uri, body: bytes::Bytes| {
            let kept = Arc::clone(&kept);
            async move {
                let mut review: Value = serde_json::from_slice(&body).unwrap();
                kept.lock().unwrap().push(review.clone());
                let mut response = behaviour(uri.path(), &review["request"]);
                response["uid"] = review["request"]["uid"].clone();
                review["response"] = response;
                review.to_string()
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(socket).await else { return };
                    let service = TowerToHyperService::new(router);
                    let _ = Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Hook { address, bundle: STANDARD.encode(authority.pem()), asked }
    }

    fn client(&self, path: &str) -> Value {
        json!({"url": format!("https://{}{path}", self.address), "caBundle": self.bundle})
    }

    fn configuration(&self, kind: &str, path: &str, fields: &Value) -> Value {
        let mut webhook = json!({
            "name": "a.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": self.client(path), "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"],
            }],
        });
        for (field, value) in fields.as_object().into_iter().flatten() {
            webhook[field] = value.clone();
        }
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": "c"}, "webhooks": [webhook],
        })
    }
}

fn admission(path: &str, request: &Value) -> Value {
    let patch = |operations: Value| json!({"allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(operations.to_string())});
    match path {
        "/deny" => {
            json!({"allowed": false, "status": {"message": "no way", "code": 403, "reason": "Forbidden"}})
        }
        "/mark" => patch(json!([{"op": "add", "path": "/data/marked", "value": request["operation"]}])),
        "/seven" => patch(json!([{"op": "replace", "path": "/spec/replicas", "value": 7}])),
        "/count" => {
            let seen = request["object"]["data"].as_object().map_or(0, serde_json::Map::len);
            patch(json!([{"op": "add", "path": "/data/seen", "value": seen.to_string()}]))
        }
        _ => json!({"allowed": true, "warnings": ["careful"]}),
    }
}

async fn server() -> Arc<Server> {
    Server::open(Arc::new(MemoryStore::new())).await.unwrap()
}

async fn configure(server: &Arc<Server>, configuration: Value) {
    let plural = format!("{}s", configuration["kind"].as_str().unwrap().to_lowercase());
    let path = format!("{ADMISSION}/{plural}");
    ask(server, Method::DELETE, &format!("{path}/c"), "", None).await;
    let (code, created) = create(server, &path, configuration).await;
    assert_eq!(code, 201, "{created}");
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}})
}

#[tokio::test]
async fn a_webhook_that_judges_holds_from_the_moment_it_is_written() {
    let (server, hook) = (server().await, Hook::start(admission).await);
    assert_eq!(create(&server, CONFIG_MAPS, config_map("before")).await.0, 201);
    configure(&server, hook.configuration("ValidatingWebhookConfiguration", "/deny", &json!({}))).await;
    let (code, refused) = create(&server, CONFIG_MAPS, config_map("a")).await;
    let message = "admission webhook \"a.example.com\" denied the request: no way";
    assert_eq!((code, &refused["reason"], &refused["message"]), (403, &json!("Forbidden"), &json!(message)));
    let (code, _) = ask(&server, Method::DELETE, &format!("{CONFIG_MAPS}/before"), "", None).await;
    assert_eq!(code, 403);
    let asked = hook.asked.lock().unwrap().last().cloned().unwrap();
    assert_eq!(
        (&asked["request"]["operation"], &asked["request"]["object"]),
        (&json!("DELETE"), &Value::Null)
    );
    assert_eq!(asked["request"]["oldObject"]["metadata"]["name"], "before");
    assert_eq!(asked["request"]["userInfo"]["username"], "system:admin");

    let path = format!("{ADMISSION}/validatingwebhookconfigurations/c");
    assert_eq!(ask(&server, Method::DELETE, &path, "", None).await.0, 200);
    assert_eq!(create(&server, CONFIG_MAPS, config_map("a")).await.0, 201);
}

#[tokio::test]
async fn webhooks_that_change_see_what_others_changed_before_and_again_if_they_want() {
    let (server, hook) = (server().await, Hook::start(admission).await);
    let mut two = hook.configuration(
        "MutatingWebhookConfiguration",
        "/count",
        &json!({"reinvocationPolicy": "IfNeeded"}),
    );
    let second =
        hook.configuration("MutatingWebhookConfiguration", "/mark", &json!({"name": "b.example.com"}));
    two["webhooks"].as_array_mut().unwrap().push(second["webhooks"][0].clone());
    configure(&server, two).await;
    let (code, created) = create(&server, CONFIG_MAPS, config_map("a")).await;
    assert_eq!(code, 201, "{created}");
    assert_eq!(created["data"], json!({"a": "b", "seen": "3", "marked": "CREATE"}));
    let fields = &created["metadata"]["managedFields"][0]["fieldsV1"]["f:data"];
    assert!(
        fields["f:a"].is_object() && fields["f:marked"].is_null(),
        "nobody owns what a webhook set: {created}"
    );
    assert_eq!(get(&server, &format!("{CONFIG_MAPS}/a")).await.1["data"]["seen"], "3");
}

#[tokio::test]
async fn webhooks_are_asked_about_a_scale_and_may_change_it() {
    let (server, hook) = (server().await, Hook::start(admission).await);
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let template =
        json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "x"}}, "template": template},
    });
    assert_eq!(create(&server, deployments, deployment).await.0, 201);
    let rules = |resource: &str| {
        json!({"rules": [
            {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": [resource]},
        ]})
    };
    let scale = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a", "namespace": "default"},
        "spec": {"replicas": 3},
    });
    let path = format!("{deployments}/a/scale");
    let write = || ask(&server, Method::PUT, &path, "application/json", Some(scale.clone()));
    for (resource, expected) in [("deployments", 3), ("deployments/scale", 7)] {
        let configuration = hook.configuration("MutatingWebhookConfiguration", "/seven", &rules(resource));
        configure(&server, configuration).await;
        let (code, written) = write().await;
        assert_eq!((code, &written["spec"]["replicas"]), (200, &json!(expected)), "{resource}: {written}");
        let (_, stored) = get(&server, &format!("{deployments}/a")).await;
        assert_eq!(stored["spec"]["replicas"], expected, "{resource}");
    }
    let review = hook.asked.lock().unwrap().last().cloned().unwrap();
    let request = &review["request"];
    assert_eq!(
        (&request["kind"], &request["resource"], &request["subResource"]),
        (
            &json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}),
            &json!({"group": "apps", "version": "v1", "resource": "deployments"}),
            &json!("scale"),
        )
    );
    let replicas = |object: &str| &request[object]["spec"]["replicas"];
    assert_eq!((replicas("oldObject"), replicas("object")), (&json!(3), &json!(3)));
    configure(
        &server,
        hook.configuration("ValidatingWebhookConfiguration", "/deny", &rules("deployments/scale")),
    )
    .await;
    assert_eq!(write().await.0, 403);
}

#[tokio::test]
async fn a_webhook_that_fails_fails_the_request_unless_that_is_to_be_ignored() {
    let (server, hook) = (server().await, Hook::start(admission).await);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = json!({"clientConfig": {"url": format!("https://{nobody}/x"), "caBundle": hook.bundle}});
    configure(&server, hook.configuration("ValidatingWebhookConfiguration", "", &gone)).await;
    let (code, refused) = create(&server, CONFIG_MAPS, config_map("a")).await;
    let message = format!(
        "Internal error occurred: failed calling webhook \"a.example.com\": failed to call webhook: Post \
         \"https://{nobody}/x?timeout=10s\": dial tcp {nobody}: connect: connection refused"
    );
    assert_eq!((code, &refused["message"]), (500, &json!(message)));

    let stranger = Hook::start(admission).await;
    let mistrusted = json!({"clientConfig": {"url": hook.client("/x")["url"], "caBundle": stranger.bundle}});
    configure(&server, hook.configuration("ValidatingWebhookConfiguration", "", &mistrusted)).await;
    let (code, refused) = create(&server, CONFIG_MAPS, config_map("a")).await;
    let why = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    assert!(code == 500 && refused["message"].as_str().unwrap().ends_with(why), "{refused}");

    let mut ignored = gone;
    ignored["failurePolicy"] = "Ignore".into();
    configure(&server, hook.configuration("ValidatingWebhookConfiguration", "", &ignored)).await;
    assert_eq!(create(&server, CONFIG_MAPS, config_map("a")).await.0, 201);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named() {
    let (server, hook) = (server().await, Hook::start(admission).await);
    let service = json!({"clientConfig": {"service": {"name": "s", "namespace": "n", "path": "/p"}, "caBundle": hook.bundle}});
    configure(&server, hook.configuration("ValidatingWebhookConfiguration", "", &service)).await;
    let (_, refused) = create(&server, CONFIG_MAPS, config_map("a")).await;
    let end = "Post \"https://s.n.svc:443/p?timeout=10s\": service \"s\" not found";
    assert!(refused["message"].as_str().unwrap().ends_with(end), "{refused}");
}

/// Renames `spec.asn` to `spec.as` in v2, and back.
fn renamed(object: &Value, api_version: &str) -> Value {
    let mut object = object.clone();
    object["apiVersion"] = api_version.into();
    let (from, to) = if api_version.ends_with("/v2") { ("asn", "as") } else { ("as", "asn") };
    if let Some(spec) = object["spec"].as_object_mut()
        && let Some(value) = spec.shift_remove(from)
    {
        spec.insert(to.to_owned(), value);
    }
    object
}

fn converting(path: &str, request: &Value) -> Value {
    if path == "/fail" {
        return json!({"result": {"status": "Failure", "message": "cannot"}});
    }
    let version = request["desiredAPIVersion"].as_str().unwrap_or_default();
    let objects = request["objects"].as_array().cloned().unwrap_or_default();
    let converted: Vec<Value> = objects.iter().map(|object| renamed(object, version)).collect();
    json!({"result": {"status": "Success"}, "convertedObjects": converted})
}

/// Peers in two versions, of which the first is stored.
fn two_versions(conversion: &Value) -> Value {
    let mut definition = definition();
    let mut second = definition["spec"]["versions"][0].clone();
    second["name"] = "v2".into();
    second["storage"] = false.into();
    second["schema"]["openAPIV3Schema"]["properties"]["spec"] = json!({
        "type": "object", "properties": {"as": {"type": "integer"}, "extra": {"type": "string", "default": "new"}},
    });
    second["additionalPrinterColumns"].take();
    definition["spec"]["versions"].as_array_mut().unwrap().push(second);
    definition["spec"]["conversion"] = conversion.clone();
    definition
}

const OLD: &str = "/apis/example.com/v1/namespaces/default/peers";
const NEW: &str = "/apis/example.com/v2/namespaces/default/peers";

/// What holds whichever way objects are converted.
async fn both_versions_show_the_same_objects(server: &Arc<Server>) {
    let old = json!({"apiVersion": "example.com/v1", "kind": "Peer", "metadata": {"name": "a"}, "spec": {"asn": 1}});
    assert_eq!(create(server, OLD, old).await.0, 201);
    let new =
        json!({"apiVersion": "example.com/v2", "kind": "Peer", "metadata": {"name": "b"}, "spec": {"as": 2}});
    let (code, created) = create(server, NEW, new).await;
    // What the stored version does not know is lost, and what comes back is not completed again.
    assert_eq!((code, &created["spec"]), (201, &json!({"as": 2})), "{created}");
    let (_, read) = get(server, &format!("{OLD}/b")).await;
    assert_eq!(
        (&read["apiVersion"], &read["spec"]),
        (&json!("example.com/v1"), &json!({"asn": 2, "port": 179}))
    );
    let (_, list) = get(server, NEW).await;
    let specs: Vec<&Value> =
        list["items"].as_array().unwrap().iter().map(|item| &item["spec"]["as"]).collect();
    assert_eq!(specs, [&json!(1), &json!(2)], "{list}");
    let patch = Some(json!({"spec": {"as": 3}}));
    let media = "application/merge-patch+json";
    let (code, patched) = ask(server, Method::PATCH, &format!("{NEW}/a"), media, patch).await;
    assert_eq!((code, &patched["spec"]["as"]), (200, &json!(3)), "{patched}");
    assert_eq!(get(server, &format!("{OLD}/a")).await.1["spec"]["asn"], 3);
}

#[tokio::test]
async fn a_webhook_converts_what_is_read_and_what_is_written() {
    let (server, hook) = (server().await, Hook::start(converting).await);
    let conversion = |path: &str| json!({"strategy": "Webhook", "webhook": {"clientConfig": hook.client(path), "conversionReviewVersions": ["v1"]}});
    assert_eq!(create(&server, DEFINITIONS, two_versions(&conversion("/ok"))).await.0, 201);
    both_versions_show_the_same_objects(&server).await;
    let failing = Some(json!({"spec": {"conversion": conversion("/fail")}}));
    let path = format!("{DEFINITIONS}/peers.example.com");
    assert_eq!(ask(&server, Method::PATCH, &path, "application/merge-patch+json", failing).await.0, 200);
    let (code, refused) = get(&server, &format!("{NEW}/a")).await;
    let message = "conversion webhook for example.com/v1, Kind=Peer failed: cannot";
    assert_eq!((code, &refused["message"]), (500, &json!(message)));
    assert_eq!(get(&server, &format!("{OLD}/a")).await.0, 200);
}

#[derive(Debug)]
struct Renaming;

impl Convert for Renaming {
    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String> {
        Ok(renamed(object, api_version))
    }
}

#[tokio::test]
async fn the_embedding_program_may_convert_instead() {
    let kind = ("example.com".to_owned(), "Peer".to_owned());
    let conversions: super::Conversions = BTreeMap::from([(kind, Arc::new(Renaming) as Arc<dyn Convert>)]);
    let options = Options { conversions, ..Options::default() };
    let server = Server::open_with(Arc::new(MemoryStore::new()), options).await.unwrap();
    assert_eq!(create(&server, DEFINITIONS, two_versions(&json!({"strategy": "None"}))).await.0, 201);
    both_versions_show_the_same_objects(&server).await;
}

#[tokio::test]
async fn without_conversion_each_version_shows_what_its_schema_knows() {
    let server = server().await;
    assert_eq!(create(&server, DEFINITIONS, two_versions(&json!({"strategy": "None"}))).await.0, 201);
    let old = json!({"apiVersion": "example.com/v1", "kind": "Peer", "metadata": {"name": "a"}, "spec": {"asn": 1}});
    assert_eq!(create(&server, OLD, old).await.0, 201);
    let (_, read) = get(&server, &format!("{NEW}/a")).await;
    assert_eq!((&read["apiVersion"], &read["spec"]), (&json!("example.com/v2"), &json!({})));
    assert_eq!(get(&server, &format!("{OLD}/a")).await.1["spec"], json!({"asn": 1, "port": 179}));
}
