//! Secrets: text becomes data, and some types must have certain keys.

use super::{Refusal, accept, keys, set, text_at};
use crate::schema::{FieldError, metadata};
use serde_json::{Map, Value, json};

const OPAQUE: &str = "Opaque";
const PEM_BEGINNING: &[u8] = b"-----BEGIN ";
const ACCOUNT_ANNOTATION: &str = "kubernetes.io/service-account.name";

/// Reads text as data. A Secret without a type is an opaque one.
pub fn default(object: &mut Value) {
    merge_text(object);
    if text_at(object, "/type").is_empty() {
        set(object, "type", Some(json!(OPAQUE)));
    }
}

/// Completes a Secret that is to be created.
pub fn prepare_create(object: &mut Value) -> Result<(), Refusal> {
    default(object);
    validate(object, None)
}

/// Completes a Secret that is to replace `old`. One without a type is an opaque one here too.
pub fn prepare_update(object: &mut Value, old: &Value) -> Result<(), Refusal> {
    default(object);
    validate(object, Some(old))
}

/// What is wrong with a Secret as it would be stored.
pub fn validate(object: &Value, old: Option<&Value>) -> Result<(), Refusal> {
    let mut errors = Vec::new();
    if let Some(old) = old {
        errors.extend(metadata::validate_update(object, old));
        let secret_type = text_at(object, "/type");
        if secret_type != text_at(old, "/type") {
            errors.push(FieldError::invalid_text("type", secret_type, "field is immutable"));
        }
        errors.extend(keys::immutable_errors(object, old, &["data"]));
    }
    errors.extend(metadata::validate(object, true));
    errors.extend(data_errors(object));
    errors.extend(type_errors(object));
    accept(errors)
}

/// What is odd about a Secret that is accepted: certificates and keys that are none.
pub fn warnings(object: &Value) -> Vec<String> {
    if text_at(object, "/type") != "kubernetes.io/tls" {
        return Vec::new();
    }
    let has_block = |key: &str| {
        let bytes =
            crate::codec::base64::decode(text_at(object, &format!("/data/{key}"))).unwrap_or_default();
        bytes.windows(PEM_BEGINNING.len()).any(|it| it == PEM_BEGINNING)
    };
    let missing =
        [("tls.crt", "certificate"), ("tls.key", "key")].into_iter().find(|(key, _)| !has_block(key));
    missing.map(|(_, what)| format!("tls: failed to find any PEM data in {what} input")).into_iter().collect()
}

fn merge_text(object: &mut Value) {
    let Some(Value::Object(texts)) =
        object.as_object_mut().and_then(|fields| fields.shift_remove("stringData"))
    else {
        return;
    };
    let mut data = object.get("data").and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    for (key, text) in texts {
        data.insert(
            key,
            Value::String(crate::codec::base64::encode(text.as_str().unwrap_or_default().as_bytes())),
        );
    }
    if !data.is_empty() {
        set(object, "data", Some(Value::Object(data)));
    }
}

fn data_errors(object: &Value) -> Vec<FieldError> {
    let mut errors: Vec<_> =
        keys::entries(object, "data").flat_map(|(key, _)| keys::errors("data", key)).collect();
    let bytes: usize = keys::entries(object, "data").map(|(_, value)| keys::decoded_bytes(value)).sum();
    if i64::try_from(bytes).is_ok_and(|bytes| bytes > keys::DATA_BYTES_MAX) {
        errors.push(FieldError::too_long("data", keys::DATA_BYTES_MAX));
    }
    errors
}

fn type_errors(object: &Value) -> Vec<FieldError> {
    let value =
        |key: &str| keys::entries(object, "data").find(|(name, _)| *name == key).map(|(_, value)| value);
    let missing = |names: &[&str]| -> Vec<FieldError> {
        let missing = names.iter().filter(|key| value(key).is_none());
        missing.map(|key| FieldError::required(format!("data[{key}]"), "")).collect()
    };
    match text_at(object, "/type") {
        "kubernetes.io/tls" => missing(&["tls.crt", "tls.key"]),
        "kubernetes.io/dockercfg" => json_errors(".dockercfg", value(".dockercfg")),
        "kubernetes.io/dockerconfigjson" => json_errors(".dockerconfigjson", value(".dockerconfigjson")),
        "kubernetes.io/basic-auth" => match missing(&["username", "password"]) {
            both if both.len() == 2 => both,
            _ => Vec::new(),
        },
        "kubernetes.io/ssh-auth" if value("ssh-privatekey").is_none_or(str::is_empty) => {
            vec![FieldError::required("data[ssh-privatekey]", "")]
        }
        "kubernetes.io/service-account-token" => {
            let annotation =
                object.pointer("/metadata/annotations").and_then(|all| all.get(ACCOUNT_ANNOTATION));
            let is_named = annotation.and_then(Value::as_str).is_some_and(|name| !name.is_empty());
            let field = format!("metadata.annotations[{ACCOUNT_ANNOTATION}]");
            if is_named { Vec::new() } else { vec![FieldError::required(field, "")] }
        }
        _ => Vec::new(),
    }
}

/// What is wrong with a value that must be JSON; what it says is not repeated.
fn json_errors(key: &str, value: Option<&str>) -> Vec<FieldError> {
    let field = format!("data[{key}]");
    let Some(value) = value else { return vec![FieldError::required(field, "")] };
    let decoded = crate::codec::base64::decode(value).unwrap_or_default();
    match crate::codec::parse(&decoded) {
        Ok(_) => Vec::new(),
        Err(error) => {
            vec![FieldError::invalid_text(field, "<secret contents redacted>", &error.to_string())]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(fields: &Value) -> Value {
        let mut object = json!({"metadata": {"name": "a", "namespace": "b", "resourceVersion": "1"}});
        for (name, value) in fields.as_object().into_iter().flatten() {
            set(&mut object, name, Some(value.clone()));
        }
        object
    }

    #[test]
    fn text_becomes_data_and_the_type_is_opaque() {
        for (text, encoded) in
            [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("é~?>", "w6l+Pz4=")]
        {
            let mut object = secret(&json!({"data": {"k": "AAAA", "l": "AAAA"}, "stringData": {"k": text}}));
            prepare_create(&mut object).unwrap();
            assert_eq!(object["data"], json!({"k": encoded, "l": "AAAA"}));
            assert_eq!(object["type"], "Opaque");
            assert_eq!(object.get("stringData"), None);
        }
    }

    #[test]
    fn a_type_asks_for_its_keys() {
        for (fields, expected) in [
            (
                json!({"type": "kubernetes.io/tls"}),
                "data[tls.crt]: Required value, data[tls.key]: Required value",
            ),
            (
                json!({"type": "kubernetes.io/basic-auth"}),
                "data[username]: Required value, data[password]: Required value",
            ),
            (json!({"type": "kubernetes.io/dockerconfigjson"}), "data[.dockerconfigjson]: Required value"),
            (
                json!({"type": "kubernetes.io/dockercfg", "stringData": {".dockercfg": "{"}}),
                "data[.dockercfg]: Invalid value: \"<secret contents redacted>\": unexpected end of JSON input",
            ),
            (
                json!({"data": {"..": "", "..a": ""}}),
                "data[..]: Invalid value: \"..\": must not be '..', \
                 data[..a]: Invalid value: \"..a\": must not start with '..'",
            ),
        ] {
            assert_eq!(prepare_create(&mut secret(&fields)).unwrap_err().to_string(), expected);
        }
        prepare_create(&mut secret(
            &json!({"type": "kubernetes.io/basic-auth", "stringData": {"password": "p"}}),
        ))
        .unwrap();
    }

    #[test]
    fn what_is_immutable_stays() {
        let old = secret(&json!({"type": "Opaque", "immutable": true, "data": {"k": "AAAA"}}));
        let mut new = secret(&json!({"type": "kubernetes.io/x"}));
        assert_eq!(
            prepare_update(&mut new, &old).unwrap_err().to_string(),
            "type: Invalid value: \"kubernetes.io/x\": field is immutable, \
             immutable: Forbidden: field is immutable when `immutable` is set, \
             data: Forbidden: field is immutable when `immutable` is set"
        );
    }
}
