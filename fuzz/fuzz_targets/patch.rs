//! Any patch of any object is an object or an error, and the object that was patched is not touched.
#![no_main]

use apiserver::patch;
use apiserver::types::Types;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|pair: (&str, &str)| {
    let (Ok(object), Ok(change)) = (serde_json::from_str::<Value>(pair.0), serde_json::from_str::<Value>(pair.1))
    else {
        return;
    };
    let _ = patch::json(&object, &change);
    let _ = patch::merge(&object, &change);
    for (api_version, kind) in [("v1", "Service"), ("v1", "Pod")] {
        let types = Types::of_built_in(api_version, kind).expect("a built-in kind has a type");
        let _ = patch::strategic(&object, &change, &types);
    }
});
