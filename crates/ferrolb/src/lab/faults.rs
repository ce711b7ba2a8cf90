//! What can be broken in a lab, and mended.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::backend::Backend;
use super::topology::{Member, Segment};
use super::wires::Cut;
use super::{Error, Lab, Role, programs};
use crate::{call, drain};

/// Others take over in a fraction of a second, if there are any.
const DRAIN_WAIT: Duration = Duration::from_secs(10);

impl Lab {
    /// Cuts a member off. Several cuts add up.
    pub fn cut(&self, member: &str, cut: Cut) -> Result<(), Error> {
        let member = self.member(member)?;
        match cut {
            Cut::Silent => {
                self.state().wires.cut(&member.name, cut);
                return self.write_wires();
            }
            Cut::Cable => self.set_ports(
                member,
                &[Segment::Data, Segment::Second, Segment::Remote, Segment::Link],
                "down",
            )?,
            Cut::Management => {
                self.node(&member.name)?;
                self.set_ports(member, &[Segment::Management], "down")?;
                self.set_hears(member, false);
            }
        }
        self.state().wires.cut(&member.name, cut);
        Ok(())
    }

    /// Undoes all cuts of a member.
    pub fn restore(&self, member: &str) -> Result<(), Error> {
        let member = self.member(member)?;
        let all = [Segment::Data, Segment::Second, Segment::Remote, Segment::Link, Segment::Management];
        self.set_ports(member, &all, "up")?;
        self.set_hears(member, true);
        self.state().wires.restore(&member.name);
        self.write_wires()
    }

    /// Members of different groups do not hear each other any more, on no segment but that of management. Whoever is in
    /// no group hears all. No groups: everybody hears all again.
    pub fn partition(&self, groups: &[Vec<String>]) -> Result<(), Error> {
        let name = |member: &String| self.member(member).map(|member| member.name.clone());
        let group = |group: &Vec<String>| group.iter().map(name).collect::<Result<BTreeSet<_>, _>>();
        let groups = groups.iter().map(group).collect::<Result<_, _>>()?;
        self.state().wires.partition(groups);
        self.write_wires()
    }

    /// Nothing comes to a node any more: it is cordoned, others take over its addresses, and then its backend stops.
    pub fn drain(&self, node: &str) -> Result<(), Error> {
        let node = self.node(node)?;
        self.patch_node(node, &json!({"spec": {"unschedulable": true}}))?;
        self.state().drained.insert(node.name.clone());
        let (client, name) = (self.client(), node.name.clone());
        let drained = self.parts().wait(async move {
            drain::set(&client, &name, true).await?;
            drain::wait(&client, &name, DRAIN_WAIT, |_| {}).await
        })?;
        let left = drained.map_err(|failure| of_node(&failure.to_string()))?;
        if !left.is_empty() {
            let left = left.join(", ");
            return Err(of_node(&format!("{} still announces {left}", node.name)));
        }
        self.set_backend(&node.name, false)
    }

    pub fn undrain(&self, node: &str) -> Result<(), Error> {
        let node = self.node(node)?;
        self.set_backend(&node.name, true)?;
        self.patch_node(node, &json!({"spec": {"unschedulable": null}}))?;
        let (client, name) = (self.client(), node.name.clone());
        let undone = self.parts().wait(async move { drain::set(&client, &name, false).await })?;
        undone.map_err(|failure| of_node(&failure.to_string()))?;
        self.state().drained.remove(&node.name);
        Ok(())
    }

    /// Stops or starts what answers on a node. Its endpoints say so.
    pub fn set_backend(&self, node: &str, is_running: bool) -> Result<(), Error> {
        let node = self.node(node)?;
        let parts = self.parts();
        let mut state = self.state();
        if is_running && !state.running.contains_key(&node.name) {
            let namespace = self.namespace(node);
            let backend = Backend::start(parts.control.runtime(), namespace, &node.name, &node.addresses());
            let backend =
                backend.map_err(|error| Error::Part { what: "the backend", reason: error.to_string() })?;
            state.running.insert(node.name.clone(), backend);
        } else if !is_running && let Some(backend) = state.running.remove(&node.name) {
            parts.wait(backend.end())?;
        }
        parts.backends.send_if_modified(|backends| {
            let known = backends.get_mut(&node.name);
            known.is_some_and(|it| std::mem::replace(&mut it.is_running, is_running) != is_running)
        });
        Ok(())
    }

    fn patch_node(&self, node: &Member, patch: &Value) -> Result<(), Error> {
        let (client, path) = (self.client(), format!("/api/v1/nodes/{}", node.name));
        let patch = patch.clone();
        let done = self
            .parts()
            .wait(async move { call::patch::<Value>(&client, &path, call::MERGE_PATCH, &patch).await })?;
        done.map(drop).map_err(|failure| of_node(&failure.to_string()))
    }

    fn set_hears(&self, member: &Member, hears: bool) {
        if let Some(sender) = self.parts().hears.get(&member.name) {
            sender.send_replace(hears);
        }
    }

    /// At the switch's end, as when somebody pulls the cable there.
    fn set_ports(&self, member: &Member, segments: &[Segment], state: &str) -> Result<(), Error> {
        for role in [Role::Switch, Role::Control, Role::Router] {
            let is_there = |segment: &Segment| match segment {
                Segment::Management => role == Role::Control,
                Segment::Link => role == Role::Router,
                Segment::Data | Segment::Second | Segment::Remote => role == Role::Switch,
            };
            let ports = segments.iter().filter(|segment| is_there(segment) && member.has(**segment));
            let commands: String =
                ports.map(|segment| format!("link set {} {state}\n", segment.port(&member.name))).collect();
            let place = self.topology.members.iter().find(|member| member.role == role);
            if let Some(place) = place.filter(|place| !commands.is_empty() && place.name != member.name) {
                programs::ip_batch(Some(self.namespace(place)), &commands)?;
            }
        }
        Ok(())
    }

    fn write_wires(&self) -> Result<(), Error> {
        let script = self.state().wires.script(&self.topology);
        let switch = self.member("switch")?;
        programs::nft(self.namespace(switch), &script)
    }
}

fn of_node(reason: &str) -> Error {
    Error::Part { what: "the node", reason: reason.to_owned() }
}
