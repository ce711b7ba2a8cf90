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
const CHECK: Duration = Duration::from_millis(10);
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

    /// A pool that every Service may have addresses of.
    pub(crate) fn pool(&self, name: &str, addresses: &[&str]) {
        let pool = json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "IPAddressPool",
            "metadata": {"name": name, "namespace": "metallb-system"},
            "spec": {"addresses": addresses},
        });
        self.post("/apis/metallb.io/v1beta1/namespaces/metallb-system/ipaddresspools", &pool);
    }

    /// Makes a Service, and waits for its addresses.
    pub(crate) fn service(&self, name: &str, spec: &Value) -> Vec<IpAddr> {
        let mut service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"type": "LoadBalancer", "selector": {"app": "web"}},
        });
        for (field, value) in spec.as_object().unwrap() {
            service["spec"][field] = value.clone();
        }
        self.post("/api/v1/namespaces/default/services", &service);
        let mut addresses = Vec::new();
        eventually("the Service has addresses", || {
            addresses = self.addresses(name);
            !addresses.is_empty()
        });
        addresses
    }

    pub(crate) fn addresses(&self, service: &str) -> Vec<IpAddr> {
        let service = self.get(&format!("/api/v1/namespaces/default/services/{service}"));
        let ingress = service["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
        ingress.iter().map(|ingress| ingress["ip"].as_str().unwrap().parse().unwrap()).collect()
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

pub(crate) fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

/// As a message, because the values are not compared.
pub(crate) fn message<T>(result: Result<T, Error>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}
