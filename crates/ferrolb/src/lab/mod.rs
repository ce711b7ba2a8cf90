//! A data centre in network namespaces: nodes with a speaker each, a switch, a router, a client, an API server with the
//! controller, and backends behind Services. For the demo, the tests, and whoever wants to try.
//!
//! * `topology` says who there is and with which addresses, `wires` what is wrong with the network: both pure.
//! * `namespace`, `programs`, `process` and `folder` are what the system is asked for, and how all of it is given back.
//! * `control_plane`, `backend`, `slices` and `forwarder` are what a cluster has besides FerroLB.
//! * `routers` are FRR, BIRD, GoBGP and ExaBGP, for sessions of BGP.
//! * `build` puts all of it together, `faults` breaks it, `traffic` measures, and `orders` is for other processes.

mod backend;
mod build;
mod capture;
mod control_plane;
mod faults;
mod folder;
mod forwarder;
mod namespace;
mod options;
mod orders;
mod pods;
mod process;
mod programs;
pub mod routers;
mod slices;
mod speakers;
mod status;
mod topology;
pub mod traffic;
mod wires;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use tokio::sync::watch;

pub use backend::{HTTP_PORTS, TCP_ECHO_PORT, UDP_ECHO_PORTS};
pub use capture::Capture;
pub use folder::{LOG, Record, all, clean, path_of, running};
pub use options::{Family, Forwarder, Options};
pub use orders::{Order, Orders, ask, take_down};
pub use process::ProcessState;
pub use speakers::{METRICS_PORT, PROBE_PORT};
pub use status::{MemberStatus, Status};
pub use topology::{Interface, MAX_NODES, MAX_REMOTES, MAX_ROUTERS, Member, Role, Segment, Topology};
pub use wires::Cut;

use backend::Backend;
use control_plane::ControlPlane;
use folder::Folder;
use namespace::Namespace;
use pods::Running;
use process::Starter;
use routers::Router;
use slices::Backends;
use speakers::Speaker;
use traffic::{Questions, Traffic};
use wires::Wires;

use crate::serving::admin;

/// Why something cannot be done in a lab, or why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a lab needs root, because it makes network namespaces")]
    NotRoot,
    #[error("{program} is missing: it is in the Debian package {package}")]
    ProgramMissing { program: &'static str, package: &'static str },
    #[error("{program} failed in {place}: {reason}")]
    Program { program: &'static str, place: String, reason: String },
    #[error("{given:?} cannot be the name of a lab: up to 32 lower-case letters, digits and dashes")]
    Name { given: String },
    #[error("{given} nodes: a lab has 1 to {MAX_NODES}")]
    Nodes { given: usize },
    #[error(
        "{routers} routers and {remotes} clients behind them: a lab has 1 to {MAX_ROUTERS}, and up to {MAX_REMOTES}"
    )]
    Routers { routers: usize, remotes: usize },
    #[error("the router on {member}: {reason}")]
    Router { member: String, reason: String },
    #[error("the lab {name} is running already")]
    Running { name: String },
    #[error("there is no running lab {name}")]
    NotRunning { name: String },
    #[error("the namespace {name} exists, and no lab made it")]
    Occupied { name: String },
    #[error("{}: {reason}", path.display())]
    Folder { path: PathBuf, reason: String },
    #[error("there is no member {given} in the lab: {known}")]
    Unknown { given: String, known: String },
    #[error("{member} is not a node")]
    NotNode { member: String },
    #[error("{node}: {reason}")]
    Speaker { node: String, reason: String },
    #[error("{what}: {reason}")]
    Part { what: &'static str, reason: String },
    #[error("{0}")]
    Remote(String),
}

/// A lab that runs. It is taken down when this is dropped. None of its methods may be called from a thread that drives
/// asynchronous tasks: they wait.
#[derive(Debug)]
pub struct Lab {
    options: Options,
    topology: Topology,
    namespaces: BTreeMap<String, Arc<Namespace>>,
    /// Whatever was made lives in here, so that it goes before the namespaces do.
    parts: Option<Parts>,
    folder: Option<Folder>,
}

#[derive(Debug)]
struct Parts {
    state: Mutex<State>,
    backends: watch::Sender<Backends>,
    /// Processes of speakers.
    running: watch::Sender<Running>,
    /// Whether a node's forwarder reaches the API server.
    hears: BTreeMap<String, watch::Sender<bool>>,
    starter: Starter,
    control: ControlPlane,
}

/// What can be changed.
#[derive(Debug, Default)]
struct State {
    wires: Wires,
    drained: BTreeSet<String>,
    running: BTreeMap<String, Backend>,
    speakers: BTreeMap<String, Speaker>,
    /// By member; those that tests start are their own.
    routers: BTreeMap<String, Router>,
}

impl Lab {
    /// Makes a lab. When this returns, Services get addresses and backends answer.
    pub fn up(options: Options) -> Result<Lab, Error> {
        build::up(options)
    }

    /// Whether this process, on this machine, can make one.
    pub fn can_run() -> Result<(), Error> {
        build::can_run()
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// As an administrator; for any thread.
    pub fn client(&self) -> Client {
        self.parts().control.client()
    }

    /// For programs on the host.
    pub fn kubeconfig(&self) -> &Path {
        self.parts().control.kubeconfig_outside()
    }

    /// For programs of a member.
    pub fn kubeconfig_inside(&self) -> &Path {
        self.parts().control.kubeconfig_inside()
    }

    /// A member by its name, a node also by its number.
    pub fn member(&self, name: &str) -> Result<&Member, Error> {
        self.topology.find(name).ok_or_else(|| Error::Unknown {
            given: name.to_owned(),
            known: self.topology.members.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// A program that will run as if on that member, with the lab's kubeconfig in its environment.
    pub fn command(&self, member: &str, program: &str) -> Result<Command, Error> {
        command_in(&self.member(member)?.namespace, self.kubeconfig_inside(), program)
    }

    /// Does something as if on that member, on a thread of its own. Sockets made there stay there.
    pub fn inside<T: Send>(
        &self,
        member: &str,
        act: impl FnOnce() -> std::io::Result<T> + Send,
    ) -> Result<T, Error> {
        let member = self.member(member)?;
        let done = self.namespace(member).run(act);
        done.map_err(|error| Error::Part { what: "inside the namespace", reason: error.to_string() })
    }

    /// Questions from a member, usually the client, until they are finished or dropped.
    pub fn traffic(&self, member: &str, questions: Questions) -> Result<Traffic, Error> {
        let member = self.member(member)?;
        let started = Traffic::start(self.namespace(member), questions);
        started.map_err(|error| Error::Part { what: "the traffic", reason: error.to_string() })
    }

    /// What goes over an interface of a member, as `tcpdump` prints it.
    pub fn capture(&self, member: &str, interface: &str, filter: &str) -> Result<Capture, Error> {
        let member = self.member(member)?;
        Capture::start(&self.parts().starter, &member.namespace, self.folder_path(), interface, filter)
    }

    /// Takes it down, and says what could not be removed.
    pub fn down(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        if self.folder.is_none() {
            return Ok(());
        }
        self.parts = None;
        // The kernel removes a namespace when nobody has it open.
        self.namespaces.clear();
        let folder = self.folder.take();
        if self.options.keeps {
            return Ok(());
        }
        let names: Vec<_> = self.topology.members.iter().map(|it| it.namespace.clone()).collect();
        folder::remove_namespaces(&names)?;
        folder.map_or(Ok(()), Folder::remove)
    }

    fn folder_path(&self) -> &Path {
        self.folder.as_ref().map_or(Path::new("/"), Folder::path)
    }

    fn node(&self, name: &str) -> Result<&Member, Error> {
        let member = self.member(name)?;
        if member.role == Role::Node {
            Ok(member)
        } else {
            Err(Error::NotNode { member: member.name.clone() })
        }
    }

    fn namespace(&self, member: &Member) -> &Arc<Namespace> {
        &self.namespaces[&member.name]
    }

    fn parts(&self) -> &Parts {
        self.parts.as_ref().expect("a lab has its parts until it ends")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.parts().state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!("the lab {} is not taken down completely: {error}", self.options.name);
        }
    }
}

impl Parts {
    /// Waits for something that needs the lab's runtime.
    fn wait<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Result<T, Error> {
        let (done, answer) = std::sync::mpsc::channel();
        self.control.runtime().spawn(async move {
            let _ = done.send(future.await);
        });
        answer.recv().map_err(|_| Error::Part { what: "the runtime", reason: "it ended".to_owned() })
    }
}

/// A program in a namespace, with that namespace's `/sys`.
pub fn command_in(namespace: &str, kubeconfig: &Path, program: &str) -> Result<Command, Error> {
    let mut command = Command::new(programs::IP.path()?);
    command.args(["netns", "exec", namespace, program]).env("KUBECONFIG", kubeconfig);
    command.env(admin::VARIABLE, admin_socket(kubeconfig, namespace));
    Ok(command)
}

/// Where the speaker in a namespace is asked: files are the same in all of them.
fn admin_socket(kubeconfig: &Path, namespace: &str) -> PathBuf {
    kubeconfig.with_file_name(format!("{namespace}.sock"))
}

/// Does something in a namespace, on a thread of its own.
pub fn inside<T: Send>(
    namespace: &str,
    act: impl FnOnce() -> std::io::Result<T> + Send,
) -> std::io::Result<T> {
    Namespace::open(namespace)?.run(act)
}

/// Says where to get what a capture needs.
pub fn capture_program() -> Result<PathBuf, Error> {
    programs::TCPDUMP.path()
}
