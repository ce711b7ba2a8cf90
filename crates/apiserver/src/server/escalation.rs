//! Roles and bindings are written only by those who may do what they allow.

use serde_json::Value;

use super::Server;
use super::request::Asked;
use crate::auth::Attributes;
use crate::auth::rbac::{self, Rule};
use crate::resource::Verb;
use crate::status::{Refusal, Target};

impl Server {
    /// Refuses to let a user give away, to itself or others, what it does not have.
    pub(super) async fn refuse_escalation(
        &self,
        asked: &Asked,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<(), Refusal> {
        let resource = &asked.served.resource;
        let is_removed = matches!(asked.verb, Verb::Delete | Verb::DeleteCollection);
        if resource.group != rbac::GROUP || is_removed || asked.user.is_trusted() {
            return Ok(());
        }
        if old.is_some_and(|old| without_metadata(old) == without_metadata(object)) {
            return Ok(());
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let namespace = asked.namespace.as_deref().unwrap_or_default();
        let target = Target { group: rbac::GROUP, resource: &resource.plural, name };
        let reference = &object["roleRef"];
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let is_role = reference.is_null();
        let (verb, plural, role) = if is_role {
            ("escalate", resource.plural.clone(), name)
        } else {
            ("bind", format!("{}s", text("kind").to_lowercase()), text("name"))
        };
        let permission = Attributes {
            verb: verb.to_owned(),
            is_resource: true,
            group: rbac::GROUP.to_owned(),
            version: "*".to_owned(),
            resource: plural,
            namespace: namespace.to_owned(),
            name: role.to_owned(),
            ..Attributes::default()
        };
        if self.access.decide(&asked.user, &permission).await.is_allowed {
            return Ok(());
        }
        let granted = if is_role {
            Rule::all_of(object)
        } else {
            let found = self.access.rules_of(text("kind"), namespace, role).await?;
            // A real server names the kind of the binding here, not that of the role.
            found.ok_or_else(|| Refusal::not_found(Target { name: role, ..target }))?
        };
        let (owned, errors) = self.access.rules_for(&asked.user, namespace).await?;
        let missing = rbac::missing_from(&owned, &granted);
        if !missing.is_empty() {
            return Err(Refusal::forbidden(target, &rbac::missing_text(&asked.user, &missing, &errors)));
        }
        let gathers = |object: &Value| {
            object["aggregationRule"]["clusterRoleSelectors"].as_array().is_some_and(|it| !it.is_empty())
        };
        let is_gathering = gathers(object) || old.is_some_and(gathers);
        if is_gathering && !rbac::missing_from(&owned, &Rule::everything()).is_empty() {
            let why = "must have cluster-admin privileges to use the aggregationRule";
            return Err(Refusal::forbidden(target, why));
        }
        Ok(())
    }
}

fn without_metadata(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("metadata");
    }
    object
}
