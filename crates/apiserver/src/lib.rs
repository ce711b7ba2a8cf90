//! A small Kubernetes API server, for any resource and for none in particular.
//!
//! A [`server::Server`] keeps objects in a [`store`] and answers as a kube-apiserver 1.36 does. Clients in the same
//! process call [its router](server::Server::router), which is an ordinary service; for clients from the network
//! [`serve`] serves [the one that asks who they are](server::Server::secured) over TLS. It is meant for tests, for a
//! single host, for a lab.
//!
//! ```
//! use std::sync::Arc;
//!
//! use apiserver::server::Server;
//! use apiserver::store::MemoryStore;
//! use axum::body::Body;
//! use axum::http::{Request, header};
//! use tower::ServiceExt;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::open(Arc::new(MemoryStore::new())).await?;
//! let map = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}"#;
//! let request = Request::post("/api/v1/namespaces/default/configmaps")
//!     .header(header::CONTENT_TYPE, "application/json")
//!     .body(Body::from(map))?;
//! assert_eq!(server.router().oneshot(request).await?.status(), 201);
//!
//! let request = Request::get("/api/v1/namespaces/default/configmaps/a").body(Body::empty())?;
//! let answer = server.router().oneshot(request).await?;
//! let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await?;
//! let map: serde_json::Value = serde_json::from_slice(&bytes)?;
//! assert_eq!(map["data"]["k"], "v");
//! # Ok(())
//! # }
//! ```
//!
//! A server runs within a tokio runtime that has timers, and its work in the background ends with its last handle.
//! What it takes from its clients is bounded by [`server::LIMITS`], whichever way they come in.
//!
//! Its parts:
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
//! What the server does not do: nothing runs what it stores. It sees to namespaces, owners, definitions and the age of
//! events and, if asked, to what every cluster has; there are no other controllers, and no kubelet behind `pods/log` or
//! `pods/exec`. Other API servers are not found through it, ValidatingAdmissionPolicies are kept and not evaluated, and
//! the cost of CEL rules is not estimated beforehand but bounded while they run. Answers are JSON or YAML; protobuf is
//! read and, but for OpenAPI, not written.
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
