//! What there is to know of a session: for status, metrics and people.

use std::fmt;
use std::time::{Duration, Instant};

use super::Ends;
use super::agree::Agreed;
use crate::bgp::capability::Family;
use crate::bgp::open::Open;

#[derive(Debug, Clone)]
pub struct State {
    pub phase: Phase,
    /// When it came into this phase.
    pub since: Instant,
    /// Of the connection that has come furthest.
    pub ends: Option<Ends>,
    /// What this side said of itself on that connection, capabilities and all; and the other side, once it has.
    pub local: Option<Open>,
    pub remote: Option<Open>,
    pub agreed: Option<Agreed>,
    pub sent: Messages,
    pub received: Messages,
    /// How often it was established, and how often it was lost after that.
    pub established: u64,
    pub lost: u64,
    /// Why the last session, or the last talk about one, ended.
    pub last_error: Option<LastError>,
    /// Why the last attempt to connect came to nothing.
    pub last_failure: Option<(Instant, String)>,
    pub next_attempt: Option<Instant>,
    /// Prefixes that the neighbour was told.
    pub told: usize,
    /// Bytes that were sent and have not left yet.
    pub pending_bytes: usize,
    /// Families whose routes are not told, and why.
    pub held_back: Vec<(Family, String)>,
    pub mistakes: Mistakes,
}

/// As RFC 4271 names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Idle,
    Active,
    Connect,
    OpenSent,
    OpenConfirm,
    Established,
}

/// How many went over the wire in one direction since the neighbour was configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Messages {
    pub opens: u64,
    /// End-of-RIB is one.
    pub updates: u64,
    pub notifications: u64,
    pub keepalives: u64,
    pub route_refreshes: u64,
}

/// What the neighbour got wrong, and what that came to (RFC 7606).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mistakes {
    pub discarded_attributes: u64,
    pub treated_as_withdrawn: u64,
    pub disabled_families: u64,
    pub resets: u64,
    /// Asked for routes of a family that nobody agreed to, or without having said that it would.
    pub ignored_refreshes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    pub at: Instant,
    pub by: By,
    /// The names and numbers of the NOTIFICATION and the text in it; or what became of the connection.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// This side said so.
    Us,
    /// The other side did.
    Them,
    /// Nobody: the connection is gone.
    Nobody,
}

/// What is worth a line in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Established {
        remote_as: u32,
        is_external: bool,
        hold_secs: u16,
        families: Vec<Family>,
    },
    Lost {
        error: LastError,
        after: Duration,
    },
    /// The two could not agree on a session.
    Refused {
        error: LastError,
    },
}

impl Messages {
    /// By the type in its header.
    pub(super) fn count(&mut self, type_code: u8) {
        *match type_code {
            1 => &mut self.opens,
            2 => &mut self.updates,
            3 => &mut self.notifications,
            4 => &mut self.keepalives,
            _ => &mut self.route_refreshes,
        } += 1;
    }

    pub fn total(&self) -> u64 {
        self.opens + self.updates + self.notifications + self.keepalives + self.route_refreshes
    }
}

impl State {
    pub(super) fn new(now: Instant) -> State {
        State {
            phase: Phase::Idle,
            since: now,
            ends: None,
            local: None,
            remote: None,
            agreed: None,
            sent: Messages::default(),
            received: Messages::default(),
            established: 0,
            lost: 0,
            last_error: None,
            last_failure: None,
            next_attempt: None,
            told: 0,
            pending_bytes: 0,
            held_back: Vec::new(),
            mistakes: Mistakes::default(),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Idle => "Idle",
            Phase::Active => "Active",
            Phase::Connect => "Connect",
            Phase::OpenSent => "OpenSent",
            Phase::OpenConfirm => "OpenConfirm",
            Phase::Established => "Established",
        })
    }
}

impl fmt::Display for LastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            By::Us => write!(f, "sent {}", self.text),
            By::Them => write!(f, "received {}", self.text),
            By::Nobody => f.write_str(&self.text),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Established { remote_as, is_external, hold_secs, families } => {
                let kind = if *is_external { "external" } else { "internal" };
                write!(f, "BGP session established: {kind}, AS {remote_as}, hold time {hold_secs} s")?;
                families.iter().try_for_each(|family| write!(f, ", {family}"))
            }
            Event::Lost { error, after } => {
                write!(f, "BGP session lost after {} s: {error}", after.as_secs())
            }
            Event::Refused { error } => write!(f, "BGP session not established: {error}"),
        }
    }
}
