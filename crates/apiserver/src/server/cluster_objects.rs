//! What is there in a cluster without anybody having asked for it: roles, and in each namespace an account
//! and the certificate that it trusts; the Service of the server itself. In a real cluster several programs see to
//! that.

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Server, ServerError, key_of};
use crate::auth::rbac;
use crate::status::Refusal;
use crate::store::{RangeRequest, Watch};

const PREFIX: &str = "/objects/core/";
const AUTHORITY_MAP: &str = "kube-root-ca.crt";
const TOKEN_SECRET: &str = "kubernetes.io/service-account-token";
const ACCOUNT_ANNOTATION: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID_ANNOTATION: &str = "kubernetes.io/service-account.uid";
/// After something could not be written, it is tried again.
const RETRY: Duration = Duration::from_secs(5);

impl Server {
    /// Makes the roles that everybody counts on, if roles are asked at all.
    pub(super) async fn make_roles(&self) {
        if self.access.roles.is_none() {
            return;
        }
        for (plural, object) in rbac::bootstrap_objects() {
            self.make(&format!("/apis/{}/v1/{plural}", rbac::GROUP), object).await;
        }
    }

    /// Makes what is missing, and goes on doing so until the server is gone.
    pub(super) async fn keep_cluster_objects(self: &Arc<Server>) -> Result<(), ServerError> {
        let watch = self.look_after_everything().await?;
        tokio::spawn(look_after(Arc::downgrade(self), watch));
        Ok(())
    }

    /// Looks at all there is, and says what will happen to it from then on.
    async fn look_after_everything(&self) -> Result<Watch, ServerError> {
        let prefixes = ["namespaces", "secrets"].map(|plural| format!("{PREFIX}{plural}/"));
        let mut since = None;
        let mut keys = Vec::new();
        for prefix in &prefixes {
            let range = self.store.range(RangeRequest { prefix, ..RangeRequest::default() }).await?;
            since = since.or(Some(range.revision));
            keys.extend(range.entries.into_iter().map(|entry| entry.key));
        }
        let watch = self.store.watch(PREFIX, since.unwrap_or_default()).await?;
        for key in keys {
            self.look_after(&key).await;
        }
        self.advertise().await;
        Ok(watch)
    }

    /// Sees to whatever follows from a change of this key; whether that worked.
    async fn look_after(&self, key: &str) -> bool {
        let mut parts = key.strip_prefix(PREFIX).unwrap_or_default().splitn(3, '/');
        let (Some(plural), Some(namespace), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            return true;
        };
        match plural {
            _ if Server::is_of_advertised(plural, namespace, name) => self.advertise().await,
            "namespaces" => self.furnish(name).await,
            "serviceaccounts" if name == "default" => self.furnish(namespace).await,
            "configmaps" if name == AUTHORITY_MAP => self.furnish(namespace).await,
            "secrets" => self.fill_secret(namespace, name).await,
            _ => true,
        }
    }

    /// Gives a namespace its account, and the certificate that clients in it trust.
    async fn furnish(&self, namespace: &str) -> bool {
        let Some(found) = self.read("namespaces", "", namespace).await else { return true };
        if !found["metadata"]["deletionTimestamp"].is_null() {
            return true;
        }
        let path = |plural: &str| format!("/api/v1/namespaces/{namespace}/{plural}");
        let mut is_done = true;
        if self.read("serviceaccounts", namespace, "default").await.is_none() {
            let account =
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
            is_done &= self.make(&path("serviceaccounts"), account).await;
        }
        let Some(authority) = &self.options.security.authority else { return is_done };
        let there = self.read("configmaps", namespace, AUTHORITY_MAP).await;
        let data = json!({"ca.crt": authority});
        if there.as_ref().is_some_and(|map| map["data"] == data) {
            return is_done;
        }
        let text = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints \
                    such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
                    distributions of Kubernetes clusters.";
        let metadata = json!({"name": AUTHORITY_MAP, "annotations": {"kubernetes.io/description": text}});
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
        is_done
            & match there {
                None => self.make(&path("configmaps"), map).await,
                Some(_) => {
                    let path = format!("{}/{AUTHORITY_MAP}", path("configmaps"));
                    self.write_itself(
                        Method::PATCH,
                        &path,
                        "application/merge-patch+json",
                        &json!({"data": data}),
                    )
                    .await
                }
            }
    }

    /// Puts a token into a Secret that is meant for one.
    async fn fill_secret(&self, namespace: &str, name: &str) -> bool {
        let Some(secret) = self.read("secrets", namespace, name).await else { return true };
        let is_meant = secret["type"] == TOKEN_SECRET && secret["metadata"]["deletionTimestamp"].is_null();
        let is_filled = secret["data"]["token"].as_str().is_some_and(|token| !token.is_empty());
        if !is_meant || is_filled {
            return true;
        }
        let account_name = secret["metadata"]["annotations"][ACCOUNT_ANNOTATION].as_str().unwrap_or_default();
        let Some(account) = self.read("serviceaccounts", namespace, account_name).await else { return true };
        let uid = account["metadata"]["uid"].as_str().unwrap_or_default();
        let tokens = &self.access.authenticator.service_accounts;
        let Some(token) = tokens.issue_legacy(namespace, account_name, uid, name) else { return false };
        let authority = self.options.security.authority.as_deref().unwrap_or_default();
        let patch = json!({
            "metadata": {"annotations": {ACCOUNT_UID_ANNOTATION: uid}},
            "data": {
                "ca.crt": STANDARD.encode(authority), "namespace": STANDARD.encode(namespace),
                "token": STANDARD.encode(token),
            },
        });
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        self.write_itself(Method::PATCH, &path, "application/merge-patch+json", &patch).await
    }

    pub(super) async fn read(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        self.read_of("", plural, namespace, name).await
    }

    pub(super) async fn read_of(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
        name: &str,
    ) -> Option<Value> {
        let entry = self.store.get(&key_of(group, plural, namespace, name)).await.ok()??;
        serde_json::from_slice(&entry.value).ok()
    }

    /// Creates an object, unless there is one already.
    pub(super) async fn make(&self, path: &str, object: Value) -> bool {
        self.write_itself(Method::POST, path, "application/json", &object).await
    }

    /// Does what a client in this process would do; whether there is nothing left to do.
    pub(super) async fn write_itself(&self, method: Method, path: &str, media: &str, body: &Value) -> bool {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, media)
            .header(header::USER_AGENT, "kube-controller-manager")
            .body(Body::from(body.to_string()));
        let Ok(request) = request else { return true };
        match self.answer(request).await {
            Ok(response) if response.status().is_success() => true,
            Ok(response) => response.status() == StatusCode::CONFLICT,
            // Gone or made by somebody else in the meantime; anything else is worth another try.
            Err(Refusal { code: 403 | 404 | 409, .. }) => true,
            Err(refusal) => {
                tracing::warn!("{path}: {}", refusal.message);
                false
            }
        }
    }
}

async fn look_after(server: Weak<Server>, mut watch: Watch) {
    loop {
        let outcome = watch.next().await;
        let Some(server) = server.upgrade() else { return };
        let mut is_done = true;
        match outcome {
            Ok(events) => {
                for event in events {
                    is_done &= server.look_after(&event.key).await;
                }
            }
            Err(crate::store::StoreError::Closed) => return,
            Err(_) => is_done = false,
        }
        if is_done {
            continue;
        }
        let store = Arc::downgrade(&server);
        drop(server);
        tokio::time::sleep(RETRY).await;
        let Some(server) = store.upgrade() else { return };
        match server.look_after_everything().await {
            Ok(fresh) => watch = fresh,
            Err(error) => {
                return tracing::warn!("the objects of a cluster are no longer looked after: {error}");
            }
        }
    }
}
