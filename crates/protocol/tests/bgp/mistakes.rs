//! What a mistake in an attribute costs (RFC 7606), in the eyes of two.

use protocol::bgp::attribute::{Handling, NextHop};
use protocol::bgp::prefix::{Path, Prefix};
use protocol::bgp::update::{Form, write};
use protocol::bgp::{Family, Message, frame};
use rustbgpd_wire as wire;

use crate::neighbour::plain;
use crate::rustbgpd;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    Nothing,
    Attribute,
    Routes,
    Session,
}

#[test]
fn every_byte_that_is_wrong_costs_what_others_think_it_does() {
    let mut compared = 0;
    for is_external in [true, false] {
        let form = Form {
            is_external,
            has_four_octets: true,
            families: [Family::IPV4_UNICAST].into(),
            ..Form::default()
        };
        let bytes = message(&form);
        let kind_of_segment = 23 + 4 + 3;
        for at in places(&bytes) {
            for value in 0..=255 {
                // Another member of a confederation may say so to an internal peer (RFC 5065, 5); the other knows none.
                if !is_external && at == kind_of_segment && value == 3 {
                    continue;
                }
                let mut bytes = bytes.clone();
                bytes[at] = value;
                if let Some((ours, theirs)) = costs(&bytes, &form) {
                    assert_eq!(ours, theirs, "byte {at} is {value}, external: {is_external}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 20_000, "{compared}");
}

fn message(form: &Form) -> Vec<u8> {
    let mut said = plain(NextHop::V4([192, 0, 2, 1].into()));
    said.as_path = vec![65001, 65002];
    said.med = Some(7);
    said.local_preference = (!form.is_external).then_some(100);
    said.communities = vec![1, 2];
    said.extended_communities = vec![[0, 2, 0, 1, 0, 0, 0, 1]];
    said.large_communities = vec![[1, 2, 3]];
    said.only_to_customer = Some(65001);
    let path = Path { id: None, prefix: Prefix::new([203, 0, 113, 7].into(), 32).unwrap() };
    write::announce(Family::IPV4_UNICAST, &said, &[path], form).remove(0)
}

/// All of the attributes but their types: what others know that this crate does not is no mistake.
fn places(bytes: &[u8]) -> Vec<usize> {
    let end = 23 + usize::from(u16::from_be_bytes([bytes[21], bytes[22]]));
    let (mut places, mut at) = (Vec::new(), 23);
    while at < end {
        let next = at + 3 + usize::from(bytes[at + 2]);
        places.extend((at..next).filter(|place| *place != at + 1));
        at = next;
    }
    places
}

/// `None`: the two have different questions in mind.
fn costs(bytes: &[u8], form: &Form) -> Option<(Cost, Cost)> {
    let ours = match Message::read(frame(bytes, 4096).unwrap().unwrap(), form) {
        // One that everybody has to know and nobody does: the other looks for those later.
        Err(notification) if notification.subcode == 2 => return None,
        Err(_) => Cost::Session,
        Ok(Message::Update(update)) => match update.flaws.iter().map(|flaw| flaw.handling).max() {
            None => Cost::Nothing,
            Some(Handling::Discard) => Cost::Attribute,
            Some(Handling::TreatAsWithdraw) => Cost::Routes,
        },
        Ok(other) => panic!("{other:?}"),
    };
    let wire::Message::Update(update) = rustbgpd::message(bytes, form) else { panic!("it is no UPDATE") };
    let Ok(parsed) = update.parse_revised(form.has_four_octets, !form.is_external, false, &[]) else {
        return Some((ours, Cost::Session));
    };
    // It refuses sets in paths (RFC 9774), which this crate only reads, and the Partial bit where RFC 7606, 3 c has not named it.
    let is_stricter = |flaw: &wire::MalformedAttribute| {
        let text = format!("{:?}", flaw.error);
        text.contains("ProhibitedAsSet") || text.contains("flags 0xa") || text.contains("flags 0xb")
    };
    if parsed.malformed.iter().any(is_stricter) {
        return None;
    }
    let of = |flaw: &wire::MalformedAttribute| match flaw.disposition {
        wire::ErrorDisposition::AttributeDiscard => Cost::Attribute,
        wire::ErrorDisposition::TreatAsWithdraw => Cost::Routes,
        wire::ErrorDisposition::SessionReset => Cost::Session,
    };
    Some((ours, parsed.malformed.iter().map(of).max().unwrap_or(Cost::Nothing)))
}
