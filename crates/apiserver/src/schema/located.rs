//! Where in an expression a problem is, as a compiler of CEL shows it.

use super::rules::RuleError;

impl RuleError {
    /// The problem, with the place in the expression where it is known; `prefix` says which expression it is.
    pub(crate) fn located(&self, source: &str, prefix: &str) -> String {
        let located = |offset: usize, what: &str| {
            let before = &source[..offset];
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            let line = source[line_start..].lines().next().unwrap_or_default();
            let column = source[line_start..offset].chars().count();
            let number = before.matches('\n').count() + 1;
            format!(
                "{prefix}compilation failed: ERROR: <input>:{number}:{}: {what}\n | {line}\n | {}^",
                column + 1,
                ".".repeat(column)
            )
        };
        match self {
            RuleError::UndeclaredReference(name) => {
                let offset = position_of_name(source, name);
                located(offset, &format!("undeclared reference to '{name}' (in container '')"))
            }
            RuleError::UndefinedField(name) => {
                located(position_of_field(source, name), &format!("undefined field '{name}'"))
            }
            RuleError::NoFields(kind, name) => {
                let what = format!("type '{kind}' does not support field selection");
                located(position_of_field(source, name), &what)
            }
            RuleError::NotBoolean(found) => format!("must evaluate to bool but got {found}"),
            RuleError::Type(wanted) if prefix.is_empty() => {
                format!("cel expression must evaluate to a {wanted}")
            }
            RuleError::Type(wanted) => format!("messageExpression must evaluate to a {wanted}"),
            RuleError::Syntax(text) => {
                let indented = text.replace("\n| ", "\n | ");
                format!("{prefix}compilation failed: {indented}")
            }
            other => format!("{prefix}{other}"),
        }
    }
}

/// Where a name that is not declared is used first; a call is said to be at its bracket.
fn position_of_name(source: &str, name: &str) -> usize {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let uses = source.match_indices(name).filter(|(at, _)| {
        let (before, after) = (&source[..*at], &source[at + name.len()..]);
        !before.ends_with(|c| is_part(c) || c == '.') && !after.starts_with(is_part)
    });
    let at = uses.map(|(at, _)| at).next().or_else(|| source.find(name)).unwrap_or_default();
    let after = at + name.len();
    if source[after..].starts_with('(') { after } else { at }
}

/// Where a field is selected first: at the dot, or at the bracket of the `has` around it.
fn position_of_field(source: &str, name: &str) -> usize {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let selected = format!(".{name}");
    let uses = source.match_indices(&selected);
    let mut ends = uses.filter(|(at, found)| !source[at + found.len()..].starts_with(is_part));
    let dot = ends.next().map(|(at, _)| at).unwrap_or_default();
    let operand = source[..dot].trim_end_matches(|c: char| is_part(c) || c == '.');
    if operand.ends_with("has(") { operand.len() - 1 } else { dot }
}
