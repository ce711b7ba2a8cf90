//! Any text is a selector or says why not, and a selector selects any object or does not.
#![no_main]

use apiserver::selector::{FieldSelector, LabelSelector};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|pair: (&str, &str)| {
    let object = serde_json::from_str::<Value>(pair.1).unwrap_or_default();
    if let Ok(selector) = LabelSelector::parse(pair.0) {
        let _ = selector.matches(object.as_object());
    }
    if let Ok(selector) = FieldSelector::parse(pair.0) {
        let _ = selector.matches(|field| object[field].as_str().map(Into::into));
    }
    let _ = LabelSelector::of_object(&object);
});
