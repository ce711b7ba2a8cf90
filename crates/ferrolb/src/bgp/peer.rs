//! One neighbour: its machine, and the connections that the machine knows by number.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::bgp::session::{
    Addresses, ConnectionId, Ends, Event, Input, LostBy, Origin, Output, Phase, Session, State, Stop,
};
use socket2::Socket;

use super::connection::Connection;
use super::interfaces::Interfaces;
use super::socket::{self, Dial, DialError};
use super::{Endpoint, Neighbour};

/// Of one connection, before others have their turn.
const READ_AT_ONCE: usize = 1 << 16;
/// To one neighbour, likewise.
const WRITE_AT_ONCE: usize = 1 << 18;
/// Connections that end are waited for, but not however many a neighbour makes.
const ENDING: usize = 8;

/// Without a connection, who is not configured by address is not remembered.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(10);

/// What all peers share.
pub(super) struct Shared {
    pub(super) poll: OwnedFd,
    pub(super) interfaces: Interfaces,
    /// If this node has no IPv4 address.
    pub(super) fallback_router_id: Ipv4Addr,
    pub(super) keys: Keys,
    pub(super) buffer: Vec<u8>,
}

/// Whom the poll means.
#[derive(Debug, Default)]
pub(super) struct Keys {
    last: u64,
    owners: HashMap<u64, (Arc<str>, ConnectionId)>,
}

impl Keys {
    pub(super) fn starting_at(first: u64) -> Keys {
        Keys { last: first, owners: HashMap::new() }
    }

    pub(super) fn owner(&self, key: u64) -> Option<(Arc<str>, ConnectionId)> {
        self.owners.get(&key).cloned()
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

pub(super) struct Peer {
    pub(super) neighbour: Neighbour,
    session: Session,
    connections: BTreeMap<ConnectionId, Connection>,
    accepted: u32,
    /// Whom a neighbour that is named by an interface turned out to be.
    found: Option<SocketAddr>,
    /// The machine wants to connect, and nobody knows where to yet.
    wants: Option<ConnectionId>,
    /// This node had no such address or interface when it was to connect.
    lacks_source: bool,
    /// There is more to be said than others could wait for.
    pub(super) has_more: bool,
    /// It is stopped, and goes when its connections have.
    pub(super) is_going: bool,
}

impl Peer {
    pub(super) fn new(
        neighbour: Neighbour,
        has_restarted: bool,
        seed: u64,
        now: Instant,
        shared: &Shared,
    ) -> Peer {
        let mut settings = neighbour.settings.clone();
        settings.router_id = neighbour.router_id.unwrap_or(shared.fallback_router_id);
        settings.has_restarted = has_restarted;
        let mut peer = Peer {
            session: Session::new(settings, seed, now),
            neighbour,
            connections: BTreeMap::new(),
            accepted: 0,
            found: None,
            wants: None,
            lacks_source: false,
            has_more: false,
            is_going: false,
        };
        peer.tell_routes(now);
        peer
    }

    pub(super) fn state(&self) -> &State {
        self.session.state()
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn has_connections(&self) -> bool {
        !self.connections.is_empty()
    }

    /// In place, as far as it can be.
    pub(super) fn change(&mut self, neighbour: Neighbour, now: Instant) {
        let before = std::mem::replace(&mut self.neighbour, neighbour);
        let after = &self.neighbour;
        let remote = |connection: &Connection| connection.socket.peer_addr().ok()?.as_socket();
        for connection in self.connections.values().filter(|connection| !connection.is_dialling()) {
            let Some(remote) = remote(connection) else { continue };
            let mut kept = Ok(());
            socket::mark(&connection.socket, remote.ip(), after.dscp);
            if before.security != after.security {
                kept = socket::secure(&connection.socket, remote.ip(), None, &after.security);
            }
            if before.distance != after.distance {
                kept = kept.and_then(|()| socket::keep_to(&connection.socket, remote.ip(), after.distance));
            }
            if let Err(error) = kept {
                tracing::warn!(peer = %after.name, %error, "what has changed of a BGP peer takes effect with its next session");
            }
        }
        let is_elsewhere = (&before.endpoint, before.port, before.source, &before.vrf)
            != (&after.endpoint, after.port, after.source, &after.vrf);
        // What is being tried as it was to be until now may never come about.
        let is_tried_otherwise = (&before.security, before.distance) != (&after.security, after.distance)
            && !self.connections.values().any(Connection::is_open);
        if before.endpoint != after.endpoint {
            self.found = None;
        }
        if before.settings != after.settings || before.router_id != after.router_id {
            let mut settings = after.settings.clone();
            settings.router_id = after.router_id.unwrap_or(self.session.settings().router_id);
            settings.has_restarted = self.session.settings().has_restarted;
            self.session.handle(Input::Settings(Box::new(settings)), now);
        }
        if is_elsewhere || is_tried_otherwise {
            self.session.handle(Input::Lost { by: LostBy::Transport }, now);
        }
        self.tell_routes(now);
    }

    fn tell_routes(&mut self, now: Instant) {
        if let Some(routes) = self.neighbour.routes.clone() {
            self.session.handle(Input::Routes(routes), now);
        }
    }

    pub(super) fn stop(&mut self, stop: Stop, now: Instant) {
        self.is_going = true;
        self.session.handle(Input::Stop(stop), now);
    }

    pub(super) fn reset(&mut self, text: String, now: Instant) {
        self.session.handle(Input::Reset { text }, now);
    }

    /// Who answers on the interface that this neighbour is named by.
    pub(super) fn found(&mut self, interface: u32, remote: IpAddr, shared: &mut Shared, now: Instant) {
        let remote = socket::with_scope(remote, self.neighbour.port, interface);
        let was = self.found.replace(remote);
        if was.is_some_and(|was| was != remote) {
            self.session.handle(Input::Lost { by: LostBy::Transport }, now);
        } else if let Some(connection) = self.wants.take() {
            self.connect(connection, shared, now);
        }
    }

    /// Whether a connection from there is this neighbour's.
    pub(super) fn is_at(&self, remote: SocketAddr, vrf: &str, shared: &Shared) -> bool {
        if self.is_going || self.neighbour.vrf != vrf {
            return false;
        }
        match &self.neighbour.endpoint {
            Endpoint::Address(address) => *address == remote.ip(),
            // No key is known where it came to, so whoever got through did not sign.
            Endpoint::Interface(_) if self.neighbour.security.is_any() => false,
            Endpoint::Interface(name) => match remote {
                SocketAddr::V6(remote) => shared.interfaces.named(name) == Some(remote.scope_id()),
                SocketAddr::V4(_) => false,
            },
            Endpoint::Range(_) => false,
        }
    }

    pub(super) fn accept(&mut self, socket: Socket, shared: &mut Shared, now: Instant) -> io::Result<()> {
        let remote = socket.peer_addr()?.as_socket().ok_or(io::ErrorKind::InvalidData)?;
        socket::adopt(&socket, remote.ip(), self.neighbour.distance, self.neighbour.dscp)?;
        self.secure(&socket, remote.ip())?;
        self.accepted += 1;
        let connection = ConnectionId { origin: Origin::Theirs, number: self.accepted };
        let accepted = Connection::accepted(socket, shared.keys.next(), &shared.poll)?;
        self.remember(connection, accepted, shared);
        self.connected(connection, shared, now);
        Ok(())
    }

    /// One that was accepted, and may have come about before it was known that its segments are to be signed.
    fn secure(&self, socket: &Socket, remote: IpAddr) -> io::Result<()> {
        if !self.neighbour.security.is_any() {
            return Ok(());
        }
        match socket::secure(socket, remote, None, &self.neighbour.security) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            secured => secured,
        }
    }

    fn remember(&mut self, id: ConnectionId, connection: Connection, shared: &mut Shared) {
        shared.keys.owners.insert(connection.key, (Arc::clone(&self.neighbour.name), id));
        self.connections.insert(id, connection);
    }

    fn connect(&mut self, connection: ConnectionId, shared: &mut Shared, now: Instant) {
        let Some(dial) = self.dial(shared) else {
            self.wants = Some(connection);
            return;
        };
        let dialled = socket::dial(&dial).and_then(|socket| {
            Connection::dialled(socket, shared.keys.next(), &shared.poll).map_err(DialError::from)
        });
        self.lacks_source = matches!(dialled, Err(DialError::Source(_) | DialError::Device(..)));
        match dialled {
            Ok(dialled) => self.remember(connection, dialled, shared),
            Err(error) => {
                let why = error.to_string();
                self.session.handle(Input::Failed { connection, why }, now);
            }
        }
    }

    fn dial(&self, shared: &Shared) -> Option<Dial> {
        let (remote, interface) = match &self.neighbour.endpoint {
            Endpoint::Address(address) => (SocketAddr::new(*address, self.neighbour.port), None),
            Endpoint::Interface(name) => {
                // Who was found on one that has gone is not to be found on another of its name.
                let index = shared.interfaces.named(name)?;
                (self.found.filter(|found| scope(*found) == index)?, Some(name))
            }
            Endpoint::Range(_) => return None,
        };
        let vrf = Some(&self.neighbour.vrf).filter(|vrf| !vrf.is_empty());
        Some(Dial {
            remote,
            source: self.neighbour.source,
            device: interface.or(vrf).cloned(),
            distance: self.neighbour.distance,
            security: self.neighbour.security.clone(),
            dscp: self.neighbour.dscp,
        })
    }

    /// What the poll says of a connection.
    pub(super) fn is_ready(&mut self, connection: ConnectionId, shared: &mut Shared, now: Instant) {
        let Some(ready) = self.connections.get_mut(&connection) else { return };
        if ready.is_dialling() {
            match socket::outcome(&ready.socket) {
                Ok(()) => {
                    ready.has_come_about();
                    self.connected(connection, shared, now);
                }
                Err(error) => {
                    let why = reason(&error);
                    self.forget(connection, shared);
                    return self.session.handle(Input::Failed { connection, why }, now);
                }
            }
        }
        let Some(ready) = self.connections.get_mut(&connection) else { return };
        if !ready.is_open() {
            if ready.has_ended(now, &mut shared.buffer) {
                self.forget(connection, shared);
            }
            return;
        }
        let mut room = READ_AT_ONCE;
        while room > 0 {
            match ready.read(&mut shared.buffer[..room]) {
                Ok(Some(bytes)) => {
                    room -= bytes.len();
                    self.session.handle(Input::Received { connection, bytes }, now);
                }
                Ok(None) => return,
                Err(error) => {
                    let why = reason(&error);
                    self.forget(connection, shared);
                    return self.session.handle(Input::Closed { connection, why }, now);
                }
            }
        }
    }

    fn connected(&mut self, connection: ConnectionId, shared: &mut Shared, now: Instant) {
        let Some(ends) = self.ends(connection, shared) else {
            self.forget(connection, shared);
            let why = "it is gone already".to_owned();
            return self.session.handle(Input::Failed { connection, why }, now);
        };
        self.name_router(&ends, shared, now);
        if let Some(open) = self.connections.get(&connection) {
            let hold = self.neighbour.settings.hold_secs;
            let patience = (hold > 0).then(|| Duration::from_secs(hold.into()));
            let _ = socket::give_up_after(&open.socket, patience);
        }
        self.session.handle(Input::Connected { connection, ends }, now);
    }

    /// Who this node is to a neighbour, unless it is configured: the address of the connection, if that is one of IPv4, or one of
    /// its interface. It stays as long as there is a connection.
    fn name_router(&mut self, ends: &Ends, shared: &Shared, now: Instant) {
        let open = self.connections.values().filter(|connection| connection.is_open()).count();
        if self.neighbour.router_id.is_some() || open > 1 {
            return;
        }
        let of_connection = match ends.local.ip() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => ends.addresses.ipv4,
        };
        let router_id = of_connection.unwrap_or(shared.fallback_router_id);
        let settings = self.session.settings();
        if settings.router_id != router_id {
            let settings = Box::new(protocol::bgp::session::Settings { router_id, ..settings.clone() });
            self.session.handle(Input::Settings(settings), now);
        }
    }

    fn ends(&self, connection: ConnectionId, shared: &Shared) -> Option<Ends> {
        let socket = &self.connections.get(&connection)?.socket;
        let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let local = socket.local_addr().ok()?.as_socket()?;
        let remote = socket.peer_addr().ok()?.as_socket()?;
        let addresses = self.addresses(local, shared);
        // With their scope, link-local addresses stay as they are.
        let same = |address: SocketAddr| match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => address,
            _ => plain(address),
        };
        Some(Ends { local: same(local), remote: same(remote), addresses })
    }

    fn addresses(&self, local: SocketAddr, shared: &Shared) -> Addresses {
        let interface = match local {
            SocketAddr::V6(local) if local.scope_id() != 0 => Some(local.scope_id()),
            _ => shared.interfaces.with(local.ip().to_canonical()),
        };
        interface.map(|index| shared.interfaces.next_hops(index)).unwrap_or_default()
    }

    /// Interfaces have other addresses than before.
    pub(super) fn look_at_addresses(&mut self, shared: &Shared, now: Instant) {
        let dial = self.dial(shared).filter(|_| self.lacks_source);
        if dial.is_some_and(|dial| shared.interfaces.have(dial.source, dial.device.as_deref())) {
            self.lacks_source = false;
            self.session.handle(Input::Lost { by: LostBy::Transport }, now);
        }
        let Some(ends) = self.state().ends else { return };
        let addresses = self.addresses(ends.local, shared);
        if addresses != ends.addresses {
            self.session.handle(Input::Addresses(addresses), now);
        }
    }

    pub(super) fn handle_timeout(&mut self, shared: &mut Shared, now: Instant) {
        if self.session.deadline().is_some_and(|at| at <= now) {
            self.session.handle_timeout(now);
        }
        let over =
            |(id, it): (&ConnectionId, &mut Connection)| it.has_ended(now, &mut shared.buffer).then_some(*id);
        let over: Vec<ConnectionId> = self.connections.iter_mut().filter_map(over).collect();
        over.into_iter().for_each(|connection| self.forget(connection, shared));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let ending = self.connections.values().filter_map(Connection::deadline);
        self.session.deadline().into_iter().chain(ending).min()
    }

    /// Of one that connected by itself: it has gone, and is not waited for.
    pub(super) fn has_given_up(&self, now: Instant) -> bool {
        self.gives_up_at().is_some_and(|at| at <= now)
    }

    pub(super) fn gives_up_at(&self) -> Option<Instant> {
        let is_alone = self.connections.is_empty() && self.state().phase != Phase::Established;
        is_alone.then(|| self.state().since + GIVEN_UP_AFTER)
    }

    /// Does what the machine wants done, until it wants nothing more or it is the turn of others.
    pub(super) fn follow(&mut self, shared: &mut Shared, now: Instant, events: &mut Vec<Event>) {
        let mut room = WRITE_AT_ONCE;
        self.has_more = false;
        loop {
            let mut is_idle = true;
            while let Some(output) = self.session.poll() {
                is_idle = false;
                match output {
                    Output::Connect { connection } => self.connect(connection, shared, now),
                    Output::Send { connection, bytes } => {
                        if let Some(open) = self.connections.get_mut(&connection) {
                            room = room.saturating_sub(bytes.len());
                            open.send(bytes);
                        }
                    }
                    Output::Close { connection } => self.close(connection, shared, now),
                    Output::Event(event) => events.push(event),
                }
            }
            is_idle &= !self.write(shared, now);
            self.has_more = !is_idle && room == 0;
            if is_idle || self.has_more {
                return;
            }
        }
    }

    /// Whether the machine was told anything.
    fn write(&mut self, shared: &mut Shared, now: Instant) -> bool {
        let mut has_told = false;
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            let is_open = connection.is_open();
            let input = match connection.write(&shared.poll) {
                Ok(0) => continue,
                Ok(bytes) => Input::Written { connection: id, bytes },
                Err(error) => {
                    self.forget(id, shared);
                    Input::Closed { connection: id, why: reason(&error) }
                }
            };
            if is_open {
                has_told = true;
                self.session.handle(input, now);
            }
        }
        has_told
    }

    fn close(&mut self, connection: ConnectionId, shared: &mut Shared, now: Instant) {
        if self.wants == Some(connection) {
            self.wants = None;
        }
        let Some(closing) = self.connections.get_mut(&connection) else { return };
        if closing.is_dialling() {
            return self.forget(connection, shared);
        }
        closing.end(now);
        let _ = closing.write(&shared.poll);
        if closing.has_ended(now, &mut shared.buffer) {
            return self.forget(connection, shared);
        }
        let ending = self.connections.iter().filter_map(|(id, it)| it.deadline().map(|until| (until, *id)));
        let ending: Vec<_> = ending.collect();
        if ending.len() > ENDING
            && let Some((_, oldest)) = ending.into_iter().min()
        {
            self.forget(oldest, shared);
        }
    }

    fn forget(&mut self, connection: ConnectionId, shared: &mut Shared) {
        if let Some(gone) = self.connections.remove(&connection) {
            shared.keys.owners.remove(&gone.key);
        }
    }

    /// Why there is no session, where the machine cannot know it.
    pub(super) fn obstacle(&self, shared: &Shared) -> Option<String> {
        if self.state().phase == Phase::Established || self.wants.is_none() {
            return None;
        }
        let Endpoint::Interface(name) = &self.neighbour.endpoint else { return None };
        Some(match shared.interfaces.named(name) {
            Some(_) => format!("no router advertisement was heard on interface {name}"),
            None => format!("there is no interface {name} that is up"),
        })
    }
}

fn scope(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V6(address) => address.scope_id(),
        SocketAddr::V4(_) => 0,
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the other side closed the connection".to_owned(),
        _ => error.to_string(),
    }
}
