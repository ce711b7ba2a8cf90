//! What can be done at which path.

use serde_json::{Map, Value, json};

use super::{Described, GROUP_VERSION_KIND, PRESERVE_UNKNOWN, meta, reference};
use crate::resource::{ResourceType, Subresource, Verb};

/// Something that a request may say behind its path.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) value_type: &'static str,
    pub(super) description: &'static str,
}

const fn parameter(name: &'static str, value_type: &'static str, description: &'static str) -> Parameter {
    Parameter { name, value_type, description }
}

const DRY_RUN: Parameter =
    parameter("dryRun", "string", "With All, nothing is stored, and the answer is what would have been.");

/// kubectl looks for the first and the third before it uses them.
pub(super) const WRITE: [Parameter; 3] = [
    DRY_RUN,
    parameter("fieldManager", "string", "The program that the changed fields are noted for."),
    parameter(
        "fieldValidation",
        "string",
        "What becomes of unknown and repeated fields: Ignore drops them, Warn says so, Strict refuses the request.",
    ),
];

pub(super) const FORCE: Parameter = parameter(
    "force",
    "boolean",
    "For server-side apply: takes fields that other managers own instead of failing with a conflict.",
);

const DELETE: [Parameter; 3] = [
    DRY_RUN,
    parameter("gracePeriodSeconds", "integer", "How long the object may take to end; zero is at once."),
    parameter("propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground."),
];

const SELECT: [Parameter; 2] = [
    parameter("fieldSelector", "string", "Only objects whose fields have these values."),
    parameter("labelSelector", "string", "Only objects whose labels match."),
];

const LIST: [Parameter; 8] = [
    parameter(
        "allowWatchBookmarks",
        "boolean",
        "Whether a watch may tell how far it has come without an event.",
    ),
    parameter("continue", "string", "Where the previous part of the list ended."),
    parameter("limit", "integer", "The most items in one answer."),
    parameter("resourceVersion", "string", "The state that the answer has to be based on."),
    parameter(
        "resourceVersionMatch",
        "string",
        "Whether resourceVersion is meant exactly or as the oldest one allowed.",
    ),
    parameter("sendInitialEvents", "boolean", "Whether a watch begins with what there is."),
    parameter("timeoutSeconds", "integer", "When a watch ends."),
    parameter("watch", "boolean", "Whether changes are sent as they happen, instead of a list."),
];

/// The forms that a patch may have. The strategic one is never named, although built-in kinds take it: kubectl then
/// makes it from what it knows of these kinds itself.
pub(super) const PATCH_TYPES: [&str; 3] =
    ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];

/// What is at the end of a path.
#[derive(Clone, Copy)]
enum Scope<'a> {
    AllNamespaces,
    Collection,
    Item,
    Part(&'a Subresource),
}

/// Every path of a kind, and what can be done there.
pub(super) fn paths(described: &Described) -> Vec<(String, Value)> {
    use Verb::{Create, Delete, DeleteCollection, Get, List, Patch, Update};
    let resource = described.resource;
    let mut paths = vec![
        (collection_path(resource), Scope::Collection, vec![List, Create, DeleteCollection]),
        (item_path(resource), Scope::Item, vec![Get, Update, Patch, Delete]),
    ];
    if resource.is_namespaced {
        let path = format!("{}/{}", version_path(resource), resource.plural);
        paths.push((path, Scope::AllNamespaces, vec![List]));
    }
    for part in &resource.subresources {
        let path = format!("{}/{}", item_path(resource), part.name);
        paths.push((path, Scope::Part(part), vec![Get, Create, Update, Patch]));
    }
    let item =
        |(path, scope, verbs): (String, Scope, Vec<Verb>)| Some((path, path_item(described, scope, &verbs)?));
    paths.into_iter().filter_map(item).collect()
}

/// The path of one object.
pub(super) fn item_path(resource: &ResourceType) -> String {
    format!("{}/{{name}}", collection_path(resource))
}

/// What the patch of one object is called.
pub(super) fn patch_id(resource: &ResourceType) -> String {
    operation_id(resource, Scope::Item, Verb::Patch)
}

fn collection_path(resource: &ResourceType) -> String {
    let namespace = if resource.is_namespaced { "/namespaces/{namespace}" } else { "" };
    format!("{}{namespace}/{}", version_path(resource), resource.plural)
}

fn version_path(resource: &ResourceType) -> String {
    let root = if resource.group.is_empty() { "/api" } else { "/apis" };
    format!("{root}/{}", resource.api_version())
}

/// Those of these verbs that are served; `None` if none is.
fn path_item(described: &Described, scope: Scope, verbs: &[Verb]) -> Option<Value> {
    let served = match scope {
        Scope::Part(part) => &part.verbs,
        _ => &described.resource.verbs,
    };
    let mut item: Map<String, Value> = verbs
        .iter()
        .filter(|verb| served.contains(verb))
        .map(|&verb| (method(verb).to_owned(), operation(described, scope, verb)))
        .collect();
    if item.is_empty() {
        return None;
    }
    let mut parameters = Vec::new();
    if matches!(scope, Scope::Item | Scope::Part(_)) {
        parameters.push(path_parameter("name", "The object's name."));
    }
    if described.resource.is_namespaced && !matches!(scope, Scope::AllNamespaces) {
        parameters.push(path_parameter("namespace", "The namespace of the object."));
    }
    if !parameters.is_empty() {
        item.insert("parameters".to_owned(), parameters.into());
    }
    Some(item.into())
}

fn path_parameter(name: &str, description: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "description": description, "schema": {"type": "string", "uniqueItems": true}})
}

fn query_parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name, "in": "query", "description": parameter.description,
        "schema": {"type": parameter.value_type, "uniqueItems": true},
    })
}

fn operation(described: &Described, scope: Scope, verb: Verb) -> Value {
    let own_kind = match scope {
        Scope::Part(part) => part.kind.as_ref(),
        _ => None,
    };
    let kind = own_kind.map_or_else(
        || described.group_version_kind(),
        |(group, version, kind)| json!({"group": group, "version": version, "kind": kind}),
    );
    // The kind of a subresource may belong to a group whose document is another one.
    let object = || match own_kind {
        Some(_) => json!({"type": "object", PRESERVE_UNKNOWN: true}),
        None => reference(&described.definition_name()),
    };
    let answer = match verb {
        Verb::List => reference(&described.list_definition_name()),
        Verb::Delete | Verb::DeleteCollection => meta::reference("Status"),
        _ => object(),
    };
    let mut operation = json!({
        "operationId": operation_id(described.resource, scope, verb),
        "description": description(described.resource, scope, verb),
        "tags": [tag(described.resource)],
        "parameters": parameters(verb).map(query_parameter).collect::<Vec<_>>(),
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": answer}}}},
        "x-kubernetes-action": action(verb),
        GROUP_VERSION_KIND: kind,
    });
    let body = |types: &[&str], schema: &Value| -> Value {
        let content: Map<String, Value> =
            types.iter().map(|&media| (media.to_owned(), json!({"schema": schema}))).collect();
        json!({"required": matches!(verb, Verb::Create | Verb::Update | Verb::Patch), "content": content})
    };
    match verb {
        Verb::Create | Verb::Update => operation["requestBody"] = body(&["application/json"], &object()),
        Verb::Patch => operation["requestBody"] = body(&PATCH_TYPES, &meta::reference("Patch")),
        Verb::Delete | Verb::DeleteCollection => {
            operation["requestBody"] = body(&["application/json"], &meta::reference("DeleteOptions"));
        }
        Verb::Get | Verb::List | Verb::Watch => {}
    }
    operation
}

fn parameters(verb: Verb) -> impl Iterator<Item = &'static Parameter> {
    let lists: &'static [&'static [Parameter]] = match verb {
        Verb::Create | Verb::Update => &[&WRITE],
        Verb::Patch => &[&WRITE, &[FORCE]],
        Verb::Delete => &[&DELETE],
        Verb::DeleteCollection => &[&DELETE, &SELECT],
        Verb::List | Verb::Watch => &[&LIST, &SELECT],
        Verb::Get => &[],
    };
    lists.iter().copied().flatten()
}

fn method(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "post",
        Verb::Delete | Verb::DeleteCollection => "delete",
        Verb::Get | Verb::List | Verb::Watch => "get",
        Verb::Patch => "patch",
        Verb::Update => "put",
    }
}

fn action(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "post",
        Verb::Update => "put",
        other => other.as_str(),
    }
}

fn description(resource: &ResourceType, scope: Scope, verb: Verb) -> String {
    let (kind, plural) = (&resource.kind, &resource.plural);
    let object = match scope {
        Scope::Part(part) => format!("the {} of one {kind}", part.name),
        _ => format!("one {kind}"),
    };
    match verb {
        Verb::Create => format!("Creates {object}."),
        Verb::Delete => format!("Deletes {object}."),
        Verb::DeleteCollection => format!("Deletes every one of the {plural} that is selected."),
        Verb::Get => format!("Reads {object}."),
        Verb::List | Verb::Watch => format!("Lists {plural}, or watches them."),
        Verb::Patch => format!("Changes a part of {object}."),
        Verb::Update => format!("Replaces {object}."),
    }
}

/// Unique among all operations, as generators of clients demand.
fn operation_id(resource: &ResourceType, scope: Scope, verb: Verb) -> String {
    let does = match verb {
        Verb::Get => "read",
        Verb::Update => "replace",
        Verb::DeleteCollection => "delete",
        other => other.as_str(),
    };
    let collection = if verb == Verb::DeleteCollection { "Collection" } else { "" };
    let is_in_namespace = resource.is_namespaced && !matches!(scope, Scope::AllNamespaces);
    let namespaced = if is_in_namespace { "Namespaced" } else { "" };
    let part = match scope {
        Scope::AllNamespaces => "ForAllNamespaces".to_owned(),
        Scope::Part(part) => capitalised(&part.name),
        Scope::Collection | Scope::Item => String::new(),
    };
    let version = format!("{}{}", capitalised(&group_word(resource)), capitalised(&resource.version));
    format!("{does}{version}{collection}{namespaced}{}{part}", resource.kind)
}

fn tag(resource: &ResourceType) -> String {
    format!("{}_{}", group_word(resource), resource.version)
}

/// The group as one word: `metallbIo`, `core`.
fn group_word(resource: &ResourceType) -> String {
    let group = resource.group.strip_suffix(".k8s.io").unwrap_or(&resource.group);
    let mut labels = group.split(['.', '-']);
    match labels.next().unwrap_or_default() {
        "" => "core".to_owned(),
        first => labels.fold(first.to_owned(), |word, label| word + &capitalised(label)),
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}
