//! A speaker as a process of its own, against an embedded API server, with four peers.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use http::Method;
use protocol::bgp::prefix::Prefix;
use serde_json::{Value, json};

use super::cluster::{self, Cluster, SERVICES};
use super::ear::{ASN, Ear};
use super::engine::OWN_ASN;
use super::figures::{Times, print, print_count};
use super::process::Process;

const PEERS: u8 = 4;
/// The first address of the pool.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
const STARTS: usize = 5;
const CHANGES: usize = 200;
/// Changes are not to be taken together.
const BETWEEN: Duration = Duration::from_millis(20);
/// What else there is to do for Services is done beside it.
const SETTLE: Duration = Duration::from_secs(5);

/// What has a target: up to so many Services, start, change and memory.
const LIMITS: [(usize, f64, f64, f64); 2] = [(1_000, 300.0, 1.0, 25.0), (10_000, 1_000.0, 5.0, 60.0)];

pub(crate) fn run(program: &Path, sizes: &[usize]) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("ferrolb-bench-bgp-{}", std::process::id()));
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(measure(program, &folder, sizes));
    let _ = std::fs::remove_dir_all(&folder);
    outcome
}

async fn measure(program: &Path, folder: &Path, sizes: &[usize]) -> anyhow::Result<()> {
    let _server = cluster::start_server(program, folder)?;
    let cluster = Cluster::open(folder, &format!("{FIRST}/16")).await?;
    let mut ears = Vec::new();
    for peer in 0..PEERS {
        let address = Ipv4Addr::new(10, 255, 1, peer);
        ears.push(Ear::open(address)?);
        let spec = json!({"myASN": OWN_ASN, "peerASN": ASN, "peerAddress": address});
        cluster.configure("v1beta2", "BGPPeer", &format!("peer-{peer}"), spec).await?;
    }
    cluster.configure("v1beta1", "BGPAdvertisement", "all", json!({})).await?;
    let mut served = 0;
    for &count in sizes {
        for number in served..count {
            cluster.serve(number).await?;
        }
        served = count;
        has_addresses(&cluster, count).await?;
        let limits = LIMITS.iter().find(|it| count <= it.0).context("no more than 10,000 Services")?;
        let speaker = starts(program, folder, &ears, count, limits.1)?;
        tokio::time::sleep(SETTLE).await;
        let spent = speaker.processor_seconds()?;
        memory(&speaker, count, "at-rest", limits.3, &json!({"processor_seconds_so_far": spent}))?;
        let before: usize = ears.iter().map(Ear::sessions).sum();
        changes(&cluster, &ears, count, limits.2).await?;
        let lost = ears.iter().map(Ear::sessions).sum::<usize>() - before;
        print_count(&format!("bgp/{count}/sessions-lost"), lost, 0, &json!({}));
        memory(&speaker, count, "after-changes", limits.3, &json!({}))?;
        drop(speaker);
        for ear in &ears {
            ear.wait_for("the session has ended", |heard| heard.is_silent().then_some(()))?;
        }
    }
    Ok(())
}

/// They are given by the controller, which nobody waits for here.
async fn has_addresses(cluster: &Cluster, count: usize) -> anyhow::Result<()> {
    let until = Instant::now() + super::ear::DEADLINE;
    let name = format!("service-{}", count - 1);
    loop {
        let service = service(cluster, &name).await?;
        if service["status"]["loadBalancer"]["ingress"].is_array() {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < until, "{name} gets no address");
        tokio::time::sleep(BETWEEN).await;
    }
}

/// From the moment in which the process is made until the last peer has heard the last route. The last speaker stays.
fn starts(program: &Path, folder: &Path, ears: &[Ear], count: usize, limit: f64) -> anyhow::Result<Process> {
    let (mut whole, mut talk) = (Times::default(), Times::default());
    let mut trial = 0;
    loop {
        trial += 1;
        let begin = Instant::now();
        let speaker = cluster::start_speaker(program, folder, &[".*"])?;
        let (mut last, mut first) = (begin, None);
        for ear in ears {
            let (up, told) = ear.all(count)?;
            last = last.max(told);
            first = Some(first.map_or(up, |first: Instant| first.min(up)));
        }
        whole.add(last - begin);
        talk.add(first.map(|first| last.saturating_duration_since(first)).unwrap_or_default());
        if trial == STARTS {
            let further = json!({"bench": format!("bgp/{count}/start"), "milliseconds": whole.at(0.5),
                "limit_milliseconds": limit, "most": whole.at(1.0), "after_established": talk.at(0.5),
                "trials": STARTS, "peers": PEERS});
            print(further, &json!({}));
            return Ok(speaker);
        }
        drop(speaker);
        for ear in ears {
            ear.wait_for("the session has ended", |heard| heard.is_silent().then_some(()))?;
        }
    }
}

/// From the answer to a change of an EndpointSlice until the last peer has heard of it. The API server tells watchers at
/// about the same moment, so this is what the speaker takes, and some of what the server does.
async fn changes(cluster: &Cluster, ears: &[Ear], count: usize, limit: f64) -> anyhow::Result<()> {
    let [mut gone, mut come, mut whole] = std::array::from_fn(|_| Times::default());
    for change in 0..CHANGES {
        let number = change * 7 % count;
        let prefix = address_of(cluster, number).await?;
        for comes in [false, true] {
            let asked = Instant::now();
            match comes {
                false => cluster.delete_slice(number).await?,
                true => cluster.slice(number).await?,
            }
            let answered = Instant::now();
            let mut last = asked;
            for ear in ears {
                last = last.max(ear.turned(prefix, comes)?);
            }
            let times = if comes { &mut come } else { &mut gone };
            times.add(last.saturating_duration_since(answered));
            whole.add(last - asked);
            tokio::time::sleep(BETWEEN).await;
        }
    }
    let further = |it: &str| json!({"peers": PEERS, "from": it, "to": "the last peer"});
    come.print(&format!("bgp/{count}/announce"), limit, &further("the answer to the write"));
    gone.print(&format!("bgp/{count}/withdraw"), limit, &further("the answer to the write"));
    let from_write = json!({"bench": format!("bgp/{count}/with-write"), "milliseconds": whole.at(0.99),
        "median": whole.at(0.5), "most": whole.at(1.0)});
    print(from_write, &further("the beginning of the write"));
    Ok(())
}

async fn address_of(cluster: &Cluster, number: usize) -> anyhow::Result<Prefix> {
    let service = service(cluster, &format!("service-{number}")).await?;
    let address = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().context("no address")?;
    Prefix::new(address.parse::<IpAddr>()?, 32).context("of IPv4")
}

async fn service(cluster: &Cluster, name: &str) -> anyhow::Result<Value> {
    let (code, service) = cluster.call(Method::GET, &format!("{SERVICES}/{name}"), &Value::Null).await?;
    anyhow::ensure!(code.is_success(), "{name}: {service}");
    Ok(service)
}

fn memory(speaker: &Process, count: usize, when: &str, limit: f64, further: &Value) -> anyhow::Result<()> {
    let megabytes = (speaker.resident_megabytes()? * 100.0).round() / 100.0;
    let name = format!("bgp/{count}/rss-{when}");
    print(json!({"bench": name, "megabytes": megabytes, "limit_megabytes": limit, "peers": PEERS}), further);
    Ok(())
}
