//! What a client behind the router notices when speakers go and come.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ferrolb::lab::Options;
use ferrolb::lab::routers::{Capability, Kind, RemoteAsn, Router};
use ferrolb::lab::traffic::{Protocol, Questions, Traffic};
use serde_json::json;

use super::{
    OTHER, OWN, addresses, advertisement, configuration, has_sessions, has_ways, host, options_with, peer,
};
use crate::site::{NODES, Site, eventually, stays};

/// With a Service that the client behind the router reaches over all nodes.
fn site(options: Options, has_graceful_restart: bool) -> (Site, Router, IpAddr) {
    let site = Site::up(Options { remotes: 1, ..options });
    let mut configuration = configuration(OTHER, 1, &addresses(true), RemoteAsn::Is(OWN));
    configuration.neighbours.iter_mut().for_each(|it| it.has_graceful_restart = true);
    let router = site.lab.start_router("router", Kind::Frr, configuration).unwrap();
    let spec = json!({
        "peerASN": OTHER, "peerAddress": "10.10.0.1", "connectTime": "1s",
        "enableGracefulRestart": has_graceful_restart,
    });
    peer(&site, "router", &[], &spec);
    site.pool("pool", &["198.51.100.0/24"]);
    advertisement(&site, "all", &json!({}));
    let service = site.service("web", &json!({}))[0];
    has_sessions(&router, &addresses(true));
    has_ways(&router, &host(service), &addresses(true));
    (site, router, service)
}

fn traffic(site: &Site, service: IpAddr) -> Traffic {
    let to = SocketAddr::new(service, 80);
    eventually("an answer", || site.ask_http("remote", to).is_some());
    site.lab.traffic("remote", Questions::new(to, Protocol::Http)).unwrap()
}

/// 47, 55
#[test]
fn with_graceful_restart_no_speaker_is_missed() {
    let Some(options) = options_with(&[Kind::Frr]) else { return };
    let (site, router, service) = site(options, true);
    for node in addresses(true) {
        let state = router.neighbour(&node.to_string()).unwrap();
        assert!(state.can(Capability::GracefulRestart) && state.restart_time_secs == Some(120), "{state:?}");
    }
    let traffic = traffic(&site, service);
    for node in NODES {
        site.lab.kill_speaker(node).unwrap();
    }
    eventually("all are stale", || {
        let paths = router.paths(&host(service)).unwrap();
        paths.len() == NODES.len() && paths.iter().all(|path| path.is_stale)
    });
    has_ways(&router, &host(service), &addresses(true));
    for node in NODES {
        site.lab.start_speaker(node).unwrap();
    }
    eventually("none is stale", || {
        let paths = router.paths(&host(service)).unwrap();
        paths.len() == NODES.len() && !paths.iter().any(|path| path.is_stale)
    });
    let report = traffic.finish().unwrap();
    assert_eq!((report.answered, report.broken), (report.asked, 0), "{report:?}");
}

/// 48
#[test]
fn without_it_routes_go_at_once_and_none_is_ever_stale() {
    let Some(options) = options_with(&[Kind::Frr]) else { return };
    let (site, router, service) = site(options, false);
    let state = router.neighbour(&addresses(true)[0].to_string()).unwrap();
    assert!(state.restart_time_secs.is_none_or(|secs| secs == 0), "{state:?}");
    let traffic = traffic(&site, service);
    for node in NODES {
        site.lab.kill_speaker(node).unwrap();
    }
    eventually("no route", || {
        let paths = router.paths(&host(service)).unwrap();
        assert!(!paths.iter().any(|path| path.is_stale));
        paths.is_empty() && router.kernel_route(&host(service)).unwrap().is_none()
    });
    stays("no route", || router.kernel_route(&host(service)).unwrap().is_none());
    for node in NODES {
        site.lab.start_speaker(node).unwrap();
    }
    has_ways(&router, &host(service), &addresses(true));
    let report = traffic.finish().unwrap();
    assert!(report.longest_gap_ms > 100.0, "{report:?}");
}

/// Whoever is told to end says so, and nobody waits for it.
#[test]
fn a_speaker_that_ends_says_so() {
    let Some(options) = options_with(&[Kind::Frr]) else { return };
    let (site, router, service) = site(options, false);
    let nodes = addresses(true);
    let to = SocketAddr::new(service, 80);
    let questions = Questions { every: Duration::from_millis(5), ..Questions::new(to, Protocol::Http) };
    let traffic = site.lab.traffic("remote", questions).unwrap();
    site.lab.end_speaker("node-1").unwrap();
    has_ways(&router, &host(service), &nodes[1..]);
    let state = router.neighbour(&nodes[0].to_string()).unwrap();
    assert!(
        state.last_reset.as_ref().is_some_and(|why| why.contains("Administrative Shutdown")),
        "{state:?}"
    );
    let report = traffic.finish().unwrap();
    // What was under way when the ways changed may have broken; the hold time is nine seconds.
    assert!(report.longest_gap_ms < 1_000.0, "{report:?}");
}
