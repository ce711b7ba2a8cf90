//! How fast the store is. Prints a line of JSON for each figure; the directory for files may be named.

use apiserver::store::{Commit, DiskStore, MemoryStore, RangeRequest, Require, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const CREATES: usize = 20_000;
const GETS: usize = 300_000;
const WRITERS: usize = 64;
const OBJECTS: usize = 100_000;
const WATCHERS: usize = 1_000;
const EVENTS_PER_SECOND: u32 = 50;
const WATCH_SECONDS: u32 = 5;

fn main() {
    let directory = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = directory.join(format!("bench-store-{}", std::process::id()));
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(in_memory());
    runtime.block_on(fan_out());
    runtime.block_on(on_disk(&path));
    let _ = std::fs::remove_file(&path);
    runtime.block_on(fill(&path));
    drop(runtime);
    load(&path);
    let _ = std::fs::remove_file(&path);
}

async fn in_memory() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    report("creates_memory", "per_second", creates(&store, CREATES, 1).await);
    let started = Instant::now();
    for index in 0..GETS {
        store.get(&key(index % CREATES)).await.expect("get").expect("an entry");
    }
    report("gets", "per_second", rate(GETS, started));
    let started = Instant::now();
    let request = RangeRequest { prefix: "/objects/", limit: Some(10_000), ..RangeRequest::default() };
    assert_eq!(store.range(request).await.expect("range").entries.len(), 10_000);
    report("range_10k", "milliseconds", milliseconds(started.elapsed()));
}

async fn on_disk(path: &Path) {
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(path).expect("a store"));
    report("creates_disk_one_client", "per_second", creates(&store, 300, 1).await);
    drop(store);
    std::fs::remove_file(path).expect("to remove the file");
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(path).expect("a store"));
    report("creates_disk", "per_second", creates(&store, CREATES, WRITERS).await);
}

async fn fill(path: &Path) {
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(path).expect("a store"));
    report("creates_disk_100k", "per_second", creates(&store, OBJECTS, 256).await);
}

fn load(path: &Path) {
    let before = status_megabytes("VmRSS:");
    let started = Instant::now();
    let store = DiskStore::open(path).expect("a store");
    report("load_100k", "milliseconds", milliseconds(started.elapsed()));
    assert_eq!(store.opened().entries, OBJECTS as u64);
    report("load_100k_resident_before", "megabytes", before);
    report("load_100k_resident_peak", "megabytes", status_megabytes("VmHWM:"));
    report("load_100k_resident", "megabytes", status_megabytes("VmRSS:"));
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    report("load_100k_file", "megabytes", bytes as f64 / 1e6);
}

/// Every watcher sees every event; the delay is from just before the commit to the watcher's hands.
async fn fan_out() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let events = (EVENTS_PER_SECOND * WATCH_SECONDS) as usize;
    let began = Instant::now();
    let mut watchers = JoinSet::new();
    for _ in 0..WATCHERS {
        let mut watch = store.watch("/objects/", 0).await.expect("a watch");
        watchers.spawn(async move {
            let mut delays = Vec::with_capacity(events);
            while delays.len() < events {
                for event in watch.next().await.expect("events") {
                    let sent = event.current.as_ref().expect("a value").value.first_chunk::<8>().copied();
                    let sent = Duration::from_nanos(u64::from_le_bytes(sent.expect("a time")));
                    delays.push(began.elapsed().saturating_sub(sent));
                }
            }
            delays
        });
    }
    let mut tick = tokio::time::interval(Duration::from_secs(1) / EVENTS_PER_SECOND);
    let started = Instant::now();
    for index in 0..events {
        tick.tick().await;
        let mut value = vec![0; 2_000];
        value[..8].copy_from_slice(&(began.elapsed().as_nanos() as u64).to_le_bytes());
        store.commit(Commit::put(key(index), Require::Absent, value)).await.expect("a commit");
    }
    let mut delays: Vec<Duration> = watchers.join_all().await.into_iter().flatten().collect();
    report("watch_deliveries", "per_second", rate(delays.len(), started));
    delays.sort_unstable();
    report("watch_delay_p50", "milliseconds", milliseconds(delays[delays.len() / 2]));
    report("watch_delay_p99", "milliseconds", milliseconds(delays[delays.len() * 99 / 100]));
}

async fn creates(store: &Arc<dyn Store>, count: usize, clients: usize) -> f64 {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            for index in (client..count).step_by(clients) {
                let value = vec![b'x'; 2_000];
                store.commit(Commit::put(key(index), Require::Absent, value)).await.expect("a commit");
            }
        });
    }
    tasks.join_all().await;
    rate(count, started)
}

fn key(index: usize) -> String {
    format!("/objects/namespace-{}/object-{index:08}", index % 10)
}

fn rate(count: usize, started: Instant) -> f64 {
    count as f64 / started.elapsed().as_secs_f64()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// What the kernel says that this process holds; 0 where it does not say it like this.
fn status_megabytes(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1_024.0 / 1e6
}

fn report(bench: &str, unit: &str, value: f64) {
    println!("{{\"bench\":\"{bench}\",\"{unit}\":{value:.3}}}");
}
