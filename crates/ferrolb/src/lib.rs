//! FerroLB: addresses for Kubernetes Services of type LoadBalancer on bare metal.
//!
//! This crate is the thin shell: it reads files and talks to people. What is decided is decided in `plan`,
//! what a resource means is said in `api`, and what an API server would say of it in `apiserver::schema`.

mod backoff;
pub mod bgp;
mod call;
pub mod cli;
mod component_metrics;
mod configuration_state;
pub mod controller;
mod drain;
pub mod embedded;
mod events;
pub mod lab;
pub mod layer2;
mod logging;
pub mod members;
mod netlink;
mod own_thread;
mod pace;
mod pod;
pub mod proxy;
mod relocate;
pub mod serving;
pub mod speaker;
pub mod standalone;
mod sys;
mod watch;
pub mod webhook;
