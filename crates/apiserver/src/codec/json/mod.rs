//! JSON as an API server reads it: into the type of a built-in kind, or into anything. One pass, in which wrong
//! types, unknown fields and fields that are there twice are found too; where there are several errors, the one
//! that Go's decoder would give.

mod scan;

#[cfg(test)]
mod tests;

use serde_json::{Map, Number, Value};

use super::{LIMITS, base64, quantity, time};
use crate::schema::text::quote;
use crate::types::{Form, ListOf, MapOf, Typed, Types};
use scan::Scanner;
pub use scan::Syntax;
pub(crate) use scan::lossy;

/// What a text holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    pub value: Value,
    /// `unknown field "a"`, `duplicate field "b"`, in the order of the text; at most a hundred.
    pub strict: Vec<String>,
}

/// Why a text holds no such value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error(transparent)]
    Syntax(#[from] Syntax),
    /// A value is not of the type of its field.
    #[error("{why}")]
    Type {
        why: String,
        /// The same in the words that are used where an object was no text before.
        restored: String,
    },
}

/// Reads a text into any value.
pub fn parse(bytes: &[u8]) -> Result<Parsed, JsonError> {
    Reader::of(bytes).parse(Reader::any)
}

/// Reads a text into a built-in kind. Unknown fields are left out; the value is not yet printed as the type
/// prints it.
pub fn parse_as(bytes: &[u8], types: &Types) -> Result<Parsed, JsonError> {
    Reader::of(bytes).parse(|reader| Ok(reader.value(types.root())?.unwrap_or(Value::Null)))
}

struct Reader<'a, 't> {
    scanner: Scanner<'a>,
    depth: usize,
    path: Vec<Step<'t>>,
    /// The innermost struct, by the name that Go prints.
    within: &'t str,
    strict: Vec<String>,
    /// The first value of a wrong type. Reading goes on, because Go reports what is no JSON first.
    wrong: Option<(String, String)>,
    /// What a type that reads itself says; Go stops there, so nothing after it counts.
    fatal: Option<String>,
}

enum Step<'t> {
    Field(&'t str),
    Entry(String),
    Index(usize),
}

/// What Go calls the JSON types in errors.
#[derive(Clone, Copy)]
enum Found<'a> {
    Array,
    Bool,
    Number(&'a str),
    Object,
    String,
}

const STRICT_ERRORS: usize = 100;

impl<'a, 't> Reader<'a, 't> {
    fn of(bytes: &'a [u8]) -> Self {
        Reader {
            scanner: Scanner::of(bytes),
            depth: 0,
            path: Vec::new(),
            within: "",
            strict: Vec::new(),
            wrong: None,
            fatal: None,
        }
    }

    fn parse(mut self, read: impl FnOnce(&mut Self) -> Result<Value, Syntax>) -> Result<Parsed, JsonError> {
        let value = read(&mut self)?;
        self.scanner.end()?;
        let fatal = self.fatal.map(|why| (why.clone(), why));
        match fatal.or(self.wrong) {
            Some((why, restored)) => Err(JsonError::Type { why, restored }),
            None => Ok(Parsed { value, strict: self.strict }),
        }
    }

    fn any(&mut self) -> Result<Value, Syntax> {
        Ok(match self.scanner.peek()? {
            b'{' => Value::Object(self.any_fields()?),
            b'[' => {
                let mut items = Vec::new();
                self.items(|reader| {
                    reader.path.push(Step::Index(items.len()));
                    items.push(reader.any()?);
                    reader.path.pop();
                    Ok(())
                })?;
                Value::Array(items)
            }
            b'"' => Value::String(self.scanner.string()?),
            b't' => self.scanner.literal("true").map(|()| Value::Bool(true))?,
            b'f' => self.scanner.literal("false").map(|()| Value::Bool(false))?,
            b'n' => self.scanner.literal("null").map(|()| Value::Null)?,
            b'-' | b'0'..=b'9' => {
                let text = self.scanner.number()?;
                number_of(text).unwrap_or_else(|| {
                    self.note_wrong(Found::Number(text), "float64", String::new());
                    Value::Null
                })
            }
            byte => return Err(Syntax::Unexpected { byte, context: BEGINNING }),
        })
    }

    fn any_fields(&mut self) -> Result<Map<String, Value>, Syntax> {
        let mut fields = Map::new();
        self.entries(|reader, key| {
            if fields.contains_key(&key) {
                reader.note_strict("duplicate", &key);
            }
            reader.path.push(Step::Entry(key));
            let value = reader.any()?;
            if let Some(Step::Entry(key)) = reader.path.pop() {
                fields.insert(key, value);
            }
            Ok(())
        })?;
        Ok(fields)
    }

    /// A value of a type; nothing where it was null, or not of that type.
    fn value(&mut self, typed: Typed<'t>) -> Result<Option<Value>, Syntax> {
        let atom = typed.atom();
        let next = self.scanner.peek()?;
        match (atom.form, &atom.list, &atom.map, next) {
            (_, _, _, b'n') => self.scanner.literal("null").map(|()| None),
            (Form::Struct, _, Some(map), b'{') => self.fields(typed, map).map(Some),
            (Form::Map, _, Some(map), b'{') => self.map(typed, map).map(Some),
            (Form::List | Form::BoxedList, Some(list), _, b'[') => self.list(typed, list).map(Some),
            (Form::String, _, _, b'"') => Ok(Some(Value::String(self.scanner.string()?))),
            (Form::Any | Form::Raw, ..) => self.any().map(Some),
            (form, ..) if form.holds_schemas() => self.schemas(typed, next).map(Some),
            _ => self.scalar(typed, next),
        }
    }

    /// A schema, several, or what there may be in place of one. Nobody is told of what is unknown in them.
    fn schemas(&mut self, typed: Typed<'t>, next: u8) -> Result<Value, Syntax> {
        let schema = typed.at(typed.arena.schema);
        let told = self.strict.len();
        let value = match next {
            b'{' => self.value(schema)?.unwrap_or_default(),
            b'[' if typed.atom().form == Form::SchemaOrArray => {
                let mut items = Vec::new();
                self.items(|reader| {
                    items.push(reader.value(schema)?.unwrap_or_else(|| schema.zero()));
                    Ok(())
                })?;
                Value::Array(items)
            }
            _ => self.any()?,
        };
        self.strict.truncate(told);
        Ok(value)
    }

    fn scalar(&mut self, typed: Typed<'t>, next: u8) -> Result<Option<Value>, Syntax> {
        let start = self.scanner.position();
        let mut text = String::new();
        let found = match next {
            b'"' => {
                text = self.scanner.string()?;
                Found::String
            }
            b'-' | b'0'..=b'9' => Found::Number(self.scanner.number()?),
            _ => self.skipped()?,
        };
        let form = typed.atom().form;
        let value = match (form, found) {
            (Form::Bool, Found::Bool) => Some(Value::Bool(next == b't')),
            (Form::Int64, Found::Number(number)) => number.parse::<i64>().ok().map(Value::from),
            (Form::Int32, Found::Number(number)) => number.parse::<i32>().ok().map(Value::from),
            (Form::Double, Found::Number(number)) => float(number),
            (Form::Bytes, Found::String) => {
                match base64::decode(&text) {
                    Ok(bytes) => return Ok(Some(base64::encode(&bytes).into())),
                    Err(at) => {
                        let why = format!("illegal base64 data at input byte {at}");
                        if self.wrong.is_none() && self.fatal.is_none() {
                            self.wrong = Some((why.clone(), why));
                        }
                    }
                }
                return Ok(None);
            }
            (Form::IntOrString, Found::String) => Some(Value::String(text)),
            (Form::IntOrString, Found::Number(number)) if number.parse::<i32>().is_ok() => number_of(number),
            (Form::IntOrString, found) => return Ok(self.note_fatal(found, "int32")),
            (Form::Time | Form::MicroTime, Found::String) => match time::canonical(&text, form) {
                Ok(value) => return Ok(value),
                Err(error) => return Ok(self.keep_fatal(error)),
            },
            (Form::Time | Form::MicroTime, Found::Number(_)) => {
                return Ok(self.note_fatal(Found::Number(""), "string"));
            }
            (Form::Time | Form::MicroTime, found) => return Ok(self.note_fatal(found, "string")),
            (Form::Quantity, _) => {
                let raw = lossy(self.scanner.since(start));
                let given = if matches!(found, Found::String) { &text } else { &raw };
                match quantity::canonical(given.trim()) {
                    Ok(text) => return Ok(Some(text.into())),
                    Err(error) => return Ok(self.keep_fatal(error.to_string())),
                }
            }
            _ => None,
        };
        if value.is_none() {
            let precise = matches!(form, Form::Int32 | Form::Int64 | Form::Double);
            let found = match found {
                Found::Number(_) if !precise => Found::Number(""),
                found => found,
            };
            self.note_wrong(found, &typed.go_name(), restored(found, form, &typed.go_name()));
        }
        Ok(value)
    }

    fn fields(&mut self, typed: Typed<'t>, map: &'t MapOf) -> Result<Value, Syntax> {
        let mut fields = Map::new();
        let outside = std::mem::replace(&mut self.within, map.go_name());
        self.entries(|reader, key| {
            let Some((name, field)) = map.fields.get_key_value(&key) else {
                reader.note_strict("unknown", &key);
                return reader.skipped().map(drop);
            };
            if fields.contains_key(&key) {
                reader.note_strict("duplicate", &key);
            }
            reader.path.push(Step::Field(name));
            let value = reader.value(typed.at(field.type_id))?;
            reader.path.pop();
            let value = value.or_else(|| fields.get_mut(&key).map(Value::take)).unwrap_or(Value::Null);
            fields.insert(key, value);
            Ok(())
        })?;
        self.within = outside;
        Ok(Value::Object(fields))
    }

    fn map(&mut self, typed: Typed<'t>, map: &'t MapOf) -> Result<Value, Syntax> {
        let element = typed.at(map.element);
        let mut fields = Map::new();
        self.entries(|reader, key| {
            if fields.contains_key(&key) {
                reader.note_strict("duplicate", &key);
            }
            reader.path.push(Step::Entry(key));
            let value = reader.value(element)?.unwrap_or_else(|| element.zero());
            if let Some(Step::Entry(key)) = reader.path.pop() {
                fields.insert(key, value);
            }
            Ok(())
        })?;
        Ok(Value::Object(fields))
    }

    fn list(&mut self, typed: Typed<'t>, list: &'t ListOf) -> Result<Value, Syntax> {
        let element = typed.at(list.element);
        let mut items = Vec::new();
        self.items(|reader| {
            reader.path.push(Step::Index(items.len()));
            let item = reader.value(element)?.unwrap_or_else(|| element.zero());
            reader.path.pop();
            items.push(item);
            Ok(())
        })?;
        Ok(Value::Array(items))
    }

    /// Passes over a value, which has to be JSON all the same.
    fn skipped(&mut self) -> Result<Found<'a>, Syntax> {
        Ok(match self.scanner.peek()? {
            b'{' => {
                self.entries(|reader, _| reader.skipped().map(drop))?;
                Found::Object
            }
            b'[' => {
                self.items(|reader| reader.skipped().map(drop))?;
                Found::Array
            }
            b'"' => {
                self.scanner.string()?;
                Found::String
            }
            b't' => self.scanner.literal("true").map(|()| Found::Bool)?,
            b'f' => self.scanner.literal("false").map(|()| Found::Bool)?,
            // Nothing is wrong with a null, so nobody asks what was found.
            b'n' => self.scanner.literal("null").map(|()| Found::Object)?,
            b'-' | b'0'..=b'9' => Found::Number(self.scanner.number()?),
            byte => return Err(Syntax::Unexpected { byte, context: BEGINNING }),
        })
    }
}

const BEGINNING: &str = "looking for beginning of value";
const BEGINNING_OF_KEY: &str = "looking for beginning of object key string";

/// What objects and arrays are made of, and what is wrong with them.
impl Reader<'_, '_> {
    fn entries(
        &mut self,
        mut entry: impl FnMut(&mut Self, String) -> Result<(), Syntax>,
    ) -> Result<(), Syntax> {
        self.descend(b'{')?;
        let mut is_first = true;
        loop {
            match self.scanner.peek()? {
                b'"' => {}
                b'}' if is_first => {
                    self.scanner.skip();
                    break;
                }
                byte => return Err(Syntax::Unexpected { byte, context: BEGINNING_OF_KEY }),
            }
            is_first = false;
            let key = self.scanner.string()?;
            self.scanner.either(b':', b':', "after object key")?;
            entry(self, key)?;
            if self.scanner.either(b'}', b',', "after object key:value pair")? {
                break;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn items(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Syntax>) -> Result<(), Syntax> {
        self.descend(b'[')?;
        if self.scanner.peek()? == b']' {
            self.scanner.skip();
        } else {
            loop {
                item(self)?;
                if self.scanner.either(b']', b',', "after array element")? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn descend(&mut self, byte: u8) -> Result<(), Syntax> {
        self.depth += 1;
        if self.depth > LIMITS.depth {
            return Err(Syntax::Unexpected { byte, context: "exceeded max depth" });
        }
        self.scanner.skip();
        Ok(())
    }

    fn note_strict(&mut self, what: &str, key: &str) {
        if self.strict.len() >= STRICT_ERRORS {
            return;
        }
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) => push_key(&mut path, name),
                Step::Entry(name) => push_key(&mut path, name),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        push_key(&mut path, key);
        let text = format!("{what} field {}", quote(&path));
        if !self.strict.contains(&text) {
            self.strict.push(text);
        }
    }

    fn note_wrong(&mut self, found: Found<'_>, expected: &str, restored: String) {
        if self.wrong.is_none() && self.fatal.is_none() {
            self.wrong = Some((self.mismatch(found, expected), restored));
        }
    }

    fn note_fatal(&mut self, found: Found<'_>, expected: &str) -> Option<Value> {
        let text = self.mismatch(found, expected);
        self.keep_fatal(text)
    }

    fn keep_fatal(&mut self, error: String) -> Option<Value> {
        self.fatal.get_or_insert(error);
        None
    }

    fn mismatch(&self, found: Found<'_>, expected: &str) -> String {
        let found = match found {
            Found::Array => "array".to_owned(),
            Found::Bool => "bool".to_owned(),
            Found::Object => "object".to_owned(),
            Found::String => "string".to_owned(),
            Found::Number("") => "number".to_owned(),
            Found::Number(text) => format!("number {text}"),
        };
        let names: Vec<&str> = self
            .path
            .iter()
            .filter_map(|step| if let Step::Field(name) = step { Some(*name) } else { None })
            .collect();
        let place = if names.is_empty() {
            "value".to_owned()
        } else {
            format!("struct field {}.{}", self.within, names.join("."))
        };
        format!("json: cannot unmarshal {found} into Go {place} of type {expected}")
    }
}

/// What is wrong in the words of what restores an object from its fields.
fn restored(found: Found<'_>, form: Form, go_name: &str) -> String {
    let kind = match found {
        Found::Array => "slice",
        Found::Bool => "bool",
        Found::Object => "map",
        Found::String => "string",
        Found::Number(text) if text.contains(['.', 'e', 'E']) => "float64",
        Found::Number(_) => "int64",
    };
    match (form, kind) {
        (Form::Struct, _) => format!("cannot restore struct from: {kind}"),
        (Form::Map, _) => format!("cannot restore map from {kind}"),
        (Form::List | Form::Bytes | Form::BoxedList, _) => format!("cannot restore slice from {kind}"),
        (Form::String, "int64") | (Form::Int32 | Form::Int64, "float64" | "int64") => {
            format!("cannot convert {kind} to {go_name}")
        }
        (Form::String, _) => "unrecognized type: string".to_owned(),
        _ => format!("unrecognized type: {go_name}"),
    }
}

fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

/// A number without a fraction as an integer if it fits, anything else as a float; nothing beyond those.
fn number_of(text: &str) -> Option<Value> {
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    float(text)
}

fn float(text: &str) -> Option<Value> {
    text.parse::<f64>().ok().filter(|float| float.is_finite()).map(number)
}

/// A float as Go prints it: one without a fraction looks like an integer, of the shortest digits and zeros.
pub(crate) fn number(float: f64) -> Value {
    if float.fract() == 0.0 {
        let text = float.abs().to_string();
        let integer = text.parse::<u64>().ok();
        match integer.map(|integer| (integer, i64::try_from(integer))) {
            Some((_, Ok(integer))) if float.is_sign_negative() => return (-integer).into(),
            Some((integer, _)) if float.is_sign_positive() => return integer.into(),
            _ => {}
        }
    }
    Number::from_f64(float).map_or(Value::Null, Value::Number)
}
