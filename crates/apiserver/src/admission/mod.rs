//! Admission webhooks: what a configuration must be, which webhooks a request concerns, what they are asked and what
//! their answers mean. Pure functions over JSON; nothing here knows a request, a store or the network.

pub(crate) mod client_config;
