//! Objects of built-in kinds as Kubernetes writes them in protobuf: an envelope that names the kind, and the
//! object by the numbers of the table. Fields that the table does not have are skipped, as protobuf wants it.

mod wire;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::json::{self, lossy};
use super::{LIMITS, base64, quantity, time};
use crate::types::{Arena, Atom, Form, ListOf, Numbered, Part, TypeId, Types};
use wire::{Fields, Raw};

/// What every message begins with.
const PREFIX: &[u8] = b"k8s\0";

/// Why bytes are no object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    #[error("empty data")]
    NoData,
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoPrefix,
    #[error("empty body")]
    NoBody,
    #[error("unexpected EOF")]
    End,
    #[error("proto: integer overflow")]
    Overflow,
    #[error("proto: negative length found during unmarshaling")]
    Length,
    #[error("proto: illegal wireType {0}")]
    WireType(u64),
    #[error("proto: illegal tag {tag} (wire type {wire_type})")]
    IllegalTag { tag: u64, wire_type: u64 },
    #[error("proto: wiretype end group for non-group")]
    EndOfGroup,
    #[error("proto: wrong wireType = {wire_type} for field {field}")]
    WrongType { wire_type: u8, field: String },
    #[error("exceeded max depth")]
    Depth,
    #[error("{0}")]
    Json(String),
}

/// What an envelope says and holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    pub api_version: String,
    pub kind: String,
    /// The object itself.
    pub raw: &'a [u8],
}

impl<'a> Envelope<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, ProtobufError> {
        if bytes.is_empty() {
            return Err(ProtobufError::NoData);
        }
        let body = bytes.strip_prefix(PREFIX).ok_or(ProtobufError::NoPrefix)?;
        if body.is_empty() {
            return Err(ProtobufError::NoBody);
        }
        let mut envelope = Self::default();
        let mut fields = Fields::of(body);
        while let Some(field) = fields.next()? {
            match field {
                (1, Raw::Bytes(meta)) => {
                    let mut fields = Fields::of(meta);
                    while let Some(field) = fields.next()? {
                        match field {
                            (1, Raw::Bytes(text)) => envelope.api_version = lossy(text),
                            (2, Raw::Bytes(text)) => envelope.kind = lossy(text),
                            _ => {}
                        }
                    }
                }
                (2, Raw::Bytes(raw)) => envelope.raw = raw,
                _ => {}
            }
        }
        Ok(envelope)
    }

    /// The object in the envelope, printed as its type prints it.
    pub fn object(&self, types: &Types) -> Result<Value, ProtobufError> {
        let mut fields = Map::new();
        fields.insert("apiVersion".to_owned(), self.api_version.as_str().into());
        fields.insert("kind".to_owned(), self.kind.as_str().into());
        if let Some(map) = &types.root().atom().map {
            read_message(&types.arena, &map.numbered, self.raw, 0, &mut fields)?;
        }
        let mut object = Value::Object(fields);
        types.normalise(&mut object);
        Ok(object)
    }
}

fn read_message(
    arena: &Arena,
    numbered: &Numbered,
    bytes: &[u8],
    depth: usize,
    into: &mut Map<String, Value>,
) -> Result<(), ProtobufError> {
    if depth > LIMITS.depth {
        return Err(ProtobufError::Depth);
    }
    let mut fields = Fields::of(bytes);
    while let Some((number, raw)) = fields.next()? {
        match (numbered.get(number), raw) {
            (None, _) => {}
            (Some(Part::Embedded(inner)), Raw::Bytes(bytes)) => {
                read_message(arena, inner, bytes, depth + 1, into)?;
            }
            (Some(Part::Embedded(_)), raw) => return Err(wrong_type(raw, "embedded")),
            (Some(Part::Field(name, id)), raw) => {
                let before = into.get_mut(&**name).map(Value::take);
                let value = Reader { arena, depth: depth + 1, name }.field(*id, raw, before)?;
                into.insert(name.to_string(), value);
            }
        }
    }
    Ok(())
}

/// Reads the values of one field.
#[derive(Clone, Copy)]
struct Reader<'a> {
    arena: &'a Arena,
    depth: usize,
    name: &'a str,
}

impl Reader<'_> {
    /// The value of a field after one more occurrence of it: lists and maps grow, messages are merged.
    fn field(&self, id: TypeId, raw: Raw<'_>, before: Option<Value>) -> Result<Value, ProtobufError> {
        let atom = self.arena.atom(id);
        match (atom.form, &atom.list, &atom.map) {
            (Form::List, Some(list), _) => self.items(list, raw, before),
            (Form::Map, _, Some(map)) => {
                let mut entries = map_of(before);
                let (key, value) = self.entry(map.element, raw)?;
                entries.insert(key, value);
                Ok(Value::Object(entries))
            }
            (Form::Struct, _, Some(map)) => {
                let mut fields = map_of(before);
                read_message(self.arena, &map.numbered, self.bytes(raw)?, self.depth, &mut fields)?;
                Ok(Value::Object(fields))
            }
            _ => self.single(atom, raw),
        }
    }

    fn items(&self, list: &ListOf, raw: Raw<'_>, before: Option<Value>) -> Result<Value, ProtobufError> {
        let mut items = match before {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let is_number = matches!(self.arena.atom(list.element).form, Form::Int32 | Form::Int64 | Form::Bool);
        match raw {
            Raw::Bytes(packed) if is_number => {
                let mut packed = Fields::of(packed);
                while !packed.is_empty() {
                    let number = Raw::Varint(packed.varint()?);
                    items.push(self.field(list.element, number, None)?);
                }
            }
            raw => items.push(self.field(list.element, raw, None)?),
        }
        Ok(Value::Array(items))
    }

    /// An entry of a map is a message of a key and a value; what is missing in it is empty.
    fn entry(&self, element: TypeId, raw: Raw<'_>) -> Result<(String, Value), ProtobufError> {
        let mut fields = Fields::of(self.bytes(raw)?);
        let (mut key, mut value) = (String::new(), None);
        while let Some((number, raw)) = fields.next()? {
            match number {
                1 => key = lossy(self.bytes(raw)?),
                2 => value = Some(self.field(element, raw, value)?),
                _ => {}
            }
        }
        let value = match value {
            Some(value) => value,
            None => self.field(element, Raw::Bytes(&[]), None)?,
        };
        Ok((key, value))
    }

    fn single(&self, atom: &Atom, raw: Raw<'_>) -> Result<Value, ProtobufError> {
        Ok(match atom.form {
            Form::String => lossy(self.bytes(raw)?).into(),
            Form::Bytes => base64::encode(self.bytes(raw)?).into(),
            Form::Bool => (self.varint(raw)? != 0).into(),
            Form::Int32 => low_half(self.varint(raw)?).into(),
            Form::Int64 => self.varint(raw)?.cast_signed().into(),
            Form::Double => match raw {
                Raw::Fixed64(bits) => json::number(f64::from_bits(bits)),
                raw => return Err(wrong_type(raw, self.name)),
            },
            Form::Quantity => {
                let text = self.text_in(raw)?;
                quantity::canonical(&text).unwrap_or(text).into()
            }
            Form::IntOrString => self.int_or_string(raw)?,
            Form::Time | Form::MicroTime => self.time(raw, atom.form)?,
            Form::SchemaOrBool | Form::SchemaOrArray | Form::SchemaOrStrings => {
                self.schema_or(atom.form, raw)?
            }
            Form::BoxedList => self.strings(raw)?,
            _ => self.json(raw)?,
        })
    }

    /// A message with one text in it.
    fn text_in(&self, raw: Raw<'_>) -> Result<String, ProtobufError> {
        Ok(lossy(self.bytes_in(raw)?))
    }

    fn bytes_in<'r>(&self, raw: Raw<'r>) -> Result<&'r [u8], ProtobufError> {
        let mut fields = Fields::of(self.bytes(raw)?);
        let mut found: &[u8] = &[];
        while let Some((number, raw)) = fields.next()? {
            if number == 1 {
                found = self.bytes(raw)?;
            }
        }
        Ok(found)
    }

    fn int_or_string(&self, raw: Raw<'_>) -> Result<Value, ProtobufError> {
        let mut fields = Fields::of(self.bytes(raw)?);
        let (mut is_text, mut number, mut text) = (false, 0, String::new());
        while let Some((field, raw)) = fields.next()? {
            match field {
                1 => is_text = self.varint(raw)? != 0,
                2 => number = low_half(self.varint(raw)?),
                3 => text = lossy(self.bytes(raw)?),
                _ => {}
            }
        }
        Ok(if is_text { text.into() } else { number.into() })
    }

    /// No bytes are no time. Only times with microseconds have a fraction.
    fn time(&self, raw: Raw<'_>, form: Form) -> Result<Value, ProtobufError> {
        let bytes = self.bytes(raw)?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        let mut fields = Fields::of(bytes);
        let (mut seconds, mut nanos) = (0, 0);
        while let Some((number, raw)) = fields.next()? {
            match number {
                1 => seconds = self.varint(raw)?.cast_signed(),
                2 => nanos = low_half(self.varint(raw)?),
                _ => {}
            }
        }
        Ok(time::of_unix(seconds, u32::try_from(nanos).unwrap_or(0), form))
    }

    fn json(&self, raw: Raw<'_>) -> Result<Value, ProtobufError> {
        let bytes = self.bytes_in(raw)?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        json::parse(bytes).map(|parsed| parsed.value).map_err(|error| ProtobufError::Json(error.to_string()))
    }

    fn strings(&self, raw: Raw<'_>) -> Result<Value, ProtobufError> {
        let mut fields = Fields::of(self.bytes(raw)?);
        let mut items = Vec::new();
        while let Some((number, raw)) = fields.next()? {
            if number == 1 {
                items.push(Value::String(lossy(self.bytes(raw)?)));
            }
        }
        Ok(Value::Array(items))
    }

    /// A schema or something simpler in its place.
    fn schema_or(&self, form: Form, raw: Raw<'_>) -> Result<Value, ProtobufError> {
        let mut fields = Fields::of(self.bytes(raw)?);
        let (mut allows, mut schema, mut list) = (false, Value::Null, Vec::new());
        while let Some((number, raw)) = fields.next()? {
            match (form, number) {
                (Form::SchemaOrBool, 1) => allows = self.varint(raw)? != 0,
                (Form::SchemaOrBool, 2) | (_, 1) => schema = self.schema(raw)?,
                (Form::SchemaOrArray, 2) => list.push(self.schema(raw)?),
                (Form::SchemaOrStrings, 2) => list.push(lossy(self.bytes(raw)?).into()),
                _ => {}
            }
        }
        Ok(match form {
            Form::SchemaOrBool if schema.is_null() => allows.into(),
            _ if !list.is_empty() => list.into(),
            _ => schema,
        })
    }

    fn schema(&self, raw: Raw<'_>) -> Result<Value, ProtobufError> {
        let mut fields = Map::new();
        if let Some(map) = &self.arena.atom(self.arena.schema).map {
            read_message(self.arena, &map.numbered, self.bytes(raw)?, self.depth + 1, &mut fields)?;
        }
        Ok(Value::Object(fields))
    }

    fn bytes<'r>(&self, raw: Raw<'r>) -> Result<&'r [u8], ProtobufError> {
        match raw {
            Raw::Bytes(bytes) => Ok(bytes),
            raw => Err(wrong_type(raw, self.name)),
        }
    }

    fn varint(&self, raw: Raw<'_>) -> Result<u64, ProtobufError> {
        match raw {
            Raw::Varint(number) => Ok(number),
            // A map's value that is not there.
            Raw::Bytes([]) => Ok(0),
            raw => Err(wrong_type(raw, self.name)),
        }
    }
}

/// Numbers of 32 bits are written with 64 when they are negative.
fn low_half(number: u64) -> i32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

fn map_of(before: Option<Value>) -> Map<String, Value> {
    match before {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// Go's names of fields begin with a capital; beyond that the difference is not kept.
fn wrong_type(raw: Raw<'_>, name: &str) -> ProtobufError {
    let mut field = if name == "metadata" { "ObjectMeta" } else { name }.to_owned();
    if let Some(first) = field.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    ProtobufError::WrongType { wire_type: raw.wire_type(), field }
}
