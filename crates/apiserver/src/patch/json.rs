//! JSON patch, RFC 6902.

use super::merge::json_type;
use super::{LIMITS, PatchError};
use serde_json::{Map, Value};

/// Applies a list of operations, all or none.
pub fn json(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let operations = operations(patch)?;
    let mut document = Document { root: object.clone(), copied_bytes: 0 };
    for operation in operations {
        document.apply(operation).map_err(PatchError::Unprocessable)?;
    }
    Ok(document.root)
}

/// Fields of operations that no operation has: `json patch unknown field "[0].foo"`, for a strict validation to
/// refuse and a lenient one to warn of.
pub fn json_unknown_fields(patch: &Value) -> Vec<String> {
    let operations = patch.as_array().into_iter().flatten().enumerate();
    let unknown = operations.flat_map(|(index, operation)| {
        let fields = operation.as_object().into_iter().flatten().map(|(name, _)| name);
        let unknown = fields.filter(|name| !["op", "path", "from", "value"].contains(&name.as_str()));
        unknown.map(move |name| format!("json patch unknown field \"[{index}].{name}\""))
    });
    unknown.collect()
}

type Operation = Map<String, Value>;

fn operations(patch: &Value) -> Result<Vec<&Operation>, PatchError> {
    let bad = |got: &Value, target: &str| {
        let got = json_type(got);
        PatchError::BadRequest(format!("error decoding patch: json: cannot unmarshal {got} into Go {target}"))
    };
    let list = match patch {
        Value::Array(list) => list,
        Value::Null => return Ok(Vec::new()),
        other => return Err(bad(other, "value of type []handlers.jsonPatchOp")),
    };
    let mut operations = Vec::with_capacity(list.len().min(LIMITS.operations));
    for operation in list {
        let Value::Object(operation) = operation else {
            return Err(bad(operation, "value of type handlers.jsonPatchOp"));
        };
        for name in ["op", "path", "from"] {
            match operation.get(name) {
                None | Some(Value::Null | Value::String(_)) => {}
                Some(other) => {
                    return Err(bad(other, &format!("struct field jsonPatchOp.{name} of type string")));
                }
            }
        }
        operations.push(operation);
    }
    if operations.len() > LIMITS.operations {
        return Err(PatchError::TooLarge(format!(
            "Request entity too large: The allowed maximum operations in a JSON patch is {}, got {}",
            LIMITS.operations,
            operations.len()
        )));
    }
    Ok(operations)
}

struct Document {
    root: Value,
    copied_bytes: usize,
}

/// A map or a list, and the name or number of one of its values.
struct Place<'v> {
    container: &'v mut Value,
    key: String,
    depth: usize,
}

impl Document {
    fn apply(&mut self, operation: &Operation) -> Result<(), String> {
        let text = |name| operation.get(name).and_then(Value::as_str);
        let path = || text("path").ok_or("operation missing path field: missing value");
        let from = || text("from").ok_or("operation, missing from field: missing value");
        let value = operation.get("value").unwrap_or(&Value::Null);
        match text("op").unwrap_or("unknown") {
            "add" => self.add(path()?, value.clone()),
            "remove" => self.place(path()?)?.remove().map(drop),
            "replace" => self.replace(path()?, operation.get("value")),
            "move" => {
                let moved = self.place(from()?)?.remove()?;
                self.add(path()?, moved)
            }
            "test" => self.test(path()?, operation.get("value")),
            "copy" => {
                let copied = self.place(from()?)?.get()?.cloned().unwrap_or(Value::Null);
                self.copied_bytes += serde_json::to_string(&copied).map_or(0, |text| text.len());
                if self.copied_bytes > LIMITS.copied_bytes {
                    return Err(format!(
                        "Unable to complete the copy, the accumulated size increase of copy is {}, exceeding the \
                         limit {}",
                        self.copied_bytes, LIMITS.copied_bytes
                    ));
                }
                self.add(path()?, copied)
            }
            other => Err(format!("Unexpected kind: {other}")),
        }
    }

    /// What is before the first slash does not count, and a path without one leads nowhere.
    fn place(&mut self, path: &str) -> Result<Place<'_>, String> {
        let missing = || format!("doc is missing path: {path}: missing value");
        let mut segments: Vec<String> = path.split('/').skip(1).map(unescape).collect();
        let key = segments.pop().ok_or_else(missing)?;
        let depth = segments.len() + 1;
        let mut container = &mut self.root;
        for segment in segments {
            container = match container {
                Value::Object(fields) => fields.get_mut(&segment),
                Value::Array(items) => index(&segment, items.len()).ok().and_then(|at| items.get_mut(at)),
                _ => None,
            }
            .ok_or_else(missing)?;
        }
        match container {
            Value::Object(_) | Value::Array(_) => Ok(Place { container, key, depth }),
            _ => Err(missing()),
        }
    }

    fn add(&mut self, path: &str, value: Value) -> Result<(), String> {
        self.place(path)?.add(value)
    }

    /// A field need not be there to be replaced; an item must.
    fn replace(&mut self, path: &str, value: Option<&Value>) -> Result<(), String> {
        if path.is_empty() {
            return match value {
                Some(value @ (Value::Object(_) | Value::Array(_))) => {
                    self.root = value.clone();
                    Ok(())
                }
                _ => Err("replace operation value must be object or array".to_owned()),
            };
        }
        let place = self.place(path)?;
        place.get()?;
        place.set(value.cloned().unwrap_or(Value::Null))
    }

    fn test(&mut self, path: &str, wanted: Option<&Value>) -> Result<(), String> {
        let passed = if path.is_empty() {
            wanted == Some(&self.root)
        } else {
            let place = self.place(path)?;
            let found = place.get()?.filter(|value| !value.is_null());
            found == wanted.filter(|value| !value.is_null())
        };
        if passed { Ok(()) } else { Err(format!("testing value {path} failed: test failed")) }
    }
}

impl Place<'_> {
    /// Nothing for a field that is not there; an item must be.
    fn get(&self) -> Result<Option<&Value>, String> {
        match &*self.container {
            Value::Array(items) => Ok(items.get(index(&self.key, items.len())?)),
            Value::Object(fields) => Ok(fields.get(&self.key)),
            _ => Ok(None),
        }
    }

    fn set(self, value: Value) -> Result<(), String> {
        self.refuse_too_deep(&value)?;
        match self.container {
            Value::Array(items) => {
                let at = index(&self.key, items.len())?;
                items[at] = value;
            }
            Value::Object(fields) => _ = fields.insert(self.key, value),
            _ => {}
        }
        Ok(())
    }

    fn add(self, value: Value) -> Result<(), String> {
        self.refuse_too_deep(&value)?;
        match self.container {
            Value::Array(items) if self.key == "-" => items.push(value),
            Value::Array(items) => {
                let at = index(&self.key, items.len() + 1)?;
                items.insert(at, value);
            }
            Value::Object(fields) => _ = fields.insert(self.key, value),
            _ => {}
        }
        Ok(())
    }

    fn remove(self) -> Result<Value, String> {
        match self.container {
            Value::Array(items) => {
                let at = index(&self.key, items.len())?;
                Ok(items.remove(at))
            }
            // Order among fields means nothing, and keeping it would cost their number for each removal.
            Value::Object(fields) => fields
                .swap_remove(&self.key)
                .ok_or_else(|| format!("Unable to remove nonexistent key: {}: missing value", self.key)),
            _ => Err("nothing to remove from".to_owned()),
        }
    }

    /// Copies into copies could nest deeper than anything that could be read.
    fn refuse_too_deep(&self, value: &Value) -> Result<(), String> {
        if self.depth > LIMITS.depth || exceeds(value, LIMITS.depth - self.depth) {
            return Err(format!("nested deeper than {} levels", LIMITS.depth));
        }
        Ok(())
    }
}

fn exceeds(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| exceeds(item, levels - 1)),
        Value::Object(fields) => levels == 0 || fields.values().any(|field| exceeds(field, levels - 1)),
        _ => false,
    }
}

/// An index below a length; a negative one counts from the end.
fn index(key: &str, length: usize) -> Result<usize, String> {
    let number: i64 = key.parse().map_err(|_| format!("value was not a proper array index: '{key}'"))?;
    let at =
        if number < 0 { i64::try_from(length).unwrap_or(i64::MAX).checked_add(number) } else { Some(number) };
    let at = at.and_then(|at| usize::try_from(at).ok()).filter(|at| *at < length);
    at.ok_or_else(|| format!("Unable to access invalid index: {number}: invalid index referenced"))
}

/// RFC 6901 section 4.
pub(super) fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}
