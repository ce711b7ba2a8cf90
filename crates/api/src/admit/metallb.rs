//! The kinds of MetalLB: an object is let in if the configuration that it makes, with what there is, can be parsed.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::decode::{self, Unreadable};
use super::{Kind, List, Operation, Question, Verdict, World};
use crate::ingest;
use crate::parse::{Objects, Problem, Remark, Role, Subject, View, Warning, parse};

/// Beyond this, stored objects that are invalid are counted and not named: warnings travel in headers.
const NAMED_MAX: usize = 8;
/// What is said of one of them is cut here.
const REASON_BYTES: usize = 200;

pub(super) fn judge(question: &Question, world: &World) -> Verdict {
    if question.operation == Operation::Delete {
        return delete_profile(question, world);
    }
    match Candidate::read(question, world) {
        Ok(candidate) => candidate.judge(),
        Err(unreadable) => Verdict::unreadable(unreadable.to_string()),
    }
}

/// A profile that peers use must stay.
fn delete_profile(question: &Question, world: &World) -> Verdict {
    let stored = question.old_object["metadata"]["name"].as_str();
    let name = stored.unwrap_or(&question.name);
    let user = world.list(List::BGPPeer).iter().find(|peer| peer["spec"]["bfdProfile"] == name);
    match user.and_then(|peer| peer["metadata"]["name"].as_str()) {
        Some(peer) => Verdict::denied(format!("failed to delete BFDProfile {name}, used by BGPPeer {peer}")),
        None => Verdict::allowed(),
    }
}

/// An object on its way in, among those that are there.
struct Candidate<'a> {
    question: &'a Question,
    view: View,
    /// What is there, without the object's own earlier self.
    existing: Objects,
    /// The same with the object in its place.
    wanted: Objects,
    /// Stored objects that are invalid whatever becomes of this one, and why.
    left_out: Vec<(Subject, String)>,
}

impl<'a> Candidate<'a> {
    fn read(question: &'a Question, world: &World) -> Result<Candidate<'a>, Unreadable> {
        let view =
            View { role: Role::Admission, namespace: world.namespace.clone(), secret_passthrough: false };
        let (existing, wanted, left_out) = (Objects::default(), Objects::default(), Vec::new());
        let mut candidate = Candidate { question, view, existing, wanted, left_out };
        for &list in question.lists() {
            let stored = world.list(list);
            match list {
                List::IPAddressPool => candidate.add(Kind::IPAddressPool, stored, |it| &mut it.pools)?,
                List::L2Advertisement => {
                    candidate.add(Kind::L2Advertisement, stored, |it| &mut it.l2_advertisements)?;
                }
                List::BGPAdvertisement => {
                    candidate.add(Kind::BGPAdvertisement, stored, |it| &mut it.bgp_advertisements)?;
                }
                List::Community => candidate.add(Kind::Community, stored, |it| &mut it.communities)?,
                List::BGPPeer => candidate.add(Kind::BGPPeer, stored, |it| &mut it.peers)?,
                List::Node => candidate.add_nodes(stored),
                List::FRRConfiguration => {}
            }
        }
        Ok(candidate)
    }

    /// Adds what is stored of a kind, and the object in place of its namesake or behind the others.
    fn add<T: DeserializeOwned + Clone>(
        &mut self,
        kind: Kind,
        stored: &[Value],
        list: fn(&mut Objects) -> &mut Vec<T>,
    ) -> Result<(), Unreadable> {
        let is_own = kind == self.question.kind;
        let mut own = if is_own { Some(decode::read::<T>(kind, &self.own_object())?) } else { None };
        let name = &self.question.object["metadata"]["name"];
        for object in stored {
            if is_own && object["metadata"]["name"] == *name {
                list(&mut self.wanted).extend(own.take());
                continue;
            }
            match decode::read::<T>(kind, object) {
                Ok(read) => {
                    list(&mut self.existing).push(read.clone());
                    list(&mut self.wanted).push(read);
                }
                Err(unreadable) => self.left_out.push((subject(kind, object), unreadable.to_string())),
            }
        }
        list(&mut self.wanted).extend(own);
        Ok(())
    }

    fn add_nodes(&mut self, stored: &[Value]) {
        let nodes = stored.iter().filter_map(|node| decode::plain(node).ok());
        let nodes: Vec<_> = nodes.map(|node| ingest::node(&node)).collect();
        self.existing.nodes.clone_from(&nodes);
        self.wanted.nodes = nodes;
    }

    /// Only a creation has to be in our namespace. What is changed elsewhere is judged as if it were here.
    fn own_object(&self) -> Value {
        let mut object = self.question.object.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("namespace".to_owned(), self.view.namespace.as_str().into());
        }
        object
    }

    fn judge(mut self) -> Verdict {
        let mut parsed = parse(self.wanted.clone(), &self.view);
        if !parsed.problems.is_empty() {
            self.leave_out_the_invalid();
            parsed = parse(self.wanted.clone(), &self.view);
        }
        match parsed.problems.first() {
            // Of what is left out, those who read a denial need not hear.
            Some(problem) => Verdict::denied(problem.to_string()),
            None => Verdict { warnings: self.warnings(&parsed.warnings), ..Verdict::allowed() },
        }
    }

    /// A stored object with a problem of its own must not keep others from being written, least of all those that would
    /// solve it.
    fn leave_out_the_invalid(&mut self) {
        loop {
            let problems = parse(self.existing.clone(), &self.view).problems;
            if problems.is_empty() {
                return;
            }
            let mut invalid = BTreeSet::new();
            for Problem { subject, rule, .. } in problems {
                if invalid.insert((subject.kind, subject.name.clone())) {
                    self.left_out.push((subject, rule.to_string()));
                }
            }
            let is_invalid = |kind: &'static str, name: &str| invalid.contains(&(kind, name.to_owned()));
            self.existing.remove(&is_invalid);
            // The object itself is not among them: its name was taken out of what there is.
            self.wanted.remove(&is_invalid);
        }
    }

    fn warnings(&self, remarks: &[Remark]) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        if self.question.operation == Operation::Create && self.question.object["spec"]["disableMP"] == true {
            warnings.push(Warning::DisableMp.to_string());
        }
        let is_own = |it: &&Remark| {
            it.subject.kind == self.question.kind.name()
                && self.question.object["metadata"]["name"] == it.subject.name
                && matches!(it.warning, Warning::UnknownAnnotation(_))
        };
        warnings.extend(remarks.iter().filter(is_own).take(NAMED_MAX).map(|it| one_line(&it.to_string())));
        for (Subject { kind, name, .. }, reason) in self.left_out.iter().take(NAMED_MAX) {
            let reason = one_line(reason);
            warnings.push(format!("{kind} {name} is invalid and was left out of the check: {reason}"));
        }
        if self.left_out.len() > NAMED_MAX {
            let others = self.left_out.len() - NAMED_MAX;
            warnings.push(format!("{others} more objects are invalid and were left out of the check"));
        }
        warnings
    }
}

fn subject(kind: Kind, object: &Value) -> Subject {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    Subject { kind: kind.name(), namespace: text("namespace"), name: text("name") }
}

/// A header holds no newline.
fn one_line(reason: &str) -> String {
    let mut line = reason.replace('\n', "; ").replace(char::is_control, " ");
    if line.len() > REASON_BYTES {
        line.truncate(line.floor_char_boundary(REASON_BYTES));
        line.push('…');
    }
    line
}

impl Objects {
    /// Takes away what `is_unwanted` says of kind and name.
    fn remove(&mut self, is_unwanted: &dyn Fn(&'static str, &str) -> bool) {
        let keep = |kind: &'static str, name: Option<&String>| {
            !is_unwanted(kind, name.map(String::as_str).unwrap_or_default())
        };
        self.pools.retain(|it| keep("IPAddressPool", it.metadata.name.as_ref()));
        self.l2_advertisements.retain(|it| keep("L2Advertisement", it.metadata.name.as_ref()));
        self.bgp_advertisements.retain(|it| keep("BGPAdvertisement", it.metadata.name.as_ref()));
        self.peers.retain(|it| keep("BGPPeer", it.metadata.name.as_ref()));
        self.communities.retain(|it| keep("Community", it.metadata.name.as_ref()));
    }
}
