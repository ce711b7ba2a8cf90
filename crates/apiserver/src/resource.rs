//! What a server knows of a kind of resource before it has seen an object of it.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

/// One version of one kind, as clients discover it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceType {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub is_namespaced: bool,
    pub verbs: Vec<Verb>,
    pub subresources: Vec<Subresource>,
    /// The version that objects are stored in, if any are.
    pub storage_version: Option<String>,
}

/// A part of an object with a path and verbs of its own, such as `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subresource {
    pub name: String,
    /// Group, version and kind of what is read and written there, if it is not the resource itself.
    pub kind: Option<(String, String, String)>,
    pub verbs: Vec<Verb>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

impl Verb {
    /// All that can be done with an ordinary resource, in the order of discovery.
    pub const ALL: [Verb; 8] = [
        Verb::Delete,
        Verb::DeleteCollection,
        Verb::Get,
        Verb::List,
        Verb::Patch,
        Verb::Create,
        Verb::Update,
        Verb::Watch,
    ];
    /// The same as [`Verb::ALL`], in the order that built-in kinds tell.
    pub const OF_BUILT_IN: [Verb; 8] = [
        Verb::Create,
        Verb::Delete,
        Verb::DeleteCollection,
        Verb::Get,
        Verb::List,
        Verb::Patch,
        Verb::Update,
        Verb::Watch,
    ];
    /// What can be done with a status.
    pub const STATUS: [Verb; 3] = [Verb::Get, Verb::Patch, Verb::Update];

    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Patch => "patch",
            Verb::Update => "update",
            Verb::Watch => "watch",
        }
    }
}

impl ResourceType {
    /// `v1`, or `group/version`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// What clients tell by whether objects have to be stored anew.
    pub fn storage_version_hash(&self) -> Option<String> {
        // Events are stored once, whichever group they are read through.
        let group = if self.group == "events.k8s.io" { "" } else { &self.group };
        let stored = format!("{group}/{}/{}", self.storage_version.as_ref()?, self.kind);
        Some(STANDARD.encode(&digest(&SHA256, stored.as_bytes()).as_ref()[..8]))
    }
}

/// Versions as Kubernetes prefers them: released ones before beta, beta before alpha, newer before older, and what is
/// no such version last, by name.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    match (rank(a), rank(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Stability, major and minor number of `v1`, `v2beta1`, `v1alpha3`.
fn rank(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    let (major, rest) = leading_number(rest)?;
    if rest.is_empty() {
        return Some((2, major, 0));
    }
    let (stability, rest) = rest
        .strip_prefix("beta")
        .map(|rest| (1, rest))
        .or_else(|| rest.strip_prefix("alpha").map(|rest| (0, rest)))?;
    let (minor, rest) = leading_number(rest)?;
    rest.is_empty().then_some((stability, major, minor))
}

/// A positive number without leading zeros.
fn leading_number(text: &str) -> Option<(u64, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(length);
    if digits.starts_with('0') {
        return None;
    }
    digits.parse().ok().map(|number| (number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_stability_and_age() {
        let mut versions = [
            "v1",
            "foo1",
            "v10beta3",
            "v11beta2",
            "v10",
            "v3beta1",
            "v12alpha1",
            "v11alpha2",
            "foo10",
            "v2",
            "v01",
        ];
        versions.sort_by(|a, b| compare_versions(a, b));
        assert_eq!(
            versions,
            [
                "v10",
                "v2",
                "v1",
                "v11beta2",
                "v10beta3",
                "v3beta1",
                "v12alpha1",
                "v11alpha2",
                "foo1",
                "foo10",
                "v01"
            ]
        );
    }
}
