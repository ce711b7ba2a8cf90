//! The socket of a [`Beacon`]: router advertisements on one interface.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use protocol::bgp::beacon::{ALL_ROUTERS, Beacon, Input, Output};
use protocol::l2::MacAddress;
use rustix::event::epoll;
use rustix::net::{RecvFlags, recvfrom};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

/// Messages that are read in one go.
const AT_ONCE: usize = 16;
/// What is longer is no advertisement that matters.
const LONGEST: usize = 1500;

#[derive(Debug)]
pub(super) struct Lighthouse {
    pub(super) index: u32,
    socket: Socket,
    beacon: Beacon,
}

impl Lighthouse {
    pub(super) fn open(
        index: u32,
        name: &str,
        station: Option<MacAddress>,
        seed: u64,
        (poll, key): (&OwnedFd, u64),
        now: Instant,
    ) -> io::Result<Lighthouse> {
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&filter())?;
        socket.bind_device(Some(name.as_bytes()))?;
        socket.set_multicast_if_v6(index)?;
        socket.set_multicast_hops_v6(255)?;
        socket.set_unicast_hops_v6(255)?;
        socket.set_multicast_loop_v6(false)?;
        // Who asks, asks routers.
        socket.join_multicast_v6(&ALL_ROUTERS, index)?;
        epoll::add(poll, socket.as_fd(), epoll::EventData::new_u64(key), epoll::EventFlags::IN)?;
        let mut beacon = Beacon::new(seed);
        beacon.handle(Input::Up(station), now);
        Ok(Lighthouse { index, socket, beacon })
    }

    pub(super) fn neighbour(&self) -> Option<Ipv6Addr> {
        self.beacon.state().neighbour
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.beacon.deadline()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.beacon.handle_timeout(now);
    }

    pub(super) fn read(&mut self, now: Instant) {
        let mut buffer = [0; LONGEST];
        for _ in 0..AT_ONCE {
            let received = recvfrom(&self.socket, buffer.as_mut_slice(), RecvFlags::DONTWAIT);
            let Ok((_, length, from)) = received else { return };
            let Some(Ok(from)) = from.map(SocketAddrV6::try_from) else { continue };
            self.beacon.handle(Input::Received { from: *from.ip(), message: &buffer[..length] }, now);
        }
    }

    /// Does what the machine wants done. Another neighbour than before is told.
    pub(super) fn follow(&mut self) -> Option<Ipv6Addr> {
        let mut found = None;
        while let Some(output) = self.beacon.poll() {
            match output {
                Output::Send { to, message } => {
                    let to = SocketAddrV6::new(to, 0, 0, self.index);
                    if let Err(error) = self.socket.send_to(&message, &to.into()) {
                        tracing::debug!(interface = self.index, %error, "no router advertisement was sent");
                    }
                }
                Output::Found(neighbour) => found = Some(neighbour),
            }
        }
        found
    }
}

/// Lets through solicitations and advertisements of routers that were not forwarded.
fn filter() -> [SockFilter; 7] {
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// From here on offsets count from the IPv6 header.
    const NETWORK: u32 = 0xfff0_0000;
    const HOP_LIMIT: u32 = 7;
    [
        SockFilter::new(LOAD_BYTE, 0, 0, NETWORK + HOP_LIMIT),
        SockFilter::new(JUMP_EQUAL, 0, 3, 255),
        SockFilter::new(LOAD_BYTE, 0, 0, 0),
        SockFilter::new(JUMP_EQUAL, 2, 0, 133),
        SockFilter::new(JUMP_EQUAL, 1, 0, 134),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, 0xffff),
    ]
}
