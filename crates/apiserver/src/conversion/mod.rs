//! Objects of a custom kind between its versions: what a webhook is asked, and whether what it answers may be used.
//! Pure functions over JSON; nothing here knows the network or a store.

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::{Map, Value, json};

use crate::schema::FieldError;
use crate::schema::metadata;

/// Converts the objects of a kind inside this process. The program that embeds a server hands it over, and it takes
/// the place of whatever the kind's definition says.
pub trait Convert: fmt::Debug + Send + Sync {
    /// The object in another version; the text says why it cannot be converted.
    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, String>;
}

/// The review that a webhook is sent, in a version that it knows; nothing if there is none.
pub fn question(versions: &Value, objects: &[&Value], api_version: &str, uid: &str) -> Option<Value> {
    let versions = versions.as_array().map(Vec::as_slice).unwrap_or_default();
    let known =
        versions.iter().filter_map(Value::as_str).find(|version| matches!(*version, "v1" | "v1beta1"))?;
    Some(json!({
        "kind": "ConversionReview",
        "apiVersion": format!("apiextensions.k8s.io/{known}"),
        "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": objects},
    }))
}

/// What the webhook made of the objects. The text says what is wrong with its answer.
pub fn answer(question: &Value, objects: &[&Value], body: &[u8]) -> Result<Vec<Value>, String> {
    let review: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let kind = kind_of(objects.first().copied().unwrap_or(&Value::Null));
    let failed = |problem: String| format!("conversion webhook for {kind} failed: {problem}");
    let wanted = text(&question["request"]["desiredAPIVersion"]);
    let converted = converted(question, &review).map_err(failed)?;
    if converted.len() != objects.len() {
        let (returned, expected) = (converted.len(), objects.len());
        return Err(format!(
            "conversion webhook for {kind} returned {returned} objects, expected {expected}"
        ));
    }
    let each = objects.iter().zip(converted).enumerate();
    each.map(|(index, (original, converted))| {
        let at = if objects.len() == 1 { String::new() } else { format!(" at index {index}") };
        check(original, converted, wanted).map_err(|problem| match problem {
            Problem::Version(problem) => {
                format!("conversion webhook for {kind} returned invalid object at index {index}: {problem}")
            }
            Problem::Object(problem) => {
                format!("conversion webhook for {kind} returned invalid object{at}: {problem}")
            }
        })?;
        restored(original, converted).map_err(|problem| {
            format!("conversion webhook for {kind} returned invalid metadata{at}: {problem}")
        })
    })
    .collect()
}

enum Problem {
    Version(String),
    Object(String),
}

fn converted<'a>(question: &Value, review: &'a Value) -> Result<&'a [Value], String> {
    let response = &review["response"];
    if question["apiVersion"] == "apiextensions.k8s.io/v1" {
        let (api_version, kind) = (text(&review["apiVersion"]), text(&review["kind"]));
        if api_version != "apiextensions.k8s.io/v1" || kind != "ConversionReview" {
            let wanted = "apiextensions.k8s.io/v1, Kind=ConversionReview";
            return Err(format!("expected webhook response of {wanted}, got {api_version}, Kind={kind}"));
        }
    }
    if !response.is_object() {
        return Err("no response provided".to_owned());
    }
    let (uid, got) = (text(&question["request"]["uid"]), text(&response["uid"]));
    if question["apiVersion"] == "apiextensions.k8s.io/v1" && uid != got {
        return Err(format!("expected response.uid={uid:?}, got {got:?}"));
    }
    let result = &response["result"];
    match (text(&result["status"]), text(&result["message"])) {
        ("Success", _) => Ok(response["convertedObjects"].as_array().map(Vec::as_slice).unwrap_or_default()),
        (status, "") => Err(format!("response.result.status was '{status}', not 'Success'")),
        (_, message) => Err(message.to_owned()),
    }
}

/// It must still be the same object, now in the version that was asked for.
fn check(original: &Value, converted: &Value, wanted: &str) -> Result<(), Problem> {
    let got = text(&converted["apiVersion"]);
    if got != wanted {
        let problem = format!("invalid groupVersion (expected {wanted}, received {got})");
        return Err(Problem::Version(problem));
    }
    let (expected, got) = (text(&original["kind"]), text(&converted["kind"]));
    if expected != got {
        return Err(Problem::Version(format!("invalid kind (expected {expected}, received {got})")));
    }
    for (field, name) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
        let at = |object: &Value| text(&object["metadata"][field]).to_owned();
        let (expected, got) = (at(original), at(converted));
        if expected != got {
            return Err(Problem::Object(format!("must have the same {name}: {expected} != {got}")));
        }
    }
    Ok(())
}

/// Of the metadata only labels and annotations may be another version's.
fn restored(original: &Value, converted: &Value) -> Result<Value, String> {
    let Some(theirs) = converted.get("metadata") else {
        return Err("missing metadata in converted object".to_owned());
    };
    let Some(theirs) = theirs.as_object() else {
        return Err(format!("invalid metadata of type {} in converted object", go_type(theirs)));
    };
    let mut ours = original["metadata"].as_object().cloned().unwrap_or_default();
    for field in ["labels", "annotations"] {
        match theirs.get(field).filter(|value| !value.is_null()) {
            None => drop(ours.shift_remove(field)),
            Some(Value::Object(texts)) => {
                changed_texts(field, ours.get(field), texts)?;
                ours.insert(field.to_owned(), Value::Object(texts.clone()));
            }
            Some(other) => {
                let kind = go_type(other);
                return Err(format!("invalid metadata.{field} of type {kind} in converted object"));
            }
        }
    }
    let mut object = converted.clone();
    object["metadata"] = Value::Object(ours);
    Ok(object)
}

fn changed_texts(field: &str, before: Option<&Value>, texts: &Map<String, Value>) -> Result<(), String> {
    if let Some((key, value)) = texts.iter().find(|(_, value)| !value.is_string()) {
        let kind = go_type(value);
        return Err(format!("metadata.{field}[{key}] must be a string, but is {kind} in converted object"));
    }
    if before.and_then(Value::as_object) == Some(texts) {
        return Ok(());
    }
    let object = json!({"metadata": {"name": "a", field: texts}});
    let place = format!("metadata.{field}");
    let errors = metadata::validate(&object, false).into_iter().filter(|error| error.field == place);
    let texts: Vec<String> = errors.map(|error: FieldError| error.to_string()).collect();
    match texts.as_slice() {
        [] => Ok(()),
        [single] => Err(single.clone()),
        several => Err(format!("[{}]", several.join(", "))),
    }
}

/// As messages name what a review is about.
pub fn kind_of(object: &Value) -> String {
    format!("{}, Kind={}", text(&object["apiVersion"]), text(&object["kind"]))
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
