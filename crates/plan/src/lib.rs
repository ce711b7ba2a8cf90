//! The decisions of FerroLB: plain values in, plain values out, and a reason for every "no".
//!
//! * [`config`] is what the custom resources mean once `api::parse` has read them; [`snapshot`] is the
//!   part of the cluster's Services, Nodes and Namespaces that decisions look at.
//! * [`range`] is arithmetic on the addresses of a pool; [`allocate`] decides which Service holds which of
//!   them, and why another one waits.
//! * [`elect`] is who answers for an address among candidates; [`announce`] is what each node does about a
//!   Service, or why it does nothing.
//! * [`router`] is what a node's BGP engine is to run: its neighbours, and the routes that each of them is told.
//!
//! Nothing here knows a socket, a clock, a task or a Kubernetes client, and nothing is random: the same
//! input gives the same output, whatever happened before.
#![forbid(unsafe_code)]

pub mod allocate;
pub mod announce;
pub mod community;
pub mod config;
mod containment;
pub mod elect;
pub mod placement;
pub mod quote;
pub mod range;
pub mod router;
pub mod selector;
pub mod snapshot;

pub use community::Community;
pub use config::Config;
pub use selector::Selector;
