//! The types of objects: what their fields are, what is one field and what is many, how they are written down.
//! Knows no object; where a schema says nothing, the type is deduced from the value.

mod describe;
mod schema;
mod table;

pub use describe::{schema_of, schemas_of};

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
pub(crate) struct Arena {
    atoms: Vec<Atom>,
    /// The schemas inside a CustomResourceDefinition, if there are any.
    pub(crate) schema: TypeId,
}

/// What values of a type may be; a value picks the one it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Atom {
    pub(crate) scalar: Option<Scalar>,
    pub(crate) list: Option<ListOf>,
    pub(crate) map: Option<MapOf>,
    /// Of a type that the table of built-in kinds has.
    pub(crate) form: Form,
    /// What Go calls the type, where that is not what it calls all of this form.
    pub(crate) go_name: Option<&'static str>,
}

/// How values of a built-in type are written down and read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// Not known; any value will do.
    #[default]
    Any,
    String,
    /// Base64 in JSON.
    Bytes,
    Bool,
    Int32,
    Int64,
    Double,
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    /// JSON inside a message with one field of bytes.
    Raw,
    /// A schema, or whether anything is allowed.
    SchemaOrBool,
    SchemaOrArray,
    SchemaOrStrings,
    List,
    /// A list that is a message of its own.
    BoxedList,
    Map,
    Struct,
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
    /// The struct's name in the table, where it has one.
    pub(crate) name: Option<String>,
    pub(crate) numbered: Numbered,
}

/// The fields of a struct by their number in protobuf, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbered(Vec<(u32, Part)>);

/// What a number of a protobuf message stands for.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Field(Box<str>, TypeId),
    /// A message of its own, whose fields are the struct's own everywhere else.
    Embedded(Numbered),
}

impl Form {
    /// Whether a value is a schema, some of them, or something simpler in their place.
    pub(crate) fn holds_schemas(self) -> bool {
        matches!(self, Form::SchemaOrBool | Form::SchemaOrArray | Form::SchemaOrStrings)
    }
}

impl Numbered {
    pub(crate) fn get(&self, number: u32) -> Option<&Part> {
        let at = self.0.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&self.0[at].1)
    }

    fn insert(&mut self, path: &[u32], name: &str, type_id: TypeId) {
        let [number, rest @ ..] = path else { return };
        let at = match self.0.binary_search_by_key(number, |(number, _)| *number) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (*number, Part::Embedded(Numbered::default())));
                at
            }
        };
        match &mut self.0[at].1 {
            Part::Embedded(inner) if !rest.is_empty() => inner.insert(rest, name, type_id),
            part => *part = Part::Field(name.into(), type_id),
        }
    }
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
        self.atoms.get(id.0).unwrap_or(&self.atoms[TypeId::NONE.0])
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
            numbered: Numbered::default(),
        }
    }

    /// What Go calls the struct, without its package.
    pub(crate) fn go_name(&self) -> &str {
        let name = self.name.as_deref().unwrap_or_default();
        name.rsplit('.').next().unwrap_or_default()
    }

    /// The type of a field by name, whether it is declared or an entry of the map.
    pub(crate) fn field(&self, name: &str) -> TypeId {
        self.fields.get(name).map_or(self.element, |field| field.type_id)
    }
}

impl Atom {
    /// The same type, with what is known of how it is written.
    pub(crate) fn written(self, form: Form) -> Self {
        Self { form, ..self }
    }

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
            ..Self::default()
        }
    }
}

/// An arena under construction.
#[derive(Debug)]
pub(crate) struct Builder {
    atoms: Vec<Atom>,
    pub(crate) schema: TypeId,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let untyped = Atom::anything(TypeId::UNTYPED, true);
        let deduced = Atom::anything(TypeId::DEDUCED, false);
        Self { atoms: vec![Atom::default(), untyped, deduced], schema: TypeId::DEDUCED }
    }

    pub(crate) fn add(&mut self, atom: Atom) -> TypeId {
        self.atoms.push(atom);
        TypeId(self.atoms.len() - 1)
    }

    pub(crate) fn set(&mut self, id: TypeId, atom: Atom) {
        self.atoms[id.0] = atom;
    }

    pub(crate) fn get(&self, id: TypeId) -> &Atom {
        &self.atoms[id.0]
    }

    pub(crate) fn finish(self) -> Arc<Arena> {
        Arc::new(Arena { atoms: self.atoms, schema: self.schema })
    }
}

impl Types {
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

/// What an object says it is and what it is called.
pub(crate) fn metadata(object: &Value) -> Option<&Map<String, Value>> {
    object.get("metadata")?.as_object()
}

impl Typed<'_> {
    /// What Go calls the type in errors.
    pub(crate) fn go_name(self) -> String {
        let atom = self.atom();
        if let Some(name) = atom.go_name {
            return if name.contains('.') { name.to_owned() } else { format!("v1.{name}") };
        }
        let name = match atom.form {
            Form::String => "string",
            Form::Bytes => "[]uint8",
            Form::Bool => "bool",
            Form::Int32 => "int32",
            Form::Int64 => "int64",
            Form::Double => "float64",
            Form::Quantity => "resource.Quantity",
            Form::IntOrString => "intstr.IntOrString",
            Form::Time => "v1.Time",
            Form::MicroTime => "v1.MicroTime",
            _ => {
                return match (&atom.list, &atom.map) {
                    (Some(list), _) => format!("[]{}", self.at(list.element).go_name()),
                    (None, Some(map)) if atom.form == Form::Struct => {
                        format!("v1.{}", map.go_name())
                    }
                    (None, Some(map)) => format!("map[string]{}", self.at(map.element).go_name()),
                    (None, None) => String::new(),
                };
            }
        };
        name.to_owned()
    }

    /// What an item is that was given as null.
    pub(crate) fn zero(self) -> Value {
        match self.atom().form {
            Form::String | Form::Bytes => Value::String(String::new()),
            Form::Bool => Value::Bool(false),
            Form::Int32 | Form::Int64 | Form::Double | Form::IntOrString => 0.into(),
            Form::Quantity => "0".into(),
            Form::Struct => Value::Object(Map::new()),
            _ => Value::Null,
        }
    }
}
