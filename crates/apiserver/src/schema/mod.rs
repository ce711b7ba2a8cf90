//! What an API server does to a custom resource given its definition's schema: prune, default, validate.
//! Pure functions over JSON; nothing here knows a request, a store or the clock.
//!
//! A handler calls them in this order: [`metadata::decode_error`] on the metadata, [`Schema::prune`],
//! [`Schema::default`], and once the request's effect on the object is known,
//! [`metadata::validate`] and [`Schema::validate`]. The texts of all errors are those of a
//! kube-apiserver 1.36, because clients and tests read them.
//!
//! Several errors come in the order of the schema, where a real API server shuffles them. CEL rules
//! are parsed and their names are looked up when the schema is parsed, but they are not type-checked;
//! a rule that is no boolean counts as broken. What evaluation may cost is bounded by the number of
//! rules evaluated, by the length of a rule and by the size of the object, not by an estimate per call.
//! A rule takes a float for what it is even where the schema asks for an integer, which `2.0` passes for;
//! a real API server refuses to evaluate a rule that looks at such a field.
//!
//! Two things are left to those who read and write JSON: `-0` is the integer 0, not a float; and a float
//! that is whole, once it was judged, is written without its fraction, so that nobody reads `2.0` back.

mod cel;
mod check;
mod conversions;
mod correlate;
mod defaulting;
mod embedded;
mod error;
mod format;
mod free;
mod lists;
mod located;
pub mod metadata;
pub(crate) mod names;
mod node;
mod number;
mod object_meta;
mod parse;
mod path;
mod pattern;
mod prune;
mod rules;
pub(crate) mod text;
mod time;
mod uri;

pub(crate) use conversions::go_type;
pub use error::{ErrorKind, FieldError, invalid_message};
pub(crate) use free::FreeExpression;
pub use parse::{SchemaError, SchemaProblem};
pub(crate) use pattern::problem as pattern_problem;
pub use rules::RuleError;
pub(crate) use rules::RuleVerdict;
pub(crate) use time::error as time_error;

use correlate::Correlated;
use node::Node;
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// Everything that could grow with a schema or an object is bounded here.
pub const LIMITS: Limits = Limits {
    schema_depth: 64,
    object_depth: 128,
    rule_bytes: 16 << 10,
    rule_depth: 32,
    rule_evaluations: 100_000,
    errors: 1_000,
};

/// See [`LIMITS`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Levels of schemas inside a schema; a deeper one cannot be used.
    pub schema_depth: usize,
    /// Levels of values inside an object; a deeper one is invalid.
    pub object_depth: usize,
    /// Length of a CEL expression; a schema with a longer one cannot be used.
    pub rule_bytes: usize,
    /// Levels of operators and calls inside a CEL expression; a schema with a deeper one cannot be used.
    /// Evaluation takes up to 40 KiB of the caller's stack for each.
    pub rule_depth: usize,
    /// Rules evaluated for one object; beyond that the object is invalid.
    pub rule_evaluations: usize,
    /// Errors reported for one object; one more says that there are more.
    pub errors: usize,
}

/// The schema of one version of a custom resource.
#[derive(Debug)]
pub struct Schema {
    root: Node,
}

/// What validation found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why the object is refused; empty if it is not.
    pub errors: Vec<FieldError>,
    /// Broken rules that are forgiven because the update leaves the value as it was; for the
    /// response's `Warning` headers.
    pub warnings: Vec<String>,
}

/// The path of a field that the schema does not know; prints as `unknown field "spec.foo"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownField(pub String);

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown field \"{}\"", self.0)
    }
}

impl Schema {
    /// Reads the value of `openAPIV3Schema`.
    pub fn parse(schema: &Value) -> Result<Self, SchemaError> {
        Ok(Self { root: parse::parse(schema)? })
    }

    /// Reads the schema of a part of an object.
    pub(crate) fn parse_part(schema: &Value) -> Result<Self, SchemaError> {
        Ok(Self { root: parse::parse_part(schema)? })
    }

    /// What is wrong with the rules of a schema itself, not of those below it.
    pub(crate) fn judge_rules(schema: &Value, is_resource: bool) -> Vec<RuleVerdict> {
        parse::judge_rules(schema, is_resource)
    }

    /// Whether a rule's `fieldPath` leads to a field; a schema that cannot be read has all.
    pub(crate) fn has_path(schema: &Value, path: &str) -> bool {
        parse::without_rules(schema).is_none_or(|node| rules::leads_to_a_field(path, &node))
    }

    /// Removes what the schema of a part of an object does not know.
    pub(crate) fn drop_unknown(&self, value: &mut Value) {
        prune::drop_unknown(value, &self.root);
    }

    /// What is wrong with a part of an object, whose paths begin there.
    pub(crate) fn judge_value(&self, value: &Value) -> Vec<FieldError> {
        let mut verdict = Verdict::default();
        verdict.errors.extend(check::check(&self.root, value, None, None));
        verdict.errors.extend(lists::check(&self.root, value));
        if verdict.errors.is_empty() && self.root.has_rules {
            cel::check_part(&self.root, value, &mut verdict);
        }
        verdict.errors
    }

    /// Removes every field that the schema does not know, and every `null` that it neither allows
    /// nor replaces by a default. Returns the unknown fields: those of the metadata first.
    pub fn prune(&self, object: &mut Value) -> Vec<UnknownField> {
        let unknown = prune::prune(object, &self.root);
        defaulting::drop_nulls(object, &self.root);
        unknown.into_iter().map(UnknownField).collect()
    }

    /// Fills in the defaults of what is missing, or `null` where the schema allows no `null`.
    pub fn default(&self, object: &mut Value) {
        defaulting::drop_nulls(object, &self.root);
        defaulting::fill_in(object, &self.root);
    }

    /// What is wrong with an object, be it new or the successor of `old`.
    pub fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        self.judge(object, old).errors
    }

    /// [`Schema::validate`], and the warnings.
    pub fn judge(&self, object: &Value, old: Option<&Value>) -> Verdict {
        if let Some(refused) = too_deep(object, old) {
            return refused;
        }
        let correlated = old.map(|old| Correlated::new(object, old, &self.root));
        let mut verdict = Verdict::default();
        verdict.errors.extend(check::check(&self.root, object, correlated, None));
        verdict.errors.extend(embedded::check(&self.root, object));
        self.finish(object, old, verdict)
    }

    /// What is wrong with an object of which an update may only have changed the `status`.
    pub fn judge_status(&self, object: &Value, old: &Value) -> Verdict {
        if let Some(refused) = too_deep(object, Some(old)) {
            return refused;
        }
        let mut verdict = Verdict::default();
        if let (Some(node), Some(status)) = (self.root.field("status"), object.get("status")) {
            let correlated = old.get("status").map(|old| Correlated::new(status, old, node));
            verdict.errors.extend(check::check(node, status, correlated, Some("status")));
        }
        self.finish(object, Some(old), verdict)
    }

    /// Lists and rules come after all else; rules only if the object has the shape they rely on.
    fn finish(&self, object: &Value, old: Option<&Value>, mut verdict: Verdict) -> Verdict {
        if old.is_none_or(|old| lists::check(&self.root, old).is_empty()) {
            verdict.errors.extend(lists::check(&self.root, object));
        }
        if self.root.has_rules {
            if verdict.errors.iter().any(is_blocking) {
                let detail = "some validation rules were not checked because the object was invalid; correct the \
                              existing errors to complete validation";
                verdict.errors.push(FieldError::invalid("<nil>", &Value::Null, detail));
            } else {
                cel::check(&self.root, object, old, &mut verdict);
            }
        }
        let mut seen = HashSet::new();
        verdict.errors.retain(|error| seen.insert(error.clone()));
        if verdict.errors.len() > LIMITS.errors {
            let more = format!("{} more errors are not listed", verdict.errors.len() - LIMITS.errors);
            verdict.errors.truncate(LIMITS.errors);
            verdict.errors.push(FieldError::invalid_omitted("<nil>", &more));
        }
        verdict
    }
}

fn is_blocking(error: &FieldError) -> bool {
    matches!(
        error.kind,
        ErrorKind::NotSupported
            | ErrorKind::Required
            | ErrorKind::TooLong
            | ErrorKind::TooMany
            | ErrorKind::TypeInvalid
    )
}

/// Nothing that follows has to bound its own recursion over the object.
fn too_deep(object: &Value, old: Option<&Value>) -> Option<Verdict> {
    let deep = [Some(object), old].into_iter().flatten().any(|value| exceeds(value, LIMITS.object_depth));
    deep.then(|| {
        let detail = format!("nested deeper than {} levels", LIMITS.object_depth);
        Verdict { errors: vec![FieldError::invalid_omitted("<nil>", &detail)], warnings: Vec::new() }
    })
}

fn exceeds(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| exceeds(item, levels - 1)),
        Value::Object(fields) => levels == 0 || fields.values().any(|field| exceeds(field, levels - 1)),
        _ => false,
    }
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod tests;
