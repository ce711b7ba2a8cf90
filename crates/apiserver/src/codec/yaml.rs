//! YAML as an API server reads it: turned into JSON first, and only its first document. Aliases are expanded to a
//! bound.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::budget::Budget;
use serde_saphyr::options::{DuplicateKeyPolicy, Options};

use super::{LIMITS, json};

/// Why a text is not YAML, or none that could be JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("yaml: {0}")]
pub struct YamlError(String);

/// What a text holds.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) value: Value,
    /// What is wrong with it if one is strict: a key that is there twice.
    pub(super) strict: Option<String>,
}

/// What a level of nesting takes of the stack, many times over. A reader here calls a dozen functions for each level,
/// which is more than a thread of the embedding program may have left.
const STACK_BYTES: usize = LIMITS.depth << 17;

pub(super) fn read(bytes: &[u8]) -> Result<Read, YamlError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let reading = thread.spawn_scoped(scope, || read_here(bytes));
        let reading = reading.map_err(|error| YamlError(error.to_string()))?;
        reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn read_here(bytes: &[u8]) -> Result<Read, YamlError> {
    let node = first_document(bytes, DuplicateKeyPolicy::LastWins).map_err(|(text, _)| YamlError(text))?;
    let strict = node.duplicate.map(|key| {
        let line = first_document(bytes, DuplicateKeyPolicy::Error).err().map_or(0, |(_, line)| line);
        format!("yaml: unmarshal errors:\n  line {line}: key {key:?} already set in map")
    });
    Ok(Read { value: node.value, strict })
}

/// A value as YAML, its keys in order.
pub fn to_yaml(value: &Value) -> Result<String, YamlError> {
    serde_saphyr::to_string(&Sorted(value)).map_err(|error| YamlError(error.to_string()))
}

/// What the parser of Kubernetes says of a tab; for most of what is wrong, each parser has its own words.
const TOO_MANY_ALIASES: &str = "document contains excessive aliasing";
const NO_TAB: &str = "found character that cannot start any token";

/// The text of an error and its line.
fn first_document(bytes: &[u8], duplicate_keys: DuplicateKeyPolicy) -> Result<Node, (String, u64)> {
    let mut rest = bytes;
    let outcome = serde_saphyr::read_with_options(&mut rest, options(duplicate_keys)).next();
    outcome.unwrap_or_else(|| Ok(Node::default())).map_err(|error| {
        let line = error.location().map_or(0, |place| place.line());
        let text = error.without_snippet().to_string();
        let text = text.lines().next().unwrap_or_default();
        let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
        if text.starts_with("alias ") {
            return (TOO_MANY_ALIASES.to_owned(), line);
        }
        let text = if text.starts_with("tabs disallowed") { NO_TAB } else { text };
        // The first line is not mentioned.
        let place = if line > 1 { format!("line {line}: ") } else { String::new() };
        (format!("{place}{text}"), line)
    })
}

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    let mut budget = Budget::default();
    budget.max_events = LIMITS.yaml_nodes * 2;
    budget.max_nodes = LIMITS.yaml_nodes;
    budget.max_aliases = LIMITS.yaml_aliases;
    budget.max_depth = LIMITS.depth;
    budget.flow_nesting_limit = LIMITS.depth;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.alias_limits.max_total_replayed_events = LIMITS.yaml_repeated;
    options.alias_limits.max_replay_stack_depth = LIMITS.depth;
    options.alias_limits.max_alias_expansions_per_anchor = LIMITS.yaml_aliases;
    options.duplicate_keys = duplicate_keys;
    options.with_snippet = false;
    // As the YAML of Kubernetes has it.
    options.legacy_octal_numbers = true;
    options
}

/// A value as it was read.
#[derive(Default)]
struct Node {
    value: Value,
    /// The first key that was there before.
    duplicate: Option<String>,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Node { value, duplicate: None }
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Value::from(value).into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Value::from(value).into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Value::from(value).into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(json::number(value).into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Value::from(value).into())
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let (mut values, mut duplicate) = (Vec::new(), None);
        while let Some(item) = items.next_element::<Node>()? {
            values.push(item.value);
            duplicate = duplicate.or(item.duplicate);
        }
        Ok(Node { value: Value::Array(values), duplicate })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let (mut fields, mut duplicate) = (Map::new(), None);
        while let Some((key, entry)) = entries.next_entry::<Node, Node>()? {
            let key = match key.value {
                Value::String(key) => key,
                Value::Array(_) | Value::Object(_) | Value::Null => {
                    let text = format!("unsupported map key of type {}: {}", kind(&key.value), key.value);
                    return Err(serde::de::Error::custom(text));
                }
                // Numbers and truth values as JSON writes them.
                other => other.to_string(),
            };
            duplicate = duplicate.or(entry.duplicate);
            if fields.contains_key(&key) {
                duplicate.get_or_insert_with(|| key.clone());
            }
            fields.insert(key, entry.value);
        }
        Ok(Node { value: Value::Object(fields), duplicate })
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
        _ => "invalid",
    }
}

/// A value whose keys are written in order.
struct Sorted<'a>(&'a Value);

impl serde::Serialize for Sorted<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(key, _)| *key);
                serializer.collect_map(fields.into_iter().map(|(key, value)| (key, Sorted(value))))
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            other => other.serialize(serializer),
        }
    }
}
