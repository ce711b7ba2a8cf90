//! The Kubernetes-facing types of FerroLB: every kind it serves or reads, once, as Rust types.
//!
//! What lives here:
//!
//! * [`metallb`] and [`frrk8s`]: the kinds of the two API groups, one file each. These types are the
//!   single source: what they serialise, which schema their CRD has and what `kubectl explain` says
//!   (their doc comments) all come from the same lines.
//! * [`crds`]: the manifest of every CRD, shaped the way `controller-gen` shapes them, so that a cluster
//!   that already has these kinds sees no difference.
//! * [`convert`]: `BGPPeer` between its two versions, as a function over JSON.
//! * [`admit`]: whether an object may be written, as an admission webhook is asked.
//! * [`placement`]: the annotations about the nodes that answer; [`bgp_extras`]: those about BGP.
//! * [`reservation`]: addresses that are kept for a Service which is gone.
//! * [`duration`]: Go's duration text, which the API uses for timers.
//!
//! What must never happen here: talking to an API server, deciding what to announce (that is `plan`), or
//! judging a value in a `Deserialize` implementation. Reading is as lenient as the API always was: a
//! missing field or an explicit `null` is absent, an absent required field is its zero value, and only a
//! value of the wrong type is an error. The schema and the parser do the judging, with texts a user
//! can act on.

#![forbid(unsafe_code)]

#[macro_use]
mod resource;

pub mod admit;
pub mod bgp_extras;
pub mod convert;
pub mod crds;
pub mod decode;
pub mod duration;
pub mod frrk8s;
pub mod ingest;
pub mod metallb;
pub mod parse;
pub mod placement;
pub mod reservation;

mod labels;
mod null;
mod schema;
mod secret;

pub use labels::{LabelSelector, LabelSelectorRequirement};
pub use secret::SecretReference;

use k8s_openapi::jiff::Timestamp;

/// A moment as the API writes it, in whole seconds.
pub fn time_text(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
