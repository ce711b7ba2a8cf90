//! How fast the server is, from request to answer. Prints a line of JSON for each figure, with its target where there is
//! one. Processor time is given beside the clock's, because the machine may be busy with something else.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use apiserver::serve::{Authority, ServerNames, Tls, serve};
use apiserver::server::Server;
use apiserver::store::{DiskStore, MemoryStore, Store};
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{Method, Request};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tower::ServiceExt;

const CREATES: usize = 20_000;
const GETS: usize = 200_000;
const SERVICES: usize = 10_000;
const CONNECTIONS: usize = 8;
/// Clients of the store on disk: as many commits can share one synchronisation.
const WRITERS: usize = 64;
const OBJECTS: usize = 100_000;
const WATCHERS: usize = 1_000;
const EVENTS_PER_SECOND: u32 = 50;
const WATCH_SECONDS: u32 = 5;
const IDLE: Duration = Duration::from_secs(5);

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SERVICES_PATH: &str = "/api/v1/namespaces/default/services";

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let directory = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    if arguments.next().is_some_and(|argument| argument == "start") {
        return start(&directory);
    }
    let path = directory.join(format!("bench-server-{}", std::process::id()));
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(in_memory());
    runtime.block_on(over_tls(&path.with_extension("keys")));
    runtime.block_on(watchers());
    runtime.block_on(on_disk(&path));
    runtime.block_on(fill(&path));
    drop(runtime);
    // What a process needs that begins with all of it is asked of one that does nothing else.
    let this = std::env::current_exe().expect("this program");
    let status = std::process::Command::new(this).arg(&path).arg("start").status().expect("to start again");
    let _ = std::fs::remove_file(&path);
    assert!(status.success(), "the second process failed");
}

async fn in_memory() {
    let router = router(Arc::new(MemoryStore::new())).await;
    let cost = Cost::begin();
    creates(&router, CREATES, 2).await;
    cost.rate("api/creates", CREATES, Some(10_000));
    let cost = Cost::begin();
    let gets = router.clone();
    in_parallel(2, GETS, move |index| {
        let router = gets.clone();
        async move {
            ask(&router, Method::GET, &format!("{MAPS}/map-{:06}", index % CREATES), Body::empty()).await;
        }
    })
    .await;
    cost.rate("api/gets", GETS, Some(30_000));
    lists(&router).await;
}

async fn lists(router: &Router) {
    let cost = Cost::begin();
    let services = router.clone();
    in_parallel(2, SERVICES, move |index| {
        let router = services.clone();
        async move {
            ask(&router, Method::POST, SERVICES_PATH, service(index).to_string().into()).await;
        }
    })
    .await;
    cost.rate("api/creates-of-services", SERVICES, None);
    for (name, query, limit) in [
        ("api/list-10000-services", "", Some(60)),
        ("api/list-10000-services-by-label", "?labelSelector=app%3Dapp-7", None),
        ("api/list-10000-services-by-type", "?fieldSelector=spec.type%3DNodePort", None),
    ] {
        let mut best: Option<(Duration, Duration)> = None;
        for _ in 0..5 {
            let cost = Cost::begin();
            ask(router, Method::GET, &format!("{SERVICES_PATH}{query}"), Body::empty()).await;
            let took = (cost.began.elapsed(), processor_time().saturating_sub(cost.processor));
            best = Some(best.map_or(took, |best| best.min(took)));
        }
        let (clock, processor) = best.unwrap_or_default();
        let mut line = json!({"bench": name, "milliseconds": rounded(clock), "processor_milliseconds": rounded(processor)});
        if let Some(limit) = limit {
            line["limit_milliseconds"] = limit.into();
        }
        println!("{line}");
    }
}

async fn on_disk(path: &Path) {
    let router = router(Arc::new(DiskStore::open(path).expect("a store"))).await;
    let cost = Cost::begin();
    creates(&router, CREATES, WRITERS).await;
    cost.rate("api/creates-on-disk", CREATES, Some(3_000));
    drop(router);
    std::fs::remove_file(path).expect("to remove the file");
}

async fn over_tls(keys: &Path) {
    let authority = Arc::new(Authority::open(keys).expect("an authority"));
    let tls = Tls::new(Arc::clone(&authority), ServerNames::usual([])).expect("a certificate");
    let server = Server::open(Arc::new(MemoryStore::new())).await.expect("a server");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        serve(listener, &tls, server.secured(), stopped).await;
    });
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.certificate().as_bytes()).expect("a certificate");
    roots.add(root).expect("a root");
    let admin = authority.admin().expect("a client");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder =
        builder.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots);
    let certificate = CertificateDer::from_pem_slice(admin.certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(admin.key.as_bytes()).expect("a key");
    let config = builder.with_client_auth_cert(vec![certificate], key).expect("a client");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let cost = Cost::begin();
    let mut clients = JoinSet::new();
    for first in 0..CONNECTIONS {
        let connector = connector.clone();
        clients.spawn(async move {
            let stream = TcpStream::connect(address).await.expect("a connection");
            stream.set_nodelay(true).expect("an option");
            let name = ServerName::try_from("kubernetes.default.svc").expect("a name");
            let mut stream = connector.connect(name, stream).await.expect("a handshake");
            for index in (first..CREATES).step_by(CONNECTIONS) {
                post(&mut stream, &map(index).to_string()).await;
            }
        });
    }
    clients.join_all().await;
    cost.rate("api/creates-over-tls", CREATES, Some(5_000));
    let _ = stop.send(());
    task.await.expect("the server to end");
    let _ = std::fs::remove_dir_all(keys);
}

/// One request, and its answer read to the end.
async fn post<S: AsyncReadExt + AsyncWriteExt + Unpin>(stream: &mut S, body: &str) {
    let head = format!(
        "POST {MAPS} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).await.expect("to send");
    stream.flush().await.expect("to send");
    let mut answer = Vec::new();
    loop {
        let mut part = [0; 8192];
        let length = stream.read(&mut part).await.expect("an answer");
        assert!(length > 0, "the server closed the connection");
        answer.extend_from_slice(&part[..length]);
        let Some(end) = answer.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 201"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.expect("a length").trim().parse().expect("a number");
        if answer.len() >= end + 4 + length {
            return;
        }
    }
}

/// Every watcher sees every event; the delay is from just before the write to the watcher's hands.
async fn watchers() {
    let router = router(Arc::new(MemoryStore::new())).await;
    ask(&router, Method::POST, MAPS, map(0).to_string().into()).await;
    let events = (EVENTS_PER_SECOND * WATCH_SECONDS) as usize;
    let (began, ready) = (Instant::now(), Arc::new(Semaphore::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..WATCHERS {
        let request = Request::get(format!("{MAPS}?watch=true")).body(Body::empty()).expect("a request");
        let response = router.clone().oneshot(request).await.expect("an answer");
        let ready = Arc::clone(&ready);
        tasks.spawn(async move {
            let mut body = response.into_body();
            let mut delays = Vec::with_capacity(events);
            while delays.len() < events {
                let chunk = next_chunk(&mut body).await.expect("events");
                let text = std::str::from_utf8(&chunk).expect("text");
                for line in text.lines() {
                    match sent_at(line) {
                        Some(sent) => delays.push(began.elapsed().saturating_sub(sent)),
                        None => ready.add_permits(1),
                    }
                }
            }
            (delays, body)
        });
    }
    let _ = ready.acquire_many(WATCHERS as u32).await.expect("all watchers");
    let cost = Cost::begin();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / EVENTS_PER_SECOND);
    for _ in 0..events {
        tick.tick().await;
        let patch = json!({"data": {"sent": format!("{:020}", began.elapsed().as_nanos())}});
        let request = Request::patch(format!("{MAPS}/map-000000"))
            .header("content-type", "application/merge-patch+json")
            .body(Body::from(patch.to_string()));
        let response = router.clone().oneshot(request.expect("a request")).await.expect("an answer");
        assert!(response.status().is_success(), "{}", response.status());
    }
    let (mut delays, mut bodies) = (Vec::new(), Vec::new());
    while let Some(Ok((of_one, body))) = tasks.join_next().await {
        delays.extend(of_one);
        bodies.push(body);
    }
    cost.rate("api/watch-deliveries", delays.len(), None);
    delays.sort_unstable();
    let (half, most) = (delays[delays.len() / 2], delays[delays.len() * 99 / 100]);
    println!("{}", json!({"bench": "api/watch-delay-median", "milliseconds": rounded(half)}));
    println!(
        "{}",
        json!({"bench": "api/watch-delay-p99", "milliseconds": rounded(most), "limit_milliseconds": 50})
    );
    idle().await;
}

/// With all the watchers still there.
async fn idle() {
    let before = processor_time();
    tokio::time::sleep(IDLE).await;
    let used = processor_time().saturating_sub(before);
    println!(
        "{}",
        json!({"bench": "api/idle-processor-time-of-5-s", "milliseconds": rounded(used), "limit_milliseconds": 10})
    );
}

/// When an event was sent, as its object says.
fn sent_at(line: &str) -> Option<Duration> {
    let (_, rest) = line.split_once("\"sent\":\"")?;
    rest.get(..20)?.parse().ok().map(Duration::from_nanos)
}

async fn fill(path: &Path) {
    let router = router(Arc::new(DiskStore::open(path).expect("a store"))).await;
    in_parallel(256, OBJECTS, move |index| {
        let router = router.clone();
        async move {
            let mut object = map(index);
            object["data"]["text"] = "x".repeat(1_500).into();
            ask(&router, Method::POST, MAPS, object.to_string().into()).await;
        }
    })
    .await;
    println!("{}", json!({"bench": "api/filled-100000", "megabytes": megabytes("VmRSS:")}));
}

/// A second process, that finds all objects in the file.
fn start(path: &Path) {
    let runtime = Runtime::new().expect("a runtime");
    let began = Instant::now();
    let store = DiskStore::open(path).expect("a store");
    assert!(store.opened().entries >= OBJECTS as u64);
    let router = runtime.block_on(router(Arc::new(store)));
    let took = began.elapsed();
    println!(
        "{}",
        json!({"bench": "api/start-100000", "milliseconds": rounded(took), "limit_milliseconds": 3_000})
    );
    runtime.block_on(ask(&router, Method::GET, &format!("{MAPS}/map-000000"), Body::empty()));
    println!(
        "{}",
        json!({"bench": "api/resident-100000", "megabytes": megabytes("VmRSS:"), "limit_megabytes": 450})
    );
}

async fn router(store: Arc<dyn Store>) -> Router {
    Server::open(store).await.expect("a server").router()
}

async fn creates(router: &Router, count: usize, clients: usize) {
    let shared = router.clone();
    in_parallel(clients, count, move |index| {
        let router = shared.clone();
        async move {
            ask(&router, Method::POST, MAPS, map(index).to_string().into()).await;
        }
    })
    .await;
}

async fn in_parallel<F: Future<Output = ()> + Send + 'static>(
    clients: usize,
    count: usize,
    work: impl Fn(usize) -> F + Clone + Send + 'static,
) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (next, work) = (Arc::clone(&next), work.clone());
        tasks.spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return;
                }
                work(index).await;
            }
        });
    }
    tasks.join_all().await;
}

async fn ask(router: &Router, method: Method, path: &str, body: Body) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let response = router.clone().oneshot(request.body(body).expect("a request")).await.expect("an answer");
    assert!(response.status().is_success(), "{path}: {}", response.status());
    let mut body = response.into_body();
    while next_chunk(&mut body).await.is_some() {}
}

async fn next_chunk(body: &mut Body) -> Option<bytes::Bytes> {
    loop {
        let frame =
            std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_frame(context)).await?;
        if let Ok(data) = frame.expect("an answer").into_data() {
            return Some(data);
        }
    }
}

fn map(index: usize) -> Value {
    json!({
        "kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {
            "name": format!("map-{index:06}"), "namespace": "default",
            "labels": {"app": format!("app-{}", index % 100), "tier": "front"},
            "annotations": {"example.com/owner": "somebody", "example.com/note": "a few words about it"},
        },
        "data": {"key": "value", "other": "a longer value of some more words", "number": index.to_string()},
    })
}

fn service(index: usize) -> Value {
    json!({
        "kind": "Service", "apiVersion": "v1",
        "metadata": {
            "name": format!("service-{index:06}"), "namespace": "default",
            "labels": {"app": format!("app-{}", index % 100)},
        },
        "spec": {
            "selector": {"app": format!("app-{}", index % 100)},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443}],
        },
    })
}

/// What something costs, on the clock and on the processors.
struct Cost {
    began: Instant,
    processor: Duration,
}

impl Cost {
    fn begin() -> Cost {
        Cost { began: Instant::now(), processor: processor_time() }
    }

    fn rate(&self, bench: &str, count: usize, least: Option<u32>) {
        let per_second = (count as f64 / self.began.elapsed().as_secs_f64()).round();
        let processor = processor_time().saturating_sub(self.processor).as_secs_f64() * 1e6 / count as f64;
        let mut line = json!({
            "bench": bench, "per_second": per_second, "processor_microseconds": (processor * 10.0).round() / 10.0,
        });
        if let Some(least) = least {
            line["least_per_second"] = least.into();
        }
        println!("{line}");
    }
}

/// What this process has used of the processors, in hundredths of a second; nothing where the system does not say.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}

/// What the kernel says that this process holds; 0 where it does not say it like this.
fn megabytes(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    (kilobytes.unwrap_or(0.0) * 1_024.0 / 1e6).round()
}
