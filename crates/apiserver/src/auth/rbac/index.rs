//! All roles and bindings of a server, ready to be asked.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::rule::Rule;
use crate::auth::attributes::Attributes;
use crate::auth::authorize::Decision;
use crate::auth::identity::{Identity, service_account_of};
use crate::selector::LabelSelector;

/// Objects of the group `rbac.authorization.k8s.io` by what they are called.
#[derive(Debug, Default)]
pub struct Index {
    cluster_roles: BTreeMap<String, ClusterRole>,
    roles: BTreeMap<(String, String), Arc<Vec<Rule>>>,
    cluster_bindings: BTreeMap<String, Binding>,
    /// By namespace and name.
    bindings: BTreeMap<String, BTreeMap<String, Binding>>,
}

#[derive(Debug)]
struct ClusterRole {
    labels: Value,
    own: Arc<Vec<Rule>>,
    /// Whose rules this role has in place of its own.
    gathers: Option<Vec<LabelSelector>>,
    effective: Arc<Vec<Rule>>,
}

#[derive(Debug)]
struct Binding {
    name: String,
    role_kind: String,
    role: String,
    subjects: Vec<Subject>,
}

#[derive(Debug)]
struct Subject {
    kind: String,
    namespace: String,
    name: String,
}

/// A binding that applies to a user, as messages name it, and the rules that it gives.
#[derive(Debug)]
struct Granted<'a> {
    binding: &'a Binding,
    namespace: &'a str,
    subject: &'a Subject,
    rules: Result<Arc<Vec<Rule>>, String>,
}

impl Index {
    /// Takes an object in, as it is now or, without one, as gone.
    pub fn set(&mut self, plural: &str, namespace: &str, name: &str, object: Option<&Value>) {
        let (name, namespace) = (name.to_owned(), namespace.to_owned());
        match plural {
            "clusterroles" => {
                let role = object.map(ClusterRole::of);
                change(&mut self.cluster_roles, name, role);
                self.gather();
            }
            "roles" => {
                let rules = object.map(|object| Arc::new(Rule::all_of(object)));
                change(&mut self.roles, (namespace, name), rules);
            }
            "clusterrolebindings" => {
                let binding = object.map(|object| Binding::of(&name, object));
                change(&mut self.cluster_bindings, name, binding);
            }
            "rolebindings" => {
                let binding = object.map(|object| Binding::of(&name, object));
                let inside = self.bindings.entry(namespace.clone()).or_default();
                change(inside, name, binding);
                if inside.is_empty() {
                    self.bindings.remove(&namespace);
                }
            }
            _ => {}
        }
    }

    pub fn decide(&self, user: &Identity, wanted: &Attributes) -> Decision {
        let mut errors: Vec<String> = Vec::new();
        for granted in self.granted(user, &wanted.namespace) {
            match &granted.rules {
                Ok(rules) if rules.iter().any(|rule| rule.allows(wanted)) => {
                    return Decision::allowed(format!("RBAC: allowed by {}", granted.description()));
                }
                Ok(_) => {}
                Err(error) if errors.contains(error) => {}
                Err(error) => errors.push(error.clone()),
            }
        }
        match &errors[..] {
            [] => Decision::no_opinion(""),
            [error] => Decision::no_opinion(format!("RBAC: {error}")),
            errors => Decision::no_opinion(format!("RBAC: [{}]", errors.join(", "))),
        }
    }

    /// All that a user may do in a namespace, and what could not be found out.
    pub fn rules_for(&self, user: &Identity, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        let (mut rules, mut errors) = (Vec::new(), Vec::new());
        for granted in self.granted(user, namespace) {
            match granted.rules {
                Ok(found) => rules.extend(found.iter().cloned()),
                Err(error) => errors.push(error),
            }
        }
        (rules, errors)
    }

    /// What a binding to this role gives.
    pub fn rules_of(&self, kind: &str, namespace: &str, name: &str) -> Result<Arc<Vec<Rule>>, String> {
        let found = match kind {
            "ClusterRole" => self.cluster_roles.get(name).map(|role| Arc::clone(&role.effective)),
            "Role" => self.roles.get(&(namespace.to_owned(), name.to_owned())).cloned(),
            other => return Err(format!("unsupported role reference kind: {other:?}")),
        };
        let plural = kind.to_lowercase();
        found.ok_or_else(|| format!("{plural}.rbac.authorization.k8s.io {name:?} not found"))
    }

    fn granted<'a>(&'a self, user: &'a Identity, namespace: &'a str) -> impl Iterator<Item = Granted<'a>> {
        let everywhere = self.cluster_bindings.values().map(|binding| (binding, ""));
        let inside = self.bindings.get(namespace).filter(|_| !namespace.is_empty());
        let inside = inside.into_iter().flat_map(BTreeMap::values).map(move |binding| (binding, namespace));
        everywhere.chain(inside).filter_map(|(binding, namespace)| {
            let subject = binding.subjects.iter().find(|subject| subject.is(user, namespace))?;
            let rules = self.rules_of(&binding.role_kind, namespace, &binding.role);
            Some(Granted { binding, namespace, subject, rules })
        })
    }

    /// Works out what the roles have that consist of other roles.
    fn gather(&mut self) {
        let gathering: Vec<String> = self
            .cluster_roles
            .iter()
            .filter(|(_, role)| role.gathers.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in gathering {
            let (mut rules, mut seen) = (Vec::new(), HashSet::new());
            self.collect(&name, &mut rules, &mut seen);
            if let Some(role) = self.cluster_roles.get_mut(&name) {
                role.effective = Arc::new(rules);
            }
        }
    }

    fn collect(&self, name: &str, rules: &mut Vec<Rule>, seen: &mut HashSet<String>) {
        let Some(role) = self.cluster_roles.get(name) else { return };
        if !seen.insert(name.to_owned()) {
            return;
        }
        let Some(selectors) = &role.gathers else {
            let new: Vec<Rule> = role.own.iter().filter(|rule| !rules.contains(rule)).cloned().collect();
            return rules.extend(new);
        };
        for (other, candidate) in &self.cluster_roles {
            if selectors.iter().any(|selector| selector.matches(candidate.labels.as_object())) {
                self.collect(other, rules, seen);
            }
        }
    }
}

fn change<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

impl ClusterRole {
    fn of(object: &Value) -> ClusterRole {
        let own = Arc::new(Rule::all_of(object));
        let selectors = object["aggregationRule"]["clusterRoleSelectors"].as_array();
        ClusterRole {
            labels: object["metadata"]["labels"].clone(),
            gathers: selectors.map(|all| all.iter().filter_map(LabelSelector::of_object).collect()),
            effective: Arc::clone(&own),
            own,
        }
    }
}

impl Binding {
    fn of(name: &str, object: &Value) -> Binding {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let subject = |subject: &Value| Subject {
            kind: text(&subject["kind"]),
            namespace: text(&subject["namespace"]),
            name: text(&subject["name"]),
        };
        Binding {
            name: name.to_owned(),
            role_kind: text(&object["roleRef"]["kind"]),
            role: text(&object["roleRef"]["name"]),
            subjects: object["subjects"].as_array().into_iter().flatten().map(subject).collect(),
        }
    }
}

impl Subject {
    /// A service account without a namespace is one of the binding's.
    fn is(&self, user: &Identity, namespace: &str) -> bool {
        match self.kind.as_str() {
            "User" => user.name == self.name,
            "Group" => user.is_in(&self.name),
            "ServiceAccount" => {
                let namespace = if self.namespace.is_empty() { namespace } else { &self.namespace };
                !namespace.is_empty() && service_account_of(&user.name) == Some((namespace, &self.name))
            }
            _ => false,
        }
    }
}

impl Granted<'_> {
    /// As reviews print it.
    fn description(&self) -> String {
        let (binding, subject) = (self.binding, self.subject);
        let (kind, name) = match self.namespace {
            "" => ("ClusterRoleBinding", binding.name.clone()),
            namespace => ("RoleBinding", format!("{}/{namespace}", binding.name)),
        };
        let subject_name = match (subject.kind.as_str(), subject.namespace.as_str()) {
            ("ServiceAccount", "") => format!("{}/{}", subject.name, self.namespace),
            ("ServiceAccount", namespace) => format!("{}/{namespace}", subject.name),
            _ => subject.name.clone(),
        };
        format!(
            "{kind} {name:?} of {} {:?} to {} {subject_name:?}",
            binding.role_kind, binding.role, subject.kind
        )
    }
}
