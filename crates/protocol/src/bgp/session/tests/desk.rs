//! One machine, whose neighbour is the test.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bgp::capability::{Capability, Family, GracefulRestart};
use crate::bgp::notification::Notification;
use crate::bgp::open::Open;
use crate::bgp::prefix::Prefix;
use crate::bgp::route::{Policy, Routes};
use crate::bgp::session::{
    Addresses, ConnectionId, Ends, Event, Input, Origin, Output, Phase, RemoteAs, Session, Settings,
};
use crate::bgp::update::Form;
use crate::bgp::{EXTENDED_MESSAGE_BYTES, Message, frame, write};

pub(super) const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const THEIRS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

pub(super) fn settings() -> Settings {
    Settings {
        local_as: 64512,
        router_as: 64512,
        remote_as: RemoteAs::Number(64513),
        router_id: OURS,
        hold_secs: 90,
        keepalive_secs: 30,
        connect_retry: None,
        families: [Family::IPV4_UNICAST, Family::IPV6_UNICAST].into(),
        offers_extended_next_hop: false,
        graceful_restart: None,
        has_restarted: false,
        role: None,
        is_passive: false,
        max_prefixes: None,
        hostname: String::new(),
    }
}

/// What the neighbour says.
pub(super) fn their_open() -> Open {
    Open {
        autonomous_system: 64513,
        hold_secs: 9,
        router_id: THEIRS,
        capabilities: vec![
            Capability::Multiprotocol(Family::IPV4_UNICAST),
            Capability::Multiprotocol(Family::IPV6_UNICAST),
            Capability::RouteRefresh,
            Capability::FourOctetAs(64513),
        ],
    }
}

pub(super) fn their_open_with(capability: Capability) -> Open {
    let mut open = their_open();
    open.capabilities.push(capability);
    open
}

pub(super) fn restart(after_notification: bool) -> Capability {
    Capability::GracefulRestart(GracefulRestart { after_notification, seconds: 60, ..Default::default() })
}

pub(super) fn ends() -> Ends {
    let address = |last: u8| (IpAddr::from([192, 0, 2, last]), 179).into();
    let addresses = Addresses { ipv6: "2001:db8::1".parse().ok(), ..Addresses::default() };
    Ends { local: address(1), remote: address(2), addresses }
}

pub(super) fn routes(count: u16) -> Arc<Routes> {
    let policy = Arc::new(Policy::default());
    let prefix = |number: u16| {
        let [high, low] = number.to_be_bytes();
        Prefix::new([10, 9, high, low].into(), 32).unwrap()
    };
    Arc::new(Routes::new((0..count).map(|number| (prefix(number), Arc::clone(&policy))).collect()))
}

/// One message, in a word or two.
pub(super) fn word(bytes: &[u8]) -> String {
    let form = Form {
        has_four_octets: true,
        families: [Family::IPV4_UNICAST, Family::IPV6_UNICAST].into(),
        ..Form::default()
    };
    match Message::read(frame(bytes, EXTENDED_MESSAGE_BYTES).unwrap().unwrap(), &form).unwrap() {
        Message::Open(_) => "open".to_owned(),
        Message::KeepAlive => "keepalive".to_owned(),
        Message::Notification(notification) => {
            let inner = notification.inner();
            let hard = if notification.is_hard_reset() { "hard " } else { "" };
            format!("{hard}{}/{}", inner.code, inner.subcode)
        }
        Message::Update(update) => match update.end_of {
            Some(family) => format!("end of {family}"),
            None => "update".to_owned(),
        },
        Message::RouteRefresh(_) => "refresh".to_owned(),
    }
}

/// Each message in what was sent.
pub(super) fn words(mut bytes: &[u8]) -> Vec<String> {
    let mut words = Vec::new();
    while let Some(frame) = frame(bytes, EXTENDED_MESSAGE_BYTES).unwrap() {
        words.push(word(&bytes[..frame.bytes]));
        bytes = &bytes[frame.bytes..];
    }
    assert!(bytes.is_empty());
    words
}

pub(super) struct Desk {
    pub(super) session: Session,
    pub(super) now: Instant,
    /// Of ours, the last.
    pub(super) connection: ConnectionId,
    their_last: u32,
    pub(super) events: Vec<Event>,
}

impl Desk {
    pub(super) fn new(settings: Settings) -> Desk {
        let start = Instant::now();
        Desk {
            session: Session::new(settings, 7, start),
            now: start,
            connection: ConnectionId { origin: Origin::Ours, number: 0 },
            their_last: 0,
            events: Vec::new(),
        }
    }

    /// As far as that, over a connection of ours.
    pub(super) fn at(settings: Settings, phase: Phase) -> Desk {
        let mut desk = Desk::new(settings);
        desk.session.handle(Input::Routes(routes(0)), desk.now);
        desk.reach(phase, &their_open());
        desk
    }

    pub(super) fn reach(&mut self, phase: Phase, open: &Open) {
        match phase {
            Phase::Idle => {
                let stop = super::super::Stop::Deconfigured;
                self.handle(Input::Stop(stop));
            }
            Phase::Active => {
                self.pass(Duration::ZERO);
                self.fail();
            }
            Phase::Connect => {
                let pause = self.pause().unwrap_or_default();
                self.pass(pause);
            }
            Phase::OpenSent => {
                self.reach(Phase::Connect, open);
                self.connect();
            }
            Phase::OpenConfirm => {
                self.reach(Phase::OpenSent, open);
                self.receive(&write::open(open));
            }
            Phase::Established => {
                self.reach(Phase::OpenConfirm, open);
                self.receive(&write::keep_alive());
            }
        }
        assert_eq!(self.phase(), phase);
    }

    pub(super) fn phase(&self) -> Phase {
        self.session.state().phase
    }

    /// Says what was sent for it, and `connect` and `close`.
    pub(super) fn handle(&mut self, input: Input<'_>) -> Vec<String> {
        self.session.handle(input, self.now);
        self.drain()
    }

    pub(super) fn drain(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(output) = self.session.poll() {
            match output {
                Output::Connect { connection } => {
                    self.connection = connection;
                    said.push("connect".to_owned());
                }
                Output::Send { connection, bytes } => {
                    said.extend(words(&bytes));
                    self.session.handle(Input::Written { connection, bytes: bytes.len() }, self.now);
                }
                Output::Close { .. } => said.push("close".to_owned()),
                Output::Event(event) => self.events.push(event),
            }
        }
        said
    }

    pub(super) fn connect(&mut self) -> Vec<String> {
        self.handle(Input::Connected { connection: self.connection, ends: ends() })
    }

    pub(super) fn fail(&mut self) -> Vec<String> {
        self.handle(Input::Failed { connection: self.connection, why: "refused".to_owned() })
    }

    pub(super) fn close(&mut self) -> Vec<String> {
        self.handle(Input::Closed { connection: self.connection, why: "closed".to_owned() })
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) -> Vec<String> {
        self.receive_on(self.connection, bytes)
    }

    pub(super) fn receive_on(&mut self, connection: ConnectionId, bytes: &[u8]) -> Vec<String> {
        self.handle(Input::Received { connection, bytes })
    }

    pub(super) fn notify(&mut self, code: u8, subcode: u8) -> Vec<String> {
        self.receive(&write::notification(&Notification::new(code, subcode)))
    }

    /// Theirs.
    pub(super) fn accept(&mut self) -> (ConnectionId, Vec<String>) {
        self.their_last += 1;
        let connection = ConnectionId { origin: Origin::Theirs, number: self.their_last };
        let said = self.handle(Input::Connected { connection, ends: ends() });
        (connection, said)
    }

    /// Lets every deadline come up to then.
    pub(super) fn pass(&mut self, time: Duration) -> Vec<String> {
        let until = self.now + time;
        let mut said = self.drain();
        while let Some(deadline) = self.session.deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.session.handle_timeout(self.now);
            said.extend(self.drain());
            let next = self.session.deadline();
            assert!(next.is_none_or(|next| next > self.now), "time stands still");
        }
        self.now = until;
        said
    }

    /// How long until the next attempt.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.session.state().next_attempt.map(|at| at - self.now)
    }

    pub(super) fn last_error(&self) -> String {
        self.session.state().last_error.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}
