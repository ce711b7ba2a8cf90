//! `ferrolb members`: what the speaker of this machine knows of the others.

use std::fmt::Write;
use std::net::SocketAddr;

use anyhow::Context;
use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::output::age;
use super::{Format, ask, output, print, yaml};

#[derive(Debug, Args)]
pub(super) struct MembersArgs {
    /// Where the speaker serves its probes
    #[arg(long, default_value = "127.0.0.1:17472")]
    address: SocketAddr,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// As it comes from a speaker that watches over others.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Watched {
    own: Member,
    may_answer: bool,
    is_joining: bool,
    is_isolated: bool,
    is_relearning: bool,
    damped_for_seconds: Option<f64>,
    duplicate_at: Option<String>,
    watched_by: Vec<Watching>,
    members: Vec<Member>,
    other_secrets: Vec<Foreign>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    node: String,
    address: String,
    state: String,
    failures: u8,
    #[serde(default)]
    is_heard: Option<bool>,
    #[serde(default)]
    since_seconds: Option<f64>,
    #[serde(default)]
    watching: Option<Watching>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Watching {
    node: String,
    is_up: bool,
    interval_ms: f64,
    multiplier: u8,
    loss: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Foreign {
    from: String,
    seconds_ago: f64,
}

pub(super) fn run(args: &MembersArgs) -> anyhow::Result<u8> {
    let value: Value =
        serde_json::from_str(&ask::openly(args.address, "/members")?).context("what the speaker answered")?;
    match args.output {
        Format::Table => print(&table(value)?)?,
        Format::Json => print(&format!("{value:#}\n"))?,
        Format::Yaml => print(&yaml::stream(std::slice::from_ref(&value))?)?,
    }
    Ok(0)
}

fn table(mut seen: Value) -> anyhow::Result<String> {
    Ok(match seen["membership"].as_str().unwrap_or_default() {
        "watched" => of_watched(&serde_json::from_value(seen).context("what the speaker answered")?),
        "fixed" => {
            let nodes: Vec<String> = serde_json::from_value(seen["nodes"].take())?;
            format!("by --speakers these are alive, always: {}\n", nodes.join(", "))
        }
        "off" => "speakers do not watch over each other: every known node counts as alive\n".to_owned(),
        _ => "the speaker is starting\n".to_owned(),
    })
}

fn of_watched(watched: &Watched) -> String {
    let mut members: Vec<&Member> = watched.members.iter().chain([&watched.own]).collect();
    members.sort_by(|a, b| a.node.cmp(&b.node));
    let rows = members.into_iter().map(|member| {
        let is_own = member.node == watched.own.node;
        let watches_us = watched.watched_by.iter().find(|it| it.node == member.node);
        [
            if is_own { format!("{} *", member.node) } else { member.node.clone() },
            match member.is_heard {
                Some(false) if !is_gone(member) => format!("{}, not heard", member.state),
                _ => member.state.clone(),
            },
            member.address.clone(),
            member.since_seconds.map_or_else(|| "-".to_owned(), age),
            member.failures.to_string(),
            member.watching.as_ref().map_or_else(|| "-".to_owned(), session),
            watches_us.map_or_else(|| "-".to_owned(), session),
        ]
    });
    let columns = ["NODE", "STATE", "ADDRESS", "SINCE", "FAILURES", "WATCHED FROM HERE", "WATCHES THIS NODE"];
    let mut text = output::table(columns, rows);
    notes(watched).iter().for_each(|note| {
        let _ = writeln!(text, "{note}");
    });
    text
}

/// What is special about this node.
fn notes(watched: &Watched) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |is_so: bool, text: String| {
        if is_so {
            notes.push(text);
        }
    };
    let node = &watched.own.node;
    note(watched.is_joining, format!("{node} is looking for others"));
    note(watched.is_isolated, format!("{node} hears nobody else"));
    note(watched.is_relearning, format!("{node} was not awake, and asks what has become of its addresses"));
    note(!watched.may_answer, format!("{node} answers for nothing now"));
    if let Some(seconds) = watched.damped_for_seconds {
        note(true, format!("{node} failed too often and waits for {seconds:.0} s more"));
    }
    if let Some(address) = &watched.duplicate_at {
        note(true, format!("the speaker at {address} was on {node} first: this one takes no part"));
    }
    for Foreign { from, seconds_ago } in &watched.other_secrets {
        note(true, format!("{from} has another secret, or none ({} ago)", age(*seconds_ago)));
    }
    notes
}

fn is_gone(member: &Member) -> bool {
    member.state == "left" || member.state == "down"
}

fn session(watching: &Watching) -> String {
    let state = if watching.is_up { "" } else { "not yet, " };
    let Watching { interval_ms, multiplier, .. } = watching;
    format!("{state}{interval_ms} ms x {multiplier}, {:.1} % lost", watching.loss * 100.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(value: Value) -> String {
        table(value).unwrap()
    }

    #[test]
    fn whoever_is_not_watched_is_said_in_a_sentence() {
        for (seen, text) in [
            (json!({"membership": "off"}), "every known node"),
            (json!({"membership": "fixed", "nodes": ["a", "b"]}), "a, b"),
            (json!({"membership": "starting"}), "starting"),
        ] {
            assert!(shown(seen).contains(text), "{text}");
        }
    }

    #[test]
    fn who_watches_whom_is_seen_and_what_is_wrong() {
        let watching = |node: &str| json!({"node": node, "isUp": true, "intervalMs": 50.0, "multiplier": 3, "received": 99, "lost": 1, "loss": 0.01});
        let member = |node: &str, state: &str, is_heard: bool| {
            json!({
                "node": node, "address": format!("{node}:7946"), "state": state, "failures": 2, "isHeard": is_heard,
                "sinceSeconds": 7200.0, "watching": watching(node),
            })
        };
        let text = shown(json!({
            "membership": "watched",
            "own": {"node": "b", "address": "b:7946", "state": "alive", "failures": 0},
            "mayAnswer": false, "isJoining": false, "isIsolated": true, "isRelearning": false,
            "dampedForSeconds": null, "duplicateAt": null,
            "watchedBy": [watching("a")],
            "members": [member("a", "alive", false), member("c", "down", false)],
            "otherSecrets": [{"from": "192.0.2.9:7946", "secondsAgo": 61.0}],
        }));
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1][..6], ["a", "alive,", "not", "heard", "a:7946", "2h"]);
        assert_eq!(lines[2][..3], ["b", "*", "alive"]);
        assert_eq!(lines[3][..2], ["c", "down"]);
        assert!(lines[1].join(" ").ends_with("50 ms x 3, 1.0 % lost 50 ms x 3, 1.0 % lost"), "{text}");
        for note in [
            "b hears nobody else",
            "b answers for nothing now",
            "192.0.2.9:7946 has another secret, or none (61s ago)",
        ] {
            assert!(text.contains(note), "{text}");
        }
    }
}
