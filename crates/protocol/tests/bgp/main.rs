//! BGP's messages beside two decoders that others have written, and what a neighbour knows after any of them.
//!
//! The others are `rustbgpd-wire` and `netgauze-bgp-pkt`. Where one of them and this crate disagree, the test that would notice
//! says which section of which RFC was read, and by whom.

mod capture;
mod generate;
mod messages;
mod mistakes;
mod neighbour;
mod netgauze;
mod opens;
mod rib_out;
mod rustbgpd;
mod said;
