//! Bounds of numbers, which the API server keeps as floats and compares as the value's own type.

use super::format::Format;
use super::node::{Node, Type};
use super::text;
use serde_json::Number;

/// One thing wrong with a number; the text lacks only the path.
#[derive(Debug, PartialEq)]
pub(super) enum Finding {
    /// The type and format cannot hold the number or one of its bounds: the text up to the path.
    OutOfRange(String),
    /// The number, as the comparison saw it, and what it should be.
    ShouldBe { actual: String, text: String },
    /// The schema's `multipleOf` makes no sense.
    FactorNotPositive(String),
}

/// Everything wrong with a number, in the order the API server says it.
pub(super) fn check(node: &Node, number: &Number) -> Vec<Finding> {
    let check = Check { node, integer: number.as_i64(), float: number.as_f64().unwrap_or_default() };
    let mut findings = check.range(check.float, check.integer, "Checked");
    let bounds = &node.number;
    if let Some(factor) = bounds.multiple_of {
        let range = check.range(factor, None, "MultipleOf");
        let native = range.is_empty();
        findings.extend(range);
        findings.extend(check.multiple_of(factor, native));
    }
    if let Some(minimum) = bounds.minimum {
        let range = check.range(minimum, None, "Minimum boundary");
        let native = range.is_empty();
        findings.extend(range);
        findings.extend(check.minimum(minimum, bounds.exclusive_minimum, native));
    }
    if let Some(maximum) = bounds.maximum {
        let range = check.range(maximum, None, "Maximum boundary");
        let native = range.is_empty();
        findings.extend(range);
        findings.extend(check.maximum(maximum, bounds.exclusive_maximum, native));
    }
    findings
}

/// Whether a float is a whole number that JSON can carry exactly, give or take a billionth upwards.
pub(super) fn is_json_integer(float: f64) -> bool {
    const EXACT_MAX: f64 = ((1u64 << 53) - 1) as f64;
    let nearly = float > 1.0 && float.fract() / (float + float.trunc()) < 1e-9;
    float.abs() <= EXACT_MAX && (float.fract() == 0.0 || nearly)
}

struct Check<'a> {
    node: &'a Node,
    integer: Option<i64>,
    float: f64,
}

impl Check<'_> {
    /// Whether the type and format can hold a value, be it the number itself or one of its bounds.
    fn range(&self, float: f64, integer: Option<i64>, what: &str) -> Vec<Finding> {
        let [node_type] = self.node.types.as_slice() else {
            return Vec::new();
        };
        let format = self.node.format.as_ref();
        // What counts is the shortest decimal of a float, which near the ends of a type may be outside of it.
        let decimal = || integer.map_or_else(|| float.to_string(), |integer| integer.to_string());
        let fits = match (node_type, format) {
            (Type::Integer, Some(Format::Int32)) => decimal().parse::<i32>().is_ok(),
            (Type::Integer, _) => decimal().parse::<i64>().is_ok(),
            (Type::Number, Some(Format::Float)) => float.abs() <= f64::from(f32::MAX),
            _ => true,
        };
        if fits {
            return Vec::new();
        }
        let format = match format {
            Some(format) => format!("with format {}", format.name()),
            None => "(default format)".to_owned(),
        };
        vec![Finding::OutOfRange(format!("{what} value must be of type {} {format} in ", node_type.name()))]
    }

    fn multiple_of(&self, factor: f64, native: bool) -> Option<Finding> {
        let whole_factor = factor as i64;
        let (positive, multiple, shown) = match self.integer {
            Some(integer) if native => {
                let multiple = whole_factor > 0 && integer % whole_factor == 0;
                (whole_factor > 0, multiple, whole_factor.to_string())
            }
            _ => {
                let quotient = if factor < 1.0 { 1.0 / factor * self.float } else { self.float / factor };
                (factor > 0.0, is_json_integer(quotient), text::float(factor))
            }
        };
        if !positive {
            return Some(Finding::FactorNotPositive(shown));
        }
        (!multiple).then(|| self.should_be(native, format!("a multiple of {shown}")))
    }

    fn minimum(&self, minimum: f64, exclusive: bool, native: bool) -> Option<Finding> {
        let (fails, shown) = match self.integer {
            Some(integer) if native => {
                let minimum = minimum as i64;
                (integer < minimum || exclusive && integer == minimum, minimum.to_string())
            }
            _ => (self.float < minimum || exclusive && self.float == minimum, text::float(minimum)),
        };
        let words = if exclusive { "greater than" } else { "greater than or equal to" };
        fails.then(|| self.should_be(native, format!("{words} {shown}")))
    }

    fn maximum(&self, maximum: f64, exclusive: bool, native: bool) -> Option<Finding> {
        let (fails, shown) = match self.integer {
            Some(integer) if native => {
                let maximum = maximum as i64;
                (integer > maximum || exclusive && integer == maximum, maximum.to_string())
            }
            _ => (self.float > maximum || exclusive && self.float == maximum, text::float(maximum)),
        };
        let words = if exclusive { "less than" } else { "less than or equal to" };
        fails.then(|| self.should_be(native, format!("{words} {shown}")))
    }

    fn should_be(&self, native: bool, text: String) -> Finding {
        let actual = match self.integer {
            Some(integer) if native => integer.to_string(),
            _ => text::float(self.float),
        };
        Finding::ShouldBe { actual, text }
    }
}
