use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::auth::{Attributes, Identity};
use crate::store::{Commit, MemoryStore, Require};

fn resource(verb: &str, group: &str, resource: &str, namespace: &str, name: &str) -> Attributes {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Attributes {
        verb: verb.to_owned(),
        is_resource: true,
        group: group.to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    }
}

fn path(path: &str) -> Attributes {
    Attributes { verb: "get".to_owned(), path: path.to_owned(), ..Attributes::default() }
}

fn rules(rules: &Value) -> Vec<Rule> {
    Rule::all_of(&json!({"rules": rules}))
}

fn index(objects: &[(&str, &str, Value)]) -> Index {
    let mut index = Index::default();
    for (plural, namespace, object) in objects {
        let name = object["metadata"]["name"].as_str().unwrap();
        index.set(plural, namespace, name, Some(object));
    }
    index
}

fn role(name: &str, labels: &Value, rules: &Value) -> Value {
    json!({"metadata": {"name": name, "labels": labels}, "rules": rules})
}

fn binding(name: &str, kind: &str, role: &str, subject: &Value) -> Value {
    json!({"metadata": {"name": name}, "roleRef": {"kind": kind, "name": role}, "subjects": [subject]})
}

#[test]
fn a_rule_allows_what_its_lists_and_stars_name() {
    let rule = |value: Value| rules(&json!([value])).remove(0);
    let pods = rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}));
    let logs = rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}));
    let named = rule(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "resourceNames": ["a"]}));
    let urls = rule(json!({"verbs": ["get"], "nonResourceURLs": ["/healthz", "/api/*"]}));
    for (rule, wanted, expected) in [
        (&pods, resource("get", "", "pods", "n", "a"), true),
        (&pods, resource("list", "", "pods", "n", ""), false),
        (&pods, resource("get", "apps", "pods", "n", "a"), false),
        (&pods, resource("get", "", "pods/log", "n", "a"), false),
        (&logs, resource("get", "", "pods/log", "n", "a"), true),
        (&logs, resource("get", "", "pods/logs", "n", "a"), false),
        (&logs, resource("get", "", "pods", "n", "a"), false),
        (&named, resource("delete", "g", "r/status", "n", "a"), true),
        (&named, resource("list", "g", "r", "n", ""), false),
        (&urls, path("/healthz"), true),
        (&urls, path("/healthz/ping"), false),
        (&urls, path("/api/v1"), true),
        (&urls, path("/api"), false),
        (&named, path("/a"), false),
        (&urls, resource("get", "", "pods", "n", "a"), false),
    ] {
        assert_eq!(rule.allows(&wanted), expected, "{rule:?} {wanted:?}");
    }
}

#[test]
fn a_binding_gives_its_role_to_its_subjects_and_says_so() {
    let get_pods = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]);
    let account = json!({"kind": "ServiceAccount", "name": "sa"});
    let index = index(&[
        ("clusterroles", "", role("reader", &json!({}), &get_pods)),
        ("roles", "n", role("local", &json!({}), &get_pods)),
        (
            "clusterrolebindings",
            "",
            binding("everywhere", "ClusterRole", "reader", &json!({"kind": "User", "name": "u"})),
        ),
        ("rolebindings", "n", binding("here", "Role", "local", &json!({"kind": "Group", "name": "g"}))),
        ("rolebindings", "n", binding("account", "ClusterRole", "reader", &account)),
        ("rolebindings", "n", binding("broken", "Role", "gone", &json!({"kind": "User", "name": "v"}))),
    ]);
    let wanted = resource("get", "", "pods", "n", "a");
    let elsewhere = resource("get", "", "pods", "m", "a");
    let cases = [
        (
            Identity::new("u", []),
            &elsewhere,
            true,
            r#"RBAC: allowed by ClusterRoleBinding "everywhere" of ClusterRole "reader" to User "u""#,
        ),
        (
            Identity::new("w", ["g"]),
            &wanted,
            true,
            r#"RBAC: allowed by RoleBinding "here/n" of Role "local" to Group "g""#,
        ),
        (Identity::new("w", ["g"]), &elsewhere, false, ""),
        (
            Identity::service_account("n", "sa", ""),
            &wanted,
            true,
            r#"RBAC: allowed by RoleBinding "account/n" of ClusterRole "reader" to ServiceAccount "sa/n""#,
        ),
        (Identity::service_account("m", "sa", ""), &wanted, false, ""),
        (Identity::new("v", []), &wanted, false, r#"RBAC: role.rbac.authorization.k8s.io "gone" not found"#),
    ];
    for (user, wanted, is_allowed, reason) in cases {
        let decision = index.decide(&user, wanted);
        assert_eq!((decision.is_allowed, decision.reason.as_str()), (is_allowed, reason), "{}", user.name);
    }
}

#[test]
fn a_role_can_consist_of_others_and_of_itself() {
    let gathering = |name: &str, label: &str, labels: &Value| {
        let mut role = role(name, labels, &json!([{"verbs": ["own"], "nonResourceURLs": ["*"]}]));
        role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
        role
    };
    let verb = |verb: &str| json!([{"verbs": [verb], "nonResourceURLs": ["*"]}]);
    let mut index = index(&[
        ("clusterroles", "", gathering("outer", "a", &json!({"b": "true"}))),
        ("clusterroles", "", gathering("inner", "b", &json!({"a": "true"}))),
        ("clusterroles", "", role("leaf", &json!({"b": "true"}), &verb("one"))),
    ]);
    let verbs = |index: &Index| -> Vec<String> {
        let rules = index.rules_of("ClusterRole", "", "outer").unwrap();
        rules.iter().flat_map(|rule| rule.verbs.clone()).collect()
    };
    assert_eq!(verbs(&index), ["one"]);
    index.set("clusterroles", "", "new", Some(&role("new", &json!({"a": "true"}), &verb("two"))));
    assert_eq!(verbs(&index), ["one", "two"]);
    index.set("clusterroles", "", "leaf", None);
    assert_eq!(verbs(&index), ["two"]);
}

#[test]
fn nobody_grants_what_it_does_not_have() {
    let owned = rules(&json!([
        {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "*/status"]},
        {"verbs": ["*"], "apiGroups": ["apps"], "resources": ["*"], "resourceNames": ["a"]},
        {"verbs": ["get"], "nonResourceURLs": ["/api/*"]},
    ]));
    for (wanted, missing) in [
        (json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "nodes/status"]}]), &[][..]),
        (json!([{"verbs": ["get"], "apiGroups": ["apps"], "resources": ["x"], "resourceNames": ["a"]}]), &[]),
        (json!([{"verbs": ["get"], "nonResourceURLs": ["/api/v1", "/api/*"]}]), &[]),
        (
            json!([{"verbs": ["get", "delete", "watch"], "apiGroups": [""], "resources": ["pods"]}]),
            &[r#"{APIGroups:[""], Resources:["pods"], Verbs:["delete" "watch"]}"#],
        ),
        (
            json!([{"verbs": ["get"], "apiGroups": ["apps"], "resources": ["x"]}]),
            &[r#"{APIGroups:["apps"], Resources:["x"], Verbs:["get"]}"#],
        ),
        (
            json!([{"verbs": ["get"], "nonResourceURLs": ["/x", "/y"]}]),
            &[r#"{NonResourceURLs:["/x"], Verbs:["get"]}"#, r#"{NonResourceURLs:["/y"], Verbs:["get"]}"#],
        ),
    ] {
        let found: Vec<String> = missing_from(&owned, &rules(&wanted)).iter().map(Rule::compact).collect();
        assert_eq!(found, missing, "{wanted}");
    }
    let user = Identity::new("u", ["a", "b"]);
    let text = missing_text(&user, &rules(&json!([{"verbs": ["get"], "nonResourceURLs": ["/x"]}])), &[]);
    let expected = "user \"u\" (groups=[\"a\" \"b\"]) is attempting to grant RBAC permissions not currently \
                    held:\n{NonResourceURLs:[\"/x\"], Verbs:[\"get\"]}";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn what_was_written_counts_at_once() {
    let store = Arc::new(MemoryStore::new());
    let roles = Roles::open(store.clone()).await.unwrap();
    let (user, wanted) = (Identity::new("u", []), path("/x"));
    assert!(!roles.decide(&user, &wanted).await.is_allowed);
    let key = |plural: &str, name: &str| format!("{PREFIX}{plural}//{name}");
    let rule = json!([{"verbs": ["get"], "nonResourceURLs": ["/x"]}]);
    let subject = json!({"kind": "User", "name": "u"});
    for (plural, object) in [
        ("clusterroles", role("r", &json!({}), &rule)),
        ("clusterrolebindings", binding("b", "ClusterRole", "r", &subject)),
    ] {
        let name = object["metadata"]["name"].as_str().unwrap();
        store.commit(Commit::put(key(plural, name), Require::Absent, object.to_string())).await.unwrap();
    }
    assert!(roles.decide(&user, &wanted).await.is_allowed);
    store.commit(Commit::delete(key("clusterrolebindings", "b"), Require::Nothing)).await.unwrap();
    assert!(!roles.decide(&user, &wanted).await.is_allowed);
}

#[test]
fn the_usual_roles_let_people_do_the_usual_things() {
    let mut index = Index::default();
    for (plural, object) in bootstrap_objects() {
        index.set(plural, "", object["metadata"]["name"].as_str().unwrap(), Some(&object));
    }
    let edit = json!({"kind": "User", "name": "jane"});
    index.set("rolebindings", "n", "b", Some(&binding("b", "ClusterRole", "edit", &edit)));
    let (jane, admin) = (Identity::new("jane", ["system:authenticated"]), Identity::admin());
    for (user, wanted, expected) in [
        (&admin, resource("delete", "x", "y", "", "z"), true),
        (&admin, path("/metrics"), true),
        (&jane, path("/openapi/v3"), true),
        (&jane, path("/metrics"), false),
        (&jane, resource("create", "authorization.k8s.io", "selfsubjectaccessreviews", "", ""), true),
        (&jane, resource("update", "", "services", "n", "a"), true),
        (&jane, resource("list", "", "configmaps", "n", ""), true),
        (&jane, resource("create", GROUP, "roles", "n", ""), false),
        (&jane, resource("list", "", "configmaps", "m", ""), false),
    ] {
        assert_eq!(index.decide(user, &wanted).is_allowed, expected, "{} {wanted:?}", user.name);
    }
}
