//! The form that definitions are judged in: what all versions have alike stands beside them.

use serde_json::Value;

use super::list;

/// Of one part of a version, such as its schema: where it is, and what.
pub(super) struct Part<'a> {
    /// What all versions have alike, if they do.
    pub(super) of_all: Option<&'a Value>,
    pub(super) is_lifted: bool,
    versions: &'a [Value],
    field: &'static str,
}

impl<'a> Part<'a> {
    pub(super) fn of(spec: &'a Value, field: &'static str) -> Part<'a> {
        let versions = list(&spec["versions"]);
        let first = versions.first().map(|version| &version[field]);
        let is_lifted = versions.iter().all(|version| Some(present(&version[field])) == first.map(present));
        let of_all = first.and_then(present).filter(|_| is_lifted);
        Part { of_all, is_lifted, versions, field }
    }

    /// What a version has of its own.
    pub(super) fn of_version(&self, index: usize) -> Option<&'a Value> {
        if self.is_lifted { None } else { present(&self.versions.get(index)?[self.field]) }
    }

    /// What holds for a version, wherever it stands.
    pub(super) fn for_version(&self, index: usize) -> Option<&'a Value> {
        self.of_all.or_else(|| self.of_version(index))
    }
}

/// Nothing and an empty list are alike.
fn present(value: &Value) -> Option<&Value> {
    let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    (!is_empty).then_some(value)
}
