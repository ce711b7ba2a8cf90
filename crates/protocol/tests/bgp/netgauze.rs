//! How `netgauze-bgp-pkt` reads and writes.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::{Ipv4Net, Ipv6Net};
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::community::{Community, ExtendedCommunity, LargeCommunity};
use netgauze_bgp_pkt::nlri::{Ipv4Unicast, Ipv4UnicastAddress, Ipv6Unicast, Ipv6UnicastAddress};
use netgauze_bgp_pkt::path_attribute::{
    self as theirs, AsPath, MpReach, MpUnreach, PathAttribute, PathAttributeValue,
};
use netgauze_bgp_pkt::update::BgpUpdateMessage;
use netgauze_bgp_pkt::wire::deserializer::BgpParsingContext;
use netgauze_iana::address_family::{AddressFamily, AddressType, SubsequentAddressFamily};
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::{ParseFrom, ParseFromWithOneInput};
use protocol::bgp::Family;
use protocol::bgp::attribute::{NextHop, Origin, Outgoing};
use protocol::bgp::prefix::{Path, Prefix};
use protocol::bgp::update::Form;

use crate::said::{Said, merged};

pub(crate) fn message(bytes: &[u8], form: &Form) -> BgpMessage {
    let with_paths: HashMap<AddressType, bool> =
        form.receives_paths.iter().map(|family| (type_of(*family), true)).collect();
    let four = form.has_four_octets;
    let mut context = BgpParsingContext::new(four, HashMap::new(), with_paths, true, true, true, true);
    BgpMessage::parse(&mut SliceReader::new(bytes), &mut context).expect("another decoder takes it")
}

pub(crate) fn bytes(message: &BgpMessage) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.write(&mut bytes).expect("it writes what it is given");
    bytes
}

pub(crate) fn update(bytes: &[u8], form: &Form) -> Said {
    let BgpMessage::Update(update) = message(bytes, form) else { panic!("it is no UPDATE") };
    let mut said = Said {
        withdrawn: update.withdraw_routes().iter().map(path_v4).collect(),
        announced: None,
        end_of: update.end_of_rib().map(family_of),
    };
    let mut announced: Vec<Path> = update.nlri().iter().map(path_v4).collect();
    let mut next_hop = None;
    for attribute in update.path_attributes() {
        match attribute.value() {
            PathAttributeValue::NextHop(it) => next_hop = Some(NextHop::V4(it.next_hop())),
            PathAttributeValue::MpReach(MpReach::Ipv4Unicast { next_hop: to, next_hop_local, nlri }) => {
                next_hop = Some(match to {
                    IpAddr::V4(address) => NextHop::V4(*address),
                    IpAddr::V6(global) => NextHop::V6 { global: *global, link_local: *next_hop_local },
                });
                announced.extend(nlri.iter().map(path_v4));
            }
            PathAttributeValue::MpReach(MpReach::Ipv6Unicast { next_hop_global, next_hop_local, nlri }) => {
                next_hop = Some(NextHop::V6 { global: *next_hop_global, link_local: *next_hop_local });
                announced.extend(nlri.iter().map(path_v6));
            }
            PathAttributeValue::MpUnreach(MpUnreach::Ipv6Unicast { nlri }) => {
                said.withdrawn.extend(nlri.iter().map(path_v6));
            }
            _ => {}
        }
    }
    said.announced = next_hop.map(|next_hop| (outgoing(update.path_attributes(), next_hop), announced));
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
        match attribute.value() {
            PathAttributeValue::Origin(theirs::Origin::IGP) => outgoing.origin = Origin::Igp,
            PathAttributeValue::Origin(theirs::Origin::EGP) => outgoing.origin = Origin::Egp,
            PathAttributeValue::Origin(theirs::Origin::Incomplete) => outgoing.origin = Origin::Incomplete,
            PathAttributeValue::AsPath(AsPath::As4PathSegments(segments)) => {
                outgoing.as_path = segments.iter().flat_map(|it| it.as_numbers().to_vec()).collect();
            }
            PathAttributeValue::AsPath(AsPath::As2PathSegments(segments)) => {
                outgoing.as_path = segments
                    .iter()
                    .flat_map(netgauze_bgp_pkt::path_attribute::As2PathSegment::as_numbers)
                    .copied()
                    .map(u32::from)
                    .collect();
            }
            PathAttributeValue::As4Path(path) => {
                wide = Some(path.segments().iter().flat_map(|it| it.as_numbers().to_vec()).collect());
            }
            PathAttributeValue::MultiExitDiscriminator(med) => outgoing.med = Some(med.metric()),
            PathAttributeValue::LocalPreference(it) => outgoing.local_preference = Some(it.metric()),
            PathAttributeValue::Communities(all) => {
                outgoing.communities = all.communities().iter().map(Community::value).collect();
            }
            PathAttributeValue::ExtendedCommunities(all) => {
                outgoing.extended_communities = all.communities().iter().map(extended_bytes).collect();
            }
            PathAttributeValue::LargeCommunities(all) => {
                let large = all.communities().iter();
                outgoing.large_communities =
                    large.map(|it| [it.global_admin(), it.local_data1(), it.local_data2()]).collect();
            }
            PathAttributeValue::OnlyToCustomer(it) => outgoing.only_to_customer = Some(it.asn()),
            PathAttributeValue::NextHop(_) | PathAttributeValue::MpReach(_) => {}
            other => panic!("nobody has said {other:?}"),
        }
    }
    outgoing.as_path = merged(outgoing.as_path, wide);
    outgoing
}

/// The same as it writes it, to a neighbour that knows four octets.
pub(crate) fn announce(family: Family, outgoing: &Outgoing, paths: &[Path]) -> Vec<u8> {
    let mut attributes = attributes(outgoing);
    let mut classic = Vec::new();
    let reach = match (family, outgoing.next_hop) {
        (Family::IPV4_UNICAST, NextHop::V4(address)) => {
            classic = paths.iter().map(address_v4).collect();
            PathAttributeValue::NextHop(theirs::NextHop::new(address))
        }
        (Family::IPV4_UNICAST, NextHop::V6 { global, link_local }) => {
            PathAttributeValue::MpReach(MpReach::Ipv4Unicast {
                next_hop: global.into(),
                next_hop_local: link_local,
                nlri: paths.iter().map(address_v4).collect(),
            })
        }
        (_, NextHop::V6 { global, link_local }) => PathAttributeValue::MpReach(MpReach::Ipv6Unicast {
            next_hop_global: global,
            next_hop_local: link_local,
            nlri: paths.iter().map(address_v6).collect(),
        }),
        (_, NextHop::V4(_)) => panic!("nobody says that"),
    };
    attributes.push(reach);
    let attributes: Vec<PathAttribute> = attributes.into_iter().map(attribute).collect();
    bytes(&BgpMessage::Update(BgpUpdateMessage::new(Vec::new(), attributes, classic)))
}

fn attributes(outgoing: &Outgoing) -> Vec<PathAttributeValue> {
    let origin = match outgoing.origin {
        Origin::Igp => theirs::Origin::IGP,
        Origin::Egp => theirs::Origin::EGP,
        Origin::Incomplete => theirs::Origin::Incomplete,
    };
    let segment = |numbers: &[u32]| {
        theirs::As4PathSegment::new(theirs::AsPathSegmentType::AsSequence, numbers.to_vec())
    };
    let segments: Vec<_> = outgoing.as_path.chunks(255).map(segment).collect();
    let mut attributes = vec![
        PathAttributeValue::Origin(origin),
        PathAttributeValue::AsPath(AsPath::as4_path_segments(segments)),
    ];
    attributes.extend(
        outgoing
            .med
            .map(|med| PathAttributeValue::MultiExitDiscriminator(theirs::MultiExitDiscriminator::new(med))),
    );
    attributes.extend(
        outgoing
            .local_preference
            .map(|it| PathAttributeValue::LocalPreference(theirs::LocalPreference::new(it))),
    );
    if !outgoing.communities.is_empty() {
        let all: Vec<_> = outgoing.communities.iter().map(|it| Community::new(*it)).collect();
        attributes.push(PathAttributeValue::Communities(theirs::Communities::new(all)));
    }
    if !outgoing.extended_communities.is_empty() {
        let one = |bytes: &[u8; 8]| ExtendedCommunity::parse(&mut SliceReader::new(bytes)).unwrap();
        let all: Vec<_> = outgoing.extended_communities.iter().map(one).collect();
        attributes.push(PathAttributeValue::ExtendedCommunities(theirs::ExtendedCommunities::new(all)));
    }
    if !outgoing.large_communities.is_empty() {
        let all = outgoing.large_communities.iter().map(|[a, b, c]| LargeCommunity::new(*a, *b, *c));
        let all: Vec<_> = all.collect();
        attributes.push(PathAttributeValue::LargeCommunities(theirs::LargeCommunities::new(all)));
    }
    attributes.extend(
        outgoing
            .only_to_customer
            .map(|it| PathAttributeValue::OnlyToCustomer(theirs::OnlyToCustomer::new(it))),
    );
    attributes
}

fn attribute(value: PathAttributeValue) -> PathAttribute {
    // It knows of most which flags they have.
    let is_optional = value.can_be_optional().unwrap_or(true);
    let is_transitive = value.can_be_transitive().unwrap_or(true);
    PathAttribute::from(is_optional, is_transitive, false, true, value).unwrap()
}

fn extended_bytes(community: &ExtendedCommunity) -> [u8; 8] {
    let mut bytes = Vec::new();
    community.write(&mut bytes).unwrap();
    bytes.try_into().unwrap()
}

pub(crate) fn type_of(family: Family) -> AddressType {
    let afi = AddressFamily::try_from(family.afi).unwrap();
    AddressType::from_afi_safi(afi, SubsequentAddressFamily::try_from(family.safi).unwrap()).unwrap()
}

pub(crate) fn family_of(family: AddressType) -> Family {
    Family { afi: family.address_family().into(), safi: family.subsequent_address_family().into() }
}

fn path_v4(address: &Ipv4UnicastAddress) -> Path {
    let net = address.network().address();
    Path { id: address.path_id(), prefix: Prefix::new(net.addr().into(), net.prefix_len()).unwrap() }
}

fn path_v6(address: &Ipv6UnicastAddress) -> Path {
    let net = address.network().address();
    Path { id: address.path_id(), prefix: Prefix::new(net.addr().into(), net.prefix_len()).unwrap() }
}

fn address_v4(path: &Path) -> Ipv4UnicastAddress {
    let IpAddr::V4(address) = path.prefix.address() else { panic!("{path:?} is not of IPv4") };
    let net = Ipv4Net::new(address, path.prefix.length()).unwrap();
    Ipv4UnicastAddress::new(path.id, Ipv4Unicast::from_net(net).unwrap())
}

fn address_v6(path: &Path) -> Ipv6UnicastAddress {
    let IpAddr::V6(address) = path.prefix.address() else { panic!("{path:?} is not of IPv6") };
    let net = Ipv6Net::new(address, path.prefix.length()).unwrap();
    Ipv6UnicastAddress::new(path.id, Ipv6Unicast::from_net(net).unwrap())
}
