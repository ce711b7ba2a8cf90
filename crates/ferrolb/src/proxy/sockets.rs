//! Sockets with the options that forwarding needs.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// Connections that wait to be taken in.
const BACKLOG: i32 = 1024;
/// A peer that is gone without a word is noticed after about two minutes.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);
/// Files that are open for other purposes: one for each frontend, and a few.
const OTHER_FILES: u64 = 1024;
/// For each connection: one to the client, one to the endpoint.
const FILES_EACH: u64 = 2;

pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address, Type::STREAM)?;
    // Connections of before a restart that are not quite over must not be in the way.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

pub(super) fn receive(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(address, Type::DGRAM)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn open(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking(), None)?;
    // It does not matter which is first: the socket, or the address on this host.
    if address.is_ipv4() {
        socket.set_freebind_v4(true)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_freebind_v6(true)?;
    }
    Ok(socket)
}

/// Of both ends of a connection. Until [`ends_well`] is called it is one whose end is a reset: nobody is to take what
/// came until then for everything.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)
}

pub(super) fn ends_well(stream: &TcpStream) {
    // What cannot be set is reset, which is said by the system.
    let _ = SockRef::from(stream).set_linger(None);
}

/// For datagrams to this endpoint and from it alone.
pub(super) fn towards(endpoint: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(endpoint), Type::DGRAM.nonblocking(), None)?;
    socket.connect(&endpoint.into())?;
    UdpSocket::from_std(socket.into())
}

pub(super) fn send_to(socket: &impl AsFd, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
    SockRef::from(socket).send_to(datagram, &to.into()).map(drop)
}

/// Sends at once or not at all, also where nobody has asked yet whether it can be sent.
pub(super) fn send(socket: &impl AsFd, datagram: &[u8]) -> io::Result<()> {
    SockRef::from(socket).send(datagram).map(drop)
}

/// How many connections this process may have open files for, of those that are wanted. First it is permitted as many as
/// it can be.
pub(super) fn possible_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let current = if raised.is_ok() { limit.maximum } else { limit.current };
    let possible = current.unwrap_or(u64::MAX).saturating_sub(OTHER_FILES) / FILES_EACH;
    wanted.min(usize::try_from(possible).unwrap_or(usize::MAX)).max(1)
}
