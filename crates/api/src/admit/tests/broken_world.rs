//! A stored object that is invalid must not lock everybody out.

use serde_json::{Value, json};

use super::{bgp, create, denial, peer, pool, update, verdict};

fn warnings(question: &super::Question, existing: &[Value]) -> Vec<String> {
    let verdict = verdict(question, existing);
    assert!(verdict.allowed, "{verdict:?}");
    verdict.warnings
}

#[test]
fn an_invalid_object_is_left_out_and_named() {
    let bad = pool("bad", &["1.1.1.0/33"]);
    let left_out = "IPAddressPool bad is invalid and was left out of the check: parsing address pool bad: \
                    invalid CIDR \"1.1.1.0/33\" in pool \"bad\": invalid CIDR \"1.1.1.0/33\"";
    for (case, question) in [
        ("another pool", create(&pool("a", &["2.2.2.0/24"]))),
        ("an advertisement", create(&bgp("b", &json!({})))),
    ] {
        assert_eq!(warnings(&question, std::slice::from_ref(&bad)), [left_out], "{case}");
    }
    assert!(warnings(&update(&pool("bad", &["1.1.1.0/24"])), &[bad]).is_empty(), "it is mended");
}

#[test]
fn an_unreadable_object_is_left_out_and_named() {
    let mut bad = peer("bad", &json!({}));
    bad["spec"]["holdTime"] = json!("1d");
    let warning =
        "BGPPeer bad is invalid and was left out of the check: time: unknown unit \"d\" in duration \"1d\"";
    assert_eq!(warnings(&create(&peer("a", &json!({}))), &[bad]), [warning]);
}

#[test]
fn of_two_that_conflict_either_may_be_mended() {
    let both = [pool("a", &["1.1.1.0/24"]), pool("b", &["1.1.1.128/25"])];
    assert!(warnings(&update(&pool("a", &["1.1.1.0/25"])), &both).is_empty());
    assert!(warnings(&update(&pool("b", &["2.2.2.0/24"])), &both).is_empty());
    let warning = "IPAddressPool b is invalid and was left out of the check: CIDR \"1.1.1.128/25\" in pool \"b\" \
                   overlaps with already defined CIDR \"1.1.1.0/24\"";
    assert_eq!(warnings(&create(&pool("c", &["3.3.3.0/24"])), &both), [warning]);
}

#[test]
fn what_is_wrong_with_the_object_itself_is_still_said() {
    let bad = pool("bad", &["1.1.1.0/33"]);
    let good = pool("good", &["2.2.2.0/24"]);
    let message = denial(&create(&pool("a", &["2.2.2.0/25"])), &[bad, good]);
    let expected = "CIDR \"2.2.2.0/25\" in pool \"a\" overlaps with already defined CIDR \"2.2.2.0/24\"";
    assert_eq!(message.as_deref(), Some(expected));
}

#[test]
fn many_are_counted_and_reasons_are_cut() {
    let long = "x".repeat(300);
    let bad: Vec<Value> = (0..20).map(|number| pool(&format!("bad-{number:02}"), &[&long])).collect();
    let warnings = warnings(&create(&pool("a", &["1.1.1.0/24"])), &bad);
    assert_eq!(warnings.len(), 9);
    assert!(warnings[0].starts_with("IPAddressPool bad-00 is invalid") && warnings[0].len() < 300);
    assert_eq!(warnings[8], "12 more objects are invalid and were left out of the check");
}

#[test]
fn a_warning_is_one_line() {
    let selector = json!({"nodeSelectors": [{"matchExpressions": [{"key": "a", "operator": "x"}]}]});
    let bad = bgp("bad", &selector);
    let warnings = warnings(&create(&bgp("a", &json!({}))), &[bad]);
    assert!(warnings.len() == 1 && !warnings[0].contains('\n'), "{warnings:?}");
}
