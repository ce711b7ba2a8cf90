//! `metadata.managedFields`: who owns what, read and written.

use super::fields_v1;
use super::set::FieldSet;
use crate::schema::text;
use crate::types;
use chrono::{DateTime, Datelike, Timelike, Utc};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// Whether fields are owned by having been applied or by having been written otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Server-side apply.
    Apply,
    /// Any other write.
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who owns fields. Prints as conflicts name it: `"kubectl" using v1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManagerId {
    /// The name that the client gave.
    pub manager: String,
    /// How it wrote.
    pub operation: Operation,
    /// The version it wrote in; empty for appliers, of which there is one whatever the version.
    pub api_version: String,
    /// The subresource it wrote to, or nothing.
    pub subresource: String,
}

impl ManagerId {
    /// Conflicts list managers in the order of this text.
    pub(crate) fn sort_key(&self) -> String {
        let quoted = |text: &str| text::json(&Value::String(text.to_owned()));
        let mut key = String::from("{");
        if !self.manager.is_empty() {
            key += &format!("\"manager\":{},", quoted(&self.manager));
        }
        key += &format!("\"operation\":\"{}\"", self.operation.name());
        if !self.api_version.is_empty() {
            key += &format!(",\"apiVersion\":{}", quoted(&self.api_version));
        }
        if !self.subresource.is_empty() {
            key += &format!(",\"subresource\":{}", quoted(&self.subresource));
        }
        key + "}"
    }
}

impl fmt::Display for ManagerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::quote(&self.manager))?;
        if !self.subresource.is_empty() {
            write!(f, " with subresource {}", text::quote(&self.subresource))?;
        }
        if self.operation == Operation::Update {
            write!(f, " using {}", self.api_version)?;
        }
        Ok(())
    }
}

/// What one manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) set: FieldSet,
    pub(crate) api_version: String,
    pub(crate) applied: bool,
}

/// What every manager owns.
pub(crate) type Managers = BTreeMap<ManagerId, Owned>;

/// All managers, and when each last changed something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Managed {
    pub(crate) managers: Managers,
    pub(crate) times: BTreeMap<ManagerId, Option<DateTime<Utc>>>,
}

/// One entry of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    manager: String,
    operation: String,
    api_version: String,
    time: Option<DateTime<Utc>>,
    fields_type: String,
    fields: Option<Value>,
    subresource: String,
}

impl Entry {
    fn read(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        let text = |name| match object.get(name) {
            None | Some(Value::Null) => Some(String::new()),
            Some(value) => value.as_str().map(str::to_owned),
        };
        let time = match object.get("time") {
            None | Some(Value::Null) => None,
            Some(time) => Some(DateTime::parse_from_rfc3339(time.as_str()?).ok()?.with_timezone(&Utc)),
        };
        Some(Self {
            manager: text("manager")?,
            operation: text("operation")?,
            api_version: text("apiVersion")?,
            time,
            fields_type: text("fieldsType")?,
            fields: object.get("fieldsV1").filter(|fields| !fields.is_null()).cloned(),
            subresource: text("subresource")?,
        })
    }
}

/// The list of an object; nothing where there is no list or no such list.
fn entries(object: &Value) -> Option<Vec<Entry>> {
    let list = types::metadata(object)?.get("managedFields")?.as_array()?;
    list.iter().map(Entry::read).collect()
}

/// Whether an object asks that all ownership be forgotten: `managedFields: []` or `[{}]`.
pub(crate) fn is_reset(object: &Value) -> bool {
    match entries(object).as_deref() {
        Some([]) => true,
        Some([single]) => *single == Entry::default(),
        _ => false,
    }
}

/// Whether an object says anything about ownership, which an applied one must not.
pub(crate) fn is_present(object: &Value) -> bool {
    entries(object).is_some()
}

/// Takes the list out of an object.
pub(crate) fn strip(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
}

/// Why the `managedFields` of an object cannot be used, or nothing if they can.
pub fn managed_fields_error(object: &Value) -> Option<String> {
    Managed::decode(object).err()
}

impl Managed {
    /// What the list of an object says.
    pub(crate) fn decode(object: &Value) -> Result<Self, String> {
        let mut managed = Self::default();
        for (index, entry) in entries(object).unwrap_or_default().into_iter().enumerate() {
            let operation = match entry.operation.as_str() {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            if entry.api_version.is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            match entry.fields_type.as_str() {
                "FieldsV1" => {}
                "" => return Err(format!("missing fieldsType in managed fields entry {index}")),
                other => {
                    let other = text::quote(other);
                    return Err(format!("invalid fieldsType {other} in managed fields entry {index}"));
                }
            }
            let set = fields_v1::decode(entry.fields.as_ref().unwrap_or(&Value::Null))
                .map_err(|error| format!("error decoding versioned set: error decoding set: {error}"))?;
            let applied = operation == Operation::Apply;
            let id = ManagerId {
                manager: entry.manager,
                operation,
                api_version: if applied { String::new() } else { entry.api_version.clone() },
                subresource: entry.subresource,
            };
            managed.times.insert(id.clone(), entry.time);
            managed.managers.insert(id, Owned { set, api_version: entry.api_version, applied });
        }
        Ok(managed)
    }

    /// As [`Managed::decode`], but a list that cannot be read is no list.
    pub(crate) fn decode_or_none(object: &Value) -> Self {
        Self::decode(object).unwrap_or_default()
    }

    /// Writes the list into an object: appliers first, then by time.
    pub(crate) fn encode(&self, object: &mut Value) {
        if self.managers.is_empty() {
            return strip(object);
        }
        let mut entries: Vec<_> = self.managers.iter().collect();
        entries.sort_by_cached_key(|(id, owned)| {
            let seconds = self.time(id).map_or(0, |time| time.timestamp());
            let operation = if owned.applied { Operation::Apply } else { id.operation };
            (operation, seconds, id.manager.clone(), owned.api_version.clone(), id.subresource.clone())
        });
        let entries = entries.into_iter().map(|(id, owned)| self.entry(id, owned)).collect();
        if let Value::Object(fields) = object {
            let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(metadata) = metadata {
                metadata.insert("managedFields".to_owned(), Value::Array(entries));
            }
        }
    }

    fn time(&self, id: &ManagerId) -> Option<DateTime<Utc>> {
        self.times.get(id).copied().flatten()
    }

    fn entry(&self, id: &ManagerId, owned: &Owned) -> Value {
        let mut entry = Map::new();
        let operation = if owned.applied { Operation::Apply } else { id.operation };
        let texts = [
            ("manager", id.manager.clone()),
            ("operation", operation.name().to_owned()),
            ("apiVersion", owned.api_version.clone()),
            ("time", self.time(id).map(rfc3339).unwrap_or_default()),
            ("fieldsType", "FieldsV1".to_owned()),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            entry.insert(name.to_owned(), Value::String(text));
        }
        entry.insert("fieldsV1".to_owned(), fields_v1::encode(&owned.set));
        if !id.subresource.is_empty() {
            entry.insert("subresource".to_owned(), Value::String(id.subresource.clone()));
        }
        Value::Object(entry)
    }
}

fn rfc3339(time: DateTime<Utc>) -> String {
    let (year, month, day) = (time.year(), time.month(), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Gives an update that changes nothing but times the old times back, so that nothing is written.
pub fn keep_times_of_unchanged(object: &mut Value, old: &Value) {
    let (Some(new_entries), Some(old_entries)) = (entries(object), entries(old)) else { return };
    let without_time = |entry: &Entry| Entry { time: None, ..entry.clone() };
    let same_entries = new_entries.len() == old_entries.len()
        && new_entries.iter().map(without_time).eq(old_entries.iter().map(without_time));
    if new_entries.is_empty() || !same_entries {
        return;
    }
    let (mut new_rest, mut old_rest) = (object.clone(), old.clone());
    strip(&mut new_rest);
    strip(&mut old_rest);
    if new_rest == old_rest
        && let Some(kept) = types::metadata(old).and_then(|metadata| metadata.get("managedFields"))
        && let Some(place) = object.pointer_mut("/metadata/managedFields")
    {
        *place = kept.clone();
    }
}
