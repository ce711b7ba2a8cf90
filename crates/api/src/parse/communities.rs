//! Community aliases.

use std::collections::BTreeMap;

use plan::Community;

use super::{Findings, Rule, Subject};
use crate::metallb;

/// Any text may be an alias; it is looked up before a community is read as a number.
pub(super) type Aliases = BTreeMap<String, Community>;

pub(super) fn parse(resources: &[metallb::Community], findings: &mut Findings) -> Aliases {
    let mut aliases = Aliases::new();
    for resource in resources {
        let subject = Subject::of("Community", &resource.metadata);
        for (index, definition) in resource.spec.communities.iter().enumerate() {
            let alias = definition.name.clone().unwrap_or_default();
            let value: Result<Community, _> = definition.value.as_deref().unwrap_or_default().parse();
            let field = |leaf| format!("spec.communities[{index}].{leaf}");
            if aliases.contains_key(&alias) && value.is_ok() {
                findings.refuse(&subject, field("name"), Rule::DuplicateCommunity(alias.clone()));
                continue;
            }
            match value {
                Ok(value) => drop(aliases.insert(alias, value)),
                Err(error) => findings.refuse(&subject, field("value"), Rule::Community { alias, error }),
            }
        }
    }
    aliases
}
