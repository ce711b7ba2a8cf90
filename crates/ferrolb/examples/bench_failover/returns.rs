//! Nodes that come back: after a cut one alone answers soon, and whoever was asleep does not speak of what was.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use ferrolb::lab::Cut;
use serde_json::json;

use crate::ears::{Frame, Moment, now};
use crate::figures::{Times, millis, print_count};
use crate::scene::{Plot, Scene, question};

const EVERY: Duration = Duration::from_millis(10);
/// Long enough for others to take over, and for this node to take itself for the only one.
const AWAY: Duration = Duration::from_millis(1500);
const AFTER: Duration = Duration::from_millis(2500);
const HEAL_LIMIT: f64 = 1000.0;
/// As for a client at a failure.
const SILENCE_LIMIT: f64 = 500.0;

/// Whoever comes back for the second time is kept waiting for two seconds, while its addresses are another's.
const ROUNDS_OF_WAKES: usize = 2;
const READMITTED_AT_ONCE: Duration = Duration::from_secs(1);

/// A link is cut and restored: how long until exactly one node answers.
pub(crate) fn heals(plot: &Plot, trials: usize) -> anyhow::Result<()> {
    let (mut settled, mut silences, mut wrong_at_last) = (Times::default(), Times::default(), 0);
    each(plot, (trials, 1), |scene, victim| {
        let address = *scene.addresses_of(victim).first().ok_or_else(|| anyhow::anyhow!("no address"))?;
        let (mark, mut healed) = (scene.ears.mark(), Moment::ZERO);
        asking(scene, address, || {
            scene.lab.cut(victim, Cut::Silent)?;
            std::thread::sleep(AWAY);
            healed = now();
            scene.lab.restore(victim)?;
            std::thread::sleep(AFTER);
            Ok(())
        })?;
        let frames = scene.ears.since(mark);
        let answers: Vec<_> =
            frames.iter().filter(|it| it.is_answer() && it.packet.sender == address).collect();
        let Some(owner) = answers.last().map(|it| it.from()) else { bail!("{address} is not answered for") };
        let others = answers.iter().rfind(|it| it.at >= healed && it.from() != owner);
        let after = others.map_or(Duration::ZERO, |it| it.at.saturating_sub(healed));
        let pauses = answers.windows(2).filter(|pair| pair[1].at >= healed);
        silences.add(pauses.map(|pair| pair[1].at.saturating_sub(pair[0].at)).max().unwrap_or_default());
        // What clients have learnt is true.
        let claimed = frames.iter().rfind(|it| it.is_claim() && it.packet.sender == address);
        wrong_at_last += usize::from(claimed.is_none_or(|claim| claim.from() != owner));
        eprintln!("heal {victim}: one alone after {} ms", millis(after));
        tell(scene, &frames, address, healed);
        settled.add(after);
        Ok(())
    })?;
    settled.print("failover/heal/one-answers", HEAL_LIMIT, &json!({}));
    silences.print("failover/heal/longest-silence", SILENCE_LIMIT, &json!({}));
    print_count("failover/heal/last-claim-is-not-the-owners", wrong_at_last, 0, &json!({"trials": trials}));
    Ok(())
}

/// A frozen owner wakes up. While it is not readmitted, its addresses are another's, and it says nothing. Where it is
/// readmitted at once it has them again, and how many answers it gave before it told so is a figure without a limit.
pub(crate) fn wakes(plot: &Plot, trials: usize) -> anyhow::Result<()> {
    let (mut old_claims, mut before_claim, mut waiting) = (0, 0, 0);
    let mut back = Times::default();
    each(plot, (trials, ROUNDS_OF_WAKES), |scene, victim| {
        let address = *scene.addresses_of(victim).first().ok_or_else(|| anyhow::anyhow!("no address"))?;
        let station = scene.station_of(victim)?;
        let (mark, mut woken) = (scene.ears.mark(), Moment::ZERO);
        asking(scene, address, || {
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
        let early = frames.iter().filter(of_it).filter(early).count();
        if claimed.is_none_or(|claimed| claimed - woken > READMITTED_AT_ONCE) {
            waiting += 1;
            old_claims += early;
        } else {
            before_claim += early;
        }
        let after = claimed.map_or(AFTER, |claimed| claimed - woken);
        back.add(after);
        eprintln!("wake {victim}: claims after {} ms, {early} answers before", millis(after));
        tell(scene, &frames, address, woken);
        Ok(())
    })?;
    let further = json!({"trials": waiting, "readmitted_at_once": trials - waiting,
        "answers_of_those_before_their_claim": before_claim, "first_claim_ms": back.at(0.0)});
    print_count("failover/wake/answers-with-an-old-claim", old_claims, 0, &further);
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

/// Asks for an address again and again while something happens.
fn asking(scene: &Scene, address: Ipv4Addr, act: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let station = scene.station_of("client")?;
    let frame = question(station, address);
    let wire = &scene.wire;
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| -> std::io::Result<()> {
            let mut next = Instant::now();
            while !ends.load(Ordering::Relaxed) {
                wire.send(&frame)?;
                next += EVERY;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            Ok(())
        });
        let acted = act();
        ends.store(true, Ordering::Relaxed);
        asking.join().map_err(|_| anyhow::anyhow!("the one who asks panicked"))??;
        acted
    })
}
