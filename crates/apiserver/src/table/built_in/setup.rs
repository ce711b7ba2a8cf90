//! What a cluster is made of and set up with: nodes, volumes, quotas, bindings, policies.

use serde_json::{Value, json};

use super::{NONE, Row, UNSET, or, selector, text_in, texts};

const UNKNOWN: &str = "<unknown>";

pub(super) fn node(row: &Row<'_>) -> Vec<Value> {
    let ready = row.list("/status/conditions").iter().rfind(|it| it["type"] == "Ready");
    let mut status = match ready {
        Some(condition) if condition["status"] == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if row.flag("/spec/unschedulable") {
        status.push_str(",SchedulingDisabled");
    }
    let address = |kind: &str| {
        let found = row.list("/status/addresses").iter().find(|it| it["type"] == kind);
        found.map_or(NONE, |it| text_in(it, "address")).to_owned()
    };
    let mut kernel = row.text_or("/status/nodeInfo/kernelVersion", UNKNOWN).to_owned();
    let architecture = row.text("/status/nodeInfo/architecture");
    if !architecture.is_empty() {
        kernel = format!("{kernel} ({architecture})");
    }
    vec![
        json!(row.name()),
        json!(status),
        json!(roles(row)),
        json!(row.age()),
        json!(row.text("/status/nodeInfo/kubeletVersion")),
        json!(address("InternalIP")),
        json!(address("ExternalIP")),
        json!(row.text_or("/status/nodeInfo/osImage", UNKNOWN)),
        json!(kernel),
        json!(row.text_or("/status/nodeInfo/containerRuntimeVersion", UNKNOWN)),
    ]
}

/// What a node is for, as its labels say in two ways.
fn roles(row: &Row<'_>) -> String {
    let labels = row.at("/metadata/labels").as_object().into_iter().flatten();
    let role = |(label, value): (&'_ String, &'_ Value)| match label.strip_prefix("node-role.kubernetes.io/")
    {
        Some(role) => Some(role.to_owned()),
        None if label == "kubernetes.io/role" => value.as_str().map(str::to_owned),
        None => None,
    };
    let mut roles: Vec<String> = labels.filter_map(role).filter(|role| !role.is_empty()).collect();
    roles.sort();
    roles.dedup();
    or(&roles.join(","), NONE).to_owned()
}

/// How a volume can be mounted, in few letters.
fn access_modes(modes: &[Value]) -> String {
    let short = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let there = short.into_iter().filter(|(mode, _)| modes.iter().any(|it| it == mode));
    there.map(|(_, short)| short).collect::<Vec<_>>().join(",")
}

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

fn storage_class_of<'a>(row: &Row<'a>) -> &'a str {
    let annotated = row.at("/metadata/annotations")[CLASS_ANNOTATION].as_str();
    annotated.unwrap_or_else(|| row.text("/spec/storageClassName"))
}

fn phase<'a>(row: &Row<'a>) -> &'a str {
    let is_going = row.at("/metadata/deletionTimestamp").is_string();
    if is_going { "Terminating" } else { row.text("/status/phase") }
}

pub(super) fn volume(row: &Row<'_>) -> Vec<Value> {
    let claim = row.at("/spec/claimRef");
    let claim = match claim.is_object() {
        true => format!("{}/{}", text_in(claim, "namespace"), text_in(claim, "name")),
        false => String::new(),
    };
    vec![
        json!(row.name()),
        json!(row.text_or("/spec/capacity/storage", "0")),
        json!(access_modes(row.list("/spec/accessModes"))),
        json!(row.text("/spec/persistentVolumeReclaimPolicy")),
        json!(phase(row)),
        json!(claim),
        json!(storage_class_of(row)),
        json!(row.at("/spec/volumeAttributesClassName").as_str().unwrap_or(UNSET)),
        json!(row.text("/status/reason")),
        json!(row.age()),
        json!(row.at("/spec/volumeMode").as_str().unwrap_or(UNSET)),
    ]
}

pub(super) fn claim(row: &Row<'_>) -> Vec<Value> {
    let volume = row.text("/spec/volumeName");
    // What a claim got is only said once there is a volume.
    let (capacity, modes) = match volume {
        "" => (String::new(), String::new()),
        _ => {
            let capacity = row.text_or("/status/capacity/storage", "0").to_owned();
            (capacity, access_modes(row.list("/status/accessModes")))
        }
    };
    vec![
        json!(row.name()),
        json!(phase(row)),
        json!(volume),
        json!(capacity),
        json!(modes),
        json!(storage_class_of(row)),
        json!(row.at("/spec/volumeAttributesClassName").as_str().unwrap_or(UNSET)),
        json!(row.age()),
        json!(row.at("/spec/volumeMode").as_str().unwrap_or(UNSET)),
    ]
}

pub(super) fn quota(row: &Row<'_>) -> Vec<Value> {
    let hard = row.at("/status/hard").as_object().cloned().unwrap_or_default();
    let mut names: Vec<&String> = hard.keys().collect();
    names.sort();
    let shown = |of_limits: bool| {
        let amounts = names.iter().filter(|name| name.starts_with("limits.") == of_limits).map(|name| {
            let used = row.at("/status/used")[name.as_str()].as_str().unwrap_or("0");
            format!("{name}: {used}/{}", hard[name.as_str()].as_str().unwrap_or("0"))
        });
        amounts.collect::<Vec<_>>().join(", ")
    };
    vec![row.name().into(), shown(false).into(), shown(true).into(), row.age().into()]
}

pub(super) fn webhooks(row: &Row<'_>) -> Vec<Value> {
    vec![row.name().into(), row.list("/webhooks").len().into(), row.age().into()]
}

pub(super) fn policy(row: &Row<'_>) -> Vec<Value> {
    let parameters = row.at("/spec/paramKind");
    let shown = match parameters.is_object() {
        true => format!("{}/{}", text_in(parameters, "apiVersion"), text_in(parameters, "kind")),
        false => UNSET.to_owned(),
    };
    vec![row.name().into(), row.list("/spec/validations").len().into(), shown.into(), row.age().into()]
}

pub(super) fn policy_binding(row: &Row<'_>) -> Vec<Value> {
    let parameters = row.at("/spec/paramRef");
    let shown = match (text_in(parameters, "name"), &parameters["selector"]) {
        ("", Value::Object(_)) => selector(&parameters["selector"]),
        ("", _) => UNSET.to_owned(),
        (name, _) => format!("{}/{name}", or(text_in(parameters, "namespace"), "*")),
    };
    vec![row.name().into(), row.text("/spec/policyName").into(), shown.into(), row.age().into()]
}

pub(super) fn role_binding(row: &Row<'_>) -> Vec<Value> {
    let role = format!("{}/{}", row.text("/roleRef/kind"), row.text("/roleRef/name"));
    let subjects = |kind: &str| {
        let subjects = row.list("/subjects").iter().filter(|subject| subject["kind"] == kind);
        let name = |subject: &Value| match text_in(subject, "namespace") {
            namespace if kind == "ServiceAccount" && !namespace.is_empty() => {
                format!("{namespace}/{}", text_in(subject, "name"))
            }
            _ => text_in(subject, "name").to_owned(),
        };
        subjects.map(name).collect::<Vec<_>>().join(", ")
    };
    let mut cells = vec![row.name().into(), role.into(), row.age().into()];
    cells.extend(["User", "Group", "ServiceAccount"].map(|kind| Value::from(subjects(kind))));
    cells
}

pub(super) fn priority_class(row: &Row<'_>) -> Vec<Value> {
    vec![
        json!(row.name()),
        json!(row.number("/value")),
        json!(row.flag("/globalDefault")),
        json!(row.age()),
        json!(row.text("/preemptionPolicy")),
    ]
}

pub(super) fn storage_class(row: &Row<'_>) -> Vec<Value> {
    let annotations = row.at("/metadata/annotations");
    let is_default = ["storageclass.kubernetes.io", "storageclass.beta.kubernetes.io"]
        .into_iter()
        .any(|prefix| annotations[format!("{prefix}/is-default-class")] == "true");
    let name = if is_default { format!("{} (default)", row.name()) } else { row.name().to_owned() };
    vec![
        json!(name),
        json!(row.text("/provisioner")),
        json!(row.text_or("/reclaimPolicy", "Delete")),
        json!(row.text_or("/volumeBindingMode", "Immediate")),
        json!(row.flag("/allowVolumeExpansion")),
        json!(row.age()),
    ]
}

pub(super) fn driver(row: &Row<'_>) -> Vec<Value> {
    let modes: Vec<&str> = row.list("/spec/volumeLifecycleModes").iter().filter_map(Value::as_str).collect();
    let tokens = match row.at("/spec/tokenRequests").as_array() {
        Some(requests) => texts(requests, "audience").join(","),
        None => UNSET.to_owned(),
    };
    let attaches = row.at("/spec/attachRequired").as_bool().unwrap_or(true);
    vec![
        json!(row.name()),
        json!(attaches),
        json!(row.flag("/spec/podInfoOnMount")),
        json!(row.flag("/spec/storageCapacity")),
        json!(tokens),
        json!(row.flag("/spec/requiresRepublish")),
        json!(or(&modes.join(","), NONE)),
        json!(row.age()),
    ]
}
