//! What is told to Prometheus of sessions, made when it asks, so that nothing outlives its session.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts};
use protocol::bgp::session::Phase;

use super::view::{PeerView, Seen};

/// What a label is for sessions outside every VRF.
const DEFAULT_VRF: &str = "default";

type Figure = fn(&PeerView) -> u64;

const GAUGES: [(&str, &str, Figure); 3] = [
    ("metallb_bgp_session_up", "1 while the session is established.", |view| {
        (view.state.phase == Phase::Established).into()
    }),
    ("metallb_bgp_announced_prefixes_total", "Prefixes that the neighbour was told.", |view| {
        view.state.told as u64
    }),
    ("metallb_bgp_pending_prefixes_total", "Prefixes that the neighbour is still to be told.", |view| {
        let wanted = view.neighbour.routes.as_ref().map_or(0, |routes| routes.len());
        wanted.saturating_sub(view.state.told) as u64
    }),
];

const COUNTERS: [(&str, &str, Figure); 12] = [
    ("metallb_bgp_updates_total", "UPDATE messages sent.", |view| view.state.sent.updates),
    ("metallb_bgp_updates_total_received", "UPDATE messages received.", |view| view.state.received.updates),
    ("metallb_bgp_opens_sent", "OPEN messages sent.", |view| view.state.sent.opens),
    ("metallb_bgp_opens_received", "OPEN messages received.", |view| view.state.received.opens),
    ("metallb_bgp_notifications_sent", "NOTIFICATION messages sent.", |view| view.state.sent.notifications),
    ("ferrolb_bgp_notifications_received", "NOTIFICATION messages received.", |view| {
        view.state.received.notifications
    }),
    ("metallb_bgp_keepalives_sent", "KEEPALIVE messages sent.", |view| view.state.sent.keepalives),
    ("metallb_bgp_keepalives_received", "KEEPALIVE messages received.", |view| {
        view.state.received.keepalives
    }),
    ("metallb_bgp_route_refresh_sent", "ROUTE-REFRESH messages sent.", |view| {
        view.state.sent.route_refreshes
    }),
    ("metallb_bgp_total_sent", "Messages sent.", |view| view.state.sent.total()),
    ("metallb_bgp_total_received", "Messages received.", |view| view.state.received.total()),
    ("ferrolb_bgp_sessions_lost", "How often the session was lost after it was established.", |view| {
        view.state.lost
    }),
];

/// Of all sessions.
#[derive(Debug)]
pub struct Metrics {
    seen: Seen,
    /// By which a registry tells it from other collectors.
    up: IntGaugeVec,
}

impl Metrics {
    pub fn new(seen: Seen) -> Metrics {
        let (name, help, _) = GAUGES[0];
        Metrics { seen, up: gauge(name, help) }
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        self.up.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let views = self.seen.peers(None, false).unwrap_or_default();
        let mut families = Vec::new();
        for (name, help, figure) in GAUGES {
            let all = gauge(name, help);
            for view in &views {
                let value = i64::try_from(figure(view)).unwrap_or(i64::MAX);
                all.with_label_values(&labels(view)).set(value);
            }
            families.extend(all.collect());
        }
        for (name, help, figure) in COUNTERS {
            let all = IntCounterVec::new(Opts::new(name, help), &LABELS).expect(WELL_FORMED);
            for view in &views {
                all.with_label_values(&labels(view)).inc_by(figure(view));
            }
            families.extend(all.collect());
        }
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

const LABELS: [&str; 2] = ["peer", "vrf"];
const WELL_FORMED: &str = "the name of a metric is well-formed";

fn gauge(name: &str, help: &str) -> IntGaugeVec {
    IntGaugeVec::new(Opts::new(name, help), &LABELS).expect(WELL_FORMED)
}

fn labels(view: &PeerView) -> [String; 2] {
    let neighbour = &view.neighbour;
    let port = view.state.ends.map_or(neighbour.port, |ends| {
        // A neighbour that connected by itself did so from any port.
        if neighbour.settings.is_passive { neighbour.port } else { ends.remote.port() }
    });
    let peer = match &neighbour.endpoint {
        super::Endpoint::Address(std::net::IpAddr::V6(address)) => format!("[{address}]:{port}"),
        other => format!("{other}:{port}"),
    };
    let vrf = if neighbour.vrf.is_empty() { DEFAULT_VRF } else { &neighbour.vrf };
    [peer, vrf.to_owned()]
}
