//! `AdmissionReview`: the envelope that a question comes in and its answer goes back in.

use serde_json::{Value, json};

use super::{Kind, Operation, Question, Verdict};

/// A review that holds a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    api_version: String,
    uid: String,
    pub question: Question,
}

/// Why something is no review that can be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("not an AdmissionReview of admission.k8s.io/v1: apiVersion {api_version:?}, kind {kind:?}")]
    NotAReview { api_version: String, kind: String },
    #[error("the AdmissionReview has no request")]
    NoRequest,
    #[error("the request of the AdmissionReview has no {0}")]
    NoField(&'static str),
    #[error("{kind:?} of group {group:?} is not judged here")]
    UnknownKind { group: String, kind: String },
    #[error("the request is about {found}, and what is asked here is about {wanted}")]
    OtherKind { found: &'static str, wanted: &'static str },
}

impl Review {
    /// Reads a review. It is about the kind that it names.
    pub fn read(mut review: Value) -> Result<Review, Malformed> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text(&review["apiVersion"]), text(&review["kind"]));
        let is_known = matches!(api_version.as_str(), "admission.k8s.io/v1" | "admission.k8s.io/v1beta1");
        if !is_known || kind != "AdmissionReview" {
            return Err(Malformed::NotAReview { api_version, kind });
        }
        let Some(mut request) = review.get_mut("request").map(Value::take).filter(Value::is_object) else {
            return Err(Malformed::NoRequest);
        };
        let uid = text(&request["uid"]);
        if uid.is_empty() {
            return Err(Malformed::NoField("uid"));
        }
        let operation = text(&request["operation"]);
        if operation.is_empty() {
            return Err(Malformed::NoField("operation"));
        }
        if !request["kind"].is_object() {
            return Err(Malformed::NoField("kind"));
        }
        let (group, kind) = (text(&request["kind"]["group"]), text(&request["kind"]["kind"]));
        let kind = Kind::find(&group, &kind).ok_or(Malformed::UnknownKind { group, kind })?;
        let mut take = |field: &str| request.get_mut(field).map(Value::take).unwrap_or_default();
        let (object, old_object) = (take("object"), take("oldObject"));
        let name = text(&request["name"]);
        let question = Question { kind, operation: Operation::of(&operation), name, object, old_object };
        Ok(Review { api_version, uid, question })
    }

    /// Whether it is about what the path is for that it was sent to.
    pub fn check_is_about(&self, wanted: Kind) -> Result<(), Malformed> {
        if self.question.kind == wanted {
            return Ok(());
        }
        Err(Malformed::OtherKind { found: self.question.kind.name(), wanted: wanted.name() })
    }

    /// The review that is sent back.
    pub fn answer(&self, verdict: &Verdict) -> Value {
        let mut status = json!({"metadata": {}});
        if !verdict.message.is_empty() {
            status["message"] = verdict.message.as_str().into();
        }
        if !verdict.reason.is_empty() {
            status["reason"] = verdict.reason.into();
        }
        status["code"] = verdict.code.into();
        let mut response = json!({"uid": self.uid, "allowed": verdict.allowed, "status": status});
        if !verdict.warnings.is_empty() {
            response["warnings"] = verdict.warnings.as_slice().into();
        }
        json!({"kind": "AdmissionReview", "apiVersion": self.api_version, "response": response})
    }
}
