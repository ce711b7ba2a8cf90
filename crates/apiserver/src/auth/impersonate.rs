//! Asking in somebody else's name, for those who may.
//!
//! There are several ways of being allowed to: for this very kind of request (1.36 calls it constrained), or for all
//! requests at once.

use std::collections::BTreeMap;

use axum::http::HeaderMap;

use super::attributes::Attributes;
use super::identity::{ANONYMOUS, AUTHENTICATED, Identity, UNAUTHENTICATED, service_account_of};
use crate::path::decoded;
use crate::status::Refusal;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA_PREFIX: &str = "impersonate-extra-";
const AUTHENTICATION_GROUP: &str = "authentication.k8s.io";
const NODE_PREFIX: &str = "system:node:";

/// One way of being allowed, and who the request is from then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    pub user: Identity,
    /// What the real user must be allowed to do, all of it.
    pub needs: Vec<Attributes>,
}

/// What the headers ask for.
#[derive(Debug, Default)]
struct Asked<'a> {
    name: &'a str,
    uid: &'a str,
    groups: Vec<&'a str>,
    extra: BTreeMap<String, Vec<String>>,
}

/// The ways in which this request could be in the name that its headers ask for; none if they ask for none. If no way
/// is open, the first one says why.
pub fn ways(headers: &HeaderMap, request: &Attributes) -> Result<Vec<Way>, Refusal> {
    let asked = Asked::of(headers);
    if asked.name.is_empty() {
        let is_other = !asked.uid.is_empty() || !asked.groups.is_empty() || !asked.extra.is_empty();
        return if is_other { Err(asked.without_user()) } else { Ok(Vec::new()) };
    }
    let constrained = |mode: &str| {
        let mut way = asked.way(&format!("impersonate:{mode}"), AUTHENTICATION_GROUP);
        let verb = format!("impersonate-on:{mode}:{}", request.verb);
        way.needs.insert(0, Attributes { verb, ..request.clone() });
        way
    };
    let is_node = node_of(asked.name).is_some();
    let is_account = service_account_of(asked.name).is_some();
    let is_name_alone = asked.uid.is_empty() && asked.groups.is_empty() && asked.extra.is_empty();
    let mut ways = Vec::new();
    match (is_node, is_account) {
        (true, _) if is_name_alone => ways.push(constrained("arbitrary-node")),
        (_, true) if is_name_alone => ways.push(constrained("serviceaccount")),
        (false, false) => ways.push(constrained("user-info")),
        _ => {}
    }
    ways.push(asked.way("impersonate", ""));
    Ok(ways)
}

fn node_of(user: &str) -> Option<&str> {
    user.strip_prefix(NODE_PREFIX).filter(|name| !name.is_empty())
}

impl<'a> Asked<'a> {
    fn of(headers: &'a HeaderMap) -> Asked<'a> {
        let texts = |name: &str| -> Vec<&'a str> {
            headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
        };
        let first = |name: &str| texts(name).first().copied().unwrap_or_default();
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (header, value) in headers {
            let key = header.as_str().strip_prefix(EXTRA_PREFIX);
            if let (Some(key), Ok(value)) = (key, value.to_str()) {
                extra.entry(decoded(key).into_owned()).or_default().push(value.to_owned());
            }
        }
        Asked { name: first(USER), uid: first(UID), groups: texts(GROUP), extra }
    }

    /// With this verb on each thing that is asked for. Users and groups are in this API group.
    fn way(&self, verb: &str, group: &str) -> Way {
        let need = |group: &str, resource: &str, name: &str| Attributes {
            verb: verb.to_owned(),
            is_resource: true,
            group: group.to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        };
        let mut user = Identity {
            name: self.name.to_owned(),
            uid: self.uid.to_owned(),
            groups: self.groups.iter().map(|&group| group.to_owned()).collect(),
            extra: self.extra.clone(),
        };
        let mut needs = Vec::new();
        if let Some((namespace, name)) = service_account_of(self.name) {
            needs
                .push(Attributes { namespace: namespace.to_owned(), ..need(group, "serviceaccounts", name) });
            if self.groups.is_empty() {
                user.groups = Identity::service_account(namespace, name, "").groups;
            }
        } else if let Some(node) = node_of(self.name).filter(|_| !group.is_empty()) {
            needs.push(need(group, "nodes", node));
            user.groups = vec!["system:nodes".to_owned()];
        } else {
            needs.push(need(group, "users", self.name));
        }
        if !self.uid.is_empty() {
            needs.push(need(AUTHENTICATION_GROUP, "uids", self.uid));
        }
        needs.extend(self.groups.iter().map(|name| need(group, "groups", name)));
        for (key, values) in &self.extra {
            let subresource = key.clone();
            needs.extend(values.iter().map(|value| Attributes {
                subresource: subresource.clone(),
                ..need(AUTHENTICATION_GROUP, "userextras", value)
            }));
        }
        if self.name == ANONYMOUS && !user.is_in(UNAUTHENTICATED) {
            user.groups.push(UNAUTHENTICATED.to_owned());
        } else if self.name != ANONYMOUS && !user.is_in(UNAUTHENTICATED) && !user.is_in(AUTHENTICATED) {
            user.groups.push(AUTHENTICATED.to_owned());
        }
        Way { user, needs }
    }

    /// A real server prints its own data structure here.
    fn without_user(&self) -> Refusal {
        let list = |texts: &[String]| {
            let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
            format!("[]string{{{}}}", texts.join(", "))
        };
        let groups: Vec<String> = self.groups.iter().map(|&group| group.to_owned()).collect();
        let groups = if groups.is_empty() { "[]string(nil)".to_owned() } else { list(&groups) };
        let extra: Vec<String> =
            self.extra.iter().map(|(key, values)| format!("{key:?}:{}", list(values))).collect();
        let extra = if extra.is_empty() { "(nil)".to_owned() } else { format!("{{{}}}", extra.join(", ")) };
        Refusal::bad_request(format!(
            "requested &user.DefaultInfo{{Name:\"\", UID:{:?}, Groups:{groups}, Extra:map[string][]string{extra}}} \
             without impersonating a user name",
            self.uid
        ))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn found(pairs: &[(&str, &str)]) -> Result<Vec<Way>, Refusal> {
        let request = Attributes { verb: "get".to_owned(), path: "/x".to_owned(), ..Attributes::default() };
        ways(&headers(pairs), &request)
    }

    fn needs(way: &Way) -> Vec<String> {
        let text = |it: &Attributes| {
            let what = if it.is_resource {
                format!("{} {}", it.resource_and_part(), it.name)
            } else {
                it.path.clone()
            };
            format!("{} {what}", it.verb)
        };
        way.needs.iter().map(text).collect()
    }

    #[test]
    fn each_thing_that_is_asked_for_needs_a_permission() {
        let ways = found(&[
            ("Impersonate-User", "a"),
            ("Impersonate-Group", "g"),
            ("Impersonate-Uid", "u"),
            ("Impersonate-Extra-example.com%2fkey", "v"),
        ])
        .unwrap();
        assert_eq!(
            needs(&ways[0]),
            [
                "impersonate-on:user-info:get /x",
                "impersonate:user-info users a",
                "impersonate:user-info uids u",
                "impersonate:user-info groups g",
                "impersonate:user-info userextras/example.com/key v",
            ]
        );
        assert_eq!(
            needs(&ways[1]),
            [
                "impersonate users a",
                "impersonate uids u",
                "impersonate groups g",
                "impersonate userextras/example.com/key v"
            ]
        );
        assert_eq!((ways.len(), &ways[0].user), (2, &ways[1].user));
        assert_eq!(ways[0].user.groups, ["g", AUTHENTICATED]);
        assert_eq!(ways[0].user.extra["example.com/key"], ["v"]);
    }

    #[test]
    fn who_has_groups_of_its_own_brings_them() {
        let account = "system:serviceaccount:n:a";
        for (pairs, first_need, groups) in [
            (
                &[(USER, account)][..],
                "impersonate-on:serviceaccount:get /x",
                "system:serviceaccounts,system:serviceaccounts:n,system:authenticated",
            ),
            (&[(USER, account), (GROUP, "g")], "impersonate serviceaccounts a", "g,system:authenticated"),
            (
                &[(USER, "system:node:n")],
                "impersonate-on:arbitrary-node:get /x",
                "system:nodes,system:authenticated",
            ),
            (&[(USER, ANONYMOUS)], "impersonate-on:user-info:get /x", UNAUTHENTICATED),
        ] {
            let ways = found(pairs).unwrap();
            assert_eq!(
                (needs(&ways[0])[0].as_str(), ways[0].user.groups.join(",").as_str()),
                (first_need, groups)
            );
        }
        assert_eq!(found(&[]), Ok(Vec::new()));
    }

    #[test]
    fn nobody_can_be_asked_for_without_a_name() {
        let refusal = found(&[(GROUP, "x")]).unwrap_err();
        let expected = r#"requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"x"}, Extra:map[string][]string(nil)} without impersonating a user name"#;
        assert_eq!((refusal.code, refusal.message.as_str()), (400, expected));
    }
}
