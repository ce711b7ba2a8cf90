//! Two hosts without kube-proxy and without a cluster: of one the API server, of both a speaker that forwards.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use ferrolb::lab::{Family, Forwarder, Options};
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::site::{DEADLINE, Site, at, eventually, options};

const API: &str = "10.10.0.11:6443";
/// Where the two hear each other.
const PLACES: [&str; 2] = ["10.10.0.11", "10.10.0.12"];
const V4: &str = "10.10.100.80";
const V6: &str = "fd00:10:10::100:80";
const SLICE: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/site";
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

struct Hosts {
    site: Site,
    folder: PathBuf,
    /// `a` on node-1, `b` on node-2.
    processes: [Option<Child>; 2],
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in ["a", "b"] {
            self.kill(host);
        }
        if std::thread::panicking() {
            for host in ["a", "b"] {
                eprintln!("{host}: {}", std::fs::read_to_string(self.log(host)).unwrap_or_default());
            }
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn number(host: &str) -> usize {
    usize::from(host == "b")
}

fn node(host: &str) -> &'static str {
    ["node-1", "node-2"][number(host)]
}

impl Hosts {
    fn new(options: Options) -> Hosts {
        let folder = std::env::temp_dir().join(format!("ferrolb-hosts-{}", options.name));
        std::fs::create_dir_all(&folder).unwrap();
        let options = Options {
            nodes: 2,
            family: Family::Dual,
            second_segment: true,
            forwarder: Forwarder::None,
            has_speakers: false,
            ..options
        };
        let mut hosts = Hosts { site: Site::up(options), folder, processes: [None, None] };
        hosts.start("a");
        eventually("the API server answers", || {
            hosts.kubeconfig().exists() && hosts.api(Method::GET, "/readyz", &Value::Null).is_some()
        });
        hosts.start("b");
        hosts
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.join("data/admin.kubeconfig")
    }

    fn log(&self, host: &str) -> PathBuf {
        self.folder.join(format!("{host}.log"))
    }

    fn start(&mut self, host: &str) {
        let path = |path: &Path| path.display().to_string();
        let (data, kubeconfig) = (path(&self.folder.join("data")), path(&self.kubeconfig()));
        let networks = "10.96.0.0/16,fd00:10:96::/112";
        let arguments = match host {
            "a" => vec![
                "standalone",
                "--data-dir",
                &data,
                "--bind",
                API,
                "--service-cluster-ip-range",
                networks,
                "--speaker",
                "--health-probe-port",
                "17472",
            ],
            _ => vec![
                "speaker",
                "--kubeconfig",
                &kubeconfig,
                "--namespace",
                "metallb-system",
                "--register-node",
                "--port",
                "0",
            ],
        };
        let log = File::options().create(true).append(true).open(self.log(host)).unwrap();
        let mut command = self.site.lab.command(node(host), env!("CARGO_BIN_EXE_ferrolb")).unwrap();
        let [own, other] = if host == "a" { PLACES } else { [PLACES[1], PLACES[0]] };
        command.args(arguments).args(["--node-name", host, "--proxy"]);
        command.args(["--ml-bindaddr", own, "--peers", other]);
        let child =
            command.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).spawn().unwrap();
        self.processes[number(host)] = Some(child);
    }

    fn kill(&mut self, host: &str) {
        if let Some(mut child) = self.processes[number(host)].take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn terminate(&mut self, host: &str) {
        let mut child = self.processes[number(host)].take().unwrap();
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(child.wait().unwrap().success());
    }

    /// As the admin, from the first host. Nothing if there is no server, or it does not want to.
    fn api(&self, method: Method, path: &str, body: &Value) -> Option<Value> {
        let kubeconfig = self.kubeconfig();
        let content_type =
            if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder().method(method).uri(path).header("content-type", content_type);
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = request.body(Body::from(bytes)).unwrap();
        let asked = self.site.lab.inside("node-1", move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let read = Kubeconfig::read_from(kubeconfig).map_err(std::io::Error::other)?;
                let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
                let client = Client::try_from(config.map_err(std::io::Error::other)?);
                let response = client.map_err(std::io::Error::other)?.send(request).await;
                let response = response.map_err(std::io::Error::other)?;
                let is_good = response.status().is_success();
                let bytes = response.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
                Ok(is_good.then(|| serde_json::from_slice(&bytes).unwrap_or_default()))
            })
        });
        asked.ok().flatten()
    }

    fn post(&self, path: &str, object: &Value) {
        eventually(path, || self.api(Method::POST, path, object).is_some());
    }

    /// Whether the load balancer passes a host by.
    fn exclude(&self, host: &str, is_excluded: bool) {
        let value = if is_excluded { json!("") } else { Value::Null };
        let patch = json!({"metadata": {"labels": {EXCLUDED: value}}});
        let path = format!("/api/v1/nodes/{host}");
        eventually("the node is labelled", || self.api(Method::PATCH, &path, &patch).is_some());
    }

    /// What both servers are behind, and who of them is ready.
    fn serve(&self) {
        let of_metallb =
            |plural: &str| format!("/apis/metallb.io/v1beta1/namespaces/metallb-system/{plural}");
        let object = |kind: &str, spec: Value| json!({"apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": {"name": "site"}, "spec": spec});
        let addresses = [format!("{V4}/32"), format!("{V6}/128")];
        self.post(&of_metallb("ipaddresspools"), &object("IPAddressPool", json!({"addresses": addresses})));
        self.post(
            &of_metallb("l2advertisements"),
            &object("L2Advertisement", json!({"interfaces": ["eth0"]})),
        );
        let ports = json!([
            {"name": "http", "port": 80, "targetPort": 1}, {"name": "udp", "port": 53, "protocol": "UDP"},
        ]);
        let spec = json!({"type": "LoadBalancer", "ipFamilyPolicy": "RequireDualStack", "ports": ports});
        let service =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "site"}, "spec": spec});
        self.post("/api/v1/namespaces/default/services", &service);
        let endpoint = |address: &str, node: &str| json!({"addresses": [address], "nodeName": node});
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "site", "labels": {"kubernetes.io/service-name": "site"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}, {"name": "udp", "port": 7000, "protocol": "UDP"}],
            "endpoints": [endpoint("10.10.0.11", "a"), endpoint("10.10.0.12", "b")],
        });
        self.post(SLICE.trim_end_matches("/site"), &slice);
    }

    /// Which of the servers are.
    fn ready(&self, first: bool, second: bool) {
        let endpoint = |address: &str, node: &str, is_ready: bool| json!({"addresses": [address], "nodeName": node, "conditions": {"ready": is_ready}});
        let endpoints = [endpoint("10.10.0.11", "a", first), endpoint("10.10.0.12", "b", second)];
        self.api(Method::PATCH, SLICE, &json!({"endpoints": endpoints})).unwrap();
    }

    fn has(&self, host: &str) -> BTreeSet<String> {
        let shown = self.site.run(node(host), "ip", &["-o", "address", "show", "dev", "lo"]);
        let addresses = shown.split_whitespace().filter(|it| it.contains('/'));
        addresses.filter(|it| !["127.0.0.1/8", "::1/128"].contains(it)).map(str::to_owned).collect()
    }

    fn has_all(&self, host: &str) -> bool {
        self.has(host) == BTreeSet::from([format!("{V4}/32"), format!("{V6}/128")])
    }

    /// The address is where it should be, and works.
    fn owns(&self, host: &str, other: &str) {
        eventually(&format!("{host} has the addresses and {other} does not"), || {
            self.has_all(host) && self.has(other).is_empty()
        });
        for address in [V4, V6] {
            eventually(&format!("it works through {host}"), || {
                self.site.ask_http("client", at(address, 80)).is_some()
            });
        }
    }

    /// The nodes that answer through an address.
    fn answer(&self, address: SocketAddr) -> BTreeSet<String> {
        let answers = (0..10).filter_map(|_| self.site.ask_http("client", address));
        answers.filter_map(|it| it.split(' ').next().map(str::to_owned)).collect()
    }

    fn connect(&self) -> TcpStream {
        let connect = || TcpStream::connect_timeout(&at(V4, 80), Duration::from_secs(2));
        let stream = self.site.lab.inside("client", connect).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }
}

#[test]
fn an_address_works_moves_and_leaves_nothing_behind() {
    let Some(options) = options() else { return };
    let mut hosts = Hosts::new(options);
    eventually("both are nodes", || {
        ["a", "b"]
            .iter()
            .all(|it| hosts.api(Method::GET, &format!("/api/v1/nodes/{it}"), &Value::Null).is_some())
    });
    for (host, other) in [("a", "b"), ("b", "a")] {
        eventually("they watch over each other", || {
            let seen =
                hosts.site.output(node(host), env!("CARGO_BIN_EXE_ferrolb"), &["members", "-o", "json"]);
            let seen: Value = serde_json::from_slice(&seen.stdout).unwrap_or_default();
            let member = &seen["members"][0];
            member["node"] == other && member["state"] == "alive" && member["watching"]["isUp"] == true
        });
    }
    hosts.exclude("b", true);
    hosts.serve();
    hosts.owns("a", "b");
    // Both servers answer, also the one of the host that does not have the address, in both families and protocols.
    for address in [V4, V6] {
        let all = BTreeSet::from(["node=node-1".to_owned(), "node=node-2".to_owned()]);
        eventually("both servers answer", || hosts.answer(at(address, 80)) == all);
        let answer = hosts.site.ask_udp("client", at(address, 53)).unwrap_or_default();
        assert!(answer.ends_with(" hello"), "{answer}");
    }
    only_where_it_is_announced(&hosts);

    // Connections do not outlive the move, and clients hear of it.
    let mut connection = hosts.connect();
    hosts.exclude("b", false);
    hosts.exclude("a", true);
    hosts.owns("b", "a");
    let error = connection.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    // A server that is not ready is not used.
    hosts.ready(false, true);
    let only = |node: &str| BTreeSet::from([format!("node={node}")]);
    eventually("one server answers", || hosts.answer(at(V4, 80)) == only("node-2"));
    // The address follows the server, if it is to stay on its host.
    let local = json!({"spec": {"externalTrafficPolicy": "Local"}});
    hosts.api(Method::PATCH, "/api/v1/namespaces/default/services/site", &local).unwrap();
    hosts.exclude("a", false);
    hosts.ready(true, false);
    hosts.owns("a", "b");
    assert_eq!(hosts.answer(at(V4, 80)), only("node-1"));
    hosts.ready(false, true);
    hosts.owns("b", "a");

    // What a killed process leaves behind, the next one takes away.
    hosts.kill("b");
    assert!(hosts.has_all("b"));
    hosts.ready(true, false);
    eventually("the other one has the addresses", || hosts.has_all("a"));
    hosts.start("b");
    hosts.owns("a", "b");
    // What it still wants is not touched.
    hosts.kill("a");
    assert!(hosts.has_all("a"));
    hosts.start("a");
    eventually("it works again", || hosts.site.ask_http("client", at(V4, 80)).is_some());
    hosts.owns("a", "b");
    // Whoever ends in peace leaves nothing.
    hosts.terminate("a");
    assert_eq!(hosts.has("a"), BTreeSet::new());
    hosts.terminate("b");
}

/// The kernel has the address on all interfaces, and must not say so on those that no advertisement names.
fn only_where_it_is_announced(hosts: &Hosts) {
    let asks = |interface: &str, address: &str| {
        let arguments = ["-c", "1", "-w", "1", "-I", interface, address];
        hosts.site.output("client", "arping", &arguments).status.success()
    };
    if hosts.site.output("client", "arping", &["-V"]).status.success() {
        assert!(asks("eth0", V4) && !asks("eth1", V4));
        assert!(asks("eth1", "10.20.0.11"), "the host answers for its other addresses as before");
    }
    let set = |name: &str| {
        let path = format!("/proc/sys/net/ipv4/conf/eth1/{name}");
        hosts.site.run("node-1", "cat", &[&path]).trim().to_owned()
    };
    assert_eq!((set("arp_ignore").as_str(), set("arp_announce").as_str()), ("3", "2"));
}
