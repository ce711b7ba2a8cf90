//! Server-side apply and field ownership: who set which field, and what happens when two set the same.
//! Pure functions over JSON; nothing here knows a request, a store or the clock.
//!
//! A [`FieldManager`] is made for one endpoint of one kind. [`FieldManager::apply`] merges a configuration
//! into an object, whose defaults are then to be filled in; [`FieldManager::update`] records what any other
//! write changed, and is called with the object as decoded: with defaults, but before admission and before
//! what the server itself fills in, which nobody owns. Both answer with the object including
//! `metadata.managedFields`. [`keep_times_of_unchanged`] comes last, right before the object is stored.
//!
//! One thing is better than there: where an applier takes back all it had put into a map or a list that
//! others still want, a custom resource is left with an empty one; there it is left with a `null`, and refused.
//!
//! What is one field and what is many is a matter of [`Types`]: from a custom resource's schema, from the
//! table of built-in kinds, or deduced from the values. All texts are those of a kube-apiserver 1.36.

mod check;
mod compare;
mod error;
mod fields_v1;
mod managed;
mod manager;
mod merge;
mod path;
pub(crate) mod print;
mod reconcile;
mod set;
mod typed;
mod updater;

pub use crate::types::Types;
pub use error::{ApplyError, Cause, uid_mismatch_message};
pub use managed::{ManagerId, Operation, keep_times_of_unchanged, managed_fields_error};
pub use manager::FieldManager;
pub use path::{Scalar, Step};
pub use set::{FieldPath, FieldSet};
pub use updater::Conflict;

use serde_json::Value;

/// Everything that could grow with an object or with its writers is bounded here.
pub const LIMITS: Limits =
    Limits { depth: 128, problems: 1_000, update_managers: 10, annotation_bytes: 256 << 10 };

/// See [`LIMITS`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Levels of values inside an object, of schemas inside a schema, and of fields inside `fieldsV1`.
    pub depth: usize,
    /// Things found wrong with one object; those beyond are not listed.
    pub problems: usize,
    /// Managers that wrote otherwise than by apply; the oldest of more become one, `ancient-changes`.
    pub update_managers: usize,
    /// Annotations of an object, names and values; `last-applied-configuration` is dropped rather than kept up
    /// to date beyond this.
    pub annotation_bytes: usize,
}

/// The versions of a kind. Fields are owned in the version they were written in.
pub trait Versions {
    /// The type of a version; nothing if it is not served.
    fn types(&self, api_version: &str) -> Option<&Types>;

    /// An object in another version; nothing if it is not served or the object cannot be converted.
    fn convert(&self, object: &Value, api_version: &str) -> Option<Value>;
}

/// A kind with a single version.
#[derive(Debug, Clone, Copy)]
pub struct OneVersion;

impl Versions for OneVersion {
    fn types(&self, _: &str) -> Option<&Types> {
        None
    }

    fn convert(&self, _: &Value, _: &str) -> Option<Value> {
        None
    }
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
