//! Sessions with routers, and what is told over them: the difference to what was told before is handed on at once.

use std::collections::BTreeSet;

use plan::router::{RouterConfig, Routing};
use plan::selector::Labels;
use protocol::bgp::session::Stop;

use super::Session;
use crate::bgp::{self, Neighbour};

/// What was handed on last, and what has changed since.
#[derive(Debug, Default)]
pub(super) struct Routes {
    routing: Routing,
    told: RouterConfig,
    /// And whether that was everything.
    has_told_all: bool,
    /// Peers of which it was said that they ask for more than there is.
    without_bfd: BTreeSet<String>,
    /// Peers may be others, or this node's labels.
    has_other_peers: bool,
}

impl Session<'_> {
    /// Peers or nodes have changed.
    pub(super) fn look_at_peers(&mut self) {
        self.routes.has_other_peers = true;
    }

    /// Decides what peers are told, and tells it.
    pub(super) fn route(&mut self) {
        let mut news = Vec::new();
        let routed = self.announcer.route(&mut news);
        self.unsaid.extend(news);
        let routes = &mut self.routes;
        let mut is_other = self.announcer.could_route() && !routes.has_told_all;
        for routed in routed {
            is_other = true;
            match &routed.routes {
                Some(advertised) => routes.routing.set(&routed.service, advertised),
                None => routes.routing.remove(&routed.service),
            }
        }
        if std::mem::take(&mut routes.has_other_peers)
            && let Some(config) = self.announcer.config()
        {
            let nothing = Labels::default();
            let labels = self.announcer.own_node().map_or(&nothing, |node| &node.labels);
            for conflict in routes.routing.set_peers(&config.peers, labels) {
                tracing::error!("{conflict}");
            }
            let wants_bfd = config.peers.values().filter(|peer| peer.bfd_profile.is_some());
            let without_bfd: BTreeSet<String> = wants_bfd.map(|peer| peer.name.clone()).collect();
            for peer in without_bfd.difference(&routes.without_bfd) {
                tracing::warn!(peer, "spec.bfdProfile of a BGPPeer has no effect yet: no BFD is spoken");
            }
            routes.without_bfd = without_bfd;
            is_other = true;
        }
        if is_other {
            self.tell_routers();
        }
    }

    /// What neighbours are told when the process ends.
    pub(in crate::speaker) fn how_it_ends(&self) -> Stop {
        if self.announcer.own_node().is_some_and(|node| node.is_draining) {
            return Stop::GoingAway { text: format!("node {} is taken out of service", self.options.node) };
        }
        // Whoever has agreed to graceful restart keeps the routes, and for the others this is a shutdown.
        Stop::Restarting
    }

    fn tell_routers(&mut self) {
        let routes = &mut self.routes;
        let (config, is_all) = (routes.routing.config(), self.announcer.could_route());
        if config == routes.told && is_all == routes.has_told_all {
            return;
        }
        let node = &self.options.node;
        let neighbours = config.routers.values().flat_map(|router| router.neighbours.values());
        let neighbour = |it: &plan::router::Neighbour| {
            bgp::neighbour(&it.settings, node, is_all.then(|| it.routes.clone()))
        };
        let neighbours: Vec<Neighbour> = neighbours.map(neighbour).collect();
        self.routers.set(neighbours);
        (routes.told, routes.has_told_all) = (config, is_all);
    }
}
