//! How fast addresses are answered for and announced, and what it costs, on a pair of virtual interfaces. Prints a line
//! of JSON for each figure.
//!
//! Usage, as root, in a network namespace of its own: `unshare --net bench_l2`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use ferrolb::layer2::wire::Wire;
use ferrolb::layer2::{Change, Claim, Excluded, Interfaces, Layer2, MacAddress, Options};
use protocol::l2::arp::{Operation, Packet};
use protocol::l2::ethernet::TYPE_ARP;
use serde_json::json;

const ADDRESSES: u32 = 1000;
const FOREIGN_PER_SECOND: u32 = 100_000;
const SINGLES: usize = 2000;
const ANNOUNCED: u32 = 200;
const MEASURED: Duration = Duration::from_secs(3);
/// Requests that are out without an answer, so that no queue overflows.
const OUTSTANDING: u64 = 128;
const CLIENT: MacAddress = MacAddress([2, 0, 0, 0, 0, 0xcc]);
const FIRST: u32 = 0x0a00_0001;

fn main() -> anyhow::Result<()> {
    ip("link set lo up")?;
    ip("link add node type veth peer name client")?;
    ip("link set node up")?;
    ip("link set client up")?;
    let station = station_of("node")?;
    let wire = Arc::new(Wire::open("client", TYPE_ARP)?);
    let nobody_listens = send_foreign_requests(&wire)?;
    let excluded = Excluded::parse(&["^lo$".to_owned(), "^client$".to_owned()])?;
    let layer2 = ferrolb::layer2::start(Options { excluded, ..Options::default() })?;
    take_over(&layer2, &wire, station)?;
    foreign_requests(&wire, nobody_listens)?;
    single_requests(&wire)?;
    as_many_as_possible(&wire)?;
    announcements(&layer2, &wire)?;
    idle()
}

/// Everything at once: how long until the last of them is announced, and whether any frame was lost.
fn take_over(layer2: &Layer2, wire: &Wire, station: MacAddress) -> anyhow::Result<()> {
    let begin = Instant::now();
    layer2.apply((0..ADDRESSES).map(|number| announce(FIRST + 2 * number)).collect());
    let heard = wire.heard_from(station, Duration::from_millis(1000))?;
    let told: BTreeSet<_> = heard.iter().map(|(_, frame)| &frame[28..32]).collect();
    let last = heard.last().context("nothing was announced")?.0 - begin;
    println!(
        "{}",
        json!({"bench": "l2/take-over/1000", "milliseconds": millis(last), "limit_milliseconds": 1000.0})
    );
    println!(
        "{}",
        json!({"bench": "l2/take-over/1000/lost", "frames": 2 * ADDRESSES as usize - heard.len()})
    );
    ensure!(
        told.len() == ADDRESSES as usize && heard.len() == 2 * told.len(),
        "only {} frames arrived",
        heard.len()
    );
    Ok(())
}

/// What requests for addresses of others cost: the thread, and what sending them costs more than without it, because the
/// kernel filters on the sender's time.
fn foreign_requests(wire: &Wire, nobody_listens: Duration) -> anyhow::Result<()> {
    let before = thread_time()?;
    let listening = send_foreign_requests(wire)?;
    let time = thread_time()? - before + listening.saturating_sub(nobody_listens);
    let percent = round(time.as_secs_f64() / MEASURED.as_secs_f64() * 100.0);
    println!(
        "{}",
        json!({"bench": "l2/foreign", "sent_per_second": FOREIGN_PER_SECOND, "percent": percent, "limit_percent": 10.0})
    );
    Ok(())
}

/// What the sender had of a processor.
fn send_foreign_requests(wire: &Wire) -> anyhow::Result<Duration> {
    // Each lies between two of ours, so that no range lets it pass by luck.
    let frames: Vec<_> = (0..ADDRESSES).map(|number| request(FIRST + 2 * number + 1)).collect();
    let before = own_time()?;
    let begin = Instant::now();
    let mut sent = 0_u32;
    while begin.elapsed() < MEASURED {
        let due = (begin.elapsed().as_secs_f64() * f64::from(FOREIGN_PER_SECOND)) as u32;
        if due <= sent {
            std::thread::sleep(Duration::from_micros(200));
        }
        while sent < due {
            wire.send(&frames[(sent % ADDRESSES) as usize])?;
            sent += 1;
        }
    }
    Ok(own_time()? - before)
}

fn single_requests(wire: &Wire) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for number in 0..SINGLES {
        let address = FIRST + 2 * (number as u32 % ADDRESSES);
        std::thread::sleep(Duration::from_micros(500));
        let begin = Instant::now();
        wire.send(&request(address))?;
        let is_it = |frame: &[u8]| frame[..6] == CLIENT.0 && frame[28..32] == address.to_be_bytes();
        wire.wait_for(Duration::from_secs(1), is_it)?.context("no answer")?;
        times.push(begin.elapsed());
    }
    print_times("l2/answer", times, 1.0);
    Ok(())
}

fn as_many_as_possible(wire: &Arc<Wire>) -> anyhow::Result<()> {
    let answered = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let hearing = {
        let (wire, answered, stop) = (Arc::clone(wire), Arc::clone(&answered), Arc::clone(&stop));
        std::thread::spawn(move || -> std::io::Result<()> {
            let mut buffer = [0; 2048];
            while !stop.load(Ordering::Relaxed) {
                if wire.receive(&mut buffer)?.is_some_and(|frame| frame[..6] == CLIENT.0) {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        })
    };
    let frames: Vec<_> = (0..ADDRESSES).map(|number| request(FIRST + 2 * number)).collect();
    let before = thread_time()?;
    let begin = Instant::now();
    let mut sent = 0;
    while begin.elapsed() < MEASURED {
        if sent < answered.load(Ordering::Relaxed) + OUTSTANDING {
            wire.send(&frames[sent as usize % frames.len()])?;
            sent += 1;
        } else {
            std::thread::yield_now();
        }
    }
    let per_second = answered.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    let share = (thread_time()? - before).as_secs_f64() / MEASURED.as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    hearing.join().map_err(|_| anyhow::anyhow!("the hearing thread panicked"))??;
    println!(
        "{}",
        json!({"bench": "l2/answers", "per_second": per_second.round(), "least_per_second": 50_000,
            "per_second_of_a_core": (per_second / share).round()})
    );
    Ok(())
}

/// One after another, beside the thousand that are there.
fn announcements(layer2: &Layer2, wire: &Wire) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for number in 0..ANNOUNCED {
        let address = FIRST + 1_000_000 + 3 * number;
        let begin = Instant::now();
        layer2.apply(vec![announce(address)]);
        let is_it = |frame: &[u8]| frame[28..32] == address.to_be_bytes();
        wire.wait_for(Duration::from_secs(1), is_it)?.context("not announced")?;
        times.push(begin.elapsed());
    }
    print_times("l2/first-frame", times, 5.0);
    Ok(())
}

/// After everything that is repeated has been.
fn idle() -> anyhow::Result<()> {
    std::thread::sleep(Duration::from_secs(7));
    let before = thread_time()?;
    let time = Duration::from_secs(20);
    std::thread::sleep(time);
    let share = (thread_time()? - before).as_secs_f64() / time.as_secs_f64() * 100.0;
    println!("{}", json!({"bench": "l2/idle", "percent": round(share), "limit_percent": 0.2}));
    Ok(())
}

fn announce(address: u32) -> Change {
    let address = Ipv4Addr::from_bits(address).into();
    Change::Announce { address, interfaces: Interfaces::All, claim: Claim::Fresh }
}

fn request(address: u32) -> Vec<u8> {
    let packet = Packet {
        operation: Operation::Request,
        sender_station: CLIENT,
        sender: Ipv4Addr::new(192, 0, 2, 200),
        target_station: MacAddress::ZERO,
        target: Ipv4Addr::from_bits(address),
    };
    packet.frame(MacAddress::BROADCAST).bytes().to_vec()
}

fn ip(arguments: &str) -> anyhow::Result<()> {
    let status = Command::new("ip").args(arguments.split(' ')).status().context("running ip")?;
    ensure!(
        status.success(),
        "ip {arguments} failed: is this run as root, in a network namespace of its own?"
    );
    Ok(())
}

fn station_of(interface: &str) -> anyhow::Result<MacAddress> {
    let shown = Command::new("ip").args(["-o", "link", "show", interface]).output()?;
    let shown = String::from_utf8(shown.stdout)?;
    let text = shown.split("link/ether ").nth(1).and_then(|rest| rest.get(..17)).context("a station")?;
    let bytes = text.split(':').map(|part| u8::from_str_radix(part, 16)).collect::<Result<Vec<_>, _>>()?;
    Ok(MacAddress(bytes.try_into().map_err(|_| anyhow::anyhow!("{text} is no station"))?))
}

/// What the thread has had of a processor.
fn thread_time() -> anyhow::Result<Duration> {
    for thread in std::fs::read_dir("/proc/self/task")? {
        let thread = thread?.path();
        if std::fs::read_to_string(thread.join("comm"))?.trim() == "layer2" {
            return time_in(&std::fs::read_to_string(thread.join("schedstat"))?);
        }
    }
    bail!("there is no thread for layer 2")
}

fn own_time() -> anyhow::Result<Duration> {
    time_in(&std::fs::read_to_string("/proc/thread-self/schedstat")?)
}

fn time_in(schedstat: &str) -> anyhow::Result<Duration> {
    Ok(Duration::from_nanos(schedstat.split(' ').next().context("schedstat")?.parse()?))
}

fn print_times(bench: &str, mut times: Vec<Duration>, limit: f64) {
    times.sort_unstable();
    let at = |share: usize| millis(times[times.len() * share / 100]);
    println!(
        "{}",
        json!({"bench": format!("{bench}/p99"), "milliseconds": at(99), "limit_milliseconds": limit, "median": at(50)})
    );
}

fn millis(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1000.0)
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
