//! How the API server prints values inside its messages.
//! Its formatting rules are those of another language's runtime; clients match on the result, so it is reproduced here.

use serde_json::{Number, Value};
use std::fmt::Write;

/// A string in double quotes, escaped the way the API server does it in `Invalid value: "…"`.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            _ if is_printable(c) => quoted.push(c),
            _ if (c as u32) < 0x80 => push(&mut quoted, format_args!("\\x{:02x}", c as u32)),
            _ if (c as u32) < 0x10000 => push(&mut quoted, format_args!("\\u{:04x}", c as u32)),
            _ => push(&mut quoted, format_args!("\\U{:08x}", c as u32)),
        }
    }
    quoted.push('"');
    quoted
}

/// A scalar the way it follows `Invalid value: `; anything compound is printed as compact JSON.
pub(crate) fn bad_value(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => self::number(number),
        Value::Null | Value::Array(_) | Value::Object(_) => json(value),
    }
}

/// Compact JSON with sorted keys and `<`, `>`, `&` escaped.
pub(crate) fn json(value: &Value) -> String {
    let mut text = String::new();
    write_json(&mut text, value);
    text
}

/// The shortest decimal that reads back as the same float; an exponent from 1e+06 and below 1e-4.
pub(crate) fn float(number: f64) -> String {
    let (digits, exponent) = shortest(number);
    if number != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
    number.to_string()
}

fn number(number: &Number) -> String {
    match number.as_i64() {
        Some(integer) => integer.to_string(),
        None => float(number.as_f64().unwrap_or_default()),
    }
}

fn json_number(number: &Number) -> String {
    let Some(value) = number.as_f64().filter(|_| !number.is_i64()) else {
        return number.to_string();
    };
    if value != 0.0 && !(1e-6..1e21).contains(&value.abs()) {
        let (digits, exponent) = shortest(value);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{}", exponent.unsigned_abs());
    }
    value.to_string()
}

/// Mantissa (with its sign) and decimal exponent of the shortest scientific form.
fn shortest(number: f64) -> (String, i32) {
    let scientific = format!("{number:e}");
    match scientific.split_once('e') {
        Some((digits, exponent)) => (digits.to_owned(), exponent.parse().unwrap_or_default()),
        None => (scientific, 0),
    }
}

fn write_json(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(flag) => push(text, format_args!("{flag}")),
        Value::Number(number) => text.push_str(&json_number(number)),
        Value::String(string) => write_json_string(text, string),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_json(text, item);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (index, (name, field)) in fields.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_json_string(text, name);
                text.push(':');
                write_json(text, field);
            }
            text.push('}');
        }
    }
}

fn write_json_string(text: &mut String, string: &str) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => push(text, format_args!("\\u{:04x}", c as u32)),
            _ if (c as u32) < 0x20 => push(text, format_args!("\\u{:04x}", c as u32)),
            _ => text.push(c),
        }
    }
    text.push('"');
}

pub(crate) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // Debug output escapes what is unprintable; the letter in front keeps it from escaping a combining mark.
    !c.is_whitespace() && format!("{:?}", format_args!("a{c}").to_string()).len() == c.len_utf8() + 3
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments); // writing to a String cannot fail
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_print_as_the_api_server_prints_them() {
        for (value, bad, compact) in [
            (
                json!("a\"b\\\n\u{1}é\u{200b}<"),
                r#""a\"b\\\n\x01é\u200b<""#,
                "\"a\\\"b\\\\\\n\\u0001é\u{200b}\\u003c\"",
            ),
            (json!(4294967296i64), "4294967296", "4294967296"),
            (json!(1.5), "1.5", "1.5"),
            (json!(1e21), "1e+21", "1e+21"),
            (json!(1e20), "1e+20", "100000000000000000000"),
            (json!(999999.5), "999999.5", "999999.5"),
            (json!(0.00001), "1e-05", "0.00001"),
            (json!(1.5e-9), "1.5e-09", "1.5e-9"),
            (json!(18446744073709551615u64), "1.8446744073709552e+19", "18446744073709552000"),
            (json!(null), "null", "null"),
            (
                json!({"b": 1, "a": [true, "x&y"]}),
                r#"{"a":[true,"x\u0026y"],"b":1}"#,
                r#"{"a":[true,"x\u0026y"],"b":1}"#,
            ),
        ] {
            assert_eq!(bad_value(&value), bad);
            assert_eq!(json(&value), compact);
        }
    }
}
