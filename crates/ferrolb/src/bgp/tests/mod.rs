//! Two engines on the loopback interface, each with an address of its own there; and others beside them.

mod changes;
mod hostile;
mod idle;
mod refusals;
mod stranger;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use protocol::bgp::capability::Family;
use protocol::bgp::prefix::Prefix;
use protocol::bgp::route::Policy;
use protocol::bgp::session::{Phase, RemoteAs};

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);
const CHECK: Duration = Duration::from_millis(5);

/// Of a test's own: tests run beside each other, and more than once.
fn addresses() -> (IpAddr, IpAddr, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    ("127.0.5.1".parse().unwrap(), "127.0.5.2".parse().unwrap(), port)
}

fn settings(local_as: u32, remote_as: u32) -> Settings {
    Settings {
        local_as,
        router_as: local_as,
        remote_as: RemoteAs::Number(remote_as),
        router_id: Ipv4Addr::UNSPECIFIED,
        hold_secs: 9,
        keepalive_secs: 3,
        connect_retry: Some(Duration::from_millis(200)),
        families: [Family::IPV4_UNICAST].into(),
        offers_extended_next_hop: false,
        graceful_restart: None,
        has_restarted: false,
        role: None,
        is_passive: false,
        max_prefixes: None,
        hostname: String::new(),
    }
}

fn neighbour(name: &str, own: IpAddr, other: IpAddr, port: u16, settings: Settings) -> Neighbour {
    Neighbour {
        name: name.into(),
        endpoint: Endpoint::Address(other),
        port,
        source: Some(own),
        vrf: String::new(),
        distance: Distance::Any,
        security: Security::Md5(Password::default()),
        dscp: 48,
        obstacle: None,
        router_id: None,
        settings,
        routes: Some(Arc::default()),
    }
}

/// One that connects, and one that waits to be connected to.
struct Pair {
    active: Bgp,
    passive: Bgp,
    of_active: Neighbour,
    of_passive: Neighbour,
}

impl Pair {
    fn new() -> Pair {
        let (here, there, port) = addresses();
        let options = |node: &str, listen| Options { node: node.to_owned(), listen };
        let of_active = neighbour("router", here, there, port, settings(64500, 64600));
        let is_passive = Settings { is_passive: true, ..settings(64600, 64500) };
        Pair {
            active: start(options("here", Vec::new())).unwrap(),
            passive: start(options("there", vec![SocketAddr::new(there, port)])).unwrap(),
            of_active,
            of_passive: neighbour("node", there, here, port, is_passive),
        }
    }

    /// Tells both what they are to do.
    fn set(&self) {
        self.active.set(vec![self.of_active.clone()]);
        self.passive.set(vec![self.of_passive.clone()]);
    }

    fn wait_until_up(&self) {
        eventually("both are up", || {
            [&self.active, &self.passive].iter().all(|it| phase(it) == Phase::Established)
        });
    }
}

fn view(engine: &Bgp) -> PeerView {
    let mut views = engine.seen().peers(None, true).unwrap();
    assert_eq!(views.len(), 1);
    views.remove(0)
}

fn view_of(engine: &Bgp, name: &str) -> PeerView {
    let mut views = engine.seen().peers(Some(name), false).unwrap();
    assert_eq!(views.len(), 1, "{name}");
    views.remove(0)
}

fn phase(engine: &Bgp) -> Phase {
    view(engine).state.phase
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < until, "not within {} s: {what}", DEADLINE.as_secs());
        std::thread::sleep(CHECK);
    }
}

fn routes(count: u32) -> Option<Arc<Routes>> {
    let policy = Arc::new(Policy::default());
    let prefix = |number: u32| Prefix::new(Ipv4Addr::from_bits(0xc612_0000 + number).into(), 32).unwrap();
    Some(Arc::new(Routes::new((0..count).map(|number| (prefix(number), Arc::clone(&policy))).collect())))
}

#[test]
fn sessions_come_up_and_routes_are_told_and_taken_back() {
    let mut pair = Pair::new();
    pair.of_active.routes = routes(3000);
    pair.set();
    pair.wait_until_up();
    eventually("all are told", || view(&pair.active).state.told == 3000);
    let seen = view(&pair.active);
    assert_eq!(seen.told.len(), 3000);
    assert_eq!(seen.told[0].outgoing.as_path, [64500]);
    assert_eq!(seen.state.remote.as_ref().unwrap().autonomous_system, 64600);
    let updates = seen.state.sent.updates;
    assert!(updates < 10, "packed: {updates}");
    eventually("the other one has them", || view(&pair.passive).state.received.updates >= updates);
    pair.of_active.routes = routes(1);
    pair.set();
    eventually("they are taken back", || view(&pair.active).state.told == 1);
    assert_eq!((phase(&pair.active), view(&pair.active).state.lost), (Phase::Established, 0));
    let json = view(&pair.active).json(true);
    assert_eq!(
        (&json["state"], &json["routes"][0]["prefix"]),
        (&"Established".into(), &"198.18.0.0/32".into())
    );
    pair.active.end(Stop::AdministrativeShutdown { text: "maintenance".to_owned() });
    eventually("the other one is told why", || {
        let error = view(&pair.passive).state.last_error;
        error.is_some_and(|error| error.to_string().contains("maintenance"))
    });
}

#[test]
fn segments_are_signed_and_the_key_can_change_under_a_session() {
    let mut pair = Pair::new();
    pair.of_active.security = Security::Md5(Password("first".to_owned()));
    pair.of_passive.security = Security::Md5(Password("other".to_owned()));
    pair.set();
    eventually("it is tried", || view(&pair.active).state.phase == Phase::Connect);
    assert_ne!(phase(&pair.active), Phase::Established);
    pair.of_passive.security = Security::Md5(Password("first".to_owned()));
    pair.set();
    pair.wait_until_up();
    for engine in [&mut pair.of_active, &mut pair.of_passive] {
        engine.security = Security::Md5(Password("second".to_owned()));
        engine.routes = routes(7);
    }
    pair.set();
    eventually("what is told is heard", || {
        [&pair.active, &pair.passive]
            .iter()
            .all(|it| view(it).state.told == 7 && view(it).state.received.updates > 1)
    });
    assert_eq!(view(&pair.active).state.lost + view(&pair.passive).state.lost, 0);
}

#[test]
fn who_is_nobodys_peer_is_refused_and_who_is_of_a_range_is_not() {
    let mut pair = Pair::new();
    pair.passive.set(Vec::new());
    pair.active.set(vec![pair.of_active.clone()]);
    eventually("it is refused", || {
        let error = view(&pair.active).state.last_error;
        error.is_some_and(|error| error.to_string().contains("Connection Rejected"))
    });
    pair.of_passive.endpoint = Endpoint::Range("127.0.5.0/24".parse().unwrap());
    pair.set();
    pair.wait_until_up();
    assert_eq!(&*view(&pair.passive).neighbour.name, "node/127.0.5.1");
    pair.passive.set(Vec::new());
    eventually("without its range it is nobody's again", || {
        pair.passive.seen().peers(None, false).unwrap().is_empty()
    });
}

#[test]
fn what_does_not_concern_a_session_leaves_it_alone() {
    let mut pair = Pair::new();
    pair.set();
    pair.wait_until_up();
    // One that is never reached, and one that has no such source.
    let nobody = neighbour(
        "nobody",
        "127.0.5.1".parse().unwrap(),
        "127.0.5.9".parse().unwrap(),
        9,
        settings(64500, 1),
    );
    let elsewhere =
        Neighbour { name: "elsewhere".into(), source: Some("192.0.2.77".parse().unwrap()), ..nobody.clone() };
    pair.of_active.settings.connect_retry = Some(Duration::from_secs(7));
    pair.of_active.dscp = 0;
    pair.active.set(vec![pair.of_active.clone(), nobody, elsewhere]);
    eventually("it is said what is wrong", || {
        let views = pair.active.seen().peers(Some("elsewhere"), false).unwrap();
        views.iter().any(|view| view.problem().is_some_and(|why| why.contains("192.0.2.77")))
    });
    pair.active.set(vec![pair.of_active.clone()]);
    eventually("they are gone", || pair.active.seen().peers(None, false).unwrap().len() == 1);
    assert_eq!((phase(&pair.active), view(&pair.active).state.lost), (Phase::Established, 0));
    // What has to be agreed on anew is.
    pair.of_active.router_id = Some(Ipv4Addr::new(192, 0, 2, 1));
    pair.set();
    eventually("it is agreed on anew", || view(&pair.active).state.lost == 1);
    pair.wait_until_up();
}

#[test]
fn a_name_makes_a_router_id() {
    // The check value of CRC-32.
    assert_eq!(fallback_router_id("123456789"), Ipv4Addr::from(0xcbf4_3926_u32.to_le_bytes()));
}
