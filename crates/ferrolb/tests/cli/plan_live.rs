//! `ferrolb plan --live` against a cluster on this machine: what changes would do, and how it exits.

use serde_json::{Value, json};

use crate::cluster::wait;
use crate::program::{Program, cluster};
use crate::{Folder, Run, ferrolb};

struct Live {
    /// Ends with the test.
    _program: Program,
    folder: Folder,
}

impl Live {
    /// A cluster with a pool of four addresses, two of which are held by `a` and `b`.
    async fn new(name: &str) -> Live {
        let folder = Folder::new(name);
        let data = folder.path();
        let mut program = Program::start(&["standalone", "--data-dir", &data, "--bind", "127.0.0.1:0"]);
        program.wait_for("Services get addresses now");
        let cluster = cluster(&format!("{data}/admin.kubeconfig")).await;
        cluster.pool("pool", &["192.0.2.0/30"]).await;
        for (name, address) in [("a", "192.0.2.0"), ("b", "192.0.2.1")] {
            cluster.service(name).await;
            cluster.has(name, &[address]).await;
        }
        Live { _program: program, folder }
    }

    fn plan(&self, arguments: &[&str], changes: &str) -> Run {
        let kubeconfig = format!("{}/admin.kubeconfig", self.folder.path());
        ferrolb(&[&["plan", "--live", "--kubeconfig", &kubeconfig], arguments].concat(), changes)
    }

    fn json(&self, arguments: &[&str], changes: &str) -> (i32, Value) {
        let run = self.plan(&[&["-o", "json"], arguments].concat(), changes);
        assert!(run.code != 2, "{}", run.stderr);
        (run.code, run.json())
    }
}

fn pool(name: &str, addresses: &str) -> String {
    format!(
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: {name}, namespace: metallb-system}}\n\
         spec: {{addresses: [{addresses}]}}\n---\n"
    )
}

fn service(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{type: LoadBalancer, ports: [{{port: 80}}]}}\n---\n"
    )
}

/// Name and what becomes of it.
fn short(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let changes = report["changes"].as_array().expect("a list").iter();
    changes.map(|it| (text(&it["service"]), text(&it["change"]))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(service, change)| ((*service).to_owned(), (*change).to_owned())).collect()
}

#[tokio::test]
async fn what_would_be_lost_is_exit_code_3_and_what_would_be_won_is_none() {
    let live = Live::new("plan-live").await;
    let (code, report) = live.json(&[], "");
    assert_eq!((code, report), (0, json!({"changes": [], "unchanged": 2, "rejected": [], "refused": false})));

    let (code, report) = live.json(&["-f", "-"], &(service("c") + &service("d") + &service("e")));
    let expected = [("default/c", "gets"), ("default/d", "gets"), ("default/e", "waits")];
    assert_eq!((code, short(&report)), (0, pairs(&expected)), "{report}");
    let message = "Failed to allocate IP for \"default/e\": no available IPs";
    assert_eq!(report["changes"][2]["message"], message);

    let (code, report) = live.json(&["-f", "-"], &pool("pool", "192.0.2.0/32"));
    assert_eq!((code, short(&report)), (3, pairs(&[("default/b", "loses")])), "{report}");
    let smaller = pool("pool", "192.0.2.1-192.0.2.9");
    let (code, report) = live.json(&["-f", "-"], &smaller);
    assert_eq!((code, short(&report)), (3, pairs(&[("default/a", "changes")])), "{report}");
    let now_and_then = (&report["changes"][0]["now"], &report["changes"][0]["then"]);
    let held = |ip: &str| json!({"pool": "pool", "ips": [ip]});
    assert_eq!(now_and_then, (&held("192.0.2.0"), &held("192.0.2.2")));
    let table = live.plan(&["-f", "-"], &smaller);
    assert!(table.stdout.contains("1 Service would change an address"), "{}", table.stdout);
    assert!(table.stdout.contains("1 Service keeps what it has"), "{}", table.stdout);

    // All of it was a question: nothing has happened.
    assert_eq!(live.json(&[], "").0, 0);
}

#[tokio::test]
async fn deletions_are_changes_too() {
    let live = Live::new("plan-live-deletions").await;
    let (code, report) = live.json(&["--delete-from", "-"], &service("a"));
    assert_eq!((code, short(&report)), (3, pairs(&[("default/a", "loses")])), "{report}");
    let (code, report) = live.json(&["--delete-from", "-"], &pool("pool", "192.0.2.0/30"));
    assert_eq!((code, short(&report).len()), (3, 2), "{report}");
    let run = live.plan(&["--delete-from", "-"], &service("nobody"));
    assert_eq!(run.code, 0);
    assert!(run.stderr.contains("Service default/nobody is not there to be deleted"), "{}", run.stderr);
}

#[tokio::test]
async fn what_is_kept_for_a_service_that_is_gone_is_not_promised_to_another() {
    let live = Live::new("plan-live-kept").await;
    let cluster = cluster(&format!("{}/admin.kubeconfig", live.folder.path())).await;
    cluster.service_with("kept", json!({"ferrolb.io/retain": "forever"})).await;
    cluster.has("kept", &["192.0.2.2"]).await;
    cluster.delete("/api/v1/namespaces/default/services/kept").await;
    let ledger = "/api/v1/namespaces/metallb-system/configmaps/ferrolb-reservations";
    wait("its address is kept", async || {
        let data = cluster.get(ledger).await["data"].clone();
        if data["default.kept"].is_string() { Ok(()) } else { Err(data.to_string()) }
    })
    .await;
    let (_, report) = live.json(&["-f", "-"], &(service("c") + &service("d")));
    assert_eq!(short(&report), pairs(&[("default/c", "gets"), ("default/d", "waits")]), "{report}");
    assert_eq!(report["changes"][0]["then"]["ips"], json!(["192.0.2.3"]));
    let (_, report) = live.json(&["-f", "-"], &service("kept"));
    assert_eq!(report["changes"][0]["then"]["ips"], json!(["192.0.2.2"]), "{report}");
}

#[tokio::test]
async fn what_would_be_rejected_is_named_and_changes_nothing() {
    let live = Live::new("plan-live-rejected").await;
    // By the rules of the configuration: it is refused as a whole.
    let (code, report) = live.json(&["-f", "-"], &(pool("other", "192.0.2.3-192.0.2.9") + &service("c")));
    assert_eq!((code, &report["refused"]), (1, &json!(true)), "{report}");
    let message = report["rejected"][0]["message"].as_str().expect("a text");
    assert!(message.contains("overlaps with already defined CIDR"), "{message}");
    assert_eq!(short(&report), pairs(&[("default/c", "waits")]));
    // By the API server: the pool stays as it is.
    let wrong = pool("pool", "192.0.2.0/32").replace("addresses: [", "addresses: 7, x: [");
    let (code, report) = live.json(&["-f", "-"], &wrong);
    assert_eq!((code, &report["refused"], short(&report)), (1, &json!(false), vec![]), "{report}");
    assert_eq!(report["rejected"][0]["field"], "spec.addresses", "{report}");
}

#[test]
fn without_a_cluster_there_is_no_answer() {
    for (arguments, text) in [
        (&["plan", "--live", "--kubeconfig", "/nowhere"][..], "/nowhere"),
        (&["plan", "--delete-from", "x"], "--live"),
        (&["plan"], "--filename"),
    ] {
        let run = ferrolb(arguments, "");
        assert!(run.code == 2 && run.stdout.is_empty(), "{arguments:?}");
        assert!(run.stderr.contains(text), "{arguments:?}: {}", run.stderr);
    }
}
