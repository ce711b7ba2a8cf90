//! Whether a webhook is called for a request, and about which version of its resource.

use serde_json::{Map, Value, json};

use super::configuration::{Rule, Webhook};
use super::{Named, Operation, Request};

/// How a webhook is to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The version of the resource that the webhook's rule names; objects are to be sent in it.
    pub named: Named,
}

/// The labels of the namespace that a request is in; nothing if it is not there.
pub type NamespaceLabels<'a> = Option<&'a Map<String, Value>>;

/// Why it cannot be said whether a webhook is to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmatched {
    /// The namespace is selected by its labels, and is not there.
    NoNamespace,
    /// A condition fails; the text says how.
    Condition(String),
}

impl Webhook {
    /// How it is called for a request, if at all.
    pub fn concerns(
        &self,
        request: &Request,
        namespace: NamespaceLabels<'_>,
    ) -> Result<Option<Invocation>, Unmatched> {
        let Some(named) = self.rule_matching(request) else { return Ok(None) };
        let labels = |object: &Value| object["metadata"]["labels"].as_object().cloned();
        let is_selected = |object: &Value| !object.is_null() && self.objects.matches(labels(object).as_ref());
        let all_objects = self.objects.requirements.is_empty();
        if !all_objects && !is_selected(&request.object) && !is_selected(&request.old) {
            return Ok(None);
        }
        if !self.is_namespace_selected(request, namespace)? {
            return Ok(None);
        }
        Ok(Some(Invocation { named: named.clone() }))
    }

    fn rule_matching<'a>(&self, request: &'a Request) -> Option<&'a Named> {
        if self.rules.iter().any(|rule| rule.matches(request, &request.named)) {
            return Some(&request.named);
        }
        let others = if self.matches_equivalents { request.equivalents.as_slice() } else { &[] };
        self.rules.iter().find_map(|rule| others.iter().find(|other| rule.matches(request, other)))
    }

    fn is_namespace_selected(
        &self,
        request: &Request,
        namespace: NamespaceLabels<'_>,
    ) -> Result<bool, Unmatched> {
        let is_namespace = request.named.is_namespace();
        if self.namespaces.requirements.is_empty() || request.namespace.is_empty() && !is_namespace {
            return Ok(true);
        }
        let is_written = matches!(request.operation, Operation::Create | Operation::Update);
        if is_namespace && is_written && request.subresource.is_empty() {
            return Ok(self.namespaces.matches(request.object["metadata"]["labels"].as_object()));
        }
        match namespace {
            Some(labels) => Ok(self.namespaces.matches(Some(labels))),
            None => Err(Unmatched::NoNamespace),
        }
    }

    /// Whether all conditions hold of a request, whose objects are in the version that is called for.
    pub fn conditions_hold(&self, request: &Request, named: &Named) -> Result<bool, Unmatched> {
        if self.conditions.is_empty() {
            return Ok(true);
        }
        let described = super::review::request(request, named, "");
        let variables: [(&str, &Value); 3] =
            [("object", &request.object), ("oldObject", &request.old), ("request", &described)];
        let mut problems = Vec::new();
        for condition in &self.conditions {
            let verdict = match &condition.expression {
                Ok(expression) => expression.holds(&variables),
                Err(error) => Err(error.clone()),
            };
            match verdict {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => problems.push(error.0),
            }
        }
        match problems.as_slice() {
            [] => Ok(true),
            _ if self.is_failure_ignored => Ok(false),
            [single] => Err(Unmatched::Condition(single.clone())),
            several => Err(Unmatched::Condition(format!("[{}]", several.join(", ")))),
        }
    }
}

impl Rule {
    fn matches(&self, request: &Request, named: &Named) -> bool {
        let is_namespaced = !named.is_namespace() && !request.namespace.is_empty();
        let in_scope = match self.scope.as_str() {
            "Namespaced" => is_namespaced,
            "Cluster" => !is_namespaced,
            _ => true,
        };
        in_scope
            && has(&self.operations, request.operation.as_str())
            && has(&self.groups, &named.group)
            && has(&self.versions, &named.version)
            && self.resources.iter().any(|resource| {
                let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
                (resource == "*" || resource == named.resource)
                    && (part == "*" || part == request.subresource)
            })
    }
}

fn has(items: &[String], wanted: &str) -> bool {
    items.iter().any(|item| item == "*" || item == wanted)
}

pub(super) fn kind_json(named: &Named) -> Value {
    json!({"group": named.group, "version": named.version, "kind": named.kind})
}
