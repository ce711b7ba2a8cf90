//! Moves that are planned: what a client notices of them.

use std::time::Duration;

use anyhow::ensure;
use ferrolb::lab::traffic::{Protocol, Questions};
use http::Method;
use serde_json::json;

use crate::ears::{Frame, now};
use crate::figures::{Times, print_count};
use crate::scene::{Plot, Scene};

const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
const EVERY: Duration = Duration::from_millis(5);
const AROUND: Duration = Duration::from_millis(200);
const GIVE_UP: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
enum Move {
    Drain,
    Exclude,
    Terminate,
}

impl Move {
    fn name(self) -> &'static str {
        match self {
            Move::Drain => "drain",
            Move::Exclude => "exclude",
            Move::Terminate => "terminate",
        }
    }

    fn begin(self, scene: &Scene, node: &str) -> anyhow::Result<()> {
        match self {
            Move::Drain => Ok(scene.lab.drain(node)?),
            Move::Exclude => label(scene, node, Some("")),
            Move::Terminate => Ok(scene.lab.end_speaker(node)?),
        }
    }

    fn undo(self, scene: &Scene, node: &str) -> anyhow::Result<()> {
        match self {
            Move::Drain => Ok(scene.lab.undrain(node)?),
            Move::Exclude => label(scene, node, None),
            Move::Terminate => Ok(scene.lab.start_speaker(node)?),
        }
    }
}

fn label(scene: &Scene, node: &str, value: Option<&str>) -> anyhow::Result<()> {
    let patch = json!({"metadata": {"labels": {EXCLUDE: value}}});
    scene.call(Method::PATCH, &format!("/api/v1/nodes/{node}"), &patch).map(drop)
}

/// Every kind of move so often, away and back.
pub(crate) fn run(plot: &Plot, moves: usize) -> anyhow::Result<()> {
    let scene = Scene::up(plot)?;
    let victims = scene.owners();
    for kind in [Move::Drain, Move::Exclude, Move::Terminate] {
        let (mut asked, mut failed, mut broken, mut times) = (0, 0, 0, Times::default());
        for number in 0..moves {
            let victim = &victims[number % victims.len()];
            let addresses = scene.addresses_of(victim);
            let station = scene.station_of(victim)?;
            let to = scene.echo_at(*addresses.first().ok_or_else(|| anyhow::anyhow!("no address"))?);
            let questions = Questions { every: EVERY, ..Questions::new(to, Protocol::Tcp) };
            let traffic = scene.lab.traffic("client", questions)?;
            std::thread::sleep(AROUND);
            let (mark, begin) = (scene.ears.mark(), now());
            kind.begin(&scene, victim)?;
            let by_another = |frame: &Frame| frame.is_claim() && frame.from() != station;
            let claims = scene.ears.first_of_each(&addresses, mark, GIVE_UP, by_another);
            ensure!(claims.len() == addresses.len(), "{victim} keeps addresses after {}", kind.name());
            let last = claims.values().map(|frame| frame.at).max().unwrap_or_default();
            times.add(last.saturating_sub(begin));
            std::thread::sleep(AROUND);
            kind.undo(&scene, victim)?;
            scene.wait_until_well()?;
            std::thread::sleep(AROUND);
            let report = traffic.finish()?;
            eprintln!("planned {} {victim}: {report:?}", kind.name());
            asked += report.asked;
            failed += report.asked - report.answered;
            broken += report.broken;
        }
        // Whoever has sent its first packet to one node and its second to another is refused by the other, which has not
        // translated the first. No announcement can change that: those are broken, and all others would be missed answers.
        let further = json!({"broken": broken, "connections": asked, "moves": 2 * moves, "median_move_ms": times.at(0.5)});
        print_count(&format!("failover/planned/{}/failed-connections", kind.name()), failed, 0, &further);
    }
    Ok(())
}
