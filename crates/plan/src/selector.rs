//! Label selectors that have passed Kubernetes' own rules, and how they match.
//!
//! Only `api::parse` builds one from a resource; what it accepts can be matched without failing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// What an object is labelled with. There may be very many objects, so it takes no more room than its texts do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Labels(
    /// In the order of their keys, each of them once.
    Box<[(Box<str>, Box<str>)]>,
);

/// All requirements must hold. A selector without requirements matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    Equals(String),
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

impl Labels {
    pub fn get(&self, key: &str) -> Option<&str> {
        let index = self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        Some(&self.0[index].1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(labels: BTreeMap<String, String>) -> Labels {
        Labels(labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl From<Labels> for BTreeMap<String, String> {
    fn from(labels: Labels) -> BTreeMap<String, String> {
        labels.0.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
    }
}

impl<const N: usize> From<[(String, String); N]> for Labels {
    fn from(labels: [(String, String); N]) -> Labels {
        BTreeMap::from(labels).into()
    }
}

impl Selector {
    pub fn new(mut requirements: Vec<Requirement>) -> Selector {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Selector { requirements }
    }

    pub fn everything() -> Selector {
        Selector::default()
    }

    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels))
    }
}

/// A list of selectors is an "or"; an empty list matches everything.
pub fn any_matches(selectors: &[Selector], labels: &Labels) -> bool {
    selectors.is_empty() || selectors.iter().any(|selector| selector.matches(labels))
}

impl Requirement {
    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match &self.operator {
            Operator::Equals(wanted) => value == Some(wanted.as_str()),
            Operator::In(wanted) => value.is_some_and(|value| wanted.contains(value)),
            Operator::NotIn(unwanted) => value.is_none_or(|value| !unwanted.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// The form in which Kubernetes writes a selector in a query; advertisements are ordered by it.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::Equals(value) => write!(f, "{key}={value}"),
            Operator::In(values) => write!(f, "{key} in ({})", comma_joined(values)),
            Operator::NotIn(values) => write!(f, "{key} notin ({})", comma_joined(values)),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

fn comma_joined(values: &BTreeSet<String>) -> String {
    values.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(key: &str, operator: Operator) -> Requirement {
        Requirement { key: key.to_owned(), operator }
    }

    fn values(values: &[&str]) -> BTreeSet<String> {
        values.iter().map(|&value| value.to_owned()).collect()
    }

    #[test]
    fn a_requirement_matches_as_kubernetes_does() {
        let labels = Labels::from([("app".to_owned(), "web".to_owned())]);
        for (operator, on_present_key, on_absent_key) in [
            (Operator::Equals("web".to_owned()), true, false),
            (Operator::Equals("db".to_owned()), false, false),
            (Operator::In(values(&["db", "web"])), true, false),
            (Operator::NotIn(values(&["web"])), false, true),
            (Operator::NotIn(values(&["db"])), true, true),
            (Operator::Exists, true, false),
            (Operator::DoesNotExist, false, true),
        ] {
            let on = |key| Selector::new(vec![requirement(key, operator.clone())]).matches(&labels);
            assert_eq!(on("app"), on_present_key, "{operator:?} on a key that is there");
            assert_eq!(on("tier"), on_absent_key, "{operator:?} on a key that is not");
        }
    }

    #[test]
    fn an_empty_selector_and_an_empty_list_match_everything() {
        let labels = Labels::default();
        assert!(Selector::everything().matches(&labels));
        assert!(any_matches(&[], &labels));
        let nothing_here = Selector::new(vec![requirement("app", Operator::Exists)]);
        assert!(!any_matches(&[nothing_here], &labels));
    }

    #[test]
    fn the_text_form_is_ordered_by_key() {
        let selector = Selector::new(vec![
            requirement("tier", Operator::NotIn(values(&["b", "a"]))),
            requirement("gone", Operator::DoesNotExist),
            requirement("app", Operator::Equals("web".to_owned())),
        ]);
        assert_eq!(selector.to_string(), "app=web,!gone,tier notin (a,b)");
    }
}
