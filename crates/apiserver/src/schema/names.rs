//! The rules for names and keys, and the sentences that explain them.

use super::pattern::Pattern;
use std::borrow::Cow;
use std::sync::LazyLock;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

const SUBDOMAIN_SENTENCE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
     '-' or '.', and must start and end with an alphanumeric character";
const LABEL_SENTENCE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
     and must start and end with an alphanumeric character";
const LABEL_1035_SENTENCE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start \
     with an alphabetic character, and end with an alphanumeric character";
const KEY_SENTENCE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character";
const LABEL_VALUE_SENTENCE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', \
     '_' or '.', and must start and end with an alphanumeric character";

/// What is wrong with a name that must be an RFC 1123 subdomain.
pub(crate) fn subdomain(name: &str) -> Vec<String> {
    subdomain_in(name, "characters")
}

/// The same for the beginning of a name that is still to be generated.
pub(crate) fn subdomain_prefix(prefix: &str) -> Vec<String> {
    subdomain(&mask_dash(prefix))
}

/// What is wrong with a name that must be an RFC 1123 label.
pub(crate) fn label(name: &str) -> Vec<String> {
    let mut problems = too_long(name, 63, "characters");
    if !whole(&LABEL_PATTERN, name) {
        problems.push(match whole(&SUBDOMAIN_PATTERN, name) {
            true => "must not contain dots".to_owned(),
            false => explain(LABEL_SENTENCE, LABEL, &["my-name", "123-abc"]),
        });
    }
    problems
}

/// The same for the beginning of a name that is still to be generated.
pub(crate) fn label_prefix(prefix: &str) -> Vec<String> {
    label(&mask_dash(prefix))
}

/// What is wrong with a name that must be an RFC 1035 label.
pub(crate) fn label_1035(name: &str) -> Vec<String> {
    let mut problems = too_long(name, 63, "characters");
    if !whole(&LABEL_1035_PATTERN, name) {
        problems.push(explain(LABEL_1035_SENTENCE, LABEL_1035, &["my-name", "abc-123"]));
    }
    problems
}

/// What is wrong with a key of labels, annotations or finalizers: a name, perhaps after `prefix/`.
pub(crate) fn qualified_name(key: &str) -> Vec<String> {
    let explained = || explain(KEY_SENTENCE, KEY, &["MyName", "my.name", "123-abc"]);
    let mut problems = Vec::new();
    let name = match key.split('/').collect::<Vec<_>>().as_slice() {
        [name] => *name,
        ["", name] => {
            problems.push("prefix part must be non-empty".to_owned());
            *name
        }
        [prefix, name] => {
            let wrong = subdomain_in(prefix, "bytes").into_iter();
            problems.extend(wrong.map(|problem| format!("prefix part {problem}")));
            *name
        }
        _ => {
            let optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {} {optional}", explained())];
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    }
    problems.extend(too_long(name, 63, "bytes").into_iter().map(|problem| format!("name part {problem}")));
    if !whole(&KEY_PATTERN, name) {
        problems.push(format!("name part {}", explained()));
    }
    problems
}

/// What is wrong with the value of a label.
pub(crate) fn label_value(value: &str) -> Vec<String> {
    let mut problems = too_long(value, 63, "bytes");
    if !whole(&LABEL_VALUE_PATTERN, value) {
        problems.push(explain(LABEL_VALUE_SENTENCE, LABEL_VALUE, &["MyValue", "my_value", "12345"]));
    }
    problems
}

/// What keeps a name from being one segment of a URL's path.
pub(crate) fn path_segment(name: &str) -> Vec<String> {
    if matches!(name, "." | "..") {
        return vec![format!("may not be '{name}'")];
    }
    path_segment_prefix(name)
}

/// The same for the beginning of a name that is still to be generated.
pub(crate) fn path_segment_prefix(prefix: &str) -> Vec<String> {
    let found = ["/", "%"].into_iter().filter(|illegal| prefix.contains(illegal));
    found.map(|illegal| format!("may not contain '{illegal}'")).collect()
}

/// A trailing dash is fine before a suffix; it is judged as if the last two bytes were a letter.
fn mask_dash(prefix: &str) -> Cow<'_, str> {
    let masked = match prefix.strip_suffix('-') {
        Some(head) if !head.is_empty() => head.get(..head.len() - 1).map(|head| format!("{head}a")),
        _ => None,
    };
    masked.map_or(Cow::Borrowed(prefix), Cow::Owned)
}

fn subdomain_in(name: &str, unit: &str) -> Vec<String> {
    let mut problems = too_long(name, 253, unit);
    if !whole(&SUBDOMAIN_PATTERN, name) {
        problems.push(explain(SUBDOMAIN_SENTENCE, SUBDOMAIN, &["example.com"]));
    }
    problems
}

fn too_long(text: &str, max_bytes: usize, unit: &str) -> Vec<String> {
    if text.len() <= max_bytes {
        return Vec::new();
    }
    vec![format!("must be no more than {max_bytes} {unit}")]
}

fn explain(sentence: &str, regex: &str, examples: &[&str]) -> String {
    let examples: Vec<_> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{sentence} (e.g. {}regex used for validation is '{regex}')", examples.join(" or "))
}

type Lazy = LazyLock<Option<Pattern>>;

static LABEL_PATTERN: Lazy = LazyLock::new(|| compile(LABEL));
static SUBDOMAIN_PATTERN: Lazy = LazyLock::new(|| compile(SUBDOMAIN));
static LABEL_1035_PATTERN: Lazy = LazyLock::new(|| compile(LABEL_1035));
static KEY_PATTERN: Lazy = LazyLock::new(|| compile(KEY));
static LABEL_VALUE_PATTERN: Lazy = LazyLock::new(|| compile(LABEL_VALUE));

fn compile(regex: &str) -> Option<Pattern> {
    Pattern::compile(&format!("^{regex}$")).ok()
}

fn whole(pattern: &Lazy, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.matches(text))
}
