//! Questions about users, which are posted like objects and answered at once: who am I, whose is this token, may I?

use chrono::Utc;
use serde_json::{Value, json};

use super::objects::Written;
use super::request::Asked;
use super::{Server, timestamp, timestamp_secs};
use crate::apply::{FieldManager, OneVersion};
use crate::auth::authorize::Decision;
use crate::auth::rbac::Rule;
use crate::auth::{Attributes, Identity};
use crate::schema::{FieldError, invalid_message};
use crate::status::{Reason, Refusal};

const ACCESS_GROUP: &str = "authorization.k8s.io";

/// A kind that is a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Token,
    WhoAmI,
    MayAnybody,
    MayAnybodyHere,
    MayI,
    WhatMayI,
}

impl Question {
    pub(super) fn of(asked: &Asked) -> Option<Question> {
        let resource = &asked.served.resource;
        match (resource.group.as_str(), resource.plural.as_str()) {
            ("authentication.k8s.io", "tokenreviews") => Some(Question::Token),
            ("authentication.k8s.io", "selfsubjectreviews") => Some(Question::WhoAmI),
            (ACCESS_GROUP, "subjectaccessreviews") => Some(Question::MayAnybody),
            (ACCESS_GROUP, "localsubjectaccessreviews") => Some(Question::MayAnybodyHere),
            (ACCESS_GROUP, "selfsubjectaccessreviews") => Some(Question::MayI),
            (ACCESS_GROUP, "selfsubjectrulesreviews") => Some(Question::WhatMayI),
            _ => None,
        }
    }
}

impl Server {
    /// The question with its answer as status.
    pub(super) async fn review(
        &self,
        asked: &Asked,
        question: Question,
        body: Value,
    ) -> Result<Written, Refusal> {
        let mut review = asked.decoded(body)?;
        let warnings = asked.pruned(&mut review, &asked.served.api_version)?;
        if let Some(fields) = review.as_object_mut() {
            fields.retain(|field, _| matches!(&**field, "apiVersion" | "kind" | "metadata" | "spec"));
            fields.entry("spec").or_insert_with(|| json!({}));
        }
        drop_unknown(&mut review["spec"]);
        let answered = match question {
            Question::WhoAmI => {
                review = json!({
                    "kind": review["kind"], "apiVersion": review["apiVersion"],
                    "metadata": {"creationTimestamp": timestamp()},
                });
                json!({"userInfo": asked.user.to_json()})
            }
            Question::WhatMayI => {
                let status = self.rules(asked, &review["spec"]).await?;
                // A real server does not say which namespace it was asked about.
                review["spec"] = json!({});
                status
            }
            Question::Token => {
                review = asked.with_managed_fields(review);
                self.whose_token(&review["spec"]).await?
            }
            Question::MayAnybody | Question::MayAnybodyHere | Question::MayI => {
                review = asked.with_managed_fields(review);
                self.access_review(asked, question, &review).await?
            }
        };
        review["status"] = answered;
        Ok(Written { object: review, is_new: true, warnings })
    }

    async fn whose_token(&self, spec: &Value) -> Result<Value, Refusal> {
        let token = spec["token"].as_str().unwrap_or_default();
        if token.is_empty() {
            return Err(Refusal::bad_request("token is required for TokenReview in authentication"));
        }
        let authenticator = &self.access.authenticator;
        let given: Vec<String> = spec["audiences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let audiences = if given.is_empty() { &authenticator.service_accounts.audiences } else { &given };
        Ok(match authenticator.authenticate_token(token, audiences, timestamp_secs()).await {
            Ok(Some(found)) => {
                json!({"authenticated": true, "user": found.user.to_json(), "audiences": found.audiences})
            }
            Ok(None) => json!({"user": {}, "error": "invalid bearer token"}),
            Err(error) => json!({"user": {}, "error": format!("[invalid bearer token, {error}]")}),
        })
    }

    async fn access_review(
        &self,
        asked: &Asked,
        question: Question,
        review: &Value,
    ) -> Result<Value, Refusal> {
        let spec = &review["spec"];
        let errors = errors_of(question, review, asked.namespace.as_deref());
        if !errors.is_empty() {
            return Err(unnamed(&errors));
        }
        let user = if question == Question::MayI { asked.user.clone() } else { user_of(spec) };
        let Decision { is_allowed, reason } = self.access.decide(&user, &attributes_of(spec)).await;
        let mut status = json!({"allowed": is_allowed});
        if !reason.is_empty() {
            status["reason"] = reason.into();
        }
        Ok(status)
    }

    async fn rules(&self, asked: &Asked, spec: &Value) -> Result<Value, Refusal> {
        let namespace = spec["namespace"].as_str().unwrap_or_default();
        if namespace.is_empty() {
            return Err(Refusal::bad_request("no namespace on request"));
        }
        let (rules, errors) = self.access.rules_for(&asked.user, namespace).await?;
        let is_for_resources = |rule: &&Rule| !rule.resources.is_empty();
        let resource_rule = |rule: &Rule| {
            let mut shown =
                json!({"verbs": rule.verbs, "apiGroups": rule.groups, "resources": rule.resources});
            if !rule.names.is_empty() {
                shown["resourceNames"] = json!(rule.names);
            }
            shown
        };
        let path_rule = |rule: &Rule| json!({"verbs": rule.verbs, "nonResourceURLs": rule.urls});
        let mut status = json!({
            "resourceRules": rules.iter().filter(is_for_resources).map(resource_rule).collect::<Vec<_>>(),
            "nonResourceRules": rules.iter().filter(|rule| !rule.urls.is_empty()).map(path_rule).collect::<Vec<_>>(),
            "incomplete": !errors.is_empty(),
        });
        match &errors[..] {
            [] => {}
            [error] => status["evaluationError"] = error.as_str().into(),
            errors => status["evaluationError"] = format!("[{}]", errors.join(", ")).into(),
        }
        Ok(status)
    }
}

impl Asked {
    fn with_managed_fields(&self, review: Value) -> Value {
        let resource = &self.served.resource;
        let manager =
            FieldManager::new(&self.served.types, &OneVersion, &self.served.api_version, &resource.kind, "");
        manager.update(None, review, &self.field_manager(), Utc::now())
    }
}

/// Takes away what no question has.
fn drop_unknown(spec: &mut Value) {
    const RESOURCE: [&str; 9] = [
        "namespace",
        "verb",
        "group",
        "version",
        "resource",
        "subresource",
        "name",
        "fieldSelector",
        "labelSelector",
    ];
    const SPEC: [&str; 9] = [
        "resourceAttributes",
        "nonResourceAttributes",
        "user",
        "groups",
        "extra",
        "uid",
        "token",
        "audiences",
        "namespace",
    ];
    let keep = |value: &mut Value, known: &[&str]| {
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|field, value| known.contains(&field.as_str()) && !value.is_null());
        }
    };
    keep(spec, &SPEC);
    if let Some(attributes) = spec.get_mut("resourceAttributes") {
        keep(attributes, &RESOURCE);
    }
    if let Some(attributes) = spec.get_mut("nonResourceAttributes") {
        keep(attributes, &["path", "verb"]);
    }
}

/// What is wrong with a question about access, in the order of a real server.
fn errors_of(question: Question, review: &Value, namespace: Option<&str>) -> Vec<FieldError> {
    let spec = &review["spec"];
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let mut errors = Vec::new();
    let printed_path = || {
        let text = |field: &str| serde_json::to_string(text(&path[field])).unwrap_or_default();
        format!("{{\"Path\":{},\"Verb\":{}}}", text("path"), text("verb"))
    };
    if resource.is_object() && path.is_object() {
        let detail = "cannot be specified in combination with resourceAttributes";
        errors.push(FieldError::invalid_printed("spec.nonResourceAttributes", &printed_path(), detail));
    }
    if !resource.is_object() && !path.is_object() {
        let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        errors.push(FieldError::invalid_printed("spec.resourceAttributes", "null", detail));
    }
    let has_group = spec["groups"].as_array().is_some_and(|groups| !groups.is_empty());
    if question != Question::MayI && text(&spec["user"]).is_empty() && !has_group {
        errors.push(FieldError::invalid_text(
            "spec.user",
            "",
            "at least one of user or group must be specified",
        ));
    }
    let is_here = question == Question::MayAnybodyHere;
    let mut metadata = review["metadata"].clone();
    if let Some(fields) = metadata.as_object_mut() {
        fields.retain(|field, value| {
            field != "managedFields" && !value.is_null() && !(is_here && field == "namespace")
        });
        if !fields.is_empty() {
            let detail = if is_here { "must be empty except for namespace" } else { "must be empty" };
            errors.push(FieldError::invalid_printed("metadata", &review["metadata"].to_string(), detail));
        }
    }
    if is_here && resource.is_object() && text(&resource["namespace"]) != namespace.unwrap_or_default() {
        let field = "spec.resourceAttributes.namespace";
        let given = text(&resource["namespace"]);
        errors.push(FieldError::invalid_text(field, given, "must match metadata.namespace"));
    }
    if is_here && path.is_object() {
        let detail = "disallowed on this kind of request";
        errors.push(FieldError::invalid_printed("spec.nonResourceAttributes", &printed_path(), detail));
    }
    errors
}

/// A real server names neither the kind nor the object of such a question.
fn unnamed(errors: &[FieldError]) -> Refusal {
    let causes: Vec<Value> = errors
        .iter()
        .map(|error| json!({"reason": error.kind.reason(), "message": error.message, "field": error.field}))
        .collect();
    let mut refusal = Refusal::new(422, Reason::Invalid, invalid_message("", ACCESS_GROUP, "", errors));
    refusal.details.insert("group".to_owned(), ACCESS_GROUP.into());
    refusal.details.insert("causes".to_owned(), causes.into());
    refusal
}

fn user_of(spec: &Value) -> Identity {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let extra = spec["extra"].as_object().into_iter().flatten();
    Identity {
        name: text(&spec["user"]).to_owned(),
        uid: text(&spec["uid"]).to_owned(),
        groups: texts(&spec["groups"]),
        extra: extra.map(|(key, values)| (key.to_lowercase(), texts(values))).collect(),
    }
}

fn attributes_of(spec: &Value) -> Attributes {
    let path = &spec["nonResourceAttributes"];
    if path.is_object() {
        let (path, verb) = (text(&path["path"]).to_owned(), text(&path["verb"]).to_owned());
        return Attributes { path, verb, ..Attributes::default() };
    }
    let of = |field: &str| text(&spec["resourceAttributes"][field]).to_owned();
    Attributes {
        is_resource: true,
        verb: of("verb"),
        path: String::new(),
        group: of("group"),
        version: of("version"),
        resource: of("resource"),
        subresource: of("subresource"),
        namespace: of("namespace"),
        name: of("name"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
