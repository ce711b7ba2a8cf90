//! Times as they are kept: in UTC, with seconds or with microseconds.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::schema::time_error;
use crate::types::Form;

/// A time that was written as text; nothing for an empty one, and Go's words for what is none.
pub(super) fn canonical(text: &str, form: Form) -> Result<Option<Value>, String> {
    if let Some(error) = time_error(text) {
        return Err(error);
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
