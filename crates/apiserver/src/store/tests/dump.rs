//! Check, export and import.

use super::*;
use crate::store::{DumpError, Incomplete, check, export, import};

fn exported(scratch: &Scratch) -> Vec<u8> {
    let mut text = Vec::new();
    export(&scratch.file(), &mut text).unwrap();
    text
}

fn imported(text: &[u8], incomplete: Incomplete) -> Result<Vec<Entry>, DumpError> {
    let scratch = Scratch::new();
    import(&scratch.file(), &mut &text[..], incomplete)?;
    Ok(contents(&DiskStore::open(&scratch.file()).unwrap()))
}

#[test]
fn an_import_of_an_export_is_the_same_store() {
    let scratch = Scratch::new();
    let mut expected = filled(&scratch);
    let store = DiskStore::open(&scratch.file()).unwrap();
    let revision = Runtime::new().unwrap().block_on(put(&store, "/text", "{\"grüße\": \"\\n\u{7f}\"}\n"));
    expected.push(contents(&store).pop().unwrap());
    drop(store);
    let text = exported(&scratch);
    assert_eq!(imported(&text, Incomplete::Refuse).unwrap(), expected);
    let other = Scratch::new();
    let result = import(&other.file(), &mut &text[..], Incomplete::Refuse).unwrap();
    assert_eq!((result.revision, result.entries), (revision, expected.len() as u64));
    assert_eq!(exported(&other), text, "an export is the same for the same contents");
    let checked = check(&other.file()).unwrap();
    assert_eq!((checked.problem_count, checked.entries), (0, expected.len() as u64));
}

#[test]
fn an_export_is_text_to_read() {
    let scratch = Scratch::new();
    let store = DiskStore::open(&scratch.file()).unwrap();
    Runtime::new().unwrap().block_on(async {
        put(&store, "/a", "{\"kind\":\"A\"}").await;
        expect(store.commit(Commit::put("/b", Require::Nothing, vec![0xff, 0])).await);
    });
    drop(store);
    let text = String::from_utf8(exported(&scratch)).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], r#"{"format":"ferrolb-store-export","version":1,"revision":2}"#);
    assert!(lines[1].starts_with(
        r#"{"key":"/a","create_revision":1,"mod_revision":1,"value":"{\"kind\":\"A\"}","checksum":""#
    ));
    assert!(lines[2].contains(r#""value_hex":"ff00""#));
    assert_eq!(lines[3], r#"{"end":true,"entries":2,"unreadable":0,"complete":true}"#);
}

#[test]
fn an_import_never_replaces_a_file() {
    let scratch = Scratch::new();
    let expected = filled(&scratch);
    let text = exported(&scratch);
    let result = import(&scratch.file(), &mut &text[..], Incomplete::Refuse);
    assert!(matches!(result, Err(DumpError::Exists(_))));
    assert_eq!(contents(&DiskStore::open(&scratch.file()).unwrap()), expected);
}

#[test]
fn an_export_that_is_wrong_is_refused_and_leaves_no_file() {
    let head = r#"{"format":"ferrolb-store-export","version":1,"revision":5}"#;
    let end = r#"{"end":true,"entries":1,"unreadable":0,"complete":true}"#;
    let line = r#"{"key":"/a","create_revision":1,"mod_revision":2,"value":"x"}"#;
    assert_eq!(imported(format!("{head}\n{line}\n{end}\n").as_bytes(), Incomplete::Refuse).unwrap().len(), 1);
    for (case, text) in [
        ("nothing", String::new()),
        ("no head", format!("{line}\n{end}\n")),
        ("another format", format!("{}\n{line}\n{end}\n", head.replace(":1,", ":2,"))),
        ("no end", format!("{head}\n{line}\n")),
        ("cut off", format!("{head}\n{line}\n{}", &end[..20])),
        ("too few", format!("{head}\n{end}\n")),
        ("twice", format!("{head}\n{line}\n{line}\n{end}\n")),
        ("from the future", format!("{head}\n{}\n{end}\n", line.replace(":2,", ":6,"))),
        ("born after its change", format!("{head}\n{}\n{end}\n", line.replace(":1,", ":3,"))),
        ("no value", format!("{head}\n{}\n{end}\n", line.replace(r#","value":"x""#, ""))),
        ("bad hex", format!("{head}\n{}\n{end}\n", line.replace(r#""value":"x""#, r#""value_hex":"+1""#))),
        ("bad checksum", format!("{head}\n{}\n{end}\n", line.replace('}', r#","checksum":"00"}"#))),
        ("not JSON", format!("{head}\n{line}]\n{end}\n")),
        ("incomplete", format!("{head}\n{line}\n{}\n", end.replace("true}", "false}"))),
    ] {
        let scratch = Scratch::new();
        let result = import(&scratch.file(), &mut text.as_bytes(), Incomplete::Refuse);
        assert!(result.is_err(), "{case}");
        assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 0, "{case}: a file was left");
    }
    let incomplete = format!("{head}\n{line}\n{}\n", end.replace("true}", "false}"));
    assert_eq!(imported(incomplete.as_bytes(), Incomplete::Accept).unwrap().len(), 1);
}

#[test]
fn a_check_of_what_is_not_there_makes_nothing() {
    let scratch = Scratch::new();
    assert!(matches!(check(&scratch.file()), Err(OpenError::Io { .. })));
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 0);
}
