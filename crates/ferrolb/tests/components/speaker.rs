//! Speakers against the embedded API server, in one process, with wires that only remember.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ferrolb::layer2::{Interfaces, MacAddress, News};
use ferrolb::speaker::{Options, StatusLayout};
use prometheus::TextEncoder;
use serde_json::{Value, json};

use crate::cluster::{Cluster, NAMESPACE, SERVICES, pools, wait};
use crate::faults::{self, Faults};
use crate::nodes::{Running, SLICES, free_port, of_metallb, watched};

/// A cluster of these nodes, and one pool that all of them may announce.
async fn cluster(nodes: &[&str]) -> Cluster {
    let cluster = Cluster::new().await;
    for node in nodes {
        cluster.node(node).await;
    }
    cluster.pool("pool", &["192.0.2.0/24", "2001:db8::/120"]).await;
    cluster.l2_advertisement("l2", json!({})).await;
    cluster
}

fn series(speaker: &Running, name: &str) -> Vec<String> {
    let text = TextEncoder::new().encode_to_string(&speaker.metrics.registry().gather()).unwrap();
    text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
}

#[tokio::test]
async fn what_is_announced_is_on_the_wire_and_said_everywhere() {
    let cluster = cluster(&["node-a"]).await;
    cluster.served("web", &["192.0.2.7", "2001:db8::7"], "node-a").await;
    let speaker = cluster.speaker("node-a");
    cluster.answers(&speaker, &["192.0.2.7", "2001:db8::7"]).await;
    cluster.is_said_to_announce("node-a", "web").await;
    let list = cluster.get(&of_metallb("servicel2statuses")).await;
    let object = &list["items"][0];
    assert!(object["metadata"]["name"].as_str().unwrap().starts_with("l2-"));
    let labels = json!({
        "metallb.io/node": "node-a", "metallb.io/service-name": "web", "metallb.io/service-namespace": "default",
    });
    assert_eq!(object["metadata"]["labels"], labels);
    assert_eq!(object["spec"], json!({"serviceName": "web", "serviceNamespace": "default"}));
    let status = json!({
        "node": "node-a", "serviceName": "web", "serviceNamespace": "default", "ips": ["192.0.2.7", "2001:db8::7"],
    });
    let mut is = object["status"].clone();
    is.as_object_mut().unwrap().retain(|_, value| *value != json!([]));
    assert_eq!(is, status);
    let message = r#"announcing from node "node-a" with protocol "layer2""#;
    cluster.has_event("web", "nodeAssigned", message).await;
    let announced = |ip: &str| {
        format!(
            r#"metallb_speaker_announced{{ip="{ip}",node="node-a",protocol="layer2",service="default/web"}} 1"#
        )
    };
    assert_eq!(
        series(&speaker, "metallb_speaker_announced"),
        [announced("192.0.2.7"), announced("2001:db8::7")]
    );
    assert_eq!(
        series(&speaker, "metallb_k8s_client_config_loaded_bool"),
        ["metallb_k8s_client_config_loaded_bool 1"]
    );
    cluster.is_judged("node-a", "Valid", "").await;
    let state = cluster.get(&format!("{}/speaker-node-a", of_metallb("configurationstates"))).await;
    let labels = json!({"metallb.io/component-type": "speaker", "metallb.io/node-name": "node-a"});
    assert_eq!(state["metadata"]["labels"], labels);
    let conditions = &state["status"]["conditions"];
    assert_eq!(
        (&conditions[0]["type"], &conditions[0]["reason"]),
        (&json!("configReconcilerValid"), &json!("Reconciled"))
    );
    let managed = state["metadata"]["managedFields"].as_array().unwrap();
    assert!(managed.iter().any(|it| it["manager"] == "configReconciler" && it["subresource"] == "status"));

    cluster.delete(&format!("{SERVICES}/web")).await;
    cluster.answers(&speaker, &[]).await;
    wait("the status is gone", async || {
        let list = cluster.get(&of_metallb("servicel2statuses")).await;
        if list["items"] == json!([]) { Ok(()) } else { Err(list["items"].to_string()) }
    })
    .await;
    assert_eq!(series(&speaker, "metallb_speaker_announced"), [""; 0]);
}

#[tokio::test]
async fn each_address_has_one_owner_and_an_excluded_node_has_none() {
    let cluster = cluster(&["node-a", "node-b", "node-c"]).await;
    let addresses: Vec<String> = (1..=20).map(|last| format!("192.0.2.{last}")).collect();
    for (number, address) in addresses.iter().enumerate() {
        cluster.served(&format!("s{number}"), &[address], "node-b").await;
    }
    let speakers = ["node-a", "node-b", "node-c"].map(|node| (node, cluster.speaker(node)));
    let one_owner_each = async |without: Option<&str>| {
        wait("each address has one owner", async || {
            let owners = |address: &String| {
                let is_owner = |(_, it): &&(&str, Running)| it.wire.answered().contains(address);
                speakers.iter().filter(is_owner).map(|(node, _)| *node).collect::<Vec<_>>()
            };
            let owners: Vec<_> = addresses.iter().map(owners).collect();
            let is_one = |owners: &Vec<&str>| owners.len() == 1 && without.is_none_or(|it| owners[0] != it);
            if owners.iter().all(is_one) { Ok(()) } else { Err(format!("{owners:?}")) }
        })
        .await;
    };
    one_owner_each(None).await;
    assert!(speakers.iter().all(|(_, it)| !it.wire.answered().is_empty()), "every node has some");
    let of_a = speakers[0].1.wire.answered();
    let moved = addresses.iter().position(|address| of_a.contains(address)).unwrap();
    let service = format!("s{moved}");
    cluster.is_said_to_announce("node-a", &service).await;

    let label = |value: Value| json!({"metadata": {"labels": {"node.kubernetes.io/exclude-from-external-load-balancers": value}}});
    cluster.patch("/api/v1/nodes/node-a", label(json!("false"))).await;
    one_owner_each(Some("node-a")).await;
    let owner = speakers.iter().find(|(_, it)| it.wire.answered().contains(&addresses[moved])).unwrap().0;
    cluster.is_said_to_announce(owner, &service).await;
    wait("the newest event tells the owner", async || {
        let newest = cluster.newest_announcer(&service).await;
        if newest == owner { Ok(()) } else { Err(newest) }
    })
    .await;

    // The network of another node is not there.
    let condition = json!({"status": {"conditions": [{"type": "NetworkUnavailable", "status": "True"}]}});
    cluster.patch("/api/v1/nodes/node-b/status", condition).await;
    cluster.patch("/api/v1/nodes/node-a", label(Value::Null)).await;
    one_owner_each(Some("node-b")).await;
    assert!(speakers[0].1.wire.answered().is_superset(&of_a), "it has back what was its own");
}

#[tokio::test]
async fn nothing_is_written_while_nothing_changes_nor_after_a_restart() {
    let cluster = cluster(&["node-a"]).await;
    for number in 1..=30 {
        cluster.served(&format!("s{number}"), &[&format!("192.0.2.{number}")], "node-a").await;
    }
    let first = cluster.speaker("node-a");
    for number in 1..=30 {
        cluster.is_said_to_announce("node-a", &format!("s{number}")).await;
    }
    cluster.is_judged("node-a", "Valid", "").await;
    drop(first);
    let faults = Arc::new(Faults::default());
    let client = faults::client(&cluster.router, &faults);
    let second = cluster.speaker_with(&client, Options::new(NAMESPACE, "node-a"));
    wait("all are announced again", async || {
        let count = second.wire.answered().len();
        if count == 30 { Ok(()) } else { Err(count.to_string()) }
    })
    .await;
    // What is not written by the time that something else was is not written at all.
    cluster.served("last", &["192.0.2.200"], "node-a").await;
    cluster.is_said_to_announce("node-a", "last").await;
    let written = faults.written.lock().unwrap();
    // It is written before its event is known to be.
    let is_about_it = |it: &String| it.contains("servicel2statuses") || it.contains("/events");
    assert!(written.iter().all(is_about_it) && written.len() <= 3, "{written:#?}");
}

#[tokio::test]
async fn a_configuration_that_is_refused_changes_nothing() {
    let cluster = cluster(&["node-a"]).await;
    cluster.served("web", &["192.0.2.7"], "node-a").await;
    let speaker = cluster.speaker("node-a");
    cluster.answers(&speaker, &["192.0.2.7"]).await;
    let peer = json!({
        "apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer", "metadata": {"name": "peer1"},
        "spec": {"myASN": 64500, "peerASN": 64501, "peerAddress": "10.0.0.1", "bfdProfile": "my-bfd-profile"},
    });
    cluster.post(&of_metallb2("bgppeers"), peer).await;
    let text = "configuration error: peer peer1 referencing non existing bfd profile my-bfd-profile";
    cluster.is_judged("node-a", "Invalid", text).await;
    assert_eq!(
        series(&speaker, "metallb_k8s_client_config_stale_bool"),
        ["metallb_k8s_client_config_stale_bool 1"]
    );
    cluster.served("other", &["192.0.2.8"], "node-a").await;
    cluster.answers(&speaker, &["192.0.2.7", "192.0.2.8"]).await;

    // The state is made anew, and still says so.
    cluster.delete(&format!("{}/speaker-node-a", of_metallb("configurationstates"))).await;
    cluster.is_judged("node-a", "Invalid", text).await;
    cluster.delete(&format!("{}/peer1", of_metallb2("bgppeers"))).await;
    cluster.is_judged("node-a", "Valid", "").await;
    assert_eq!(
        series(&speaker, "metallb_k8s_client_config_stale_bool"),
        ["metallb_k8s_client_config_stale_bool 0"]
    );
}

fn of_metallb2(plural: &str) -> String {
    format!("/apis/metallb.io/v1beta2/namespaces/{NAMESPACE}/{plural}")
}

#[tokio::test]
async fn a_pool_that_goes_waits_for_the_addresses_to_go_first() {
    let cluster = cluster(&["node-a"]).await;
    cluster.served("web", &["192.0.2.7"], "node-a").await;
    let speaker = cluster.speaker("node-a");
    cluster.answers(&speaker, &["192.0.2.7"]).await;
    cluster.delete(&format!("{}/pool", pools())).await;
    let text = "configuration error: general handler sync state error";
    cluster.is_judged("node-a", "Invalid", text).await;
    cluster.answers(&speaker, &["192.0.2.7"]).await;
    cluster.hold("web", &[]).await;
    cluster.answers(&speaker, &[]).await;
    cluster.is_judged("node-a", "Valid", "").await;
}

#[tokio::test]
async fn interfaces_are_those_of_the_advertisements_of_the_node() {
    let cluster = cluster(&["node-a"]).await;
    cluster.served("web", &["192.0.2.7"], "node-a").await;
    let speaker = cluster.speaker("node-a");
    cluster.answers(&speaker, &["192.0.2.7"]).await;
    assert_eq!(speaker.wire.interfaces("192.0.2.7"), Some(Interfaces::All));
    let path = format!("{}/l2", of_metallb("l2advertisements"));
    cluster.patch(&path, json!({"spec": {"interfaces": ["eth1"]}})).await;
    let only = Interfaces::these(["eth1".to_owned()]);
    wait("only one interface is left", async || {
        let is = speaker.wire.interfaces("192.0.2.7");
        if is.as_ref() == Some(&only) { Ok(()) } else { Err(format!("{is:?}")) }
    })
    .await;
    wait("the status tells the interface", async || {
        let list = cluster.get(&of_metallb("servicel2statuses")).await;
        let is = list["items"][0]["status"]["interfaces"].clone();
        if is == json!([{"name": "eth1"}]) { Ok(()) } else { Err(is.to_string()) }
    })
    .await;
    cluster.patch(&path, json!({"spec": {"interfaces": ["foo"]}})).await;
    cluster.answers(&speaker, &[]).await;
    let message = r#"the interfaces specified by LB IP "192.0.2.7" doesn't exist in assigned node "node-a" with protocol "layer2""#;
    cluster.has_event("web", "announceFailed", message).await;
    speaker.wire.set_interfaces(&["eth0", "foo"]);
    cluster.answers(&speaker, &["192.0.2.7"]).await;
}

#[tokio::test]
async fn speakers_find_each_other_and_one_that_is_gone_is_no_candidate() {
    let cluster = cluster(&["node-a", "node-b"]).await;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    for node in ["node-a", "node-b"] {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("speaker-{node}"), "labels": {"component": "speaker"}},
            "spec": {"nodeName": node, "containers": [{"name": "speaker", "image": "i"}]},
        });
        cluster.post(&path, pod).await;
    }
    let place = |node: &str| if node == "node-a" { "127.0.0.1" } else { "127.0.0.2" };
    for node in ["node-a", "node-b"] {
        let status = json!({"status": {"podIP": place(node)}});
        cluster.patch(&format!("{path}/speaker-{node}/status"), status).await;
    }
    let port = free_port();
    cluster.served("web", &["10.20.30.1"], "node-a").await;
    cluster.pool("other", &["10.20.30.0/24"]).await;
    let speaker = |node: &str| {
        let members = watched(place(node), port, "component=speaker");
        cluster.speaker_with(&cluster.client, Options { members, ..Options::new(NAMESPACE, node) })
    };
    let a = speaker("node-a");
    cluster.answers(&a, &["10.20.30.1"]).await;
    // With both, the order of hashes puts node-b first.
    let b = speaker("node-b");
    cluster.answers(&b, &["10.20.30.1"]).await;
    cluster.answers(&a, &[]).await;
    cluster.is_said_to_announce("node-b", "web").await;
    drop(b);
    cluster.answers(&a, &["10.20.30.1"]).await;
    cluster.is_said_to_announce("node-a", "web").await;
}

#[tokio::test]
async fn beside_the_service_one_object_names_who_announces_or_nobody() {
    let cluster = cluster(&["node-a"]).await;
    cluster.served("web", &["192.0.2.7"], "node-a").await;
    let options = Options { status_layout: StatusLayout::Service, ..Options::new(NAMESPACE, "node-a") };
    let _speaker = cluster.speaker_with(&cluster.client, options);
    let path = "/apis/metallb.io/v1beta1/namespaces/default/servicel2statuses/web-l2-status";
    let names = async |node: Value| {
        wait(&format!("{node} is named"), async || {
            let object = cluster.get(path).await;
            if object["status"]["node"] == node && object["spec"]["serviceName"] == "web" {
                Ok(())
            } else {
                Err(object.to_string())
            }
        })
        .await;
    };
    names(json!("node-a")).await;
    cluster.delete(&format!("{SLICES}/web-1")).await;
    names(Value::Null).await;
    cluster.delete(&format!("{SERVICES}/web")).await;
    wait("it goes with the Service", async || {
        let object = cluster.get(path).await;
        if object["code"] == 404 { Ok(()) } else { Err(object.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn an_outage_of_the_server_takes_nothing_from_the_wire() {
    let cluster = cluster(&["node-a"]).await;
    cluster.served("web", &["192.0.2.7"], "node-a").await;
    let faults = Arc::new(Faults::default());
    let client = faults::client(&cluster.router, &faults);
    let speaker = cluster.speaker_with(&client, Options::new(NAMESPACE, "node-a"));
    cluster.is_said_to_announce("node-a", "web").await;
    faults.is_away.store(true, Relaxed);
    cluster.served("other", &["192.0.2.8"], "node-a").await;
    // Whatever of it was heard over watches that were open: nothing can be written now.
    let path = of_metallb("servicel2statuses");
    assert_eq!(cluster.get(&path).await["items"].as_array().map(Vec::len), Some(1));
    assert!(speaker.wire.answered().contains("192.0.2.7"));
    faults.is_away.store(false, Relaxed);
    cluster.answers(&speaker, &["192.0.2.7", "192.0.2.8"]).await;
    cluster.is_said_to_announce("node-a", "other").await;
}

#[tokio::test]
async fn a_conflict_on_the_wire_is_said_to_the_owner_of_the_service() {
    let cluster = cluster(&["node-a"]).await;
    cluster.served("web", &["192.0.2.7"], "node-a").await;
    let faults = Arc::new(Faults::default());
    let client = faults::client(&cluster.router, &faults);
    let speaker = cluster.speaker_with(&client, Options::new(NAMESPACE, "node-a"));
    cluster.is_said_to_announce("node-a", "web").await;
    let address: IpAddr = "192.0.2.7".parse().unwrap();
    let station = MacAddress([2, 0, 0, 0, 0, 9]);
    let interface = "eth0".to_owned();
    speaker
        .wire
        .happens(News::Conflict { address, interface, station, fellow: false, fellow_address: None })
        .await;
    let message = r#"a station that is no speaker with MAC address 02:00:00:00:00:09 also answers for 192.0.2.7 on interface "eth0" of node "node-a""#;
    cluster.has_event("web", "addressConflict", message).await;
    wait("the status has a condition", async || {
        let list = cluster.get(&of_metallb("servicel2statuses")).await;
        let condition = &list["items"][0]["status"]["conditions"][0];
        let is_it = condition["type"] == "AddressConflict" && condition["message"] == message;
        if is_it { Ok(()) } else { Err(list["items"].to_string()) }
    })
    .await;
    cluster.hold("web", &["192.0.2.7", "192.0.2.8"]).await;
    cluster.answers(&speaker, &["192.0.2.7", "192.0.2.8"]).await;
    wait("the status has both addresses", async || {
        let list = cluster.get(&of_metallb("servicel2statuses")).await;
        let ips = list["items"][0]["status"]["ips"].clone();
        if ips == json!(["192.0.2.7", "192.0.2.8"]) { Ok(()) } else { Err(list["items"].to_string()) }
    })
    .await;
    let written = faults.written.lock().unwrap();
    let statuses = written.iter().filter(|it| it.contains("servicel2statuses")).count();
    assert_eq!(statuses, 4, "made, filled, a conflict, an address: {written:#?}");
}
