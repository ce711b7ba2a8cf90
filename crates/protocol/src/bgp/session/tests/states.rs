//! RFC 4271, 8.2.2, as a table: in which state what leads where, and what is said.

use std::time::Duration;

use super::desk::{Desk, settings, their_open};
use crate::bgp::capability::Family;
use crate::bgp::notification::{Notification, cease};
use crate::bgp::open::Open;
use crate::bgp::session::{Input, LostBy, Phase, Stop};
use crate::bgp::{RouteRefresh, write};

#[derive(Debug, Clone, Copy)]
enum Happens {
    Start,
    Stop,
    Reset,
    BfdDown,
    RetryDue,
    AttemptTooLong,
    Connected,
    Failed,
    Closed,
    HoldExpired,
    Open,
    OpenOfAnother,
    KeepAlive,
    Update,
    Refresh,
    Garbage,
    BadLength,
    BadType,
    VersionError,
    Cease,
}

fn let_happen(happens: Happens, desk: &mut Desk) -> Vec<String> {
    let header = |length: [u8; 2], kind| [&[0xff; 16][..], &length, &[kind]].concat();
    let text = "for a test".to_owned();
    match happens {
        Happens::Start => desk.handle(Input::Start),
        Happens::Stop => desk.handle(Input::Stop(Stop::AdministrativeShutdown { text })),
        Happens::Reset => desk.handle(Input::Reset { text }),
        Happens::BfdDown => desk.handle(Input::Lost { by: LostBy::Bfd }),
        Happens::RetryDue => desk.pass(Duration::from_secs(1)),
        Happens::AttemptTooLong => {
            desk.now += Duration::from_secs(10);
            desk.session.handle_timeout(desk.now);
            desk.drain()
        }
        Happens::Connected => desk.connect(),
        Happens::Failed => desk.fail(),
        Happens::Closed => desk.close(),
        Happens::HoldExpired => {
            desk.now += Duration::from_secs(241);
            desk.session.handle_timeout(desk.now);
            desk.drain()
        }
        Happens::Open => desk.receive(&write::open(&their_open())),
        Happens::OpenOfAnother => desk.receive(&write::open(&Open {
            autonomous_system: 64999,
            capabilities: vec![],
            ..their_open()
        })),
        Happens::KeepAlive => desk.receive(&write::keep_alive()),
        Happens::Update => desk.receive(&crate::bgp::update::write::end_of_rib(Family::IPV4_UNICAST)),
        Happens::Refresh => desk.receive(&write::route_refresh(RouteRefresh::Request(Family::IPV4_UNICAST))),
        Happens::Garbage => desk.receive(b"HTTP/1.1 400 Bad Request\r\n"),
        Happens::BadLength => desk.receive(&header([0, 18], 4)),
        Happens::BadType => desk.receive(&header([0, 19], 9)),
        Happens::VersionError => desk.receive(&write::notification(&Notification::with(2, 1, [0, 4]))),
        Happens::Cease => desk.notify(6, cease::ADMINISTRATIVE_RESET),
    }
}

#[test]
fn every_event_leads_where_the_standard_says() {
    use Happens::*;
    use Phase::*;
    for (phase, happens, then, said) in [
        (Idle, Start, Active, &[][..]),
        (Idle, Stop, Idle, &[]),
        (Idle, Reset, Idle, &[]),
        (Idle, Connected, Idle, &[]),
        (Idle, RetryDue, Idle, &[]),
        (Active, Start, Active, &[]),
        (Active, Stop, Idle, &[]),
        (Active, RetryDue, Connect, &["connect"]),
        (Active, Connected, Active, &[]),
        (Connect, Start, Connect, &[]),
        (Connect, Stop, Idle, &["close"]),
        (Connect, Reset, Active, &["close"]),
        (Connect, AttemptTooLong, Connect, &["close", "connect"]),
        (Connect, Connected, OpenSent, &["open"]),
        (Connect, Failed, Active, &[]),
        (Connect, Open, Connect, &[]),
        (OpenSent, Stop, Idle, &["6/2", "close"]),
        (OpenSent, Reset, Active, &["6/4", "close"]),
        (OpenSent, BfdDown, Active, &["6/10", "close"]),
        (OpenSent, Connected, OpenSent, &[]),
        (OpenSent, Closed, Active, &[]),
        (OpenSent, HoldExpired, Active, &["4/0", "close"]),
        (OpenSent, Open, OpenConfirm, &["keepalive"]),
        (OpenSent, OpenOfAnother, Active, &["2/2", "close"]),
        (OpenSent, KeepAlive, Active, &["5/1", "close"]),
        (OpenSent, Update, Active, &["5/1", "close"]),
        (OpenSent, Refresh, Active, &["5/1", "close"]),
        (OpenSent, Garbage, Active, &["1/1", "close"]),
        (OpenSent, BadLength, Active, &["1/2", "close"]),
        (OpenSent, BadType, Active, &["1/3", "close"]),
        (OpenSent, VersionError, Active, &["close"]),
        (OpenSent, Cease, Active, &["close"]),
        (OpenConfirm, Stop, Idle, &["6/2", "close"]),
        (OpenConfirm, Reset, Active, &["6/4", "close"]),
        (OpenConfirm, BfdDown, Active, &["6/10", "close"]),
        (OpenConfirm, Closed, Active, &[]),
        (OpenConfirm, HoldExpired, Active, &["4/0", "close"]),
        (OpenConfirm, Open, Active, &["5/2", "close"]),
        (OpenConfirm, KeepAlive, Established, &["end of IPv4 unicast", "end of IPv6 unicast"]),
        (OpenConfirm, Update, Active, &["5/2", "close"]),
        (OpenConfirm, Refresh, Active, &["5/2", "close"]),
        (OpenConfirm, Garbage, Active, &["1/1", "close"]),
        (OpenConfirm, BadLength, Active, &["1/2", "close"]),
        (OpenConfirm, BadType, Active, &["1/3", "close"]),
        (OpenConfirm, VersionError, Active, &["close"]),
        (OpenConfirm, Cease, Active, &["close"]),
        (Established, Start, Established, &[]),
        (Established, Stop, Idle, &["6/2", "close"]),
        (Established, Reset, Active, &["6/4", "close"]),
        (Established, BfdDown, Active, &["6/10", "close"]),
        (Established, Closed, Active, &[]),
        (Established, HoldExpired, Active, &["4/0", "close"]),
        (Established, Open, Active, &["5/3", "close"]),
        (Established, KeepAlive, Established, &[]),
        (Established, Update, Established, &[]),
        (Established, Refresh, Established, &[]),
        (Established, Garbage, Active, &["1/1", "close"]),
        (Established, BadLength, Active, &["1/2", "close"]),
        (Established, BadType, Active, &["1/3", "close"]),
        (Established, VersionError, Active, &["close"]),
        (Established, Cease, Active, &["close"]),
    ] {
        let mut desk = Desk::at(settings(), phase);
        let found = let_happen(happens, &mut desk);
        assert_eq!(found, said, "{phase}: {happens:?}");
        assert_eq!(desk.phase(), then, "{phase}: {happens:?}");
    }
}

#[test]
fn what_was_unexpected_goes_along() {
    let mut desk = Desk::at(settings(), Phase::OpenConfirm);
    desk.session.handle(
        Input::Received { connection: desk.connection, bytes: &write::open(&their_open()) },
        desk.now,
    );
    let sent = std::iter::from_fn(|| desk.session.poll()).find_map(|output| match output {
        crate::bgp::session::Output::Send { bytes, .. } => Some(bytes),
        _ => None,
    });
    let expected = write::notification(&Notification::with(5, 2, [1]));
    assert_eq!(sent, Some(expected), "RFC 6608, 4");
}
