//! GoBGP: one process, asked by its own program. It puts nothing into the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use super::answers::{Capability, NeighbourState, Path};
use super::{At, Configuration, Neighbour, Own, Place, RemoteAsn, text};
use crate::lab::Error;
use crate::lab::process::Process;
use crate::lab::programs::{GOBGP, GOBGPD};

const FILE: &str = "gobgp.toml";
/// Of the namespace, so it is nobody else's.
const API: &str = "127.0.0.1:50051";
const ESTABLISHED: u64 = 6;
const STATES: [&str; 7] = ["Unknown", "Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"];

#[derive(Debug)]
pub(super) struct GoBgp {
    /// Prefixes that it was told to tell.
    own: std::sync::Mutex<Vec<Own>>,
}

impl GoBgp {
    pub(super) fn prepare(_: &Place) -> GoBgp {
        GoBgp { own: std::sync::Mutex::default() }
    }

    pub(super) fn start(&self, place: &Place, configuration: &Configuration) -> Result<Vec<Process>, Error> {
        let file = place.write(FILE, &file(configuration).map_err(|reason| place.failed(&reason))?)?;
        let arguments = ["-f", &file.display().to_string(), "--api-hosts", API, "--pprof-disable"];
        let mut process = place.spawn(GOBGPD, &arguments.map(str::to_owned))?;
        place.wait_for(GOBGPD.name, &mut process, || self.run(place, &["global"]).is_ok())?;
        self.own().clear();
        self.tell(place, &configuration.own)?;
        Ok(vec![process])
    }

    pub(super) fn reconfigure(
        &self,
        place: &Place,
        processes: &mut [Process],
        configuration: &Configuration,
    ) -> Result<(), Error> {
        place.write(FILE, &file(configuration).map_err(|reason| place.failed(&reason))?)?;
        processes.iter_mut().for_each(|process| process.signal(Signal::HUP));
        self.tell(place, &configuration.own)
    }

    pub(super) fn ask(&self, place: &Place, line: &str) -> Result<String, Error> {
        self.run(place, &line.split_whitespace().collect::<Vec<_>>())
    }

    pub(super) fn neighbours(&self, place: &Place) -> Result<BTreeMap<String, NeighbourState>, Error> {
        let all = self.run_json(place, &["neighbor", "-j"])?;
        let named = |entry: &Value| {
            let address = entry["conf"]["neighbor_address"].as_str().unwrap_or_default();
            (address.split_once('%').map_or(address, |(_, interface)| interface).to_owned(), state(entry))
        };
        Ok(text::list(&all).iter().map(named).collect())
    }

    pub(super) fn paths(&self, place: &Place, prefix: &str) -> Result<Vec<Path>, Error> {
        let arguments = ["global", "rib", "-a", family_of(prefix), "-j", prefix];
        let all = match self.run_json(place, &arguments) {
            Err(error) if error.to_string().contains("not in table") => return Ok(Vec::new()),
            other => other?,
        };
        Ok(text::list(&all[prefix]).iter().map(path).collect())
    }

    pub(super) fn clear(&self, place: &Place, neighbour: Option<&str>) -> Result<(), Error> {
        let all = match neighbour {
            Some(name) => vec![name.to_owned()],
            None => self.neighbours(place)?.into_keys().collect(),
        };
        all.iter().try_for_each(|name| self.run(place, &["neighbor", name, "reset"]).map(drop))
    }

    pub(super) fn refresh(&self, place: &Place, neighbour: &str) -> Result<(), Error> {
        self.run(place, &["neighbor", neighbour, "softresetin"]).map(drop)
    }

    fn own(&self) -> std::sync::MutexGuard<'_, Vec<Own>> {
        self.own.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn tell(&self, place: &Place, wanted: &[Own]) -> Result<(), Error> {
        let mut told = self.own();
        for own in told.iter().filter(|own| !wanted.contains(own)) {
            self.run(place, &["global", "rib", "-a", family_of(&own.prefix), "del", &own.prefix])?;
        }
        for own in wanted.iter().filter(|own| !told.contains(own)) {
            let words = told_as(own);
            self.run(place, &words.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        wanted.clone_into(&mut told);
        Ok(())
    }

    fn run(&self, place: &Place, arguments: &[&str]) -> Result<String, Error> {
        let mut command = Command::new(GOBGP.path()?);
        command.args(arguments);
        let output = place.namespace.run(|| command.output());
        let output = output.map_err(|error| place.failed(&error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(place.failed(&format!("{}: {}{}", arguments.join(" "), text.trim(), said.trim())))
    }

    fn run_json(&self, place: &Place, arguments: &[&str]) -> Result<Value, Error> {
        let said = self.run(place, arguments)?;
        serde_json::from_str(&said).map_err(|error| place.failed(&format!("{error}: {said}")))
    }
}

fn family_of(prefix: &str) -> &'static str {
    if prefix.contains(':') { "ipv6" } else { "ipv4" }
}

fn told_as(own: &Own) -> Vec<String> {
    let attributes = &own.attributes;
    let mut words: Vec<String> =
        ["global", "rib", "-a", family_of(&own.prefix), "add", &own.prefix, "origin", "igp"]
            .map(str::to_owned)
            .into();
    let mut say = |name: &str, value: String| words.extend([name.to_owned(), value]);
    if let Some(med) = attributes.med {
        say("med", med.to_string());
    }
    if let Some(preference) = attributes.local_preference {
        say("local-pref", preference.to_string());
    }
    let communities: Vec<_> = attributes.communities.iter().map(|(a, b)| format!("{a}:{b}")).collect();
    if !communities.is_empty() {
        say("community", communities.join(","));
    }
    let large: Vec<_> = attributes.large_communities.iter().map(|[a, b, c]| format!("{a}:{b}:{c}")).collect();
    if !large.is_empty() {
        say("large-community", large.join(","));
    }
    words
}

/// It must be told numbers of neighbours.
fn file(configuration: &Configuration) -> Result<String, String> {
    let mut text = format!(
        "[global.config]\nas = {}\nrouter-id = \"{}\"\n[global.use-multiple-paths.config]\nenabled = true\n",
        configuration.asn, configuration.router_id
    );
    for neighbour in &configuration.neighbours {
        session(neighbour, configuration.asn, &mut text)?;
    }
    for line in &configuration.further {
        let _ = writeln!(text, "{line}");
    }
    Ok(text)
}

fn session(neighbour: &Neighbour, asn: u32, text: &mut String) -> Result<(), String> {
    let own = neighbour.local_asn.unwrap_or(asn);
    let asn = match neighbour.asn {
        RemoteAsn::Is(asn) => asn,
        RemoteAsn::Internal => own,
        RemoteAsn::External => {
            return Err(format!("GoBGP must be told the number of {}", neighbour.name()));
        }
    };
    let mut say = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    say("[[neighbors]]\n[neighbors.config]".to_owned());
    match &neighbour.at {
        At::Address(address) => say(format!("neighbor-address = \"{address}\"")),
        At::Interface { name, .. } => say(format!("neighbor-interface = \"{name}\"")),
    }
    say(format!("peer-as = {asn}"));
    if let Some(asn) = neighbour.local_asn {
        say(format!("local-as = {asn}"));
    }
    if let Some(password) = &neighbour.password {
        say(format!("auth-password = \"{password}\""));
    }
    say(format!(
        "[neighbors.timers.config]\nhold-time = {}\nkeepalive-interval = {}\nconnect-retry = {}\nidle-hold-time-after-reset = 1",
        neighbour.hold.as_secs(),
        neighbour.keepalive.as_secs(),
        neighbour.connect_retry.as_secs().max(1)
    ));
    say(format!("[neighbors.transport.config]\npassive-mode = {}", neighbour.is_passive));
    if let Some(source) = neighbour.source {
        say(format!("local-address = \"{source}\""));
    }
    if let Some(hops) = neighbour.multihop.filter(|_| own != asn) {
        say(format!("[neighbors.ebgp-multihop.config]\nenabled = true\nmultihop-ttl = {hops}"));
    }
    if neighbour.has_ttl_security {
        say("[neighbors.ttl-security.config]\nenabled = true\nttl-min = 255".to_owned());
    }
    if neighbour.has_graceful_restart {
        say("[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 120".to_owned());
    }
    for line in &neighbour.further {
        say(line.clone());
    }
    let families = [("ipv4-unicast", neighbour.families.ipv4), ("ipv6-unicast", neighbour.families.ipv6)];
    for (family, _) in families.into_iter().filter(|(_, is_on)| *is_on) {
        say(format!("[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{family}\""));
        if neighbour.has_graceful_restart {
            say("[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true".to_owned());
        }
    }
    Ok(())
}

fn state(entry: &Value) -> NeighbourState {
    let state = entry["state"]["session_state"].as_u64().unwrap_or_default();
    let is_established = state == ESTABLISHED;
    let mut capabilities = BTreeSet::new();
    for offered in text::list(&entry["state"]["remote_cap"]) {
        let kind = offered["type_url"].as_str().unwrap_or_default();
        let kind = kind.rsplit('.').next().unwrap_or_default();
        capabilities.extend(capability(kind, offered["value"].as_str().unwrap_or_default()));
    }
    let count = |way: &str| {
        let messages = &entry["state"]["messages"][way];
        let number = |name: &str| messages[name].as_u64().unwrap_or(0);
        ["open", "update", "keepalive", "notification", "refresh"].map(|it| (it, number(it))).into()
    };
    let families = text::list(&entry["afi_safis"]).iter();
    NeighbourState {
        state: usize::try_from(state).ok().and_then(|it| STATES.get(it)).unwrap_or(&"").to_string(),
        is_established,
        asn: text::u32_of(&entry["state"]["peer_asn"]),
        router_id: text::parse(&entry["state"]["router_id"]),
        capabilities,
        restart_time_secs: None,
        hold_secs: entry["timers"]["state"]["negotiated_hold_time"].as_u64(),
        keepalive_secs: entry["timers"]["state"]["keepalive_interval"].as_u64(),
        received: count("received"),
        sent: count("sent"),
        prefixes: families.filter_map(|it| it["state"]["accepted"].as_u64()).sum(),
        times_established: None,
        last_reset: None,
    }
}

/// The value is a message of protocol buffers, in base 64: of families the last digits are all that differs.
fn capability(kind: &str, value: &str) -> Option<Capability> {
    const IPV4: &str = "CgQIARAB";
    const IPV6: &str = "CgQIAhAB";
    const EXTENDED_MESSAGE: &str = "CAY=";
    Some(match kind {
        "MultiProtocolCapability" if value == IPV4 => Capability::Ipv4,
        "MultiProtocolCapability" if value == IPV6 => Capability::Ipv6,
        "RouteRefreshCapability" => Capability::RouteRefresh,
        "EnhancedRouteRefreshCapability" => Capability::EnhancedRefresh,
        "FourOctetASNCapability" => Capability::FourOctetAsn,
        "ExtendedNexthopCapability" => Capability::ExtendedNextHop,
        "GracefulRestartCapability" => Capability::GracefulRestart,
        "LongLivedGracefulRestartCapability" => Capability::LongLivedGracefulRestart,
        "AddPathCapability" => Capability::AddPath,
        "FqdnCapability" => Capability::HostName,
        "UnknownCapability" if value == EXTENDED_MESSAGE => Capability::ExtendedMessage,
        _ => return None,
    })
}

fn path(entry: &Value) -> Path {
    let is_best = entry["best"] == true;
    let mut path = Path {
        from: text::parse(&entry["neighbor-ip"]),
        is_best,
        is_used: is_best,
        is_stale: entry["stale"] == true,
        ..Path::default()
    };
    for attribute in text::list(&entry["attrs"]) {
        match attribute["type"].as_u64() {
            Some(1) => {
                let origins = ["igp", "egp", "incomplete"];
                let number = attribute["value"].as_u64().and_then(|it| usize::try_from(it).ok());
                path.origin = number.and_then(|it| origins.get(it)).unwrap_or(&"?").to_string();
            }
            Some(2) => {
                let segments = text::list(&attribute["as_paths"]).iter();
                path.as_path =
                    segments.flat_map(|it| text::list(&it["asns"])).filter_map(text::u32_of).collect();
            }
            Some(3 | 14) => path.next_hops.extend(text::parse::<std::net::IpAddr>(&attribute["nexthop"])),
            Some(4) => path.med = text::u32_of(&attribute["metric"]),
            Some(5) => path.local_preference = text::u32_of(&attribute["value"]),
            Some(8) => {
                let all = text::list(&attribute["communities"]).iter().filter_map(text::u32_of);
                path.communities = all.map(|it| format!("{}:{}", it >> 16, it & 0xffff)).collect();
                path.communities.sort();
            }
            Some(16) => {
                path.extended_communities =
                    text::list(&attribute["value"]).iter().map(ToString::to_string).collect();
            }
            Some(32) => {
                let parts = |it: &Value| ["ASN", "LocalData1", "LocalData2"].map(|part| it[part].to_string());
                path.large_communities =
                    text::list(&attribute["value"]).iter().map(|it| parts(it).join(":")).collect();
                path.large_communities.sort();
            }
            _ => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_gobgp_writes_of_it() {
        let entry = serde_json::json!({"best": true, "stale": false, "neighbor-ip": "10.0.0.1", "attrs": [
            {"type": 1, "value": 0}, {"type": 2, "as_paths": [{"segment_type": 2, "num": 1, "asns": [64501]}]},
            {"type": 3, "nexthop": "10.0.0.1"}, {"type": 4, "metric": 7}, {"type": 5, "value": 50},
            {"type": 8, "communities": [4_259_840_001_u32]},
            {"type": 32, "value": [{"ASN": 64501, "LocalData1": 1, "LocalData2": 2}]},
        ]});
        let expected = Path {
            from: Some([10, 0, 0, 1].into()),
            next_hops: vec![[10, 0, 0, 1].into()],
            as_path: vec![64501],
            origin: "igp".to_owned(),
            med: Some(7),
            local_preference: Some(50),
            communities: vec!["65000:1".to_owned()],
            large_communities: vec!["64501:1:2".to_owned()],
            is_best: true,
            is_used: true,
            ..Path::default()
        };
        assert_eq!(path(&entry), expected);
    }
}
