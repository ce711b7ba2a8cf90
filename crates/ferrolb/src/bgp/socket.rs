//! TCP as BGP wants it: signed segments, how far packets may travel, and from where they are sent.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use plan::config::TcpAoAlgorithm;
use rustix::io::Errno;
use socket2::{Domain, SockRef, Socket, Type};

use crate::sys;

/// As what holds a network together is marked (RFC 4594 3.1).
pub(super) const CS6: u8 = 48;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// The kernel's bound for a password.
pub(super) const PASSWORD_BYTES: usize = 80;
/// `sockaddr_storage`.
const ADDRESS_BYTES: usize = 128;
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

/// How each side knows that segments are the other's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// RFC 2385; with no password there is none.
    Md5(Password),
    /// RFC 5925.
    Ao { key: Password, id: u8, algorithm: TcpAoAlgorithm },
}

impl Security {
    pub(super) fn is_any(&self) -> bool {
        *self != Security::Md5(Password::default())
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
    pub(super) security: Security,
    pub(super) dscp: u8,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("source address {0} is not one of this node")]
    Source(IpAddr),
    #[error("device {0:?}: {1}")]
    Device(String, io::Error),
    #[error("{0}")]
    Security(io::Error),
    #[error("{0}")]
    Other(#[from] io::Error),
}

/// A connection that is about to come about: the socket becomes writable when it has, or has not.
pub(super) fn dial(dial: &Dial) -> Result<Socket, DialError> {
    let socket = open(dial.remote, dial.device.as_deref())?;
    mark(&socket, dial.remote.ip(), dial.dscp);
    keep_to(&socket, dial.remote.ip(), dial.distance)?;
    secure(&socket, dial.remote.ip(), None, &dial.security).map_err(DialError::Security)?;
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
    mark(&socket, address.ip(), CS6);
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// A connection that was accepted, and whose other end is known.
pub(super) fn adopt(socket: &Socket, remote: IpAddr, distance: Distance, dscp: u8) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    dress(socket)?;
    mark(socket, remote, dscp);
    keep_to(socket, remote, distance)
}

/// What is sent to and believed of `remote` from now on is signed with this, also on a connection that there is. With
/// `length` it is for all addresses that begin as `remote` does, on a socket that listens.
pub(super) fn secure(
    socket: &Socket,
    remote: IpAddr,
    length: Option<u8>,
    security: &Security,
) -> io::Result<()> {
    let named = |what: &'static str| {
        move |error: io::Error| io::Error::new(error.kind(), format!("{what} cannot be used: {error}"))
    };
    match security {
        Security::Md5(password) => sign(socket, remote, length, &password.0).map_err(named("the password")),
        Security::Ao { key, id, algorithm } => {
            add_key(socket, remote, length, &key.0, *id, *algorithm).map_err(named("TCP-AO"))
        }
    }
}

fn sign(socket: &Socket, remote: IpAddr, length: Option<u8>, password: &str) -> io::Result<()> {
    /// linux/tcp.h: `tcp_md5sig`.
    const PREFIX_FLAG: u8 = 1;
    const TCP_MD5SIG_EXT: i32 = 32;
    let key = fitting(password)?;
    let mut request = socket_address(remote);
    match length {
        Some(length) => request.extend_from_slice(&[PREFIX_FLAG, length]),
        None => request.extend_from_slice(&[0, 0]),
    }
    request.extend_from_slice(&(key.len() as u16).to_ne_bytes());
    // Of any interface.
    request.extend_from_slice(&0_u32.to_ne_bytes());
    push_key(&mut request, key);
    let option = if length.is_some() { TCP_MD5SIG_EXT } else { libc::TCP_MD5SIG };
    match sys::set_option(socket, libc::IPPROTO_TCP, option, &request) {
        // To take away what is not there, or what this kernel does not know.
        Err(error)
            if key.is_empty()
                && matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::NOPROTOOPT)) =>
        {
            Ok(())
        }
        result => result,
    }
}

fn add_key(
    socket: &Socket,
    remote: IpAddr,
    length: Option<u8>,
    key: &str,
    id: u8,
    algorithm: TcpAoAlgorithm,
) -> io::Result<()> {
    /// linux/tcp.h: `tcp_ao_add`.
    const TCP_AO_ADD_KEY: i32 = 38;
    const NAME_BYTES: usize = 64;
    /// To be used at once, in both directions. These are the first bits of a number in the machine's order.
    const CURRENT_AND_NEXT: u32 = if cfg!(target_endian = "big") { 3 << 30 } else { 3 };
    let key = fitting(key)?;
    let mut request = socket_address(remote);
    let name = match algorithm {
        TcpAoAlgorithm::HmacSha1 => "hmac(sha1)",
        TcpAoAlgorithm::Aes128Cmac => "cmac(aes128)",
    };
    request.extend_from_slice(name.as_bytes());
    request.resize(ADDRESS_BYTES + NAME_BYTES, 0);
    request.extend_from_slice(&0_u32.to_ne_bytes());
    // A socket that listens has no current key.
    let flags = if length.is_some() { 0 } else { CURRENT_AND_NEXT };
    request.extend_from_slice(&flags.to_ne_bytes());
    request.extend_from_slice(&0_u16.to_ne_bytes());
    let whole = if remote.is_ipv4() { 32 } else { 128 };
    // Prefix, both ids, length of the code as its algorithm has it, no flags.
    request.extend_from_slice(&[length.unwrap_or(whole), id, id, 0, 0, key.len() as u8]);
    push_key(&mut request, key);
    sys::set_option(socket, libc::IPPROTO_TCP, TCP_AO_ADD_KEY, &request).map_err(|error| {
        match Errno::from_io_error(&error) {
            Some(Errno::NOPROTOOPT) => {
                io::Error::new(io::ErrorKind::Unsupported, "this kernel does not have it")
            }
            // There already, with the same key.
            _ => error,
        }
    })
}

fn fitting(key: &str) -> io::Result<&[u8]> {
    match key.as_bytes() {
        key if key.len() <= PASSWORD_BYTES => Ok(key),
        key => {
            let why = format!("it has {} bytes, and {PASSWORD_BYTES} are the most", key.len());
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
    }
}

fn push_key(request: &mut Vec<u8>, key: &[u8]) {
    let length = request.len() + PASSWORD_BYTES;
    request.extend_from_slice(key);
    request.resize(length, 0);
}

/// What is not acknowledged for so long ends a connection.
pub(super) fn give_up_after(socket: &Socket, time: Option<Duration>) -> io::Result<()> {
    SockRef::from(socket).set_tcp_user_timeout(time)
}

/// A `sockaddr_in` or `sockaddr_in6` with no port, as long as the longest.
fn socket_address(address: IpAddr) -> Vec<u8> {
    let mut bytes = Vec::new();
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
    bytes.resize(ADDRESS_BYTES, 0);
    bytes
}

fn open(address: SocketAddr, device: Option<&str>) -> Result<Socket, DialError> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if let Some(device) = device {
        let named = |error| DialError::Device(device.to_owned(), error);
        socket.bind_device(Some(device.as_bytes())).map_err(named)?;
    }
    dress(&socket)?;
    Ok(socket)
}

fn dress(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    // What the kernel does not permit stays as it is.
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    Ok(())
}

/// Also on a connection that there is. Where it is not permitted it goes without.
pub(super) fn mark(socket: &Socket, remote: IpAddr, dscp: u8) {
    let class = u32::from(dscp) << 2;
    let _ = match remote {
        IpAddr::V4(_) => socket.set_tos_v4(class),
        IpAddr::V6(_) => socket.set_tclass_v6(class),
    };
}

/// Also on a connection that there is.
pub(super) fn keep_to(socket: &Socket, remote: IpAddr, distance: Distance) -> io::Result<()> {
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
