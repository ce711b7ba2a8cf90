//! Label selectors: Kubernetes' own rules for keys, values and operators, and the rule that nothing may
//! be said twice.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use plan::quote::{quoted, quoted_list};
use plan::selector::{Operator, Requirement, Selector};

use crate::{LabelSelector, LabelSelectorRequirement};

/// Why a selector cannot be used, in the words of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    #[error("{} is not a valid label selector operator", quoted(.0))]
    UnknownOperator(String),
    /// Every rule that one requirement breaks.
    #[error("{}", aggregate(.0))]
    Requirement(Vec<RequirementError>),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequirementError {
    #[error("key: Invalid value: {}: {}", quoted(.key), .reasons.join("; "))]
    Key { key: String, reasons: Vec<String> },
    #[error("values[{index}][{key}]: Invalid value: {}: {}", quoted(.value), .reasons.join("; "))]
    Value { key: String, index: usize, value: String, reasons: Vec<String> },
    #[error("values: Invalid value: null: for 'in', 'notin' operators, values set can't be empty")]
    NoValues,
    #[error("values: Invalid value: {0}: values set must be empty for exists and does not exist")]
    UselessValues(String),
}

/// Something said twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Duplicate {
    #[error("duplicate definition of {list} {selector}")]
    Selector { list: &'static str, selector: String },
    #[error("duplicate definition of match expressions {0}")]
    Expression(String),
    #[error("duplicate definition of match expression value in label selector {}", quoted(.0))]
    ExpressionValue(String),
    #[error("duplicate definition of {what} {}", quoted(.text))]
    Text { what: &'static str, text: String },
    #[error("duplicate definition in namespaces field")]
    Namespaces,
}

/// A selector that follows all the rules, or the first reason why it does not.
pub(crate) fn compile(selector: &LabelSelector) -> Result<Selector, SelectorError> {
    let mut requirements = Vec::new();
    for (key, value) in &selector.match_labels {
        requirements.push(requirement(key, Operator::Equals(value.clone()), std::slice::from_ref(value))?);
    }
    for expression in &selector.match_expressions {
        requirements.push(requirement(&expression.key, operator(expression)?, &expression.values)?);
    }
    Ok(Selector::new(requirements))
}

/// All selectors of the list at `field`, or `None` after `refuse` was told of each that breaks a rule.
pub(super) fn compile_list(
    selectors: &[LabelSelector],
    field: &str,
    mut refuse: impl FnMut(String, SelectorError, &LabelSelector),
) -> Option<Vec<Selector>> {
    let mut compiled = Vec::with_capacity(selectors.len());
    for (index, selector) in selectors.iter().enumerate() {
        match compile(selector) {
            Ok(selector) => compiled.push(selector),
            Err(error) => refuse(format!("{field}[{index}]"), error, selector),
        }
    }
    (compiled.len() == selectors.len()).then_some(compiled)
}

/// Everything that a list of selectors says twice, in the order in which it is looked for.
pub(super) fn duplicate_selectors(list: &'static str, selectors: &[LabelSelector]) -> Vec<Duplicate> {
    let selectors: Vec<LabelSelector> = selectors.iter().map(with_sorted_values).collect();
    let twice = repeated(&selectors, selector_identity);
    let mut found = Vec::new();
    for (index, selector) in selectors.iter().enumerate() {
        found.extend(duplicate_expressions(&selector.match_expressions));
        if twice.contains(&index) {
            found.push(Duplicate::Selector { list, selector: quoted_selector(selector) });
        }
    }
    found
}

/// The values of every expression are sorted.
fn duplicate_expressions(expressions: &[LabelSelectorRequirement]) -> Vec<Duplicate> {
    let twice = repeated(expressions, expression_identity);
    let mut found = Vec::new();
    for (index, expression) in expressions.iter().enumerate() {
        let values = repeated(&expression.values, Clone::clone);
        found.extend(values.into_iter().map(|at| Duplicate::ExpressionValue(expression.values[at].clone())));
        if twice.contains(&index) {
            found.push(Duplicate::Expression(quoted_expression(expression)));
        }
    }
    found
}

pub(super) fn duplicate_texts(what: &'static str, texts: &[String]) -> Vec<Duplicate> {
    let twice = repeated(texts, Clone::clone);
    twice.into_iter().map(|at| Duplicate::Text { what, text: texts[at].clone() }).collect()
}

/// The indexes of items that occur again later, each item once, in the order of first occurrence.
pub(super) fn repeated<T, K: Eq + Hash>(items: &[T], identity: impl Fn(&T) -> K) -> BTreeSet<usize> {
    let mut first_indexes: HashMap<K, usize> = HashMap::new();
    let mut twice = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        match first_indexes.entry(identity(item)) {
            Entry::Occupied(first) => drop(twice.insert(*first.get())),
            Entry::Vacant(first) => drop(first.insert(index)),
        }
    }
    twice
}

/// The selector as messages print it: `{map[app:nginx] [{tier In [a b]}]}`.
pub(super) fn plain_selector(selector: &LabelSelector) -> String {
    let labels: Vec<String> =
        selector.match_labels.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    let expressions: Vec<String> = selector
        .match_expressions
        .iter()
        .map(|it| format!("{{{} {} [{}]}}", it.key, it.operator, it.values.join(" ")))
        .collect();
    format!("{{map[{}] [{}]}}", labels.join(" "), expressions.join(" "))
}

/// The selector as messages about namespaces print it, with the names of its fields.
pub(super) fn spelled_out_selector(selector: &LabelSelector) -> String {
    let labels: String =
        selector.match_labels.iter().map(|(key, value)| format!("{key}: {value},")).collect();
    let spelled_out = |LabelSelectorRequirement { key, operator, values }: &LabelSelectorRequirement| {
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{}],}},", values.join(" "))
    };
    let expressions: String = selector.match_expressions.iter().map(spelled_out).collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

/// As [`plain_selector`], with every text in quotes.
fn quoted_selector(selector: &LabelSelector) -> String {
    let labels: Vec<String> = selector
        .match_labels
        .iter()
        .map(|(key, value)| format!("{}:{}", quoted(key), quoted(value)))
        .collect();
    let expressions: Vec<String> = selector.match_expressions.iter().map(quoted_expression).collect();
    format!("{{map[{}] [{}]}}", labels.join(" "), expressions.join(" "))
}

fn quoted_expression(expression: &LabelSelectorRequirement) -> String {
    let LabelSelectorRequirement { key, operator, values } = expression;
    format!("{{{} {} {}}}", quoted(key), quoted(operator), quoted_list(values))
}

fn with_sorted_values(selector: &LabelSelector) -> LabelSelector {
    let mut sorted = selector.clone();
    for expression in &mut sorted.match_expressions {
        expression.values.sort();
    }
    sorted
}

fn expression_identity(expression: &LabelSelectorRequirement) -> (String, String, Vec<String>) {
    (expression.key.clone(), expression.operator.clone(), expression.values.clone())
}

fn selector_identity(selector: &LabelSelector) -> impl Eq + Hash + use<> {
    let expressions: Vec<_> = selector.match_expressions.iter().map(expression_identity).collect();
    (selector.match_labels.clone(), expressions)
}

fn operator(expression: &LabelSelectorRequirement) -> Result<Operator, SelectorError> {
    let values = || expression.values.iter().cloned().collect::<BTreeSet<String>>();
    match expression.operator.as_str() {
        "In" => Ok(Operator::In(values())),
        "NotIn" => Ok(Operator::NotIn(values())),
        "Exists" => Ok(Operator::Exists),
        "DoesNotExist" => Ok(Operator::DoesNotExist),
        _ => Err(SelectorError::UnknownOperator(expression.operator.clone())),
    }
}

fn requirement(key: &str, operator: Operator, values: &[String]) -> Result<Requirement, SelectorError> {
    let mut errors = Vec::new();
    let reasons = label_key_problems(key);
    if !reasons.is_empty() {
        errors.push(RequirementError::Key { key: key.to_owned(), reasons });
    }
    match operator {
        Operator::In(_) | Operator::NotIn(_) if values.is_empty() => errors.push(RequirementError::NoValues),
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            let as_json = serde_json::Value::from(values).to_string();
            errors.push(RequirementError::UselessValues(as_json));
        }
        _ => {}
    }
    for (index, value) in values.iter().enumerate() {
        let reasons = label_value_problems(value);
        if !reasons.is_empty() {
            let (key, value) = (key.to_owned(), value.clone());
            errors.push(RequirementError::Value { key, index, value, reasons });
        }
    }
    if errors.is_empty() {
        Ok(Requirement { key: key.to_owned(), operator })
    } else {
        Err(SelectorError::Requirement(errors))
    }
}

/// Several errors stand in brackets, one stands alone, and none is said twice.
fn aggregate(errors: &[RequirementError]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for error in errors {
        let text = error.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    if texts.len() == 1 { texts.remove(0) } else { format!("[{}]", texts.join(", ")) }
}

const NAME_PART_BYTES: usize = 63;
const SUBDOMAIN_BYTES: usize = 253;
const NAME_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
    '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
    used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' \
    or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

fn label_key_problems(key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let name = match key.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            let prefix_problems = subdomain_problems(prefix);
            problems.extend(prefix_problems.iter().map(|problem| format!("prefix part {problem}")));
            name
        }
        _ => {
            let ending = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {NAME_RULE} {ending}")];
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > NAME_PART_BYTES {
        problems.push(format!("name part must be no more than {NAME_PART_BYTES} bytes"));
    }
    if !is_label_name(name) {
        problems.push(format!("name part {NAME_RULE}"));
    }
    problems
}

fn label_value_problems(value: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if value.len() > NAME_PART_BYTES {
        problems.push(format!("must be no more than {NAME_PART_BYTES} bytes"));
    }
    if !value.is_empty() && !is_label_name(value) {
        problems.push(VALUE_RULE.to_owned());
    }
    problems
}

fn subdomain_problems(prefix: &str) -> Vec<String> {
    if prefix.is_empty() {
        return vec!["must be non-empty".to_owned()];
    }
    let mut problems = Vec::new();
    if prefix.len() > SUBDOMAIN_BYTES {
        problems.push(format!("must be no more than {SUBDOMAIN_BYTES} bytes"));
    }
    let is_lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| begins_ends_and_holds(part, is_lower, |byte| is_lower(byte) || byte == b'-');
    if !prefix.split('.').all(is_part) {
        problems.push(SUBDOMAIN_RULE.to_owned());
    }
    problems
}

fn is_label_name(name: &str) -> bool {
    let is_edge = |byte: u8| byte.is_ascii_alphanumeric();
    begins_ends_and_holds(name, is_edge, |byte| is_edge(byte) || matches!(byte, b'-' | b'_' | b'.'))
}

fn begins_ends_and_holds(text: &str, is_edge: impl Fn(u8) -> bool, is_inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|&byte| is_edge(byte))
        && bytes.last().is_some_and(|&byte| is_edge(byte))
        && bytes.iter().all(|&byte| is_inner(byte))
}
