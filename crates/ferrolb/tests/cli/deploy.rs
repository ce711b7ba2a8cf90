//! The manifests of `deploy/`, on an API server that asks roles: controller and speakers live within what they grant.

use std::path::Path;
use std::time::Duration;

use ferrolb::speaker;
use ferrolb::webhook::{self, Webhook};
use serde_json::{Value, json};

use crate::Folder;
use crate::cluster::{Cluster, NAMESPACE, SERVICES, pools, wait};
use crate::nodes::{free_port, of_metallb, watched};
use crate::program::{Program, cluster};

struct Deployed {
    /// Ends with the test.
    _server: Program,
    folder: Folder,
    cluster: Cluster,
}

const WEBHOOKS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

/// All that is in the folder, in the order in which `kubectl apply -f` takes it.
fn manifests() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it is readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).expect("it is readable");
        ferrolb::cli::documents::read(&bytes).expect("it is YAML")
    };
    files.iter().flat_map(read).map(|document| document.value).collect()
}

/// Where objects of this kind are created.
fn collection(object: &Value) -> String {
    let (kind, api_version) = (text(&object["kind"]).to_lowercase(), text(&object["apiVersion"]));
    let root = if api_version == "v1" { "/api".to_owned() } else { "/apis".to_owned() };
    match text(&object["metadata"]["namespace"]) {
        "" => format!("{root}/{api_version}/{kind}s"),
        namespace => format!("{root}/{api_version}/namespaces/{namespace}/{kind}s"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Deployed {
    /// A server with the definitions and these manifests in it, and a Pod of the Deployment.
    async fn new(name: &str, is_wanted: impl Fn(&Value) -> bool) -> Deployed {
        let folder = Folder::new(name);
        let data = folder.path();
        let arguments = ["apiserver", "--memory", "--authorization", "rbac", "--bind", "127.0.0.1:0"];
        let mut server = Program::start(&[&arguments[..], &["--data-dir", &data]].concat());
        server.wait_for("serving on");
        let cluster = cluster(&format!("{data}/admin.kubeconfig")).await;
        cluster.install().await;
        for manifest in manifests().into_iter().filter(is_wanted) {
            if manifest["kind"] == "DaemonSet" {
                // Before the webhooks, without which nobody writes a pool, and which no test is reached by.
                cluster.pool("pool", &["192.0.2.0/30"]).await;
            }
            cluster.post(&collection(&manifest), manifest).await;
        }
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "controller-0"},
            "spec": {"serviceAccountName": "controller", "containers": [{"name": "controller", "image": "ferrolb"}]},
        });
        cluster.post(&format!("/api/v1/namespaces/{NAMESPACE}/pods"), pod).await;
        Deployed { _server: server, folder, cluster }
    }

    /// A kubeconfig with a token of this ServiceAccount, as its Pod would have one.
    async fn kubeconfig(&self, account: &str) -> String {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token");
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let answer = self.cluster.post(&path, request).await;
        let admin = std::fs::read_to_string(format!("{}/admin.kubeconfig", self.folder.path()));
        let admin = admin.expect("it was written");
        let line = |line: &str| match line.trim().split_once(": ") {
            Some(("client-certificate-data", _)) => {
                Some(format!("    token: {}", text(&answer["status"]["token"])))
            }
            Some(("client-key-data", _)) => None,
            _ => Some(line.to_owned()),
        };
        let lines: Vec<String> = admin.lines().filter_map(line).collect();
        let path = format!("{}/{account}.kubeconfig", self.folder.path());
        std::fs::write(&path, lines.join("\n")).expect("the folder is writable");
        path
    }

    /// The controller as its Pod runs it, but for the ports.
    async fn controller(&self, variables: &[(&str, &str)]) -> Program {
        let kubeconfig = self.kubeconfig("controller").await;
        let mut all = vec![
            ("KUBECONFIG", kubeconfig.as_str()),
            ("METALLB_NAMESPACE", NAMESPACE),
            ("METALLB_POD_NAME", "controller-0"),
        ];
        all.extend(variables);
        let arguments = ["controller", "--port=0", "--health-probe-port=0", "--webhook-mode=disabled"];
        Program::start_with(&arguments, &all)
    }

    /// Everything that the controller writes is written.
    async fn is_served(&self) {
        let cluster = &self.cluster;
        cluster.service("a").await;
        cluster.has("a", &["192.0.2.0"]).await;
        cluster.has_event("a", "IPAllocated", r#"Assigned IP ["192.0.2.0"]"#).await;
        let state = format!("/apis/metallb.io/v1beta1/namespaces/{NAMESPACE}/configurationstates/controller");
        wait("the state is valid and has an owner", async || {
            let state = cluster.get(&state).await;
            let has_owner = state["metadata"]["ownerReferences"][0]["name"] == "controller-0";
            let is_so = has_owner && state["status"]["result"] == "Valid";
            if is_so { Ok(()) } else { Err(state.to_string()) }
        })
        .await;
        wait("the pool is counted", async || {
            let status = cluster.get(&format!("{}/pool", pools())).await["status"].clone();
            if status["assignedIPv4"] == 1 { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    }
}

#[tokio::test]
async fn the_controller_lives_within_what_our_manifests_grant() {
    let deployed = Deployed::new("deploy", |_| true).await;
    let controller = deployed.controller(&[]).await;
    deployed.is_served().await;
    let cluster = &deployed.cluster;
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases");
    let holder = cluster.get(&format!("{leases}/ferrolb-controller")).await["spec"]["holderIdentity"].clone();
    assert!(text(&holder).starts_with("controller-0_"), "{holder}");
    for (name, address) in [("kept", "192.0.2.1"), ("another", "192.0.2.2")] {
        cluster.service_with(name, json!({"ferrolb.io/retain": "forever"})).await;
        cluster.has(name, &[address]).await;
        cluster.delete(&format!("{SERVICES}/{name}")).await;
        let ledger = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/ferrolb-reservations");
        wait("its address is kept", async || {
            let data = cluster.get(&ledger).await["data"].clone();
            if data[format!("default.{name}")].is_string() { Ok(()) } else { Err(data.to_string()) }
        })
        .await;
    }
    let (code, _, log) = controller.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("forbidden"), "{log}");
    let holder = cluster.get(&format!("{leases}/ferrolb-controller")).await["spec"]["holderIdentity"].clone();
    assert_eq!(holder, Value::Null, "it is given back");
}

#[tokio::test]
async fn with_the_grants_of_metallb_alone_it_works_and_says_that_there_is_no_election() {
    let is_of_metallb = |it: &Value| !text(&it["metadata"]["name"]).ends_with("-additions");
    let deployed = Deployed::new("deploy-metallb", is_of_metallb).await;
    let variables = [("METALLB_ML_SECRET_NAME", "memberlist"), ("METALLB_DEPLOYMENT", "controller")];
    let controller = deployed.controller(&variables).await;
    deployed.is_served().await;
    let secret = deployed.cluster.get(&format!("/api/v1/namespaces/{NAMESPACE}/secrets/memberlist")).await;
    assert_eq!(secret["metadata"]["ownerReferences"][0]["name"], "controller", "{secret}");
    let (code, _, log) = controller.terminate();
    assert_eq!(code, Some(0), "{log}");
    let forbidden: Vec<&str> = log.lines().filter(|line| line.contains("forbidden")).collect();
    assert!(forbidden.len() == 1 && forbidden[0].contains("no election"), "{log}");
}

#[tokio::test]
async fn the_webhook_lives_within_what_our_manifests_grant() {
    let deployed = Deployed::new("deploy-webhook", |_| true).await;
    let client = cluster(&deployed.kubeconfig("controller").await).await.client;
    let options = webhook::Options { bind: ([127, 0, 0, 1], 0).into(), ..webhook::Options::new(NAMESPACE) };
    let webhook = Webhook::bind(client, options).await.expect("a port is free");
    let mut is_ready = webhook.is_ready();
    let running = tokio::spawn(webhook.run(std::future::pending()));
    tokio::time::timeout(Duration::from_secs(30), is_ready.wait_for(|is_ready| *is_ready))
        .await
        .expect("it is ready in time")
        .expect("it runs");
    let peers = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/bgppeers.metallb.io";
    wait("the authority is where API servers look for it", async || {
        let configuration = deployed.cluster.get(&format!("{WEBHOOKS}/metallb-webhook-configuration")).await;
        let webhooks = configuration["webhooks"].as_array().cloned().unwrap_or_default();
        let has_bundle = |config: &Value| config["caBundle"].as_str().is_some_and(|it| !it.is_empty());
        let definition = deployed.cluster.get(peers).await;
        let is_so = webhooks.len() == 6
            && webhooks.iter().all(|it| has_bundle(&it["clientConfig"]))
            && has_bundle(&definition["spec"]["conversion"]["webhook"]["clientConfig"]);
        if is_so { Ok(()) } else { Err(configuration.to_string()) }
    })
    .await;
    running.abort();
}

/// Watches the speakers' Pods, announces, and writes all that a speaker writes.
async fn speaks(deployed: &Deployed) {
    let (cluster, pods) = (&deployed.cluster, format!("/api/v1/namespaces/{NAMESPACE}/pods"));
    let labels = json!({"app": "metallb", "component": "speaker"});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "speaker-0", "labels": labels},
        "spec": {
            "serviceAccountName": "speaker", "nodeName": "node-a",
            "containers": [{"name": "speaker", "image": "ferrolb"}],
        },
    });
    cluster.post(&pods, pod).await;
    let status = json!({"status": {"podIP": "127.0.0.1"}});
    cluster.patch(&format!("{pods}/speaker-0/status"), status).await;
    cluster.node("node-a").await;
    cluster.served("a", &["192.0.2.1"], "node-a").await;

    let client = crate::program::cluster(&deployed.kubeconfig("speaker").await).await.client;
    let options = speaker::Options {
        pod_name: Some("speaker-0".to_owned()),
        members: watched("127.0.0.1", free_port(), "app=metallb,component=speaker"),
        ..speaker::Options::new(NAMESPACE, "node-a")
    };
    let running = cluster.speaker_with(&client, options);
    cluster.answers(&running, &["192.0.2.1"]).await;
    cluster.is_said_to_announce("node-a", "a").await;
    cluster.is_judged("node-a", "Valid", "").await;
    let message = r#"announcing from node "node-a" with protocol "layer2""#;
    cluster.has_event("a", "nodeAssigned", message).await;
    let list = cluster.get(&of_metallb("servicel2statuses")).await;
    assert_eq!(list["items"][0]["metadata"]["ownerReferences"][0]["name"], "speaker-0", "{list}");
}

#[tokio::test]
async fn a_speaker_lives_within_what_our_manifests_grant() {
    let deployed = Deployed::new("deploy-speaker", is_no_webhook).await;
    deployed.cluster.l2_advertisement("l2", json!({})).await;
    speaks(&deployed).await;
}

#[tokio::test]
async fn with_the_grants_of_metallb_alone_a_speaker_lists_pods() {
    let is_wanted = |it: &Value| is_no_webhook(it) && !text(&it["metadata"]["name"]).ends_with("-additions");
    let deployed = Deployed::new("deploy-speaker-metallb", is_wanted).await;
    deployed.cluster.l2_advertisement("l2", json!({})).await;
    speaks(&deployed).await;
}

/// Webhooks that nothing answers would keep resources out.
fn is_no_webhook(manifest: &Value) -> bool {
    manifest["kind"] != "ValidatingWebhookConfiguration"
}

#[test]
fn the_webhooks_of_the_manifests_are_those_that_are_served() {
    let all = manifests();
    let is_it = |it: &&Value| it["kind"] == "ValidatingWebhookConfiguration";
    let configuration = all.iter().find(is_it).expect("it is there");
    let path = |it: &Value| text(&it["clientConfig"]["service"]["path"]).to_owned();
    let mut named: Vec<String> =
        configuration["webhooks"].as_array().expect("a list").iter().map(path).collect();
    let ours = api::admit::Kind::ALL.into_iter().map(api::admit::Kind::path);
    let mut served: Vec<String> = ours.filter(|path| path.contains("metallb-io")).map(Into::into).collect();
    served.retain(|path| !path.contains("frrk8s"));
    named.sort();
    served.sort();
    assert_eq!(named, served);
}
