//! Sessions and routes as programs read them, and people. Passwords are in none of it.

use std::time::Instant;

use protocol::bgp::attribute::{NextHop, Outgoing};
use protocol::bgp::capability::{Capability, Role};
use protocol::bgp::open::Open;
use protocol::bgp::session::{Messages, Phase};
use serde_json::{Value, json};

use super::view::{PeerView, RouteView};

impl PeerView {
    pub(super) fn json(&self, with_routes: bool) -> Value {
        let state = &self.state;
        let ago = |at: Instant| self.at.saturating_duration_since(at).as_secs_f64();
        let settings = &self.neighbour.settings;
        let is_up = state.phase == Phase::Established;
        let mut value = json!({
            "name": &*self.neighbour.name,
            "endpoint": self.neighbour.endpoint.to_string(),
            "port": self.neighbour.port,
            "vrf": self.neighbour.vrf,
            "state": state.phase.to_string(),
            "sinceSeconds": ago(state.since),
            "localASN": settings.local_as,
            "remoteASN": state.remote.as_ref().map(|open| open.autonomous_system),
            "local": state.ends.map(|ends| ends.local.to_string()),
            "remote": state.ends.map(|ends| ends.remote.to_string()),
            "isSecured": self.neighbour.security.is_any(),
            "timesEstablished": state.established,
            "timesLost": state.lost,
            "sent": messages(&state.sent),
            "received": messages(&state.received),
            "offered": state.local.as_ref().map(open),
            "heard": state.remote.as_ref().map(open),
            "prefixesWanted": self.neighbour.routes.as_ref().map_or(0, |routes| routes.len()),
            "prefixesTold": state.told,
            "pendingBytes": state.pending_bytes,
            "obstacle": self.obstacle,
        });
        if let Some(agreed) = state.agreed.as_ref().filter(|_| is_up) {
            let families = agreed.form.families.iter().map(ToString::to_string);
            value["agreed"] = json!({
                "holdSeconds": agreed.hold_secs,
                "keepaliveSeconds": keepalive(agreed.hold_secs, settings.keepalive_secs),
                "families": families.collect::<Vec<_>>(),
                "isExternal": agreed.form.is_external,
                "fourOctetASN": agreed.form.has_four_octets,
                "routeRefresh": agreed.has_route_refresh,
                "gracefulRestart": agreed.graceful_restart.is_some(),
                "longMessages": agreed.form.has_long_messages,
            });
        }
        if let Some(error) = &state.last_error {
            value["lastError"] = json!({"text": error.to_string(), "secondsAgo": ago(error.at)});
        }
        if let Some((at, why)) = &state.last_failure {
            value["lastFailure"] = json!({"text": why, "secondsAgo": ago(*at)});
        }
        if let Some(at) = state.next_attempt {
            value["nextAttemptSeconds"] = at.saturating_duration_since(self.at).as_secs_f64().into();
        }
        let held_back =
            state.held_back.iter().map(|(family, why)| json!({"family": family.to_string(), "why": why}));
        value["heldBack"] = held_back.collect();
        let mistakes = &state.mistakes;
        value["mistakes"] = json!({
            "discardedAttributes": mistakes.discarded_attributes,
            "treatedAsWithdrawn": mistakes.treated_as_withdrawn,
            "disabledFamilies": mistakes.disabled_families,
            "resets": mistakes.resets,
            "ignoredRefreshes": mistakes.ignored_refreshes,
        });
        if with_routes {
            value["routes"] = self.told.iter().map(RouteView::json).collect();
        }
        value
    }

    /// What keeps the session from being there, in a line.
    pub fn problem(&self) -> Option<String> {
        let state = &self.state;
        if state.phase == Phase::Established {
            return None;
        }
        let error = state.last_error.as_ref().map(|error| (error.at, error.to_string()));
        let failure = state.last_failure.clone();
        let last = error.into_iter().chain(failure).max_by_key(|(at, _)| *at).map(|(_, why)| why);
        self.obstacle.clone().or(last)
    }
}

impl RouteView {
    pub fn json(&self) -> Value {
        let it: &Outgoing = &self.outgoing;
        json!({
            "prefix": self.prefix.to_string(),
            "nextHop": next_hop(&it.next_hop),
            "asPath": it.as_path,
            "localPreference": it.local_preference,
            "med": it.med,
            "communities": it.communities.iter().map(|it| community(*it)).collect::<Vec<_>>(),
            "largeCommunities": it.large_communities.iter().map(large).collect::<Vec<_>>(),
            "extendedCommunities": it.extended_communities.iter().map(extended).collect::<Vec<_>>(),
            "onlyToCustomer": it.only_to_customer,
        })
    }
}

fn keepalive(hold_secs: u16, wanted: u16) -> u16 {
    match hold_secs / 3 {
        third if wanted == 0 || wanted > third => third,
        _ => wanted,
    }
}

fn messages(messages: &Messages) -> Value {
    json!({
        "opens": messages.opens,
        "updates": messages.updates,
        "notifications": messages.notifications,
        "keepalives": messages.keepalives,
        "routeRefreshes": messages.route_refreshes,
        "total": messages.total(),
    })
}

fn open(open: &Open) -> Value {
    json!({
        "asn": open.autonomous_system,
        "routerID": open.router_id.to_string(),
        "holdSeconds": open.hold_secs,
        "capabilities": open.capabilities.iter().map(capability).collect::<Vec<_>>(),
    })
}

fn capability(capability: &Capability) -> String {
    match capability {
        Capability::Multiprotocol(family) => family.to_string(),
        Capability::RouteRefresh => "route refresh".to_owned(),
        Capability::ExtendedNextHop(families) => {
            let pairs = families.iter().map(|(family, afi)| format!("{family} over AFI {afi}"));
            format!("extended next hop: {}", pairs.collect::<Vec<_>>().join(", "))
        }
        Capability::ExtendedMessage => "extended messages".to_owned(),
        Capability::Role(role) => format!("role: {}", role_name(*role)),
        Capability::GracefulRestart(restart) => {
            let mut text = format!("graceful restart: {} s", restart.seconds);
            for (family, forwards) in &restart.families {
                let kept = if *forwards { ", forwarding kept" } else { "" };
                text.push_str(&format!("; {family}{kept}"));
            }
            if restart.has_restarted {
                text.push_str("; has restarted");
            }
            if restart.after_notification {
                text.push_str("; also after a notification");
            }
            text
        }
        Capability::FourOctetAs(number) => format!("four-octet AS {number}"),
        Capability::AddPath(families) => {
            let families = families.iter().map(|(family, add)| {
                format!(
                    "{family}{}{}",
                    if add.sends { " sends" } else { "" },
                    if add.receives { " receives" } else { "" }
                )
            });
            format!("several paths: {}", families.collect::<Vec<_>>().join(", "))
        }
        Capability::EnhancedRouteRefresh => "enhanced route refresh".to_owned(),
        Capability::LongLivedGracefulRestart(families) => {
            let families = families.iter().map(|it| format!("{} {} s", it.family, it.seconds));
            format!("long-lived graceful restart: {}", families.collect::<Vec<_>>().join(", "))
        }
        Capability::HostName { host, .. } => format!("host name: {host}"),
        Capability::Other { code, value } => format!("capability {code} of {} bytes", value.len()),
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Provider => "provider",
        Role::RouteServer => "rs-server",
        Role::RouteServerClient => "rs-client",
        Role::Customer => "customer",
        Role::Peer => "peer",
    }
}

fn next_hop(next_hop: &NextHop) -> String {
    match next_hop {
        NextHop::V4(address) => address.to_string(),
        NextHop::V6 { global, link_local: Some(link_local) } if global != link_local => {
            format!("{global} ({link_local})")
        }
        NextHop::V6 { global, .. } => global.to_string(),
    }
}

fn community(number: u32) -> String {
    format!("{}:{}", number >> 16, number & 0xffff)
}

fn large(parts: &[u32; 3]) -> String {
    format!("{}:{}:{}", parts[0], parts[1], parts[2])
}

fn extended(bytes: &[u8; 8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
