//! What a speaker says that it can (RFC 5492).

use crate::reader::Reader;

/// An address family and what of it (RFC 4760).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Family {
    pub afi: u16,
    pub safi: u8,
}

impl Family {
    pub const IPV4_UNICAST: Family = Family { afi: 1, safi: 1 };
    pub const IPV6_UNICAST: Family = Family { afi: 2, safi: 1 };
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Family::IPV4_UNICAST => f.write_str("IPv4 unicast"),
            Family::IPV6_UNICAST => f.write_str("IPv6 unicast"),
            Family { afi, safi } => write!(f, "family {afi}/{safi}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capability {
    /// 1
    Multiprotocol(Family),
    /// 2
    RouteRefresh,
    /// 5 (RFC 8950): routes of the family may have a next hop of this AFI.
    ExtendedNextHop(Vec<(Family, u16)>),
    /// 6 (RFC 8654)
    ExtendedMessage,
    /// 9 (RFC 9234)
    Role(Role),
    /// 64 (RFC 4724, RFC 8538)
    GracefulRestart(GracefulRestart),
    /// 65 (RFC 6793)
    FourOctetAs(u32),
    /// 69 (RFC 7911)
    AddPath(Vec<(Family, AddPath)>),
    /// 70 (RFC 7313)
    EnhancedRouteRefresh,
    /// 71 (RFC 9494): seconds that stale routes are kept.
    LongLivedGracefulRestart(Vec<LongLived>),
    /// 73, a name for people: host and domain.
    HostName { host: String, domain: String },
    /// Not known here, and so ignored.
    Other { code: u8, value: Vec<u8> },
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GracefulRestart {
    /// The speaker has restarted, and its routes are not to be waited for in turn.
    pub has_restarted: bool,
    /// Also after a NOTIFICATION (RFC 8538).
    pub after_notification: bool,
    /// Of 12 bits.
    pub seconds: u16,
    /// And whether forwarding went on meanwhile.
    pub families: Vec<(Family, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongLived {
    pub family: Family,
    pub forwards: bool,
    /// Of 24 bits.
    pub seconds: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddPath {
    pub receives: bool,
    pub sends: bool,
}

/// RFC 9234, 4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Provider,
    RouteServer,
    RouteServerClient,
    Customer,
    Peer,
}

impl Role {
    fn of(number: u8) -> Option<Role> {
        Some(match number {
            0 => Role::Provider,
            1 => Role::RouteServer,
            2 => Role::RouteServerClient,
            3 => Role::Customer,
            4 => Role::Peer,
            _ => return None,
        })
    }

    fn number(self) -> u8 {
        match self {
            Role::Provider => 0,
            Role::RouteServer => 1,
            Role::RouteServerClient => 2,
            Role::Customer => 3,
            Role::Peer => 4,
        }
    }

    /// Whether two speakers can have these (RFC 9234, 4.2).
    pub fn fits(self, other: Role) -> bool {
        matches!(
            (self, other),
            (Role::Provider, Role::Customer)
                | (Role::Customer, Role::Provider)
                | (Role::RouteServer, Role::RouteServerClient)
                | (Role::RouteServerClient, Role::RouteServer)
                | (Role::Peer, Role::Peer)
        )
    }
}

impl Capability {
    pub fn code(&self) -> u8 {
        match self {
            Capability::Multiprotocol(_) => 1,
            Capability::RouteRefresh => 2,
            Capability::ExtendedNextHop(_) => 5,
            Capability::ExtendedMessage => 6,
            Capability::Role(_) => 9,
            Capability::GracefulRestart(_) => 64,
            Capability::FourOctetAs(_) => 65,
            Capability::AddPath(_) => 69,
            Capability::EnhancedRouteRefresh => 70,
            Capability::LongLivedGracefulRestart(_) => 71,
            Capability::HostName { .. } => 73,
            Capability::Other { code, .. } => *code,
        }
    }

    /// One whose value has another form than its code says is as good as unknown.
    pub(super) fn read(code: u8, value: &[u8]) -> Capability {
        Capability::known(code, value).unwrap_or_else(|| Capability::Other { code, value: value.to_vec() })
    }

    fn known(code: u8, value: &[u8]) -> Option<Capability> {
        let mut from = Reader(value);
        let capability = match code {
            1 => Capability::Multiprotocol(family_with_reserved(&mut from)?),
            2 => Capability::RouteRefresh,
            5 => Capability::ExtendedNextHop(all(&mut from, |from| {
                let (afi, safi, next_hop) = (from.u16()?, from.u16()?, from.u16()?);
                Some((Family { afi, safi: u8::try_from(safi).ok()? }, next_hop))
            })?),
            6 => Capability::ExtendedMessage,
            9 => Capability::Role(Role::of(from.u8()?)?),
            64 => {
                let flags = from.u16()?;
                Capability::GracefulRestart(GracefulRestart {
                    has_restarted: flags & 0x8000 != 0,
                    after_notification: flags & 0x4000 != 0,
                    seconds: flags & 0x0fff,
                    families: all(&mut from, |from| Some((family(from)?, from.u8()? & 0x80 != 0)))?,
                })
            }
            65 => Capability::FourOctetAs(from.u32()?),
            69 => Capability::AddPath(all(&mut from, |from| {
                let family = family(from)?;
                let mode = from.u8()?;
                // Others are to be ignored (RFC 7911, 4).
                (1..=3)
                    .contains(&mode)
                    .then_some((family, AddPath { receives: mode & 1 != 0, sends: mode & 2 != 0 }))
            })?),
            70 => Capability::EnhancedRouteRefresh,
            71 => Capability::LongLivedGracefulRestart(all(&mut from, |from| {
                let (family, flags) = (family(from)?, from.u8()?);
                let [high, middle, low] = from.array()?;
                let seconds = u32::from_be_bytes([0, high, middle, low]);
                Some(LongLived { family, forwards: flags & 0x80 != 0, seconds })
            })?),
            73 => {
                let mut text = || {
                    let length = from.u8()?;
                    from.take(length.into()).map(|text| String::from_utf8_lossy(text).into_owned())
                };
                Capability::HostName { host: text()?, domain: text()? }
            }
            _ => return None,
        };
        from.is_empty().then_some(capability)
    }

    /// With code and length.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.code());
        let length_at = out.len();
        out.push(0);
        self.write_value(out);
        // Each is made here and shorter than that by far, but for names, which are cut.
        out[length_at] = (out.len() - length_at - 1).min(255) as u8;
    }

    fn write_value(&self, out: &mut Vec<u8>) {
        match self {
            Capability::Multiprotocol(family) => {
                out.extend_from_slice(&family.afi.to_be_bytes());
                out.extend_from_slice(&[0, family.safi]);
            }
            Capability::RouteRefresh | Capability::ExtendedMessage | Capability::EnhancedRouteRefresh => {}
            Capability::ExtendedNextHop(all) => {
                for (family, next_hop) in all {
                    out.extend_from_slice(&family.afi.to_be_bytes());
                    out.extend_from_slice(&u16::from(family.safi).to_be_bytes());
                    out.extend_from_slice(&next_hop.to_be_bytes());
                }
            }
            Capability::Role(role) => out.push(role.number()),
            Capability::GracefulRestart(restart) => {
                let flags = u16::from(restart.has_restarted) << 15
                    | u16::from(restart.after_notification) << 14
                    | restart.seconds.min(0x0fff);
                out.extend_from_slice(&flags.to_be_bytes());
                for (family, forwards) in &restart.families {
                    write_family(*family, out);
                    out.push(u8::from(*forwards) << 7);
                }
            }
            Capability::FourOctetAs(number) => out.extend_from_slice(&number.to_be_bytes()),
            Capability::AddPath(all) => {
                for (family, mode) in all {
                    write_family(*family, out);
                    out.push(u8::from(mode.receives) | u8::from(mode.sends) << 1);
                }
            }
            Capability::LongLivedGracefulRestart(all) => {
                for it in all {
                    write_family(it.family, out);
                    out.push(u8::from(it.forwards) << 7);
                    out.extend_from_slice(&it.seconds.min(0xff_ffff).to_be_bytes()[1..]);
                }
            }
            Capability::HostName { host, domain } => {
                for name in [host, domain] {
                    // RFC 1035's limit for a label is enough, and both then fit.
                    let name = &name.as_bytes()[..name.len().min(63)];
                    out.push(name.len() as u8);
                    out.extend_from_slice(name);
                }
            }
            Capability::Other { value, .. } => out.extend_from_slice(&value[..value.len().min(255)]),
        }
    }
}

fn family(from: &mut Reader<'_>) -> Option<Family> {
    Some(Family { afi: from.u16()?, safi: from.u8()? })
}

fn family_with_reserved(from: &mut Reader<'_>) -> Option<Family> {
    let afi = from.u16()?;
    let _reserved = from.u8()?;
    Some(Family { afi, safi: from.u8()? })
}

fn write_family(family: Family, out: &mut Vec<u8>) {
    out.extend_from_slice(&family.afi.to_be_bytes());
    out.push(family.safi);
}

fn all<T>(from: &mut Reader<'_>, one: impl Fn(&mut Reader<'_>) -> Option<T>) -> Option<Vec<T>> {
    let mut all = Vec::new();
    while !from.is_empty() {
        all.push(one(from)?);
    }
    Some(all)
}
