//! The API server and the controller of a lab, in the control namespace: what `ferrolb standalone` is, on a thread here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use kube::Client;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::namespace::Namespace;
use super::options::{Family, Options};
use super::topology::{Member, Role, Segment, Topology};
use crate::embedded;
use crate::standalone::{self, Standalone};
use crate::{call, controller};

pub(super) const NAMESPACE: &str = "metallb-system";
const API_PORT: u16 = 6443;
const THREADS: usize = 2;
/// There are too many files open, perhaps for a while.
const BREATH: Duration = Duration::from_millis(10);
const READY_WAIT: Duration = Duration::from_secs(20);

/// Ends with this.
pub(super) struct ControlPlane {
    access: Access,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

/// How it is reached.
#[derive(Clone)]
struct Access {
    client: Client,
    runtime: Handle,
    /// Of the members.
    inside: PathBuf,
    /// Of the host.
    outside: PathBuf,
}

impl ControlPlane {
    pub(super) fn start(
        namespace: &Namespace,
        topology: &Topology,
        folder: &Path,
        options: &Options,
    ) -> anyhow::Result<ControlPlane> {
        let control = topology.members.iter().find(|member| member.role == Role::Control);
        let ip =
            control.and_then(|it| it.address(Segment::Management, true)).context("no management address")?;
        let standalone = standalone_options(SocketAddr::new(ip, API_PORT), folder, options)?;
        // Made before the thread is in its namespace, so that it is the host's.
        let doorway = std::net::TcpListener::bind(("127.0.0.1", 0)).context("a port of the host")?;
        doorway.set_nonblocking(true)?;
        let nodes: Vec<_> = topology.nodes().map(node_object).collect();
        let namespace = Namespace::open(namespace.name())?;
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::Builder::new().name("lab-control".to_owned()).spawn(move || {
            namespace.enter()?;
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(THREADS).enable_all().build()?;
            runtime.block_on(run(&standalone, &nodes, doorway, &ready, stopped))
        })?;
        let Ok(access) = is_ready.recv() else {
            let ended = thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked")));
            return Err(ended.err().unwrap_or_else(|| anyhow::anyhow!("it ended")).context("the API server"));
        };
        Ok(ControlPlane { access, stop: Some(stop), thread: Some(thread) })
    }

    /// As an administrator of this process.
    pub(super) fn client(&self) -> Client {
        self.access.client.clone()
    }

    /// Whatever is made there is in the control namespace, and ends with this.
    pub(super) fn runtime(&self) -> &Handle {
        &self.access.runtime
    }

    pub(super) fn kubeconfig_inside(&self) -> &Path {
        &self.access.inside
    }

    pub(super) fn kubeconfig_outside(&self) -> &Path {
        &self.access.outside
    }
}

impl std::fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlPlane").field("kubeconfig", &self.access.outside).finish_non_exhaustive()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            tracing::warn!("the API server ended badly: {error:#}");
        }
    }
}

async fn run(
    options: &standalone::Options,
    nodes: &[Value],
    doorway: std::net::TcpListener,
    ready: &mpsc::Sender<Access>,
    stopped: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let standalone = Standalone::open(options).await?;
    let server = standalone.server();
    let client = server.client("lab");
    for node in nodes {
        call::post::<Value>(&client, "/api/v1/nodes", node).await.context("making the nodes")?;
    }
    let outside = write_outside_kubeconfig(server, &doorway)?;
    let door = tokio::spawn(pass(TcpListener::from_std(doorway)?, server.address()));
    let access =
        Access { client, runtime: Handle::current(), inside: server.kubeconfig().to_owned(), outside };
    let controller = standalone.progress();
    let telling = tokio::spawn(tell(controller, ready.clone(), access));
    let ended = standalone
        .run(async {
            let _ = stopped.await;
        })
        .await;
    telling.abort();
    door.abort();
    ended
}

/// Somebody who comes before the controller is ready would wait for its first address, and be surprised how long.
async fn tell(mut controller: controller::Progress, ready: mpsc::Sender<Access>, access: Access) {
    if tokio::time::timeout(READY_WAIT, controller.is_ready.wait_for(|is_ready| *is_ready)).await.is_err() {
        tracing::warn!("the controller is not ready after {} s", READY_WAIT.as_secs());
    }
    // Nobody listens any more where the lab was given up.
    let _ = ready.send(access);
}

fn standalone_options(
    bind: SocketAddr,
    folder: &Path,
    options: &Options,
) -> anyhow::Result<standalone::Options> {
    let networks = match options.family {
        Family::Ipv4 => "10.96.0.0/16",
        Family::Ipv6 => "fd00:10:96::/112",
        Family::Dual => "10.96.0.0/16,fd00:10:96::/112",
    };
    let mut server = embedded::Options::new(folder.join("control"), bind);
    server.is_in_memory = !options.is_on_disk;
    server.service_networks = networks.parse().map_err(anyhow::Error::msg)?;
    Ok(standalone::Options::new(server, NAMESPACE))
}

/// For `kubectl` on the host, which is not in any of the lab's namespaces.
fn write_outside_kubeconfig(
    server: &embedded::Embedded,
    doorway: &std::net::TcpListener,
) -> anyhow::Result<PathBuf> {
    let inside = std::fs::read_to_string(server.kubeconfig())?;
    let outside = inside.replace(&server.address().to_string(), &doorway.local_addr()?.to_string());
    let path = server.kubeconfig().with_file_name("host.kubeconfig");
    apiserver::serve::files::write_private(&path, &outside)?;
    Ok(path)
}

/// Connections of the host to a server that is in a namespace.
async fn pass(doorway: TcpListener, server: SocketAddr) {
    loop {
        let Ok((mut here, _)) = doorway.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        tokio::spawn(async move {
            if let Ok(mut there) = TcpStream::connect(server).await {
                // One of both ends it, which is no news.
                let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
            }
        });
    }
}

fn node_object(member: &Member) -> Value {
    let internal = member.addresses().into_iter();
    let mut addresses: Vec<_> =
        internal.map(|address| json!({"type": "InternalIP", "address": address.to_string()})).collect();
    addresses.push(json!({"type": "Hostname", "address": member.name}));
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": member.name,
            "labels": {"kubernetes.io/hostname": member.name, "kubernetes.io/os": "linux"},
        },
        "status": {
            "addresses": addresses,
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Lab", "message": "a namespace of a lab"},
                {"type": "NetworkUnavailable", "status": "False", "reason": "Lab", "message": "its network is there"},
            ],
        },
    })
}
