//! From custom resources to [`plan::Config`]: the one function that everybody calls.
//!
//! The controller, the speakers, admission, the command line and standalone mode all come through
//! [`parse`], so they can never disagree. It walks the resources in a fixed order (by name, then by stage),
//! so the first problem it reports is always the same one; then it goes on, so a user sees all of them.
//!
//! It never drops a problem and never guesses: a resource with a problem contributes nothing to the
//! configuration, and whether the rest may be used is for the caller to say.

mod addresses;
mod advertisements;
mod bfd;
mod bgp;
mod communities;
mod cross;
mod l2;
mod peer_pairs;
mod peers;
mod pools;
mod problem;
mod secrets;
pub(crate) mod selectors;
#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use plan::Config;
use plan::snapshot::{Namespace, Node};

use crate::metallb::{BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement};

pub use addresses::AddressError;
pub use problem::{
    AggregationError, BfdProfileError, PeerError, PeerPairError, PoolError, Problem, Remark, Rule,
    SecretError, Subject, Warning,
};
pub use selectors::{Duplicate, RequirementError, SelectorError};

/// Everything that a configuration is read from, in any order.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    pub pools: Vec<IPAddressPool>,
    pub l2_advertisements: Vec<L2Advertisement>,
    pub bgp_advertisements: Vec<BGPAdvertisement>,
    pub peers: Vec<BGPPeer>,
    pub bfd_profiles: Vec<BFDProfile>,
    pub communities: Vec<Community>,
    pub secrets: Vec<Secret>,
    pub config_maps: Vec<ConfigMap>,
    pub nodes: Vec<Node>,
    pub namespaces: Vec<Namespace>,
}

/// Whose eyes the resources are read with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub role: Role,
    /// The namespace that FerroLB runs in and reads its resources from.
    pub namespace: String,
    /// Passwords are passed on by reference, and Secrets are never looked at.
    pub secret_passthrough: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// All resources together, for every node at once.
    Everything,
    /// Pools, communities and namespaces alone.
    Controller,
    /// As the speaker of this node: peers and BGP advertisements of other nodes do not exist.
    Speaker { node: String },
    /// An object on its way into the cluster and what it is judged with, in the order given. What it refers to may
    /// come later, so references are not followed.
    Admission,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// What the sound resources mean. To be used as it is only if there are no problems.
    pub config: Config,
    /// The first one is the one that decides; none: the configuration is valid.
    pub problems: Vec<Problem>,
    pub warnings: Vec<Remark>,
}

impl View {
    pub fn everything(namespace: &str) -> View {
        View { role: Role::Everything, namespace: namespace.to_owned(), secret_passthrough: false }
    }
}

impl Parsed {
    /// The configuration, if every resource is sound.
    pub fn accepted(self) -> Result<Config, Vec<Problem>> {
        if self.problems.is_empty() { Ok(self.config) } else { Err(self.problems) }
    }
}

/// Reads `objects` with the eyes of `view`.
pub fn parse(mut objects: Objects, view: &View) -> Parsed {
    let mut findings = Findings::default();
    objects.keep_own_namespace(view, &mut findings);
    if view.role != Role::Admission {
        objects.sort_by_name();
    }
    objects.keep_what_the_role_sees(&view.role, &mut findings);

    peer_pairs::check(&objects.peers, &objects.nodes, &mut findings);
    let bfd_profiles = bfd::parse(&objects.bfd_profiles, &mut findings);
    let peers = peers::parse(&objects, &bfd_profiles, view, &mut findings);
    let aliases = communities::parse(&objects.communities, &mut findings);
    let mut pools = pools::parse(&objects.pools, &objects.namespaces, &mut findings);
    l2::attach(&objects, &mut pools, &mut findings);
    bgp::attach(&objects, &aliases, &mut pools, &mut findings);
    let bgp_extras = objects.bgp_extras();

    let config = Config { pools, peers, bfd_profiles, bgp_extras };
    cross::check(&objects, &config, &mut findings);
    if view.role == Role::Everything {
        // What one component does not see may well be used, announced or there for another.
        cross::remark(&objects, &config, &mut findings);
    }
    Parsed { config, problems: findings.problems, warnings: findings.warnings }
}

/// Where the stages put what they find.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<Remark>,
}

impl Findings {
    fn refuse(&mut self, subject: &Subject, field: impl Into<String>, rule: impl Into<Rule>) {
        self.problems.push(Problem { subject: subject.clone(), field: field.into(), rule: rule.into() });
    }

    fn has_problem_at(&self, subject: &Subject, field: &str) -> bool {
        self.problems.iter().any(|problem| problem.field == field && problem.subject == *subject)
    }

    fn remark(&mut self, subject: &Subject, field: impl Into<String>, warning: Warning) {
        self.warnings.push(Remark { subject: subject.clone(), field: field.into(), warning });
    }
}

impl Subject {
    pub fn of(kind: &'static str, metadata: &ObjectMeta) -> Subject {
        Subject {
            kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: name_of(metadata).to_owned(),
        }
    }
}

fn name_of(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

/// A text field that is absent and one that is empty mean the same.
fn filled(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

impl Objects {
    /// Resources elsewhere are none of ours. One without a namespace is taken for ours.
    fn keep_own_namespace(&mut self, view: &View, findings: &mut Findings) {
        let mut is_ours = |kind: &'static str, metadata: &ObjectMeta| {
            let ours =
                filled(metadata.namespace.as_ref()).is_none_or(|namespace| namespace == view.namespace);
            if !ours {
                let subject = Subject::of(kind, metadata);
                let namespace = view.namespace.clone();
                if view.role == Role::Everything {
                    findings.refuse(&subject, "metadata.namespace", Rule::Namespace(namespace));
                } else {
                    findings.remark(&subject, "metadata.namespace", Warning::OtherNamespace(namespace));
                }
            }
            ours
        };
        self.pools.retain(|it| is_ours("IPAddressPool", &it.metadata));
        self.l2_advertisements.retain(|it| is_ours("L2Advertisement", &it.metadata));
        self.bgp_advertisements.retain(|it| is_ours("BGPAdvertisement", &it.metadata));
        self.peers.retain(|it| is_ours("BGPPeer", &it.metadata));
        self.bfd_profiles.retain(|it| is_ours("BFDProfile", &it.metadata));
        self.communities.retain(|it| is_ours("Community", &it.metadata));
        let in_namespace = |metadata: &ObjectMeta| {
            filled(metadata.namespace.as_ref()).is_none_or(|namespace| namespace == view.namespace)
        };
        self.secrets.retain(|it| in_namespace(&it.metadata));
        self.config_maps.retain(|it| in_namespace(&it.metadata));
    }

    fn sort_by_name(&mut self) {
        fn by_name<T>(list: &mut [T], metadata: impl Fn(&T) -> &ObjectMeta) {
            list.sort_by(|a, b| name_of(metadata(a)).cmp(name_of(metadata(b))));
        }
        by_name(&mut self.pools, |it| &it.metadata);
        by_name(&mut self.l2_advertisements, |it| &it.metadata);
        by_name(&mut self.bgp_advertisements, |it| &it.metadata);
        by_name(&mut self.peers, |it| &it.metadata);
        by_name(&mut self.bfd_profiles, |it| &it.metadata);
        by_name(&mut self.communities, |it| &it.metadata);
        self.nodes.sort_by(|a, b| a.name.cmp(&b.name));
        self.namespaces.sort_by(|a, b| a.name.cmp(&b.name));
    }

    fn keep_what_the_role_sees(&mut self, role: &Role, findings: &mut Findings) {
        match role {
            Role::Everything => {}
            Role::Controller => {
                self.peers.clear();
                self.bfd_profiles.clear();
                self.l2_advertisements.clear();
                self.bgp_advertisements.clear();
                self.config_maps.clear();
            }
            Role::Speaker { node } => self.keep_what_selects(node, findings),
            Role::Admission => self.forget_what_may_come_later(),
        }
    }

    /// A community without a colon is taken for an alias that does not exist yet.
    fn forget_what_may_come_later(&mut self) {
        for peer in &mut self.peers {
            peer.spec.bfd_profile = None;
            peer.spec.password_secret = None;
        }
        for advertisement in &mut self.bgp_advertisements {
            advertisement.spec.communities.retain(|community| community.contains(':'));
        }
    }

    /// Layer 2 advertisements stay: every speaker must know every candidate for an address.
    fn keep_what_selects(&mut self, node: &str, findings: &mut Findings) {
        let Some(node) = self.nodes.iter().find(|it| it.name == node) else { return };
        let mut selects = |kind: &'static str, metadata: &ObjectMeta, selectors: &[crate::LabelSelector]| {
            let subject = Subject::of(kind, metadata);
            let selectors =
                selectors::compile_list(selectors, "spec.nodeSelectors", |field, error, selector| {
                    let selector = selectors::plain_selector(selector);
                    findings.refuse(&subject, field, Rule::Selector { error, selector });
                });
            selectors.is_some_and(|selectors| plan::selector::any_matches(&selectors, &node.labels))
        };
        self.peers.retain(|it| selects("BGPPeer", &it.metadata, &it.spec.node_selectors));
        self.bgp_advertisements
            .retain(|it| selects("BGPAdvertisement", &it.metadata, &it.spec.node_selectors));
    }

    /// Router configuration text that an administrator adds by hand.
    fn bgp_extras(&self) -> String {
        let config_map = self.config_maps.iter().find(|it| name_of(&it.metadata) == "bgpextras");
        config_map.and_then(|it| it.data.as_ref()?.get("extras").cloned()).unwrap_or_default()
    }
}
