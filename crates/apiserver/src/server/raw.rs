//! Objects as bytes: how they are stored, and how they get from there into answers without being read.
//!
//! All that an answer changes of a stored object is near its beginning. So its head is written anew and the rest copied,
//! where what is stored is what is to be shown.

use std::collections::HashSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

use super::LIMITS;
use super::catalog::Served;
use crate::store::Entry;

/// Metadata in the order in which clients are used to it. The store knows the version.
const ORDER: [&str; 12] = [
    "name",
    "generateName",
    "namespace",
    "uid",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
];
/// What comes before the version in metadata: always texts.
const BEFORE_VERSION: [&[u8]; 4] =
    [b"\"name\":\"", b"\"generateName\":\"", b"\"namespace\":\"", b"\"uid\":\""];
/// Of an object in a list of a built-in kind, which says once what they are.
const BARE: &str = "{\"metadata\":{";

/// Stored objects, by their revisions, of which it was seen that a schema changes nothing of them.
#[derive(Debug, Default)]
pub(super) struct Settled(Mutex<HashSet<u64>>);

/// How an object of a kind begins, up to the fields of its metadata.
pub(super) fn head(api_version: &str, kind: &str) -> String {
    format!("{{\"kind\":{},\"apiVersion\":{},\"metadata\":{{", Value::from(kind), Value::from(api_version))
}

/// An object as it is stored in this version: without the version of its own.
pub(super) fn stored(object: &Value, api_version: &str) -> Vec<u8> {
    let mut bytes = head(api_version, object["kind"].as_str().unwrap_or_default()).into_bytes();
    if let Some(metadata) = object["metadata"].as_object() {
        let known = ORDER.iter().filter_map(|&name| metadata.get_key_value(name));
        let others = metadata.iter();
        let others = others.filter(|(name, _)| *name != "resourceVersion" && !ORDER.contains(&name.as_str()));
        let mut comma = "";
        for (name, value) in known.chain(others) {
            field(&mut bytes, comma, name, value);
            comma = ",";
        }
    }
    bytes.push(b'}');
    let is_rest = |name: &str| !matches!(name, "kind" | "apiVersion" | "metadata");
    let empty = Map::new();
    for (name, value) in object.as_object().unwrap_or(&empty).iter().filter(|(name, _)| is_rest(name)) {
        field(&mut bytes, ",", name, value);
    }
    bytes.push(b'}');
    // It is kept for long, and should not keep room that it does not need.
    bytes.shrink_to_fit();
    bytes
}

fn field(bytes: &mut Vec<u8>, comma: &str, name: &str, value: &Value) {
    // Neither writing to memory nor printing JSON fails.
    let _ = write!(bytes, "{comma}{}:", Value::from(name));
    let _ = serde_json::to_writer(bytes, value);
}

/// Where the version belongs in an object behind its head: after the name and the uid.
fn place_of_version(rest: &[u8]) -> usize {
    let mut place = 0;
    for name in BEFORE_VERSION {
        let comma = usize::from(place > 0);
        let Some(text) = rest.get(place + comma..).and_then(|rest| rest.strip_prefix(name)) else { continue };
        let mut is_escaped = false;
        let end = text.iter().position(|&byte| {
            let is_end = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            is_end
        });
        let Some(end) = end else { return 0 };
        place += comma + name.len() + end + 1;
    }
    place
}

/// A stored object, of which all but the head is sent as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    /// Behind the head.
    rest: &'a [u8],
    head: &'a str,
    revision: u64,
}

impl<'a> Raw<'a> {
    /// Nothing if the object has to be read and changed to be shown.
    pub(super) fn of(entry: &'a Entry, served: &'a Served) -> Option<Raw<'a>> {
        let rest = entry.value.strip_prefix(served.head.as_bytes())?;
        let is_same = served.settles(entry);
        is_same.then_some(Raw { rest, head: &served.head, revision: entry.mod_revision })
    }

    /// As of another revision.
    pub(super) fn at(self, revision: u64) -> Raw<'a> {
        Raw { revision, ..self }
    }

    /// Without saying what it is.
    pub(super) fn bare(self) -> Raw<'a> {
        Raw { head: BARE, ..self }
    }

    pub(super) fn write(self, bytes: &mut Vec<u8>) {
        let (before, after) = self.rest.split_at(place_of_version(self.rest));
        bytes.extend_from_slice(self.head.as_bytes());
        bytes.extend_from_slice(before);
        let (comma, next) = match (before, after) {
            ([], [b'}', ..]) => ("", ""),
            ([], _) => ("", ","),
            _ => (",", ""),
        };
        let _ = write!(bytes, "{comma}\"resourceVersion\":\"{}\"{next}", self.revision);
        bytes.extend_from_slice(after);
    }

    pub(super) fn len_about(self) -> usize {
        self.head.len() + self.rest.len() + 48
    }
}

impl Served {
    /// Whether the schema of this version leaves a stored object of this version as it is.
    fn settles(&self, entry: &Entry) -> bool {
        let Some(custom) = &self.custom else { return true };
        // A revision belongs to one value, and a changed definition begins with nothing settled.
        if self.settled.has(entry.mod_revision) {
            return true;
        }
        let Ok(object) = serde_json::from_slice::<Value>(&entry.value) else { return false };
        let mut coerced = object.clone();
        custom.default(&mut coerced);
        custom.prune(&mut coerced);
        let is_same = coerced == object;
        if is_same {
            self.settled.add(entry.mod_revision);
        }
        is_same
    }
}

impl Settled {
    fn has(&self, revision: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&revision)
    }

    fn add(&self, revision: u64) {
        let mut revisions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if revisions.len() >= LIMITS.settled_objects {
            revisions.clear();
        }
        revisions.insert(revision);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::server::catalog::Catalog;

    fn shown(object: &Value, is_bare: bool) -> String {
        let kinds = Catalog::new(Default::default()).snapshot();
        let served = &kinds[&(String::new(), "v1".to_owned(), "configmaps".to_owned())];
        let value = stored(object, "v1").into();
        let entry = Entry { key: "/a".into(), value, create_revision: 1, mod_revision: 7 };
        let raw = Raw::of(&entry, served).unwrap();
        let mut bytes = Vec::new();
        if is_bare { raw.bare() } else { raw }.write(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_version_comes_after_the_name_whatever_else_there_is() {
        for (metadata, expected) in [
            (json!({}), r#"{"resourceVersion":"7"}"#),
            (json!({"resourceVersion": "1"}), r#"{"resourceVersion":"7"}"#),
            (json!({"labels": {}, "name": "a"}), r#"{"name":"a","resourceVersion":"7","labels":{}}"#),
            (json!({"labels": {"a": "b"}}), r#"{"resourceVersion":"7","labels":{"a":"b"}}"#),
            (
                json!({"uid": "u", "namespace": "n", "name": "a\\\"", "x": 1}),
                r#"{"name":"a\\\"","namespace":"n","uid":"u","resourceVersion":"7","x":1}"#,
            ),
        ] {
            let object = json!({"data": {"k": "v"}, "metadata": metadata, "kind": "ConfigMap"});
            assert_eq!(
                shown(&object, false),
                format!(
                    r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{expected},"data":{{"k":"v"}}}}"#
                )
            );
            assert_eq!(shown(&object, true), format!(r#"{{"metadata":{expected},"data":{{"k":"v"}}}}"#));
        }
    }

    #[test]
    fn what_is_settled_is_forgotten_before_it_is_too_much() {
        let settled = Settled::default();
        for revision in 0..=LIMITS.settled_objects as u64 {
            settled.add(revision);
        }
        assert!(settled.has(LIMITS.settled_objects as u64) && !settled.has(0));
    }
}
