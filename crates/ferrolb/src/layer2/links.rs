//! The local interfaces, and on which of them what can be answered.

use std::collections::BTreeMap;

use protocol::l2::MacAddress;

/// Every interface of this node that is not excluded, by name, up or down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    pub by_name: BTreeMap<String, Link>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub station: Option<MacAddress>,
    pub up: bool,
    /// Whether IPv4 addresses are answered for here, or why not.
    pub arp: Result<(), Silence>,
    /// Whether IPv6 addresses are.
    pub ndp: Result<(), Silence>,
}

/// Why nothing is answered on an interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    #[error("is not up")]
    Down,
    #[error("belongs to another interface, as a port of a bridge does")]
    Enslaved,
    #[error("does no ARP")]
    NoArp,
    #[error("has no broadcast")]
    NoBroadcast,
    #[error("is not an Ethernet")]
    NotEthernet,
    #[error("is one of too many interfaces")]
    TooMany,
    #[error("cannot be listened to: {0}")]
    Failed(String),
}
