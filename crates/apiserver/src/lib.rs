//! A small Kubernetes API server, for any resource and for none in particular.
//!
//! [`server::Server`] is an axum router over a [`store`], so a Kubernetes client can be pointed at it inside the
//! same process: in tests, on a single host, in a lab. Its parts know nothing of each other:
//!
//! * [`schema`]: everything that an API server decides about a custom resource from its definition alone;
//! * [`definition`], [`conversion`]: what a CustomResourceDefinition must be, and objects between its versions;
//! * [`admission`], [`client`]: which webhooks are called, what their answers mean, and the calls;
//! * [`store`]: where objects live, in memory or in a file, and what watchers are told;
//! * [`resource`], [`builtin`], [`discovery`]: what is served, and how clients find out;
//! * [`openapi`]: the fields of what is served, for clients that explain them or check before they send;
//! * [`kinds`]: what is decided about single built-in kinds, Services above all;
//! * [`types`], [`codec`]: what the fields of built-in kinds are, and what a body holds, whichever way it is written;
//! * [`path`], [`selector`]: what a request asks for;
//! * [`patch`], [`apply`]: what becomes of an object that is changed in part, and who owns which of its fields;
//! * [`auth`]: who asks, and whether they may;
//! * [`serve`]: the server on the network, over TLS;
//! * [`status`], [`table`]: what it is answered with.
//!
//! What the server does not do: nothing runs what it stores, so there are no controllers beside namespaces, ownership
//! and definitions, and no kubelet behind `pods/log` or `pods/exec`; other API servers are not found through it;
//! ValidatingAdmissionPolicies are stored and not evaluated; and the cost of CEL rules is not estimated beforehand but
//! bounded while they run.
//!
//! Nothing in this crate knows what a load balancer is.
#![forbid(unsafe_code)]

pub mod admission;
pub mod apply;
pub mod auth;
pub mod builtin;
pub mod client;
pub mod codec;
pub mod conversion;
pub mod definition;
pub mod discovery;
pub mod kinds;
pub mod openapi;
pub mod patch;
pub mod path;
pub mod resource;
pub mod schema;
pub mod selector;
pub mod serve;
pub mod server;
pub mod status;
pub mod store;
pub mod table;
pub mod types;
