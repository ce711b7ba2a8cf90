//! The real programs: where they are, and a kube-apiserver over an etcd that last as long as their handle.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use kube::client::Body;
use kube::{Client, Config};
use tokio::process::{Child, Command};

use crate::transport;
use crate::world::{Directory, TOKENS, World};

/// A variable that names the directory which `scripts/conformance build` has filled.
pub const PLACE: &str = "FERROLB_CONFORMANCE_PROGRAMS";

/// How long the server may take to be ready, on a busy machine.
const START: Duration = Duration::from_secs(120);

/// No answer and no event takes longer.
const PATIENCE: Duration = Duration::from_secs(40);

/// A real server that runs.
#[derive(Debug)]
pub struct Real {
    world: World,
    address: String,
    // In this order: the server goes before its store, and both before their files.
    _server: Child,
    _etcd: Child,
    directory: Directory,
}

/// The directory of the programs, if they were built.
pub fn directory() -> Option<PathBuf> {
    let directory = PathBuf::from(std::env::var_os(PLACE)?);
    directory.join("kube-apiserver").is_file().then_some(directory)
}

/// The versions of kubectl that the suite is for, those that are there.
pub fn kubectls() -> Vec<(&'static str, PathBuf)> {
    let Some(directory) = directory() else { return Vec::new() };
    let mut found = Vec::new();
    for (version, name) in [("1.36", "kubectl"), ("1.20", "kubectl-1.20")] {
        let program = directory.join(name);
        if program.is_file() {
            found.push((version, program));
        } else {
            eprintln!("skipped: there is no kubectl {version}");
        }
    }
    found
}

impl Real {
    pub async fn start(programs: &Path) -> anyhow::Result<Real> {
        let directory = Directory::create("real")?;
        let ports = free_ports()?;
        let etcd = start_etcd(programs, directory.path(), ports[0], ports[1])?;
        let server = start_server(programs, directory.path(), ports[0], ports[2])?;
        let address = format!("https://127.0.0.1:{}", ports[2]);
        let client = Client::try_from(config(&address)?)?;
        let world = World::new(client, PATIENCE);
        let mut real = Real { world, address, _server: server, _etcd: etcd, directory };
        real.wait().await?;
        Ok(real)
    }

    pub fn world(&self) -> &World {
        &self.world
    }

    /// A client of the administrator.
    pub fn admin(&self) -> anyhow::Result<Client> {
        let mut config = config(&self.address)?;
        config.headers.push((http::header::AUTHORIZATION, "Bearer token-of-admin".parse()?));
        Ok(Client::try_from(config)?)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    async fn wait(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        loop {
            let request = http::Request::get("/readyz").header("authorization", "Bearer token-of-admin");
            if let Ok(answer) = transport::send(&self.world, request.body(Body::empty())?).await
                && answer.code == 200
            {
                return Ok(());
            }
            let ended = self._server.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(self.directory.path().join("kube-apiserver.log"))?;
                let last: Vec<&str> = log.lines().rev().take(20).collect();
                bail!("kube-apiserver is not ready ({ended:?}): {}", last.join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn config(address: &str) -> anyhow::Result<Config> {
    let mut config = Config::new(address.parse()?);
    // Its certificate is its own and lasts as long as the run.
    config.accept_invalid_certs = true;
    config.default_retry = false;
    config.read_timeout = None;
    Ok(config)
}

/// Ports that were free a moment ago.
fn free_ports() -> anyhow::Result<[u16; 3]> {
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(listeners) {
        *port = listener?.local_addr()?.port();
    }
    Ok(ports)
}

fn start_etcd(programs: &Path, directory: &Path, port: u16, peer_port: u16) -> anyhow::Result<Child> {
    let client = format!("http://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    let mut command = Command::new(programs.join("etcd"));
    command.arg("--data-dir").arg(directory.join("etcd"));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args([
        "--initial-cluster",
        &format!("default={peer}"),
        "--unsafe-no-fsync",
        "--log-level",
        "error",
    ]);
    spawn(command, directory, "etcd")
}

fn start_server(programs: &Path, directory: &Path, etcd_port: u16, port: u16) -> anyhow::Result<Child> {
    let key = rcgen::KeyPair::generate()?;
    let [private, public, tokens] =
        ["accounts.key", "accounts.pub", "tokens.csv"].map(|name| directory.join(name));
    std::fs::write(&private, key.serialize_pem())?;
    std::fs::write(&public, key.public_key_pem())?;
    std::fs::write(&tokens, TOKENS)?;
    let mut command = Command::new(programs.join("kube-apiserver"));
    command.arg(format!("--etcd-servers=http://127.0.0.1:{etcd_port}"));
    command.arg(format!("--secure-port={port}"));
    command.arg(format!("--cert-dir={}", directory.join("certificates").display()));
    command.arg(format!("--service-account-key-file={}", public.display()));
    command.arg(format!("--service-account-signing-key-file={}", private.display()));
    command.arg(format!("--token-auth-file={}", tokens.display()));
    command.args([
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        // Nobody routes to the Service `kubernetes`, so nobody needs to keep its endpoints.
        "--endpoint-reconciler-type=none",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112",
        "--authorization-mode=RBAC",
        // Pods need no account here, since nobody creates the one of the namespace.
        "--disable-admission-plugins=ServiceAccount",
    ]);
    spawn(command, directory, "kube-apiserver")
}

fn spawn(mut command: Command, directory: &Path, name: &str) -> anyhow::Result<Child> {
    let log = File::create(directory.join(format!("{name}.log")))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    command.spawn().with_context(|| format!("{name} does not start"))
}
