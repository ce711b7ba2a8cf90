//! A small Kubernetes API server, for any resource and for none in particular.
//!
//! It is meant to be an ordinary axum router, so that a Kubernetes client can be pointed at it inside
//! the same process: in tests, on a single host, in a lab. What exists so far is [`schema`], which is
//! everything that an API server decides about a custom resource from its definition alone.
//!
//! Nothing in this crate knows what a load balancer is.
#![forbid(unsafe_code)]

pub mod apply;
pub mod patch;
pub mod schema;
