//! Values to YAML text.

use serde_json::Value;

/// A stream of documents, separated as `kubectl` wants them.
pub(super) fn stream(documents: &[Value]) -> anyhow::Result<String> {
    let mut text = String::new();
    for document in documents {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string(document)?);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}
