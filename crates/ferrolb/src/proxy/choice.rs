//! Which endpoints are tried for a client, and in which order.

use std::cmp::Reverse;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use super::Backends;

/// Endpoints that are tried for one connection.
pub(super) const ATTEMPTS: usize = 3;

/// Endpoints take turns. Where clients stick to one, each client has an order of its own, which an endpoint that comes
/// or goes changes for few of them.
pub(super) fn choose(backends: &Backends, client: IpAddr, turn: usize) -> Vec<SocketAddr> {
    let endpoints = &backends.endpoints;
    if endpoints.is_empty() {
        return Vec::new();
    }
    if !backends.sticks_to_client {
        let first = turn % endpoints.len();
        return endpoints[first..].iter().chain(&endpoints[..first]).take(ATTEMPTS).copied().collect();
    }
    let mut ranked: Vec<_> = endpoints.iter().map(|it| (Reverse(rank(client, *it)), *it)).collect();
    let attempts = ATTEMPTS.min(ranked.len());
    ranked.select_nth_unstable(attempts - 1);
    ranked.truncate(attempts);
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, endpoint)| endpoint).collect()
}

fn rank(client: IpAddr, endpoint: SocketAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    (client, endpoint).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn backends(ports: &[u16], sticks_to_client: bool) -> Backends {
        let endpoints = ports.iter().map(|&port| ([10, 0, 0, 1], port).into()).collect();
        Backends { endpoints, sticks_to_client }
    }

    fn client(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    #[test]
    fn endpoints_take_turns() {
        let ports = |turn| {
            let chosen = choose(&backends(&[1, 2, 3, 4], false), client(1), turn);
            chosen.iter().map(SocketAddr::port).collect::<Vec<_>>()
        };
        assert_eq!(
            (0..5).map(ports).collect::<Vec<_>>(),
            [[1, 2, 3], [2, 3, 4], [3, 4, 1], [4, 1, 2], [1, 2, 3]]
        );
        assert_eq!(choose(&backends(&[], false), client(1), 7), []);
        assert_eq!(choose(&backends(&[], true), client(1), 7), []);
    }

    #[test]
    fn sticking_clients_are_spread_over_all_endpoints() {
        let all = backends(&[1, 2, 3, 4], true);
        let mut clients = BTreeMap::<u16, u32>::new();
        for number in 0..=255 {
            *clients.entry(choose(&all, client(number), 0)[0].port()).or_default() += 1;
        }
        assert!(clients.len() == 4 && clients.values().all(|&count| count > 32), "{clients:?}");
    }

    proptest! {
        #[test]
        fn a_client_stays_unless_its_endpoint_goes(number: u8, ports: BTreeSet<u16>, gone: u16, turn: usize) {
            let ports: Vec<_> = ports.into_iter().collect();
            let before = choose(&backends(&ports, true), client(number), 0);
            prop_assert_eq!(before.len(), ports.len().min(ATTEMPTS));
            prop_assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), before.len());
            let rest: Vec<_> = ports.iter().copied().filter(|port| *port != gone).collect();
            let after = choose(&backends(&rest, true), client(number), turn);
            let expected = before.iter().find(|it| it.port() != gone);
            prop_assert!(expected.is_none_or(|it| after.first() == Some(it)));
        }
    }
}
