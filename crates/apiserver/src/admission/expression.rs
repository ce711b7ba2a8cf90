//! Conditions in CEL over a request, instead of over an object whose schema is known.

use serde_json::Value;

use crate::schema::{FreeExpression, RuleError};

/// A condition, compiled.
#[derive(Debug)]
pub struct Expression {
    source: String,
    compiled: FreeExpression,
}

/// Why a condition cannot be used, or says nothing about a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExpressionError(pub String);

/// What conditions can ask about.
const VARIABLES: [&str; 5] = ["object", "oldObject", "request", "authorizer", "namespaceObject"];

impl Expression {
    pub fn compile(source: &str) -> Result<Expression, ExpressionError> {
        let compiled = FreeExpression::compile(source, &VARIABLES);
        let compiled = compiled.map_err(|error: RuleError| ExpressionError(error.located(source, "")))?;
        Ok(Expression { source: source.to_owned(), compiled })
    }

    /// Whether it is true of these values.
    pub fn holds(&self, variables: &[(&str, &Value)]) -> Result<bool, ExpressionError> {
        self.compiled.evaluate(variables).map_err(|problem| {
            ExpressionError(format!("expression '{}' resulted in error: {problem}", self.source))
        })
    }
}
