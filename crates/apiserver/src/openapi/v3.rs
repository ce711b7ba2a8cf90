//! OpenAPI 3, in JSON: an index, and a document for each group and version.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Described, TITLE, VERSION, definitions, meta, operations};

/// Every document, by the path below `/openapi/v3` that it is served at: `api/v1`, `apis/GROUP/VERSION`.
pub fn documents(served: &[Described]) -> BTreeMap<String, Value> {
    let mut versions: BTreeMap<String, Vec<&Described>> = BTreeMap::new();
    for described in served {
        let root = if described.resource.group.is_empty() { "api" } else { "apis" };
        versions.entry(format!("{root}/{}", described.resource.api_version())).or_default().push(described);
    }
    versions.into_iter().map(|(path, kinds)| (path, document(&kinds))).collect()
}

/// `GET /openapi/v3`. A document's address changes with its content, so that a client may keep what it got.
pub fn index(documents: &BTreeMap<String, Value>) -> Value {
    let paths: Map<String, Value> = documents
        .iter()
        .map(|(path, document)| {
            let address = format!("/openapi/v3/{path}?hash={}", hash(document));
            (path.clone(), json!({"serverRelativeURL": address}))
        })
        .collect();
    json!({"paths": paths})
}

/// The hash that the index names a document by; also good as an entity tag.
pub fn hash(document: &Value) -> String {
    // FNV-1a: it only has to tell one content from the next, not to withstand somebody.
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let step = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    format!("{:032X}", document.to_string().bytes().fold(BASIS, step))
}

fn document(kinds: &[&Described]) -> Value {
    let mut schemas: Map<String, Value> = meta::schemas().into_iter().collect();
    let mut paths = Map::new();
    for described in kinds {
        schemas.insert(described.definition_name(), definitions::object(described));
        schemas.insert(described.list_definition_name(), definitions::list(described));
        paths.extend(operations::paths(described));
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": TITLE, "version": VERSION},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}
