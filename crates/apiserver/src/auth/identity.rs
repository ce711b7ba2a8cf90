//! Who asks.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Belongs to whoever may do everything.
pub const MASTERS: &str = "system:masters";
/// Belongs to the programs that this server is there for. They may do everything, and are never kept waiting.
pub const COMPONENTS: &str = "system:components";
pub const AUTHENTICATED: &str = "system:authenticated";
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
pub const ANONYMOUS: &str = "system:anonymous";
pub const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// A user, as authentication or impersonation made it out. A request carries it as an extension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Identity {
    /// Whoever shares the server's process.
    pub fn admin() -> Identity {
        Identity::new("system:admin", [MASTERS, AUTHENTICATED])
    }

    pub fn anonymous() -> Identity {
        Identity::new(ANONYMOUS, [UNAUTHENTICATED])
    }

    pub fn new<'a>(name: &str, groups: impl IntoIterator<Item = &'a str>) -> Identity {
        let groups = groups.into_iter().map(str::to_owned).collect();
        Identity { name: name.to_owned(), groups, ..Identity::default() }
    }

    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Identity {
        let of_namespace = format!("{SERVICE_ACCOUNTS}:{namespace}");
        Identity {
            uid: uid.to_owned(),
            ..Identity::new(&service_account_name(namespace, name), [SERVICE_ACCOUNTS, &of_namespace])
        }
    }

    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|of| of == group)
    }

    /// Whether nobody is asked what this user may do.
    pub fn is_trusted(&self) -> bool {
        self.is_in(MASTERS) || self.is_in(COMPONENTS)
    }

    /// As a real server does: everybody but the anonymous user is in one more group.
    #[must_use]
    pub fn authenticated(mut self) -> Identity {
        if self.name != ANONYMOUS && !self.is_in(AUTHENTICATED) && !self.is_in(UNAUTHENTICATED) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }

    /// The `user` or `userInfo` of reviews.
    pub fn to_json(&self) -> Value {
        let mut user = json!({});
        for (field, text) in [("username", &self.name), ("uid", &self.uid)] {
            if !text.is_empty() {
                user[field] = text.as_str().into();
            }
        }
        if !self.groups.is_empty() {
            user["groups"] = json!(self.groups);
        }
        if !self.extra.is_empty() {
            user["extra"] = json!(self.extra);
        }
        user
    }
}

/// `system:serviceaccount:NAMESPACE:NAME`.
pub fn service_account_name(namespace: &str, name: &str) -> String {
    format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}")
}

/// Namespace and name of a service account that is called like that.
pub fn service_account_of(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':').filter(|(_, name)| !name.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_who_is_known_is_in_a_group_and_nobody_twice() {
        let known = Identity::new("a", ["b"]).authenticated();
        assert_eq!(known.groups, ["b", AUTHENTICATED]);
        assert_eq!(known.clone().authenticated(), known);
        assert_eq!(Identity::anonymous().authenticated(), Identity::anonymous());
    }

    #[test]
    fn a_service_account_is_told_from_its_name() {
        for (user, expected) in [
            ("system:serviceaccount:a:b", Some(("a", "b"))),
            ("system:serviceaccount:a:b:c", None),
            ("system:serviceaccount:a", None),
            ("a:b", None),
        ] {
            assert_eq!(service_account_of(user), expected, "{user}");
        }
        let account = Identity::service_account("a", "b", "u");
        assert_eq!(service_account_of(&account.name), Some(("a", "b")));
        assert_eq!(account.groups, [SERVICE_ACCOUNTS, "system:serviceaccounts:a"]);
    }
}
