//! Asking in somebody else's name, for those who may.

use axum::http::HeaderMap;

use super::attributes::Attributes;
use super::identity::{ANONYMOUS, AUTHENTICATED, Identity, UNAUTHENTICATED, service_account_of};
use crate::path::decoded;
use crate::status::{Reason, Refusal};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA_PREFIX: &str = "impersonate-extra-";
const AUTHENTICATION_GROUP: &str = "authentication.k8s.io";

/// Who a request wants to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub user: Identity,
    /// What the real user must be allowed to do, all of it.
    pub needs: Vec<Attributes>,
}

/// What the headers ask for; `None` if the request is in nobody else's name.
pub fn wanted(headers: &HeaderMap) -> Result<Option<Wanted>, Refusal> {
    let texts = |name: &str| -> Vec<&str> {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    };
    let (name, groups) = (texts(USER).first().copied().unwrap_or_default(), texts(GROUP));
    let uid = texts(UID).first().copied().unwrap_or_default();
    let extra = extra(headers);
    if name.is_empty() {
        let is_asked = !groups.is_empty() || !uid.is_empty() || !extra.is_empty();
        return if is_asked { Err(without_user()) } else { Ok(None) };
    }
    let mut needs = Vec::new();
    let mut user = match service_account_of(name) {
        Some((namespace, account)) => {
            needs
                .push(Attributes { namespace: namespace.to_owned(), ..need("", "serviceaccounts", account) });
            Identity::service_account(namespace, account, "")
        }
        None => {
            needs.push(need("", "users", name));
            Identity::new(name, [])
        }
    };
    if !groups.is_empty() {
        user.groups = groups.iter().map(|group| (*group).to_owned()).collect();
        needs.extend(groups.iter().map(|group| need("", "groups", group)));
    }
    for (key, value) in extra {
        needs.push(Attributes {
            subresource: key.clone(),
            ..need(AUTHENTICATION_GROUP, "userextras", &value)
        });
        user.extra.entry(key).or_default().push(value);
    }
    if !uid.is_empty() {
        needs.push(need(AUTHENTICATION_GROUP, "uids", uid));
        user.uid = uid.to_owned();
    }
    if name != ANONYMOUS && !user.is_in(AUTHENTICATED) && !user.is_in(UNAUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    } else if name == ANONYMOUS && !user.is_in(UNAUTHENTICATED) {
        user.groups.push(UNAUTHENTICATED.to_owned());
    }
    Ok(Some(Wanted { user, needs }))
}

fn need(group: &str, resource: &str, name: &str) -> Attributes {
    Attributes {
        verb: "impersonate".to_owned(),
        is_resource: true,
        group: group.to_owned(),
        version: if group.is_empty() { String::new() } else { "v1".to_owned() },
        resource: resource.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    }
}

/// `Impersonate-Extra-KEY: value`, a key with `%` escapes.
fn extra(headers: &HeaderMap) -> Vec<(String, String)> {
    let pairs = headers.iter().filter_map(|(header, value)| {
        let key = header.as_str().strip_prefix(EXTRA_PREFIX)?;
        Some((decoded(key).into_owned(), value.to_str().ok()?.to_owned()))
    });
    pairs.collect()
}

fn without_user() -> Refusal {
    let message = "Internal Server Error: groups, extra or a uid were requested without impersonating a user";
    Refusal::new(500, Reason::InternalError, message)
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

    #[test]
    fn each_thing_that_is_wanted_needs_a_permission() {
        let wanted = wanted(&headers(&[
            ("Impersonate-User", "a"),
            ("Impersonate-Group", "g"),
            ("Impersonate-Group", "h"),
            ("Impersonate-Uid", "u"),
            ("Impersonate-Extra-example.com%2fkey", "v"),
        ]));
        let wanted = wanted.unwrap().unwrap();
        let needs: Vec<(String, String)> =
            wanted.needs.iter().map(|it| (it.resource_and_part().into_owned(), it.name.clone())).collect();
        let expected = [
            ("users", "a"),
            ("groups", "g"),
            ("groups", "h"),
            ("userextras/example.com/key", "v"),
            ("uids", "u"),
        ];
        assert_eq!(needs, expected.map(|(resource, name)| (resource.to_owned(), name.to_owned())));
        assert!(wanted.needs.iter().all(|it| it.verb == "impersonate" && it.is_resource));
        assert_eq!(wanted.user.groups, ["g", "h", AUTHENTICATED]);
        assert_eq!((wanted.user.uid.as_str(), wanted.user.extra["example.com/key"].len()), ("u", 1));
    }

    #[test]
    fn a_service_account_brings_its_groups_and_nobody_is_anonymous_by_mistake() {
        let user =
            |pairs: &[(&str, &str)]| wanted(&headers(pairs)).unwrap().map(|it| it.user.groups.join(","));
        let account = "system:serviceaccount:n:a";
        let groups = "system:serviceaccounts,system:serviceaccounts:n,system:authenticated";
        assert_eq!(user(&[(USER, account)]).as_deref(), Some(groups));
        assert_eq!(user(&[(USER, account), (GROUP, "g")]).as_deref(), Some("g,system:authenticated"));
        assert_eq!(user(&[(USER, ANONYMOUS)]).as_deref(), Some(UNAUTHENTICATED));
        assert_eq!(user(&[]), None);
        assert_eq!(wanted(&headers(&[(GROUP, "g")])).unwrap_err().code, 500);
    }
}
