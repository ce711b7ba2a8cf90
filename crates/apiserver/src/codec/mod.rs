//! What the body of a request holds, whichever way it is written: JSON, YAML, or Kubernetes' protobuf; and how
//! answers are written. Knows types, not what becomes of an object.
//!
//! The objects of built-in kinds are read into their types: what is of a wrong type is refused, what is unknown is
//! left out and named, and the rest is printed as the type prints it. Custom resources are read as they are;
//! their schemas speak later. All texts are those of a kube-apiserver 1.36.

mod accept;
pub(crate) mod base64;
mod json;
mod protobuf;
mod quantity;
mod time;
mod yaml;

#[cfg(test)]
mod tests;

pub use accept::{Answer, Shape, accepts_any_format};
pub use json::{JsonError, Parsed, Syntax, parse, parse_as};
pub use protobuf::{Envelope, ProtobufError};
pub use quantity::{QuantityError, canonical as canonical_quantity};
pub use yaml::{YamlError, to_yaml};

use serde_json::{Value, json};

use crate::schema::metadata;
use crate::schema::text::quote;
use crate::types::Types;

/// Everything that could grow with a body is bounded here; its length is bounded by whoever received it.
pub const LIMITS: Limits =
    Limits { depth: 120, yaml_nodes: 250_000, yaml_aliases: 1_000, yaml_repeated: 20_000 };

/// See [`LIMITS`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Levels of values inside a value. What is deeper could not be read back from the store.
    pub depth: usize,
    /// Values in a YAML text.
    pub yaml_nodes: usize,
    pub yaml_aliases: usize,
    /// What aliases stand for, in pieces of YAML, all of them together.
    pub yaml_repeated: usize,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    Json,
    Yaml,
    Protobuf,
}

/// What an object is expected to be.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// `v1`, or `group/version`.
    pub api_version: &'a str,
    pub kind: &'a str,
    /// Of a built-in kind.
    pub types: Option<&'a Types>,
}

/// The object of a body.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    pub value: Value,
    /// Fields that are unknown or there twice, in words.
    pub strict: Vec<String>,
}

/// Why a body holds no object of the kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It could not be seen what it is.
    #[error("the object provided is unrecognized (must be of type {kind}): {why} ({summary})")]
    Unrecognized { kind: String, why: String, summary: String },
    /// It says what it is, and cannot be read as that.
    #[error("{given} in version {quoted} cannot be handled as a {kind}: {why}", quoted = quote(version))]
    Unreadable { given: String, version: String, kind: String, why: String },
}

impl BodyError {
    /// What is wrong, without what it is wrong for.
    pub fn why(&self) -> &str {
        match self {
            BodyError::Unrecognized { why, .. } | BodyError::Unreadable { why, .. } => why,
        }
    }
}

impl Media {
    /// What a `Content-Type` means; nothing if it is not understood. Without one, a body is JSON.
    pub fn of(content_type: &str) -> Option<Media> {
        let mut parts = content_type.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let parameters: Vec<&str> = parts.collect();
        let (last, others) = parameters.split_last().unwrap_or((&"", &[]));
        if !(last.is_empty() || last.contains('=')) || others.iter().any(|it| !it.contains('=')) {
            return None;
        }
        match media.to_ascii_lowercase().as_str() {
            "" | "application/json" => Some(Media::Json),
            "application/yaml" => Some(Media::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Media::Protobuf),
            _ => None,
        }
    }
}

/// Reads the object of a body.
pub fn decode(media: Media, bytes: &[u8], expected: Expected<'_>) -> Result<Body, BodyError> {
    match media {
        Media::Json => decode_json(bytes, bytes, expected),
        Media::Yaml => {
            let read = yaml::read(bytes).map_err(|error| expected.unrecognized(&error.to_string(), bytes))?;
            let text = read.value.to_string();
            let mut body = decode_json(text.as_bytes(), bytes, expected)?;
            body.strict.splice(0..0, read.strict);
            Ok(body)
        }
        Media::Protobuf => decode_protobuf(bytes, expected),
    }
}

/// Reads a YAML text, which JSON is too, into any value.
pub fn parse_yaml(bytes: &[u8]) -> Result<Value, YamlError> {
    if bytes.trim_ascii_start().starts_with(b"{")
        && let Ok(parsed) = parse(bytes)
    {
        return Ok(parsed.value);
    }
    yaml::read(bytes).map(|read| read.value)
}

/// Reads options that a request may come with. They are the same in every version, and beside them nothing is known
/// but a Status.
pub fn decode_options(media: Media, bytes: &[u8], kind: &str) -> Result<Body, BodyError> {
    let types = Types::of_built_in("v1", kind);
    let expected = Expected { api_version: "v1", kind, types: types.as_ref() };
    let api_version = match media {
        Media::Protobuf => Envelope::read(bytes).map(|envelope| envelope.api_version).ok(),
        Media::Json => parse(bytes).ok().map(|parsed| text_of(&parsed.value["apiVersion"])),
        Media::Yaml => parse_yaml(bytes).ok().map(|value| text_of(&value["apiVersion"])),
    };
    let api_version = api_version.filter(|version| !version.is_empty());
    let api_version = api_version.as_deref().unwrap_or(expected.api_version);
    decode(media, bytes, Expected { api_version, ..expected })
}

/// Reads an object that is no text but comes from one, such as what a strategic merge patch makes; what is wrong
/// with it is said in other words.
pub fn restore(object: &Value, types: &Types) -> Result<Body, String> {
    match parse_as(object.to_string().as_bytes(), types) {
        Ok(Parsed { mut value, strict }) => {
            types.normalise(&mut value);
            Ok(Body { value, strict })
        }
        Err(JsonError::Type { restored, .. }) => Err(restored),
        Err(error) => Err(error.to_string()),
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn decode_json(text: &[u8], given: &[u8], expected: Expected<'_>) -> Result<Body, BodyError> {
    let Some(types) = expected.types else { return decode_custom(text, given, expected) };
    match parse_as(text, types) {
        Ok(parsed) if parsed.value.is_object() || parsed.value.is_null() => {
            let mut value = parsed.value;
            if value.is_null() {
                value = json!({});
            }
            let said = expected.said(&value, given)?;
            expected.require(&said, text)?;
            types.normalise(&mut value);
            Ok(Body { value, strict: parsed.strict })
        }
        outcome => Err(expected.refused(text, given, outcome.err())),
    }
}

/// A custom resource is read as what it is, but it has to say what that is.
fn decode_custom(text: &[u8], given: &[u8], expected: Expected<'_>) -> Result<Body, BodyError> {
    let parsed = match parse(text) {
        Ok(parsed) => parsed,
        Err(JsonError::Syntax(error)) => return Err(expected.no_kind(&error.to_string(), given)),
        Err(JsonError::Type { why, .. }) => {
            return Err(expected.unreadable(&Said::of("", "", expected), &why));
        }
    };
    let mut value = parsed.value;
    let said = expected.said(&value, given)?;
    if value["kind"].as_str().is_none_or(str::is_empty) {
        let why = format!("Object 'Kind' is missing in '{}'", json::lossy(given));
        return Err(expected.unrecognized(&why, given));
    }
    if value["apiVersion"].is_null() {
        value["apiVersion"] = "".into();
    }
    if let Some(why) = metadata::decode_error(&value["metadata"]) {
        return Err(expected.unreadable(&said, &why));
    }
    Ok(Body { value, strict: parsed.strict })
}

fn decode_protobuf(bytes: &[u8], expected: Expected<'_>) -> Result<Body, BodyError> {
    let unrecognized = |error: ProtobufError| expected.unrecognized(&error.to_string(), bytes);
    let mut envelope = Envelope::read(bytes).map_err(unrecognized)?;
    let said = Said::of(&envelope.api_version, &envelope.kind, expected);
    expected.require(&said, b"{}")?;
    envelope.api_version.clone_from(&said.api_version);
    envelope.kind.clone_from(&said.kind);
    let object = expected.types.map(|types| envelope.object(types)).transpose();
    let object = object.map_err(|error| expected.unreadable(&said, &error.to_string()))?;
    Ok(Body { value: object.unwrap_or_default(), strict: Vec::new() })
}

/// What an object says it is, completed by what is expected.
struct Said {
    api_version: String,
    kind: String,
}

impl Said {
    fn of(api_version: &str, kind: &str, expected: Expected<'_>) -> Said {
        let kind = if kind.is_empty() { expected.kind } else { kind };
        let api_version = if api_version.is_empty() { expected.api_version } else { api_version };
        Said { api_version: api_version.to_owned(), kind: kind.to_owned() }
    }

    fn version(&self) -> &str {
        self.api_version.rsplit('/').next().unwrap_or_default()
    }
}

impl Expected<'_> {
    /// What an object says it is, if that can be told at all.
    fn said(&self, object: &Value, given: &[u8]) -> Result<Said, BodyError> {
        let text = |field: &str| match &object[field] {
            Value::Null => Ok(""),
            Value::String(text) => Ok(text.as_str()),
            other => {
                let found = match other {
                    Value::Bool(_) => "bool",
                    Value::Number(_) => "number",
                    Value::Array(_) => "array",
                    _ => "object",
                };
                let why =
                    format!("json: cannot unmarshal {found} into Go struct field .{field} of type string");
                Err(self.no_kind(&why, given))
            }
        };
        if !object.is_object() && !object.is_null() {
            let found = match object {
                Value::Bool(_) => "bool",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                _ => "array",
            };
            let why = format!("json: cannot unmarshal {found} into Go value of type {KIND_STRUCT}");
            return Err(self.no_kind(&why, given));
        }
        let (api_version, kind) = (text("apiVersion")?, text("kind")?);
        if api_version.matches('/').count() > 1 {
            let why = format!("unexpected GroupVersion string: {api_version}");
            return Err(self.unrecognized(&why, given));
        }
        Ok(Said::of(api_version, kind, *self))
    }

    /// A built-in kind is read as what it says it is, so it must say what is expected.
    fn require(&self, said: &Said, text: &[u8]) -> Result<(), BodyError> {
        if said.kind == self.kind && said.api_version == self.api_version {
            return Ok(());
        }
        let (version, group) = match said.api_version.split_once('/') {
            Some((group, version)) => (version, group),
            None => (said.version(), ""),
        };
        let is_known = match self.is_for_options() {
            true => is_option(&said.api_version, &said.kind),
            false => is_registered(&said.api_version, &said.kind),
        };
        if is_known && said.kind == self.kind {
            // Of another version: the caller compares those.
            return Ok(());
        }
        let types = Types::of_built_in(&said.api_version, &said.kind).filter(|_| is_known);
        let why = if let Some(Err(error)) = types.map(|types| parse_as(text, &types)) {
            error.to_string()
        } else if is_known {
            format!(
                "converting ({}.{}) to ({}.{}): unknown conversion",
                version,
                said.kind,
                self.package(),
                self.kind
            )
        } else {
            let version = if group.is_empty() { version } else { &said.api_version };
            format!(
                "no kind {} is registered for version {} in scheme {SCHEME:?}",
                quote(&said.kind),
                quote(version)
            )
        };
        Err(self.unreadable(said, &why))
    }

    /// Options are read where no kinds are known.
    fn is_for_options(&self) -> bool {
        self.kind.ends_with("Options")
    }

    /// The package that Go has the kind's own type in.
    fn package(&self) -> &str {
        if self.is_for_options() {
            return "v1";
        }
        let group = self.api_version.split_once('/').map_or("core", |(group, _)| group);
        group.split('.').next().unwrap_or_default()
    }

    /// Why a text is not of the type. What it says it is comes first, as it does there.
    fn refused(&self, text: &[u8], given: &[u8], error: Option<JsonError>) -> BodyError {
        let value = match parse(text) {
            Ok(parsed) => parsed.value,
            Err(JsonError::Syntax(error)) => return self.no_kind(&error.to_string(), given),
            // A number that is none, somewhere: what the object says it is can still be read.
            Err(JsonError::Type { .. }) => Value::Null,
        };
        let said = match self.said(&value, given) {
            Ok(said) => said,
            Err(error) => return error,
        };
        if let Err(error) = self.require(&said, text) {
            return error;
        }
        let why = error.map_or_else(String::new, |error| error.to_string());
        self.unreadable(&said, &why)
    }

    fn no_kind(&self, why: &str, given: &[u8]) -> BodyError {
        self.unrecognized(&format!("couldn't get version/kind; json parse error: {why}"), given)
    }

    fn unrecognized(&self, why: &str, given: &[u8]) -> BodyError {
        BodyError::Unrecognized { kind: self.kind.to_owned(), why: why.to_owned(), summary: summary(given) }
    }

    fn unreadable(&self, said: &Said, why: &str) -> BodyError {
        BodyError::Unreadable {
            given: said.kind.clone(),
            version: said.version().to_owned(),
            kind: self.kind.to_owned(),
            why: why.to_owned(),
        }
    }
}

/// Whether a built-in kind is called so, or a list of one, or one of those that there are in every version.
fn is_registered(api_version: &str, kind: &str) -> bool {
    const EVERYWHERE: [&str; 3] = ["DeleteOptions", "ListOptions", "WatchEvent"];
    let of_list = kind.strip_suffix("List");
    let is_there = |kind: &str| Types::of_built_in(api_version, kind).is_some();
    is_there(kind)
        || of_list.is_some_and(is_there)
        || EVERYWHERE.contains(&kind)
        || (api_version, kind) == ("v1", "Status")
}

/// Whether this is known where options are read.
fn is_option(api_version: &str, kind: &str) -> bool {
    matches!(kind, "DeleteOptions" | "WatchEvent") || (api_version, kind) == ("v1", "Status")
}

/// What Go calls the type that it looks for an object's kind with.
const KIND_STRUCT: &str = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";
/// What Go calls the place where the built-in kinds are registered.
const SCHEME: &str = "pkg/runtime/scheme.go:111";
const SUMMARY_BYTES: usize = 30;

/// The beginning of a body, as it is or, if it does not look like JSON, in hexadecimal.
fn summary(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SUMMARY_BYTES)];
    let rest = if shown.len() < bytes.len() { " ..." } else { "" };
    match bytes.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => json::lossy(shown) + rest,
        Some(_) => shown.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + rest,
    }
}
