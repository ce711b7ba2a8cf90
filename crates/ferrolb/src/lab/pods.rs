//! What a DaemonSet and the kubelets do for speakers: a Pod for each, which is ready while its process runs.
//!
//! A process that ends is noticed at once, as a kubelet does. One that hangs, or a node that is cut off, is not.

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use anyhow::Context;
use kube::Client;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};

use super::control_plane::NAMESPACE;
use super::topology::Member;
use crate::call;

/// As MetalLB's manifests call speakers.
pub(super) const LABELS: &str = "app=metallb,component=speaker";
const MANAGER: &str = "ferrolb-lab";

pub(super) fn name_on(node: &str) -> String {
    format!("speaker-{node}")
}

/// Makes the Pod of a node's speaker, where it is not there any more or not yet. It is not ready.
pub(super) async fn make(client: &Client, node: &Member) -> anyhow::Result<()> {
    let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    let path = format!("{pods}/{}?fieldManager={MANAGER}&force=true", name_on(&node.name));
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
    Ok(())
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
        "podIP": addresses.first().map(|it| &it["ip"]),
        "podIPs": addresses,
    }});
    call::patch::<Value>(client, &path, call::MERGE_PATCH, &status).await.context("the Pod's status")?;
    Ok(())
}

/// Waits for the end of a process, and says in its Pod that it is not ready any more.
pub(super) async fn follow(client: Client, node: String, addresses: Vec<IpAddr>, process: OwnedFd) {
    // A thread for each speaker, which sleeps; there are not so many.
    let ended = move || rustix::event::poll(&mut [PollFd::new(&process, PollFlags::IN)], None);
    let told = async {
        tokio::task::spawn_blocking(ended).await??;
        set_ready(&client, &node, &addresses, false).await
    };
    if let Err(error) = told.await {
        // Somebody may have deleted the Pod, as one does in Kubernetes to have a new one.
        tracing::info!("the end of the speaker of {node} is not told: {error:#}");
    }
}

/// Something that tells when a child of this process ends, also after it was waited for.
pub(super) fn handle_of(process: u32) -> std::io::Result<OwnedFd> {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::other("no process has this number"))?;
    Ok(pidfd_open(pid, PidfdFlags::NONBLOCK)?)
}
