//! How a session puts what is to be told: path, next hop and whatever else follows from who speaks to whom.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::super::attribute::{NextHop, Origin, Outgoing};
use super::super::capability::{Family, Role};
use super::super::prefix::{LONGEST_PATH_BYTES, Prefix};
use super::super::route::Policy;
use super::super::update::{Form, write::Announcement};

/// Told to internal peers where nothing else is said (RFC 4271, 9.1.1 leaves it to us; everybody takes this).
const LOCAL_PREFERENCE: u32 = 100;

/// What a session has agreed on, as far as routes are concerned.
#[derive(Debug, Clone)]
pub struct Speaking {
    pub form: Form,
    /// What the neighbour knows this side as.
    pub local_as: u32,
    pub next_hops: NextHops,
    /// This side's (RFC 9234).
    pub role: Option<Role>,
    /// Both sides mark where a refresh begins and ends (RFC 7313).
    pub has_enhanced_refresh: bool,
}

/// Where routes of a family lead if their policy names no other place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NextHops {
    /// One of IPv6 is of use only if the peer can take it (RFC 8950).
    pub ipv4: Option<NextHop>,
    pub ipv6: Option<NextHop>,
}

/// Why a prefix that is to be told is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeldBack {
    FamilyNotAgreed,
    NoNextHop,
    TooLong,
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeldBack::FamilyNotAgreed => "the peer takes no routes of this family",
            HeldBack::NoNextHop => "there is no next hop for this family",
            HeldBack::TooLong => "its communities do not fit into one message",
        })
    }
}

impl Speaking {
    /// Whatever is said of a prefix of this family.
    fn outgoing(&self, family: Family, policy: &Policy) -> Result<Outgoing, HeldBack> {
        if !self.form.families.contains(&family) {
            return Err(HeldBack::FamilyNotAgreed);
        }
        let is_external = self.form.is_external;
        let times = if is_external { 1 + usize::from(policy.prepended) } else { 0 };
        let outgoing = Outgoing {
            origin: Origin::Igp,
            as_path: vec![self.local_as; times],
            next_hop: self.next_hop(family, policy).ok_or(HeldBack::NoNextHop)?,
            med: policy.med,
            local_preference: (!is_external).then(|| policy.local_preference.unwrap_or(LOCAL_PREFERENCE)),
            communities: policy.communities.clone(),
            extended_communities: policy.extended_communities.clone(),
            large_communities: policy.large_communities.clone(),
            only_to_customer: self.only_to_customer(),
        };
        let room = Announcement::new(family, &outgoing, &self.form).room();
        if room < LONGEST_PATH_BYTES { Err(HeldBack::TooLong) } else { Ok(outgoing) }
    }

    fn next_hop(&self, family: Family, policy: &Policy) -> Option<NextHop> {
        let of_policy = match family {
            Family::IPV4_UNICAST => policy.next_hop.map(NextHop::V4),
            // Elsewhere than here, so there is no link that both know.
            _ => policy.next_hop_v6.map(|global| NextHop::V6 { global, link_local: None }),
        };
        let of_session = match family {
            Family::IPV4_UNICAST => self.next_hops.ipv4,
            _ => self.next_hops.ipv6,
        };
        of_policy.or(of_session).filter(|next_hop| match next_hop {
            NextHop::V4(_) => family == Family::IPV4_UNICAST,
            NextHop::V6 { .. } => {
                family == Family::IPV6_UNICAST || self.form.with_ipv6_next_hop.contains(&family)
            }
        })
    }

    /// Whoever hears it from this side may pass it on only downwards (RFC 9234, 5).
    fn only_to_customer(&self) -> Option<u32> {
        let goes_down = matches!(self.role, Some(Role::Provider | Role::RouteServer | Role::Peer));
        (goes_down && self.form.is_external).then_some(self.local_as)
    }
}

/// What is to be said of a prefix, or why nothing is.
pub(super) type Target = Result<Arc<Outgoing>, HeldBack>;

/// What is said of policies, found once for each.
#[derive(Debug)]
pub(super) struct Words<'a> {
    speaking: &'a Speaking,
    /// By where the policies lie, which stay there for as long as this is used.
    known: HashMap<(Family, *const Policy), Target>,
    last: Option<(Family, &'a Arc<Policy>, Target)>,
}

impl<'a> Words<'a> {
    pub(super) fn new(speaking: &'a Speaking) -> Words<'a> {
        Words { speaking, known: HashMap::new(), last: None }
    }

    pub(super) fn of(&mut self, prefix: Prefix, policy: &'a Arc<Policy>) -> Target {
        let family = prefix.family();
        if let Some((of_family, of_policy, target)) = &self.last
            && *of_family == family
            && Arc::ptr_eq(of_policy, policy)
        {
            return target.clone();
        }
        let known = self.known.entry((family, Arc::as_ptr(policy)));
        let target = known.or_insert_with(|| self.speaking.outgoing(family, policy).map(Arc::new)).clone();
        self.last = Some((family, policy, target.clone()));
        target
    }
}
