//! A plan as people read it: what is missing first, then the pools.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use plan::config::Pool;

use super::announcing::{OfNode, Reasons, one_line, shortened};
use super::telling::Route;
use super::{Assignment, Kept, PlanReport};
use crate::cli::output::{Paint, counted, table};

pub(super) fn text(report: &PlanReport<'_>, pools: &BTreeMap<String, Pool>) -> String {
    let paint = Paint::for_stdout();
    let mut text = String::new();
    let (waiting, served): (Vec<_>, Vec<_>) = report
        .assignments
        .iter()
        .filter(|it| it.wants_address || !it.ips.is_empty())
        .partition(|it| it.ips.is_empty());
    if !waiting.is_empty() {
        text.push_str(&paint.red(&format!("{} without an address", counted(waiting.len(), "Service"))));
        text.push('\n');
        let why = |it: &&Assignment| [it.service.clone(), it.message.replace('\n', "; ")];
        text.push_str(&table(["SERVICE", "WHY"], waiting.iter().map(why)));
        text.push('\n');
    }
    text.push_str(&unanswered(report, paint));
    text.push_str(&untold(report, paint));
    for (pool, assignments) in by_pool(&served, pools) {
        let heading = if pool.is_empty() { "unknown pool".to_owned() } else { format!("pool {pool}") };
        text.push_str(&paint.bold(&heading));
        if assignments.is_empty() {
            text.push_str(": no Service\n\n");
            continue;
        }
        text.push('\n');
        text.push_str(&of_pool(report, &assignments));
        text.push('\n');
    }
    text.push_str(&told(report, paint));
    if !report.kept.is_empty() {
        text.push_str(&paint.bold("kept for Services that are gone"));
        text.push('\n');
        let row = |it: &Kept| {
            let ips: Vec<String> = it.ips.iter().map(IpAddr::to_string).collect();
            let until = it.until.clone().unwrap_or_else(|| "for ever".to_owned());
            [it.service.clone(), ips.join(", "), it.pool.clone(), until]
        };
        text.push_str(&table(["SERVICE", "ADDRESSES", "POOL", "UNTIL"], report.kept.iter().map(row)));
        text.push('\n');
    }
    if text.is_empty() {
        text.push_str("no pool and no Service of type LoadBalancer");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn by_pool<'a>(
    served: &[&'a Assignment],
    pools: &'a BTreeMap<String, Pool>,
) -> BTreeMap<&'a str, Vec<&'a Assignment>> {
    let mut by_pool: BTreeMap<&str, Vec<&Assignment>> =
        pools.keys().map(|name| (name.as_str(), vec![])).collect();
    for assignment in served {
        by_pool.entry(&assignment.pool).or_default().push(assignment);
    }
    by_pool
}

/// Where there are nodes, with who answers, and where.
fn of_pool(report: &PlanReport<'_>, assignments: &[&Assignment]) -> String {
    let ips = |it: &Assignment| it.ips.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    let events =
        |it: &Assignment| it.events.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>().join(", ");
    let Some(announcements) = &report.announcing.announcements else {
        let row = |it: &&Assignment| [it.service.clone(), ips(it), events(it)];
        return table(["SERVICE", "ADDRESSES", "EVENTS"], assignments.iter().map(row));
    };
    let interfaces: HashMap<String, &BTreeSet<String>> = announcements
        .iter()
        .filter_map(|it| Some((it.service.to_string(), it.interfaces.as_ref()?)))
        .collect();
    let row = |it: &&Assignment| {
        let interfaces = match interfaces.get(&it.service) {
            None => "-".to_owned(),
            Some(names) if names.is_empty() => "all".to_owned(),
            Some(names) => names.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        };
        let node = it.owner.as_deref().unwrap_or("-").to_owned();
        [it.service.clone(), ips(it), node, interfaces, events(it)]
    };
    table(["SERVICE", "ADDRESSES", "NODE", "INTERFACES", "EVENTS"], assignments.iter().map(row))
}

/// The Services with an address that no node answers for, those with the same reasons together.
fn unanswered(report: &PlanReport<'_>, paint: Paint) -> String {
    let told = services_told(report);
    let not_meant = not_meant(report, "layer2");
    let unanswered: BTreeSet<&str> = report
        .assignments
        .iter()
        .filter(|it| it.wants_address && !it.ips.is_empty() && it.owner.is_none())
        .map(|it| it.service.as_str())
        .filter(|it| !(told.contains(*it) && not_meant.contains(*it)))
        .collect();
    if unanswered.is_empty() || report.announcing.announcements.is_none() {
        return String::new();
    }
    let heading = format!("{} that no node answers for by layer 2", counted(unanswered.len(), "Service"));
    by_reason(&paint.yellow(&heading), &unanswered, report.announcing.reasons())
}

/// The Services that are meant to be told of by BGP, and are told of by no node.
fn untold(report: &PlanReport<'_>, paint: Paint) -> String {
    let told = services_told(report);
    let not_meant = not_meant(report, "bgp");
    let reasons = report.announcing.reasons_of_bgp();
    let untold: BTreeSet<&str> = report
        .assignments
        .iter()
        .filter(|it| it.wants_address && !it.ips.is_empty() && reasons.contains_key(&it.service))
        .map(|it| it.service.as_str())
        .filter(|it| !told.contains(*it) && !not_meant.contains(*it))
        .collect();
    if untold.is_empty() {
        return String::new();
    }
    let heading = format!("{} that no peer is told of by BGP", counted(untold.len(), "Service"));
    by_reason(&paint.yellow(&heading), &untold, reasons)
}

fn services_told(report: &PlanReport<'_>) -> HashSet<String> {
    let told: HashSet<_> = report.announcing.nodes.values().flat_map(OfNode::told).collect();
    told.into_iter().map(ToString::to_string).collect()
}

/// Services of pools without any advertisement for a protocol.
fn not_meant(report: &PlanReport<'_>, protocol: &str) -> HashSet<String> {
    let refusals = report.announcing.nodes.values().flat_map(|node| &node.refusals);
    let of_pool = refusals.filter(|it| it.protocol == protocol && it.refusal.is_of_pool());
    let services: HashSet<_> = of_pool.map(|it| it.service).collect();
    services.into_iter().map(ToString::to_string).collect()
}

/// Every route, and which nodes tell it to which peers.
fn told(report: &PlanReport<'_>, paint: Paint) -> String {
    let nodes = &report.announcing.nodes;
    if nodes.values().all(|node| node.bgp.is_empty()) {
        return String::new();
    }
    let mut tellers: BTreeMap<&Route<'_>, BTreeMap<Vec<&str>, Vec<&str>>> = BTreeMap::new();
    for (node, of_node) in nodes {
        let mut peers: BTreeMap<&Route<'_>, Vec<&str>> = BTreeMap::new();
        for (peer, routes) in &of_node.bgp {
            for route in routes {
                peers.entry(route).or_default().push(peer);
            }
        }
        for (route, peers) in peers {
            tellers.entry(route).or_default().entry(peers).or_default().push(node);
        }
    }
    let heading = paint.bold("BGP");
    if tellers.is_empty() {
        return format!("{heading}: no route\n\n");
    }
    let rows = tellers.iter().flat_map(|(route, tellers)| {
        tellers.iter().map(|(peers, nodes)| {
            let services: Vec<String> = route.services.iter().map(ToString::to_string).collect();
            let services = services.iter().map(String::as_str).collect::<Vec<_>>();
            let attributes = route.attributes.line();
            [route.prefix.to_string(), attributes, shortened(nodes), shortened(peers), shortened(&services)]
        })
    });
    format!("{heading}\n{}\n", table(["PREFIX", "ATTRIBUTES", "NODES", "PEERS", "SERVICES"], rows))
}

fn by_reason(heading: &str, services: &BTreeSet<&str>, all_reasons: BTreeMap<String, Reasons<'_>>) -> String {
    const NAMED_SERVICES: usize = 3;
    let mut by_reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (service, reasons) in all_reasons {
        if services.contains(service.as_str()) {
            by_reasons.entry(one_line(&reasons)).or_default().push(service);
        }
    }
    let row = |(why, mut services): (String, Vec<String>)| {
        let count = services.len();
        services.truncate(NAMED_SERVICES);
        let more = if count > NAMED_SERVICES {
            format!(" and {} more", count - NAMED_SERVICES)
        } else {
            String::new()
        };
        [services.join(", ") + &more, why]
    };
    let rows = table(["SERVICE", "WHY"], by_reasons.into_iter().map(row));
    format!("{heading}\n{rows}\n")
}
