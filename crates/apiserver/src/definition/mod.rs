//! What a CustomResourceDefinition must be, what it is completed with, and what its status says.
//! Pure functions over JSON; nothing here knows a request, a store or the clock.
//!
//! [`complete`] fills in defaults, [`prepare`] and [`prepare_update`] decide what of the status a client does not
//! write, [`validate`] and [`validate_update`] find everything that is wrong, [`settle`] decides which names a
//! definition gets beside the others of its group, and so whether it is established. All texts are those of a
//! kube-apiserver 1.36, which judges a definition in an older form: what is the same in all versions stands beside
//! them, so that an error of the only version's schema is one of `spec.validation`.
//!
//! A rule's cost is not estimated, so a definition with rules that are too expensive there is accepted here, and
//! what is spent is bounded when the rules are evaluated. Rules are not type-checked either.

mod approval;
mod columns;
mod complete;
mod conversion;
mod defaults;
mod lifted;
mod names;
mod printed;
mod rules;
mod schema;
mod spec;
mod status;
mod structural;

#[cfg(test)]
mod tests;

pub use complete::{complete, prepare, prepare_update};
pub use names::{Settled, settle};
pub use status::{CLEANUP_FINALIZER, condition, is_established, is_terminating, set_condition};

use crate::schema::FieldError;
use serde_json::Value;

/// What is wrong with a new definition, which has been completed.
pub fn validate(definition: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = text(&definition["metadata"]["name"]);
    let names = &definition["spec"]["names"];
    if name != format!("{}.{}", text(&names["plural"]), text(&definition["spec"]["group"])) {
        let detail = r#"must be spec.names.plural+"."+spec.group"#;
        errors.push(FieldError::invalid_text("metadata.name", name, detail));
    }
    errors.extend(spec::validate(definition, None));
    errors.extend(status::validate(definition));
    errors.extend(approval::validate(definition, None));
    errors.extend(preserves_unknown_fields(definition, None));
    errors
}

/// What is wrong with a changed definition, which has been completed.
pub fn validate_update(definition: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = spec::validate(definition, Some(old));
    let (new_spec, old_spec) = (&definition["spec"], &old["spec"]);
    let mut immutable = |pointer: &str, field: &str| {
        let at = |spec: &Value| spec.pointer(pointer).cloned().unwrap_or_else(|| "".into());
        if at(new_spec) != at(old_spec) {
            errors.push(FieldError::invalid(field, &at(new_spec), "field is immutable"));
        }
    };
    if is_established(old) {
        immutable("/scope", "spec.scope");
        immutable("/names/kind", "spec.names.kind");
    }
    immutable("/group", "spec.group");
    immutable("/names/plural", "spec.names.plural");
    errors.extend(status::validate(definition));
    errors.extend(approval::validate(definition, Some(old)));
    errors.extend(preserves_unknown_fields(definition, Some(old)));
    errors
}

/// What is wrong with a definition of which an update may only have changed the status.
pub fn validate_status(definition: &Value) -> Vec<FieldError> {
    spec::name_errors(&definition["status"]["acceptedNames"], "status.acceptedNames")
}

/// What a client is warned of: formats that no API server knows.
pub fn warnings(definition: &Value, old: Option<&Value>) -> Vec<String> {
    let before = old.map(schema::unknown_formats).unwrap_or_default();
    let now = schema::unknown_formats(definition).into_iter();
    now.filter(|format| !before.contains(format))
        .map(|format| format!("unrecognized format {format:?}"))
        .collect()
}

fn preserves_unknown_fields(definition: &Value, old: Option<&Value>) -> Option<FieldError> {
    let preserves = |definition: &Value| definition["spec"]["preserveUnknownFields"] == true;
    let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
    (preserves(definition) && !old.is_some_and(preserves))
        .then(|| FieldError::invalid("spec.preserveUnknownFields", &Value::Bool(true), detail))
}

/// The text there, empty if there is none: an API server does not tell the two apart.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
