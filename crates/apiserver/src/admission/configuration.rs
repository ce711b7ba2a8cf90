//! The webhooks of a configuration, read once.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::expression::{Expression, ExpressionError};
use crate::selector::{LabelSelector, Operator, Requirement};

/// A webhook, ready to be matched with requests and to be called.
#[derive(Debug)]
pub struct Webhook {
    pub name: String,
    pub(super) rules: Vec<Rule>,
    /// Whether a rule about one version of a resource is also about its others.
    pub(super) matches_equivalents: bool,
    pub(super) namespaces: LabelSelector,
    pub(super) objects: LabelSelector,
    pub(super) conditions: Vec<Condition>,
    /// Whether a request may go on when the webhook fails.
    pub is_failure_ignored: bool,
    pub timeout: Duration,
    pub side_effects: SideEffects,
    /// Whether it wants to be called again when others have changed the object after it.
    pub is_called_again: bool,
    /// The newest version of reviews that both sides know.
    pub review_version: Option<&'static str>,
    /// `clientConfig`, with the certificates apart.
    pub client: Value,
    pub roots: Arc<[u8]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideEffects {
    None,
    /// None on a dry run.
    NoneOnDryRun,
    Some,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) operations: Vec<String>,
    pub(super) groups: Vec<String>,
    pub(super) versions: Vec<String>,
    /// Each a plural, perhaps with `/subresource`.
    pub(super) resources: Vec<String>,
    pub(super) scope: String,
}

#[derive(Debug)]
pub(super) struct Condition {
    /// One that does not compile fails with every request.
    pub(super) expression: Result<Expression, ExpressionError>,
}

impl Webhook {
    /// The webhooks of a configuration, in their order.
    pub fn all_of(configuration: &Value) -> Vec<Webhook> {
        list(&configuration["webhooks"]).iter().map(Webhook::of).collect()
    }

    fn of(webhook: &Value) -> Webhook {
        let known =
            list(&webhook["admissionReviewVersions"]).iter().find_map(|version| match text(version) {
                "v1" => Some("v1"),
                "v1beta1" => Some("v1beta1"),
                _ => None,
            });
        let timeout = webhook["timeoutSeconds"].as_u64().unwrap_or(10);
        let conditions = list(&webhook["matchConditions"]).iter();
        Webhook {
            name: text(&webhook["name"]).to_owned(),
            rules: list(&webhook["rules"]).iter().map(Rule::of).collect(),
            matches_equivalents: webhook["matchPolicy"] != "Exact",
            namespaces: selector(&webhook["namespaceSelector"]),
            objects: selector(&webhook["objectSelector"]),
            conditions: conditions
                .map(|condition| Condition {
                    expression: Expression::compile(text(&condition["expression"])),
                })
                .collect(),
            is_failure_ignored: webhook["failurePolicy"] == "Ignore",
            timeout: Duration::from_secs(timeout),
            side_effects: match text(&webhook["sideEffects"]) {
                "None" => SideEffects::None,
                "NoneOnDryRun" => SideEffects::NoneOnDryRun,
                _ => SideEffects::Some,
            },
            is_called_again: webhook["reinvocationPolicy"] == "IfNeeded",
            review_version: known,
            roots: STANDARD.decode(text(&webhook["clientConfig"]["caBundle"])).unwrap_or_default().into(),
            client: webhook["clientConfig"].clone(),
        }
    }
}

impl Rule {
    fn of(rule: &Value) -> Rule {
        let texts = |field: &str| list(&rule[field]).iter().map(|value| text(value).to_owned()).collect();
        Rule {
            operations: texts("operations"),
            groups: texts("apiGroups"),
            versions: texts("apiVersions"),
            resources: texts("resources"),
            scope: rule["scope"].as_str().unwrap_or("*").to_owned(),
        }
    }
}

/// A selector as objects write it. One that is not there selects everything.
fn selector(selector: &Value) -> LabelSelector {
    let value = |value: &Value| text(value).to_owned();
    let equal = selector["matchLabels"].as_object().into_iter().flatten().map(|(key, wanted)| Requirement {
        key: key.clone(),
        operator: Operator::In([value(wanted)].into()),
    });
    let expressions = list(&selector["matchExpressions"]).iter().map(|expression| {
        let values = list(&expression["values"]).iter().map(value).collect();
        let operator = match text(&expression["operator"]) {
            "NotIn" => Operator::NotIn(values),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => Operator::In(values),
        };
        Requirement { key: value(&expression["key"]), operator }
    });
    LabelSelector { requirements: equal.chain(expressions).collect() }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
