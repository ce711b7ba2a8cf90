//! What a webhook is sent, and what its answer means.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::matching::kind_json;
use super::{Named, Request};
use crate::status::{Reason, Refusal};

/// What a webhook has to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Why the request is denied; nothing if it is not.
    pub denied: Option<Refusal>,
    /// A patch in JSON, of one that changes objects.
    pub patch: Option<Value>,
    pub warnings: Vec<String>,
}

/// Why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    #[error("failed to call webhook: {0}")]
    Unreadable(String),
    #[error("received invalid webhook response: {0}")]
    Invalid(String),
    #[error("received undecodable patch in webhook response: {0}")]
    Patch(String),
}

/// The review that a webhook is sent. Objects are in the version `named`.
pub fn question(request: &Request, named: &Named, version: &str, uid: &str) -> Value {
    json!({
        "kind": "AdmissionReview",
        "apiVersion": format!("admission.k8s.io/{version}"),
        "request": self::request(request, named, uid),
    })
}

/// What is asked, also for conditions.
pub(super) fn request(request: &Request, named: &Named, uid: &str) -> Value {
    let resource =
        |named: &Named| json!({"group": named.group, "version": named.version, "resource": named.resource});
    let mut asked = Map::new();
    let mut set = |field: &str, value: Value| drop(asked.insert(field.to_owned(), value));
    set("uid", uid.into());
    let kind = |named: &Named| match &request.part {
        Some((group, version, kind)) => json!({"group": group, "version": version, "kind": kind}),
        None => kind_json(named),
    };
    set("kind", kind(named));
    set("resource", resource(named));
    if !request.subresource.is_empty() {
        set("subResource", request.subresource.as_str().into());
    }
    set("requestKind", kind(&request.named));
    set("requestResource", resource(&request.named));
    if !request.subresource.is_empty() {
        set("requestSubResource", request.subresource.as_str().into());
    }
    for (field, text) in [("name", &request.name), ("namespace", &request.namespace)] {
        if !text.is_empty() {
            set(field, text.as_str().into());
        }
    }
    set("operation", request.operation.as_str().into());
    set("userInfo", request.user.clone());
    set("object", request.object.clone());
    set("oldObject", request.old.clone());
    set("dryRun", request.is_dry_run.into());
    set("options", request.options.clone());
    Value::Object(asked)
}

/// Reads what the webhook `name` answered to a question of this version and uid.
pub fn answer(
    body: &[u8],
    name: &str,
    version: &str,
    uid: &str,
    may_patch: bool,
) -> Result<Answer, AnswerError> {
    let review = readable(body)?;
    let response = &review["response"];
    let invalid = |problem: String| Err(AnswerError::Invalid(problem));
    if !response.is_object() {
        return invalid("webhook response was absent".to_owned());
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if version == "v1" {
        if response["uid"] != uid {
            return invalid(format!("expected response.uid={uid:?}, got {:?}", text(&response["uid"])));
        }
        let (api_version, kind) = (text(&review["apiVersion"]), text(&review["kind"]));
        if api_version != "admission.k8s.io/v1" || kind != "AdmissionReview" {
            let wanted = "admission.k8s.io/v1, Kind=AdmissionReview";
            return invalid(format!("expected webhook response of {wanted}, got {api_version}, Kind={kind}"));
        }
        patch_form(response, may_patch)?;
    }
    let warnings: Vec<String> = response["warnings"].as_array().into_iter().flatten().map(text).collect();
    let mut denied = (response["allowed"] != true).then(|| denial(name, &response["status"]));
    if let Some(denied) = &mut denied {
        denied.warnings = warnings.clone().into();
    }
    let patch = response["patch"].as_str().filter(|patch| !patch.is_empty() && may_patch && denied.is_none());
    Ok(Answer { patch: patch.map(decoded).transpose()?, denied, warnings })
}

/// The review in an answer, if it is one.
fn readable(body: &[u8]) -> Result<Value, AnswerError> {
    let unreadable = |problem: &str| {
        Err(AnswerError::Unreadable(format!("couldn't get version/kind; json parse error: {problem}")))
    };
    let review: Value = match serde_json::from_slice(body) {
        Ok(review @ Value::Object(_)) => review,
        Err(_) if body.trim_ascii_start().starts_with(b"{") => {
            return unreadable("unexpected end of JSON input");
        }
        // A text that is no JSON is YAML, and so a string.
        _ => {
            let wanted = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;
            return unreadable(&format!("json: cannot unmarshal string into Go value of type {wanted}"));
        }
    };
    let (api_version, kind) = (&review["apiVersion"], &review["kind"]);
    let is_known = api_version.is_null() && kind.is_null()
        || api_version.as_str().is_some_and(|version| version.starts_with("admission.k8s.io/v1"))
            && kind == "AdmissionReview";
    if is_known {
        return Ok(review);
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Err(AnswerError::Unreadable(format!(
        "no kind {:?} is registered for version {:?} in scheme \"pkg/runtime/scheme.go:111\"",
        text(kind),
        text(api_version)
    )))
}

fn patch_form(response: &Value, may_patch: bool) -> Result<(), AnswerError> {
    let has_patch = response["patch"].as_str().is_some_and(|patch| !patch.is_empty());
    let kind = response["patchType"].as_str();
    let problem = match (may_patch, has_patch, kind) {
        (false, true, _) => "validating webhook may not return response.patch".to_owned(),
        (false, _, Some(_)) => "validating webhook may not return response.patchType".to_owned(),
        (true, true, None) => "webhook returned response.patch but not response.patchType".to_owned(),
        (true, false, Some(_)) => "webhook returned response.patchType but not response.patch".to_owned(),
        (true, true, Some("")) => "webhook returned invalid response.patchType of \"\"".to_owned(),
        _ => return Ok(()),
    };
    Err(AnswerError::Invalid(problem))
}

fn decoded(patch: &str) -> Result<Value, AnswerError> {
    let bytes = STANDARD.decode(patch).map_err(|error| AnswerError::Unreadable(error.to_string()))?;
    let patch: Value =
        serde_json::from_slice(&bytes).map_err(|error| AnswerError::Patch(error.to_string()))?;
    if patch.is_array() {
        Ok(patch)
    } else {
        let problem = "json: cannot unmarshal object into Go value of type jsonpatch.Patch";
        Err(AnswerError::Patch(problem.to_owned()))
    }
}

/// The webhook's own status, never one of success, and always with its name.
fn denial(name: &str, status: &Value) -> Refusal {
    let text = |field: &str| status[field].as_str().unwrap_or_default();
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
    let denied = format!("admission webhook {name:?} denied the request");
    let message = match (text("message"), text("reason")) {
        ("", "") => format!("{denied} without explanation"),
        ("", reason) => format!("{denied}: {reason}"),
        (message, _) => format!("{denied}: {message}"),
    };
    let mut refusal = Refusal::new(code.unwrap_or(400), Reason::of(text("reason")), message);
    refusal.details = status["details"].as_object().cloned().unwrap_or_default();
    refusal
}
