//! Nodes that fail without notice: how long until others have announced their addresses, and what a client misses.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use ferrolb::lab::Cut;
use ferrolb::lab::traffic::{Protocol, Questions};
use http::Method;
use serde_json::{Value, json};

use crate::ears::{Frame, now};
use crate::figures::{Times, millis};
use crate::scene::{Plot, Scene};

/// Later than this is never.
const GIVE_UP: Duration = Duration::from_secs(15);
/// Questions before the fault and after the first frame.
const AROUND: Duration = Duration::from_millis(150);
/// More than the limit of a gap, and less than TCP waits before it asks again.
const PATIENCE: Duration = Duration::from_millis(700);
const GAP_LIMIT: f64 = 500.0;
/// In one lab. Whoever fails more often is readmitted later and later.
const FAILURES_PER_NODE: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// Its speaker, with SIGKILL.
    Killed,
    /// Frames are lost on their way.
    Cut,
    /// The cable is pulled.
    Unplugged,
    /// With SIGSTOP.
    Frozen,
    /// Unplugged, killed, and no Node any more.
    Removed,
}

const FAULTS: [Fault; 5] = [Fault::Killed, Fault::Cut, Fault::Unplugged, Fault::Frozen, Fault::Removed];

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Fault::Killed => "killed",
            Fault::Cut => "cut",
            Fault::Unplugged => "unplugged",
            Fault::Frozen => "frozen",
            Fault::Removed => "removed",
        }
    }

    /// What there must be to undo it.
    fn kept(self, scene: &Scene, node: &str) -> anyhow::Result<Value> {
        if self != Fault::Removed {
            return Ok(Value::Null);
        }
        let mut object = scene.get(&format!("/api/v1/nodes/{node}"))?;
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.retain(|field, _| field == "name" || field == "labels");
        }
        Ok(object)
    }

    fn strike(self, scene: &Scene, node: &str) -> anyhow::Result<()> {
        match self {
            Fault::Killed => scene.lab.kill_speaker(node)?,
            Fault::Cut => scene.lab.cut(node, Cut::Silent)?,
            Fault::Unplugged => scene.lab.cut(node, Cut::Cable)?,
            Fault::Frozen => scene.lab.freeze(node)?,
            Fault::Removed => {
                scene.lab.cut(node, Cut::Cable)?;
                scene.lab.kill_speaker(node)?;
                scene.call(Method::DELETE, &format!("/api/v1/nodes/{node}"), &Value::Null)?;
            }
        }
        Ok(())
    }

    fn undo(self, scene: &Scene, node: &str, kept: &Value) -> anyhow::Result<()> {
        match self {
            Fault::Killed => scene.lab.start_speaker(node)?,
            Fault::Cut | Fault::Unplugged => scene.lab.restore(node)?,
            Fault::Frozen => scene.lab.resume(node)?,
            Fault::Removed => {
                scene.call(Method::POST, "/api/v1/nodes", kept)?;
                scene.lab.restore(node)?;
                scene.lab.start_speaker(node)?;
            }
        }
        Ok(())
    }
}

struct Trial {
    /// Until the last of the node's addresses was announced.
    all_announced: Duration,
    client_gap: Duration,
    /// How long it took to bring the fault about. It counts as failed from the beginning of that.
    struck_within: Duration,
}

/// Every kind of fault so often, in turns. Returns the times of all.
pub(crate) fn run(plot: &Plot, name: &str, trials: usize, limit_milliseconds: f64) -> anyhow::Result<Times> {
    let mut announced = BTreeMap::<Fault, Times>::new();
    let mut gaps = BTreeMap::<Fault, Times>::new();
    let mut struck = BTreeMap::<Fault, Times>::new();
    let mut scene: Option<(Scene, Vec<String>)> = None;
    for number in 0..trials * FAULTS.len() {
        // Not each node the same fault every time.
        let fault = FAULTS[(number + number / FAULTS.len()) % FAULTS.len()];
        if scene.as_ref().is_none_or(|(_, victims)| victims.is_empty()) {
            // Two labs at once would be in each other's way.
            drop(scene.take());
            let new = Scene::up(plot)?;
            let victims = (0..FAILURES_PER_NODE).flat_map(|_| new.owners()).collect();
            scene = Some((new, victims));
        }
        let Some((stage, victims)) = &mut scene else { continue };
        let Some(victim) = victims.pop() else { continue };
        let trial = trial(stage, fault, &victim)?;
        eprintln!(
            "{name} {number}: {} {victim}: announced after {} ms, gap {} ms, struck within {} ms",
            fault.name(),
            millis(trial.all_announced),
            millis(trial.client_gap),
            millis(trial.struck_within)
        );
        announced.entry(fault).or_default().add(trial.all_announced);
        gaps.entry(fault).or_default().add(trial.client_gap);
        struck.entry(fault).or_default().add(trial.struck_within);
    }
    let (mut all, mut all_gaps) = (Times::default(), Times::default());
    for (fault, times) in &announced {
        let struck = &struck[fault];
        let further = json!({"median_of_striking_ms": struck.at(0.5), "most_of_striking_ms": struck.at(1.0)});
        times.print(&format!("failover/{name}/{}/first-frame", fault.name()), limit_milliseconds, &further);
        gaps[fault].print(&format!("failover/{name}/{}/client-gap", fault.name()), GAP_LIMIT, &json!({}));
        all.extend(times);
        all_gaps.extend(&gaps[fault]);
    }
    all.print(&format!("failover/{name}/first-frame"), limit_milliseconds, &json!({}));
    all_gaps.print(&format!("failover/{name}/client-gap"), GAP_LIMIT, &json!({}));
    Ok(all)
}

fn trial(scene: &Scene, fault: Fault, victim: &str) -> anyhow::Result<Trial> {
    let addresses = scene.addresses_of(victim);
    let station = scene.station_of(victim)?;
    let asked = *addresses.first().ok_or_else(|| anyhow::anyhow!("{victim} owns nothing"))?;
    let questions = Questions { patience: PATIENCE, ..Questions::new(scene.echo_at(asked), Protocol::Tcp) };
    let traffic = scene.lab.traffic("client", questions)?;
    std::thread::sleep(AROUND);
    let kept = fault.kept(scene, victim)?;
    let (mark, begin) = (scene.ears.mark(), now());
    fault.strike(scene, victim)?;
    let struck_within = now().saturating_sub(begin);
    let by_another = |frame: &Frame| frame.is_claim() && frame.from() != station && frame.at >= begin;
    let claims = scene.ears.first_of_each(&addresses, mark, GIVE_UP, by_another);
    std::thread::sleep(AROUND);
    let report = traffic.finish()?;
    ensure!(
        claims.len() == addresses.len(),
        "{} {victim}: {} of {} addresses were taken over",
        fault.name(),
        claims.len(),
        addresses.len()
    );
    ensure!(report.answered > 0, "{asked} was never answered: {report:?}");
    let last = claims.values().map(|frame| frame.at).max().unwrap_or_default();
    fault.undo(scene, victim, &kept)?;
    scene.wait_until_well()?;
    let client_gap = Duration::from_secs_f64(report.longest_gap_ms / 1000.0);
    Ok(Trial { all_announced: last.saturating_sub(begin), client_gap, struck_within })
}

/// A node that owns everything fails: how long until all of it is announced.
pub(crate) fn crowd(plot: &Plot, count: usize) -> anyhow::Result<()> {
    let plot = Plot { services: count, preferred: Some("node-1"), ..plot.clone() };
    let scene = Scene::up(&plot)?;
    let mut times = Times::default();
    for fault in [Fault::Killed, Fault::Cut] {
        let addresses = scene.addresses_of("node-1");
        ensure!(addresses.len() == count, "node-1 has {} addresses", addresses.len());
        let station = scene.station_of("node-1")?;
        let (mark, begin) = (scene.ears.mark(), now());
        fault.strike(&scene, "node-1")?;
        let by_another = |frame: &Frame| frame.is_claim() && frame.from() != station && frame.at >= begin;
        let claims = scene.ears.first_of_each(&addresses, mark, GIVE_UP, by_another);
        ensure!(claims.len() == count, "{} of {count} addresses were taken over", claims.len());
        let last = claims.values().map(|frame| frame.at).max().unwrap_or_default();
        times.add(last.saturating_sub(begin));
        fault.undo(&scene, "node-1", &Value::Null)?;
        scene.wait_until_well()?;
    }
    times.print(&format!("failover/{count}-addresses/all-announced"), 1000.0, &json!({}));
    Ok(())
}
