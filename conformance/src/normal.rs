//! Answers made comparable: what differs from run to run becomes the name of the step that first showed it.

mod causes;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use regex::{Captures, Regex};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::transport::Answer;
use crate::yaml;

/// An answer as it is kept in a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Normal {
    pub code: u16,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub body: Value,
}

/// What one case has shown so far.
#[derive(Debug)]
pub struct Normaliser {
    /// What the case itself says is the same in every run, so it stays.
    said: String,
    /// Seen texts and what stands for them.
    known: BTreeMap<String, String>,
    /// The same for what is too short to be looked for in every text.
    revisions: BTreeMap<String, String>,
    ports: BTreeMap<String, String>,
    generated: Option<(String, Regex)>,
    step: String,
    named: BTreeMap<&'static str, usize>,
}

/// What the metadata at hand belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Object,
    List,
    Bookmark,
}

macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($text).expect("a constant"));
    };
}

pattern!(UID, r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}");
// The ranges that the servers under test take addresses from.
pattern!(ADDRESS, r"\b10\.96\.\d+\.\d+\b|\bfd00:10:96::[0-9a-f:]+");
pattern!(TIME, r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z");
pattern!(AGE, r"^(\d+m)?\d+(s|ms)$");
pattern!(TOKEN, r"\beyJ[\w-]+\.[\w-]+\.[\w-]+");
pattern!(HASH, r"hash=[0-9A-Fa-f]+");
pattern!(PORT, r"\b3[0-2]\d{3}\b");
// Messages that tell revisions.
pattern!(
    REVISION,
    r#"(\\"resourceVersion\\":\\"|too old resource version: \S+ \(|current: |ResourceVersion in precondition: |ResourceVersion in object meta: |ResourceVersion in record \()(\d+)"#
);

impl Normaliser {
    pub fn new(said: String) -> Normaliser {
        Normaliser {
            said,
            known: BTreeMap::new(),
            revisions: BTreeMap::new(),
            ports: BTreeMap::new(),
            generated: None,
            step: String::new(),
            named: BTreeMap::new(),
        }
    }

    /// What is seen for the first time from now on is named after this step.
    pub fn begin(&mut self, step: &str) {
        step.clone_into(&mut self.step);
        self.named.clear();
    }

    /// Names that begin so and end in random letters are about to be seen, in messages too.
    pub fn generates(&mut self, prefix: &str) {
        let pattern = format!("{}[bcdfghjklmnpqrstvwxz2456789]{{5}}\\b", regex::escape(prefix));
        if let (Ok(pattern), false) = (Regex::new(&pattern), prefix.is_empty()) {
            self.generated = Some((prefix.to_owned(), pattern));
        }
    }

    pub fn answer(&mut self, answer: &Answer) -> Normal {
        let mut body = body_of(answer);
        self.value(&mut body, "", false);
        causes::settle(&mut body);
        Normal {
            code: answer.code,
            content_type: answer.content_type.clone(),
            warnings: answer.warnings.iter().map(|text| self.text(text)).collect(),
            headers: answer.headers.iter().map(|(name, text)| (name.clone(), self.text(text))).collect(),
            body,
        }
    }

    /// One event of a watch.
    pub fn event(&mut self, event: &Value) -> Value {
        let mut event = event.clone();
        let of = if event["type"] == "BOOKMARK" { Of::Bookmark } else { Of::Object };
        match &mut event["object"] {
            Value::Object(object) => self.object(object, of, false),
            other => self.value(other, "", false),
        }
        causes::settle(&mut event["object"]);
        event
    }

    fn value(&mut self, value: &mut Value, key: &str, in_cells: bool) {
        match value {
            Value::Object(object) => {
                let of = if object.contains_key("items") || object.contains_key("rows") {
                    Of::List
                } else {
                    Of::Object
                };
                self.object(object, of, in_cells);
            }
            Value::Array(items) => {
                if key == "columnDefinitions" {
                    items.iter_mut().for_each(|column| self.column(column));
                }
                items.iter_mut().for_each(|item| self.value(item, key, key == "cells"));
            }
            Value::String(text) if key == "serverAddress" => "<address>".clone_into(text),
            Value::String(text) if in_cells && AGE.is_match(text) => "<age>".clone_into(text),
            Value::String(text) => *text = self.text(text),
            Value::Number(number) if matches!(key, "nodePort" | "healthCheckNodePort") => {
                let port = number.to_string();
                if port != "0" && !self.said.contains(&port) {
                    *value = self.named_port(port).into();
                }
            }
            _ => {}
        }
    }

    /// What a column of a built-in kind is about, each server says in its own words.
    fn column(&self, column: &mut Value) {
        if let Some(description) = column.get_mut("description")
            && description.as_str().is_some_and(|text| !text.is_empty() && !self.said.contains(text))
        {
            *description = "<text>".into();
        }
    }

    fn object(&mut self, object: &mut Map<String, Value>, of: Of, in_cells: bool) {
        // In one order, so that names do not depend on how a server orders its fields.
        let mut keys: Vec<String> = object.keys().cloned().collect();
        keys.sort();
        for key in keys {
            if let Some(value) = object.get_mut(&key) {
                match value {
                    Value::Object(metadata) if key == "metadata" => self.metadata(metadata, of),
                    other => self.value(other, &key, in_cells),
                }
            }
            let named = self.text(&key);
            if named != key
                && let Some(value) = object.remove(&key)
            {
                object.insert(named, value);
            }
        }
    }

    fn metadata(&mut self, metadata: &mut Map<String, Value>, of: Of) {
        if let Some(Value::String(revision)) = metadata.get_mut("resourceVersion") {
            *revision = match of {
                _ if revision.is_empty() || revision == "0" => revision.clone(),
                Of::List => "<list>".to_owned(),
                Of::Bookmark => "<bookmark>".to_owned(),
                Of::Object => self.named_revision(revision),
            };
        }
        if let Some(token @ Value::String(_)) = metadata.get_mut("continue")
            && token != ""
        {
            *token = "<continue>".into();
        }
        // They come in the order of their times, so a second that passes in between would change it.
        if let Some(Value::Array(managers)) = metadata.get_mut("managedFields") {
            let of = |manager: &Value, key: &str| manager[key].as_str().unwrap_or_default().to_owned();
            managers.sort_by_key(|it| {
                ["operation", "manager", "subresource", "apiVersion"].map(|key| of(it, key))
            });
        }
        self.object(metadata, Of::Object, false);
    }

    pub fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, pattern) in [("uid", &UID), ("address", &ADDRESS), ("token", &TOKEN)] {
            for found in pattern.find_iter(&text.clone()) {
                let found = found.as_str();
                if !self.known.contains_key(found) && !self.said.contains(found) {
                    let label = self.label(name);
                    self.known.insert(found.to_owned(), label);
                }
            }
        }
        if let Some((prefix, pattern)) = self.generated.clone() {
            for found in pattern.find_iter(&text.clone()) {
                if !self.known.contains_key(found.as_str()) {
                    let label = format!("{prefix}{}", self.label("generated"));
                    self.known.insert(found.as_str().to_owned(), label);
                }
            }
        }
        // The longest first: one address may be the beginning of another.
        let mut known: Vec<(&String, &String)> = self.known.iter().collect();
        known.sort_by_key(|(found, _)| std::cmp::Reverse(found.len()));
        for (found, label) in known {
            text = text.replace(found, label);
        }
        let text = TIME.replace_all(&text, |time: &Captures<'_>| self.time(&time[0]));
        let text = HASH.replace_all(&text, "hash=<hash>");
        let text = REVISION.replace_all(&text, |told: &Captures<'_>| {
            format!("{}{}", &told[1], self.revisions.get(&told[2]).map_or("<revision>", String::as_str))
        });
        PORT.replace_all(&text, |port: &Captures<'_>| {
            self.ports.get(&port[0]).cloned().unwrap_or_else(|| port[0].to_owned())
        })
        .into_owned()
    }

    /// Times of today are times of this run; others are what somebody said.
    fn time(&self, text: &str) -> String {
        let is_now = DateTime::parse_from_rfc3339(text)
            .is_ok_and(|time| (time.with_timezone(&Utc) - Utc::now()).abs() < TimeDelta::days(2));
        match (is_now && !self.said.contains(text), text.contains('.')) {
            (true, false) => "<time>".to_owned(),
            (true, true) => "<microtime>".to_owned(),
            (false, _) => text.to_owned(),
        }
    }

    fn named_revision(&mut self, revision: &str) -> String {
        if let Some(label) = self.revisions.get(revision) {
            return label.clone();
        }
        let label = self.label("revision");
        self.revisions.insert(revision.to_owned(), label.clone());
        label
    }

    fn named_port(&mut self, port: String) -> String {
        if let Some(label) = self.ports.get(&port) {
            return label.clone();
        }
        let label = self.label("port");
        self.ports.insert(port, label.clone());
        label
    }

    fn label(&mut self, what: &'static str) -> String {
        let count = self.named.entry(what).or_insert(0);
        *count += 1;
        if *count == 1 {
            format!("<{what} {}>", self.step)
        } else {
            format!("<{what} {}.{count}>", self.step)
        }
    }
}

fn body_of(answer: &Answer) -> Value {
    if let Ok(body) = serde_json::from_slice(&answer.body) {
        return body;
    }
    // How YAML is laid out is up to who writes it.
    if answer.content_type.starts_with("application/yaml")
        && let Ok(body) = yaml::parse(&String::from_utf8_lossy(&answer.body))
    {
        return body;
    }
    match std::str::from_utf8(&answer.body) {
        Ok("") => Value::Null,
        Ok(text) => text.into(),
        Err(_) => "<binary>".into(),
    }
}
