//! Field selectors: `metadata.name=web,spec.type!=ClusterIP`.

use std::borrow::Cow;
use std::fmt;

/// All requirements must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector {
    pub requirements: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRequirement {
    pub field: String,
    pub value: String,
    /// The field must have the value; otherwise it must not.
    pub is_equal: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldSelectorError {
    #[error("invalid selector: '{selector}'; can't understand '{part}'")]
    NotUnderstood { selector: String, part: String },
    #[error("invalid field selector: invalid escape sequence: \\{0}")]
    Escape(String),
    #[error("invalid field selector: unescaped character in value: {}", u32::from(*.0))]
    Unescaped(char),
}

impl FieldRequirement {
    pub fn equal(field: &str, value: &str) -> FieldRequirement {
        FieldRequirement { field: field.to_owned(), value: value.to_owned(), is_equal: true }
    }
}

impl FieldSelector {
    pub fn parse(text: &str) -> Result<FieldSelector, FieldSelectorError> {
        let mut requirements = Vec::new();
        for part in split_unescaped_commas(text).into_iter().filter(|part| !part.is_empty()) {
            let Some((field, is_equal, value)) = split_operator(part) else {
                return Err(FieldSelectorError::NotUnderstood {
                    selector: text.to_owned(),
                    part: part.to_owned(),
                });
            };
            // Of nothing it is said that it is nothing.
            if field.is_empty() && value.is_empty() {
                continue;
            }
            requirements.push(FieldRequirement {
                field: field.to_owned(),
                value: unescaped(value)?,
                is_equal,
            });
        }
        Ok(FieldSelector { requirements })
    }

    /// Whether an object matches whose fields are read by `value_of`. A field that it does not have is empty.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> Option<Cow<'a, str>>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = value_of(&requirement.field).unwrap_or_default();
            (value == requirement.value) == requirement.is_equal
        })
    }

    /// The value that a field must have, if the selector asks for exactly one.
    pub fn required(&self, field: &str) -> Option<&str> {
        let requirement = self.requirements.iter().find(|it| it.is_equal && it.field == field)?;
        Some(&requirement.value)
    }
}

fn split_unescaped_commas(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut is_escaped) = (0, false);
    for (index, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            ',' => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The first operator in the text, whichever it is; of two at one place the longer.
fn split_operator(part: &str) -> Option<(&str, bool, &str)> {
    let at = |index: usize| {
        let rest = &part[index..];
        let operator =
            [("!=", false), ("==", true), ("=", true)].into_iter().find(|(it, _)| rest.starts_with(it));
        operator.map(|(operator, is_equal)| (&part[..index], is_equal, &rest[operator.len()..]))
    };
    part.char_indices().find_map(|(index, _)| at(index))
}

fn unescaped(value: &str) -> Result<String, FieldSelectorError> {
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                other => return Err(FieldSelectorError::Escape(other.map(String::from).unwrap_or_default())),
            },
            ',' | '=' => return Err(FieldSelectorError::Unescaped(character)),
            _ => plain.push(character),
        }
    }
    Ok(plain)
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, FieldRequirement { field, value, is_equal }) in self.requirements.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let operator = if *is_equal { "=" } else { "!=" };
            let value = value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{comma}{field}{operator}{value}")?;
        }
        Ok(())
    }
}
