//! Values from and to YAML files.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_saphyr::budget::Budget;
use serde_saphyr::options::Options;

/// Our own files, so the bounds only stop what is broken.
const MOST_BYTES: usize = 16 << 20;

pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    let mut budget = Budget::default();
    budget.max_events = MOST_BYTES;
    budget.max_nodes = MOST_BYTES;
    budget.max_total_scalar_bytes = MOST_BYTES;
    budget.max_depth = 200;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.strict_booleans = true;
    Ok(serde_saphyr::from_str_with_options(text, options)?)
}

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    parse(&text).with_context(|| path.display().to_string())
}

pub(crate) fn text(value: &impl Serialize) -> anyhow::Result<String> {
    let mut text = serde_saphyr::to_string(value)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}
