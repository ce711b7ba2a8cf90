//! Neighbours that say what they should not: what they are told, what is shown of it, and that nobody else notices.

use std::thread;

use protocol::bgp::capability::{Capability, Family};
use protocol::bgp::notification::{CEASE, Notification, cease};
use protocol::bgp::{Kind, Message, Open, frame, update, write};

use super::stranger::{Scene, Stranger, open};
use super::*;

/// The least pause before it is tried again.
const PAUSE: Duration = Duration::from_millis(600);

struct Case {
    name: &'static str,
    talk: fn(&mut Stranger),
    /// The codes of what it is told, if it is to be told anything.
    answer: Option<(u8, u8)>,
    shown: &'static str,
    /// Who has been a good neighbour until then is tried again at once.
    had_session: bool,
}

const fn refused(name: &'static str, talk: fn(&mut Stranger), answer: (u8, u8), shown: &'static str) -> Case {
    Case { name, talk, answer: Some(answer), shown, had_session: false }
}

const fn lost(name: &'static str, talk: fn(&mut Stranger), answer: (u8, u8), shown: &'static str) -> Case {
    Case { name, talk, answer: Some(answer), shown, had_session: true }
}

const fn goes(name: &'static str, talk: fn(&mut Stranger), had_session: bool) -> Case {
    let shown = r#"Cease/Administrative Shutdown (6/2): "not now""#;
    Case { name, talk, answer: None, shown, had_session }
}

fn open_with(change: impl FnOnce(&mut Open)) -> Vec<u8> {
    let mut open = open();
    change(&mut open);
    write::open(&open)
}

fn leave(stranger: &mut Stranger) {
    let text = Notification::cease(cease::ADMINISTRATIVE_SHUTDOWN, "not now");
    stranger.say(&write::notification(&text));
}

fn say_open(stranger: &mut Stranger) {
    stranger.say(&write::open(&open()));
}

fn say(stranger: &mut Stranger, bytes: &[u8]) {
    stranger.say(bytes);
}

fn cases() -> Vec<Case> {
    vec![
        refused(
            "as",
            |it| say(it, &open_with(|open| open.capabilities = vec![Capability::FourOctetAs(64999)])),
            (2, 2),
            "64999",
        ),
        refused(
            "version",
            |it| {
                let mut bytes = write::open(&open());
                bytes[19] = 3;
                it.say(&bytes);
            },
            (2, 1),
            "Unsupported Version Number (2/1)",
        ),
        refused("hold", |it| say(it, &open_with(|open| open.hold_secs = 1)), (2, 6), "Hold Time (2/6)"),
        refused(
            "no-router-id",
            |it| say(it, &open_with(|open| open.router_id = Ipv4Addr::UNSPECIFIED)),
            (2, 3),
            "Bad BGP Identifier (2/3)",
        ),
        refused(
            "family",
            |it| {
                let other = Capability::Multiprotocol(Family::IPV6_UNICAST);
                it.say(&open_with(|open| open.capabilities[0] = other));
            },
            (2, 7),
            "IPv4",
        ),
        refused("http", |it| say(it, b"GET / HTTP/1.1\r\nHost: router\r\n\r\n"), (1, 1), "(1/1)"),
        refused("keepalive-first", |it| say(it, &write::keep_alive()), (5, 1), "OpenSent"),
        refused(
            "update-early",
            |it| {
                say_open(it);
                it.say(&update::write::end_of_rib(Family::IPV4_UNICAST));
            },
            (5, 2),
            "OpenConfirm",
        ),
        lost(
            "open-late",
            |it| {
                it.greet();
                say_open(it);
            },
            (5, 3),
            "Established",
        ),
        lost(
            "garbage-late",
            |it| {
                it.greet();
                it.say(&[0xfe; 100]);
            },
            (1, 1),
            "(1/1)",
        ),
        lost(
            "length-late",
            |it| {
                it.greet();
                it.say(&[&[0xff; 16][..], &[0xff, 0xff, 4]].concat());
            },
            (1, 2),
            "(1/2)",
        ),
        goes("leaves-first", leave, false),
        goes(
            "leaves-early",
            |it| {
                say_open(it);
                leave(it);
            },
            false,
        ),
        goes(
            "leaves-late",
            |it| {
                it.greet();
                leave(it);
            },
            true,
        ),
    ]
}

#[test]
fn each_mistake_is_answered_shown_and_nobody_elses() {
    let mut scene = Scene::new();
    scene.set();
    scene.wait_until_up();
    let cases = cases();
    let listeners: Vec<_> = cases.iter().map(|case| scene.add(case.name).0).collect();
    scene.set();
    thread::scope(|scope| {
        for (case, listener) in cases.iter().zip(&listeners) {
            let scene = &scene;
            scope.spawn(move || {
                let mut stranger = Stranger::new(listener.accept().unwrap().0);
                (case.talk)(&mut stranger);
                assert_eq!(stranger.hear_notification(), case.answer, "{}", case.name);
                let ended = Instant::now();
                drop(stranger);
                eventually(case.name, || {
                    let problem = view_of(&scene.pair.active, case.name).problem();
                    problem.is_some_and(|problem| problem.contains(case.shown))
                });
                let (_next, _) = listener.accept().unwrap();
                assert!(case.had_session || ended.elapsed() >= PAUSE, "{}: {:?}", case.name, ended.elapsed());
            });
        }
    });
    scene.assert_undisturbed();
}

#[test]
fn who_has_our_router_id_in_our_as_is_refused() {
    let mut scene = Scene::new();
    let (listener, neighbour) = scene.add("twin");
    neighbour.router_id = Some(open().router_id);
    neighbour.settings.remote_as = RemoteAs::Internal;
    scene.set();
    let mut stranger = Stranger::new(listener.accept().unwrap().0);
    stranger.say(&open_with(|open| {
        open.autonomous_system = 64500;
        open.capabilities.pop();
    }));
    assert_eq!(stranger.hear_notification(), Some((2, 3)));
    eventually("it is shown", || {
        let problem = view_of(&scene.pair.active, "twin").problem();
        problem.is_some_and(|problem| problem.contains("router id 192.0.2.66"))
    });
}

#[test]
fn who_will_not_hear_of_a_capability_is_not_told_of_it_again() {
    let mut scene = Scene::new();
    let (listener, _) = scene.add("old");
    scene.set();
    let has_refresh = |stranger: &mut Stranger| {
        let (kind, body) = stranger.hear().unwrap();
        let bytes = [&[0xff; 16][..], &(body.len() as u16 + 19).to_be_bytes(), &[1], &body].concat();
        let frame = frame(&bytes, 4096).unwrap().unwrap();
        let Message::Open(open) = Message::read(frame, &Default::default()).unwrap() else {
            panic!("{kind:?}")
        };
        open.has(&Capability::RouteRefresh)
    };
    let mut stranger = Stranger::new(listener.accept().unwrap().0);
    assert!(has_refresh(&mut stranger));
    say_open(&mut stranger);
    stranger.say(&write::notification(&Notification::with(2, 7, [2, 0])));
    let mut stranger = Stranger::new(listener.accept().unwrap().0);
    assert!(!has_refresh(&mut stranger));
    say_open(&mut stranger);
    stranger.say(&write::keep_alive());
    eventually("without it there is a session", || {
        view_of(&scene.pair.active, "old").state.phase == Phase::Established
    });
    assert_eq!(stranger.hear().map(|(kind, _)| kind), Some(Kind::KeepAlive));
    stranger.say(&write::notification(&Notification::new(CEASE, cease::OUT_OF_RESOURCES)));
    assert_eq!(stranger.hear_notification(), None);
}
