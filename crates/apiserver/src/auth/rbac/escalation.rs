//! Nobody gives away, by a role or a binding, what it may not do itself.

use std::collections::{BTreeMap, BTreeSet};

use super::rule::Rule;
use crate::auth::identity::Identity;

/// What of `wanted` these rules do not allow, in as few rules as messages have.
pub fn missing_from(owned: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let single = wanted.iter().flat_map(Rule::broken_down);
    let missing = single.filter(|rule| !owned.iter().any(|ours| ours.covers(rule)));
    compacted(missing)
}

/// Joins the verbs for one resource.
fn compacted(rules: impl Iterator<Item = Rule>) -> Vec<Rule> {
    let mut others = Vec::new();
    let mut by_resource: BTreeMap<[Vec<String>; 3], Vec<String>> = BTreeMap::new();
    for rule in rules {
        if rule.urls.is_empty() {
            by_resource.entry([rule.groups, rule.resources, rule.names]).or_default().extend(rule.verbs);
        } else {
            others.push(rule);
        }
    }
    let joined = by_resource.into_iter().map(|([groups, resources, names], verbs)| Rule {
        verbs,
        groups,
        resources,
        names,
        urls: Vec::new(),
    });
    others.extend(joined);
    others
}

/// Why a role or binding that gives all this is refused.
pub fn missing_text(user: &Identity, missing: &[Rule], errors: &[String]) -> String {
    let texts: BTreeSet<String> = missing.iter().map(Rule::compact).collect();
    let groups: Vec<String> = user.groups.iter().map(|group| format!("{group:?}")).collect();
    let mut text = format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        groups.join(" "),
        texts.into_iter().collect::<Vec<_>>().join("\n")
    );
    match errors {
        [] => {}
        [error] => text.push_str(&format!("; resolution errors: [{error}]")),
        errors => text.push_str(&format!("; resolution errors: [[{}]]", errors.join(", "))),
    }
    text
}
