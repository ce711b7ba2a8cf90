//! Any bytes are the object in an envelope of any built-in kind, or say why not.
#![no_main]

use apiserver::builtin;
use apiserver::codec::{Envelope, Expected, Media, decode};
use apiserver::types::Types;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, raw) = input;
    let kinds = builtin::all();
    let kind = &kinds[usize::from(choice) % kinds.len()];
    let (api_version, kind) = (kind.api_version(), kind.kind.clone());
    let types = Types::of_built_in(&api_version, &kind).expect("a built-in kind has a type");
    let envelope = Envelope { api_version: api_version.clone(), kind: kind.clone(), raw };
    if let Ok(object) = envelope.object(&types) {
        let expected = Expected { api_version: &api_version, kind: &kind, types: Some(&types) };
        let again = decode(Media::Json, object.to_string().as_bytes(), expected).expect("what was read can be read");
        assert_eq!(again.value, object);
        assert!(again.strict.is_empty());
    }
    let _ = Envelope::read(raw);
});
