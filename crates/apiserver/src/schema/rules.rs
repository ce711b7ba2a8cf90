//! `x-kubernetes-validations`: a rule, compiled, and checked against the names it may use.
//! What a rule says about an object is decided in `cel`.

use super::node::{Additional, Node, Type};
use super::{LIMITS, cel};
use kube_cel::cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use kube_cel::cel::{Context, ExecutionError, Program};
use serde::Deserialize;
use serde_json::Value;

/// One rule of a schema.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) source: String,
    pub(super) program: Program,
    pub(super) message: Option<String>,
    pub(super) message_program: Option<Program>,
    pub(super) reason: Reason,
    pub(super) field_path: Option<String>,
    /// Transition rules are judged only where there is an old value.
    pub(super) uses_old_self: bool,
    pub(super) optional_old_self: bool,
}

/// What kind of error a broken rule is.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) enum Reason {
    #[default]
    #[serde(rename = "FieldValueInvalid")]
    Invalid,
    #[serde(rename = "FieldValueForbidden")]
    Forbidden,
    #[serde(rename = "FieldValueRequired")]
    Required,
    #[serde(rename = "FieldValueDuplicate")]
    Duplicate,
}

/// Why a rule cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The entry is not a rule.
    #[error("{0}")]
    Malformed(serde_json::Error),
    /// The rule is an empty text.
    #[error("rule is not specified")]
    Empty,
    /// The expression is longer than [`LIMITS`] allow.
    #[error("expression is longer than {} bytes", LIMITS.rule_bytes)]
    TooLong,
    /// The expression nests deeper than [`LIMITS`] allow.
    #[error("expression is nested deeper than {} levels", LIMITS.rule_depth)]
    TooDeep,
    /// The expression is no CEL.
    #[error("compilation failed: {0}")]
    Syntax(String),
    /// The expression names a variable or function that does not exist.
    #[error("compilation failed: undeclared reference to '{0}'")]
    UndeclaredReference(String),
    /// The expression selects a field that the schema does not declare.
    #[error("compilation failed: undefined field '{0}'")]
    UndefinedField(String),
    /// The expression selects a field of what has none.
    #[error("compilation failed: type '{0}' does not support field selection")]
    NoFields(&'static str, String),
    /// The expression is no condition.
    #[error("must evaluate to bool but got {0}")]
    NotBoolean(&'static str),
    /// The expression is of another type than it must be.
    #[error("must evaluate to a {0}")]
    Type(&'static str),
    /// `optionalOldSelf` on a rule that does not use `oldSelf`.
    #[error("optionalOldSelf may not be set if oldSelf is not used in rule")]
    PointlessOptionalOldSelf,
    /// The `fieldPath` leads to no field of the schema.
    #[error("fieldPath {0:?} must be a valid path")]
    FieldPath(String),
}

/// What is to be said of a rule before it may be used.
#[derive(Debug)]
pub(crate) struct RuleVerdict {
    pub(crate) rule: Option<RuleError>,
    pub(crate) message_expression: Option<RuleError>,
    pub(crate) uses_old_self: bool,
}

impl RuleVerdict {
    pub(super) fn of(rule: &Value, node: &Node, is_resource: bool) -> Self {
        let judge = |source: &str, wanted| -> Result<Program, RuleError> {
            let program = compile(source)?;
            let optional_old_self = rule["optionalOldSelf"] == true;
            let found = type_of(&program, node, is_resource, optional_old_self)?;
            if found.is_some_and(|found| found != wanted) {
                Err(RuleError::Type(wanted))
            } else {
                Ok(program)
            }
        };
        let source = rule["rule"].as_str().unwrap_or_default();
        if source.trim().is_empty() {
            return Self { rule: None, message_expression: None, uses_old_self: false };
        }
        let program = judge(source, "bool");
        let message = rule["messageExpression"].as_str().filter(|text| !text.is_empty() && program.is_ok());
        Self {
            message_expression: message.and_then(|message| judge(message, "string").err()),
            uses_old_self: program.as_ref().is_ok_and(|program| program.references().has_variable("oldSelf")),
            rule: program.err(),
        }
    }
}

/// Whether an expression uses only these variables, of which nothing is known, and functions that exist.
pub(super) fn check_names(program: &Program, variables: &[&str]) -> Result<(), RuleError> {
    cel::with_functions(|functions| {
        let scope = variables.iter().map(|&name| (name, Known::Nothing)).collect();
        Names { functions, scope }.expression(program.expression()).map(|_| ())
    })
}

/// What an expression is that is plainly no condition.
pub(super) fn not_boolean(program: &Program) -> Option<&'static str> {
    match &program.expression().expr {
        Expr::Ident(_) | Expr::Select(_) => Some("dyn"),
        Expr::Literal(LiteralValue::Boolean(_)) => None,
        Expr::Literal(LiteralValue::Int(_)) => Some("int"),
        Expr::Literal(LiteralValue::String(_)) => Some("string"),
        Expr::Literal(LiteralValue::Double(_)) => Some("double"),
        Expr::Literal(LiteralValue::Null) => Some("null_type"),
        Expr::List(_) => Some("list(dyn)"),
        Expr::Map(_) => Some("map(dyn, dyn)"),
        Expr::Call(call) if call.func_name == operators::INDEX => Some("dyn"),
        _ => None,
    }
}

/// The type of an expression's value as far as it is plain; an error if it uses names that are not there.
fn type_of(
    program: &Program,
    node: &Node,
    is_resource: bool,
    optional_old_self: bool,
) -> Result<Option<&'static str>, RuleError> {
    let this = if is_resource { Known::Resource(node) } else { Known::Node(node) };
    let old = if optional_old_self { Known::Nothing } else { this };
    cel::with_functions(|functions| {
        let mut names = Names { functions, scope: vec![("self", this), ("oldSelf", old)] };
        let known = names.expression(program.expression())?;
        Ok(match (known, &program.expression().expr) {
            (Known::Metadata | Known::Resource(_), _) => Some("map"),
            (Known::Node(node), _) => cel_type(node),
            (Known::Nothing, Expr::Literal(LiteralValue::Boolean(_))) => Some("bool"),
            (Known::Nothing, Expr::Literal(LiteralValue::Int(_))) => Some("int"),
            (Known::Nothing, Expr::Literal(LiteralValue::String(_))) => Some("string"),
            (Known::Nothing, Expr::List(_)) => Some("list"),
            (Known::Nothing, Expr::Map(_)) => Some("map"),
            _ => None,
        })
    })
}

/// What the values of a schema are to a rule; nothing if they can be several things.
fn cel_type(node: &Node) -> Option<&'static str> {
    match node.types.as_slice() {
        [single] if !node.int_or_string => Some(match single {
            Type::Object if node.additional.is_some() => "map",
            Type::Object => "object",
            Type::Array => "list",
            // Some formats make something else of a text.
            Type::String if node.format.is_some() => return None,
            Type::String => "string",
            Type::Integer => "int",
            Type::Number => "double",
            Type::Boolean => "bool",
        }),
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    rule: String,
    message: Option<String>,
    message_expression: Option<String>,
    #[serde(default)]
    reason: Option<Reason>,
    field_path: Option<String>,
    optional_old_self: Option<bool>,
}

impl Rule {
    pub(super) fn parse(rule: &Value) -> Result<Self, RuleError> {
        let raw = Raw::deserialize(rule).map_err(RuleError::Malformed)?;
        if raw.rule.trim().is_empty() {
            return Err(RuleError::Empty);
        }
        let program = compile(&raw.rule)?;
        let uses_old_self = program.references().has_variable("oldSelf");
        let optional_old_self = raw.optional_old_self.unwrap_or_default();
        if raw.optional_old_self.is_some() && !uses_old_self {
            return Err(RuleError::PointlessOptionalOldSelf);
        }
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            message_program: filled(raw.message_expression).as_deref().map(compile).transpose()?,
            message: filled(raw.message),
            reason: raw.reason.unwrap_or_default(),
            field_path: filled(raw.field_path),
            source: raw.rule,
            program,
            uses_old_self,
            optional_old_self,
        })
    }

    /// Whether the names in the rule exist, given the schema of its `self`.
    pub(super) fn check(&self, node: &Node, resource_root: bool) -> Result<(), RuleError> {
        let this = if resource_root { Known::Resource(node) } else { Known::Node(node) };
        let old = if self.optional_old_self { Known::Nothing } else { this };
        for program in [Some(&self.program), self.message_program.as_ref()].into_iter().flatten() {
            cel::with_functions(|functions| {
                let mut names = Names { functions, scope: vec![("self", this), ("oldSelf", old)] };
                names.expression(program.expression()).map(|_| ())
            })?;
        }
        match &self.field_path {
            Some(path) if !leads_to_a_field(path, node) => Err(RuleError::FieldPath(path.clone())),
            _ => Ok(()),
        }
    }

    /// The place that an error of this rule is about, given the place of its `self`.
    pub(super) fn place(&self, of_self: String) -> String {
        match &self.field_path {
            None => of_self,
            Some(path) => {
                let below = steps(path).unwrap_or_default().join(".");
                if of_self == "<nil>" { below } else { format!("{of_self}.{below}") }
            }
        }
    }
}

/// Stack for the parser, which needs kilobytes for each level of the deepest expression that fits in a rule.
const PARSER_STACK_BYTES: usize = 512 << 20;

/// Parses apart from the caller's stack, and lets through only what can be evaluated on it.
pub(super) fn compile(source: &str) -> Result<Program, RuleError> {
    if source.len() > LIMITS.rule_bytes {
        return Err(RuleError::TooLong);
    }
    let parse = || {
        let program = Program::compile(source).map_err(|errors| RuleError::Syntax(errors.to_string()))?;
        if depth(program.expression()) > LIMITS.rule_depth { Err(RuleError::TooDeep) } else { Ok(program) }
    };
    // The parser panics on some of what it finds too deep.
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().stack_size(PARSER_STACK_BYTES).spawn_scoped(scope, parse);
        parser.ok().and_then(|parser| parser.join().ok()).unwrap_or(Err(RuleError::TooDeep))
    })
}

fn depth(expression: &IdedExpr) -> usize {
    let operands: Vec<&IdedExpr> = match &expression.expr {
        Expr::Select(select) => vec![&select.operand],
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => entries(map.entries.iter().map(|entry| &entry.expr)),
        Expr::Struct(structure) => entries(structure.entries.iter().map(|entry| &entry.expr)),
        Expr::Comprehension(comprehension) => {
            let ComprehensionExpr { iter_range, accu_init, loop_cond, loop_step, result, .. } =
                &**comprehension;
            vec![iter_range, accu_init, loop_cond, loop_step, result]
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    };
    1 + operands.into_iter().map(depth).max().unwrap_or_default()
}

fn entries<'a>(entries: impl Iterator<Item = &'a EntryExpr>) -> Vec<&'a IdedExpr> {
    let expressions = entries.flat_map(|entry| match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    });
    expressions.collect()
}

/// `.a.b` or `['a'].b`, as a list of names.
fn steps(path: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("['") {
            let (name, after) = quoted.split_once("']")?;
            names.push(name.replace("\\'", "'").replace("\\\\", "\\"));
            rest = after;
        } else {
            let dotted = rest.strip_prefix('.')?;
            let (name, after) = dotted.split_at(dotted.find(['.', '[']).unwrap_or(dotted.len()));
            names.push(name.to_owned());
            rest = after;
        }
    }
    Some(names)
}

pub(super) fn leads_to_a_field(path: &str, node: &Node) -> bool {
    steps(path).is_some_and(|names| names.iter().try_fold(node, |node, name| node.field(name)).is_some())
}

/// What is known about the value of an expression before there is a value.
#[derive(Clone, Copy)]
enum Known<'a> {
    Node(&'a Node),
    /// An object with `apiVersion`, `kind` and `metadata` beside what its schema declares.
    Resource(&'a Node),
    Metadata,
    Nothing,
}

/// The names that are in scope at some point of an expression.
struct Names<'a> {
    functions: &'a Context<'static>,
    scope: Vec<(&'a str, Known<'a>)>,
}

impl<'a> Names<'a> {
    fn expression(&mut self, expression: &'a IdedExpr) -> Result<Known<'a>, RuleError> {
        match &expression.expr {
            Expr::Ident(name) => return self.variable(name),
            Expr::Select(select) => {
                let operand = self.expression(&select.operand)?;
                return select_field(operand, &select.field);
            }
            Expr::Call(call) => {
                let qualified = self.check_function(&call.func_name, call.target.as_deref())?;
                if let Some(target) = call.target.as_deref().filter(|_| !qualified) {
                    self.expression(target)?;
                }
                let mut operands = Vec::with_capacity(call.args.len());
                for argument in &call.args {
                    operands.push(self.expression(argument)?);
                }
                if call.func_name == operators::INDEX {
                    return Ok(operands.first().map_or(Known::Nothing, |container| member(*container)));
                }
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension)?,
            Expr::List(list) => self.all(list.elements.iter())?,
            Expr::Map(map) => self.all(entries(map.entries.iter().map(|entry| &entry.expr)))?,
            Expr::Struct(structure) => {
                self.all(entries(structure.entries.iter().map(|entry| &entry.expr)))?;
            }
            Expr::Literal(_) | Expr::Unspecified => {}
        }
        Ok(Known::Nothing)
    }

    fn all(&mut self, expressions: impl IntoIterator<Item = &'a IdedExpr>) -> Result<(), RuleError> {
        expressions.into_iter().try_for_each(|expression| self.expression(expression).map(|_| ()))
    }

    fn comprehension(&mut self, comprehension: &'a ComprehensionExpr) -> Result<(), RuleError> {
        let range = self.expression(&comprehension.iter_range)?;
        self.expression(&comprehension.accu_init)?;
        let item = match range {
            Known::Node(node) if node.has_type(Type::Array) && comprehension.iter_var2.is_none() => {
                member(range)
            }
            _ => Known::Nothing,
        };
        let outside = self.scope.len();
        self.scope.push((&comprehension.accu_var, Known::Nothing));
        self.scope.push((&comprehension.iter_var, item));
        if let Some(second) = &comprehension.iter_var2 {
            self.scope.push((second, Known::Nothing));
        }
        self.expression(&comprehension.loop_cond)?;
        self.expression(&comprehension.loop_step)?;
        self.scope.truncate(outside + 1);
        self.expression(&comprehension.result)?;
        self.scope.truncate(outside);
        Ok(())
    }

    fn variable(&self, name: &str) -> Result<Known<'a>, RuleError> {
        match self.scope.iter().rev().find(|(declared, _)| *declared == name) {
            Some((_, known)) => Ok(*known),
            None if self.functions.get_variable(name).is_some() => Ok(Known::Nothing),
            None => Err(RuleError::UndeclaredReference(name.to_owned())),
        }
    }

    /// Whether the function exists; `true` if its target is no value but the first part of its name.
    fn check_function(&self, name: &str, target: Option<&IdedExpr>) -> Result<bool, RuleError> {
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Ok(false); // an operator
        }
        if let Some(Expr::Ident(prefix)) = target.map(|target| &target.expr)
            && self.has_function(&format!("{prefix}.{name}"))
        {
            return Ok(true);
        }
        if self.has_function(name) { Ok(false) } else { Err(RuleError::UndeclaredReference(name.to_owned())) }
    }

    /// The library has no way to ask, but it complains about a call of what it does not have.
    fn has_function(&self, name: &str) -> bool {
        let Ok(call) = Program::compile(&format!("{name}()")) else {
            return false;
        };
        !matches!(call.execute(self.functions), Err(ExecutionError::UndeclaredReference(_)))
    }
}

fn select_field<'a>(operand: Known<'a>, field: &str) -> Result<Known<'a>, RuleError> {
    let undefined = || RuleError::UndefinedField(field.to_owned());
    match operand {
        Known::Nothing => Ok(Known::Nothing),
        Known::Metadata if matches!(field, "name" | "generateName") => Ok(Known::Nothing),
        Known::Metadata => Err(undefined()),
        Known::Resource(_) if matches!(field, "apiVersion" | "kind") => Ok(Known::Nothing),
        Known::Resource(_) if field == "metadata" => Ok(Known::Metadata),
        Known::Node(node) | Known::Resource(node) => {
            let declared =
                node.properties.iter().find(|(name, _)| cel::escape(name).as_deref() == Some(field));
            match (declared, &node.additional) {
                (Some((_, property)), _) => Ok(known(property)),
                (None, Some(Additional::Schema(entry))) => Ok(known(entry)),
                (None, _) if node.types.is_empty() || node.int_or_string => Ok(Known::Nothing),
                (None, _) if !node.has_type(Type::Object) => Err(cel_type(node)
                    .map_or_else(undefined, |found| RuleError::NoFields(found, field.to_owned()))),
                (None, _) => Err(undefined()),
            }
        }
    }
}

fn member(container: Known<'_>) -> Known<'_> {
    match container {
        Known::Node(Node { items: Some(items), .. }) => known(items),
        Known::Node(Node { additional: Some(Additional::Schema(entry)), .. }) => known(entry),
        _ => Known::Nothing,
    }
}

fn known(node: &Node) -> Known<'_> {
    if node.embedded_resource { Known::Resource(node) } else { Known::Node(node) }
}
