//! Where other speakers may be: at the addresses of Pods, and where somebody says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use kube::{Api, Client};
use tokio::sync::mpsc;

use crate::pod::Pod;
use crate::watch::{Change, Key, Only, follow};

/// Names get other addresses without telling.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);
/// After which a name has none, for now.
const RESOLVE_WAIT: Duration = Duration::from_secs(5);
const QUEUE: usize = 64;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    /// A selector of Pods, as it is written.
    pub labels: Option<String>,
    pub hosts: Vec<Host>,
}

/// A name or an address, and a port if it is not the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--peers {0:?} is no HOST or HOST:PORT")]
pub struct NoHost(String);

impl FromStr for Host {
    type Err = NoHost;

    fn from_str(text: &str) -> Result<Host, NoHost> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Host { name: address.ip().to_string(), port: Some(address.port()) });
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Host { name: address.to_string(), port: None });
        }
        let wrong = || NoHost(text.to_owned());
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.is_empty() || !name.bytes().all(may_stand) {
            return Err(wrong());
        }
        Ok(Host { name: name.to_owned(), port })
    }
}

/// Where this speaker itself is, and which addresses of others are of use to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct From {
    pub(super) own: SocketAddr,
}

impl From {
    fn is_reachable(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.own.is_ipv4() && !address.is_unspecified()
    }
}

/// Follows them for ever. Nothing is told before each way was gone once.
pub(super) async fn run(
    peers: Peers,
    client: Client,
    namespace: String,
    from: From,
    tell: impl Fn(BTreeSet<SocketAddr>),
) {
    let (told, mut changes) = mpsc::channel(QUEUE);
    let mut watching = std::pin::pin!(watch(&peers, &client, &namespace, from, told));
    let mut timer = tokio::time::interval(RESOLVE_EVERY);
    let mut pods = Pods { addresses: BTreeMap::new(), is_complete: peers.labels.is_none() };
    let mut resolved: Option<BTreeSet<SocketAddr>> = None;
    let mut last = None;
    loop {
        tokio::select! {
            () = &mut watching => {}
            Some(change) = changes.recv() => pods.take(change),
            _ = timer.tick() => resolved = Some(resolve(&peers.hosts, from).await),
        }
        let Some(named) = resolved.as_ref().filter(|_| pods.is_complete) else { continue };
        let of_pods = pods.addresses.values().flatten();
        let mut now: BTreeSet<SocketAddr> =
            of_pods.map(|address| SocketAddr::new(*address, from.own.port())).collect();
        now.extend(named);
        now.remove(&from.own);
        if last.as_ref() != Some(&now) {
            tracing::debug!(peers = now.len(), "speakers may be there");
            tell(now.clone());
            last = Some(now);
        }
    }
}

#[derive(Debug)]
struct Pods {
    addresses: BTreeMap<Key, Vec<IpAddr>>,
    is_complete: bool,
}

impl Pods {
    fn take(&mut self, change: Change<Vec<IpAddr>>) {
        match change {
            Change::Is { key, value, .. } => {
                self.addresses.insert(key, value);
            }
            Change::Gone(key) => {
                self.addresses.remove(&key);
            }
            Change::Complete => self.is_complete = true,
        }
    }
}

async fn watch(
    peers: &Peers,
    client: &Client,
    namespace: &str,
    from: From,
    told: mpsc::Sender<Change<Vec<IpAddr>>>,
) {
    if let Some(labels) = &peers.labels {
        let pods = Api::<Pod>::namespaced(client.clone(), namespace);
        follow(pods, Only::labels(labels), |pod| addresses(&pod, from), told, |change| change).await;
    } else {
        std::future::pending::<()>().await;
    }
}

/// Ready or not: a speaker says itself whether it can answer. Nothing once it has ended for good.
fn addresses(pod: &Pod, from: From) -> Option<Vec<IpAddr>> {
    let status = pod.status.as_ref()?;
    if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
        return None;
    }
    let others = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let all = status.pod_ip.as_deref().into_iter().chain(others);
    // One is enough: it is the same speaker.
    all.filter_map(|text| text.parse().ok()).find(|address| from.is_reachable(*address)).map(|it| vec![it])
}

async fn resolve(hosts: &[Host], from: From) -> BTreeSet<SocketAddr> {
    let mut found = BTreeSet::new();
    for host in hosts {
        let port = host.port.unwrap_or(from.own.port());
        let lookup = tokio::net::lookup_host((host.name.as_str(), port));
        match tokio::time::timeout(RESOLVE_WAIT, lookup).await {
            Ok(Ok(addresses)) => found.extend(addresses.filter(|address| from.is_reachable(address.ip()))),
            Ok(Err(error)) => tracing::warn!(host = host.name, %error, "a peer has no address now"),
            Err(_) => tracing::warn!(host = host.name, "nobody says which address a peer has"),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_host_may_have_a_port() {
        let host = |name: &str, port| Some(Host { name: name.to_owned(), port });
        for (text, expected) in [
            ("node-2", host("node-2", None)),
            ("node-2.example.org:7000", host("node-2.example.org", Some(7000))),
            ("192.0.2.7", host("192.0.2.7", None)),
            ("192.0.2.7:7000", host("192.0.2.7", Some(7000))),
            ("2001:db8::7", host("2001:db8::7", None)),
            ("[2001:db8::7]", host("2001:db8::7", None)),
            ("[2001:db8::7]:7000", host("2001:db8::7", Some(7000))),
            ("", None),
            (":7000", None),
            ("node-2:", None),
            ("node-2:70000", None),
            ("node 2", None),
            ("a:b:c", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_pod_is_a_peer_wherever_it_can_be_reached() {
        let from = |own: &str| From { own: own.parse().unwrap() };
        let (v4, v6) = (from("192.0.2.1:7946"), from("[2001:db8::1]:7946"));
        let both = json!({"podIP": "192.0.2.7", "podIPs": [{"ip": "192.0.2.7"}, {"ip": "2001:db8::7"}]});
        let ended = json!({"phase": "Failed", "podIP": "192.0.2.7"});
        for (status, from, expected) in [
            (both.clone(), v4, Some("192.0.2.7")),
            (both, v6, Some("2001:db8::7")),
            (json!({"phase": "Running", "podIP": "192.0.2.7"}), v4, Some("192.0.2.7")),
            (json!({"podIP": "192.0.2.7"}), v6, None),
            (json!({}), v4, None),
            (ended, v4, None),
        ] {
            let pod: Pod = serde_json::from_value(json!({"metadata": {}, "status": status})).unwrap();
            let expected = expected.map(|it| vec![it.parse().unwrap()]);
            assert_eq!(addresses(&pod, from), expected, "{status}");
        }
    }
}
