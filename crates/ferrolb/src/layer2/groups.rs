//! Multicast groups: frames to them are received, and switches that listen are told by MLD (RFC 3810).

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use protocol::l2::MacAddress;
use socket2::{Domain, Socket, Type};

use crate::sys;

/// The kernel has room for some hundred memberships of each socket.
const PER_SOCKET: usize = 128;
/// Beyond so many sockets groups are received without a report. Switches that listen may then not forward them.
const SOCKETS: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Groups {
    reporters: Vec<Reporter>,
}

/// A socket for nothing but its memberships.
#[derive(Debug)]
struct Reporter {
    socket: Socket,
    members: BTreeSet<(u32, Ipv6Addr)>,
}

impl Groups {
    /// `socket` is the one that is to receive.
    pub(super) fn join(&mut self, socket: &Socket, index: u32, group: Ipv6Addr) {
        if let Err(error) = sys::packet_membership(socket, index, MacAddress::of_group(group).0, true) {
            tracing::warn!(index, %group, %error, "solicitations are not received");
        }
        let Some(reporter) = self.reporter() else { return };
        match reporter.socket.join_multicast_v6(&group, index) {
            Ok(()) => drop(reporter.members.insert((index, group))),
            // Normal where IPv6 is off: then nothing has to be reported.
            Err(error) => tracing::debug!(index, %group, %error, "no multicast report"),
        }
    }

    pub(super) fn leave(&mut self, socket: &Socket, index: u32, group: Ipv6Addr) {
        // What fails here is gone already, with its interface.
        let _ = sys::packet_membership(socket, index, MacAddress::of_group(group).0, false);
        for reporter in &mut self.reporters {
            reporter.leave(index, group);
        }
        self.reporters.retain(|reporter| !reporter.members.is_empty());
    }

    /// After the socket that received on this interface is closed.
    pub(super) fn leave_all(&mut self, index: u32) {
        for reporter in &mut self.reporters {
            let of_interface =
                reporter.members.range((index, Ipv6Addr::UNSPECIFIED)..(index + 1, Ipv6Addr::UNSPECIFIED));
            for (index, group) in of_interface.copied().collect::<Vec<_>>() {
                reporter.leave(index, group);
            }
        }
        self.reporters.retain(|reporter| !reporter.members.is_empty());
    }

    fn reporter(&mut self) -> Option<&mut Reporter> {
        let free = self.reporters.iter().position(|reporter| reporter.members.len() < PER_SOCKET);
        if let Some(free) = free {
            return self.reporters.get_mut(free);
        }
        if self.reporters.len() >= SOCKETS {
            return None;
        }
        match Socket::new(Domain::IPV6, Type::DGRAM, None) {
            Ok(socket) => {
                self.reporters.push(Reporter { socket, members: BTreeSet::new() });
                self.reporters.last_mut()
            }
            Err(error) => {
                tracing::debug!(%error, "no multicast reports");
                None
            }
        }
    }
}

impl Reporter {
    fn leave(&mut self, index: u32, group: Ipv6Addr) {
        if self.members.remove(&(index, group)) {
            // As above.
            let _ = self.socket.leave_multicast_v6(&group, index);
        }
    }
}
