//! A lab of a test: its own name, its API, and ways to see from outside what holds.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ferrolb::lab::{Error, Lab, Options};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

pub(crate) const DEADLINE: Duration = Duration::from_secs(15);
/// What has not changed after this will not by itself: everything here happens within a few milliseconds.
const STAY: Duration = Duration::from_millis(600);
const CHECK: Duration = Duration::from_millis(10);
/// An answer to ARP or neighbour discovery takes less than a millisecond.
const ANSWER: Duration = Duration::from_millis(300);
/// How long one question from one namespace to another may take.
const PATIENCE: Duration = Duration::from_millis(500);

pub(crate) struct Site {
    pub(crate) lab: Lab,
    client: Client,
    runtime: Runtime,
}

/// Options of a lab that no other test has. Nothing where no lab can be made, which is said.
pub(crate) fn options() -> Option<Options> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    if let Err(reason) = Lab::can_run() {
        // Not by a macro, whose output is kept back where a test passes.
        let _ = writeln!(std::io::stderr(), "skipped: {reason}");
        assert!(std::env::var_os("CI").is_none(), "CI skips nothing: {reason}");
        return None;
    }
    let name = format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let program = Some(PathBuf::from(env!("CARGO_BIN_EXE_ferrolb")));
    Some(Options { program, ..Options::new(name) })
}

/// Waits until it holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < until, "not within {} s: {what}", DEADLINE.as_secs());
        std::thread::sleep(CHECK);
    }
}

/// Looks for a while whether it stays so.
pub(crate) fn stays(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + STAY;
    while Instant::now() < until {
        assert!(holds(), "no longer so: {what}");
        std::thread::sleep(CHECK);
    }
}

impl Site {
    pub(crate) fn up(options: Options) -> Site {
        let lab = Lab::up(options).unwrap();
        let client = lab.client();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Site { lab, client, runtime }
    }

    pub(crate) fn call(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let content_type =
            if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder().method(method).uri(path).header("content-type", content_type);
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.runtime.block_on(async {
            let response = self.client.send(request.body(Body::from(bytes)).unwrap()).await.unwrap();
            let status = response.status();
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            (status, serde_json::from_slice(&bytes).unwrap_or_default())
        })
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let (code, answer) = self.call(Method::POST, path, body);
        assert_eq!(code, 201, "{answer}");
        answer
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, &Value::Null).1
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) {
        let (code, answer) = self.call(Method::PATCH, path, body);
        assert_eq!(code, 200, "{answer}");
    }

    pub(crate) fn delete(&self, path: &str) {
        let (code, answer) = self.call(Method::DELETE, path, &Value::Null);
        assert_eq!(code, 200, "{answer}");
    }

    /// A pool that every Service may have addresses of.
    pub(crate) fn pool(&self, name: &str, addresses: &[&str]) {
        self.resource("IPAddressPool", name, &json!({}), &json!({"addresses": addresses}));
    }

    /// An advertisement of all pools.
    pub(crate) fn advertisement(&self, name: &str, spec: &Value) {
        self.resource("L2Advertisement", name, &json!({}), spec);
    }

    /// Something of ours, made or replaced.
    pub(crate) fn resource(&self, kind: &str, name: &str, labels: &Value, spec: &Value) {
        let object = json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": kind,
            "metadata": {"name": name, "namespace": "metallb-system", "labels": labels},
            "spec": spec,
        });
        let path = resource_path(kind, name);
        let (collection, _) = path.rsplit_once('/').unwrap();
        let (code, answer) = self.call(Method::POST, collection, &object);
        if code == 409 {
            let known = self.get(&path);
            let mut object = object;
            object["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"].clone();
            let (code, answer) = self.call(Method::PUT, &path, &object);
            assert_eq!(code, 200, "{answer}");
        } else {
            assert_eq!(code, 201, "{answer}");
        }
    }

    /// Makes a Service, and waits for its addresses.
    pub(crate) fn service(&self, name: &str, spec: &Value) -> Vec<IpAddr> {
        self.waiting_service(name, &json!({}), spec);
        let mut addresses = Vec::new();
        eventually("the Service has addresses", || {
            addresses = self.addresses(name);
            !addresses.is_empty()
        });
        addresses
    }

    /// Makes a Service that need not get an address.
    pub(crate) fn waiting_service(&self, name: &str, metadata: &Value, spec: &Value) {
        let mut service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]},
        });
        for (part, fields) in [("metadata", metadata), ("spec", spec)] {
            for (field, value) in fields.as_object().unwrap() {
                service[part][field] = value.clone();
            }
        }
        self.post("/api/v1/namespaces/default/services", &service);
    }

    pub(crate) fn addresses(&self, service: &str) -> Vec<IpAddr> {
        let service = self.get(&service_path(service));
        let ingress = service["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
        ingress.iter().map(|ingress| ingress["ip"].as_str().unwrap().parse().unwrap()).collect()
    }

    /// The nodes that statuses name for a Service.
    pub(crate) fn announcers(&self, service: &str) -> Vec<String> {
        let all = self.get("/apis/metallb.io/v1beta1/servicel2statuses");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let items = all["items"].as_array().cloned().unwrap_or_default();
        let of = items.iter().filter(|it| it["status"]["serviceName"] == service);
        of.map(|it| text(&it["status"]["node"])).collect()
    }

    /// Waits until exactly one node announces a Service, one that is wanted, and until the client's kernel finds just that
    /// node at each address.
    pub(crate) fn owner_among(&self, service: &str, wanted: &[&str]) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let found = self.addresses(service).into_iter().map(|address| self.who_has(address)).collect();
            let (announcers, found): (Vec<String>, Vec<Option<String>>) = (self.announcers(service), found);
            if let [owner] = &announcers[..]
                && wanted.contains(&owner.as_str())
                && !found.is_empty()
                && found.iter().all(|it| it.as_ref() == Some(owner))
            {
                return owner.clone();
            }
            assert!(
                Instant::now() < until,
                "{service} is announced by {announcers:?}, found at {found:?}, and should be at {wanted:?}"
            );
            std::thread::sleep(CHECK);
        }
    }

    pub(crate) fn owner(&self, service: &str) -> String {
        self.owner_among(service, &["node-1", "node-2", "node-3", "node-4"])
    }

    /// Waits until nobody announces a Service and nobody answers for its addresses.
    pub(crate) fn has_no_owner(&self, service: &str) {
        eventually("nobody announces it", || self.announcers(service).is_empty());
        for address in self.addresses(service) {
            assert_eq!(self.who_has(address), None, "{address}");
        }
    }

    /// Who answers for an address on the segment of the client, as its kernel finds out. Nobody, if nobody does at once.
    pub(crate) fn who_has(&self, address: IpAddr) -> Option<String> {
        let text = address.to_string();
        // There may be nothing to forget.
        self.output("client", "ip", &["neigh", "del", &text, "dev", "eth0"]);
        let asked = self.lab.inside("client", || {
            let any: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
            UdpSocket::bind(any)?.send_to(b"?", (address, 9))
        });
        asked.unwrap();
        let until = Instant::now() + ANSWER;
        loop {
            let seen = self.run("client", "ip", &["neigh", "show", &text, "dev", "eth0"]);
            if let Some((_, mac)) = seen.split_once("lladdr ") {
                let mac = mac.split(' ').next().unwrap();
                return Some(self.member_of(mac));
            }
            if Instant::now() > until {
                return None;
            }
            std::thread::sleep(CHECK);
        }
    }

    /// Everybody who answers for an IPv4 address, in the order of names.
    pub(crate) fn all_who_have(&self, address: IpAddr) -> Vec<String> {
        let arguments = ["-b", "-w", "1", "-I", "eth0", &address.to_string()];
        let said = self.output("client", "arping", &arguments).stdout;
        let text = String::from_utf8_lossy(&said);
        let stations = text.split('[').skip(1).filter_map(|after| after.split(']').next());
        let mut nodes: Vec<String> = stations.map(|station| self.member_of(station)).collect();
        nodes.sort();
        nodes.dedup();
        nodes
    }

    /// The node with this interface; what it is called where nobody has it.
    pub(crate) fn member_of(&self, mac: &str) -> String {
        let members = &self.lab.topology().members;
        let found =
            members.iter().find(|member| member.interfaces.iter().any(|it| it.mac == mac.to_lowercase()));
        found.map_or_else(|| mac.to_owned(), |member| member.name.clone())
    }

    /// Messages of a Service's events with this reason, the newest first.
    pub(crate) fn events(&self, service: &str, reason: &str) -> Vec<String> {
        let all = self.get("/api/v1/namespaces/default/events");
        let mut events = all["items"].as_array().cloned().unwrap_or_default();
        events.retain(|it| it["involvedObject"]["name"] == service && it["reason"] == reason);
        // The time has whole seconds, and here is more than one change in each.
        let time = |it: &Value| {
            let version = it["metadata"]["resourceVersion"].as_str().and_then(|it| it.parse::<u64>().ok());
            (it["lastTimestamp"].as_str().unwrap_or_default().to_owned(), version)
        };
        events.sort_by_key(|it| std::cmp::Reverse(time(it)));
        events.iter().map(|it| it["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Sets a label of a node, or removes it.
    pub(crate) fn label_node(&self, node: &str, label: &str, value: Option<&str>) {
        self.patch(&format!("/api/v1/nodes/{node}"), &json!({"metadata": {"labels": {label: value}}}));
    }

    /// Whether a member's datagram to an address comes back, and from whom.
    pub(crate) fn ask_udp(&self, from: &str, to: SocketAddr) -> Option<String> {
        let asked = self.lab.inside(from, || {
            let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
            let socket = UdpSocket::bind(any)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.connect(to)?;
            socket.send(b"hello")?;
            let mut buffer = [0; 256];
            let length = socket.recv(&mut buffer)?;
            Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
        });
        asked.ok()
    }

    /// What a web server says to a member.
    pub(crate) fn ask_http(&self, from: &str, to: SocketAddr) -> Option<String> {
        let asked = self.lab.inside(from, || {
            let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer.split("\r\n\r\n").nth(1).unwrap_or_default().trim().to_owned())
        });
        asked.ok()
    }

    pub(crate) fn output(&self, member: &str, program: &str, arguments: &[&str]) -> Output {
        self.lab.command(member, program).unwrap().args(arguments).output().unwrap()
    }

    /// Runs a program that must not fail.
    pub(crate) fn run(&self, member: &str, program: &str, arguments: &[&str]) -> String {
        let output = self.output(member, program, arguments);
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// With one pool, whose addresses every node may announce.
pub(crate) fn site_with_pool(options: Options) -> Site {
    let site = Site::up(options);
    site.pool("pool", &["10.10.100.0/24"]);
    site.advertisement("all", &json!({}));
    site
}

/// The nodes that there are if nobody asks for more or fewer.
pub(crate) const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

pub(crate) fn others(node: &str) -> Vec<&'static str> {
    NODES.into_iter().filter(|other| *other != node).collect()
}

pub(crate) fn resource_path(kind: &str, name: &str) -> String {
    let plural = kind.to_lowercase();
    format!("/apis/metallb.io/v1beta1/namespaces/metallb-system/{plural}s/{name}")
}

pub(crate) fn service_path(name: &str) -> String {
    format!("/api/v1/namespaces/default/services/{name}")
}

pub(crate) fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

/// As a message, because the values are not compared.
pub(crate) fn message<T>(result: Result<T, Error>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}
