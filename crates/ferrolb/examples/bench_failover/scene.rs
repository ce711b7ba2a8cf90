//! A lab in which nodes fail: who owns which address while all is well, and waiting until all is well again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use ferrolb::lab::{Forwarder, Lab, Options, PROBE_PORT};
use ferrolb::layer2::MacAddress;
use ferrolb::layer2::wire::Wire;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use protocol::l2::arp::Packet;
use protocol::l2::ethernet::TYPE_ARP;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::ears::{Ears, Frame};

/// Where backends are and no address ever is, so that what a client misses is the address.
pub(crate) const BACKENDS: &str = "node-5";
pub(crate) const NODES: usize = 5;
pub(crate) const ECHO_PORT: u16 = 7000;
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 10, 96, 0);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 10, 0, 2);
const METALLB: &str = "/apis/metallb.io/v1beta1/namespaces/metallb-system";
/// A node that failed twice is readmitted after two seconds.
const WELL_WITHIN: Duration = Duration::from_secs(60);
const CHECK: Duration = Duration::from_millis(20);
/// Answers to ARP take less than a millisecond, on a machine with nothing else to do.
const ANSWER: Duration = Duration::from_millis(30);
const ANSWER_BYTES: u64 = 1 << 20;

/// How a scene is made.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    pub(crate) program: PathBuf,
    pub(crate) speaker_arguments: Vec<String>,
    pub(crate) services: usize,
    /// All addresses are on this node while it is well.
    pub(crate) preferred: Option<&'static str>,
    pub(crate) forwarder: Forwarder,
}

impl Plot {
    pub(crate) fn new(program: PathBuf, services: usize) -> Plot {
        let forwarder = Forwarder::Nftables;
        Plot { program, speaker_arguments: Vec::new(), services, preferred: None, forwarder }
    }
}

pub(crate) struct Scene {
    pub(crate) ears: Ears,
    pub(crate) wire: Wire,
    /// Who has which address while all is well.
    pub(crate) home: BTreeMap<Ipv4Addr, String>,
    pub(crate) lab: Lab,
    client: Client,
    runtime: Runtime,
}

impl Scene {
    /// When this returns, all addresses are announced and all speakers watch over each other.
    pub(crate) fn up(plot: &Plot) -> anyhow::Result<Scene> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let lab = Lab::up(Options {
            program: Some(plot.program.clone()),
            nodes: NODES,
            forwarder: plot.forwarder,
            speaker_arguments: plot.speaker_arguments.clone(),
            speaker_log_level: "warn".to_owned(),
            ..Options::new(format!("bench-{}-{number}", std::process::id()))
        })?;
        let ears = Ears::open(&lab)?;
        let wire = lab.inside("client", || Wire::open("eth0", TYPE_ARP))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = lab.client();
        let mut scene = Scene { ears, wire, home: BTreeMap::new(), lab, client, runtime };
        scene.furnish(plot)?;
        scene.wait_for_home(plot)?;
        scene.wait_until_well()?;
        Ok(scene)
    }

    fn furnish(&self, plot: &Plot) -> anyhow::Result<()> {
        let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        let pool = object("IPAddressPool", "pool", json!({"addresses": [format!("{FIRST}/20")]}));
        self.call(Method::POST, &format!("{METALLB}/ipaddresspools"), &pool)?;
        let elsewhere = json!({"key": "kubernetes.io/hostname", "operator": "NotIn", "values": [BACKENDS]});
        let mut spec = json!({"nodeSelectors": [{"matchExpressions": [elsewhere]}]});
        if let Some(node) = plot.preferred {
            let named = json!({"matchLabels": {"kubernetes.io/hostname": node}});
            spec["preferredNodeSelectors"] = json!([{"weight": 1, "preference": named}]);
        }
        self.call(
            Method::POST,
            &format!("{METALLB}/l2advertisements"),
            &object("L2Advertisement", "all", spec),
        )?;
        for number in 0..plot.services {
            let service = json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("web-{number}")},
                "spec": {
                    "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false,
                    "selector": {"app": "web", "node": BACKENDS},
                    "ports": [{"name": "echo", "port": ECHO_PORT}],
                },
            });
            self.call(Method::POST, "/api/v1/namespaces/default/services", &service)?;
        }
        Ok(())
    }

    fn wait_for_home(&mut self, plot: &Plot) -> anyhow::Result<()> {
        let first = u32::from(FIRST);
        let all = (0..plot.services).map(|number| Ipv4Addr::from(first + number as u32)).collect();
        let claimed = self.ears.first_of_each(&all, 0, WELL_WITHIN, Frame::is_claim);
        ensure!(claimed.len() == all.len(), "{} of {} addresses are announced", claimed.len(), all.len());
        let owners = self.ears.owners();
        self.home = owners.iter().map(|(address, station)| (*address, self.name_of(*station))).collect();
        Ok(())
    }

    /// Until every address is answered for by its owner alone, and every speaker is watched over by others.
    pub(crate) fn wait_until_well(&self) -> anyhow::Result<()> {
        let until = Instant::now() + WELL_WITHIN;
        loop {
            let Some(trouble) = self.trouble()? else { return Ok(()) };
            ensure!(Instant::now() < until, "not well after {} s: {trouble}", WELL_WITHIN.as_secs());
            std::thread::sleep(CHECK);
        }
    }

    fn trouble(&self) -> anyhow::Result<Option<String>> {
        let owners = self.ears.owners();
        for (address, node) in &self.home {
            let owner = owners.get(address).map(|station| self.name_of(*station));
            if owner.as_ref() != Some(node) {
                return Ok(Some(format!("{address} of {node} was last claimed by {owner:?}")));
            }
        }
        for node in self.lab.topology().nodes() {
            let seen = self.members(&node.name).unwrap_or_default();
            if !is_watched(&seen) {
                return Ok(Some(format!("{} is not with the others: {seen}", node.name)));
            }
        }
        let all: Vec<_> = self.home.keys().copied().collect();
        // The frames of a thousand are not lost if they do not come at once.
        for some in all.chunks(100) {
            let answers = self.who_answers(some)?;
            for address in some {
                let found: Vec<_> = answers.get(address).into_iter().flatten().collect();
                if found != [&self.home[address]] {
                    return Ok(Some(format!(
                        "{address} of {} is answered for by {found:?}",
                        self.home[address]
                    )));
                }
            }
        }
        Ok(None)
    }

    fn who_answers(&self, addresses: &[Ipv4Addr]) -> anyhow::Result<BTreeMap<Ipv4Addr, BTreeSet<String>>> {
        let mark = self.ears.mark();
        addresses.iter().try_for_each(|address| self.ask(*address))?;
        std::thread::sleep(ANSWER);
        let mut found = BTreeMap::<_, BTreeSet<_>>::new();
        for frame in self.ears.since(mark).into_iter().filter(Frame::is_answer) {
            found.entry(frame.packet.sender).or_default().insert(self.name_of(frame.from()));
        }
        Ok(found)
    }

    fn ask(&self, address: Ipv4Addr) -> anyhow::Result<()> {
        let station = self.station_of("client")?;
        Ok(self.wire.send(&question(station, address))?)
    }

    /// What the speaker of a node knows of others.
    pub(crate) fn members(&self, node: &str) -> anyhow::Result<Value> {
        let answer = self.lab.inside(node, || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, PROBE_PORT))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"GET /members HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.take(ANSWER_BYTES).read_to_string(&mut answer)?;
            Ok(answer)
        })?;
        let (_, body) = answer.split_once("\r\n\r\n").context("an answer")?;
        Ok(serde_json::from_str(body)?)
    }

    /// What this node owns while all is well.
    pub(crate) fn addresses_of(&self, node: &str) -> BTreeSet<Ipv4Addr> {
        self.home.iter().filter(|(_, owner)| *owner == node).map(|(address, _)| *address).collect()
    }

    /// Nodes that own something while all is well.
    pub(crate) fn owners(&self) -> Vec<String> {
        let owners: BTreeSet<_> = self.home.values().cloned().collect();
        owners.into_iter().collect()
    }

    pub(crate) fn echo_at(&self, address: Ipv4Addr) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(address), ECHO_PORT)
    }

    pub(crate) fn name_of(&self, station: MacAddress) -> String {
        let text = station.to_string();
        let members = &self.lab.topology().members;
        let found = members.iter().find(|member| member.interfaces.iter().any(|it| it.mac == text));
        found.map_or(text, |member| member.name.clone())
    }

    pub(crate) fn station_of(&self, member: &str) -> anyhow::Result<MacAddress> {
        let mac = &self.lab.member(member)?.interfaces.first().context("an interface")?.mac;
        let bytes = mac.split(':').map(|part| u8::from_str_radix(part, 16)).collect::<Result<Vec<_>, _>>()?;
        Ok(MacAddress(bytes.try_into().map_err(|_| anyhow::anyhow!("{mac} is no station"))?))
    }

    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, &Value::Null)
    }

    pub(crate) fn call(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.runtime.block_on(async {
            let response = self.client.send(request.body(Body::from(bytes))?).await?;
            let code = response.status();
            let bytes = response.into_body().collect().await?.to_bytes();
            let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            match code {
                StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED => Ok(answer),
                code => bail!("{path}: {code} {answer}"),
            }
        })
    }
}

/// Who has the address? As the client asks it.
pub(crate) fn question(client: MacAddress, address: Ipv4Addr) -> Vec<u8> {
    let packet = Packet { sender: CLIENT, ..Packet::probe(client, address) };
    packet.frame(MacAddress::BROADCAST).bytes().to_vec()
}

/// Whether a speaker may answer, hears all others, and whoever watches over it does.
fn is_watched(seen: &Value) -> bool {
    let list = |name: &str| seen[name].as_array().cloned().unwrap_or_default();
    let (watchers, members) = (list("watchedBy"), list("members"));
    seen["own"]["state"] == "alive"
        && seen["mayAnswer"] == true
        && members.len() == NODES - 1
        && members.iter().all(|it| it["state"] == "alive" && it["isHeard"] == true)
        && !watchers.is_empty()
        && watchers.iter().all(|it| it["isUp"] == true)
}
