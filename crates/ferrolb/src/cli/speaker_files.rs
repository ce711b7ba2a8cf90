//! The files that are mounted for a speaker.

use std::path::Path;

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
    let file: Option<ExcludedFile> = serde_json::from_value(value)?;
    let expressions = file.unwrap_or_default().announced_interfaces_to_exclude.unwrap_or_default();
    Excluded::parse(&expressions).context("announcedInterfacesToExclude")
}

/// A profile of gossip that cannot be read is an error, also where nothing of it has an effect.
pub(super) fn check_memberlist(path: &Path) -> anyhow::Result<()> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        read => read.with_context(|| path.display().to_string())?,
    };
    parse_memberlist(&text).with_context(|| path.display().to_string())
}

fn parse_memberlist(text: &str) -> anyhow::Result<()> {
    let value: serde_json::Map<String, Value> = serde_json::from_str(text)?;
    for name in DURATIONS.into_iter().chain(["QueueCheckInterval"]) {
        let duration = value.get(name).and_then(Value::as_str).unwrap_or_default();
        duration.parse::<GoDuration>().with_context(|| name.to_owned())?;
    }
    Ok(())
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
        assert!(parse_memberlist(&serde_json::to_string(&whole).unwrap()).is_ok());
        for name in whole.keys() {
            let mut other = whole.clone();
            other.remove(name);
            assert!(parse_memberlist(&serde_json::to_string(&other).unwrap()).is_err(), "{name}");
            other.insert(name.clone(), "1 second".into());
            assert!(parse_memberlist(&serde_json::to_string(&other).unwrap()).is_err(), "{name}");
        }
    }
}
