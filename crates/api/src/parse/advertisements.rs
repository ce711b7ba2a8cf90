//! What advertisements of both protocols have in common: which pools, which nodes, which Services.

use std::collections::{BTreeMap, BTreeSet};

use plan::Selector;
use plan::selector::{Labels, any_matches};
use plan::snapshot::Node;

use super::selectors::{SelectorError, compile_list, duplicate_selectors, duplicate_texts, plain_selector};
use super::{Findings, Objects, Rule, Subject, Warning, name_of};
use crate::LabelSelector;

/// Reads one advertisement's lists and notes what is wrong with them.
pub(super) struct AdvertisementReader<'a> {
    pub subject: &'a Subject,
    pub findings: &'a mut Findings,
}

/// All pools there are, also those that are refused, with their labels.
pub(super) struct KnownPools<'a>(BTreeMap<&'a str, Labels>);

impl<'a> KnownPools<'a> {
    pub(super) fn of(objects: &'a Objects) -> KnownPools<'a> {
        let labels =
            |pool: &'a crate::metallb::IPAddressPool| pool.metadata.labels.clone().unwrap_or_default().into();
        KnownPools(objects.pools.iter().map(|pool| (name_of(&pool.metadata), labels(pool))).collect())
    }
}

impl AdvertisementReader<'_> {
    pub(super) fn refuse(&mut self, field: impl Into<String>, rule: impl Into<Rule>) {
        self.findings.refuse(self.subject, field, rule);
    }

    pub(super) fn refuse_repeated_texts(&mut self, field: &str, what: &'static str, texts: &[String]) {
        for twice in duplicate_texts(what, texts) {
            self.refuse(field, twice);
        }
    }

    pub(super) fn refuse_repeated_selectors(&mut self, list: &'static str, selectors: &[LabelSelector]) {
        for twice in duplicate_selectors(list, selectors) {
            self.refuse(format!("spec.{list}"), twice);
        }
    }

    /// The names of the nodes that may announce. No selectors: all of them.
    pub(super) fn nodes(&mut self, selectors: &[LabelSelector], nodes: &[Node]) -> Option<BTreeSet<String>> {
        let advertisement = self.subject.name.clone();
        let selectors = self.compile(selectors, "spec.nodeSelectors", |error, selector| {
            Rule::NodeSelector { error, selector, advertisement: advertisement.clone() }
        })?;
        let selected = nodes.iter().filter(|node| any_matches(&selectors, &node.labels));
        let selected: BTreeSet<String> = selected.map(|node| node.name.clone()).collect();
        if selected.is_empty() && !nodes.is_empty() {
            let Subject { kind, name, .. } = self.subject.clone();
            self.findings.remark(self.subject, "spec.nodeSelectors", Warning::SelectsNoNode { kind, name });
        }
        Some(selected)
    }

    /// Ordered by their text form, so that two lists are equal whenever they mean the same.
    pub(super) fn service_selectors(&mut self, selectors: &[LabelSelector]) -> Option<Vec<Selector>> {
        let advertisement = self.subject.name.clone();
        let mut compiled = self.compile(selectors, "spec.serviceSelectors", |error, selector| {
            Rule::ServiceSelector { error, selector, advertisement: advertisement.clone() }
        })?;
        compiled.sort_by_cached_key(Selector::to_string);
        Some(compiled)
    }

    /// The names of the pools to announce, each once: those named, then those selected. Neither list: all.
    pub(super) fn pools(
        &mut self,
        names: &[String],
        selectors: &[LabelSelector],
        known: &KnownPools<'_>,
    ) -> Option<Vec<String>> {
        let compiled = self.compile(selectors, "spec.ipAddressPoolSelectors", |error, selector| {
            Rule::Selector { error, selector }
        })?;
        let mut chosen: Vec<String> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            if known.0.contains_key(name.as_str()) {
                chosen.push(name.clone());
            } else {
                let field = format!("spec.ipAddressPools[{index}]");
                self.findings.remark(self.subject, field, Warning::UnknownPool(name.clone()));
            }
        }
        let all = names.is_empty() && compiled.is_empty();
        let selected = known
            .0
            .iter()
            .filter(|(_, labels)| all || compiled.iter().any(|selector| selector.matches(labels)));
        let selected: Vec<String> = selected.map(|(name, _)| (*name).to_owned()).collect();
        let named: BTreeSet<String> = chosen.iter().cloned().collect();
        chosen.extend(selected.into_iter().filter(|name| !named.contains(name)));
        if chosen.is_empty() {
            let Subject { kind, name, .. } = self.subject.clone();
            self.findings.remark(self.subject, "spec", Warning::SelectsNoPool { kind, name });
        }
        Some(chosen)
    }

    fn compile(
        &mut self,
        selectors: &[LabelSelector],
        field: &str,
        rule: impl Fn(SelectorError, String) -> Rule,
    ) -> Option<Vec<Selector>> {
        compile_list(selectors, field, |field, error, selector| {
            // A speaker looks at the node selectors twice.
            if !self.findings.has_problem_at(self.subject, &field) {
                self.refuse(field, rule(error, plain_selector(selector)));
            }
        })
    }
}
