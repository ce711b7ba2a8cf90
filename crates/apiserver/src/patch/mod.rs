//! The three ways to change an object by saying only what changes: JSON patch, merge patch, strategic merge patch.
//! Pure functions over JSON; whether the outcome is a valid object is for others to say.
//!
//! Where a kube-apiserver 1.36 departs from the RFCs, so do these: a JSON patch may `replace` a field that is
//! not there and counts negative indices from the end, and a merge patch drops `null` from maps inside lists.

mod error;
mod json;
mod merge;
mod order;
mod strategic;

pub use error::PatchError;
pub use json::{json, json_unknown_fields};
pub use merge::merge;
pub(crate) use order::{sort_merged, sort_touched};
pub use strategic::strategic;

/// Everything that could grow with a patch is bounded here.
pub const LIMITS: Limits = Limits { operations: 10_000, copied_bytes: 3 << 20, depth: 128 };

/// See [`LIMITS`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Operations in a JSON patch.
    pub operations: usize,
    /// Bytes of JSON that all `copy` operations of a JSON patch may add together.
    pub copied_bytes: usize,
    /// Levels of values inside the patched object.
    pub depth: usize,
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
