//! One node: the machine of its speaker, its clock, what waits for it, and what it answers for.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use protocol::member::{Input, Members, Name};

use super::clock::{Clock, NEVER, Time};
use super::ownership::{Owners, View};

/// What a socket holds for a speaker that does not read.
pub(crate) const QUEUE: usize = 512;
const PORT: u16 = 7946;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Claim {
    #[default]
    None,
    Owned,
    /// Answered for until the new owner is heard, or until then.
    Yielding(Time),
}

pub(crate) struct Speaker {
    pub(crate) name: Name,
    /// Of its name.
    pub(crate) number: u16,
    pub(crate) address: SocketAddr,
    /// Counts starts: what was meant for an earlier one comes to nothing.
    pub(crate) life: u32,
    pub(crate) generation: u64,
    /// `None` while it does not run.
    pub(crate) members: Option<Members>,
    pub(crate) clock: Clock,
    pub(crate) is_ready: bool,
    pub(crate) is_leaving: bool,
    /// It ends as soon as others have what it had.
    pub(crate) ends: bool,
    /// The number of the key that it seals with.
    pub(crate) key: u32,
    /// What it is to be told when it is awake.
    pub(crate) inputs: Vec<Input>,
    pub(crate) queue: VecDeque<(SocketAddr, Rc<[u8]>)>,
    pub(crate) turn_at: Time,
    /// The thread of membership does not run until then.
    pub(crate) asleep_until: Time,
    /// Nor does anything else on this node.
    pub(crate) frozen_until: Time,
    /// It sleeps for so long that others may take it for dead.
    pub(crate) is_excusable: bool,
    /// The clock stood still for so long, which is to be told at the next turn.
    pub(crate) slept: Option<Duration>,
    /// Until when it may answer.
    pub(crate) gate: Time,
    pub(crate) gate_watched: bool,
    pub(crate) reconsider_at: Time,
    pub(crate) view: View,
    pub(crate) owners: Option<Owners>,
    pub(crate) claims: Vec<Claim>,
    /// When another was heard to announce what this one has.
    pub(crate) heard: HashMap<usize, Time>,
    /// Gained while it could not say so.
    pub(crate) unsaid: BTreeSet<usize>,
    /// When it last ended or fell asleep.
    pub(crate) gone_at: Time,
    /// Until then whatever others think of it has a reason.
    pub(crate) excused_until: Time,
    pub(crate) traffic: Traffic,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) datagrams_sent: u64,
    pub(crate) datagrams_received: u64,
    /// With the headers of IP and UDP.
    pub(crate) bytes: u64,
    pub(crate) longest: usize,
    /// Spent in the machine.
    pub(crate) busy: Duration,
}

impl Speaker {
    pub(crate) fn new(place: usize, number: usize, clock: Clock, addresses: usize) -> Speaker {
        Speaker {
            name: name_of(number),
            number: u16::try_from(number).expect("few nodes"),
            address: address_of(place),
            life: 0,
            generation: 0,
            members: None,
            clock,
            is_ready: false,
            is_leaving: false,
            ends: false,
            key: 0,
            inputs: Vec::new(),
            queue: VecDeque::new(),
            turn_at: NEVER,
            asleep_until: Time::ZERO,
            frozen_until: Time::ZERO,
            is_excusable: false,
            slept: None,
            gate: Time::ZERO,
            gate_watched: false,
            reconsider_at: NEVER,
            view: View::default(),
            owners: None,
            claims: vec![Claim::None; addresses],
            heard: HashMap::new(),
            unsaid: BTreeSet::new(),
            gone_at: Time::ZERO,
            excused_until: NEVER,
            traffic: Traffic::default(),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.members.is_some()
    }

    pub(crate) fn is_awake(&self, now: Time) -> bool {
        self.is_running() && self.asleep_until <= now && self.frozen_until <= now
    }

    /// Whether layer 2 would let out a frame now.
    pub(crate) fn may_send(&self, now: Time) -> bool {
        self.is_running() && self.frozen_until <= now && now < self.gate
    }

    pub(crate) fn answers(&self, address: usize, now: Time) -> bool {
        self.may_send(now) && self.claims[address] != Claim::None
    }

    pub(crate) fn excuse(&mut self, until: Time) {
        self.excused_until = self.excused_until.max(until);
    }

    /// What it did is over, and nothing is left of it.
    pub(crate) fn stop(&mut self) {
        self.members = None;
        self.life += 1;
        self.is_ready = false;
        self.is_leaving = false;
        self.ends = false;
        self.is_excusable = false;
        self.inputs.clear();
        self.queue.clear();
        self.turn_at = NEVER;
        self.asleep_until = Time::ZERO;
        self.frozen_until = Time::ZERO;
        self.slept = None;
        self.gate = Time::ZERO;
        self.reconsider_at = NEVER;
        self.view = View::default();
        self.owners = None;
        self.claims.fill(Claim::None);
        self.heard.clear();
        self.unsaid.clear();
    }
}

pub(crate) fn name_of(number: usize) -> Name {
    Arc::from(format!("node-{number:03}"))
}

pub(crate) fn address_of(number: usize) -> SocketAddr {
    let number = u32::try_from(number).expect("few nodes");
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0001 + number)), PORT)
}
