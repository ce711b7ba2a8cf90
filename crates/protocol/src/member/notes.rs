//! Who had which address last, where that matters: for addresses that stay with their owner when a better one comes back.
//!
//! Whoever owns such an address says so. Notes merge by their version; of two with the same one the first name counts, so that
//! everybody comes to the same.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::machine::Members;
use super::message::Message;
use super::table::of_address;
use super::{Event, LIMITS, Name};
use crate::random::{mix, mix_bytes};

/// Notes that differ between two members are compared no more often.
const COMPARE_AFTER: Duration = Duration::from_secs(2);
/// New ones are told to so many members in each round,
const TELL_TO: usize = 3;
/// in so many datagrams at most.
const PORTIONS: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub version: u64,
    /// `None`: nobody's any more.
    pub owner: Option<Name>,
}

impl Note {
    fn is_later_than(&self, other: &Note) -> bool {
        match self.version.cmp(&other.version) {
            std::cmp::Ordering::Equal => self.owner < other.owner,
            order => order.is_gt(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Notes {
    digest: u64,
    /// To be told to others, and how often still.
    spreading: Vec<(IpAddr, u8)>,
    compare_at: Option<Instant>,
    has_changed: bool,
}

impl Members {
    /// What this node knows better than anybody.
    pub(super) fn note(&mut self, address: IpAddr, owner: Option<Name>) {
        let before = self.state.notes.get(&address);
        if before.map_or(owner.is_none(), |before| before.owner == owner) {
            return;
        }
        let version = before.map_or(0, |before| before.version) + 1;
        self.take_note(address, Note { version, owner });
    }

    pub(super) fn take_note(&mut self, address: IpAddr, note: Note) {
        let before = self.state.notes.get(&address);
        if before.is_some_and(|before| !note.is_later_than(before)) {
            return;
        }
        if before.is_none() && self.state.notes.len() >= LIMITS.notes {
            self.state.counters.dropped.too_many += 1;
            return;
        }
        self.notes.digest ^= hash(address, &note) ^ before.map_or(0, |before| hash(address, before));
        self.state.notes.insert(address, note);
        self.notes.has_changed = true;
        let times = ((self.state.members.len() + 1).ilog2() + 2) as u8;
        match self.notes.spreading.iter_mut().find(|(it, _)| *it == address) {
            Some((_, left)) => *left = times,
            None => self.notes.spreading.push((address, times)),
        }
    }

    pub(super) fn notes_digest(&self) -> u64 {
        self.notes.digest
    }

    pub(super) fn has_notes_to_tell(&self) -> bool {
        !self.notes.spreading.is_empty()
    }

    pub(super) fn tell_notes(&mut self) {
        if std::mem::take(&mut self.notes.has_changed) {
            self.tell(Event::Notes);
        }
    }

    pub(super) fn spread_notes(&mut self) {
        let portion = LIMITS.notes_in_datagram * PORTIONS;
        let now: Vec<(IpAddr, u8)> =
            self.notes.spreading.drain(..portion.min(self.notes.spreading.len())).collect();
        let some: BTreeMap<IpAddr, Note> = now
            .iter()
            .filter_map(|(address, _)| Some((*address, self.state.notes.get(address)?.clone())))
            .collect();
        let messages = messages(&some);
        for name in self.some_up(TELL_TO, |_, _| true) {
            messages.iter().for_each(|message| self.send(&name, message));
        }
        // The next ones come first next time.
        let left = now.into_iter().filter(|(_, left)| *left > 1).map(|(address, left)| (address, left - 1));
        self.notes.spreading.extend(left);
    }

    /// A member's notes differ: it is told ours, and tells its own when it notices.
    pub(super) fn compare_notes(&mut self, digest: u64, with: &Name, now: Instant) {
        if digest == self.notes.digest || self.notes.compare_at.is_some_and(|at| now < at) {
            return;
        }
        self.notes.compare_at = Some(now + COMPARE_AFTER);
        for message in messages(&self.state.notes) {
            self.send(with, &message);
        }
    }
}

fn messages(notes: &BTreeMap<IpAddr, Note>) -> Vec<Message> {
    let all: Vec<(IpAddr, Note)> = notes.iter().map(|(address, note)| (*address, note.clone())).collect();
    all.chunks(LIMITS.notes_in_datagram).map(|some| Message::Notes(some.to_vec())).collect()
}

fn hash(address: IpAddr, note: &Note) -> u64 {
    let owner = note.owner.iter().flat_map(|owner| owner.bytes());
    mix_bytes(mix(mix(of_address(address)) ^ note.version), owner)
}
