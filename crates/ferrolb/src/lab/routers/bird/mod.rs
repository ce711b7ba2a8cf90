//! BIRD: one process, asked over its control socket in lines that are meant for people.

mod file;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;

use super::answers::{Capability, NeighbourState, Path};
use super::{ANSWER_WAIT, Configuration, Place, text};
use crate::lab::Error;
use crate::lab::process::Process;
use crate::lab::programs::BIRD;

const FILE: &str = "bird.conf";
const SOCKET: &str = "bird.ctl";
/// Answers with such a code say that something was not done.
const FIRST_ERROR: u16 = 8000;

#[derive(Debug)]
pub(super) struct Bird {
    socket: std::path::PathBuf,
}

impl Bird {
    pub(super) fn prepare(place: &Place) -> Bird {
        Bird { socket: place.folder.join(SOCKET) }
    }

    pub(super) fn start(&self, place: &Place, configuration: &Configuration) -> Result<Vec<Process>, Error> {
        let file = place.write(FILE, &file::text(configuration))?;
        // One that was killed has left it.
        let _ = std::fs::remove_file(&self.socket);
        let arguments = ["-f", "-c", &file.display().to_string(), "-s", &self.socket.display().to_string()];
        let mut process = place.spawn(BIRD, &arguments.map(str::to_owned))?;
        place.wait_for(BIRD.name, &mut process, || self.ask(place, "show status").is_ok())?;
        Ok(vec![process])
    }

    pub(super) fn reconfigure(&self, place: &Place, configuration: &Configuration) -> Result<(), Error> {
        place.write(FILE, &file::text(configuration))?;
        self.ask(place, "configure").map(drop)
    }

    pub(super) fn ask(&self, place: &Place, line: &str) -> Result<String, Error> {
        asked(&self.socket, line).map_err(|error| place.failed(&format!("{line:?}: {error}")))
    }

    pub(super) fn neighbours(&self, place: &Place) -> Result<BTreeMap<String, NeighbourState>, Error> {
        let protocols = self.protocols(place)?;
        Ok(protocols.into_iter().map(|it| (it.neighbour, it.state)).collect())
    }

    pub(super) fn paths(&self, place: &Place, prefix: &str) -> Result<Vec<Path>, Error> {
        let said = self.ask(place, &format!("show route {prefix} all"));
        let said = match said {
            // It is no error that there is none.
            Err(error) if error.to_string().contains("not found") => return Ok(Vec::new()),
            other => other?,
        };
        let addresses = self.protocols(place)?.into_iter().map(|it| (it.name, it.address)).collect();
        Ok(paths(&said, &addresses))
    }

    pub(super) fn clear(&self, place: &Place, neighbour: Option<&str>) -> Result<(), Error> {
        let name = neighbour.map_or_else(|| "\"n_*\"".to_owned(), file::protocol);
        self.ask(place, &format!("restart {name}")).map(drop)
    }

    pub(super) fn refresh(&self, place: &Place, neighbour: &str) -> Result<(), Error> {
        self.ask(place, &format!("reload in {}", file::protocol(neighbour))).map(drop)
    }

    fn protocols(&self, place: &Place) -> Result<Vec<Protocol>, Error> {
        Ok(protocols(&self.ask(place, "show protocols all")?))
    }
}

/// One greeting, one line, one answer.
fn asked(socket: &std::path::Path, line: &str) -> std::io::Result<String> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_WAIT))?;
    (&stream).write_all(format!("{line}\n").as_bytes())?;
    let mut reader = BufReader::new(&stream);
    let mut received = String::new();
    reader.read_line(&mut received)?;
    let mut text = String::new();
    loop {
        received.clear();
        if reader.read_line(&mut received)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let code = received.get(..4).and_then(|code| code.parse::<u16>().ok());
        let (Some(code), Some(rest)) = (code, received.get(5..)) else {
            text.push_str(received.get(1..).unwrap_or_default());
            continue;
        };
        if code >= FIRST_ERROR {
            return Err(std::io::Error::other(rest.trim().to_owned()));
        }
        text.push_str(rest);
        if received.as_bytes().get(4) == Some(&b' ') {
            return Ok(text);
        }
    }
}

/// A protocol of BGP, as `show protocols all` shows it.
#[derive(Debug, Default, PartialEq)]
struct Protocol {
    name: String,
    /// The address, or the interface where that is what it goes by.
    neighbour: String,
    address: Option<IpAddr>,
    state: NeighbourState,
}

fn protocols(said: &str) -> Vec<Protocol> {
    let mut all: Vec<Protocol> = Vec::new();
    let mut is_theirs = false;
    for line in said.lines() {
        if !line.starts_with(' ') && !line.trim().is_empty() {
            let words: Vec<_> = line.split_whitespace().collect();
            let name = (*words.first().unwrap_or(&"")).to_owned();
            all.push(Protocol { name, ..Protocol::default() });
            is_theirs = false;
            continue;
        }
        let Some(protocol) = all.last_mut() else { continue };
        let (key, value) = line.split_once(':').map_or((line.trim(), ""), |(a, b)| (a.trim(), b.trim()));
        match key {
            "Neighbor address" => {
                // The rest of one of IPv6 is in it too, as it has colons.
                let (address, interface) = value.split_once('%').unwrap_or((value, ""));
                protocol.address = address.parse().ok();
                protocol.neighbour = if interface.is_empty() { address } else { interface }.to_owned();
            }
            "Local capabilities" => is_theirs = false,
            "Neighbor capabilities" => is_theirs = true,
            "Session" => is_theirs = false,
            _ if is_theirs => capability(key, value, &mut protocol.state),
            _ => fact(key, value, &mut protocol.state),
        }
    }
    all.retain(|protocol| !protocol.neighbour.is_empty());
    all
}

fn capability(key: &str, value: &str, state: &mut NeighbourState) {
    let known = match key {
        "Route refresh" => Capability::RouteRefresh,
        "Enhanced refresh" => Capability::EnhancedRefresh,
        "4-octet AS numbers" => Capability::FourOctetAsn,
        "Extended next hop" => Capability::ExtendedNextHop,
        "Extended message" => Capability::ExtendedMessage,
        "Graceful restart" => Capability::GracefulRestart,
        "Long-lived graceful restart" => Capability::LongLivedGracefulRestart,
        "ADD-PATH" => Capability::AddPath,
        "Role" => Capability::Role,
        "Hostname" => Capability::HostName,
        "AF announced" => {
            let families = [("ipv4", Capability::Ipv4), ("ipv6", Capability::Ipv6)];
            let offered = families.iter().filter(|(name, _)| value.split(' ').any(|it| it == *name));
            state.capabilities.extend(offered.map(|(_, it)| *it));
            return;
        }
        "Restart time" => {
            state.restart_time_secs = value.parse().ok();
            return;
        }
        _ => return,
    };
    state.capabilities.insert(known);
}

fn fact(key: &str, value: &str, state: &mut NeighbourState) {
    // What is left of the time, and the time.
    let whole = || value.split_once('/').and_then(|(_, secs)| secs.parse().ok());
    match key {
        "BGP state" => {
            value.clone_into(&mut state.state);
            state.is_established = value == "Established";
        }
        "Neighbor AS" => state.asn = value.parse().ok(),
        "Neighbor ID" => state.router_id = value.parse().ok(),
        "Hold timer" => state.hold_secs = whole(),
        "Keepalive timer" => state.keepalive_secs = whole(),
        "Last error" => state.last_reset = Some(value.to_owned()),
        "Routes" => {
            let imported = value.split(' ').next().and_then(|it| it.parse::<u64>().ok());
            state.prefixes += imported.unwrap_or_default();
        }
        _ => {}
    }
}

/// Addresses are those of the neighbours by the names of their protocols.
fn paths(said: &str, addresses: &BTreeMap<String, Option<IpAddr>>) -> Vec<Path> {
    let mut all: Vec<Path> = Vec::new();
    for line in said.lines() {
        if let Some((_, rest)) = line.split_once(" [") {
            let protocol = rest.split([' ', ']']).next().unwrap_or_default();
            // Further ones of a prefix begin with blanks.
            let from = addresses.get(protocol).copied().flatten();
            let is_best = rest.contains("] *");
            all.push(Path { from, is_best, is_used: is_best, ..Path::default() });
            continue;
        }
        let Some(path) = all.last_mut() else { continue };
        let Some((key, value)) = line.trim().split_once(':') else { continue };
        attribute(key, value.trim(), path);
    }
    all
}

fn attribute(key: &str, value: &str, path: &mut Path) {
    let groups = || {
        // (1, 2, 3) (4, 5, 6)
        let parts = value.split(')').map(|it| it.trim().trim_start_matches('(').replace(' ', ""));
        let mut groups: Vec<_> = parts.filter(|it| !it.is_empty()).map(|it| it.replace(',', ":")).collect();
        groups.sort();
        groups
    };
    match key {
        "BGP.origin" => path.origin = value.to_lowercase(),
        "BGP.as_path" => path.as_path = value.split(' ').filter_map(|it| it.parse().ok()).collect(),
        "BGP.next_hop" => path.next_hops = value.split(' ').filter_map(|it| it.parse().ok()).collect(),
        "BGP.med" => path.med = value.parse().ok(),
        "BGP.local_pref" => path.local_preference = value.parse().ok(),
        "BGP.community" => path.communities = groups().iter().map(|it| text::community(it)).collect(),
        "BGP.large_community" => path.large_communities = groups(),
        "BGP.ext_community" => path.extended_communities = groups(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_what_bird_shows_of_it() {
        let said = "Name       Proto      Table      State  Since         Info\n\
            device1    Device     ---        up     00:53:59.342\n\n\
            n_10_0_0_1 BGP        ---        up     00:53:59.342  Established\n\
            \x20 BGP state:          Established\n\
            \x20   Neighbor address: 10.0.0.1\n\
            \x20   Neighbor AS:      64501\n\
            \x20   Neighbor ID:      1.1.1.1\n\
            \x20   Local capabilities\n\
            \x20     Route refresh\n\
            \x20   Neighbor capabilities\n\
            \x20     Multiprotocol\n\
            \x20       AF announced: ipv4 ipv6\n\
            \x20     Graceful restart\n\
            \x20       Restart time: 120\n\
            \x20   Session:          external AS4\n\
            \x20   Hold timer:       2.248/3\n\
            \x20 Channel ipv4\n\
            \x20   Routes:         1 imported, 2 exported, 1 preferred\n\
            n_fe80__1  BGP        ---        start  00:53:59.342  Idle\n\
            \x20 BGP state:          Idle\n\
            \x20   Neighbor address: fe80::1%node-1\n\
            \x20   Last error:       Socket: Connection closed\n";
        let all = protocols(said);
        assert_eq!(all.len(), 2);
        let expected = NeighbourState {
            state: "Established".to_owned(),
            is_established: true,
            asn: Some(64501),
            router_id: Some([1, 1, 1, 1].into()),
            capabilities: [Capability::Ipv4, Capability::Ipv6, Capability::GracefulRestart].into(),
            restart_time_secs: Some(120),
            hold_secs: Some(3),
            prefixes: 1,
            ..NeighbourState::default()
        };
        assert_eq!((all[0].neighbour.as_str(), &all[0].state), ("10.0.0.1", &expected));
        assert_eq!((all[1].neighbour.as_str(), all[1].address), ("node-1", "fe80::1".parse().ok()));
        assert_eq!(all[1].state.last_reset.as_deref(), Some("Socket: Connection closed"));
    }

    #[test]
    fn a_path_is_what_bird_shows_of_it() {
        let said = "Table master4:\n\
            192.0.2.0/24         unicast [n_a 00:54:00.443] * (100) [AS64501i]\n\
            \tvia 10.0.0.1 on eth0\n\tType: BGP univ\n\tBGP.origin: IGP\n\tBGP.as_path: 64501 64502\n\
            \tBGP.next_hop: 10.0.0.1\n\tBGP.med: 7\n\tBGP.local_pref: 100\n\
            \tBGP.community: (65535,0) (1,1)\n\tBGP.large_community: (64501, 1, 2) (1, 2, 3)\n\
            \x20                    unicast [n_b 00:54:00.443] (100) [AS64501i]\n\
            \tvia 10.0.0.2 on eth0\n";
        let addresses = [("n_a".to_owned(), "10.0.0.1".parse().ok())].into();
        let found = paths(said, &addresses);
        let expected = Path {
            from: "10.0.0.1".parse().ok(),
            next_hops: vec![[10, 0, 0, 1].into()],
            as_path: vec![64501, 64502],
            origin: "igp".to_owned(),
            med: Some(7),
            local_preference: Some(100),
            communities: vec!["1:1".to_owned(), "65535:0".to_owned()],
            large_communities: vec!["1:2:3".to_owned(), "64501:1:2".to_owned()],
            is_best: true,
            is_used: true,
            ..Path::default()
        };
        assert_eq!(found, [expected, Path::default()]);
    }
}
