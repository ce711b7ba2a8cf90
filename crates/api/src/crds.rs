//! Every CRD as a manifest, derived from the types in [`crate::metallb`] and [`crate::frrk8s`].
//!
//! A manifest must be what `controller-gen` would have made of the same API, so that applying it over
//! an existing one changes nothing that a client can see. Additions are optional fields, columns after
//! the existing ones, and short names; nothing is ever renamed, narrowed or made mandatory.

mod normalise;

use kube::Resource;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::metallb::bgppeer;
use crate::schema::{Kind, ScopeName};
use crate::{frrk8s, metallb};

/// The manifests of all kinds, `metallb.io` first, in the order of their names.
pub fn all() -> Vec<Value> {
    vec![
        define::<metallb::BFDProfile>(&[
            Column::boolean("Passive Mode", ".spec.passiveMode"),
            Column::integer("Transmit Interval", ".spec.transmitInterval"),
            Column::integer("Receive Interval", ".spec.receiveInterval"),
            Column::integer("Multiplier", ".spec.detectMultiplier"),
        ]),
        define::<metallb::BGPAdvertisement>(&[
            Column::string("IPAddressPools", ".spec.ipAddressPools"),
            Column::string("IPAddressPool Selectors", ".spec.ipAddressPoolSelectors"),
            Column::string("Peers", ".spec.peers"),
            Column::string("Node Selectors", ".spec.nodeSelectors").only_wide(),
        ]),
        bgp_peer(),
        define::<metallb::Community>(&[]),
        define::<metallb::ConfigurationState>(&[
            Column::string("Result", ".status.result"),
            Column::string("ErrorSummary", ".status.errorSummary"),
            Column::date("Age", ".metadata.creationTimestamp"),
        ])
        .short_names(&["configurationstatus"]),
        define::<metallb::IPAddressPool>(&[
            Column::boolean("Auto Assign", ".spec.autoAssign"),
            Column::boolean("Avoid Buggy IPs", ".spec.avoidBuggyIPs"),
            Column::string("Addresses", ".spec.addresses"),
        ])
        .require_spec(),
        define::<metallb::L2Advertisement>(&[
            Column::string("IPAddressPools", ".spec.ipAddressPools"),
            Column::string("IPAddressPool Selectors", ".spec.ipAddressPoolSelectors"),
            Column::string("Interfaces", ".spec.interfaces"),
            Column::string("Node Selectors", ".spec.nodeSelectors").only_wide(),
        ]),
        define::<metallb::ServiceBGPStatus>(&[
            Column::string("Node", ".status.node"),
            Column::string("Service Name", ".status.serviceName"),
            Column::string("Service Namespace", ".status.serviceNamespace"),
        ]),
        define::<metallb::ServiceL2Status>(&[
            Column::string("Allocated Node", ".status.node"),
            Column::string("Service Name", ".status.serviceName"),
            Column::string("Service Namespace", ".status.serviceNamespace"),
            Column::string("IPs", ".status.ips"),
        ]),
        define::<frrk8s::BGPSessionState>(&[
            Column::string("Node", ".status.node"),
            Column::string("Peer", ".status.peer"),
            Column::string("VRF", ".status.vrf"),
            Column::string("BGP", ".status.bgpStatus"),
            Column::string("BFD", ".status.bfdStatus"),
        ])
        .short_names(&["bgpsessionstatus"]),
        define::<frrk8s::FRRConfiguration>(&[]),
        define::<frrk8s::FRRK8sConfiguration>(&[]),
        define::<frrk8s::FRRNodeState>(&[]).short_names(&["frrnodestatus"]),
    ]
    .into_iter()
    .map(Definition::into_manifest)
    .collect()
}

/// The one kind with two versions, which the API server asks our webhook to convert.
fn bgp_peer() -> Definition {
    let columns = [
        Column::string("Address", ".spec.peerAddress"),
        Column::string("ASN", ".spec.peerASN"),
        Column::string("BFD Profile", ".spec.bfdProfile"),
        Column::string("Multi Hops", ".spec.ebgpMultiHop"),
    ];
    let mut older = version::<bgppeer::v1beta1::BGPPeer>(&columns);
    older["storage"] = json!(false);
    older["deprecated"] = json!(true);
    older["deprecationWarning"] = json!("v1beta1 is deprecated, please use v1beta2");

    let mut definition = define::<bgppeer::v1beta2::BGPPeer>(&columns);
    definition.versions.insert(0, older);
    definition.conversion = Some(json!({
        "strategy": "Webhook",
        "webhook": {
            "clientConfig": {
                "service": {
                    "name": "metallb-webhook-service",
                    "namespace": "metallb-system",
                    "path": "/convert",
                },
            },
            "conversionReviewVersions": ["v1beta1", "v1beta2"],
        },
    }));
    definition
}

struct Definition {
    group: String,
    kind: String,
    plural: String,
    scope: &'static str,
    short_names: &'static [&'static str],
    versions: Vec<Value>,
    conversion: Option<Value>,
}

fn define<K: Kind>(columns: &[Column]) -> Definition {
    Definition {
        group: K::group(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        plural: K::plural(&()).into_owned(),
        scope: <K as Resource>::Scope::NAME,
        short_names: &[],
        versions: vec![version::<K>(columns)],
        conversion: None,
    }
}

impl Definition {
    /// Spellings that people try, beside plural, singular and kind.
    fn short_names(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    fn require_spec(mut self) -> Self {
        for version in &mut self.versions {
            version["schema"]["openAPIV3Schema"]["required"] = json!(["spec"]);
        }
        self
    }

    fn into_manifest(self) -> Value {
        let mut names = json!({
            "kind": self.kind,
            "listKind": format!("{}List", self.kind),
            "plural": self.plural,
            "singular": self.kind.to_lowercase(),
        });
        if !self.short_names.is_empty() {
            names["shortNames"] = json!(self.short_names);
        }
        let mut spec = json!({
            "group": self.group,
            "names": names,
            "scope": self.scope,
            "versions": self.versions,
        });
        if let Some(conversion) = self.conversion {
            spec["conversion"] = conversion;
        }
        let mut manifest = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "annotations": { "controller-gen.kubebuilder.io/version": "v0.19.0" },
                "name": format!("{}.{}", self.plural, self.group),
            },
            "spec": spec,
        });
        manifest.sort_all_objects();
        manifest
    }
}

fn version<K: Kind>(columns: &[Column]) -> Value {
    let mut version = json!({
        "name": K::version(&()),
        "schema": { "openAPIV3Schema": root_schema::<K>() },
        "served": true,
        "storage": true,
        "subresources": { "status": {} },
    });
    if !columns.is_empty() {
        version["additionalPrinterColumns"] = columns.iter().map(Column::to_json).collect();
    }
    version
}

fn root_schema<K: Kind>() -> Value {
    let mut generator =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let mut properties = Map::from_iter([
        (
            "apiVersion".to_owned(),
            json!({
                "description": "The API group and version that the object is written in.",
                "type": "string",
            }),
        ),
        (
            "kind".to_owned(),
            json!({
                "description": "The kind of the object.",
                "type": "string",
            }),
        ),
        // The API server supplies the rest, and refuses a manifest that says anything more here.
        ("metadata".to_owned(), json!({ "type": "object" })),
    ]);
    for (name, schema) in K::properties(&mut generator) {
        properties.insert(name.to_owned(), schema.to_value());
    }
    normalise::schema(json!({
        "description": K::DESCRIPTION,
        "type": "object",
        "properties": properties,
    }))
}

/// A column of `kubectl get`.
struct Column {
    name: &'static str,
    kind: &'static str,
    path: &'static str,
    priority: i32,
}

impl Column {
    const fn new(kind: &'static str, name: &'static str, path: &'static str) -> Self {
        Self { name, kind, path, priority: 0 }
    }

    const fn string(name: &'static str, path: &'static str) -> Self {
        Self::new("string", name, path)
    }

    const fn boolean(name: &'static str, path: &'static str) -> Self {
        Self::new("boolean", name, path)
    }

    const fn integer(name: &'static str, path: &'static str) -> Self {
        Self::new("integer", name, path)
    }

    const fn date(name: &'static str, path: &'static str) -> Self {
        Self::new("date", name, path)
    }

    /// Shown only with `-o wide`.
    const fn only_wide(mut self) -> Self {
        self.priority = 10;
        self
    }

    fn to_json(&self) -> Value {
        let mut column = json!({ "jsonPath": self.path, "name": self.name, "type": self.kind });
        if self.priority != 0 {
            column["priority"] = json!(self.priority);
        }
        column
    }
}
