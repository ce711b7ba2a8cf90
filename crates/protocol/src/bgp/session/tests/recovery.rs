//! Timers: when to connect again, when to say that one is there, when to stop waiting; and which of two connections stays.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::desk::{Desk, OURS, THEIRS, ends, restart, routes, settings, their_open, their_open_with};
use crate::bgp::open::Open;
use crate::bgp::session::{ConnectionId, Input, Origin, Output, Phase, RemoteAs, Restart, Settings};
use crate::bgp::write;

const SECOND: Duration = Duration::from_secs(1);

/// Between three quarters of it and all.
fn is_jittered(pause: Duration, of: Duration) -> bool {
    (of * 3 / 4 - Duration::from_millis(1)..=of).contains(&pause)
}

#[test]
fn attempts_are_made_ever_more_seldom() {
    let mut desk = Desk::new(settings());
    for secs in [1, 2, 4, 8, 16, 32, 60, 60] {
        desk.reach(Phase::Active, &their_open());
        let pause = desk.pause().unwrap();
        assert!(is_jittered(pause, SECOND * secs), "{pause:?} for {secs} s");
        assert_eq!(desk.pass(pause), ["connect"]);
    }
    let (_, why) = desk.session.state().last_failure.clone().unwrap();
    assert_eq!(why, "refused");
}

#[test]
fn the_operator_may_say_how_often() {
    let mut desk = Desk::new(Settings { connect_retry: Some(SECOND * 5), ..settings() });
    desk.reach(Phase::Connect, &their_open());
    for _ in 0..5 {
        desk.fail();
        let pause = desk.pause().unwrap();
        assert!(is_jittered(pause, SECOND * 5), "{pause:?}");
        assert_eq!(desk.pass(pause), ["connect"]);
    }
    // An attempt that hangs is not waited for any longer, and the next begins where it would have.
    assert_eq!(desk.pass(SECOND * 5), ["close", "connect"]);
}

#[test]
fn a_router_that_is_cleared_is_back_within_twice_the_connect_time() {
    for connect_retry in [SECOND, SECOND * 10, SECOND * 120] {
        let mut desk = Desk::new(Settings { connect_retry: Some(connect_retry), ..settings() });
        desk.reach(Phase::Established, &their_open());
        for _ in 0..6 {
            desk.notify(6, 4);
            let lost_at = desk.now;
            let pause = desk.pause().unwrap();
            assert_eq!(desk.pass(pause), ["connect"]);
            // It is not ready for that yet.
            desk.fail();
            desk.reach(Phase::Established, &their_open());
            assert!(desk.now - lost_at <= connect_retry * 2, "{connect_retry:?}");
        }
    }
}

#[test]
fn a_session_that_falls_again_and_again_is_tried_ever_more_seldom() {
    let mut desk = Desk::at(settings(), Phase::Established);
    let mut pauses = Vec::new();
    for _ in 0..10 {
        desk.notify(3, 1);
        pauses.push(desk.pause().unwrap());
        if pauses.len() == 4 {
            assert_eq!(desk.phase(), Phase::Idle);
            assert_eq!(desk.accept().1, ["6/5", "close"], "nor is anybody let in");
        }
        desk.reach(Phase::Established, &their_open());
    }
    assert!(pauses[0] <= SECOND / 10, "{pauses:?}");
    for (pause, secs) in pauses[1..].iter().zip([1, 2, 4, 8, 16, 32, 60, 60]) {
        assert!(is_jittered(*pause, SECOND * secs), "{pauses:?}");
    }
    // What was long ago is forgiven.
    for _ in 0..9 {
        desk.pass(SECOND * 7);
        desk.receive(&write::keep_alive());
    }
    desk.notify(3, 1);
    assert!(desk.pause().unwrap() <= SECOND / 10);
    assert_eq!((desk.session.state().established, desk.session.state().lost), (11, 11));
}

#[test]
fn a_connection_that_breaks_late_is_no_fault() {
    let mut desk = Desk::at(Settings { hold_secs: 0, ..settings() }, Phase::Established);
    for _ in 0..5 {
        desk.pass(SECOND * 11);
        desk.close();
        assert!(desk.pause().unwrap() <= SECOND / 10);
        desk.reach(Phase::Established, &their_open());
    }
}

#[test]
fn both_say_often_enough_that_they_are_there() {
    for (ours, keepalive, theirs, hold, interval) in [
        (3, 1, 90, 3, SECOND),
        (90, 30, 3, 3, SECOND),
        (180, 60, 30, 30, SECOND * 10),
        (90, 5, 90, 90, SECOND * 5),
        (90, 0, 90, 90, SECOND * 30),
        (10, 9, 10, 10, SECOND * 10 / 3),
    ] {
        let what = format!("{ours}/{keepalive} and {theirs}");
        let mut desk = Desk::new(Settings { hold_secs: ours, keepalive_secs: keepalive, ..settings() });
        desk.reach(Phase::Established, &Open { hold_secs: theirs, ..their_open() });
        assert_eq!(desk.session.state().agreed.as_ref().unwrap().hold_secs, hold, "{what}");
        let began = desk.now;
        while desk.phase() == Phase::Established {
            let pause = desk.session.deadline().unwrap() - desk.now;
            let said = desk.pass(pause);
            if said == ["keepalive"] {
                assert!(is_jittered(pause, interval), "{what}: {pause:?}");
            } else {
                assert_eq!(said, ["4/0", "close"], "{what}: even after a single KEEPALIVE");
            }
        }
        assert_eq!(desk.now - began, SECOND * u32::from(hold), "{what}");
    }
}

#[test]
fn without_a_hold_time_nothing_is_awaited() {
    for (ours, theirs) in [(0, 90), (90, 0), (0, 0)] {
        let mut desk = Desk::new(Settings { hold_secs: ours, ..settings() });
        desk.reach(Phase::OpenConfirm, &Open { hold_secs: theirs, ..their_open() });
        assert!(desk.session.deadline().is_some(), "but for the beginning of the session");
        desk.receive(&write::keep_alive());
        assert_eq!(desk.session.deadline(), None);
    }
}

/// Takes what there is and does not say that it has left.
fn take(desk: &mut Desk) -> usize {
    let mut bytes_taken = 0;
    while let Some(output) = desk.session.poll() {
        if let Output::Send { bytes, .. } = output {
            bytes_taken += bytes.len();
        }
    }
    bytes_taken
}

#[test]
fn a_neighbour_that_does_not_read_costs_little_and_ends() {
    let mut desk = Desk::new(Settings { hold_secs: 30, ..settings() });
    let many = (0..40_000u32).map(|number| {
        let policy = crate::bgp::route::Policy { med: Some(number), ..Default::default() };
        let address = Ipv4Addr::from_bits(0x0a00_0000 + number);
        (crate::bgp::prefix::Prefix::new(address.into(), 32).unwrap(), policy.into())
    });
    let many = crate::bgp::route::Routes::new(many.collect());
    desk.session.handle(Input::Routes(many.into()), desk.now);
    desk.reach(Phase::OpenConfirm, &Open { hold_secs: 30, ..their_open() });
    desk.session
        .handle(Input::Received { connection: desk.connection, bytes: &write::keep_alive() }, desk.now);
    let first = take(&mut desk);
    assert!((256 << 10..300 << 10).contains(&first), "{first}");
    assert!(desk.session.state().told < 40_000);
    let began = desk.now;
    let mut keepalives = 0;
    while desk.phase() == Phase::Established {
        desk.now += SECOND * 5;
        desk.session
            .handle(Input::Received { connection: desk.connection, bytes: &write::keep_alive() }, desk.now);
        desk.session.handle_timeout(desk.now);
        keepalives += take(&mut desk) / 19;
    }
    assert_eq!(desk.now - began, SECOND * 480, "RFC 9687");
    assert!(desk.last_error().starts_with("sent Send Hold Timer Expired (8/0)"), "{}", desk.last_error());
    assert!(keepalives >= 48, "{keepalives}");
}

#[test]
fn what_has_left_makes_room_for_more() {
    let mut desk = Desk::at(settings(), Phase::Established);
    desk.session.handle(Input::Routes(routes(2000)), desk.now);
    let mut rounds = 0;
    while let Some(output) = desk.session.poll() {
        let Output::Send { connection, bytes } = output else { continue };
        rounds += 1;
        desk.session.handle(Input::Written { connection, bytes: bytes.len() }, desk.now);
    }
    assert!(rounds >= 1);
    let state = desk.session.state();
    assert_eq!((state.told, state.pending_bytes), (2000, 0));
}

#[test]
fn of_two_connections_the_higher_router_id_decides() {
    let [low, high] = [Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(10, 0, 0, 3)];
    // Their router id and AS; whose connection was first; how far that had come; whose stays.
    for (router_id, number, first, reached, stays) in [
        (low, 64513, Origin::Ours, Phase::OpenSent, Origin::Ours),
        (low, 64513, Origin::Ours, Phase::OpenConfirm, Origin::Ours),
        (low, 64513, Origin::Theirs, Phase::OpenConfirm, Origin::Theirs),
        (high, 64513, Origin::Ours, Phase::OpenSent, Origin::Theirs),
        (high, 64513, Origin::Ours, Phase::OpenConfirm, Origin::Theirs),
        (OURS, 64513, Origin::Ours, Phase::OpenConfirm, Origin::Theirs),
        (OURS, 64511, Origin::Ours, Phase::OpenConfirm, Origin::Ours),
    ] {
        let what = format!("{router_id} AS {number}, {first:?} in {reached}");
        let mut desk = Desk::new(Settings { remote_as: RemoteAs::External, ..settings() });
        let open = Open { router_id, autonomous_system: number, capabilities: vec![], ..their_open() };
        let bytes = write::open(&open);
        let theirs = match first {
            Origin::Ours => {
                desk.reach(reached, &open);
                let (theirs, said) = desk.accept();
                assert_eq!(said, ["open"], "{what}");
                desk.receive_on(theirs, &bytes);
                theirs
            }
            Origin::Theirs => {
                // While ours is still under way it is simply given up.
                desk.reach(Phase::Connect, &open);
                let (theirs, _) = desk.accept();
                assert_eq!(desk.receive_on(theirs, &bytes), ["close", "keepalive"], "{what}");
                theirs
            }
        };
        if stays == Origin::Ours && reached == Phase::OpenSent {
            desk.receive(&bytes);
        }
        assert_eq!(desk.phase(), Phase::OpenConfirm, "{what}");
        let staying = if stays == Origin::Ours { desk.connection } else { theirs };
        desk.receive_on(staying, &write::keep_alive());
        assert_eq!(desk.phase(), Phase::Established, "{what}");
        assert!(desk.events.len() == 1, "{what}: {:?}", desk.events);
    }
}

#[test]
fn whoever_connects_anew_is_asked_twice() {
    let mut desk = Desk::at(settings(), Phase::Established);
    let (theirs, said) = desk.accept();
    assert_eq!(said, ["keepalive", "open"], "a system that has forgotten the session says so");
    assert_eq!(desk.receive_on(theirs, &write::open(&their_open())), ["6/7", "close"]);
    assert_eq!(desk.phase(), Phase::Established);
    let (third, _) = desk.accept();
    let (_, said) = desk.accept();
    assert_eq!(said, ["6/7", "close", "keepalive", "open"], "the later one counts");
    assert_eq!(desk.receive_on(third, &write::open(&their_open())), [""; 0]);
    desk.close();
    assert_eq!(desk.phase(), Phase::OpenSent, "and takes over if the session falls");
}

#[test]
fn others_that_connect_keep_nobody_from_connecting() {
    let mut desk = Desk::new(settings());
    desk.reach(Phase::Active, &their_open());
    let pause = desk.pause().unwrap();
    let mut theirs = desk.accept().0;
    for _ in 0..20 {
        desk.pass(pause / 40);
        theirs = desk.accept().0;
    }
    let rest = desk.pause().unwrap();
    assert!(rest <= pause / 2);
    assert_eq!(desk.pass(rest), ["connect"], "though one of theirs is there, and silent");
    desk.fail();
    assert!(is_jittered(desk.pause().unwrap(), SECOND * 2), "{:?}", desk.pause());
    desk.handle(Input::Closed { connection: theirs, why: "closed".to_owned() });
    assert!(is_jittered(desk.pause().unwrap(), SECOND * 2), "{:?}", desk.pause());
}

#[test]
fn whoever_restarts_gracefully_takes_over() {
    let mut desk = Desk::new(Settings { graceful_restart: Some(Restart { secs: 120 }), ..settings() });
    let open = their_open_with(restart(true));
    desk.reach(Phase::Established, &open);
    let (theirs, _) = desk.accept();
    assert_eq!(desk.receive_on(theirs, &write::open(&open)), ["close", "keepalive"]);
    desk.receive_on(theirs, &write::keep_alive());
    assert_eq!(desk.phase(), Phase::Established);
    assert_eq!(desk.session.state().lost, 1);
}

#[test]
fn one_who_waits_does_not_connect() {
    let mut desk = Desk::new(Settings { is_passive: true, ..settings() });
    assert_eq!(desk.pass(SECOND * 600), [""; 0]);
    assert_eq!(desk.phase(), Phase::Active);
    let (theirs, _) = desk.accept();
    desk.receive_on(theirs, &write::open(&their_open()));
    desk.receive_on(theirs, &write::keep_alive());
    assert_eq!(desk.phase(), Phase::Established);
    assert_eq!(desk.session.state().ends, Some(ends()));
    // And lets in whoever has fallen once.
    desk.receive_on(theirs, &write::notification(&crate::bgp::Notification::new(6, 4)));
    assert_eq!(desk.accept().1, ["open"]);
    assert_eq!(desk.session.state().next_attempt, None);
    assert!(THEIRS > OURS);
}

#[test]
fn what_comes_for_a_connection_that_is_gone_is_nothing() {
    let mut desk = Desk::at(settings(), Phase::Established);
    for connection in [
        ConnectionId { origin: Origin::Ours, number: 99 },
        ConnectionId { origin: Origin::Theirs, number: 99 },
    ] {
        let why = || "gone".to_owned();
        for input in [
            Input::Received { connection, bytes: &[0; 30] },
            Input::Closed { connection, why: why() },
            Input::Failed { connection, why: why() },
            Input::Written { connection, bytes: 1 << 40 },
        ] {
            assert_eq!(desk.handle(input), [""; 0]);
        }
    }
    assert_eq!(desk.phase(), Phase::Established);
}
