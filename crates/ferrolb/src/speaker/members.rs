//! Which nodes have a speaker that is alive: a set, as a value that changes. Nothing else of membership is known outside.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use plan::announce::Alive;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::options::{Members, Options};
use crate::watch::{Change, Key, Only, follow};

/// Nothing while it is not known who is alive.
pub(super) fn watch(
    client: &Client,
    options: &Options,
    tasks: &mut JoinSet<()>,
) -> watch::Receiver<Option<Alive>> {
    let (alive, seen) = watch::channel(None);
    match &options.members {
        Members::Everyone => {
            alive.send_replace(Some(Alive::Everyone));
            tasks.spawn(keep(alive));
        }
        Members::These(nodes) => {
            alive.send_replace(Some(Alive::These(nodes.clone())));
            tasks.spawn(keep(alive));
        }
        Members::ReadyPods(labels) => {
            let pods = Api::<Pod>::namespaced(client.clone(), &options.namespace);
            let (told, changes) = mpsc::channel(64);
            tasks.spawn(follow(pods, Only::labels(labels), |pod| ready_on(&pod), told, |change| change));
            tasks.spawn(collect(changes, alive));
        }
    }
    seen
}

/// What never changes is said as long as anybody may ask.
async fn keep(alive: watch::Sender<Option<Alive>>) {
    alive.closed().await;
}

async fn collect(mut changes: mpsc::Receiver<Change<String>>, alive: watch::Sender<Option<Alive>>) {
    let mut nodes: BTreeMap<Key, String> = BTreeMap::new();
    let mut is_complete = false;
    while let Some(change) = changes.recv().await {
        match change {
            Change::Is { key, value, .. } => {
                nodes.insert(key, value);
            }
            Change::Gone(key) => {
                nodes.remove(&key);
            }
            Change::Complete => is_complete = true,
        }
        if is_complete {
            let now: BTreeSet<String> = nodes.values().cloned().collect();
            alive.send_if_modified(|before| {
                let now = Some(Alive::These(now));
                let is_new = *before != now;
                *before = now;
                is_new
            });
        }
    }
}

/// The node of a Pod that is ready and stays.
fn ready_on(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    let is_ready =
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let stays = pod.metadata.deletion_timestamp.is_none();
    pod.spec.as_ref()?.node_name.clone().filter(|_| is_ready && stays)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(metadata: &Value, node: &Value, ready: &str) -> Pod {
        let conditions =
            json!([{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}]);
        serde_json::from_value(json!({
            "metadata": metadata,
            "spec": {"containers": [], "nodeName": node},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn a_speaker_is_alive_while_its_pod_is_ready_and_stays() {
        let stays = json!({});
        let leaving = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        for (pod, node) in [
            (pod(&stays, &json!("node-a"), "True"), Some("node-a")),
            (pod(&stays, &json!("node-a"), "False"), None),
            (pod(&stays, &Value::Null, "True"), None),
            (pod(&leaving, &json!("node-a"), "True"), None),
            (Pod::default(), None),
        ] {
            assert_eq!(ready_on(&pod).as_deref(), node, "{pod:?}");
        }
    }
}
