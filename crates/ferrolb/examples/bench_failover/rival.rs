//! keepalived on the same segment, as what can be reached at all.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ferrolb::lab::Cut;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::ears::{Frame, now};
use crate::figures::{Times, print};
use crate::scene::{BACKENDS, Plot, Scene};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 10, 200, 1);
const MASTER: &str = "router";
const START: Duration = Duration::from_secs(20);
const GIVE_UP: Duration = Duration::from_secs(10);
/// Adverts come every tenth of a second, and a phase is as likely as any other.
const PHASES: [u64; 7] = [200, 213, 229, 241, 257, 271, 283];

pub(crate) fn is_there() -> bool {
    let version = Command::new("keepalived").arg("-v").stderr(Stdio::null()).stdout(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// The master's link is cut, as that of a speaker's node. `ours` are the times of that.
pub(crate) fn run(plot: &Plot, trials: usize, ours: Option<&Times>) -> anyhow::Result<()> {
    let scene = Scene::up(plot)?;
    let folder = Folder::new()?;
    let mark = scene.ears.mark();
    let _backup = Keepalived::start(&scene, BACKENDS, 100, &folder.0)?;
    let _master = Keepalived::start(&scene, MASTER, 200, &folder.0)?;
    let address = BTreeSet::from([ADDRESS]);
    let claim_of = |member: &str, mark: usize, within: Duration| -> anyhow::Result<Frame> {
        let station = scene.station_of(member)?;
        let is_it = |frame: &Frame| frame.is_claim() && frame.from() == station;
        let found = scene.ears.first_of_each(&address, mark, within, is_it);
        found.get(&ADDRESS).copied().with_context(|| format!("keepalived on {member} does not announce"))
    };
    claim_of(MASTER, mark, START)?;
    let mut times = Times::default();
    for number in 0..trials {
        std::thread::sleep(Duration::from_millis(PHASES[number % PHASES.len()]));
        let (mark, begin) = (scene.ears.mark(), now());
        scene.lab.cut(MASTER, Cut::Silent)?;
        let claim = claim_of(BACKENDS, mark, GIVE_UP)?;
        times.add(claim.at.saturating_sub(begin));
        scene.lab.restore(MASTER)?;
        wait_until_backup(&scene)?;
    }
    let mut figure = json!({"bench": "failover/keepalived/cut/first-frame", "milliseconds": times.at(0.99),
        "median": times.at(0.5), "most": times.at(1.0), "trials": trials});
    if let Some(ours) = ours.filter(|ours| !ours.is_empty()) {
        figure["median_of_ferrolb"] = json!(ours.at(0.5));
        figure["ratio"] = json!((ours.at(0.5) / times.at(0.5) * 100.0).round() / 100.0);
    }
    print(figure, &json!({}));
    Ok(())
}

/// The master's adverts take the address away from the other one, which nobody hears of.
fn wait_until_backup(scene: &Scene) -> anyhow::Result<()> {
    let until = Instant::now() + GIVE_UP;
    loop {
        let mut command = scene.lab.command(BACKENDS, "ip")?;
        let shown = command.args(["-o", "addr", "show", "dev", "eth0"]).output()?;
        if !String::from_utf8_lossy(&shown.stdout).contains(&ADDRESS.to_string()) {
            return Ok(());
        }
        ensure!(Instant::now() < until, "the backup of keepalived keeps the address");
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Folder> {
        let path = std::env::temp_dir().join(format!("bench-keepalived-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Ends when it is dropped.
struct Keepalived(Child);

impl Keepalived {
    fn start(scene: &Scene, member: &str, priority: u8, folder: &Path) -> anyhow::Result<Keepalived> {
        let file = |extension: &str| folder.join(format!("{member}.{extension}"));
        let text = format!(
            "global_defs {{\n  vrrp_version 3\n  script_user root\n}}\nvrrp_instance one {{\n  state BACKUP\n  \
             interface eth0\n  virtual_router_id 51\n  priority {priority}\n  advert_int 0.1\n  \
             virtual_ipaddress {{\n    {ADDRESS}/32 dev eth0\n  }}\n}}\n"
        );
        std::fs::write(file("conf"), text)?;
        let mut command = scene.lab.command(member, "keepalived")?;
        command.args(["-n", "-l", "-P", "-f"]).arg(file("conf"));
        command.arg("-p").arg(file("pid")).arg("-r").arg(file("vpid"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Keepalived(command.spawn().context("running keepalived")?))
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        // So that it ends its children too.
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}
