//! A small Kubernetes API server, for any resource and for none in particular.
//!
//! It is to become an ordinary [tower] service, so that a Kubernetes client can be pointed at it in
//! the same process: in tests, on a single host, in a lab. What exists of it now is [`schema`]:
//! everything that an API server decides about a custom resource from its definition alone.
//!
//! Nothing in this crate knows what a load balancer is.
//!
//! [tower]: https://docs.rs/tower
#![forbid(unsafe_code)]

pub mod schema;
