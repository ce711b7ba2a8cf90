//! What is printed of a lab.

use std::fmt::Write;
use std::net::SocketAddr;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::{Format, output, print, yaml};
use crate::lab::traffic::Report;
use crate::lab::{self, Order};

/// As it comes from the process that runs the lab.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) kubeconfig: String,
    pub(super) kubeconfig_inside: String,
    members: Vec<Member>,
    partition: Vec<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Member {
    name: String,
    namespace: String,
    addresses: Vec<String>,
    cuts: Vec<String>,
    node: Option<Node>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    speaker: Option<String>,
    speaker_process: Option<u32>,
    has_backend: bool,
    is_drained: bool,
}

impl Status {
    pub(super) fn namespace_of(&self, member: &str) -> anyhow::Result<String> {
        let number = member.parse::<usize>().map(|number| format!("node-{number}"));
        let name = number.as_deref().unwrap_or(member);
        let found = self.members.iter().find(|it| it.name == name);
        Ok(found.with_context(|| format!("there is no member {member} in the lab"))?.namespace.clone())
    }
}

pub(super) fn ask_status(name: &str) -> anyhow::Result<Status> {
    Ok(api::decode::from_value(&lab::ask(name, &Order::Status)?)?)
}

pub(super) fn status(name: &str, format: Format) -> anyhow::Result<u8> {
    let value = lab::ask(name, &Order::Status)?;
    match format {
        Format::Table => print(&table(&api::decode::from_value(&value)?))?,
        other => print_value(&value, other)?,
    }
    Ok(0)
}

pub(super) fn report(report: &Report, format: Format) -> anyhow::Result<u8> {
    if format != Format::Table {
        print_value(&serde_json::to_value(report)?, format)?;
        return Ok(0);
    }
    let nodes: Vec<_> = report.nodes.iter().map(|(node, answers)| format!("{node} {answers}")).collect();
    let mut text = format!("asked {}, answered {} ({})\n", report.asked, report.answered, nodes.join(", "));
    if report.broken > 0 {
        let _ = writeln!(text, "{} refused or broken off", report.broken);
    }
    let _ = match report.longest_gap_ms > 0.0 {
        true => writeln!(
            text,
            "longest gap {:.1} ms, {:.1} s after the start",
            report.longest_gap_ms,
            report.longest_gap_at_ms / 1000.0
        ),
        false => writeln!(text, "no gap"),
    };
    print(&text)?;
    Ok(0)
}

/// What can be done with a lab that has just come up.
pub(super) fn hints(name: &str) -> anyhow::Result<()> {
    let status = ask_status(name)?;
    let nodes = status.members.iter().filter(|member| member.node.is_some()).count();
    let named = if name == "lab" { String::new() } else { format!(" --name {name}") };
    eprintln!("the lab {name} is up: {nodes} nodes, a switch, a router, a client, an API server");
    eprintln!("  export KUBECONFIG={}", status.kubeconfig);
    eprintln!("  ferrolb lab{named} status");
    eprintln!("  ferrolb lab{named} traffic {} --protocol http --seconds 1", first_backend(&status));
    eprintln!("  ferrolb lab{named} down");
    Ok(())
}

fn first_backend(status: &Status) -> String {
    let node = status.members.iter().find(|member| member.node.is_some());
    let address = node.and_then(|node| node.addresses.first()?.parse().ok());
    address.map_or_else(String::new, |address| SocketAddr::new(address, lab::HTTP_PORTS[0]).to_string())
}

fn table(status: &Status) -> String {
    let mut rows = Vec::new();
    for member in &status.members {
        let mut trouble: Vec<_> = member.cuts.iter().map(|cut| format!("cut ({cut})")).collect();
        let (speaker, backend) = match &member.node {
            None => ("-".to_owned(), "-"),
            Some(node) => {
                if node.is_drained {
                    trouble.push("drained".to_owned());
                }
                let process = node.speaker_process.map(|process| format!(" ({process})")).unwrap_or_default();
                let speaker = node.speaker.as_deref().unwrap_or("none");
                (format!("{speaker}{process}"), if node.has_backend { "running" } else { "stopped" })
            }
        };
        let groups = status.partition.iter().enumerate();
        if let Some((group, _)) = groups.into_iter().find(|(_, group)| group.contains(&member.name)) {
            trouble.push(format!("in group {} of a partition", group + 1));
        }
        let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        rows.push([
            member.name.clone(),
            dash(member.addresses.join(",")),
            speaker,
            backend.to_owned(),
            dash(trouble.join(", ")),
        ]);
    }
    output::table(["NAME", "ADDRESSES", "SPEAKER", "BACKEND", "TROUBLE"], rows)
}

fn print_value(value: &Value, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Yaml => print(&yaml::stream(std::slice::from_ref(value))?),
        Format::Json | Format::Table => print(&(serde_json::to_string_pretty(value)? + "\n")),
    }
}
