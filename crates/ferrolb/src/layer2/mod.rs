//! Answers for addresses by ARP and neighbour discovery, on one thread of its own that reconciling cannot hold up.
//!
//! What is answered, when and how is decided by [`protocol::l2`]; here are the thread, its sockets and its view of the
//! local interfaces. Whoever uses it tells [changes](Change) and hears [`News`].

mod bound;
mod counters;
mod excluded;
mod filter;
mod gate;
mod groups;
mod kernel;
mod links;
mod ports;
#[cfg(test)]
mod tests;
mod thread;
pub mod wire;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, watch};

pub use bound::{BindError, Bound};
pub use counters::Counters;
pub use excluded::Excluded;
pub use gate::Gate;
pub(crate) use gate::time_since_boot;
pub use kernel::KernelArp;
pub use links::{Link, Links, Silence};
pub use protocol::l2::{AddressCounters, DropReason, Interfaces, MacAddress};

use thread::Command;

/// What could grow here, and how far.
pub const LIMITS: Limits = Limits { news: 1024, counted_addresses: 100_000 };

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Those that wait to be fetched; further ones are counted as dropped.
    pub news: usize,
    /// Addresses of which figures are kept, announced or not.
    pub counted_addresses: usize,
}

#[derive(Debug, Clone)]
pub struct Options {
    /// Interfaces that are not looked at.
    pub excluded: Excluded,
    /// How often an address is announced again without any cause, about. `None` is never.
    pub refresh: Option<Duration>,
    /// Whether it is asked on the wire, before a fresh claim, if somebody else has the address.
    pub probe_before_claim: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            excluded: Excluded::default(),
            refresh: Some(Duration::from_secs(60)),
            probe_before_claim: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Also for an address that is announced already, if its interfaces are others now. Without any difference it
    /// does nothing.
    Announce { address: IpAddr, interfaces: Interfaces, claim: Claim },
    /// Nothing is sent.
    Withdraw { address: IpAddr },
    /// The address is another node's from now on: it is answered for until its claim is heard, for so long at most, and
    /// is withdrawn then. [`News::Yielded`] tells, also if it was not announced at all. Nothing is sent unasked.
    Yield { address: IpAddr, within: Duration },
    /// Everything that is announced is announced anew: others may have answered for it, out of hearing of this node.
    Again,
    /// The same for some addresses.
    AnnounceAgain { addresses: BTreeSet<IpAddr> },
    /// A fellow that comes before this node claims it too: unless the fellow turns out not to answer for it, nothing is
    /// answered until it does not. [`News::ClaimRefused`] and [`News::Claimed`] tell.
    GiveWay { address: IpAddr },
    /// Who the other speakers are, in place of what was said before. Against them no address is defended: the election
    /// decides.
    Fellows { stations: BTreeSet<MacAddress>, addresses: BTreeSet<IpAddr> },
    /// What was told before follows from this decision, which the [`Gate`] may wait for.
    Decided(u64),
}

/// On what ground an address is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Nobody is known to have answered for it: if [`Options::probe_before_claim`] says so it is asked for first.
    Fresh,
    /// Another speaker answered for it until now, and may still: it is announced at once.
    Takeover,
}

/// What happened on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Another station says that the address is its own. Told again while it goes on, every ten seconds at most. Of a
    /// fellow that was found by its node's address, that address.
    Conflict {
        address: IpAddr,
        interface: String,
        station: MacAddress,
        fellow: bool,
        fellow_address: Option<IpAddr>,
    },
    /// Another station asked whether the address is free, and was told that it is not.
    Wanted { address: IpAddr, interface: String, station: MacAddress },
    /// Asked for before the claim, the address turned out to be taken, by a fellow only after [`Change::GiveWay`]. It is
    /// tried again later.
    ClaimRefused {
        address: IpAddr,
        interface: String,
        station: MacAddress,
        fellow: bool,
        fellow_address: Option<IpAddr>,
    },
    /// After an earlier refusal the address was free.
    Claimed { address: IpAddr },
    /// There are more addresses than can be announced.
    TooMany { address: IpAddr },
    /// It was to be yielded and is not answered for any more. Whether another station was heard to claim it.
    Yielded { address: IpAddr, heard: bool },
}

/// Starts the thread. It ends with the handle.
pub fn start(options: Options) -> anyhow::Result<Layer2> {
    let counters = Arc::new(Counters::default());
    let (links, links_seen) = watch::channel(Arc::new(Links::default()));
    let gate = Arc::new(Gate::default());
    let running = thread::start(options, &counters, links, Arc::clone(&gate)).context("starting layer 2")?;
    Ok(Layer2 { running, counters, links: links_seen, gate })
}

/// The running thread.
#[derive(Debug)]
pub struct Layer2 {
    running: thread::Running,
    counters: Arc<Counters>,
    links: watch::Receiver<Arc<Links>>,
    gate: Arc<Gate>,
}

impl Layer2 {
    /// All of them are in force before anything is sent because of one. Waits only while the thread is many calls
    /// behind.
    pub fn apply(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let changes = changes.into_iter().map(|change| {
            let counters = match &change {
                Change::Announce { address, .. } => Some(self.counters.of(*address)),
                _ => None,
            };
            (change, counters)
        });
        self.running.tell(Command::Apply(changes.collect()));
    }

    /// The local interfaces. The value is for cloning: who holds on to a borrowed one holds up the thread.
    pub fn links(&self) -> watch::Receiver<Arc<Links>> {
        self.links.clone()
    }

    /// What happens from now on. Of several receivers the latest gets it.
    pub fn news(&self) -> mpsc::Receiver<News> {
        let (sender, receiver) = mpsc::channel(LIMITS.news);
        self.running.tell(Command::News(sender));
        receiver
    }

    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Nothing is sent while it is closed.
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Ends the thread and waits for it. Nothing is sent.
    pub fn stop(self) {
        drop(self);
    }
}
