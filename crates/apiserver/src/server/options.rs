//! What a client says of how to write or delete, and what is wrong with that.

use axum::body::Body;
use serde_json::{Map, Value, json};

use super::request::{Asked, bytes, unsupported_media};
use crate::codec::{self, Media};
use crate::resource::Verb;
use crate::schema::FieldError;
use crate::schema::text::is_printable;
use crate::status::{Refusal, Target};

const POLICIES: [&str; 3] = ["Foreground", "Background", "Orphan"];
const VALIDATIONS: [&str; 4] = ["", "Ignore", "Strict", "Warn"];
const MANAGER_BYTES: usize = 128;

impl Asked {
    pub(super) fn is_dry_run(&self) -> bool {
        self.query.get("dryRun").is_some_and(|value| value == "All")
    }

    /// Refuses a write whose parameters mean nothing.
    pub(super) fn check_options(&self) -> Result<(), Refusal> {
        let kind = match self.verb {
            Verb::Create => "CreateOptions",
            Verb::Update => "UpdateOptions",
            Verb::Patch => "PatchOptions",
            _ => return Ok(()),
        };
        let mut errors = Vec::new();
        if self.verb == Verb::Patch {
            let is_apply = self.content_type.starts_with("application/apply-patch");
            if !is_apply && self.query.contains_key("force") {
                errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
            }
            if is_apply && self.parameter("fieldManager").is_none() {
                errors.push(FieldError::required("fieldManager", "is required for apply patch"));
            }
        }
        let manager = self.parameter("fieldManager").unwrap_or_default();
        if manager.len() > MANAGER_BYTES {
            errors.push(FieldError::too_long("fieldManager", MANAGER_BYTES as i64));
        }
        for (index, letter) in manager.char_indices().filter(|(_, letter)| !is_printable(*letter)) {
            let detail = format!("invalid character U+{:04X} (at position {index})", u32::from(letter));
            errors.push(FieldError::invalid_text("fieldManager", manager, &detail));
        }
        if let Some(dry_run) = self.query.get("dryRun") {
            errors.extend(dry_run_errors(&json!([dry_run])));
        }
        if let Some(validation) =
            self.query.get("fieldValidation").filter(|value| !VALIDATIONS.contains(&value.as_str()))
        {
            let values = VALIDATIONS.map(str::to_owned);
            errors.push(FieldError::not_supported("fieldValidation", &validation.as_str().into(), &values));
        }
        refuse(kind, &errors)
    }

    /// How to delete: what the body says, or else the query.
    pub(super) async fn delete_options(&mut self, body: Body) -> Result<Value, Refusal> {
        let bytes = bytes(body).await?;
        let options = if bytes.is_empty() {
            self.options_in_query()?
        } else {
            let media = Media::of(&self.content_type).ok_or_else(unsupported_media)?;
            let options = codec::decode_options(media, &bytes, "DeleteOptions");
            options.map_err(|error| Refusal::bad_request(error.why()))?.value
        };
        refuse("DeleteOptions", &delete_errors(&options))?;
        self.query.remove("dryRun");
        if options["dryRun"].as_array().is_some_and(|values| !values.is_empty()) {
            self.query.insert("dryRun".to_owned(), "All".to_owned());
        }
        Ok(options)
    }

    fn options_in_query(&self) -> Result<Value, Refusal> {
        let mut options = Map::new();
        for (name, text) in &self.query {
            let value = match name.as_str() {
                "propagationPolicy" => json!(text),
                "gracePeriodSeconds" => super::list_options::integer(self, name)?.into(),
                "orphanDependents" if !text.is_empty() => json!(!matches!(text.as_str(), "false" | "0")),
                "dryRun" => json!([text]),
                _ => continue,
            };
            options.insert(name.clone(), value);
        }
        Ok(Value::Object(options))
    }
}

fn delete_errors(options: &Value) -> Vec<FieldError> {
    let (policy, orphan) = (&options["propagationPolicy"], &options["orphanDependents"]);
    let mut errors = Vec::new();
    if !policy.is_null() && !orphan.is_null() {
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        errors.push(FieldError::invalid("propagationPolicy", policy, detail));
    }
    if policy.as_str().is_some_and(|policy| !POLICIES.contains(&policy)) {
        let values: Vec<String> =
            POLICIES.iter().chain(["nil"].iter()).map(|&text| text.to_owned()).collect();
        errors.push(FieldError::not_supported("propagationPolicy", policy, &values));
    }
    errors.extend(dry_run_errors(&options["dryRun"]));
    errors
}

fn dry_run_errors(values: &Value) -> Option<FieldError> {
    let is_unknown = values.as_array().into_iter().flatten().any(|value| value != "All");
    is_unknown.then(|| FieldError::not_supported("dryRun", values, &["All".to_owned()]))
}

fn refuse(kind: &str, errors: &[FieldError]) -> Result<(), Refusal> {
    match errors {
        [] => Ok(()),
        errors => {
            Err(Refusal::invalid(kind, Target { group: "meta.k8s.io", resource: "", name: "" }, errors))
        }
    }
}
