use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object() -> Value {
    json!({
        "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "a": "x", "list": ["p", "q"], "n": 5, "b": true, "nul": null, "m": {"k": 1}, "odd.key": "dot",
            "items": [{"name": "i1", "v": 1}, {"name": "i2", "v": 2}],
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "X", "status": "False"}]},
    })
}

#[test]
fn a_path_leads_to_its_first_value() {
    for (path, expected) in [
        (".spec.a", Some(json!("x"))),
        ("$.spec.a", Some(json!("x"))),
        (".spec.list", Some(json!(["p", "q"]))),
        (".spec.list[0]", Some(json!("p"))),
        (".spec.list[-1]", Some(json!("q"))),
        (".spec.list[5]", None),
        (".spec.list[-3]", None),
        (".spec.list[*]", Some(json!("p"))),
        (".spec.items[*].name", Some(json!("i1"))),
        (".spec.items[1].v", Some(json!(2))),
        (r#".spec.items[?(@.name=="i2")].v"#, Some(json!(2))),
        (".spec.items[?(@.v == 2)].name", Some(json!("i2"))),
        (".spec.items[?(@.v!=1)].name", Some(json!("i2"))),
        (".spec.items[?(@.missing)].name", None),
        (r#".status.conditions[?(@.type=="Ready")].status"#, Some(json!("True"))),
        (".status.conditions[?(@.type=='X')].status", Some(json!("False"))),
        (".spec['odd.key']", Some(json!("dot"))),
        (r".spec.odd\.key", Some(json!("dot"))),
        (".spec.m.*", Some(json!(1))),
        (".spec.missing.deep", None),
        (".spec.a.b", None),
    ] {
        assert_eq!(JsonPath::parse(path).unwrap().first(&object()), expected.as_ref(), "{path}");
    }
}

#[test]
fn a_path_that_cannot_be_used_says_why() {
    for path in ["spec.a", ".", ".spec[", ".spec[x]", ".a[?(@.b>1)]", ".a[?(b)]", ".a['x]", "..a"] {
        let error = JsonPath::parse(path).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{path:?} is not a JSONPath that can be used: ")), "{error}");
    }
    let deep = format!(".a{}", "[?(@.a".repeat(100));
    assert!(JsonPath::parse(&deep).is_err());
}

#[test]
fn ages_are_short() {
    for (seconds, expected) in [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (179, "2m59s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (28_799, "7h59m"),
        (86_399, "23h"),
        (172_799, "47h"),
        (172_801, "2d"),
        (691_199, "7d23h"),
        (63_071_999, "729d"),
        (63_072_000, "2y"),
        (630_720_000, "20y"),
    ] {
        assert_eq!(human_duration(seconds), expected, "{seconds}");
    }
}

#[test]
fn a_table_has_the_name_first_and_a_cell_for_each_column() {
    let column = |name: &str, column_type: &str, path: &str| {
        Column::of_definition(&json!({"name": name, "type": column_type, "jsonPath": path})).unwrap()
    };
    let columns = [
        column("A", "string", ".spec.a"),
        column("List", "string", ".spec.list"),
        column("N", "integer", ".spec.n"),
        column("B", "boolean", ".spec.b"),
        column("Number as text", "string", ".spec.n"),
        column("Nothing", "string", ".spec.nul"),
        column("Missing", "string", ".spec.missing"),
        column("Since", "date", ".metadata.creationTimestamp"),
        column("No date", "date", ".spec.a"),
        Column::age(),
    ];
    let two_days_later = 1_767_225_600 + 2 * 86_400;
    let table = render(
        &columns,
        &[object()],
        &json!({"resourceVersion": "7"}),
        IncludeObject::Metadata,
        two_days_later,
    );
    assert_eq!(
        table["rows"][0]["cells"],
        json!(["a", "x", "[\"p\",\"q\"]", 5, true, "5", null, null, "2d", "<invalid>", "2d"])
    );
    assert_eq!(table["columnDefinitions"].as_array().unwrap().len(), columns.len() + 1);
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(table["metadata"]["resourceVersion"], "7");
    let bare = render(&columns, &[object()], &json!({}), IncludeObject::None, 0);
    assert_eq!(bare["rows"][0]["object"], Value::Null);
}

proptest! {
    #[test]
    fn no_path_is_a_panic(text in "[.\\[\\]?(@)'\"a-c=!*0-9\\\\-]{0,24}|\\PC{0,16}") {
        if let Ok(path) = JsonPath::parse(&text) {
            let _ = path.first(&object());
        }
    }
}
