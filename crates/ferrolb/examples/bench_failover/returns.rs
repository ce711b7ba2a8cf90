//! Nodes that come back: after a cut one alone answers soon, and whoever was asleep does not speak of what was.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ferrolb::lab::Cut;
use ferrolb::layer2::MacAddress;
use serde_json::json;

use crate::ears::{Frame, Moment, now};
use crate::figures::{Times, millis, print_count};
use crate::scene::{Plot, Scene, question};

const EVERY: Duration = Duration::from_millis(10);
/// Long enough for others to take over, and for this node to take itself for the only one.
const AWAY: Duration = Duration::from_millis(1500);
const AFTER: Duration = Duration::from_millis(2500);
const HEAL_LIMIT: f64 = 1000.0;

/// Whoever comes back for the second time is kept waiting for two seconds, while its addresses are another's.
const ROUNDS_OF_WAKES: usize = 2;

/// A link is cut and restored: how long until exactly one node answers.
pub(crate) fn heals(plot: &Plot, trials: usize) -> anyhow::Result<()> {
    let (mut settled, mut wrong_at_last) = (Times::default(), 0);
    each(plot, (trials, 1), |scene, victim| {
        let address = *scene.addresses_of(victim).first().ok_or_else(|| anyhow::anyhow!("no address"))?;
        let (mark, mut healed) = (scene.ears.mark(), Moment::ZERO);
        let asked = asking(scene, address, || {
            scene.lab.cut(victim, Cut::Silent)?;
            std::thread::sleep(AWAY);
            healed = now();
            scene.lab.restore(victim)?;
            std::thread::sleep(AFTER);
            Ok(())
        })?;
        let frames = scene.ears.since(mark);
        let answers = answers(&frames, address, &asked);
        let last_wrong = answers.iter().rfind(|(at, by)| *at >= healed && by.len() != 1);
        let after = last_wrong.map_or(Duration::ZERO, |(at, _)| *at + EVERY - healed);
        // What clients have learnt is true.
        let owner = answers.iter().next_back().and_then(|(_, by)| by.first().copied());
        let claimed = frames.iter().rfind(|it| it.is_claim() && it.packet.sender == address);
        let is_known = claimed.is_some_and(|claim| Some(claim.from()) == owner);
        wrong_at_last += usize::from(!is_known);
        let (silent, double) = count(&answers, healed);
        eprintln!("heal {victim}: one after {} ms; {silent} unanswered, {double} twice", millis(after));
        tell(scene, &frames, address, healed);
        settled.add(after);
        Ok(())
    })?;
    settled.print("failover/heal/one-answers", HEAL_LIMIT, &json!({}));
    print_count("failover/heal/last-claim-is-not-the-owners", wrong_at_last, 0, &json!({"trials": trials}));
    Ok(())
}

fn count(answers: &[(Moment, BTreeSet<MacAddress>)], since: Moment) -> (usize, usize) {
    let later = || answers.iter().filter(|(at, _)| *at >= since);
    (later().filter(|(_, by)| by.is_empty()).count(), later().filter(|(_, by)| by.len() > 1).count())
}

/// A frozen owner wakes up: it says nothing before it has claimed its addresses anew, and never in another's turn.
pub(crate) fn wakes(plot: &Plot, trials: usize) -> anyhow::Result<()> {
    let (mut old_claims, mut twice, mut back) = (0, 0, Times::default());
    each(plot, (trials, ROUNDS_OF_WAKES), |scene, victim| {
        let address = *scene.addresses_of(victim).first().ok_or_else(|| anyhow::anyhow!("no address"))?;
        let station = scene.station_of(victim)?;
        let (mark, mut woken) = (scene.ears.mark(), Moment::ZERO);
        let asked = asking(scene, address, || {
            scene.lab.freeze(victim)?;
            std::thread::sleep(AWAY);
            woken = now();
            scene.lab.resume(victim)?;
            std::thread::sleep(AFTER);
            Ok(())
        })?;
        let frames = scene.ears.since(mark);
        let of_it = |it: &&Frame| it.from() == station && it.packet.sender == address && it.at >= woken;
        let claimed = frames.iter().filter(of_it).find(|it| it.is_claim()).map(|it| it.at);
        let early = |it: &&Frame| it.is_answer() && claimed.is_none_or(|claimed| it.at < claimed);
        old_claims += frames.iter().filter(of_it).filter(early).count();
        let answers = answers(&frames, address, &asked);
        let (silent, double) = count(&answers, woken);
        twice += double;
        if let Some(claimed) = claimed {
            back.add(claimed - woken);
        }
        let after = claimed.map(|at| millis(at - woken));
        tell(scene, &frames, address, woken);
        eprintln!("wake {victim}: claims after {after:?} ms; {silent} unanswered, {double} twice");
        Ok(())
    })?;
    let further = json!({"trials": trials, "median_back_ms": back.at(0.5)});
    print_count("failover/wake/answers-with-an-old-claim", old_claims, 0, &further);
    print_count("failover/wake/answered-twice", twice, 0, &further);
    Ok(())
}

/// What was said about an address from a moment on, the same of the same told once.
fn tell(scene: &Scene, frames: &[Frame], address: Ipv4Addr, since: Moment) {
    let mut last = None;
    for frame in frames.iter().filter(|it| it.packet.sender == address && it.at >= since) {
        let said = (frame.is_claim(), frame.from());
        if last != Some(said) {
            let what = if frame.is_claim() { "claims" } else { "answers" };
            eprintln!("  {:8.2} ms {} {what}", millis(frame.at - since), scene.name_of(frame.from()));
            last = Some(said);
        }
    }
}

/// So often, and in one lab every node in so many rounds.
fn each(
    plot: &Plot,
    (trials, rounds): (usize, usize),
    mut trial: impl FnMut(&Scene, &str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut left = trials;
    while left > 0 {
        let scene = Scene::up(plot)?;
        let victims: Vec<_> = (0..rounds).flat_map(|_| scene.owners()).take(left).collect();
        for victim in &victims {
            trial(&scene, victim)?;
            scene.wait_until_well()?;
            left -= 1;
        }
    }
    Ok(())
}

/// Asks for an address again and again while something happens. When it did.
fn asking(
    scene: &Scene,
    address: Ipv4Addr,
    act: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Moment>> {
    let station = scene.station_of("client")?;
    let frame = question(station, address);
    let wire = &scene.wire;
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| -> std::io::Result<Vec<Moment>> {
            let mut asked = Vec::new();
            let mut next = Instant::now();
            while !ends.load(Ordering::Relaxed) {
                asked.push(now());
                wire.send(&frame)?;
                next += EVERY;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            Ok(asked)
        });
        let acted = act();
        ends.store(true, Ordering::Relaxed);
        let asked = asking.join().map_err(|_| anyhow::anyhow!("the one who asks panicked"))??;
        acted.map(|()| asked)
    })
}

/// Who answered each question before the next was asked. The last was not waited for.
fn answers(frames: &[Frame], address: Ipv4Addr, asked: &[Moment]) -> Vec<(Moment, BTreeSet<MacAddress>)> {
    let of_it: Vec<_> = frames.iter().filter(|it| it.is_answer() && it.packet.sender == address).collect();
    let between = |pair: &[Moment]| {
        let by = of_it.iter().filter(|it| pair[0] <= it.at && it.at < pair[1]).map(|it| it.from());
        (pair[0], by.collect())
    };
    asked.windows(2).map(between).collect()
}
