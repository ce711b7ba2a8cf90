//! What there is in a lab and how it is, as values.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Serialize;

use super::Lab;
use super::process::ProcessState;
use super::routers::{Kind, Router};
use super::topology::Role;

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub name: String,
    pub process: u32,
    /// For programs on the host.
    pub kubeconfig: PathBuf,
    /// For programs of a member.
    pub kubeconfig_inside: PathBuf,
    pub members: Vec<MemberStatus>,
    /// Groups of a partition.
    pub partition: Vec<Vec<String>>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    pub name: String,
    pub namespace: String,
    pub addresses: Vec<IpAddr>,
    /// What cuts it off.
    pub cuts: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeStatus>,
    /// What `--router` has made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<Kind>,
}

/// What only nodes have.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker: Option<ProcessState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker_process: Option<u32>,
    pub has_backend: bool,
    pub is_drained: bool,
}

impl Lab {
    pub fn status(&self) -> Status {
        let mut state = self.state();
        let groups = state.wires.groups().iter().map(|group| group.iter().cloned().collect());
        let partition = groups.collect();
        let mut members = Vec::new();
        for member in &self.topology.members {
            let speaker = state.speakers.get_mut(&member.name);
            let speaker = speaker.map(|speaker| (speaker.process.state(), speaker.process.id()));
            let node = (member.role == Role::Node).then(|| NodeStatus {
                speaker: speaker.map(|(state, _)| state),
                speaker_process: speaker.filter(|(it, _)| *it != ProcessState::Ended).map(|(_, id)| id),
                has_backend: state.running.contains_key(&member.name),
                is_drained: state.drained.contains(&member.name),
            });
            members.push(MemberStatus {
                name: member.name.clone(),
                namespace: member.namespace.clone(),
                addresses: member.addresses(),
                cuts: state.wires.cuts(&member.name),
                node,
                router: state.routers.get(&member.name).map(Router::kind),
            });
        }
        Status {
            name: self.options.name.clone(),
            process: std::process::id(),
            kubeconfig: self.kubeconfig().to_owned(),
            kubeconfig_inside: self.kubeconfig_inside().to_owned(),
            members,
            partition,
        }
    }
}
