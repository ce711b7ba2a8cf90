//! What a patch makes of an object is read anew, as if it had been sent; what is wrong with it is said of the patch.

use serde_json::{Map, Value};

use super::incoming::unknown_at_top;
use super::request::{Asked, FieldValidation};
use crate::codec::{self, Body, Expected, Media};
use crate::patch;
use crate::schema::FieldError;
use crate::status::{Refusal, Target};

/// How an object was patched, as far as it matters for what is said of the outcome.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patched<'a> {
    /// As a text, by these operations.
    ByOperations(&'a Value),
    /// As a text that this patch is merged into.
    Merged(&'a Value),
    /// As what this patch is merged into.
    Strategically(&'a Value),
}

impl Asked {
    /// The object that a patch made, and the same question with what is unknown in it.
    pub(super) fn patched(&self, object: Value, how: Patched<'_>) -> Result<(Asked, Value), Refusal> {
        let shown = self.shown(object, how);
        let mut body = match (&self.served.schema, how) {
            (None, Patched::Strategically(_)) => self.restored(&shown, how)?,
            _ => self.read_again(&shown, how)?,
        };
        if self.served.schema.is_some() {
            let said = body.value["apiVersion"].as_str().unwrap_or_default().to_owned();
            body.strict.extend(self.unknown_fields(&mut body.value, &said));
        }
        let mut strict = self.strict.clone();
        strict.extend(body.strict);
        if self.field_validation() == FieldValidation::Strict && !strict.is_empty() {
            let why = format!("strict decoding error: {}", strict.join(", "));
            return Err(invalid(&shown, how, &why));
        }
        self.require_kind(&body.value).and_then(|()| self.require_name(&body.value)).map_err(
            |mut refusal| {
                refusal.warnings = self.warnings_of(&strict).into();
                refusal
            },
        )?;
        Ok((self.with_strict(strict), body.value))
    }

    fn require_name(&self, object: &Value) -> Result<(), Refusal> {
        let (name, wanted) = (object["metadata"]["name"].as_str(), self.target().name);
        match name.unwrap_or_default() {
            "" => Err(self.no_name()),
            name if name != wanted => Err(Refusal::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({wanted})"
            ))),
            _ => Ok(()),
        }
    }

    /// A patch can make something else of a custom resource.
    fn require_kind(&self, object: &Value) -> Result<(), Refusal> {
        if self.served.schema.is_none() {
            return Ok(());
        }
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let errors: Vec<FieldError> =
            [("kind", &self.served.resource.kind), ("apiVersion", &self.served.api_version)]
                .into_iter()
                .filter(|(field, wanted)| text(field) != *wanted)
                .map(|(field, wanted)| {
                    FieldError::invalid_text(field, text(field), &format!("must be {wanted}"))
                })
                .collect();
        let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
        match errors.as_slice() {
            [] => Ok(()),
            errors => {
                let target = Target { group, resource: "", name: self.target().name };
                Err(Refusal::invalid(text("kind"), target, errors))
            }
        }
    }

    /// A patch that is merged by types does not change what the object is.
    fn restored(&self, object: &Value, how: Patched<'_>) -> Result<Body, Refusal> {
        let mut object = object.clone();
        object["apiVersion"] = self.served.api_version.as_str().into();
        object["kind"] = self.served.resource.kind.as_str().into();
        codec::restore(&object, &self.served.types).map_err(|why| invalid(&object, how, &why))
    }

    fn read_again(&self, object: &Value, how: Patched<'_>) -> Result<Body, Refusal> {
        let is_custom = self.served.schema.is_some();
        let has_version = object["apiVersion"].as_str().is_some_and(|version| !version.is_empty());
        if !has_version && let (false, Some(fields)) = (is_custom, object.as_object()) {
            // It is taken for what a real server keeps in memory, which has none of the fields that clients know.
            let strict = unknown_at_top(fields.keys().map(String::as_str));
            return Ok(Body { value: Value::Object(Map::new()), strict });
        }
        let expected = Expected {
            api_version: &self.served.api_version,
            kind: &self.served.resource.kind,
            types: Some(&self.served.types).filter(|_| !is_custom),
        };
        let body = codec::decode(Media::Json, object.to_string().as_bytes(), expected);
        let body = body.map_err(|error| invalid(object, how, error.why()))?;
        if is_custom && !has_version {
            let why = "Object 'apiVersion' is missing in 'object has no apiVersion field'";
            return Err(Refusal::internal(why));
        }
        Ok(body)
    }

    /// What a patch made, with its fields in the order in which they are quoted.
    fn shown(&self, mut object: Value, how: Patched<'_>) -> Value {
        match how {
            _ if self.served.schema.is_some() => object.sort_all_objects(),
            Patched::ByOperations(operations) => patch::sort_touched(&mut object, operations),
            Patched::Merged(patch) => patch::sort_merged(&mut object, patch),
            Patched::Strategically(_) => {}
        }
        object
    }
}

fn invalid(object: &Value, how: Patched<'_>, why: &str) -> Refusal {
    let shown = match how {
        Patched::ByOperations(_) | Patched::Merged(_) => object.to_string(),
        Patched::Strategically(patch) => in_go(patch),
    };
    let error = FieldError::invalid_text("patch", &shown, why);
    Refusal::invalid("", Target { group: "", resource: "", name: "" }, &[error])
}

/// A value as Go prints maps and slices.
pub(super) fn in_go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(in_go).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(fields) => {
            let mut fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}:{}", in_go(value))).collect();
            fields.sort();
            format!("map[{}]", fields.join(" "))
        }
        other => other.to_string(),
    }
}
