//! Any bytes are a body of any media type, or say why not; and what was read once reads the same again.
#![no_main]

use apiserver::codec::{Body, Expected, Media, decode, parse, parse_yaml, to_yaml};
use apiserver::types::Types;
use libfuzzer_sys::fuzz_target;

const KINDS: [(&str, &str); 6] = [
    ("v1", "Service"),
    ("v1", "Pod"),
    ("v1", "Secret"),
    ("apps/v1", "Deployment"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("coordination.k8s.io/v1", "Lease"),
];

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (choice, media, bytes) = input;
    let (api_version, kind) = KINDS[usize::from(choice) % KINDS.len()];
    let types = Types::of_built_in(api_version, kind);
    let media = [Media::Json, Media::Yaml, Media::Protobuf][usize::from(media) % 3];
    let expected = Expected { api_version, kind, types: types.as_ref() };
    if let Ok(Body { value, .. }) = decode(media, bytes, expected) {
        let again = decode(Media::Json, value.to_string().as_bytes(), expected).expect("what was read can be read");
        assert_eq!(again, Body { value, strict: Vec::new() });
    }
    let _ = decode(media, bytes, Expected { types: None, ..expected });
    if let Ok(parsed) = parse(bytes) {
        let text = parsed.value.to_string();
        assert_eq!(parse(text.as_bytes()).expect("what was read can be read").value, parsed.value);
        let _ = to_yaml(&parsed.value);
    }
    let _ = parse_yaml(bytes);
});
