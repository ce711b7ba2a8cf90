//! What a DaemonSet and the kubelets do for speakers: a Pod for each, which is ready while its process runs.
//!
//! A process that ends is noticed at once, as a kubelet does. One that hangs, or a node that is cut off, is not.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::Context;
use http::StatusCode;
use kube::{Api, Client};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::control_plane::NAMESPACE;
use super::topology::Member;
use crate::call::{self, Failure};
use crate::pod::Pod;
use crate::watch::{self as objects, Change, Only};

/// As MetalLB's manifests call speakers.
pub(super) const LABELS: &str = "app=metallb,component=speaker";
const MANAGER: &str = "ferrolb-lab";
const QUEUE: usize = 64;

pub(super) fn name_on(node: &str) -> String {
    format!("speaker-{node}")
}

/// Makes the Pod of a node's speaker, where it is not there any more or not yet. It is not ready.
pub(super) async fn make(client: &Client, node: &Member) -> anyhow::Result<()> {
    let path = path_of(&name_on(&node.name));
    match call::get::<Pod>(client, &path).await {
        Ok(known) if leaving_node(&known).is_some() => remove(client, &name_on(&node.name)).await?,
        Err(failure) if !failure.is(StatusCode::NOT_FOUND) => return Err(failure.into()),
        Ok(_) | Err(_) => {}
    }
    let path = format!("{path}?fieldManager={MANAGER}&force=true");
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name_on(&node.name), "labels": {"app": "metallb", "component": "speaker"}},
        "spec": {
            "nodeName": node.name,
            "hostNetwork": true,
            "containers": [{"name": "speaker", "image": "ferrolb"}],
        },
    });
    call::patch::<Value>(client, &path, call::APPLY, &pod).await.context("making the Pod")?;
    // Other speakers find it by its address, before it is ready.
    set_ready(client, &node.name, &node.addresses(), false).await
}

pub(super) async fn set_ready(
    client: &Client,
    node: &str,
    addresses: &[IpAddr],
    is_ready: bool,
) -> anyhow::Result<()> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{}/status", name_on(node));
    let state = if is_ready { "True" } else { "False" };
    let addresses: Vec<_> = addresses.iter().map(|address| json!({"ip": address.to_string()})).collect();
    let status = json!({"status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": state}, {"type": "PodScheduled", "status": "True"}],
        "containerStatuses": [
            {"name": "speaker", "image": "ferrolb", "imageID": "", "ready": is_ready, "restartCount": 0},
        ],
        "podIP": addresses.first().map(|it| &it["ip"]),
        "podIPs": addresses,
    }});
    call::patch::<Value>(client, &path, call::MERGE_PATCH, &status).await.context("the Pod's status")?;
    Ok(())
}

/// The processes that run, by the name of their node.
pub(super) type Running = BTreeMap<String, Arc<OwnedFd>>;

/// Waits for the end of a process, and says in its Pod that it is not ready any more.
pub(super) async fn follow(
    client: Client,
    node: String,
    addresses: Vec<IpAddr>,
    process: Arc<OwnedFd>,
    running: watch::Sender<Running>,
) {
    running.send_modify(|running| {
        running.insert(node.clone(), Arc::clone(&process));
    });
    // A thread for each speaker, which sleeps; there are not so many.
    let ended = move || rustix::event::poll(&mut [PollFd::new(&process, PollFlags::IN)], None);
    let told = async {
        tokio::task::spawn_blocking(ended).await??;
        set_ready(&client, &node, &addresses, false).await
    };
    if let Err(error) = told.await {
        tracing::info!("the end of the speaker of {node} is not told: {error:#}");
    }
    running.send_modify(|running| {
        running.remove(&node);
    });
}

/// Ends the processes of Pods that somebody deletes, and lets go of those whose process has ended.
pub(super) async fn finish(client: Client, mut running: watch::Receiver<Running>) {
    let (told, mut changes) = mpsc::channel(QUEUE);
    let pods = Api::<Pod>::namespaced(client.clone(), NAMESPACE);
    let only = Only::labels(LABELS);
    let mut watching = std::pin::pin!(objects::follow(pods, only, |pod| leaving_node(&pod), told, |it| it));
    let mut leaving = BTreeMap::new();
    loop {
        tokio::select! {
            () = &mut watching => return,
            change = changes.recv() => match change {
                Some(Change::Is { key: (_, pod), value: node, .. }) => {
                    leaving.insert(pod, node);
                }
                Some(Change::Gone((_, pod))) => {
                    leaving.remove(&pod);
                }
                Some(Change::Complete) => {}
                None => return,
            },
            changed = running.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
        let now = running.borrow_and_update().clone();
        for (pod, node) in &leaving {
            if let Some(process) = now.get(node) {
                // It may have ended meanwhile, which comes next.
                let _ = pidfd_send_signal(process, Signal::TERM);
            } else if let Err(error) = remove(&client, pod).await {
                tracing::info!("the Pod {pod} cannot be removed: {error}");
            }
        }
    }
}

/// The node of a Pod that somebody deletes.
fn leaving_node(pod: &Pod) -> Option<String> {
    pod.metadata.deletion_timestamp.as_ref()?;
    pod.spec.as_ref()?.node_name.clone()
}

async fn remove(client: &Client, pod: &str) -> Result<(), Failure> {
    match call::delete(client, &format!("{}?gracePeriodSeconds=0", path_of(pod))).await {
        Err(failure) if failure.is(StatusCode::NOT_FOUND) => Ok(()),
        other => other,
    }
}

fn path_of(pod: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}")
}

/// Something that tells when a child of this process ends, also after it was waited for.
pub(super) fn handle_of(process: u32) -> std::io::Result<Arc<OwnedFd>> {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::other("no process has this number"))?;
    Ok(Arc::new(pidfd_open(pid, PidfdFlags::empty())?))
}
