//! Reading a JSON value as a type, with the field that is wrong if it cannot be.
//!
//! Whatever is read of Kubernetes is read in here, because the code that reads a type is made once for each way of
//! reading, and there are many types.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

/// What is wrong, and where.
#[derive(Debug)]
pub struct Error {
    /// From the inside out.
    path: Vec<Segment>,
    reason: serde_json::Error,
}

#[derive(Debug)]
enum Segment {
    Key(String),
    Index(usize),
}

pub fn from_value<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, Error> {
    T::deserialize(Reader(value))
}

pub fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    from_bytes(text.as_bytes())
}

pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    from_value(&serde_json::from_slice(bytes).map_err(|reason| Error { path: Vec::new(), reason })?)
}

impl Error {
    /// As in `spec.ports[0].port`. Empty if it is the whole that is wrong.
    pub fn field(&self) -> String {
        let mut field = String::new();
        for segment in self.path.iter().rev() {
            match segment {
                Segment::Index(index) => field.push_str(&format!("[{index}]")),
                Segment::Key(key) if field.is_empty() => field.push_str(key),
                Segment::Key(key) => field.push_str(&format!(".{key}")),
            }
        }
        field
    }

    pub fn reason(&self) -> String {
        self.reason.to_string()
    }

    fn at(mut self, segment: Segment) -> Error {
        self.path.push(segment);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.field())?;
        }
        self.reason.fmt(f)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Error {
        Error { path: Vec::new(), reason: de::Error::custom(message) }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        Error { path: Vec::new(), reason: de::Error::invalid_type(found, expected) }
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Error {
        Error { path: Vec::new(), reason: de::Error::invalid_value(found, expected) }
    }
}

#[derive(Clone, Copy)]
struct Reader<'de>(&'de Value);

impl Reader<'_> {
    fn invalid(self, expected: &dyn Expected) -> Error {
        let found = match self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => Unexpected::Unsigned(number),
                (_, Some(number)) => Unexpected::Signed(number),
                _ => Unexpected::Float(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        };
        de::Error::invalid_type(found, expected)
    }

    fn number<'v, V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::Number(number) = self.0 else { return Err(self.invalid(&visitor)) };
        match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => visitor.visit_u64(number),
            (_, Some(number)) => visitor.visit_i64(number),
            _ => visitor.visit_f64(number.as_f64().unwrap_or_default()),
        }
    }
}

/// Each way of reading asks for few kinds of values, so that little is made for each type.
macro_rules! read_numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.number(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(_) => self.number(visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => read_list(items, visitor),
            Value::Object(fields) => read_object(fields, visitor),
        }
    }

    read_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(text) => visitor.visit_borrowed_str(text),
            _ => Err(self.invalid(&visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Bool(value) => visitor.visit_bool(*value),
            _ => Err(self.invalid(&visitor)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => read_list(items, visitor),
            _ => Err(self.invalid(&visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(fields) => read_object(fields, visitor),
            _ => Err(self.invalid(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(fields) => read_object(fields, visitor),
            Value::Array(items) => read_list(items, visitor),
            _ => Err(self.invalid(&visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(Variant { name, content: None }),
            Value::Object(fields) if fields.len() == 1 => {
                let mut fields = fields.iter();
                let (name, content) = fields.next().ok_or_else(|| self.invalid(&visitor))?;
                visitor.visit_enum(Variant { name, content: Some(content) })
            }
            Value::Object(_) => Err(de::Error::invalid_value(Unexpected::Map, &"map with a single key")),
            _ => Err(self.invalid(&"string or map")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier }
}

fn read_list<'de, V: Visitor<'de>>(items: &'de [Value], visitor: V) -> Result<V::Value, Error> {
    let mut list = List { items: items.iter(), index: 0 };
    let value = visitor.visit_seq(&mut list)?;
    match list.items.len() {
        0 => Ok(value),
        _ => Err(de::Error::invalid_length(items.len(), &"fewer elements in array")),
    }
}

fn read_object<'de, V: Visitor<'de>>(fields: &'de Map<String, Value>, visitor: V) -> Result<V::Value, Error> {
    let mut object = Object { fields: fields.iter(), value: None };
    let value = visitor.visit_map(&mut object)?;
    match object.fields.len() {
        0 => Ok(value),
        _ => Err(de::Error::invalid_length(fields.len(), &"fewer elements in map")),
    }
}

struct List<'de> {
    items: std::slice::Iter<'de, Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for &mut List<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Reader(item)).map(Some).map_err(|error| error.at(Segment::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Object<'de> {
    fields: serde_json::map::Iter<'de>,
    value: Option<(&'de str, &'de Value)>,
}

impl<'de> MapAccess<'de> for &mut Object<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.fields.next() else { return Ok(None) };
        self.value = Some((key, value));
        let read = seed.deserialize(de::value::BorrowedStrDeserializer::new(key));
        read.map(Some).map_err(|error: Error| error.at(Segment::Key(key.clone())))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let (key, value) = self.value.take().ok_or_else(|| de::Error::custom("value is missing"))?;
        seed.deserialize(Reader(value)).map_err(|error| error.at(Segment::Key(key.to_owned())))
    }
}

struct Variant<'de> {
    name: &'de str,
    content: Option<&'de Value>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        Ok((seed.deserialize(StrDeserializer::<Error>::new(self.name))?, self))
    }
}

impl<'de> Variant<'de> {
    fn content(&self, expected: &dyn Expected) -> Result<Reader<'de>, Error> {
        let content = self.content.map(Reader);
        content.ok_or_else(|| de::Error::invalid_type(Unexpected::UnitVariant, expected))
    }

    fn inside<T>(&self, read: Result<T, Error>) -> Result<T, Error> {
        read.map_err(|error| error.at(Segment::Key(self.name.to_owned())))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.content {
            Some(content) => self.inside(Deserialize::deserialize(Reader(content))),
            None => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        self.inside(seed.deserialize(self.content(&"newtype variant")?))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        let content = self.content(&"tuple variant")?;
        self.inside(match content.0 {
            Value::Array(items) if items.is_empty() => visitor.visit_unit(),
            Value::Array(items) => read_list(items, visitor),
            _ => Err(content.invalid(&"tuple variant")),
        })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let content = self.content(&"struct variant")?;
        self.inside(match content.0 {
            Value::Object(fields) => read_object(fields, visitor),
            _ => Err(content.invalid(&"struct variant")),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::core::v1::{Node, Service};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::metallb;

    /// What another reader makes of the same: the value, or the field and what is wrong.
    fn by_another<T: DeserializeOwned>(value: &Value) -> Result<T, (String, String)> {
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            (if path == "." { String::new() } else { path }, error.inner().to_string())
        })
    }

    fn here<T: DeserializeOwned>(value: &Value) -> Result<T, (String, String)> {
        from_value(value).map_err(|error| (error.field(), error.reason()))
    }

    fn is_as_by_another<T: DeserializeOwned + PartialEq + fmt::Debug>(value: &Value) {
        assert_eq!(here::<T>(value), by_another::<T>(value), "{value}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_field() {
        let value = json!({"spec": {"ports": [{"port": 80}, {"port": "http"}]}});
        let error = from_value::<Service>(&value).unwrap_err();
        assert_eq!(error.field(), "spec.ports[1].port");
        assert_eq!(error.to_string(), "spec.ports[1].port: invalid type: string \"http\", expected i32");
        assert_eq!(from_text::<Service>("[").unwrap_err().field(), "");
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    enum Shape {
        Dot,
        Circle(u8),
        Box { width: u8, height: Option<i64> },
        Pair(u8, String),
    }

    /// Any value, made of what the types that are read have for fields.
    fn values() -> impl Strategy<Value = Value> {
        let keys = "metadata|spec|status|name|labels|ports|port|targetPort|addresses|type|selector|\
                    matchExpressions|values|nodeSelectors|loadBalancer|ingress|ip|conditions|dot|circle|box|width";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (0_u8..200).prop_map(Value::from),
            "[a-z]{0,3}|dot|1h|10\\.0\\.0\\.0/8".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(keys, inner, 0..6)
                    .prop_map(|fields: BTreeMap<String, Value>| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_read_as_by_others(value in values()) {
            is_as_by_another::<Service>(&value);
            is_as_by_another::<Node>(&value);
            is_as_by_another::<metallb::IPAddressPool>(&value);
            is_as_by_another::<metallb::L2Advertisement>(&value);
            is_as_by_another::<Value>(&value);
            is_as_by_another::<Shape>(&value);
            is_as_by_another::<(u8, Option<String>)>(&value);
            is_as_by_another::<BTreeMap<String, Vec<i8>>>(&value);
        }
    }
}
