//! The files that are mounted for a speaker.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use api::duration::GoDuration;
use serde::Deserialize;
use serde_json::Value;

use super::documents;
use crate::layer2::Excluded;

pub(super) const EXCLUDED: &str = "/etc/metallb/excludel2.yaml";
pub(super) const MEMBERLIST: &str = "/etc/metallb/memberlist/config.json";

/// Settings of gossip that are durations, and must be there.
const DURATIONS: [&str; 6] = [
    "TCPTimeout",
    "PushPullInterval",
    "ProbeTimeout",
    "ProbeInterval",
    "GossipInterval",
    "GossipToTheDeadTime",
];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ExcludedFile {
    announced_interfaces_to_exclude: Option<Vec<String>>,
}

/// The interfaces that are left alone; none if there is no such file.
pub(super) fn excluded(path: &Path) -> anyhow::Result<Excluded> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Excluded::default()),
        read => read.with_context(|| path.display().to_string())?,
    };
    parse_excluded(&text).with_context(|| path.display().to_string())
}

fn parse_excluded(text: &str) -> anyhow::Result<Excluded> {
    let documents = documents::read(text.as_bytes()).map_err(|unreadable| anyhow!("{unreadable}"))?;
    let value = documents.into_iter().next().map_or(Value::Null, |document| document.value);
    let file: Option<ExcludedFile> = api::decode::from_value(&value)?;
    let expressions = file.unwrap_or_default().announced_interfaces_to_exclude.unwrap_or_default();
    Excluded::parse(&expressions).context("announcedInterfacesToExclude")
}

/// MetalLB's settings of gossip. What goes over the wire here is another thing, so few of them mean anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) probe_interval: Duration,
    /// The names of all others.
    pub(super) others: Vec<String>,
}

const PROBE_INTERVAL: &str = "ProbeInterval";

impl Profile {
    /// One that cannot be read is an error, also where nothing of it has an effect.
    pub(super) fn read(path: &Path) -> anyhow::Result<Option<Profile>> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| path.display().to_string())?,
        };
        Profile::parse(&text).with_context(|| path.display().to_string()).map(Some)
    }

    fn parse(text: &str) -> anyhow::Result<Profile> {
        let value: serde_json::Map<String, Value> = serde_json::from_str(text)?;
        let mut probe_interval = Duration::ZERO;
        for name in DURATIONS.into_iter().chain(["QueueCheckInterval"]) {
            let duration = value.get(name).and_then(Value::as_str).unwrap_or_default();
            let duration: GoDuration = duration.parse().with_context(|| name.to_owned())?;
            if name == PROBE_INTERVAL {
                probe_interval = Duration::from_nanos(u64::try_from(duration.as_nanos()).unwrap_or(0));
            }
        }
        let others = value.keys().filter(|name| *name != PROBE_INTERVAL).cloned().collect();
        Ok(Profile { probe_interval, others })
    }

    pub(super) fn tell_what_has_no_effect(&self) {
        let names = self.others.join(", ");
        tracing::info!("of {MEMBERLIST} only {PROBE_INTERVAL} is looked at; no effect have: {names}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_expressions_may_be_absent_and_must_be_sound() {
        for (text, name, is_excluded) in [
            ("announcedInterfacesToExclude:\n- ^docker.*\n- ^lo$\n", "docker0", true),
            ("announcedInterfacesToExclude:\n- ^docker.*\n- ^lo$\n", "eth0", false),
            ("announcedInterfacesToExclude: []\n", "eth0", false),
            ("announcedInterfacesToExclude:\n", "eth0", false),
            ("", "lo", false),
        ] {
            assert_eq!(parse_excluded(text).unwrap().contains(name), is_excluded, "{text:?} {name}");
        }
        for text in
            ["announcedInterfacesToExclude: [\"(\"]", "announcedInterfacesToExclude: 5", "a: [", "[1]"]
        {
            assert!(parse_excluded(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_durations_of_a_profile_must_be_there() {
        let whole: serde_json::Map<String, Value> = DURATIONS
            .iter()
            .chain(&["QueueCheckInterval"])
            .map(|&name| (name.to_owned(), "1s".into()))
            .collect();
        let profile = Profile::parse(&serde_json::to_string(&whole).unwrap()).unwrap();
        assert_eq!(profile.probe_interval, Duration::from_secs(1));
        assert_eq!(profile.others.len(), whole.len() - 1);
        for name in whole.keys() {
            let mut other = whole.clone();
            other.remove(name);
            assert!(Profile::parse(&serde_json::to_string(&other).unwrap()).is_err(), "{name}");
            other.insert(name.clone(), "1 second".into());
            assert!(Profile::parse(&serde_json::to_string(&other).unwrap()).is_err(), "{name}");
        }
    }
}
