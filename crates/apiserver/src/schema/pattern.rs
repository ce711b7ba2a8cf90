//! Regular expressions of a schema, in the API server's dialect.
//! That dialect is RE2 with ASCII classes; this translates it to the `regex` crate's, whose classes are Unicode's.

use regex::{Regex, RegexBuilder};

/// Bytes that one compiled pattern may take.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A compiled pattern, and its source for the message.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) source: String,
    regex: Regex,
}

impl Pattern {
    pub(super) fn compile(source: &str) -> Result<Self, regex::Error> {
        let regex = RegexBuilder::new(&translate(source)).size_limit(COMPILED_BYTES_MAX).build()?;
        Ok(Self { source: source.to_owned(), regex })
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// Why a pattern does not compile, as RE2 says it.
pub(crate) fn problem(source: &str) -> Option<String> {
    let error = Pattern::compile(source).err()?.to_string();
    let known = [
        ("unclosed group", format!("missing closing ): `{source}`")),
        ("unopened group", format!("unexpected ): `{source}`")),
        ("unclosed character class", {
            let class = source.rfind('[').and_then(|at| source.get(at..)).unwrap_or_default();
            format!("missing closing ]: `{class}`")
        }),
        ("incomplete escape sequence", "trailing backslash at end of expression: ``".to_owned()),
        ("repetition operator missing expression", {
            let operator =
                source.find(['*', '+', '?']).and_then(|at| source.get(at..=at)).unwrap_or_default();
            format!("missing argument to repetition operator: `{operator}`")
        }),
    ];
    let text = known.into_iter().find(|(theirs, _)| error.contains(theirs)).map(|(_, text)| text);
    Some(format!(
        "error parsing regexp: {}",
        text.unwrap_or_else(|| error.lines().last().unwrap_or_default().to_owned())
    ))
}

fn translate(source: &str) -> String {
    let mut translated = String::with_capacity(source.len());
    let mut class: Option<usize> = None; // how many characters the open bracket expression has so far
    let mut characters = source.chars().peekable();
    while let Some(c) = characters.next() {
        let in_class = class.is_some();
        if let Some(length) = &mut class {
            *length += 1;
        }
        match c {
            '\\' => match characters.next() {
                Some(escaped) => push_escape(&mut translated, escaped, in_class),
                None => translated.push('\\'),
            },
            '[' if !in_class => {
                translated.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    translated.push('^');
                }
                class = Some(0);
            }
            '[' if characters.peek() == Some(&':') => {
                translated.push('[');
                for posix in characters.by_ref() {
                    translated.push(posix);
                    if posix == ']' {
                        break;
                    }
                }
            }
            '[' => translated.push_str("\\["),
            ']' if class == Some(1) => translated.push_str("\\]"), // first in its class, so a literal
            ']' => {
                translated.push(']');
                class = None;
            }
            '&' | '~' if in_class => {
                translated.push('\\');
                translated.push(c);
            }
            _ => translated.push(c),
        }
    }
    translated
}

fn push_escape(translated: &mut String, escaped: char, in_class: bool) {
    match escaped {
        'd' => translated.push_str("[0-9]"),
        'D' => translated.push_str("[^0-9]"),
        'w' => translated.push_str("[0-9A-Za-z_]"),
        'W' => translated.push_str("[^0-9A-Za-z_]"),
        's' => translated.push_str("[\\t\\n\\x0C\\r ]"),
        'S' => translated.push_str("[^\\t\\n\\x0C\\r ]"),
        'b' if !in_class => translated.push_str("(?-u:\\b)"),
        _ => {
            translated.push('\\');
            translated.push(escaped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii_and_brackets_follow_re2() {
        for (pattern, text, matches) in [
            (r"^\d+$", "42", true),
            (r"^\d+$", "٤٢", false),
            (r"^[\d.-]+$", "1.2-3", true),
            (r"^[\w]+$", "é", false),
            (r"^[^\s]+$", "a\u{b}b", true), // a vertical tab is no space here
            (r"^[a[]+$", "a[", true),
            (r"^[]a]+$", "]a", true),
            (r"^[a&&b]+$", "&", true),
            (r"^[[:alpha:]]+$", "abc", true),
            (r"^\p{L}+$", "é", true),
            (r"\bab\b", "x ab y", true),
            ("^a$", "a\n", false),
        ] {
            assert_eq!(Pattern::compile(pattern).unwrap().matches(text), matches, "{pattern} {text:?}");
        }
    }

    #[test]
    fn what_cannot_be_compiled_is_an_error() {
        for pattern in ["(", "[a", "a{2,1}", "(?<x", "\\", "a{1000}{1000}{1000}", r"(a)\1"] {
            assert!(Pattern::compile(pattern).is_err(), "{pattern}");
        }
    }
}
