//! `ferrolb bgp`: the sessions of the speaker of this machine, and what it tells its neighbours.

use std::fmt::Write;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;

use super::ask::AdminArgs;
use super::{Format, exit, output, print, yaml};

#[derive(Debug, Args)]
pub(super) struct BgpArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show sessions: state, capabilities, timers, counters, and why one is not there
    Peers(PeersArgs),
    /// Show what each peer was told, and how
    Routes(PeersArgs),
    /// Begin a session anew
    Reset(ResetArgs),
}

#[derive(Debug, Args)]
struct PeersArgs {
    /// Of this BGPPeer alone, and in detail
    #[arg(value_name = "PEER")]
    peer: Option<String>,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Args)]
struct ResetArgs {
    /// The BGPPeer
    #[arg(value_name = "PEER")]
    peer: String,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Deserialize)]
struct Peers {
    peers: Vec<Peer>,
}

/// As it comes from a speaker.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peer {
    name: String,
    endpoint: String,
    port: u16,
    state: String,
    since_seconds: f64,
    #[serde(rename = "localASN")]
    local_asn: u32,
    #[serde(rename = "remoteASN")]
    remote_asn: Option<u32>,
    times_lost: u64,
    prefixes_wanted: usize,
    prefixes_told: usize,
    obstacle: Option<String>,
    agreed: Option<Agreed>,
    offered: Option<Open>,
    heard: Option<Open>,
    local: Option<String>,
    remote: Option<String>,
    sent: Messages,
    received: Messages,
    held_back: Vec<HeldBack>,
    #[serde(default)]
    last_error: Option<Why>,
    #[serde(default)]
    last_failure: Option<Why>,
    #[serde(default)]
    next_attempt_seconds: Option<f64>,
    #[serde(default)]
    routes: Vec<Route>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Agreed {
    hold_seconds: u16,
    keepalive_seconds: u16,
    families: Vec<String>,
    is_external: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    #[serde(rename = "routerID")]
    router_id: String,
    hold_seconds: u16,
    capabilities: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Messages {
    opens: u64,
    updates: u64,
    notifications: u64,
    keepalives: u64,
    #[serde(rename = "routeRefreshes")]
    route_refreshes: u64,
}

#[derive(Debug, Deserialize)]
struct HeldBack {
    family: String,
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Why {
    text: String,
    seconds_ago: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Route {
    prefix: String,
    next_hop: String,
    as_path: Vec<u32>,
    local_preference: Option<u32>,
    med: Option<u32>,
    communities: Vec<String>,
    large_communities: Vec<String>,
    extended_communities: Vec<String>,
}

pub(super) fn run(args: &BgpArgs) -> anyhow::Result<u8> {
    match &args.command {
        Command::Peers(args) => {
            show(args, false, |peers, one| if one { details(peers) } else { sessions(peers) })
        }
        Command::Routes(args) => show(args, true, |peers, _| routes(peers)),
        Command::Reset(ResetArgs { peer, admin }) => {
            if find(admin, Some(peer), false)?.1.is_empty() {
                return Ok(unknown(peer));
            }
            admin.post(&format!("/bgp/reset?peer={peer}"))?;
            print(&format!("the session with {peer} begins anew\n"))?;
            Ok(0)
        }
    }
}

fn show(args: &PeersArgs, with_routes: bool, table: impl Fn(&[Peer], bool) -> String) -> anyhow::Result<u8> {
    let peer = args.peer.as_deref();
    let (value, peers) = find(&args.admin, peer, with_routes)?;
    if let Some(peer) = peer.filter(|_| peers.is_empty()) {
        return Ok(unknown(peer));
    }
    match args.output {
        Format::Table => print(&table(&peers, peer.is_some()))?,
        Format::Json => print(&format!("{value:#}\n"))?,
        Format::Yaml => print(&yaml::stream(std::slice::from_ref(&value))?)?,
    }
    Ok(0)
}

fn find(admin: &AdminArgs, peer: Option<&str>, with_routes: bool) -> anyhow::Result<(Value, Vec<Peer>)> {
    let peer = peer.map(|peer| format!("&peer={peer}")).unwrap_or_default();
    let text = admin.get(&format!("/bgp?routes={with_routes}{peer}"))?;
    let answered = "what the speaker answered";
    let value: Value = serde_json::from_str(&text).context(answered)?;
    let Peers { peers } = serde_json::from_str(&text).context(answered)?;
    Ok((value, peers))
}

fn unknown(peer: &str) -> u8 {
    eprintln!("error: no BGPPeer {peer:?} is for this node");
    exit::INVALID
}

fn sessions(peers: &[Peer]) -> String {
    if peers.is_empty() {
        return "no BGPPeer is for this node\n".to_owned();
    }
    let rows = peers.iter().map(|peer| {
        [
            peer.name.clone(),
            peer.endpoint.clone(),
            peer.remote_asn.map_or_else(|| "-".to_owned(), |number| number.to_string()),
            peer.state.clone(),
            output::age(peer.since_seconds),
            format!("{}/{}", peer.prefixes_told, peer.prefixes_wanted),
            peer.times_lost.to_string(),
        ]
    });
    let mut text = output::table(["PEER", "ADDRESS", "AS", "STATE", "SINCE", "PREFIXES", "LOST"], rows);
    for peer in peers {
        for note in notes(peer) {
            let _ = writeln!(text, "{}: {note}", peer.name);
        }
    }
    text
}

/// What is not as it should be.
fn notes(peer: &Peer) -> Vec<String> {
    let mut notes = Vec::new();
    if peer.state != "Established" {
        notes.extend(peer.obstacle.clone());
        let last = |why: &Option<Why>| {
            why.as_ref().map(|why| format!("{} ({} ago)", why.text, output::age(why.seconds_ago)))
        };
        notes.extend(last(&peer.last_error));
        notes.extend(last(&peer.last_failure));
        notes.extend(peer.next_attempt_seconds.map(|seconds| format!("tried again in {seconds:.0} s")));
    }
    notes.extend(peer.held_back.iter().map(|it| format!("{} is not told: {}", it.family, it.why)));
    notes
}

fn details(peers: &[Peer]) -> String {
    let mut text = String::new();
    for peer in peers {
        let mut line = |name: &str, value: String| {
            let name = if name.is_empty() { String::new() } else { format!("{name}:") };
            let _ = writeln!(text, "{name:<16}{value}");
        };
        line("Peer", format!("{} at {} port {}", peer.name, peer.endpoint, peer.port));
        line("State", format!("{} for {}", peer.state, output::age(peer.since_seconds)));
        line(
            "AS",
            match peer.remote_asn {
                Some(remote) => format!("{} here, {remote} there", peer.local_asn),
                None => format!("{} here", peer.local_asn),
            },
        );
        if let (Some(local), Some(remote)) = (&peer.local, &peer.remote) {
            line("Connection", format!("{local} to {remote}"));
        }
        if let Some(agreed) = &peer.agreed {
            let kind = if agreed.is_external { "external" } else { "internal" };
            line("Session", format!("{kind}, {}", agreed.families.join(", ")));
            let timers = format!("hold {} s, keepalive {} s", agreed.hold_seconds, agreed.keepalive_seconds);
            line("Timers", timers);
        }
        for (name, open) in [("This side", &peer.offered), ("The other side", &peer.heard)] {
            let Some(open) = open else { continue };
            line(name, format!("router {}, hold {} s", open.router_id, open.hold_seconds));
            open.capabilities.iter().for_each(|capability| line("", capability.clone()));
        }
        for (name, it) in [("Sent", &peer.sent), ("Received", &peer.received)] {
            let Messages { opens, updates, notifications, keepalives, route_refreshes } = it;
            line(
                name,
                format!(
                    "{opens} OPEN, {updates} UPDATE, {keepalives} KEEPALIVE, {notifications} NOTIFICATION, {route_refreshes} ROUTE-REFRESH"
                ),
            );
        }
        line("Prefixes", format!("{} of {} told", peer.prefixes_told, peer.prefixes_wanted));
        line("Lost", format!("{} times", peer.times_lost));
        if let Some(error) = &peer.last_error {
            line("Last error", format!("{} ({} ago)", error.text, output::age(error.seconds_ago)));
        }
        notes(peer).into_iter().for_each(|note| line("Note", note));
    }
    text
}

fn routes(peers: &[Peer]) -> String {
    let rows = peers.iter().flat_map(|peer| {
        peer.routes.iter().map(|route| {
            let number = |it: Option<u32>| it.map_or_else(|| "-".to_owned(), |it| it.to_string());
            let path: Vec<String> = route.as_path.iter().map(u32::to_string).collect();
            let communities: Vec<&str> =
                [&route.communities, &route.large_communities, &route.extended_communities]
                    .into_iter()
                    .flatten()
                    .map(String::as_str)
                    .collect();
            [
                peer.name.clone(),
                route.prefix.clone(),
                route.next_hop.clone(),
                if path.is_empty() { "-".to_owned() } else { path.join(" ") },
                number(route.local_preference),
                number(route.med),
                if communities.is_empty() { "-".to_owned() } else { communities.join(" ") },
            ]
        })
    });
    output::table(["PEER", "PREFIX", "NEXT HOP", "PATH", "PREFERENCE", "MED", "COMMUNITIES"], rows)
}
