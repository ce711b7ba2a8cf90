//! Layer 2: who has an address, by ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861).
//!
//! [`Responder`] is the machine: it answers for the addresses of one node on all of its interfaces, says unasked where they
//! are, and notices who else claims them. [`arp`], [`ndp`] and [`ethernet`] are what goes over the wire.

pub mod arp;
pub mod ethernet;
pub mod ndp;

mod counters;
mod interfaces;
mod responder;
mod schedule;

pub use counters::{AddressCounters, Counters, DropReason};
pub use ethernet::{Frame, MacAddress};
pub use interfaces::Interfaces;
pub use responder::{Event, Input, Interface, Options, Output, Responder};

use std::time::Duration;

/// Everything in a responder that could grow, and its times. Reaching a bound is counted as dropped and told.
pub const LIMITS: Limits = Limits {
    addresses: 65_536,
    interfaces: 1_024,
    stations: 16_384,
    frames_per_second: 16_000,
    frames_at_once: 64,
    refreshes_per_second: 500,
    refreshes_at_once: 8,
};

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub addresses: usize,
    pub interfaces: usize,
    /// Known to be ours or those of fellow speakers, each.
    pub stations: usize,
    /// Frames that nobody asked for. Many addresses are taken over in small steps, so that no queue on the way is full.
    pub frames_per_second: u32,
    pub frames_at_once: u32,
    /// Frames of addresses to which nothing happened.
    pub refreshes_per_second: u32,
    pub refreshes_at_once: u32,
}

pub const TIMES: Times = Times {
    window: Duration::from_secs(5),
    round: Duration::from_millis(1100),
    defence: Duration::from_secs(10),
    forbearance: Duration::from_millis(300),
    same_news: Duration::from_secs(10),
    other_news: Duration::from_secs(1),
    probes: 2,
    probe: Duration::from_millis(150),
    retry: Duration::from_secs(10),
    first_look: Duration::from_secs(1),
    last_look: Duration::from_secs(60),
};

#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// A new announcement is repeated for so long,
    pub window: Duration,
    /// so often.
    pub round: Duration,
    /// An address is defended once in this time (RFC 5227 1.1, DEFEND_INTERVAL).
    pub defence: Duration,
    /// And not before this. While an address moves, its old node may hear the new one before it knows of the decision, and
    /// would turn everybody back.
    pub forbearance: Duration,
    /// The same is told of the same station once in this time,
    pub same_news: Duration,
    /// and of another station once in this one.
    pub other_news: Duration,
    /// So many times it is asked whether an address is free, with so much time for each answer. RFC 5227 1.1 wants three
    /// and several seconds, for hosts that have nobody to wait for them.
    pub probes: u8,
    pub probe: Duration,
    /// An address that was not free is asked for again.
    pub retry: Duration,
    /// One that was left to a fellow is looked at again after this, then after twice the time,
    pub first_look: Duration,
    /// and at least so often.
    pub last_look: Duration,
}
