//! What speakers have their BGP engines do, against the embedded API server.

use ferrolb::bgp::Neighbour;
use serde_json::{Value, json};

use crate::cluster::{Cluster, SERVICES, wait};
use crate::nodes::{Running, SLICES, of_metallb};

impl Cluster {
    async fn bgp_advertisement(&self, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "BGPAdvertisement", "metadata": {"name": name}, "spec": spec,
        });
        self.post(&of_metallb("bgpadvertisements"), object).await;
    }

    async fn peer(&self, name: &str, spec: Value) {
        let object = json!({"apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer", "metadata": {"name": name}, "spec": spec});
        let path = of_metallb("bgppeers").replace("v1beta1", "v1beta2");
        self.post(&path, object).await;
    }
}

/// Each peer with the prefixes it is told, and whether that is known to be all.
fn told(speaker: &Running) -> Vec<(String, Option<Vec<String>>)> {
    let prefixes = |neighbour: &Neighbour| {
        let routes = neighbour.routes.as_ref()?;
        Some(routes.iter().map(|(prefix, _)| prefix.to_string()).collect())
    };
    speaker.routers.neighbours().iter().map(|it| (it.name.to_string(), prefixes(it))).collect()
}

async fn are_told(speaker: &Running, expected: &[(&str, &[&str])]) {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let expected: Vec<(String, Option<Vec<String>>)> =
        expected.iter().map(|&(name, prefixes)| (name.to_owned(), Some(owned(prefixes)))).collect();
    wait("peers are told", async || {
        let told = told(speaker);
        if told == expected { Ok(()) } else { Err(format!("{told:?} instead of {expected:?}")) }
    })
    .await;
}

#[tokio::test]
async fn peers_are_told_what_is_announced_and_nothing_else() {
    let cluster = Cluster::new().await;
    cluster.node("node-a").await;
    cluster.node("node-b").await;
    cluster.pool("pool", &["192.0.2.0/24", "2001:db8::/120"]).await;
    let base = json!({"myASN": 64500, "peerASN": 64600});
    let with = |more: Value| {
        let mut spec = base.clone();
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let selector = json!([{"matchLabels": {"kubernetes.io/hostname": "node-b"}}]);
    cluster.peer("east", with(json!({"peerAddress": "198.51.100.1"}))).await;
    cluster.peer("west", with(json!({"peerAddress": "198.51.100.2", "dualStackAddressFamily": true}))).await;
    cluster.peer("other", with(json!({"peerAddress": "198.51.100.3", "nodeSelectors": selector}))).await;
    cluster.bgp_advertisement("all", json!({"communities": ["64500:7"]})).await;
    cluster.bgp_advertisement("west", json!({"peers": ["west"], "aggregationLength": 24})).await;
    cluster.served("web", &["192.0.2.7", "2001:db8::7"], "node-a").await;
    let speaker = cluster.speaker("node-a");
    let all: &[(&str, &[&str])] =
        &[("east", &["192.0.2.7/32"]), ("west", &["192.0.2.0/24", "192.0.2.7/32", "2001:db8::7/128"])];
    are_told(&speaker, all).await;
    let neighbours = speaker.routers.neighbours();
    let routes = neighbours[0].routes.as_ref().unwrap();
    assert_eq!(routes.iter().next().unwrap().1.communities, [64500 << 16 | 7]);
    cluster.has_event("web", "nodeAssigned", r#"announcing from node "node-a" with protocol "bgp""#).await;
    // Without an endpoint that can serve there is nothing to be told, and the peers stay.
    let unready = json!({"endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "node-a", "conditions": {"ready": false}}]});
    cluster.patch(&format!("{SLICES}/web-1"), unready).await;
    are_told(&speaker, &[("east", &[]), ("west", &[])]).await;
    let ready = json!({"endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "node-b", "conditions": {"ready": true}}]});
    cluster.patch(&format!("{SLICES}/web-1"), ready).await;
    are_told(&speaker, all).await;
    cluster.patch(&format!("{SERVICES}/web"), json!({"spec": {"externalTrafficPolicy": "Local"}})).await;
    are_told(&speaker, &[("east", &[]), ("west", &[])]).await;
    // A peer that cannot be used keeps nobody else from what they have.
    cluster.patch(&format!("{SERVICES}/web"), json!({"spec": {"externalTrafficPolicy": "Cluster"}})).await;
    are_told(&speaker, all).await;
    cluster.peer("bad", with(json!({"peerAddress": "198.51.100.9", "bfdProfile": "missing"}))).await;
    let problem = "configuration error: peer bad referencing non existing bfd profile missing";
    cluster.is_judged("node-a", "Invalid", problem).await;
    are_told(&speaker, all).await;
    cluster.delete(&format!("{SERVICES}/web")).await;
    are_told(&speaker, &[("east", &[]), ("west", &[])]).await;
}
