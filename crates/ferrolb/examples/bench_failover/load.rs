//! A machine that has more to do than it can: nobody is taken for dead who is only slow.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::figures::{print, print_count};
use crate::scene::{Plot, Scene};

pub(crate) const BUSY: &str = "--busy";
const BUSY_PER_CORE: usize = 4;
const ADDRESSES: usize = 200;
const LOSS_PERCENT: u32 = 20;
const MEMBERS_PORT: u16 = 7946;
const CHECK: Duration = Duration::from_millis(500);

/// Does nothing of use until its standard input ends, which it does with whoever began it.
pub(crate) fn be_busy() -> ! {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let mut number = 0_u64;
    loop {
        number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

struct Busy(Vec<Child>);

impl Busy {
    fn start() -> anyhow::Result<Busy> {
        let cores = std::thread::available_parallelism()?.get();
        let mut busy = Busy(Vec::new());
        for _ in 0..cores * BUSY_PER_CORE {
            let mut command = Command::new(std::env::current_exe()?);
            busy.0.push(command.arg(BUSY).stdin(Stdio::piped()).spawn()?);
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// With nothing lost, and then with some of what members say to each other.
pub(crate) fn run(plot: &Plot, time: Duration) -> anyhow::Result<()> {
    let plot = Plot { services: ADDRESSES, ..plot.clone() };
    let scene = Scene::up(&plot)?;
    measure(&scene, "load", time)?;
    for node in scene.lab.topology().nodes() {
        lose_some(&scene, &node.name)?;
    }
    measure(&scene, "load-and-loss", time)
}

fn measure(scene: &Scene, name: &str, time: Duration) -> anyhow::Result<()> {
    let before = counters(scene)?;
    let mark = scene.ears.mark();
    let busy = Busy::start()?;
    let until = Instant::now() + time;
    let count = busy.0.len();
    while Instant::now() < until {
        std::thread::sleep(CHECK);
        let seconds_left = until.saturating_duration_since(Instant::now()).as_secs();
        if seconds_left.is_multiple_of(30) {
            eprintln!("{name}: {seconds_left} s left");
        }
    }
    drop(busy);
    let after = counters(scene)?;
    let strange = |address: &Ipv4Addr, by: &str| scene.home.get(address).is_some_and(|home| home != by);
    let frames = scene.ears.since(mark);
    let claims = frames.iter().filter(|it| it.is_claim());
    let moved = claims.filter(|it| strange(&it.packet.sender, &scene.name_of(it.from()))).count();
    let more = |name: &str| after[name].saturating_sub(before[name]);
    let further = json!({
        "minutes": time.as_secs_f64() / 60.0, "busy_processes": count, "verdicts": more("verdicts"),
        "suspicions": more("suspicions"), "cleared": more("cleared"), "slips": more("slips"),
        "refuted": more("refuted"), "worst_slip_ms": after["worstSlipMs"],
    });
    print_count(&format!("failover/{name}/false-takeovers"), moved, 0, &further);
    let verdicts = usize::try_from(more("verdicts"))?;
    print_count(&format!("failover/{name}/false-verdicts"), verdicts, 0, &json!({}));
    if name == "load-and-loss" {
        let percent = 100 * more("lost") / (more("received") + more("lost")).max(1);
        print(json!({"bench": "failover/load-and-loss/beats-lost", "percent": percent}), &json!({}));
    }
    Ok(())
}

/// Of all speakers together; of what is a worst case, the worst.
fn counters(scene: &Scene) -> anyhow::Result<BTreeMap<&'static str, u64>> {
    let mut all = BTreeMap::<_, u64>::new();
    for node in scene.lab.topology().nodes() {
        let seen = scene.members(&node.name).with_context(|| format!("the members of {}", node.name))?;
        for name in ["verdicts", "suspicions", "cleared", "slips", "refuted"] {
            *all.entry(name).or_default() += seen["counters"][name].as_u64().context("a counter")?;
        }
        let worst = all.entry("worstSlipMs").or_default();
        *worst = (*worst).max(seen["counters"]["worstSlipMs"].as_f64().unwrap_or_default() as u64);
        for member in seen["members"].as_array().into_iter().flatten() {
            for name in ["received", "lost"] {
                *all.entry(name).or_default() += member["watching"][name].as_u64().unwrap_or_default();
            }
        }
    }
    Ok(all)
}

fn lose_some(scene: &Scene, node: &str) -> anyhow::Result<()> {
    let rules = format!(
        "table inet loss {{\nchain input {{\ntype filter hook input priority 0\n\
         udp dport {MEMBERS_PORT} numgen random mod 100 < {LOSS_PERCENT} drop\n}}\n}}\n"
    );
    let mut command = scene.lab.command(node, "nft")?;
    let mut child = command.args(["-f", "-"]).stdin(Stdio::piped()).spawn()?;
    child.stdin.take().context("its input")?.write_all(rules.as_bytes())?;
    let status = child.wait()?;
    ensure!(status.success(), "nft in {node}: {status}");
    Ok(())
}
