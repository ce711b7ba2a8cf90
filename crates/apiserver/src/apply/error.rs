//! Why an apply is refused, in the words of a Status.

use super::updater::Conflict;
use crate::schema::text;

/// Why a configuration could not be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Others own fields with other values.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
    /// The request makes no sense for this resource.
    #[error("{0}")]
    BadRequest(String),
    /// The configuration is not of the resource's type. Such a Status has no reason and is a server's fault
    /// by its code; clients know it so.
    #[error("{0}")]
    Internal(String),
}

/// One cause of a Status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `FieldManagerConflict`.
    pub reason: &'static str,
    /// Who stands in the way.
    pub message: String,
    /// `.spec.type`.
    pub field: String,
}

impl ApplyError {
    /// The HTTP status.
    pub fn code(&self) -> u16 {
        match self {
            Self::Conflicts(_) => 409,
            Self::BadRequest(_) => 400,
            Self::Internal(_) => 500,
        }
    }

    /// The reason in the Status; empty where the Status has none.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Conflicts(_) => "Conflict",
            Self::BadRequest(_) => "BadRequest",
            Self::Internal(_) => "",
        }
    }

    /// The causes in the Status' details.
    pub fn causes(&self) -> Vec<Cause> {
        let Self::Conflicts(conflicts) = self else { return Vec::new() };
        let cause = |conflict: &Conflict| Cause {
            reason: "FieldManagerConflict",
            message: format!("conflict with {}", conflict.manager),
            field: conflict.path.to_string(),
        };
        conflicts.iter().map(cause).collect()
    }
}

/// One line, or a block for each manager.
fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [single] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", single.manager, single.path);
    }
    let mut managers: Vec<_> = conflicts.iter().map(|conflict| &conflict.manager).collect();
    managers.sort_by_cached_key(|manager| manager.sort_key());
    managers.dedup();
    let mut lines = Vec::new();
    for manager in managers {
        lines.push(format!("conflicts with {manager}:"));
        let theirs = conflicts.iter().filter(|conflict| conflict.manager == *manager);
        lines.extend(theirs.map(|conflict| format!("- {}", conflict.path)));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

/// How an object is called in an error: `namespace/name; group/version, Kind=Kind`.
pub(crate) fn describe(object: &serde_json::Value) -> String {
    let metadata = crate::types::metadata(object);
    let text = |name| metadata.and_then(|metadata| metadata.get(name)?.as_str()).unwrap_or_default();
    let of = |name| object.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    format!("{}/{}; {}", text("namespace"), text("name"), kind(of("apiVersion"), of("kind")))
}

/// A kind as errors name it: `metallb.io/v1beta1, Kind=IPAddressPool`, or `/v1, Kind=Service`.
pub(crate) fn kind(api_version: &str, kind: &str) -> String {
    let slash = if api_version.contains('/') { "" } else { "/" };
    format!("{slash}{api_version}, Kind={kind}")
}

/// The message of a resource version that was changed by others since, which a `uid` of nothing is.
pub fn uid_mismatch_message(resource: &str, name: &str, uid: &str) -> String {
    let name = text::quote(name);
    format!(
        "Operation cannot be fulfilled on {resource} {name}: uid mismatch: the provided object specified uid {uid}, \
         and no existing object was found"
    )
}
