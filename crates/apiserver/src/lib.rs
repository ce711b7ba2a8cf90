//! A small Kubernetes API server, for any resource and for none in particular.
//!
//! It is meant to be an ordinary axum router, so that a Kubernetes client can be pointed at it inside
//! the same process: in tests, on a single host, in a lab. What exists so far are decisions, each a pure
//! function over JSON: [`schema`], everything that an API server decides about a custom resource from its
//! definition alone; [`patch`], what a JSON patch, a merge patch and a strategic merge patch make of an
//! object; and [`apply`], server-side apply and who owns which field. The latter two also know the shapes of
//! the built-in kinds, from one table.
//!
//! Nothing in this crate knows what a load balancer is.
#![forbid(unsafe_code)]

pub mod apply;
pub mod patch;
pub mod schema;
