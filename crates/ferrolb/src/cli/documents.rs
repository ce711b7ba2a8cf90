//! Bytes of a file to the YAML or JSON documents in it, each with its place, or one error with a place.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;
use serde_saphyr::budget::Budget;
use serde_saphyr::options::{DuplicateKeyPolicy, Options};

/// What one file may hold. Reaching a limit is an error that says so.
pub const LIMITS: Limits =
    Limits { file_bytes: 256 << 20, depth: 64, documents: 1_000_000, nodes: 50_000_000 };

/// See [`LIMITS`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub file_bytes: usize,
    pub depth: usize,
    pub documents: usize,
    pub nodes: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub place: Place,
    pub value: Value,
}

/// Counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

/// Why a file cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    pub place: Place,
    pub reason: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

const START: Place = Place { line: 1, column: 1 };

/// All documents that say something.
pub fn read(bytes: &[u8]) -> Result<Vec<Document>, Unreadable> {
    if bytes.len() > LIMITS.file_bytes {
        let reason = format!("larger than {} MiB", LIMITS.file_bytes >> 20);
        return Err(Unreadable { place: START, reason });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Unreadable {
        place: place_of(bytes, error.valid_up_to()),
        reason: "not text: invalid UTF-8".to_owned(),
    })?;
    if let Some(offset) = text.bytes().position(|byte| byte == 0) {
        let reason = "not text: a NUL byte".to_owned();
        return Err(Unreadable { place: place_of(bytes, offset), reason });
    }
    if text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']) {
        // Most of what starts like JSON is JSON; YAML may start so too.
        return json(text).or_else(|error| yaml(text).map_err(|_| error));
    }
    yaml(text)
}

fn place_of(bytes: &[u8], offset: usize) -> Place {
    let before = &bytes[..offset];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count() as u64;
    Place { line, column: 1 + (offset - line_start) as u64 }
}

fn yaml(text: &str) -> Result<Vec<Document>, Unreadable> {
    let documents: Vec<Spanned<Value>> = serde_saphyr::from_str_multiple_with_options(text, yaml_options())
        .map_err(|error| {
        let place =
            error.location().map_or(START, |it| Place { line: it.line().max(1), column: it.column().max(1) });
        Unreadable { place, reason: one_line(&error.without_snippet().to_string()) }
    })?;
    let document = |it: Spanned<Value>| Document {
        place: Place { line: it.referenced.line(), column: it.referenced.column() },
        value: with_whole_numbers(it.value),
    };
    Ok(documents.into_iter().map(document).collect())
}

fn yaml_options() -> Options {
    let mut budget = Budget::default();
    budget.max_events = LIMITS.nodes * 2;
    budget.max_nodes = LIMITS.nodes;
    budget.max_documents = LIMITS.documents;
    budget.max_depth = LIMITS.depth;
    budget.flow_nesting_limit = LIMITS.depth;
    budget.max_total_scalar_bytes = LIMITS.file_bytes;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    options.with_snippet = false;
    // As the YAML of Kubernetes has it.
    options.legacy_octal_numbers = true;
    options
}

/// `1e3` and `1.0` are whole numbers to whoever reads an object from Kubernetes, whose clients write it anew.
fn with_whole_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            // They write the shortest digits that say which float it is, not those that it exactly has.
            Some(float) if number.is_f64() => {
                float.to_string().parse::<i64>().map_or(Value::Number(number), Value::from)
            }
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(with_whole_numbers).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, with_whole_numbers(value))).collect()
        }
        other => other,
    }
}

/// The message without the position, which is printed in front of it.
fn one_line(message: &str) -> String {
    if let Some(limit) = limit_reached(message) {
        return limit;
    }
    let mut line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    // Advice to programmers ends the message of the YAML reader, a position that of the JSON reader.
    for ending in [", set DuplicateKeyPolicy", " at line "] {
        if let Some(position) = line.find(ending) {
            line.truncate(position);
        }
    }
    line
}

/// What the readers say of a limit is for programmers.
fn limit_reached(message: &str) -> Option<String> {
    let breach = message.strip_prefix("budget breached: ");
    if message.starts_with("recursion limit exceeded") || breach.is_some_and(|it| it.starts_with("Depth")) {
        return Some(too_deep());
    }
    let is_expansion =
        |it: &str| ["RecordedAnchor", "Alias", "Anchor"].iter().any(|kind| it.starts_with(kind));
    breach.map(|it| if is_expansion(it) { "too many anchors and aliases" } else { "too large" }.to_owned())
}

fn json(text: &str) -> Result<Vec<Document>, Unreadable> {
    let text = text.trim_start_matches('\u{feff}');
    let mut documents = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Strict>();
    loop {
        let rest = &text[stream.byte_offset()..];
        let offset = text.len() - rest.trim_start().len();
        match stream.next() {
            None => return Ok(documents),
            Some(Ok(Strict(Value::Null))) => {}
            Some(Ok(Strict(value))) if depth(&value) > LIMITS.depth => {
                return Err(Unreadable { place: place_of(text.as_bytes(), offset), reason: too_deep() });
            }
            Some(Ok(Strict(value))) => {
                let place = place_of(text.as_bytes(), offset);
                documents.push(Document { place, value: with_whole_numbers(value) });
            }
            Some(Err(error)) => {
                let place =
                    Place { line: (error.line() as u64).max(1), column: (error.column() as u64).max(1) };
                return Err(Unreadable { place, reason: one_line(&error.to_string()) });
            }
        }
    }
}

/// How many lists and objects stand inside each other. The JSON reader bounds the recursion.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn too_deep() -> String {
    format!("nested deeper than {} levels", LIMITS.depth)
}

/// A JSON value in which no key stands twice. `serde_json` alone would keep the last one silently.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
            let Strict(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests;
