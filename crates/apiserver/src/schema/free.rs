//! Expressions in CEL over values whose schema is not known.

use kube_cel::cel::{Program, Value as CelValue};
use serde_json::Value;

use super::node::Node;
use super::rules::{self, RuleError};
use super::{cel, conversions};

/// An expression, compiled.
pub(crate) struct FreeExpression(Program);

impl std::fmt::Debug for FreeExpression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FreeExpression").finish_non_exhaustive()
    }
}

impl FreeExpression {
    pub(crate) fn compile(source: &str, variables: &[&str]) -> Result<FreeExpression, RuleError> {
        let program = rules::compile(source)?;
        rules::check_names(&program, variables)?;
        if let Some(found) = rules::not_boolean(&program) {
            return Err(RuleError::NotBoolean(found));
        }
        Ok(FreeExpression(program))
    }

    /// Whether it is true of these values.
    pub(crate) fn evaluate(&self, variables: &[(&str, &Value)]) -> Result<bool, String> {
        cel::with_functions(|functions| {
            let mut context = functions.new_inner_scope();
            for (name, value) in variables {
                let value = conversions::to_cel(value, &Node::default(), false);
                context.add_variable_from_value(*name, value);
            }
            match cel::execute(&self.0, &context)? {
                CelValue::Bool(verdict) => Ok(verdict),
                _ => Err("must evaluate to a bool".to_owned()),
            }
        })
    }
}
