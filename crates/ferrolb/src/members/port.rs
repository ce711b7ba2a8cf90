//! The socket on which speakers hear each other. UDP alone: nothing that they say is longer than a datagram.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};
use socket2::{Domain, Socket, Type};

/// What may wait to be read, as far as the kernel permits: what is not read is taken for silence.
const WAITING_BYTES: usize = 4 << 20;
/// Read in one go, before anybody is accused of silence.
const AT_ONCE: usize = 4096;
/// One more than is ever sent, so that what is too long is seen to be.
const LONGEST: usize = protocol::member::LIMITS.datagram + 1;
const OPEN_AGAIN: Duration = Duration::from_millis(200);
/// As what holds a network together is marked (RFC 4594 3.1, CS6).
const NETWORK_CONTROL: u32 = 0xc0;

#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    key: u64,
    socket: Option<Socket>,
    open_at: Option<Instant>,
    buffer: Vec<u8>,
}

impl Port {
    pub(super) fn open(address: SocketAddr, poll: &OwnedFd, key: u64) -> io::Result<Port> {
        let socket = listen(address)?;
        add(poll, &socket, key)?;
        Ok(Port { address, key, socket: Some(socket), open_at: None, buffer: vec![0; LONGEST] })
    }

    /// When it wants to be opened again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open_at
    }

    /// After its address was gone.
    pub(super) fn open_again(&mut self, poll: &OwnedFd, now: Instant) {
        if self.open_at.is_none_or(|at| at > now) {
            return;
        }
        let opened = listen(self.address).and_then(|socket| add(poll, &socket, self.key).map(|()| socket));
        match opened {
            Ok(socket) => {
                tracing::info!(address = %self.address, "other speakers can be heard again");
                (self.socket, self.open_at) = (Some(socket), None);
            }
            Err(error) => {
                tracing::trace!(address = %self.address, %error, "no socket for members");
                self.open_at = Some(now + OPEN_AGAIN);
            }
        }
    }

    /// Reads all that waits.
    pub(super) fn receive(&mut self, mut each: impl FnMut(SocketAddr, &[u8])) {
        let Some(socket) = &self.socket else { return };
        for _ in 0..AT_ONCE {
            match recvfrom(socket, self.buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((_, length, from)) => {
                    if let Some(from) = from.and_then(|from| SocketAddr::try_from(from).ok()) {
                        each(from, &self.buffer[..length.min(LONGEST)]);
                    }
                }
                Err(Errno::AGAIN) => return,
                // Others are those of what was sent before.
                Err(_) => {}
            }
        }
    }

    pub(super) fn send(&mut self, to: SocketAddr, bytes: &[u8], now: Instant) -> Result<(), Errno> {
        let socket = self.socket.as_ref().ok_or(Errno::NOTCONN)?;
        match sendto(socket, bytes, SendFlags::DONTWAIT, &to) {
            // The own address is gone. When it is there again, this socket may not be on the right interface any more.
            Err(error @ (Errno::INVAL | Errno::ADDRNOTAVAIL | Errno::NODEV)) => {
                tracing::warn!(address = %self.address, %error, "other speakers cannot be told anything; tried again");
                (self.socket, self.open_at) = (None, Some(now + OPEN_AGAIN));
                Err(error)
            }
            sent => sent.map(|_| ()),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    if set_socket_recv_buffer_size_force(&socket, WAITING_BYTES).is_err() {
        set_socket_recv_buffer_size(&socket, WAITING_BYTES)?;
    }
    // Where it is not permitted it goes without.
    let _ = match address {
        SocketAddr::V4(_) => socket.set_tos_v4(NETWORK_CONTROL),
        SocketAddr::V6(_) => socket.set_only_v6(true).and_then(|()| socket.set_tclass_v6(NETWORK_CONTROL)),
    };
    socket.bind(&address.into())?;
    Ok(socket)
}

fn add(poll: &OwnedFd, socket: &Socket, key: u64) -> io::Result<()> {
    Ok(epoll::add(poll, socket.as_fd(), epoll::EventData::new_u64(key), epoll::EventFlags::IN)?)
}
