//! Bodies of every media type.

use serde_json::json;

use super::*;

fn read(media: Media, body: &[u8]) -> Result<Body, String> {
    let types = Types::of_built_in("v1", "Service");
    let expected = Expected { api_version: "v1", kind: "Service", types: types.as_ref() };
    decode(media, body, expected).map_err(|error| error.to_string())
}

fn read_custom(media: Media, body: &[u8]) -> Result<Body, String> {
    let expected = Expected { api_version: "a.b/v1", kind: "Thing", types: None };
    decode(media, body, expected).map_err(|error| error.to_string())
}

#[test]
fn the_content_type_says_how_a_body_is_written() {
    for (text, expected) in [
        ("", Some(Media::Json)),
        ("application/json", Some(Media::Json)),
        ("application/json; charset=utf-8", Some(Media::Json)),
        ("Application/YAML", Some(Media::Yaml)),
        ("application/vnd.kubernetes.protobuf", Some(Media::Protobuf)),
        ("text/plain", None),
        ("application/x-www-form-urlencoded", None),
    ] {
        assert_eq!(Media::of(text), expected, "{text}");
    }
}

#[test]
fn a_body_that_is_not_of_the_kind_is_refused() {
    let unrecognized = "the object provided is unrecognized (must be of type Service): ";
    let json_error = "couldn't get version/kind; json parse error: ";
    for (body, expected) in [
        ("", format!("{unrecognized}{json_error}unexpected end of JSON input (<empty>)")),
        ("{", format!("{unrecognized}{json_error}unexpected end of JSON input ({{)")),
        (
            "nothing that could be an object",
            format!("{unrecognized}{json_error}invalid character 'o' in literal null (expecting 'u') (6e6f7468696e67207468617420636f756c6420626520616e206f626a6563 ...)"),
        ),
        (
            r#"{"kind":"Service","spec":5}"#,
            r#"Service in version "v1" cannot be handled as a Service: json: cannot unmarshal number into Go struct field Service.spec of type v1.ServiceSpec"#.to_owned(),
        ),
        (
            r#"{"kind":"Nothing","apiVersion":"v1"}"#,
            r#"Nothing in version "v1" cannot be handled as a Service: no kind "Nothing" is registered for version "v1" in scheme "pkg/runtime/scheme.go:111""#.to_owned(),
        ),
    ] {
        assert_eq!(read(Media::Json, body.as_bytes()), Err(expected), "{body}");
    }
}

#[test]
fn yaml_is_json_in_other_words() {
    let text = "apiVersion: a.b/v1\nkind: Thing\nspec:\n  on: yes\n  mode: 0644\n  list: &l\n  - 1.0\n  - ~\n  again: *l\n---\nb: 2\n";
    let body = read_custom(Media::Yaml, text.as_bytes()).unwrap();
    assert_eq!(body.value["spec"]["list"], json!([1, null]));
    assert_eq!(body.value["spec"]["again"], json!([1, null]));
    assert_eq!(body.value["spec"]["mode"], json!(420));
    assert_eq!(body.strict, [""; 0]);
    let body = read_custom(Media::Yaml, b"kind: Thing\na: 1\na: 2\n").unwrap();
    assert_eq!(body.value["a"], 2);
    assert_eq!(body.strict, ["yaml: unmarshal errors:\n  line 3: key \"a\" already set in map"]);
    let error = read_custom(Media::Yaml, b"a:\n\t- b").unwrap_err();
    assert!(error.starts_with("the object provided is unrecognized (must be of type Thing): yaml: line 2: found character that cannot start any token ("), "{error}");
}

#[test]
fn a_billion_laughs_are_refused_at_once() {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        let aliases = vec![before; 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let started = std::time::Instant::now();
    assert!(read_custom(Media::Yaml, text.as_bytes()).is_err());
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}

#[test]
fn yaml_is_written_with_its_keys_in_order() {
    let value = json!({"b": ["x", 1], "a": {"yes": "true"}});
    let text = to_yaml(&value).unwrap();
    assert!(text.find("a:") < text.find("b:"), "{text}");
    assert_eq!(parse_yaml(text.as_bytes()).unwrap(), value);
}

#[test]
fn what_is_nested_too_deeply_is_refused_however_it_is_written() {
    for (depth, part) in [(50_000, "- "), (50_000, "["), (50_000, "{a: "), (50_000, "? "), (3_000, "- - a: ")]
    {
        let text = part.repeat(depth);
        assert!(yaml::read(text.as_bytes()).is_err(), "{part:?}");
    }
    // As deep as may be.
    assert!(yaml::read("- ".repeat(LIMITS.depth - 10).as_bytes()).is_ok());
}
