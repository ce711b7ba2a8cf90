//! What a server serves, as documents that clients discover it from: the legacy ones and the aggregated ones.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::resource::{ResourceType, Subresource, Verb, compare_versions};

/// `GET /api`.
pub fn core_versions(server_address: &str) -> Value {
    json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    })
}

/// `GET /apis`.
pub fn groups(resources: &[ResourceType]) -> Value {
    let groups: Vec<Value> = by_priority(resources)
        .into_iter()
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, versions)| group_fields(group, &versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `GET /apis/GROUP`; `None` if nothing of the group is served.
pub fn group(name: &str, resources: &[ResourceType]) -> Option<Value> {
    let groups = versions_by_group(resources);
    let versions = groups.get(name).filter(|_| !name.is_empty())?;
    let mut group = group_fields(name, versions);
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Some(group)
}

/// `GET /`: every path that leads to something, these among them.
pub fn paths(resources: &[ResourceType], others: &[&str]) -> Value {
    let mut paths: BTreeSet<String> = others.iter().map(|&path| path.to_owned()).collect();
    paths.extend(["/api", "/apis", "/apis/"].map(str::to_owned));
    for resource in resources {
        if resource.group.is_empty() {
            paths.insert(format!("/api/{}", resource.version));
        } else {
            paths.insert(format!("/apis/{}", resource.group));
            paths.insert(format!("/apis/{}", resource.api_version()));
        }
    }
    json!({"paths": paths})
}

/// `GET /api/v1` and `GET /apis/GROUP/VERSION`; `None` if nothing of the version is served.
pub fn resources(group: &str, version: &str, resources: &[ResourceType]) -> Option<Value> {
    let mut served: Vec<&ResourceType> =
        resources.iter().filter(|it| it.group == group && it.version == version).collect();
    served.sort_by(|a, b| a.plural.cmp(&b.plural));
    let api_version = served.first()?.api_version();
    let list: Vec<Value> = served.into_iter().flat_map(resource_and_parts).collect();
    let mut body = json!({"kind": "APIResourceList"});
    // The core group is older than the field.
    if !group.is_empty() {
        body["apiVersion"] = "v1".into();
    }
    body["groupVersion"] = api_version.into();
    body["resources"] = list.into();
    Some(body)
}

fn resource_and_parts(resource: &ResourceType) -> Vec<Value> {
    let mut entry = json!({
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.is_namespaced,
        "kind": resource.kind, "verbs": words(&resource.verbs),
    });
    for (field, list) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
        if !list.is_empty() {
            entry[field] = json!(list);
        }
    }
    if let Some(hash) = resource.storage_version_hash() {
        entry["storageVersionHash"] = hash.into();
    }
    let part = |part: &Subresource| {
        let mut entry = json!({
            "name": format!("{}/{}", resource.plural, part.name), "singularName": "",
            "namespaced": resource.is_namespaced, "kind": resource.kind, "verbs": words(&part.verbs),
        });
        if let Some((group, version, kind)) = &part.kind {
            entry["group"] = json!(group);
            entry["version"] = json!(version);
            entry["kind"] = json!(kind);
        }
        entry
    };
    std::iter::once(entry).chain(resource.subresources.iter().map(part)).collect()
}

/// `GET /api` or `GET /apis` for a client that asks for everything at once.
pub fn aggregated(is_core: bool, resources: &[ResourceType], api_version: &str) -> Value {
    let groups: Vec<Value> = by_priority(resources)
        .into_iter()
        .filter(|(group, _)| group.is_empty() == is_core)
        .map(|(group, versions)| {
            let versions: Vec<Value> =
                versions.iter().map(|version| aggregated_version(group, version, resources)).collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": groups})
}

fn aggregated_version(group: &str, version: &str, resources: &[ResourceType]) -> Value {
    let mut served: Vec<&ResourceType> =
        resources.iter().filter(|it| it.group == group && it.version == version).collect();
    served.sort_by(|a, b| a.plural.cmp(&b.plural));
    let kind =
        |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let own_kind = |resource: &ResourceType| match is_custom(group) {
        true => kind(group, version, &resource.kind),
        // Where the version is that of the document, built-in kinds do not repeat it.
        false => kind("", "", &resource.kind),
    };
    let entry = |resource: &&ResourceType| {
        let mut entry = json!({
            "resource": resource.plural, "responseKind": own_kind(resource),
            "scope": if resource.is_namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": resource.singular, "verbs": words(&resource.verbs),
        });
        for (field, list) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
            if !list.is_empty() {
                entry[field] = json!(list);
            }
        }
        if !resource.subresources.is_empty() {
            let part = |part: &Subresource| {
                let other = part.kind.as_ref().map(|(group, version, name)| kind(group, version, name));
                let kind = other.unwrap_or_else(|| own_kind(resource));
                json!({"subresource": part.name, "responseKind": kind, "verbs": words(&part.verbs)})
            };
            entry["subresources"] = resource.subresources.iter().map(part).collect();
        }
        entry
    };
    json!({"version": version, "resources": served.iter().map(entry).collect::<Vec<_>>(), "freshness": "Current"})
}

/// Built-in groups in the order in which a real server has them; whatever else is served follows by name.
const PRIORITY: [&str; 15] = [
    "",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "batch",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
];

fn is_custom(group: &str) -> bool {
    !PRIORITY.contains(&group)
}

fn by_priority(resources: &[ResourceType]) -> Vec<(&str, Vec<&str>)> {
    let place = |group: &str| PRIORITY.iter().position(|it| *it == group).unwrap_or(PRIORITY.len());
    let compare = |a: &str, b: &str| -> Ordering { place(a).cmp(&place(b)).then_with(|| a.cmp(b)) };
    let mut groups: Vec<(&str, Vec<&str>)> = versions_by_group(resources).into_iter().collect();
    groups.sort_by(|(a, _), (b, _)| compare(a, b));
    groups
}

/// The versions of each group, the preferred one first.
fn versions_by_group(resources: &[ResourceType]) -> BTreeMap<&str, Vec<&str>> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for resource in resources {
        let versions = groups.entry(&resource.group).or_default();
        if !versions.contains(&resource.version.as_str()) {
            versions.push(&resource.version);
        }
    }
    for versions in groups.values_mut() {
        versions.sort_by(|a, b| compare_versions(a, b));
    }
    groups
}

fn group_fields(name: &str, versions: &[&str]) -> Value {
    let version = |version: &&str| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let listed: Vec<Value> = versions.iter().map(version).collect();
    json!({"name": name, "versions": listed, "preferredVersion": listed.first()})
}

fn words(verbs: &[Verb]) -> Vec<&'static str> {
    verbs.iter().map(|verb| verb.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(version: &str) -> ResourceType {
        ResourceType {
            group: "example.com".to_owned(),
            version: version.to_owned(),
            kind: "Peer".to_owned(),
            plural: "peers".to_owned(),
            singular: "peer".to_owned(),
            short_names: vec!["pr".to_owned()],
            categories: vec![],
            is_namespaced: true,
            verbs: Verb::ALL.to_vec(),
            storage_version: Some("v1".to_owned()),
            subresources: vec![Subresource {
                name: "status".to_owned(),
                kind: None,
                verbs: Verb::STATUS.to_vec(),
            }],
        }
    }

    fn nodes() -> ResourceType {
        ResourceType {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "Node".to_owned(),
            plural: "nodes".to_owned(),
            singular: "node".to_owned(),
            short_names: vec!["no".to_owned()],
            is_namespaced: false,
            ..peers("v1")
        }
    }

    #[test]
    fn groups_name_their_versions_the_preferred_one_first() {
        let served = [peers("v1beta1"), peers("v1"), nodes()];
        let version =
            |version: &str| json!({"groupVersion": format!("example.com/{version}"), "version": version});
        let group_fields = json!({"name": "example.com", "versions": [version("v1"), version("v1beta1")], "preferredVersion": version("v1")});
        assert_eq!(
            groups(&served),
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group_fields]})
        );
        assert_eq!(group("example.com", &served).unwrap()["kind"], "APIGroup");
        assert_eq!(group("other", &served), None);
        assert_eq!(group("", &served), None);
    }

    #[test]
    fn a_version_lists_its_resources_and_their_parts() {
        let served = [peers("v1"), nodes()];
        let list = resources("example.com", "v1", &served).unwrap();
        assert_eq!(list["groupVersion"], "example.com/v1");
        assert_eq!(
            list["resources"],
            json!([
                {
                    "name": "peers", "singularName": "peer", "namespaced": true, "kind": "Peer",
                    "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
                    "shortNames": ["pr"], "storageVersionHash": "3l6F3VY4YPc=",
                },
                {
                    "name": "peers/status", "singularName": "", "namespaced": true, "kind": "Peer",
                    "verbs": ["get", "patch", "update"],
                },
            ])
        );
        assert_eq!(resources("", "v1", &served).unwrap()["resources"][0]["name"], "nodes");
        assert_eq!(resources("example.com", "v2", &served), None);
    }

    #[test]
    fn everything_at_once_says_the_same() {
        let served = [peers("v1beta1"), peers("v1"), nodes()];
        let apis = aggregated(false, &served, "apidiscovery.k8s.io/v2");
        assert_eq!(apis["items"][0]["metadata"]["name"], "example.com");
        assert_eq!(apis["items"][0]["versions"][0]["version"], "v1");
        let peer = &apis["items"][0]["versions"][1]["resources"][0];
        assert_eq!((&peer["resource"], &peer["scope"]), (&json!("peers"), &json!("Namespaced")));
        assert_eq!(
            peer["responseKind"],
            json!({"group": "example.com", "version": "v1beta1", "kind": "Peer"})
        );
        assert_eq!(peer["subresources"][0]["subresource"], "status");
        let core = aggregated(true, &served, "apidiscovery.k8s.io/v2");
        assert_eq!(core["items"].as_array().unwrap().len(), 1);
        assert_eq!(core["items"][0]["versions"][0]["resources"][0]["scope"], "Cluster");
    }
}
