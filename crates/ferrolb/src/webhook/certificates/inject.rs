//! Where the authority of a webhook's certificate is named.

use std::fmt;

use serde_json::Value;

/// An object that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    kind: &'static str,
    root: &'static str,
    pub(super) name: &'static str,
}

pub(super) const CONFIGURATION: Target = Target {
    kind: "ValidatingWebhookConfiguration",
    root: "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    name: "metallb-webhook-configuration",
};

pub(super) const DEFINITION: Target = Target {
    kind: "CustomResourceDefinition",
    root: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    name: "bgppeers.metallb.io",
};

impl Target {
    pub(super) fn path(self) -> String {
        format!("{}/{}", self.root, self.name)
    }

    /// Sets it wherever the object calls a webhook. Says whether that was a change.
    pub(super) fn set_authority(self, object: &mut Value, encoded: &str) -> bool {
        if !object["metadata"]["deletionTimestamp"].is_null() {
            return false;
        }
        let clients: Vec<&mut Value> = if self == DEFINITION {
            object.pointer_mut("/spec/conversion/webhook/clientConfig").into_iter().collect()
        } else {
            let webhooks = object.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten();
            webhooks.filter_map(|webhook| webhook.get_mut("clientConfig")).collect()
        };
        let mut is_changed = false;
        for client in clients.into_iter().filter_map(Value::as_object_mut) {
            if client.get("caBundle").and_then(Value::as_str) != Some(encoded) {
                client.insert("caBundle".to_owned(), encoded.into());
                is_changed = true;
            }
        }
        is_changed
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_difference_is_a_change() {
        let configuration = |first: Value, second: Value| json!({"metadata": {}, "webhooks": [{"clientConfig": first}, {"clientConfig": second}]});
        let wanted = configuration(json!({"caBundle": "x", "service": {}}), json!({"caBundle": "x"}));
        for (mut object, is_change) in [
            (configuration(json!({"service": {}}), json!({})), true),
            (configuration(json!({"caBundle": "y", "service": {}}), json!({"caBundle": "x"})), true),
            (wanted.clone(), false),
        ] {
            assert_eq!(CONFIGURATION.set_authority(&mut object, "x"), is_change);
            assert_eq!(object, wanted);
        }
    }

    #[test]
    fn what_calls_no_webhook_or_goes_away_is_left_alone() {
        for mut object in [
            json!({"spec": {"conversion": {"strategy": "None"}}}),
            json!({"metadata": {"deletionTimestamp": "now"}, "spec": {"conversion": {"webhook": {"clientConfig": {}}}}}),
        ] {
            let before = object.clone();
            assert!(!DEFINITION.set_authority(&mut object, "x"));
            assert_eq!(object["spec"], before["spec"]);
        }
        let mut empty = json!({"webhooks": []});
        assert!(!CONFIGURATION.set_authority(&mut empty, "x"));
    }
}
