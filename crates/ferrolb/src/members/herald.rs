//! Taking over: the first frames leave from here, prepared before the failure, and layer 2 does the rest.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::l2::ethernet::{TYPE_ARP, TYPE_IPV6};
use protocol::l2::{Interface, Interfaces};
use protocol::member::Name;
use socket2::{Domain, Socket, Type};
use tokio::sync::watch;

use crate::layer2::{Change, Claim, Links};
use crate::speaker::Wire;
use crate::sys;

/// Frames that are sent from here: those of a few addresses, at once. Of more, layer 2 sends the rest at its own pace while
/// members go on to be heard here.
const FRAMES: usize = 128;

/// What this node takes over when another one is down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Of which [`Candidates`](super::Candidates) it was made.
    pub turn: u64,
    pub after: HashMap<Name, Vec<(IpAddr, Interfaces)>>,
}

/// What was taken over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) addresses: Vec<(IpAddr, Interfaces)>,
    /// Nothing, if none could be sent.
    pub(super) first_frame_after: Option<Duration>,
}

pub(super) struct Herald {
    wire: Arc<dyn Wire>,
    links: watch::Receiver<Arc<Links>>,
    /// It only sends.
    socket: Option<Socket>,
    plan: Plan,
}

impl Herald {
    pub(super) fn new(wire: Arc<dyn Wire>) -> Herald {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).and_then(|socket| {
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        let socket = socket.inspect_err(|error| tracing::debug!(%error, "layer 2 alone announces")).ok();
        Herald { links: wire.links(), wire, socket, plan: Plan::default() }
    }

    pub(super) fn prepare(&mut self, plan: Plan) {
        self.plan = plan;
    }

    pub(super) fn planned_in(&self) -> u64 {
        self.plan.turn
    }

    /// What was answered for there is answered for here from now on.
    pub(super) fn take_over(&mut self, from: &Name, since: Instant) -> Taken {
        let Some(addresses) = self.plan.after.remove(from) else { return Taken::default() };
        let first_frame_after = self.announce(&addresses, since);
        let change = |(address, interfaces): &(IpAddr, Interfaces)| Change::Announce {
            address: *address,
            interfaces: interfaces.clone(),
            claim: Claim::Takeover,
        };
        self.wire.apply(addresses.iter().map(change).collect());
        Taken { addresses, first_frame_after }
    }

    fn announce(&self, addresses: &[(IpAddr, Interfaces)], since: Instant) -> Option<Duration> {
        let links = Arc::clone(&self.links.borrow());
        let own: Vec<Interface> =
            links.by_name.iter().filter_map(|(name, link)| interface(name, link)).collect();
        let (gate, counters) = (self.wire.gate(), self.wire.counters());
        let mut first = None;
        let mut frames = 0;
        for (address, interfaces) in addresses {
            let mut of_address = 0;
            for interface in own.iter().filter(|interface| interfaces.contain(&interface.name)) {
                for frame in interface.announcement(*address) {
                    if !gate.is_open() {
                        return first;
                    }
                    if let Err(error) = self.send(interface.index, *address, frame.bytes()) {
                        tracing::debug!(interface = interface.name, %error, "a take-over was not announced");
                        continue;
                    }
                    first = first.or_else(|| Some(since.elapsed()));
                    of_address += 1;
                }
            }
            counters.of(*address).count_gratuitous(of_address);
            frames += of_address as usize;
            if frames >= FRAMES {
                break;
            }
        }
        first
    }

    fn send(&self, interface: u32, address: IpAddr, frame: &[u8]) -> io::Result<()> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let ether_type = if address.is_ipv4() { TYPE_ARP } else { TYPE_IPV6 };
        socket.send_to(frame, &sys::packet_address(interface, ether_type)?).map(drop)
    }
}

/// As the machine of layer 2 knows it.
fn interface(name: &str, link: &crate::layer2::Link) -> Option<Interface> {
    Some(Interface {
        index: link.index,
        name: name.to_owned(),
        station: link.station?,
        link_local: link.link_local,
        running: link.up,
        arp: link.arp.is_ok(),
        ndp: link.ndp.is_ok(),
    })
}
