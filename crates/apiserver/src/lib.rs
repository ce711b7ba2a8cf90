//! A small Kubernetes API server, for any resource and for none in particular.
//!
//! It is meant to be an ordinary axum router, so that a Kubernetes client can be pointed at it inside the same
//! process: in tests, on a single host, in a lab. So far its parts exist, and nothing yet puts them together:
//!
//! * [`schema`]: everything that an API server decides about a custom resource from its definition alone;
//! * [`store`]: where objects live, in memory or in a file, and what watchers are told;
//! * [`resource`], [`builtin`], [`discovery`]: what is served, and how clients find out;
//! * [`kinds`]: what is decided about single built-in kinds, Services above all;
//! * [`path`], [`selector`]: what a request asks for;
//! * [`status`], [`table`]: what it is answered with.
//!
//! Nothing in this crate knows what a load balancer is.
#![forbid(unsafe_code)]

pub mod builtin;
pub mod discovery;
pub mod kinds;
pub mod path;
pub mod resource;
pub mod schema;
pub mod selector;
pub mod status;
pub mod store;
pub mod table;
