//! OpenAPI 3, in JSON: an index, and a document for each group and version.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Described, TITLE, VERSION, definitions, meta, operations};

/// How documents of custom kinds begin, in the words of a real server.
const CUSTOM: [&str; 2] = ["Kubernetes CRD Swagger", "v0.1.0"];

/// Every document, by the path below `/openapi/v3` that it is served at: `api/v1`, `apis/GROUP/VERSION`.
pub fn documents(served: &[Described]) -> BTreeMap<String, Value> {
    let mut versions: BTreeMap<String, Vec<&Described>> = BTreeMap::new();
    for described in served {
        let root = if described.resource.group.is_empty() { "api" } else { "apis" };
        versions.entry(format!("{root}/{}", described.resource.api_version())).or_default().push(described);
    }
    versions.into_iter().map(|(path, kinds)| (path, document(&kinds))).collect()
}

/// `GET /openapi/v3`, of the hashes of documents by path. A document's address changes with its content, so that a
/// client may keep what it got.
pub fn index<'a>(hashes: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let address =
        |path: &str, hash: &str| json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")});
    let paths: Map<String, Value> =
        hashes.map(|(path, hash)| (path.to_owned(), address(path, hash))).collect();
    json!({"paths": paths})
}

fn document(kinds: &[&Described]) -> Value {
    let mut schemas: Map<String, Value> = meta::schemas().into_iter().collect();
    let mut paths = Map::new();
    for described in kinds {
        schemas.extend(definitions::parts(described));
        schemas.insert(described.definition_name(), definitions::object(described));
        schemas.insert(described.list_definition_name(), definitions::list(described));
        paths.extend(operations::paths(described));
    }
    let is_custom = kinds.iter().any(|described| described.schema.is_some());
    let [title, version] = if is_custom { CUSTOM } else { [TITLE, VERSION] };
    json!({
        "openapi": "3.0.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}
