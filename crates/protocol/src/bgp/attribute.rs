//! Path attributes: reading them as RFC 7606 wants, and writing those that we send.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{AS_TRANS, notification, notification::Notification};
use crate::reader::Reader;

/// Type codes.
pub mod code {
    pub const ORIGIN: u8 = 1;
    pub const AS_PATH: u8 = 2;
    pub const NEXT_HOP: u8 = 3;
    pub const MED: u8 = 4;
    pub const LOCAL_PREF: u8 = 5;
    pub const ATOMIC_AGGREGATE: u8 = 6;
    pub const AGGREGATOR: u8 = 7;
    pub const COMMUNITIES: u8 = 8;
    pub const ORIGINATOR_ID: u8 = 9;
    pub const CLUSTER_LIST: u8 = 10;
    pub const MP_REACH: u8 = 14;
    pub const MP_UNREACH: u8 = 15;
    pub const EXTENDED_COMMUNITIES: u8 = 16;
    pub const AS4_PATH: u8 = 17;
    pub const AS4_AGGREGATOR: u8 = 18;
    pub const LARGE_COMMUNITIES: u8 = 32;
    pub const ONLY_TO_CUSTOMER: u8 = 35;
}

pub(super) const OPTIONAL: u8 = 0x80;
pub(super) const TRANSITIVE: u8 = 0x40;
const PARTIAL: u8 = 0x20;
const EXTENDED_LENGTH: u8 = 0x10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    Igp,
    Egp,
    Incomplete,
}

/// Where packets for a prefix are to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    V4(Ipv4Addr),
    /// The link-local address is for neighbours on the same link.
    V6 {
        global: Ipv6Addr,
        link_local: Option<Ipv6Addr>,
    },
}

/// A piece of an AS path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub kind: SegmentKind,
    pub numbers: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    Set,
    Sequence,
    ConfederationSequence,
    ConfederationSet,
}

/// All that was said of the routes of one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes<'a> {
    pub origin: Option<Origin>,
    pub as_path: Option<Vec<Segment>>,
    /// Of the routes outside MP_REACH_NLRI.
    pub next_hop: Option<Ipv4Addr>,
    pub med: Option<u32>,
    pub local_preference: Option<u32>,
    pub is_atomic_aggregate: bool,
    pub aggregator: Option<(u32, Ipv4Addr)>,
    pub communities: Vec<u32>,
    pub originator_id: Option<Ipv4Addr>,
    pub cluster_list: Vec<Ipv4Addr>,
    pub extended_communities: Vec<[u8; 8]>,
    pub large_communities: Vec<[u32; 3]>,
    pub only_to_customer: Option<u32>,
    /// Not known here, and to be passed on by whoever passes routes on.
    pub unknown: Vec<Unknown<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown<'a> {
    pub code: u8,
    pub value: &'a [u8],
}

/// What is wrong with an attribute, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaw {
    /// Zero: of none in particular.
    pub attribute: u8,
    pub handling: Handling,
    pub why: &'static str,
}

/// The milder ones of RFC 7606, 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Handling {
    Discard,
    /// All routes of the message count as withdrawn.
    TreatAsWithdraw,
}

/// An attribute as it lies in a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) flags: u8,
    pub(super) code: u8,
    pub(super) value: &'a [u8],
    /// With its head, to be sent back.
    pub(super) whole: &'a [u8],
}

impl<'a> Raw<'a> {
    /// `None`: there is not as much as it says (RFC 7606, 4).
    pub(super) fn read(from: &mut Reader<'a>) -> Option<Raw<'a>> {
        let all = from.0;
        let (flags, code) = (from.u8()?, from.u8()?);
        let length = if flags & EXTENDED_LENGTH != 0 { from.u16()?.into() } else { usize::from(from.u8()?) };
        let value = from.take(length)?;
        Some(Raw { flags, code, value, whole: &all[..all.len() - from.0.len()] })
    }

    /// Whether the flags are those that its code must have (RFC 7606, 3 c).
    fn has_right_flags(&self) -> bool {
        let wanted = match self.code {
            code::ORIGIN..=code::NEXT_HOP | code::LOCAL_PREF | code::ATOMIC_AGGREGATE => TRANSITIVE,
            code::MED | code::ORIGINATOR_ID | code::CLUSTER_LIST | code::MP_REACH | code::MP_UNREACH => {
                OPTIONAL
            }
            code::AGGREGATOR
            | code::COMMUNITIES
            | code::EXTENDED_COMMUNITIES
            | code::AS4_PATH
            | code::AS4_AGGREGATOR
            | code::LARGE_COMMUNITIES
            | code::ONLY_TO_CUSTOMER => OPTIONAL | TRANSITIVE,
            _ => return true,
        };
        self.flags & (OPTIONAL | TRANSITIVE) == wanted
    }
}

/// What depends on the peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) has_four_octets: bool,
    pub(super) is_external: bool,
}

/// Reads attribute by attribute.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    peer: Peer,
    seen: [bool; 256],
    pub(super) attributes: Attributes<'a>,
    as4_path: Option<Vec<Segment>>,
    as4_aggregator: Option<(u32, Ipv4Addr)>,
    pub(super) flaws: Vec<Flaw>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(peer: Peer) -> Collector<'a> {
        Collector {
            peer,
            seen: [false; 256],
            attributes: Attributes::default(),
            as4_path: None,
            as4_aggregator: None,
            flaws: Vec::new(),
        }
    }

    pub(super) fn flaw(&mut self, attribute: u8, handling: Handling, why: &'static str) {
        self.flaws.push(Flaw { attribute, handling, why });
    }

    /// Whether it is the first of its kind and its flags are right, as far as that can be mended. Only of those two may there
    /// be no second (RFC 7606, 3 g).
    pub(super) fn admit(&mut self, raw: &Raw<'_>) -> Result<bool, Notification> {
        if std::mem::replace(&mut self.seen[usize::from(raw.code)], true) {
            if matches!(raw.code, code::MP_REACH | code::MP_UNREACH) {
                return Err(malformed_list());
            }
            self.flaw(raw.code, Handling::Discard, "there is a second one");
            return Ok(false);
        }
        if !raw.has_right_flags() {
            self.flaw(raw.code, Handling::TreatAsWithdraw, "its flags are not those of its kind");
        }
        Ok(true)
    }

    /// All but those that hold routes.
    pub(super) fn take(&mut self, raw: Raw<'a>) -> Result<(), Notification> {
        let outcome = match raw.code {
            code::ORIGINATOR_ID | code::CLUSTER_LIST | code::LOCAL_PREF if self.peer.is_external => {
                Err((Handling::Discard, "it is not for external peers"))
            }
            code::ATOMIC_AGGREGATE | code::AGGREGATOR | code::AS4_PATH | code::AS4_AGGREGATOR => {
                self.take_other(&raw).ok_or((Handling::Discard, "it has not the length or form of its kind"))
            }
            _ => match self.take_known(&raw) {
                Some(Some(())) => Ok(()),
                Some(None) => Err((Handling::TreatAsWithdraw, "it has not the length or form of its kind")),
                None => return self.take_unknown(raw),
            },
        };
        if let Err((handling, why)) = outcome {
            self.flaw(raw.code, handling, why);
        }
        Ok(())
    }

    /// Those whose faults spoil the routes. `None`: it is not known.
    fn take_known(&mut self, raw: &Raw<'a>) -> Option<Option<()>> {
        let mut from = Reader(raw.value);
        let into = &mut self.attributes;
        Some(match raw.code {
            code::ORIGIN => origin(raw.value).map(|origin| into.origin = Some(origin)),
            code::AS_PATH => segments(raw.value, self.peer.has_four_octets, self.peer.is_external)
                .map(|path| into.as_path = Some(path)),
            code::NEXT_HOP => {
                whole(&mut from, Reader::array::<4>).map(|octets| into.next_hop = Some(octets.into()))
            }
            code::MED => whole(&mut from, Reader::u32).map(|med| into.med = Some(med)),
            code::LOCAL_PREF => {
                whole(&mut from, Reader::u32).map(|preference| into.local_preference = Some(preference))
            }
            code::COMMUNITIES => some(raw.value, Reader::u32).map(|all| into.communities = all),
            code::ORIGINATOR_ID => {
                whole(&mut from, Reader::array::<4>).map(|octets| into.originator_id = Some(octets.into()))
            }
            code::CLUSTER_LIST => some(raw.value, |from| from.array::<4>().map(Ipv4Addr::from))
                .map(|all| into.cluster_list = all),
            code::EXTENDED_COMMUNITIES => {
                some(raw.value, Reader::array::<8>).map(|all| into.extended_communities = all)
            }
            code::LARGE_COMMUNITIES => some(raw.value, |from| Some([from.u32()?, from.u32()?, from.u32()?]))
                .map(|all| into.large_communities = all),
            code::ONLY_TO_CUSTOMER => {
                whole(&mut from, Reader::u32).map(|number| into.only_to_customer = Some(number))
            }
            _ => return None,
        })
    }

    /// Those that can be left out.
    fn take_other(&mut self, raw: &Raw<'a>) -> Option<()> {
        let mut from = Reader(raw.value);
        match raw.code {
            code::ATOMIC_AGGREGATE => {
                self.attributes.is_atomic_aggregate = raw.value.is_empty();
                raw.value.is_empty().then_some(())
            }
            code::AGGREGATOR => {
                let has_four_octets = self.peer.has_four_octets;
                self.attributes.aggregator = Some(whole(&mut from, |from| {
                    let number = if has_four_octets { from.u32()? } else { from.u16()?.into() };
                    aggregator(number, from)
                })?);
                Some(())
            }
            // Of a peer that needs neither they say nothing (RFC 6793, 6).
            code::AS4_PATH if !self.peer.has_four_octets => {
                let mut path = segments(raw.value, true, false)?;
                // Those of a confederation do not belong in there (RFC 6793, 6).
                path.retain(|segment| matches!(segment.kind, SegmentKind::Set | SegmentKind::Sequence));
                self.as4_path = Some(path);
                Some(())
            }
            code::AS4_AGGREGATOR if !self.peer.has_four_octets => {
                self.as4_aggregator = Some(whole(&mut from, |from| aggregator(from.u32()?, from))?);
                Some(())
            }
            _ => Some(()),
        }
    }

    fn take_unknown(&mut self, raw: Raw<'a>) -> Result<(), Notification> {
        if raw.flags & OPTIONAL == 0 {
            // RFC 4271, 6.3: everybody has to know those, so somebody is wrong about more than this.
            return Err(Notification::with(notification::UPDATE_MESSAGE, 2, raw.whole));
        }
        if raw.flags & TRANSITIVE != 0 {
            self.attributes.unknown.push(Unknown { code: raw.code, value: raw.value });
        }
        Ok(())
    }

    /// What a speaker that knows only two octets has passed on for those who know four (RFC 6793, 4.2.3).
    pub(super) fn finish(&mut self) {
        if let (Some((number, _)), Some(wide)) = (self.attributes.aggregator, self.as4_aggregator) {
            if number != u32::from(AS_TRANS) {
                // Somebody has put another one in front, so what is behind is old.
                return;
            }
            self.attributes.aggregator = Some(wide);
        }
        if let (Some(path), Some(wide)) = (&mut self.attributes.as_path, self.as4_path.take()) {
            let (long, short) = (hops(path), hops(&wide));
            if long >= short {
                let kept = first_hops(path, long - short);
                *path = kept;
                path.extend(wide);
            }
        }
    }
}

pub(super) fn malformed_list() -> Notification {
    Notification::new(notification::UPDATE_MESSAGE, notification::update::MALFORMED_ATTRIBUTES)
}

fn whole<'a, T>(from: &mut Reader<'a>, read: impl FnOnce(&mut Reader<'a>) -> Option<T>) -> Option<T> {
    let value = read(from)?;
    from.is_empty().then_some(value)
}

/// One or more.
fn some<'a, T>(value: &'a [u8], read: impl Fn(&mut Reader<'a>) -> Option<T>) -> Option<Vec<T>> {
    let mut from = Reader(value);
    let mut all = vec![read(&mut from)?];
    while !from.is_empty() {
        all.push(read(&mut from)?);
    }
    Some(all)
}

fn origin(value: &[u8]) -> Option<Origin> {
    Some(match value {
        [0] => Origin::Igp,
        [1] => Origin::Egp,
        [2] => Origin::Incomplete,
        _ => return None,
    })
}

fn aggregator(number: u32, from: &mut Reader<'_>) -> Option<(u32, Ipv4Addr)> {
    // RFC 7607, 2.
    (number != 0).then_some((number, from.array::<4>()?.into()))
}

fn segments(value: &[u8], has_four_octets: bool, is_external: bool) -> Option<Vec<Segment>> {
    let mut from = Reader(value);
    let mut segments = Vec::new();
    while !from.is_empty() {
        let kind = match from.u8()? {
            1 => SegmentKind::Set,
            2 => SegmentKind::Sequence,
            // Those of a confederation end with it (RFC 5065, 5).
            3 if !is_external => SegmentKind::ConfederationSequence,
            4 if !is_external => SegmentKind::ConfederationSet,
            _ => return None,
        };
        let count = from.u8()?;
        let one =
            |from: &mut Reader<'_>| if has_four_octets { from.u32() } else { from.u16().map(u32::from) };
        let numbers = (0..count).map(|_| one(&mut from)).collect::<Option<Vec<u32>>>()?;
        // RFC 7606, 7.2; RFC 7607, 2.
        if numbers.is_empty() || numbers.contains(&0) {
            return None;
        }
        segments.push(Segment { kind, numbers });
    }
    Some(segments)
}

/// How long a path is for whoever compares: a set is one step, and a confederation is none (RFC 5065, 5.3).
fn hops(segments: &[Segment]) -> usize {
    let of = |segment: &Segment| match segment.kind {
        SegmentKind::Sequence => segment.numbers.len(),
        SegmentKind::Set => 1,
        SegmentKind::ConfederationSequence | SegmentKind::ConfederationSet => 0,
    };
    segments.iter().map(of).sum()
}

fn first_hops(segments: &[Segment], mut count: usize) -> Vec<Segment> {
    let mut first = Vec::new();
    for segment in segments {
        match segment.kind {
            SegmentKind::ConfederationSequence | SegmentKind::ConfederationSet => first.push(segment.clone()),
            _ if count == 0 => break,
            SegmentKind::Set => {
                count -= 1;
                first.push(segment.clone());
            }
            SegmentKind::Sequence => {
                let numbers: Vec<u32> = segment.numbers.iter().take(count).copied().collect();
                count -= numbers.len();
                first.push(Segment { kind: segment.kind, numbers });
            }
        }
    }
    first
}

/// What is said of routes that are sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outgoing {
    pub origin: Origin,
    /// As one sequence, the nearest first.
    pub as_path: Vec<u32>,
    pub next_hop: NextHop,
    pub med: Option<u32>,
    /// For internal peers only.
    pub local_preference: Option<u32>,
    pub communities: Vec<u32>,
    pub extended_communities: Vec<[u8; 8]>,
    pub large_communities: Vec<[u32; 3]>,
    pub only_to_customer: Option<u32>,
}

impl Outgoing {
    /// All but next hop and routes, in the order of their codes: those before the next hop, and those after it.
    pub(super) fn write(&self, has_four_octets: bool, next_hop: Option<Ipv4Addr>, out: &mut Vec<u8>) {
        let origin = match self.origin {
            Origin::Igp => 0,
            Origin::Egp => 1,
            Origin::Incomplete => 2,
        };
        put(TRANSITIVE, code::ORIGIN, &[origin], out);
        put(TRANSITIVE, code::AS_PATH, &path(&self.as_path, has_four_octets), out);
        if let Some(next_hop) = next_hop {
            put(TRANSITIVE, code::NEXT_HOP, &next_hop.octets(), out);
        }
        if let Some(med) = self.med {
            put(OPTIONAL, code::MED, &med.to_be_bytes(), out);
        }
        if let Some(preference) = self.local_preference {
            put(TRANSITIVE, code::LOCAL_PREF, &preference.to_be_bytes(), out);
        }
        let numbers =
            |numbers: &[u32]| -> Vec<u8> { numbers.iter().flat_map(|it| it.to_be_bytes()).collect() };
        if !self.communities.is_empty() {
            put(OPTIONAL | TRANSITIVE, code::COMMUNITIES, &numbers(&self.communities), out);
        }
        if !self.extended_communities.is_empty() {
            put(OPTIONAL | TRANSITIVE, code::EXTENDED_COMMUNITIES, &self.extended_communities.concat(), out);
        }
        if !has_four_octets && self.as_path.iter().any(|number| u16::try_from(*number).is_err()) {
            put(OPTIONAL | TRANSITIVE, code::AS4_PATH, &path(&self.as_path, true), out);
        }
        if !self.large_communities.is_empty() {
            let all = self.large_communities.concat();
            put(OPTIONAL | TRANSITIVE, code::LARGE_COMMUNITIES, &numbers(&all), out);
        }
        if let Some(number) = self.only_to_customer {
            put(OPTIONAL | TRANSITIVE, code::ONLY_TO_CUSTOMER, &number.to_be_bytes(), out);
        }
    }
}

pub(super) fn put(flags: u8, code: u8, value: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(value.len()) {
        Ok(length) => out.extend_from_slice(&[flags, code, length]),
        Err(_) => {
            out.extend_from_slice(&[flags | EXTENDED_LENGTH, code]);
            out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(value);
}

fn path(numbers: &[u32], has_four_octets: bool) -> Vec<u8> {
    let mut value = Vec::new();
    for numbers in numbers.chunks(255) {
        value.extend_from_slice(&[2, numbers.len() as u8]);
        for number in numbers {
            if has_four_octets {
                value.extend_from_slice(&number.to_be_bytes());
            } else {
                value.extend_from_slice(&u16::try_from(*number).unwrap_or(AS_TRANS).to_be_bytes());
            }
        }
    }
    value
}

/// As it is passed on by whoever does not know it (RFC 4271, 5).
pub fn pass_on(unknown: &Unknown<'_>, out: &mut Vec<u8>) {
    put(OPTIONAL | TRANSITIVE | PARTIAL, unknown.code, unknown.value, out);
}
