//! Requests to the API server, and what its webhooks make of them.

use http::Method;
use serde_json::{Value, json};

use super::{Cluster, NAMESPACE, eventually};
use crate::call;

fn objects(version: &str, plural: &str, namespace: &str) -> String {
    format!("/apis/metallb.io/{version}/namespaces/{namespace}/{plural}")
}

fn object(version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": format!("metallb.io/{version}"), "kind": kind, "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn what_is_denied_is_not_written() {
    let cluster = Cluster::new().await;
    let running = cluster.start().await;
    eventually("the authority is known", || cluster.knows_the_authority()).await;
    cluster
        .post(
            "/api/v1/namespaces",
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}}),
        )
        .await;
    let pools = objects("v1beta1", "ipaddresspools", NAMESPACE);
    let pool = |name: &str, address: &str| {
        object("v1beta1", "IPAddressPool", name, &json!({"addresses": [address]}))
    };
    cluster.post(&pools, &pool("p", "10.0.0.0/24")).await;
    let advertisement = object("v1beta1", "BGPAdvertisement", "a", &json!({"communities": ["1:2:3:4"]}));
    let peer = |spec: Value| object("v1beta2", "BGPPeer", "r", &spec);
    let sound = json!({"myASN": 1, "peerASN": 2, "peerAddress": "10.9.0.1", "bfdProfile": "fast"});
    for (path, object, webhook, text) in [
        (
            pools.clone(),
            pool("q", "10.0.0.0/28"),
            "ipaddresspool",
            "CIDR \"10.0.0.0/28\" in pool \"q\" overlaps with already defined CIDR \"10.0.0.0/24\"",
        ),
        (
            objects("v1beta1", "ipaddresspools", "elsewhere"),
            pool("q", "10.1.0.0/28"),
            "ipaddresspool",
            "resource must be created in metallb-system namespace",
        ),
        (
            objects("v1beta1", "bgpadvertisements", NAMESPACE),
            advertisement,
            "bgpadvertisement",
            "invalid community value: invalid marker for large community, expected community to be of format \
             large:<uint32>:<uint32>:<uint32> but got \"1:2:3:4\" instead\ninvalid community \"1:2:3:4\" in BGP advertisement",
        ),
        (
            objects("v1beta2", "bgppeers", NAMESPACE),
            peer(json!({"myASN": 1, "peerASN": 2, "peerAddress": "10.9.0.300"})),
            "bgppeer",
            "parsing peer r invalid BGPPeer address \"10.9.0.300\"",
        ),
        (
            objects("v1beta2", "bgppeers", NAMESPACE),
            peer(json!({"myASN": 1, "peerASN": 2, "peerAddress": "10.9.0.1", "holdTime": "1d"})),
            "bgppeer",
            "time: unknown unit \"d\" in duration \"1d\"",
        ),
    ] {
        let failure = cluster.try_post(&path, &object).await.unwrap_err();
        let expected =
            format!("admission webhook \"{webhook}validationwebhook.metallb.io\" denied the request: {text}");
        assert_eq!(failure.message, expected);
        let is_unreadable = text.starts_with("time: ");
        assert_eq!(failure.code.unwrap().as_u16(), if is_unreadable { 400 } else { 403 });
    }
    cluster.post(&objects("v1beta2", "bgppeers", NAMESPACE), &peer(sound)).await;
    let profiles = objects("v1beta1", "bfdprofiles", NAMESPACE);
    cluster.post(&profiles, &object("v1beta1", "BFDProfile", "fast", &json!({}))).await;
    let delete = http::Request::builder().method(Method::DELETE).uri(format!("{profiles}/fast"));
    let refused = cluster.client.request::<Value>(delete.body(Vec::new()).unwrap()).await.unwrap_err();
    assert!(refused.to_string().contains("failed to delete BFDProfile fast, used by BGPPeer r"), "{refused}");
    running.stop().await;

    // Nobody answers now, and what nobody judged is not let in.
    let failure = cluster.try_post(&pools, &pool("s", "10.2.0.0/24")).await.unwrap_err();
    assert!(failure.message.contains("failed calling webhook"), "{failure}");
}

#[tokio::test]
async fn peers_are_read_and_written_in_both_versions() {
    let cluster = Cluster::new().await;
    let running = cluster.start().await;
    eventually("the authority is known", || cluster.knows_the_authority()).await;
    let (old, new) = (objects("v1beta1", "bgppeers", NAMESPACE), objects("v1beta2", "bgppeers", NAMESPACE));
    let spec = json!({"myASN": 1, "peerASN": 2, "peerAddress": "10.9.0.1", "holdTime": "90s"});
    cluster.post(&old, &object("v1beta1", "BGPPeer", "r", &spec)).await;
    let stored = cluster.get(&format!("{new}/r")).await;
    assert_eq!(
        (&stored["apiVersion"], &stored["spec"]["holdTime"]),
        (&json!("metallb.io/v1beta2"), &json!("1m30s"))
    );
    assert_eq!(stored["spec"]["keepaliveTime"], "0s");
    let bad = json!({"myASN": 1, "peerASN": 1, "peerAddress": "10.9.0.2", "ebgpMultiHop": true});
    let failure = cluster.try_post(&old, &object("v1beta1", "BGPPeer", "s", &bad)).await.unwrap_err();
    assert!(
        failure.message.ends_with("parsing peer s invalid ebgp-multihop parameter set for an ibgp peer"),
        "{failure}"
    );
    let listed: Value = call::get(&cluster.client, &old).await.unwrap();
    assert_eq!(listed["items"][0]["spec"]["holdTime"], "1m30s");
    running.stop().await;
}
