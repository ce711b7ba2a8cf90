//! How a session ends, and which changes end one.

use std::time::Duration;

use super::desk::{Desk, OURS, restart, routes, settings, their_open, their_open_with};
use crate::bgp::capability::{Capability, Family, Role};
use crate::bgp::open::Open;
use crate::bgp::session::{Event, Input, LocalRole, LostBy, Phase, RemoteAs, Restart, Settings, Stop};
use crate::bgp::write;

/// Both can restart gracefully, and the neighbour keeps routes after a NOTIFICATION too, or does not.
fn graceful(after_notification: bool) -> Desk {
    let settings = Settings { graceful_restart: Some(Restart { secs: 120 }), ..settings() };
    let mut desk = Desk::new(settings);
    desk.reach(Phase::Established, &their_open_with(restart(after_notification)));
    desk
}

#[test]
fn four_ways_to_stop_are_four_things_on_the_wire() {
    let text = || "maintenance".to_owned();
    for (stop, plain, kept, kept_after_notification) in [
        (Stop::AdministrativeShutdown { text: text() }, "6/2", "6/2", "hard 6/2"),
        (Stop::Deconfigured, "6/3", "6/3", "hard 6/3"),
        (Stop::GoingAway { text: text() }, "6/2", "6/2", "hard 6/2"),
        (Stop::Restarting, "6/2", "", ""),
    ] {
        let all = [
            (Desk::at(settings(), Phase::Established), plain),
            (graceful(false), kept),
            (graceful(true), kept_after_notification),
        ];
        for (mut desk, expected) in all {
            let said = desk.handle(Input::Stop(stop.clone()));
            let expected: Vec<&str> = [expected, "close"].into_iter().filter(|it| !it.is_empty()).collect();
            assert_eq!(said, expected, "{stop:?}");
            assert_eq!((desk.phase(), desk.session.deadline()), (Phase::Idle, None));
            assert!(matches!(desk.events.last(), Some(Event::Lost { .. })));
            assert_eq!(desk.accept().1, ["6/5", "close"], "whoever comes is sent away");
            desk.handle(Input::Start);
            assert_eq!(desk.pass(Duration::ZERO), ["connect"]);
        }
    }
}

#[test]
fn what_the_operator_says_reaches_the_other_side() {
    let mut desk = Desk::at(settings(), Phase::Established);
    desk.handle(Input::Stop(Stop::AdministrativeShutdown { text: "maintenance".to_owned() }));
    assert_eq!(desk.last_error(), "sent Cease/Administrative Shutdown (6/2): \"maintenance\"");
    let mut desk = Desk::at(settings(), Phase::Established);
    assert_eq!(desk.handle(Input::Reset { text: "again".to_owned() }), ["6/4", "close"]);
    assert_eq!(desk.pass(Duration::ZERO), ["connect"]);
    assert_eq!(graceful(true).handle(Input::Reset { text: "again".to_owned() }), ["6/4", "close"]);
    assert_eq!(graceful(true).handle(Input::Lost { by: LostBy::Bfd }), ["hard 6/10", "close"]);
    assert_eq!(graceful(false).handle(Input::Lost { by: LostBy::Bfd }), ["6/10", "close"]);
    let mut desk = Desk::at(settings(), Phase::Established);
    assert_eq!(desk.handle(Input::Lost { by: LostBy::Transport }), ["6/6", "close"]);
    assert_eq!(desk.pass(Duration::ZERO), ["connect"]);
}

#[test]
fn only_what_must_ends_a_session() {
    let change = |what: fn(&mut Settings)| what;
    let both: [Family; 2] = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];
    for (name, ends_it, change) in [
        ("nothing", false, change(|_| {})),
        ("local_as", true, change(|it| it.local_as = 64520)),
        ("router_as, and the neighbour is still external", false, change(|it| it.router_as = 64520)),
        ("remote_as, and it is another one", true, change(|it| it.remote_as = RemoteAs::Number(64999))),
        ("remote_as, and it is still right", false, change(|it| it.remote_as = RemoteAs::External)),
        ("remote_as, and it is wrong", true, change(|it| it.remote_as = RemoteAs::Internal)),
        ("router_id", true, change(|it| it.router_id = [10, 0, 0, 9].into())),
        ("hold_secs, from the next session on", false, change(|it| it.hold_secs = 30)),
        ("keepalive_secs", false, change(|it| it.keepalive_secs = 1)),
        ("connect_retry", false, change(|it| it.connect_retry = Some(Duration::from_secs(7)))),
        ("families, one less", true, change(|it| it.families = [Family::IPV4_UNICAST].into())),
        (
            "offers_extended_next_hop, and the neighbour does",
            true,
            change(|it| it.offers_extended_next_hop = true),
        ),
        ("graceful_restart off", true, change(|it| it.graceful_restart = None)),
        ("graceful_restart, how long", false, change(|it| it.graceful_restart = Some(Restart { secs: 9 }))),
        ("has_restarted", false, change(|it| it.has_restarted = true)),
        ("role", true, change(|it| it.role = Some(LocalRole { role: Role::Customer, is_strict: false }))),
        ("is_passive", false, change(|it| it.is_passive = true)),
        ("max_prefixes", false, change(|it| it.max_prefixes = Some(10))),
        ("hostname", false, change(|it| it.hostname = "node-b".to_owned())),
    ] {
        let old =
            Settings { graceful_restart: Some(Restart { secs: 120 }), families: both.into(), ..settings() };
        let mut desk = Desk::new(old.clone());
        let mut theirs = their_open_with(Capability::ExtendedNextHop(vec![(Family::IPV4_UNICAST, 2)]));
        theirs.capabilities.push(restart(true));
        desk.reach(Phase::Established, &theirs);
        let mut new = old;
        change(&mut new);
        let said = desk.handle(Input::Settings(Box::new(new)));
        let is_asking = name == "max_prefixes";
        let expected: &[&str] = match (ends_it, is_asking) {
            (true, _) => &["6/6", "close"],
            (false, true) => &["refresh", "refresh"],
            (false, false) => &[],
        };
        assert_eq!(said, expected, "{name}");
        if ends_it {
            assert_eq!(desk.pass(Duration::ZERO), ["connect"], "{name}");
        }
    }
}

#[test]
fn a_family_that_only_this_side_wants_ends_nothing() {
    let mut desk = Desk::new(Settings { families: [Family::IPV4_UNICAST].into(), ..settings() });
    desk.reach(Phase::Established, &Open { capabilities: vec![], ..their_open() });
    assert_eq!(desk.handle(Input::Settings(Box::new(settings()))), [""; 0]);
    assert_eq!(desk.phase(), Phase::Established);
}

#[test]
fn talks_that_have_begun_begin_anew_with_other_words() {
    for (phase, secs, expected) in [
        (Phase::Connect, 30, &[][..]),
        (Phase::OpenSent, 90, &[]),
        (Phase::OpenSent, 30, &["6/6", "close"]),
        (Phase::OpenConfirm, 90, &[]),
    ] {
        let mut desk = Desk::at(settings(), phase);
        let new = Settings { hold_secs: secs, max_prefixes: Some(9), ..settings() };
        assert_eq!(desk.handle(Input::Settings(Box::new(new))), expected, "{phase} {secs}");
    }
    let mut desk = Desk::at(settings(), Phase::Connect);
    let new = Settings { is_passive: true, ..settings() };
    assert_eq!(desk.handle(Input::Settings(Box::new(new))), ["close"]);
    assert_eq!(desk.pass(Duration::from_secs(300)), [""; 0]);
    let (connection, said) = desk.accept();
    assert_eq!(said, ["open"]);
    assert_eq!(desk.receive_on(connection, &write::open(&their_open())), ["keepalive"]);
}

#[test]
fn one_too_many_is_too_many() {
    let mut desk = Desk::at(Settings { max_prefixes: Some(3), ..settings() }, Phase::Established);
    let announce = |count| update(&routes(count));
    assert_eq!(desk.receive(&announce(3)), [""; 0]);
    assert_eq!(desk.receive(&announce(3)), [""; 0], "the same ones count once");
    assert_eq!(desk.receive(&announce(4)), ["6/1", "close"]);
    assert!(
        desk.last_error().ends_with("it tells more than 3 prefixes of IPv4 unicast"),
        "{}",
        desk.last_error()
    );
    assert_eq!(desk.phase(), Phase::Idle);
    assert!(desk.pause().unwrap() >= Duration::from_secs(45));
    assert_eq!(desk.accept().1, ["6/5", "close"]);
    let more = Settings { max_prefixes: Some(9), ..settings() };
    desk.handle(Input::Settings(Box::new(more)));
    assert_eq!(desk.pass(Duration::ZERO), ["connect"], "other settings are tried at once");
    // And less than there is already.
    let mut desk = Desk::at(Settings { max_prefixes: Some(9), ..settings() }, Phase::Established);
    desk.receive(&announce(4));
    let fewer = Settings { max_prefixes: Some(3), ..settings() };
    assert_eq!(desk.handle(Input::Settings(Box::new(fewer))), ["6/1", "close"]);
}

/// As another speaker would tell them.
fn update(routes: &crate::bgp::route::Routes) -> Vec<u8> {
    use crate::bgp::attribute::{NextHop, Origin, Outgoing};
    use crate::bgp::prefix::Path;
    use crate::bgp::update::{Form, write::announce};
    let attributes = Outgoing {
        origin: Origin::Igp,
        as_path: vec![64513],
        next_hop: NextHop::V4(OURS),
        med: None,
        local_preference: None,
        communities: Vec::new(),
        extended_communities: Vec::new(),
        large_communities: Vec::new(),
        only_to_customer: None,
    };
    let paths: Vec<Path> = routes.iter().map(|(prefix, _)| Path { id: None, prefix: *prefix }).collect();
    let form = Form { has_four_octets: true, ..Form::default() };
    announce(Family::IPV4_UNICAST, &attributes, &paths, &form).concat()
}

#[test]
fn after_a_stop_nothing_is_told() {
    let mut desk = Desk::at(settings(), Phase::Established);
    desk.handle(Input::Stop(Stop::Deconfigured));
    assert_eq!(desk.handle(Input::Routes(routes(10))), [""; 0]);
    assert_eq!(desk.session.state().told, 0);
    assert!(desk.session.rib_out().is_none());
}
