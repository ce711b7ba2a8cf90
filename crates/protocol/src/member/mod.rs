//! Membership: which nodes have a speaker that can answer for addresses, known everywhere within a third of a second.
//!
//! [`Members`] is the machine of one speaker. It never decides who owns an address: it says who is a candidate, and
//! every speaker computes the owner from that alike. Why two nodes that hear each other do not both answer for long, and why
//! somebody does:
//!
//! * **A node speaks for itself.** Its [`Record`] is changed by itself alone, in order of ([`generation`](Record::generation),
//!   [`incarnation`](Record::incarnation)), with one exception: others may say `Down` of it, which is the last word on
//!   that incarnation. Records merge by taking the later one, so in whatever order they arrive, everybody comes to the same.
//! * **Nobody is accused on hearsay.** A node is watched by a few others, over beats in the shape of BFD. Who misses them asks
//!   others to look too, and only if nobody hears the node says `Down`, to all members at once. Silence counts only
//!   while the watcher itself was awake.
//! * **An accused refutes.** Who is alive and hears `Down` of itself takes a higher incarnation and tells all.
//! * **Who was asleep says nothing.** [`Members::may_answer_until`] ends before anybody could have been given its addresses.
//!   After that it asks who owns what first.
//!
//! Where to look: `record` is what is known of a node and which of two records is the later; `beat` the sessions between watcher
//! and watched; `inquiry` the way from silence to a verdict; `alarm` the look for others that may be down too; `own` what this
//! node says of itself; `table` who is known, and telling others; `candidates` who of them counts; `notes` who had which
//! address; `seal` and `message` what goes over the wire.

mod alarm;
mod beat;
mod candidates;
mod inquiry;
mod machine;
mod message;
mod notes;
mod own;
mod record;
mod seal;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub use machine::Members;
pub use notes::Note;
pub use record::{Record, Standing};
pub use seal::Key;
pub use table::{Counters, Dropped, Member, Own, State, Watching};

/// The name of a node.
pub type Name = Arc<str>;

#[derive(Debug, Clone)]
pub struct Options {
    /// The node of this speaker.
    pub name: Name,
    /// Where others reach it.
    pub address: SocketAddr,
    /// Of this start, greater than that of every start before: the time of day in milliseconds will do.
    pub generation: u64,
    pub detection: Detection,
    pub isolated: Isolated,
    pub key: Key,
    /// Random, different for every start.
    pub seed: u64,
}

/// How soon silence is noticed: after `multiplier` beats that did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detection {
    pub interval: Duration,
    pub multiplier: u8,
}

impl Default for Detection {
    fn default() -> Detection {
        Detection { interval: Duration::from_millis(50), multiplier: 3 }
    }
}

impl Detection {
    pub fn time(self) -> Duration {
        self.interval * u32::from(self.multiplier)
    }
}

/// What a node does that hears nobody, and so cannot tell whether all others are gone or itself is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolated {
    /// Takes the others for dead and answers for everything.
    #[default]
    Keep,
    /// Falls silent. Of two nodes neither then takes over from the other.
    Yield,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// All that has arrived is to be handed over before [`handle_timeout`](crate::Machine::handle_timeout) is called, or
    /// what lies in a queue is taken for silence.
    Datagram { from: SocketAddr, bytes: Vec<u8> },
    /// Where other speakers may be, in place of what was said before. Until this was said once nothing is begun.
    Peers(BTreeSet<SocketAddr>),
    /// A new key. That before stays good for [`Times::key_overlap`].
    Key(Key),
    /// Whether this node could answer for addresses. At first it could not.
    Ready(bool),
    /// Who would take over most of this node's addresses, the heir of most first.
    Heirs(Vec<Name>),
    /// Who owns an address, by whoever knows best: the owner.
    Note { address: IpAddr, owner: Option<Name> },
    /// The clock stood still for this long, for instance because the whole machine was paused.
    Slept(Duration),
    /// To be no candidate any more, and still answer while others take over; `false` takes it back.
    Leave(bool),
    /// This node ends: others need not miss it.
    Left,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Send { to: SocketAddr, bytes: Vec<u8> },
    Event(Event),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A node that was up is down. What was prepared for this case is to be done now; [`State::candidates`] no longer has it.
    Down { name: Name, verdict: Verdict },
    /// A candidate says that it leaves. What was prepared for its failure can be done now; it answers until then.
    Leaving { name: Name },
    /// Who is a candidate has changed, in whatever way.
    Candidates,
    /// This node was taken for dead, or took others for dead, while all of them went on: whatever this node answers for may
    /// have been answered for by others, so it should be announced again.
    Reunited { with: Name },
    /// [`State::notes`] are others now.
    Notes,
    /// A watched node has fallen silent, and others are asked.
    Suspected { name: Name },
    /// Somebody still hears it.
    Cleared { name: Name },
    /// This node was said to be down, and has said that it is not.
    Refuted { by: Name },
    /// This node was not awake for that long.
    Slipped { by: Duration },
    /// This node hears nobody any more, or does again.
    Isolated(bool),
    /// Sealed with a key that this node does not have. Told once for each source.
    ForeignKey { from: SocketAddr },
    /// Another speaker says that it is on the same node. It is not believed while the first one is there.
    Duplicate { name: Name, address: SocketAddr },
}

/// How a node was found to be down, as measured by whoever did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `None`: nobody accused it; this node hears nobody.
    pub by: Option<Name>,
    /// Since it was last heard, when it was suspected.
    pub silence: Duration,
    /// From the suspicion to the verdict.
    pub inquiry: Duration,
}

/// Everything here that could grow, and how far.
pub const LIMITS: Limits = Limits {
    members: 4096,
    peers: 4096,
    watchers: 3,
    watchers_of_many: 2,
    many: 64,
    watched: 8,
    watched_of_many: 3,
    asked: 3,
    inquiries: 64,
    datagram: 1200,
    senders: 8192,
    foreign: 1024,
    name: 253,
    notes: 16_384,
    notes_in_datagram: 4,
};

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub members: usize,
    pub peers: usize,
    /// Nodes that watch over one.
    pub watchers: usize,
    /// With more than `many` members: fewer do, for the sake of the network.
    pub watchers_of_many: usize,
    pub many: usize,
    /// Nodes that one watches over.
    pub watched: usize,
    pub watched_of_many: usize,
    /// Nodes that are asked about one that is silent.
    pub asked: usize,
    /// Going on at once, for others and for itself.
    pub inquiries: usize,
    /// Bytes of the longest datagram.
    pub datagram: usize,
    /// Starts of speakers of which is remembered what was received from them.
    pub senders: usize,
    /// Sources of datagrams with a foreign key that are told one by one.
    pub foreign: usize,
    pub name: usize,
    pub notes: usize,
    /// Few enough that the longest names fit.
    pub notes_in_datagram: usize,
}

pub const TIMES: Times = Times {
    inquiry: Duration::from_millis(100),
    ping: Duration::from_secs(1),
    reunion: Duration::from_millis(250),
    join: Duration::from_secs(1),
    key_overlap: Duration::from_secs(600),
    readmission: [0, 0, 2, 4, 8, 16, 32, 60],
    forgiveness: Duration::from_secs(300),
    forget: Duration::from_secs(86_400),
};

#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Others have so long to say that they hear a node; less if detection is faster than usual.
    pub inquiry: Duration,
    /// A member is asked what it knows so often, one after the other.
    pub ping: Duration,
    /// One that is down is looked for so often.
    pub reunion: Duration,
    /// A node that starts waits so long for others before it takes itself for the first.
    pub join: Duration,
    pub key_overlap: Duration,
    /// Seconds that a node waits after so many failures, until it is a candidate again.
    pub readmission: [u64; 8],
    /// One failure less counts after this time without any.
    pub forgiveness: Duration,
    /// A node that is down for so long is not looked for any more.
    pub forget: Duration,
}
