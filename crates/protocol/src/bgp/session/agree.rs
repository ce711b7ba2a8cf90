//! What this side says in its OPEN, and what the two of them come to.

use std::collections::BTreeSet;

use super::settings::{RemoteAs, Settings};
use crate::bgp::capability::{Capability, Family, GracefulRestart, Role};
use crate::bgp::notification::{self, CEASE, Notification, OPEN_MESSAGE};
use crate::bgp::open::Open;
use crate::bgp::update::Form;
use crate::bgp::{EXTENDED_MESSAGE_BYTES, LEAST_HOLD_SECS, MESSAGE_BYTES};

/// Of a next hop of IPv6.
const AFI_IPV6: u16 = 2;

/// What holds for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    pub remote_as: u32,
    pub form: Form,
    /// Zero: never.
    pub hold_secs: u16,
    /// The neighbour can be asked to tell all once more. It can always ask this side.
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

/// A reason to end, for the other side and for people on this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) notification: Notification,
    pub(super) why: Option<String>,
}

/// Capabilities that the neighbour will not hear of (RFC 5492, 3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Withheld {
    codes: BTreeSet<u8>,
    are_all: bool,
}

impl Agreed {
    /// Whether a session that has agreed on the one can go on as if it had agreed on the other: the times of OPEN then count from
    /// the next session on.
    pub(super) fn is_as_good_as(&self, other: &Agreed) -> bool {
        let alike = Agreed { hold_secs: other.hold_secs, ..self.clone() };
        alike == *other
    }
}

impl Withheld {
    /// By what the neighbour has complained of. Says whether there is something to leave out that was not left out before.
    pub(super) fn learn(&mut self, complaint: &Notification, settings: &Settings) -> bool {
        let before = self.clone();
        match (complaint.code, complaint.subcode) {
            (OPEN_MESSAGE, notification::open::UNSUPPORTED_PARAMETER) => {
                // Names none, so it is all or nothing; and with nothing there is one family, and no great AS number.
                let needs_none = settings.families.iter().all(|family| *family == Family::IPV4_UNICAST);
                self.are_all |= needs_none && u16::try_from(settings.local_as).is_ok();
            }
            (OPEN_MESSAGE, notification::open::UNSUPPORTED_CAPABILITY) => {
                self.codes.extend(codes(&complaint.data).filter(|code| !is_needed(*code, settings)));
            }
            _ => {}
        }
        *self != before
    }

    fn has(&self, capability: &Capability) -> bool {
        self.are_all || self.codes.contains(&capability.code())
    }
}

/// Without these a session would be another one than was asked for.
fn is_needed(code: u8, settings: &Settings) -> bool {
    match code {
        1 => settings.families.iter().any(|family| *family != Family::IPV4_UNICAST),
        65 => u16::try_from(settings.local_as).is_err(),
        _ => false,
    }
}

/// Of capabilities as they stand in a complaint.
fn codes(mut data: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let [code, length, rest @ ..] = data else { return None };
        data = rest.get(usize::from(*length)..)?;
        Some(*code)
    })
}

pub(super) fn our_open(settings: &Settings, withheld: &Withheld, has_restarted: bool) -> Open {
    let families = &settings.families;
    let mut capabilities: Vec<Capability> =
        families.iter().map(|family| Capability::Multiprotocol(*family)).collect();
    capabilities.push(Capability::RouteRefresh);
    if settings.offers_extended_next_hop && families.contains(&Family::IPV4_UNICAST) {
        capabilities.push(Capability::ExtendedNextHop(vec![(Family::IPV4_UNICAST, AFI_IPV6)]));
    }
    capabilities.push(Capability::ExtendedMessage);
    let is_internal = matches!(settings.remote_as, RemoteAs::Internal)
        || settings.remote_as == RemoteAs::Number(settings.local_as);
    // RFC 9234, 4.1: among internal neighbours there are no roles.
    capabilities.extend(settings.role.filter(|_| !is_internal).map(|it| Capability::Role(it.role)));
    if let Some(restart) = settings.graceful_restart {
        capabilities.push(Capability::GracefulRestart(GracefulRestart {
            has_restarted,
            after_notification: true,
            seconds: restart.secs,
            // The kernel forwards, whether this process lives or not.
            families: families.iter().map(|family| (*family, true)).collect(),
        }));
    }
    capabilities.push(Capability::FourOctetAs(settings.local_as));
    capabilities.push(Capability::EnhancedRouteRefresh);
    if !settings.hostname.is_empty() {
        capabilities.push(Capability::HostName { host: settings.hostname.clone(), domain: String::new() });
    }
    capabilities.retain(|capability| !withheld.has(capability));
    Open {
        autonomous_system: settings.local_as,
        hold_secs: if settings.hold_secs == 0 { 0 } else { settings.hold_secs.max(LEAST_HOLD_SECS) },
        router_id: settings.router_id,
        capabilities,
    }
}

/// The longest message that the other side may send: whoever has said that it can read longer ones must (RFC 8654, 4).
pub(super) fn longest_received(ours: &Open) -> usize {
    if ours.has(&Capability::ExtendedMessage) { EXTENDED_MESSAGE_BYTES } else { MESSAGE_BYTES }
}

/// Whether the other side is who it should be, and what the two can do together.
pub(super) fn agree(settings: &Settings, ours: &Open, theirs: &Open) -> Result<Agreed, Refusal> {
    let remote_as = theirs.autonomous_system;
    check_as(settings, remote_as)?;
    let is_external = remote_as != settings.local_as;
    // Only within one AS do they have to differ (RFC 6286, 2.2).
    if !is_external && theirs.router_id == settings.router_id {
        let why = format!("it has this node's own router id {}", theirs.router_id);
        return Err(refusal(notification::open::BAD_ROUTER_ID, [], why));
    }
    if is_external {
        check_role(settings, theirs)?;
    }
    let form = form(ours, theirs, is_external)?;
    let restart = ours.graceful_restart().zip(theirs.graceful_restart());
    Ok(Agreed {
        remote_as,
        form,
        hold_secs: ours.hold_secs.min(theirs.hold_secs),
        has_route_refresh: theirs.has(&Capability::RouteRefresh),
        has_enhanced_refresh: [ours, theirs].iter().all(|open| open.has(&Capability::EnhancedRouteRefresh)),
        role: settings.role.filter(|_| is_external).map(|it| it.role),
        graceful_restart: restart.map(|(ours, theirs)| AgreedRestart {
            after_notification: ours.after_notification && theirs.after_notification,
        }),
    })
}

fn check_as(settings: &Settings, remote_as: u32) -> Result<(), Refusal> {
    let (is_right, wanted) = match settings.remote_as {
        RemoteAs::Number(number) => (remote_as == number, number.to_string()),
        RemoteAs::Internal => (remote_as == settings.router_as, format!("{} (internal)", settings.router_as)),
        RemoteAs::External => {
            (remote_as != settings.router_as, format!("any but {} (external)", settings.router_as))
        }
    };
    if is_right {
        return Ok(());
    }
    let why = format!("it is of AS {remote_as}, and wanted is {wanted}");
    Err(refusal(notification::open::BAD_PEER_AS, [], why))
}

/// RFC 9234, 4.2.
fn check_role(settings: &Settings, theirs: &Open) -> Result<(), Refusal> {
    let Some(ours) = settings.role else { return Ok(()) };
    let mut said = theirs.capabilities.iter().filter_map(|capability| match capability {
        Capability::Role(role) => Some(*role),
        _ => None,
    });
    let mismatch = |why: String| Err(refusal(notification::open::ROLE_MISMATCH, [], why));
    let Some(first) = said.next() else {
        if ours.is_strict {
            return mismatch("it has no role, and must have one".to_owned());
        }
        return Ok(());
    };
    if said.any(|role| role != first) {
        return mismatch("it has several roles".to_owned());
    }
    if !ours.role.fits(first) {
        return mismatch(format!("its role {first:?} does not fit {:?} here", ours.role));
    }
    Ok(())
}

fn form(ours: &Open, theirs: &Open, is_external: bool) -> Result<Form, Refusal> {
    let taken = theirs.families();
    let families: BTreeSet<Family> =
        ours.families().into_iter().filter(|family| taken.contains(family)).collect();
    if families.is_empty() {
        // RFC 5492, 5: with what this side cannot do without.
        let mut data = Vec::new();
        let wanted = ours.capabilities.iter().filter(|it| matches!(it, Capability::Multiprotocol(_)));
        wanted.for_each(|capability| capability.write(&mut data));
        let why = format!("of {} it takes none", list(&ours.families()));
        return Err(refusal(notification::open::UNSUPPORTED_CAPABILITY, data, why));
    }
    let has_extended_next_hop = |open: &Open| {
        open.capabilities.iter().any(|capability| match capability {
            Capability::ExtendedNextHop(all) => all.contains(&(Family::IPV4_UNICAST, AFI_IPV6)),
            _ => false,
        })
    };
    let both = |has: &dyn Fn(&Open) -> bool| has(ours) && has(theirs);
    let with_ipv6_next_hop = both(&has_extended_next_hop) && families.contains(&Family::IPV4_UNICAST);
    Ok(Form {
        is_external,
        has_four_octets: both(&Open::has_four_octets),
        has_long_messages: theirs.has(&Capability::ExtendedMessage) && ours.has(&Capability::ExtendedMessage),
        families,
        with_ipv6_next_hop: with_ipv6_next_hop.then_some(Family::IPV4_UNICAST).into_iter().collect(),
        ..Form::default()
    })
}

fn list(families: &[Family]) -> String {
    families.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

fn refusal(subcode: u8, data: impl Into<Vec<u8>>, why: String) -> Refusal {
    Refusal { notification: Notification::with(OPEN_MESSAGE, subcode, data), why: Some(why) }
}

impl Refusal {
    pub(super) fn cease(subcode: u8, why: &str) -> Refusal {
        Refusal { notification: Notification::new(CEASE, subcode), why: Some(why.to_owned()) }
    }
}

impl From<Notification> for Refusal {
    fn from(notification: Notification) -> Refusal {
        Refusal { notification, why: None }
    }
}
