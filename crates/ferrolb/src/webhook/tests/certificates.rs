use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::middleware::{self, Next};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::Client;
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::{CONFIGURATIONS, Cluster, DEFINITIONS, NAMESPACE, SECRET, configuration, der, eventually};
use crate::webhook::Options;

#[tokio::test]
async fn replicas_that_start_together_agree() {
    let cluster = Cluster::new().await;
    let (a, b, c) = tokio::join!(cluster.start(), cluster.start(), cluster.start());
    eventually("the authority is known", || cluster.knows_the_authority()).await;
    let certificate = der(&cluster.secret("tls.crt").await.unwrap());
    for running in [a, b, c] {
        eventually("all show what is in the Secret", || async { running.shows().await == certificate }).await;
        running.stop().await;
    }
    for path in [
        format!("{CONFIGURATIONS}/metallb-webhook-configuration"),
        format!("{DEFINITIONS}/bgppeers.metallb.io"),
        SECRET.to_owned(),
    ] {
        let object = cluster.get(&path).await;
        let managers = object["metadata"]["managedFields"].as_array().unwrap();
        assert!(managers.iter().any(|it| it["manager"] == "MetalLB"), "{path}: {managers:?}");
    }
}

#[tokio::test]
async fn what_is_there_is_used_and_not_written_again() {
    let cluster = Cluster::new().await;
    cluster.start().await.stop().await;
    let before = cluster.get(SECRET).await;
    let running = cluster.start().await;
    eventually("the authority is known", || cluster.knows_the_authority()).await;
    let certificate = der(&cluster.secret("tls.crt").await.unwrap());
    assert!(running.shows().await == certificate);
    assert_eq!(cluster.get(SECRET).await, before);
    running.stop().await;
}

#[tokio::test]
async fn what_is_taken_away_comes_back() {
    let cluster = Cluster::new().await;
    let running = cluster.start().await;
    eventually("the authority is known", || cluster.knows_the_authority()).await;
    let first = running.shows().await;

    let path = format!("{CONFIGURATIONS}/metallb-webhook-configuration");
    cluster.change(&path, |object| *object = with_metadata(object, &configuration())).await;
    eventually("a configuration is applied anew", || cluster.knows_the_authority()).await;
    let path = format!("{DEFINITIONS}/bgppeers.metallb.io");
    let other = STANDARD.encode(cluster.secret("tls.crt").await.unwrap());
    let bundle = "/spec/conversion/webhook/clientConfig/caBundle";
    cluster.change(&path, |object| *object.pointer_mut(bundle).unwrap() = json!(other)).await;
    eventually("a definition names somebody else", || cluster.knows_the_authority()).await;
    assert!(running.shows().await == first, "nothing was wrong with the certificate");

    cluster.change(SECRET, |secret| drop(secret.as_object_mut().unwrap().remove("data"))).await;
    eventually("an empty Secret is filled", || async { cluster.secret("tls.crt").await.is_some() }).await;
    eventually("the authority is known again", || cluster.knows_the_authority()).await;
    let certificate = der(&cluster.secret("tls.crt").await.unwrap());
    eventually("the new one is shown", || async { running.shows().await == certificate }).await;
    assert!(certificate != first);
    running.stop().await;
}

fn with_metadata(object: &Value, spec: &Value) -> Value {
    let mut replaced = spec.clone();
    replaced["metadata"] = object["metadata"].clone();
    replaced
}

#[tokio::test]
async fn what_is_not_there_yet_is_waited_for() {
    let cluster = Cluster::bare().await;
    let running = cluster.start().await;
    cluster.post(CONFIGURATIONS, &configuration()).await;
    for definition in api::crds::all() {
        cluster.post(DEFINITIONS, &definition).await;
    }
    eventually("the authority is known", || cluster.knows_the_authority()).await;
    running.stop().await;
}

#[tokio::test]
async fn a_directory_is_enough_for_those_who_look_after_certificates_themselves() {
    let cluster = Cluster::new().await;
    let directory = std::env::temp_dir().join(format!("ferrolb-webhook-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let key = KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(vec!["own".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.join("tls.crt"), made.pem()).unwrap();
    std::fs::write(directory.join("tls.key"), key.serialize_pem()).unwrap();
    let before = cluster.get(SECRET).await;
    let options = Options {
        rotates_certificates: false,
        certificate_directory: directory.clone(),
        ..Options::new(NAMESPACE)
    };
    let running = cluster.start_with(options).await;
    assert!(running.shows().await == *made.der());
    assert_eq!(cluster.get(SECRET).await, before);
    running.stop().await;
    std::fs::remove_dir_all(&directory).unwrap();
}

/// The roles of MetalLB's manifests allow no more.
#[tokio::test]
async fn nothing_is_asked_for_that_the_roles_do_not_grant() {
    let cluster = Cluster::new().await;
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&asked);
    let record = move |request: Request, next: Next| {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let is_watch = query.contains("watch=1") || query.contains("watch=true");
        let one = if query.contains("fieldSelector=metadata.name") { " one" } else { "" };
        let verb = if is_watch { "WATCH".to_owned() } else { request.method().to_string() };
        seen.lock().unwrap().insert(format!("{verb} {path}{one}"));
        next.run(request)
    };
    let router = cluster.server.router().layer(middleware::from_fn(record));
    let recorded = Cluster { client: Client::new(router, "default"), ..cluster.clone() };
    let running = recorded.start().await;
    eventually("the authority is known", || cluster.knows_the_authority()).await;
    let watched = |asked: &BTreeSet<String>| asked.iter().filter(|it| it.starts_with("WATCH")).count();
    eventually("everything is watched", || async { watched(&asked.lock().unwrap()) == 3 }).await;
    running.stop().await;
    let configurations = format!("{CONFIGURATIONS}/metallb-webhook-configuration");
    let definition = format!("{DEFINITIONS}/bgppeers.metallb.io");
    let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
    let mut granted = BTreeSet::new();
    for (object, objects) in
        [(configurations, CONFIGURATIONS), (definition, DEFINITIONS), (SECRET.to_owned(), secrets.as_str())]
    {
        granted.extend([format!("GET {object}"), format!("PUT {object}")]);
        granted.extend([format!("GET {objects} one"), format!("WATCH {objects} one")]);
    }
    assert_eq!(*asked.lock().unwrap(), granted);
}
