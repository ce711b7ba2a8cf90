//! The types of custom resources, read from their structural schemas.

use super::{Atom, Builder, Field, Identity, ListOf, MapOf, Scalar, TypeId, Types};
use crate::apply::LIMITS;
use serde_json::Value;

impl Types {
    /// The type of a custom resource, from its `openAPIV3Schema`; without one everything is deduced.
    ///
    /// The schema is one that [`crate::schema::Schema::parse`] accepts; what is malformed counts as absent.
    pub fn of_custom_resource(schema: Option<&Value>) -> Self {
        let mut builder = Builder::new();
        let root = match schema {
            Some(schema) => {
                let meta = super::table::add_object_meta(&mut builder);
                let mut parser = OpenApi { builder: &mut builder, meta };
                let mut atom = parser.atom(schema, false, 0);
                parser.add_type_meta(&mut atom);
                builder.add(atom)
            }
            None => TypeId::DEDUCED,
        };
        Self { arena: builder.finish(), root, built_in: false }
    }
}

/// Reads structural schemas.
struct OpenApi<'b> {
    builder: &'b mut Builder,
    meta: TypeId,
}

impl OpenApi<'_> {
    fn reference(&mut self, schema: &Value, preserve: bool, depth: usize) -> TypeId {
        let atom = self.atom(schema, preserve, depth);
        self.builder.add(atom)
    }

    /// `preserve` is inherited: below a node that keeps unknown fields, all nodes do.
    fn atom(&mut self, schema: &Value, preserve: bool, depth: usize) -> Atom {
        if depth > LIMITS.depth {
            return self.builder.get(TypeId::DEDUCED).clone();
        }
        let preserve = preserve || flag(schema, "x-kubernetes-preserve-unknown-fields");
        let mut atom = match schema.get("type").and_then(Value::as_str).unwrap_or_default() {
            "object" => Atom::map(self.map(schema, preserve, depth)),
            "array" => Atom { list: Some(self.list(schema, preserve, depth)), ..Atom::default() },
            "integer" | "number" => Atom::scalar(Scalar::Numeric),
            "boolean" => Atom::scalar(Scalar::Boolean),
            "string" => {
                let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
                let plain = matches!(format, "" | "byte");
                Atom::scalar(if plain { Scalar::String } else { Scalar::Untyped })
            }
            _ => Atom {
                scalar: Some(Scalar::Untyped),
                list: Some(self.list(schema, preserve, depth)),
                map: Some(self.map(schema, preserve, depth)),
                ..Atom::default()
            },
        };
        if flag(schema, "x-kubernetes-embedded-resource") {
            self.add_type_meta(&mut atom);
        }
        atom
    }

    fn map(&mut self, schema: &Value, preserve: bool, depth: usize) -> MapOf {
        let mut map = MapOf::of(TypeId::NONE);
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let type_id = self.reference(property, preserve, depth + 1);
            let default = property.get("default").filter(|value| !value.is_null()).cloned();
            map.fields.insert(name.clone(), Field { default, ..Field::of(type_id) });
        }
        map.element = match schema.get("additionalProperties") {
            None | Some(Value::Null) if preserve || map.fields.is_empty() => TypeId::DEDUCED,
            Some(Value::Bool(true)) => TypeId::DEDUCED,
            Some(entry @ Value::Object(_)) => self.reference(entry, preserve, depth + 1),
            _ => TypeId::NONE,
        };
        let untyped =
            map.element == TypeId::DEDUCED || self.builder.get(map.element).scalar == Some(Scalar::Untyped);
        map.untyped = untyped && map.fields.is_empty();
        map.atomic = schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic");
        map
    }

    fn list(&mut self, schema: &Value, preserve: bool, depth: usize) -> ListOf {
        let element = match schema.get("items") {
            Some(items @ Value::Object(_)) => self.reference(items, preserve, depth + 1),
            _ => TypeId::UNTYPED,
        };
        let identity = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("set") => Some(Identity::Value),
            Some("map") => {
                let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
                let keys = keys.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
                Some(Identity::Keys(keys.collect()))
            }
            _ => None,
        };
        ListOf { element, identity }
    }

    /// An object has these whether or not its schema says so.
    fn add_type_meta(&mut self, atom: &mut Atom) {
        let string = self.builder.add(Atom::scalar(Scalar::String));
        if let Some(map) = &mut atom.map {
            for (name, type_id) in [("apiVersion", string), ("kind", string), ("metadata", self.meta)] {
                map.fields.insert(name.to_owned(), Field::of(type_id));
            }
            map.untyped = false;
        }
    }
}

fn flag(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword).and_then(Value::as_bool).unwrap_or_default()
}
