//! The roles that manifests refer to and a cluster always has, with their bindings.

use serde_json::{Value, json};

use super::GROUP;

const READ: &str = "get list watch";
const WRITE: &str = "create delete deletecollection patch update";
const ALL: &str = "create delete deletecollection get list patch update watch";
const EVENTS: &str = "create patch update";
/// Stands for the core group in the tables.
const CORE: &str = "core";

/// Verbs, groups and resources; a rule for paths has no group.
type Row = (&'static str, &'static str, &'static str);

const ROLES: [(&str, &[Row]); 17] = [
    ("cluster-admin", &[("*", "*", "*"), ("*", "", "*")]),
    (
        "system:aggregate-to-admin",
        &[
            ("create", "authorization.k8s.io", "localsubjectaccessreviews"),
            (ALL, GROUP, "rolebindings roles"),
        ],
    ),
    ("system:aggregate-to-edit", &EDIT),
    ("system:aggregate-to-view", &VIEW),
    (
        "system:auth-delegator",
        &[
            ("create", "authentication.k8s.io", "tokenreviews"),
            ("create", "authorization.k8s.io", "subjectaccessreviews"),
        ],
    ),
    (
        "system:basic-user",
        &[
            ("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
            ("create", "authentication.k8s.io", "selfsubjectreviews"),
        ],
    ),
    (
        "system:discovery",
        &[(
            "get",
            "",
            "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/",
        )],
    ),
    ("system:kube-aggregator", &[(READ, CORE, "endpoints services")]),
    ("system:kube-dns", &[("list watch", CORE, "endpoints services")]),
    (
        "system:kubelet-api-admin",
        &[
            (READ, CORE, "nodes"),
            ("proxy", CORE, "nodes"),
            ("*", CORE, "nodes/log nodes/metrics nodes/proxy nodes/stats"),
            ("*", CORE, "nodes/configz nodes/healthz nodes/pods"),
        ],
    ),
    (
        "system:monitoring",
        &[
            (
                "get",
                "",
                "/flagz /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/* /statusz",
            ),
            ("get", CORE, "nodes/metrics"),
        ],
    ),
    (
        "system:node-problem-detector",
        &[("get", CORE, "nodes"), ("patch", CORE, "nodes/status"), (EVENTS, "core events.k8s.io", "events")],
    ),
    (
        "system:node-proxier",
        &[
            ("list watch", CORE, "endpoints services"),
            (READ, CORE, "nodes"),
            (EVENTS, "core events.k8s.io", "events"),
            ("list watch", "networking.k8s.io", "servicecidrs"),
            ("list watch", "discovery.k8s.io", "endpointslices"),
        ],
    ),
    (
        "system:persistent-volume-provisioner",
        &[
            ("create delete get list watch", CORE, "persistentvolumes"),
            ("get list update watch", CORE, "persistentvolumeclaims"),
            (READ, "storage.k8s.io", "storageclasses"),
            ("watch", CORE, "events"),
            (EVENTS, "core events.k8s.io", "events"),
        ],
    ),
    ("system:public-info-viewer", &[("get", "", "/healthz /livez /readyz /version /version/")]),
    (
        "system:service-account-issuer-discovery",
        &[(
            "get",
            "",
            "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks \
             /openid/v1/jwks/",
        )],
    ),
    (
        "system:volume-scheduler",
        &[
            ("get list patch update watch", CORE, "persistentvolumes"),
            (READ, "storage.k8s.io", "storageclasses"),
            ("get list patch update watch", CORE, "persistentvolumeclaims"),
        ],
    ),
];

const EDIT: [Row; 15] = [
    (READ, CORE, "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    ("impersonate", CORE, "serviceaccounts"),
    (WRITE, CORE, "pods pods/attach pods/exec pods/portforward pods/proxy"),
    ("create", CORE, "pods/eviction"),
    (
        WRITE,
        CORE,
        "configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets \
         serviceaccounts services services/proxy",
    ),
    ("create", CORE, "serviceaccounts/token"),
    (WRITE, "core events.k8s.io", "events"),
    (
        WRITE,
        "apps",
        "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale \
         statefulsets statefulsets/scale",
    ),
    (WRITE, "autoscaling", "horizontalpodautoscalers"),
    (WRITE, "batch", "cronjobs jobs"),
    (
        WRITE,
        "extensions",
        "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets \
         replicasets/scale replicationcontrollers/scale",
    ),
    (WRITE, "policy", "poddisruptionbudgets"),
    (WRITE, "networking.k8s.io", "ingresses networkpolicies"),
    (ALL, "coordination.k8s.io", "leases"),
    (WRITE, "resource.k8s.io", "resourceclaims resourceclaimtemplates"),
];

const VIEW: [Row; 12] = [
    (
        READ,
        CORE,
        "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers \
         replicationcontrollers/scale serviceaccounts services services/status",
    ),
    (
        READ,
        CORE,
        "bindings limitranges namespaces/status pods/log pods/status replicationcontrollers/status \
         resourcequotas resourcequotas/status",
    ),
    (READ, CORE, "namespaces"),
    (READ, "core events.k8s.io", "events"),
    (READ, "discovery.k8s.io", "endpointslices"),
    (
        READ,
        "apps",
        "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status \
         replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
    ),
    (READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    (READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
    (
        READ,
        "extensions",
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses \
         ingresses/status networkpolicies replicasets replicasets/scale replicasets/status \
         replicationcontrollers/scale",
    ),
    (READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    (READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
    (READ, "resource.k8s.io", "resourceclaims resourceclaims/status resourceclaimtemplates"),
];

/// Roles that consist of those with a label, each with the label that makes it a part of another.
const GATHERED: [(&str, &str, Option<&str>); 3] = [
    ("admin", "aggregate-to-admin", None),
    ("edit", "aggregate-to-edit", Some("aggregate-to-admin")),
    ("view", "aggregate-to-view", Some("aggregate-to-edit")),
];

/// A role and the groups that have it.
const BINDINGS: [(&str, &[&str]); 6] = [
    ("cluster-admin", &["system:masters"]),
    ("system:basic-user", &["system:authenticated"]),
    ("system:discovery", &["system:authenticated"]),
    ("system:monitoring", &["system:monitoring"]),
    ("system:public-info-viewer", &["system:authenticated", "system:unauthenticated"]),
    ("system:service-account-issuer-discovery", &["system:serviceaccounts"]),
];

/// Plural and object of everything that is made when roles are asked for the first time.
pub fn objects() -> Vec<(&'static str, Value)> {
    let roles = ROLES.iter().map(|(name, rows)| {
        let rules: Vec<Value> = rows.iter().map(rule).collect();
        ("clusterroles", object("ClusterRole", name, part_label(name), &json!({"rules": rules})))
    });
    let gathered = GATHERED.iter().map(|(name, label, part_of)| {
        let label = format!("rbac.authorization.k8s.io/{label}");
        let selectors = json!([{"matchLabels": {label: "true"}}]);
        let fields = json!({"aggregationRule": {"clusterRoleSelectors": selectors}, "rules": null});
        ("clusterroles", object("ClusterRole", name, *part_of, &fields))
    });
    let bindings = BINDINGS.iter().map(|(name, groups)| {
        let subject = |group: &&str| json!({"apiGroup": GROUP, "kind": "Group", "name": group});
        let fields = json!({
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
            "subjects": groups.iter().map(subject).collect::<Vec<_>>(),
        });
        ("clusterrolebindings", object("ClusterRoleBinding", name, None, &fields))
    });
    roles.chain(gathered).chain(bindings).collect()
}

fn part_label(name: &str) -> Option<&str> {
    name.strip_prefix("system:").filter(|rest| rest.starts_with("aggregate-to-"))
}

fn rule((verbs, groups, resources): &Row) -> Value {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if groups.is_empty() {
        return json!({"nonResourceURLs": words(resources), "verbs": words(verbs)});
    }
    let groups: Vec<String> =
        words(groups).into_iter().map(|group| if group == CORE { String::new() } else { group }).collect();
    json!({"apiGroups": groups, "resources": words(resources), "verbs": words(verbs)})
}

fn object(kind: &str, name: &str, part_of: Option<&str>, fields: &Value) -> Value {
    let mut labels = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
    if let Some(label) = part_of {
        labels[format!("rbac.authorization.k8s.io/{label}")] = "true".into();
    }
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind,
        "metadata": {
            "name": name, "labels": labels,
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        },
    });
    for (field, value) in fields.as_object().into_iter().flatten() {
        object[field] = value.clone();
    }
    object
}
