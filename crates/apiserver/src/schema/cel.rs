//! Rules in CEL against objects that are otherwise in order.
//! Rules see only what the schema declares; unchanged values that break a rule earn a warning, not an error.

use super::correlate::{Correlated, MapList};
use super::error::FieldError;
use super::node::{Additional, Node};
use super::path::Path;
use super::rules::{Reason, Rule};
use super::{LIMITS, Verdict, conversions};
use kube_cel::cel::objects::OptionalValue;
use kube_cel::cel::{Context, ExecutionError, Program, Value as CelValue};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Bytes of a message that an expression may produce.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;

const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

thread_local! {
    static FUNCTIONS: Context<'static> = conversions::context();
}

/// Runs with the functions that rules may call.
pub(super) fn with_functions<T>(run: impl FnOnce(&Context<'static>) -> T) -> T {
    FUNCTIONS.with(run)
}

/// Judges every rule of the schema on every value it is about.
pub(super) fn check(root: &Node, object: &Value, old: Option<&Value>, verdict: &mut Verdict) {
    let unchanged = Unchanged { here: old.map(|old| Correlated::new(object, old, root)), above: None };
    let place = Place { rules: root, typed: root, path: Path::Root, resource_root: true };
    with_functions(|functions| {
        let mut judge = Judge { functions, verdict, evaluations_left: LIMITS.rule_evaluations };
        judge.visit(&place, object, old, unchanged);
    });
}

/// The same for a part of an object, which has no past.
pub(super) fn check_part(node: &Node, value: &Value, verdict: &mut Verdict) {
    let place = Place { rules: node, typed: node, path: Path::Root, resource_root: node.embedded_resource };
    with_functions(|functions| {
        let mut judge = Judge { functions, verdict, evaluations_left: LIMITS.rule_evaluations };
        judge.visit(&place, value, None, Unchanged { here: None, above: None });
    });
}

/// A field's name as rules write it; nothing if they cannot.
pub(super) fn escape(name: &str) -> Option<String> {
    const RESERVED: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(allowed) {
        return None;
    }
    let underscores = name.replace("__", "\0");
    let escaped = underscores.replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__");
    Some(escaped.replace('\0', "__underscores__"))
}

/// A place in the schema; `rules` and `typed` differ inside `allOf` only.
#[derive(Clone, Copy)]
struct Place<'a> {
    rules: &'a Node,
    typed: &'a Node,
    path: Path<'a>,
    resource_root: bool,
}

impl<'a> Place<'a> {
    fn below(rules: &'a Node, typed: &'a Node, path: Path<'a>) -> Self {
        Self { rules, typed, path, resource_root: typed.embedded_resource }
    }
}

/// What is known about a value's past: its own, or that of the nearest value above it that has one.
#[derive(Clone, Copy)]
struct Unchanged<'a> {
    here: Option<Correlated<'a>>,
    above: Option<Correlated<'a>>,
}

impl<'a> Unchanged<'a> {
    fn holds(&self) -> bool {
        self.here.or(self.above).is_some_and(|correlated| correlated.is_unchanged())
    }

    fn below(self, find: impl FnOnce(&Correlated<'a>) -> Option<Correlated<'a>>) -> Self {
        match self.here {
            None => self,
            Some(here) => Self { here: find(&here), above: Some(here) },
        }
    }

    fn field(self, name: &str) -> Self {
        if self.above.is_none() && matches!(name, "apiVersion" | "kind") {
            return Self { here: None, above: None };
        }
        self.below(|here| here.field(name))
    }
}

struct Judge<'a> {
    functions: &'a Context<'static>,
    verdict: &'a mut Verdict,
    evaluations_left: usize,
}

impl Judge<'_> {
    fn visit(&mut self, place: &Place<'_>, value: &Value, old: Option<&Value>, unchanged: Unchanged<'_>) {
        let Place { rules, typed, path, .. } = *place;
        let old = old.filter(|old| !old.is_null());
        if value.is_null() || self.evaluations_left == 0 {
            return;
        }
        self.evaluate_all(place, value, old, unchanged);
        for branch in &rules.all_of {
            let unchanged = Unchanged { here: None, above: unchanged.above };
            self.visit(&Place { rules: branch, ..*place }, value, old, unchanged);
        }
        match value {
            Value::Array(items) => {
                let (Some(rules), Some(item_node)) = (&rules.items, &typed.items) else {
                    return;
                };
                let old_items = MapList::of(typed, old.and_then(Value::as_array).map_or(&[], Vec::as_slice));
                let correlated = unchanged.here.map(|here| here.items()).unwrap_or_default();
                for (index, item) in items.iter().enumerate() {
                    let place = Place::below(rules, item_node, Path::Index(&path, index));
                    let unchanged = unchanged.below(|_| correlated.get(index));
                    self.visit(&place, item, old_items.get(item), unchanged);
                }
            }
            Value::Object(object) => {
                let old_field = |name: &str| old?.get(name);
                if let (Some(Additional::Schema(rules)), Some(Additional::Schema(entry))) =
                    (&rules.additional, &typed.additional)
                {
                    for (name, value) in object {
                        let place = Place::below(rules, entry, Path::Entry(&path, name));
                        self.visit(&place, value, old_field(name), unchanged.field(name));
                    }
                }
                for (name, rules) in rules.properties.iter() {
                    if let (Some(value), Some(property)) = (object.get(name), typed.properties.get(name)) {
                        let place = Place::below(rules, property, Path::Property(&path, name));
                        self.visit(&place, value, old_field(name), unchanged.field(name));
                    }
                }
            }
            _ => {}
        }
    }

    fn evaluate_all(
        &mut self,
        place: &Place<'_>,
        value: &Value,
        old: Option<&Value>,
        unchanged: Unchanged<'_>,
    ) {
        if place.rules.rules.is_empty() {
            return;
        }
        let typed = |value: &Value| conversions::to_cel(value, place.typed, place.resource_root);
        let mistyped = conversions::mistyped(value, place.typed);
        let mut context = self.functions.new_inner_scope();
        context.add_variable_from_value("self", typed(value));
        if let Some(old) = old {
            context.add_variable_from_value("oldSelf", typed(old));
        }
        let mut optional = context.new_inner_scope();
        let old_optional = old.map_or_else(OptionalValue::none, |old| OptionalValue::of(typed(old)));
        optional.add_variable_from_value("oldSelf", CelValue::Opaque(Arc::new(old_optional)));
        for rule in &place.rules.rules {
            if rule.uses_old_self && old.is_none() && !rule.optional_old_self {
                continue;
            }
            let Some(left) = self.evaluations_left.checked_sub(1) else {
                return;
            };
            self.evaluations_left = left;
            if left == 0 {
                let type_name = place.typed.type_name();
                self.verdict.errors.push(FieldError::invalid_text(
                    place.path.as_field(),
                    type_name,
                    OUT_OF_BUDGET,
                ));
                return;
            }
            let context = if rule.optional_old_self { &optional } else { &context };
            let broken = match &mistyped {
                Some(problem) => Some(unevaluable(rule, place, problem)),
                None => broken(rule, place, value, context),
            };
            if let Some(error) = broken {
                match error {
                    Broken::Rule(error) if !rule.uses_old_self && unchanged.holds() => {
                        self.verdict.warnings.push(error.to_string());
                    }
                    Broken::Rule(error) | Broken::Evaluation(error) => self.verdict.errors.push(error),
                }
            }
        }
    }
}

/// A rule that a value breaks, or one that could not be evaluated on it.
enum Broken {
    Rule(FieldError),
    Evaluation(FieldError),
}

fn broken(rule: &Rule, place: &Place<'_>, value: &Value, context: &Context<'_>) -> Option<Broken> {
    match execute(&rule.program, context) {
        Ok(CelValue::Bool(true)) => return None,
        Ok(_) => {}
        Err(problem) => return Some(unevaluable(rule, place, &problem)),
    }
    let computed = rule.message_program.as_ref().and_then(|program| computed_message(program, context));
    let detail = computed.unwrap_or_else(|| match &rule.message {
        Some(message) => message.trim().to_owned(),
        None => format!("failed rule: {}", rule.source.trim()),
    });
    let field = rule.place(place.path.as_field());
    let omit = matches!(place.typed.type_name(), "object" | "array");
    Some(Broken::Rule(match rule.reason {
        Reason::Forbidden => FieldError::forbidden(field, &detail),
        Reason::Required => FieldError::required(field, &detail),
        Reason::Duplicate if omit => FieldError::duplicate_omitted(field),
        Reason::Duplicate => FieldError::duplicate(field, value),
        Reason::Invalid if omit => FieldError::invalid_omitted(field, &detail),
        Reason::Invalid => FieldError::invalid(field, value, &detail),
    }))
}

fn unevaluable(rule: &Rule, place: &Place<'_>, problem: &str) -> Broken {
    let text = rule.message.as_deref().unwrap_or(&rule.source).trim();
    let detail = match problem {
        "no such overload" => format!(
            "'no such overload': call arguments did not match a supported operator, function or macro signature for \
             rule: {text}"
        ),
        problem => format!("{problem} evaluating rule: {text}"),
    };
    Broken::Evaluation(FieldError::invalid_text(place.path.as_field(), place.typed.type_name(), &detail))
}

/// A message must be one line of bounded length, or it is not used.
fn computed_message(program: &Program, context: &Context<'_>) -> Option<String> {
    let Ok(CelValue::String(message)) = execute(program, context) else {
        return None;
    };
    let message = message.trim();
    let usable = !message.is_empty() && message.len() <= MESSAGE_BYTES_MAX && !message.contains('\n');
    usable.then(|| message.to_owned())
}

/// The evaluator is not this crate's: should it panic on some value, that is one rule that failed.
pub(super) fn execute(program: &Program, context: &Context<'_>) -> Result<CelValue, String> {
    let evaluated = catch_unwind(AssertUnwindSafe(|| program.execute(context)));
    evaluated.map_err(|_| "internal error".to_owned())?.map_err(|error| explain(&error))
}

fn explain(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::IndexOutOfBounds(CelValue::Int(index)) => format!("index out of bounds: {index}"),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        ExecutionError::NoSuchOverload
        | ExecutionError::ValuesNotComparable(..)
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedTargetType { .. }
        | ExecutionError::UnsupportedUnaryOperator(..)
        | ExecutionError::UnsupportedBinaryOperator(..)
        | ExecutionError::UnsupportedMapIndex(_)
        | ExecutionError::UnsupportedListIndex(_)
        | ExecutionError::UnsupportedIndex(..) => "no such overload".to_owned(),
        ExecutionError::FunctionError { message, .. } => message.clone(),
        other => other.to_string(),
    }
}
