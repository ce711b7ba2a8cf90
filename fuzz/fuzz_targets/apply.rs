//! Any configuration is applied to any object or refused, and what was applied is applied again without a change.
#![no_main]

use apiserver::apply::{FieldManager, OneVersion};
use apiserver::types::Types;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|pair: (&str, &str)| {
    let (Ok(live), Ok(config)) = (serde_json::from_str::<Value>(pair.0), serde_json::from_str::<Value>(pair.1))
    else {
        return;
    };
    let now = chrono::DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
    for (types, api_version, kind) in [
        (Types::of_built_in("v1", "Service").expect("a built-in kind has a type"), "v1", "Service"),
        (Types::of_custom_resource(None), "a.b/v1", "Thing"),
    ] {
        let manager = FieldManager::new(&types, &OneVersion, api_version, kind, "");
        let _ = manager.update(None, live.clone(), "writer", now);
        if let Ok(applied) = manager.apply(Some(&live), &config, "applier", true, now) {
            if let Ok(again) = manager.apply(Some(&applied), &config, "applier", true, now) {
                assert_eq!(again["metadata"]["managedFields"], applied["metadata"]["managedFields"]);
            }
        }
        let _ = manager.apply(None, &config, "applier", false, now);
    }
});
