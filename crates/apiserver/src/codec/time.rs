//! Times as they are kept: in UTC, with seconds or with microseconds.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::schema::text::quote;
use crate::schema::time_error;
use crate::types::Form;

const SECONDS_LAYOUT: &str = "as \"2006-01-02T15:04:05Z07:00\"";
const MICROSECONDS_LAYOUT: &str = "as \"2006-01-02T15:04:05.000000Z07:00\"";

/// A time that was written as text; nothing for an empty one, and Go's words for what is none.
pub(super) fn canonical(text: &str, form: Form) -> Result<Option<Value>, String> {
    if let Some(error) = time_error(text) {
        return Err(match form {
            Form::MicroTime => error.replacen(SECONDS_LAYOUT, MICROSECONDS_LAYOUT, 1),
            _ => error,
        });
    }
    if form == Form::MicroTime {
        require_microseconds(text)?;
    }
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| time_error(text).unwrap_or_default());
    Ok(Some(printed(time?.to_utc(), form)))
}

/// A time in seconds since 1970 and billionths.
pub(super) fn of_unix(seconds: i64, nanos: u32, form: Form) -> Value {
    DateTime::from_timestamp(seconds, nanos).map_or(Value::Null, |time| printed(time, form))
}

fn printed(time: DateTime<Utc>, form: Form) -> Value {
    let format = if form == Form::MicroTime { "%Y-%m-%dT%H:%M:%S%.6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
    time.format(format).to_string().into()
}

/// A time with microseconds has all six of them. What comes before them is known to be right.
fn require_microseconds(text: &str) -> Result<(), String> {
    const SECONDS: usize = "2006-01-02T15:04:05".len();
    let rest = text.get(SECONDS..).unwrap_or_default();
    let digits = rest.strip_prefix('.').unwrap_or_default().bytes().take_while(u8::is_ascii_digit).count();
    if digits == 6 {
        return Ok(());
    }
    let (text, rest) = (quote(text), quote(rest));
    Err(format!("parsing time {text} {MICROSECONDS_LAYOUT}: cannot parse {rest} as \".000000\""))
}
