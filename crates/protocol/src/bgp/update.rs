//! UPDATE: routes that come and go (RFC 4271, 4.3; RFC 4760; RFC 8950), and what becomes of those with mistakes (RFC 7606).
//!
//! Only what cannot be read around ends the session. A mistake in an attribute costs the attribute or the routes of its message,
//! and one in the routes of a family other than the first costs the family.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::attribute::{
    Attributes, Collector, Flaw, Handling, NextHop, OPTIONAL, Outgoing, Peer, Raw, code, malformed_list, put,
};
use super::capability::Family;
use super::message::write::message;
use super::notification::{self, Notification, UPDATE_MESSAGE};
use super::prefix::{Path, Paths};
use super::{EXTENDED_MESSAGE_BYTES, HEADER_BYTES, MESSAGE_BYTES};
use crate::reader::Reader;

const UPDATE: u8 = 2;

/// What both sides have agreed on, as far as it says how an UPDATE is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    pub is_external: bool,
    pub has_four_octets: bool,
    pub has_long_messages: bool,
    pub families: BTreeSet<Family>,
    /// Families whose routes may have a next hop of IPv6 though they are of IPv4.
    pub with_ipv6_next_hop: BTreeSet<Family>,
    /// Families of which several paths come, and go.
    pub receives_paths: BTreeSet<Family>,
    pub sends_paths: BTreeSet<Family>,
}

impl Form {
    pub fn longest(&self) -> usize {
        if self.has_long_messages { EXTENDED_MESSAGE_BYTES } else { MESSAGE_BYTES }
    }

    /// Of the one path that is told of a prefix, if the peer takes several (RFC 7911).
    pub(super) fn path_id(&self, family: Family) -> Option<u32> {
        self.sends_paths.contains(&family).then_some(1)
    }
}

#[derive(Debug)]
pub struct Update<'a> {
    pub withdrawn: Vec<(Family, Paths<'a>)>,
    pub announced: Vec<Announced<'a>>,
    pub attributes: Attributes<'a>,
    /// What was wrong, and what has come of it.
    pub flaws: Vec<Flaw>,
    /// Of this family nothing can be believed any more in this session (RFC 7606, 2).
    pub disabled: Option<Family>,
    /// All routes of a family were told (RFC 4724, 2).
    pub end_of: Option<Family>,
}

#[derive(Debug)]
pub struct Announced<'a> {
    pub family: Family,
    pub next_hop: NextHop,
    pub paths: Paths<'a>,
}

/// What there was besides what is kept of it.
#[derive(Default)]
struct Found {
    /// Of attributes, whatever they are.
    count: usize,
    has_unreach: bool,
    /// Of a family that nobody agreed to, or that is disabled.
    has_unread_routes: bool,
}

/// A reach or unreach attribute that cannot be used.
enum Spoilt {
    /// Nobody has agreed to this family.
    NotAgreed,
    Disabled(Family),
    Session(Notification),
}

impl<'a> Update<'a> {
    pub(super) fn read(body: &'a [u8], form: &Form) -> Result<Update<'a>, Notification> {
        let mut from = Reader(body);
        let mut part = || from.u16().and_then(|length| from.take(length.into()));
        let (withdrawn, attributes) = part().zip(part()).ok_or_else(malformed_list)?;
        let announced = from.0;
        let network = || Notification::new(UPDATE_MESSAGE, notification::update::INVALID_NETWORK);
        let has_ids = form.receives_paths.contains(&Family::IPV4_UNICAST);
        let withdrawn = Paths::read(withdrawn, true, has_ids).ok_or_else(network)?;
        let announced = Paths::read(announced, true, has_ids).ok_or_else(network)?;

        let peer = Peer { has_four_octets: form.has_four_octets, is_external: form.is_external };
        let mut collector = Collector::new(peer);
        let mut update = Update {
            withdrawn: Vec::new(),
            announced: Vec::new(),
            attributes: Attributes::default(),
            flaws: Vec::new(),
            disabled: None,
            end_of: None,
        };
        let is_bare = body.len() == 4;
        let found = update.read_attributes(attributes, form, &mut collector)?;
        if !withdrawn.is_empty() {
            update.withdrawn.push((Family::IPV4_UNICAST, withdrawn));
        }
        if is_bare {
            update.end_of = Some(Family::IPV4_UNICAST);
        } else if found.count == 1 && found.has_unreach && withdrawn.is_empty() && announced.is_empty() {
            update.end_of = update.withdrawn.pop_if(|(_, paths)| paths.is_empty()).map(|(family, _)| family);
        }
        update.withdrawn.retain(|(_, paths)| !paths.is_empty());
        collector.finish();
        update.take_first_family(announced, &mut collector);
        update.require(&mut collector);
        update.attributes = collector.attributes;
        update.flaws = collector.flaws;
        if update.flaws.iter().any(|flaw| flaw.handling == Handling::TreatAsWithdraw) {
            let has_others = found.count > usize::from(found.has_unreach);
            if update.announced.is_empty() && !found.has_unread_routes && has_others {
                // RFC 7606, 5.2: attributes of no routes, so nobody can be sure where the routes are.
                return Err(malformed_list());
            }
            let spoilt = update.announced.drain(..).map(|announced| (announced.family, announced.paths));
            update.withdrawn.extend(spoilt);
        }
        Ok(update)
    }

    fn read_attributes(
        &mut self,
        bytes: &'a [u8],
        form: &Form,
        collector: &mut Collector<'a>,
    ) -> Result<Found, Notification> {
        let mut from = Reader(bytes);
        let mut found = Found::default();
        while !from.is_empty() {
            found.count += 1;
            let Some(raw) = Raw::read(&mut from) else {
                // RFC 7606, 4: where the routes begin is known all the same.
                collector.flaw(0, Handling::TreatAsWithdraw, "an attribute is longer than all of them");
                break;
            };
            if !collector.admit(&raw)? {
                continue;
            }
            let spoilt = match raw.code {
                code::MP_REACH => {
                    let result = self.read_reach(raw.value, form);
                    found.has_unread_routes = result.is_err();
                    result
                }
                code::MP_UNREACH => {
                    found.has_unreach = true;
                    self.read_unreach(raw.value, form)
                }
                _ => {
                    collector.take(raw)?;
                    continue;
                }
            };
            match spoilt {
                Ok(()) => {}
                Err(Spoilt::NotAgreed) => {
                    collector.flaw(raw.code, Handling::Discard, "nobody has agreed to its family");
                }
                Err(Spoilt::Disabled(family)) => self.disabled = Some(family),
                Err(Spoilt::Session(notification)) => return Err(notification),
            }
        }
        Ok(found)
    }

    fn read_reach(&mut self, value: &'a [u8], form: &Form) -> Result<(), Spoilt> {
        let mut from = Reader(value);
        let family = read_family(&mut from, form)?;
        let parts = (|| {
            let length = from.u8()?;
            let next_hop = next_hop(from.take(length.into())?, family, form)?;
            let _reserved = from.u8()?;
            let paths = Paths::read(from.0, family.afi == 1, form.receives_paths.contains(&family))?;
            Some((next_hop, paths))
        })();
        let (next_hop, paths) = parts.ok_or_else(|| spoils(family))?;
        if !paths.is_empty() {
            self.announced.push(Announced { family, next_hop, paths });
        }
        Ok(())
    }

    fn read_unreach(&mut self, value: &'a [u8], form: &Form) -> Result<(), Spoilt> {
        let mut from = Reader(value);
        let family = read_family(&mut from, form)?;
        let paths = Paths::read(from.0, family.afi == 1, form.receives_paths.contains(&family));
        self.withdrawn.push((family, paths.ok_or_else(|| spoils(family))?));
        Ok(())
    }

    /// Routes outside the attributes, which have a next hop of their own.
    fn take_first_family(&mut self, paths: Paths<'a>, collector: &mut Collector<'a>) {
        if paths.is_empty() {
            return;
        }
        let next_hop = collector.attributes.next_hop;
        let is_flawed = collector.flaws.iter().any(|flaw| flaw.attribute == code::NEXT_HOP);
        if next_hop.is_none() && !is_flawed {
            collector.flaw(code::NEXT_HOP, Handling::TreatAsWithdraw, "it is missing");
        }
        let next_hop = NextHop::V4(next_hop.unwrap_or(Ipv4Addr::UNSPECIFIED));
        self.announced.push(Announced { family: Family::IPV4_UNICAST, next_hop, paths });
    }

    /// RFC 7606, 3 d.
    fn require(&self, collector: &mut Collector<'a>) {
        if self.announced.is_empty() {
            return;
        }
        let is_flawed =
            |collector: &Collector<'_>, wanted| collector.flaws.iter().any(|flaw| flaw.attribute == wanted);
        let attributes = &collector.attributes;
        let missing =
            [(code::ORIGIN, attributes.origin.is_none()), (code::AS_PATH, attributes.as_path.is_none())];
        for (attribute, _) in missing.into_iter().filter(|(_, is_missing)| *is_missing) {
            if !is_flawed(collector, attribute) {
                collector.flaw(attribute, Handling::TreatAsWithdraw, "it is missing");
            }
        }
    }
}

fn read_family(from: &mut Reader<'_>, form: &Form) -> Result<Family, Spoilt> {
    let family = from.u16().zip(from.u8()).map(|(afi, safi)| Family { afi, safi });
    // Without it nobody knows what to disable.
    let family = family.ok_or_else(|| Spoilt::Session(optional_attribute()))?;
    let is_known = matches!(family, Family::IPV4_UNICAST | Family::IPV6_UNICAST);
    if is_known && form.families.contains(&family) { Ok(family) } else { Err(Spoilt::NotAgreed) }
}

/// RFC 7606, 2: a session cannot go on without its first family, but can without another.
fn spoils(family: Family) -> Spoilt {
    match family {
        Family::IPV4_UNICAST => Spoilt::Session(optional_attribute()),
        family => Spoilt::Disabled(family),
    }
}

fn optional_attribute() -> Notification {
    Notification::new(UPDATE_MESSAGE, notification::update::OPTIONAL_ATTRIBUTE)
}

/// RFC 4760, 3; RFC 2545, 3; RFC 8950, 3.
fn next_hop(bytes: &[u8], family: Family, form: &Form) -> Option<NextHop> {
    let ipv6 = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).ok().map(Ipv6Addr::from);
    if family.afi == 1 && bytes.len() == 4 {
        let octets: [u8; 4] = bytes.try_into().ok()?;
        return Some(NextHop::V4(octets.into()));
    }
    if family.afi == 1 && !form.with_ipv6_next_hop.contains(&family) {
        return None;
    }
    match bytes.len() {
        16 => Some(NextHop::V6 { global: ipv6(bytes)?, link_local: None }),
        32 => Some(NextHop::V6 { global: ipv6(&bytes[..16])?, link_local: Some(ipv6(&bytes[16..])?) }),
        _ => None,
    }
}

/// UPDATE messages as they are sent: as few as there can be.
pub mod write {
    use super::{
        Family, Form, HEADER_BYTES, Ipv6Addr, NextHop, OPTIONAL, Outgoing, Path, UPDATE, code, message, put,
    };

    /// Of an attribute of more than 255 bytes.
    const HEAD_BYTES: usize = 4;
    const FAMILY_BYTES: usize = 3;

    /// What is said of routes of one family, written once for as many messages as they take.
    #[derive(Debug)]
    pub struct Announcement {
        /// The value of MP_REACH_NLRI before its routes, if they are in there.
        reach: Option<Vec<u8>>,
        common: Vec<u8>,
        longest: usize,
    }

    impl Announcement {
        pub fn new(family: Family, attributes: &Outgoing, form: &Form) -> Announcement {
            let classic = match (family, attributes.next_hop) {
                (Family::IPV4_UNICAST, NextHop::V4(address)) => Some(address),
                _ => None,
            };
            let mut common = Vec::new();
            attributes.write(form.has_four_octets, classic, &mut common);
            let reach = classic.is_none().then(|| reach(family, attributes.next_hop));
            Announcement { reach, common, longest: form.longest() }
        }

        /// How many bytes of routes fit into a message.
        pub fn room(&self) -> usize {
            let around = self.reach.as_ref().map_or(0, |reach| HEAD_BYTES + reach.len());
            self.longest.saturating_sub(HEADER_BYTES + 4 + self.common.len() + around)
        }

        /// With routes that fit.
        pub fn message(&self, paths: &[Path]) -> Vec<u8> {
            let mut routes = self.reach.clone().unwrap_or_default();
            paths.iter().for_each(|path| path.write(&mut routes));
            message(UPDATE, |out| {
                out.extend_from_slice(&[0, 0]);
                let mut all = Vec::new();
                if self.reach.is_some() {
                    // First, so that whoever finds a mistake later knows of which routes (RFC 7606, 5.1).
                    put(OPTIONAL, code::MP_REACH, &routes, &mut all);
                }
                all.extend_from_slice(&self.common);
                out.extend_from_slice(&(all.len() as u16).to_be_bytes());
                out.extend_from_slice(&all);
                if self.reach.is_none() {
                    out.extend_from_slice(&routes);
                }
            })
        }
    }

    /// Routes of one family that have all of this in common.
    pub fn announce(family: Family, attributes: &Outgoing, paths: &[Path], form: &Form) -> Vec<Vec<u8>> {
        let announcement = Announcement::new(family, attributes, form);
        portions(paths, announcement.room()).map(|paths| announcement.message(paths)).collect()
    }

    pub fn withdraw(family: Family, paths: &[Path], form: &Form) -> Vec<Vec<u8>> {
        portions(paths, withdrawal_room(family, form)).map(|paths| withdrawal(family, paths)).collect()
    }

    /// How many bytes of routes fit into a message that withdraws them.
    pub fn withdrawal_room(family: Family, form: &Form) -> usize {
        let around = if family == Family::IPV4_UNICAST { 0 } else { HEAD_BYTES + FAMILY_BYTES };
        form.longest() - HEADER_BYTES - 4 - around
    }

    /// Of routes that fit.
    pub fn withdrawal(family: Family, paths: &[Path]) -> Vec<u8> {
        let mut routes = Vec::new();
        paths.iter().for_each(|path| path.write(&mut routes));
        without_routes(family, &routes)
    }

    /// That all routes of a family were told (RFC 4724, 2).
    pub fn end_of_rib(family: Family) -> Vec<u8> {
        without_routes(family, &[])
    }

    fn without_routes(family: Family, withdrawn: &[u8]) -> Vec<u8> {
        message(UPDATE, |out| {
            if family == Family::IPV4_UNICAST {
                out.extend_from_slice(&(withdrawn.len() as u16).to_be_bytes());
                out.extend_from_slice(withdrawn);
                out.extend_from_slice(&[0, 0]);
                return;
            }
            let mut value = family.afi.to_be_bytes().to_vec();
            value.push(family.safi);
            value.extend_from_slice(withdrawn);
            let mut attribute = Vec::new();
            put(OPTIONAL, code::MP_UNREACH, &value, &mut attribute);
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&(attribute.len() as u16).to_be_bytes());
            out.extend_from_slice(&attribute);
        })
    }

    fn reach(family: Family, next_hop: NextHop) -> Vec<u8> {
        let mut value = family.afi.to_be_bytes().to_vec();
        value.push(family.safi);
        match next_hop {
            NextHop::V4(address) => {
                value.push(4);
                value.extend_from_slice(&address.octets());
            }
            NextHop::V6 { global, link_local } => {
                value.push(if link_local.is_some() { 32 } else { 16 });
                value.extend_from_slice(&global.octets());
                value.extend(link_local.iter().flat_map(Ipv6Addr::octets));
            }
        }
        value.push(0);
        value
    }

    /// As many at a time as fit.
    fn portions(paths: &[Path], room: usize) -> impl Iterator<Item = &[Path]> {
        let mut rest = paths;
        std::iter::from_fn(move || {
            let mut bytes = 0;
            let fit = rest.iter().take_while(|path| {
                bytes += path.bytes();
                bytes <= room
            });
            // One that fits nowhere is not sent at all: its attributes are too many, which is refused before.
            let count = fit.count();
            let (portion, after) = rest.split_at(count);
            rest = after;
            (count > 0).then_some(portion)
        })
    }
}
