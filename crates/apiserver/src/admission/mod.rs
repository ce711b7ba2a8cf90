//! Admission webhooks: what a configuration must be, which webhooks a request concerns, what they are asked and what
//! their answers mean. Pure functions over JSON; nothing here knows the network, a store or the clock.
//!
//! A server keeps the [`Webhook`]s of all configurations, asks [`Webhook::concerns`] for each, sends what
//! [`review::question`] says, and reads the answer with [`review::answer`].

pub(crate) mod client_config;
pub mod configuration;
mod expression;
mod matching;
pub mod review;
pub mod validate;

#[cfg(test)]
mod tests;

pub use configuration::{SideEffects, Webhook};
pub use expression::{Expression, ExpressionError};
pub use matching::{Invocation, NamespaceLabels, Unmatched};

use serde_json::Value;

/// What a request does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

/// A version of a kind, under both of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub kind: String,
    /// The plural.
    pub resource: String,
}

/// What is to be admitted.
#[derive(Debug, Clone)]
pub struct Request {
    pub operation: Operation,
    pub named: Named,
    /// The same resource in its other versions.
    pub equivalents: Vec<Named>,
    /// Empty if it is about the object itself.
    pub subresource: String,
    /// Group, version and kind of what is written through the subresource, where that is no such object.
    pub part: Option<(String, String, String)>,
    pub name: String,
    /// Of a Namespace, its own name.
    pub namespace: String,
    /// As in the review: `username`, `groups` and so on.
    pub user: Value,
    /// `null` where there is none: there is no new object in a deletion, and no old one in a creation.
    pub object: Value,
    pub old: Value,
    /// `CreateOptions` and so on, with their kind.
    pub options: Value,
    pub is_dry_run: bool,
}

impl Named {
    fn is_namespace(&self) -> bool {
        self.group.is_empty() && self.resource == "namespaces"
    }

    /// `group/version`, or `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// Webhooks have no say in what decides about webhooks, nor in questions that are not kept.
pub fn is_exempt(named: &Named) -> bool {
    let is_review = matches!(named.group.as_str(), "authentication.k8s.io" | "authorization.k8s.io");
    let is_configuration = named.group == "admissionregistration.k8s.io"
        && matches!(
            named.resource.as_str(),
            "mutatingadmissionpolicies"
                | "mutatingadmissionpolicybindings"
                | "mutatingwebhookconfigurations"
                | "validatingadmissionpolicies"
                | "validatingadmissionpolicybindings"
                | "validatingwebhookconfigurations"
        );
    is_review || is_configuration
}
