//! The speakers of a lab: a process of its own for each node, in that node's namespace.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinHandle;

use super::control_plane::NAMESPACE;
use super::options::Forwarder;
use super::process::{Process, ProcessState};
use super::topology::Member;
use super::{Error, Lab, admin_socket, pods};
use crate::members::SECRET_FILE;

pub const METRICS_PORT: u16 = 9120;
pub const PROBE_PORT: u16 = 17472;

const READY_WAIT: Duration = Duration::from_secs(20);
/// Whoever runs knows of each other within a second, if nothing is broken.
const MEMBERS_WAIT: Duration = Duration::from_secs(5);
const ANSWER_BYTES: u64 = 1 << 20;
const READY_CHECK: Duration = Duration::from_millis(5);
/// Lines of a speaker that ended which are passed on.
const LAST_LINES: usize = 5;

/// As MetalLB's manifests leave them alone, and the interface that leads to the API server.
const EXCLUDED: &str = "excluded.yaml";
const EXCLUDED_CONTENT: &str = "\
announcedInterfacesToExclude:
- ^docker.*
- ^cbr.*
- ^dummy.*
- ^virbr.*
- ^lxcbr.*
- ^veth.*
- ^lo$
- ^cali.*
- ^tunl.*
- ^flannel.*
- ^kube-ipvs.*
- ^cni.*
- ^nodelocaldns.*
- ^lxc.*
- ^mgmt.*
- ^link.*
";

/// A speaker that was started.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) process: Process,
    /// Tells in its Pod when it ends.
    pod: JoinHandle<()>,
}

impl Lab {
    pub(super) fn start_all_speakers(&self) -> Result<(), Error> {
        let path = self.folder_path().join(EXCLUDED);
        let written = std::fs::write(&path, EXCLUDED_CONTENT);
        written.map_err(|error| Error::Folder { path, reason: error.to_string() })?;
        self.write_secret()?;
        let parts = self.parts();
        parts.control.runtime().spawn(pods::finish(self.client(), parts.running.subscribe()));
        let nodes: Vec<_> = self.topology.nodes().collect();
        for node in &nodes {
            self.spawn_speaker(node, &[])?;
        }
        nodes.iter().try_for_each(|node| self.wait_for_speaker(node))?;
        self.wait_for_members();
        Ok(())
    }

    /// What the Secret is that the controller makes in a cluster.
    fn write_secret(&self) -> Result<(), Error> {
        let path = self.folder_path().join(SECRET_FILE);
        let failed = |error: std::io::Error| Error::Folder { path: path.clone(), reason: error.to_string() };
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(std::io::Error::other).map_err(failed)?;
        std::fs::write(&path, hex(&secret)).map_err(failed)
    }

    /// Until all speakers that run know each other, or it turns out that they will not, because something is broken.
    fn wait_for_members(&self) {
        let until = Instant::now() + MEMBERS_WAIT;
        let nodes: Vec<&Member> = {
            let mut state = self.state();
            let is_running = |it: &mut Speaker| matches!(it.process.state(), ProcessState::Running);
            let mut runs = |node: &&Member| state.speakers.get_mut(&node.name).is_some_and(is_running);
            self.topology.nodes().filter(&mut runs).collect()
        };
        for node in &nodes {
            let has_joined =
                || self.namespace(node).run(members).is_ok_and(|seen| has_joined(&seen, nodes.len() - 1));
            while !has_joined() && Instant::now() < until {
                std::thread::sleep(READY_CHECK);
            }
        }
    }

    /// Starts a speaker where none runs, and waits until it is ready.
    pub fn start_speaker(&self, node: &str) -> Result<(), Error> {
        self.start_speaker_with(node, &[])?;
        self.wait_for_members();
        Ok(())
    }

    /// The same with further arguments, which no other speaker has. Whether it gets to know others depends on them.
    pub fn start_speaker_with(&self, node: &str, arguments: &[&str]) -> Result<(), Error> {
        let node = self.node(node)?;
        self.spawn_speaker(node, arguments)?;
        self.wait_for_speaker(node)
    }

    /// As with `kill -9`.
    pub fn kill_speaker(&self, node: &str) -> Result<(), Error> {
        self.with_speaker(node, Process::kill)
    }

    /// As with SIGTERM, and waits for its end.
    pub fn end_speaker(&self, node: &str) -> Result<(), Error> {
        self.with_speaker(node, |speaker| {
            speaker.end();
        })
    }

    /// The process goes on to exist and does nothing, as in a machine that hangs.
    pub fn freeze(&self, node: &str) -> Result<(), Error> {
        self.with_speaker(node, Process::freeze)
    }

    pub fn resume(&self, node: &str) -> Result<(), Error> {
        self.with_speaker(node, Process::resume)
    }

    /// All that the speaker of a node has said, of all its lives.
    pub fn speaker_log(&self, node: &str) -> Result<String, Error> {
        let path = self.speaker_log_path(self.node(node)?);
        std::fs::read_to_string(&path).map_err(|error| Error::Folder { path, reason: error.to_string() })
    }

    fn with_speaker(&self, node: &str, act: impl FnOnce(&mut Process)) -> Result<(), Error> {
        let node = self.node(node)?;
        let mut state = self.state();
        let mut known = state.speakers.get_mut(&node.name);
        let running = known.take_if(|speaker| speaker.process.state() != ProcessState::Ended);
        act(&mut running.ok_or_else(|| speaker_error(node, "no speaker runs there"))?.process);
        Ok(())
    }

    fn spawn_speaker(&self, node: &Member, further: &[&str]) -> Result<(), Error> {
        let failed = |error: std::io::Error| speaker_error(node, &error.to_string());
        let parts = self.parts();
        let mut state = self.state();
        if let Some(mut speaker) = state.speakers.remove(&node.name) {
            if speaker.process.state() != ProcessState::Ended {
                state.speakers.insert(node.name.clone(), speaker);
                return Err(speaker_error(node, "its speaker runs already"));
            }
            // Otherwise the news of that end could come after those of this beginning.
            parts.wait(speaker.pod)?.map_err(|error| speaker_error(node, &error.to_string()))?;
        }
        let (client, member) = (self.client(), node.clone());
        let made = parts.wait(async move { pods::make(&client, &member).await })?;
        made.map_err(|error| speaker_error(node, &format!("{error:#}")))?;
        let program = match &self.options.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(failed)?,
        };
        let log = self.speaker_log_path(node);
        let mut arguments = self.speaker_arguments(node);
        arguments.extend(further.iter().map(|&argument| argument.to_owned()));
        let process = parts.starter.start(&node.namespace, &log, &program, &arguments)?;
        let handle = pods::handle_of(process.id()).map_err(failed)?;
        let (client, running) = (self.client(), parts.running.clone());
        let following = pods::follow(client, node.name.clone(), node.addresses(), handle, running);
        let pod = parts.control.runtime().spawn(following);
        state.speakers.insert(node.name.clone(), Speaker { process, pod });
        Ok(())
    }

    fn speaker_arguments(&self, node: &Member) -> Vec<String> {
        let kubeconfig = self.kubeconfig_inside();
        let admin = admin_socket(kubeconfig, &node.namespace).display().to_string();
        let kubeconfig = kubeconfig.display().to_string();
        let pod = pods::name_on(&node.name);
        let address = node.addresses().first().map(ToString::to_string).unwrap_or_default();
        let excluded = self.folder_path().join(EXCLUDED).display().to_string();
        let secret = self.folder_path().display().to_string();
        let (metrics, probes) = (METRICS_PORT.to_string(), PROBE_PORT.to_string());
        let own = [
            "speaker",
            "--kubeconfig",
            &kubeconfig,
            "--node-name",
            &node.name,
            "--namespace",
            NAMESPACE,
            "--port",
            &metrics,
            "--health-probe-port",
            &probes,
            "--log-level",
            &self.options.speaker_log_level,
            "--pod-name",
            &pod,
            "--ml-labels",
            pods::LABELS,
            "--ml-bindaddr",
            &address,
            "--ml-secret-key-path",
            &secret,
            "--exclude-interfaces-file",
            &excluded,
            "--admin-socket",
            &admin,
        ];
        let proxy = (self.options.forwarder == Forwarder::Proxy).then_some("--proxy");
        own.into_iter()
            .chain(proxy)
            .map(str::to_owned)
            .chain(self.options.speaker_arguments.iter().cloned())
            .collect()
    }

    fn speaker_log_path(&self, node: &Member) -> PathBuf {
        self.folder_path().join(format!("{}-speaker.log", node.name))
    }

    fn wait_for_speaker(&self, node: &Member) -> Result<(), Error> {
        let until = Instant::now() + READY_WAIT;
        loop {
            if self.namespace(node).run(is_ready).unwrap_or(false) {
                let (client, name, addresses) = (self.client(), node.name.clone(), node.addresses());
                let told = async move { pods::set_ready(&client, &name, &addresses, true).await };
                let told = self.parts().wait(told)?;
                return told.map_err(|error| speaker_error(node, &format!("{error:#}")));
            }
            let state = self.state().speakers.get_mut(&node.name).map(|speaker| speaker.process.state());
            if state != Some(ProcessState::Running) || Instant::now() > until {
                let log = self.speaker_log(&node.name).unwrap_or_default();
                let lines: Vec<_> = log.lines().rev().take(LAST_LINES).collect();
                let lines: Vec<_> = lines.into_iter().rev().collect();
                return Err(speaker_error(node, &format!("it is not ready; it said: {}", lines.join(" | "))));
            }
            std::thread::sleep(READY_CHECK);
        }
    }
}

/// Whether a speaker could answer, and hears so many others that can. One that watches over nobody is as far as it gets.
fn has_joined(seen: &Value, others: usize) -> bool {
    if seen["membership"] != "watched" {
        return seen["membership"] != "starting";
    }
    let is_waiting = |it: &Value| it["state"] == "waiting";
    let up =
        |it: &&Value| it["isHeard"] == true && !["left", "down"].iter().any(|state| it["state"] == *state);
    let members = seen["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    let heard: Vec<_> = members.iter().filter(up).collect();
    !is_waiting(&seen["own"]) && heard.len() >= others && !heard.into_iter().any(is_waiting)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn speaker_error(node: &Member, reason: &str) -> Error {
    Error::Speaker { node: node.name.clone(), reason: reason.to_owned() }
}

/// What a speaker knows of itself and of others.
fn members() -> std::io::Result<Value> {
    let answer = ask("/members")?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    Ok(serde_json::from_str(body)?)
}

/// Asks as the kubelet would.
fn is_ready() -> std::io::Result<bool> {
    Ok(ask("/readyz")?.starts_with("HTTP/1.1 200"))
}

fn ask(path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, PROBE_PORT))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}
