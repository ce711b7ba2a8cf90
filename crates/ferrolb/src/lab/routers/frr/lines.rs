//! What FRR's bgpd is told: lines, each in its context, so that two configurations can be compared line by line.

use std::collections::BTreeSet;

use crate::lab::routers::{At, Attributes, Configuration, Neighbour, RemoteAsn};

/// A line, and the lines that lead to where it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    context: Vec<String>,
    text: String,
    /// Of whom it speaks.
    neighbour: Option<String>,
}

/// From nothing.
pub(super) fn all(configuration: &Configuration) -> Vec<String> {
    let lines = lines(configuration);
    let names = configuration.neighbours.iter().map(Neighbour::name).collect();
    written(configuration.asn, &lines.iter().collect::<Vec<_>>(), &names)
}

/// From one to the other. Neighbours that are the same in both are not mentioned.
pub(super) fn difference(old: &Configuration, new: &Configuration) -> Vec<String> {
    if old.asn != new.asn {
        return std::iter::once(format!("no router bgp {}", old.asn)).chain(all(new)).collect();
    }
    let (before, after) = (lines(old), lines(new));
    let is_same = |name: &String| {
        let heads = [old, new].map(|it| it.neighbours.iter().find(|it| it.name() == *name).map(head));
        heads[0] == heads[1]
    };
    let gone: BTreeSet<_> =
        old.neighbours.iter().map(Neighbour::name).filter(|name| !is_same(name)).collect();
    let fresh: BTreeSet<_> =
        new.neighbours.iter().map(Neighbour::name).filter(|name| !is_same(name)).collect();
    let mut commands = vec![router(new.asn)];
    commands.extend(gone.iter().map(|name| format!("no neighbor {name}")));
    commands.push("exit".to_owned());
    let stands = |line: &&Line| line.neighbour.as_ref().is_none_or(|name| !gone.contains(name));
    let removed: Vec<_> =
        before.iter().rev().filter(stands).filter(|line| !after.contains(line)).map(opposite).collect();
    commands.extend(written(new.asn, &removed.iter().collect::<Vec<_>>(), &BTreeSet::new()));
    let is_new = |line: &&Line| {
        !before.contains(line) || line.neighbour.as_ref().is_some_and(|name| fresh.contains(name))
    };
    commands.extend(written(new.asn, &after.iter().filter(is_new).collect::<Vec<_>>(), &fresh));
    commands
}

/// With the ways into and out of contexts. Fresh neighbours are held back until everything is said of them: bgpd would
/// connect before it knows their families.
fn written(asn: u32, lines: &[&Line], fresh: &BTreeSet<String>) -> Vec<String> {
    let mut commands = Vec::new();
    let mut held = BTreeSet::new();
    for line in lines {
        commands.extend(line.context.iter().cloned());
        commands.push(line.text.clone());
        if let Some(name) = line.neighbour.as_ref().filter(|name| fresh.contains(*name) && held.insert(*name))
        {
            commands.push(format!("neighbor {name} shutdown"));
        }
        commands.extend(line.context.iter().map(|_| "exit".to_owned()));
    }
    commands.push(router(asn));
    commands.extend(fresh.iter().map(|name| format!("no neighbor {name} shutdown")));
    commands.push("exit".to_owned());
    commands
}

fn opposite(line: &Line) -> Line {
    let text = line.text.strip_prefix("no ").map_or_else(|| format!("no {}", line.text), str::to_owned);
    Line { text, ..line.clone() }
}

fn router(asn: u32) -> String {
    format!("router bgp {asn}")
}

fn lines(configuration: &Configuration) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut say = |context: &[String], text: String, neighbour: Option<String>| {
        lines.push(Line { context: context.to_vec(), text, neighbour });
    };
    for (number, own) in configuration.own.iter().enumerate() {
        for text in attribute_lines(&own.attributes) {
            say(&[format!("route-map own-{number} permit 10")], text, None);
        }
    }
    let router = [router(configuration.asn)];
    for text in [
        format!("bgp router-id {}", configuration.router_id),
        "no bgp ebgp-requires-policy".to_owned(),
        "no bgp default ipv4-unicast".to_owned(),
        "no bgp network import-check".to_owned(),
        "bgp bestpath as-path multipath-relax".to_owned(),
        // Otherwise the first UPDATE leaves a second after the session has come to be.
        "coalesce-time 10".to_owned(),
    ] {
        say(&router, text, None);
    }
    for neighbour in &configuration.neighbours {
        for text in std::iter::once(head(neighbour)).chain(neighbour_lines(neighbour, configuration.asn)) {
            say(&router, text, Some(neighbour.name()));
        }
    }
    for text in &configuration.further {
        say(&router, text.clone(), None);
    }
    for (family, is_ipv4) in [("ipv4", true), ("ipv6", false)] {
        let context = [router[0].clone(), format!("address-family {family} unicast")];
        let paths = configuration.maximum_paths;
        say(&context, format!("maximum-paths {paths}"), None);
        say(&context, format!("maximum-paths ibgp {paths}"), None);
        let own = configuration.own.iter().enumerate();
        for (number, own) in own.filter(|(_, own)| own.prefix.contains(':') != is_ipv4) {
            let has_map = !attribute_lines(&own.attributes).is_empty();
            let map = if has_map { format!(" route-map own-{number}") } else { String::new() };
            say(&context, format!("network {}{map}", own.prefix), None);
        }
        let of_family = |it: &&Neighbour| if is_ipv4 { it.families.ipv4 } else { it.families.ipv6 };
        for neighbour in configuration.neighbours.iter().filter(of_family) {
            let name = neighbour.name();
            say(&context, format!("neighbor {name} activate"), Some(name));
        }
    }
    lines
}

/// What makes a neighbour.
fn head(neighbour: &Neighbour) -> String {
    let asn = match neighbour.asn {
        RemoteAsn::Is(asn) => asn.to_string(),
        RemoteAsn::Internal => "internal".to_owned(),
        RemoteAsn::External => "external".to_owned(),
    };
    match &neighbour.at {
        At::Address(address) => format!("neighbor {address} remote-as {asn}"),
        At::Interface { name, .. } => format!("neighbor {name} interface remote-as {asn}"),
    }
}

fn neighbour_lines(neighbour: &Neighbour, asn: u32) -> Vec<String> {
    let (keepalive, hold) = (neighbour.keepalive.as_secs(), neighbour.hold.as_secs());
    let mut lines = vec![
        format!("timers {keepalive} {hold}"),
        format!("timers connect {}", neighbour.connect_retry.as_secs().max(1)),
        "advertisement-interval 0".to_owned(),
    ];
    let is_interface = matches!(neighbour.at, At::Interface { .. });
    lines.extend(neighbour.local_asn.map(|asn| format!("local-as {asn} no-prepend replace-as")));
    lines.extend(neighbour.password.as_ref().map(|password| format!("password {password}")));
    let multihop = neighbour.multihop.filter(|_| !neighbour.is_internal(asn));
    lines.extend(multihop.map(|hops| format!("ebgp-multihop {hops}")));
    lines.extend(neighbour.has_ttl_security.then(|| "ttl-security hops 1".to_owned()));
    lines.extend(neighbour.is_passive.then(|| "passive".to_owned()));
    // It is implied for interfaces, and to say so is refused.
    let has_extended = neighbour.has_extended_next_hop && !is_interface;
    lines.extend(has_extended.then(|| "capability extended-nexthop".to_owned()));
    let restart = if neighbour.has_graceful_restart { "helper" } else { "disable" };
    lines.push(format!("graceful-restart-{restart}"));
    lines.extend(neighbour.source.map(|source| format!("update-source {source}")));
    lines.extend(neighbour.further.iter().cloned());
    let name = neighbour.name();
    lines.into_iter().map(|line| format!("neighbor {name} {line}")).collect()
}

fn attribute_lines(attributes: &Attributes) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(attributes.med.map(|med| format!("set metric {med}")));
    lines.extend(attributes.local_preference.map(|it| format!("set local-preference {it}")));
    let communities: Vec<_> = attributes.communities.iter().map(|(a, b)| format!("{a}:{b}")).collect();
    if !communities.is_empty() {
        lines.push(format!("set community {}", communities.join(" ")));
    }
    let large: Vec<_> = attributes.large_communities.iter().map(|[a, b, c]| format!("{a}:{b}:{c}")).collect();
    if !large.is_empty() {
        lines.push(format!("set large-community {}", large.join(" ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn configuration() -> Configuration {
        let neighbour = |last: u8| Neighbour::new([10, 0, 0, last].into(), RemoteAsn::External);
        Configuration::new(64501, [10, 0, 0, 1].into(), vec![neighbour(2), neighbour(3)])
    }

    #[test]
    fn a_neighbour_is_held_back_until_all_is_said() {
        let commands = all(&configuration());
        let at = |line: &str| commands.iter().position(|it| it == line).unwrap();
        assert!(at("neighbor 10.0.0.2 remote-as external") < at("neighbor 10.0.0.2 shutdown"));
        assert!(at("neighbor 10.0.0.2 shutdown") < at("neighbor 10.0.0.2 activate"));
        assert!(at("neighbor 10.0.0.2 activate") < at("no neighbor 10.0.0.2 shutdown"));
    }

    #[test]
    fn only_what_differs_is_said() {
        let (old, mut new) = (configuration(), configuration());
        let speaks = |old: &Configuration, new: &Configuration| -> Vec<String> {
            let commands = difference(old, new).into_iter();
            commands.filter(|it| it.contains("neighbor") || it.contains("map")).collect()
        };
        assert!(speaks(&old, &new).is_empty());
        new.neighbours[0].keepalive = Duration::from_secs(1);
        let timers = ["no neighbor 10.0.0.2 timers 3 9", "neighbor 10.0.0.2 timers 1 9"];
        assert_eq!(speaks(&old, &new), timers);
        new.neighbours.remove(0);
        assert_eq!(speaks(&old, &new), ["no neighbor 10.0.0.2"]);
        let back = speaks(&new, &old);
        assert_eq!(back.first().map(String::as_str), Some("neighbor 10.0.0.2 remote-as external"));
        assert_eq!(back.last().map(String::as_str), Some("no neighbor 10.0.0.2 shutdown"));
        assert!(back.iter().all(|line| !line.contains("10.0.0.3")));
    }
}
