//! A cluster with changes applied to it in memory, as far as an API server would take them.

use std::collections::{HashMap, HashSet};

use plan::allocate::POOL_ANNOTATION;
use serde_json::{Value, json};

use crate::cli::input::Object;
use crate::cli::manifests::{DEFAULT_NAMESPACE, OUR_GROUPS};

/// What an object is found by: group, kind, namespace, name.
pub(super) type Id = (String, String, String, String);

/// The objects of a cluster, in their order; new ones come last.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    objects: Vec<Option<Object>>,
    indexes: HashMap<Id, usize>,
    /// Where objects of ours are that name no namespace.
    namespace: String,
    pub(super) touched: HashSet<Id>,
}

/// For which Services a cluster has cluster IPs.
#[derive(Debug, Clone, Copy)]
struct Families {
    is_primary_v6: bool,
    has_both: bool,
}

/// Fields of a Service that an API server fills in, and keeps when a manifest does not have them.
const FILLED_IN: [&str; 4] = ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"];

impl World {
    pub(super) fn new(namespace: &str, objects: Vec<Object>) -> World {
        let mut world = World { namespace: namespace.to_owned(), ..World::default() };
        for object in objects {
            world.put(object);
        }
        world
    }

    pub(super) fn objects(&self) -> Vec<Object> {
        self.objects.iter().flatten().cloned().collect()
    }

    /// Creates or replaces. The number of Services whose cluster IPs are made up is returned.
    pub(super) fn apply(&mut self, changes: Vec<Object>) -> usize {
        let families = self.families();
        let mut made_up = 0;
        for mut change in changes {
            let id = self.put_namespace(&mut change.value);
            if let Some(object) = change.value.as_object_mut() {
                // Who writes an object cannot give it a status, and takes away none.
                object.remove("status");
                let status = self.get(&id).and_then(|live| live.get("status"));
                object.extend(status.map(|status| ("status".to_owned(), status.clone())));
            }
            if id.0.is_empty() && id.1 == "Service" {
                let live = self.get(&id).cloned();
                made_up += usize::from(complete_service(&mut change.value, live.as_ref(), families));
            }
            self.touched.insert(id);
            self.put(change);
        }
        made_up
    }

    /// Takes objects away; those that are not there are returned.
    pub(super) fn delete(&mut self, objects: Vec<Object>) -> Vec<Id> {
        let mut missing = Vec::new();
        for mut object in objects {
            let id = self.put_namespace(&mut object.value);
            match self.indexes.remove(&id) {
                Some(index) => self.objects[index] = None,
                None => missing.push(id.clone()),
            }
            if id.0.is_empty() && id.1 == "Namespace" {
                self.delete_namespace(&id.3);
            }
            self.touched.insert(id);
        }
        missing
    }

    fn delete_namespace(&mut self, namespace: &str) {
        let inside: Vec<Id> = self.indexes.keys().filter(|id| id.2 == namespace).cloned().collect();
        for id in inside {
            if let Some(index) = self.indexes.remove(&id) {
                self.objects[index] = None;
            }
        }
    }

    fn put(&mut self, mut object: Object) {
        let id = self.put_namespace(&mut object.value);
        match self.indexes.get(&id) {
            Some(&index) => self.objects[index] = Some(object),
            None => {
                self.indexes.insert(id, self.objects.len());
                self.objects.push(Some(object));
            }
        }
    }

    fn get(&self, id: &Id) -> Option<&Value> {
        self.indexes.get(id).and_then(|&index| self.objects[index].as_ref()).map(|object| &object.value)
    }

    /// Whoever applies an object chooses the namespace that it does not name.
    fn put_namespace(&self, object: &mut Value) -> Id {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let api_version = text(&object["apiVersion"]);
        let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        let kind = text(&object["kind"]);
        let is_namespaced = !matches!(kind.as_str(), "Namespace" | "Node");
        let mut namespace = text(&object["metadata"]["namespace"]);
        if is_namespaced && namespace.is_empty() && object["metadata"].is_object() {
            namespace = if OUR_GROUPS.contains(&group.as_str()) {
                self.namespace.clone()
            } else {
                DEFAULT_NAMESPACE.to_owned()
            };
            object["metadata"]["namespace"] = namespace.as_str().into();
        }
        (group, kind, namespace, text(&object["metadata"]["name"]))
    }

    /// As the Services that are there show it; an API server's own one above all.
    fn families(&self) -> Families {
        let key = |namespace: &str, name: &str| {
            (String::new(), "Service".to_owned(), namespace.to_owned(), name.to_owned())
        };
        let own = self.get(&key("default", "kubernetes")).map(|service| is_v6(&service["spec"]["clusterIP"]));
        let services = self.objects.iter().flatten().filter(|object| object.value["kind"] == "Service");
        let mut counts = services.map(|object| cluster_ips(&object.value).len());
        Families { is_primary_v6: own.unwrap_or(false), has_both: counts.any(|count| count > 1) }
    }
}

fn is_v6(address: &Value) -> bool {
    address.as_str().is_some_and(|address| address.contains(':'))
}

fn cluster_ips(service: &Value) -> &[Value] {
    service["spec"]["clusterIPs"].as_array().map_or(&[], Vec::as_slice)
}

/// Fills in what an API server would, as far as decisions look at it. Whether cluster IPs had to be made up.
fn complete_service(service: &mut Value, live: Option<&Value>, families: Families) -> bool {
    if let Some(live) = live {
        for field in FILLED_IN {
            if service["spec"][field].is_null() && !live["spec"][field].is_null() {
                service["spec"][field] = live["spec"][field].clone();
            }
        }
        service["status"] = live["status"].clone();
        let pool = &live["metadata"]["annotations"][POOL_ANNOTATION];
        if service["metadata"]["annotations"][POOL_ANNOTATION].is_null() && !pool.is_null() {
            service["metadata"]["annotations"][POOL_ANNOTATION] = pool.clone();
        }
    }
    let spec = &mut service["spec"];
    if spec["type"] == "ExternalName" || spec["clusterIP"] == "None" {
        return false;
    }
    let wants_both = matches!(spec["ipFamilyPolicy"].as_str(), Some("PreferDualStack" | "RequireDualStack"));
    let given = spec["clusterIPs"].as_array().cloned().unwrap_or_default();
    let given = if given.is_empty() && spec["clusterIP"].is_string() {
        vec![spec["clusterIP"].clone()]
    } else {
        given
    };
    let mut is_v6s: Vec<bool> = given.iter().map(is_v6).collect();
    if given.is_empty() {
        let asked = spec["ipFamilies"].as_array().map_or(&[][..], Vec::as_slice);
        is_v6s = asked.iter().map(|family| family == "IPv6").collect();
    }
    if is_v6s.is_empty() {
        is_v6s.push(families.is_primary_v6);
    }
    if wants_both && is_v6s.len() == 1 && families.has_both {
        is_v6s.push(!is_v6s[0]);
    }
    is_v6s.truncate(if wants_both { 2 } else { 1 });
    // Nobody looks at more than their family. These are for examples, and nobody's.
    let made_up = |is_v6: bool| if is_v6 { json!("2001:db8::1") } else { json!("192.0.2.1") };
    let all = is_v6s.iter().enumerate();
    let all: Vec<Value> =
        all.map(|(at, &is_v6)| given.get(at).cloned().unwrap_or_else(|| made_up(is_v6))).collect();
    let is_made_up = all.len() > given.len();
    spec["clusterIP"] = all[0].clone();
    spec["clusterIPs"] = all.into();
    is_made_up
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::input::Origin;

    fn object(value: Value) -> Object {
        Object { origin: Origin::cluster(), value }
    }

    fn service(name: &str, spec: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
    }

    fn kubernetes(cluster_ips: &[&str]) -> Object {
        let spec = json!({"clusterIP": cluster_ips[0], "clusterIPs": cluster_ips});
        object(service("kubernetes", &spec))
    }

    #[test]
    fn a_service_gets_the_families_that_the_cluster_would_give_it() {
        let (one, six, both) = (&["10.0.0.1"][..], &["fd00::1"][..], &["10.0.0.1", "fd00::1"][..]);
        let policy = |policy: &str| json!({"ipFamilyPolicy": policy});
        for (cluster, spec, expected) in [
            (one, json!({}), vec![false]),
            (six, json!({}), vec![true]),
            (both, json!({}), vec![false]),
            (one, policy("PreferDualStack"), vec![false]),
            (both, policy("PreferDualStack"), vec![false, true]),
            (both, json!({"ipFamilies": ["IPv6"]}), vec![true]),
            (both, json!({"ipFamilies": ["IPv6"], "ipFamilyPolicy": "RequireDualStack"}), vec![true, false]),
            (both, json!({"clusterIP": "10.0.0.9"}), vec![false]),
        ] {
            let mut world = World::new("metallb-system", vec![kubernetes(cluster)]);
            world.apply(vec![object(service("new", &spec))]);
            let new = &world.objects()[1].value;
            let families: Vec<bool> = cluster_ips(new).iter().map(is_v6).collect();
            assert_eq!(families, expected, "{cluster:?} {spec}");
        }
    }

    #[test]
    fn what_an_api_server_keeps_of_a_service_is_kept() {
        let mut live = service("a", &json!({"clusterIP": "10.0.0.5", "clusterIPs": ["10.0.0.5"]}));
        live["metadata"]["namespace"] = "default".into();
        live["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}});
        let mut world = World::new("metallb-system", vec![object(live.clone())]);
        let change = object(service("a", &json!({"type": "LoadBalancer"})));
        assert_eq!(world.apply(vec![change]), 0);
        let now = &world.objects()[0].value;
        assert_eq!((&now["status"], &now["spec"]["clusterIPs"]), (&live["status"], &json!(["10.0.0.5"])));
        assert_eq!(now["spec"]["type"], "LoadBalancer");
    }

    #[test]
    fn what_is_deleted_is_gone_and_a_namespace_takes_along_what_is_in_it() {
        let mut inside = service("a", &json!({}));
        inside["metadata"]["namespace"] = "data".into();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "data"}});
        let pool =
            json!({"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": "p"}});
        let all = [namespace.clone(), inside, pool.clone()];
        let mut world = World::new("metallb-system", all.map(object).into());
        assert_eq!(world.delete(vec![object(namespace)]), []);
        assert_eq!(world.objects().len(), 1);
        assert_eq!(world.delete(vec![object(pool.clone())]), []);
        assert_eq!(world.objects().len(), 0);
        let missing = world.delete(vec![object(pool)]);
        assert_eq!(missing[0].2, "metallb-system", "its namespace is where ours are");
    }
}
