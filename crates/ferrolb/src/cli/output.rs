//! How findings and tables look, for people and for programs.

use std::fmt;
use std::io::IsTerminal;

use serde::Serialize;
use serde_json::Value;

/// The resource that something is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub(super) struct Subject {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// One thing that is wrong, or odd, about a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    #[serde(flatten)]
    pub(super) subject: Subject,
    pub(super) field: String,
    pub(super) message: String,
}

impl Subject {
    pub(super) fn of(object: &Value) -> Subject {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        Subject {
            kind: text(&object["kind"]),
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
        }
    }
}

impl From<&api::parse::Subject> for Subject {
    fn from(subject: &api::parse::Subject) -> Subject {
        let api::parse::Subject { kind, namespace, name } = subject;
        Subject { kind: (*kind).to_owned(), namespace: namespace.clone(), name: name.clone() }
    }
}

impl From<&api::parse::Problem> for Finding {
    fn from(problem: &api::parse::Problem) -> Finding {
        let (field, message) = (problem.field.clone(), problem.to_string());
        Finding { subject: (&problem.subject).into(), field, message }
    }
}

impl From<&api::parse::Remark> for Finding {
    fn from(remark: &api::parse::Remark) -> Finding {
        let (field, message) = (remark.field.clone(), remark.to_string());
        Finding { subject: (&remark.subject).into(), field, message }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subject { kind, namespace, name } = self;
        let name = if name.is_empty() { "(without a name)" } else { name };
        if namespace.is_empty() { write!(f, "{kind} {name}") } else { write!(f, "{kind} {namespace}/{name}") }
    }
}

/// On one line, for standard error.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.replace('\n', "; ");
        // An API server begins its messages with the field.
        if self.field.is_empty() || message.starts_with(&format!("{}: ", self.field)) {
            write!(f, "{}: {message}", self.subject)
        } else {
            write!(f, "{} {}: {message}", self.subject, self.field)
        }
    }
}

/// How long something has been so, in the largest unit that tells it well.
pub(super) fn age(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..120 => format!("{whole}s"),
        120..7200 => format!("{}m", whole / 60),
        7200..172_800 => format!("{}h", whole / 3600),
        _ => format!("{}d", whole / 86_400),
    }
}

/// Colours for a terminal, nothing for anything else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    is_on: bool,
}

impl Paint {
    pub(super) fn for_stdout() -> Paint {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paint { is_on: std::io::stdout().is_terminal() && !is_unwanted }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.is_on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Columns under headings, indented, without lines.
pub(super) fn table<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let mut lines = vec![headings.map(str::to_owned)];
    lines.extend(rows);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> =
            line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(&format!("  {}\n", cells.join("  ").trim_end()));
    }
    text
}

/// `1 error`, `2 errors`.
pub(super) fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// What an empty input is most likely: the end of a pipe that broke.
pub(super) fn note_if_nothing(count: usize) {
    if count == 0 {
        eprintln!("note: there is no resource in the input that concerns FerroLB");
    }
}

pub(super) fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}
