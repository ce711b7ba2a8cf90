//! Several errors in one Status come in a random order from the real server, so they are brought into one.

use serde_json::Value;

pub(super) fn settle(status: &mut Value) {
    if status["kind"] != "Status" {
        return;
    }
    let causes = status.pointer_mut("/details/causes").and_then(Value::as_array_mut);
    let Some(causes) = causes else { return };
    causes.sort_by_key(|cause| (text(cause, "field"), text(cause, "message"), text(cause, "reason")));
    let mut errors: Vec<String> = causes
        .iter()
        .map(|cause| {
            let (field, message) = (text(cause, "field"), text(cause, "message"));
            if field.is_empty() || field == "<nil>" { message } else { format!("{field}: {message}") }
        })
        .collect();
    errors.dedup();
    let Some((before, listed)) = status["message"].as_str().and_then(|it| it.split_once(" is invalid: ["))
    else {
        return;
    };
    let settled = errors.join(", ");
    // Only if the message says these errors and nothing else.
    let says_all = errors.iter().all(|error| listed.contains(error.as_str()));
    if says_all && listed.len() == settled.len() + 1 {
        status["message"] = format!("{before} is invalid: [{settled}]").into();
    }
}

fn text(cause: &Value, field: &str) -> String {
    cause[field].as_str().unwrap_or_default().to_owned()
}
