//! The built-in kinds, read from the table beside this file.
//! Only shapes: what their values mean is no concern of this crate.

use super::types::{Arena, Atom, Builder, Field, Identity, MapOf, PatchRule, Scalar, TypeId, Types};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

static TABLE: &str = include_str!("kinds.txt");

static KINDS: LazyLock<Kinds> = LazyLock::new(|| {
    let mut builder = Builder::new();
    let (names, kinds) = add_all(&mut builder, |_| true);
    let meta = names.get("ObjectMeta").copied().unwrap_or(TypeId::DEDUCED);
    Kinds { arena: builder.finish(), kinds, meta }
});

struct Kinds {
    arena: Arc<Arena>,
    /// By apiVersion and kind.
    kinds: HashMap<(&'static str, &'static str), TypeId>,
    meta: TypeId,
}

impl Types {
    /// The type of a built-in kind; nothing for kinds that the table does not have.
    pub fn of_built_in(api_version: &str, kind: &str) -> Option<Self> {
        let root = *KINDS.kinds.get(&(api_version, kind))?;
        Some(Self { arena: KINDS.arena.clone(), root })
    }

    /// The type for an object of a kind that has no other: its metadata is known, the rest is deduced.
    pub fn of_unknown_kind() -> Self {
        let mut builder = Builder::new();
        let meta = add_object_meta(&mut builder);
        let mut map = MapOf::of(TypeId::DEDUCED);
        map.fields.insert("metadata".to_owned(), plain(meta));
        map.untyped = false;
        let root = builder.add(Atom { map: Some(map), ..builder.get(TypeId::DEDUCED).clone() });
        Self { arena: builder.finish(), root }
    }

    /// Adds, all through an object, the structs that objects of this type always have: a Service has
    /// a `status` with a `loadBalancer` in it, and a container has `resources`, even if they are empty.
    pub fn fill_in(&self, object: &mut Value) {
        fill_in(&self.arena, self.root, object);
    }

    pub(crate) fn object_meta() -> Self {
        Self { arena: KINDS.arena.clone(), root: KINDS.meta }
    }
}

fn fill_in(arena: &Arena, id: TypeId, value: &mut Value) {
    let atom = arena.atom(id);
    match value {
        Value::Object(fields) => {
            let Some(map) = &atom.map else { return };
            let mut absent: Vec<_> =
                map.fields.iter().filter(|(name, field)| field.always_there && !fields.contains_key(*name)).collect();
            absent.sort_by_key(|(name, _)| *name);
            for (name, _) in absent {
                fields.insert(name.clone(), Value::Object(Map::new()));
            }
            for (name, field) in fields {
                fill_in(arena, map.field(name), field);
            }
        }
        Value::Array(items) => {
            let Some(list) = &atom.list else { return };
            for item in items {
                fill_in(arena, list.element, item);
            }
        }
        _ => {}
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
        map.name = line.name.rsplit('.').next().map(str::to_owned);
        map.atomic = line.atomic;
        for field in line.fields.split_ascii_whitespace() {
            if let Some((name, rest)) = field.split_once(':') {
                let field = self.field(rest);
                map.fields.insert(name.to_owned(), field);
            }
        }
        if let Some(id) = self.names.get(line.name) {
            self.builder.set(*id, Atom::map(map));
        }
    }

    fn field(&mut self, text: &str) -> Field {
        let (text, patch) = match text.split_once('~') {
            Some((text, rule)) => (text, patch_rule(rule)),
            None => (text, PatchRule::default()),
        };
        let (text, default) = match text.split_once('=') {
            Some((text, default)) => (text, serde_json::from_str(default).ok()),
            None => (text, None),
        };
        let (text, always_there) = match text.strip_suffix('+') {
            Some(text) => (text, true),
            None => (text, false),
        };
        Field { type_id: self.type_of(text), default, always_there, patch }
    }

    fn type_of(&mut self, text: &str) -> TypeId {
        if let Some(whole) = text.strip_suffix('!') {
            let original = self.type_of(whole);
            let copy = self.builder.add(Atom::default());
            self.whole.push((copy, original));
            return copy;
        }
        if let Some(element) = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')) {
            let element = if element == "?" { TypeId::DEDUCED } else { self.type_of(element) };
            return self.builder.add(Atom::map(MapOf::of(element)));
        }
        if let Some((element, identity)) = text.strip_prefix('[').and_then(|text| text.rsplit_once(']')) {
            let element = self.type_of(element);
            return self.builder.add(Atom::list(element, identity_of(identity)));
        }
        let scalar = match text {
            "s" => Scalar::String,
            "n" => Scalar::Numeric,
            "b" => Scalar::Boolean,
            "u" => Scalar::Untyped,
            "?" => return TypeId::UNTYPED,
            "*" => return TypeId::DEDUCED,
            name => return self.names.get(name).copied().unwrap_or(TypeId::DEDUCED),
        };
        self.builder.add(Atom::scalar(scalar))
    }
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

fn plain(type_id: TypeId) -> Field {
    Field { type_id, default: None, always_there: false, patch: PatchRule::default() }
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
                let text = text.split(['~', '=']).next().unwrap_or_default().trim_end_matches(['+', '!']);
                let text = text.split('{').next().unwrap_or_default();
                let name = text.trim_matches(['[', ']', '<', '>']);
                let primitive = ["s", "n", "b", "u", "*", "?"].contains(&name);
                assert!(primitive || names.contains(&name), "{}: {field}", line.name);
            }
        }
    }

    #[test]
    fn a_service_always_has_a_spec_and_a_status() {
        let types = Types::of_built_in("v1", "Service").expect("a built-in kind");
        let mut service = json!({"spec": {"type": "ClusterIP"}});
        types.fill_in(&mut service);
        assert_eq!(
            service,
            json!({"metadata": {}, "spec": {"type": "ClusterIP"}, "status": {"loadBalancer": {}}})
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
