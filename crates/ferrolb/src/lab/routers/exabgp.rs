//! ExaBGP: it has no table and no kernel, but says word for word what it heard.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use super::answers::{Capability, NeighbourState, Path};
use super::{At, Attributes, Configuration, Neighbour, Own, Place, RemoteAsn, text};
use crate::lab::Error;
use crate::lab::process::Process;
use crate::lab::programs::{EXABGP, Program, SH};

const FILE: &str = "exabgp.conf";
const SCRIPT: &str = "control.sh";
const PIPE: &str = "orders";
const HEARD: &str = "heard.json";
/// ExaBGP takes a program that closes its output for dead, and ends itself.
const SCRIPT_CONTENT: &str = r#"cd "$(dirname "$0")"
exec 3<&0
cat <&3 >>heard.json &
exec 3<&-
exec cat <>orders
"#;
/// Python that is not the system's may come first in somebody's PATH.
const PYTHON: &str = "/usr/bin/python3";
const MKFIFO: Program = Program { name: "mkfifo", package: "coreutils" };
const READY: &str = "loaded new configuration successfully";
/// Cease, administrative reset.
const RESET: u8 = 4;
const RESTART_SECS: u32 = 120;

#[derive(Debug)]
pub(super) struct ExaBgp {
    heard: PathBuf,
    orders: PathBuf,
    /// Addresses of the member.
    own: Vec<IpAddr>,
}

impl ExaBgp {
    pub(super) fn prepare(place: &Place) -> Result<ExaBgp, Error> {
        place.write(SCRIPT, SCRIPT_CONTENT)?;
        let orders = place.folder.join(PIPE);
        MKFIFO.run(None, &[&orders.display().to_string()], "")?;
        Ok(ExaBgp { heard: place.folder.join(HEARD), orders, own: place.addresses.clone() })
    }

    pub(super) fn start(&self, place: &Place, configuration: &Configuration) -> Result<Vec<Process>, Error> {
        let file = self.write(place, configuration)?;
        // What an earlier one heard is nothing to this one.
        place.write(HEARD, "")?;
        let log = place.log(EXABGP.name);
        // It may be that there is none.
        let _ = std::fs::remove_file(&log);
        let listens = configuration.neighbours.iter().any(|neighbour| neighbour.is_passive);
        let own: Vec<_> = self.own.iter().map(ToString::to_string).collect();
        let bind = if listens { format!("exabgp_tcp_bind='{}'", own.join(" ")) } else { String::new() };
        let line = format!(
            "exec env exabgp_daemon_user=root exabgp_daemon_drop=false exabgp_log_all=false \
             exabgp_api_cli=false exabgp_api_ack=false exabgp_tcp_port=179 {bind} {PYTHON} {} {}",
            EXABGP.path()?.display(),
            file.display()
        );
        let arguments = ["-c".to_owned(), line];
        let started = place.starter.start(place.namespace.name(), &log, &SH.path()?, &arguments);
        let mut process = started?;
        let has_read = || std::fs::read_to_string(&log).is_ok_and(|said| said.contains(READY));
        place.wait_for(EXABGP.name, &mut process, has_read)?;
        Ok(vec![process])
    }

    pub(super) fn reconfigure(
        &self,
        place: &Place,
        processes: &mut [Process],
        configuration: &Configuration,
    ) -> Result<(), Error> {
        self.write(place, configuration)?;
        processes.iter_mut().for_each(|process| process.signal(Signal::USR1));
        Ok(())
    }

    /// It answers nothing.
    pub(super) fn ask(&self, place: &Place, line: &str) -> Result<String, Error> {
        // To read as well means not to wait for a reader.
        let opened = std::fs::OpenOptions::new().read(true).write(true).open(&self.orders);
        let written = opened.and_then(|mut pipe| writeln!(pipe, "{line}"));
        written.map(|()| String::new()).map_err(|error| place.failed(&error.to_string()))
    }

    pub(super) fn neighbours(&self, place: &Place) -> Result<BTreeMap<String, NeighbourState>, Error> {
        let heard = self.heard(place)?;
        Ok(heard.into_iter().map(|(name, it)| (name, it.state)).collect())
    }

    pub(super) fn paths(&self, place: &Place, prefix: &str) -> Result<Vec<Path>, Error> {
        let heard = self.heard(place)?;
        Ok(heard.into_values().filter_map(|mut it| it.paths.remove(prefix)).collect())
    }

    pub(super) fn clear(&self, place: &Place, neighbour: Option<&str>) -> Result<(), Error> {
        let all = match neighbour {
            Some(name) => vec![name.to_owned()],
            None => self.neighbours(place)?.into_keys().collect(),
        };
        all.iter()
            .try_for_each(|name| self.ask(place, &format!("neighbor {name} teardown {RESET}")).map(drop))
    }

    pub(super) fn refresh(&self, place: &Place, neighbour: &str) -> Result<(), Error> {
        let state = self.neighbours(place)?.remove(neighbour).unwrap_or_default();
        let families = [("ipv4", Capability::Ipv4), ("ipv6", Capability::Ipv6)];
        families.iter().filter(|(_, it)| state.can(*it)).try_for_each(|(family, _)| {
            let line = format!("neighbor {neighbour} announce route-refresh {family} unicast");
            self.ask(place, &line).map(drop)
        })
    }

    fn write(&self, place: &Place, configuration: &Configuration) -> Result<PathBuf, Error> {
        let script = place.folder.join(SCRIPT).display().to_string();
        let text = file(configuration, &script, &self.own).map_err(|reason| place.failed(&reason))?;
        place.write(FILE, &text)
    }

    fn heard(&self, place: &Place) -> Result<BTreeMap<String, Heard>, Error> {
        let text = std::fs::read_to_string(&self.heard);
        let text = text.map_err(|error| place.failed(&error.to_string()))?;
        Ok(heard(&text))
    }
}

fn file(configuration: &Configuration, script: &str, own: &[IpAddr]) -> Result<String, String> {
    let mut text = format!("process control {{\nrun /bin/sh {script};\nencoder json;\n}}\n");
    for neighbour in &configuration.neighbours {
        session(neighbour, configuration, own, &mut text)?;
    }
    for line in &configuration.further {
        let _ = writeln!(text, "{line}");
    }
    Ok(text)
}

fn session(
    neighbour: &Neighbour,
    configuration: &Configuration,
    own: &[IpAddr],
    text: &mut String,
) -> Result<(), String> {
    let cannot = |what: &str| Err(format!("ExaBGP cannot have {what} with {}", neighbour.name()));
    let At::Address(address) = neighbour.at else { return cannot("a session by interface") };
    if neighbour.has_extended_next_hop {
        return cannot("next hops of the other family");
    }
    let source =
        neighbour.source.or_else(|| own.iter().copied().find(|it| it.is_ipv4() == address.is_ipv4()));
    let Some(source) = source else { return cannot("an address of its own") };
    let asn = neighbour.local_asn.unwrap_or(configuration.asn);
    let remote = match neighbour.asn {
        RemoteAsn::Is(asn) => asn.to_string(),
        RemoteAsn::Internal => asn.to_string(),
        RemoteAsn::External => return cannot("any number"),
    };
    let mut say = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    say(format!("neighbor {address} {{"));
    say(format!("router-id {};\nlocal-address {source};", configuration.router_id));
    say(format!("local-as {asn};\npeer-as {remote};\nhold-time {};", neighbour.hold.as_secs()));
    if let Some(password) = &neighbour.password {
        say(format!("md5-password \"{password}\";"));
    }
    if neighbour.is_passive {
        say("passive true;".to_owned());
    }
    if neighbour.has_ttl_security {
        say("outgoing-ttl 255;\nincoming-ttl 255;".to_owned());
    }
    if let Some(hops) = neighbour.multihop {
        say(format!("outgoing-ttl {hops};"));
    }
    let restart = if neighbour.has_graceful_restart {
        format!(" graceful-restart {RESTART_SECS};")
    } else {
        String::new()
    };
    say(format!("capability {{ route-refresh enable; asn4 enable;{restart} }}"));
    let families = [("ipv4", neighbour.families.ipv4), ("ipv6", neighbour.families.ipv6)];
    let families = families.iter().filter(|(_, is_on)| *is_on);
    let families: String = families.map(|(family, _)| format!(" {family} unicast;")).collect();
    say(format!("family {{{families} }}"));
    say("api { processes [ control ]; neighbor-changes; receive { parsed; update; open; notification; refresh; keepalive; } }".to_owned());
    for line in &neighbour.further {
        say(line.clone());
    }
    say("static {".to_owned());
    for own in &configuration.own {
        say(route(own));
    }
    say("}\n}".to_owned());
    Ok(())
}

fn route(own: &Own) -> String {
    let Attributes { med, local_preference, communities, large_communities } = &own.attributes;
    let mut text = format!("route {} next-hop self", own.prefix);
    if let Some(med) = med {
        let _ = write!(text, " med {med}");
    }
    if let Some(preference) = local_preference {
        let _ = write!(text, " local-preference {preference}");
    }
    let listed: Vec<_> = communities.iter().map(|(a, b)| format!("{a}:{b}")).collect();
    if !listed.is_empty() {
        let _ = write!(text, " community [{}]", listed.join(" "));
    }
    let listed: Vec<_> = large_communities.iter().map(|[a, b, c]| format!("{a}:{b}:{c}")).collect();
    if !listed.is_empty() {
        let _ = write!(text, " large-community [{}]", listed.join(" "));
    }
    text + ";"
}

/// What was heard of one neighbour, up to now.
#[derive(Debug, Default)]
struct Heard {
    state: NeighbourState,
    paths: BTreeMap<String, Path>,
}

fn heard(lines: &str) -> BTreeMap<String, Heard> {
    let mut all: BTreeMap<String, Heard> = BTreeMap::new();
    for line in lines.lines() {
        // The last one may not be there as a whole.
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let neighbour = &event["neighbor"];
        let Some(name) = neighbour["address"]["peer"].as_str() else { continue };
        let heard = all.entry(name.to_owned()).or_default();
        heard.take(event["type"].as_str().unwrap_or_default(), neighbour);
    }
    all
}

impl Heard {
    fn take(&mut self, kind: &str, event: &Value) {
        if let Some(kind) = counted(kind).filter(|_| event["direction"] == "receive") {
            *self.state.received.entry(kind).or_default() += 1;
        }
        match kind {
            "state" => {
                let state = event["state"].as_str().unwrap_or_default();
                state.clone_into(&mut self.state.state);
                self.state.is_established = state == "up";
                if state == "down" {
                    self.paths.clear();
                    self.state.capabilities.clear();
                    self.state.last_reset = event["reason"].as_str().map(str::to_owned);
                }
            }
            "open" if event["direction"] == "receive" => self.open(&event["open"]),
            "update" => self.update(event),
            _ => {}
        }
        self.state.prefixes = u64::try_from(self.paths.len()).unwrap_or(u64::MAX);
    }

    fn open(&mut self, open: &Value) {
        let all = open["capabilities"].as_object().into_iter().flatten();
        self.state.capabilities = all.flat_map(|(code, it)| capabilities(code, it)).collect();
        // What does not fit into the old field is in the capability.
        let asn = text::u32_of(&open["capabilities"]["65"]["asn4"]);
        self.state.asn = asn.or_else(|| text::u32_of(&open["asn"]));
        let restart = &open["capabilities"]["64"]["time"];
        self.state.restart_time_secs = restart.as_u64();
        self.state.router_id = text::parse(&open["router_id"]);
        self.state.hold_secs = open["hold_time"].as_u64();
    }

    fn update(&mut self, event: &Value) {
        let update = &event["message"]["update"];
        let prefix = |it: &Value| it["nlri"].as_str().or(it.as_str()).map(str::to_owned);
        for (_, gone) in update["withdraw"].as_object().into_iter().flatten() {
            for prefix in text::list(gone).iter().filter_map(prefix) {
                self.paths.remove(&prefix);
            }
        }
        let path = path(event, &update["attribute"]);
        for (_, told) in update["announce"].as_object().into_iter().flatten() {
            for (next_hop, prefixes) in told.as_object().into_iter().flatten() {
                let path = Path { next_hops: next_hop.parse().into_iter().collect(), ..path.clone() };
                for prefix in text::list(prefixes).iter().filter_map(prefix) {
                    self.paths.insert(prefix, path.clone());
                }
            }
        }
    }
}

fn counted(kind: &str) -> Option<&'static str> {
    ["open", "update", "keepalive", "notification", "refresh"].into_iter().find(|it| *it == kind)
}

fn path(event: &Value, attributes: &Value) -> Path {
    let joined = |value: &Value| -> Vec<String> {
        let parts = |it: &Value| text::list(it).iter().map(ToString::to_string).collect::<Vec<_>>().join(":");
        let mut all: Vec<_> = text::list(value).iter().map(parts).collect();
        all.sort();
        all
    };
    Path {
        from: text::parse(&event["address"]["peer"]),
        next_hops: Vec::new(),
        as_path: text::list(&attributes["as-path"]).iter().filter_map(text::u32_of).collect(),
        origin: attributes["origin"].as_str().unwrap_or_default().to_owned(),
        med: text::u32_of(&attributes["med"]),
        local_preference: text::u32_of(&attributes["local-preference"]),
        communities: joined(&attributes["community"]),
        large_communities: joined(&attributes["large-community"]),
        extended_communities: text::list(&attributes["extended-community"])
            .iter()
            .map(|it| it["string"].as_str().unwrap_or_default().to_owned())
            .collect(),
        is_best: false,
        is_used: false,
        is_stale: false,
    }
}

fn capabilities(code: &str, value: &Value) -> BTreeSet<Capability> {
    let one = |it| BTreeSet::from([it]);
    match code {
        "1" => {
            let is_in = |family: &str| text::list(&value["families"]).iter().any(|it| *it == *family);
            let families = [("ipv4/unicast", Capability::Ipv4), ("ipv6/unicast", Capability::Ipv6)];
            families.into_iter().filter(|(family, _)| is_in(family)).map(|(_, it)| it).collect()
        }
        "2" => one(Capability::RouteRefresh),
        "5" => one(Capability::ExtendedNextHop),
        "6" => one(Capability::ExtendedMessage),
        "9" => one(Capability::Role),
        "64" => one(Capability::GracefulRestart),
        "65" => one(Capability::FourOctetAsn),
        "69" => one(Capability::AddPath),
        "70" => one(Capability::EnhancedRefresh),
        "71" => one(Capability::LongLivedGracefulRestart),
        "73" => one(Capability::HostName),
        _ => BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(bodies: &[&str]) -> String {
        let address = r#""address": {"local": "10.0.0.2", "peer": "10.0.0.1"}"#;
        bodies
            .iter()
            .map(|body| {
                let (kind, rest) = body.split_once(' ').unwrap();
                format!("{{\"type\": \"{kind}\", \"neighbor\": {{{address}, {rest}}}}}\n")
            })
            .collect()
    }

    #[test]
    fn what_holds_is_what_was_heard_last() {
        let open = r#"open "direction": "receive", "open": {"asn": 64501, "hold_time": 3, "router_id": "1.1.1.1", "capabilities": {
            "1": {"families": ["ipv4/unicast"]}, "64": {"time": 120}}}"#.replace('\n', "");
        let told = r#"update "direction": "receive", "message": {"update": {"attribute": {"origin": "igp",
            "as-path": [64501], "med": 7, "community": [[65000, 2], [65000, 1]], "large-community": [[1, 2, 3]]},
            "announce": {"ipv4 unicast": {"10.0.0.1": [{"nlri": "192.0.2.0/24"}, {"nlri": "192.0.2.1/32"}]}}}}"#.replace('\n', "");
        let gone = r#"update "direction": "receive", "message": {"update": {"withdraw": {"ipv4 unicast": [{"nlri": "192.0.2.1/32"}]}}}"#;
        let (up, down) = (r#"state "state": "up""#, r#"state "state": "down", "reason": "closed""#);
        let all = heard(&events(&[&open, up, &told, gone]));
        let neighbour = &all["10.0.0.1"];
        assert!(neighbour.state.is_established && neighbour.state.can(Capability::GracefulRestart));
        assert_eq!((neighbour.state.prefixes, neighbour.state.received["update"]), (1, 2));
        let path = &neighbour.paths["192.0.2.0/24"];
        assert_eq!((path.med, path.as_path.as_slice()), (Some(7), &[64501][..]));
        assert_eq!(path.communities, ["65000:1", "65000:2"]);
        let all = heard(&events(&[&open, up, &told, down]));
        let neighbour = &all["10.0.0.1"];
        assert!(neighbour.paths.is_empty() && !neighbour.state.is_established);
        assert_eq!(neighbour.state.last_reset.as_deref(), Some("closed"));
    }
}
