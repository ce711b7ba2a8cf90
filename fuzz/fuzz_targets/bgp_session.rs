//! Whatever connections do and bytes come: nothing is sent to a connection that is not there, nothing piles up, and time is always waited for.
#![no_main]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use protocol::bgp::prefix::Prefix;
use protocol::bgp::route::{Policy, Routes};
use protocol::bgp::session::{
    Addresses, ConnectionId, Ends, Input, LostBy, Origin, Output, RemoteAs, Restart, Session, Settings, Stop,
};
use protocol::bgp::{Capability, Family, Open, write};

/// What may wait to leave: the session stops asking for routes at a quarter of it.
const PENDING_BYTES: usize = 1 << 20;

fuzz_target!(|steps: Vec<(u16, u8, Vec<u8>)>| {
    let mut now = Instant::now();
    let mut driver = Driver { session: Session::new(settings(), 7, now), connections: BTreeMap::new(), theirs: 0 };
    driver.drain();
    for (pause_millis, what, bytes) in steps {
        now += Duration::from_millis(u64::from(pause_millis) * 4);
        driver.session.handle_timeout(now);
        driver.drain();
        driver.step(what, &bytes, now);
        driver.drain();
        // A deadline that has passed is one that a call takes away.
        let mut calls = 0;
        while driver.session.deadline().is_some_and(|deadline| deadline <= now) {
            driver.session.handle_timeout(now);
            driver.drain();
            calls += 1;
            assert!(calls < 10, "time does not pass");
        }
    }
});

struct Driver {
    session: Session,
    /// Whether it has come about, and how many bytes wait.
    connections: BTreeMap<ConnectionId, (bool, usize)>,
    theirs: u32,
}

impl Driver {
    fn drain(&mut self) {
        let mut outputs = 0;
        while let Some(output) = self.session.poll() {
            outputs += 1;
            assert!(outputs < 1000, "it does not end");
            match output {
                Output::Connect { connection } => {
                    assert_eq!(connection.origin, Origin::Ours);
                    assert!(self.connections.insert(connection, (false, 0)).is_none());
                }
                Output::Send { connection, bytes } => {
                    let (is_open, pending) = self.connections.get_mut(&connection).expect("nothing after the end");
                    assert!(*is_open && bytes.len() >= 19);
                    *pending += bytes.len();
                    assert!(*pending < PENDING_BYTES);
                }
                Output::Close { connection } => {
                    self.connections.remove(&connection).expect("one that was there");
                }
                Output::Event(event) => assert!(!format!("{event:?}").is_empty()),
            }
        }
        assert!(!format!("{:?}", self.session.state()).is_empty());
    }

    fn step(&mut self, what: u8, bytes: &[u8], now: Instant) {
        let some = usize::from(what >> 4);
        let chosen = |is_wanted: bool, all: &BTreeMap<ConnectionId, (bool, usize)>| {
            let wanted: Vec<_> = all.iter().filter(|(_, (is_open, _))| *is_open == is_wanted).map(|(id, _)| *id).collect();
            (!wanted.is_empty()).then(|| wanted[some % wanted.len()])
        };
        let open = chosen(true, &self.connections);
        let received = |body: Vec<u8>, session: &mut Session| {
            if let Some(connection) = open {
                session.handle(Input::Received { connection, bytes: &body }, now);
            }
        };
        match what % 16 {
            0 => {
                if self.theirs < 100 {
                    self.theirs += 1;
                    let connection = ConnectionId { origin: Origin::Theirs, number: self.theirs };
                    self.connections.insert(connection, (true, 0));
                    self.session.handle(Input::Connected { connection, ends: ends() }, now);
                }
            }
            1 | 2 => {
                if let Some(connection) = chosen(false, &self.connections) {
                    self.connections.insert(connection, (true, 0));
                    self.session.handle(Input::Connected { connection, ends: ends() }, now);
                }
            }
            3 => {
                if let Some(connection) = chosen(false, &self.connections) {
                    self.connections.remove(&connection);
                    self.session.handle(Input::Failed { connection, why: "refused".into() }, now);
                }
            }
            4 => received(bytes.to_vec(), &mut self.session),
            5 | 6 => received(write::open(&open_of(some)), &mut self.session),
            7 | 8 => received(write::keep_alive(), &mut self.session),
            9 | 10 => received(framed(2 + some as u8 % 4, bytes), &mut self.session),
            11 => {
                if let Some(connection) = open {
                    self.connections.remove(&connection);
                    self.session.handle(Input::Closed { connection, why: "reset".into() }, now);
                }
            }
            12 | 13 => {
                if let Some(connection) = open {
                    let pending = &mut self.connections.get_mut(&connection).expect("it is open").1;
                    let written = (*pending).min(1 + usize::from(bytes.first().copied().unwrap_or(255)) * 64);
                    *pending -= written;
                    self.session.handle(Input::Written { connection, bytes: written }, now);
                }
            }
            14 => self.session.handle(Input::Routes(routes(bytes)), now),
            _ => self.session.handle(command(some, bytes), now),
        }
    }
}

fn command(which: usize, bytes: &[u8]) -> Input<'static> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let changed = Settings { hold_secs: 3 + u16::from(bytes.first().copied().unwrap_or(0)), ..settings() };
    match which % 10 {
        0 => Input::Start,
        1 => Input::Stop(Stop::AdministrativeShutdown { text }),
        2 => Input::Stop(Stop::GoingAway { text }),
        3 => Input::Stop(Stop::Restarting),
        4 => Input::Stop(Stop::Deconfigured),
        5 => Input::Reset { text },
        6 => Input::Lost { by: LostBy::Bfd },
        7 => Input::Lost { by: LostBy::Transport },
        8 => Input::Addresses(Addresses { ipv4: Some(Ipv4Addr::new(192, 0, 2, 3)), ..Addresses::default() }),
        _ => Input::Settings(Box::new(changed)),
    }
}

fn settings() -> Settings {
    Settings {
        local_as: 64512,
        router_as: 64512,
        remote_as: RemoteAs::External,
        router_id: Ipv4Addr::new(192, 0, 2, 1),
        hold_secs: 9,
        keepalive_secs: 3,
        connect_retry: None,
        families: [Family::IPV4_UNICAST, Family::IPV6_UNICAST].into(),
        offers_extended_next_hop: true,
        graceful_restart: Some(Restart { secs: 120 }),
        has_restarted: false,
        role: None,
        is_passive: false,
        max_prefixes: Some(100),
        hostname: "node-a".into(),
    }
}

fn ends() -> Ends {
    Ends {
        local: ([192, 0, 2, 1], 40000).into(),
        remote: ([192, 0, 2, 2], 179).into(),
        addresses: Addresses {
            ipv4: Some(Ipv4Addr::new(192, 0, 2, 1)),
            ipv6: Some("2001:db8::1".parse().expect("an address")),
            link_local: None,
        },
    }
}

/// Most can become a session, some cannot.
fn open_of(which: usize) -> Open {
    let mut capabilities = vec![
        Capability::FourOctetAs(if which == 15 { 64512 } else { 65001 }),
        Capability::Multiprotocol(Family::IPV4_UNICAST),
        Capability::RouteRefresh,
        Capability::EnhancedRouteRefresh,
    ];
    if which & 1 != 0 {
        capabilities.push(Capability::Multiprotocol(Family::IPV6_UNICAST));
    }
    if which & 2 != 0 {
        capabilities.push(Capability::ExtendedMessage);
    }
    Open {
        autonomous_system: if which == 15 { 64512 } else { 65001 },
        hold_secs: if which & 4 != 0 { 0 } else { 9 },
        router_id: Ipv4Addr::new(192, 0, if which & 8 != 0 { 1 } else { 3 }, 1),
        capabilities,
    }
}

fn routes(bytes: &[u8]) -> Arc<Routes> {
    let policies = [0, 1, 2].map(|med| Arc::new(Policy { med: Some(med), ..Policy::default() }));
    let route = |byte: &u8| {
        let prefix = Prefix::new([203, 0, 113, *byte].into(), 32).expect("a length of IPv4");
        (prefix, Arc::clone(&policies[usize::from(*byte) % 3]))
    };
    Arc::new(Routes::new(bytes.iter().map(route).collect()))
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let body = &body[..body.len().min(4000)];
    let mut bytes = vec![0xff; 16];
    bytes.extend_from_slice(&(body.len() as u16 + 19).to_be_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(body);
    bytes
}
