//! Many routes at once, from the moment in which a session has come about: our engine beside BIRD, FRR and GoBGP, told to
//! ears, which cost next to nothing, and to BIRD.
//!
//! BIRD has the routes by itself; FRR and GoBGP pass on what they were told before, which is the fastest way to give them
//! some.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ferrolb::bgp::Bgp;
use ferrolb::lab::routers::{Configuration, Kind, Neighbour, RemoteAsn, Router};
use ferrolb::lab::{Forwarder, Lab, Options};
use serde_json::json;

use super::ear::{ASN, DEADLINE, Ear, PORT};
use super::engine::{self, OWN_ASN, prefix};
use super::figures::{Times, print};

const SENDER: Ipv4Addr = Ipv4Addr::new(10, 10, 0, 1);
/// Tells the routes to whoever passes them on.
const FEEDER: &str = "node-5";
const FEEDER_ASN: u32 = 64_700;
/// How many routes to how many peers, and what has a target for our engine.
const SIZES: [(usize, u8, f64); 2] = [(10_000, 4, 100.0), (100_000, 1, 500.0)];
/// FRR and GoBGP are to be slower by this.
const LEAST_TIMES: f64 = 3.0;
const CHECK: Duration = Duration::from_millis(2);
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receiver {
    Ear,
    Bird,
}

/// Whoever tells the routes, and what it needs.
enum Sender {
    Ours(Bgp),
    Other { _router: Box<Router>, _feeder: Option<Bgp> },
}

pub(crate) fn run(trials: usize) -> anyhow::Result<()> {
    let name = format!("bench-bgp-{}", std::process::id());
    let lab =
        Lab::up(Options { nodes: 5, has_speakers: false, forwarder: Forwarder::None, ..Options::new(name) })?;
    for (count, peers, limit) in SIZES {
        for receiver in [Receiver::Ear, Receiver::Bird] {
            let mut ours = None;
            for sender in [None, Some(Kind::Bird), Some(Kind::Frr), Some(Kind::GoBgp)] {
                let kinds = sender.into_iter().chain((receiver == Receiver::Bird).then_some(Kind::Bird));
                if let Some(missing) = kinds.map(Kind::can_run).find_map(Result::err) {
                    eprintln!("skipped: {missing}");
                    continue;
                }
                // Those that pass routes on take long to be ready, and their times differ little.
                let trials =
                    if matches!(sender, Some(Kind::Frr | Kind::GoBgp)) { trials.min(3) } else { trials };
                let mut times = Times::default();
                for _ in 0..trials {
                    times.add(trial(&lab, sender, receiver, count, peers)?);
                }
                if !times.is_empty() {
                    report((count, peers, limit), receiver, (sender, trials), &times, &mut ours);
                }
            }
        }
    }
    Ok(())
}

fn report(
    (count, peers, limit): (usize, u8, f64),
    receiver: Receiver,
    (sender, trials): (Option<Kind>, usize),
    times: &Times,
    ours: &mut Option<f64>,
) {
    let name = |kind: Kind| format!("{kind:?}").to_lowercase();
    let to = if receiver == Receiver::Ear { "ear" } else { "bird" };
    let who = sender.map_or_else(|| "ferrolb".to_owned(), name);
    let bench = format!("bgp/{count}x{peers}-to-{to}/{who}");
    let median = times.at(0.5);
    let mut figure = json!({"bench": bench, "milliseconds": median, "most": times.at(1.0), "trials": trials});
    if sender.is_none() && receiver == Receiver::Ear {
        figure["limit_milliseconds"] = limit.into();
    }
    print(figure, &json!({}));
    let ours = *ours.get_or_insert(median);
    let slower = (median / ours.max(0.01) * 100.0).round() / 100.0;
    let least = match sender {
        None => return,
        Some(Kind::Bird) => 1.0,
        Some(_) => LEAST_TIMES,
    };
    print(
        json!({"bench": format!("{bench}/slower-than-ours"), "times": slower, "least_times": least}),
        &json!({}),
    );
}

/// From the session to the last route, of the peer that took longest.
fn trial(
    lab: &Lab,
    sender: Option<Kind>,
    receiver: Receiver,
    count: usize,
    peers: u8,
) -> anyhow::Result<Duration> {
    let addresses: Vec<Ipv4Addr> = (1..=peers).map(|node| Ipv4Addr::new(10, 10, 0, 10 + node)).collect();
    let sender = match sender {
        None => Sender::Ours(lab.inside("router", || engine::start(Vec::new()))?),
        Some(kind) => other(lab, kind, &addresses, count)?,
    };
    let routes = engine::routes(count);
    let begin = |sender: &Sender| {
        if let Sender::Ours(bgp) = sender {
            bgp.set(engine::neighbours(&addresses, &routes));
        }
    };
    let mut longest = Duration::ZERO;
    match receiver {
        Receiver::Ear => {
            let mut ears = Vec::new();
            for (node, address) in (1..).zip(&addresses) {
                let at = SocketAddr::new((*address).into(), PORT);
                ears.push(Ear::hear(lab.inside(&format!("node-{node}"), || TcpListener::bind(at))?)?);
            }
            begin(&sender);
            for ear in &ears {
                let (up, last) = ear.all(count)?;
                longest = longest.max(last.saturating_duration_since(up));
            }
        }
        Receiver::Bird => {
            let mut birds = Vec::new();
            for (node, address) in (1..).zip(&addresses) {
                birds.push(bird(lab, node, *address)?);
            }
            begin(&sender);
            for bird in &birds {
                bird.ask(&format!("enable {}", protocol()))?;
            }
            // BIRD's own clock says when each began and ended; the later ones may have ended long before they are asked.
            let mut left: Vec<_> = birds.iter().collect();
            let until = Instant::now() + DEADLINE;
            while !left.is_empty() {
                ensure!(Instant::now() < until, "BIRD does not get all {count} routes");
                let mut still = Vec::new();
                for bird in left {
                    match took(bird, count)? {
                        Some(time) => longest = longest.max(time),
                        None => still.push(bird),
                    }
                }
                left = still;
                std::thread::sleep(CHECK);
            }
        }
    }
    Ok(longest)
}

/// One that has all routes before anybody has a session with it.
fn other(lab: &Lab, kind: Kind, addresses: &[Ipv4Addr], count: usize) -> anyhow::Result<Sender> {
    let feeder = Ipv4Addr::new(10, 10, 0, 15);
    let mut neighbours: Vec<Neighbour> =
        addresses.iter().map(|at| Neighbour::new((*at).into(), RemoteAsn::Is(ASN))).collect();
    let is_fed = kind != Kind::Bird;
    if is_fed {
        let further = Neighbour::new(feeder.into(), RemoteAsn::Is(FEEDER_ASN));
        neighbours.push(Neighbour { is_passive: true, ..further });
    }
    let mut configuration = Configuration::new(OWN_ASN, SENDER, neighbours);
    configuration.further = match kind {
        Kind::Bird => {
            let routes: String = (0..count).map(|it| format!("route {} blackhole;", prefix(it))).collect();
            vec![format!("protocol static many {{ ipv4; {routes} }}")]
        }
        // A map that there is not lets none through to the kernel, which is not what is measured.
        Kind::Frr => vec!["table-map none".to_owned()],
        _ => Vec::new(),
    };
    let router = lab.start_router("router", kind, configuration)?;
    if !is_fed {
        return Ok(Sender::Other { _router: Box::new(router), _feeder: None });
    }
    let bgp = lab.inside(FEEDER, || engine::start(Vec::new()))?;
    let mut told = engine::neighbour(SENDER, OWN_ASN, &engine::routes(count));
    (told.settings.local_as, told.settings.router_as) = (FEEDER_ASN, FEEDER_ASN);
    bgp.set(vec![told]);
    let until = Instant::now() + DEADLINE;
    while router.neighbour(&feeder.to_string())?.prefixes < count as u64 {
        ensure!(Instant::now() < until, "{kind:?} does not get all {count} routes");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(Sender::Other { _router: Box::new(router), _feeder: Some(bgp) })
}

/// One that waits to be told to begin, and leaves its kernel alone.
fn bird(lab: &Lab, node: usize, address: Ipv4Addr) -> anyhow::Result<Router> {
    let neighbour = Neighbour::new(SENDER.into(), RemoteAsn::Is(OWN_ASN));
    let neighbour = Neighbour { further: vec!["disabled".to_owned()], ..neighbour };
    let router = lab.start_router(
        &format!("node-{node}"),
        Kind::Bird,
        Configuration::new(ASN, address, vec![neighbour]),
    )?;
    router.ask("disable kernel_ipv4")?;
    Ok(router)
}

fn protocol() -> String {
    format!("n_{}", SENDER.to_string().replace('.', "_"))
}

/// If it has all of them: since when it has had the session.
fn took(bird: &Router, count: usize) -> anyhow::Result<Option<Duration>> {
    let state = bird.neighbour(&SENDER.to_string())?;
    if !state.is_established || state.prefixes < count as u64 {
        return Ok(None);
    }
    let status = bird.ask("show status")?;
    let now = status.lines().find(|line| line.contains("Current server time")).context("BIRD's clock")?;
    let shown = bird.ask(&format!("show protocols {}", protocol()))?;
    let line = shown.lines().find(|line| line.starts_with(&protocol())).context("BIRD's protocol")?;
    let passed = clock(now)? - clock(line)?;
    Ok(Some(Duration::from_millis(passed.rem_euclid(DAY_MILLIS).unsigned_abs())))
}

/// The first time of day in a line, with milliseconds.
fn clock(line: &str) -> anyhow::Result<i64> {
    let word =
        line.split_whitespace().find(|word| word.matches(':').count() == 2).context(line.to_owned())?;
    let (whole, millis) = word.split_once('.').unwrap_or((word, "0"));
    let parts = whole.split(':').map(str::parse::<i64>).collect::<Result<Vec<_>, _>>()?;
    let secs = parts.iter().fold(0, |secs, part| secs * 60 + part);
    Ok(secs * 1000 + millis.parse::<i64>()?)
}
