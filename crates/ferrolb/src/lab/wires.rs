//! What is wrong with the network of a lab on purpose: cables that are pulled, frames that are lost, groups that do not
//! hear each other. Pure; the rules are for the switch, where no node can see them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::topology::{Segment, Topology};

/// How a member is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Cut {
    /// The cable is pulled, which the member sees
    #[default]
    Cable,
    /// Frames are lost on their way, which nobody sees
    Silent,
    /// The way to the API server alone
    Management,
}

/// What is wrong now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wires {
    cuts: BTreeMap<String, BTreeSet<&'static str>>,
    /// Members of different groups do not hear each other. Whoever is in none hears all.
    groups: Vec<BTreeSet<String>>,
}

impl Cut {
    fn name(self) -> &'static str {
        match self {
            Cut::Cable => "cable",
            Cut::Silent => "silent",
            Cut::Management => "management",
        }
    }
}

impl Wires {
    pub(super) fn cut(&mut self, member: &str, cut: Cut) {
        self.cuts.entry(member.to_owned()).or_default().insert(cut.name());
    }

    pub(super) fn restore(&mut self, member: &str) {
        self.cuts.remove(member);
    }

    pub(super) fn partition(&mut self, groups: Vec<BTreeSet<String>>) {
        self.groups = groups;
    }

    pub(super) fn is_cut(&self, member: &str, cut: Cut) -> bool {
        self.cuts.get(member).is_some_and(|cuts| cuts.contains(cut.name()))
    }

    pub(super) fn cuts(&self, member: &str) -> Vec<&'static str> {
        self.cuts.get(member).into_iter().flatten().copied().collect()
    }

    pub(super) fn groups(&self) -> &[BTreeSet<String>] {
        &self.groups
    }

    /// For `nft` in the switch's namespace.
    pub(super) fn script(&self, topology: &Topology) -> String {
        let ports = |members: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            let plugged =
                |segment: &Segment, member: &str| topology.find(member).is_some_and(|it| it.has(*segment));
            let ports = members.flat_map(|member| {
                Segment::SWITCHED.into_iter().filter(|it| plugged(it, member)).map(|it| it.port(member))
            });
            ports.map(|port| format!("\"{port}\"")).collect()
        };
        let mut rules = String::new();
        let known = topology.members.iter().map(|member| member.name.as_str());
        let silent = ports(&mut known.filter(|member| self.is_cut(member, Cut::Silent))).join(", ");
        if !silent.is_empty() {
            rules.push_str(&format!("iifname {{ {silent} }} drop\noifname {{ {silent} }} drop\n"));
        }
        let groups: Vec<_> =
            self.groups.iter().map(|group| ports(&mut group.iter().map(String::as_str))).collect();
        for (index, group) in groups.iter().enumerate() {
            let others: Vec<_> = groups
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index)
                .flat_map(|(_, it)| it.clone())
                .collect();
            if !group.is_empty() && !others.is_empty() {
                let (group, others) = (group.join(", "), others.join(", "));
                rules.push_str(&format!("iifname {{ {group} }} oifname {{ {others} }} drop\n"));
            }
        }
        format!(
            "add table bridge ferrolb-lab\ndelete table bridge ferrolb-lab\ntable bridge ferrolb-lab {{\n\
             chain forward {{\ntype filter hook forward priority 0\n{rules}}}\n}}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Options;

    fn rules(wires: &Wires) -> Vec<String> {
        let script = wires.script(&Topology::new(&Options::new("t")));
        script.lines().filter(|line| line.ends_with(" drop")).map(str::to_owned).collect()
    }

    #[test]
    fn groups_do_not_hear_each_other_and_the_rest_hears_all() {
        let mut wires = Wires::default();
        assert!(rules(&wires).is_empty());
        let group = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        wires.partition(vec![group(&["node-1", "client"]), group(&["node-2"])]);
        let one = r#""client", "node-1""#;
        let other = r#""node-2""#;
        assert_eq!(
            rules(&wires),
            [
                format!("iifname {{ {one} }} oifname {{ {other} }} drop"),
                format!("iifname {{ {other} }} oifname {{ {one} }} drop")
            ]
        );
        wires.partition(Vec::new());
        assert!(rules(&wires).is_empty());
    }

    #[test]
    fn a_silent_cut_loses_frames_both_ways_until_it_is_restored() {
        let mut wires = Wires::default();
        wires.cut("node-2", Cut::Silent);
        wires.cut("node-3", Cut::Cable);
        let ports = r#"{ "node-2" }"#;
        assert_eq!(rules(&wires), [format!("iifname {ports} drop"), format!("oifname {ports} drop")]);
        assert_eq!(wires.cuts("node-3"), ["cable"]);
        wires.restore("node-2");
        assert!(rules(&wires).is_empty() && !wires.is_cut("node-2", Cut::Silent));
    }
}
