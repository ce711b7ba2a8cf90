//! Layer 2: who has an address, by ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861).

mod interfaces;

pub use interfaces::Interfaces;
