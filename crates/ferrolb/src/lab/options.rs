//! What a lab is told when it is made.

use std::path::PathBuf;

use super::Error;
use super::routers::Kind;
use super::topology::{MAX_NODES, MAX_REMOTES, MAX_ROUTERS};

/// Which addresses members and Services have.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    #[default]
    Ipv4,
    Ipv6,
    Dual,
}

/// Who takes traffic from an address of a Service to its endpoints.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Forwarder {
    /// Rules in each node's namespace, as kube-proxy makes them
    #[default]
    Nftables,
    /// The speakers themselves, in user space
    Proxy,
    /// Nobody
    None,
}

/// Names of labs end up in names of namespaces and folders.
const NAME_LENGTH: usize = 32;

#[derive(Debug, Clone)]
pub struct Options {
    /// Labs of different names do not see each other.
    pub name: String,
    pub nodes: usize,
    pub family: Family,
    pub second_segment: bool,
    /// Namespaces of routers on the segments of nodes.
    pub routers: usize,
    /// What the first of them runs from the beginning, with every node as a neighbour.
    pub router: Option<Kind>,
    /// Clients on a segment behind the routers; the first router is their way to the nodes.
    pub remotes: usize,
    /// A cable with nothing but link-local addresses from each node to the first router.
    pub has_links: bool,
    pub forwarder: Forwarder,
    /// One `ferrolb speaker` for each node.
    pub has_speakers: bool,
    /// Further arguments of each.
    pub speaker_arguments: Vec<String>,
    pub speaker_log_level: String,
    /// The executable that is `ferrolb`; this one if nothing is said.
    pub program: Option<PathBuf>,
    /// Objects are kept in a file of the lab's folder, not in memory.
    pub is_on_disk: bool,
    /// Namespaces and files stay when the lab ends, for people to look at. The next lab of this name removes them.
    pub keeps: bool,
}

impl Options {
    pub fn new(name: impl Into<String>) -> Options {
        Options {
            name: name.into(),
            nodes: 3,
            family: Family::default(),
            second_segment: false,
            routers: 1,
            router: None,
            remotes: 0,
            has_links: false,
            forwarder: Forwarder::default(),
            has_speakers: true,
            speaker_arguments: Vec::new(),
            speaker_log_level: "info".to_owned(),
            program: None,
            is_on_disk: false,
            keeps: false,
        }
    }

    pub(super) fn checked(&self) -> Result<(), Error> {
        check_name(&self.name)?;
        if !(1..=MAX_NODES).contains(&self.nodes) {
            return Err(Error::Nodes { given: self.nodes });
        }
        if !(1..=MAX_ROUTERS).contains(&self.routers) || self.remotes > MAX_REMOTES {
            return Err(Error::Routers { routers: self.routers, remotes: self.remotes });
        }
        Ok(())
    }
}

pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let may_stand = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = (1..=NAME_LENGTH).contains(&name.len())
        && name.bytes().all(may_stand)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if is_name { Ok(()) } else { Err(Error::Name { given: name.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for (name, is_good) in [
            ("lab", true),
            ("t-12-a", true),
            (&"a".repeat(NAME_LENGTH), true),
            ("", false),
            ("-a", false),
            ("a-", false),
            ("a/b", false),
            ("..", false),
            ("Lab", false),
            (&"a".repeat(NAME_LENGTH + 1), false),
        ] {
            assert_eq!(check_name(name).is_ok(), is_good, "{name:?}");
        }
    }
}
