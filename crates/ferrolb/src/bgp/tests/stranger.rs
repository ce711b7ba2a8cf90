//! A neighbour that is made by hand, and says what it likes; and sessions beside it that must not notice.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use protocol::bgp::capability::{Capability, Family};
use protocol::bgp::{EXTENDED_MESSAGE_BYTES, Kind, Open, frame, write};

use super::*;

/// Strangers' own.
const HOME: &str = "127.0.6.1";
pub(super) const THEIR_AS: u32 = 64700;
/// Routes, and communities of each.
pub(super) const WORDY: u32 = 20_000;
const WORDS: u32 = 200;

/// One connection.
pub(super) struct Stranger {
    pub(super) stream: TcpStream,
    unread: Vec<u8>,
}

pub(super) fn open() -> Open {
    Open {
        autonomous_system: THEIR_AS,
        hold_secs: 90,
        router_id: Ipv4Addr::new(192, 0, 2, 66),
        capabilities: vec![
            Capability::Multiprotocol(Family::IPV4_UNICAST),
            Capability::RouteRefresh,
            Capability::FourOctetAs(THEIR_AS),
        ],
    }
}

impl Stranger {
    pub(super) fn new(stream: TcpStream) -> Stranger {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Stranger { stream, unread: Vec::new() }
    }

    /// If the other side still listens.
    pub(super) fn say(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next message, until the connection ends.
    pub(super) fn hear(&mut self) -> Option<(Kind, Vec<u8>)> {
        loop {
            if let Some(frame) = frame(&self.unread, EXTENDED_MESSAGE_BYTES).unwrap() {
                let heard = (frame.kind, frame.body.to_vec());
                self.unread.drain(..frame.bytes);
                return Some(heard);
            }
            let mut buffer = [0; 1 << 16];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The codes of the one that the connection ends with, if it does.
    pub(super) fn hear_notification(&mut self) -> Option<(u8, u8)> {
        loop {
            let (kind, body) = self.hear()?;
            if kind == Kind::Notification {
                return Some((body[0], body[1]));
            }
        }
    }

    /// As far as a session.
    pub(super) fn greet(&mut self) -> bool {
        let said = self.say(&write::open(&open())) && self.say(&write::keep_alive());
        said && self.hear().is_some() && self.hear().is_some()
    }
}

/// Each with much to be said of it that is said of no other: more than the buffers of two systems hold.
pub(super) fn wordy_routes() -> Option<Arc<Routes>> {
    let wordy = |number: u32| {
        let communities = (number..number + WORDS).collect();
        let prefix = Prefix::new(Ipv4Addr::from_bits(0xc612_0000 + number).into(), 32).unwrap();
        (prefix, Arc::new(Policy { communities, ..Policy::default() }))
    };
    Some(Arc::new(Routes::new((0..WORDY).map(wordy).collect())))
}

/// A session that lives by the second, and its side that connects has others to talk to as well.
pub(super) struct Scene {
    pub(super) pair: Pair,
    pub(super) others: Vec<Neighbour>,
}

impl Scene {
    /// The side that has to do with others can be connected to as well.
    pub(super) fn new() -> Scene {
        let mut pair = Pair::new();
        let (here, port) = (pair.of_active.source.unwrap(), pair.of_active.port);
        let options = Options { node: "here".to_owned(), listen: vec![SocketAddr::new(here, port)] };
        pair.active = start(options).unwrap();
        for side in [&mut pair.of_active, &mut pair.of_passive] {
            (side.settings.hold_secs, side.settings.keepalive_secs) = (3, 1);
        }
        Scene { pair, others: Vec::new() }
    }

    /// Somebody to be connected to.
    pub(super) fn add(&mut self, name: &str) -> (TcpListener, &mut Neighbour) {
        let listener = TcpListener::bind((HOME, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let settings = Settings { hold_secs: 90, connect_retry: None, ..settings(64500, THEIR_AS) };
        let own = self.pair.of_active.source.unwrap();
        self.others.push(neighbour(name, own, HOME.parse().unwrap(), port, settings));
        (listener, self.others.last_mut().unwrap())
    }

    pub(super) fn set(&self) {
        let mut all = self.others.clone();
        all.push(self.pair.of_active.clone());
        self.pair.active.set(all);
        self.pair.passive.set(vec![self.pair.of_passive.clone()]);
    }

    pub(super) fn wait_until_up(&self) {
        eventually("the session beside is up", || self.good().state.phase == Phase::Established);
    }

    pub(super) fn good(&self) -> PeerView {
        view_of(&self.pair.active, &self.pair.of_active.name)
    }

    /// The first session is still there.
    pub(super) fn assert_undisturbed(&self) {
        for state in [self.good().state, view(&self.pair.passive).state] {
            assert_eq!((state.phase, state.established, state.lost), (Phase::Established, 1, 0));
        }
    }

    /// From the change of a route until the neighbour has it.
    pub(super) fn time_of_change(&mut self) -> Duration {
        let heard = |scene: &Scene| view(&scene.pair.passive).state.received.updates;
        let before = heard(self);
        let count = self.pair.of_active.routes.as_ref().unwrap().len() as u32;
        self.pair.of_active.routes = routes(count % 7 + 1);
        let begin = Instant::now();
        self.set();
        eventually("the route is heard", || heard(self) > before);
        begin.elapsed()
    }
}
