use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::review::{Answer, answer};
use super::*;

fn named(version: &str) -> Named {
    Named {
        group: "apps".to_owned(),
        version: version.to_owned(),
        kind: "Deployment".to_owned(),
        resource: "deployments".to_owned(),
    }
}

fn request() -> Request {
    Request {
        operation: Operation::Create,
        named: named("v1"),
        equivalents: vec![named("v1beta1")],
        subresource: String::new(),
        part: None,
        name: "a".to_owned(),
        namespace: "n".to_owned(),
        user: json!({"username": "u"}),
        object: json!({"metadata": {"name": "a", "labels": {"app": "web"}}, "spec": {"replicas": 3}}),
        old: Value::Null,
        options: json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}),
        is_dry_run: false,
    }
}

fn rule() -> Value {
    json!({"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]})
}

/// A webhook with these fields beside the ones that every webhook has.
fn webhook(fields: &Value) -> Webhook {
    let mut webhook =
        json!({"name": "a.b.c", "rules": [rule()], "sideEffects": "None", "admissionReviewVersions": ["v1"]});
    for (field, value) in fields.as_object().into_iter().flatten() {
        webhook[field] = value.clone();
    }
    let mut configuration = json!({"webhooks": [webhook]});
    validate::complete(&mut configuration, true);
    Webhook::all_of(&configuration).pop().expect("there is one")
}

/// The version that the webhook is called with.
fn called_with(fields: &Value, request: &Request) -> Option<String> {
    let labels: Map<String, Value> = Map::from_iter([("team".to_owned(), "x".into())]);
    let invocation = webhook(fields).concerns(request, Some(&labels)).expect("the namespace is there");
    invocation.map(|invocation| invocation.named.version)
}

#[test]
fn rules_say_which_requests_a_webhook_is_called_for() {
    let with = |field: &str, value: Value| {
        let mut rule = rule();
        rule[field] = value;
        json!({"rules": [rule]})
    };
    let status = Request { subresource: "status".to_owned(), ..request() };
    let cluster = Request { namespace: String::new(), ..request() };
    for (fields, request, expected) in [
        (json!({}), request(), Some("v1")),
        (with("operations", json!(["*"])), request(), Some("v1")),
        (with("operations", json!(["UPDATE", "DELETE"])), request(), None),
        (with("apiGroups", json!(["*"])), request(), Some("v1")),
        (with("apiGroups", json!([""])), request(), None),
        (with("apiVersions", json!(["v1beta1"])), request(), Some("v1beta1")),
        (with("resources", json!(["*"])), request(), Some("v1")),
        (with("resources", json!(["*"])), status.clone(), None),
        (with("resources", json!(["*/*"])), status.clone(), Some("v1")),
        (with("resources", json!(["deployments/*"])), status.clone(), Some("v1")),
        (with("resources", json!(["deployments/status"])), request(), None),
        (with("scope", json!("Cluster")), request(), None),
        (with("scope", json!("Namespaced")), request(), Some("v1")),
        (with("scope", json!("Cluster")), cluster.clone(), Some("v1")),
        (with("scope", json!("Namespaced")), cluster, None),
    ] {
        assert_eq!(called_with(&fields, &request).as_deref(), expected, "{fields}");
    }
    let mut exact = with("apiVersions", json!(["v1beta1"]));
    exact["matchPolicy"] = "Exact".into();
    assert_eq!(called_with(&exact, &request()), None);
}

#[test]
fn selectors_look_at_both_objects_and_at_the_namespace() {
    let selecting = |field: &str, key: &str, value: &str| json!({field: {"matchLabels": {key: value}}});
    let relabelled = Request {
        operation: Operation::Create,
        old: json!({"metadata": {"labels": {"app": "old"}}}),
        ..request()
    };
    for (fields, request, expected) in [
        (selecting("objectSelector", "app", "web"), request(), true),
        (selecting("objectSelector", "app", "old"), request(), false),
        (selecting("objectSelector", "app", "old"), relabelled, true),
        (selecting("namespaceSelector", "team", "x"), request(), true),
        (selecting("namespaceSelector", "team", "y"), request(), false),
        (
            json!({"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}),
            request(),
            false,
        ),
    ] {
        assert_eq!(called_with(&fields, &request).is_some(), expected, "{fields}");
    }
    let webhook = webhook(&selecting("namespaceSelector", "team", "x"));
    assert_eq!(webhook.concerns(&request(), None), Err(Unmatched::NoNamespace));
    let elsewhere = Request { namespace: String::new(), ..request() };
    assert!(webhook.concerns(&elsewhere, None).is_ok_and(|invocation| invocation.is_some()));
}

#[test]
fn conditions_are_asked_of_the_request() {
    let holds = |expressions: &[&str], policy: &str| {
        let conditions: Vec<Value> =
            expressions.iter().map(|text| json!({"name": "c", "expression": text})).collect();
        let webhook = webhook(&json!({"matchConditions": conditions, "failurePolicy": policy}));
        webhook.conditions_hold(&request(), &named("v1"))
    };
    let unmatched = "expression 'object.spec.nope == 1' resulted in error: no such key: nope";
    for (expressions, policy, expected) in [
        (vec!["object.spec.replicas > 2", "request.userInfo.username == 'u'"], "Fail", Ok(true)),
        (vec!["request.operation == 'DELETE'"], "Fail", Ok(false)),
        (vec!["oldObject == null"], "Fail", Ok(true)),
        (vec!["object.spec.nope == 1"], "Ignore", Ok(false)),
        (vec!["object.spec.nope == 1", "false"], "Fail", Ok(false)),
        (vec!["object.spec.nope == 1"], "Fail", Err(Unmatched::Condition(unmatched.to_owned()))),
    ] {
        assert_eq!(holds(&expressions, policy), expected, "{expressions:?}");
    }
}

#[test]
fn what_decides_about_webhooks_is_exempt() {
    for (group, resource, expected) in [
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations", true),
        ("authorization.k8s.io", "subjectaccessreviews", true),
        ("authentication.k8s.io", "tokenreviews", true),
        ("apps", "deployments", false),
    ] {
        let named = Named { group: group.to_owned(), resource: resource.to_owned(), ..named("v1") };
        assert_eq!(is_exempt(&named), expected, "{resource}");
    }
}

/// What becomes of an answer with this response.
fn answered(response: &Value, may_patch: bool) -> Result<Answer, String> {
    let review =
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response});
    answer(review.to_string().as_bytes(), "a.b.c", "v1", "1", may_patch).map_err(|error| error.to_string())
}

#[test]
fn a_denial_is_always_an_error_and_always_names_the_webhook() {
    let denied = "admission webhook \"a.b.c\" denied the request";
    for (status, code, reason, message) in [
        (json!(null), 400, "", format!("{denied} without explanation")),
        (json!({"message": "no way", "code": 200}), 400, "", format!("{denied}: no way")),
        (json!({"reason": "Gone", "code": 410}), 410, "Gone", format!("{denied}: Gone")),
    ] {
        let response = json!({"uid": "1", "allowed": false, "status": status, "warnings": ["w"]});
        let refusal = answered(&response, false).expect("it can be read").denied.expect("it is denied");
        let found = (refusal.code, refusal.reason.as_str(), refusal.message, refusal.warnings.to_vec());
        assert_eq!(found, (code, reason, message, vec!["w".to_owned()]));
    }
    let allowed = Answer { denied: None, patch: None, warnings: Vec::new() };
    assert_eq!(answered(&json!({"uid": "1", "allowed": true}), false), Ok(allowed));
}

#[test]
fn only_a_whole_answer_to_the_question_counts() {
    let patch = STANDARD.encode(r#"[{"op": "remove", "path": "/a"}]"#);
    let invalid = |problem: &str| Err(format!("received invalid webhook response: {problem}"));
    for (response, may_patch, expected) in [
        (json!(null), false, invalid("webhook response was absent")),
        (json!({"uid": "2"}), false, invalid("expected response.uid=\"1\", got \"2\"")),
        (
            json!({"uid": "1", "patch": patch}),
            true,
            invalid("webhook returned response.patch but not response.patchType"),
        ),
        (
            json!({"uid": "1", "patchType": "JSONPatch"}),
            true,
            invalid("webhook returned response.patchType but not response.patch"),
        ),
        (
            json!({"uid": "1", "patch": patch}),
            false,
            invalid("validating webhook may not return response.patch"),
        ),
        (
            json!({"uid": "1", "allowed": true, "patch": patch, "patchType": "JSONPatch"}),
            true,
            Ok(Some(json!([{"op": "remove", "path": "/a"}]))),
        ),
    ] {
        assert_eq!(answered(&response, may_patch).map(|answer| answer.patch), expected, "{response}");
    }
    for (body, problem) in [
        ("{", "couldn't get version/kind; json parse error: unexpected end of JSON input"),
        (
            r#"{"kind": "Foo", "apiVersion": "v1"}"#,
            "no kind \"Foo\" is registered for version \"v1\" in scheme \"pkg/runtime/scheme.go:111\"",
        ),
    ] {
        let error = answer(body.as_bytes(), "a.b.c", "v1", "1", false).expect_err("it is no review");
        assert_eq!(error.to_string(), format!("failed to call webhook: {problem}"));
    }
}

#[test]
fn a_review_says_what_was_asked_and_what_the_webhook_is_asked() {
    let asked = Request { subresource: "status".to_owned(), is_dry_run: true, ..request() };
    let review = review::question(&asked, &named("v1beta1"), "v1", "1");
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    let asked = &review["request"];
    assert_eq!(asked["kind"], json!({"group": "apps", "version": "v1beta1", "kind": "Deployment"}));
    assert_eq!(
        asked["requestResource"],
        json!({"group": "apps", "version": "v1", "resource": "deployments"})
    );
    assert_eq!(
        (&asked["subResource"], &asked["dryRun"], &asked["oldObject"]),
        (&json!("status"), &json!(true), &Value::Null)
    );
}

#[test]
fn configurations_are_completed_and_held_to_their_rules() {
    let complete = |webhook: Value| {
        let mut configuration = json!({"webhooks": [webhook]});
        validate::complete(&mut configuration, false);
        configuration
    };
    let sound = json!({
        "name": "a.b.c", "admissionReviewVersions": ["v1"], "sideEffects": "None", "rules": [rule()],
        "clientConfig": {"service": {"name": "s", "namespace": "n"}},
    });
    let completed = complete(sound.clone());
    let webhook = &completed["webhooks"][0];
    assert_eq!(
        (&webhook["failurePolicy"], &webhook["matchPolicy"], &webhook["timeoutSeconds"]),
        (&json!("Fail"), &json!("Equivalent"), &json!(10))
    );
    assert_eq!(
        (&webhook["rules"][0]["scope"], &webhook["clientConfig"]["service"]["port"]),
        (&json!("*"), &json!(443))
    );
    assert_eq!(webhook.get("reinvocationPolicy"), None);
    assert_eq!(validate::validate(&completed, None), []);
    for (pointer, value, expected) in [
        (
            "name",
            json!("a"),
            "name: Invalid value: \"a\": should be a domain with at least three segments separated by dots",
        ),
        (
            "sideEffects",
            json!("Some"),
            "sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
        ),
        ("sideEffects", json!(null), "sideEffects: Required value: must specify one of None, NoneOnDryRun"),
        (
            "timeoutSeconds",
            json!(31),
            "timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        ),
        (
            "admissionReviewVersions",
            json!([]),
            "admissionReviewVersions: Required value: must specify one of v1, v1beta1",
        ),
        (
            "clientConfig",
            json!({}),
            "clientConfig: Required value: exactly one of url or service is required",
        ),
        (
            "clientConfig",
            json!({"url": "http://a"}),
            "clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
        ),
        (
            "matchConditions",
            json!([{"name": "a", "expression": "object.x"}]),
            "matchConditions[0].expression: Invalid value: \"object.x\": must evaluate to bool but got dyn",
        ),
        (
            "matchConditions",
            json!([{"name": "a", "expression": "foo"}]),
            "matchConditions[0].expression: Invalid value: \"foo\": compilation failed: ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')\n | foo\n | ^",
        ),
    ] {
        let mut broken = sound.clone();
        broken[pointer] = value;
        let errors = validate::validate(&complete(broken), None);
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts, [format!("webhooks[0].{expected}")]);
    }
}

#[test]
fn rules_are_held_to_theirs() {
    let mut configuration = json!({"webhooks": [{
        "name": "a.b.c", "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": {"url": "https://h"},
        "rules": [{
            "apiGroups": ["*", "a"], "apiVersions": ["*", "v1", ""], "operations": ["*", "FOO"],
            "resources": ["*", "a", "a/*", "a/b", ""], "scope": "X",
        }],
    }]});
    validate::complete(&mut configuration, false);
    let errors = validate::validate(&configuration, None);
    let texts: Vec<String> =
        errors.iter().map(|error| error.to_string().replace("webhooks[0].rules[0].", "")).collect();
    assert_eq!(
        texts,
        [
            "operations: Invalid value: [\"*\",\"FOO\"]: if '*' is present, must not specify other operations",
            "operations[1]: Unsupported value: \"FOO\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"",
            "apiGroups: Invalid value: [\"*\",\"a\"]: if '*' is present, must not specify other API groups",
            "apiVersions: Invalid value: [\"*\",\"v1\",\"\"]: if '*' is present, must not specify other API versions",
            "apiVersions[2]: Required value",
            "resources[3]: Invalid value: \"a/b\": if 'a/*' is present, must not specify a/b",
            "resources[4]: Required value",
            "resources: Invalid value: [\"*\",\"a\",\"a/*\",\"a/b\",\"\"]: if '*' is present, must not specify other resources without subresources",
            "scope: Unsupported value: \"X\": supported values: \"*\", \"Cluster\", \"Namespaced\"",
        ]
    );
}
