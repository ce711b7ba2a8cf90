//! Label and field selectors as clients write them in a query, and what they match.
//!
//! The texts of all errors are a real API server's, because clients print them.

mod fields;
mod labels;
#[cfg(test)]
mod tests;

pub use fields::{FieldRequirement, FieldSelector, FieldSelectorError};
pub use labels::{LabelSelector, LabelSelectorError, Operator, Requirement};
