//! The session with one neighbour (RFC 4271, 8): which connection it goes over, when to try again, what was agreed on, and
//! how it ends. Knows no socket and no clock, and keeps nothing of what the neighbour tells but how much it is.
//!
//! Where to look: `settings` is what is wanted, `agree` what two OPEN messages come to, `connection` one TCP connection and its
//! timers, `machine` what every input does, `talk` what is received, `ending` how it ends, `retry` when to connect again, `refresh` how often all is told once more, `next_hop` where routes lead, `state` what is shown.

mod agree;
mod connection;
mod ending;
mod machine;
mod next_hop;
mod received;
mod refresh;
mod retry;
mod settings;
mod state;
mod talk;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::route::Routes;

pub use agree::{Agreed, AgreedRestart};
pub use machine::Session;
pub use settings::{LocalRole, RemoteAs, Restart, Settings};
pub use state::{By, Event, LastError, Messages, Mistakes, Phase, State};

/// The machine numbers its own, the driver those that came in; a number is not used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    pub origin: Origin,
    pub number: u32,
}

/// Who connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    Ours,
    Theirs,
}

/// Between which addresses a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub addresses: Addresses,
}

/// Those of the interface that the connection leaves by: next hops of the family that it does not use itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Addresses {
    pub ipv4: Option<Ipv4Addr>,
    /// Not a link-local one.
    pub ipv6: Option<Ipv6Addr>,
    pub link_local: Option<Ipv6Addr>,
}

#[derive(Debug)]
pub enum Input<'a> {
    /// Taken over in place; the session ends only if another one would have been agreed on (Cease 6/6).
    Settings(Box<Settings>),
    /// All that is to be told. Nothing is, not even that this was all, before there was one of these.
    Routes(Arc<Routes>),
    /// That which was asked for has come about, or the other side's has come in.
    Connected {
        connection: ConnectionId,
        ends: Ends,
    },
    /// That which was asked for has not.
    Failed {
        connection: ConnectionId,
        why: String,
    },
    /// What is there to be read is to be given before time is told to have passed, or who was asleep takes others for dead.
    Received {
        connection: ConnectionId,
        bytes: &'a [u8],
    },
    /// By the other side, or by the system.
    Closed {
        connection: ConnectionId,
        why: String,
    },
    /// So much of what was sent has left.
    Written {
        connection: ConnectionId,
        bytes: usize,
    },
    /// Next hops are others now: routes are told again.
    Addresses(Addresses),
    Stop(Stop),
    /// After a stop. A new session needs none.
    Start,
    /// The operator wants the session to begin anew (Cease 6/4).
    Reset {
        text: String,
    },
    /// Somebody else knows that it cannot go on. It is tried again.
    Lost {
        by: LostBy,
    },
}

/// Why there is to be no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Cease 6/2.
    AdministrativeShutdown { text: String },
    /// Cease 6/3.
    Deconfigured,
    /// The node is, and its routes are not to be kept (Cease 6/2, for good).
    GoingAway { text: String },
    /// The process is, and comes back: the connection ends without a word if the neighbour then keeps what it was told.
    Restarting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostBy {
    /// Cease 6/10 (RFC 9384).
    Bfd,
    /// What only the driver knows has changed: address, port, password (Cease 6/6).
    Transport,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// To be answered by Connected or Failed.
    Connect {
        connection: ConnectionId,
    },
    /// Whole messages, to be counted off by Written.
    Send {
        connection: ConnectionId,
        bytes: Vec<u8>,
    },
    /// After what was sent before has been written, or at once if nothing can be. Or the attempt is given up. The machine knows no
    /// such connection any more.
    Close {
        connection: ConnectionId,
    },
    Event(Event),
}
