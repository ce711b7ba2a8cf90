//! What BIRD is told: one file.

use std::fmt::Write;

use crate::lab::routers::{At, Attributes, Configuration, Neighbour, Own, RemoteAsn};

pub(super) fn text(configuration: &Configuration) -> String {
    let mut text = format!(
        "router id {};\nlog stderr all;\nprotocol device {{ scan time 1; }}\n",
        configuration.router_id
    );
    // Next hops are looked for among the routes of the system.
    text.push_str("protocol direct { ipv4; ipv6; }\n");
    for family in ["ipv4", "ipv6"] {
        let _ = writeln!(
            text,
            "protocol kernel kernel_{family} {{ {family} {{ import all; export where source = RTS_BGP; }}; \
             merge paths on limit {}; learn; }}",
            configuration.maximum_paths
        );
        own(family, configuration, &mut text);
    }
    for neighbour in &configuration.neighbours {
        session(neighbour, configuration.asn, &mut text);
    }
    for line in &configuration.further {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// The name of a neighbour's protocol.
pub(super) fn protocol(name: &str) -> String {
    let plain: String = name.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '_' }).collect();
    format!("n_{plain}")
}

fn own(family: &str, configuration: &Configuration, text: &mut String) {
    let is_ipv4 = family == "ipv4";
    let own: Vec<&Own> = configuration.own.iter().filter(|own| own.prefix.contains(':') != is_ipv4).collect();
    let routes: String = own.iter().map(|own| format!(" route {} blackhole;", own.prefix)).collect();
    let _ = writeln!(text, "protocol static own_{family} {{ {family};{routes} }}");
    let _ = writeln!(text, "filter told_{family} {{\nif source != RTS_STATIC then reject;");
    for own in own {
        let _ = writeln!(text, "if net = {} then {{{} }}", own.prefix, attributes(&own.attributes));
    }
    text.push_str("bgp_origin = ORIGIN_IGP;\naccept;\n}\n");
}

fn attributes(attributes: &Attributes) -> String {
    let mut text = String::new();
    if let Some(med) = attributes.med {
        let _ = write!(text, " bgp_med = {med};");
    }
    if let Some(preference) = attributes.local_preference {
        let _ = write!(text, " bgp_local_pref = {preference};");
    }
    for (first, second) in &attributes.communities {
        let _ = write!(text, " bgp_community.add(({first}, {second}));");
    }
    for [first, second, third] in &attributes.large_communities {
        let _ = write!(text, " bgp_large_community.add(({first}, {second}, {third}));");
    }
    text
}

fn session(neighbour: &Neighbour, asn: u32, text: &mut String) {
    let is_internal = neighbour.is_internal(asn);
    let asn = neighbour.local_asn.unwrap_or(asn);
    let remote = match neighbour.asn {
        RemoteAsn::Is(asn) => format!("as {asn}"),
        RemoteAsn::Internal => "internal".to_owned(),
        RemoteAsn::External => "external".to_owned(),
    };
    let address = match &neighbour.at {
        At::Address(address) => address.to_string(),
        At::Interface { name, link_local } => {
            // Whoever peers by interface waits for advertisements before it connects.
            let _ = writeln!(text, "protocol radv {{ interface \"{name}\" {{ max ra interval 4; }}; }}");
            format!("{}%'{name}'", link_local.map(|it| it.to_string()).unwrap_or_default())
        }
    };
    let _ = writeln!(text, "protocol bgp {} {{", protocol(&neighbour.name()));
    let (hold, keepalive) = (neighbour.hold.as_secs(), neighbour.keepalive.as_secs());
    let mut say = |line: String| {
        let _ = writeln!(text, "{line};");
    };
    say(format!("local as {asn}"));
    say(format!("neighbor {address} {remote}"));
    if let Some(hops) = neighbour.multihop {
        say(format!("multihop {hops}"));
    } else if !is_internal {
        say("direct".to_owned());
    }
    say(format!("hold time {hold}"));
    say(format!("keepalive time {keepalive}"));
    say("connect delay time 0".to_owned());
    say(format!("connect retry time {}", neighbour.connect_retry.as_secs().max(1)));
    say("error wait time 1, 2".to_owned());
    if let Some(password) = &neighbour.password {
        say(format!("password \"{password}\""));
    }
    if let Some(source) = neighbour.source {
        say(format!("source address {source}"));
    }
    if neighbour.has_ttl_security {
        say("ttl security on".to_owned());
    }
    if neighbour.is_passive {
        say("passive on".to_owned());
    }
    say(format!("graceful restart {}", if neighbour.has_graceful_restart { "aware" } else { "off" }));
    say("long lived graceful restart off".to_owned());
    for line in &neighbour.further {
        say(line.clone());
    }
    let extended = if neighbour.has_extended_next_hop { " extended next hop on;" } else { "" };
    let families = [("ipv4", neighbour.families.ipv4, extended), ("ipv6", neighbour.families.ipv6, "")];
    for (family, _, further) in families.into_iter().filter(|(_, is_on, _)| *is_on) {
        say(format!("{family} {{ import all; export filter told_{family};{further} }}"));
    }
    text.push_str("}\n");
}
