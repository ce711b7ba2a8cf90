//! What a request wants, in the terms in which it is allowed or forbidden.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::http::Method;

use crate::path;
use crate::schema::text::quote;
use crate::selector::FieldSelector;
use crate::status::{Reason, Refusal, Target};

/// A verb, and the resource or the path that it is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    pub verb: String,
    /// Whether the path is that of a resource; else `path` decides alone.
    pub is_resource: bool,
    pub path: String,
    pub group: String,
    pub version: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
}

impl Attributes {
    /// Those of an HTTP request. A path that is served by nobody has some too.
    pub fn of(method: &Method, path: &str, query: &BTreeMap<String, String>) -> Attributes {
        let plain = Attributes {
            verb: method.as_str().to_lowercase(),
            path: path::decoded(path).into_owned(),
            ..Attributes::default()
        };
        let segments = path::segments(path);
        let texts: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let (group, version, rest) = match &texts[..] {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return plain,
        };
        let mut attributes =
            Attributes { is_resource: true, group: group.into(), version: version.into(), ..plain };
        attributes.verb = verb_of(method).to_owned();
        let rest = match rest {
            ["watch", rest @ ..] if !rest.is_empty() => {
                attributes.verb = "watch".to_owned();
                rest
            }
            _ => rest,
        };
        attributes.read_segments(rest);
        attributes.read_query(query);
        attributes
    }

    fn read_segments(&mut self, segments: &[&str]) {
        let mut segments = segments;
        if let ["namespaces", namespace, rest @ ..] = segments {
            self.namespace = (*namespace).to_owned();
            if rest.first().is_some_and(|part| !matches!(*part, "status" | "finalize")) {
                segments = rest;
            }
        }
        let at = |index: usize| segments.get(index).copied().unwrap_or_default().to_owned();
        (self.resource, self.name, self.subresource) = (at(0), at(1), at(2));
    }

    /// A list or watch is told from a get by its missing name, which a field selector may give all the same.
    fn read_query(&mut self, query: &BTreeMap<String, String>) {
        if !self.name.is_empty() {
            return;
        }
        if self.verb == "get" {
            let is_watch = query.get("watch").is_some_and(|value| !matches!(&**value, "false" | "0"));
            self.verb = if is_watch { "watch" } else { "list" }.to_owned();
            let selector = query.get("fieldSelector").and_then(|text| FieldSelector::parse(text).ok());
            let named = selector.as_ref().and_then(|selector| selector.required("metadata.name"));
            self.name = named.unwrap_or_default().to_owned();
        }
        if self.verb == "delete" {
            self.verb = "deletecollection".to_owned();
        }
    }

    /// 403 in the words of a real server; `why` may be empty.
    pub fn forbidden(&self, user: &str, why: &str) -> Refusal {
        let mut text = sanitized(&self.description(user));
        if !why.is_empty() {
            text = format!("{text}: {why}");
        }
        if !self.is_resource {
            return Refusal::new(403, Reason::Forbidden, format!("forbidden: {text}"));
        }
        Refusal::forbidden(Target { group: &self.group, resource: &self.resource, name: &self.name }, &text)
    }

    fn description(&self, user: &str) -> String {
        let verb = &self.verb;
        if !self.is_resource {
            return format!("User {} cannot {verb} path {}", quote(user), quote(&self.path));
        }
        let resource = self.resource_and_part();
        let place = match self.namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {}", quote(namespace)),
        };
        let (user, resource, group) = (quote(user), quote(&resource), quote(&self.group));
        format!("User {user} cannot {verb} resource {resource} in API group {group} {place}")
    }

    /// `pods/log`, or `pods`.
    pub fn resource_and_part(&self) -> Cow<'_, str> {
        match self.subresource.as_str() {
            "" => Cow::Borrowed(&self.resource),
            part => Cow::Owned(format!("{}/{part}", self.resource)),
        }
    }
}

fn verb_of(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// Text from a request is shown by browsers too.
fn sanitized(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &Method, path: &str, query: &str) -> Attributes {
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Attributes::of(method, path, &query)
    }

    #[test]
    fn a_request_is_a_verb_on_a_resource_or_on_a_path() {
        // verb, group, resource, subresource, namespace, name
        type Parts<'a> = [&'a str; 6];
        let cases: [(Method, &str, &str, Parts<'_>); 12] = [
            (Method::GET, "/api/v1/nodes", "", ["list", "", "nodes", "", "", ""]),
            (Method::GET, "/api/v1/nodes", "watch=1", ["watch", "", "nodes", "", "", ""]),
            (Method::GET, "/api/v1/nodes", "watch=false", ["list", "", "nodes", "", "", ""]),
            (
                Method::GET,
                "/api/v1/nodes",
                "fieldSelector=metadata.name%3Da",
                ["list", "", "nodes", "", "", "a"],
            ),
            (Method::HEAD, "/api/v1/nodes/a", "", ["get", "", "nodes", "", "", "a"]),
            (Method::GET, "/api/v1/watch/nodes/a", "", ["watch", "", "nodes", "", "", "a"]),
            (Method::DELETE, "/apis/g/v1/namespaces/a/r", "", ["deletecollection", "g", "r", "", "a", ""]),
            (Method::PUT, "/apis/g/v1/namespaces/a/r/b/status", "", ["update", "g", "r", "status", "a", "b"]),
            (Method::GET, "/api/v1/namespaces/a", "", ["get", "", "namespaces", "", "a", "a"]),
            (
                Method::PUT,
                "/api/v1/namespaces/a/finalize",
                "",
                ["update", "", "namespaces", "finalize", "a", "a"],
            ),
            (Method::POST, "/apis/g/v1/r/b%2Fc", "", ["create", "g", "r", "c", "", "b"]),
            (Method::GET, "/api/v1/pods/a/proxy/x/y", "", ["get", "", "pods", "proxy", "", "a"]),
        ];
        for (method, path, query, expected) in cases {
            let found = of(&method, path, query);
            let Attributes { verb, group, resource, subresource, namespace, name, .. } = &found;
            assert!(found.is_resource, "{path}");
            assert_eq!([verb, group, resource, subresource, namespace, name], expected, "{path}?{query}");
        }
        for path in ["/", "/api", "/api/v1", "/apis/g", "/apis/g/v1/", "/metrics", "/openapi/v3"] {
            let found = of(&Method::GET, path, "watch=1");
            assert!(!found.is_resource && found.verb == "get" && found.path == path, "{path}");
        }
    }

    #[test]
    fn what_is_forbidden_is_said_as_a_real_server_says_it() {
        for (method, path, expected) in [
            (Method::GET, "/x", r#"forbidden: User "u" cannot get path "/x""#),
            (
                Method::GET,
                "/api/v1/namespaces/default/services",
                r#"services is forbidden: User "u" cannot list resource "services" in API group "" in the namespace "default""#,
            ),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/a/deployments/b/scale",
                r#"deployments.apps "b" is forbidden: User "u" cannot patch resource "deployments/scale" in API group "apps" in the namespace "a""#,
            ),
            (
                Method::DELETE,
                "/api/v1/nodes/n",
                r#"nodes "n" is forbidden: User "u" cannot delete resource "nodes" in API group "" at the cluster scope"#,
            ),
        ] {
            assert_eq!(of(&method, path, "").forbidden("u", "").message, expected);
        }
        let refusal = of(&Method::GET, "/<x>", "").forbidden("u&v", "RBAC: y");
        assert_eq!(refusal.message, r#"forbidden: User "u&amp;v" cannot get path "/&lt;x&gt;": RBAC: y"#);
        assert_eq!(refusal.to_json()["details"], serde_json::json!({}));
    }
}
