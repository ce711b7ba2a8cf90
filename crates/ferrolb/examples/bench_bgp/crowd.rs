//! Many peers, and one that behaves badly beside others.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrolb::bgp::{Bgp, Neighbour};
use protocol::bgp::route::Routes;
use serde_json::json;

use super::ear::{ASN, Ear, PORT};
use super::engine::{self, neighbours, prefix};
use super::figures::{Times, millis, print, print_count};
use super::villain::{Manner, Villain};

const PEERS: u8 = 200;
const OF_MANY: usize = 1000;
const BESIDE: usize = 10_000;
const OF_DEAF: usize = 1_000_000;
const CHANGES: usize = 200;
const LIMIT: f64 = 5.0;
const IDLE: Duration = Duration::from_secs(10);
/// Before the others are looked at, the bad one shows what it can do.
const WARM_UP: Duration = Duration::from_secs(2);

/// 200 on one engine: until all are up and have heard all, and what they cost when nothing happens.
pub(crate) fn many() -> anyhow::Result<()> {
    let addresses: Vec<Ipv4Addr> = (1..=PEERS).map(|last| Ipv4Addr::new(10, 255, 200, last)).collect();
    let ears = addresses.iter().map(|at| Ear::open(*at)).collect::<Result<Vec<_>, _>>()?;
    let (few, more) = (engine::routes(OF_MANY), engine::routes(OF_MANY + 1));
    let bgp = engine::start(Vec::new())?;
    let begin = Instant::now();
    bgp.set(neighbours(&addresses, &few));
    let mut last = begin;
    for ear in &ears {
        last = last.max(ear.all(OF_MANY)?.1);
    }
    let spent = engine::processor_seconds()?;
    let figure = json!({"bench": format!("bgp/{PEERS}-peers/all-told"), "milliseconds": millis(last - begin),
        "routes": OF_MANY, "processor_milliseconds": millis(Duration::from_secs_f64(spent))});
    print(figure, &json!({}));
    let mut times = Times::default();
    for change in 0..CHANGES {
        times.add(change_and_hear(&bgp, &addresses, &ears, (&few, &more), change % 2 == 0, &[])?);
    }
    times.print(&format!("bgp/{PEERS}-peers/change"), 50.0, &json!({"to": "the last of them"}));
    let before = engine::processor_seconds()?;
    std::thread::sleep(IDLE);
    let percent = (engine::processor_seconds()? - before) / IDLE.as_secs_f64() * 100.0;
    let percent = (percent * 100.0).round() / 100.0;
    print(
        json!({"bench": format!("bgp/{PEERS}-peers/idle"), "percent": percent, "limit_percent": 1.0}),
        &json!({}),
    );
    let lost = ears.iter().map(|ear| ear.sessions() - 1).sum();
    print_count(&format!("bgp/{PEERS}-peers/sessions-lost"), lost, 0, &json!({}));
    Ok(())
}

/// What others notice of one that behaves badly.
pub(crate) fn villains() -> anyhow::Result<()> {
    // Before and after, since the machine may have other things to do meanwhile.
    let (mut alone, _) = beside(None)?;
    let beside_them: Vec<_> = Manner::ALL
        .into_iter()
        .map(|manner| Ok((manner, beside(Some(manner))?)))
        .collect::<anyhow::Result<_>>()?;
    alone.extend(&beside(None)?.0);
    for (manner, (times, lost)) in beside_them {
        let name = format!("bgp/beside-{}", manner.name());
        let further = json!({"median_alone": alone.at(0.5), "p99_alone": alone.at(0.99)});
        times.print(&name, LIMIT, &further);
        print_count(&format!("{name}/sessions-lost"), lost, 0, &json!({}));
    }
    Ok(())
}

/// How long changes take to two others that have 10,000 routes, and how often these lose their sessions.
fn beside(manner: Option<Manner>) -> anyhow::Result<(Times, usize)> {
    let victim = Ipv4Addr::new(10, 255, 3, 1);
    let addresses = [Ipv4Addr::new(10, 255, 3, 2), Ipv4Addr::new(10, 255, 3, 3)];
    let ears = addresses.iter().map(|at| Ear::open(*at)).collect::<Result<Vec<_>, _>>()?;
    let (few, more) = (engine::routes(BESIDE), engine::routes(BESIDE + 1));
    let bgp = engine::start(vec![SocketAddr::new(victim.into(), PORT)])?;
    let at = Ipv4Addr::new(10, 255, 3, 66);
    let mut bad = Vec::new();
    if let Some(manner) = manner {
        // What is not read must be more than fits into any buffer of the kernel.
        let own = if matches!(manner, Manner::Deaf) { engine::routes(OF_DEAF) } else { Arc::clone(&few) };
        let mut neighbour = engine::neighbour(at, ASN, &own);
        neighbour.settings.is_passive = true;
        bad.push(neighbour);
        bgp.set([neighbours(&addresses, &few), bad.clone()].concat());
        for ear in &ears {
            ear.all(BESIDE)?;
        }
        let villain = Villain::start(manner, at, victim);
        std::thread::sleep(WARM_UP);
        let outcome = changes(&bgp, &addresses, &ears, (&few, &more), &bad);
        eprintln!("{}: {} sessions", manner.name(), villain.sessions());
        return outcome;
    }
    bgp.set(neighbours(&addresses, &few));
    for ear in &ears {
        ear.all(BESIDE)?;
    }
    changes(&bgp, &addresses, &ears, (&few, &more), &bad)
}

fn changes(
    bgp: &Bgp,
    addresses: &[Ipv4Addr],
    ears: &[Ear],
    routes: (&Arc<Routes>, &Arc<Routes>),
    further: &[Neighbour],
) -> anyhow::Result<(Times, usize)> {
    let mut times = Times::default();
    for change in 0..CHANGES {
        times.add(change_and_hear(bgp, addresses, ears, routes, change % 2 == 0, further)?);
        // The bad one has its turns between those of the others.
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok((times, ears.iter().map(|ear| ear.sessions() - 1).sum()))
}

/// Until the last one has heard of the route that comes or goes.
fn change_and_hear(
    bgp: &Bgp,
    addresses: &[Ipv4Addr],
    ears: &[Ear],
    (few, more): (&Arc<Routes>, &Arc<Routes>),
    comes: bool,
    further: &[Neighbour],
) -> anyhow::Result<Duration> {
    let routes = if comes { more } else { few };
    let mut all = neighbours(addresses, routes);
    all.extend_from_slice(further);
    let (begin, which) = (Instant::now(), prefix(few.len()));
    bgp.set(all);
    let mut last = begin;
    for ear in ears {
        last = last.max(ear.turned(which, comes)?);
    }
    Ok(last - begin)
}
