//! How `rustbgpd-wire` reads and writes.

use std::net::IpAddr;

use bytes::Bytes;
use protocol::bgp::Family;
use protocol::bgp::attribute::{NextHop, Origin, Outgoing};
use protocol::bgp::prefix::{Path, Prefix};
use protocol::bgp::update::Form;
use rustbgpd_wire as wire;
use rustbgpd_wire::{Afi, AsPathSegment, NlriEntry, PathAttribute, Safi};

use crate::said::{Said, merged};

const AS4_PATH: u8 = 17;

pub(crate) fn message(bytes: &[u8], form: &Form) -> wire::Message {
    wire::decode_message(&mut Bytes::copy_from_slice(bytes), form.longest() as u16).unwrap()
}

pub(crate) fn update(bytes: &[u8], form: &Form) -> Said {
    let wire::Message::Update(update) = message(bytes, form) else { panic!("it is no UPDATE") };
    let with_paths = families(form);
    let has_paths = with_paths.contains(&(Afi::Ipv4, Safi::Unicast));
    let parsed = update
        .parse_revised(form.has_four_octets, !form.is_external, has_paths, &with_paths)
        .expect("another decoder takes it");
    assert!(parsed.malformed.is_empty(), "{:?}", parsed.malformed);
    let parsed = parsed.update;
    let classic =
        |entry: &wire::Ipv4NlriEntry| path(entry.path_id, wire::Prefix::V4(entry.prefix), has_paths);
    let mut said = Said { withdrawn: parsed.withdrawn.iter().map(classic).collect(), ..Said::default() };
    let mut announced: Vec<Path> = parsed.announced.iter().map(classic).collect();
    let mut next_hop = None;
    for attribute in &parsed.attributes {
        match attribute {
            PathAttribute::MpReachNlri(reach) => {
                let has_paths = with_paths.contains(&(reach.afi, reach.safi));
                announced.extend(reach.announced.iter().map(|it| path(it.path_id, it.prefix, has_paths)));
                next_hop = Some(match reach.next_hop {
                    IpAddr::V4(address) => NextHop::V4(address),
                    IpAddr::V6(global) => NextHop::V6 { global, link_local: reach.link_local_next_hop },
                });
            }
            PathAttribute::MpUnreachNlri(unreach) => {
                let has_paths = with_paths.contains(&(unreach.afi, unreach.safi));
                said.withdrawn
                    .extend(unreach.withdrawn.iter().map(|it| path(it.path_id, it.prefix, has_paths)));
                if unreach.withdrawn.is_empty() {
                    said.end_of = Some(Family { afi: unreach.afi as u16, safi: unreach.safi as u8 });
                }
            }
            PathAttribute::NextHop(address) => next_hop = Some(NextHop::V4(*address)),
            _ => {}
        }
    }
    if parsed.attributes.is_empty() && said.withdrawn.is_empty() && announced.is_empty() {
        said.end_of = Some(Family::IPV4_UNICAST);
    }
    said.announced = next_hop.map(|next_hop| (outgoing(&parsed.attributes, next_hop), announced));
    said
}

fn outgoing(attributes: &[PathAttribute], next_hop: NextHop) -> Outgoing {
    let mut outgoing = Outgoing {
        origin: Origin::Igp,
        as_path: Vec::new(),
        next_hop,
        med: None,
        local_preference: None,
        communities: Vec::new(),
        extended_communities: Vec::new(),
        large_communities: Vec::new(),
        only_to_customer: None,
    };
    let mut wide = None;
    for attribute in attributes {
        match attribute {
            PathAttribute::Origin(wire::Origin::Igp) => outgoing.origin = Origin::Igp,
            PathAttribute::Origin(wire::Origin::Egp) => outgoing.origin = Origin::Egp,
            PathAttribute::Origin(wire::Origin::Incomplete) => outgoing.origin = Origin::Incomplete,
            PathAttribute::AsPath(path) => outgoing.as_path = numbers(path),
            PathAttribute::Med(med) => outgoing.med = Some(*med),
            PathAttribute::LocalPref(preference) => outgoing.local_preference = Some(*preference),
            PathAttribute::Communities(all) => outgoing.communities.clone_from(all),
            PathAttribute::ExtendedCommunities(all) => {
                outgoing.extended_communities = all.iter().map(|it| it.as_u64().to_be_bytes()).collect();
            }
            PathAttribute::LargeCommunities(all) => {
                let large = all.iter().map(|it| [it.global_admin, it.local_data1, it.local_data2]);
                outgoing.large_communities = large.collect();
            }
            PathAttribute::OnlyToCustomer(number) => outgoing.only_to_customer = Some(*number),
            // It leaves this one to its caller; segments of a kind, a count and numbers of four octets.
            PathAttribute::Unknown(raw) if raw.type_code == AS4_PATH => wide = Some(wide_path(&raw.data)),
            PathAttribute::NextHop(_) | PathAttribute::MpReachNlri(_) => {}
            other => panic!("nobody has said {other:?}"),
        }
    }
    outgoing.as_path = merged(outgoing.as_path, wide);
    outgoing
}

fn numbers(path: &wire::AsPath) -> Vec<u32> {
    let of_segment = |segment: &AsPathSegment| match segment {
        AsPathSegment::AsSequence(numbers) => numbers.clone(),
        AsPathSegment::AsSet(_) => panic!("nobody has said a set"),
    };
    path.segments.iter().flat_map(of_segment).collect()
}

fn wide_path(mut bytes: &[u8]) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let [2, count, rest @ ..] = bytes {
        let (segment, after) = rest.split_at(usize::from(*count) * 4);
        numbers.extend(segment.chunks(4).map(|it| u32::from_be_bytes(it.try_into().unwrap())));
        bytes = after;
    }
    assert!(bytes.is_empty());
    numbers
}

/// The same as it writes it.
pub(crate) fn announce(family: Family, outgoing: &Outgoing, paths: &[Path], form: &Form) -> Vec<u8> {
    let (afi, _) = family_of(family);
    let has_paths = form.sends_paths.contains(&family);
    let mut attributes = attributes(outgoing);
    let mut classic = Vec::new();
    match outgoing.next_hop {
        NextHop::V4(address) => {
            attributes.push(PathAttribute::NextHop(address));
            classic = paths.iter().map(|path| entry_v4(*path)).collect();
        }
        NextHop::V6 { global, link_local } => {
            attributes.push(PathAttribute::MpReachNlri(Box::new(wire::MpReachNlri {
                afi,
                safi: Safi::Unicast,
                next_hop: global.into(),
                link_local_next_hop: link_local,
                announced: paths.iter().map(|path| entry(*path)).collect(),
                flowspec_announced: Vec::new(),
                evpn_announced: Vec::new(),
                bgpls_announced: Vec::new(),
                vpn_announced: Vec::new(),
                labeled_announced: Vec::new(),
                rtc_announced: Vec::new(),
            })));
        }
    }
    let mode = wire::Ipv4UnicastMode::Body;
    let built = wire::UpdateMessage::build(&classic, &[], &attributes, form.has_four_octets, has_paths, mode);
    wire::encode_message_with_limit(&wire::Message::Update(built), u16::MAX).unwrap().to_vec()
}

fn attributes(outgoing: &Outgoing) -> Vec<PathAttribute> {
    let origin = match outgoing.origin {
        Origin::Igp => wire::Origin::Igp,
        Origin::Egp => wire::Origin::Egp,
        Origin::Incomplete => wire::Origin::Incomplete,
    };
    let segments = outgoing.as_path.chunks(200).map(|numbers| AsPathSegment::AsSequence(numbers.to_vec()));
    let mut attributes = vec![
        PathAttribute::Origin(origin),
        PathAttribute::AsPath(wire::AsPath { segments: segments.collect() }),
    ];
    attributes.extend(outgoing.med.map(PathAttribute::Med));
    attributes.extend(outgoing.local_preference.map(PathAttribute::LocalPref));
    if !outgoing.communities.is_empty() {
        attributes.push(PathAttribute::Communities(outgoing.communities.clone()));
    }
    if !outgoing.extended_communities.is_empty() {
        let all = outgoing.extended_communities.iter();
        let all = all.map(|it| wire::ExtendedCommunity::new(u64::from_be_bytes(*it)));
        attributes.push(PathAttribute::ExtendedCommunities(all.collect()));
    }
    if !outgoing.large_communities.is_empty() {
        let all = outgoing.large_communities.iter().map(|[a, b, c]| wire::LargeCommunity::new(*a, *b, *c));
        attributes.push(PathAttribute::LargeCommunities(all.collect()));
    }
    attributes.extend(outgoing.only_to_customer.map(PathAttribute::OnlyToCustomer));
    attributes
}

fn families(form: &Form) -> Vec<(Afi, Safi)> {
    form.receives_paths.iter().map(|family| family_of(*family)).collect()
}

pub(crate) fn family_of(family: Family) -> (Afi, Safi) {
    (Afi::from_u16(family.afi).unwrap(), Safi::from_u8(family.safi).unwrap())
}

fn path(id: u32, prefix: wire::Prefix, has_ids: bool) -> Path {
    let prefix = match prefix {
        wire::Prefix::V4(prefix) => Prefix::new(prefix.addr.into(), prefix.len),
        wire::Prefix::V6(prefix) => Prefix::new(prefix.addr.into(), prefix.len),
    };
    Path { id: has_ids.then_some(id), prefix: prefix.unwrap() }
}

fn entry(path: Path) -> NlriEntry {
    let prefix = match path.prefix.address() {
        IpAddr::V4(address) => wire::Prefix::V4(wire::Ipv4Prefix::new(address, path.prefix.length())),
        IpAddr::V6(address) => wire::Prefix::V6(wire::Ipv6Prefix::new(address, path.prefix.length())),
    };
    NlriEntry { path_id: path.id.unwrap_or(0), prefix }
}

fn entry_v4(path: Path) -> wire::Ipv4NlriEntry {
    match entry(path) {
        NlriEntry { path_id, prefix: wire::Prefix::V4(prefix) } => wire::Ipv4NlriEntry { path_id, prefix },
        other => panic!("{other:?} is not of IPv4"),
    }
}
