//! Any bytes are messages or end in a NOTIFICATION; what is read of them is bounded by them; and what is sound is written as it was read.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use protocol::bgp::attribute::Handling;
use protocol::bgp::update::{Form, Update};
use protocol::bgp::{Capability, Family, Message, frame, write};

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (flags, is_framed, bytes) = input;
    let form = form(flags);
    let mut framed;
    let mut stream = bytes;
    // So that not nearly all of them fail at the marker.
    if is_framed && let Some((kind, body)) = bytes.split_first() {
        framed = vec![0xff; 16];
        framed.extend_from_slice(&(body.len() as u16).saturating_add(19).to_be_bytes());
        framed.push(kind % 6);
        framed.extend_from_slice(body);
        stream = &framed;
    }
    loop {
        match frame(stream, form.longest()) {
            Ok(Some(next)) => {
                assert!(next.bytes >= 19 && next.bytes <= stream.len());
                match Message::read(next, &form) {
                    Ok(message) => look_at(&message, &form),
                    Err(notification) => assert!(!notification.to_string().is_empty()),
                }
                stream = &stream[next.bytes..];
            }
            Ok(None) => break,
            Err(notification) => {
                assert_eq!(notification.code, 1);
                break;
            }
        }
    }
});

fn form(flags: u8) -> Form {
    let has = |bit: u8| flags & 1 << bit != 0;
    let ipv4: BTreeSet<Family> = [Family::IPV4_UNICAST].into();
    let both: BTreeSet<Family> = [Family::IPV4_UNICAST, Family::IPV6_UNICAST].into();
    let none = BTreeSet::new();
    Form {
        is_external: has(0),
        has_four_octets: has(1),
        has_long_messages: has(2),
        families: if has(3) { both.clone() } else { ipv4.clone() },
        with_ipv6_next_hop: if has(4) { ipv4 } else { none.clone() },
        receives_paths: if has(5) { both } else { none.clone() },
        sends_paths: none,
    }
}

fn look_at(message: &Message<'_>, form: &Form) {
    match message {
        Message::Open(open) => {
            assert!(open.autonomous_system != 0 && open.hold_secs != 1 && open.hold_secs != 2);
            assert!(!open.families().is_empty());
            // More than fit into one message are not what anybody writes.
            if open.capabilities.len() < 30 && !open.capabilities.iter().any(is_cut) {
                let again = write::open(open);
                if let Ok(Some(frame)) = frame(&again, 4096) {
                    let Ok(Message::Open(read)) = Message::read(frame, form) else { panic!("it was read before") };
                    assert_eq!(read.capabilities, open.capabilities);
                }
            }
        }
        Message::Update(update) => look_at_update(update, form),
        Message::Notification(notification) => {
            assert!(notification.to_string().chars().all(|character| !character.is_control()));
            let _ = (notification.inner(), notification.text());
        }
        Message::KeepAlive | Message::RouteRefresh(_) => {}
    }
}

/// Names are written no longer than a label may be, and what is no text is not written as it came.
fn is_cut(capability: &Capability) -> bool {
    match capability {
        Capability::HostName { host, domain } => {
            host.len() > 63 || domain.len() > 63 || (host.clone() + domain).contains('\u{fffd}')
        }
        _ => false,
    }
}

fn look_at_update(update: &Update<'_>, form: &Form) {
    let is_spoilt = update.flaws.iter().any(|flaw| flaw.handling == Handling::TreatAsWithdraw);
    assert!(!is_spoilt || update.announced.is_empty());
    assert!(update.flaws.len() <= 4096);
    for announced in &update.announced {
        assert!(form.families.contains(&announced.family) || announced.family == Family::IPV4_UNICAST);
        assert!(update.attributes.origin.is_some() && update.attributes.as_path.is_some());
        assert!(announced.paths.iter().count() > 0);
    }
    for (family, paths) in &update.withdrawn {
        assert!(paths.iter().all(|path| path.prefix.family() == *family));
    }
    assert!(update.end_of.is_none() || update.announced.is_empty() && update.withdrawn.is_empty());
}
