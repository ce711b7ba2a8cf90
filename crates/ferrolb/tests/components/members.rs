//! Speakers that hear each other over the loopback interface, or should not.

use std::path::{Path, PathBuf};

use ferrolb::members::{Members, Peers};
use ferrolb::speaker::Options;
use serde_json::{Value, json};

use crate::cluster::{Cluster, NAMESPACE, wait};
use crate::nodes::{Running, free_port, watched};

/// With both nodes, the order of hashes puts node-b first.
const ADDRESS: &str = "10.20.30.1";

/// Removed with the test.
struct Secret(PathBuf);

impl Secret {
    fn new(name: &str, content: &str) -> Secret {
        let folder = std::env::temp_dir().join(format!("ferrolb-members-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let secret = Secret(folder);
        secret.write(content);
        secret
    }

    fn write(&self, content: &str) {
        std::fs::write(self.0.join("secretkey"), content).unwrap();
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn cluster() -> Cluster {
    let cluster = Cluster::new().await;
    cluster.node("node-a").await;
    cluster.node("node-b").await;
    cluster.pool("pool", &["10.20.30.0/24"]).await;
    cluster.l2_advertisement("l2", json!({})).await;
    cluster.served("web", &[ADDRESS], "node-a").await;
    cluster
}

/// Finds the other one where somebody says that it is.
fn speaker(cluster: &Cluster, node: &str, port: u16, secret: &Path) -> Running {
    let place = |node: &str| if node == "node-a" { "127.0.0.1" } else { "127.0.0.2" };
    let other = if node == "node-a" { "node-b" } else { "node-a" };
    let Members::Watched(mut options) = watched(place(node), port, "") else { unreachable!() };
    options.peers = Peers { labels: None, hosts: vec![place(other).parse().unwrap()] };
    options.secret = Some(secret.to_owned());
    let members = Members::Watched(options);
    cluster.speaker_with(&cluster.client, Options { members, ..Options::new(NAMESPACE, node) })
}

fn state_of<'a>(seen: &'a Value, node: &str) -> &'a Value {
    let members = seen["members"].as_array().unwrap();
    members.iter().find(|it| it["node"] == node).map_or(&Value::Null, |it| &it["state"])
}

async fn is_up(speaker: &Running, other: &str) {
    wait(&format!("{other} is seen to be alive"), async || {
        let seen = speaker.members.borrow().json();
        if *state_of(&seen, other) == "alive" { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn whoever_has_another_secret_moves_nothing_is_shown_and_may_get_the_right_one() {
    let cluster = cluster().await;
    let port = free_port();
    let (right, other) = (Secret::new("right", "right"), Secret::new("other", "wrong"));
    let a = speaker(&cluster, "node-a", port, &right.0);
    cluster.answers(&a, &[ADDRESS]).await;
    let _b = speaker(&cluster, "node-b", port, &other.0);
    wait("the other secret is shown", async || {
        let seen = a.members.borrow().json();
        let from = &seen["otherSecrets"][0]["from"];
        if *from == format!("127.0.0.2:{port}") { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
    assert_eq!(*state_of(&a.members.borrow().json(), "node-b"), Value::Null);
    cluster.answers(&a, &[ADDRESS]).await;
    other.write("right");
    cluster.answers(&a, &[]).await;
    is_up(&a, "node-b").await;
}

#[tokio::test]
async fn a_secret_is_changed_on_one_node_after_the_other() {
    let cluster = cluster().await;
    let port = free_port();
    let secrets = [Secret::new("first", "old"), Secret::new("second", "old")];
    let a = speaker(&cluster, "node-a", port, &secrets[0].0);
    let b = speaker(&cluster, "node-b", port, &secrets[1].0);
    cluster.answers(&b, &[ADDRESS]).await;
    is_up(&a, "node-b").await;
    is_up(&b, "node-a").await;
    let newest = |it: &Running| it.members.borrow().json()["members"][0]["hasNewestSecret"] == true;
    let hears = |it: &Running, other: &str| *state_of(&it.members.borrow().json(), other) == "alive";
    for (secret, other) in [(&secrets[1], &a), (&secrets[0], &a)] {
        let before = newest(other);
        secret.write("new");
        wait("the other one notices", async || {
            assert!(hears(&a, "node-b") && hears(&b, "node-a"), "they hear each other all the time");
            if newest(other) == before { Err("not yet".to_owned()) } else { Ok(()) }
        })
        .await;
        assert!(b.wire.answered().contains(ADDRESS) && a.wire.answered().is_empty());
    }
}
