//! The sockets: for each interface one that hears ARP and one that hears neighbour discovery.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};

use protocol::l2::Frame;
use protocol::l2::ethernet::{TYPE_ARP, TYPE_IPV6};
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::{Domain, SockFilter, Socket, Type};

use super::filter::{self, Instruction};
use super::groups::Groups;
use crate::sys;

/// What may wait to be read of each socket, as far as the kernel permits.
const WAITING_BYTES: usize = 1 << 20;
/// What is longer is neither ARP nor a solicitation that could be answered.
const LONGEST: usize = 1514;
/// So many frames are read of one socket before others have their turn.
const AT_ONCE: usize = 64;
/// What the poll says of a socket, apart from what others register there.
const FIRST_KEY: u64 = 1 << 40;

#[derive(Debug)]
pub(super) struct Ports {
    poll: OwnedFd,
    open: BTreeMap<u32, Port>,
    groups: Groups,
    programs: Programs,
    buffer: Vec<u8>,
}

#[derive(Debug, Default)]
struct Port {
    arp: Option<Socket>,
    ndp: Option<Socket>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Arp,
    Ndp,
}

/// The filters of all sockets.
#[derive(Debug, Default)]
struct Programs {
    arp: Vec<Instruction>,
    ndp: Vec<Instruction>,
    /// The most exact that the kernel took, of [`filter::PARTS`].
    exactness: usize,
}

impl Ports {
    pub(super) fn new(poll: OwnedFd) -> Ports {
        let mut ports = Ports {
            poll,
            open: BTreeMap::new(),
            groups: Groups::default(),
            programs: Programs::default(),
            buffer: vec![0; LONGEST],
        };
        ports.programs.make(&[]);
        ports
    }

    pub(super) fn poll(&self) -> &OwnedFd {
        &self.poll
    }

    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    pub(super) fn is_open(&self, index: u32) -> bool {
        self.open.contains_key(&index)
    }

    /// Listens there if it does not yet.
    pub(super) fn open(&mut self, index: u32, protocol: Protocol) -> io::Result<()> {
        let port = self.open.entry(index).or_default();
        let socket = port.socket_mut(protocol);
        if socket.is_some() {
            return Ok(());
        }
        match listen(&self.poll, index, protocol, &self.programs) {
            Ok(opened) => {
                *socket = Some(opened);
                Ok(())
            }
            Err(error) => {
                if port.arp.is_none() && port.ndp.is_none() {
                    self.open.remove(&index);
                }
                Err(error)
            }
        }
    }

    pub(super) fn close(&mut self, index: u32, protocol: Protocol) {
        let Some(port) = self.open.get_mut(&index) else { return };
        *port.socket_mut(protocol) = None;
        if protocol == Protocol::Ndp {
            self.groups.leave_all(index);
        }
        if port.arp.is_none() && port.ndp.is_none() {
            self.open.remove(&index);
        }
    }

    /// Which interface the poll means, if it means one.
    pub(super) fn of_key(key: u64) -> Option<(u32, Protocol)> {
        let number = key.checked_sub(FIRST_KEY)?;
        let protocol = if number & 1 == 0 { Protocol::Arp } else { Protocol::Ndp };
        u32::try_from(number >> 1).ok().map(|index| (index, protocol))
    }

    /// Reads what has come, but not for so long that others would wait. An error is that of the interface.
    pub(super) fn receive(
        &mut self,
        index: u32,
        protocol: Protocol,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Errno> {
        let Some(socket) = self.open.get_mut(&index).and_then(|port| port.socket_mut(protocol).as_ref())
        else {
            return Ok(());
        };
        for _ in 0..AT_ONCE {
            match recv(socket, self.buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((length, _)) => each(&self.buffer[..length]),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn send(&self, index: u32, frame: &Frame) -> Result<(), Errno> {
        let is_arp = frame.bytes().get(12..14) == Some(&TYPE_ARP.to_be_bytes());
        let port = self.open.get(&index).ok_or(Errno::NODEV)?;
        let socket = if is_arp { &port.arp } else { &port.ndp };
        let socket = socket.as_ref().ok_or(Errno::NODEV)?;
        send(socket, frame.bytes(), SendFlags::DONTWAIT).map(|_| ())
    }

    pub(super) fn join(&mut self, index: u32, group: Ipv6Addr) {
        if let Some(socket) = self.open.get(&index).and_then(|port| port.ndp.as_ref()) {
            self.groups.join(socket, index, group);
        }
    }

    pub(super) fn leave(&mut self, index: u32, group: Ipv6Addr) {
        if let Some(socket) = self.open.get(&index).and_then(|port| port.ndp.as_ref()) {
            self.groups.leave(socket, index, group);
        }
    }

    /// From now on the kernel hands over frames about these addresses, and no others.
    pub(super) fn listen_for(&mut self, addresses: &[IpAddr]) {
        self.programs.make(addresses);
        while let Err(error) = self.attach_all() {
            if self.programs.exactness + 1 < filter::PARTS.len() {
                self.programs.exactness += 1;
                self.programs.make(addresses);
                continue;
            }
            // With the former filters what is new would not be heard: rather hear everything.
            tracing::warn!(%error, "the kernel takes no packet filter");
            self.sockets().for_each(|(socket, _)| drop(socket.detach_filter()));
            return;
        }
    }

    /// How many frames the kernel had no room for, since last asked.
    pub(super) fn drops(&self) -> u64 {
        self.sockets().filter_map(|(socket, _)| sys::packet_drops(socket).ok()).map(u64::from).sum()
    }

    fn attach_all(&self) -> io::Result<()> {
        self.sockets().try_for_each(|(socket, protocol)| self.programs.attach(socket, protocol))
    }

    fn sockets(&self) -> impl Iterator<Item = (&Socket, Protocol)> {
        let arp =
            self.open.values().filter_map(|port| port.arp.as_ref()).map(|socket| (socket, Protocol::Arp));
        let ndp =
            self.open.values().filter_map(|port| port.ndp.as_ref()).map(|socket| (socket, Protocol::Ndp));
        arp.chain(ndp)
    }
}

impl Port {
    fn socket_mut(&mut self, protocol: Protocol) -> &mut Option<Socket> {
        match protocol {
            Protocol::Arp => &mut self.arp,
            Protocol::Ndp => &mut self.ndp,
        }
    }
}

/// A socket that receives nothing before its filter is in place.
fn listen(poll: &OwnedFd, index: u32, protocol: Protocol, programs: &Programs) -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.set_nonblocking(true)?;
    if set_socket_recv_buffer_size_force(&socket, WAITING_BYTES).is_err() {
        set_socket_recv_buffer_size(&socket, WAITING_BYTES)?;
    }
    programs.attach(&socket, protocol)?;
    let (ether_type, low) = match protocol {
        Protocol::Arp => (TYPE_ARP, 0),
        Protocol::Ndp => (TYPE_IPV6, 1),
    };
    sys::bind_packet(&socket, index, ether_type)?;
    let key = epoll::EventData::new_u64(FIRST_KEY + (u64::from(index) << 1 | low));
    epoll::add(poll, socket.as_fd(), key, epoll::EventFlags::IN)?;
    Ok(socket)
}

impl Programs {
    fn make(&mut self, addresses: &[IpAddr]) {
        let keys = |is_ipv4: bool| {
            let of_family = addresses.iter().filter(|address| address.is_ipv4() == is_ipv4);
            filter::parts(
                of_family.map(|&address| filter::key(address)).collect(),
                filter::PARTS[self.exactness],
            )
        };
        let (arp, ndp) = (keys(true), keys(false));
        self.arp = filter::arp(&arp);
        self.ndp = filter::ndp(&ndp);
    }

    fn attach(&self, socket: &Socket, protocol: Protocol) -> io::Result<()> {
        let program = match protocol {
            Protocol::Arp => &self.arp,
            Protocol::Ndp => &self.ndp,
        };
        let instructions: Vec<SockFilter> =
            program.iter().map(|it| SockFilter::new(it.code, it.if_true, it.if_false, it.operand)).collect();
        socket.attach_filter(&instructions)
    }
}
