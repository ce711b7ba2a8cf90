//! What this side says in its OPEN, and what the two of them come to.

use crate::bgp::capability::Role;
use crate::bgp::update::Form;

/// What holds for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    pub remote_as: u32,
    pub form: Form,
    /// Zero: never.
    pub hold_secs: u16,
    pub has_route_refresh: bool,
    pub has_enhanced_refresh: bool,
    /// This side's.
    pub role: Option<Role>,
    pub graceful_restart: Option<AgreedRestart>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgreedRestart {
    /// Routes are kept after a NOTIFICATION too, unless it is a hard reset (RFC 8538).
    pub after_notification: bool,
}
