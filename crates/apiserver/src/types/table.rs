//! The built-in kinds, read from the table beside this file.
//! Only shapes: what their values mean is no concern of this crate.

use super::{
    Arena, Atom, Builder, Field, Form, Identity, MapOf, PatchRule, Presence, Scalar, TypeId, Typed, Types,
};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

static TABLE: &str = include_str!("kinds.txt");

static KINDS: LazyLock<Kinds> = LazyLock::new(|| {
    let mut builder = Builder::new();
    let (names, kinds) = add_all(&mut builder, |_| true);
    builder.schema = names.get("JSONSchemaProps").copied().unwrap_or(TypeId::DEDUCED);
    Kinds { arena: builder.finish(), kinds }
});

struct Kinds {
    arena: Arc<Arena>,
    /// By apiVersion and kind.
    kinds: HashMap<(&'static str, &'static str), TypeId>,
}

impl Types {
    /// The type of a built-in kind; nothing for kinds that the table does not have.
    pub fn of_built_in(api_version: &str, kind: &str) -> Option<Self> {
        let root = *KINDS.kinds.get(&(api_version, kind))?;
        Some(Self { arena: KINDS.arena.clone(), root, built_in: true })
    }

    /// The type for an object of a kind that has no other: its metadata is known, the rest is deduced.
    pub fn of_unknown_kind() -> Self {
        let mut builder = Builder::new();
        let meta = add_object_meta(&mut builder);
        let mut map = MapOf::of(TypeId::DEDUCED);
        map.fields.insert("metadata".to_owned(), Field::of(meta));
        map.untyped = false;
        let root = builder.add(Atom { map: Some(map), ..builder.get(TypeId::DEDUCED).clone() });
        Self { arena: builder.finish(), root, built_in: false }
    }

    /// Prints an object as the API server's own type prints it: what such an object always has is added
    /// (a Service has a `status` with a `loadBalancer` in it, an Event a `firstTimestamp`), what is not
    /// printed when empty is left out. Changes nothing for custom resources.
    pub fn normalise(&self, object: &mut Value) {
        if self.built_in {
            normalise(&self.arena, self.root, object, Emptiness::Said);
        }
    }

    /// As [`Types::normalise`], for an object that is to be stored: where it ends up there is no difference between an
    /// empty list and none.
    pub fn normalise_stored(&self, object: &mut Value) {
        if self.built_in {
            normalise(&self.arena, self.root, object, Emptiness::Lost);
        }
    }
}

/// Whether a list that somebody said to be empty is told from one that nobody spoke of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Emptiness {
    Said,
    Lost,
}

fn normalise(arena: &Arena, id: TypeId, value: &mut Value, emptiness: Emptiness) {
    let atom = arena.atom(id);
    if atom.form.holds_schemas() {
        return match value {
            Value::Array(items) => {
                items.iter_mut().for_each(|item| normalise(arena, arena.schema, item, emptiness));
            }
            value => normalise(arena, arena.schema, value, emptiness),
        };
    }
    match value {
        Value::Object(fields) => {
            let Some(map) = &atom.map else { return };
            if map.name.is_some() {
                normalise_struct(map, fields, emptiness);
            }
            if atom.form == Form::Map {
                fields.sort_keys();
                fill(arena, map.element, fields.values_mut());
            }
            for (name, field) in fields {
                normalise(arena, map.field(name), field, emptiness);
            }
        }
        Value::Array(items) => {
            let Some(list) = &atom.list else { return };
            fill(arena, list.element, items.iter_mut());
            for item in items {
                normalise(arena, list.element, item, emptiness);
            }
        }
        _ => {}
    }
}

/// Something has to be in its place of what was given as null.
fn fill<'a>(arena: &Arena, id: TypeId, values: impl Iterator<Item = &'a mut Value>) {
    for value in values.filter(|value| value.is_null()) {
        *value = Typed { arena, id }.zero();
    }
}

fn normalise_struct(map: &MapOf, fields: &mut Map<String, Value>, emptiness: Emptiness) {
    fields.retain(|name, value| match map.fields.get(name).map(|field| &field.presence) {
        None => true,
        Some(Presence::Always(Value::Null)) if value.is_array() && emptiness == Emptiness::Lost => {
            !is_empty(value)
        }
        Some(Presence::NotEmpty) => !is_empty(value),
        Some(_) => !value.is_null(),
    });
    let always = map.fields.iter().filter_map(|(name, field)| match &field.presence {
        Presence::Always(value) if !fields.contains_key(name) => Some((name, value)),
        _ => None,
    });
    let mut absent: Vec<_> = always.collect();
    absent.sort_by_key(|(name, _)| *name);
    for (name, value) in absent {
        fields.insert(name.clone(), value.clone());
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}

/// The type of `metadata`, for an arena of its own.
pub(crate) fn add_object_meta(builder: &mut Builder) -> TypeId {
    let wanted = ["ObjectMeta", "ManagedFieldsEntry", "OwnerReference"];
    let (names, _) = add_all(builder, |name| wanted.contains(&name));
    names.get("ObjectMeta").copied().unwrap_or(TypeId::DEDUCED)
}

type Names = HashMap<&'static str, TypeId>;

fn add_all(
    builder: &mut Builder,
    wanted: impl Fn(&str) -> bool,
) -> (Names, HashMap<(&'static str, &'static str), TypeId>) {
    let lines: Vec<Line> = TABLE.lines().filter_map(Line::parse).filter(|line| wanted(line.name)).collect();
    let names: Names = lines.iter().map(|line| (line.name, builder.add(Atom::default()))).collect();
    let mut reader = Reader { builder, names, whole: Vec::new() };
    for line in &lines {
        reader.read(line);
    }
    let Reader { builder, names, whole } = reader;
    for (copy, original) in whole {
        let mut atom = builder.get(original).clone();
        if let Some(map) = &mut atom.map {
            map.atomic = true;
        }
        builder.set(copy, atom);
    }
    let kinds = lines.iter().filter_map(|line| {
        let kind = line.name.rsplit('.').next()?;
        Some(((line.api_version?, kind), *names.get(line.name)?))
    });
    (names.clone(), kinds.collect())
}

/// One line of the table.
struct Line {
    name: &'static str,
    api_version: Option<&'static str>,
    atomic: bool,
    fields: &'static str,
}

impl Line {
    fn parse(line: &'static str) -> Option<Self> {
        let (head, fields) = line.split_once(" |")?;
        if head.starts_with('#') {
            return None;
        }
        let mut words = head.split(' ');
        let name = words.next()?;
        let rest: Vec<_> = words.collect();
        let api_version = rest.iter().find_map(|word| word.strip_prefix('='));
        Some(Self { name, api_version, atomic: rest.contains(&"!"), fields })
    }
}

struct Reader<'b> {
    builder: &'b mut Builder,
    names: Names,
    /// Types that are another type as a whole: (the copy, the original).
    whole: Vec<(TypeId, TypeId)>,
}

impl Reader<'_> {
    fn read(&mut self, line: &Line) {
        let mut map = MapOf::of(TypeId::NONE);
        map.name = Some(line.name.to_owned());
        map.atomic = line.atomic;
        for field in line.fields.split_ascii_whitespace() {
            if let Some((name, rest)) = field.split_once(':') {
                let (path, text) = numbers(rest);
                let field = self.field(text);
                map.numbered.insert(&path, name, field.type_id);
                map.fields.insert(name.to_owned(), field);
            }
        }
        if let Some(id) = self.names.get(line.name) {
            self.builder.set(*id, Atom::map(map).written(Form::Struct));
        }
    }

    fn field(&mut self, text: &'static str) -> Field {
        let (text, patch) = match text.split_once('~') {
            Some((text, rule)) => (text, patch_rule(rule)),
            None => (text, PatchRule::default()),
        };
        let (text, default) = match text.split_once('=') {
            Some((text, default)) => (text, serde_json::from_str(default).ok()),
            None => (text, None),
        };
        let (text, presence) = match (text.strip_suffix('-'), text.split_once('+')) {
            (Some(text), _) => (text, Presence::NotEmpty),
            (None, Some((text, value))) => (text, Presence::Always(always(value))),
            (None, None) => (text, Presence::Given),
        };
        Field { type_id: self.type_of(text), default, presence, patch }
    }

    fn type_of(&mut self, text: &'static str) -> TypeId {
        if let Some(whole) = text.strip_suffix('!') {
            let original = self.type_of(whole);
            let copy = self.builder.add(Atom::default());
            self.whole.push((copy, original));
            return copy;
        }
        let (text, go_name) = match text.rsplit_once('\'') {
            Some((text, name)) if !name.contains([']', '>']) => (text, Some(name)),
            _ => (text, None),
        };
        let atom = if let Some(element) = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')) {
            let element = if element == "?" { TypeId::DEDUCED } else { self.type_of(element) };
            let form = match go_name {
                Some(FIELDS) => Form::Raw,
                Some(NOTHING) => Form::Struct,
                _ => Form::Map,
            };
            Atom::map(MapOf::of(element)).written(form)
        } else if let Some((element, identity)) =
            text.strip_prefix('[').and_then(|text| text.rsplit_once(']'))
        {
            let element = self.type_of(element);
            let form = if go_name == Some(BOXED) { Form::BoxedList } else { Form::List };
            Atom::list(element, identity_of(identity)).written(form)
        } else {
            match scalar(text) {
                Some((scalar, form)) => Atom::scalar(scalar).written(form),
                None if text == "?" => self.builder.get(TypeId::UNTYPED).clone().written(Form::Raw),
                None if text == "*" => self.builder.get(TypeId::DEDUCED).clone().written(any_form(go_name)),
                None => return self.names.get(text).copied().unwrap_or(TypeId::DEDUCED),
            }
        };
        self.builder.add(Atom { go_name, ..atom })
    }
}

/// The names of the types that are written unlike others of their form.
const FIELDS: &str = "FieldsV1";
const NOTHING: &str = "CustomResourceSubresourceStatus";
const BOXED: &str = "ExtraValue";

fn scalar(text: &str) -> Option<(Scalar, Form)> {
    Some(match text {
        "s" => (Scalar::String, Form::String),
        "y" => (Scalar::String, Form::Bytes),
        "b" => (Scalar::Boolean, Form::Bool),
        "i" => (Scalar::Numeric, Form::Int32),
        "l" => (Scalar::Numeric, Form::Int64),
        "f" => (Scalar::Numeric, Form::Double),
        "q" => (Scalar::Untyped, Form::Quantity),
        "x" => (Scalar::Untyped, Form::IntOrString),
        "t" => (Scalar::Untyped, Form::Time),
        "m" => (Scalar::Untyped, Form::MicroTime),
        _ => return None,
    })
}

fn any_form(go_name: Option<&str>) -> Form {
    match go_name {
        Some("JSONSchemaPropsOrBool") => Form::SchemaOrBool,
        Some("JSONSchemaPropsOrArray") => Form::SchemaOrArray,
        Some("JSONSchemaPropsOrStringArray") => Form::SchemaOrStrings,
        _ => Form::Raw,
    }
}

/// The numbers that lead to a field, and what follows them.
fn numbers(text: &str) -> (Vec<u32>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    (path.split('.').filter_map(|number| number.parse().ok()).collect(), rest)
}

/// `{}` for a set, `{a,b}` for a list by keys, nothing for a list as a whole.
fn identity_of(text: &str) -> Option<Identity> {
    let keys = text.strip_prefix('{')?.strip_suffix('}')?;
    if keys.is_empty() {
        return Some(Identity::Value);
    }
    Some(Identity::Keys(keys.split(',').map(str::to_owned).collect()))
}

/// `merge(key)`, `merge,retainKeys(key)`, `retainKeys`, `replace`.
fn patch_rule(text: &str) -> PatchRule {
    let (strategies, key) = match text.split_once('(') {
        Some((strategies, key)) => (strategies, key.strip_suffix(')').map(str::to_owned)),
        None => (text, None),
    };
    let has = |wanted| strategies.split(',').any(|strategy| strategy == wanted);
    PatchRule { merge: has("merge"), replace: has("replace"), key }
}

/// Nothing stands for an empty struct.
fn always(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::Object(Map::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_type_that_the_table_names_is_in_the_table() {
        let names: Vec<_> = TABLE.lines().filter_map(Line::parse).map(|line| line.name).collect();
        for line in TABLE.lines().filter_map(Line::parse) {
            for field in line.fields.split_ascii_whitespace() {
                let (_, text) = field.split_once(':').expect("a field has a type");
                let (_, text) = numbers(text);
                let text = text.split(['~', '=', '+', '-', '!', '{', '\'']).next().unwrap_or_default();
                let name = text.trim_matches(['[', ']', '<', '>']);
                let primitive = scalar(name).is_some() || ["*", "?"].contains(&name);
                assert!(primitive || names.contains(&name), "{}: {field}", line.name);
            }
        }
    }

    #[test]
    fn a_service_always_has_a_status_and_no_empty_labels() {
        let types = Types::of_built_in("v1", "Service").expect("a built-in kind");
        let ports = json!([{"port": 80, "nodePort": 0}]);
        let mut service =
            json!({"metadata": {"labels": {}, "name": null}, "spec": {"ports": ports, "clusterIP": ""}});
        types.normalise(&mut service);
        let ports = json!([{"port": 80, "targetPort": 0}]);
        assert_eq!(
            service,
            json!({"metadata": {}, "spec": {"ports": ports}, "status": {"loadBalancer": {}}})
        );
        assert!(Types::of_built_in("v2", "Service").is_none());
    }

    #[test]
    fn two_kinds_of_one_name_are_told_apart_by_their_version() {
        for (api_version, field) in [("v1", "message"), ("events.k8s.io/v1", "note")] {
            let types = Types::of_built_in(api_version, "Event").expect("a built-in kind");
            let map = types.root().atom().map.as_ref().expect("a struct");
            assert!(map.fields.contains_key(field), "{api_version}");
        }
    }
}
