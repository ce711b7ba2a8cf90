//! Messages, and cutting them out of a stream (RFC 4271, 4.1).

use super::capability::Family;
use super::notification::{self, MESSAGE_HEADER, Notification, ROUTE_REFRESH_MESSAGE};
use super::open::Open;
use super::update::{Form, Update};
use super::{HEADER_BYTES, MESSAGE_BYTES};
use crate::reader::Reader;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Open,
    Update,
    Notification,
    KeepAlive,
    RouteRefresh,
}

/// A whole message at the front of what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub kind: Kind,
    /// Without the header.
    pub body: &'a [u8],
    /// With it: so much of the stream is done.
    pub bytes: usize,
}

/// The next message; `None` if it is not all there. `longest` is what was agreed on.
pub fn frame(stream: &[u8], longest: usize) -> Result<Option<Frame<'_>>, Notification> {
    let marker = &stream[..stream.len().min(16)];
    if marker.iter().any(|byte| *byte != 0xff) {
        return Err(Notification::new(MESSAGE_HEADER, notification::header::NOT_SYNCHRONISED));
    }
    let Some((header, _)) = stream.split_at_checked(HEADER_BYTES) else { return Ok(None) };
    let bytes = usize::from(u16::from_be_bytes([header[16], header[17]]));
    let bad_length = || Notification::with(MESSAGE_HEADER, notification::header::BAD_LENGTH, &header[16..18]);
    let (kind, least) = match header[18] {
        1 => (Kind::Open, 29),
        2 => (Kind::Update, 23),
        3 => (Kind::Notification, 21),
        4 => (Kind::KeepAlive, HEADER_BYTES),
        5 => (Kind::RouteRefresh, HEADER_BYTES),
        other => {
            return Err(Notification::with(MESSAGE_HEADER, notification::header::BAD_TYPE, [other]));
        }
    };
    // These two come before anything is agreed on, or could (RFC 8654, 4).
    let longest = if matches!(kind, Kind::Open | Kind::KeepAlive) { MESSAGE_BYTES } else { longest };
    let is_whole = kind != Kind::KeepAlive || bytes == HEADER_BYTES;
    if bytes < least || bytes > longest || !is_whole {
        return Err(bad_length());
    }
    Ok(stream.get(HEADER_BYTES..bytes).map(|body| Frame { kind, body, bytes }))
}

#[derive(Debug)]
pub enum Message<'a> {
    Open(Open),
    Update(Box<Update<'a>>),
    Notification(Notification),
    KeepAlive,
    /// `None`: of a kind that nobody here knows, which is ignored (RFC 7313, 5).
    RouteRefresh(Option<RouteRefresh>),
}

/// RFC 2918, RFC 7313.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteRefresh {
    Request(Family),
    Begin(Family),
    End(Family),
}

impl<'a> Message<'a> {
    /// `form` is what both sides have agreed on.
    pub fn read(frame: Frame<'a>, form: &Form) -> Result<Message<'a>, Notification> {
        Ok(match frame.kind {
            Kind::Open => Message::Open(Open::read(frame.body)?),
            Kind::Update => Message::Update(Box::new(Update::read(frame.body, form)?)),
            // To one that is no such there is no answer (RFC 4271, 6.4), so it is taken for what it must mean.
            Kind::Notification => Message::Notification(
                Notification::read(frame.body).unwrap_or_else(|| Notification::new(0, 0)),
            ),
            Kind::KeepAlive => Message::KeepAlive,
            Kind::RouteRefresh => Message::RouteRefresh(RouteRefresh::read(frame.body)?),
        })
    }
}

impl RouteRefresh {
    fn read(body: &[u8]) -> Result<Option<RouteRefresh>, Notification> {
        // RFC 7313, 5: the whole message goes back.
        let bad_length = || {
            let whole = write::message(5, |out| out.extend_from_slice(body));
            Notification::with(ROUTE_REFRESH_MESSAGE, 1, whole)
        };
        let mut from = Reader(body);
        let parts = (|| {
            let (afi, kind, safi) = (from.u16()?, from.u8()?, from.u8()?);
            Some((Family { afi, safi }, kind))
        })();
        let Some((family, kind)) = parts else {
            return Err(bad_length());
        };
        match kind {
            // May have filters behind it (RFC 5291), which nobody here has agreed to.
            0 => Ok(Some(RouteRefresh::Request(family))),
            1 | 2 if !from.is_empty() => Err(bad_length()),
            1 => Ok(Some(RouteRefresh::Begin(family))),
            2 => Ok(Some(RouteRefresh::End(family))),
            _ => Ok(None),
        }
    }
}

/// Messages as they are sent.
pub mod write {
    use super::{HEADER_BYTES, Notification, Open, RouteRefresh};

    pub fn open(open: &Open) -> Vec<u8> {
        message(1, |out| open.write(out))
    }

    pub fn notification(notification: &Notification) -> Vec<u8> {
        message(3, |out| notification.write(out))
    }

    pub fn keep_alive() -> Vec<u8> {
        message(4, |_| {})
    }

    pub fn route_refresh(refresh: RouteRefresh) -> Vec<u8> {
        let (family, kind) = match refresh {
            RouteRefresh::Request(family) => (family, 0),
            RouteRefresh::Begin(family) => (family, 1),
            RouteRefresh::End(family) => (family, 2),
        };
        message(5, |out| {
            out.extend_from_slice(&family.afi.to_be_bytes());
            out.extend_from_slice(&[kind, family.safi]);
        })
    }

    /// Whoever writes the body keeps to what was agreed on.
    pub(in super::super) fn message(kind: u8, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = vec![0xff; 16];
        out.extend_from_slice(&[0, 0, kind]);
        body(&mut out);
        debug_assert!(out.len() >= HEADER_BYTES && out.len() <= usize::from(u16::MAX));
        let length = (out.len() as u16).to_be_bytes();
        out[16..18].copy_from_slice(&length);
        out
    }
}
