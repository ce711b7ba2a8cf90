//! TCP as BGP wants it: signed segments, how far packets may travel, and from where they are sent.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, SockRef, Socket, Type};

use crate::sys;

/// As what holds a network together is marked (RFC 4594 3.1, CS6).
const NETWORK_CONTROL: u32 = 0xc0;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// The kernel's bound for a password.
pub(super) const PASSWORD_BYTES: usize = 80;
/// What an unread connection may hold back in the kernel, as far as it permits.
const BUFFER_BYTES: usize = 1 << 20;

/// How far the other end may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Distance {
    /// On the same link: what is sent is not forwarded.
    Link,
    #[default]
    Any,
    /// Nothing that was forwarded more often is believed (RFC 5082). One is the same link.
    AtMost(u8),
}

/// What segments are signed with (RFC 2385). Never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "<retracted>" })
    }
}

/// From where to where, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dial {
    pub(super) remote: SocketAddr,
    pub(super) source: Option<IpAddr>,
    /// An interface or a VRF.
    pub(super) device: Option<String>,
    pub(super) distance: Distance,
    pub(super) password: Password,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("source address {0} is not one of this node")]
    Source(IpAddr),
    #[error("device {0:?}: {1}")]
    Device(String, io::Error),
    #[error("the password cannot be used: {0}")]
    Password(io::Error),
    #[error("{0}")]
    Other(#[from] io::Error),
}

/// A connection that is about to come about: the socket becomes writable when it has, or has not.
pub(super) fn dial(dial: &Dial) -> Result<Socket, DialError> {
    let socket = open(dial.remote, dial.device.as_deref())?;
    keep_to(&socket, dial.remote.ip(), dial.distance)?;
    sign(&socket, dial.remote.ip(), None, &dial.password).map_err(DialError::Password)?;
    if let Some(source) = dial.source {
        let scope = match dial.remote {
            SocketAddr::V6(remote) => remote.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        let from = with_scope(source, 0, scope);
        socket.bind(&from.into()).map_err(|error| match error.kind() {
            io::ErrorKind::AddrNotAvailable => DialError::Source(source),
            _ => error.into(),
        })?;
    }
    match socket.connect(&dial.remote.into()) {
        Ok(()) => Ok(socket),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Whether a connection that was dialled has come about, once its socket is writable.
pub(super) fn outcome(socket: &Socket) -> io::Result<()> {
    match socket.take_error()? {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

pub(super) fn listen(address: SocketAddr, device: Option<&str>) -> Result<Socket, DialError> {
    let socket = open(address, device)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// A connection that was accepted, and whose other end is known.
pub(super) fn adopt(socket: &Socket, remote: IpAddr, distance: Distance) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    dress(socket, remote)?;
    keep_to(socket, remote, distance)
}

/// What is sent and believed to and from `remote` from now on is signed with this, also on a connection that there is.
/// With `length` it is for all addresses that begin as `remote` does, on a socket that listens.
pub(super) fn sign(
    socket: &Socket,
    remote: IpAddr,
    length: Option<u8>,
    password: &Password,
) -> io::Result<()> {
    /// linux/tcp.h: `tcp_md5sig`.
    const PREFIX_FLAG: u8 = 1;
    const TCP_MD5SIG_EXT: i32 = 32;
    const ADDRESS_BYTES: usize = 128;
    let key = password.0.as_bytes();
    if key.len() > PASSWORD_BYTES {
        let why = format!("it has {} bytes, and {PASSWORD_BYTES} are the most", key.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let mut request = socket_address(remote);
    request.resize(ADDRESS_BYTES, 0);
    match length {
        Some(length) => request.extend_from_slice(&[PREFIX_FLAG, length]),
        None => request.extend_from_slice(&[0, 0]),
    }
    request.extend_from_slice(&(key.len() as u16).to_ne_bytes());
    // Of any interface.
    request.extend_from_slice(&0_u32.to_ne_bytes());
    request.extend_from_slice(key);
    request.resize(ADDRESS_BYTES + 8 + PASSWORD_BYTES, 0);
    let option = if length.is_some() { TCP_MD5SIG_EXT } else { libc::TCP_MD5SIG };
    match sys::set_option(socket, libc::IPPROTO_TCP, option, &request) {
        // To take away what is not there.
        Err(error) if key.is_empty() && Errno::from_io_error(&error) == Some(Errno::NOENT) => Ok(()),
        // Without any, kernels that know nothing of it will do.
        Err(error) if key.is_empty() && Errno::from_io_error(&error) == Some(Errno::NOPROTOOPT) => Ok(()),
        result => result,
    }
}

/// What is not acknowledged for so long ends a connection.
pub(super) fn give_up_after(socket: &Socket, time: Option<Duration>) -> io::Result<()> {
    SockRef::from(socket).set_tcp_user_timeout(time)
}

/// A `sockaddr_in` or `sockaddr_in6`, with no port.
fn socket_address(address: IpAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    match address {
        IpAddr::V4(address) => {
            bytes.extend_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            bytes.extend_from_slice(&[0; 2]);
            bytes.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            bytes.extend_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            bytes.extend_from_slice(&[0; 6]);
            bytes.extend_from_slice(&address.octets());
        }
    }
    bytes
}

fn open(address: SocketAddr, device: Option<&str>) -> Result<Socket, DialError> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if let Some(device) = device {
        let named = |error| DialError::Device(device.to_owned(), error);
        socket.bind_device(Some(device.as_bytes())).map_err(named)?;
    }
    dress(&socket, address.ip())?;
    Ok(socket)
}

fn dress(socket: &Socket, remote: IpAddr) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    // What the kernel does not permit stays as it is.
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    let _ = match remote {
        IpAddr::V4(_) => socket.set_tos_v4(NETWORK_CONTROL),
        IpAddr::V6(_) => socket.set_tclass_v6(NETWORK_CONTROL),
    };
    Ok(())
}

fn keep_to(socket: &Socket, remote: IpAddr, distance: Distance) -> io::Result<()> {
    const IP_MINTTL: i32 = 21;
    const IPV6_MINHOPCOUNT: i32 = 73;
    let hops: u8 = if distance == Distance::Link { 1 } else { 255 };
    let least = match distance {
        Distance::AtMost(hops) => u8::MAX - hops.saturating_sub(1),
        Distance::Link | Distance::Any => 0,
    };
    let least = i32::from(least).to_ne_bytes();
    match remote {
        IpAddr::V4(_) => {
            socket.set_ttl_v4(hops.into())?;
            sys::set_option(socket, libc::IPPROTO_IP, IP_MINTTL, &least)
        }
        IpAddr::V6(_) => {
            socket.set_unicast_hops_v6(hops.into())?;
            sys::set_option(socket, libc::IPPROTO_IPV6, IPV6_MINHOPCOUNT, &least)
        }
    }
}

/// With the interface, for addresses that mean nothing without.
pub(super) fn with_scope(address: IpAddr, port: u16, interface: u32) -> SocketAddr {
    match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            std::net::SocketAddrV6::new(address, port, 0, interface).into()
        }
        address => SocketAddr::new(address, port),
    }
}
