//! The kinds that are there without a definition, as clients discover them.
//!
//! What such a kind does beyond being stored is not said here.

use crate::resource::{ResourceType, Subresource, Verb};

/// Every built-in kind.
pub fn all() -> Vec<ResourceType> {
    KINDS.iter().map(Kind::resource_type).collect()
}

/// One line of the table below.
struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short_names: &'static [&'static str],
    is_namespaced: bool,
    does: Does,
}

/// What can be done with a kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    /// Objects are stored.
    Keep,
    /// Objects are stored and have a status that is written apart.
    KeepWithStatus,
    /// As `KeepWithStatus`, and how many replicas there are is read and written at `scale`.
    KeepWithScale,
    /// Nothing is stored: a question is posted, and the answer comes back.
    Answer,
}

impl Kind {
    fn resource_type(&self) -> ResourceType {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        ResourceType {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
            singular: self.kind.to_lowercase(),
            short_names: owned(self.short_names),
            categories: self.category().into_iter().map(str::to_owned).collect(),
            is_namespaced: self.is_namespaced,
            verbs: self.verbs(),
            subresources: self.subresources(),
            storage_version: (self.does != Does::Answer).then(|| self.storage_version().to_owned()),
        }
    }

    fn category(&self) -> Option<&'static str> {
        match self.group {
            ADMISSION | "apiextensions.k8s.io" => Some("api-extensions"),
            group => IN_ALL.contains(&(group, self.plural)).then_some("all"),
        }
    }

    /// As clients are told. A real server keeps definitions in an older form that it does not serve.
    fn storage_version(&self) -> &'static str {
        if self.group == "apiextensions.k8s.io" { "v1beta1" } else { self.version }
    }

    fn verbs(&self) -> Vec<Verb> {
        let mut verbs = Verb::OF_BUILT_IN.to_vec();
        match (self.does, self.group, self.plural) {
            (Does::Answer, ..) => verbs = vec![Verb::Create],
            // Their contents go with them, so it takes a decision for each.
            (_, "", "namespaces") => verbs.retain(|verb| *verb != Verb::DeleteCollection),
            _ => {}
        }
        verbs
    }

    fn subresources(&self) -> Vec<Subresource> {
        let part = |name: &str, kind: Option<[&str; 3]>, verbs: &[Verb]| Subresource {
            name: name.to_owned(),
            kind: kind.map(|[group, version, kind]| (group.to_owned(), version.to_owned(), kind.to_owned())),
            verbs: verbs.to_vec(),
        };
        let mut parts = Vec::new();
        if self.does == Does::KeepWithScale {
            parts.push(part("scale", Some(["autoscaling", "v1", "Scale"]), &Verb::STATUS));
        }
        if matches!(self.does, Does::KeepWithStatus | Does::KeepWithScale) {
            parts.push(part("status", None, &Verb::STATUS));
        }
        if (self.group, self.plural) == ("", "serviceaccounts") {
            parts.push(part("token", Some(["authentication.k8s.io", "v1", "TokenRequest"]), &[Verb::Create]));
        }
        if (self.group, self.plural) == ("", "namespaces") {
            parts.insert(0, part("finalize", None, &[Verb::Update]));
        }
        parts
    }
}

/// What `kubectl get all` prints.
const IN_ALL: [(&str, &str); 9] = [
    ("", "pods"),
    ("", "replicationcontrollers"),
    ("", "services"),
    ("apps", "daemonsets"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("batch", "cronjobs"),
    ("batch", "jobs"),
];

const fn namespaced(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short_names: &'static [&'static str],
    does: Does,
) -> Kind {
    Kind { group, version, kind, plural, short_names, is_namespaced: true, does }
}

const fn cluster(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short_names: &'static [&'static str],
    does: Does,
) -> Kind {
    Kind { group, version, kind, plural, short_names, is_namespaced: false, does }
}

const ADMISSION: &str = "admissionregistration.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";

const KINDS: [Kind; 47] = [
    namespaced("", "v1", "ConfigMap", "configmaps", &["cm"], Does::Keep),
    namespaced("", "v1", "Endpoints", "endpoints", &["ep"], Does::Keep),
    namespaced("", "v1", "Event", "events", &["ev"], Does::Keep),
    namespaced("", "v1", "LimitRange", "limitranges", &["limits"], Does::Keep),
    cluster("", "v1", "Namespace", "namespaces", &["ns"], Does::KeepWithStatus),
    cluster("", "v1", "Node", "nodes", &["no"], Does::KeepWithStatus),
    cluster("", "v1", "PersistentVolume", "persistentvolumes", &["pv"], Does::KeepWithStatus),
    namespaced("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"], Does::KeepWithStatus),
    namespaced("", "v1", "Pod", "pods", &["po"], Does::KeepWithStatus),
    namespaced("", "v1", "PodTemplate", "podtemplates", &[], Does::Keep),
    namespaced("", "v1", "ReplicationController", "replicationcontrollers", &["rc"], Does::KeepWithScale),
    namespaced("", "v1", "ResourceQuota", "resourcequotas", &["quota"], Does::KeepWithStatus),
    namespaced("", "v1", "Secret", "secrets", &[], Does::Keep),
    namespaced("", "v1", "Service", "services", &["svc"], Does::KeepWithStatus),
    namespaced("", "v1", "ServiceAccount", "serviceaccounts", &["sa"], Does::Keep),
    cluster(
        ADMISSION,
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        &[],
        Does::Keep,
    ),
    cluster(
        ADMISSION,
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        &[],
        Does::KeepWithStatus,
    ),
    cluster(
        ADMISSION,
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        &[],
        Does::Keep,
    ),
    cluster(
        ADMISSION,
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        &[],
        Does::Keep,
    ),
    cluster(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        &["crd", "crds"],
        Does::KeepWithStatus,
    ),
    namespaced("apps", "v1", "ControllerRevision", "controllerrevisions", &[], Does::Keep),
    namespaced("apps", "v1", "DaemonSet", "daemonsets", &["ds"], Does::KeepWithStatus),
    namespaced("apps", "v1", "Deployment", "deployments", &["deploy"], Does::KeepWithScale),
    namespaced("apps", "v1", "ReplicaSet", "replicasets", &["rs"], Does::KeepWithScale),
    namespaced("apps", "v1", "StatefulSet", "statefulsets", &["sts"], Does::KeepWithScale),
    cluster("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", &[], Does::Answer),
    cluster("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", &[], Does::Answer),
    namespaced(
        "authorization.k8s.io",
        "v1",
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        &[],
        Does::Answer,
    ),
    cluster(
        "authorization.k8s.io",
        "v1",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        &[],
        Does::Answer,
    ),
    cluster(
        "authorization.k8s.io",
        "v1",
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
        &[],
        Does::Answer,
    ),
    cluster("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", &[], Does::Answer),
    namespaced("batch", "v1", "CronJob", "cronjobs", &["cj"], Does::KeepWithStatus),
    namespaced("batch", "v1", "Job", "jobs", &[], Does::KeepWithStatus),
    namespaced("coordination.k8s.io", "v1", "Lease", "leases", &[], Does::Keep),
    namespaced("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", &[], Does::Keep),
    namespaced("events.k8s.io", "v1", "Event", "events", &["ev"], Does::Keep),
    namespaced("networking.k8s.io", "v1", "Ingress", "ingresses", &["ing"], Does::KeepWithStatus),
    cluster("networking.k8s.io", "v1", "IngressClass", "ingressclasses", &[], Does::Keep),
    namespaced("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", &["netpol"], Does::Keep),
    namespaced("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", &["pdb"], Does::KeepWithStatus),
    cluster(RBAC, "v1", "ClusterRole", "clusterroles", &[], Does::Keep),
    cluster(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", &[], Does::Keep),
    namespaced(RBAC, "v1", "Role", "roles", &[], Does::Keep),
    namespaced(RBAC, "v1", "RoleBinding", "rolebindings", &[], Does::Keep),
    cluster("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", &["pc"], Does::Keep),
    cluster("storage.k8s.io", "v1", "CSIDriver", "csidrivers", &[], Does::Keep),
    cluster("storage.k8s.io", "v1", "StorageClass", "storageclasses", &["sc"], Does::Keep),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_stands_for_two_kinds_of_a_group() {
        let mut names = HashSet::new();
        for kind in all() {
            let spellings = [kind.plural.clone(), kind.kind.clone()];
            for name in spellings.into_iter().chain(kind.short_names.clone()) {
                assert!(
                    names.insert((kind.group.clone(), kind.version.clone(), name.clone())),
                    "{name} of {}",
                    kind.group
                );
            }
        }
    }

    #[test]
    fn the_parts_of_a_kind_are_those_that_clients_use() {
        let parts_of = |plural: &str| -> Vec<String> {
            let all = all();
            let kind = all.iter().find(|kind| kind.plural == plural).expect("the kind is built in");
            kind.subresources.iter().map(|part| part.name.clone()).collect()
        };
        assert_eq!(parts_of("services"), ["status"]);
        assert_eq!(parts_of("namespaces"), ["finalize", "status"]);
        assert_eq!(parts_of("serviceaccounts"), ["token"]);
        assert_eq!(parts_of("deployments"), ["scale", "status"]);
        assert_eq!(parts_of("secrets"), [""; 0]);
    }

    #[test]
    fn a_question_can_only_be_posted() {
        let all = all();
        let reviews: Vec<&ResourceType> = all.iter().filter(|kind| kind.kind.ends_with("Review")).collect();
        assert_eq!(reviews.len(), 6);
        assert!(reviews.iter().all(|kind| kind.verbs == [Verb::Create]));
    }
}
