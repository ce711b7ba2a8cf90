//! Whether a user may do what it asks for.

use super::attributes::Attributes;
use super::identity::{AUTHENTICATED, Identity, UNAUTHENTICATED};

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
const PUBLIC_PATHS: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

/// What needs no role: health for all, everything for those who are trusted.
pub fn without_roles(mode: Mode, user: &Identity, wanted: &Attributes) -> Option<Decision> {
    if user.is_trusted() || mode == Mode::AlwaysAllow {
        return Some(Decision::allowed(""));
    }
    let is_read = wanted.verb == "get" && !wanted.is_resource;
    let is_below = |path: &str| {
        wanted.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_public = PUBLIC_PATHS.iter().any(|path| is_below(path));
    if is_read && is_public && (user.is_in(UNAUTHENTICATED) || user.is_in(AUTHENTICATED)) {
        return Some(Decision::allowed(""));
    }
    (mode != Mode::Rbac).then(|| Decision::no_opinion(""))
}
