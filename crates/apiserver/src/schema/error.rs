//! What a field error is and how it reads.

use super::text;
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// One thing wrong with one field of an object.
///
/// `Display` prints `field: message`, as in the message of a Status; [`FieldError::message`] alone is
/// the message of the Status' cause.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldError {
    /// Path of the field, `spec.peers[0].address`; `<nil>` for the object as a whole.
    pub field: String,
    /// What kind of error it is.
    pub kind: ErrorKind,
    /// The text after the path, beginning with the kind's own words.
    pub message: String,
}

/// The kinds of field error, each a reason in a Status' cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A value that must be there is not.
    Required,
    /// A value that must be unique is there twice.
    Duplicate,
    /// A value breaks a rule.
    Invalid,
    /// A value is not of the type, or of the format, that the schema asks for.
    TypeInvalid,
    /// A value is not in the enumeration.
    NotSupported,
    /// A value is well-formed but not allowed here.
    Forbidden,
    /// A text is too long.
    TooLong,
    /// A list or map has too many entries.
    TooMany,
}

impl ErrorKind {
    /// The reason in a Status' cause, `FieldValueRequired` and so on.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for FieldError {}

impl FieldError {
    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::bare(field, ErrorKind::Required, detail)
    }

    pub(crate) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::bare(field, ErrorKind::Forbidden, detail)
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::with_value(field, ErrorKind::Invalid, &text::bad_value(value), detail)
    }

    pub(crate) fn invalid_text(field: impl Into<String>, value: &str, detail: &str) -> Self {
        Self::with_value(field, ErrorKind::Invalid, &text::quote(value), detail)
    }

    pub(crate) fn invalid_printed(field: impl Into<String>, printed: &str, detail: &str) -> Self {
        Self::with_value(field, ErrorKind::Invalid, printed, detail)
    }

    /// Compound values are left out of some messages, which then read `Invalid value: detail`.
    pub(crate) fn invalid_omitted(field: impl Into<String>, detail: &str) -> Self {
        Self::bare(field, ErrorKind::Invalid, detail)
    }

    pub(crate) fn type_invalid(field: impl Into<String>, value: &str, detail: &str) -> Self {
        Self::with_value(field, ErrorKind::TypeInvalid, &text::quote(value), detail)
    }

    pub(crate) fn not_supported(field: impl Into<String>, value: &Value, supported: &[String]) -> Self {
        let supported: Vec<_> = supported.iter().map(|value| text::quote(value)).collect();
        let detail = format!("supported values: {}", supported.join(", "));
        Self::with_value(field, ErrorKind::NotSupported, &text::bad_value(value), &detail)
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::with_value(field, ErrorKind::Duplicate, &text::bad_value(value), "")
    }

    pub(crate) fn duplicate_omitted(field: impl Into<String>) -> Self {
        Self::bare(field, ErrorKind::Duplicate, "")
    }

    pub(crate) fn too_long(field: impl Into<String>, max_bytes: i64) -> Self {
        let unit = if max_bytes == 1 { "byte" } else { "bytes" };
        Self::bare(field, ErrorKind::TooLong, &format!("may not be more than {max_bytes} {unit}"))
    }

    pub(crate) fn too_many(field: impl Into<String>, actual: usize, max: i64) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        let detail = format!("must have at most {max} {unit}");
        Self::with_value(field, ErrorKind::TooMany, &actual.to_string(), &detail)
    }

    /// The same error where the value it is about stands at `place` in something greater.
    pub(crate) fn below(self, place: &str) -> Self {
        let field = match self.field.as_str() {
            "" | "<nil>" => place.to_owned(),
            inner if inner.starts_with('[') => format!("{place}{inner}"),
            inner => format!("{place}.{inner}"),
        };
        Self { field, ..self }
    }

    fn bare(field: impl Into<String>, kind: ErrorKind, detail: &str) -> Self {
        let separator = if detail.is_empty() { "" } else { ": " };
        Self { field: field.into(), kind, message: format!("{}{separator}{detail}", kind.words()) }
    }

    fn with_value(field: impl Into<String>, kind: ErrorKind, value: &str, detail: &str) -> Self {
        let separator = if detail.is_empty() { "" } else { ": " };
        Self { field: field.into(), kind, message: format!("{}: {value}{separator}{detail}", kind.words()) }
    }
}

/// The message of the Status that refuses an object: `BGPPeer.metallb.io "name" is invalid: …`.
///
/// Several errors stand in brackets, an error that repeats is said once, and the core group has no suffix.
pub fn invalid_message(kind: &str, group: &str, name: &str, errors: &[FieldError]) -> String {
    let group_kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let head = format!("{group_kind} {} is invalid", text::quote(name));
    let mut seen = HashSet::new();
    let texts: Vec<_> =
        errors.iter().map(ToString::to_string).filter(|text| seen.insert(text.clone())).collect();
    match texts.as_slice() {
        [] => head,
        [single] => format!("{head}: {single}"),
        several => format!("{head}: [{}]", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_message_brackets_several_errors_and_says_each_once() {
        let address = FieldError::required("spec.address", "");
        let asn = FieldError::forbidden("spec.asn", "not with dynamicASN");
        for (errors, expected) in [
            (vec![], r#"BGPPeer.metallb.io "a" is invalid"#),
            (
                vec![address.clone(), address.clone()],
                r#"BGPPeer.metallb.io "a" is invalid: spec.address: Required value"#,
            ),
            (
                vec![address, asn],
                r#"BGPPeer.metallb.io "a" is invalid: [spec.address: Required value, spec.asn: Forbidden: not with dynamicASN]"#,
            ),
        ] {
            assert_eq!(invalid_message("BGPPeer", "metallb.io", "a", &errors), expected);
        }
        assert_eq!(invalid_message("Service", "", "", &[]), r#"Service "" is invalid"#);
    }
}
