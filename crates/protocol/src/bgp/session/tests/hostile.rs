//! Neighbours that do what they may, too often.

use std::time::Duration;

use super::desk::{Desk, ends, routes, settings, their_open, words};
use crate::bgp::capability::Family;
use crate::bgp::notification::{CEASE, Notification, cease};
use crate::bgp::session::{ConnectionId, Input, Origin, Output, Phase};
use crate::bgp::{RouteRefresh, write};

#[test]
fn who_asks_for_all_without_end_is_told_once_a_second() {
    let mut desk = Desk::at(settings(), Phase::Established);
    desk.handle(Input::Routes(routes(3)));
    let ask = write::route_refresh(RouteRefresh::Request(Family::IPV4_UNICAST));
    assert_eq!(desk.receive(&ask), ["update"], "at once, the first time");
    let mut updates = 0;
    for _ in 0..3000 {
        let mut said = desk.receive(&ask.repeat(5));
        said.extend(desk.pass(Duration::from_millis(1)));
        updates += said.iter().filter(|word| *word == "update").count();
    }
    assert_eq!(updates, 3);
    assert!(desk.receive(&ask).is_empty(), "too soon");
    let ask_other = write::route_refresh(RouteRefresh::Request(Family::IPV6_UNICAST));
    assert!(desk.receive(&ask_other).is_empty(), "of the other family there is nothing, and no pause");
    assert_eq!(desk.pass(Duration::from_secs(1)), ["update"], "what was asked for last is told");
    desk.pass(Duration::from_secs(2));
    assert_eq!(desk.receive(&ask), ["update"], "whoever asks now and then is answered at once");
}

#[test]
fn who_connects_again_and_again_and_reads_nothing_has_nothing_pile_up() {
    let mut desk = Desk::at(settings(), Phase::Established);
    let mut pending = 0;
    for number in 1..=1000 {
        let connection = ConnectionId { origin: Origin::Theirs, number };
        desk.session.handle(Input::Connected { connection, ends: ends() }, desk.now);
        // None of it leaves.
        while let Some(output) = desk.session.poll() {
            match output {
                Output::Send { connection, bytes } if connection.origin == Origin::Ours => {
                    assert_eq!(words(&bytes), ["keepalive"]);
                    pending += bytes.len();
                }
                _ => {}
            }
        }
    }
    assert_eq!(pending, write::keep_alive().len());
    assert_eq!(desk.phase(), Phase::Established);
}

#[test]
fn a_farewell_within_farewells_is_one() {
    let farewells = [CEASE, cease::HARD_RESET].repeat(2000);
    let mut desk = Desk::new(settings());
    desk.reach(Phase::Established, &their_open());
    desk.receive(&write::notification(&Notification::with(CEASE, cease::HARD_RESET, farewells)));
    assert!(desk.last_error().len() < 200, "{}", desk.last_error());
}
