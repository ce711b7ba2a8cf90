//! What two OPEN messages come to, and whom they keep apart.

use std::time::Duration;

use super::desk::{Desk, OURS, ends, restart, routes, settings, their_open, their_open_with};
use crate::bgp::capability::{Capability, Family, Role};
use crate::bgp::notification::Notification;
use crate::bgp::open::Open;
use crate::bgp::session::{Addresses, Input, LocalRole, Output, Phase, RemoteAs, Restart, Session, Settings};
use crate::bgp::write;

fn with(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = settings();
    change(&mut settings);
    settings
}

fn of(autonomous_system: u32) -> Open {
    Open { autonomous_system, capabilities: vec![Capability::FourOctetAs(autonomous_system)], ..their_open() }
}

#[test]
fn who_is_not_the_neighbour_hears_why() {
    let role = |role, is_strict| Some(LocalRole { role, is_strict });
    let v6_alone =
        Open { capabilities: vec![Capability::Multiprotocol(Family::IPV6_UNICAST)], ..their_open() };
    let silent = Open { capabilities: vec![], ..their_open() };
    let wide = |number: u32| with(|it| it.remote_as = RemoteAs::Number(number));
    for (settings, open, said, what) in [
        (settings(), their_open(), "keepalive", "as wanted"),
        (settings(), of(64514), "2/2", "another AS"),
        (wide(4_200_000_000), of(4_200_000_000), "keepalive", "a number of four octets"),
        (with(|it| it.remote_as = RemoteAs::External), of(64999), "keepalive", "any external AS"),
        (
            with(|it| it.remote_as = RemoteAs::External),
            of(64512),
            "2/2",
            "an internal one where an external one is wanted",
        ),
        (with(|it| it.remote_as = RemoteAs::Internal), of(64512), "keepalive", "an internal AS"),
        (
            with(|it| it.remote_as = RemoteAs::Internal),
            of(64999),
            "2/2",
            "an external one where an internal one is wanted",
        ),
        (
            with(|it| (it.remote_as, it.local_as) = (RemoteAs::External, 64520)),
            of(64513),
            "keepalive",
            "external by this node's own number",
        ),
        (wide(64512), Open { router_id: OURS, ..of(64512) }, "2/3", "an internal one with this router id"),
        (
            settings(),
            Open { router_id: OURS, ..their_open() },
            "keepalive",
            "an external one with it (RFC 6286)",
        ),
        (settings(), Open { hold_secs: 2, ..their_open() }, "2/6", "a hold time of two seconds"),
        (settings(), Open { hold_secs: 3, ..their_open() }, "keepalive", "one of three"),
        (settings(), Open { hold_secs: 0, ..their_open() }, "keepalive", "none"),
        (settings(), silent.clone(), "keepalive", "no capability: IPv4 unicast"),
        (
            with(|it| it.families = [Family::IPV6_UNICAST].into()),
            silent,
            "2/7",
            "no capability, and IPv6 is wanted",
        ),
        (with(|it| it.families = [Family::IPV4_UNICAST].into()), v6_alone, "2/7", "the other family"),
        (
            with(|it| it.role = role(Role::Customer, false)),
            their_open_with(Capability::Role(Role::Provider)),
            "keepalive",
            "a role that fits",
        ),
        (
            with(|it| it.role = role(Role::Customer, false)),
            their_open_with(Capability::Role(Role::Peer)),
            "2/11",
            "a role that does not",
        ),
        (with(|it| it.role = role(Role::Customer, false)), their_open(), "keepalive", "no role"),
        (
            with(|it| it.role = role(Role::Customer, true)),
            their_open(),
            "2/11",
            "no role where there must be one",
        ),
        (
            with(|it| (it.role, it.remote_as) = (role(Role::Customer, true), RemoteAs::Internal)),
            of(64512),
            "keepalive",
            "no role among internal ones",
        ),
    ] {
        let mut desk = Desk::at(settings, Phase::OpenSent);
        assert_eq!(desk.receive(&write::open(&open)).first().map(String::as_str), Some(said), "{what}");
    }
    let mut desk = Desk::at(with(|it| it.role = role(Role::Customer, false)), Phase::OpenSent);
    let mut two = their_open_with(Capability::Role(Role::Provider));
    two.capabilities.push(Capability::Role(Role::Peer));
    assert_eq!(desk.receive(&write::open(&two)), ["2/11", "close"], "RFC 9234, 4.2: several");
}

#[test]
fn people_read_what_was_wrong() {
    let mut desk = Desk::at(settings(), Phase::OpenSent);
    desk.receive(&write::open(&of(64514)));
    assert_eq!(
        desk.last_error(),
        "sent OPEN Message Error/Bad Peer AS (2/2): it is of AS 64514, and wanted is 64513"
    );
    assert_eq!(desk.events.len(), 1);
    desk.pass(Duration::from_secs(1));
    desk.connect();
    desk.receive(&write::notification(&Notification::cease(2, "moving")));
    assert_eq!(desk.last_error(), "received Cease/Administrative Shutdown (6/2): \"moving\"");
}

fn sent_open(settings: Settings) -> Open {
    Desk::at(settings, Phase::OpenSent).session.state().local.clone().unwrap()
}

#[test]
fn only_what_was_asked_for_is_offered() {
    let families = |open: &Open| open.families();
    let alone = sent_open(with(|it| it.families = [Family::IPV6_UNICAST].into()));
    assert_eq!(families(&alone), [Family::IPV6_UNICAST]);
    assert_eq!(alone.graceful_restart(), None);
    let rich = sent_open(with(|it| {
        it.graceful_restart = Some(Restart { secs: 120 });
        it.has_restarted = true;
        it.offers_extended_next_hop = true;
        it.hostname = "node-a".to_owned();
        it.role = Some(LocalRole { role: Role::Customer, is_strict: false });
    }));
    let restart = rich.graceful_restart().unwrap();
    assert_eq!((restart.has_restarted, restart.after_notification, restart.seconds), (true, true, 120));
    assert_eq!(restart.families, [(Family::IPV4_UNICAST, true), (Family::IPV6_UNICAST, true)]);
    assert!(rich.has(&Capability::ExtendedNextHop(vec![(Family::IPV4_UNICAST, 2)])));
    assert_eq!(rich.role(), Some(Role::Customer));
    assert!(rich.has(&Capability::HostName { host: "node-a".to_owned(), domain: String::new() }));
}

#[test]
fn the_restart_is_over_when_all_was_told() {
    let settings = with(|it| (it.graceful_restart, it.has_restarted) = (Some(Restart { secs: 120 }), true));
    let says_so =
        |desk: &Desk| desk.session.state().local.clone().unwrap().graceful_restart().unwrap().has_restarted;
    let mut desk = Desk::at(settings.clone(), Phase::Established);
    assert!(says_so(&desk));
    desk.close();
    desk.reach(Phase::OpenSent, &their_open());
    assert!(!says_so(&desk));
    // Not before there are routes, or the neighbour would forget the old ones; but not for ever.
    let mut desk = Desk::new(settings);
    desk.reach(Phase::Established, &their_open_with(restart(true)));
    assert_eq!(desk.session.state().sent.updates, 0);
    desk.close();
    desk.reach(Phase::OpenSent, &their_open());
    assert!(says_so(&desk));
    desk.close();
    desk.pass(Duration::from_secs(120));
    desk.close();
    desk.reach(Phase::OpenSent, &their_open());
    assert!(!says_so(&desk));
}

#[test]
fn what_the_neighbour_complains_of_is_left_out() {
    let mut desk = Desk::at(settings(), Phase::OpenSent);
    // Extended messages and IPv6, of which only the one can be done without.
    let complaint = Notification::with(2, 7, [6, 0, 1, 4, 0, 2, 0, 1]);
    desk.receive(&write::notification(&complaint));
    desk.reach(Phase::OpenSent, &their_open());
    let open = desk.session.state().local.clone().unwrap();
    assert!(!open.has(&Capability::ExtendedMessage));
    assert!(open.has(&Capability::Multiprotocol(Family::IPV6_UNICAST)));
    desk.notify(2, 4);
    assert!(desk.pause().unwrap() >= Duration::from_millis(750), "nothing more can be left out");
    let mut old = Desk::at(with(|it| it.families = [Family::IPV4_UNICAST].into()), Phase::OpenSent);
    old.notify(2, 4);
    old.reach(Phase::Established, &Open { capabilities: vec![], ..their_open() });
    assert_eq!(old.session.state().local.clone().unwrap().capabilities, []);
}

#[test]
fn a_longer_message_is_taken_by_whoever_offers_to() {
    let mut bytes = vec![0xff; 16];
    bytes.extend_from_slice(&[0x20, 0, 2]);
    // A neighbour need not have said that it can read long ones to send them (RFC 8654, 4).
    let mut desk = Desk::at(settings(), Phase::Established);
    assert_eq!(desk.receive(&bytes), [""; 0]);
    let mut desk = Desk::at(settings(), Phase::OpenSent);
    desk.receive(&write::notification(&Notification::with(2, 7, [6, 0])));
    desk.reach(Phase::Established, &their_open());
    assert_eq!(desk.receive(&bytes), ["1/2", "close"]);
}

#[test]
fn a_family_without_next_hop_is_held_back_and_the_other_told() {
    let mut session = Session::new(settings(), 1, std::time::Instant::now());
    let now = std::time::Instant::now();
    session.handle_timeout(now);
    let Some(Output::Connect { connection }) = session.poll() else { panic!() };
    let mut ends = ends();
    ends.local.set_ip("2001:db8::1".parse().unwrap());
    ends.addresses = Addresses::default();
    session.handle(Input::Routes(routes(3)), now);
    session.handle(Input::Connected { connection, ends }, now);
    session.handle(Input::Received { connection, bytes: &write::open(&their_open()) }, now);
    session.handle(Input::Received { connection, bytes: &write::keep_alive() }, now);
    while session.poll().is_some() {}
    assert_eq!(session.state().told, 0);
    let held_back = &session.state().held_back;
    assert_eq!((held_back.len(), held_back[0].0), (1, Family::IPV4_UNICAST));
    assert!(held_back[0].1.contains("no IPv4 address"), "{held_back:?}");
    session
        .handle(Input::Addresses(Addresses { ipv4: "192.0.2.7".parse().ok(), ..Addresses::default() }), now);
    while session.poll().is_some() {}
    assert_eq!((session.state().told, session.state().held_back.len()), (3, 0));
    assert_eq!(session.state().phase, Phase::Established);
}
