//! Tokens for service accounts: a question at the account's `token` path.

use chrono::Utc;
use serde_json::{Value, json};

use super::objects::Written;
use super::request::Asked;
use super::{Server, key_of, names, timestamp, timestamp_secs};
use crate::apply::{FieldManager, OneVersion, Types};
use crate::auth::service_account::{Bound, Grant};
use crate::schema::FieldError;
use crate::status::{Reason, Refusal, Target};

const GROUP: &str = "authentication.k8s.io";
const API_VERSION: &str = "authentication.k8s.io/v1";
const KIND: &str = "TokenRequest";
const DEFAULT_SECS: i64 = 3_600;
const SHORTEST_SECS: i64 = 600;
const LONGEST_SECS: i64 = 1 << 32;
/// What tokens in Pods are asked for with; they are made to last, because old clients do not read them again.
const PROJECTED_SECS: i64 = 3_607;
const EXTENDED_SECS: i64 = 365 * 24 * 3_600;

impl Server {
    /// The request with the token as status.
    pub(super) async fn issue_token(&self, asked: &Asked, body: Value) -> Result<Written, Refusal> {
        let mut request = decoded(asked, body)?;
        let (namespace, name) =
            (asked.namespace.as_deref().unwrap_or_default(), asked.name.as_deref().unwrap_or_default());
        let target = Target { group: GROUP, resource: KIND, name };
        let given = request["metadata"]["name"].as_str().unwrap_or_default();
        if !given.is_empty() && given != name {
            let detail = "must match the service account name if specified";
            let error = FieldError::invalid_text("metadata.name", given, detail);
            return Err(Refusal::invalid(KIND, target, &[error]));
        }
        let account = self.get(&asked.about(asked.namespace.clone(), asked.name.clone())).await?;
        let uid = account["metadata"]["uid"].as_str().unwrap_or_default();
        let given = request["metadata"]["uid"].as_str().unwrap_or_default();
        if !given.is_empty() && given != uid {
            let why = format!(
                "the UID in the token request ({given}) does not match the UID of the service account ({uid})"
            );
            return Err(Refusal::conflict(target, &why));
        }
        for (field, value) in [
            ("name", name.into()),
            ("namespace", namespace.into()),
            ("uid", uid.into()),
            ("creationTimestamp", timestamp()),
        ] {
            request["metadata"][field] = value;
        }
        check_time(&request)?;
        let bound = self.bound(namespace, name, &request["spec"]["boundObjectRef"]).await?;
        self.fill(&mut request, &Subject { namespace, name, uid }, &bound)?;
        Ok(Written { object: request, is_new: true, warnings: Vec::new() })
    }

    fn fill(&self, request: &mut Value, subject: &Subject<'_>, bound: &[Bound]) -> Result<(), Refusal> {
        let tokens = &self.access.authenticator.service_accounts;
        let given = request["spec"]["audiences"].as_array().into_iter().flatten();
        let mut audiences: Vec<String> = given.filter_map(Value::as_str).map(str::to_owned).collect();
        if audiences.is_empty() {
            audiences.clone_from(&tokens.audiences);
        }
        request["spec"]["audiences"] = json!(audiences);
        let wanted_secs = request["spec"]["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECS);
        let is_projected = wanted_secs == PROJECTED_SECS
            && bound.iter().any(|bound| bound.claim == "pod")
            && audiences.iter().all(|audience| tokens.audiences.contains(audience));
        let grant = Grant {
            namespace: subject.namespace,
            name: subject.name,
            uid: subject.uid,
            audiences: &audiences,
            bound,
            lifetime_secs: if is_projected { EXTENDED_SECS } else { wanted_secs },
            warn_after_secs: is_projected.then_some(PROJECTED_SECS),
            id: &names::uid(),
        };
        let now_secs = timestamp_secs();
        let failed =
            || Refusal::new(500, Reason::InternalError, "Internal error occurred: failed to generate token");
        let token = tokens.issue(&grant, now_secs).ok_or_else(failed)?;
        let ends =
            chrono::DateTime::from_timestamp(now_secs.saturating_add(wanted_secs), 0).ok_or_else(failed)?;
        if request["spec"].get("boundObjectRef").is_none() {
            request["spec"]["boundObjectRef"] = Value::Null;
        }
        request["status"] =
            json!({"token": token, "expirationTimestamp": ends.format("%Y-%m-%dT%H:%M:%SZ").to_string()});
        Ok(())
    }

    /// The object that the token is to end with, and the node that a Pod is on.
    async fn bound(&self, namespace: &str, account: &str, reference: &Value) -> Result<Vec<Bound>, Refusal> {
        if !reference.is_object() {
            return Ok(Vec::new());
        }
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let (api_version, kind, name) = (text("apiVersion"), text("kind"), text("name"));
        let (claim, plural, namespace) = match (api_version, kind) {
            ("v1", "Pod") => ("pod", "pods", namespace),
            ("v1", "Secret") => ("secret", "secrets", namespace),
            ("v1", "Node") => ("node", "nodes", ""),
            _ => {
                let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
                return Err(Refusal::bad_request(format!(
                    "cannot bind token to object of type {group}/{version}, Kind={kind}"
                )));
            }
        };
        let missing = || Refusal::not_found(Target { group: "", resource: plural, name });
        let object = self.stored(plural, namespace, name).await?.ok_or_else(missing)?;
        if claim == "pod" && object["spec"]["serviceAccountName"] != account {
            return Err(Refusal::bad_request(format!(
                "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
            )));
        }
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        if !text("uid").is_empty() && text("uid") != uid {
            let why = format!(
                "the UID in the bound object reference ({}) does not match the UID in record. The object might have \
                 been deleted and then recreated",
                text("uid")
            );
            return Err(Refusal::conflict(Target { group: "", resource: kind, name }, &why));
        }
        let mut bound = vec![Bound { claim, name: name.to_owned(), uid: uid.to_owned() }];
        let node = object["spec"]["nodeName"].as_str().filter(|node| claim == "pod" && !node.is_empty());
        if let Some(node) = node {
            let object = self.stored("nodes", "", node).await?.unwrap_or_default();
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            bound.push(Bound { claim: "node", name: node.to_owned(), uid });
        }
        Ok(bound)
    }

    /// An object of the core group as it is stored.
    async fn stored(&self, plural: &str, namespace: &str, name: &str) -> Result<Option<Value>, Refusal> {
        let entry = self.store.get(&key_of("", plural, namespace, name)).await?;
        Ok(entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()))
    }
}

impl Asked {
    pub(super) fn is_for_token(&self) -> bool {
        self.served.resource.plural == "serviceaccounts" && self.subresource.as_deref() == Some("token")
    }
}

/// The account that a token is for.
struct Subject<'a> {
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
}

/// The body as a TokenRequest, with its default and who wrote what.
fn decoded(asked: &Asked, mut body: Value) -> Result<Value, Refusal> {
    let Some(fields) = body.as_object_mut() else {
        return Err(Refusal::bad_request("the object provided is unrecognized: it is no JSON object"));
    };
    fields.entry("kind").or_insert_with(|| KIND.into());
    fields.entry("apiVersion").or_insert_with(|| API_VERSION.into());
    fields.retain(|field, _| matches!(&**field, "apiVersion" | "kind" | "metadata" | "spec"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, api_version) = (text(&body["kind"]), text(&body["apiVersion"]));
    if (kind.as_str(), api_version.as_str()) != (KIND, API_VERSION) {
        let version = api_version.rsplit('/').next().unwrap_or_default();
        return Err(Refusal::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {KIND}: converting ({version}.{kind}) to \
             (authentication.{KIND}): unknown conversion"
        )));
    }
    for part in ["metadata", "spec"] {
        if !body[part].is_object() {
            body[part] = json!({});
        }
    }
    let namespace = text(&body["metadata"]["namespace"]);
    if !namespace.is_empty() && Some(&namespace) != asked.namespace.as_ref() {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Refusal::bad_request(message));
    }
    if let Some(spec) = body["spec"].as_object_mut() {
        spec.retain(|_, value| !value.is_null());
    }
    if body["spec"]["expirationSeconds"].is_null() {
        body["spec"]["expirationSeconds"] = DEFAULT_SECS.into();
    }
    let types = Types::of_built_in(API_VERSION, KIND).unwrap_or_else(Types::of_unknown_kind);
    let manager = FieldManager::new(&types, &OneVersion, API_VERSION, KIND, "token");
    Ok(manager.update(None, body, &asked.field_manager(), Utc::now()))
}

fn check_time(request: &Value) -> Result<(), Refusal> {
    let value = &request["spec"]["expirationSeconds"];
    let detail = match value.as_i64().unwrap_or_default() {
        secs if secs < SHORTEST_SECS => "may not specify a duration less than 10 minutes",
        secs if secs > LONGEST_SECS => "may not specify a duration larger than 2^32 seconds",
        _ => return Ok(()),
    };
    let error = FieldError::invalid("spec.expirationSeconds", value, detail);
    Err(Refusal::invalid(KIND, Target { group: GROUP, resource: KIND, name: "" }, &[error]))
}
