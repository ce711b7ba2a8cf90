//! Where neighbours connect to, and whose a connection is. Without a reason to, nothing listens.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::bgp::notification::{Notification, cease};
use protocol::bgp::write;
use rustix::event::epoll;
use rustix::io::Errno;
use socket2::Socket;

use super::connection::Connection;
use super::socket::{self, Password, Security};
use super::thread::Accepted;
use super::{Endpoint, LIMITS, Neighbour};

/// Connections that are accepted in one go.
const AT_ONCE: usize = 16;
/// Who is refused, and has not gone yet.
const REFUSED: usize = 64;
/// If there is no descriptor left for those that connect, they wait.
const REST: Duration = Duration::from_secs(1);
/// Strangers are not worth more than a line in so long.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// What stands between the name of a range and an address of it.
const OF_RANGE: char = '/';

pub(super) struct Listeners {
    addresses: Vec<SocketAddr>,
    open: Vec<Listener>,
    first_key: u64,
    last_key: u64,
    /// By what could not be listened on.
    failed: BTreeMap<(SocketAddr, String), String>,
    /// Connections that nobody wants, until the other side has heard so.
    refused: Vec<Connection>,
    next_line: Option<Instant>,
}

struct Listener {
    address: SocketAddr,
    vrf: String,
    key: u64,
    socket: Socket,
    /// Whose segments are to be signed, and how.
    secured: BTreeMap<(IpAddr, Option<u8>), Security>,
    /// Nobody is accepted before.
    rests_until: Option<Instant>,
}

pub(super) enum Whose {
    /// Of a range, as if it had been configured by its address.
    Neighbour(Box<Neighbour>),
    Nobody(&'static str),
}

impl Listeners {
    pub(super) fn new(addresses: Vec<SocketAddr>, first_key: u64) -> Listeners {
        Listeners {
            addresses,
            open: Vec::new(),
            first_key,
            last_key: first_key,
            failed: BTreeMap::new(),
            refused: Vec::new(),
            next_line: None,
        }
    }

    /// Listens where it is to, outside every VRF and in those that neighbours are in, and has segments signed.
    pub(super) fn follow(&mut self, neighbours: &BTreeMap<Arc<str>, Neighbour>, poll: &OwnedFd) {
        if self.addresses.is_empty() {
            return;
        }
        let mut vrfs: BTreeSet<&str> = neighbours.values().map(|it| it.vrf.as_str()).collect();
        vrfs.insert("");
        self.open.retain(|listener| vrfs.contains(listener.vrf.as_str()));
        self.failed.retain(|(_, vrf), _| vrfs.contains(vrf.as_str()));
        for (address, vrf) in
            self.addresses.iter().flat_map(|address| vrfs.iter().map(move |it| (*address, *it)))
        {
            if self.open.iter().any(|it| it.address == address && it.vrf == vrf) {
                continue;
            }
            self.last_key += 1;
            let at = (address, vrf.to_owned());
            match Listener::open(address, vrf, self.last_key, poll) {
                Ok(listener) => {
                    self.failed.remove(&at);
                    self.open.push(listener);
                }
                Err(why) => {
                    if self.failed.get(&at) != Some(&why) {
                        tracing::warn!(%address, vrf, why, "BGP neighbours cannot connect");
                    }
                    self.failed.insert(at, why);
                }
            }
        }
        self.open.iter_mut().for_each(|listener| listener.secure(neighbours));
    }

    /// At the start, when somebody looks.
    pub(super) fn must_work(&self) -> io::Result<()> {
        match self.failed.iter().next() {
            Some(((address, _), why)) => Err(io::Error::other(format!("listening on {address}: {why}"))),
            None => Ok(()),
        }
    }

    pub(super) fn have_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    pub(super) fn accept(&mut self, key: u64, poll: &OwnedFd, now: Instant) -> Vec<Accepted> {
        let first_key = self.first_key;
        let Some(listener) = self.open.iter_mut().find(|it| it.key == key && key > first_key) else {
            return Vec::new();
        };
        let mut accepted = Vec::new();
        for _ in 0..AT_ONCE {
            match listener.socket.accept() {
                Ok((socket, remote)) => {
                    let remote = remote.as_socket();
                    accepted.extend(remote.map(|remote| (socket, remote, listener.vrf.clone())));
                }
                Err(error) => {
                    if is_exhausted(&error) {
                        tracing::warn!(address = %listener.address, %error, "BGP neighbours that connect have to wait");
                        listener.rest(poll, now);
                    }
                    break;
                }
            }
        }
        accepted
    }

    /// Of a connection that is no configured neighbour's. `known` are those that there are by now.
    pub(super) fn whose<'a>(
        &self,
        remote: IpAddr,
        vrf: &str,
        neighbours: &BTreeMap<Arc<str>, Neighbour>,
        known: impl Iterator<Item = &'a Arc<str>>,
    ) -> Whose {
        let contains = |neighbour: &&Neighbour| {
            matches!(neighbour.endpoint, Endpoint::Range(range) if range.contains(&remote))
                && neighbour.vrf == vrf
        };
        let length = |neighbour: &&Neighbour| match neighbour.endpoint {
            Endpoint::Range(range) => range.prefix_len(),
            _ => 0,
        };
        let Some(range) = neighbours.values().filter(contains).max_by_key(length) else {
            return Whose::Nobody("no BGPPeer has its address");
        };
        let begin = format!("{}{OF_RANGE}", range.name);
        if known.filter(|name| name.starts_with(&begin)).count() >= LIMITS.of_range {
            return Whose::Nobody("there are too many of its range");
        }
        Whose::Neighbour(Box::new(one_of(range, remote)))
    }

    /// What a neighbour of a range is to be now, going by its name.
    pub(super) fn range_of(
        &self,
        name: &str,
        neighbours: &BTreeMap<Arc<str>, Neighbour>,
    ) -> Option<Neighbour> {
        let (range, remote) = name.split_once(OF_RANGE)?;
        let remote = remote.parse().ok()?;
        let range = neighbours.get(range)?;
        let is_inside = matches!(range.endpoint, Endpoint::Range(range) if range.contains(&remote));
        is_inside.then(|| one_of(range, remote))
    }

    pub(super) fn is_of_range(&self, name: &str) -> bool {
        name.contains(OF_RANGE)
    }

    /// Why a neighbour that is to connect cannot.
    pub(super) fn obstacle(&self, neighbour: &Neighbour) -> Option<String> {
        if !neighbour.settings.is_passive {
            return None;
        }
        if self.addresses.is_empty() {
            return Some("it is to connect by itself, and --bgp-listen is not given".to_owned());
        }
        let failed = self.failed.iter().find(|((_, vrf), _)| *vrf == neighbour.vrf)?;
        Some(format!("it is to connect by itself, and listening on {} fails: {}", failed.0.0, failed.1))
    }

    /// With a word, which is to arrive. Beyond a number of them that nobody needs, without.
    pub(super) fn refuse(
        &mut self,
        (socket, remote): (Socket, SocketAddr),
        why: &str,
        poll: &OwnedFd,
        now: Instant,
    ) {
        if self.next_line.is_none_or(|at| at <= now) {
            self.next_line = Some(now + LINE_EVERY);
            tracing::info!(%remote, why, "BGP connection is refused");
        }
        if self.refused.len() >= REFUSED {
            return;
        }
        self.last_key += 1;
        let refused =
            socket.set_nonblocking(true).and_then(|()| Connection::accepted(socket, self.last_key, poll));
        let Ok(mut refused) = refused else { return };
        refused.send(write::notification(&Notification::cease(cease::CONNECTION_REJECTED, why)));
        if refused.write(poll).is_ok() {
            refused.end(now);
            self.refused.push(refused);
        }
    }

    /// Lets go of those that have heard it, and accepts others again.
    pub(super) fn handle_timeout(&mut self, scratch: &mut [u8], poll: &OwnedFd, now: Instant) {
        self.refused.retain_mut(|refused| !refused.has_ended(now, scratch));
        for listener in self.open.iter_mut().filter(|it| it.rests_until.is_some_and(|until| until <= now)) {
            match listener.attend(poll) {
                Ok(()) => listener.rests_until = None,
                Err(_) => listener.rests_until = Some(now + REST),
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let rests = self.open.iter().filter_map(|listener| listener.rests_until);
        self.refused.iter().filter_map(Connection::deadline).chain(rests).min()
    }
}

impl Listener {
    fn open(address: SocketAddr, vrf: &str, key: u64, poll: &OwnedFd) -> Result<Listener, String> {
        let device = Some(vrf).filter(|vrf| !vrf.is_empty());
        let socket = socket::listen(address, device).map_err(|error| error.to_string())?;
        let secured = BTreeMap::new();
        let listener = Listener { address, vrf: vrf.to_owned(), key, socket, secured, rests_until: None };
        listener.attend(poll).map_err(|error| error.to_string())?;
        Ok(listener)
    }

    fn attend(&self, poll: &OwnedFd) -> io::Result<()> {
        let key = epoll::EventData::new_u64(self.key);
        Ok(epoll::add(poll, self.socket.as_fd(), key, epoll::EventFlags::IN)?)
    }

    /// Whoever connects stays there to be accepted, so the poll would have no other news.
    fn rest(&mut self, poll: &OwnedFd, now: Instant) {
        if epoll::delete(poll, self.socket.as_fd()).is_ok() {
            self.rests_until = Some(now + REST);
        }
    }

    fn secure(&mut self, neighbours: &BTreeMap<Arc<str>, Neighbour>) {
        let mut wanted = BTreeMap::new();
        for neighbour in neighbours.values().filter(|it| it.vrf == self.vrf && it.security.is_any()) {
            let at = match &neighbour.endpoint {
                Endpoint::Address(address) => (*address, None),
                Endpoint::Range(range) => (range.network(), Some(range.prefix_len())),
                // Whoever it is has an address that is not known before.
                Endpoint::Interface(_) => continue,
            };
            if at.0.is_ipv4() == self.address.is_ipv4() {
                wanted.insert(at, neighbour.security.clone());
            }
        }
        let none = Security::Md5(Password::default());
        let gone = self.secured.iter().filter(|(at, _)| !wanted.contains_key(at));
        let gone: Vec<_> = gone.map(|(at, _)| (*at, none.clone())).collect();
        let changed = wanted.iter().filter(|(at, it)| self.secured.get(at) != Some(it));
        let changed: Vec<_> = changed.map(|(at, it)| (*at, it.clone())).collect();
        for ((address, length), security) in gone.into_iter().chain(changed) {
            if let Err(error) = socket::secure(&self.socket, address, length, &security) {
                tracing::warn!(%address, %error, "BGP connections from there cannot be told from others");
            }
        }
        self.secured = wanted;
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

fn one_of(range: &Neighbour, remote: IpAddr) -> Neighbour {
    let mut neighbour = range.clone();
    neighbour.name = format!("{}{OF_RANGE}{remote}", range.name).into();
    neighbour.endpoint = Endpoint::Address(remote);
    neighbour.settings.is_passive = true;
    neighbour
}
