//! NOTIFICATION: why a connection ends (RFC 4271, 4.5, 6; codes of RFC 4486, 5492, 6608, 7313, 8538, 9003, 9234, 9384, 9687).

use std::fmt;

/// Shutdown text is cut here (RFC 9003, 2).
const TEXT_BYTES: usize = 255;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    pub code: u8,
    pub subcode: u8,
    pub data: Vec<u8>,
}

pub const MESSAGE_HEADER: u8 = 1;
pub const OPEN_MESSAGE: u8 = 2;
pub const UPDATE_MESSAGE: u8 = 3;
pub const HOLD_TIMER_EXPIRED: u8 = 4;
pub const STATE_MACHINE: u8 = 5;
pub const CEASE: u8 = 6;
pub const ROUTE_REFRESH_MESSAGE: u8 = 7;
/// RFC 9687.
pub const SEND_HOLD_TIMER_EXPIRED: u8 = 8;

/// Subcodes of [`CEASE`].
pub mod cease {
    pub const MAXIMUM_PREFIXES: u8 = 1;
    pub const ADMINISTRATIVE_SHUTDOWN: u8 = 2;
    pub const PEER_DECONFIGURED: u8 = 3;
    pub const ADMINISTRATIVE_RESET: u8 = 4;
    pub const CONNECTION_REJECTED: u8 = 5;
    pub const OTHER_CONFIGURATION_CHANGE: u8 = 6;
    pub const CONNECTION_COLLISION: u8 = 7;
    pub const OUT_OF_RESOURCES: u8 = 8;
    pub const HARD_RESET: u8 = 9;
    pub const BFD_DOWN: u8 = 10;
}

/// Subcodes of [`OPEN_MESSAGE`].
pub mod open {
    pub const UNSUPPORTED_VERSION: u8 = 1;
    pub const BAD_PEER_AS: u8 = 2;
    pub const BAD_ROUTER_ID: u8 = 3;
    pub const UNSUPPORTED_PARAMETER: u8 = 4;
    pub const UNACCEPTABLE_HOLD_TIME: u8 = 6;
    pub const UNSUPPORTED_CAPABILITY: u8 = 7;
    pub const ROLE_MISMATCH: u8 = 11;
}

/// Subcodes of [`UPDATE_MESSAGE`].
pub mod update {
    pub const MALFORMED_ATTRIBUTES: u8 = 1;
    pub const OPTIONAL_ATTRIBUTE: u8 = 9;
    pub const INVALID_NETWORK: u8 = 10;
}

/// Subcodes of [`MESSAGE_HEADER`].
pub mod header {
    pub const NOT_SYNCHRONISED: u8 = 1;
    pub const BAD_LENGTH: u8 = 2;
    pub const BAD_TYPE: u8 = 3;
}

impl Notification {
    pub fn new(code: u8, subcode: u8) -> Notification {
        Notification { code, subcode, data: Vec::new() }
    }

    pub fn with(code: u8, subcode: u8, data: impl Into<Vec<u8>>) -> Notification {
        Notification { code, subcode, data: data.into() }
    }

    /// A Cease that tells people why, where its subcode allows a text (RFC 9003).
    pub fn cease(subcode: u8, text: &str) -> Notification {
        let has_text = [cease::ADMINISTRATIVE_SHUTDOWN, cease::ADMINISTRATIVE_RESET].contains(&subcode);
        if !has_text || text.is_empty() {
            return Notification::new(CEASE, subcode);
        }
        let mut end = text.len().min(TEXT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut data = vec![end as u8];
        data.extend_from_slice(&text.as_bytes()[..end]);
        Notification::with(CEASE, subcode, data)
    }

    /// That routes are not to be kept, whatever graceful restart says (RFC 8538, 3.1): the notification it stands for is inside.
    pub fn hard_reset(inner: &Notification) -> Notification {
        let mut data = vec![inner.code, inner.subcode];
        data.extend_from_slice(&inner.data);
        Notification::with(CEASE, cease::HARD_RESET, data)
    }

    /// What a hard reset stands for; itself if it is none.
    pub fn inner(&self) -> Notification {
        match (self.code, self.subcode, self.data.as_slice()) {
            (CEASE, cease::HARD_RESET, [code, subcode, data @ ..]) => {
                Notification::with(*code, *subcode, data)
            }
            _ => self.clone(),
        }
    }

    pub fn is_hard_reset(&self) -> bool {
        self.code == CEASE && self.subcode == cease::HARD_RESET
    }

    /// What the other side's people say. Control characters, and what is no text, are shown as such.
    pub fn text(&self) -> Option<String> {
        let has_text = [cease::ADMINISTRATIVE_SHUTDOWN, cease::ADMINISTRATIVE_RESET].contains(&self.subcode);
        let (length, rest) = self.data.split_first()?;
        let text = rest.get(..usize::from(*length)).filter(|text| !text.is_empty())?;
        (self.code == CEASE && has_text)
            .then(|| String::from_utf8_lossy(text).chars().flat_map(printable).collect())
    }

    pub(super) fn read(body: &[u8]) -> Option<Notification> {
        let [code, subcode, data @ ..] = body else { return None };
        Some(Notification::with(*code, *subcode, data))
    }

    /// Without header. What does not fit into a message is cut off.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.code, self.subcode]);
        let room = super::MESSAGE_BYTES - super::HEADER_BYTES - 2;
        out.extend_from_slice(&self.data[..self.data.len().min(room)]);
    }

    fn names(&self) -> (&'static str, Option<&'static str>) {
        let code = match self.code {
            MESSAGE_HEADER => "Message Header Error",
            OPEN_MESSAGE => "OPEN Message Error",
            UPDATE_MESSAGE => "UPDATE Message Error",
            HOLD_TIMER_EXPIRED => "Hold Timer Expired",
            STATE_MACHINE => "Finite State Machine Error",
            CEASE => "Cease",
            ROUTE_REFRESH_MESSAGE => "ROUTE-REFRESH Message Error",
            SEND_HOLD_TIMER_EXPIRED => "Send Hold Timer Expired",
            _ => "unknown error",
        };
        let subcode = match (self.code, self.subcode) {
            (MESSAGE_HEADER, 1) => "Connection Not Synchronized",
            (MESSAGE_HEADER, 2) => "Bad Message Length",
            (MESSAGE_HEADER, 3) => "Bad Message Type",
            (OPEN_MESSAGE, 1) => "Unsupported Version Number",
            (OPEN_MESSAGE, 2) => "Bad Peer AS",
            (OPEN_MESSAGE, 3) => "Bad BGP Identifier",
            (OPEN_MESSAGE, 4) => "Unsupported Optional Parameter",
            (OPEN_MESSAGE, 6) => "Unacceptable Hold Time",
            (OPEN_MESSAGE, 7) => "Unsupported Capability",
            (OPEN_MESSAGE, 11) => "Role Mismatch",
            (UPDATE_MESSAGE, 1) => "Malformed Attribute List",
            (UPDATE_MESSAGE, 2) => "Unrecognized Well-known Attribute",
            (UPDATE_MESSAGE, 3) => "Missing Well-known Attribute",
            (UPDATE_MESSAGE, 4) => "Attribute Flags Error",
            (UPDATE_MESSAGE, 5) => "Attribute Length Error",
            (UPDATE_MESSAGE, 6) => "Invalid ORIGIN Attribute",
            (UPDATE_MESSAGE, 8) => "Invalid NEXT_HOP Attribute",
            (UPDATE_MESSAGE, 9) => "Optional Attribute Error",
            (UPDATE_MESSAGE, 10) => "Invalid Network Field",
            (UPDATE_MESSAGE, 11) => "Malformed AS_PATH",
            (STATE_MACHINE, 1) => "Receive Unexpected Message in OpenSent State",
            (STATE_MACHINE, 2) => "Receive Unexpected Message in OpenConfirm State",
            (STATE_MACHINE, 3) => "Receive Unexpected Message in Established State",
            (CEASE, 1) => "Maximum Number of Prefixes Reached",
            (CEASE, 2) => "Administrative Shutdown",
            (CEASE, 3) => "Peer De-configured",
            (CEASE, 4) => "Administrative Reset",
            (CEASE, 5) => "Connection Rejected",
            (CEASE, 6) => "Other Configuration Change",
            (CEASE, 7) => "Connection Collision Resolution",
            (CEASE, 8) => "Out of Resources",
            (CEASE, 9) => "Hard Reset",
            (CEASE, 10) => "BFD Down",
            (ROUTE_REFRESH_MESSAGE, 1) => "Invalid Message Length",
            _ => return (code, None),
        };
        (code, Some(subcode))
    }
}

/// As people read it: the names of both codes, their numbers, and the text that came along.
impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_hard_reset() && self.data.len() >= 2 {
            f.write_str("Cease/Hard Reset (6/9) for ")?;
            // Of those within that, which mean nothing, there could be as many as fit into a message.
            return self.inner().describe(f);
        }
        self.describe(f)
    }
}

impl Notification {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, subcode) = self.names();
        write!(f, "{code}")?;
        if let Some(subcode) = subcode {
            write!(f, "/{subcode}")?;
        }
        write!(f, " ({}/{})", self.code, self.subcode)?;
        match self.text() {
            Some(text) => write!(f, ": {text:?}"),
            None => Ok(()),
        }
    }
}

fn printable(character: char) -> Vec<char> {
    if character.is_control() { character.escape_unicode().collect() } else { vec![character] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_means() {
        let shutdown = Notification::cease(cease::ADMINISTRATIVE_SHUTDOWN, "moving to node-b");
        for (notification, text) in [
            (Notification::new(HOLD_TIMER_EXPIRED, 0), "Hold Timer Expired (4/0)"),
            (Notification::new(OPEN_MESSAGE, 2), "OPEN Message Error/Bad Peer AS (2/2)"),
            (Notification::new(99, 7), "unknown error (99/7)"),
            (shutdown.clone(), r#"Cease/Administrative Shutdown (6/2): "moving to node-b""#),
            (
                Notification::hard_reset(&shutdown),
                r#"Cease/Hard Reset (6/9) for Cease/Administrative Shutdown (6/2): "moving to node-b""#,
            ),
            (Notification::with(CEASE, 2, [200, b'a']), "Cease/Administrative Shutdown (6/2)"),
        ] {
            assert_eq!(notification.to_string(), text);
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let long = "ä".repeat(200);
        let notification = Notification::cease(cease::ADMINISTRATIVE_RESET, &long);
        assert_eq!(notification.data[0], 254);
        assert_eq!(notification.text().unwrap(), "ä".repeat(127));
        assert_eq!(Notification::cease(cease::PEER_DECONFIGURED, "why").data, []);
    }

    #[test]
    fn a_hard_reset_has_its_reason_inside() {
        let reason = Notification::with(CEASE, cease::PEER_DECONFIGURED, []);
        let hard = Notification::hard_reset(&reason);
        assert_eq!((hard.is_hard_reset(), hard.inner()), (true, reason.clone()));
        assert_eq!(reason.inner(), reason);
        let nested = Notification::with(CEASE, cease::HARD_RESET, [CEASE, cease::HARD_RESET].repeat(32_000));
        assert_eq!(nested.to_string(), "Cease/Hard Reset (6/9) for Cease/Hard Reset (6/9)");
    }
}
