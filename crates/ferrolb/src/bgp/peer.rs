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

    fn take(&mut self, peer: &Arc<str>, connection: ConnectionId) -> u64 {
        self.last += 1;
        self.owners.insert(self.last, (Arc::clone(peer), connection));
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
        if before.endpoint != after.endpoint {
            self.found = None;
        }
        if before.settings != after.settings || before.router_id != after.router_id {
            let mut settings = after.settings.clone();
            settings.router_id = after.router_id.unwrap_or(self.session.settings().router_id);
            settings.has_restarted = self.session.settings().has_restarted;
            self.session.handle(Input::Settings(Box::new(settings)), now);
        }
        if is_elsewhere {
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
        self.accepted += 1;
        let connection = ConnectionId { origin: Origin::Theirs, number: self.accepted };
        let key = shared.keys.take(&self.neighbour.name, connection);
        let accepted = Connection::accepted(socket, key, &shared.poll)?;
        self.connections.insert(connection, accepted);
        self.connected(connection, shared, now);
        Ok(())
    }

    fn connect(&mut self, connection: ConnectionId, shared: &mut Shared, now: Instant) {
        let Some(dial) = self.dial(shared) else {
            self.wants = Some(connection);
            return;
        };
        let dialled = socket::dial(&dial).and_then(|socket| {
            let key = shared.keys.take(&self.neighbour.name, connection);
            Connection::dialled(socket, key, &shared.poll).map_err(DialError::from)
        });
        match dialled {
            Ok(dialled) => {
                self.connections.insert(connection, dialled);
            }
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
                shared.interfaces.named(name)?;
                (self.found?, Some(name))
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

    fn connected(&mut self, connection: ConnectionId, shared: &Shared, now: Instant) {
        let Some(ends) = self.ends(connection, shared) else {
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
        if self.neighbour.router_id.is_some() || self.connections.len() > 1 {
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
        self.state().phase != Phase::Established && now >= self.state().since + GIVEN_UP_AFTER
    }

    /// Does what the machine wants done, until it wants nothing more.
    pub(super) fn follow(&mut self, shared: &mut Shared, now: Instant, events: &mut Vec<Event>) {
        loop {
            let mut is_idle = true;
            while let Some(output) = self.session.poll() {
                is_idle = false;
                match output {
                    Output::Connect { connection } => self.connect(connection, shared, now),
                    Output::Send { connection, bytes } => {
                        if let Some(open) = self.connections.get_mut(&connection) {
                            open.send(bytes);
                        }
                    }
                    Output::Close { connection } => self.close(connection, shared, now),
                    Output::Event(event) => events.push(event),
                }
            }
            is_idle &= !self.write(shared, now);
            if is_idle {
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
            self.forget(connection, shared);
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

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the other side closed the connection".to_owned(),
        _ => error.to_string(),
    }
}
