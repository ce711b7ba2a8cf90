//! What we write they read to the same values, and what they write we do.

use netgauze_bgp_pkt::BgpMessage;
use proptest::prelude::*;
use protocol::bgp::attribute::NextHop;
use protocol::bgp::notification::{self, Notification, cease};
use protocol::bgp::update::{Form, write};
use protocol::bgp::{Family, Message, RouteRefresh, frame};
use rustbgpd_wire::{self as wire, notification as shutdown};

use crate::said::{Said, ours};
use crate::{generate, netgauze, rustbgpd};

const FAMILIES: [Family; 2] = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn routes_are_read_alike(
        (form, is_ipv4, outgoing, paths) in (generate::form(), any::<bool>()).prop_flat_map(|(form, is_ipv4)| {
            let has_ids = !form.sends_paths.is_empty();
            let outgoing = generate::outgoing(is_ipv4, form.is_external);
            (Just(form), Just(is_ipv4), outgoing, generate::paths(is_ipv4, has_ids))
        }),
    ) {
        let family = FAMILIES[usize::from(!is_ipv4)];
        let mut read = Vec::new();
        for bytes in write::announce(family, &outgoing, &paths, &form) {
            prop_assert!(bytes.len() <= form.longest());
            let said = ours(&bytes, &form);
            prop_assert_eq!(&rustbgpd::update(&bytes, &form), &said);
            prop_assert_eq!(&netgauze::update(&bytes, &form), &said);
            let (found, paths) = said.announced.unwrap();
            prop_assert_eq!(&found, &outgoing);
            read.extend(paths);
        }
        prop_assert_eq!(&read, &paths);

        let mut gone = Vec::new();
        for bytes in write::withdraw(family, &paths, &form) {
            let said = ours(&bytes, &form);
            prop_assert_eq!(&rustbgpd::update(&bytes, &form), &said);
            prop_assert_eq!(&netgauze::update(&bytes, &form), &said);
            gone.extend(said.withdrawn);
        }
        prop_assert_eq!(gone, paths);
    }

    #[test]
    fn routes_that_others_write_are_read_as_they_mean_them(
        (form, is_ipv4, outgoing, paths) in (generate::form(), any::<bool>()).prop_flat_map(|(form, is_ipv4)| {
            let has_ids = !form.sends_paths.is_empty();
            let outgoing = generate::outgoing(is_ipv4, form.is_external);
            (Just(form), Just(is_ipv4), outgoing, generate::paths(is_ipv4, has_ids))
        }),
    ) {
        let family = FAMILIES[usize::from(!is_ipv4)];
        let form = Form { has_long_messages: true, has_four_octets: true, ..form };
        let expected = Said { announced: Some((outgoing.clone(), paths.clone())), ..Said::default() };
        prop_assert_eq!(&ours(&rustbgpd::announce(family, &outgoing, &paths, &form), &form), &expected);
        prop_assert_eq!(&ours(&netgauze::announce(family, &outgoing, &paths), &form), &expected);
    }

    #[test]
    fn notifications_are_read_alike(text in ".{0,100}", data in prop::collection::vec(any::<u8>(), 0..40)) {
        let shutdown = Notification::cease(cease::ADMINISTRATIVE_SHUTDOWN, &text);
        let mut all = vec![Notification::hard_reset(&shutdown), shutdown, Notification::cease(cease::ADMINISTRATIVE_RESET, &text)];
        all.extend((1..=10).map(|subcode| Notification::with(notification::CEASE, subcode, data.clone())));
        all.extend([1, 2, 3].map(|subcode| Notification::with(notification::MESSAGE_HEADER, subcode, data.clone())));
        all.extend([0, 1, 2, 3, 4, 6, 7, 11].map(|subcode| Notification::with(notification::OPEN_MESSAGE, subcode, data.clone())));
        all.extend([1, 2, 3, 4, 5, 6, 8, 9, 10, 11].map(|subcode| Notification::with(notification::UPDATE_MESSAGE, subcode, data.clone())));
        all.extend([0, 1, 2, 3].map(|subcode| Notification::with(notification::STATE_MACHINE, subcode, data.clone())));
        all.push(Notification::new(notification::HOLD_TIMER_EXPIRED, 0));
        all.push(Notification::with(notification::ROUTE_REFRESH_MESSAGE, 1, data));
        for notification in all {
            let bytes = protocol::bgp::write::notification(&notification);
            let wire::Message::Notification(theirs) = rustbgpd::message(&bytes, &Form::default()) else {
                panic!("it is no NOTIFICATION");
            };
            prop_assert_eq!((theirs.code.as_u8(), theirs.subcode), (notification.code, notification.subcode));
            prop_assert_eq!(theirs.data.as_ref(), notification.data.as_slice());
            // Of the other the code is in the type, so it is compared by what it writes.
            let theirs = netgauze::message(&bytes, &Form::default());
            prop_assert!(matches!(theirs, BgpMessage::Notification(_)));
            prop_assert_eq!(netgauze::bytes(&theirs), bytes.clone());
            let read = Message::read(frame(&bytes, 4096).unwrap().unwrap(), &Form::default()).unwrap();
            let Message::Notification(read) = read else { panic!("{read:?}") };
            prop_assert_eq!(read, notification);
        }
    }
}

#[test]
fn the_text_of_a_shutdown_is_read_alike() {
    for text in ["", "moving to node-b", "für immer"] {
        let notification = Notification::cease(cease::ADMINISTRATIVE_SHUTDOWN, text);
        let theirs = shutdown::decode_shutdown_communication(&notification.data);
        assert_eq!(theirs.unwrap_or_default(), text);
        let theirs = shutdown::encode_shutdown_communication(text);
        let read = Notification::with(notification::CEASE, cease::ADMINISTRATIVE_SHUTDOWN, theirs.to_vec());
        assert_eq!(read.text().unwrap_or_default(), text);
    }
}

#[test]
fn requests_for_routes_and_the_ends_of_tables_are_read_alike() {
    let form = Form { families: FAMILIES.into(), ..Form::default() };
    for family in FAMILIES {
        for (kind, refresh) in
            [RouteRefresh::Request(family), RouteRefresh::Begin(family), RouteRefresh::End(family)]
                .into_iter()
                .enumerate()
        {
            let bytes = protocol::bgp::write::route_refresh(refresh);
            let wire::Message::RouteRefresh(theirs) = rustbgpd::message(&bytes, &form) else {
                panic!("it is no ROUTE-REFRESH");
            };
            assert_eq!(
                (theirs.afi_raw, theirs.safi_raw, usize::from(theirs.subtype_raw)),
                (family.afi, family.safi, kind)
            );
            let BgpMessage::RouteRefresh(theirs) = netgauze::message(&bytes, &form) else {
                panic!("it is no ROUTE-REFRESH");
            };
            assert_eq!(theirs.address_type(), netgauze::type_of(family));
            assert_eq!(u8::from(theirs.operation_type()), kind as u8);
        }
        let bytes = write::end_of_rib(family);
        let expected = Said { end_of: Some(family), ..Said::default() };
        assert_eq!(ours(&bytes, &form), expected);
        assert_eq!(rustbgpd::update(&bytes, &form), expected);
        assert_eq!(netgauze::update(&bytes, &form), expected);
    }
    let keep_alive = protocol::bgp::write::keep_alive();
    assert_eq!(rustbgpd::message(&keep_alive, &form), wire::Message::Keepalive);
    assert_eq!(netgauze::message(&keep_alive, &form), BgpMessage::KeepAlive);
}

#[test]
fn a_next_hop_may_be_of_ipv6_for_routes_of_ipv4() {
    let form = Form {
        has_four_octets: true,
        families: FAMILIES.into(),
        with_ipv6_next_hop: [Family::IPV4_UNICAST].into(),
        ..Form::default()
    };
    let global = "2001:db8::1".parse().unwrap();
    let link_local = Some("fe80::1".parse().unwrap());
    let path = protocol::bgp::prefix::Path {
        id: None,
        prefix: protocol::bgp::prefix::Prefix::new([203, 0, 113, 7].into(), 32).unwrap(),
    };
    for next_hop in [NextHop::V6 { global, link_local: None }, NextHop::V6 { global, link_local }] {
        let mut outgoing = crate::neighbour::plain(next_hop);
        outgoing.communities = vec![0xffff_0000];
        let bytes = write::announce(Family::IPV4_UNICAST, &outgoing, &[path], &form).remove(0);
        let expected = Said { announced: Some((outgoing, vec![path])), ..Said::default() };
        for said in [ours(&bytes, &form), rustbgpd::update(&bytes, &form), netgauze::update(&bytes, &form)] {
            assert_eq!(said, expected);
        }
    }
}
