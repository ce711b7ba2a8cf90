//! OPEN: who a speaker is and what it can (RFC 4271, 4.2; RFC 5492; RFC 9072).

use std::net::Ipv4Addr;

use super::capability::{Capability, Family, GracefulRestart, Role};
use super::notification::{self, Notification, OPEN_MESSAGE};
use super::{AS_TRANS, LEAST_HOLD_SECS};
use crate::reader::Reader;

const VERSION: u8 = 4;
/// The only optional parameter that there is.
const CAPABILITIES: u8 = 2;
/// Says that lengths have two octets (RFC 9072).
const EXTENDED: u8 = 255;
/// One optional parameter holds no more.
const PARAMETER_BYTES: usize = 255;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// With the number of four octets, if there is one.
    pub autonomous_system: u32,
    /// Zero: the connection is not to be kept alive.
    pub hold_secs: u16,
    pub router_id: Ipv4Addr,
    pub capabilities: Vec<Capability>,
}

impl Open {
    /// Whose form is sound. Whether this is the wanted peer is for its session to say.
    pub(super) fn read(body: &[u8]) -> Result<Open, Notification> {
        let malformed = || Notification::new(OPEN_MESSAGE, 0);
        let mut from = Reader(body);
        let version = from.u8().ok_or_else(malformed)?;
        if version != VERSION {
            let supported = u16::from(VERSION).to_be_bytes();
            return Err(Notification::with(OPEN_MESSAGE, notification::open::UNSUPPORTED_VERSION, supported));
        }
        let short = from.u16().ok_or_else(malformed)?;
        let hold_secs = from.u16().ok_or_else(malformed)?;
        let router_id = Ipv4Addr::from(from.array::<4>().ok_or_else(malformed)?);
        let capabilities = read_parameters(from)?;
        let four_octets = capabilities.iter().find_map(|capability| match capability {
            Capability::FourOctetAs(number) => Some(*number),
            _ => None,
        });
        let autonomous_system = four_octets.unwrap_or_else(|| short.into());
        if autonomous_system == 0 {
            return Err(Notification::new(OPEN_MESSAGE, notification::open::BAD_PEER_AS));
        }
        if hold_secs != 0 && hold_secs < LEAST_HOLD_SECS {
            return Err(Notification::new(OPEN_MESSAGE, notification::open::UNACCEPTABLE_HOLD_TIME));
        }
        if router_id.is_unspecified() {
            return Err(Notification::new(OPEN_MESSAGE, notification::open::BAD_ROUTER_ID));
        }
        Ok(Open { autonomous_system, hold_secs, router_id, capabilities })
    }

    /// Without header.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        let short = u16::try_from(self.autonomous_system).unwrap_or(AS_TRANS);
        out.extend_from_slice(&short.to_be_bytes());
        out.extend_from_slice(&self.hold_secs.to_be_bytes());
        out.extend_from_slice(&self.router_id.octets());
        let mut all = Vec::new();
        for capability in &self.capabilities {
            capability.write(&mut all);
        }
        if all.is_empty() {
            out.push(0);
        } else if all.len() + 2 <= PARAMETER_BYTES {
            // One parameter for all: some old speakers read no other.
            out.extend_from_slice(&[(all.len() + 2) as u8, CAPABILITIES, all.len() as u8]);
            out.extend_from_slice(&all);
        } else {
            let length = (all.len() as u16).to_be_bytes();
            let whole = (all.len() as u16 + 3).to_be_bytes();
            out.extend_from_slice(&[
                EXTENDED,
                EXTENDED,
                whole[0],
                whole[1],
                CAPABILITIES,
                length[0],
                length[1],
            ]);
            out.extend_from_slice(&all);
        }
    }

    pub fn has_four_octets(&self) -> bool {
        self.capabilities.iter().any(|it| matches!(it, Capability::FourOctetAs(_)))
    }

    /// IPv4 unicast alone, if nothing is said (RFC 4760, 8).
    pub fn families(&self) -> Vec<Family> {
        let said: Vec<Family> = self
            .capabilities
            .iter()
            .filter_map(|capability| match capability {
                Capability::Multiprotocol(family) => Some(*family),
                _ => None,
            })
            .collect();
        if said.is_empty() { vec![Family::IPV4_UNICAST] } else { said }
    }

    pub fn has(&self, wanted: &Capability) -> bool {
        self.capabilities.contains(wanted)
    }

    pub fn graceful_restart(&self) -> Option<&GracefulRestart> {
        // Of several the last counts (RFC 4724, 3, by RFC 5492, 4).
        self.capabilities.iter().rev().find_map(|capability| match capability {
            Capability::GracefulRestart(restart) => Some(restart),
            _ => None,
        })
    }

    pub fn role(&self) -> Option<Role> {
        self.capabilities.iter().find_map(|capability| match capability {
            Capability::Role(role) => Some(*role),
            _ => None,
        })
    }
}

fn read_parameters(mut from: Reader<'_>) -> Result<Vec<Capability>, Notification> {
    let malformed = || Notification::new(OPEN_MESSAGE, 0);
    let length = from.u8().ok_or_else(malformed)?;
    // Then the first length means nothing, but that there are any.
    let is_extended = length != 0 && from.0.first() == Some(&EXTENDED);
    let length = if is_extended {
        from.u8();
        from.u16().ok_or_else(malformed)?.into()
    } else {
        usize::from(length)
    };
    let mut parameters = Reader(from.take(length).ok_or_else(malformed)?);
    // Whatever comes after them belongs to no field.
    if !from.is_empty() {
        return Err(malformed());
    }
    let mut capabilities = Vec::new();
    while !parameters.is_empty() {
        let kind = parameters.u8().ok_or_else(malformed)?;
        let length = if is_extended { parameters.u16() } else { parameters.u8().map(u16::from) };
        let value = length.and_then(|length| parameters.take(length.into())).ok_or_else(malformed)?;
        if kind != CAPABILITIES {
            return Err(Notification::new(OPEN_MESSAGE, notification::open::UNSUPPORTED_PARAMETER));
        }
        let mut value = Reader(value);
        while !value.is_empty() {
            let code = value.u8().ok_or_else(malformed)?;
            let length = value.u8().ok_or_else(malformed)?;
            let value = value.take(length.into()).ok_or_else(malformed)?;
            capabilities.push(Capability::read(code, value));
        }
    }
    Ok(capabilities)
}
