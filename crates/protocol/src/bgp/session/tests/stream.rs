//! Bytes as no neighbour should send them, in pieces as the network makes them.

use std::time::Duration;

use proptest::prelude::*;

use super::desk::{Desk, restart, settings, their_open_with};
use crate::bgp::capability::Family;
use crate::bgp::session::{Phase, Settings};
use crate::bgp::update::write::{end_of_rib, withdraw};
use crate::bgp::{RouteRefresh, write};

/// All that a neighbour says until the session has lived for a while.
fn talk() -> Vec<u8> {
    let prefix = crate::bgp::prefix::Prefix::new([10, 0, 0, 0].into(), 8).unwrap();
    let path = crate::bgp::prefix::Path { id: None, prefix };
    let refresh = RouteRefresh::Request(Family::IPV4_UNICAST);
    [
        write::open(&their_open_with(restart(true))),
        write::keep_alive(),
        end_of_rib(Family::IPV4_UNICAST),
        withdraw(Family::IPV4_UNICAST, &[path], &Default::default()).concat(),
        end_of_rib(Family::IPV6_UNICAST),
        write::route_refresh(refresh),
        write::keep_alive(),
    ]
    .concat()
}

#[test]
fn it_does_not_matter_where_bytes_are_split() {
    let talk = talk();
    let splits = (0..talk.len()).map(|at| vec![at]).chain([(1..talk.len()).collect(), vec![]]);
    for split in splits {
        let mut desk = Desk::at(settings(), Phase::OpenSent);
        let mut from = 0;
        for to in split.iter().copied().chain([talk.len()]) {
            desk.receive(&talk[from..to]);
            from = to;
        }
        let received = desk.session.state().received;
        assert_eq!(desk.phase(), Phase::Established);
        assert_eq!(
            (received.opens, received.keepalives, received.updates, received.route_refreshes),
            (1, 2, 3, 1)
        );
        assert_eq!(received.total(), 7);
    }
}

proptest! {
    #[test]
    fn nothing_that_is_received_is_too_odd(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..12),
        change in any::<(usize, u8)>(),
        is_marked in any::<bool>(),
        max_prefixes in prop::option::of(0..3u32),
    ) {
        for phase in [Phase::Connect, Phase::OpenSent, Phase::OpenConfirm, Phase::Established] {
            let mut desk = Desk::at(Settings { max_prefixes, ..settings() }, phase);
            let mut bytes = talk();
            let at = change.0 % bytes.len();
            bytes[at] ^= change.1;
            desk.receive(&bytes);
            for piece in &pieces {
                if is_marked {
                    // As if it were a message of some kind.
                    let mut message = vec![0xff; 16];
                    message.extend_from_slice(&(piece.len() as u16 + 18).to_be_bytes());
                    message.extend_from_slice(piece);
                    desk.receive(&message);
                } else {
                    desk.receive(piece);
                }
            }
            desk.pass(Duration::from_secs(300));
        }
    }
}
