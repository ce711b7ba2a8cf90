//! `BGPPeer`, the one kind with two versions. Objects are stored as [`v1beta2`]; [`crate::convert`] maps
//! between the two.

pub mod v1beta1;
pub mod v1beta2;
