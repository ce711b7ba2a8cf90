//! Whether an object may be written: what an admission webhook is asked, what it has to know, what it answers.
//!
//! Pure functions over JSON. The webhook and the command line both call [`judge`], so they always agree; what a
//! configuration means is said by [`crate::parse::parse`] alone.

mod decode;
mod frr;
mod metallb;
mod review;
mod world;

#[cfg(test)]
mod tests;

use serde_json::Value;

pub use review::{Malformed, Review};
pub use world::{List, World};

/// A kind whose objects are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    IPAddressPool,
    L2Advertisement,
    BGPAdvertisement,
    Community,
    BGPPeer,
    BFDProfile,
    FRRConfiguration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    /// Nothing that any of the kinds has an opinion on.
    Other,
}

/// What is about to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub kind: Kind,
    pub operation: Operation,
    /// As the request names the object; of use where there is no object to read.
    pub name: String,
    /// As it is to be written; null for a deletion.
    pub object: Value,
    /// As it is stored; null for a creation.
    pub old_object: Value,
}

/// The answer, as a webhook gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub allowed: bool,
    pub code: u16,
    /// Of the reasons that Kubernetes knows; empty if none applies.
    pub reason: &'static str,
    pub message: String,
    pub warnings: Vec<String>,
}

/// Judges a question in the light of what there is. Of `world`, only [`Question::lists`] are looked at.
pub fn judge(question: &Question, world: &World) -> Verdict {
    if let Some(verdict) = judge_alone(question, &world.namespace) {
        return verdict;
    }
    match question.kind {
        Kind::FRRConfiguration => frr::judge(question, world),
        _ => metallb::judge(question, world),
    }
}

/// The verdict, if it does not depend on what else there is: then there is no need to look.
pub fn judge_alone(question: &Question, namespace: &str) -> Option<Verdict> {
    match question.operation {
        Operation::Create | Operation::Update | Operation::Other => {
            if let Err(unreadable) = decode::check(question.kind, &question.object) {
                return Some(Verdict::unreadable(unreadable.to_string()));
            }
            let is_elsewhere = question.object["metadata"]["namespace"] != namespace;
            if question.operation == Operation::Create
                && question.kind != Kind::FRRConfiguration
                && is_elsewhere
            {
                return Some(Verdict::denied(format!("resource must be created in {namespace} namespace")));
            }
        }
        // Whatever is wrong with a stored object, it must be possible to get rid of it.
        Operation::Delete => {}
    }
    question.lists().is_empty().then(Verdict::allowed)
}

impl Kind {
    pub const ALL: [Kind; 7] = [
        Kind::IPAddressPool,
        Kind::L2Advertisement,
        Kind::BGPAdvertisement,
        Kind::Community,
        Kind::BGPPeer,
        Kind::BFDProfile,
        Kind::FRRConfiguration,
    ];

    /// As it is written in resources.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::IPAddressPool => "IPAddressPool",
            Kind::L2Advertisement => "L2Advertisement",
            Kind::BGPAdvertisement => "BGPAdvertisement",
            Kind::Community => "Community",
            Kind::BGPPeer => "BGPPeer",
            Kind::BFDProfile => "BFDProfile",
            Kind::FRRConfiguration => "FRRConfiguration",
        }
    }

    pub const fn group(self) -> &'static str {
        match self {
            Kind::FRRConfiguration => crate::frrk8s::GROUP,
            _ => crate::metallb::GROUP,
        }
    }

    /// The version that is judged.
    pub const fn version(self) -> &'static str {
        match self {
            Kind::BGPPeer => "v1beta2",
            _ => "v1beta1",
        }
    }

    /// The path that the webhook configurations of MetalLB and of frr-k8s call.
    pub const fn path(self) -> &'static str {
        match self {
            Kind::IPAddressPool => "/validate-metallb-io-v1beta1-ipaddresspool",
            Kind::L2Advertisement => "/validate-metallb-io-v1beta1-l2advertisement",
            Kind::BGPAdvertisement => "/validate-metallb-io-v1beta1-bgpadvertisement",
            Kind::Community => "/validate-metallb-io-v1beta1-community",
            Kind::BGPPeer => "/validate-metallb-io-v1beta2-bgppeer",
            Kind::BFDProfile => "/validate-metallb-io-v1beta1-bfdprofile",
            Kind::FRRConfiguration => "/validate-frrk8s-metallb-io-v1beta1-frrconfiguration",
        }
    }

    /// The kind that a request is about.
    pub fn find(group: &str, kind: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|it| it.group() == group && it.name() == kind)
    }
}

impl Question {
    /// What has to be known of the world, in the order in which it is asked for.
    pub fn lists(&self) -> &'static [List] {
        match (self.kind, self.operation) {
            (Kind::BFDProfile, Operation::Delete) => &[List::BGPPeer],
            (Kind::BFDProfile, _) | (_, Operation::Delete | Operation::Other) => &[],
            (Kind::IPAddressPool, _) => &[List::IPAddressPool],
            (Kind::L2Advertisement, _) => &[List::L2Advertisement, List::IPAddressPool],
            (Kind::BGPAdvertisement, _) => &[List::BGPAdvertisement, List::IPAddressPool, List::Node],
            (Kind::Community, _) => &[List::Community],
            (Kind::BGPPeer, _) => &[List::BGPPeer, List::Node],
            (Kind::FRRConfiguration, _) => &[List::Node, List::FRRConfiguration],
        }
    }

    /// What a list that cannot be read means: nothing is let in unseen.
    pub fn denied_for_want_of(&self, list: List, error: &str) -> Verdict {
        let objects = match list {
            // The only one that is named with its version.
            List::L2Advertisement => "v1beta1.L2Advertisement",
            list => list.kind(),
        };
        let failed = format!("failed to get existing {objects} objects");
        let is_about_peers = matches!(self.kind, Kind::BGPPeer | Kind::BFDProfile);
        Verdict::denied(if is_about_peers {
            format!("{failed}: {error}")
        } else {
            format!("{error}\n{failed}")
        })
    }
}

impl Operation {
    /// As reviews write it.
    pub fn of(text: &str) -> Operation {
        match text {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            "DELETE" => Operation::Delete,
            _ => Operation::Other,
        }
    }
}

impl Verdict {
    pub fn allowed() -> Verdict {
        Verdict { allowed: true, code: 200, reason: "", message: String::new(), warnings: Vec::new() }
    }

    pub fn denied(message: String) -> Verdict {
        Verdict { allowed: false, code: 403, reason: "Forbidden", message, warnings: Vec::new() }
    }

    fn unreadable(message: String) -> Verdict {
        Verdict { allowed: false, code: 400, reason: "", message, warnings: Vec::new() }
    }
}
