//! Values to YAML text.

use serde::Serialize;
use serde_json::Value;

/// One document.
pub(super) fn text(value: &impl Serialize) -> anyhow::Result<String> {
    let mut text = serde_saphyr::to_string(value)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// A stream of documents, separated as `kubectl` wants them.
pub(super) fn stream(documents: &[Value]) -> anyhow::Result<String> {
    let mut text = String::new();
    for document in documents {
        text.push_str("---\n");
        text.push_str(&self::text(document)?);
    }
    Ok(text)
}
