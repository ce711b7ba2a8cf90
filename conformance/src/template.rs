//! `${name}` in texts and `@name` in place of values.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde_json::Value;

/// What the names stand for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) values: BTreeMap<String, Value>,
}

impl Names {
    pub(crate) fn text(&self, template: &str) -> anyhow::Result<String> {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').context("`${` without `}`")?;
            filled.push_str(before);
            filled.push_str(&self.named(name)?);
            rest = behind;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    pub(crate) fn value(&self, template: &Value) -> anyhow::Result<Value> {
        Ok(match template {
            Value::String(text) => match text.strip_prefix('@') {
                Some(name) => {
                    let value = self.values.get(name).with_context(|| format!("there is no value {name}"))?;
                    self.value(value)?
                }
                None => self.text(text)?.into(),
            },
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?,
            Value::Object(fields) => {
                let filled = fields.iter().map(|(name, value)| Ok((self.text(name)?, self.value(value)?)));
                Value::Object(filled.collect::<anyhow::Result<_>>()?)
            }
            other => other.clone(),
        })
    }

    /// A variable, or `repeat:TEXT:COUNT`.
    fn named(&self, name: &str) -> anyhow::Result<String> {
        if let Some((text, count)) = name.strip_prefix("repeat:").and_then(|rest| rest.rsplit_once(':')) {
            return Ok(text.repeat(count.parse().with_context(|| name.to_owned())?));
        }
        match self.texts.get(name) {
            Some(text) => Ok(text.clone()),
            None => bail!("{name} was not saved"),
        }
    }
}
