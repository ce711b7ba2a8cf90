//! BGP (RFC 4271): what goes over the wire.
//!
//! [`frame`] cuts a stream of bytes into messages; [`Message::read`] reads one, [`open`], [`update`] and [`notification`] are
//! their parts. Whatever is wrong with a message is a [`Notification`], the one that RFC 4271, 6 wants sent before the
//! connection is closed, or, for most mistakes in an UPDATE, something milder (RFC 7606), see [`update`].

pub mod attribute;
pub mod beacon;
pub mod capability;
pub mod notification;
pub mod open;
pub mod prefix;
pub mod rib_out;
pub mod route;
pub mod session;
pub mod update;

mod message;
#[cfg(test)]
mod tests;

pub use capability::{Capability, Family};
pub use message::{Frame, Kind, Message, RouteRefresh, frame, write};
pub use notification::Notification;
pub use open::Open;
pub use rib_out::RibOut;

/// Marker, length and type.
pub const HEADER_BYTES: usize = 19;
/// RFC 4271, 4.1.
pub const MESSAGE_BYTES: usize = 4096;
/// Where both sides have said that they can (RFC 8654).
pub const EXTENDED_MESSAGE_BYTES: usize = 65535;
/// Stands for an AS number that does not fit into two octets (RFC 6793).
pub const AS_TRANS: u16 = 23456;
/// RFC 4271, 4.2: what a hold time is at least, if it is not zero.
pub const LEAST_HOLD_SECS: u16 = 3;
