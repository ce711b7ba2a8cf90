//! What is written is read again, whatever it is; nothing that is received is too odd; and mistakes cost what they should.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::attribute::{Handling, NextHop, Origin, Outgoing, SegmentKind, code};
use super::capability::{AddPath, GracefulRestart, LongLived, Role};
use super::notification::{self, UPDATE_MESSAGE};
use super::prefix::{Path, Prefix};
use super::update::{Form, Update, write as routes};
use super::*;

fn form(is_external: bool) -> Form {
    Form {
        is_external,
        has_four_octets: true,
        families: [Family::IPV4_UNICAST, Family::IPV6_UNICAST].into(),
        with_ipv6_next_hop: [Family::IPV4_UNICAST].into(),
        ..Form::default()
    }
}

fn body(bytes: &[u8]) -> &[u8] {
    let frame = frame(bytes, EXTENDED_MESSAGE_BYTES).unwrap().unwrap();
    assert_eq!(frame.bytes, bytes.len());
    frame.body
}

fn read<'a>(bytes: &'a [u8], form: &Form) -> Update<'a> {
    match Message::read(frame(bytes, form.longest()).unwrap().unwrap(), form).unwrap() {
        Message::Update(update) => *update,
        other => panic!("{other:?}"),
    }
}

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap()
}

fn path(text: &str) -> Path {
    Path { id: None, prefix: prefix(text) }
}

fn outgoing(next_hop: NextHop) -> Outgoing {
    Outgoing {
        origin: Origin::Igp,
        as_path: vec![4_200_000_000, 64512],
        next_hop,
        med: Some(7),
        local_preference: None,
        communities: vec![0xffff_0000, 64512 << 16 | 1],
        extended_communities: vec![[0x40, 4, 0xfc, 0, 0x4b, 0x3e, 0xbc, 0x20]],
        large_communities: vec![[64512, 1, 2]],
        only_to_customer: Some(64512),
    }
}

/// An UPDATE with these parts.
fn update(withdrawn: &[u8], attributes: &[u8], announced: &[u8]) -> Vec<u8> {
    let mut body = (withdrawn.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(withdrawn);
    body.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    body.extend_from_slice(attributes);
    body.extend_from_slice(announced);
    let mut bytes = vec![0xff; 16];
    bytes.extend_from_slice(&(body.len() as u16 + 19).to_be_bytes());
    bytes.push(2);
    bytes.extend_from_slice(&body);
    bytes
}

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe8];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 1];
const NLRI: &[u8] = &[24, 203, 0, 113];

fn attributes(more: &[&[u8]]) -> Vec<u8> {
    [&[ORIGIN, AS_PATH, NEXT_HOP], more].concat().concat()
}

#[test]
fn mistakes_in_attributes_cost_what_rfc_7606_says() {
    let discard = Some(Handling::Discard);
    let withdraw = Some(Handling::TreatAsWithdraw);
    for (more, is_external, expected, what) in [
        (&[0x80, 4, 4, 0, 0, 0, 9][..], true, None, "a sound MED"),
        (&[0x80, 4, 3, 0, 0, 9], true, withdraw, "a short MED (7.4)"),
        (&[0x40, 4, 4, 0, 0, 0, 9], true, withdraw, "a MED with wrong flags (3 c)"),
        (&[0x40, 5, 4, 0, 0, 0, 9], true, discard, "LOCAL_PREF of an external peer (7.5)"),
        (&[0x40, 5, 4, 0, 0, 0, 9], false, None, "LOCAL_PREF of an internal peer"),
        (&[0x40, 5, 3, 0, 0, 9], false, withdraw, "a short LOCAL_PREF (7.5)"),
        (&[0x40, 6, 1, 0], true, discard, "ATOMIC_AGGREGATE with a value (7.6)"),
        (&[0xc0, 7, 6, 0, 1, 1, 2, 3, 4], true, discard, "an AGGREGATOR of two octets (7.7)"),
        (&[0xc0, 7, 8, 0, 0, 0, 0, 1, 2, 3, 4], true, discard, "an AGGREGATOR of AS 0 (RFC 7607)"),
        (&[0xc0, 8, 3, 0, 0, 9], true, withdraw, "a part of a community (7.8)"),
        (&[0xc0, 8, 0], true, withdraw, "no community (7.8)"),
        (&[0x80, 9, 4, 1, 2, 3, 4], true, discard, "ORIGINATOR_ID of an external peer (7.9)"),
        (&[0x80, 9, 3, 1, 2, 3], false, withdraw, "a short ORIGINATOR_ID (7.9)"),
        (&[0x80, 10, 4, 1, 2, 3, 4], true, discard, "CLUSTER_LIST of an external peer (7.10)"),
        (&[0x80, 10, 0], false, withdraw, "an empty CLUSTER_LIST (7.10)"),
        (&[0xc0, 16, 7, 0, 0, 0, 0, 0, 0, 0], true, withdraw, "a part of an extended community (7.14)"),
        (
            &[0xc0, 32, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            true,
            withdraw,
            "a part of a large one (RFC 8092, 5)",
        ),
        (&[0xc0, 35, 3, 0, 0, 1], true, withdraw, "a short OTC (RFC 9234, 5)"),
        (&[0x40, 1, 1, 0], true, discard, "a second ORIGIN (3 g)"),
        (&[0xc0, 99, 2, 1, 2], true, None, "one that nobody knows"),
        (&[0x80, 99, 200, 1], true, withdraw, "one longer than all (4)"),
        (&[0x80], true, withdraw, "the beginning of one (4)"),
    ] {
        let bytes = update(&[], &attributes(&[more]), NLRI);
        let update = read(&bytes, &form(is_external));
        let worst = update.flaws.iter().map(|flaw| flaw.handling).max();
        assert_eq!(worst, expected, "{what}: {:?}", update.flaws);
        let (announced, withdrawn) = (update.announced.len(), update.withdrawn.len());
        let is_withdrawn = expected == withdraw;
        assert_eq!((announced, withdrawn), if is_withdrawn { (0, 1) } else { (1, 0) }, "{what}");
    }
}

#[test]
fn what_must_be_there_and_is_not_or_is_odd_costs_the_routes() {
    for (attributes, what) in [
        ([AS_PATH, NEXT_HOP].concat(), "no ORIGIN"),
        ([ORIGIN, NEXT_HOP].concat(), "no AS_PATH"),
        ([ORIGIN, AS_PATH].concat(), "no NEXT_HOP"),
        ([&[0x40, 1, 1, 3], AS_PATH, NEXT_HOP].concat(), "an ORIGIN of 3"),
        ([ORIGIN, &[0x40, 2, 2, 2, 1], NEXT_HOP].concat(), "an AS_PATH with a number missing"),
        ([ORIGIN, &[0x40, 2, 2, 2, 0], NEXT_HOP].concat(), "an AS_PATH with an empty segment"),
        ([ORIGIN, &[0x40, 2, 6, 3, 1, 0, 0, 0, 1], NEXT_HOP].concat(), "a confederation outside of one"),
        ([ORIGIN, &[0x40, 2, 6, 2, 1, 0, 0, 0, 0], NEXT_HOP].concat(), "AS 0 in a path (RFC 7607)"),
        ([ORIGIN, AS_PATH, &[0x40, 3, 3, 1, 2, 3]].concat(), "a short NEXT_HOP"),
    ] {
        let bytes = update(&[], &attributes, NLRI);
        let update = read(&bytes, &form(true));
        assert!(update.announced.is_empty(), "{what}");
        let withdrawn: Vec<Path> = update.withdrawn.iter().flat_map(|(_, paths)| paths.iter()).collect();
        assert_eq!(withdrawn, [path("203.0.113.0/24")], "{what}");
        assert_eq!(update.flaws.len(), 1, "{what}: {:?}", update.flaws);
    }
}

#[test]
fn what_cannot_be_read_around_ends_the_session_or_the_family() {
    let reach = |value: &[u8]| [&[0x80, 14, value.len() as u8], value].concat();
    let unreach = |value: &[u8]| [&[0x80, 15, value.len() as u8], value].concat();
    let route = [&[0, 2, 1, 16][..], &[0x20; 16], &[0, 16, 0x20, 1]].concat();
    for (bytes, subcode, what) in [
        (update(&[33, 1, 2, 3, 4, 5], &[], &[]), 10, "a prefix of 33 bits withdrawn"),
        (update(&[], &attributes(&[]), &[24, 1]), 10, "half a prefix"),
        (update(&[], &attributes(&[&reach(&route), &reach(&route)]), &[]), 1, "two reach attributes (3 g)"),
        (update(&[], &attributes(&[&unreach(&[0])]), &[]), 9, "an unreach attribute without a family"),
        (update(&[], &attributes(&[&unreach(&[0, 1, 1, 33])]), &[]), 9, "half a prefix of the first family"),
        (update(&[], &[0x40, 77, 0], &[]), 2, "one that everybody has to know"),
        (update(&[], &[0x80, 4, 3, 0, 0, 9], &[]), 1, "a short MED of no routes (5.2)"),
        (update(NLRI, &[0x80, 4], &[]), 1, "half an attribute of no routes that come (5.2)"),
        (
            update(&[], &attributes(&[&unreach(&[0, 2, 1]), &[0x80, 4, 0]]), &[]),
            1,
            "the same beside routes that go (5.2)",
        ),
    ] {
        let message = Message::read(frame(&bytes, MESSAGE_BYTES).unwrap().unwrap(), &form(true));
        let notification = message.expect_err(what);
        assert_eq!((notification.code, notification.subcode), (UPDATE_MESSAGE, subcode), "{what}");
    }
    let nowhere = [0, 25, 70, 4, 1, 2, 3, 4, 0, 7];
    for attributes in [
        // Only flags, of what withdraws; and routes that are there, though nobody reads them.
        [&[0xc0, 15, 4][..], &[0, 2, 1, 0]].concat(),
        attributes(&[&reach(&nowhere), &[0x80, 4, 0]]),
        // No route, but nothing wrong either.
        attributes(&[]),
    ] {
        assert!(read(&update(&[], &attributes, &[]), &form(true)).announced.is_empty());
    }
    let mut long = update(&[], &attributes(&[]), NLRI);
    long[19] = 0xff;
    let message = Message::read(frame(&long, MESSAGE_BYTES).unwrap().unwrap(), &form(true));
    assert_eq!(message.expect_err("lengths that do not fit").subcode, 1);

    for value in [&[0, 2, 1, 129, 1][..], &[0, 2, 1, 64, 1]] {
        let bytes = update(&[], &attributes(&[&unreach(value)]), NLRI);
        let update = read(&bytes, &form(true));
        assert_eq!(update.disabled, Some(Family::IPV6_UNICAST));
        assert_eq!(update.announced.len(), 1, "the first family goes on");
    }
    let bytes = update(&[], &attributes(&[&reach(&[0, 2, 1, 5, 1, 2, 3, 4, 5, 0])]), &[]);
    assert_eq!(
        read(&bytes, &form(true)).disabled,
        Some(Family::IPV6_UNICAST),
        "a next hop of five bytes (7.11)"
    );
    let bytes = update(&[], &attributes(&[&unreach(&[0, 25, 70, 1, 2])]), &[]);
    assert_eq!(
        read(&bytes, &form(true)).flaws[0].handling,
        Handling::Discard,
        "a family that nobody agreed to"
    );
}

#[test]
fn paths_of_old_speakers_are_put_together() {
    let old = Form { has_four_octets: false, ..form(true) };
    let sequence = |numbers: &[u16]| {
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        [&[0x40, 2, numbers.len() as u8 + 2, 2, numbers.len() as u8 / 2][..], &numbers].concat()
    };
    let wide = |numbers: &[u32]| {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        [&[0xc0, 17, bytes.len() as u8 + 2, 2, numbers.len() as u8][..], &bytes].concat()
    };
    for (narrow, wide, expected) in [
        (sequence(&[100, 23456, 200]), wide(&[70_000, 200]), vec![100, 70_000, 200]),
        (sequence(&[23456]), wide(&[70_000]), vec![70_000]),
        // Segments of a confederation are left out (RFC 6793, 6).
        (
            sequence(&[23456]),
            [&[0xc0, 17, 12, 3, 1, 0, 0, 0, 9][..], &wide(&[70_000])[3..]].concat(),
            vec![70_000],
        ),
        // Longer than the path itself: nothing can be made of it.
        (sequence(&[23456]), wide(&[1, 2, 3]), vec![23456]),
    ] {
        let bytes = update(&[], &[ORIGIN, &narrow, NEXT_HOP, &wide].concat(), NLRI);
        let update = read(&bytes, &old);
        assert_eq!(update.flaws, []);
        let path = update.attributes.as_path.unwrap();
        let numbers: Vec<u32> = path.iter().flat_map(|segment| segment.numbers.clone()).collect();
        assert_eq!(numbers, expected);
        assert!(path.iter().all(|segment| segment.kind == SegmentKind::Sequence));
    }
}

#[test]
fn an_aggregator_behind_an_old_speaker_is_found() {
    let old = Form { has_four_octets: false, ..form(true) };
    let narrow_path: &[u8] = &[0x40, 2, 4, 2, 1, 0x5b, 0xa0];
    let wide_path: &[u8] = &[0xc0, 17, 6, 2, 1, 0, 1, 0x11, 0x70];
    let narrow = |number: [u8; 2]| [&[0xc0, 7, 6][..], &number, &[192, 0, 2, 9]].concat();
    let wide: &[u8] = &[0xc0, 18, 8, 0, 1, 0x11, 0x70, 192, 0, 2, 9];
    for (attributes, aggregator, path) in [
        (vec![narrow([0x5b, 0xa0]), wide.into()], 70_000, 70_000),
        (vec![narrow([0xfd, 0xe8]), wide.into()], 65_000, 23_456),
        // Of one that fits into two octets nobody says more, and the path is put together all the same (RFC 6793, 4.2.3).
        (vec![narrow([0xfd, 0xe8])], 65_000, 70_000),
    ] {
        let all = [&[ORIGIN, narrow_path, NEXT_HOP, wide_path].concat()[..], &attributes.concat()].concat();
        let bytes = update(&[], &all, NLRI);
        let update = read(&bytes, &old);
        assert_eq!(update.flaws, []);
        assert_eq!(update.attributes.aggregator, Some((aggregator, [192, 0, 2, 9].into())));
        assert_eq!(update.attributes.as_path.unwrap()[0].numbers, [path]);
    }
}

#[test]
fn the_end_of_a_table_is_told_for_each_family() {
    for family in [Family::IPV4_UNICAST, Family::IPV6_UNICAST] {
        let bytes = routes::end_of_rib(family);
        let update = read(&bytes, &form(true));
        assert_eq!((update.end_of, update.withdrawn.len()), (Some(family), 0));
    }
    assert_eq!(routes::end_of_rib(Family::IPV4_UNICAST).len(), 23);
    let bytes = routes::withdraw(Family::IPV6_UNICAST, &[path("2001:db8::/32")], &form(true));
    assert_eq!(read(&bytes[0], &form(true)).end_of, None);
}

#[test]
fn as_many_routes_as_fit_are_in_one_message() {
    let paths: Vec<Path> = (0..5000u32)
        .map(|at| {
            let address = Ipv4Addr::from_bits(0x0a00_0000 + at);
            Path { id: None, prefix: Prefix::new(address.into(), 32).unwrap() }
        })
        .collect();
    let attributes = outgoing(NextHop::V4([192, 0, 2, 1].into()));
    let small = routes::announce(Family::IPV4_UNICAST, &attributes, &paths, &form(true));
    let large = Form { has_long_messages: true, ..form(true) };
    let few = routes::announce(Family::IPV4_UNICAST, &attributes, &paths, &large);
    assert_eq!((small.len(), few.len()), (7, 1));
    for (messages, form) in [(small, form(true)), (few, large)] {
        let read: Vec<Path> = messages
            .iter()
            .flat_map(|bytes| read(bytes, &form).announced.remove(0).paths.iter().collect::<Vec<_>>())
            .collect();
        assert_eq!(read, paths);
        assert!(messages[0].len() > form.longest() - 5 || messages.len() == 1, "{}", messages[0].len());
    }
}

#[test]
fn a_stream_is_cut_where_messages_end() {
    let keep_alive = write::keep_alive();
    let refresh = write::route_refresh(RouteRefresh::Request(Family::IPV6_UNICAST));
    let stream = [keep_alive.clone(), refresh].concat();
    for length in 0..19 {
        assert_eq!(frame(&stream[..length], MESSAGE_BYTES), Ok(None));
    }
    let first = frame(&stream, MESSAGE_BYTES).unwrap().unwrap();
    assert_eq!((first.kind, first.bytes), (Kind::KeepAlive, 19));
    let second = frame(&stream[19..], MESSAGE_BYTES).unwrap().unwrap();
    let message = Message::read(second, &form(true)).unwrap();
    assert!(matches!(message, Message::RouteRefresh(Some(RouteRefresh::Request(Family::IPV6_UNICAST)))));

    let mut begin = write::route_refresh(RouteRefresh::Begin(Family::IPV6_UNICAST));
    begin.push(0);
    begin[17] += 1;
    let error = Message::read(frame(&begin, MESSAGE_BYTES).unwrap().unwrap(), &form(true)).unwrap_err();
    assert_eq!(error, Notification::with(notification::ROUTE_REFRESH_MESSAGE, 1, begin), "RFC 7313, 5");

    let header = |length: u16, kind: u8| {
        let mut bytes = vec![0xff; 16];
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.push(kind);
        bytes
    };
    for (bytes, subcode, data) in [
        (vec![0xff, 0xfe], notification::header::NOT_SYNCHRONISED, vec![]),
        (header(18, 4), notification::header::BAD_LENGTH, vec![0, 18]),
        (header(20, 4), notification::header::BAD_LENGTH, vec![0, 20]),
        (header(28, 1), notification::header::BAD_LENGTH, vec![0, 28]),
        (header(4097, 2), notification::header::BAD_LENGTH, vec![0x10, 1]),
        (header(22, 2), notification::header::BAD_LENGTH, vec![0, 22]),
        (header(19, 9), notification::header::BAD_TYPE, vec![9]),
    ] {
        let expected = Notification::with(notification::MESSAGE_HEADER, subcode, data);
        assert_eq!(frame(&bytes, MESSAGE_BYTES), Err(expected), "{bytes:?}");
    }
    assert_eq!(frame(&header(4097, 2), EXTENDED_MESSAGE_BYTES), Ok(None));
}

#[test]
fn an_open_that_cannot_be_is_answered_with_the_reason() {
    let good = Open {
        autonomous_system: 64512,
        hold_secs: 90,
        router_id: [192, 0, 2, 1].into(),
        capabilities: vec![Capability::FourOctetAs(64512)],
    };
    let bytes = write::open(&good);
    let change = |at: usize, value: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[19 + at..19 + at + value.len()].copy_from_slice(value);
        bytes
    };
    for (bytes, subcode, what) in [
        (change(0, &[5]), notification::open::UNSUPPORTED_VERSION, "version 5"),
        (change(3, &[0, 2]), notification::open::UNACCEPTABLE_HOLD_TIME, "a hold time of two seconds"),
        (change(5, &[0; 4]), notification::open::BAD_ROUTER_ID, "no router id"),
        (change(14, &[0; 4]), notification::open::BAD_PEER_AS, "AS 0 (RFC 7607)"),
        (change(10, &[1]), notification::open::UNSUPPORTED_PARAMETER, "another parameter"),
        (change(9, &[200]), 0, "parameters longer than the message"),
        (change(13, &[200]), 0, "a capability longer than its parameter"),
    ] {
        let error =
            Message::read(frame(&bytes, MESSAGE_BYTES).unwrap().unwrap(), &form(true)).expect_err(what);
        assert_eq!((error.code, error.subcode), (notification::OPEN_MESSAGE, subcode), "{what}");
    }
    assert_eq!(Open::read(body(&change(3, &[0, 0]))).unwrap().hold_secs, 0);
    // Lengths of two octets, though one would do, behind one that says nothing (RFC 9072, 2).
    let mut long = bytes[19..28].to_vec();
    long.extend_from_slice(&[7, 255, 0, 9, 2, 0, 6, 65, 4, 0, 0, 0xfc, 0]);
    assert_eq!(Open::read(&long), Ok(good));
}

fn family() -> impl Strategy<Value = Family> {
    (any::<u16>(), any::<u8>()).prop_map(|(afi, safi)| Family { afi, safi })
}

fn capability() -> impl Strategy<Value = Capability> {
    let roles = vec![Role::Provider, Role::RouteServer, Role::RouteServerClient, Role::Customer, Role::Peer];
    let modes = (any::<bool>(), any::<bool>()).prop_filter("neither", |(a, b)| *a || *b);
    let few = 0..4usize;
    prop_oneof![
        family().prop_map(Capability::Multiprotocol),
        Just(Capability::RouteRefresh),
        Just(Capability::ExtendedMessage),
        Just(Capability::EnhancedRouteRefresh),
        prop::collection::vec((family(), any::<u16>()), few.clone()).prop_map(Capability::ExtendedNextHop),
        prop::sample::select(roles).prop_map(Capability::Role),
        (
            any::<bool>(),
            any::<bool>(),
            0..4096u16,
            prop::collection::vec((family(), any::<bool>()), few.clone())
        )
            .prop_map(|(has_restarted, after_notification, seconds, families)| {
                Capability::GracefulRestart(GracefulRestart {
                    has_restarted,
                    after_notification,
                    seconds,
                    families,
                })
            }),
        any::<u32>().prop_map(Capability::FourOctetAs),
        prop::collection::vec((family(), modes), few.clone()).prop_map(|all| {
            let with = |(family, (receives, sends))| (family, AddPath { receives, sends });
            Capability::AddPath(all.into_iter().map(with).collect())
        }),
        prop::collection::vec((family(), any::<bool>(), 0..1u32 << 24), few).prop_map(|all| {
            let with = |(family, forwards, seconds)| LongLived { family, forwards, seconds };
            Capability::LongLivedGracefulRestart(all.into_iter().map(with).collect())
        }),
        ("[a-z]{0,63}", "[a-z.]{0,63}").prop_map(|(host, domain)| Capability::HostName { host, domain }),
        (128u8..=255, prop::collection::vec(any::<u8>(), 0..30))
            .prop_map(|(code, value)| Capability::Other { code, value }),
    ]
}

fn a_path(has_id: bool, is_ipv4: bool) -> impl Strategy<Value = Path> {
    let address = if is_ipv4 {
        any::<[u8; 4]>().prop_map(IpAddr::from).boxed()
    } else {
        any::<[u8; 16]>().prop_map(IpAddr::from).boxed()
    };
    (address, any::<u8>(), any::<u32>()).prop_map(move |(address, length, id)| {
        let longest = if is_ipv4 { 33 } else { 129 };
        Path { id: has_id.then_some(id), prefix: Prefix::new(address, length % longest).unwrap() }
    })
}

fn anything_outgoing() -> impl Strategy<Value = (Outgoing, bool)> {
    let origins = prop::sample::select(vec![Origin::Igp, Origin::Egp, Origin::Incomplete]);
    let next_hop = prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| NextHop::V4(octets.into())),
        (any::<[u8; 16]>(), prop::option::of(any::<[u8; 16]>())).prop_map(|(global, link_local)| {
            NextHop::V6 { global: global.into(), link_local: link_local.map(Into::into) }
        }),
    ];
    let numbers = || prop::collection::vec(any::<u32>(), 0..20);
    let more = (
        prop::collection::vec(any::<[u8; 8]>(), 0..4),
        prop::collection::vec(any::<[u32; 3]>(), 0..4),
        prop::option::of(any::<u32>()),
        any::<bool>(),
    );
    let some = (prop::option::of(any::<u32>()), prop::option::of(any::<u32>()));
    (origins, prop::collection::vec(any::<u32>(), 0..300), next_hop, some, numbers(), more).prop_map(
        |(
            origin,
            as_path,
            next_hop,
            (med, preference),
            communities,
            (extended, large, customer, is_external),
        )| {
            let outgoing = Outgoing {
                origin,
                as_path,
                next_hop,
                med,
                local_preference: preference.filter(|_| !is_external),
                communities,
                extended_communities: extended,
                large_communities: large,
                only_to_customer: customer,
            };
            (outgoing, is_external)
        },
    )
}

proptest! {
    #[test]
    fn an_open_is_read_as_it_was_written(
        number in 1..=u32::MAX,
        hold in prop_oneof![Just(0u16), 3..=u16::MAX],
        id in 1..=u32::MAX,
        capabilities in prop::collection::vec(capability(), 0..20),
    ) {
        let mut capabilities: Vec<Capability> =
            capabilities.into_iter().filter(|it| !matches!(it, Capability::FourOctetAs(_))).collect();
        capabilities.push(Capability::FourOctetAs(number));
        let open = Open { autonomous_system: number, hold_secs: hold, router_id: Ipv4Addr::from_bits(id), capabilities };
        let bytes = write::open(&open);
        prop_assert_eq!(Open::read(body(&bytes)).unwrap(), open);
    }

    #[test]
    fn routes_are_read_as_they_were_written(
        (outgoing, is_external) in anything_outgoing(),
        is_ipv4 in any::<bool>(),
        has_ids in any::<bool>(),
        paths in any::<u8>().prop_flat_map(|count| {
            (prop::collection::vec(a_path(false, true), usize::from(count)), prop::collection::vec(a_path(false, false), usize::from(count)))
        }),
    ) {
        let family = if is_ipv4 { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST };
        let fits = is_ipv4 || matches!(outgoing.next_hop, NextHop::V6 { .. });
        prop_assume!(fits);
        let all: BTreeSet<Family> = [family].into();
        let form = Form {
            receives_paths: if has_ids { all.clone() } else { BTreeSet::new() },
            ..form(is_external)
        };
        let mut paths = if is_ipv4 { paths.0 } else { paths.1 };
        if has_ids {
            for (at, path) in paths.iter_mut().enumerate() {
                path.id = Some(at as u32);
            }
        }
        let mut found = Vec::new();
        for bytes in routes::announce(family, &outgoing, &paths, &form) {
            prop_assert!(bytes.len() <= MESSAGE_BYTES);
            let update = read(&bytes, &form);
            prop_assert_eq!(&update.flaws, &[]);
            let attributes = &update.attributes;
            prop_assert_eq!(attributes.origin, Some(outgoing.origin));
            let numbers: Vec<u32> = attributes.as_path.iter().flatten().flat_map(|it| it.numbers.clone()).collect();
            prop_assert_eq!(&numbers, &outgoing.as_path);
            prop_assert_eq!(attributes.med, outgoing.med);
            prop_assert_eq!(attributes.local_preference, outgoing.local_preference);
            prop_assert_eq!(&attributes.communities, &outgoing.communities);
            prop_assert_eq!(&attributes.extended_communities, &outgoing.extended_communities);
            prop_assert_eq!(&attributes.large_communities, &outgoing.large_communities);
            prop_assert_eq!(attributes.only_to_customer, outgoing.only_to_customer);
            prop_assert_eq!(update.announced.len(), 1);
            prop_assert_eq!(update.announced[0].next_hop, outgoing.next_hop);
            prop_assert_eq!(update.announced[0].family, family);
            found.extend(update.announced[0].paths.iter());
        }
        prop_assert_eq!(&found, &paths);
        let mut gone = Vec::new();
        for bytes in routes::withdraw(family, &paths, &form) {
            let update = read(&bytes, &form);
            gone.extend(update.withdrawn.iter().flat_map(|(_, paths)| paths.iter()));
        }
        prop_assert_eq!(gone, paths);
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 1..6u8, is_external in any::<bool>()) {
        let mut message = vec![0xff; 16];
        message.extend_from_slice(&(bytes.len() as u16 + 19).to_be_bytes());
        message.push(kind);
        message.extend_from_slice(&bytes);
        if let Ok(Some(frame)) = frame(&message, MESSAGE_BYTES) {
            let _ = Message::read(frame, &form(is_external));
        }
    }

    #[test]
    fn a_message_with_one_bit_turned_is_read_or_refused(at in any::<prop::sample::Index>(), bit in 0..8u8, is_external in any::<bool>()) {
        let attributes = outgoing(NextHop::V4([192, 0, 2, 1].into()));
        let mut bytes = routes::announce(Family::IPV4_UNICAST, &attributes, &[path("203.0.113.0/24")], &form(is_external)).remove(0);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(Some(frame)) = frame(&bytes, MESSAGE_BYTES)
            && let Ok(Message::Update(update)) = Message::read(frame, &form(is_external))
        {
            let spoilt = update.flaws.iter().any(|flaw| flaw.handling == Handling::TreatAsWithdraw);
            prop_assert!(!spoilt || update.announced.is_empty());
            prop_assert!(update.flaws.iter().all(|flaw| flaw.attribute != code::MP_REACH || spoilt || !flaw.why.is_empty()));
        }
    }
}
