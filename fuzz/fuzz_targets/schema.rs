//! Any object is judged by any schema that can be used, and what is pruned once needs no pruning again.
#![no_main]

use apiserver::schema::{Schema, metadata};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|pair: (&str, &str)| {
    let (Ok(schema), Ok(mut object)) = (serde_json::from_str::<Value>(pair.0), serde_json::from_str::<Value>(pair.1))
    else {
        return;
    };
    let Ok(schema) = Schema::parse(&schema) else { return };
    let _ = object.get("metadata").and_then(metadata::decode_error);
    schema.prune(&mut object);
    assert!(schema.prune(&mut object).is_empty());
    schema.default(&mut object);
    let _ = metadata::validate(&object, true);
    let _ = schema.validate(&object, None);
});
