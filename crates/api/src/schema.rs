//! What the derive of `JsonSchema` cannot say by itself about a kind's schema.

use std::borrow::Cow;

use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// A kind whose CRD this crate generates.
pub(crate) trait Kind: kube::Resource<DynamicType = (), Scope: ScopeName> {
    const DESCRIPTION: &'static str;

    /// The schemas of `spec` and `status`, as far as the kind has them.
    fn properties(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)>;
}

/// What a CRD calls the scope of its kind.
pub(crate) trait ScopeName {
    const NAME: &'static str;
}

impl ScopeName for NamespaceResourceScope {
    const NAME: &'static str = "Namespaced";
}

impl ScopeName for ClusterResourceScope {
    const NAME: &'static str = "Cluster";
}

/// For `#[schemars(with)]`: an integer without a `format`.
pub(crate) struct Integer;

impl JsonSchema for Integer {
    fn schema_name() -> Cow<'static, str> {
        "Integer".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer" })
    }
}

/// CEL rules of a connect time.
pub(crate) fn connect_time_rules() -> Value {
    json!([
        {
            "message": "connect time should be between 1 seconds to 65535",
            "rule": "duration(self).getSeconds() >= 1 && duration(self).getSeconds() <= 65535",
        },
        {
            "message": "connect time should contain a whole number of seconds",
            "rule": "duration(self).getMilliseconds() % 1000 == 0",
        },
    ])
}

/// The CEL rule of a field that keeps its first value.
pub(crate) fn immutable() -> Value {
    json!([{ "message": "Value is immutable", "rule": "self == oldSelf" }])
}

/// A list of conditions as every Kubernetes kind has it, limits and patterns included. The derived
/// schema of `Condition` has neither.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "description": "One aspect of the current state, and since when it is so.",
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "lastTransitionTime": {
                    "description": "When the condition last changed from one status to another.",
                    "type": "string",
                    "format": "date-time",
                },
                "message": {
                    "description": "What happened, for a human reader. May be empty.",
                    "type": "string",
                    "maxLength": 32768,
                },
                "observedGeneration": {
                    "description": "The metadata.generation that the condition was derived from. If the object has a higher one by now, the condition is out of date.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                },
                "reason": {
                    "description": "Why the condition has its status, as one word in CamelCase for a program to read.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "status": {
                    "description": "Whether the condition holds: True, False or Unknown.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "type": {
                    "description": "What the condition is about, in CamelCase, optionally with a domain in front.",
                    "type": "string",
                    "maxLength": 316,
                    "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                },
            },
        },
    })
}
