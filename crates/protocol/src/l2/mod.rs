//! Layer 2: who has an address, by ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861).

mod counters;
mod ethernet;
mod interfaces;

pub use counters::{AddressCounters, Counters, DropReason};
pub use ethernet::MacAddress;
pub use interfaces::Interfaces;
