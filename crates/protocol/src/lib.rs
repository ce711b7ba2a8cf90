//! Protocol machines and codecs: bytes and `now` in, bytes and events out.
//!
//! No socket, no clock, no task, no lock and no Kubernetes is known here, so the failure of a thousand nodes
//! is a unit test that runs in milliseconds. Every protocol of FerroLB takes the shape of [`Machine`]:
//! BGP, BFD, ARP, NDP and membership, each in a module of its own with `packet` and `session`.
#![forbid(unsafe_code)]

pub mod bgp;
pub mod l2;
pub mod machine;
pub mod member;
pub mod random;
mod reader;

pub use machine::Machine;
