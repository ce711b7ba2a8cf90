//! Files, folders and standard input to documents that know where they come from.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::Value;

use super::FilesArgs;
use super::documents::{self, Document, LIMITS, Place};

/// How folders inside folders may nest.
const FOLDER_DEPTH: usize = 32;
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
const STANDARD_INPUT: &str = "-";

/// One object and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    file: String,
    place: Place,
}

impl Origin {
    /// Of an object that was not read from a file.
    pub(super) fn cluster() -> Origin {
        Origin { file: "<cluster>".to_owned(), place: Place { line: 1, column: 1 } }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.place)
    }
}

/// All objects in the order in which they are given. Lists are unpacked.
pub(super) fn read(args: &FilesArgs) -> anyhow::Result<Vec<Object>> {
    let mut objects = Vec::new();
    for name in &args.filename {
        if name == STANDARD_INPUT {
            let mut bytes = Vec::new();
            let limit = LIMITS.file_bytes as u64 + 1;
            std::io::stdin().lock().take(limit).read_to_end(&mut bytes).context("standard input")?;
            unpack_file("<stdin>", &bytes, &mut objects)?;
            continue;
        }
        for path in files(Path::new(name), args.recursive)? {
            let file = path.display().to_string();
            let mut bytes = Vec::new();
            let limit = LIMITS.file_bytes as u64 + 1;
            let opened = fs::File::open(&path).with_context(|| file.clone())?;
            opened.take(limit).read_to_end(&mut bytes).with_context(|| file.clone())?;
            unpack_file(&file, &bytes, &mut objects)?;
        }
    }
    Ok(objects)
}

/// A file is itself; a folder is the files in it that can hold resources, by name.
fn files(path: &Path, recursive: bool) -> anyhow::Result<Vec<PathBuf>> {
    let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    list(path, if recursive { FOLDER_DEPTH } else { 0 }, &mut found)?;
    if found.is_empty() {
        bail!("{}: no .yaml, .yml or .json file in this folder", path.display());
    }
    Ok(found)
}

fn list(folder: &Path, depth_left: usize, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries.map(|entry| entry.map(|it| it.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    for path in paths {
        let is_resource = |ending: &std::ffi::OsStr| ENDINGS.iter().any(|it| ending.eq_ignore_ascii_case(it));
        if path.is_dir() {
            if depth_left > 0 {
                list(&path, depth_left - 1, found)?;
            }
        } else if path.extension().is_some_and(is_resource) {
            found.push(path);
        }
    }
    Ok(())
}

fn unpack_file(file: &str, bytes: &[u8], objects: &mut Vec<Object>) -> anyhow::Result<()> {
    let documents = documents::read(bytes).map_err(|error| anyhow::anyhow!("{file}:{error}"))?;
    for Document { place, value } in documents {
        let origin = Origin { file: file.to_owned(), place };
        unpack(&origin, "this document", value, objects)?;
    }
    Ok(())
}

/// `what` is how messages call the value.
fn unpack(origin: &Origin, what: &str, value: Value, objects: &mut Vec<Object>) -> anyhow::Result<()> {
    let Value::Object(mut map) = value else {
        bail!("{origin}: {what} is not a resource: it is {}", described(&value));
    };
    let text = |map: &serde_json::Map<String, Value>, field: &str| match map.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::String(_)) | Some(Value::Null) | None => bail!("{origin}: {what} has no {field}"),
        Some(other) => bail!("{origin}: {field} of {what} is {}, not a text", described(other)),
    };
    text(&map, "apiVersion")?;
    let kind = text(&map, "kind")?;
    if kind.ends_with("List")
        && let Some(Value::Array(_)) = map.get("items")
        && let Some(Value::Array(items)) = map.remove("items")
    {
        for (index, item) in items.into_iter().enumerate() {
            let item = with_type_of_list(item, &kind, &map);
            unpack(origin, &format!("items[{index}] of this {kind}"), item, objects)?;
        }
        return Ok(());
    }
    objects.push(Object { origin: origin.clone(), value: Value::Object(map) });
    Ok(())
}

/// The items of a list of one kind need not name it.
fn with_type_of_list(mut item: Value, list_kind: &str, list: &serde_json::Map<String, Value>) -> Value {
    if let Value::Object(item) = &mut item
        && list_kind != "List"
    {
        let kind = list_kind.trim_end_matches("List");
        item.entry("kind").or_insert_with(|| kind.into());
        let api_version = list.get("apiVersion").cloned().unwrap_or_default();
        item.entry("apiVersion").or_insert(api_version);
    }
    item
}

fn described(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
