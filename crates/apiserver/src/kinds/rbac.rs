//! Roles and bindings: what they must say, and that a binding stays one to the same role.

use crate::schema::{FieldError, metadata, names};
use crate::selector::LabelSelector;
use serde_json::{Value, json};

pub const GROUP: &str = "rbac.authorization.k8s.io";

/// Fills in the groups that users and roles are in.
pub fn default(object: &mut Value) {
    if object["roleRef"].is_object() && text(&object["roleRef"]["apiGroup"]).is_empty() {
        object["roleRef"]["apiGroup"] = GROUP.into();
    }
    let Some(subjects) = object.get_mut("subjects").and_then(Value::as_array_mut) else { return };
    for subject in subjects.iter_mut().filter(|subject| subject.is_object()) {
        let is_user = matches!(text(&subject["kind"]), "User" | "Group");
        if is_user && text(&subject["apiGroup"]).is_empty() {
            subject["apiGroup"] = GROUP.into();
        }
    }
}

/// What is wrong with a Role, ClusterRole, RoleBinding or ClusterRoleBinding; of one that replaces `old`, beyond what
/// holds for every object.
pub fn errors(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let kind = text(&object["kind"]);
    let is_namespaced = !kind.starts_with("Cluster");
    let mut errors = match old {
        None => metadata::validate_named_by_path(object, is_namespaced),
        Some(_) => Vec::new(),
    };
    if kind.ends_with("Binding") {
        errors.extend(binding_errors(object, is_namespaced));
        if old.is_some_and(|old| old["roleRef"] != object["roleRef"]) {
            let reference = &object["roleRef"];
            let printed = json!({
                "APIGroup": text(&reference["apiGroup"]), "Kind": text(&reference["kind"]), "Name": text(&reference["name"]),
            });
            errors.push(FieldError::invalid_printed(
                "roleRef",
                &printed.to_string(),
                "cannot change roleRef",
            ));
        }
        return errors;
    }
    for (index, rule) in list(&object["rules"]).iter().enumerate() {
        errors.extend(rule_errors(rule, is_namespaced, &format!("rules[{index}]")));
    }
    if object["aggregationRule"].is_object() {
        errors.extend(aggregation_errors(&object["aggregationRule"]));
    }
    errors
}

fn rule_errors(rule: &Value, is_namespaced: bool, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let has = |field: &str| !list(&rule[field]).is_empty();
    if !has("verbs") {
        errors.push(FieldError::required(format!("{path}.verbs"), "verbs must contain at least one value"));
    }
    if has("nonResourceURLs") {
        let (field, urls) = (format!("{path}.nonResourceURLs"), &rule["nonResourceURLs"]);
        if is_namespaced {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            errors.push(FieldError::invalid_printed(&field, &urls.to_string(), detail));
        }
        if has("apiGroups") || has("resources") || has("resourceNames") {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(FieldError::invalid_printed(&field, &urls.to_string(), detail));
        }
        return errors;
    }
    for (field, what) in [("apiGroups", "api group"), ("resources", "resource")] {
        if !has(field) {
            let detail = format!("resource rules must supply at least one {what}");
            errors.push(FieldError::required(format!("{path}.{field}"), &detail));
        }
    }
    errors
}

fn aggregation_errors(rule: &Value) -> Vec<FieldError> {
    let path = "aggregationRule.clusterRoleSelectors";
    let selectors = list(&rule["clusterRoleSelectors"]);
    if selectors.is_empty() {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        return vec![FieldError::required(path, detail)];
    }
    let wrong =
        selectors.iter().enumerate().filter(|(_, selector)| LabelSelector::of_object(selector).is_none());
    wrong
        .map(|(index, _)| {
            FieldError::invalid_printed(format!("{path}[{index}]"), "null", "invalid label selector.")
        })
        .collect()
}

fn binding_errors(binding: &Value, is_namespaced: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let supported = |texts: &[&str]| -> Vec<String> { texts.iter().map(|&text| text.to_owned()).collect() };
    let reference = &binding["roleRef"];
    let of = |field: &str| Value::from(text(&reference[field]));
    if of("apiGroup") != GROUP {
        errors.push(FieldError::not_supported("roleRef.apiGroup", &of("apiGroup"), &supported(&[GROUP])));
    }
    let kinds = if is_namespaced { &["Role", "ClusterRole"][..] } else { &["ClusterRole"] };
    if !kinds.contains(&text(&reference["kind"])) {
        errors.push(FieldError::not_supported("roleRef.kind", &of("kind"), &supported(kinds)));
    }
    let name = text(&reference["name"]);
    if name.is_empty() {
        errors.push(FieldError::required("roleRef.name", ""));
    } else {
        let wrong = names::path_segment(name);
        errors.extend(wrong.iter().map(|detail| FieldError::invalid_text("roleRef.name", name, detail)));
    }
    for (index, subject) in list(&binding["subjects"]).iter().enumerate() {
        errors.extend(subject_errors(subject, is_namespaced, &format!("subjects[{index}]")));
    }
    errors
}

fn subject_errors(subject: &Value, is_namespaced: bool, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (name, group) = (text(&subject["name"]), text(&subject["apiGroup"]));
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    }
    let wrong_group = |supported: &str| {
        let field = format!("{path}.apiGroup");
        FieldError::not_supported(field, &Value::from(group), &[supported.to_owned()])
    };
    match text(&subject["kind"]) {
        "ServiceAccount" => {
            if !name.is_empty() {
                let wrong = names::subdomain(name);
                let field = format!("{path}.name");
                errors.extend(wrong.iter().map(|detail| FieldError::invalid_text(&field, name, detail)));
            }
            if !group.is_empty() {
                errors.push(wrong_group(""));
            }
            if !is_namespaced && text(&subject["namespace"]).is_empty() {
                errors.push(FieldError::required(format!("{path}.namespace"), ""));
            }
        }
        "User" | "Group" if group == GROUP => {}
        "User" | "Group" => errors.push(wrong_group(GROUP)),
        kind => {
            let supported = ["ServiceAccount", "User", "Group"].map(str::to_owned);
            errors.push(FieldError::not_supported(format!("{path}.kind"), &Value::from(kind), &supported));
        }
    }
    errors
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(object: &Value, old: Option<&Value>) -> Vec<String> {
        errors(object, old).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_rule_says_what_it_is_for() {
        let rules = json!([
            {"apiGroups": [""], "resources": ["pods"]},
            {"verbs": ["get"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "nonResourceURLs": ["/a"]},
        ]);
        let role = json!({"kind": "ClusterRole", "metadata": {"name": "system:v"}, "rules": rules});
        assert_eq!(
            texts(&role, None),
            [
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[1].apiGroups: Required value: resource rules must supply at least one api group",
                "rules[1].resources: Required value: resource rules must supply at least one resource",
                r#"rules[2].nonResourceURLs: Invalid value: ["/a"]: rules cannot apply to both regular resources and non-resource URLs"#,
            ]
        );
        let rules = json!([{"verbs": ["get"], "nonResourceURLs": ["/a"]}]);
        let role = json!({"kind": "Role", "metadata": {"name": "v", "namespace": "n"}, "rules": rules});
        assert_eq!(
            texts(&role, None),
            [
                r#"rules[0].nonResourceURLs: Invalid value: ["/a"]: namespaced rules cannot apply to non-resource URLs"#
            ]
        );
    }

    #[test]
    fn a_binding_names_a_role_for_good_and_its_subjects() {
        let mut binding = json!({
            "kind": "ClusterRoleBinding", "metadata": {"name": "v"}, "roleRef": {"kind": "Role", "name": ""},
            "subjects": [{"kind": "Foo", "name": "x"}, {"kind": "ServiceAccount", "name": "x"}, {"kind": "User"}],
        });
        default(&mut binding);
        assert_eq!(binding["subjects"][2]["apiGroup"], GROUP);
        assert_eq!(
            texts(&binding, None),
            [
                r#"roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole""#,
                "roleRef.name: Required value",
                r#"subjects[0].kind: Unsupported value: "Foo": supported values: "ServiceAccount", "User", "Group""#,
                "subjects[1].namespace: Required value",
                "subjects[2].name: Required value",
            ]
        );
        let to = |role: &str| {
            let mut binding = json!({"kind": "ClusterRoleBinding", "metadata": {"name": "v"}, "roleRef": {"kind": "ClusterRole", "name": role}});
            default(&mut binding);
            binding
        };
        assert_eq!(
            texts(&to("other"), Some(&to("one"))),
            [
                r#"roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"other"}: cannot change roleRef"#
            ]
        );
        assert!(texts(&to("one"), Some(&to("one"))).is_empty());
    }
}
