//! How fast a speaker is, and how small: it runs as a process of its own against an embedded API server, and what it
//! sends is heard at the other end of a pair of virtual interfaces. Prints a line of JSON for each figure.
//!
//! Usage, as root, in a network namespace of its own: `unshare --net bench_speaker FERROLB`.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/process.rs"]
mod process;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use cluster::{Cluster, SERVICES, start_server};
use ferrolb::layer2::wire::Wire;
use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use process::Process;
use protocol::l2::ethernet::TYPE_ARP;
use serde_json::{Value, json};

const SINGLES: usize = 200;
/// The first address of the pool.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
/// How long nothing happens, to see what that costs.
const IDLE: Duration = Duration::from_secs(20);
const DEADLINE: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let usage = "usage: unshare --net bench_speaker FERROLB";
    let binary = PathBuf::from(std::env::args().nth(1).context(usage)?);
    for command in [
        "link set lo up",
        "link add node type veth peer name client",
        "link set node up",
        "link set client up",
    ] {
        let status = Command::new("ip").args(command.split(' ')).status()?;
        ensure!(status.success(), "ip {command}: {status}");
    }
    let folder = std::env::temp_dir().join(format!("ferrolb-bench-speaker-{}", std::process::id()));
    let outcome = measure(&binary, &folder).await;
    let _ = std::fs::remove_dir_all(&folder);
    outcome
}

async fn measure(binary: &Path, folder: &Path) -> anyhow::Result<()> {
    let _server = start_server(binary, folder)?;
    let world = World::open(folder).await?;
    let wire = Wire::open("client", TYPE_ARP)?;
    let speaker = start_speaker(binary, folder)?;
    println!("{}", json!({"bench": "speaker/empty/rss", "megabytes": round(speaker.resident_megabytes()?)}));
    world.grow(0, 1_000, &wire).await?;
    let small = speaker.resident_megabytes()?;
    println!("{}", json!({"bench": "speaker/1000/rss", "megabytes": round(small), "limit_megabytes": 15.0}));
    world.assigned(&wire).await?;
    world.served_again(&wire).await?;
    idle(&speaker).await?;
    world.grow(1_000 + SINGLES, 10_000, &wire).await?;
    let large = speaker.resident_megabytes()?;
    println!("{}", json!({"bench": "speaker/10000/rss", "megabytes": round(large), "limit_megabytes": 40.0}));
    drop(speaker);
    let again = start_speaker(binary, folder)?;
    world.all_are_announced(&wire, 10_000)?;
    let started = again.resident_megabytes()?;
    println!(
        "{}",
        json!({"bench": "speaker/10000/rss-after-start", "megabytes": round(started), "limit_megabytes": 40.0})
    );
    Ok(())
}

fn start_speaker(binary: &Path, folder: &Path) -> anyhow::Result<Process> {
    cluster::start_speaker(binary, folder, &["^lo$", "^client$"])
}

async fn idle(speaker: &Process) -> anyhow::Result<()> {
    // After everything that is repeated has been.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let before = speaker.processor_seconds()?;
    tokio::time::sleep(IDLE).await;
    let percent = (speaker.processor_seconds()? - before) / IDLE.as_secs_f64() * 100.0;
    println!("{}", json!({"bench": "speaker/1000/idle", "percent": round(percent), "limit_percent": 0.2}));
    Ok(())
}

struct World {
    cluster: Cluster,
}

impl World {
    async fn open(folder: &Path) -> anyhow::Result<World> {
        let cluster = Cluster::open(folder, &format!("{FIRST}/16")).await?;
        cluster.configure("v1beta1", "L2Advertisement", "all", json!({})).await?;
        Ok(World { cluster })
    }

    /// Services that can be served, until all of them are announced.
    async fn grow(&self, from: usize, to: usize, wire: &Wire) -> anyhow::Result<()> {
        for number in from..to {
            self.cluster.serve(number).await?;
        }
        self.all_are_announced(wire, to)
    }

    fn all_are_announced(&self, wire: &Wire, count: usize) -> anyhow::Result<()> {
        let last = u32::from(FIRST) + u32::try_from(count)? - 1;
        let is_last = |frame: &[u8]| frame[28..32] == last.to_be_bytes();
        wire.wait_for(DEADLINE, is_last)?.context("not all are announced")?;
        // What else there is to do for them is done beside it.
        std::thread::sleep(Duration::from_secs(5));
        Ok(())
    }

    /// From the moment in which others see the address of a Service to its first frame.
    async fn assigned(&self, wire: &Wire) -> anyhow::Result<()> {
        let mut lines = self.watch().await?;
        let mut times = Vec::new();
        for number in 1_000..1_000 + SINGLES {
            self.cluster.serve(number).await?;
            let (seen, address) = lines.next_address(&format!("service-{number}")).await?;
            let is_it = |frame: &[u8]| frame[28..32] == address.octets();
            wire.wait_for(DEADLINE, is_it)?.context("not announced")?;
            times.push(seen.elapsed());
        }
        print_times("speaker/1000/assigned-to-first-frame", times, 5.0);
        Ok(())
    }

    /// From the answer to a change of an EndpointSlice to the first frame of the Service that can be served again.
    async fn served_again(&self, wire: &Wire) -> anyhow::Result<()> {
        let mut times = Vec::new();
        for number in 0..SINGLES {
            self.cluster.delete_slice(number).await?;
            // It must have been lost before it can be won.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let address = Ipv4Addr::from_bits(u32::from(FIRST) + u32::try_from(number)?);
            self.cluster.slice(number).await?;
            let begin = Instant::now();
            let is_it = |frame: &[u8]| frame[28..32] == address.octets();
            wire.wait_for(DEADLINE, is_it)?.context("not announced")?;
            times.push(begin.elapsed());
        }
        print_times("speaker/1000/endpoint-to-first-frame", times, 10.0);
        Ok(())
    }

    async fn watch(&self) -> anyhow::Result<Watch> {
        let request = Request::get(format!("{SERVICES}?watch=true&resourceVersion=0")).body(Body::empty())?;
        let body = self.cluster.client.send(request).await?.into_body();
        Ok(Watch { body, buffer: Vec::new() })
    }
}

/// Changes of Services, as anybody sees them.
struct Watch {
    body: Body,
    buffer: Vec<u8>,
}

impl Watch {
    async fn next_address(&mut self, name: &str) -> anyhow::Result<(Instant, Ipv4Addr)> {
        loop {
            while let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line)?;
                let object = &event["object"];
                let ip = object["status"]["loadBalancer"]["ingress"][0]["ip"].as_str();
                if let (true, Some(ip)) = (object["metadata"]["name"] == name, ip) {
                    return Ok((Instant::now(), ip.parse()?));
                }
            }
            let frame = self.body.frame().await.context("the watch has ended")??;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}

fn print_times(name: &str, mut times: Vec<Duration>, limit_milliseconds: f64) {
    times.sort();
    let at = |share: f64| round(times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3);
    println!("{}", json!({"bench": format!("{name}/p50"), "milliseconds": at(0.5)}));
    println!(
        "{}",
        json!({"bench": format!("{name}/p99"), "milliseconds": at(0.99), "limit_milliseconds": limit_milliseconds})
    );
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
