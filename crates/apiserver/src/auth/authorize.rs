//! Whether a user may do what it asks for.

use super::attributes::Attributes;
use super::identity::Identity;

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nobody: the admin and the components may do everything, and others nothing.
    #[default]
    ComponentsOnly,
    /// The roles in the store.
    Rbac,
    /// Nobody, and everybody may do everything. For tests.
    AlwaysAllow,
}

/// The answer, with the reason that reviews print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub is_allowed: bool,
    pub reason: String,
}

impl Decision {
    pub(super) fn allowed(reason: impl Into<String>) -> Decision {
        Decision { is_allowed: true, reason: reason.into() }
    }

    pub(super) fn no_opinion(reason: impl Into<String>) -> Decision {
        Decision { is_allowed: false, reason: reason.into() }
    }
}

/// What everybody may read, with or without a name.
const PUBLIC_PATHS: [&str; 5] = ["/healthz", "/livez", "/readyz", "/version", "/version/"];

/// What needs no role, because the user is trusted or nobody is asked. `None` if the roles are to be asked.
pub fn without_roles(mode: Mode, user: &Identity) -> Option<Decision> {
    if user.is_trusted() || mode == Mode::AlwaysAllow {
        return Some(Decision::allowed(""));
    }
    (mode == Mode::ComponentsOnly).then(|| Decision::no_opinion(""))
}

/// What everybody may do without asking anybody: see whether the server is there.
pub fn is_public(wanted: &Attributes) -> bool {
    !wanted.is_resource && wanted.verb == "get" && PUBLIC_PATHS.contains(&wanted.path.as_str())
}
