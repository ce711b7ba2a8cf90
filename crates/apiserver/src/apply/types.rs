//! The types that field sets, merging and comparing go by: what is one field, and what is many.
//! Knows no object; where a schema says nothing, the type is deduced from the value.

use super::LIMITS;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// The type of one version of a kind.
#[derive(Debug, Clone)]
pub struct Types {
    pub(crate) arena: Arc<Arena>,
    pub(crate) root: TypeId,
    /// Objects of built-in kinds are printed as their own types print them.
    pub(crate) built_in: bool,
}

/// A type's place in its arena. A type may contain itself, so types point by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TypeId(usize);

impl TypeId {
    /// No value has this type; it stands for fields that a schema does not declare.
    pub(crate) const NONE: Self = Self(0);
    /// Anything; maps and lists change as a whole.
    pub(crate) const UNTYPED: Self = Self(1);
    /// Anything; maps field by field, lists as a whole.
    pub(crate) const DEDUCED: Self = Self(2);
}

/// All types that a type can lead to.
#[derive(Debug)]
pub(crate) struct Arena(Vec<Atom>);

/// What values of a type may be; a value picks the one it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Atom {
    pub(crate) scalar: Option<Scalar>,
    pub(crate) list: Option<ListOf>,
    pub(crate) map: Option<MapOf>,
}

/// The kinds of scalar that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Numeric,
    String,
    Boolean,
    Untyped,
}

/// A list and how its items are identified.
#[derive(Debug, Clone)]
pub(crate) struct ListOf {
    pub(crate) element: TypeId,
    /// A list without identities changes as a whole.
    pub(crate) identity: Option<Identity>,
}

/// How an item of a list is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// By itself: the list is a set.
    Value,
    /// By some of its fields.
    Keys(Vec<String>),
}

/// A struct, a map, or both.
#[derive(Debug, Clone)]
pub(crate) struct MapOf {
    pub(crate) fields: HashMap<String, Field>,
    /// The type of entries that are no declared field.
    pub(crate) element: TypeId,
    pub(crate) atomic: bool,
    /// Entries are scalars of any type that have no name in the schema, and there are no fields.
    pub(crate) untyped: bool,
    /// The struct's name, where it has one.
    pub(crate) name: Option<String>,
}

/// A declared field.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) type_id: TypeId,
    /// What a missing key of a list item counts as.
    pub(crate) default: Option<Value>,
    pub(crate) presence: Presence,
    pub(crate) patch: PatchRule,
}

/// When the API server's own types print a field.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Presence {
    /// When it was given.
    #[default]
    Given,
    /// When it was given and is not empty.
    NotEmpty,
    /// Always; it is this where it was not given.
    Always(Value),
}

impl Field {
    pub(crate) fn of(type_id: TypeId) -> Self {
        Self { type_id, default: None, presence: Presence::Given, patch: PatchRule::default() }
    }
}

/// How a strategic merge patch treats a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PatchRule {
    pub(crate) merge: bool,
    pub(crate) replace: bool,
    pub(crate) key: Option<String>,
}

impl Arena {
    pub(crate) fn atom(&self, id: TypeId) -> &Atom {
        self.0.get(id.0).unwrap_or(&self.0[TypeId::NONE.0])
    }
}

impl MapOf {
    pub(crate) fn of(element: TypeId) -> Self {
        Self {
            fields: HashMap::new(),
            element,
            atomic: false,
            untyped: element == TypeId::DEDUCED,
            name: None,
        }
    }

    /// The type of a field by name, whether it is declared or an entry of the map.
    pub(crate) fn field(&self, name: &str) -> TypeId {
        self.fields.get(name).map_or(self.element, |field| field.type_id)
    }
}

impl Atom {
    pub(crate) fn scalar(scalar: Scalar) -> Self {
        Self { scalar: Some(scalar), ..Self::default() }
    }

    pub(crate) fn list(element: TypeId, identity: Option<Identity>) -> Self {
        Self { list: Some(ListOf { element, identity }), ..Self::default() }
    }

    pub(crate) fn map(map: MapOf) -> Self {
        Self { map: Some(map), ..Self::default() }
    }

    fn anything(element: TypeId, atomic: bool) -> Self {
        Self {
            scalar: Some(Scalar::Untyped),
            list: Some(ListOf { element: TypeId::UNTYPED, identity: None }),
            map: Some(MapOf { atomic, ..MapOf::of(element) }),
        }
    }
}

/// An arena under construction.
#[derive(Debug)]
pub(crate) struct Builder(Vec<Atom>);

impl Builder {
    pub(crate) fn new() -> Self {
        let untyped = Atom::anything(TypeId::UNTYPED, true);
        let deduced = Atom::anything(TypeId::DEDUCED, false);
        Self(vec![Atom::default(), untyped, deduced])
    }

    pub(crate) fn add(&mut self, atom: Atom) -> TypeId {
        self.0.push(atom);
        TypeId(self.0.len() - 1)
    }

    pub(crate) fn set(&mut self, id: TypeId, atom: Atom) {
        self.0[id.0] = atom;
    }

    pub(crate) fn get(&self, id: TypeId) -> &Atom {
        &self.0[id.0]
    }

    pub(crate) fn finish(self) -> Arc<Arena> {
        Arc::new(Arena(self.0))
    }
}

impl Types {
    /// The type of a custom resource, from its `openAPIV3Schema`; without one everything is deduced.
    ///
    /// The schema is one that [`crate::schema::Schema::parse`] accepts; what is malformed counts as absent.
    pub fn of_custom_resource(schema: Option<&Value>) -> Self {
        let mut builder = Builder::new();
        let root = match schema {
            Some(schema) => {
                let meta = super::kinds::add_object_meta(&mut builder);
                let mut parser = OpenApi { builder: &mut builder, meta };
                let mut atom = parser.atom(schema, false, 0);
                parser.add_type_meta(&mut atom);
                builder.add(atom)
            }
            None => TypeId::DEDUCED,
        };
        Self { arena: builder.finish(), root, built_in: false }
    }

    pub(crate) fn root(&self) -> Typed<'_> {
        Typed { arena: &self.arena, id: self.root }
    }
}

/// A type and where to look up the types it leads to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Typed<'a> {
    pub(crate) arena: &'a Arena,
    pub(crate) id: TypeId,
}

impl<'a> Typed<'a> {
    pub(crate) fn at(self, id: TypeId) -> Self {
        Self { id, ..self }
    }

    pub(crate) fn atom(self) -> &'a Atom {
        self.arena.atom(self.id)
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

/// What an object says it is and what it is called.
pub(crate) fn metadata(object: &Value) -> Option<&Map<String, Value>> {
    object.get("metadata")?.as_object()
}
