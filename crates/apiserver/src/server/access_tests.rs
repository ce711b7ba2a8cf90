//! Users of a server that asks roles, as they meet it over the network.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Options, Server};
use crate::auth::{Mode, Security, StaticTokens};
use crate::store::MemoryStore;

const USERS: &str = "root,root,1,\"system:masters\"\njane,jane,2,\"devs\"\n";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1";
const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const WHO_AM_I: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

async fn server() -> Arc<Server> {
    let static_tokens = StaticTokens::parse(USERS).unwrap();
    let authority = Some("the certificate".to_owned());
    let security = Security { mode: Mode::Rbac, static_tokens, authority, ..Security::default() };
    let options = Options { security, has_cluster_objects: true, ..Options::default() };
    Server::open_with(Arc::new(MemoryStore::new()), options).await.unwrap()
}

async fn send(server: &Arc<Server>, request: Request<Body>) -> (u16, Value) {
    let response = server.secured().oneshot(request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::String(text)))
}

async fn ask(server: &Arc<Server>, token: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request =
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
    send(server, request.header("content-type", "application/json").body(body).unwrap()).await
}

async fn get(server: &Arc<Server>, token: &str, path: &str) -> (u16, Value) {
    ask(server, token, Method::GET, path, &Value::Null).await
}

async fn post(server: &Arc<Server>, token: &str, path: &str, body: Value) -> (u16, Value) {
    ask(server, token, Method::POST, path, &body).await
}

fn binding(name: &str, role: &str, user: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    })
}

/// Gives jane a role of her own.
async fn grant(server: &Arc<Server>, rules: &Value) {
    let role = json!({"metadata": {"name": "janes"}, "rules": rules});
    assert_eq!(post(server, "root", ROLES, role).await.0, 201);
    assert_eq!(post(server, "root", BINDINGS, binding("janes", "janes", "jane")).await.0, 201);
}

#[tokio::test]
async fn a_user_may_do_what_a_binding_gives_from_its_creation_on() {
    let server = server().await;
    let services = "/api/v1/namespaces/default/services";
    let (code, refused) = get(&server, "jane", services).await;
    let expected = r#"services is forbidden: User "jane" cannot list resource "services" in API group "" in the namespace "default""#;
    assert_eq!((code, &refused["message"]), (403, &json!(expected)));
    assert_eq!(refused["details"], json!({"kind": "services"}));
    assert_eq!(post(&server, "root", BINDINGS, binding("b", "view", "jane")).await.0, 201);
    assert_eq!(get(&server, "jane", services).await.0, 200);
    assert_eq!(get(&server, "jane", "/api/v1/namespaces/default/secrets").await.0, 403);
    assert_eq!(ask(&server, "root", Method::DELETE, &format!("{BINDINGS}/b"), &Value::Null).await.0, 200);
    assert_eq!(get(&server, "jane", services).await.0, 403);
}

#[tokio::test]
async fn access_is_reviewed_with_its_reason() {
    let server = server().await;
    let (code, review) = post(
        &server,
        "jane",
        &format!("{REVIEWS}/selfsubjectaccessreviews"),
        json!({"spec": {"nonResourceAttributes": {"verb": "get", "path": "/api"}, "unknown": 1}}),
    )
    .await;
    let reason = r#"RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated""#;
    assert_eq!((code, &review["status"]), (201, &json!({"allowed": true, "reason": reason})), "{review}");
    assert_eq!(review["spec"], json!({"nonResourceAttributes": {"verb": "get", "path": "/api"}}));
    let of = |user: &str| json!({"spec": {"user": user, "resourceAttributes": {"verb": "get", "resource": "pods"}}});
    let path = format!("{REVIEWS}/subjectaccessreviews");
    assert_eq!(post(&server, "jane", &path, of("root")).await.0, 403);
    let (code, review) = post(&server, "root", &path, of("jane")).await;
    assert_eq!((code, &review["status"]), (201, &json!({"allowed": false})));
    let (code, rules) = post(
        &server,
        "jane",
        &format!("{REVIEWS}/selfsubjectrulesreviews"),
        json!({"spec": {"namespace": "default"}}),
    )
    .await;
    assert_eq!((code, rules["status"]["incomplete"].as_bool()), (201, Some(false)));
    assert_eq!(rules["status"]["resourceRules"].as_array().map(Vec::len), Some(2), "{rules}");
    let (code, me) = post(&server, "jane", WHO_AM_I, json!({})).await;
    let expected = json!({"username": "jane", "uid": "2", "groups": ["devs", "system:authenticated"]});
    assert_eq!((code, &me["status"]["userInfo"]), (201, &expected));
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused() {
    let server = server().await;
    let resource = json!({"verb": "get", "resource": "pods", "namespace": "other"});
    let path = json!({"verb": "get", "path": "/api"});
    let cases = [
        (
            "selfsubjectaccessreviews",
            json!({"spec": {}}),
            "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
        (
            "subjectaccessreviews",
            json!({"spec": {"resourceAttributes": {}, "nonResourceAttributes": path}}),
            r#"[spec.nonResourceAttributes: Invalid value: {"Path":"/api","Verb":"get"}: cannot be specified in combination with resourceAttributes, spec.user: Invalid value: "": at least one of user or group must be specified]"#,
        ),
        (
            "namespaces/default/localsubjectaccessreviews",
            json!({"spec": {"user": "jane", "resourceAttributes": resource}}),
            r#"spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace"#,
        ),
        (
            "namespaces/default/localsubjectaccessreviews",
            json!({"spec": {"user": "jane", "nonResourceAttributes": path}}),
            r#"spec.nonResourceAttributes: Invalid value: {"Path":"/api","Verb":"get"}: disallowed on this kind of request"#,
        ),
    ];
    for (plural, body, text) in cases {
        let (code, refused) = post(&server, "root", &format!("{REVIEWS}/{plural}"), body).await;
        let expected = format!(".authorization.k8s.io \"\" is invalid: {text}");
        assert_eq!((code, refused["message"].as_str()), (422, Some(expected.as_str())));
    }
    let (code, refused) =
        post(&server, "root", &format!("{REVIEWS}/selfsubjectrulesreviews"), json!({"spec": {}})).await;
    assert_eq!((code, &refused["message"]), (400, &json!("no namespace on request")));
    let (code, refused) = post(&server, "root", TOKEN_REVIEWS, json!({"spec": {}})).await;
    let expected = "token is required for TokenReview in authentication";
    assert_eq!((code, &refused["message"]), (400, &json!(expected)));
}

#[tokio::test]
async fn a_service_account_has_tokens_as_long_as_it_lives() {
    let server = server().await;
    let account = json!({"metadata": {"name": "sa"}});
    assert_eq!(post(&server, "root", ACCOUNTS, account.clone()).await.0, 201);
    let request = json!({"spec": {"expirationSeconds": 601}});
    let (code, issued) = post(&server, "root", &format!("{ACCOUNTS}/sa/token"), request).await;
    assert_eq!((code, &issued["kind"]), (201, &json!("TokenRequest")), "{issued}");
    let token = issued["status"]["token"].as_str().unwrap().to_owned();
    let (code, me) = post(&server, &token, WHO_AM_I, json!({})).await;
    let user = &me["status"]["userInfo"];
    assert_eq!((code, &user["username"]), (201, &json!("system:serviceaccount:default:sa")));
    let groups = json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]);
    assert_eq!((&user["groups"], &user["uid"]), (&groups, &issued["metadata"]["uid"]));
    let (_, review) = post(&server, "root", TOKEN_REVIEWS, json!({"spec": {"token": token}})).await;
    assert_eq!((&review["status"]["authenticated"], &review["status"]["user"]), (&json!(true), user));
    let for_others = json!({"spec": {"token": token, "audiences": ["others"]}});
    let (_, review) = post(&server, "root", TOKEN_REVIEWS, for_others).await;
    assert_eq!(review["status"]["user"], json!({}));
    assert!(review["status"]["error"].as_str().unwrap().contains("token audiences"), "{review}");

    assert_eq!(ask(&server, "root", Method::DELETE, &format!("{ACCOUNTS}/sa"), &Value::Null).await.0, 200);
    assert_eq!(post(&server, &token, WHO_AM_I, json!({})).await.0, 401);
    // Another account of the same name is not the same account.
    assert_eq!(post(&server, "root", ACCOUNTS, account).await.0, 201);
    assert_eq!(post(&server, &token, WHO_AM_I, json!({})).await.0, 401);
}

#[tokio::test]
async fn a_token_request_is_checked() {
    let server = server().await;
    assert_eq!(post(&server, "root", ACCOUNTS, json!({"metadata": {"name": "sa"}})).await.0, 201);
    let path = format!("{ACCOUNTS}/sa/token");
    for (body, code, text) in [
        (
            json!({"spec": {"expirationSeconds": 5}}),
            422,
            r#"TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes"#,
        ),
        (
            json!({"metadata": {"name": "x"}}),
            422,
            r#"TokenRequest.authentication.k8s.io "sa" is invalid: metadata.name: Invalid value: "x": must match the service account name if specified"#,
        ),
        (
            json!({"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "nope"}}}),
            404,
            r#"pods "nope" not found"#,
        ),
        (
            json!({"spec": {"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "nope"}}}),
            400,
            "cannot bind token to object of type /v1, Kind=ConfigMap",
        ),
    ] {
        let (found, refused) = post(&server, "root", &path, body).await;
        assert_eq!((found, refused["message"].as_str()), (code, Some(text)));
    }
    let (code, refused) = post(&server, "root", &format!("{ACCOUNTS}/nope/token"), json!({})).await;
    assert_eq!((code, &refused["message"]), (404, &json!(r#"serviceaccounts "nope" not found"#)));
}

#[tokio::test]
async fn a_token_ends_with_the_object_that_it_is_bound_to() {
    let server = server().await;
    assert_eq!(post(&server, "root", ACCOUNTS, json!({"metadata": {"name": "sa"}})).await.0, 201);
    let secrets = "/api/v1/namespaces/default/secrets";
    assert_eq!(post(&server, "root", secrets, json!({"metadata": {"name": "s"}})).await.0, 201);
    let request = json!({"spec": {"boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "s"}}});
    let (_, issued) = post(&server, "root", &format!("{ACCOUNTS}/sa/token"), request).await;
    let token = issued["status"]["token"].as_str().unwrap();
    assert_eq!(post(&server, token, WHO_AM_I, json!({})).await.0, 201);
    assert_eq!(ask(&server, "root", Method::DELETE, &format!("{secrets}/s"), &Value::Null).await.0, 200);
    assert_eq!(post(&server, token, WHO_AM_I, json!({})).await.0, 401);
}

#[tokio::test]
async fn nobody_gives_away_what_it_does_not_have() {
    let server = server().await;
    let writing = json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["create", "update"]});
    grant(&server, &json!([writing, {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])).await;
    let role = |verb: &str| json!({"metadata": {"name": "x"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}]});
    let (code, refused) = post(&server, "jane", ROLES, role("delete")).await;
    let expected = "clusterroles.rbac.authorization.k8s.io \"x\" is forbidden: user \"jane\" (groups=[\"devs\" \"system:authenticated\"]) \
                    is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}";
    assert_eq!((code, &refused["message"]), (403, &json!(expected)));
    assert_eq!(post(&server, "jane", ROLES, role("get")).await.0, 201);
    assert_eq!(post(&server, "jane", BINDINGS, binding("b", "x", "bob")).await.0, 201);
    assert_eq!(post(&server, "jane", BINDINGS, binding("c", "cluster-admin", "jane")).await.0, 403);
    let (code, missing) = post(&server, "jane", BINDINGS, binding("d", "gone", "jane")).await;
    let expected = r#"clusterrolebindings.rbac.authorization.k8s.io "gone" not found"#;
    assert_eq!((code, &missing["message"]), (404, &json!(expected)));
    let gathering = json!({"metadata": {"name": "y"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}});
    let (code, refused) = post(&server, "jane", ROLES, gathering).await;
    assert!(code == 403 && refused["message"].as_str().unwrap().ends_with("to use the aggregationRule"));
}

#[tokio::test]
async fn a_request_in_anothers_name_needs_a_permission() {
    let server = server().await;
    let as_bob = |token: &str| {
        let request = Request::builder().method(Method::POST).uri(WHO_AM_I).header("impersonate-user", "bob");
        let request = request
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        request.body(Body::from("{}")).unwrap()
    };
    let (code, me) = send(&server, as_bob("root")).await;
    assert_eq!((code, &me["status"]["userInfo"]["username"]), (201, &json!("bob")));
    let (code, refused) = send(&server, as_bob("jane")).await;
    assert_eq!(code, 403);
    let expected = r#"selfsubjectreviews.authentication.k8s.io is forbidden: User "jane" cannot impersonate-on:user-info:create resource "selfsubjectreviews" in API group "authentication.k8s.io" at the cluster scope"#;
    assert_eq!(refused["message"], expected);
    grant(&server, &json!([{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"], "resourceNames": ["bob"]}])).await;
    assert_eq!(send(&server, as_bob("jane")).await.0, 201);
}

/// Asks until the answer is there, which somebody else is writing.
async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "it did not come");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_namespace_is_furnished_and_a_secret_for_a_token_is_filled() {
    let server = server().await;
    let namespace = json!({"metadata": {"name": "new"}});
    assert_eq!(post(&server, "root", "/api/v1/namespaces", namespace).await.0, 201);
    let inside = "/api/v1/namespaces/new";
    let there = async |path: String| {
        let (code, found) = get(&server, "root", &path).await;
        (code == 200).then_some(found)
    };
    until(async || there(format!("{inside}/serviceaccounts/default")).await).await;
    let map = until(async || there(format!("{inside}/configmaps/kube-root-ca.crt")).await).await;
    assert_eq!(map["data"], json!({"ca.crt": "the certificate"}));
    let annotations = json!({"kubernetes.io/service-account.name": "default"});
    let secret = json!({
        "metadata": {"name": "t", "annotations": annotations}, "type": "kubernetes.io/service-account-token",
    });
    assert_eq!(post(&server, "root", &format!("{inside}/secrets"), secret).await.0, 201);
    let token = until(async || {
        let secret = there(format!("{inside}/secrets/t")).await?;
        let token = secret["data"]["token"].as_str()?.to_owned();
        use base64::Engine;
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(token).ok()?).ok()
    })
    .await;
    let (code, me) = post(&server, &token, WHO_AM_I, json!({})).await;
    assert_eq!(
        (code, &me["status"]["userInfo"]["username"]),
        (201, &json!("system:serviceaccount:new:default"))
    );
    assert_eq!(
        ask(&server, "root", Method::DELETE, &format!("{inside}/secrets/t"), &Value::Null).await.0,
        200
    );
    assert_eq!(post(&server, &token, WHO_AM_I, json!({})).await.0, 401);
}
