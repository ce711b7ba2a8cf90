//! What BGP peers are told of each Service. No other node has a say in it, so it need not be known which there are.

use std::sync::Arc;

use plan::announce;
use plan::announce::bgp::Advertised;
use plan::snapshot::ServiceKey;

use super::{Announcer, News, merged};

/// The word for it in logs and events.
const BGP: &str = "bgp";

/// What BGP peers are to be told of a Service from now on.
#[derive(Debug)]
pub(in crate::speaker) struct Routed {
    pub(in crate::speaker) service: ServiceKey,
    /// Nothing: it may not even be there.
    pub(in crate::speaker) routes: Option<Arc<[Advertised]>>,
}

impl Announcer {
    /// Decides what BGP peers are told of all that has changed. To be asked before [`Announcer::decide`], which forgets who is gone.
    pub(in crate::speaker) fn route(&mut self, news: &mut Vec<News>) -> Vec<Routed> {
        if !self.could_route() {
            return Vec::new();
        }
        let unrouted = std::mem::take(&mut self.unrouted);
        unrouted.into_iter().map(|service| self.route_one(service, news)).collect()
    }

    fn route_one(&mut self, service: ServiceKey, news: &mut Vec<News>) -> Routed {
        let Some(known) = self.services.get(&service) else { return Routed { service, routes: None } };
        let before = known.routed.as_deref();
        let decided = known.seen.as_ref().map(|seen| {
            let serving = merged(&known.slices);
            announce::bgp::on_node(&self.cluster, &seen.service, &serving, &self.node)
        });
        let (routed, routes) = match decided {
            Some((addresses, Ok(routes))) => {
                if before != Some(&addresses[..]) {
                    tracing::info!(event = "serviceAnnounced", service = %service, protocol = BGP, ips = ?addresses,
                        "announced");
                    news.extend(known.seen.as_ref().map(|seen| self.assigned(seen, BGP)));
                }
                (Some(addresses.into()), Some(routes))
            }
            refused => {
                if before.is_some() {
                    let reason = match &refused {
                        Some((_, Err(refusal))) => refusal.reason(),
                        _ => "serviceDeleted",
                    };
                    tracing::info!(event = "serviceWithdrawn", service = %service, protocol = BGP, reason,
                        "not announced any more");
                }
                (None, None)
            }
        };
        if let Some(known) = self.services.get_mut(&service) {
            known.routed = routed;
        }
        Routed { service, routes }
    }
}
