//! FRR: zebra and bgpd, as root and with everything they make in the folder of the router, so that nothing of them is left.

mod lines;
mod vty;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::answers::{Capability, NeighbourState, Path};
use super::{Configuration, Place, text};
use crate::lab::Error;
use crate::lab::process::Process;
use crate::lab::programs::{BGPD, Program, SH, ZEBRA};
use vty::Vty;

/// The folder that FRR's programs have their sockets in, and the group that it insists on.
const RUN: &str = "/var/run/frr";
const GROUP: &str = "frrvty";
/// In the namespace of mounts that `ip netns exec` makes for each program. So no router sees another's sockets, and the
/// programs find that root is in the group.
const MOUNTS: &str =
    r#"mount --bind "$0/group" /etc/group && mount --bind "$0/run" /var/run/frr && exec "$@""#;
/// The default is too small for many routes at once.
const NETLINK_BYTES: &str = "90000000";

#[derive(Debug)]
pub(super) struct Frr {
    run: PathBuf,
}

impl Frr {
    pub(super) fn prepare(place: &Place) -> Result<Frr, Error> {
        let run = place.folder.join("run");
        let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
        let made = std::fs::create_dir_all(&run).and_then(|()| std::fs::create_dir_all(RUN));
        made.map_err(|error| Error::Folder { path: run.clone(), reason: error.to_string() })?;
        place.write("group", &with_root(&groups))?;
        Ok(Frr { run })
    }

    pub(super) fn start(&self, place: &Place, configuration: &Configuration) -> Result<Vec<Process>, Error> {
        let mut processes = Vec::new();
        for (program, further) in [(ZEBRA, &["-s", NETLINK_BYTES][..]), (BGPD, &[])] {
            let mut process = self.spawn(place, program, further)?;
            let socket = self.socket(program);
            place.wait_for(program.name, &mut process, || Vty::open(&socket).is_ok())?;
            processes.push(process);
        }
        self.configure(place, &lines::all(configuration))?;
        Ok(processes)
    }

    pub(super) fn reconfigure(
        &self,
        place: &Place,
        old: &Configuration,
        new: &Configuration,
    ) -> Result<(), Error> {
        self.configure(place, &lines::difference(old, new))
    }

    pub(super) fn ask(&self, place: &Place, line: &str) -> Result<String, Error> {
        let asked = Vty::open(&self.socket(BGPD)).and_then(|mut vty| vty.ask(line));
        asked.map_err(|error| place.failed(&error.to_string()))
    }

    pub(super) fn neighbours(&self, place: &Place) -> Result<BTreeMap<String, NeighbourState>, Error> {
        let all = self.ask_json(place, "show bgp neighbors json")?;
        let entries = all.as_object().into_iter().flatten();
        // There is one more entry, which is a number.
        Ok(entries.filter(|(_, it)| it.is_object()).map(|(name, it)| (name.clone(), state(it))).collect())
    }

    pub(super) fn paths(&self, place: &Place, prefix: &str) -> Result<Vec<Path>, Error> {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let answer = self.ask_json(place, &format!("show bgp {family} unicast {prefix} json"))?;
        // Of an address without a route it shows that of a shorter prefix.
        let is_it = answer["prefix"] == *prefix;
        Ok(text::list(&answer["paths"]).iter().filter(|_| is_it).map(path).collect())
    }

    pub(super) fn clear(&self, place: &Place, neighbour: Option<&str>) -> Result<(), Error> {
        self.ask(place, &format!("clear bgp {}", neighbour.unwrap_or("*"))).map(drop)
    }

    pub(super) fn refresh(&self, place: &Place, neighbour: &str) -> Result<(), Error> {
        self.ask(place, &format!("clear bgp {neighbour} soft in")).map(drop)
    }

    fn spawn(&self, place: &Place, program: Program, further: &[&str]) -> Result<Process, Error> {
        let path = program.path()?.display().to_string();
        let folder = place.folder.display().to_string();
        let own = ["-c", MOUNTS, &folder, &path, "-u", "root", "-g", "root", "-P", "0", "-f", "/dev/null"];
        let logged = ["--log", "stdout"];
        let arguments: Vec<_> =
            own.iter().chain(&logged).chain(further).map(|argument| (*argument).to_owned()).collect();
        let log = place.log(program.name);
        place.starter.start(place.namespace.name(), &log, &SH.path()?, &arguments)
    }

    fn configure(&self, place: &Place, commands: &[String]) -> Result<(), Error> {
        let vty = Vty::open(&self.socket(BGPD));
        let done = vty.and_then(|mut vty| vty.configure(commands.iter().map(String::as_str)));
        done.map_err(|error| place.failed(&error.to_string()))
    }

    fn ask_json(&self, place: &Place, line: &str) -> Result<Value, Error> {
        let said = self.ask(place, line)?;
        if said.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&said).map_err(|error| place.failed(&format!("{line:?}: {error}: {said}")))
    }

    fn socket(&self, program: Program) -> PathBuf {
        self.run.join(format!("{}.vty", program.name))
    }
}

/// The groups of this machine, with root among those that may use FRR.
fn with_root(groups: &str) -> String {
    let mut text = String::new();
    for line in groups.lines() {
        text.push_str(line);
        if line.strip_prefix(GROUP).is_some_and(|rest| rest.starts_with(':')) {
            text.push_str(if line.ends_with(':') { "root" } else { ",root" });
        }
        text.push('\n');
    }
    text
}

fn state(entry: &Value) -> NeighbourState {
    let capabilities = &entry["neighborCapabilities"];
    let is_heard = |it: &Value| it.as_str().is_some_and(|how| how.to_lowercase().contains("received"));
    let of_family = |family: &str| {
        let family = &capabilities["multiprotocolExtensions"][family];
        family["advertisedAndReceived"] == true || family["received"] == true
    };
    let offered = [
        (Capability::Ipv4, of_family("ipv4Unicast")),
        (Capability::Ipv6, of_family("ipv6Unicast")),
        (Capability::RouteRefresh, is_heard(&capabilities["routeRefresh"])),
        (Capability::EnhancedRefresh, is_heard(&capabilities["enhancedRouteRefresh"])),
        (Capability::FourOctetAsn, is_heard(&capabilities["4byteAs"])),
        (Capability::ExtendedNextHop, is_heard(&capabilities["extendedNexthop"])),
        (Capability::ExtendedMessage, is_heard(&capabilities["extendedMessage"])),
        (Capability::GracefulRestart, is_heard(&capabilities["gracefulRestart"])),
        (Capability::LongLivedGracefulRestart, is_heard(&capabilities["longLivedGracefulRestart"])),
        (Capability::AddPath, capabilities["addPath"].to_string().contains("eceived")),
        (Capability::Role, is_heard(&capabilities["role"])),
        (Capability::HostName, capabilities["hostName"]["rcvHostName"].is_string()),
    ];
    let count = |suffix: &str| {
        let names = [
            ("open", "opens"),
            ("update", "updates"),
            ("keepalive", "keepalives"),
            ("notification", "notifications"),
            ("refresh", "routeRefresh"),
        ];
        let number = |name: &str| entry["messageStats"][format!("{name}{suffix}")].as_u64().unwrap_or(0);
        names.into_iter().map(|(kind, name)| (kind, number(name))).collect()
    };
    let secs = |name: &str| entry[name].as_u64().map(|millis| millis / 1000);
    let families = entry["addressFamilyInfo"].as_object().into_iter().flatten();
    NeighbourState {
        state: entry["bgpState"].as_str().unwrap_or_default().to_owned(),
        is_established: entry["bgpState"] == "Established",
        asn: text::u32_of(&entry["remoteAs"]).filter(|asn| *asn != 0),
        router_id: text::parse(&entry["remoteRouterId"]),
        capabilities: offered.into_iter().filter(|(_, is_offered)| *is_offered).map(|(it, _)| it).collect(),
        restart_time_secs: capabilities["gracefulRestartRemoteTimerMsecs"].as_u64().map(|it| it / 1000),
        hold_secs: secs("bgpTimerHoldTimeMsecs"),
        keepalive_secs: secs("bgpTimerKeepAliveIntervalMsecs"),
        received: count("Recv"),
        sent: count("Sent"),
        prefixes: families.filter_map(|(_, it)| it["acceptedPrefixCounter"].as_u64()).sum(),
        times_established: entry["connectionsEstablished"].as_u64(),
        last_reset: last_reset(entry),
    }
}

fn last_reset(entry: &Value) -> Option<String> {
    let parts = ["lastResetDueTo", "lastNotificationReason", "lastShutdownDescription"];
    let said: Vec<_> = parts.iter().filter_map(|part| entry[*part].as_str()).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

fn path(entry: &Value) -> Path {
    let segments = text::list(&entry["aspath"]["segments"]).iter();
    let texts = |value: &Value| -> Vec<String> {
        let mut texts: Vec<_> =
            text::list(value).iter().filter_map(Value::as_str).map(text::community).collect();
        texts.sort();
        texts
    };
    let is_best = entry["bestpath"]["overall"] == true;
    let extended = entry["extendedCommunity"]["string"].as_str().unwrap_or_default();
    Path {
        from: text::parse(&entry["peer"]["peerId"]),
        next_hops: text::list(&entry["nexthops"]).iter().filter_map(|it| text::parse(&it["ip"])).collect(),
        as_path: segments.flat_map(|it| text::list(&it["list"])).filter_map(text::u32_of).collect(),
        origin: entry["origin"].as_str().unwrap_or_default().to_lowercase(),
        med: text::u32_of(&entry["metric"]),
        local_preference: text::u32_of(&entry["locPrf"]),
        communities: texts(&entry["community"]["list"]),
        large_communities: texts(&entry["largeCommunity"]["list"]),
        extended_communities: extended.split_whitespace().map(str::to_owned).collect(),
        is_best,
        is_used: is_best || entry["multipath"] == true,
        is_stale: entry["stale"] == true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_in_the_group_that_frr_insists_on() {
        assert_eq!(with_root("a:x:1:\nfrrvty:x:2:frr\n"), "a:x:1:\nfrrvty:x:2:frr,root\n");
        assert_eq!(with_root("frrvty:x:2:\nfrr:x:3:"), "frrvty:x:2:root\nfrr:x:3:\n");
    }

    #[test]
    fn a_path_is_what_frr_writes_of_it() {
        let entry = serde_json::json!({
            "aspath": {"segments": [{"type": "as-sequence", "list": [64502, 64503]}]},
            "origin": "IGP", "metric": 3, "locPrf": 50, "multipath": true, "stale": true,
            "community": {"list": ["noExport", "1:2"]}, "largeCommunity": {"list": ["1:2:3"]},
            "nexthops": [{"ip": "10.0.0.2"}], "peer": {"peerId": "10.0.0.2"},
        });
        let expected = Path {
            from: Some([10, 0, 0, 2].into()),
            next_hops: vec![[10, 0, 0, 2].into()],
            as_path: vec![64502, 64503],
            origin: "igp".to_owned(),
            med: Some(3),
            local_preference: Some(50),
            communities: vec!["1:2".to_owned(), "65535:65281".to_owned()],
            large_communities: vec!["1:2:3".to_owned()],
            is_used: true,
            is_stale: true,
            ..Path::default()
        };
        assert_eq!(path(&entry), expected);
    }
}
