//! Any column of any object is a cell, and a table has as many rows as there are objects.
#![no_main]

use apiserver::table::{Column, IncludeObject, render};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|pair: (&str, &str)| {
    let object = serde_json::from_str::<Value>(pair.1).unwrap_or_default();
    let definition = json!({"name": "Column", "type": "string", "jsonPath": pair.0});
    let Ok(column) = Column::of_definition(&definition) else { return };
    let objects = [object.clone(), object];
    let table = render(&[column], &objects, &json!({}), IncludeObject::Metadata, 0);
    assert_eq!(table["rows"].as_array().map(Vec::len), Some(objects.len()));
});
