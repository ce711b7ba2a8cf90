//! What a patch makes of an object is read anew, as if it had been sent; what is wrong with it is said of the patch.

use serde_json::{Map, Value};

use super::request::{Asked, FieldValidation};
use crate::codec::{self, Body, Expected, Media};
use crate::schema::FieldError;
use crate::status::{Refusal, Target};

/// How an object was patched, as far as it matters for what is said of the outcome.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patched<'a> {
    /// As a text.
    Text,
    /// As what this patch is merged into.
    Strategically(&'a Value),
}

impl Asked {
    /// The object that a patch made, and the same question with what is unknown in it.
    pub(super) fn patched(&self, object: Value, how: Patched<'_>) -> Result<(Asked, Value), Refusal> {
        let read = match (&self.served.schema, how) {
            (None, Patched::Strategically(_)) => self.restored(object, how)?,
            _ => self.read_again(&object, how)?,
        };
        let mut body = read;
        if let Some(schema) = &self.served.schema {
            body.strict.extend(schema.prune(&mut body.value).iter().map(ToString::to_string));
        }
        let mut strict = self.strict.clone();
        strict.extend(body.strict);
        if self.field_validation() == FieldValidation::Strict && !strict.is_empty() {
            let why = format!("strict decoding error: {}", strict.join(", "));
            return Err(invalid(&body.value, how, &why));
        }
        let (name, wanted) = (body.value["metadata"]["name"].as_str(), self.target().name);
        match name.unwrap_or_default() {
            "" => Err(Refusal::bad_request(format!(
                "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
            ))),
            name if name != wanted => Err(Refusal::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({wanted})"
            ))),
            _ => Ok((self.with_strict(strict), body.value)),
        }
    }

    /// A patch that is merged by types does not change what the object is.
    fn restored(&self, mut object: Value, how: Patched<'_>) -> Result<Body, Refusal> {
        object["apiVersion"] = self.served.api_version.as_str().into();
        object["kind"] = self.served.resource.kind.as_str().into();
        codec::restore(&object, &self.served.types).map_err(|why| invalid(&object, how, &why))
    }

    fn read_again(&self, object: &Value, how: Patched<'_>) -> Result<Body, Refusal> {
        let resource = &self.served.resource;
        let is_custom = self.served.schema.is_some();
        let expected = Expected {
            api_version: &self.served.api_version,
            kind: &resource.kind,
            types: Some(&self.served.types).filter(|_| !is_custom),
        };
        let body = codec::decode(Media::Json, sorted(object).to_string().as_bytes(), expected);
        let body = body.map_err(|error| invalid(object, how, error.why()))?;
        let name = self.target().name;
        for (field, wanted, group) in
            [("kind", &resource.kind, resource.group.as_str()), ("apiVersion", &self.served.api_version, "")]
        {
            let given = body.value[field].as_str().unwrap_or_default();
            if is_custom && given != wanted {
                let kind = if field == "kind" { given } else { &resource.kind };
                let error = FieldError::invalid_text(field, given, &format!("must be {wanted}"));
                return Err(Refusal::invalid(kind, Target { group, resource: "", name }, &[error]));
            }
        }
        Ok(body)
    }
}

fn invalid(object: &Value, how: Patched<'_>, why: &str) -> Refusal {
    let shown = match how {
        Patched::Text => sorted(object).to_string(),
        Patched::Strategically(patch) => in_go(patch),
    };
    let error = FieldError::invalid_text("patch", &shown, why);
    Refusal::invalid("", Target { group: "", resource: "", name: "" }, &[error])
}

fn sorted(object: &Value) -> Value {
    let Some(fields) = object.as_object() else { return object.clone() };
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    Value::Object(
        fields.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>(),
    )
}

/// A value as Go prints maps and slices.
fn in_go(value: &Value) -> String {
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
