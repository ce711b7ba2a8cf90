//! What the kernel knows of interfaces, addresses and neighbours (rtnetlink), as far as it is needed here.
//!
//! Written by hand because it is little. Nothing here waits longer than [`PATIENCE`], and no bytes make it panic.

mod message;
mod objects;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send};

pub(crate) use message::{Message, Request};
pub(crate) use objects::{Address, Link, Neighbour, flags};

/// The kernel answers before the question's call returns. Whoever waits longer waits for ever.
const PATIENCE: Duration = Duration::from_secs(2);
/// The kernel's own bound for one part of a dump.
const LONGEST: usize = 1 << 16;
/// What may wait to be read of what changed.
const EVENTS: usize = 1 << 20;
/// A dump during which something changed is asked for again.
const ATTEMPTS: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    Links,
    /// Of both families, unless one is named.
    Addresses,
    Neighbours,
}

/// For questions and orders, each of which is answered before the call returns.
#[derive(Debug)]
pub(crate) struct Route {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Route {
    pub(crate) fn open() -> io::Result<Route> {
        let socket = open(SocketFlags::CLOEXEC, 0)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Route { socket, sequence: 0, buffer: vec![0; LONGEST] })
    }

    /// Everything of one sort.
    pub(crate) fn list(&mut self, listing: Listing, each: &mut dyn FnMut(&Message)) -> io::Result<()> {
        let request = match listing {
            Listing::Links => Request::dump(libc::RTM_GETLINK, size_of::<libc::ifinfomsg>()),
            Listing::Addresses => Request::dump(libc::RTM_GETADDR, 8),
            Listing::Neighbours => Request::dump(libc::RTM_GETNEIGH, 12),
        };
        self.ask(request, each)
    }

    /// An order that is acknowledged.
    pub(crate) fn order(&mut self, request: Request) -> io::Result<()> {
        self.ask(request, &mut |_| ())
    }

    fn ask(&mut self, mut request: Request, each: &mut dyn FnMut(&Message)) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            self.sequence += 1;
            send(&self.socket, request.bytes(self.sequence), SendFlags::empty())?;
            if self.answer(each)? {
                return Ok(());
            }
        }
        Err(io::Error::new(io::ErrorKind::Interrupted, "it changed each time it was listed"))
    }

    /// Whether the answer is complete: a dump may have been interrupted by a change.
    fn answer(&mut self, each: &mut dyn FnMut(&Message)) -> io::Result<bool> {
        let mut is_whole = true;
        loop {
            let (length, _) = recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty())?;
            for message in message::messages(&self.buffer[..length]) {
                if message.sequence != self.sequence {
                    continue;
                }
                is_whole &= !message.was_interrupted();
                if let Some(result) = message.end() {
                    return result.map(|()| is_whole);
                }
                each(&message);
            }
        }
    }
}

/// What changes, as it changes.
#[derive(Debug)]
pub(crate) struct Changes {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

/// What came of looking for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Everything,
    /// There were more than could wait, so everything is to be listed anew.
    Overrun,
}

impl Changes {
    /// Of links and of IPv6 addresses.
    pub(crate) fn open() -> io::Result<Changes> {
        Changes::of(libc::RTMGRP_LINK | libc::RTMGRP_IPV6_IFADDR)
    }

    /// Of links and of all addresses.
    pub(crate) fn of_all_addresses() -> io::Result<Changes> {
        Changes::of(libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR)
    }

    fn of(groups: libc::c_int) -> io::Result<Changes> {
        let groups = groups.cast_unsigned();
        let socket = open(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, groups)?;
        // The kernel takes what it permits, and less is only an earlier overrun.
        let _ = set_socket_recv_buffer_size(&socket, EVENTS);
        Ok(Changes { socket, buffer: vec![0; LONGEST] })
    }

    /// What has changed until now, in its order.
    pub(crate) fn read(&mut self, each: &mut dyn FnMut(&Message)) -> io::Result<Seen> {
        let mut seen = Seen::Everything;
        loop {
            match recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((length, _)) => {
                    message::messages(&self.buffer[..length]).for_each(|message| each(&message));
                }
                Err(Errno::AGAIN) => return Ok(seen),
                Err(Errno::NOBUFS) => seen = Seen::Overrun,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open(flags: SocketFlags, groups: u32) -> io::Result<OwnedFd> {
    // Without a protocol it is routing.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}
