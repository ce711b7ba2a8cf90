//! `ferrolb standalone`: addresses without a cluster, through restarts of every kind.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::Folder;
use crate::cluster::{SERVICES, pools};
use crate::program::{Program, cluster};

fn start(data: &str) -> Program {
    let mut program = Program::start(&["standalone", "--data-dir", data, "--bind", "127.0.0.1:0"]);
    program.wait_for("Services get addresses now");
    program
}

/// Everything of a Service that a restart must not touch.
fn services(list: &Value) -> Vec<Value> {
    let items = list["items"].as_array().expect("it is a list").iter();
    items.filter(|it| it["metadata"]["name"] != "kubernetes").cloned().collect()
}

#[tokio::test]
async fn what_is_given_stays_given_when_the_process_is_killed() {
    let folder = Folder::new("standalone");
    let data = format!("{}/data", folder.path());
    let kubeconfig = format!("{data}/admin.kubeconfig");
    let program = start(&data);
    let before = cluster(&kubeconfig).await;
    before.pool("pool", &["192.0.2.0/30"]).await;
    for (name, address) in [("a", "192.0.2.0"), ("b", "192.0.2.1"), ("c", "192.0.2.2")] {
        before.service(name).await;
        before.has(name, &[address]).await;
    }
    before.delete(&format!("{SERVICES}/b")).await;
    let held = services(&before.get(SERVICES).await);
    program.kill();

    let program = start(&data);
    let after = cluster(&kubeconfig).await;
    // Whatever the controller would write to the others it writes before it serves somebody new.
    after.service("d").await;
    after.has("d", &["192.0.2.1"]).await;
    let mut now = services(&after.get(SERVICES).await);
    now.retain(|it| it["metadata"]["name"] != "d");
    assert_eq!(now, held);
    let (code, log, stdout) = program.terminate();
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{log}");
    assert!(log.contains("SIGTERM") && log.ends_with("ended\n"), "{log}");
}

#[tokio::test]
async fn definitions_are_those_of_this_version_and_objects_stay_as_they_are() {
    let folder = Folder::new("standalone-definitions");
    let data = folder.path();
    let kubeconfig = format!("{data}/admin.kubeconfig");
    let program = start(&data);
    let before = cluster(&kubeconfig).await;
    let peers = "namespaces/metallb-system/bgppeers";
    let peer = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "BGPPeer", "metadata": {"name": "peer"},
        "spec": {"myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1", "holdTime": "90s"},
    });
    before.post(&format!("/apis/metallb.io/v1beta1/{peers}"), peer).await;
    before.pool("pool", &["192.0.2.0/30"]).await;
    let definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ipaddresspools.metallb.io";
    let original = before.get(definition).await["spec"].clone();
    let mut older = original.clone();
    older["versions"][0]["additionalPrinterColumns"] = json!([]);
    before.patch(definition, json!({"spec": {"versions": older["versions"]}})).await;
    program.terminate();

    let program = start(&data);
    let after = cluster(&kubeconfig).await;
    assert_eq!(after.get(definition).await["spec"], original);
    let peer = after.get(&format!("/apis/metallb.io/v1beta2/{peers}/peer")).await;
    assert_eq!(peer["spec"]["holdTime"], "1m30s", "it is converted without a webhook: {peer}");
    let pool = after.get(&format!("{}/pool", pools())).await;
    assert_eq!(pool["metadata"]["generation"], 1, "{pool}");
    let leases = "/apis/coordination.k8s.io/v1/namespaces/metallb-system/leases/ferrolb-controller";
    let (code, answer) = after.call(Method::GET, leases, &Value::Null).await;
    assert_eq!(code, StatusCode::NOT_FOUND, "one process needs no election: {answer}");
    program.terminate();
}

#[test]
fn two_processes_do_not_share_a_folder() {
    let folder = Folder::new("standalone-twice");
    let data = folder.path();
    let program = start(&data);
    let second = crate::ferrolb(&["standalone", "--data-dir", &data, "--bind", "127.0.0.1:0"], "");
    assert_eq!(second.code, 2);
    assert!(second.stderr.contains("open in another process"), "{}", second.stderr);
    program.terminate();
}

#[test]
fn what_only_a_speaker_does_is_not_ignored() {
    let folder = Folder::new("standalone-without-speaker");
    for (arguments, reason) in [
        (&["--proxy", "--memory"][..], "needs --speaker"),
        (&["--bind-addresses", "--memory"][..], "needs --speaker"),
        (&["--status-layout=service", "--memory"][..], "needs --speaker"),
        (&["--speaker", "--proxy-protocol"][..], "--proxy"),
        (&["--speaker", "--proxy-connections=5"][..], "--proxy"),
        (&["--speaker", "--proxy", "--proxy-idle-timeout=0s"][..], "--proxy-idle-timeout"),
    ] {
        let data = folder.path();
        let ended = crate::ferrolb(&[&["standalone", "--data-dir", &data][..], arguments].concat(), "");
        assert_eq!(ended.code, 2, "{arguments:?}");
        assert!(ended.stderr.contains(reason), "{arguments:?}: {}", ended.stderr);
    }
}
