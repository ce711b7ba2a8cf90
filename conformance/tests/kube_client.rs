//! What programs written with the `kube` crate rely on, on the embedded server and, where it was built, on the real one.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use apiserver::server::Server;
use apiserver::store::MemoryStore;
use conformance::programs::{self, Real};
use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt, conditions, reflector, wait, watcher};
use kube::{Client, Error, ResourceExt};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

/// One real server at a time is enough for a machine.
static REAL: Mutex<()> = Mutex::const_new(());

/// Runs what is to hold on every server that there is.
async fn everywhere<F: Future<Output = ()>>(holds: impl Fn(Client) -> F) {
    let server = Server::open(Arc::new(MemoryStore::new())).await.unwrap();
    holds(Client::new(server.router(), "default")).await;
    match programs::directory() {
        Some(programs) => {
            let _turn = REAL.lock().await;
            let real = Real::start(&programs).await.unwrap();
            holds(real.admin().unwrap()).await;
        }
        None => eprintln!("skipped: no real API server was built"),
    }
}

fn map(name: &str, value: &str) -> ConfigMap {
    let object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}});
    serde_json::from_value(object).unwrap()
}

#[tokio::test]
async fn typed_objects_are_written_read_and_refused() {
    everywhere(|client| async move {
        let maps: Api<ConfigMap> = Api::namespaced(client, "default");
        let created = maps.create(&PostParams::default(), &map("typed", "one")).await.unwrap();
        let Err(Error::Api(status)) = maps.create(&PostParams::default(), &map("typed", "two")).await else {
            panic!("created twice");
        };
        assert!(status.is_already_exists(), "{status:?}");

        let mut changed = created.clone();
        changed.data.get_or_insert_default().insert("key".to_owned(), "two".to_owned());
        let replaced = maps.replace("typed", &PostParams::default(), &changed).await.unwrap();
        assert_ne!(replaced.resource_version(), created.resource_version());
        let Err(Error::Api(status)) = maps.replace("typed", &PostParams::default(), &changed).await else {
            panic!("an old version was written");
        };
        assert!(status.is_conflict(), "{status:?}");

        let patch = Patch::Merge(json!({"metadata": {"labels": {"team": "red"}}}));
        maps.patch("typed", &PatchParams::default(), &patch).await.unwrap();
        let listed = maps.list(&ListParams::default().labels("team=red")).await.unwrap();
        assert_eq!(listed.items.len(), 1);
        maps.delete("typed", &DeleteParams::default()).await.unwrap();
        assert!(maps.get_opt("typed").await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn two_appliers_conflict_until_one_forces() {
    everywhere(|client| async move {
        let maps: Api<ConfigMap> = Api::namespaced(client, "default");
        maps.patch("applied", &PatchParams::apply("one"), &Patch::Apply(map("applied", "one"))).await.unwrap();
        let refused = maps.patch("applied", &PatchParams::apply("two"), &Patch::Apply(map("applied", "two"))).await;
        let Err(Error::Api(status)) = refused else { panic!("no conflict") };
        assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
        assert!(status.message.contains(".data.key") && status.message.contains("\"one\""), "{}", status.message);
        let forced = PatchParams::apply("two").force();
        let forced = maps.patch("applied", &forced, &Patch::Apply(map("applied", "two"))).await.unwrap();
        assert_eq!(forced.data.unwrap()["key"], "two");
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "applied"}, "spec": {"ports": [{"port": 80}]}});
        let services: Api<Service> = Api::namespaced(maps.into_client(), "default");
        let applied = services.patch("applied", &PatchParams::apply("one"), &Patch::Apply(service)).await.unwrap();
        assert!(applied.spec.unwrap().cluster_ip.is_some());
    })
    .await;
}

/// The next event that says something, as text.
async fn next(events: &mut (impl Stream<Item = watcher::Result<Event<ConfigMap>>> + Unpin)) -> String {
    let event = timeout(PATIENCE, events.next()).await.expect("an event").expect("no end").expect("no error");
    match event {
        Event::Init => "init".to_owned(),
        Event::InitApply(object) => format!("initially {}", object.name_any()),
        Event::InitDone => "init done".to_owned(),
        Event::Apply(object) => format!("applied {}", object.name_any()),
        Event::Delete(object) => format!("deleted {}", object.name_any()),
    }
}

/// Waits until a list that may be old has these: a real server streams lists from its cache, which lags.
async fn are_cached(maps: &Api<ConfigMap>, names: &[String]) {
    let all_are = async {
        loop {
            let list = maps.list(&ListParams::default().match_any()).await.unwrap();
            if names.iter().all(|name| list.items.iter().any(|it| it.name_any() == *name)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, all_are).await.expect("the cache follows");
}

async fn watches(client: Client, prefix: &str, config: Config) {
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let named = |name: &str| {
        let mut object = map(&format!("{prefix}-{name}"), "x");
        object.labels_mut().insert("watched".to_owned(), prefix.to_owned());
        object
    };
    maps.create(&PostParams::default(), &named("a")).await.unwrap();
    are_cached(&maps, &[format!("{prefix}-a")]).await;
    let mut events = pin!(watcher(maps.clone(), config.labels(&format!("watched={prefix}"))));
    assert_eq!(next(&mut events).await, "init");
    assert_eq!(next(&mut events).await, format!("initially {prefix}-a"));
    assert_eq!(next(&mut events).await, "init done");
    maps.create(&PostParams::default(), &named("b")).await.unwrap();
    assert_eq!(next(&mut events).await, format!("applied {prefix}-b"));
    let unlabel = Patch::Merge(json!({"metadata": {"labels": {"watched": null}}}));
    maps.patch(&format!("{prefix}-a"), &PatchParams::default(), &unlabel).await.unwrap();
    assert_eq!(next(&mut events).await, format!("deleted {prefix}-a"));
    maps.delete(&format!("{prefix}-b"), &DeleteParams::default()).await.unwrap();
    assert_eq!(next(&mut events).await, format!("deleted {prefix}-b"));
}

#[tokio::test]
async fn a_watcher_lists_and_then_watches() {
    everywhere(|client| watches(client, "listed", Config::default().page_size(1))).await;
}

#[tokio::test]
async fn a_watcher_streams_its_list() {
    everywhere(|client| watches(client, "streamed", Config::default().streaming_lists())).await;
}

#[tokio::test]
async fn a_reflector_holds_what_the_server_holds() {
    everywhere(|client| async move {
        let maps: Api<ConfigMap> = Api::namespaced(client, "default");
        let names = ["reflected-a", "reflected-b"];
        for name in names {
            maps.create(&PostParams::default(), &map(name, "x")).await.unwrap();
        }
        are_cached(&maps, &names.map(str::to_owned)).await;
        let (reader, writer) = reflector::store();
        let config = Config::default().streaming_lists();
        let events = reflector(writer, watcher(maps.clone(), config)).applied_objects();
        let task = tokio::spawn(events.for_each(|_| std::future::ready(())));
        timeout(PATIENCE, reader.wait_until_ready()).await.unwrap().unwrap();
        let names: Vec<String> = reader.state().iter().map(|it| it.name_any()).collect();
        assert!(
            ["reflected-a", "reflected-b"].iter().all(|it| names.iter().any(|name| name == it)),
            "{names:?}"
        );
        task.abort();
    })
    .await;
}

#[tokio::test]
async fn a_defined_kind_is_served_once_it_is_established() {
    everywhere(|client| async move {
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"asn": {"type": "integer"}, "port": {"type": "integer", "default": 179}}},
            "status": {"type": "object", "properties": {"state": {"type": "string"}}},
        }});
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "peers.client.example.com"},
            "spec": {
                "group": "client.example.com", "scope": "Namespaced", "names": {"plural": "peers", "kind": "Peer"},
                "versions": [{
                    "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema},
                }],
            },
        });
        let definition = serde_json::from_value(definition).unwrap();
        definitions.create(&PostParams::default(), &definition).await.unwrap();
        let established = conditions::is_crd_established();
        let waiting = wait::await_condition(definitions, "peers.client.example.com", established);
        timeout(PATIENCE, waiting).await.unwrap().unwrap();

        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("client.example.com", "v1", "Peer"));
        let peers: Api<DynamicObject> = Api::namespaced_with(client, "default", &kind);
        let peer = DynamicObject::new("a", &kind).data(json!({"spec": {"asn": 64512}}));
        // It may take a moment until the real server serves what it calls established.
        let created = timeout(PATIENCE, async {
            loop {
                match peers.create(&PostParams::default(), &peer).await {
                    Err(Error::Api(status)) if status.code == 404 => tokio::task::yield_now().await,
                    answer => break answer,
                }
            }
        });
        let created = created.await.unwrap().unwrap();
        assert_eq!(created.data["spec"]["port"], 179);
        let status = Patch::Merge(json!({"status": {"state": "up"}}));
        let patched = peers.patch_status("a", &PatchParams::default(), &status).await.unwrap();
        assert_eq!((&patched.data["status"]["state"], patched.metadata.generation), (&json!("up"), Some(1)));
    })
    .await;
}
